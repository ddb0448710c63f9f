/* See winograd.h: the table, and the transform of the input that forward and weight gradient
 * share. */
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
    .gradient_groups = DMI_KERNEL(winograd_gradient_groups),
    .gradient_tasks = DMI_KERNEL(winograd_gradient_tasks),
    .gradient_floats = DMI_KERNEL(winograd_gradient_floats),
    .gradient = DMI_KERNEL(winograd_gradient),
};

/* Tiles that stand side by side share columns of pixels, so they are transformed together,
 * STRIP_TILES at most and STRIP_VECTORS vectors of channels: their columns (the first half of the
 * transform, 7.5 KiB) stay in L1 beside the lines of V that are written meanwhile. Strips of 8
 * tiles have fewer columns a tile, and took a quarter longer. */
enum {
    STRIP_TILES = 2,
    STRIP_VECTORS = 2,
    STRIP_FLOATS = STRIP_VECTORS * W, /* of a pixel */
    COLUMN_FLOATS = TILE_IN * STRIP_FLOATS,
    STRIP_COLUMNS = TILE_OUT * STRIP_TILES + TILE_IN - TILE_OUT
};

/* A strip of tiles: where its first pixel lies, which may be outside of the picture, and the part
 * of its rows and columns that is inside; what is outside counts as zero. Of doubled pixels, each
 * is a row and a column but once. */
typedef struct strip_place {
    const float *picture;
    ptrdiff_t first, row, column; /* floats */
    int32_t top, bottom, left, right, columns;
} strip_place;

/* The row or column of stored pixels, from the strip's first on, that holds row or column i of the
 * tile. */
static inline int32_t stored(int32_t i, bool doubled) { return doubled ? (i + 1) / 2 : i; }

/* A row of pixels that the tiles see: where it begins, and the floats from one pixel to the next; 0
 * for zeros. */
typedef struct pixel_row {
    const float *first;
    ptrdiff_t step;
} pixel_row;

/* B^T d down `count` columns of pixels, `vectors` vectors of each: to [count][6][STRIP_FLOATS].
 * What comes next, `ahead` floats from here, is asked for meanwhile. */
static __attribute__((noinline)) void transform_columns(float *to, const pixel_row rows[TILE_IN],
                                                        int32_t count, int32_t vectors,
                                                        size_t ahead) {
    const float *x0 = rows[0].first, *x1 = rows[1].first, *x2 = rows[2].first;
    const float *x3 = rows[3].first, *x4 = rows[4].first, *x5 = rows[5].first;
    for (int32_t j = 0; j < count; j++, to += COLUMN_FLOATS) {
        DMI_ONE_BY_ONE
        for (int32_t c = 0; c < vectors * W; c += W) {
            vec result[TILE_IN];
            input_1d(result, 1, load_once(x0 + c), load_once(x1 + c), load_once(x2 + c),
                     load_once(x3 + c), load_once(x4 + c), load_once(x5 + c));
            prefetch(x0 + c, ahead), prefetch(x1 + c, ahead), prefetch(x2 + c, ahead);
            prefetch(x3 + c, ahead), prefetch(x4 + c, ahead), prefetch(x5 + c, ahead);
            DMI_UNROLL
            for (int32_t i = 0; i < TILE_IN; i++) store(to + i * STRIP_FLOATS + c, result[i]);
        }
        x0 += rows[0].step, x1 += rows[1].step, x2 += rows[2].step;
        x3 += rows[3].step, x4 += rows[4].step, x5 += rows[5].step;
    }
}

/* The second half, along the rows of one tile: v[position * step] from its columns. */
static inline __attribute__((always_inline)) void transform_rows(float *v, size_t step,
                                                                 const float *columns,
                                                                 int32_t vectors, bool doubled) {
    for (int32_t i = 0; i < TILE_IN; i++, columns += STRIP_FLOATS, v += TILE_IN * step) {
        DMI_ONE_BY_ONE
        for (int32_t c = 0; c < vectors * W; c += W) {
            vec d[TILE_IN], result[TILE_IN];
            DMI_UNROLL
            for (int32_t j = 0; j < TILE_IN; j++)
                d[j] = load_once(columns + stored(j, doubled) * COLUMN_FLOATS + c);
            input_1d(result, 1, d[0], d[1], d[2], d[3], d[4], d[5]);
            DMI_UNROLL
            for (int32_t k = 0; k < TILE_IN; k++) store(v + (size_t)k * step + c, result[k]);
        }
    }
}

