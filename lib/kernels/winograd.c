/* See winograd.h: the table, and the transform of the input that forward and weight gradient share. */
#include <string.h>

#include "kernels/winograd_parts.h"
#include "kernels/winograd_table.h"

const dmi_winograd DMI_KERNEL(winograd_table) = {
    .weight_floats = DMI_KERNEL(winograd_weight_floats),
    .weight_tasks = DMI_KERNEL(winograd_weight_tasks),
    .turned_tasks = DMI_KERNEL(winograd_turned_tasks),
    .weight_transform = DMI_KERNEL(winograd_weights),
    .weight_transform_turned = DMI_KERNEL(winograd_weights_turned),
    .blocks = DMI_KERNEL(winograd_blocks),
    .block_floats = DMI_KERNEL(winograd_block_floats),
    .forward = DMI_KERNEL(winograd_forward),
    .gradient_floats = DMI_KERNEL(winograd_gradient_floats),
    .gradient_rounds = DMI_KERNEL(winograd_gradient_rounds),
    .gradient_transform_tasks = DMI_KERNEL(winograd_gradient_transform_tasks),
    .gradient_product_tasks = DMI_KERNEL(winograd_gradient_product_tasks),
    .gradient_inverse_tasks = DMI_KERNEL(winograd_gradient_inverse_tasks),
    .gradient_transform = DMI_KERNEL(winograd_gradient_transform),
    .gradient_product = DMI_KERNEL(winograd_gradient_product),
    .gradient_inverse = DMI_KERNEL(winograd_gradient_inverse),
};

/* Tiles that stand side by side share columns of pixels, so they are transformed together, at most so many: their columns
 * (the first half of the transform) stay in L1. */
enum { STRIP_TILES = 8, STRIP_COLUMNS = TILE_OUT * STRIP_TILES + TILE_IN - TILE_OUT };

/* A strip of tiles: where its first pixel lies, which may be outside of the picture, and the part of its rows and columns
 * that is inside; what is outside counts as zero. Of doubled pixels, each is a row and a column but once. */
typedef struct strip_place {
    const float *picture;
    ptrdiff_t first, row, column; /* floats */
    int32_t top, bottom, left, right, columns;
} strip_place;

/* The row or column of stored pixels, from the strip's first on, that holds row or column i of the tile. */
static inline int32_t stored(int32_t i, bool doubled) { return doubled ? (i + 1) / 2 : i; }

/* B^T d down `count` columns of pixels, W channels of each: to [count][6][W]. What comes next, `ahead` floats from here, is
 * asked for meanwhile. This is for strips that are inside of their picture above and below. */
static __attribute__((noinline)) void transform_columns(float *to, const float *x, ptrdiff_t row, ptrdiff_t step,
                                                        int32_t count, size_t ahead) {
    DMI_ONE_BY_ONE
    for (int32_t j = 0; j < count; j++, to += TILE_IN * W, x += step) {
        vec d[TILE_IN], result[TILE_IN];
        DMI_UNROLL
        for (int32_t i = 0; i < TILE_IN; i++) d[i] = load(x + i * row), prefetch(x + i * row, ahead);
        input_1d(result, 1, d[0], d[1], d[2], d[3], d[4], d[5]);
        DMI_UNROLL
        for (int32_t i = 0; i < TILE_IN; i++) store(to + i * W, result[i]);
    }
}

/* A row of pixels that the tiles see: where it begins, and the floats from one pixel to the next; 0 for zeros. */
typedef struct pixel_row {
    const float *first;
    ptrdiff_t step;
} pixel_row;

/* The same for rows of any kind. */
static __attribute__((noinline)) void columns_of_rows(float *to, const pixel_row rows[TILE_IN], int32_t count, size_t ahead) {
    const float *x0 = rows[0].first, *x1 = rows[1].first, *x2 = rows[2].first;
    const float *x3 = rows[3].first, *x4 = rows[4].first, *x5 = rows[5].first;
    DMI_ONE_BY_ONE
    for (int32_t j = 0; j < count; j++, to += TILE_IN * W) {
        vec result[TILE_IN];
        input_1d(result, 1, load(x0), load(x1), load(x2), load(x3), load(x4), load(x5));
        prefetch(x0, ahead), prefetch(x1, ahead), prefetch(x2, ahead);
        prefetch(x3, ahead), prefetch(x4, ahead), prefetch(x5, ahead);
        x0 += rows[0].step, x1 += rows[1].step, x2 += rows[2].step;
        x3 += rows[3].step, x4 += rows[4].step, x5 += rows[5].step;
        DMI_UNROLL
        for (int32_t i = 0; i < TILE_IN; i++) store(to + i * W, result[i]);
    }
}

