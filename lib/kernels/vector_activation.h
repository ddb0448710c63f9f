/* SPDX-License-Identifier: MIT */
/* The activation functions and their derivatives for several vectors at a time, in place and
 * without branches. Relative errors are a few roundings; but near the zeros of derivatives absolute
 * errors are, 1.2e-7 at most, and results below 1e-36 may be 0. NaN stays NaN. At minus infinity
 * Mish, GELU and ReLU and their derivatives are 0, and at infinity they are the identity; SiLU at
 * minus infinity and its derivative at both are NaN. */
#ifndef DMI_KERNELS_VECTOR_ACTIVATION_H
#define DMI_KERNELS_VECTOR_ACTIVATION_H

#include "kernels/kernels.h"
#include "kernels/vector_silu.h"

/* max(v, low), but NaN where v is. */
static inline vec at_least(vec v, float low) {
    const vec zero = {0}, min = zero + low;
#if defined(__AVX512F__)
    return (vec)_mm512_max_ps((__m512)min, (__m512)v);
#elif defined(__AVX__)
    return (vec)_mm256_max_ps((__m256)min, (__m256)v);
#elif defined(__SSE2__)
    return (vec)_mm_max_ps((__m128)min, (__m128)v);
#else
    vec_ints below = (vec_ints)(v < min);
    return (vec)((~below & (vec_ints)v) | (below & (vec_ints)min));
#endif
}

/* min(v, high), but NaN where v is. */
static inline vec at_most(vec v, float high) { return -at_least(-v, -high); }

/* ---- Mish (Misra 2020): x tanh(ln(1 + e^x)) ----
 *
 * With e = exp(x) and m = e (e + 2), tanh(ln(1 + e)) = ((1 + e)^2 - 1) / ((1 + e)^2 + 1) =
 * m / (m + 2), a quotient of positive terms. From x = 20 on it is 1 in float; e is 0 from x = -87.7
 * down. */

/* x[i] = u[i] in [-88, 20], and e[i] = exp(x[i]). */
static inline __attribute__((always_inline)) void mish_exp(vec *e, vec *x, const vec *u,
                                                           const int n) {
    vec scale[INTERLEAVE], r[INTERLEAVE];
    DMI_EACH_VECTOR x[i] = at_most(at_least(u[i], -88.0f), 20.0f);
    reduce_exponent(r, scale, x, n);
    exp_reduced(e, r, n);
    DMI_EACH_VECTOR e[i] = e[i] * scale[i];
}

static inline __attribute__((always_inline)) void mish(vec *u, const int n) {
    vec e[INTERLEAVE], x[INTERLEAVE];
    mish_exp(e, x, u, n);
    DMI_EACH_VECTOR e[i] = e[i] * (e[i] + 2.0f);
    DMI_EACH_VECTOR u[i] = at_least(u[i], -88.0f) * (e[i] / (e[i] + 2.0f));
}

/* m / (m + 2) + x dm/dx 2 / (m + 2)^2, dm/dx = 2 e (e + 1). */
static inline __attribute__((always_inline)) void mish_derivative(vec *u, const int n) {
    vec e[INTERLEAVE], x[INTERLEAVE], m[INTERLEAVE];
    mish_exp(e, x, u, n);
    DMI_EACH_VECTOR m[i] = e[i] * (e[i] + 2.0f);
    DMI_EACH_VECTOR u[i] = 1.0f / (m[i] + 2.0f);
    DMI_EACH_VECTOR x[i] = x[i] * (4.0f * e[i] * (e[i] + 1.0f));
    DMI_EACH_VECTOR u[i] = u[i] * (x[i] * u[i] + m[i]);
}

/* ---- GELU (Hendrycks and Gimpel 2016): x Phi(x), Phi the normal distribution's function ----
 *
 * With z = |x|, 1 - Phi(z) = exp(-z^2 / 2) g(z), where g falls slowly from 1/2 as 1 / z does: a
 * minimax quotient of polynomials with positive coefficients, of relative error 5e-9 up to 13.25,
 * where the exponential becomes 0 in float. */

/* z[i] = |u[i]|, at most 13.25; exp(-z[i]^2 / 2) = e[i] * scale[i]; g[i] = g(z[i]). The upper 12
 * bits of z have an exact square; the rest of z^2, at most 0.1, is subtracted from what remains of
 * the exponent: a rounded z^2 would be off by up to 4e-6. */
