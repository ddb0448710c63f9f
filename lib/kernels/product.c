/* See product.h. c is made in tiles of ROWS rows by two vectors, whose sums stay in registers for
 * PRODUCT_DEPTH steps. */
#include "kernels/product.h"

#include <string.h>

#include "kernels/turn.h"

const dmi_product DMI_KERNEL(product_table) = {
    .multiply = DMI_KERNEL(multiply),
    .multiply_turned = DMI_KERNEL(multiply_turned),
    .multiply_onto = DMI_KERNEL(multiply_onto),
    .transpose = DMI_KERNEL(transpose),
};

/* Steps of k for which b is asked for in advance, and a too where it is turned: weights and whole
 * activations come from main memory. One line at a time between the products, or else they would
 * wait for one another. */
enum { AHEAD = 128 };

/* What a tile asks for of b: `floats` behind it to begin with, and `step` more at each step of
 * k. */
typedef struct lookout {
    size_t floats, step;
} lookout;

#define TILE_PARAMETERS                                                                            \
    float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb, int32_t k,       \
        const dmi_product_start *start, lookout ahead

typedef void tile_function(TILE_PARAMETERS);

/* One tile of `rows` rows, a constant at every call. a is addressed in threes of rows, which leaves
 * enough registers for the pointers; where `turned` the rows lie side by side. The lines of c are
 * asked for while the sums are made. */
static inline __attribute__((always_inline)) void tile(TILE_PARAMETERS, int32_t rows, bool turned) {
    vec sum[ROWS][2];
    const float *row[ROWS / 3];
    DMI_UNROLL
    for (int32_t r = 0; r < ROWS; r++) {
        if (r >= rows) continue;
        sum[r][0] = sum[r][1] = (vec){0};
        if (r % 3 == 0) row[r / 3] = turned ? a + r : a + (size_t)r * lda;
    }
    if (ldc > PANEL) {
        DMI_UNROLL
        for (int32_t r = 0; r < rows; r++)
            prefetch(c + (size_t)r * ldc, 0), prefetch(c + (size_t)r * ldc, W);
    }
    const float *next = (const float *)((uintptr_t)b + ahead.floats * sizeof *b);
    for (int32_t i = 0; i < k; i++) {
        vec b0 = load(b), b1 = load(b + W);
        prefetch(next, 0), prefetch(next, W);
        next = (const float *)((uintptr_t)next + ahead.step * sizeof *b);
        /* Of a in rows, the next tile's: sixteen steps are a line of each row. */
        if (turned) prefetch(row[0], AHEAD * lda);
        else prefetch(a, (size_t)(rows + i % 16) * lda + (size_t)(i / 16 * 16));
        b += ldb;
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
    if (start->bias || start->from) {
        static const float zeros[PANEL];
        const float *from = start->from ? start->from : zeros;
        size_t step = start->from ? start->from_stride : 0;
        vec bias0 = load(start->bias ? start->bias : zeros),
            bias1 = load(start->bias ? start->bias + W : zeros);
        DMI_UNROLL
        for (int32_t r = 0; r < ROWS; r++) {
            if (r >= rows) continue;
            sum[r][0] += bias0 + load(from + (size_t)r * step);
            sum[r][1] += bias1 + load(from + (size_t)r * step + W);
        }
    }
    DMI_UNROLL
    for (int32_t r = 0; r < ROWS; r++) {
        if (r >= rows) continue;
        store(c + (size_t)r * ldc, sum[r][0]);
        store(c + (size_t)r * ldc + W, sum[r][1]);
    }
}

#define TILE(rows)                                                                                 \
    static void tile_##rows(TILE_PARAMETERS) {                                                     \
        tile(c, ldc, a, lda, b, ldb, k, start, ahead, rows, false);                                \
    }                                                                                              \
    static void tile_turned_##rows(TILE_PARAMETERS) {                                              \
        tile(c, ldc, a, lda, b, ldb, k, start, ahead, rows, true);                                 \
    }
TILE(1)
TILE(2)
TILE(3)
TILE(4)
TILE(5)
TILE(6)
#ifdef DMI_TWELVE_ROWS
    TILE(7) TILE(8) TILE(9) TILE(10) TILE(11) TILE(12)
#endif

        static tile_function *const tiles[2][ROWS + 1] = {
#ifdef DMI_TWELVE_ROWS
            {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6, tile_7, tile_8, tile_9, tile_10,
             tile_11, tile_12},
            {NULL, tile_turned_1, tile_turned_2, tile_turned_3, tile_turned_4, tile_turned_5,
             tile_turned_6, tile_turned_7, tile_turned_8, tile_turned_9, tile_turned_10,
             tile_turned_11, tile_turned_12},
#else
        {NULL, tile_1, tile_2, tile_3, tile_4, tile_5, tile_6},
        {NULL, tile_turned_1, tile_turned_2, tile_turned_3, tile_turned_4, tile_turned_5,
         tile_turned_6},
#endif
};

/* Rows of the next tile: as even as can be, since a tile of few rows waits for b. */
static int32_t next_rows(int32_t left) {
    int32_t count = (left + ROWS - 1) / ROWS;
    return (left + count - 1) / count;
}

