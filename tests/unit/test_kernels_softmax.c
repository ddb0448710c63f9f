/* Softmax, its gradient and dot products of rows, for every instruction set of this machine, against naive loops in double,
 * and the naive gradient against finite differences. */
#include "support/kernels.h"

Suite *test_kernels_softmax_suite(void);

static const size_t SIZES[] = {1, 3, 7, 16, 17, 31, 33, 64, 100, 1000};
enum { SIZE_COUNT = sizeof SIZES / sizeof *SIZES };

typedef struct softmax_shape {
    size_t rows, columns;
    double scale;
    const double *dp; /* the loss is the sum of dp * p */
} softmax_shape;

static void naive_softmax(const softmax_shape *s, const double *x, double *p, double *lse) {
    for (size_t r = 0; r < s->rows; r++, x += s->columns, p += s->columns) {
        double most = -INFINITY, sum = 0;
        for (size_t c = 0; c < s->columns; c++) most = fmax(most, s->scale * x[c]);
        for (size_t c = 0; c < s->columns; c++) sum += exp(s->scale * x[c] - most);
        lse[r] = most + log(sum);
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

static void naive_softmax_gradient(const softmax_shape *s, const double *p, double *delta, double *ds) {
    for (size_t r = 0; r < s->rows; r++) {
        delta[r] = 0;
        for (size_t c = r * s->columns; c < (r + 1) * s->columns; c++) delta[r] += p[c] * s->dp[c];
        for (size_t c = r * s->columns; c < (r + 1) * s->columns; c++) ds[c] = s->scale * p[c] * (s->dp[c] - delta[r]);
    }
}

START_TEST(softmax) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (int t = 0; t < SIZE_COUNT; t++) {
        for (int level = -50; level <= 50; level += 50) {
            const size_t rows = 5, columns = SIZES[t], n = rows * columns;
            const float scale = 0.70710678f;
            float *x = uniform(n, 12, 8), *dp = uniform(n, 13, 1), lse[5], delta[5];
            for (size_t i = 0; i < n; i++) x[i] += (float)level;
            softmax_shape s = {.rows = rows, .columns = columns, .scale = scale, .dp = widened(dp, n)};
            double *p = doubles(n), *ds = doubles(n), want_lse[5], want_delta[5];
            naive_softmax(&s, widened(x, n), p, want_lse);
            naive_softmax_gradient(&s, p, want_delta, ds);

            /* scale * s and, the second time, lse are rounded where they are up to 40, by 2e-6 of which exp makes a
             * relative error */
            float *got = copied(x, n);
            k->softmax_rows(got, lse, scale, (int32_t)rows, (int32_t)columns);
            check_near("softmax_rows", got, p, n, level ? 3e-6 : 5e-7);
            check_near("softmax_rows: lse", lse, want_lse, rows, 1e-7);
            k->softmax_again(x, lse, scale, (int32_t)rows, (int32_t)columns);
            check_near("softmax_again", x, p, n, level ? 3e-6 : 8e-7);

            /* p and dp at the same strides, then dp again with rows further apart */
            k->row_dot(delta, got, columns, dp, columns, (int32_t)rows, (int32_t)columns);
            check_near("row_dot", delta, want_delta, rows, level ? 3e-6 : 1e-6);
            float *apart = uniform(rows * (columns + 3), 14, 1), again[5];
            for (size_t r = 0; r < rows; r++) memcpy(apart + r * (columns + 3), dp + r * columns, columns * sizeof *dp);
            k->row_dot(again, got, columns, apart, columns + 3, (int32_t)rows, (int32_t)columns);
            check_same("row_dot with other strides", again, delta, rows);
            if (columns > 1) { /* else the gradient is 0 */
                k->softmax_backward(dp, got, delta, scale, (int32_t)rows, (int32_t)columns);
                check_near("softmax_backward", dp, ds, n, level ? 5e-6 : 1e-6);
            }
            release();
        }
    }
} END_TEST

START_TEST(softmax_far_apart) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    float s[] = {1e30f, -1e30f, 0, 1e4f, -1e4f, 1, 2e30f}, lse;
    k->softmax_rows(s, &lse, 1.0f, 1, 7);
    ck_assert(s[6] == 1 && s[0] == 0 && s[1] == 0 && s[2] == 0 && lse == 2e30f);
    /* Were any place passed over in the search for the largest, its exp would be infinite. */
    for (int32_t columns = 1; columns <= 70; columns++) {
        for (int32_t place = 0; place < columns; place++) {
            float row[70] = {0};
            row[place] = 1000;
            k->softmax_rows(row, &lse, 1.0f, 1, columns);
            ck_assert_msg(row[place] == 1 && lse == 1000, "1000 at %d of %d: p is %g, lse %g", place, columns, row[place],
                          lse);
        }
    }
    float bad[] = {0, 1, NAN, 2};
    k->softmax_rows(bad, &lse, 1.0f, 1, 4);
    ck_assert(isnan(bad[0]) && isnan(bad[1]) && isnan(bad[2]) && isnan(bad[3]) && isnan(lse));
} END_TEST

START_TEST(naive_softmax_gradient_is_right) {
    const size_t n = 3 * 7;
    double *x = widened(uniform(n, 15, 2), n), p[21], lse[3], delta[3], ds[21];
    softmax_shape s = {.rows = 3, .columns = 7, .scale = 0.6, .dp = widened(uniform(n, 16, 1), n)};
    naive_softmax(&s, x, p, lse);
    naive_softmax_gradient(&s, p, delta, ds);
    prove_gradient("softmax", softmax_loss, &s, x, ds, n);
    release();
} END_TEST

Suite *test_kernels_softmax_suite(void) {
    Suite *suite = suite_create("softmax kernels");
    TCase *tests = tcase_create("softmax");
    tcase_set_timeout(tests, 20);
    tcase_add_test(tests, naive_softmax_gradient_is_right);
    tcase_add_loop_test(tests, softmax, 0, ISAS);
    tcase_add_loop_test(tests, softmax_far_apart, 0, ISAS);
    suite_add_tcase(suite, tests);
    return suite;
}
