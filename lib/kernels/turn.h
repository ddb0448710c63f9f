/* Matrices turned over, a square of W by W floats at a time in registers. */
#ifndef DMI_KERNELS_TURN_H
#define DMI_KERNELS_TURN_H

#include <stdbool.h>

#include "kernels/vector.h"

/* Lanes of a and b in turn: of their lower halves, of their upper halves. */
static inline vec dmi_zip_low(vec a, vec b) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
#elif defined(__AVX__)
    return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
#else
    return __builtin_shufflevector(a, b, 0, 4, 1, 5);
#endif
}

static inline vec dmi_zip_high(vec a, vec b) {
#if defined(__AVX512F__)
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15,
                                   31);
#elif defined(__AVX__)
    return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
#else
    return __builtin_shufflevector(a, b, 2, 6, 3, 7);
#endif
}

/* Row i and row i + W / 2 become rows 2i and 2i + 1: one bit of the row's number changes places
 * with one of the lane's. */
static inline __attribute__((always_inline)) void dmi_turn_bit(vec *x) {
    vec y[W];
    DMI_UNROLL
    for (int32_t i = 0; i < W / 2; i++) {
        y[2 * i] = dmi_zip_low(x[i], x[i + W / 2]);
        y[2 * i + 1] = dmi_zip_high(x[i], x[i + W / 2]);
    }
    DMI_UNROLL
    for (int32_t i = 0; i < W; i++) x[i] = y[i];
}

/* x[i] lane j changes places with x[j] lane i. */
static inline __attribute__((always_inline)) void dmi_turn(vec *x) {
    dmi_turn_bit(x);
    dmi_turn_bit(x);
    if (W >= 8) dmi_turn_bit(x);
    if (W >= 16) dmi_turn_bit(x);
}

/* One square of `high` rows and `wide` columns; constants where it is whole, so that it stays in
 * registers. */
static inline __attribute__((always_inline)) void dmi_turn_square(float *to, size_t to_stride,
                                                                  const float *from,
                                                                  size_t from_stride, int32_t high,
                                                                  int32_t wide, bool add) {
    vec square[W] = {{0}};
    DMI_UNROLL
    for (int32_t k = 0; k < W; k++)
        if (k < high) square[k] = load_part(from + (size_t)k * from_stride, wide);
    dmi_turn(square);
    DMI_UNROLL
    for (int32_t k = 0; k < W; k++, to += to_stride)
        if (k < wide) store_part(to, add ? load_part(to, high) + square[k] : square[k], high);
}

/* to [columns, rows] = (or += where `add`) from [rows, columns] turned over, with row strides. */
static inline void dmi_turn_over(float *to, size_t to_stride, const float *from, size_t from_stride,
                                 int32_t rows, int32_t columns, bool add) {
    for (int32_t i = 0; i < rows; i += W) {
        for (int32_t j = 0; j < columns; j += W) {
            const float *in = from + (size_t)i * from_stride + j;
            float *out = to + (size_t)j * to_stride + i;
            int32_t high = rows - i < W ? rows - i : W, wide = columns - j < W ? columns - j : W;
            if (high == W && wide == W) dmi_turn_square(out, to_stride, in, from_stride, W, W, add);
            else dmi_turn_square(out, to_stride, in, from_stride, high, wide, add);
        }
    }
}

#endif
