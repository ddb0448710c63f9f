/* SPDX-License-Identifier: MIT */
/* SiLU and its derivative for several vectors at a time (vector_exp.h). */
#ifndef DMI_KERNELS_VECTOR_SILU_H
#define DMI_KERNELS_VECTOR_SILU_H

#include "kernels/vector_exp.h"

/* e[i] = 1 + exp(-u[i]), i < n; infinity for u < -88.37, where k = 128 is the exponent of infinity.
 */
static inline __attribute__((always_inline)) void one_plus_exp_minus(vec *e, const vec *u,
                                                                     const int n) {
    vec x[INTERLEAVE], scale[INTERLEAVE], r[INTERLEAVE];
    DMI_EACH_VECTOR x[i] = -clamp(u[i], -88.7f, 87.0f);
    reduce_exponent(r, scale, x, n);
    exp_reduced(e, r, n);
    DMI_EACH_VECTOR e[i] = e[i] * scale[i] + 1.0f;
}

/* In place: u[i] = silu(u[i]), i < n. */
static inline __attribute__((always_inline)) void silu(vec *u, const int n) {
    vec e[INTERLEAVE];
    one_plus_exp_minus(e, u, n);
    DMI_EACH_VECTOR u[i] = u[i] / e[i];
}

/* In place: u[i] = silu'(u[i]) = s (1 + u (1 - s)), s = sigmoid(u), i < n. */
static inline __attribute__((always_inline)) void silu_derivative(vec *u, const int n) {
    vec s[INTERLEAVE], rest[INTERLEAVE];
    one_plus_exp_minus(s, u, n);
    DMI_EACH_VECTOR s[i] = 1.0f / s[i];
    DMI_EACH_VECTOR rest[i] = 1.0f - s[i];
    DMI_EACH_VECTOR rest[i] = u[i] * rest[i] + 1.0f;
    DMI_EACH_VECTOR u[i] = s[i] * rest[i];
}

#endif