/* The second half, along the rows of one tile: v[position * step] from its columns. */
static inline __attribute__((always_inline)) void transform_rows(float *v, size_t step, const float *columns, bool doubled) {
    DMI_ONE_BY_ONE
    for (int32_t i = 0; i < TILE_IN; i++, columns += W, v += TILE_IN * step) {
        vec d[TILE_IN], result[TILE_IN];
        DMI_UNROLL
        for (int32_t j = 0; j < TILE_IN; j++) d[j] = load(columns + stored(j, doubled) * TILE_IN * W);
        input_1d(result, 1, d[0], d[1], d[2], d[3], d[4], d[5]);
        DMI_UNROLL
        for (int32_t k = 0; k < TILE_IN; k++) store(v + (size_t)k * step, result[k]);
    }
}

static __attribute__((noinline)) void transform_plain(float *v, size_t row, size_t step, int32_t tiles, const float *columns) {
    for (int32_t t = 0; t < tiles; t++)
        transform_rows(v + (size_t)t * row, step, columns + t * TILE_OUT * TILE_IN * W, false);
}

static __attribute__((noinline)) void transform_doubled(float *v, size_t row, size_t step, int32_t tiles, const float *columns) {
    for (int32_t t = 0; t < tiles; t++)
        transform_rows(v + (size_t)t * row, step, columns + t * TILE_OUT / 2 * TILE_IN * W, true);
}

/* The first `part` channels of a vector of a row's pixels, with zeros behind them. */
static pixel_row widened(float *to, pixel_row from, int32_t count, int32_t part) {
    for (int32_t j = 0; j < count; j++) store(to + j * W, load_part(from.first + j * from.step, part));
    return (pixel_row){to, W};
}

/* W channels of a strip, or the first `part` of them. */
static void transform_strip(float *v, size_t v_row, size_t step, int32_t tiles, const strip_place *p, ptrdiff_t channel,
                            bool doubled, int32_t part, size_t ahead) {
    static const float zeros[2 * W];
    float columns[STRIP_COLUMNS * TILE_IN * W] __attribute__((aligned(64))), wide[TILE_IN][STRIP_COLUMNS * W];
    pixel_row rows[TILE_IN];
    const int32_t count = p->right - p->left, column_floats = TILE_IN * W;
    for (int32_t i = 0; i < TILE_IN; i++) {
        int32_t row = stored(i, doubled);
        rows[i] = (pixel_row){zeros, 0};
        if (row < p->top || row >= p->bottom) continue;
        rows[i] = (pixel_row){p->picture + (p->first + row * p->row + p->left * p->column + channel), p->column};
        if (part < W) rows[i] = widened(wide[i], rows[i], count, part);
    }
    memset(columns, 0, (size_t)(p->left * column_floats) * sizeof *columns);
    memset(columns + p->right * column_floats, 0, (size_t)((p->columns - p->right) * column_floats) * sizeof *columns);
    float *to = columns + p->left * column_floats;
    if (!doubled && part == W && p->top == 0 && p->bottom == TILE_IN) transform_columns(to, rows[0].first, p->row, p->column, count, ahead);
    else columns_of_rows(to, rows, count, ahead);
    (doubled ? transform_doubled : transform_plain)(v, v_row, step, tiles, columns);
}

static strip_place strip_of(const dmi_winograd_shape *s, tile_place at, int32_t tiles, const float *x) {
    int32_t shift = s->upsample, h = s->h >> shift, w = s->w >> shift;
    int32_t y0 = (at.y >> shift) - 1, x0 = (at.x >> shift) - 1;
    strip_place p = {.picture = x + (size_t)at.n * (size_t)h * (size_t)w * (size_t)s->ci, .column = s->ci};
    p.row = (ptrdiff_t)w * s->ci;
    p.first = y0 * p.row + x0 * p.column;
    p.columns = (tiles * TILE_OUT >> shift) + 2;
    p.top = y0 < 0;
    p.bottom = h - y0 < TILE_IN ? h - y0 : TILE_IN;
    p.left = x0 < 0;
    p.right = w - x0 < p.columns ? w - x0 : p.columns;
    return p;
}

void DMI_KERNEL(winograd_input)(const dmi_winograd_shape *s, int32_t first, int32_t tiles, const float *x, float *v,
                                size_t row, size_t step) {
    for (int32_t done = 0, count; done < tiles; done += count) {
        tile_place at = place_of(s, first + done);
        count = tiles_across(s) - at.x / TILE_OUT;
        if (count > STRIP_TILES) count = STRIP_TILES;
        if (count > tiles - done) count = tiles - done;
        strip_place p = strip_of(s, at, count, x);
        for (int32_t c = 0; c < s->ci; c += W) {
            int32_t part = s->ci - c < W ? s->ci - c : W;
            /* Next come the same pixels' next channels, and in the end the first ones of the tiles below. */
            size_t ahead = c + W < s->ci ? W : (size_t)(p.row * (TILE_OUT >> s->upsample) - c);
            transform_strip(v + (size_t)done * row + c, row, step, count, &p, c, s->upsample, part, ahead);
        }
    }
}
