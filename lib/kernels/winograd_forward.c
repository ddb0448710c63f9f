/* The convolution itself. A task is a block of tiles and a range of output panels: the block's
 * input is transformed once, then panel by panel multiplied at the 36 positions and brought back,
 * so that only one panel's products are ever stored. */
#include "kernels/product.h"
#include "kernels/winograd_parts.h"

/* Blocks are as large as V and one panel's M leave room in a 1 MiB L2, so that reading U is worth
 * it, but not below BLOCK_TILES_LEAST, where the products would wait for U. Their number is rounded
 * so that few threads end together, and where there are fewer than workers, the panels are shared
 * out too. */
enum {
    BLOCK_FLOATS = 150 * 1024,
    BLOCK_TILES_LEAST = 24,
    BLOCK_TILES_MOST = 96,
    BLOCKS_MULTIPLE = 4
};

typedef struct cut {
    int32_t tiles, block_tiles, blocks;
    int32_t panels, splits; /* of the panels, for each block */
    size_t v_row, v_step;   /* V [position][tile][ci] */
    size_t m_step;          /* M [position][tile][PANEL] */
} cut;

static cut cut_of(const dmi_winograd_shape *s) {
    cut c = {.tiles = s->n * tiles_of_picture(s),
             .panels = panels_of(s->co),
             .v_row = row_step(s->ci),
             .splits = 1};
    size_t tile_floats = POINTS * (c.v_row + PANEL);
    int32_t most = (int32_t)(BLOCK_FLOATS / tile_floats);
    if (most < BLOCK_TILES_LEAST) most = BLOCK_TILES_LEAST;
    if (most > BLOCK_TILES_MOST) most = BLOCK_TILES_MOST;
    c.blocks = divide_up(c.tiles, most);
    if (c.blocks > 2) c.blocks = round_up(c.blocks, BLOCKS_MULTIPLE);
    c.block_tiles = divide_up(c.tiles, c.blocks);
    c.blocks = divide_up(c.tiles, c.block_tiles);
    if (c.blocks < s->workers) c.splits = divide_up(s->workers, c.blocks);
    if (c.splits > c.panels) c.splits = c.panels;
    c.v_step = position_step((size_t)c.block_tiles * c.v_row);
    c.m_step = position_step((size_t)c.block_tiles * PANEL);
    return c;
}

int32_t DMI_KERNEL(winograd_blocks)(const dmi_winograd_shape *s) {
    cut c = cut_of(s);
    return c.blocks * c.splits;
}

size_t DMI_KERNEL(winograd_block_floats)(const dmi_winograd_shape *s) {
    cut c = cut_of(s);
    return POINTS * (c.v_step + c.m_step);
}

/* y [4][4][PANEL] = A^T m A for a panel of channels. One body for all tiles. */
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

/* In place: the sums of the four quarters, which come to stand at (0, 0), (0, 1), (1, 0) and (1,
 * 1). */
