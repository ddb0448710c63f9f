/* SPDX-License-Identifier: MIT */
/* For plain loops that the compiler vectorises: a mark for loops with independent iterations, and a
 * float's bits. */
#ifndef DMI_KERNELS_VECTOR_MATH_H
#define DMI_KERNELS_VECTOR_MATH_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Before a loop in which element i of an output depends on element i of the inputs only, so that
 * output and input may be the same array. */
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

#endif
