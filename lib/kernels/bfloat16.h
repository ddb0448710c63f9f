/* SPDX-License-Identifier: MIT */
/* Vectors of bfloat16, the upper halves of floats, in memory. */
#ifndef DMI_KERNELS_BFLOAT16_H
#define DMI_KERNELS_BFLOAT16_H

#include <string.h>

#include "kernels/vector.h"

typedef uint32_t bits_vec __attribute__((vector_size(sizeof(vec))));
typedef uint16_t half_vec __attribute__((vector_size(sizeof(vec) / 2)));
typedef uint16_t half_unaligned
    __attribute__((vector_size(sizeof(vec) / 2), aligned(2), may_alias));

/* Always inline: 32-bit x86 would return a half_vec in a register of MMX. */
static inline __attribute__((always_inline)) vec widen(half_vec half) {
    return (vec)(__builtin_convertvector(half, bits_vec) << 16);
}

/* As dmi_float_to_bfloat16. */
static inline __attribute__((always_inline)) half_vec narrow(vec v) {
    const bits_vec bits = (bits_vec)v, upper = bits >> 16,
                   nan = (bits_vec)((bits & 0x7fffffff) > 0x7f800000),
                   rounded = (bits + 0x7fff + (upper & 1)) >> 16;
    return __builtin_convertvector((nan & (upper | 0x40)) | (~nan & rounded), half_vec);
}

static inline vec load_bf16(const uint16_t *p) { return widen(*(const half_unaligned *)p); }
static inline void store_bf16(uint16_t *p, vec v) { *(half_unaligned *)p = narrow(v); }

/* The first `count` elements at p, none if count < 1, followed by zeros. */
static inline vec load_bf16_part(const uint16_t *p, int32_t count) {
    if (count >= W) return load_bf16(p);
    half_vec half = {0};
    if (count > 0) memcpy(&half, p, (size_t)count * sizeof *p);
    return widen(half);
}

static inline void store_bf16_part(uint16_t *p, vec v, int32_t count) {
    if (count >= W) {
        store_bf16(p, v);
        return;
    }
    const half_vec half = narrow(v);
    if (count > 0) memcpy(p, &half, (size_t)count * sizeof *p);
}

#endif
