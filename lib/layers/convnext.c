/* SPDX-License-Identifier: MIT */
/* The block of ConvNeXt (Liu et al. 2022) with a group norm, which the time scales and the class
 * shifts. */
#include "layers/layers.h"

static dmi_value depthwise(dmi_builder *b, const char *name, dmi_value x, int32_t c) {
    dmi_weights w = dmi_conv_weights(b, name, "depthwise", 1, c, 7, DMI_INIT_FAN_IN);
    dmi_value out = DMI_NONE;
    if (!b->status) b->status = dmi_depthwise(b->graph, &out, x, w.weight, w.bias, 7);
    return out;
}

dmi_value dmi_layer_convnext(dmi_builder *b, const char *name, dmi_value x, dmi_value time,
                             dmi_value class_embedding, int32_t out) {
    int32_t c = dmi_builder_shape(b, x).c;
    const int32_t init = DMI_INIT_FAN_IN;
    dmi_value h = depthwise(b, name, x, c), shortcut = x;
    dmi_weights norm = dmi_norm_weights(b, name, "norm", c);
    dmi_value factor = dmi_layer_project(b, name, "time_emb_proj", time, c);
    dmi_value shift = dmi_layer_project(b, name, "class_emb_proj", class_embedding, c);
    dmi_weights conv1 = dmi_conv_weights(b, name, "conv1", c, 2 * c, 1, init);
    dmi_weights conv2 = dmi_conv_weights(b, name, "conv2", 2 * c, out, 1, init);
    if (c != out)
        shortcut = dmi_layer_conv1x1(b, dmi_conv_weights(b, name, "conv_shortcut", c, out, 1, init),
                                     x, DMI_NONE);
    h = dmi_layer_norm_factor(b, norm, h, factor, shift, dmi_norm_quarter_groups(c),
                              DMI_ACTIVATION_NONE);
    h = dmi_layer_conv1x1(b, conv1, h, DMI_NONE);
    return dmi_layer_conv1x1(b, conv2, dmi_layer_activate(b, h, DMI_ACTIVATION_GELU), shortcut);
}
