/* SPDX-License-Identifier: MIT */
/* The exponential function of several vectors at a time, in two steps. One value takes a chain of
 * some twenty dependent operations; interleaving several chains hides their latency, which is too
 * long for the processor to hide by itself. */
#ifndef DMI_KERNELS_VECTOR_EXP_H
#define DMI_KERNELS_VECTOR_EXP_H

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

typedef int32_t vec_ints __attribute__((vector_size(sizeof(vec))));

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
    vec_ints below = (vec_ints)(v < max);
    v = (vec)((below & (vec_ints)v) | (~below & (vec_ints)max));
    vec_ints above = (vec_ints)(v > min);
    return (vec)((above & (vec_ints)v) | (~above & (vec_ints)min));
#endif
}

/* x[i] = k ln 2 + r[i] and scale[i] = 2^k, i < n, for x from -88.37 to 88.72; scale is 0 for k =
 * -127 and infinity for k = 128.
 *
 * Adding 1.5 * 2^23 rounds to an integer, which then stands in the low bits. ln 2 is subtracted in
 * two parts, the first of 9 bits so that its product with k is exact. */
static inline __attribute__((always_inline)) void reduce_exponent(vec *r, vec *scale, const vec *x,
                                                                  const int n) {
    typedef uint32_t words __attribute__((vector_size(sizeof(vec))));
    const float shift = 12582912.0f;
    vec whole[INTERLEAVE];
    DMI_EACH_VECTOR scale[i] = x[i] * 1.44269504f + shift;
    DMI_EACH_VECTOR whole[i] = scale[i] - shift;
    DMI_EACH_VECTOR r[i] = x[i] - whole[i] * 0.693359375f;
    DMI_EACH_VECTOR r[i] = whole[i] * 2.12194440e-4f + r[i];
    DMI_EACH_VECTOR scale[i] = (vec)(((words)scale[i] - 0x4B400000u + 127u) << 23);
}

/* q[i] = exp(r[i]), i < n, for |r| <= ln 2 / 2: 1 + r + r^2 p(r), p being the minimax polynomial of
 * degree 4 for the relative error, which is 4e-9, and 2e-8 up to |r| = 0.4. */
static inline __attribute__((always_inline)) void exp_reduced(vec *q, const vec *r, const int n) {
    DMI_EACH_VECTOR q[i] = 0.0013814584f * r[i] + 0.008368724f;
    DMI_EACH_VECTOR q[i] = q[i] * r[i] + 0.04166839f;
    DMI_EACH_VECTOR q[i] = q[i] * r[i] + 0.16666521f;
    DMI_EACH_VECTOR q[i] = q[i] * r[i] + 0.49999994f;
    DMI_EACH_VECTOR q[i] = q[i] * (r[i] * r[i]) + r[i];
    DMI_EACH_VECTOR q[i] = q[i] + 1.0f;
}

#endif
