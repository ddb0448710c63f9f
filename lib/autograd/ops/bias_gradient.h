/* SPDX-License-Identifier: MIT */
/* The gradient of what a convolution adds to every pixel. */
#ifndef DMI_AUTOGRAD_OPS_BIAS_GRADIENT_H
#define DMI_AUTOGRAD_OPS_BIAS_GRADIENT_H

#include "autograd/graph.h"

/* Floats of `sums`. */
static inline size_t dmi_image_sums_floats(dmi_shape y) {
    return dmi_align_floats((size_t)y.n * (size_t)y.c);
}

/* sums [n, c] = for each image, the sum over the pixels of dy [n, h, w, c], of shape y, floats or
 * bfloat16. */
void dmi_image_sums(const dmi_graph *graph, float *sums, const void *dy, dmi_shape y, bool bf16);

/* The gradient [c] of input i, a bias, unless that has none: the sum of dy, the gradient of the
 * node's output, over all pixels and then over the images in order. work [dmi_image_sums_floats] */
void dmi_bias_gradient(const dmi_graph *graph, const dmi_node *node, int32_t i, float *work);

#endif
