/* SPDX-License-Identifier: MIT */
/* U = G g G^T for every pair of channels, in the panels that product.h reads: [panel of
 * out][point][in][PANEL]. Columns past the last channel are zero. */
#include <string.h>

#include "kernels/product.h"
#include "kernels/winograd_tiles.h"

/* w mostly comes from main memory, so a task reads whole rows of it in order. */
enum {
    TASK_ROWS = 16, /* rows of w, [co] each, of a task */
    AHEAD_ROWS = 2  /* distance of the prefetches, in rows */
};

size_t DMI_KERNEL(winograd_weight_floats)(int32_t ci, int32_t co) {
    return (size_t)panels_of(co) * POINTS * weight_step(ci);
}

int32_t DMI_KERNEL(winograd_weight_tasks)(int32_t ci, int32_t co) {
    (void)co;
    return dmi_divide_up(ci, TASK_ROWS);
}

int32_t DMI_KERNEL(winograd_rotated_tasks)(int32_t ci, int32_t co) {
    (void)co;
    return dmi_divide_up(ci, W);
}

/* u[point * step] for one vector of channels: g [9][W]. */
static void transform(float *u, size_t step, const vec *g) {
    vec rows[TILE_IN][3], result[TILE_IN];
    DMI_UNROLL
    for (int32_t j = 0; j < 3; j++) weight_1d(&rows[0][j], 3, g[j], g[3 + j], g[6 + j]);
    DMI_UNROLL
    for (int32_t j = 0; j < TILE_IN; j++) {
        weight_1d(result, 1, rows[j][0], rows[j][1], rows[j][2]);
        DMI_UNROLL
        for (int32_t k = 0; k < TILE_IN; k++)
            store(u + (size_t)(j * TILE_IN + k) * step, result[k]);
    }
}

void DMI_KERNEL(winograd_weight_transform)(float *u, const float *w, int32_t ci, int32_t co,
                                           int32_t task) {
    int32_t first = task * TASK_ROWS, end = dmi_min(ci, first + TASK_ROWS);
    size_t step = weight_step(ci), tap = (size_t)ci * (size_t)co;
    for (int32_t in = first; in < end; in++) {
        for (int32_t out = 0; out < panels_of(co) * PANEL; out += W) {
            vec g[9] = {0};
            for (int32_t k = 0; k < 9 && out < co; k++) {
                const float *from = w + (size_t)k * tap + (size_t)in * (size_t)co + (size_t)out;
                g[k] = load_part(from, co - out);
                prefetch(from, AHEAD_ROWS * (size_t)co);
            }
            transform(u + (size_t)(out / PANEL) * POINTS * step + (size_t)in * PANEL +
                          (size_t)(out % PANEL),
                      step, g);
        }
    }
}

/* to [W][W] = from [rows, columns] (row stride) transposed, as much of it as fits, and zeros. */
static void transpose_square(float *to, const float *from, size_t stride, int32_t rows,
                             int32_t columns) {
    if (rows < W || columns < W) memset(to, 0, W * W * sizeof *to);
    if (rows > 0) DMI_KERNEL(transpose)(to, W, from, stride, dmi_min(rows, W), dmi_min(columns, W));
}

/* The convolution co -> ci: its panels run over ci, the depth of its products over co. A task is
 * one vector of ci; the last one also fills its panel with zeros. The rotation by 180 degrees makes
 * tap k tap 8 - k. */
void DMI_KERNEL(winograd_weight_transform_rotated)(float *u, const float *w, int32_t ci, int32_t co,
                                                   int32_t task) {
    size_t step = weight_step(co), tap = (size_t)ci * (size_t)co;
    int32_t out = task * W, end = task + 1 < dmi_divide_up(ci, W) ? out + W : panels_of(ci) * PANEL;
    for (; out < end; out += W) {
        for (int32_t in = 0; in < co; in += W) {
            float square[9][W * W];
            for (int32_t k = 0; k < 9; k++)
                transpose_square(square[8 - k],
                                 w + (size_t)k * tap + (size_t)(out < ci ? out : 0) * (size_t)co +
                                     (size_t)in,
                                 (size_t)co, ci - out, co - in);
            for (int32_t i = 0; i < W && in + i < co; i++) {
                vec g[9];
                for (int32_t k = 0; k < 9; k++) {
                    g[k] = load(square[k] + i * W);
                    prefetch(w + (size_t)k * tap + (size_t)in + W,
                             (size_t)(out + i) * (size_t)co); /* of the next square */
                }
                transform(u + (size_t)(out / PANEL) * POINTS * step + (size_t)(in + i) * PANEL +
                              (size_t)(out % PANEL),
                          step, g);
            }
        }
    }
}
