/* The weight gradient, the adjoint of the convolution: dw = G^T [sum over tiles of (B^T d B) . (A dy A^T)] G, the sum a
 * product of depth `tiles` at each of the 36 positions. Tiles go in rounds: V and D of one round stay in L3. */
#include <string.h>

#include "kernels/product.h"
#include "kernels/winograd_parts.h"

/* Tiles of a round: enough to be worth reading and writing dU, few enough that V and D are still near when products read
 * them (measured: 64 to 192 are alike, 512 takes a quarter longer). */
enum { ROUND_FLOATS = 2560 * 1024, ROUND_TILES_LEAST = 96, ROUND_TILES_MOST = 128, TASK_TILES = 8, TASK_ROWS = 8 };

typedef struct cut {
    int32_t tiles, round_tiles, rounds, panels;
    size_t v_row, v_step;       /* V [position][tile][ci] */
    size_t d_panel, d_step;     /* D [position][panel][tile][PANEL] */
    size_t u_panel, u_step;     /* dU [position][panel][ci][PANEL] */
    size_t zeros;               /* of each transform task: the pixels outside, for x and for dy */
} cut;

static cut cut_of(const dmi_winograd_shape *s) {
    cut c = {.tiles = s->n * tiles_of_picture(s), .panels = panels_of(s->co), .v_row = row_step(s->ci)};
    int32_t most = (int32_t)(ROUND_FLOATS / (POINTS * (c.v_row + (size_t)c.panels * PANEL)));
    if (most < ROUND_TILES_LEAST) most = ROUND_TILES_LEAST;
    if (most > ROUND_TILES_MOST) most = ROUND_TILES_MOST;
    c.rounds = divide_up(c.tiles, most);
    c.round_tiles = divide_up(c.tiles, c.rounds);
    c.v_step = position_step((size_t)c.round_tiles * c.v_row);
    c.d_panel = (size_t)c.round_tiles * PANEL;
    c.d_step = position_step((size_t)c.panels * c.d_panel);
    c.u_panel = (size_t)s->ci * PANEL;
    c.u_step = position_step((size_t)c.panels * c.u_panel);
    c.zeros = row_step(s->ci > s->co ? s->ci : s->co);
    return c;
}

static int32_t tiles_of_round(const cut *c, int32_t round) {
    int32_t left = c->tiles - round * c->round_tiles;
    return left < c->round_tiles ? left : c->round_tiles;
}

size_t DMI_KERNEL(winograd_gradient_floats)(const dmi_winograd_shape *s) {
    cut c = cut_of(s);
    return POINTS * (c.v_step + c.d_step + c.u_step) + (size_t)divide_up(c.round_tiles, TASK_TILES) * c.zeros;
}

int32_t DMI_KERNEL(winograd_gradient_rounds)(const dmi_winograd_shape *s) { return cut_of(s).rounds; }

int32_t DMI_KERNEL(winograd_gradient_transform_tasks)(const dmi_winograd_shape *s) {
    return divide_up(cut_of(s).round_tiles, TASK_TILES);
}

int32_t DMI_KERNEL(winograd_gradient_product_tasks)(const dmi_winograd_shape *s) {
    (void)s;
    return POINTS;
}

int32_t DMI_KERNEL(winograd_gradient_inverse_tasks)(const dmi_winograd_shape *s) {
    return divide_up(s->ci, TASK_ROWS);
}

/* d[position * step] = A dy A^T for one vector of channels of the tile's 16 pixels; the next tile's lie `ahead`. */
static inline void transform(float *d, size_t step, const float *const *pixels, size_t c,
                             size_t ahead) {
    vec rows[TILE_IN][TILE_OUT], result[TILE_IN];
    DMI_UNROLL
    for (int32_t j = 0; j < TILE_OUT * TILE_OUT; j++) prefetch(pixels[j], c + ahead);
    DMI_UNROLL
    for (int32_t j = 0; j < TILE_OUT; j++)
        output_turned_1d(&rows[0][j], TILE_OUT, load(pixels[j] + c), load(pixels[4 + j] + c), load(pixels[8 + j] + c),
                         load(pixels[12 + j] + c));
    DMI_UNROLL
    for (int32_t j = 0; j < TILE_IN; j++) {
        output_turned_1d(result, 1, rows[j][0], rows[j][1], rows[j][2], rows[j][3]);
        DMI_UNROLL
        for (int32_t k = 0; k < TILE_IN; k++) store(d + (size_t)(j * TILE_IN + k) * step, result[k]);
    }
}

