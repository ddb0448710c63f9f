/* SPDX-License-Identifier: MIT */
/* The kernels of attention, for every instruction set of this machine, against naive loops in
 * double, and the naive gradient of softmax against finite differences. */
#include "support/kernels.h"

Suite *test_kernels_softmax_suite(void);

static const size_t SIZES[] = {1, 3, 7, 16, 17, 31, 33, 64, 100, 1000};
enum { SIZE_COUNT = sizeof SIZES / sizeof *SIZES, COLUMNS = DMI_SOFTMAX_COLUMNS, WIDTH = 5 };

typedef struct softmax_shape {
    size_t rows, columns;
    double scale;
    const double *dp; /* the loss is the sum of dp * p */
} softmax_shape;

/* Along rows. */
static void naive_softmax(const softmax_shape *s, const double *x, double *p, double *lse) {
    for (size_t r = 0; r < s->rows; r++, x += s->columns, p += s->columns) {
        double largest = -INFINITY, sum = 0;
        for (size_t c = 0; c < s->columns; c++) largest = fmax(largest, s->scale * x[c]);
        for (size_t c = 0; c < s->columns; c++) sum += exp(s->scale * x[c] - largest);
        lse[r] = largest + log(sum);
        for (size_t c = 0; c < s->columns; c++) p[c] = exp(s->scale * x[c] - lse[r]);
    }
}

static double softmax_loss(const void *shape, const double *x) {
    const softmax_shape *s = shape;
    static double p[4096], lse[64];
    naive_softmax(s, x, p, lse);
    double loss = 0;
    for (size_t i = 0; i < s->rows * s->columns; i++) loss += s->dp[i] * p[i];
    return loss;
}

static void naive_softmax_gradient(const softmax_shape *s, const double *p, double *delta,
                                   double *ds) {
    for (size_t r = 0; r < s->rows; r++) {
        delta[r] = 0;
        for (size_t c = r * s->columns; c < (r + 1) * s->columns; c++) delta[r] += p[c] * s->dp[c];
        for (size_t c = r * s->columns; c < (r + 1) * s->columns; c++)
            ds[c] = s->scale * p[c] * (s->dp[c] - delta[r]);
    }
}

START_TEST(naive_softmax_gradient_is_right) {
    const size_t n = 3 * 7;
    double *x = widened(uniform(n, 15, 2), n), p[21], lse[3], delta[3], ds[21];
    softmax_shape s = {.rows = 3, .columns = 7, .scale = 0.6, .dp = widened(uniform(n, 16, 1), n)};
    naive_softmax(&s, x, p, lse);
    naive_softmax_gradient(&s, p, delta, ds);
    check_gradient("softmax", softmax_loss, &s, x, ds, n);
    release();
}
END_TEST

/* A running softmax along columns: its state, and the same in double. */
typedef struct running {
    float largest[COLUMNS], sum[COLUMNS], o[WIDTH * COLUMNS];
    double want_largest[COLUMNS], want_sum[COLUMNS], want_o[WIDTH * COLUMNS];
} running;

static void naive_block(running *r, const float *s, double *p, double scale, size_t keys,
                        bool first) {
    for (size_t c = 0; c < COLUMNS; c++) {
        double largest = first ? -INFINITY : r->want_largest[c];
        for (size_t i = 0; i < keys; i++) largest = fmax(largest, s[i * COLUMNS + c]);
        double kept = first ? 0 : exp(scale * (r->want_largest[c] - largest));
        r->want_largest[c] = largest;
        r->want_sum[c] = first ? 0 : r->want_sum[c] * kept;
        for (size_t i = 0; i < keys; i++)
            r->want_sum[c] += p[i * COLUMNS + c] =
                exp(scale * ((double)s[i * COLUMNS + c] - largest));
        for (size_t i = 0; i < WIDTH && !first; i++) r->want_o[i * COLUMNS + c] *= kept;
    }
}

/* Blocks of each size after one another, so that maxima grow and stay. Scores are stored as
 * differences to the largest before they are rounded, so their level is none of the error's. */
