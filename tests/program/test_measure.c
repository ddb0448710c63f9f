/* SPDX-License-Identifier: MIT */
/* The measures of the distance of two sets of pictures, against figures of make_measures.py and
 * against plain loops. */
#include "measure/features.h"
#include "measure/frechet.h"
#include "measure/kernel_distance.h"
#include "measure/precision_recall.h"
#include "support/support.h"

enum { N = FEATURE_COUNT };

static void accepted(dm_status status) { ck_assert_int_eq(status, DM_OK); }

/* make_measures.py makes the same sets. */
static feature_set make_set(uint64_t seed, size_t count, float shift) {
    feature_set set = {0};
    float noise[N], *common = malloc(count * sizeof *common), *all = malloc(count * sizeof noise);
    ck_assert(common && all);
    test_fill(common, count, seed + 1, 1);
    test_fill(all, count * N, seed, 0.3f);
    for (size_t i = 0; i < count; i++) {
        for (size_t f = 0; f < N; f++)
            noise[f] =
                all[i * N + f] + (float)((int)(f % 3) - 1) * common[i] + (float)(f % 2) * shift;
        accepted(feature_set_append(&set, noise, 1));
    }
    free(common);
    free(all);
    return set;
}

static feature_set standardised(const feature_set *set, const feature_set *reference) {
    feature_set out = {0};
    accepted(feature_set_standardise(&out, set, reference));
    return out;
}

static void free_both(feature_set *a, feature_set *b) {
    feature_set_free(a);
    feature_set_free(b);
}

static void close_to(double got, double want, double bound) {
    ck_assert_msg(fabs(got - want) <= bound * fabs(want), "%.12g is not %.12g", got, want);
}

/* ---- golden figures ---- */

START_TEST(golden) {
    feature_set data = make_set(1, 48, 0), samples = make_set(3, 40, 0.125f);
    double frechet = 0;
    kernel_distance kernel;
    precision_recall share;
    accepted(frechet_distance(&frechet, &data, &samples));
    close_to(frechet, 5757.4340979882, 1e-6);
    feature_set d = standardised(&data, &data), s = standardised(&samples, &data);
    accepted(kernel_distance_measure(&kernel, &d, &s, NULL, NULL));
    close_to(kernel.value, 0.3923983817, 1e-5);
    close_to(kernel.error, 1.1641354092, 1e-5);
    ck_assert_uint_eq(kernel.subset_size, 4);
    ck_assert_uint_eq(kernel.subsets, 10);
    accepted(precision_recall_measure(&share, &d, &s, NULL, NULL));
    close_to(share.precision, 0.525, 1e-12);
    close_to(share.recall, 22 / 48.0, 1e-12);
    feature_set_free(&data);
    feature_set_free(&samples);
    feature_set_free(&d);
    feature_set_free(&s);
}
END_TEST

/* ---- plain loops ---- */

static double plain_kernel(const float *x, const float *y) {
    double sum = 0;
    for (int f = 0; f < N; f++) sum += (double)x[f] * y[f];
    return pow(sum / N + 1, 3);
}

static double plain_mean(const feature_set *a, const feature_set *b) {
    double sum = 0, pairs = 0;
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < b->count; j++) {
            if (a == b && i == j) continue;
            sum += plain_kernel(a->values + i * N, b->values + j * N);
            pairs++;
        }
    return sum / pairs;
}

static double plain_distance(const feature_set *a, size_t i, const feature_set *b, size_t j) {
    double sum = 0;
    for (size_t f = 0; f < N; f++) {
        double difference = (double)a->values[i * N + f] - b->values[j * N + f];
        sum += difference * difference;
    }
    return sum;
}

/* Whether fewer than PRECISION_NEIGHBOURS other pictures of the set are nearer to its picture j
 * than picture i of x is. */
static bool plain_inside(const feature_set *x, size_t i, const feature_set *set, size_t j) {
    int nearer = 0;
    for (size_t k = 0; k < set->count; k++)
        nearer += k != j && plain_distance(set, k, set, j) < plain_distance(x, i, set, j);
    return nearer < PRECISION_NEIGHBOURS;
}

static double plain_share(const feature_set *x, const feature_set *set) {
    double inside = 0;
    for (size_t i = 0; i < x->count; i++)
        for (size_t j = 0; j < set->count; j++)
            if (plain_inside(x, i, set, j)) {
                inside++;
                break;
            }
    return inside / (double)x->count;
}

/* Counts below, at and above multiples of a tile. */
START_TEST(plain_loops) {
    static const size_t counts[][2] = {{4, 7}, {31, 32}, {33, 64}, {65, 20}};
    feature_set a = make_set(5, counts[_i][0], 0), b = make_set(7, counts[_i][1], 0.02f);
    kernel_distance kernel;
    precision_recall share;
    accepted(kernel_distance_measure(&kernel, &a, &b, NULL, NULL));
    double want = plain_mean(&a, &a) + plain_mean(&b, &b) - 2 * plain_mean(&a, &b);
    ck_assert_double_eq_tol(kernel.value, want, 1e-6);
    accepted(precision_recall_measure(&share, &a, &b, NULL, NULL));
    ck_assert_double_eq_tol(share.precision, plain_share(&b, &a), 1e-12);
    ck_assert_double_eq_tol(share.recall, plain_share(&a, &b), 1e-12);
    free_both(&a, &b);
}
END_TEST

