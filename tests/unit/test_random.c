/* SPDX-License-Identifier: MIT */
/* Philox against its authors' vectors, the statistics of what is made from it, and the shuffle as a
 * bijection. Seeds are fixed, so bounds of four to five standard deviations are passed always or
 * never. */
#include "base/random.h"

#include "support/support.h"

START_TEST(philox_known_answers) { /* kat_vectors of Random123 */
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (int i = 0; i < 3; i++) {
        uint32_t got[4];
        dmi_philox(cases[i].key, cases[i].counter, got);
        ck_assert_int_eq(memcmp(got, cases[i].want, sizeof got), 0);
    }
}
END_TEST

START_TEST(addresses_are_distinct) {
    static const struct {
        uint64_t seed, index;
        uint32_t stream;
    } at[] = {{0, 0, 1},          {1, 0, 1},     {1ull << 32, 0, 1}, {0, 1, 1},
              {0, 1ull << 32, 1}, {0, 0, 2},     {0, 1, 2},          {0, 0, 8},
              {0, 1ull << 55, 1}, {~0ull, 0, 1}, {0, 2, 1},          {2, 0, 1}};
    enum { SEQUENCES = sizeof at / sizeof at[0] };
    uint32_t first[SEQUENCES][8];
    for (int i = 0; i < SEQUENCES; i++) {
        const dmi_random r = dmi_random_at(at[i].seed, at[i].stream, at[i].index);
        dmi_random_bits(&r, first[i], 8);
        for (int k = 0; k < i; k++) {
            for (int a = 0; a < 8; a++) {
                for (int b = 0; b < 8; b++) ck_assert_uint_ne(first[i][a], first[k][b]);
            }
        }
    }
}
END_TEST

/* Element i is the same for any range that is requested. */
START_TEST(values_do_not_depend_on_the_count) {
    enum { COUNT_MAX = 1100 };
    const dmi_random at = dmi_random_at(42, DMI_STREAM_NOISE, 3);
    static uint32_t bits[COUNT_MAX], some_bits[COUNT_MAX];
    static float uniform[COUNT_MAX], normal[COUNT_MAX], some[COUNT_MAX];
    dmi_random_bits(&at, bits, COUNT_MAX);
    dmi_random_uniform(&at, uniform, COUNT_MAX);
    dmi_random_normal(&at, normal, COUNT_MAX);
    for (size_t count = 0; count < COUNT_MAX; count += count < 20 ? 1 : 37) {
        some[count] = 77.0f;
        dmi_random_normal(&at, some, count);
        ck_assert_int_eq(memcmp(some, normal, count * sizeof(float)), 0);
        dmi_random_uniform(&at, some, count);
        ck_assert_int_eq(memcmp(some, uniform, count * sizeof(float)), 0);
        ck_assert(some[count] == 77.0f);
        dmi_random_bits(&at, some_bits, count);
        ck_assert_int_eq(memcmp(some_bits, bits, count * sizeof(uint32_t)), 0);
    }
    for (size_t i = 0; i < COUNT_MAX; i++) {
        ck_assert(uniform[i] == (float)(bits[i] >> 8) / 16777216.0f);
        ck_assert_uint_eq(dmi_random_below(&at, i, 1000),
                          (uint32_t)((uint64_t)bits[i] * 1000 >> 32));
    }
}
END_TEST

/* Against the formula in double precision. The error is relative to the radius; 3e-7 is five
 * roundings of floats. Where u is near 1 its own two roundings, 2^-24 together, are multiplied by 1
 * / radius^2. */
START_TEST(normals_follow_box_and_muller) {
    enum { COUNT = 1 << 16 };
    static uint32_t bits[COUNT];
    static float normal[COUNT];
    const dmi_random at = dmi_random_at(5, DMI_STREAM_SAMPLE, 1);
    dmi_random_bits(&at, bits, COUNT);
    dmi_random_normal(&at, normal, COUNT);
    for (size_t i = 0; i < COUNT; i += 2) {
        const double radius = sqrt(-2 * log(((bits[i] >> 1) + 0.5) / 2147483648.0));
        const double angle = 2 * acos(-1.0) * (bits[i + 1] / 4294967296.0);
        const double bound = radius * (3e-7 + 6.5e-8 / (radius * radius));
        const double error =
            fmax(fabs(normal[i] - radius * cos(angle)), fabs(normal[i + 1] - radius * sin(angle)));
        if (!(error <= bound))
            ck_abort_msg("normals %zu: error %.3g is above %.3g", i, error, bound);
    }
}
END_TEST