START_TEST(softmax_in_blocks) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (int level = -50; level <= 50; level += 50) {
        const float scale = 0.70710678f;
        running r;
        for (int t = 0; t < SIZE_COUNT; t++) {
            const size_t n = SIZES[t] * COLUMNS;
            float *s = uniform(n, 12 + (uint64_t)t, 8);
            double *p = doubles(n);
            for (size_t i = 0; i < n; i++) s[i] += (float)level;
            naive_block(&r, s, p, scale, SIZES[t], t == 0);
            k->softmax_block(s, r.o, r.largest, r.sum, scale, (int32_t)SIZES[t], WIDTH, t == 0);
            check_near("softmax_block: p", s, p, n, 5e-7);
            check_near("softmax_block: largest", r.largest, r.want_largest, COLUMNS, 0);
            check_near("softmax_block: sum", r.sum, r.want_sum, COLUMNS, 5e-7);
            if (t == 0) test_fill(r.o, WIDTH * COLUMNS, 40, 1);
            for (int i = 0; t == 0 && i < WIDTH * COLUMNS; i++) r.want_o[i] = r.o[i];
            check_near("softmax_block: o", r.o, r.want_o, WIDTH * COLUMNS, 5e-7);
        }
        float lse[COLUMNS + 1] = {0};
        double want_lse[COLUMNS];
        for (int c = 0; c < COLUMNS; c++) {
            want_lse[c] = r.want_largest[c] + log(r.want_sum[c]) / scale;
            for (int i = 0; i < WIDTH; i++) r.want_o[i * COLUMNS + c] /= r.want_sum[c];
        }
        k->softmax_finish(r.o, lse, r.largest, r.sum, scale, WIDTH, COLUMNS - 3);
        check_near("softmax_finish: o", r.o, r.want_o, WIDTH * COLUMNS, 5e-7);
        check_near("softmax_finish: lse", lse, want_lse, COLUMNS - 3, 1e-7);
        ck_assert(lse[COLUMNS - 3] == 0);
        release();
    }
}
END_TEST

START_TEST(softmax_far_apart) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    static float s[70 * COLUMNS];
    float o[COLUMNS] = {0}, largest[COLUMNS], sum[COLUMNS], lse[COLUMNS];
    const float far[] = {1e30f, -1e30f, 0, 1e4f, -1e4f, 1, 2e30f};
    for (int i = 0; i < 7 * COLUMNS; i++) s[i] = far[i / COLUMNS];
    k->softmax_block(s, o, largest, sum, 1.0f, 7, 1, true);
    for (int i = 0; i < 7 * COLUMNS; i++) ck_assert(s[i] == (i / COLUMNS == 6));
    k->softmax_finish(o, lse, largest, sum, 1.0f, 1, COLUMNS);
    for (int c = 0; c < COLUMNS; c++) ck_assert(sum[c] == 1 && lse[c] == 2e30f);
    /* Were any key skipped in the search for the largest, its power would be infinite. */
    for (int32_t keys = 1; keys <= 70; keys++) {
        for (int32_t position = 0; position < keys; position++) {
            memset(s, 0, sizeof s);
            for (int c = 0; c < COLUMNS; c++) s[(position + c) % keys * COLUMNS + c] = 1000;
            k->softmax_block(s, o, largest, sum, 1.0f, keys, 1, true);
            for (int c = 0; c < COLUMNS; c++)
                ck_assert_msg(s[(position + c) % keys * COLUMNS + c] == 1 && largest[c] == 1000 &&
                                  sum[c] == 1,
                              "1000 at %d of %d: largest %g, sum %g", (position + c) % keys, keys,
                              largest[c], sum[c]);
        }
    }
    /* What is not a number makes its own column NaN, and no other. */
    for (int32_t block = 0; block < 2; block++) {
        for (int i = 0; i < 6 * COLUMNS; i++) s[i] = 1;
        s[4 * COLUMNS + 9] = NAN;
        o[9] = o[10] = 1;
        k->softmax_block(s, o, largest, sum, 1.0f, 6, 1, block == 0);
        k->softmax_finish(o, lse, largest, sum, 1.0f, 1, COLUMNS);
        ck_assert(isnan(o[9]) && isnan(lse[9]) && isfinite(o[10]) && isfinite(lse[10]));
    }
}
END_TEST

START_TEST(softmax_gradient) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (int t = 0; t < SIZE_COUNT; t++) {
        for (int level = -50; level <= 50; level += 50) {
            const size_t rows = SIZES[t], n = rows * COLUMNS;
            const float scale = 0.70710678f;
            float *x = uniform(n, 12, 8), *dp = uniform(n, 13, 1),
                  *lse = allocate(rows * sizeof *lse);
            float *delta = allocate(rows * sizeof *delta);
            for (size_t i = 0; i < n; i++) x[i] += (float)level;
            softmax_shape s = {.rows = rows,
                               .columns = COLUMNS,
                               .scale = scale,
                               .dp = widened(dp, n)};
            double *p = doubles(n), *ds = doubles(n), *want_lse = doubles(rows),
                   *want_delta = doubles(rows);
            naive_softmax(&s, widened(x, n), p, want_lse);
            naive_softmax_gradient(&s, p, want_delta, ds);
            for (size_t r = 0; r < rows; r++) {
                lse[r] = (float)(want_lse[r] / scale);
                delta[r] = (float)want_delta[r];
            }
            k->softmax_gradient(x, dp, lse, delta, scale, (int32_t)rows);
            /* lse is rounded where it is up to 60, by 2e-6 of which exp makes a relative error */
            check_near("softmax_gradient: p", x, p, n, level ? 3e-6 : 8e-7);
            check_near("softmax_gradient: ds", dp, ds, n, level ? 5e-6 : 1e-6);
            release();
        }
    }
}
END_TEST