/* ---- identities ---- */

START_TEST(equal_sets) {
    feature_set a = make_set(1, 150, 0), same = {0};
    double frechet = -1;
    kernel_distance kernel;
    precision_recall share;
    accepted(feature_set_append(&same, a.values, a.count));
    accepted(frechet_distance(&frechet, &a, &same));
    ck_assert_double_eq_tol(frechet, 0, 1e-6);
    /* Of two sets that are one, the unbiased estimate is negative: only pairs across have equal
     * pictures. */
    accepted(kernel_distance_measure(&kernel, &a, &same, NULL, NULL));
    ck_assert_double_lt(kernel.value, 0);
    ck_assert_double_gt(kernel.value, -1);
    accepted(precision_recall_measure(&share, &a, &same, NULL, NULL));
    ck_assert(share.precision == 1 && share.recall == 1);
    feature_set_free(&a);
    feature_set_free(&same);
}
END_TEST

START_TEST(far_sets) {
    feature_set a = make_set(1, 50, 0), b = make_set(3, 50, 20);
    kernel_distance kernel;
    precision_recall share;
    accepted(kernel_distance_measure(&kernel, &a, &b, NULL, NULL));
    ck_assert_double_gt(kernel.value, 1000 * kernel.error);
    accepted(precision_recall_measure(&share, &a, &b, NULL, NULL));
    ck_assert(share.precision == 0 && share.recall == 0);
    free_both(&a, &b);
}
END_TEST

/* The deviation of the estimates from many pairs of sets is about what `error` says. */
START_TEST(standard_error) {
    enum { TRIALS = 24, COUNT = 200 };
    double mean = 0, square = 0, error = 0;
    for (uint64_t t = 0; t < TRIALS; t++) {
        feature_set a = make_set(100 + 4 * t, COUNT, 0), b = make_set(102 + 4 * t, COUNT, 0.125f);
        kernel_distance kernel;
        accepted(kernel_distance_measure(&kernel, &a, &b, NULL, NULL));
        mean += kernel.value / TRIALS;
        square += kernel.value * kernel.value / TRIALS;
        error += kernel.error / TRIALS;
        feature_set_free(&a);
        feature_set_free(&b);
    }
    double deviation = sqrt((square - mean * mean) * TRIALS / (TRIALS - 1));
    ck_assert_msg(error > 0.5 * deviation && error < 4 * deviation, "%g for %g", error, deviation);
}
END_TEST

/* ---- refusals ---- */

static int count_down(void *user) {
    int *left = user;
    return --*left < 0;
}

START_TEST(stopping) {
    feature_set a = make_set(1, 70, 0), b = make_set(3, 70, 0);
    kernel_distance kernel;
    precision_recall share;
    for (int calls = 0; calls < 9; calls++) {
        int left = calls;
        ck_assert_int_eq(kernel_distance_measure(&kernel, &a, &b, count_down, &left),
                         DM_ERROR_CANCELLED);
        left = calls;
        ck_assert_int_eq(precision_recall_measure(&share, &a, &b, count_down, &left),
                         DM_ERROR_CANCELLED);
    }
    int left = 9; /* three sets of pairs, three tiles each */
    accepted(precision_recall_measure(&share, &a, &b, count_down, &left));
    free_both(&a, &b);
}
END_TEST

START_TEST(small_sets) {
    feature_set empty = {0}, one = make_set(1, 1, 0), three = make_set(1, 3, 0), out = {0};
    double frechet = 0;
    kernel_distance kernel;
    precision_recall share;
    const dm_status refused = DM_ERROR_INVALID_ARGUMENT;
    ck_assert_int_eq(frechet_distance(&frechet, &empty, &one), refused);
    ck_assert_int_eq(frechet_distance(&frechet, &one, &empty), refused);
    ck_assert_int_eq(kernel_distance_measure(&kernel, &one, &three, NULL, NULL), refused);
    ck_assert_int_eq(precision_recall_measure(&share, &three, &three, NULL, NULL), refused);
    ck_assert_int_eq(feature_set_standardise(&out, &one, &empty), refused);
    accepted(kernel_distance_measure(&kernel, &three, &three, NULL, NULL));
    ck_assert(kernel.error == 0 && kernel.subsets == 1);
    ck_assert_int_eq(feature_set_append(&one, one.values, SIZE_MAX / N), DM_ERROR_OUT_OF_MEMORY);
    ck_assert_uint_eq(one.count, 1);
    feature_set_free(&one);
    feature_set_free(&three);
}
END_TEST

Suite *test_measure_suite(void);
Suite *test_measure_suite(void) {
    Suite *suite = suite_create("measure");
    TCase *tests = tcase_create("measure");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, golden);
    tcase_add_loop_test(tests, plain_loops, 0, 4);
    tcase_add_test(tests, equal_sets);
    tcase_add_test(tests, far_sets);
    tcase_add_test(tests, standard_error);
    tcase_add_test(tests, stopping);
    tcase_add_test(tests, small_sets);
    suite_add_tcase(suite, tests);
    return suite;
}
