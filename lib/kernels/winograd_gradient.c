/* SPDX-License-Identifier: MIT */
/* The weight gradient, the adjoint of the convolution:
 *
 *   dw = G^T dU G,  dU = sum over tiles of V . D,  V = B^T x B,  D = A dy A^T,
 *
 * with the matrices of winograd_points.h, x and dy being a tile's pixels. At each of the 36 points
 * the sum is a product of depth `tiles`: dU [in, out] = V^T [in, tile] D [tile, out]. A task is a
 * block of input channels by output channels and a group of tiles, which is processed in rounds: V,
 * D and the block's dU stay in one processor's L2, at the cost of transforming x again for each
 * block of output channels and dy for each of input channels. The caller adds the groups' dw. */

#include "kernels/product.h"
#include "kernels/winograd_tiles.h"

/* With ROUND_TILES, V and D of a block take 1.0 MB and dU 0.6 MB of a 2 MiB L2; in rounds of fewer
 * tiles, the products are shorter and read and write dU more often. A group has at least
 * GROUP_TILES tiles, since each transforms its dU back, and groups make at most TASKS_MAX tasks.
 * All of it follows from the shape, and so do the bits. */
enum { BLOCK_IN = 64, BLOCK_OUT = 64, ROUND_TILES = 48, GROUP_TILES = 128, TASKS_MAX = 32 };

/* The tasks of a weight gradient: [group][in block][out block]. */
typedef struct partition {
    int32_t tiles, groups;
    int32_t in_blocks, out_blocks;
    int32_t round_tiles; /* at most, of a round */
} partition;

/* A worker's scratch: the floats between neighbours in each dimension. */
typedef struct layout {
    size_t v_row, v_step;   /* V [point][tile][in] */
    size_t d_panel, d_step; /* D [point][panel][tile][PANEL] */
    size_t u_panel, u_step; /* dU [point][panel][in][PANEL] */
} layout;

/* One task. */
typedef struct block {
    int32_t in, in_count;   /* input channels in to in + in_count - 1 */
    int32_t out, out_count; /* output channels, likewise */
    int32_t first, end;     /* tiles first to end - 1 */
} block;

static partition partition_of(const dmi_winograd_shape *s) {
    partition p = {.tiles = s->n * tiles_of_image(s),
                   .in_blocks = dmi_divide_up(s->ci, BLOCK_IN),
                   .out_blocks = dmi_divide_up(s->co, BLOCK_OUT)};
    p.groups = dmi_min(p.tiles / GROUP_TILES, TASKS_MAX / (p.in_blocks * p.out_blocks));
    p.groups = dmi_max(p.groups, 1);
    int32_t group_tiles = dmi_divide_up(p.tiles, p.groups);
    p.round_tiles = dmi_divide_up(group_tiles, dmi_divide_up(group_tiles, ROUND_TILES));
    return p;
}

static layout layout_of(const dmi_winograd_shape *s, int32_t round_tiles) {
    const int32_t in_count = dmi_min(s->ci, BLOCK_IN),
                  panels = panels_of(dmi_min(s->co, BLOCK_OUT));
    layout l = {.v_row = row_step(in_count),
                .d_panel = (size_t)round_tiles * PANEL,
                .u_panel = (size_t)in_count * PANEL};
    l.v_step = point_step((size_t)round_tiles * l.v_row);
    l.d_step = point_step((size_t)panels * l.d_panel);
    l.u_step = point_step((size_t)panels * l.u_panel);
    return l;
}

static block block_of(const dmi_winograd_shape *s, const partition *p, int32_t task) {
    const int32_t blocks = p->in_blocks * p->out_blocks, group = task / blocks;
    block b = {.in = task % blocks / p->out_blocks * BLOCK_IN,
               .out = task % p->out_blocks * BLOCK_OUT,
               .first = (int32_t)((int64_t)p->tiles * group / p->groups),
               .end = (int32_t)((int64_t)p->tiles * (group + 1) / p->groups)};
    b.in_count = dmi_min(s->ci - b.in, BLOCK_IN);
    b.out_count = dmi_min(s->co - b.out, BLOCK_OUT);
    return b;
}

int32_t DMI_STORED_KERNEL(winograd_gradient_groups)(const dmi_winograd_shape *s) {
    return partition_of(s).groups;
}

int32_t DMI_STORED_KERNEL(winograd_gradient_tasks)(const dmi_winograd_shape *s) {
    const partition p = partition_of(s);
    return p.groups * p.in_blocks * p.out_blocks;
}

size_t DMI_STORED_KERNEL(winograd_gradient_floats)(const dmi_winograd_shape *s) {
    const layout l = layout_of(s, partition_of(s).round_tiles);
    return POINTS * (l.v_step + l.d_step + l.u_step);
}

/* d[point * step] = A dy A^T for one vector of channels, from c on, of the tile's 4x4 pixels of dy;
 * the pixels of the next tile, `ahead` floats after these, are prefetched. */
static inline void transform_vector(float *d, size_t step, const stored *const *pixels, size_t c,
                                    size_t ahead) {
    vec rows[TILE_IN][TILE_OUT], result[TILE_IN];
    DMI_UNROLL
    for (int32_t j = 0; j < TILE_OUT * TILE_OUT; j++) prefetch_stored(pixels[j], c + ahead);
    DMI_UNROLL
    for (int32_t j = 0; j < TILE_OUT; j++)
        output_adjoint_1d(&rows[0][j], TILE_OUT, load_stored(pixels[j] + c),
                          load_stored(pixels[TILE_OUT + j] + c),
                          load_stored(pixels[2 * TILE_OUT + j] + c),
                          load_stored(pixels[3 * TILE_OUT + j] + c));
    DMI_UNROLL
    for (int32_t j = 0; j < TILE_IN; j++) {
        output_adjoint_1d(result, 1, rows[j][0], rows[j][1], rows[j][2], rows[j][3]);
        DMI_UNROLL
        for (int32_t k = 0; k < TILE_IN; k++)
            store(d + (size_t)(j * TILE_IN + k) * step, result[k]);
    }
}

