/* SPDX-License-Identifier: MIT */
/* The activation functions and their derivatives, for every instruction set of this machine,
 * element by element against their definitions in double: over a dense range, over all magnitudes,
 * and at their ends. */
#include "support/kernels.h"

#include <float.h>

Suite *test_kernels_activation_suite(void);

static const char *const NAMES[ACTIVATIONS] = {"identity", "silu", "mish", "gelu", "relu"};

/* A test runs for each instruction set and each function: the loop's index counts both. */
enum { LOOPS = ISAS * (ACTIVATIONS - 1), SWEEP = 1 << 20 };

static const dmi_kernels *kernels_at(int loop) { return kernels_of(loop % ISAS); }

static int32_t activation_at(int loop) { return 1 + loop / ISAS; }

/* The element where |got - want| is largest relative to its bound is within it. */
static void check_each(const char *what, int32_t activation, const float *x, const float *got,
                       const double *want, const double *bound, size_t count) {
    size_t worst = 0;
    double largest = 0;
    for (size_t i = 0; i < count; i++) {
        double error = fabs(got[i] - want[i]) / bound[i];
        if (error <= largest) continue;
        largest = isnan(error) ? INFINITY : error;
        worst = i;
    }
    ck_assert_msg(largest <= 1, "%s of %s(%.9g) is %.9g, not %.9g: %.3g times the bound", what,
                  NAMES[activation], x[worst], got[worst], want[worst], largest);
}

/* A value is right to six roundings of 6e-8, that of GELU with two polynomials to nine, and to
 * denormal numbers times x; a derivative to nine of both of its terms, which cancel near the
 * function's minimum. */
static void check_values(const dmi_kernels *k, int32_t activation, const float *x, size_t count) {
    float *y = allocate(count * sizeof *y), *one = allocate(count * sizeof *one);
    double *want = doubles(count), *bound = doubles(count);
    const double roundings = activation == DMI_ACTIVATION_GELU ? 9 : 6;
    for (size_t i = 0; i < count; i++) {
        one[i] = 1.0f;
        want[i] = naive_activation(activation, x[i]);
        bound[i] = roundings * 6e-8 * fabs(want[i]) + 100 * FLT_MIN;
    }
    k->activation_forward(y, x, activation, count);
    check_each("value", activation, x, y, want, bound, count);
    for (size_t i = 0; i < count; i++) {
        double first, second;
        naive_slope_terms(activation, x[i], &first, &second);
        want[i] = first + second;
        bound[i] = 9 * 6e-8 * (fabs(first) + fabs(second)) + 100 * FLT_MIN;
        /* 1 - sigmoid(x) of large x is what is left of two rounded numbers. */
        if (activation == DMI_ACTIVATION_SILU) bound[i] += 1e-7 * first * fabs(x[i]);
    }
    k->activation_backward(y, x, one, activation, count, false);
    check_each("derivative", activation, x, y, want, bound, count);
    release();
}

START_TEST(dense) {
    const dmi_kernels *k = kernels_at(_i);
    if (!k) return;
    const float ranges[] = {87.0f, 16.0f, 2.0f};
    for (int r = 0; r < 3; r++) {
        float *x = allocate(SWEEP * sizeof *x);
        for (int i = 0; i < SWEEP; i++) x[i] = ranges[r] * (2.0f * ((float)i / SWEEP) - 1.0f);
        check_values(k, activation_at(_i), x, SWEEP);
    }
}
END_TEST

/* From 1e-37 to 1e37, both signs. SiLU's derivative is x (1 - s) with s = 1 there, so 0. */
START_TEST(all_magnitudes) {
    const dmi_kernels *k = kernels_at(_i);
    if (!k) return;
    enum { COUNT = 60000 };
    float *x = allocate(COUNT * sizeof *x);
    for (int i = 0; i < COUNT; i++)
        x[i] = (float)((i % 2 ? 1 : -1) * pow(10, -37 + 74.0 * i / COUNT));
    check_values(k, activation_at(_i), x, COUNT);
}
END_TEST

