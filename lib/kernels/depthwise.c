/* SPDX-License-Identifier: MIT */
/* Depthwise convolution of one image, DMI_DEPTHWISE_CHANNELS channels at a time: each channel with
 * a kernel of its own, k x k with stride 1 and zeros around the image, a channel a lane. The input
 * is first copied into a panel [rows + k - 1, columns + k - 1, DMI_DEPTHWISE_CHANNELS] with its
 * zeros, so that the loops have no borders, and no two of its cache lines are a large power of two
 * apart. A block of BLOCK columns is computed at once: one row of the kernel and the block's sums
 * stay in registers, and each pixel that is loaded is used for every sum that it is part of. */
#include <string.h>

#include "base/math.h"
#include "kernels/families.h"
#include "kernels/vector.h"

enum { LANES = DMI_DEPTHWISE_CHANNELS, BLOCK = DMI_DEPTHWISE_BLOCK, KERNEL_MAX = 7 };
/* Products that the weight gradient adds up in registers, in float; these sums are then added up in
 * memory. Shorter chains round less. */
enum { CHAIN = 128 };

/* Row stride of the panels, in pixels. */
static int32_t blocks_width(const dmi_depthwise_part *d) { return dmi_round_up(d->columns, BLOCK); }
static int32_t panel_width(const dmi_depthwise_part *d) { return blocks_width(d) + d->kernel - 1; }

static int32_t vectors_of(const dmi_depthwise_part *d) { return dmi_divide_up(d->channels, W); }

/* to [LANES] = from [channels], followed by zeros */
static void copy_lanes(float *to, const float *from, int32_t channels) {
    if (channels < LANES) memset(to + channels, 0, (size_t)(LANES - channels) * sizeof *to);
    memcpy(to, from, (size_t)channels * sizeof *to);
}

/* panel [rows, width, LANES] = the rows from `row` on and columns from `column` on of image
 * [h, w, c], zeros outside of the image and from column `end` on. */
static void fill_panel(const dmi_depthwise_part *d, float *panel, const float *image, int32_t row,
                       int32_t rows, int32_t column, int32_t width, int32_t end) {
    int32_t first = dmi_max(column, 0), count = dmi_min(column + width, end) - first;
    size_t before = (size_t)(first - column) * LANES,
           after = (size_t)(column + width - first - count) * LANES;
    for (int32_t r = row; r < row + rows; r++, panel += (size_t)width * LANES) {
        if (r < 0 || r >= d->h) {
            memset(panel, 0, (size_t)width * LANES * sizeof *panel);
            continue;
        }
        memset(panel, 0, before * sizeof *panel);
        const float *from = image + ((size_t)r * (size_t)d->w + (size_t)first) * (size_t)d->c;
        float *to = panel + before;
        if (d->channels == LANES)
            for (int32_t i = 0; i < count; i++, to += LANES, from += d->c)
                memcpy(to, from, LANES * sizeof *to);
        else
            for (int32_t i = 0; i < count; i++, to += LANES, from += d->c)
                copy_lanes(to, from, d->channels);
        memset(to, 0, after * sizeof *to);
    }
}

/* The panel of what the outputs read. */
static void fill_input(const dmi_depthwise_part *d, float *panel, const float *image) {
    int32_t pad = d->kernel / 2;
    fill_panel(d, panel, image, d->row - pad, d->rows + d->kernel - 1, d->column - pad,
               panel_width(d), d->w);
}

/* ---- forward, and the data gradient, which is the same with the kernel rotated ---- */

/* sum [BLOCK] += one block's pixels at `panel`, all rows of the kernel, times weight [k * k,
 * LANES]. k is a constant at every call. */
static inline __attribute__((always_inline)) void forward_block(vec sum[BLOCK], const float *panel,
                                                                size_t stride, const float *weight,
                                                                const int32_t k) {
    DMI_NO_UNROLL
    for (int32_t ky = 0; ky < k; ky++, panel += stride, weight += (size_t)k * LANES) {
        vec w[KERNEL_MAX];
        DMI_UNROLL
        for (int32_t kx = 0; kx < k; kx++) w[kx] = load(weight + (size_t)kx * LANES);
        DMI_UNROLL
        for (int32_t i = 0; i < BLOCK + k - 1; i++) {
            vec pixel = load_once(panel + (size_t)i * LANES);
            DMI_UNROLL
            for (int32_t kx = 0; kx < k; kx++)
                if (i - kx >= 0 && i - kx < BLOCK) sum[i - kx] += pixel * w[kx];
        }
    }
}

/* y: the first of `columns` pixels, at most BLOCK, and the first of `channels` channels. */
static inline __attribute__((always_inline)) void store_block(const vec sum[BLOCK], float *y,
                                                              size_t c, int32_t columns,
                                                              int32_t channels, bool add) {
    DMI_UNROLL
    for (int32_t i = 0; i < BLOCK; i++) {
        if (i >= columns) continue;
        float *to = y + (size_t)i * c;
        store_part(to, add ? load_part(to, channels) + sum[i] : sum[i], channels);
    }
}