/* Every exponential by itself. x is multiplied by log2(e) as a float holds it: three roundings of
 * the exponent. */
START_TEST(exponentials_everywhere) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    enum { ROWS = 1 << 12 };
    const size_t n = (size_t)ROWS * COLUMNS;
    float *x = allocate(n * sizeof *x), *p = allocate(n * sizeof *p),
          *ds = allocate(n * sizeof *ds), *zero = uniform(ROWS, 1, 0);
    for (size_t i = 0; i < n; i++) {
        p[i] = x[i] = 87.0f * (2 * (float)i / (float)n - 1);
        ds[i] = 3;
    }
    k->softmax_gradient(p, ds, zero, zero, 1.0f, ROWS);
    for (size_t i = 0; i < n; i++) {
        double want = exp(x[i]), bound = want * (1.2e-7 + 1.8e-7 * fabs(x[i]));
        ck_assert_msg(fabs(p[i] - want) <= bound, "exp(%.9g) is %.9g, not %.9g", x[i], p[i], want);
        ck_assert_float_eq(ds[i], p[i] * 3);
    }
    const float far[] = {0, -0.0f, 1e-30f, -90, -1e30f, -INFINITY, NAN};
    const float at_far[] = {1, 1, 1, 0, 0, 0, NAN};
    for (int i = 0; i < COLUMNS; i++) p[i] = far[i % 7];
    k->softmax_gradient(p, ds, zero, zero, 1.0f, 1);
    for (int i = 0; i < COLUMNS; i++)
        ck_assert(p[i] == at_far[i % 7] || (isnan(p[i]) && isnan(at_far[i % 7])));
    release();
}
END_TEST

START_TEST(dot_products_of_rows) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (int t = 0; t < SIZE_COUNT; t++) {
        const size_t rows = 5, columns = SIZES[t], apart = columns + 3;
        float *a = uniform(rows * columns, 20, 1), *b = uniform(rows * columns, 21, 1),
              *wide = uniform(rows * apart, 22, 1);
        float dots[5], again[5];
        double want[5] = {0};
        for (size_t r = 0; r < rows; r++) {
            for (size_t c = r * columns; c < (r + 1) * columns; c++) want[r] += (double)a[c] * b[c];
            memcpy(wide + r * apart, b + r * columns, columns * sizeof *b);
        }
        k->row_dot(dots, a, columns, b, columns, (int32_t)rows, (int32_t)columns);
        check_near("row_dot", dots, want, rows, 1e-6);
        k->row_dot(again, a, columns, wide, apart, (int32_t)rows, (int32_t)columns);
        check_same("row_dot with other strides", again, dots, rows);
        release();
    }
}
END_TEST

/* Every element in its position, zeros beyond the rows, and nothing outside touched. */
START_TEST(panels) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (size_t rows = 1; rows <= COLUMNS; rows += rows < 15 ? 7 : 1) {
        for (int t = 0; SIZES[t] <= 100; t++) {
            const size_t width = SIZES[t], stride = width + 2, n = rows * stride;
            float *x = uniform(n, 30, 1), *y = uniform(n, 31, 1), *before = copied(y, n);
            float *panel = uniform((width + 1) * COLUMNS, 32, 1), after = panel[width * COLUMNS];
            k->rows_to_panel(panel, x, stride, (int32_t)rows, (int32_t)width);
            ck_assert(panel[width * COLUMNS] == after);
            for (size_t i = 0; i < width * COLUMNS; i++)
                ck_assert_float_eq(panel[i],
                                   i % COLUMNS < rows ? x[i % COLUMNS * stride + i / COLUMNS] : 0);
            for (int add = 0; add < 2; add++) {
                k->panel_to_rows(y, stride, panel, (int32_t)rows, (int32_t)width, add);
                for (size_t i = 0; i < n; i++)
                    ck_assert_float_eq(y[i], i % stride >= width ? before[i]
                                             : add               ? x[i] + x[i]
                                                                 : x[i]);
            }
            release();
        }
    }
}
END_TEST

Suite *test_kernels_softmax_suite(void) {
    Suite *suite = suite_create("kernels_softmax");
    TCase *tests = tcase_create("softmax");
    tcase_set_timeout(tests, 20);
    tcase_add_test(tests, naive_softmax_gradient_is_right);
    tcase_add_loop_test(tests, softmax_in_blocks, 0, ISAS);
    tcase_add_loop_test(tests, softmax_far_apart, 0, ISAS);
    tcase_add_loop_test(tests, softmax_gradient, 0, ISAS);
    tcase_add_loop_test(tests, exponentials_everywhere, 0, ISAS);
    tcase_add_loop_test(tests, dot_products_of_rows, 0, ISAS);
    tcase_add_loop_test(tests, panels, 0, ISAS);
    suite_add_tcase(suite, tests);
    return suite;
}
