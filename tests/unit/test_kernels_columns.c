/* SPDX-License-Identifier: MIT */
/* The kernels on columns of matrices, for every instruction set of this machine, against plain
 * loops in double. The gradient of standardization is checked by finite differences too. */
#include "support/kernels.h"

Suite *test_kernels_columns_suite(void);

typedef struct matrix {
    size_t rows, columns, stride;
} matrix;

/* Blocks of 64 columns and of 32 rows, less and more, and rows that are apart. */
static const matrix MATRICES[] = {{1, 1, 1},   {1, 7, 9},     {2, 64, 64},   {31, 65, 65},
                                  {33, 3, 40}, {100, 70, 90}, {1000, 17, 17}};
enum { MATRIX_COUNT = sizeof MATRICES / sizeof *MATRICES };

static size_t floats_of(matrix m) { return m.rows * m.stride; }

START_TEST(dots_and_factors) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (int t = 0; t < MATRIX_COUNT; t++) {
        matrix m = MATRICES[t];
        const float *x = uniform(floats_of(m), 1, 2), *y = uniform(floats_of(m), 2, 3);
        float *sum = uniform(m.columns + 1, 3, 1), after = sum[m.columns];
        double *sums = doubles(m.columns), *products = doubles(m.columns);
        for (size_t i = 0; i < m.rows * m.columns; i++) {
            size_t c = i % m.columns, at = i / m.columns * m.stride + c;
            sums[c] += 0.25 * (double)x[at];
            products[c] += 0.25 * (double)x[at] * y[at];
        }
        k->column_dots(sum, x, NULL, m.stride, m.rows, m.columns, 0.25);
        check_near("column sums", sum, sums, m.columns, 5e-7);
        k->column_dots(sum, x, y, m.stride, m.rows, m.columns, 0.25);
        check_near("column dots", sum, products, m.columns, 5e-7);
        ck_assert_float_eq(sum[m.columns], after);

        size_t n = m.rows * m.columns; /* dense */
        const float *gain = uniform(m.columns, 4, 1), *offset = uniform(m.columns, 5, 1);
        for (int how = 0; how < 4; how++) {
            float *z = copied(y, n);
            double *want = doubles(n);
            for (size_t i = 0; i < n; i++)
                want[i] = (how & 1 ? (double)y[i] : 0) + (double)x[i] * gain[i % m.columns] +
                          (how & 2 ? (double)offset[i % m.columns] : 0);
            k->scale_columns(z, x, gain, how & 2 ? offset : NULL, m.rows, m.columns, how & 1);
            check_near("scale_columns", z, want, n, 4e-7); /* one element may cancel */
        }
        release();
    }
}
END_TEST

/* ---- standardization ---- */

static const double EPS = 1e-5;

static void naive_standardize(matrix m, const double *x, double *y, double *rstd) {
    for (size_t c = 0; c < m.columns; c++) {
        double mean = 0, variance = 0;
        for (size_t r = 0; r < m.rows; r++) mean += x[r * m.stride + c] / (double)m.rows;
        for (size_t r = 0; r < m.rows; r++) {
            double deviation = x[r * m.stride + c] - mean;
            variance += deviation * deviation / (double)m.rows;
        }
        rstd[c] = 1 / sqrt(variance + EPS);
        for (size_t r = 0; r < m.rows; r++)
            y[r * m.stride + c] = (x[r * m.stride + c] - mean) * rstd[c];
    }
}

static void naive_gradient(matrix m, const double *y, const double *rstd, const float *dy,
                           double *dx) {
    for (size_t c = 0; c < m.columns; c++) {
        double mean = 0, product = 0;
        for (size_t r = 0; r < m.rows; r++) {
            mean += dy[r * m.stride + c] / (double)m.rows;
            product += dy[r * m.stride + c] * y[r * m.stride + c] / (double)m.rows;
        }
        for (size_t r = 0; r < m.rows; r++) {
            size_t at = r * m.stride + c;
            dx[at] = rstd[c] * (dy[at] - mean - y[at] * product);
        }
    }
}

/* A mean of 100 standard deviations costs nothing, since all is worked in double. */
START_TEST(standardization) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (int t = 0; t < 2 * MATRIX_COUNT; t++) {
        matrix m = MATRICES[t / 2];
        size_t n = floats_of(m);
        float *x = uniform(n, 1, 1), *y = uniform(n, 2, 1), *rstd = uniform(m.columns, 3, 1);
        const float *dy = uniform(n, 4, 1);
        for (size_t i = 0; t % 2 && i < n; i++) x[i] += 60;
        double *want = widened(y, n), *want_rstd = doubles(m.columns), *want_dx;
        naive_standardize(m, widened(x, n), want, want_rstd);
        k->standardize_forward(y, rstd, x, m.stride, m.rows, m.columns, (float)EPS);
        check_near("standardize", y, want, n, 2e-7);
        check_near("rstd", rstd, want_rstd, m.columns, 1e-7);
        for (int add = 0; add < 2; add++) {
            float *dx = uniform(n, 5, 2);
            const double *before = widened(dx, n);
            want_dx = widened(dx, n);
            naive_gradient(m, want, want_rstd, dy, want_dx);
            for (size_t i = 0; add && i < n; i++)
                if (i % m.stride < m.columns) want_dx[i] += before[i];
            k->standardize_backward(dx, dy, y, rstd, m.stride, m.rows, m.columns, add);
            /* Of two rows with eps nothing is left but rounding: relative to 1 / rstd. */
            if (m.rows > 2) check_near("standardize's gradient", dx, want_dx, n, 4e-7);
        }
        release();
    }
}
END_TEST

static const matrix SMALL = {5, 3, 3};

static double standardized_loss(const void *shape, const double *inputs) {
    matrix m = *(const matrix *)shape;
    const float *dy = uniform(floats_of(m), 9, 1);
    double *y = doubles(floats_of(m)), *rstd = doubles(m.columns), sum = 0;
    naive_standardize(m, inputs, y, rstd);
    for (size_t i = 0; i < floats_of(m); i++) sum += dy[i] * y[i];
    return sum;
}

START_TEST(naive_gradient_is_right) {
    size_t n = floats_of(SMALL);
    double *x = widened(uniform(n, 8, 1), n), *y = doubles(n), *dx = doubles(n), rstd[3];
    naive_standardize(SMALL, x, y, rstd);
    naive_gradient(SMALL, y, rstd, uniform(n, 9, 1), dx);
    check_gradient("standardize", standardized_loss, &SMALL, x, dx, n);
    release();
}
END_TEST

Suite *test_kernels_columns_suite(void) {
    Suite *suite = suite_create("kernels_columns");
    TCase *tests = tcase_create("columns");
    tcase_set_timeout(tests, 20);
    tcase_add_loop_test(tests, dots_and_factors, 0, ISAS);
    tcase_add_loop_test(tests, standardization, 0, ISAS);
    tcase_add_test(tests, naive_gradient_is_right);
    suite_add_tcase(suite, tests);
    return suite;
}