START_TEST(ends) {
    const dmi_kernels *k = kernels_at(_i);
    if (!k) return;
    const int32_t activation = activation_at(_i);
    enum { COUNT = 9 };
    const float x[COUNT] = {-89.0f,   -1e4f, -FLT_MAX,  100.0f,     FLT_MAX,
                            INFINITY, NAN,   -INFINITY, FLT_MIN / 8};
    float y[COUNT], slope[COUNT], one[COUNT];
    for (int i = 0; i < COUNT; i++) one[i] = 1.0f;
    k->activation_forward(y, x, activation, COUNT);
    k->activation_backward(slope, x, one, activation, COUNT, false);
    ck_assert(fabsf(y[0]) < 1e-36f && y[1] == 0 && y[2] == 0);
    ck_assert(fabsf(slope[0]) < 1e-36f && slope[1] == 0 && slope[2] == 0);
    ck_assert(y[3] == 100.0f && y[4] == FLT_MAX && isinf(y[5]) && y[5] > 0);
    ck_assert(slope[3] == 1 && slope[4] == 1);
    ck_assert_msg(isnan(y[6]) && isnan(slope[6]), "%s(NaN) is %g with derivative %g",
                  NAMES[activation], y[6], slope[6]);
    ck_assert(y[8] >= 0 && y[8] <= FLT_MIN / 8);
    if (activation == DMI_ACTIVATION_SILU) { /* infinities make it NaN, never a finite number */
        ck_assert(isnan(y[7]) && isnan(slope[5]) && isnan(slope[7]));
        return;
    }
    ck_assert_msg(y[7] == 0 && slope[5] == 1 && slope[7] == 0,
                  "%s at infinity: %g, derivatives %g and %g", NAMES[activation], y[7], slope[5],
                  slope[7]);
}
END_TEST

/* Of all lengths, in place, added to others, and at any address: an element's bits are the same. */
START_TEST(any_length_and_address) {
    const dmi_kernels *k = kernels_at(_i);
    if (!k) return;
    enum { N = 300 };
    const int32_t activation = activation_at(_i);
    const float *x = uniform(N, 1, 6), *dy = uniform(N, 2, 3);
    float *y = allocate(N * sizeof *y), *dx = allocate(N * sizeof *dx), part[N + 1];
    double *want = doubles(N);
    k->activation_forward(y, x, activation, N);
    k->activation_backward(dx, x, dy, activation, N, false);
    for (size_t i = 0; i < N; i++) want[i] = dy[i] * naive_activation_slope(activation, x[i]);
    check_near("activation_backward", dx, want, N, 3e-7);
    for (size_t from = 0; from < 40; from++) {
        for (size_t n = 1; n <= N - from; n += 1 + n / 4) {
            part[n] = -5;
            k->activation_forward(part, x + from, activation, n);
            check_same("activation_forward", part, y + from, n);
            k->activation_backward(part, x + from, dy + from, activation, n, false);
            check_same("activation_backward", part, dx + from, n);
            memcpy(part, x + from, n * sizeof *part);
            k->activation_forward(part, part, activation, n);
            check_same("activation_forward in place", part, y + from, n);
            memcpy(part, x + from, n * sizeof *part);
            k->activation_backward(part, part, dy + from, activation, n, false);
            check_same("activation_backward in place", part, dx + from, n);
            memset(part, 0, n * sizeof *part);
            k->activation_backward(part, x + from, dy + from, activation, n, true);
            for (size_t i = 0; i < n; i++)
                ck_assert_float_eq_tol(part[i], dx[from + i],
                                       2e-7f * fabsf(dx[from + i]) + FLT_MIN);
            k->activation_backward(part, x + from, dy + from, activation, n, true);
            for (size_t i = 0; i < n; i++)
                ck_assert_float_eq_tol(part[i], 2 * dx[from + i],
                                       1e-6f * fabsf(dx[from + i]) + FLT_MIN);
            ck_assert_msg(part[n] == -5, "element %zu was touched", n);
        }
    }
    release();
}
END_TEST

/* The definitions' derivatives against differences of values of up to 87 in double, over 2e-5. */
START_TEST(naive_slopes_are_right) {
    for (int32_t f = 0; f < ACTIVATIONS; f++) {
        for (double x = -86.9995; x < 87; x += 0.001) {
            double above = naive_activation(f, x + 1e-5), below = naive_activation(f, x - 1e-5);
            ck_assert_double_eq_tol(naive_activation_slope(f, x), (above - below) / 2e-5, 2e-9);
        }
    }
}
END_TEST

Suite *test_kernels_activation_suite(void) {
    const TTest *const every[] = {dense, all_magnitudes, ends, any_length_and_address};
    Suite *suite = suite_create("kernels_activation");
    TCase *tests = tcase_create("activation functions");
    tcase_set_timeout(tests, 20);
    tcase_add_test(tests, naive_slopes_are_right);
    for (size_t t = 0; t < sizeof every / sizeof *every; t++)
        tcase_add_loop_test(tests, every[t], 0, LOOPS);
    suite_add_tcase(suite, tests);
    return suite;
}
