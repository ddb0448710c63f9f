/* SPDX-License-Identifier: MIT */
/* See product.h. The loops around the micro-kernel, from the outside: k in steps of PRODUCT_DEPTH,
 * columns in panels of PANEL, rows in tiles of at most ROWS. The micro-kernel multiplies one tile,
 * a few rows by two vectors, and keeps its sums in registers for all of the depth. */
#include "kernels/product.h"

#include <string.h>

#include "base/math.h"
#include "kernels/transpose.h"

const dmi_product DMI_KERNEL(product_table) = {
    .panel_columns = PANEL,
    .multiply = DMI_KERNEL(multiply),
    .multiply_transposed = DMI_KERNEL(multiply_transposed),
    .multiply_add = DMI_KERNEL(multiply_add),
    .transpose = DMI_KERNEL(transpose),
};

/* Rows of b that a tile prefetches ahead, and of a where it is stored transposed: weights and whole
 * activations come from main memory. One cache line at a time between the multiplications, or else
 * the prefetches would wait for one another. */
enum { AHEAD = 128 };

/* What the tiles of a panel have in common. The tile's own pointers are arguments of their own,
 * which stay in registers. */
typedef struct panel_layout {
    size_t ldc, lda, ldb;
    int32_t k;
    size_t ahead_step; /* floats by which the prefetched row of b moves at each step of k */
    const float *bias; /* [PANEL], or NULL */
    size_t matrix_stride;
} panel_layout;

/* c [rows, PANEL] = a [rows, k] (or where stored transposed [k, rows]) times b [k, PANEL], plus the
 * bias and matrix [rows, PANEL], unless NULL. The prefetches of b begin at `ahead`. */
typedef void tile_function(float *c, const float *a, const float *b, const float *ahead,
                           const float *matrix, const panel_layout *l);

/* p + floats, which may lie outside of the array: for prefetches only. */
static inline const float *address_after(const float *p, size_t floats) {
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): arithmetic on pointers must not leave the array */
    return (const float *)((uintptr_t)p + floats * sizeof *p);
}

/* Adds bias and matrix to the sums of a tile. */
static inline __attribute__((always_inline)) void add_to_tile(vec sum[ROWS][2], const float *matrix,
                                                              const panel_layout *l,
                                                              const int32_t rows) {
    static const float zeros[PANEL];
    const float *bias = l->bias ? l->bias : zeros, *from = matrix ? matrix : zeros;
    const size_t stride = matrix ? l->matrix_stride : 0;
    const vec bias0 = load(bias), bias1 = load(bias + W);
    DMI_UNROLL
    for (int32_t r = 0; r < ROWS; r++) {
        if (r >= rows) continue;
        sum[r][0] += bias0 + load(from + (size_t)r * stride);
        sum[r][1] += bias1 + load(from + (size_t)r * stride + W);
    }
}

/* The micro-kernel. `rows` and `transposed` are constants at every call. One pointer serves three
 * rows of a, which leaves enough registers for the sums; where a is stored transposed, its rows lie
 * side by side. c is prefetched while the sums are made. */
static inline __attribute__((always_inline)) void multiply_tile(
    float *c, const float *a, const float *b, const float *ahead, const float *matrix,
    const panel_layout *l, const int32_t rows, const bool transposed) {
    const size_t ldc = l->ldc, lda = l->lda, ldb = l->ldb, ahead_step = l->ahead_step;
    const int32_t k = l->k;
    vec sum[ROWS][2];
    const float *row[ROWS / 3]; /* rows 0, 3, 6, ... of a */
    DMI_UNROLL
    for (int32_t r = 0; r < ROWS; r++) {
        if (r >= rows) continue;
        sum[r][0] = sum[r][1] = (vec){0};
        if (r % 3 == 0) row[r / 3] = transposed ? a + r : a + (size_t)r * lda;
    }
    /* Where its rows are dense, c is a block in L2 or a buffer, and is cached already. */
    if (ldc > PANEL) {
        DMI_UNROLL
        for (int32_t r = 0; r < rows; r++)
            prefetch(c + (size_t)r * ldc, 0), prefetch(c + (size_t)r * ldc, W);
    }
    for (int32_t i = 0; i < k; i++) {
        vec b0 = load(b), b1 = load(b + W);
        prefetch(ahead, 0), prefetch(ahead, W);
        ahead = address_after(ahead, ahead_step);
        /* Sixteen steps of k are one cache line of each row of a: step i prefetches that of one row
         * of the next tile. */
        if (transposed) prefetch(row[0], AHEAD * lda);
        else prefetch(a, (size_t)(rows + i % 16) * lda + (size_t)(i / 16 * 16));
        b += ldb;
        DMI_UNROLL
        for (int32_t r = 0; r < ROWS; r++) {
            if (r >= rows) continue;
            float element = *(row[r / 3] + (transposed ? (size_t)(r % 3) : (size_t)(r % 3) * lda));
            sum[r][0] += element * b0;
            sum[r][1] += element * b1;
        }
        DMI_UNROLL
        for (int32_t r = 0; r < ROWS / 3; r++) {
            if (3 * r < rows) row[r] += transposed ? lda : 1;
        }
    }
    if (l->bias || matrix) add_to_tile(sum, matrix, l, rows);
    DMI_UNROLL
    for (int32_t r = 0; r < ROWS; r++) {
        if (r >= rows) continue;
        store(c + (size_t)r * ldc, sum[r][0]);
        store(c + (size_t)r * ldc + W, sum[r][1]);
    }
}

