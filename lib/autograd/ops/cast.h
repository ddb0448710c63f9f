/* SPDX-License-Identifier: MIT */
/* Conversion of whole tensors, for operations whose kernels read floats alone. */
#ifndef DMI_AUTOGRAD_OPS_CAST_H
#define DMI_AUTOGRAD_OPS_CAST_H

#include "autograd/graph.h"

/* to = from; to = (or += where `add`) from, rounded. Tensors of that shape. */
void dmi_widen(const dmi_graph *graph, dmi_shape shape, float *to, const uint16_t *from);
void dmi_narrow(const dmi_graph *graph, dmi_shape shape, uint16_t *to, const float *from, bool add);

#endif
