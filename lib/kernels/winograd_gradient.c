/* The weight gradient, the adjoint of the convolution: dw = G^T [sum over tiles of (B^T d B) . (A
 * dy A^T)] G, the sum a product of depth `tiles` at each of the 36 positions. A task is a block of
 * input channels by output channels and a group of tiles, which go in rounds: V, D and the block's
 * dU stay in one processor's L2, at the price of transforming x again for each block of output
 * channels and dy for each of input channels. */
#include <string.h>

#include "kernels/product.h"
#include "kernels/winograd_parts.h"

/* With ROUND_TILES, V and D of a block take 1.0 MB and dU 0.6 MB of a 2 MiB L2; fewer tiles make
 * the products short chains that read and write dU more often. A group has GROUP_TILES at least,
 * since each brings its dU back, and groups make no more than TASKS_MOST tasks. All of it follows
 * from the shape, and so do the bits. */
enum { BLOCK_IN = 64, BLOCK_OUT = 64, ROUND_TILES = 48, GROUP_TILES = 128, TASKS_MOST = 32 };

typedef struct cut {
    int32_t tiles, groups, round_tiles;
    int32_t in_blocks, out_blocks;
    int32_t in, ins, out, outs; /* the task's channels: the first and their number */
    int32_t first, end;         /* the task's tiles */
    size_t v_row, v_step;       /* V [position][tile][ins] */
    size_t d_panel, d_step;     /* D [position][panel][tile][PANEL] */
    size_t u_panel, u_step;     /* dU [position][panel][ins][PANEL] */
} cut;

static int32_t smaller(int32_t a, int32_t b) { return a < b ? a : b; }

static cut cut_of(const dmi_winograd_shape *s) {
    cut c = {.tiles = s->n * tiles_of_picture(s), .groups = 1};
    c.in_blocks = divide_up(s->ci, BLOCK_IN);
    c.out_blocks = divide_up(s->co, BLOCK_OUT);
    c.groups = smaller(c.tiles / GROUP_TILES, TASKS_MOST / (c.in_blocks * c.out_blocks));
    if (c.groups < 1) c.groups = 1;
    int32_t most = divide_up(c.tiles, c.groups);
    c.round_tiles = divide_up(most, divide_up(most, ROUND_TILES));
    const int32_t ins = smaller(s->ci, BLOCK_IN), panels = panels_of(smaller(s->co, BLOCK_OUT));
    c.v_row = row_step(ins);
    c.v_step = position_step((size_t)c.round_tiles * c.v_row);
    c.d_panel = (size_t)c.round_tiles * PANEL;
    c.d_step = position_step((size_t)panels * c.d_panel);
    c.u_panel = (size_t)ins * PANEL;
    c.u_step = position_step((size_t)panels * c.u_panel);
    return c;
}

static cut cut_of_task(const dmi_winograd_shape *s, int32_t task) {
    cut c = cut_of(s);
    int32_t blocks = c.in_blocks * c.out_blocks, group = task / blocks;
    c.in = task % blocks / c.out_blocks * BLOCK_IN;
    c.out = task % c.out_blocks * BLOCK_OUT;
    c.ins = smaller(s->ci - c.in, BLOCK_IN);
    c.outs = smaller(s->co - c.out, BLOCK_OUT);
    c.first = (int32_t)((int64_t)c.tiles * group / c.groups);
    c.end = (int32_t)((int64_t)c.tiles * (group + 1) / c.groups);
    return c;
}

int32_t DMI_KERNEL(winograd_gradient_groups)(const dmi_winograd_shape *s) {
    return cut_of(s).groups;
}

int32_t DMI_KERNEL(winograd_gradient_tasks)(const dmi_winograd_shape *s) {
    cut c = cut_of(s);
    return c.groups * c.in_blocks * c.out_blocks;
}

size_t DMI_KERNEL(winograd_gradient_floats)(const dmi_winograd_shape *s) {
    cut c = cut_of(s);
    return POINTS * (c.v_step + c.d_step + c.u_step);
}

/* d[position * step] = A dy A^T for one vector of channels of the tile's 16 pixels; the next tile's
 * lie `ahead`. */
static inline void transform(float *d, size_t step, const float *const *pixels, size_t c,
                             size_t ahead) {
    vec rows[TILE_IN][TILE_OUT], result[TILE_IN];
    DMI_UNROLL
    for (int32_t j = 0; j < TILE_OUT * TILE_OUT; j++) prefetch(pixels[j], c + ahead);
    DMI_UNROLL
    for (int32_t j = 0; j < TILE_OUT; j++)
        output_turned_1d(&rows[0][j], TILE_OUT, load(pixels[j] + c), load(pixels[4 + j] + c),
                         load(pixels[8 + j] + c), load(pixels[12 + j] + c));
    DMI_UNROLL
    for (int32_t j = 0; j < TILE_IN; j++) {
        output_turned_1d(result, 1, rows[j][0], rows[j][1], rows[j][2], rows[j][3]);
        DMI_UNROLL
        for (int32_t k = 0; k < TILE_IN; k++)
            store(d + (size_t)(j * TILE_IN + k) * step, result[k]);
    }
}

