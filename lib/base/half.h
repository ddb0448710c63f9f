/* SPDX-License-Identifier: MIT */
/* Numbers of 16 bits: float16 (IEEE 754 binary16: 5 bits of exponent, 10 of fraction) and bfloat16
 * (the upper half of a float: 8 and 7). To float they are exact; from float they are rounded to the
 * nearest, half to even, in every floating-point mode, and what is too large becomes infinite. */
#ifndef DMI_BASE_HALF_H
#define DMI_BASE_HALF_H

#include <stdint.h>
#include <string.h>

static inline float dmi_bfloat16_to_float(uint16_t bits) {
    const uint32_t whole = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &whole, sizeof value);
    return value;
}

/* Without arithmetic on subnormal floats, which the caller's floating-point mode may take for 0. */
static inline float dmi_float16_to_float(uint16_t bits) {
    const uint32_t sign = (uint32_t)(bits & 0x8000) << 16;
    const uint32_t exponent = bits >> 10 & 31, fraction = bits & 0x3ff;
    uint32_t whole;
    if (exponent == 0) { /* a multiple of 2^-24 */
        const float value = (float)fraction * 0x1p-24f;
        memcpy(&whole, &value, sizeof whole);
    } else {
        const uint32_t widened = exponent == 31 ? 255 : exponent + (127 - 15);
        whole = widened << 23 | fraction << 13;
    }
    whole |= sign;
    float value;
    memcpy(&value, &whole, sizeof value);
    return value;
}

static inline uint16_t dmi_float_to_bfloat16(float value) {
    uint32_t whole;
    memcpy(&whole, &value, sizeof whole);
    if ((whole & 0x7fffffff) > 0x7f800000) return (uint16_t)(whole >> 16 | 0x40); /* a quiet NaN */
    return (uint16_t)((whole + 0x7fff + (whole >> 16 & 1)) >> 16);
}

static inline uint16_t dmi_float_to_float16(float value) {
    enum { EXPONENT_DIFFERENCE = 127 - 15, LEAST = 127 - 25 /* 2^-25, half of the least number */ };
    uint32_t whole;
    memcpy(&whole, &value, sizeof whole);
    const uint32_t sign = whole >> 16 & 0x8000, size = whole & 0x7fffffff, exponent = size >> 23;
    uint32_t bits;
    if (size > 0x7f800000) {
        bits = 0x7e00;
    } else if (size >= 0x477ff000) { /* 65520, halfway to what would be the next number */
        bits = 0x7c00;
    } else if (exponent > EXPONENT_DIFFERENCE) {
        const uint32_t moved = size - ((uint32_t)EXPONENT_DIFFERENCE << 23);
        bits = (moved + 0xfff + (moved >> 13 & 1)) >> 13;
    } else if (exponent < LEAST) {
        bits = 0;
    } else { /* a multiple of 2^-24 */
        const uint32_t fraction = (size & 0x7fffff) | 0x800000;
        const uint32_t shift = 126 - exponent, rest = fraction & ((1u << shift) - 1);
        bits = fraction >> shift;
        if (rest + (bits & 1) > 1u << (shift - 1)) bits++;
    }
    return (uint16_t)(sign | bits);
}

#endif
