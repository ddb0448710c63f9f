/* What elementwise loops share: exp and the logistic function as plain scalar code that the compiler turns into vectors,
 * and a mark for loops whose turns are independent. */
#ifndef DMI_KERNELS_VECTOR_MATH_H
#define DMI_KERNELS_VECTOR_MATH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Before a loop: element i of an output depends on element i of the inputs only, even where the arrays are the same. */
#ifdef __clang__
#define DMI_ELEMENTWISE _Pragma("clang loop vectorize(assume_safety)")
#else
#define DMI_ELEMENTWISE _Pragma("GCC ivdep")
#endif

static inline uint32_t dmi_bits(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float dmi_from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x = k ln 2 + r with |r| <= ln 2 / 2: returns exp(r) and sets k. Adding 1.5 * 2^23 rounds to an integer, which then stands
 * in the low bits. ln 2 is taken off in two parts, the first of 9 bits so that its product with k is exact.
 * exp(r) = 1 + r + r^2 q(r), q the minimax polynomial of degree 4 for the relative error, which is 4e-9. */
static inline float dmi_exp_reduced(float x, uint32_t *k) {
    const float shift = 12582912.0f;
    float shifted = x * 1.44269504f + shift;
    float whole = shifted - shift;
    float r = (x - whole * 0.693359375f) + whole * 2.12194440e-4f;
    float q = 0.0013814584f;
    q = q * r + 0.008368724f;
    q = q * r + 0.04166839f;
    q = q * r + 0.16666521f;
    q = q * r + 0.49999994f;
    *k = dmi_bits(shifted) - 0x4B400000u;
    return (q * (r * r) + r) + 1.0f;
}

/* e^x, relative error below 2e-7 where the result is a normal number; gradual underflow, then 0; infinity above
 * 88.73; not a number stays so. 2^k is multiplied in two halves, as k may be as small as -151 or be 128. */
static inline float dmi_exp(float x) {
    x = x < -104.5f ? -104.5f : x;
    x = x > 89.0f ? 89.0f : x;
    uint32_t k;
    float y = dmi_exp_reduced(x, &k);
    uint32_t half = (uint32_t)((int32_t)k >> 1);
    return y * dmi_from_bits((half + 127) << 23) * dmi_from_bits((k - half + 127) << 23);
}

/* 1 + e^-x, with one multiplication by 2^k: infinity from x < -88.37 on, where k = 128 is the exponent of infinity. */
static inline float dmi_one_plus_exp_minus(float x) {
    x = x > 87.0f ? 87.0f : x;
    x = x < -88.7f ? -88.7f : x;
    uint32_t k;
    float y = dmi_exp_reduced(-x, &k);
    return y * dmi_from_bits((k + 127) << 23) + 1.0f;
}

/* 1 / (1 + e^-x), relative error below 3e-7; 0 where it would be no normal number. */
static inline float dmi_sigmoid(float x) {
    return 1.0f / dmi_one_plus_exp_minus(x);
}

static inline float dmi_silu(float x) {
    return x / dmi_one_plus_exp_minus(x);
}

/* d silu / dx = s (1 + x (1 - s)), s = sigmoid(x). */
static inline float dmi_silu_slope(float x) {
    float s = dmi_sigmoid(x);
    return s * (1.0f + x * (1.0f - s));
}

#endif