START_TEST(moments_of_normals) {
    enum { COUNT = 1 << 20 };
    float *x = malloc(COUNT * sizeof *x);
    const dmi_random at = dmi_random_at(2024, DMI_STREAM_NOISE, 0);
    dmi_random_normal(&at, x, COUNT);
    double sums[7] = {0}, pairs[4] = {0};
    size_t within[3] = {0};
    static const size_t distance[4] = {1, 2, 3, 512};
    for (size_t i = 0; i < COUNT; i++) {
        const double v = x[i];
        double power = 1;
        for (int k = 0; k < 7; k++, power *= v) sums[k] += power;
        for (int k = 0; k < 3; k++) within[k] += fabs(v) < k + 1;
        for (int k = 0; k < 4; k++) pairs[k] += v * (double)x[(i + distance[k]) % COUNT];
    }
    /* Expected moments of a standard normal, and the standard deviations of their estimates times
     * sqrt(COUNT). */
    static const double moment[7] = {1, 0, 1, 0, 3, 0, 15};
    static const double spread[7] = {0, 1, 1.414, 3.873, 9.798, 30.74, 100.9};
    const double scale = 1 / sqrt((double)COUNT);
    for (int k = 0; k < 7; k++)
        ck_assert_double_le(fabs(sums[k] / COUNT - moment[k]), 4.5 * spread[k] * scale);
    for (int k = 0; k < 4; k++) ck_assert_double_le(fabs(pairs[k] / COUNT), 4.5 * scale);
    static const double share[3] = {0.682689492, 0.954499736, 0.997300204};
    for (int k = 0; k < 3; k++) {
        const double deviation = sqrt(share[k] * (1 - share[k]));
        ck_assert_double_le(fabs((double)within[k] / COUNT - share[k]), 4.5 * deviation * scale);
    }
    free(x);
}
END_TEST

START_TEST(sequences_are_independent) {
    enum { COUNT = 1 << 16, SEQUENCES = 6 };
    static float x[SEQUENCES][COUNT];
    static const struct {
        uint64_t seed, index;
        uint32_t stream;
    } at[SEQUENCES] = {{1, 0, 4}, {2, 0, 4}, {1, 1, 4}, {1, 2, 4}, {1, 0, 7}, {1ull << 40, 0, 4}};
    for (int i = 0; i < SEQUENCES; i++) {
        const dmi_random r = dmi_random_at(at[i].seed, at[i].stream, at[i].index);
        dmi_random_normal(&r, x[i], COUNT);
        for (int k = 0; k < i; k++) {
            double product = 0;
            for (int j = 0; j < COUNT; j++) product += (double)x[i][j] * x[k][j];
            ck_assert_double_le(fabs(product / COUNT), 4.5 / sqrt((double)COUNT));
        }
    }
}
END_TEST

START_TEST(uniforms_are_uniform) {
    enum { COUNT = 1 << 18, BINS = 64 };
    static float x[COUNT];
    const dmi_random at = dmi_random_at(9, DMI_STREAM_DROPOUT, 11);
    dmi_random_uniform(&at, x, COUNT);
    size_t bins[BINS] = {0}, small[BINS] = {0};
    for (size_t i = 0; i < COUNT; i++) {
        if (!(x[i] >= 0.0f && x[i] < 1.0f)) ck_abort_msg("uniform %zu is %.9g", i, x[i]);
        bins[(int)(x[i] * BINS)]++;
        small[dmi_random_below(&at, i, BINS)]++;
    }
    double chi = 0, chi_small = 0;
    const double expected = (double)COUNT / BINS;
    for (int b = 0; b < BINS; b++) {
        chi += ((double)bins[b] - expected) * ((double)bins[b] - expected) / expected;
        chi_small += ((double)small[b] - expected) * ((double)small[b] - expected) / expected;
    }
    /* Chi squared with 63 degrees of freedom: below 118 with all but one in 30,000. */
    ck_assert_double_le(chi, 118);
    ck_assert_double_le(chi_small, 118);
    for (uint32_t bound = 1; bound < 20; bound++) {
        for (uint64_t i = 0; i < 200; i++)
            ck_assert_uint_lt(dmi_random_below(&at, i, bound), bound);
    }
}
END_TEST

