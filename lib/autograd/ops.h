/* SPDX-License-Identifier: MIT */
/* The operations. Each appends one node to the graph and returns its output in *out; each has a
 * file of its own in autograd/ops/. An optional input may be DMI_NONE. */
#ifndef DMI_AUTOGRAD_OPS_H
#define DMI_AUTOGRAD_OPS_H

#include "autograd/graph.h"

enum {
    DMI_RESAMPLE_MEAN = 0,     /* the mean of 2 x 2 pixels */
    DMI_RESAMPLE_NEAREST = 1,  /* every pixel becomes 2 x 2 */
    DMI_RESAMPLE_FIR_DOWN = 2, /* (1, 3, 3, 1) / 8 along each axis, then every second pixel */
    DMI_RESAMPLE_FIR_UP = 3    /* zeros between pixels, then (1, 3, 3, 1) / 4 along each axis */
};

/* x as floats or as bfloat16, [n, h, w, c]: x itself where it is that already. The first result is
 * kept for later calls. */
int32_t dmi_cast(dmi_graph *graph, dmi_value *out, dmi_value x, bool bf16);
/* Convolution:
 *
 *   y = conv(x, weight) + bias + per_image + residual,
 *
 * y and residual [n, oh, ow, co], x [n, h, w, ci], weight [kernel, kernel, ci, co], bias [co],
 * per_image [n, 1, 1, co]; the last three terms are optional. The kernel is 1, 3, 5 or 7. Where
 * `upsample`, x is first upsampled by 2, nearest neighbour, and h and w below are doubled. `pad`
 * zeros above and left; below and right as many as oh = ceil(h / stride), ow = ceil(w / stride)
 * require. In the axes of graph->wrap, the pixels of the opposite border in place of zeros. */
int32_t dmi_conv(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value weight, dmi_value bias,
                 dmi_value per_image, dmi_value residual, int32_t kernel, int32_t stride,
                 int32_t pad, bool upsample);
/* Depthwise convolution: each channel with a kernel of its own,
 *
 *   y[n, i, j, c] = bias[c] + the sum over ky, kx of
 *                   x[n, i + ky - kernel / 2, j + kx - kernel / 2, c] weight[ky, kx, 0, c],
 *
 * zero outside of the image; x and y [n, h, w, c], weight [kernel, kernel, 1, c], in PyTorch
 * [c, 1, kernel, kernel], bias [c] optional; kernel 3, 5 or 7. */
int32_t dmi_depthwise(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value weight,
                      dmi_value bias, int32_t kernel);
/* Transposed convolution of kernel 4, stride 2 and pad 1, which doubles the sides: pixel (i, j) of
 * x adds its product with weight[ky, kx] to pixel (2 i + ky - 1, 2 j + kx - 1) of y, and bias is
 * added to all. x [n, h, w, ci], y [n, 2h, 2w, co], bias [co] optional. weight [4, 4, co, ci] is
 * what dmi_params stores of PyTorch's [ci, co, 4, 4] (ConvTranspose2d): its last dimension is the
 * first of PyTorch's, as of every weight, but that is the input here. */
int32_t dmi_conv_transposed(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value weight,
                            dmi_value bias);
/* Group norm (Wu and He 2018) of x [n, h, w, c] with gamma and beta [c]; then, where scale_shift
 * [n, 1, 1, 2c] is given, norm * (1 + scale) + shift; then the activation function,
 * DMI_ACTIVATION_*. */
int32_t dmi_group_norm(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value gamma,
                       dmi_value beta, dmi_value scale_shift, int32_t groups, float eps,
                       int32_t activation);
/* norm * factor + shift in place of norm * (1 + scale) + shift, which is exact where the factor is
 * small: factor and shift [n, 1, 1, c], both optional, but a shift needs a factor. */
int32_t dmi_group_norm_factor(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value gamma,
                              dmi_value beta, dmi_value factor, dmi_value shift, int32_t groups,
                              float eps, int32_t activation);
/* dmi_group_norm of the concatenated channels [x, x2], x [n, h, w, c1] and x2 [n, h, w, c2], which
 * are not copied into one tensor; and the convolution of kernel 1 of them. */
int32_t dmi_group_norm_pair(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value x2,
                            dmi_value gamma, dmi_value beta, dmi_value scale_shift, int32_t groups,
                            float eps, int32_t activation);
int32_t dmi_conv_pair(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value x2, dmi_value weight,
                      dmi_value bias, dmi_value residual);
/* softmax(q k^T / sqrt(c / heads)) v over the pixels of each image; q, k, v and y [n, h, w, c]. */
int32_t dmi_attention(dmi_graph *graph, dmi_value *out, dmi_value q, dmi_value k, dmi_value v,
                      int32_t heads);