/* D of one tile; columns behind the last channel are zero. */
static void transform_dy(const dmi_winograd_shape *s, const cut *c, tile_place at, const float *dy,
                         float *d) {
    static const float zeros[BLOCK_OUT];
    const float *pixels[TILE_OUT * TILE_OUT];
    for (int32_t i = 0; i < TILE_OUT * TILE_OUT; i++) {
        int32_t py = at.y + i / TILE_OUT, px = at.x + i % TILE_OUT;
        size_t place = (((size_t)at.n * (size_t)s->h + (size_t)py) * (size_t)s->w + (size_t)px) *
                       (size_t)s->co;
        pixels[i] = py < s->h && px < s->w ? dy + place + c->out : zeros;
    }
    for (int32_t channel = 0; channel < panels_of(c->outs) * PANEL; channel += W) {
        float *to = d + (size_t)(channel / PANEL) * c->d_panel + (size_t)(channel % PANEL),
              parts[TILE_OUT * TILE_OUT * W];
        if (channel + W <= c->outs) {
            transform(to, c->d_step, pixels, (size_t)channel, TILE_OUT * (size_t)s->co);
            continue;
        }
        const float *part[TILE_OUT * TILE_OUT];
        for (int32_t i = 0; i < TILE_OUT * TILE_OUT; i++) {
            store(parts + i * W, load_part(pixels[i] + channel, c->outs - channel));
            part[i] = parts + i * W;
        }
        transform(to, c->d_step, part, 0, 0);
    }
}

/* dw of the task's channels from dU. */
static void inverse(const dmi_winograd_shape *s, const cut *c, float *dw, const float *u,
                    bool add) {
    const size_t step = c->u_step;
    for (int32_t in = 0; in < c->ins; in++) {
        for (int32_t out = 0; out < c->outs; out += W) {
            const float *from =
                u + (size_t)(out / PANEL) * c->u_panel + (size_t)in * PANEL + (size_t)(out % PANEL);
            vec rows[3][TILE_IN], result[3];
            DMI_UNROLL
            for (int32_t j = 0; j < TILE_IN; j++) {
                const float *p = from + (size_t)j * step;
                weight_turned_1d(&rows[0][j], TILE_IN, load(p), load(p + 6 * step),
                                 load(p + 12 * step), load(p + 18 * step), load(p + 24 * step),
                                 load(p + 30 * step));
            }
            for (int32_t j = 0; j < 3; j++) {
                weight_turned_1d(result, 1, rows[j][0], rows[j][1], rows[j][2], rows[j][3],
                                 rows[j][4], rows[j][5]);
                for (int32_t k = 0; k < 3; k++) {
                    size_t row = (size_t)(3 * j + k) * (size_t)s->ci + (size_t)(c->in + in);
                    float *p = dw + row * (size_t)s->co + (size_t)(c->out + out);
                    prefetch(p, 2 * (size_t)s->co);
                    vec value = add ? load_part(p, c->outs - out) + result[k] : result[k];
                    store_part(p, value, c->outs - out);
                }
            }
        }
    }
}

void DMI_KERNEL(winograd_gradient)(const dmi_winograd_shape *s, float *dw, const float *x,
                                   const float *dy, bool add, int32_t task, float *scratch) {
    const cut c = cut_of_task(s, task);
    float *v = scratch, *d = v + POINTS * c.v_step, *u = d + POINTS * c.d_step;
    for (int32_t first = c.first, tiles; first < c.end; first += tiles) {
        tiles = smaller(c.end - first, c.round_tiles);
        DMI_KERNEL(winograd_input)(s, first, tiles, c.in, c.in + c.ins, x, v, c.v_row, c.v_step);
        for (int32_t t = 0; t < tiles; t++)
            transform_dy(s, &c, place_of(s, first + t), dy, d + (size_t)t * PANEL);
        for (size_t p = 0; p < POINTS; p++) {
            for (size_t panel = 0; panel < (size_t)panels_of(c.outs); panel++)
                DMI_KERNEL(multiply_turned)
            (u + p * c.u_step + panel * c.u_panel, PANEL, v + p * c.v_step, c.v_row,
             d + p * c.d_step + panel * c.d_panel, PANEL, c.ins, PANEL, tiles, first > c.first);
        }
    }
    inverse(s, &c, dw, u, add);
}
