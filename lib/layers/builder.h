/* The builder: writes layers into a graph and keeps the first error, so that a network reads as its
 * computation. After an error every function does nothing and gives DMI_NONE.
 *
 * The same code declares a network's parameters (params not yet allocated: a name that is asked for
 * is added) and uses them in later graphs (found by name). */
#ifndef DMI_LAYERS_BUILDER_H
#define DMI_LAYERS_BUILDER_H

#include "autograd/graph.h"
#include "autograd/ops.h"

typedef struct dmi_builder {
    dmi_graph *graph;
    bool train;     /* dropout is built in */
    int32_t status; /* the first error, told in the host's error text */
} dmi_builder;

dmi_shape dmi_builder_shape(const dmi_builder *b, dmi_value value);
/* The parameter "<layer>.<part>", of that shape as seen outside. */
dmi_value dmi_builder_param(dmi_builder *b, const char *layer, const char *part, int32_t rank,
                            const int64_t *shape, int32_t init);

#endif
