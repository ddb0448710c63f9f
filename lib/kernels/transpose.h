/* SPDX-License-Identifier: MIT */
/* Transposes matrices, a square of W by W floats at a time in registers. */
#ifndef DMI_KERNELS_TRANSPOSE_H
#define DMI_KERNELS_TRANSPOSE_H

#include <stdbool.h>

#include "base/math.h"
#include "kernels/vector.h"

/* Interleaves the lower halves of a and b: a0 b0 a1 b1 ... */
static inline vec dmi_interleave_low(vec a, vec b) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#elif defined(__AVX__)
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
#endif
}

/* The same of the upper halves. */
static inline vec dmi_interleave_high(vec a, vec b) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                   31);
#elif defined(__AVX__)
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
#endif
}

/* One of log2(W) equal rounds: interleaving row i with row i + W / 2 rotates the bits of (row,
 * lane) by one, so log2(W) rounds exchange row and lane. */
static inline __attribute__((always_inline)) void dmi_interleave_rows(vec *x) {
    vec y[W];
    DMI_UNROLL
    for (int32_t i = 0; i < W / 2; i++) {
        y[2 * i] = dmi_interleave_low(x[i], x[i + W / 2]);
        y[2 * i + 1] = dmi_interleave_high(x[i], x[i + W / 2]);
    }
    DMI_UNROLL
    for (int32_t i = 0; i < W; i++) x[i] = y[i];
}

/* x [W][W]: lane j of x[i] and lane i of x[j] exchange places. */
static inline __attribute__((always_inline)) void dmi_transpose_registers(vec *x) {
    dmi_interleave_rows(x);
    dmi_interleave_rows(x);
    if (W >= 8) dmi_interleave_rows(x);
    if (W >= 16) dmi_interleave_rows(x);
}

/* to [columns][rows] = (or +=) from [rows][columns] transposed, both at most W. Callers pass
 * constants where the square is full, so that it stays in registers. */
static inline __attribute__((always_inline)) void dmi_transpose_square(float *to, size_t to_stride,
                                                                       const float *from,
                                                                       size_t from_stride,
                                                                       int32_t rows,
                                                                       int32_t columns, bool add) {
    vec square[W] = {{0}};
    DMI_UNROLL
    for (int32_t k = 0; k < W; k++)
        if (k < rows) square[k] = load_part(from + (size_t)k * from_stride, columns);
    dmi_transpose_registers(square);
    DMI_UNROLL
    for (int32_t k = 0; k < W; k++, to += to_stride)
        if (k < columns) store_part(to, add ? load_part(to, rows) + square[k] : square[k], rows);
}

/* to [columns, rows] = (or += where `add`) from [rows, columns] transposed, with row strides. */
static inline void dmi_transpose(float *to, size_t to_stride, const float *from, size_t from_stride,
                                 int32_t rows, int32_t columns, bool add) {
    for (int32_t i = 0; i < rows; i += W) {
        for (int32_t j = 0; j < columns; j += W) {
            const float *in = from + (size_t)i * from_stride + j;
            float *out = to + (size_t)j * to_stride + i;
            int32_t r = dmi_min(rows - i, W), c = dmi_min(columns - j, W);
            if (r == W && c == W) dmi_transpose_square(out, to_stride, in, from_stride, W, W, add);
            else dmi_transpose_square(out, to_stride, in, from_stride, r, c, add);
        }
    }
}

#endif
