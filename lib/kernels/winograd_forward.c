/* SPDX-License-Identifier: MIT */
/* The convolution itself. A task is a block of tiles and a range of output panels: the block's
 * input is transformed once, then panel by panel multiplied at the 36 points and transformed back,
 * so that only one panel's products are ever stored. */
#include "kernels/product.h"
#include "kernels/winograd_tiles.h"

/* A block is as large as V and one panel's M leave room in an L2 of 1 MiB, so that reading U costs
 * little per tile, but has at least BLOCK_TILES_MIN tiles, below which the products would wait for
 * U. The number of blocks is rounded so that few threads finish together; where there are fewer
 * blocks than workers, each block's panels are divided among several tasks. */
enum { BLOCK_FLOATS = 150 * 1024, BLOCK_TILES_MIN = 24, BLOCK_TILES_MAX = 96, BLOCKS_MULTIPLE = 4 };

/* The tasks of a convolution, and the layout of a worker's scratch. */
typedef struct partition {
    int32_t tiles, block_tiles, blocks;
    int32_t panels, splits; /* tasks among which the panels of each block are divided */
    size_t v_row, v_step;   /* V [point][tile][ci] */
    size_t m_step;          /* M [point][tile][PANEL] */
} partition;

static partition partition_of(const dmi_winograd_shape *s) {
    partition p = {.tiles = s->n * tiles_of_image(s),
                   .panels = panels_of(s->co),
                   .v_row = row_step(s->ci),
                   .splits = 1};
    int32_t tiles_max = (int32_t)(BLOCK_FLOATS / (POINTS * (p.v_row + PANEL)));
    tiles_max = dmi_min(dmi_max(tiles_max, BLOCK_TILES_MIN), BLOCK_TILES_MAX);
    p.blocks = dmi_divide_up(p.tiles, tiles_max);
    if (p.blocks > 2) p.blocks = dmi_round_up(p.blocks, BLOCKS_MULTIPLE);
    p.block_tiles = dmi_divide_up(p.tiles, p.blocks);
    p.blocks = dmi_divide_up(p.tiles, p.block_tiles);
    if (p.blocks < s->workers) p.splits = dmi_divide_up(s->workers, p.blocks);
    p.splits = dmi_min(p.splits, p.panels);
    p.v_step = point_step((size_t)p.block_tiles * p.v_row);
    p.m_step = point_step((size_t)p.block_tiles * PANEL);
    return p;
}

int32_t DMI_STORED_KERNEL(winograd_blocks)(const dmi_winograd_shape *s) {
    const partition p = partition_of(s);
    return p.blocks * p.splits;
}

size_t DMI_STORED_KERNEL(winograd_block_floats)(const dmi_winograd_shape *s) {
    const partition p = partition_of(s);
    return POINTS * (p.v_step + p.m_step);
}

/* y [4][4][PANEL] = A^T m A for a panel of channels; m[point * step]. Not inlined: the code exists
 * once for all callers. */
static __attribute__((noinline)) void transform_back(float *y, const float *m, size_t step) {
    for (int32_t half = 0; half < PANEL; half += W, m += W, y += W) {
        vec rows[TILE_OUT][TILE_IN], result[TILE_OUT];
        DMI_UNROLL
        for (int32_t j = 0; j < TILE_IN; j++) {
            const float *p = m + (size_t)j * step;
            output_1d(&rows[0][j], TILE_IN, load(p), load(p + 6 * step), load(p + 12 * step),
                      load(p + 18 * step), load(p + 24 * step), load(p + 30 * step));
        }
        DMI_UNROLL
        for (int32_t j = 0; j < TILE_OUT; j++) {
            output_1d(result, 1, rows[j][0], rows[j][1], rows[j][2], rows[j][3], rows[j][4],
                      rows[j][5]);
            DMI_UNROLL
            for (int32_t k = 0; k < TILE_OUT; k++) store(y + (j * TILE_OUT + k) * PANEL, result[k]);
        }
    }
}

/* y [4][4][PANEL], in place: the sums of 2x2 pixels, at (0, 0), (0, 1), (1, 0) and (1, 1). */
static void sum_2x2(float *y) {
    for (int32_t half = 0; half < PANEL; half += W, y += W) {
        for (int32_t i = 0; i < 2; i++) {
            for (int32_t j = 0; j < 2; j++) {
                const float *p = y + (2 * i * TILE_OUT + 2 * j) * PANEL;
                vec sum = (load(p) + load(p + PANEL)) +
                          (load(p + TILE_OUT * PANEL) + load(p + TILE_OUT * PANEL + PANEL));
                store(y + (i * TILE_OUT + j) * PANEL, sum);
            }
        }
    }
}

/* The outputs of a tile for one panel: rows x columns pixels of y, as many as are in the image. */
typedef struct tile_window {
    size_t first, row; /* floats: to the first pixel, and from one row of pixels to the next */
    int32_t rows, columns;
} tile_window;

