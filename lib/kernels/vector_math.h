/* What vectorised loops share: exp and the logistic function as plain scalar code that the compiler turns into vectors,
 * a mark for loops whose turns are independent, and a vector of the instruction set's width for sums and maxima, which
 * the compiler may not reorder by itself. A sum's lanes are fixed by the instruction set, so its bits depend only on its terms. */
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

#if defined(__AVX512F__)
#define DMI_VECTOR_BYTES 64
#elif defined(__AVX__)
#define DMI_VECTOR_BYTES 32
#else
#define DMI_VECTOR_BYTES 16
#endif

typedef float dmi_floats __attribute__((vector_size(DMI_VECTOR_BYTES)));
typedef int32_t dmi_ints __attribute__((vector_size(DMI_VECTOR_BYTES)));

enum { DMI_LANES = DMI_VECTOR_BYTES / (int)sizeof(float) };

static inline dmi_floats dmi_load(const float *p) {
    dmi_floats v;
    memcpy(&v, p, sizeof v);
    return v;
}

/* `count` floats, fewer than DMI_LANES; the other lanes hold `rest`. */
static inline dmi_floats dmi_load_part(const float *p, size_t count, float rest) {
    float lanes[DMI_LANES];
    for (int i = 0; i < DMI_LANES; i++) lanes[i] = rest;
    memcpy(lanes, p, count * sizeof *p);
    return dmi_load(lanes);
}

/* Pairs of halves, as a tree. */
static inline float dmi_sum_lanes(dmi_floats v) {
    float lanes[DMI_LANES];
    memcpy(lanes, &v, sizeof lanes);
    for (int half = DMI_LANES / 2; half > 0; half /= 2) {
        for (int i = 0; i < half; i++) lanes[i] += lanes[i + half];
    }
    return lanes[0];
}

/* a where a > b, else b: a lane of a that is not a number is passed over. */
static inline dmi_floats dmi_larger(dmi_floats a, dmi_floats b) {
    dmi_ints above = (dmi_ints)(a > b);
    return (dmi_floats)((above & (dmi_ints)a) | (~above & (dmi_ints)b));
}

static inline float dmi_dot(const float *a, const float *b, size_t n) {
    dmi_floats s0 = {0}, s1 = {0}, s2 = {0}, s3 = {0};
    size_t i = 0;
    for (; i + 4 * DMI_LANES <= n; i += 4 * DMI_LANES) {
        s0 += dmi_load(a + i) * dmi_load(b + i);
        s1 += dmi_load(a + i + DMI_LANES) * dmi_load(b + i + DMI_LANES);
        s2 += dmi_load(a + i + 2 * DMI_LANES) * dmi_load(b + i + 2 * DMI_LANES);
        s3 += dmi_load(a + i + 3 * DMI_LANES) * dmi_load(b + i + 3 * DMI_LANES);
    }
    for (; i + DMI_LANES <= n; i += DMI_LANES) s0 += dmi_load(a + i) * dmi_load(b + i);
    if (i < n) s1 += dmi_load_part(a + i, n - i, 0) * dmi_load_part(b + i, n - i, 0);
    return dmi_sum_lanes((s0 + s1) + (s2 + s3));
}

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
