/* SPDX-License-Identifier: MIT */
/* See builder.h. */
#include "layers/builder.h"

#include <stdio.h>

dmi_shape dmi_builder_shape(const dmi_builder *b, dmi_value value) {
    return dmi_graph_shape(b->graph, value);
}

dmi_value dmi_builder_param(dmi_builder *b, const char *layer, const char *part, int32_t rank,
                            const int64_t *shape, int32_t init) {
    if (b->status) return DMI_NONE;
    dmi_params *params = b->graph->params;
    char name[DMI_NAME_MAX];
    if (snprintf(name, sizeof name, "%s.%s", layer, part) >= (int)sizeof name) {
        b->status = dmi_fail(b->graph->host, DMI_ERROR_INTERNAL,
                             "parameter name '%s.%s' is too long", layer, part);
        return DMI_NONE;
    }
    int32_t index = dmi_params_find(params, name);
    if (index < 0) {
        if (params->data) {
            b->status = dmi_fail(b->graph->host, DMI_ERROR_INTERNAL,
                                 "parameter '%s' was never declared", name);
            return DMI_NONE;
        }
        b->status = dmi_params_add(b->graph->host, params, &index, name, rank, shape,
                                   init == DMI_INIT_NORMAL || init == DMI_INIT_ROWS);
        if (b->status) return DMI_NONE;
        params->items[index].init = init;
        if (init == DMI_INIT_FREQUENCIES) dmi_params_freeze(params, index);
    }
    dmi_value value = DMI_NONE;
    b->status = dmi_graph_param(b->graph, &value, index);
    return b->status ? DMI_NONE : value;
}