/* D of one tile; columns behind the last channel are zero. */
static void transform_dy(const dmi_winograd_shape *s, const cut *c, tile_place at, const float *dy, const float *zeros,
                         float *d) {
    const float *pixels[TILE_OUT * TILE_OUT];
    for (int32_t i = 0; i < TILE_OUT * TILE_OUT; i++) {
        int32_t py = at.y + i / TILE_OUT, px = at.x + i % TILE_OUT;
        size_t place = (((size_t)at.n * (size_t)s->h + (size_t)py) * (size_t)s->w + (size_t)px) * (size_t)s->co;
        pixels[i] = py < s->h && px < s->w ? dy + place : zeros;
    }
    for (int32_t channel = 0; channel < c->panels * PANEL; channel += W) {
        float *to = d + (size_t)(channel / PANEL) * c->d_panel + (size_t)(channel % PANEL), parts[TILE_OUT * TILE_OUT * W];
        if (channel + W <= s->co) {
            transform(to, c->d_step, pixels, (size_t)channel, TILE_OUT * (size_t)s->co);
            continue;
        }
        const float *part[TILE_OUT * TILE_OUT];
        for (int32_t i = 0; i < TILE_OUT * TILE_OUT; i++) {
            vec pixel = {0};
            if (channel < s->co) pixel = load_part(pixels[i] + channel, s->co - channel);
            store(parts + i * W, pixel);
            part[i] = parts + i * W;
        }
        transform(to, c->d_step, part, 0, 0);
    }
}

void DMI_KERNEL(winograd_gradient_transform)(const dmi_winograd_shape *s, float *scratch, const float *x, const float *dy,
                                             int32_t round, int32_t task) {
    cut c = cut_of(s);
    int32_t tiles = tiles_of_round(&c, round), first = task * TASK_TILES;
    int32_t end = tiles - first < TASK_TILES ? tiles : first + TASK_TILES;
    float *v = scratch, *d = v + POINTS * c.v_step;
    float *zeros = d + POINTS * (c.d_step + c.u_step) + (size_t)task * c.zeros;
    memset(zeros, 0, c.zeros * sizeof *zeros);
    DMI_KERNEL(winograd_input)(s, round * c.round_tiles + first, end - first, x, v + (size_t)first * c.v_row, c.v_row, c.v_step);
    for (int32_t t = first; t < end; t++)
        transform_dy(s, &c, place_of(s, round * c.round_tiles + t), dy, zeros, d + (size_t)t * PANEL);
}

/* A task is a position with all its panels, which share V. */
void DMI_KERNEL(winograd_gradient_product)(const dmi_winograd_shape *s, float *scratch, int32_t round, int32_t task) {
    cut c = cut_of(s);
    size_t position = (size_t)task;
    const float *v = scratch + position * c.v_step, *d = scratch + POINTS * c.v_step + position * c.d_step;
    float *u = scratch + POINTS * (c.v_step + c.d_step) + position * c.u_step;
    for (size_t panel = 0; panel < (size_t)c.panels; panel++)
        DMI_KERNEL(multiply_turned)(u + panel * c.u_panel, PANEL, v, c.v_row, d + panel * c.d_panel, PANEL, s->ci, PANEL,
                                    tiles_of_round(&c, round), round > 0);
}

void DMI_KERNEL(winograd_gradient_inverse)(const dmi_winograd_shape *s, float *dw, const float *scratch, bool add,
                                           int32_t task) {
    cut c = cut_of(s);
    int32_t first = task * TASK_ROWS, end = s->ci - first < TASK_ROWS ? s->ci : first + TASK_ROWS;
    const float *u = scratch + POINTS * (c.v_step + c.d_step);
    for (int32_t in = first; in < end; in++) {
        for (int32_t out = 0; out < s->co; out += W) {
            const float *from = u + (size_t)(out / PANEL) * c.u_panel + (size_t)in * PANEL + (size_t)(out % PANEL);
            size_t step = c.u_step;
            vec rows[3][TILE_IN], result[3];
            DMI_UNROLL
            for (int32_t j = 0; j < TILE_IN; j++) {
                const float *p = from + (size_t)j * step;
                weight_turned_1d(&rows[0][j], TILE_IN, load(p), load(p + 6 * step), load(p + 12 * step), load(p + 18 * step),
                                 load(p + 24 * step), load(p + 30 * step));
            }
            for (int32_t j = 0; j < 3; j++) {
                weight_turned_1d(result, 1, rows[j][0], rows[j][1], rows[j][2], rows[j][3], rows[j][4], rows[j][5]);
                for (int32_t k = 0; k < 3; k++) {
                    float *p = dw + ((size_t)(3 * j + k) * (size_t)s->ci + (size_t)in) * (size_t)s->co + (size_t)out;
                    prefetch(p, 2 * (size_t)s->co);
                    vec value = add ? load_part(p, s->co - out) + result[k] : result[k];
                    store_part(p, value, s->co - out);
                }
            }
        }
    }
}
