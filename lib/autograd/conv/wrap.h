/* SPDX-License-Identifier: MIT */
/* Images that continue with their opposite border. An algorithm computes the convolution with zeros
 * around the image; these add the products that it leaves out, which only pixels at the border
 * have: tap by tap, for runs of pixels along the border. wrap: DMI_WRAP_*. */
#ifndef DMI_AUTOGRAD_CONV_WRAP_H
#define DMI_AUTOGRAD_CONV_WRAP_H

#include "autograd/conv/conv.h"

/* y += those of x with the weights. */
void dmi_wrap_forward(const dmi_graph *graph, const dmi_conv_shape *shape, int32_t wrap, float *y,
                      const float *x, const float *weight);
/* dx += those of dy with the transposed weights, which are made in work [dmi_wrap_floats]. */
void dmi_wrap_data(const dmi_graph *graph, const dmi_conv_shape *shape, int32_t wrap, float *dx,
                   const float *dy, const float *weight, float *work);
size_t dmi_wrap_floats(const dmi_conv_shape *shape);
/* dw += those of x with dy. */
void dmi_wrap_weight(const dmi_graph *graph, const dmi_conv_shape *shape, int32_t wrap, float *dw,
                     const float *x, const float *dy);

#endif
