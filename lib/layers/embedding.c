/* SPDX-License-Identifier: MIT */
/* The embedding of timestep and class, an input of every residual block. */
#include "layers/layers.h"

dmi_value dmi_layer_time_embedding(dmi_builder *b, dmi_value t, dmi_value labels,
                                   const dmi_time_options *options) {
    dmi_weights linear1 = dmi_linear_weights(b, "time_embedding", "linear_1", options->sinusoids,
                                             options->channels, DMI_INIT_FAN_AVERAGE);
    dmi_weights linear2 = dmi_linear_weights(b, "time_embedding", "linear_2", options->channels,
                                             options->channels, DMI_INIT_FAN_AVERAGE);
    dmi_value h = DMI_NONE;
    if (!b->status)
        b->status = dmi_timestep(b->graph, &h, t, options->sinusoids, options->shift,
                                 options->cos_first != 0);
    h = dmi_layer_silu(b, dmi_layer_linear(b, linear1, h));
    h = dmi_layer_linear(b, linear2, h);
    if (options->classes > 0) {
        int64_t shape[4] = {(int64_t)options->classes + 1, options->channels, 1, 1};
        dmi_value table =
            dmi_builder_param(b, "class_embedding", "weight", 2, shape, DMI_INIT_NORMAL);
        dmi_value class_embedding = DMI_NONE;
        if (!b->status) b->status = dmi_embedding(b->graph, &class_embedding, labels, table);
        h = dmi_layer_add(b, h, class_embedding);
    }
    return dmi_layer_silu(b, h);
}
