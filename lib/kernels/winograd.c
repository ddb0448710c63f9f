/* SPDX-License-Identifier: MIT */
/* See winograd.h: the table, and the transform of the input, which forward and weight gradient
 * share. */
#include <string.h>

#include "kernels/winograd_tiles.h"

const dmi_winograd DMI_STORED_KERNEL(winograd_table) = {
#define DMI_ENTRY(result, name, parameters) .name = DMI_KERNEL(winograd_##name),
#define DMI_STORED_ENTRY(result, name, parameters) .name = DMI_STORED_KERNEL(winograd_##name),
#include "kernels/winograd.inc"
#undef DMI_STORED_ENTRY
#undef DMI_ENTRY
};

/* Adjacent tiles of a row share columns of pixels, so a strip of up to STRIP_TILES tiles by
 * STRIP_VECTORS vectors of channels is transformed together: its columns (the result of the first
 * half of the transform, 7.5 KiB) stay in L1 beside the lines of V that are written meanwhile.
 * Strips of 8 tiles share more columns, but took 25 % longer. */
enum {
    STRIP_TILES = 2,
    STRIP_VECTORS = 2,
    STRIP_FLOATS = STRIP_VECTORS * W, /* of a pixel */
    COLUMN_FLOATS = TILE_IN * STRIP_FLOATS,
    STRIP_COLUMNS = TILE_OUT * STRIP_TILES + TILE_IN - TILE_OUT
};

/* The input pixels of a strip of tiles. Rows and columns are counted from the strip's first pixel,
 * which may be outside of the image; pixels outside count as zero. Where the input is upsampled,
 * rows and columns are those of the stored image. */
typedef struct strip {
    const stored *image;   /* [h, w, ci], before upsampling */
    ptrdiff_t first;       /* elements from the image's start to the strip's first pixel */
    ptrdiff_t row, column; /* elements from one row, and from one column, to the next */
    int32_t top, bottom;   /* rows inside the image: top to bottom - 1 */
    int32_t left, right;   /* columns inside the image: left to right - 1 */
    int32_t columns;       /* of the strip */
} strip;

/* The row or column of a strip, before upsampling, that holds row or column i of a tile. */
static inline int32_t source(int32_t i, bool upsample) { return upsample ? (i + 1) / 2 : i; }

/* A row of pixels: its first, and the elements from one pixel to the next; 0 for a row of zeros. */
typedef struct pixel_row {
    const stored *first;
    ptrdiff_t step;
} pixel_row;

/* B^T d down `count` columns of pixels, `vectors` vectors of each: to [count][6][STRIP_FLOATS]. The
 * next input, `ahead` floats further, is prefetched. */
static __attribute__((noinline)) void transform_columns(float *to, const pixel_row rows[TILE_IN],
                                                        int32_t count, int32_t vectors,
                                                        size_t ahead) {
    const stored *x0 = rows[0].first, *x1 = rows[1].first, *x2 = rows[2].first;
    const stored *x3 = rows[3].first, *x4 = rows[4].first, *x5 = rows[5].first;
    for (int32_t j = 0; j < count; j++, to += COLUMN_FLOATS) {
        DMI_NO_UNROLL
        for (int32_t c = 0; c < vectors * W; c += W) {
            vec result[TILE_IN];
            input_1d(result, 1, load_stored_once(x0 + c), load_stored_once(x1 + c),
                     load_stored_once(x2 + c), load_stored_once(x3 + c), load_stored_once(x4 + c),
                     load_stored_once(x5 + c));
            prefetch_stored(x0 + c, ahead), prefetch_stored(x1 + c, ahead),
                prefetch_stored(x2 + c, ahead);
            prefetch_stored(x3 + c, ahead), prefetch_stored(x4 + c, ahead),
                prefetch_stored(x5 + c, ahead);
            DMI_UNROLL
            for (int32_t i = 0; i < TILE_IN; i++) store(to + i * STRIP_FLOATS + c, result[i]);
        }
        x0 += rows[0].step, x1 += rows[1].step, x2 += rows[2].step;
        x3 += rows[3].step, x4 += rows[4].step, x5 += rows[5].step;
    }
}