static inline __attribute__((always_inline)) void normal_tail(vec *z, vec *e, vec *scale, vec *g,
                                                              const vec *u, const int n) {
    vec head[INTERLEAVE], r[INTERLEAVE];
    DMI_EACH_VECTOR z[i] = at_most((vec)((vec_ints)u[i] & 0x7FFFFFFF), 13.25f);
    DMI_EACH_VECTOR head[i] = (vec)((vec_ints)z[i] & ~0xFFF);
    DMI_EACH_VECTOR r[i] = -0.5f * head[i] * head[i];
    reduce_exponent(g, scale, r, n);
    DMI_EACH_VECTOR r[i] = g[i] - 0.5f * (z[i] - head[i]) * (z[i] + head[i]);
    exp_reduced(e, r, n);
    DMI_EACH_VECTOR g[i] = 0.0040159497f * z[i] + 0.03995541f;
    DMI_EACH_VECTOR g[i] = g[i] * z[i] + 0.18122108f;
    DMI_EACH_VECTOR g[i] = g[i] * z[i] + 0.43557002f;
    DMI_EACH_VECTOR g[i] = g[i] * z[i] + 0.5f;
    DMI_EACH_VECTOR r[i] = 0.010066349f * z[i] + 0.10016079f;
    DMI_EACH_VECTOR r[i] = r[i] * z[i] + 0.46415422f;
    DMI_EACH_VECTOR r[i] = r[i] * z[i] + 1.1941273f;
    DMI_EACH_VECTOR r[i] = r[i] * z[i] + 1.669025f;
    DMI_EACH_VECTOR r[i] = r[i] * z[i] + 1.0f;
    DMI_EACH_VECTOR g[i] = g[i] / r[i];
}

/* max(x, 0) - z (1 - Phi(z)), for both signs of x. */
static inline __attribute__((always_inline)) void gelu(vec *u, const int n) {
    vec z[INTERLEAVE], e[INTERLEAVE], scale[INTERLEAVE], g[INTERLEAVE];
    normal_tail(z, e, scale, g, u, n);
    DMI_EACH_VECTOR e[i] = z[i] * (e[i] * g[i]);
    DMI_EACH_VECTOR u[i] = at_least(u[i], 0.0f) - e[i] * scale[i];
}

/* Phi(x) + x phi(x): with d = z phi(z) - (1 - Phi(z)), 1 + d for x > 0 and -d for x < 0. */
static inline __attribute__((always_inline)) void gelu_derivative(vec *u, const int n) {
    const vec one = (vec){0} + 1.0f;
    vec z[INTERLEAVE], e[INTERLEAVE], scale[INTERLEAVE], g[INTERLEAVE];
    normal_tail(z, e, scale, g, u, n);
    DMI_EACH_VECTOR e[i] = (0.39894228f * z[i] - g[i]) * e[i] * scale[i];
    DMI_EACH_VECTOR e[i] = (vec)((vec_ints)e[i] ^ ((vec_ints)u[i] & INT32_MIN));
    DMI_EACH_VECTOR u[i] = e[i] + (vec)((vec_ints)((vec_ints)u[i] >= 0) & (vec_ints)one);
}

/* ---- ReLU: max(x, 0), with derivative 0 at 0 ---- */

static inline __attribute__((always_inline)) void relu(vec *u, const int n) {
    DMI_EACH_VECTOR u[i] = at_least(u[i], 0.0f);
}

static inline __attribute__((always_inline)) void relu_derivative(vec *u, const int n) {
    const vec zero = {0}, one = zero + 1.0f;
    DMI_EACH_VECTOR u[i] = (vec)(((vec_ints)(u[i] > zero) & (vec_ints)one) |
                                 (~(vec_ints)((u[i] > zero) | (u[i] <= zero)) & (vec_ints)u[i]));
}

/* ---- by name; `activation` is a constant, so that the test is not left in a loop ---- */

/* In place: u[i] = f(u[i]), i < n. */
static inline __attribute__((always_inline)) void activate(vec *u, const int32_t activation,
                                                           const int n) {
    if (activation == DMI_ACTIVATION_SILU) silu(u, n);
    else if (activation == DMI_ACTIVATION_MISH) mish(u, n);
    else if (activation == DMI_ACTIVATION_GELU) gelu(u, n);
    else if (activation == DMI_ACTIVATION_RELU) relu(u, n);
}

/* In place: u[i] = f'(u[i]), i < n; not of DMI_ACTIVATION_NONE. */
static inline __attribute__((always_inline)) void activate_derivative(vec *u,
                                                                      const int32_t activation,
                                                                      const int n) {
    if (activation == DMI_ACTIVATION_SILU) silu_derivative(u, n);
    else if (activation == DMI_ACTIVATION_MISH) mish_derivative(u, n);
    else if (activation == DMI_ACTIVATION_GELU) gelu_derivative(u, n);
    else relu_derivative(u, n);
}

#endif
