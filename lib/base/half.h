/* SPDX-License-Identifier: MIT */
/* Numbers of 16 bits: float16 (IEEE 754 binary16: 5 bits of exponent, 10 of fraction) and bfloat16
 * (the upper half of a float: 8 and 7). To float they are exact. */
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

#endif