START_TEST(permutations_are_bijections) {
    static const uint64_t counts[] = {1, 2, 3, 4, 5, 7, 10, 63, 64, 65, 1000, 50000};
    static unsigned char seen[50000];
    for (size_t c = 0; c < sizeof counts / sizeof counts[0]; c++) {
        for (uint64_t epoch = 0; epoch < 3; epoch++) {
            memset(seen, 0, sizeof seen);
            for (uint64_t i = 0; i < counts[c]; i++) {
                const uint64_t to = dmi_random_permute(77, epoch, i, counts[c]);
                if (to >= counts[c] || seen[to]++) ck_abort_msg("%d goes to %d", (int)i, (int)to);
            }
        }
    }
    const uint64_t largest = UINT64_MAX; /* two halves of 32 bits */
    ck_assert_uint_lt(dmi_random_permute(1, 2, largest - 1, largest), largest);
    ck_assert_uint_ne(dmi_random_permute(1, 2, 0, largest), dmi_random_permute(1, 2, 1, largest));
}
END_TEST

START_TEST(epochs_differ) {
    enum { COUNT = 1000 };
    size_t same_epoch = 0, same_seed = 0, fixed = 0, neighbours = 0;
    for (uint64_t i = 0; i < COUNT; i++) {
        const uint64_t here = dmi_random_permute(3, 0, i, COUNT);
        same_epoch += here == dmi_random_permute(3, 1, i, COUNT);
        same_seed += here == dmi_random_permute(4, 0, i, COUNT);
        fixed += here == i;
        neighbours += (here + 1) % COUNT == dmi_random_permute(3, 0, (i + 1) % COUNT, COUNT);
    }
    /* Each is a Poisson number of mean 1. */
    ck_assert_uint_le(same_epoch, 8);
    ck_assert_uint_le(same_seed, 8);
    ck_assert_uint_le(fixed, 8);
    ck_assert_uint_le(neighbours, 8);
}
END_TEST

/* Every target is reached from every position equally often over many epochs. */
START_TEST(permutations_are_even) {
    enum { COUNT = 10, EPOCHS = 20000 };
    static size_t to[COUNT][COUNT];
    for (uint64_t epoch = 0; epoch < EPOCHS; epoch++) {
        for (uint64_t i = 0; i < COUNT; i++) to[i][dmi_random_permute(8, epoch, i, COUNT)]++;
    }
    double chi = 0;
    for (int i = 0; i < COUNT; i++) {
        for (int k = 0; k < COUNT; k++) {
            const double off = (double)to[i][k] - EPOCHS / COUNT;
            chi += off * off / (EPOCHS / COUNT);
        }
    }
    ck_assert_double_le(chi, 81 + 5 * sqrt(2 * 81)); /* 81 degrees of freedom */
}
END_TEST

Suite *test_random_suite(void);
Suite *test_random_suite(void) {
    Suite *suite = suite_create("random");
    TCase *tests = tcase_create("random");
    tcase_set_timeout(tests, 60); /* under a memory checker */
    tcase_add_test(tests, philox_known_answers);
    tcase_add_test(tests, addresses_are_distinct);
    tcase_add_test(tests, values_do_not_depend_on_the_count);
    tcase_add_test(tests, normals_follow_box_and_muller);
    tcase_add_test(tests, moments_of_normals);
    tcase_add_test(tests, sequences_are_independent);
    tcase_add_test(tests, uniforms_are_uniform);
    tcase_add_test(tests, permutations_are_bijections);
    tcase_add_test(tests, epochs_differ);
    tcase_add_test(tests, permutations_are_even);
    suite_add_tcase(suite, tests);
    return suite;
}
