/* SPDX-License-Identifier: MIT */
/* The reduction of partial weight gradients, one for each group of images or tiles. */
#ifndef DMI_AUTOGRAD_CONV_PARTIAL_SUMS_H
#define DMI_AUTOGRAD_CONV_PARTIAL_SUMS_H

#include "autograd/graph.h"

/* Groups of n images for dw, whose `blocks` are the tasks of one group: dw of few channels has few
 * blocks, and more groups give more tasks. */
int32_t dmi_image_groups(int32_t blocks, int32_t n);

/* to [count] = (or += where `add`) the sum over groups of partials [groups, count], in the order of
 * the groups. */
void dmi_sum_partials(const dmi_graph *graph, float *to, const float *partials, int32_t groups,
                      size_t count, bool add);

#endif