static void sum_quarters(float *y) {
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

/* Where a tile's outputs of one panel lie: rows x columns pixels of y, as far as they are in the
 * picture. */
typedef struct tile_window {
    size_t first, row; /* floats: the first pixel, and from one row of pixels to the next */
    int32_t rows, columns;
} tile_window;

static tile_window window_of(const dmi_winograd_shape *s, tile_place at, int32_t panel) {
    int32_t shift = s->sum2x2, h = s->h >> shift, w = s->w >> shift, y = at.y >> shift,
            x = at.x >> shift;
    int32_t side = TILE_OUT >> shift;
    size_t co = (size_t)s->co,
           pixel = ((size_t)at.n * (size_t)h + (size_t)y) * (size_t)w + (size_t)x;
    return (tile_window){.first = pixel * co + (size_t)panel * PANEL,
                         .row = (size_t)w * co,
                         .rows = h - y < side ? h - y : side,
                         .columns = w - x < side ? w - x : side};
}

/* Writes a tile's outputs for W channels, or the first `count` of them; `past` the caches. */
static inline __attribute__((always_inline)) void write_vectors(const tile_window *window, float *y,
                                                                const float *residual, size_t co,
                                                                const float *values, vec added,
                                                                bool add, int32_t count,
                                                                bool past) {
    for (int32_t i = 0; i < window->rows; i++) {
        size_t place = window->first + (size_t)i * window->row;
        for (int32_t j = 0; j < window->columns; j++, place += co) {
            vec value = load(values + (i * TILE_OUT + j) * PANEL) + added;
            if (residual) value += load_part(residual + place, count);
            if (add) value += load_part(y + place, count);
            if (past) store_past(y + place, value);
            else store_part(y + place, value, count);
        }
    }
}

/* Writes a tile's outputs for the panel's channels. */
static void write_tile(const dmi_winograd_shape *s, const tile_window *window, int32_t n,
                       int32_t panel, float *y, const float *values, const dmi_epilogue *e,
                       bool past) {
    size_t co = (size_t)s->co;
    for (int32_t half = 0; half < PANEL; half += W) {
        int32_t c = panel * PANEL + half, count = s->co - c;
        if (count <= 0) return;
        vec added = {0};
        if (e->bias) added = load_part(e->bias + c, count);
        if (e->per_image) added += load_part(e->per_image + (size_t)n * co + (size_t)c, count);
        const float *residual = e->residual ? e->residual + half : NULL;
        if (count >= W && past)
            write_vectors(window, y + half, residual, co, values + half, added, e->add, W, true);
        else if (count >= W)
            write_vectors(window, y + half, residual, co, values + half, added, e->add, W, false);
        else
            write_vectors(window, y + half, residual, co, values + half, added, e->add, count,
                          false);
    }
}

static bool goes_past(const dmi_winograd_shape *s, const float *y) {
    size_t floats =
        ((size_t)s->n * (size_t)s->h * (size_t)s->w * (size_t)s->co) >> (s->sum2x2 ? 2 : 0);
    return s->read_late && floats >= DMI_PAST_FLOATS && s->co % W == 0 &&
           (uintptr_t)y % sizeof(vec) == 0;
}

void DMI_KERNEL(winograd_forward)(const dmi_winograd_shape *s, float *y, const float *x,
                                  const float *u, const dmi_epilogue *epilogue, int32_t block,
                                  float *scratch) {
    cut c = cut_of(s);
    int32_t first = block / c.splits * c.block_tiles, split = block % c.splits;
    int32_t tiles = c.tiles - first < c.block_tiles ? c.tiles - first : c.block_tiles;
    float *v = scratch, *m = v + POINTS * c.v_step;
    bool past = goes_past(s, y);
    DMI_KERNEL(winograd_input)(s, first, tiles, 0, s->ci, x, v, c.v_row, c.v_step);
    for (int32_t panel = c.panels * split / c.splits; panel < c.panels * (split + 1) / c.splits;
         panel++) {
        for (int32_t p = 0; p < POINTS; p++) {
            const float *weights = u + ((size_t)panel * POINTS + (size_t)p) * weight_step(s->ci);
            DMI_KERNEL(multiply)
            (m + (size_t)p * c.m_step, PANEL, v + (size_t)p * c.v_step, c.v_row, weights, PANEL,
             tiles, PANEL, s->ci, false);
        }
        for (int32_t t = 0; t < tiles; t++) {
            float values[TILE_OUT * TILE_OUT * PANEL];
            tile_place at = place_of(s, first + t);
            tile_window window = window_of(s, at, panel);
            transform_back(values, m + (size_t)t * PANEL, c.m_step);
            if (s->sum2x2) sum_quarters(values);
            write_tile(s, &window, at.n, panel, y, values, epilogue, past);
        }
    }
    if (past) end_stores_past();
}
