/* SPDX-License-Identifier: MIT */
/* The product by BFMMLA, 2x2 sums over four elements at a time. A tile is QUAD_ROWS rows by
 * QUAD_COLUMNS columns. */
#ifndef DMI_KERNELS_BF16_QUADS_H
#define DMI_KERNELS_BF16_QUADS_H

#include "kernels/bf16_instructions.h"

enum { QUAD_ROWS = 8, QUAD_COLUMNS = 8 };

/* c [QUAD_ROWS, QUAD_COLUMNS]; b begins at the block's first column. */
DMI_QUADS_TARGET static void multiply_quad_tile(float *c, size_t ldc, const uint16_t *a, size_t lda,
                                                const uint16_t *b, int32_t quads) {
    quad_sums sums[QUAD_ROWS / 2][QUAD_COLUMNS / 2];
    DMI_UNROLL
    for (int r = 0; r < QUAD_ROWS / 2; r++) {
        DMI_UNROLL
        for (int j = 0; j < QUAD_COLUMNS / 2; j++) sums[r][j] = zero_quads();
    }
    for (int32_t i = 0; i < quads; i++, a += 4, b += 4 * DMI_BF16_COLUMNS) {
        quad_vector columns[QUAD_COLUMNS / 2];
        DMI_UNROLL
        for (int j = 0; j < QUAD_COLUMNS / 2; j++) columns[j] = load_quads(b + 8 * j);
        DMI_UNROLL
        for (int r = 0; r < QUAD_ROWS / 2; r++) {
            const uint16_t *row = a + (size_t)(2 * r) * lda;
            const quad_vector rows = join_rows(row, row + lda);
            DMI_UNROLL
            for (int j = 0; j < QUAD_COLUMNS / 2; j++)
                sums[r][j] = add_quads(sums[r][j], rows, columns[j]);
        }
    }
    DMI_UNROLL
    for (int r = 0; r < QUAD_ROWS; r++) {
        DMI_UNROLL
        for (int j = 0; j < QUAD_COLUMNS / 2; j++)
            store_quads(c + (size_t)r * ldc + 2 * j, sums[r / 2][j], r % 2);
    }
}

static void multiply_quads(float *c, size_t ldc, const uint16_t *a, size_t lda, const uint16_t *b,
                           int32_t rows, int32_t k) {
    for (int32_t r = 0; r < rows; r += QUAD_ROWS)
        for (size_t column = 0; column < DMI_BF16_COLUMNS; column += QUAD_COLUMNS)
            multiply_quad_tile(c + (size_t)r * ldc + column, ldc, a + (size_t)r * lda, lda,
                               b + 4 * column, k / 4);
}

#define DMI_QUADS_PRODUCT(text)                                                                    \
    {                                                                                              \
        .name = (text), .group = 4, .depth = 4, .rows = QUAD_ROWS, .rate = 4,                      \
        .multiply = multiply_quads                                                                 \
    }

#endif