/* d = D of the tile at `at` and the block's output channels. Channels past the last one and
 * pixels outside the image count as zeros. */
static void transform_dy(float *d, const stored *dy, const dmi_winograd_shape *s, const layout *l,
                         const block *b, tile_position at) {
    static const stored zeros[BLOCK_OUT];
    const size_t co = (size_t)s->co;
    const stored *pixels[TILE_OUT * TILE_OUT];
    for (int32_t i = 0; i < TILE_OUT * TILE_OUT; i++) {
        int32_t y = at.y + i / TILE_OUT, x = at.x + i % TILE_OUT;
        size_t pixel = ((size_t)at.n * (size_t)s->h + (size_t)y) * (size_t)s->w + (size_t)x;
        pixels[i] = y < s->h && x < s->w ? dy + pixel * co + b->out : zeros;
    }
    for (int32_t c = 0; c < panels_of(b->out_count) * PANEL; c += W) {
        float *to = d + (size_t)(c / PANEL) * l->d_panel + (size_t)(c % PANEL);
        if (c + W <= b->out_count) {
            transform_vector(to, l->d_step, pixels, (size_t)c, TILE_OUT * co);
            continue;
        }
        stored padded[TILE_OUT * TILE_OUT][W];
        const stored *padded_pixels[TILE_OUT * TILE_OUT];
        for (int32_t i = 0; i < TILE_OUT * TILE_OUT; i++) {
            store_stored(padded[i], load_stored_part(pixels[i] + c, b->out_count - c));
            padded_pixels[i] = padded[i];
        }
        transform_vector(to, l->d_step, padded_pixels, 0, 0);
    }
}

/* dw [3, 3, ci, co] of the block's channels = (or +=) G^T dU G. */
static void transform_back(float *dw, const float *u, const dmi_winograd_shape *s, const layout *l,
                           const block *b, bool add) {
    const size_t step = l->u_step, co = (size_t)s->co;
    for (int32_t in = 0; in < b->in_count; in++) {
        for (int32_t out = 0; out < b->out_count; out += W) {
            const float *from =
                u + (size_t)(out / PANEL) * l->u_panel + (size_t)in * PANEL + (size_t)(out % PANEL);
            vec rows[3][TILE_IN], result[3];
            DMI_UNROLL
            for (int32_t j = 0; j < TILE_IN; j++) {
                const float *p = from + (size_t)j * step; /* column j of the 6x6 points */
                weight_adjoint_1d(&rows[0][j], TILE_IN, load(p), load(p + 6 * step),
                                  load(p + 12 * step), load(p + 18 * step), load(p + 24 * step),
                                  load(p + 30 * step));
            }
            for (int32_t j = 0; j < 3; j++) {
                weight_adjoint_1d(result, 1, rows[j][0], rows[j][1], rows[j][2], rows[j][3],
                                  rows[j][4], rows[j][5]);
                for (int32_t k = 0; k < 3; k++) {
                    size_t row = (size_t)(3 * j + k) * (size_t)s->ci + (size_t)(b->in + in);
                    float *p = dw + row * co + (size_t)(b->out + out);
                    const int32_t count = b->out_count - out;
                    prefetch(p, 2 * co);
                    store_part(p, add ? load_part(p, count) + result[k] : result[k], count);
                }
            }
        }
    }
}

/* dU = (or +=) V^T D of a round of `tiles` tiles, at every point. */
static void multiply_round(float *u, const float *v, const float *d, const layout *l,
                           const block *b, int32_t tiles, bool add) {
    const size_t panels = (size_t)panels_of(b->out_count);
    for (size_t point = 0; point < POINTS; point++) {
        for (size_t panel = 0; panel < panels; panel++) {
            DMI_KERNEL(multiply_transposed)
            (u + point * l->u_step + panel * l->u_panel, PANEL, v + point * l->v_step, l->v_row,
             d + point * l->d_step + panel * l->d_panel, PANEL, b->in_count, PANEL, tiles, add);
        }
    }
}

void DMI_STORED_KERNEL(winograd_gradient)(const dmi_winograd_shape *s, float *dw, const void *x,
                                          const void *dy, bool add, int32_t task, float *scratch) {
    const partition p = partition_of(s);
    const layout l = layout_of(s, p.round_tiles);
    const block b = block_of(s, &p, task);
    float *v = scratch, *d = v + POINTS * l.v_step, *u = d + POINTS * l.d_step;
    int32_t tiles;
    for (int32_t first = b.first; first < b.end; first += tiles) {
        tiles = dmi_min(b.end - first, p.round_tiles);
        DMI_STORED_KERNEL(winograd_input)
        (s, first, tiles, b.in, b.in + b.in_count, x, v, l.v_row, l.v_step);
        for (int32_t t = 0; t < tiles; t++)
            transform_dy(d + (size_t)t * PANEL, dy, s, &l, &b, position_of(s, first + t));
        multiply_round(u, v, d, &l, &b, tiles, first > b.first);
    }
    transform_back(dw, u, s, &l, &b, add);
}
