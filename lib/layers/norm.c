/* SPDX-License-Identifier: MIT */
/* Group norm, alone or with an activation function after it. */
#include "layers/layers.h"

dmi_value dmi_layer_norm(dmi_builder *b, dmi_weights w, dmi_value x, dmi_value scale_shift,
                         dmi_norm_options options, int32_t activation) {
    return dmi_layer_norm_pair(b, w, x, DMI_NONE, scale_shift, options, activation);
}

dmi_value dmi_layer_norm_pair(dmi_builder *b, dmi_weights w, dmi_value x, dmi_value x2,
                              dmi_value scale_shift, dmi_norm_options options, int32_t activation) {
    dmi_value out = DMI_NONE;
    if (!b->status)
        b->status = dmi_group_norm_pair(b->graph, &out, x, x2, w.weight, w.bias, scale_shift,
                                        options.groups, options.eps, activation);
    return out;
}

dmi_value dmi_layer_norm_factor(dmi_builder *b, dmi_weights w, dmi_value x, dmi_value factor,
                                dmi_value shift, dmi_norm_options options, int32_t activation) {
    dmi_value out = DMI_NONE;
    if (factor == DMI_NONE && shift == DMI_NONE)
        return dmi_layer_norm(b, w, x, DMI_NONE, options, activation);
    if (!b->status)
        b->status = dmi_group_norm_factor(b->graph, &out, x, w.weight, w.bias, factor, shift,
                                          options.groups, options.eps, activation);
    return out;
}