static __attribute__((noinline)) void transform_plain(float *v, size_t row, size_t step,
                                                      int32_t tiles, const float *columns,
                                                      int32_t vectors) {
    for (int32_t t = 0; t < tiles; t++)
        transform_rows(v + (size_t)t * row, step, columns + t * TILE_OUT * COLUMN_FLOATS, vectors,
                       false);
}

static __attribute__((noinline)) void transform_doubled(float *v, size_t row, size_t step,
                                                        int32_t tiles, const float *columns,
                                                        int32_t vectors) {
    for (int32_t t = 0; t < tiles; t++)
        transform_rows(v + (size_t)t * row, step, columns + t * TILE_OUT / 2 * COLUMN_FLOATS,
                       vectors, true);
}

/* The first `channels` of a row's pixels, with zeros behind them. */
static pixel_row widened(float *to, pixel_row from, int32_t count, int32_t channels) {
    for (int32_t j = 0; j < count; j++) {
        for (int32_t c = 0; c < STRIP_FLOATS; c += W)
            store(to + j * STRIP_FLOATS + c,
                  load_part(from.first + j * from.step + c, channels - c));
    }
    return (pixel_row){to, STRIP_FLOATS};
}

/* Up to STRIP_FLOATS channels of a strip, from `channel` on. */
static void transform_strip(float *v, size_t v_row, size_t step, int32_t tiles,
                            const strip_place *p, ptrdiff_t channel, int32_t channels, bool doubled,
                            size_t ahead) {
    static const float zeros[STRIP_FLOATS];
    float columns[STRIP_COLUMNS * COLUMN_FLOATS] __attribute__((aligned(64))),
        wide[TILE_IN][STRIP_COLUMNS * STRIP_FLOATS];
    pixel_row rows[TILE_IN];
    const int32_t count = p->right - p->left, vectors = divide_up(channels, W);
    for (int32_t i = 0; i < TILE_IN; i++) {
        int32_t row = stored(i, doubled);
        rows[i] = (pixel_row){zeros, 0};
        if (row < p->top || row >= p->bottom) continue;
        rows[i] =
            (pixel_row){p->picture + (p->first + row * p->row + p->left * p->column + channel),
                        p->column};
        if (channels % W) rows[i] = widened(wide[i], rows[i], count, channels);
    }
    memset(columns, 0, (size_t)(p->left * COLUMN_FLOATS) * sizeof *columns);
    memset(columns + p->right * COLUMN_FLOATS, 0,
           (size_t)((p->columns - p->right) * COLUMN_FLOATS) * sizeof *columns);
    transform_columns(columns + p->left * COLUMN_FLOATS, rows, count, vectors, ahead);
    (doubled ? transform_doubled : transform_plain)(v, v_row, step, tiles, columns, vectors);
}

static strip_place strip_of(const dmi_winograd_shape *s, tile_place at, int32_t tiles,
                            const float *x) {
    int32_t shift = s->upsample, h = s->h >> shift, w = s->w >> shift;
    int32_t y0 = (at.y >> shift) - 1, x0 = (at.x >> shift) - 1;
    strip_place p = {.picture = x + (size_t)at.n * (size_t)h * (size_t)w * (size_t)s->ci,
                     .column = s->ci};
    p.row = (ptrdiff_t)w * s->ci;
    p.first = y0 * p.row + x0 * p.column;
    p.columns = (tiles * TILE_OUT >> shift) + 2;
    p.top = y0 < 0;
    p.bottom = h - y0 < TILE_IN ? h - y0 : TILE_IN;
    p.left = x0 < 0;
    p.right = w - x0 < p.columns ? w - x0 : p.columns;
    return p;
}

void DMI_KERNEL(winograd_input)(const dmi_winograd_shape *s, int32_t first, int32_t tiles,
                                int32_t c0, int32_t c1, const float *x, float *v, size_t row,
                                size_t step) {
    for (int32_t done = 0, count; done < tiles; done += count) {
        tile_place at = place_of(s, first + done);
        count = tiles_across(s) - at.x / TILE_OUT;
        if (count > STRIP_TILES) count = STRIP_TILES;
        if (count > tiles - done) count = tiles - done;
        strip_place p = strip_of(s, at, count, x);
        for (int32_t c = c0; c < c1; c += STRIP_FLOATS) {
            int32_t channels = c1 - c < STRIP_FLOATS ? c1 - c : STRIP_FLOATS;
            /* Next come the same pixels' next channels, and in the end the first ones of the tiles
             * beside. */
            size_t ahead = c + channels < c1
                               ? STRIP_FLOATS
                               : (size_t)(p.column * (count * TILE_OUT >> s->upsample) - (c - c0));
            transform_strip(v + (size_t)done * row + (c - c0), row, step, count, &p, c, channels,
                            s->upsample, ahead);
        }
    }
}
