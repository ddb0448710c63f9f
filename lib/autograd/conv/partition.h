/* Weight gradients that groups of pictures or tiles have made in parts. */
#ifndef DMI_AUTOGRAD_WAYS_PARTS_H
#define DMI_AUTOGRAD_WAYS_PARTS_H

#include "autograd/graph.h"

/* to [count] = (or += where `add`) the sum of parts [groups, count], taken in order. */
void dmi_sum_parts(const dmi_graph *graph, float *to, const float *parts, int32_t groups,
                   size_t count, bool add);

#endif
