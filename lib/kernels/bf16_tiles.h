/* SPDX-License-Identifier: MIT */
/* The product by AMX: tiles of 16 rows of 64 bytes. 32 rows by 32 columns are four tiles of sums,
 * two of a and two of b, each of a depth of 32. */
#ifndef DMI_KERNELS_BF16_TILES_H
#define DMI_KERNELS_BF16_TILES_H

#include "kernels/bf16_instructions.h"

enum { TILE_ROWS = 16, TILE_BYTES = 64, TILE_DEPTH = 32 };

/* Palette 1 (Intel's manual, LDTILECFG): all tiles of 16 rows of 64 bytes. */
typedef struct tile_configuration {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_configuration;

static const tile_configuration all_tiles = {
    .palette = 1,
    .row_bytes = {TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES, TILE_BYTES,
                  TILE_BYTES, TILE_BYTES},
    .rows = {TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS, TILE_ROWS,
             TILE_ROWS},
};

/* The compiler need not know that the instruction reads all of it: it is constant. */
DMI_TILES_TARGET static void begin_tiles(void) { tiles_configure(&all_tiles); }

/* Without data in tiles a switch of threads has less to save. */
DMI_TILES_TARGET static void end_tiles(void) { tiles_release(); }

/* c [32, 32]. Tiles 0 to 3 are sums, 4 and 5 rows of a, 6 and 7 columns of b. */
DMI_TILES_TARGET static void multiply_tile_block(float *c, size_t ldc, const uint16_t *a,
                                                 size_t lda, const uint16_t *b, int32_t k) {
    const size_t a_step = lda * sizeof *a, c_step = ldc * sizeof *c,
                 b_step = 2 * DMI_BF16_COLUMNS * sizeof *b;
    const uint16_t *lower = a + TILE_ROWS * lda;
    /* What a and b point to must be written by now: the loads below do not tell the compiler. */
    __asm__ volatile("" : : : "memory");
    tile_zero(0);
    tile_zero(1);
    tile_zero(2);
    tile_zero(3);
    for (int32_t i = 0; i < k; i += TILE_DEPTH) {
        tile_load(4, a + i, a_step);
        tile_load(6, b, b_step);
        tile_dot(0, 4, 6);
        tile_load(7, b + 2 * TILE_ROWS, b_step);
        tile_dot(1, 4, 7);
        tile_load(5, lower + i, a_step);
        tile_dot(2, 5, 6);
        tile_dot(3, 5, 7);
        b += TILE_DEPTH * DMI_BF16_COLUMNS;
    }
    tile_store(0, c, c_step);
    tile_store(1, c + TILE_ROWS, c_step);
    tile_store(2, c + TILE_ROWS * ldc, c_step);
    tile_store(3, c + TILE_ROWS * ldc + TILE_ROWS, c_step);
}

static void multiply_tiles(float *c, size_t ldc, const uint16_t *a, size_t lda, const uint16_t *b,
                           int32_t rows, int32_t k) {
    for (int32_t r = 0; r < rows; r += 2 * TILE_ROWS)
        multiply_tile_block(c + (size_t)r * ldc, ldc, a + (size_t)r * lda, lda, b, k);
}

#define DMI_TILES_PRODUCT(text)                                                                    \
    {                                                                                              \
        .name = (text), .group = 2, .depth = TILE_DEPTH, .rows = 2 * TILE_ROWS, .rate = 16,        \
        .begin = begin_tiles, .end = end_tiles, .multiply = multiply_tiles                         \
    }

#endif