/* One function for each number of rows and each storage of a. */
#define TILE(rows)                                                                                 \
    static void tile_##rows(float *c, const float *a, const float *b, const float *ahead,          \
                            const float *matrix, const panel_layout *l) {                          \
        multiply_tile(c, a, b, ahead, matrix, l, rows, false);                                     \
    }                                                                                              \
    static void tile_transposed_##rows(float *c, const float *a, const float *b,                   \
                                       const float *ahead, const float *matrix,                    \
                                       const panel_layout *l) {                                    \
        multiply_tile(c, a, b, ahead, matrix, l, rows, true);                                      \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
#ifdef DMI_TWELVE_ROWS
TILE(7)
TILE(8)
TILE(9)
TILE(10)
TILE(11)
TILE(12)
#endif

/* [transposed][rows] */
static tile_function *const tiles[2][ROWS + 1] = {
    {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6,
#ifdef DMI_TWELVE_ROWS
     tile_7, tile_8, tile_9, tile_10, tile_11, tile_12
#endif
    },
    {NULL, tile_transposed_1, tile_transposed_2, tile_transposed_3, tile_transposed_4,
     tile_transposed_5, tile_transposed_6,
#ifdef DMI_TWELVE_ROWS
     tile_transposed_7, tile_transposed_8, tile_transposed_9, tile_transposed_10,
     tile_transposed_11, tile_transposed_12
#endif
    },
};

/* Rows of the next tile where `left` are left: as even as can be, since a tile of few rows waits
 * for b. */
static int32_t next_rows(int32_t left) { return dmi_divide_up(left, dmi_divide_up(left, ROWS)); }

/* a and b for one depth of k: a [rows, k], or [k, rows] where `transposed`; b [k, columns]. */
typedef struct operands {
    const float *a, *b;
    size_t lda, ldb;
    int32_t rows, k;
    bool transposed;
} operands;

/* c and its addend, from one column on. */
typedef struct result {
    float *c;
    size_t ldc;
    dmi_product_addend addend;
} result;

static const float *row_of_a(const operands *o, int32_t row) {
    return o->a + (size_t)row * (o->transposed ? 1 : o->lda);
}

/* PANEL columns of c; b begins at the panel. Where b's rows are dense (is_block), b is a panel of
 * one of Winograd's points, and that of the next point follows it in memory: each of this panel's
 * tiles prefetches its share of that, since the first tile alone, prefetching all of it, would wait
 * for memory. */
static inline __attribute__((always_inline)) void multiply_panel(const operands *o,
                                                                 const result *to, const float *b) {
    const bool is_block = o->ldb == PANEL;
    const size_t tile_count = (size_t)dmi_divide_up(o->rows, ROWS), block = (size_t)o->k * PANEL;
    const panel_layout l = {.ldc = to->ldc,
                            .lda = o->lda,
                            .ldb = o->ldb,
                            .k = o->k,
                            .ahead_step = is_block ? PANEL / tile_count : o->ldb,
                            .bias = to->addend.bias,
                            .matrix_stride = to->addend.stride};
    const float *matrix = to->addend.matrix,
                *ahead = address_after(b, is_block ? block : AHEAD * o->ldb);
    int32_t rows;
    for (int32_t r = 0; r < o->rows; r += rows) {
        rows = next_rows(o->rows - r);
        tiles[o->transposed][rows](to->c + (size_t)r * to->ldc, row_of_a(o, r), b, ahead,
                                   matrix ? matrix + (size_t)r * l.matrix_stride : NULL, &l);
        if (is_block) ahead = address_after(ahead, block / tile_count);
    }
}

/* The last `columns` columns of c, fewer than PANEL: with b padded by zeros, and each tile's sums
 * in a buffer, to which bias and matrix are added as add_to_tile does. */
static void multiply_last_panel(const operands *o, const result *to, const float *b,
                                int32_t columns) {
    const float *bias = to->addend.bias, *matrix = to->addend.matrix;
    const panel_layout l = {.ldc = PANEL, .lda = o->lda, .ldb = PANEL, .k = o->k};
    float padded[PRODUCT_DEPTH * PANEL], sums[ROWS * PANEL];
    for (size_t i = 0; i < (size_t)o->k; i++) {
        memcpy(padded + i * PANEL, b + i * o->ldb, (size_t)columns * sizeof *b);
        memset(padded + i * PANEL + columns, 0, (size_t)(PANEL - columns) * sizeof *b);
    }
    int32_t rows;
    for (int32_t r = 0; r < o->rows; r += rows) {
        rows = next_rows(o->rows - r);
        tiles[o->transposed][rows](sums, row_of_a(o, r), padded, padded, NULL, &l);
        for (int32_t i = 0; i < rows; i++) {
            float *c = to->c + (size_t)(r + i) * to->ldc;
            const float *added = matrix ? matrix + (size_t)(r + i) * to->addend.stride : NULL;
            for (int32_t j = 0; j < columns; j++)
                c[j] = ((bias ? bias[j] : 0) + (added ? added[j] : 0)) + sums[i * PANEL + j];
        }
    }
}

/* One depth of k. */
static inline __attribute__((always_inline)) void multiply_depth(const operands *o,
                                                                 const result *to,
                                                                 int32_t columns) {
    for (int32_t j = 0; j < columns; j += PANEL) {
        result panel = {to->c + j, to->ldc, to->addend};
        if (panel.addend.bias) panel.addend.bias += j;
        if (panel.addend.matrix) panel.addend.matrix += j;
        if (columns - j >= PANEL) multiply_panel(o, &panel, o->b + j);
        else multiply_last_panel(o, &panel, o->b + j, columns - j);
    }
}

/* `all` holds all of k; further depths than the first add to c. All of it is inlined into the
 * public functions, so that the structs stay in registers: passing them in memory costs 10 % of a
 * small product. */
static inline __attribute__((always_inline)) void multiply(result to, const operands all,
                                                           int32_t columns) {
    for (int32_t k0 = 0; k0 < all.k; k0 += PRODUCT_DEPTH) {
        operands o = all;
        o.a += (size_t)k0 * (all.transposed ? all.lda : 1);
        o.b += (size_t)k0 * all.ldb;
        o.k = dmi_min(all.k - k0, PRODUCT_DEPTH);
        multiply_depth(&o, &to, columns);
        to.addend = (dmi_product_addend){.matrix = to.c, .stride = to.ldc};
    }
}

static result result_in(float *c, size_t ldc, bool add) {
    return (result){c, ldc, {.matrix = add ? c : NULL, .stride = ldc}};
}

void DMI_KERNEL(multiply)(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                          size_t ldb, int32_t rows, int32_t columns, int32_t k, bool add) {
    multiply(result_in(c, ldc, add), (operands){a, b, lda, ldb, rows, k, false}, columns);
}

void DMI_KERNEL(multiply_transposed)(float *c, size_t ldc, const float *a, size_t lda,
                                     const float *b, size_t ldb, int32_t rows, int32_t columns,
                                     int32_t k, bool add) {
    multiply(result_in(c, ldc, add), (operands){a, b, lda, ldb, rows, k, true}, columns);
}

void DMI_KERNEL(multiply_add)(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                              size_t ldb, int32_t rows, int32_t columns, int32_t k,
                              const dmi_product_addend *addend) {
    multiply((result){c, ldc, *addend}, (operands){a, b, lda, ldb, rows, k, false}, columns);
}

void DMI_KERNEL(transpose)(float *to, size_t to_stride, const float *from, size_t from_stride,
                           int32_t rows, int32_t columns) {
    dmi_transpose(to, to_stride, from, from_stride, rows, columns, false);
}
