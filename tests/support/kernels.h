/* SPDX-License-Identifier: MIT */
/* What the tests of kernels share: the arrays of one test, the kernels of each instruction set,
 * and the check of a naive gradient by finite differences. */
#ifndef DM_TESTS_KERNELS_H
#define DM_TESTS_KERNELS_H

#include "support/activation.h"
#include "support/support.h"

#include "base/cpu.h"
#include "kernels/kernels.h"

enum { ISAS = DMI_ISA_V4 + 1 };

/* ---- arrays, all freed by release ---- */

static void *arrays[512];
static size_t array_count;

static inline void *allocate(size_t bytes) {
    ck_assert_uint_lt(array_count, 512);
    void *p = malloc(bytes ? bytes : 1);
    ck_assert_ptr_nonnull(p);
    return arrays[array_count++] = p;
}

static inline void release(void) {
    while (array_count > 0) free(arrays[--array_count]);
}

static inline float *uniform(size_t count, uint64_t seed, float scale) {
    float *values = allocate(count * sizeof *values);
    test_fill(values, count, seed, scale);
    return values;
}

static inline double *doubles(size_t count) {
    double *values = allocate(count * sizeof *values);
    memset(values, 0, count * sizeof *values);
    return values;
}

static inline double *widened(const float *x, size_t count) {
    double *values = allocate(count * sizeof *values);
    for (size_t i = 0; i < count; i++) values[i] = x[i];
    return values;
}

static inline float *copied(const float *x, size_t count) {
    float *values = allocate(count * sizeof *values);
    memcpy(values, x, count * sizeof *values);
    return values;
}

static inline void check_near(const char *what, const float *got, const double *want, size_t count,
                              double bound) {
    double error = test_error_d(got, want, count);
    ck_assert_msg(error <= bound, "%s of %zu: relative error %.3g is above %.3g", what, count,
                  error, bound);
}

static inline void check_same(const char *what, const float *got, const float *want, size_t count) {
    ck_assert_msg(memcmp(got, want, count * sizeof *got) == 0, "%s of %zu: not the same bits", what,
                  count);
}

/* NULL where this machine lacks the instruction set. */
static const dmi_kernels *kernels_of(int isa) {
    return isa <= dmi_cpu_isa() ? dmi_kernels_for(isa) : NULL;
}

/* ---- a naive gradient against central differences of a naive loss, input by input ----
 * In double with a step of 1e-5 the difference is right to about 1e-10 of the values; 1e-7 of the
 * gradient's norm. */

typedef double loss_function(const void *shape, const double *inputs);

static inline void check_gradient(const char *what, loss_function *loss, const void *shape,
                                  double *inputs, const double *gradient, size_t count) {
    const double step = 1e-5;
    double wrong = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        double at = inputs[i];
        inputs[i] = at + step;
        double above = loss(shape, inputs);
        inputs[i] = at - step;
        double below = loss(shape, inputs);
        inputs[i] = at;
        double slope = (above - below) / (2 * step);
        wrong += (slope - gradient[i]) * (slope - gradient[i]);
        size += slope * slope;
    }
    ck_assert_msg(size > 0 && sqrt(wrong / size) <= 1e-7, "%s: naive gradient is off by %.3g", what,
                  sqrt(wrong / size));
}

#endif
