/* SPDX-License-Identifier: MIT */
/* The two steps of the product algorithm's data gradient: for the transposed convolution, whose
 * output is such a gradient, and the first for that around the borders. */
#ifndef DMI_AUTOGRAD_CONV_PRODUCT_H
#define DMI_AUTOGRAD_CONV_PRODUCT_H

#include "autograd/conv/conv.h"

/* to [taps, co, ci] = weight [taps, ci, co], each tap's matrix transposed. `locked`: see prepare in
 * conv.h. */
void dmi_product_transpose(const dmi_graph *graph, const dmi_conv_shape *s, float *to,
                           const float *weight, bool locked);

/* dx [n, ih, iw, ci] = (or += where `add`) the data gradient of dy [n, oh, ow, co]; where it does
 * not add, plus bias [ci] unless that is NULL. With a bias the kernel is not 1. */
void dmi_product_data(const dmi_graph *graph, const dmi_conv_shape *s, float *dx, const float *dy,
                      const float *transposed, const float *bias, bool add);

#endif
