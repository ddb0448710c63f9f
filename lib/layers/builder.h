/* SPDX-License-Identifier: MIT */
/* The builder appends layers to a graph and keeps the first error, so that the code of a network
 * reads as its computation. After an error every function does nothing and returns DMI_NONE.
 *
 * The same code declares a network's parameters (while params->data is NULL, an unknown name is
 * added) and uses them in later graphs (by name). */
#ifndef DMI_LAYERS_BUILDER_H
#define DMI_LAYERS_BUILDER_H

#include "autograd/graph.h"
#include "autograd/ops.h"

typedef struct dmi_builder {
    dmi_graph *graph;
    bool train;     /* dropout nodes are appended */
    int32_t status; /* the first error; its text is in the host */
} dmi_builder;

dmi_shape dmi_builder_shape(const dmi_builder *b, dmi_value value);
/* The parameter "<layer>.<part>"; shape [rank] in PyTorch's layout, init: DMI_INIT_*. */
dmi_value dmi_builder_param(dmi_builder *b, const char *layer, const char *part, int32_t rank,
                            const int64_t *shape, int32_t init);

#endif