/* y [h, w, c]: the vector of channels that begins at lane v. */
static inline __attribute__((always_inline)) void forward_lanes(const dmi_depthwise_part *d,
                                                                float *y, const float *panel,
                                                                const float *weight, vec bias,
                                                                int32_t v, const int32_t k) {
    size_t c = (size_t)d->c, stride = (size_t)panel_width(d) * LANES;
    int32_t channels = dmi_min(d->channels - v, W);
    for (int32_t r = 0; r < d->rows; r++)
        for (int32_t j = 0; j < d->columns; j += BLOCK) {
            vec sum[BLOCK];
            DMI_UNROLL
            for (int32_t i = 0; i < BLOCK; i++) sum[i] = bias;
            forward_block(sum, panel + (size_t)r * stride + (size_t)j * LANES + v, stride,
                          weight + v, k);
            size_t pixel = (size_t)(d->row + r) * (size_t)d->w + (size_t)(d->column + j);
            store_block(sum, y + pixel * c + v, c, dmi_min(d->columns - j, BLOCK), channels,
                        d->add);
        }
}

/* One function for each kernel. */
#define FORWARD(k)                                                                                 \
    static void forward_##k(const dmi_depthwise_part *d, float *y, const float *panel,             \
                            const float *weight, vec bias, int32_t v) {                            \
        forward_lanes(d, y, panel, weight, bias, v, k);                                            \
    }
FORWARD(3)
FORWARD(5)
FORWARD(7)

void DMI_KERNEL(depthwise_forward)(float *y, const float *x, const float *weight, const float *bias,
                                   const dmi_depthwise_part *d, float *scratch) {
    float weights[KERNEL_MAX * KERNEL_MAX * LANES], biases[LANES] = {0};
    int32_t taps = d->kernel * d->kernel;
    for (int32_t t = 0; t < taps; t++)
        copy_lanes(weights + (size_t)t * LANES,
                   weight + (size_t)(d->rotated ? taps - 1 - t : t) * (size_t)d->c, d->channels);
    if (bias) copy_lanes(biases, bias, d->channels);
    fill_input(d, scratch, x);
    for (int32_t v = 0; v < vectors_of(d) * W; v += W) {
        vec from = load(biases + v);
        if (d->kernel == 3) forward_3(d, y, scratch, weights, from, v);
        else if (d->kernel == 5) forward_5(d, y, scratch, weights, from, v);
        else forward_7(d, y, scratch, weights, from, v);
    }
}

/* ---- weight gradient ---- */

/* sum [k] += for one row of the kernel, the products of dy's pixels, rows by BLOCK * blocks
 * columns, with the pixels of the panel that they read. Row strides in floats. k is a constant at
 * every call. */
static inline __attribute__((always_inline)) void gradient_rows(vec sum[KERNEL_MAX], const float *x,
                                                                size_t x_stride, const float *dy,
                                                                size_t dy_stride, int32_t rows,
                                                                int32_t columns, const int32_t k) {
    for (int32_t r = 0; r < rows; r++, x += x_stride, dy += dy_stride)
        for (int32_t j = 0; j < columns; j += BLOCK) {
            const float *pixels = x + (size_t)j * LANES, *from = dy + (size_t)j * LANES;
            vec d[BLOCK];
            DMI_UNROLL
            for (int32_t i = 0; i < BLOCK; i++) d[i] = load(from + (size_t)i * LANES);
            DMI_UNROLL
            for (int32_t i = 0; i < BLOCK + k - 1; i++) {
                vec pixel = load_once(pixels + (size_t)i * LANES);
                DMI_UNROLL
                for (int32_t kx = 0; kx < k; kx++)
                    if (i - kx >= 0 && i - kx < BLOCK) sum[kx] += pixel * d[i - kx];
            }
        }
}

/* dw [k, k, c] += the vector of channels that begins at lane v; x and dy are panels. */
static inline __attribute__((always_inline)) void gradient_lanes(const dmi_depthwise_part *d,
                                                                 float *dw, const float *x,
                                                                 const float *dy, int32_t v,
                                                                 const int32_t k) {
    size_t c = (size_t)d->c, x_stride = (size_t)panel_width(d) * LANES,
           dy_stride = (size_t)blocks_width(d) * LANES;
    int32_t channels = dmi_min(d->channels - v, W), step = dmi_max(CHAIN / d->columns, 1);
    for (int32_t r = 0; r < d->rows; r += step)
        for (int32_t ky = 0; ky < k; ky++) {
            vec sum[KERNEL_MAX] = {{0}};
            gradient_rows(sum, x + (size_t)(r + ky) * x_stride + v, x_stride,
                          dy + (size_t)r * dy_stride + v, dy_stride, dmi_min(d->rows - r, step),
                          d->columns, k);
            DMI_UNROLL
            for (int32_t kx = 0; kx < k; kx++) {
                float *to = dw + (size_t)(ky * k + kx) * c + v;
                store_part(to, load_part(to, channels) + sum[kx], channels);
            }
        }
}

#define GRADIENT(k)                                                                                \
    static void gradient_##k(const dmi_depthwise_part *d, float *dw, const float *x,               \
                             const float *dy, int32_t v) {                                         \
        gradient_lanes(d, dw, x, dy, v, k);                                                        \
    }
GRADIENT(3)
GRADIENT(5)
GRADIENT(7)

void DMI_KERNEL(depthwise_gradient)(float *dw, const float *x, const float *dy,
                                    const dmi_depthwise_part *d, float *scratch) {
    float *dy_panel = scratch + (size_t)(d->rows + d->kernel - 1) * (size_t)panel_width(d) * LANES;
    fill_input(d, scratch, x);
    fill_panel(d, dy_panel, dy, d->row, d->rows, d->column, blocks_width(d),
               d->column + d->columns);
    for (int32_t v = 0; v < vectors_of(d) * W; v += W) {
        if (d->kernel == 3) gradient_3(d, dw, scratch, dy_panel, v);
        else if (d->kernel == 5) gradient_5(d, dw, scratch, dy_panel, v);
        else gradient_7(d, dw, scratch, dy_panel, v);
    }
}
