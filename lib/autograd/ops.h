/* The operations: each appends one node to the graph and gives its output. One file each in
 * autograd/ops/. A value that is optional may be DMI_NONE. Convolution weights are (k, k, in, out)
 * inside, linear weights (1, 1, in, out). */
#ifndef DMI_AUTOGRAD_OPS_H
#define DMI_AUTOGRAD_OPS_H

#include "autograd/graph.h"

/* y [n, oh, ow, co] = x [n, h, w, ci] * weight + bias [co] + per_image [n, 1, 1, co] + residual [n,
 * oh, ow, co]. attr.conv says how; pad above and left is `pad`, and oh = ceil(h / stride), as 3x3
 * with pad 1 or 0 and bottom-right padding both give (h doubled first where upsample). bias,
 * per_image and residual are optional. Kernel 1 is a linear layer on every pixel. */
int32_t dmi_conv(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value weight, dmi_value bias,
                 dmi_value per_image, dmi_value residual, int32_t kernel, int32_t stride,
                 int32_t pad, bool upsample);
/* Group norm (Wu and He 2018) over x [n, h, w, c] with gamma, beta [c], followed by SiLU where
 * `silu`. scale_shift, optional, is [n, 1, 1, 2c]: norm * (1 + scale) + shift, before SiLU. */
int32_t dmi_group_norm(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value gamma,
                       dmi_value beta, dmi_value scale_shift, int32_t groups, float eps, bool silu);
/* Both for the channels of x and x2 side by side, [x, x2], which no copy puts into one tensor; the
 * convolution of kernel 1. */
int32_t dmi_group_norm_pair(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value x2,
                            dmi_value gamma, dmi_value beta, dmi_value scale_shift, int32_t groups,
                            float eps, bool silu);
int32_t dmi_conv_pair(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value x2, dmi_value weight,
                      dmi_value bias, dmi_value residual);
/* softmax(q k^T / sqrt(c / heads)) v over the pixels of each picture; q, k, v [n, h, w, c]. */
int32_t dmi_attention(dmi_graph *graph, dmi_value *out, dmi_value q, dmi_value k, dmi_value v,
                      int32_t heads);
/* y [n, 1, 1, out] = x [n, 1, 1, in] weight + bias. */
int32_t dmi_linear(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value weight, dmi_value bias);
int32_t dmi_silu(dmi_graph *graph, dmi_value *out, dmi_value x);
int32_t dmi_add_values(dmi_graph *graph, dmi_value *out, dmi_value a, dmi_value b);
/* [n, h, w, ca + cb] */
int32_t dmi_concat(dmi_graph *graph, dmi_value *out, dmi_value a, dmi_value b);
/* Zeroes elements at `rate` and scales the rest by 1 / (1 - rate) when the graph is trained; else
 * the identity (the builder leaves it out). The mask depends on dropout_seed, dropout_step, the
 * node and the element's place. */
int32_t dmi_dropout(dmi_graph *graph, dmi_value *out, dmi_value x, float rate);
/* Sinusoids of t [n, 1, 1, 1] (Vaswani et al. 2017, as in DDPM): [n, 1, 1, channels], frequencies
 * exp(-ln 10000 i / (half - shift)), [sin | cos] or [cos | sin]. */
int32_t dmi_timestep(dmi_graph *graph, dmi_value *out, dmi_value t, int32_t channels, float shift,
                     bool cos_first);
/* Rows of table (1, 1, rows, c) picked by labels [n, 1, 1, 1], which hold whole numbers as floats:
 * [n, 1, 1, c]. */
int32_t dmi_embedding(dmi_graph *graph, dmi_value *out, dmi_value labels, dmi_value table);

#endif
