/* SPDX-License-Identifier: MIT */
/* The product by dot products of pairs: VDPBF16PS of AVX512_BF16, or BFDOT. A tile of PAIR_ROWS
 * rows by two vectors of columns keeps its sums in registers for all of k. */
#ifndef DMI_KERNELS_BF16_PAIRS_H
#define DMI_KERNELS_BF16_PAIRS_H

#include "kernels/bf16_instructions.h"

enum { PAIR_ROWS = 8, PAIR_BLOCK = 2 * PAIR_LANES };

/* c [PAIR_ROWS, PAIR_BLOCK]; b begins at the block's first column. */
DMI_PAIRS_TARGET static void multiply_pair_tile(float *c, size_t ldc, const uint16_t *a, size_t lda,
                                                const uint16_t *b, int32_t pairs) {
    pair_sums sums[PAIR_ROWS][2];
    DMI_UNROLL
    for (int r = 0; r < PAIR_ROWS; r++) sums[r][0] = sums[r][1] = zero_sums();
    for (int32_t i = 0; i < pairs; i++, a += 2, b += 2 * DMI_BF16_COLUMNS) {
        const pair_vector b0 = load_pairs(b), b1 = load_pairs(b + 2 * PAIR_LANES);
        DMI_UNROLL
        for (int r = 0; r < PAIR_ROWS; r++) {
            const pair_vector pair = repeat_pair(a + (size_t)r * lda);
            sums[r][0] = add_pairs(sums[r][0], pair, b0);
            sums[r][1] = add_pairs(sums[r][1], pair, b1);
        }
    }
    DMI_UNROLL
    for (int r = 0; r < PAIR_ROWS; r++) {
        store_sums(c + (size_t)r * ldc, sums[r][0]);
        store_sums(c + (size_t)r * ldc + PAIR_LANES, sums[r][1]);
    }
}

static void multiply_pairs(float *c, size_t ldc, const uint16_t *a, size_t lda, const uint16_t *b,
                           int32_t rows, int32_t k) {
    for (int32_t r = 0; r < rows; r += PAIR_ROWS)
        for (size_t column = 0; column < DMI_BF16_COLUMNS; column += PAIR_BLOCK)
            multiply_pair_tile(c + (size_t)r * ldc + column, ldc, a + (size_t)r * lda, lda,
                               b + 2 * column, k / 2);
}

#define DMI_PAIRS_PRODUCT(text)                                                                    \
    {                                                                                              \
        .name = (text), .group = 2, .depth = 2, .rows = PAIR_ROWS, .rate = 2,                      \
        .multiply = multiply_pairs                                                                 \
    }

#endif
