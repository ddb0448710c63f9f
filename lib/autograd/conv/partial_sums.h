/* The reduction of partial weight gradients, one for each group of images or tiles. */
#ifndef DMI_AUTOGRAD_CONV_PARTIAL_SUMS_H
#define DMI_AUTOGRAD_CONV_PARTIAL_SUMS_H

#include "autograd/graph.h"

/* to [count] = (or += where `add`) the sum over groups of partials [groups, count], in the order of
 * the groups. */
void dmi_sum_partials(const dmi_graph *graph, float *to, const float *partials, int32_t groups,
                      size_t count, bool add);

#endif