/* Attention of one head within windows: softmax(scale q k^T) v over the pixels of each window of
 * `window` by `window` pixels; q, k, v and y [n, h, w, c]. A window is as high or wide as the image
 * where that is less than `window`; else `window` divides h or w. */
int32_t dmi_window_attention(dmi_graph *graph, dmi_value *out, dmi_value q, dmi_value k,
                             dmi_value v, int32_t window, float scale);
/* Attention between channels: y_c = sum over d of A_cd x_d for each pixel, where A_cd = softmax
 * over d of k_c q_d / sqrt(c); x and y [n, h, w, c], q and k [n, 1, 1, c]. */
int32_t dmi_channel_mixing(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value q, dmi_value k);
/* x [n, h, w, c] times a gate of each channel (Wang et al. 2020, ECA-Net): the logistic function of
 * the convolution along the channels, with zeros outside, of their means over the pixels with
 * weight [1, 1, 1, taps], an odd number. */
int32_t dmi_channel_gate(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value weight);
/* (weight - mean) / sqrt(variance + eps) of each filter (Qiao et al. 2019), with the biased
 * variance; weight and the result [kernel, kernel, in, out], a filter being a column. dmi_conv
 * takes the result as its weight. */
int32_t dmi_weight_standardize(dmi_graph *graph, dmi_value *out, dmi_value weight, float eps);
/* y [n, 1, 1, out] = x [n, 1, 1, in] weight [1, 1, in, out] + bias [out], which is optional. */
int32_t dmi_linear(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value weight, dmi_value bias);
/* f(x), x [n, h, w, c]; f is DMI_ACTIVATION_*, not _NONE. */
int32_t dmi_activate(dmi_graph *graph, dmi_value *out, dmi_value x, int32_t activation);
static inline int32_t dmi_silu(dmi_graph *graph, dmi_value *out, dmi_value x) {
    return dmi_activate(graph, out, x, DMI_ACTIVATION_SILU);
}
/* a + b, both [n, h, w, c]. */
int32_t dmi_add_values(dmi_graph *graph, dmi_value *out, dmi_value a, dmi_value b);
/* factor * x + offset, x [n, h, w, c]. */
int32_t dmi_affine(dmi_graph *graph, dmi_value *out, dmi_value x, float factor, float offset);
/* Each image of x [n, h, w, c] divided by its t [n, 1, 1, 1]; where t is 0, what IEEE division
 * gives. */
int32_t dmi_divide_by_time(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value t);
/* x [n, h, w, c] to half (MEAN, FIR_DOWN) or twice (NEAREST, FIR_UP) its height and width, by a
 * DMI_RESAMPLE_*; they are even where they are halved. */
int32_t dmi_resample(dmi_graph *graph, dmi_value *out, dmi_value x, int32_t kind);
/* [n, h, w, ca + cb] from a [n, h, w, ca] and b [n, h, w, cb]. */
int32_t dmi_concat(dmi_graph *graph, dmi_value *out, dmi_value a, dmi_value b);
/* [n, h, w, count]: the channels of x [n, h, w, c] from `first` on. */
int32_t dmi_slice(dmi_graph *graph, dmi_value *out, dmi_value x, int32_t first, int32_t count);
/* Zeroes elements of x [n, h, w, c] with probability `rate` and scales the others by 1 / (1 -
 * rate); the identity where the graph is planned without backward. The mask is a function of the
 * graph's dropout_seed and dropout_step, the node, and the element's index. */
int32_t dmi_dropout(dmi_graph *graph, dmi_value *out, dmi_value x, float rate);
/* The sinusoidal embedding [n, 1, 1, channels] of t [n, 1, 1, 1] (Vaswani et al. 2017, as in DDPM):
 * [sin | cos], or [cos | sin], with frequencies exp(-ln 10000 i / (channels / 2 - shift)). */
int32_t dmi_timestep(dmi_graph *graph, dmi_value *out, dmi_value t, int32_t channels, float shift,
                     bool cos_first);
/* Random Fourier features (Tancik et al. 2020; Song et al. 2021) [n, 1, 1, 2 c] of t [n, 1, 1, 1]:
 * [sin | cos](2 pi weight ln t), weight [1, 1, 1, c], whose gradient is zero: it is never trained.
 * NaN where t is not above 0. */
int32_t dmi_fourier(dmi_graph *graph, dmi_value *out, dmi_value t, dmi_value weight);
/* Embedding lookup [n, 1, 1, c]: the rows of table [1, 1, rows, c] that labels [n, 1, 1, 1] name;
 * labels hold integers as floats. The label `rows` is a row of zeros without a gradient. */
int32_t dmi_embedding(dmi_graph *graph, dmi_value *out, dmi_value labels, dmi_value table);

#endif
