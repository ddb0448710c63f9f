/* U = G g G^T for every pair of channels, in the panels that product.h reads: [panel of out][position][in][PANEL]. Columns
 * behind the last channel are zero. */
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

/* to [W][W] = the transpose of from [W][W] (row stride `stride`), rows below `rows` and columns below `columns`, zero
 * elsewhere; in squares of four. */
static void transpose(float *to, const float *from, size_t stride, int32_t rows, int32_t columns) {
    typedef float four __attribute__((vector_size(16)));
    typedef float four_anywhere __attribute__((vector_size(16), aligned(4), may_alias));
    if (rows < W || columns < W) {
        for (int32_t i = 0; i < W; i++)
            for (int32_t j = 0; j < W; j++) to[j * W + i] = i < rows && j < columns ? from[(size_t)i * stride + (size_t)j] : 0;
        return;
    }
    for (int32_t i = 0; i < W; i += 4) {
        for (int32_t j = 0; j < W; j += 4) {
            const float *p = from + (size_t)i * stride + (size_t)j;
            four a = *(const four_anywhere *)p, b = *(const four_anywhere *)(p + stride);
            four c = *(const four_anywhere *)(p + 2 * stride), d = *(const four_anywhere *)(p + 3 * stride);
            four ab = __builtin_shufflevector(a, b, 0, 4, 1, 5), ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7);
            four cd = __builtin_shufflevector(c, d, 0, 4, 1, 5), cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
            float *q = to + j * W + i;
            *(four_anywhere *)q = __builtin_shufflevector(ab, cd, 0, 1, 4, 5);
            *(four_anywhere *)(q + W) = __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
            *(four_anywhere *)(q + 2 * W) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
            *(four_anywhere *)(q + 3 * W) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
        }
    }
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
                transpose(square[8 - k], w + (size_t)k * tap + (size_t)(out < ci ? out : 0) * (size_t)co + (size_t)in, (size_t)co,
                          ci - out, co - in);
            for (int32_t i = 0; i < W && in + i < end; i++) {
                vec g[9];
                for (int32_t k = 0; k < 9; k++) g[k] = load(square[k] + i * W);
                transform(u + (size_t)panel * POINTS * step + (size_t)(in + i) * PANEL + half, step, g);
            }
        }
    }
}
