/* SPDX-License-Identifier: MIT */
/* Sums over the pixels of each image, channel by channel. */
#ifndef DMI_AUTOGRAD_OPS_IMAGE_DOTS_H
#define DMI_AUTOGRAD_OPS_IMAGE_DOTS_H

#include "autograd/graph.h"

/* sums [n, c] = factor times the sum over the pixels of left right, both [n, h, w, c]; of left
 * alone where right is NULL. */
void dmi_image_dots(const dmi_graph *graph, float *sums, const float *left, const float *right,
                    dmi_shape shape, double factor);

#endif
