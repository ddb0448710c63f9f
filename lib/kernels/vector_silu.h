/* SPDX-License-Identifier: MIT */
/* SiLU and its derivative for several vectors at a time. One value takes a chain of some twenty
 * dependent operations; interleaving several chains hides their latency, which is too long for the
 * processor to hide by itself. */
#ifndef DMI_KERNELS_VECTOR_SILU_H
#define DMI_KERNELS_VECTOR_SILU_H

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "kernels/vector.h"

#ifdef DMI_TWELVE_ROWS
enum { INTERLEAVE = 4 }; /* vectors at a time, as many as the registers hold */
#else
enum { INTERLEAVE = 2 };
#endif

/* Before a statement on vector i of n: for all of them, unrolled. */
#define DMI_EACH_VECTOR DMI_UNROLL for (int i = 0; i < n; i++)

/* Clamps to [low, high]; NaN becomes some number. */
static inline vec clamp(vec v, float low, float high) {
    const vec zero = {0}, min = zero + low, max = zero + high;
#if defined(__AVX512F__)
    return (vec)_mm512_max_ps(_mm512_min_ps((__m512)v, (__m512)max), (__m512)min);
#elif defined(__AVX__)
    return (vec)_mm256_max_ps(_mm256_min_ps((__m256)v, (__m256)max), (__m256)min);
#elif defined(__SSE2__)
    return (vec)_mm_max_ps(_mm_min_ps((__m128)v, (__m128)max), (__m128)min);
#else
    typedef int32_t ints __attribute__((vector_size(sizeof(vec))));
    ints below = (ints)(v < max);
    v = (vec)((below & (ints)v) | (~below & (ints)max));
    ints above = (ints)(v > min);
    return (vec)((above & (ints)v) | (~above & (ints)min));
#endif
}

/* e[i] = 1 + exp(-u[i]), i < n; infinity for u < -88.37, where k = 128 is the exponent of infinity.
 *
 * x = -u = k ln 2 + r with |r| <= ln 2 / 2. Adding 1.5 * 2^23 rounds to an integer, which then
 * stands in the low bits. ln 2 is subtracted in two parts, the first of 9 bits so that its product
 * with k is exact. exp(r) = 1 + r + r^2 q(r), q being the minimax polynomial of degree 4 for the
 * relative error, which is 4e-9. */
static inline __attribute__((always_inline)) void one_plus_exp_minus(vec *e, const vec *u,
                                                                     const int n) {
    typedef uint32_t words __attribute__((vector_size(sizeof(vec))));
    const float shift = 12582912.0f;
    vec x[INTERLEAVE], shifted[INTERLEAVE], whole[INTERLEAVE], r[INTERLEAVE], q[INTERLEAVE];
    DMI_EACH_VECTOR x[i] = -clamp(u[i], -88.7f, 87.0f);
    DMI_EACH_VECTOR shifted[i] = x[i] * 1.44269504f + shift;
    DMI_EACH_VECTOR whole[i] = shifted[i] - shift;
    DMI_EACH_VECTOR r[i] = x[i] - whole[i] * 0.693359375f;
    DMI_EACH_VECTOR r[i] = whole[i] * 2.12194440e-4f + r[i];
    DMI_EACH_VECTOR q[i] = 0.0013814584f * r[i] + 0.008368724f;
    DMI_EACH_VECTOR q[i] = q[i] * r[i] + 0.04166839f;
    DMI_EACH_VECTOR q[i] = q[i] * r[i] + 0.16666521f;
    DMI_EACH_VECTOR q[i] = q[i] * r[i] + 0.49999994f;
    DMI_EACH_VECTOR q[i] = q[i] * (r[i] * r[i]) + r[i];
    DMI_EACH_VECTOR q[i] = q[i] + 1.0f;
    DMI_EACH_VECTOR e[i] = q[i] * (vec)(((words)shifted[i] - 0x4B400000u + 127u) << 23) + 1.0f;
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