/* The second half, along the rows of one tile: v[point * step] from its columns. */
static inline __attribute__((always_inline)) void transform_rows(float *v, size_t step,
                                                                 const float *columns,
                                                                 int32_t vectors, bool upsample) {
    for (int32_t i = 0; i < TILE_IN; i++, columns += STRIP_FLOATS, v += TILE_IN * step) {
        DMI_NO_UNROLL
        for (int32_t c = 0; c < vectors * W; c += W) {
            vec d[TILE_IN], result[TILE_IN];
            DMI_UNROLL
            for (int32_t j = 0; j < TILE_IN; j++)
                d[j] = load_once(columns + source(j, upsample) * COLUMN_FLOATS + c);
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

static __attribute__((noinline)) void transform_upsampled(float *v, size_t row, size_t step,
                                                          int32_t tiles, const float *columns,
                                                          int32_t vectors) {
    for (int32_t t = 0; t < tiles; t++)
        transform_rows(v + (size_t)t * row, step, columns + t * TILE_OUT / 2 * COLUMN_FLOATS,
                       vectors, true);
}

/* The first `channels` of `count` pixels, copied to `to` and padded with zeros to whole vectors. */
static pixel_row padded_row(stored *to, pixel_row from, int32_t count, int32_t channels) {
    for (int32_t j = 0; j < count; j++) {
        for (int32_t c = 0; c < STRIP_FLOATS; c += W)
            store_stored(to + j * STRIP_FLOATS + c,
                         load_stored_part(from.first + j * from.step + c, channels - c));
    }
    return (pixel_row){to, STRIP_FLOATS};
}

/* V of up to STRIP_FLOATS channels of a strip, from `channel` on. */
static void transform_strip(float *v, size_t v_row, size_t step, int32_t tiles, const strip *p,
                            ptrdiff_t channel, int32_t channels, bool upsample, size_t ahead) {
    static const stored zeros[STRIP_FLOATS];
    float columns[STRIP_COLUMNS * COLUMN_FLOATS] __attribute__((aligned(64)));
    stored padded[TILE_IN][STRIP_COLUMNS * STRIP_FLOATS];
    pixel_row rows[TILE_IN];
    const int32_t count = p->right - p->left, vectors = dmi_divide_up(channels, W);
    for (int32_t i = 0; i < TILE_IN; i++) {
        int32_t row = source(i, upsample);
        rows[i] = (pixel_row){zeros, 0};
        if (row < p->top || row >= p->bottom) continue;
        rows[i] = (pixel_row){p->image + (p->first + row * p->row + p->left * p->column + channel),
                              p->column};
        if (channels % W) rows[i] = padded_row(padded[i], rows[i], count, channels);
    }
    memset(columns, 0, (size_t)(p->left * COLUMN_FLOATS) * sizeof *columns);
    memset(columns + p->right * COLUMN_FLOATS, 0,
           (size_t)((p->columns - p->right) * COLUMN_FLOATS) * sizeof *columns);
    transform_columns(columns + p->left * COLUMN_FLOATS, rows, count, vectors, ahead);
    (upsample ? transform_upsampled : transform_plain)(v, v_row, step, tiles, columns, vectors);
}

/* Of `tiles` tiles from `at` on. */
static strip strip_of(const dmi_winograd_shape *s, tile_position at, int32_t tiles,
                      const stored *x) {
    int32_t shift = s->upsample, h = s->h >> shift, w = s->w >> shift;
    int32_t y0 = (at.y >> shift) - 1, x0 = (at.x >> shift) - 1;
    strip p = {.image = x + (size_t)at.n * (size_t)h * (size_t)w * (size_t)s->ci, .column = s->ci};
    p.row = (ptrdiff_t)w * s->ci;
    p.first = y0 * p.row + x0 * p.column;
    p.columns = (tiles * TILE_OUT >> shift) + 2;
    p.top = y0 < 0;
    p.bottom = dmi_min(h - y0, TILE_IN);
    p.left = x0 < 0;
    p.right = dmi_min(w - x0, p.columns);
    return p;
}

void DMI_STORED_KERNEL(winograd_input)(const dmi_winograd_shape *s, int32_t first, int32_t tiles,
                                       int32_t c0, int32_t c1, const stored *x, float *v,
                                       size_t row, size_t step) {
    for (int32_t done = 0, count; done < tiles; done += count) {
        tile_position at = position_of(s, first + done);
        count = dmi_min(tiles_across(s) - at.x / TILE_OUT, STRIP_TILES);
        count = dmi_min(count, tiles - done);
        strip p = strip_of(s, at, count, x);
        for (int32_t c = c0; c < c1; c += STRIP_FLOATS) {
            int32_t channels = dmi_min(c1 - c, STRIP_FLOATS);
            /* The next input: the same pixels' next channels, or after the last the first channels
             * of the next strip. */
            size_t ahead = c + channels < c1
                               ? STRIP_FLOATS
                               : (size_t)(p.column * (count * TILE_OUT >> s->upsample) - (c - c0));
            transform_strip(v + (size_t)done * row + (c - c0), row, step, count, &p, c, channels,
                            s->upsample, ahead);
        }
    }
}
