/* SiLU and its derivative for several vectors side by side. One value takes a chain of some twenty
 * operations that wait for each other; written side by side, chains fill each other's waits, which
 * a processor cannot arrange from further apart. */
#ifndef DMI_KERNELS_VECTOR_SILU_H
#define DMI_KERNELS_VECTOR_SILU_H

#ifdef __SSE2__
#include <immintrin.h>
#endif

#include "kernels/vector.h"

#ifdef DMI_TWELVE_ROWS
enum { ABREAST = 4 }; /* vectors side by side, as far as the registers go */
#else
enum { ABREAST = 2 };
#endif

#define DMI_SIDE_BY_SIDE DMI_UNROLL for (int i = 0; i < n; i++)

/* Within [low, high]; what is not a number becomes any number. */
static inline vec within(vec v, float low, float high) {
    const vec zero = {0}, least = zero + low, most = zero + high;
#if defined(__AVX512F__)
    return (vec)_mm512_max_ps(_mm512_min_ps((__m512)v, (__m512)most), (__m512)least);
#elif defined(__AVX__)
    return (vec)_mm256_max_ps(_mm256_min_ps((__m256)v, (__m256)most), (__m256)least);
#elif defined(__SSE2__)
    return (vec)_mm_max_ps(_mm_min_ps((__m128)v, (__m128)most), (__m128)least);
#else
    typedef int32_t ints __attribute__((vector_size(sizeof(vec))));
    ints below = (ints)(v < most);
    v = (vec)((below & (ints)v) | (~below & (ints)most));
    ints above = (ints)(v > least);
    return (vec)((above & (ints)v) | (~above & (ints)least));
#endif
}

/* e[i] = 1 + exp(-u[i]); infinity for u < -88.37, where k = 128 is the exponent of infinity. x = -u
 * = k ln 2 + r with |r| <= ln 2 / 2. Adding 1.5 * 2^23 rounds to an integer, which then stands in
 * the low bits. ln 2 is taken off in two parts, the first of 9 bits so that its product with k is
 * exact. exp(r) = 1 + r + r^2 q(r), q the minimax polynomial of degree 4 for the relative error,
 * which is 4e-9. */
static inline __attribute__((always_inline)) void one_plus_exp_minus(vec *e, const vec *u,
                                                                     const int n) {
    typedef uint32_t words __attribute__((vector_size(sizeof(vec))));
    const float shift = 12582912.0f;
    vec x[ABREAST], shifted[ABREAST], whole[ABREAST], r[ABREAST], q[ABREAST];
    DMI_SIDE_BY_SIDE x[i] = -within(u[i], -88.7f, 87.0f);
    DMI_SIDE_BY_SIDE shifted[i] = x[i] * 1.44269504f + shift;
    DMI_SIDE_BY_SIDE whole[i] = shifted[i] - shift;
    DMI_SIDE_BY_SIDE r[i] = x[i] - whole[i] * 0.693359375f;
    DMI_SIDE_BY_SIDE r[i] = whole[i] * 2.12194440e-4f + r[i];
    DMI_SIDE_BY_SIDE q[i] = 0.0013814584f * r[i] + 0.008368724f;
    DMI_SIDE_BY_SIDE q[i] = q[i] * r[i] + 0.04166839f;
    DMI_SIDE_BY_SIDE q[i] = q[i] * r[i] + 0.16666521f;
    DMI_SIDE_BY_SIDE q[i] = q[i] * r[i] + 0.49999994f;
    DMI_SIDE_BY_SIDE q[i] = q[i] * (r[i] * r[i]) + r[i];
    DMI_SIDE_BY_SIDE q[i] = q[i] + 1.0f;
    DMI_SIDE_BY_SIDE e[i] = q[i] * (vec)(((words)shifted[i] - 0x4B400000u + 127u) << 23) + 1.0f;
}

static inline __attribute__((always_inline)) void silu(vec *u, const int n) {
    vec e[ABREAST];
    one_plus_exp_minus(e, u, n);
    DMI_SIDE_BY_SIDE u[i] = u[i] / e[i];
}

/* In place of u: d silu / du = s (1 + u (1 - s)), s = sigmoid(u). */
static inline __attribute__((always_inline)) void silu_slope(vec *u, const int n) {
    vec s[ABREAST], rest[ABREAST];
    one_plus_exp_minus(s, u, n);
    DMI_SIDE_BY_SIDE s[i] = 1.0f / s[i];
    DMI_SIDE_BY_SIDE rest[i] = 1.0f - s[i];
    DMI_SIDE_BY_SIDE rest[i] = u[i] * rest[i] + 1.0f;
    DMI_SIDE_BY_SIDE u[i] = s[i] * rest[i];
}

#endif