static tile_window window_of(const dmi_winograd_shape *s, tile_position at, int32_t panel) {
    const int32_t shift = s->sum2x2, side = TILE_OUT >> shift;
    const int32_t h = s->h >> shift, w = s->w >> shift, y = at.y >> shift, x = at.x >> shift;
    const size_t co = (size_t)s->co,
                 pixel = ((size_t)at.n * (size_t)h + (size_t)y) * (size_t)w + (size_t)x;
    return (tile_window){.first = pixel * co + (size_t)panel * PANEL,
                         .row = (size_t)w * co,
                         .rows = dmi_min(h - y, side),
                         .columns = dmi_min(w - x, side)};
}

/* What is added to a tile's outputs of one vector of channels. */
typedef struct tile_addend {
    vec bias;               /* of all pixels */
    const stored *residual; /* like y, or NULL */
    bool add;               /* y itself */
} tile_addend;

/* Writes W channels, or the first `count` of them, of a tile's outputs: values [4][4][PANEL]. */
static inline __attribute__((always_inline)) void write_vectors(stored *y, const float *values,
                                                                const tile_window *window,
                                                                size_t co, const tile_addend added,
                                                                int32_t count, bool non_temporal) {
    for (int32_t i = 0; i < window->rows; i++) {
        size_t at = window->first + (size_t)i * window->row;
        for (int32_t j = 0; j < window->columns; j++, at += co) {
            vec value = load(values + (i * TILE_OUT + j) * PANEL) + added.bias;
            if (added.residual) value += load_stored_part(added.residual + at, count);
            if (added.add) value += load_stored_part(y + at, count);
            if (non_temporal) store_stored_streaming(y + at, value);
            else store_stored_part(y + at, value, count);
        }
    }
}

/* Writes the panel's channels of a tile's outputs: values [4][4][PANEL]. */
static void write_tile(stored *y, const float *values, const dmi_winograd_shape *s,
                       tile_position at, int32_t panel, const dmi_epilogue *e, bool non_temporal) {
    const tile_window window = window_of(s, at, panel);
    const size_t co = (size_t)s->co;
    for (int32_t half = 0; half < PANEL; half += W) {
        int32_t c = panel * PANEL + half, count = s->co - c;
        if (count <= 0) return;
        const stored *residual = e->residual;
        tile_addend added = {.residual = residual ? residual + half : NULL, .add = e->add};
        if (e->bias) added.bias = load_part(e->bias + c, count);
        if (e->per_image)
            added.bias += load_part(e->per_image + (size_t)at.n * co + (size_t)c, count);
        stored *to = y + half;
        const float *from = values + half;
        if (count >= W && non_temporal) write_vectors(to, from, &window, co, added, W, true);
        else if (count >= W) write_vectors(to, from, &window, co, added, W, false);
        else write_vectors(to, from, &window, co, added, count, false);
    }
}

static bool is_non_temporal(const dmi_winograd_shape *s, const stored *y) {
    size_t floats =
        ((size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->co) >> (s->sum2x2 ? 2 : 0);
    return STORED_LINES && s->non_temporal && floats >= DMI_NON_TEMPORAL_FLOATS && s->co % W == 0 &&
           (uintptr_t)y % sizeof(vec) == 0;
}

void DMI_STORED_KERNEL(winograd_forward)(const dmi_winograd_shape *s, void *y, const void *x,
                                         const float *u, const dmi_epilogue *epilogue,
                                         int32_t block, float *scratch) {
    const partition p = partition_of(s);
    const int32_t first = block / p.splits * p.block_tiles, split = block % p.splits,
                  tiles = dmi_min(p.tiles - first, p.block_tiles);
    const int32_t panel_end = p.panels * (split + 1) / p.splits;
    const bool non_temporal = is_non_temporal(s, y);
    float *v = scratch, *m = v + POINTS * p.v_step;
    DMI_STORED_KERNEL(winograd_input)(s, first, tiles, 0, s->ci, x, v, p.v_row, p.v_step);
    for (int32_t panel = p.panels * split / p.splits; panel < panel_end; panel++) {
        const float *weights = u + (size_t)panel * POINTS * weight_step(s->ci);
        for (size_t point = 0; point < POINTS; point++) {
            DMI_KERNEL(multiply)
            (m + point * p.m_step, PANEL, v + point * p.v_step, p.v_row,
             weights + point * weight_step(s->ci), PANEL, tiles, PANEL, s->ci, false);
        }
        for (int32_t t = 0; t < tiles; t++) {
            float values[TILE_OUT * TILE_OUT * PANEL];
            transform_back(values, m + (size_t)t * PANEL, p.m_step);
            if (s->sum2x2) sum_2x2(values);
            write_tile(y, values, s, position_of(s, first + t), panel, epilogue, non_temporal);
        }
    }
    if (non_temporal) end_streaming();
}
