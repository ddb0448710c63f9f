/* See product.h. */
#include "kernels/product.h"

#include "kernels/vector.h"

/* One tile of `rows` rows, a constant at every call, over k steps. a is addressed in threes of rows, which leaves enough
 * registers for the pointers; where `turned` the rows lie side by side. */
static inline __attribute__((always_inline)) void tile(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                                                       int32_t k, bool add, int32_t rows, bool turned) {
    vec sum[ROWS][2];
    const float *row[ROWS / 3];
    DMI_UNROLL
    for (int32_t r = 0; r < ROWS; r++) {
        if (r >= rows) continue;
        sum[r][0] = sum[r][1] = (vec){0};
        if (r % 3 == 0) row[r / 3] = turned ? a + r : a + (size_t)r * lda;
    }
    for (int32_t i = 0; i < k; i++) {
        vec b0 = load(b), b1 = load(b + W);
        b += PANEL;
        DMI_UNROLL
        for (int32_t r = 0; r < ROWS; r++) {
            if (r >= rows) continue;
            float element = *(row[r / 3] + (turned ? (size_t)(r % 3) : (size_t)(r % 3) * lda));
            sum[r][0] += element * b0;
            sum[r][1] += element * b1;
        }
        DMI_UNROLL
        for (int32_t r = 0; r < ROWS / 3; r++) {
            if (3 * r < rows) row[r] += turned ? lda : 1;
        }
    }
    DMI_UNROLL
    for (int32_t r = 0; r < ROWS; r++) {
        if (r >= rows) continue;
        float *p = c + (size_t)r * ldc;
        store(p, add ? load(p) + sum[r][0] : sum[r][0]);
        store(p + W, add ? load(p + W) + sum[r][1] : sum[r][1]);
    }
}

typedef void (*tile_function)(float *c, size_t ldc, const float *a, size_t lda, const float *b, int32_t k, bool add);

#define TILE(rows)                                                                                                            \
    static void tile_##rows(float *c, size_t ldc, const float *a, size_t lda, const float *b, int32_t k, bool add) {         \
        tile(c, ldc, a, lda, b, k, add, rows, false);                                                                        \
    }                                                                                                                         \
    static void tile_turned_##rows(float *c, size_t ldc, const float *a, size_t lda, const float *b, int32_t k, bool add) {  \
        tile(c, ldc, a, lda, b, k, add, rows, true);                                                                         \
    }
TILE(1) TILE(2) TILE(3) TILE(4) TILE(5) TILE(6)
#ifdef __AVX512F__
TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#endif

static const tile_function tiles[2][ROWS + 1] = {
#ifdef __AVX512F__
    {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6, tile_7, tile_8, tile_9, tile_10, tile_11, tile_12},
    {NULL, tile_turned_1, tile_turned_2, tile_turned_3, tile_turned_4, tile_turned_5, tile_turned_6, tile_turned_7,
     tile_turned_8, tile_turned_9, tile_turned_10, tile_turned_11, tile_turned_12},
#else
    {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6},
    {NULL, tile_turned_1, tile_turned_2, tile_turned_3, tile_turned_4, tile_turned_5, tile_turned_6},
#endif
};

/* Rows of the next tile: as even as can be, since a tile of few rows waits for b. */
static int32_t next_rows(int32_t left) {
    int32_t count = (left + ROWS - 1) / ROWS;
    return (left + count - 1) / count;
}

static void product(float *c, size_t ldc, const float *a, size_t lda, const float *b, int32_t rows, int32_t k, bool add,
                    bool turned) {
    size_t row_step = turned ? 1 : lda, k_step = turned ? lda : 1;
    for (int32_t k0 = 0; k0 < k; k0 += PRODUCT_DEPTH) {
        int32_t depth = k - k0 < PRODUCT_DEPTH ? k - k0 : PRODUCT_DEPTH;
        const float *a_part = a + (size_t)k0 * k_step, *b_part = b + (size_t)k0 * PANEL;
        for (int32_t r = 0, step; r < rows; r += step) {
            step = next_rows(rows - r);
            tiles[turned][step](c + (size_t)r * ldc, ldc, a_part + (size_t)r * row_step, lda, b_part, depth, add || k0 > 0);
        }
    }
}

void DMI_KERNEL(product)(float *c, size_t ldc, const float *a, size_t lda, const float *b, int32_t rows, int32_t k, bool add) {
    product(c, ldc, a, lda, b, rows, k, add, false);
}

void DMI_KERNEL(product_turned)(float *c, size_t ldc, const float *a, size_t lda, const float *b, int32_t rows, int32_t k,
                                bool add) {
    product(c, ldc, a, lda, b, rows, k, add, true);
}
