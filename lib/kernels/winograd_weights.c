/* U = G g G^T for every pair of channels, in the panels that product.h reads: [panel of out][position][in][PANEL]. Columns
 * behind the last channel are zero. */
#include <string.h>

#include "kernels/product.h"
#include "kernels/winograd_parts.h"

/* Input channels of a task, a multiple of every W. */
enum { TASK_CHANNELS = 32 };

size_t DMI_KERNEL(winograd_weight_floats)(int32_t ci, int32_t co) {
    return (size_t)panels_of(co) * POINTS * weight_step(ci);
}

int32_t DMI_KERNEL(winograd_weight_tasks)(int32_t ci, int32_t co) { return panels_of(co) * divide_up(ci, TASK_CHANNELS); }

/* u[position * step] for one vector of channels: g [9][W]. */
static void transform(float *u, size_t step, const vec *g) {
    vec rows[TILE_IN][3], result[TILE_IN];
    DMI_UNROLL
    for (int32_t j = 0; j < 3; j++) weight_1d(&rows[0][j], 3, g[j], g[3 + j], g[6 + j]);
    DMI_UNROLL
    for (int32_t j = 0; j < TILE_IN; j++) {
        weight_1d(result, 1, rows[j][0], rows[j][1], rows[j][2]);
        DMI_UNROLL
        for (int32_t k = 0; k < TILE_IN; k++) store(u + (size_t)(j * TILE_IN + k) * step, result[k]);
    }
}

void DMI_KERNEL(winograd_weights)(float *u, const float *w, int32_t ci, int32_t co, int32_t task) {
    int32_t chunks = divide_up(ci, TASK_CHANNELS), panel = task / chunks, first = task % chunks * TASK_CHANNELS;
    int32_t end = ci - first < TASK_CHANNELS ? ci : first + TASK_CHANNELS;
    size_t step = weight_step(ci), tap = (size_t)ci * (size_t)co;
    for (int32_t in = first; in < end; in++) {
        for (int32_t half = 0; half < PANEL; half += W) {
            int32_t out = panel * PANEL + half;
            vec g[9] = {0};
            for (int32_t k = 0; k < 9 && out < co; k++)
                g[k] = load_part(w + (size_t)k * tap + (size_t)in * (size_t)co + (size_t)out, co - out);
            transform(u + (size_t)panel * POINTS * step + (size_t)in * PANEL + half, step, g);
        }
    }
}

/* to [W][W] = `from` turned over, as far as it has rows and columns, and zeros. */
static void transpose_square(float *to, const float *from, size_t stride, int32_t rows, int32_t columns) {
    if (rows < W || columns < W) memset(to, 0, W * W * sizeof *to);
    if (rows > 0) DMI_KERNEL(transpose)(to, W, from, stride, rows < W ? rows : W, columns < W ? columns : W);
}

/* Here the convolution's inputs are w's outputs: its panels run over ci, its products' depth over co. */
void DMI_KERNEL(winograd_weights_turned)(float *u, const float *w, int32_t ci, int32_t co, int32_t task) {
    int32_t chunks = divide_up(co, TASK_CHANNELS), panel = task / chunks, first = task % chunks * TASK_CHANNELS;
    int32_t end = co - first < TASK_CHANNELS ? co : first + TASK_CHANNELS;
    size_t step = weight_step(co), tap = (size_t)ci * (size_t)co;
    for (int32_t half = 0; half < PANEL; half += W) {
        int32_t out = panel * PANEL + half;
        for (int32_t in = first; in < end; in += W) {
            float square[9][W * W];
            for (int32_t k = 0; k < 9; k++)
                transpose_square(square[8 - k], w + (size_t)k * tap + (size_t)(out < ci ? out : 0) * (size_t)co + (size_t)in,
                                 (size_t)co, ci - out, co - in);
            for (int32_t i = 0; i < W && in + i < end; i++) {
                vec g[9];
                for (int32_t k = 0; k < 9; k++) g[k] = load(square[k] + i * W);
                transform(u + (size_t)panel * POINTS * step + (size_t)(in + i) * PANEL + half, step, g);
            }
        }
    }
}