/* A product, or the part of it that is being made. */
typedef struct part {
    const float *a, *b;
    size_t lda, ldb;
    int32_t rows, k;
    bool turned;
} part;

/* The tile of the part's rows from `row` on, `rows` of them: begun with what stands before them. */
static void make_tile(const part *p, float *c, size_t ldc, const float *b, size_t ldb,
                      dmi_product_start start, int32_t row, int32_t rows, lookout ahead) {
    if (start.from) start.from += (size_t)row * start.from_stride;
    tiles[p->turned][rows](c, ldc, p->a + (size_t)row * (p->turned ? 1 : p->lda), p->lda, b, ldb,
                           p->k, &start, ahead);
}

/* PANEL columns of c. Where b's rows follow each other, so does the next b, as at Winograd's next
 * position: the panel's tiles ask for it each in part, since the first alone, asking for all, would
 * wait for memory. */
static void panel(const part *p, float *c, size_t ldc, const float *b, dmi_product_start start) {
    const bool is_block = p->ldb == PANEL;
    const size_t tiles_of_panel = (size_t)(p->rows + ROWS - 1) / ROWS, block = (size_t)p->k * PANEL;
    lookout ahead = {.floats = AHEAD * p->ldb, .step = p->ldb};
    if (is_block) ahead = (lookout){.floats = block, .step = PANEL / tiles_of_panel};
    for (int32_t r = 0, step; r < p->rows; r += step) {
        step = next_rows(p->rows - r);
        make_tile(p, c + (size_t)r * ldc, ldc, b, p->ldb, start, r, step, ahead);
        if (is_block) ahead.floats += block / tiles_of_panel;
    }
}

/* The last `columns` columns, fewer than PANEL: b with zeros behind them, and c by way of a
 * tile. */
static void last_panel(const part *p, float *c, size_t ldc, const float *b, dmi_product_start start,
                       int32_t columns) {
    static const dmi_product_start nothing;
    float widened[PRODUCT_DEPTH * PANEL], result[ROWS * PANEL];
    for (size_t i = 0; i < (size_t)p->k; i++) {
        memcpy(widened + i * PANEL, b + i * p->ldb, (size_t)columns * sizeof *b);
        memset(widened + i * PANEL + columns, 0, (size_t)(PANEL - columns) * sizeof *b);
    }
    for (int32_t r = 0, step; r < p->rows; r += step) {
        step = next_rows(p->rows - r);
        make_tile(p, result, PANEL, widened, PANEL, nothing, r, step, (lookout){0});
        for (int32_t i = 0; i < step; i++) {
            float *to = c + (size_t)(r + i) * ldc;
            const float *from =
                start.from ? start.from + (size_t)(r + i) * start.from_stride : NULL;
            for (int32_t j = 0; j < columns; j++)
                to[j] = ((start.bias ? start.bias[j] : 0) + (from ? from[j] : 0)) +
                        result[i * PANEL + j];
        }
    }
}

static void multiply(float *c, size_t ldc, const float *a, size_t lda, const float *b, size_t ldb,
                     int32_t rows, int32_t columns, int32_t k, dmi_product_start start,
                     bool turned) {
    int32_t whole = columns / PANEL * PANEL;
    for (int32_t k0 = 0; k0 < k; k0 += PRODUCT_DEPTH) {
        part p = {.a = a + (size_t)k0 * (turned ? lda : 1),
                  .b = b + (size_t)k0 * ldb,
                  .lda = lda,
                  .ldb = ldb,
                  .rows = rows,
                  .k = k - k0 < PRODUCT_DEPTH ? k - k0 : PRODUCT_DEPTH,
                  .turned = turned};
        if (k0) start = (dmi_product_start){.from = c, .from_stride = ldc};
        for (int32_t j = 0; j < columns; j += PANEL) {
            dmi_product_start here = start;
            if (here.bias) here.bias += j;
            if (here.from) here.from += j;
            if (j < whole) panel(&p, c + j, ldc, p.b + j, here);
            else last_panel(&p, c + j, ldc, p.b + j, here, columns - j);
        }
    }
}

static dmi_product_start start_of(const float *c, size_t ldc, bool add) {
    return (dmi_product_start){.from = add ? c : NULL, .from_stride = ldc};
}

void DMI_KERNEL(multiply)(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                          size_t ldb, int32_t rows, int32_t columns, int32_t k, bool add) {
    multiply(c, ldc, a, lda, b, ldb, rows, columns, k, start_of(c, ldc, add), false);
}

void DMI_KERNEL(multiply_turned)(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                                 size_t ldb, int32_t rows, int32_t columns, int32_t k, bool add) {
    multiply(c, ldc, a, lda, b, ldb, rows, columns, k, start_of(c, ldc, add), true);
}

void DMI_KERNEL(multiply_onto)(float *c, size_t ldc, const float *a, size_t lda, const float *b,
                               size_t ldb, int32_t rows, int32_t columns, int32_t k,
                               const dmi_product_start *start) {
    multiply(c, ldc, a, lda, b, ldb, rows, columns, k, *start, false);
}

void DMI_KERNEL(transpose)(float *to, size_t to_stride, const float *from, size_t from_stride,
                           int32_t rows, int32_t columns) {
    dmi_turn_over(to, to_stride, from, from_stride, rows, columns, false);
}
