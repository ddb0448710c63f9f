/* SPDX-License-Identifier: MIT */
/* Convolutions, and other layers without options: each appends one operation. */
#include "layers/layers.h"

dmi_value dmi_layer_conv3x3(dmi_builder *b, dmi_weights w, dmi_value x, dmi_value per_image,
                            dmi_value residual) {
    dmi_value out = DMI_NONE;
    if (!b->status)
        b->status =
            dmi_conv(b->graph, &out, x, w.weight, w.bias, per_image, residual, 3, 1, 1, false);
    return out;
}

dmi_value dmi_layer_conv1x1(dmi_builder *b, dmi_weights w, dmi_value x, dmi_value residual) {
    return dmi_layer_conv1x1_pair(b, w, x, DMI_NONE, residual);
}

dmi_value dmi_layer_conv1x1_pair(dmi_builder *b, dmi_weights w, dmi_value x, dmi_value x2,
                                 dmi_value residual) {
    dmi_value out = DMI_NONE;
    if (!b->status) b->status = dmi_conv_pair(b->graph, &out, x, x2, w.weight, w.bias, residual);
    return out;
}

dmi_value dmi_layer_downsample(dmi_builder *b, const char *name, dmi_value x, int32_t pad) {
    int32_t c = dmi_builder_shape(b, x).c;
    dmi_value out = DMI_NONE;
    dmi_weights w = dmi_conv_weights(b, name, "conv", c, c, 3, DMI_INIT_FAN_AVERAGE);
    if (!b->status)
        b->status =
            dmi_conv(b->graph, &out, x, w.weight, w.bias, DMI_NONE, DMI_NONE, 3, 2, pad, false);
    return out;
}

dmi_value dmi_layer_upsample(dmi_builder *b, const char *name, dmi_value x) {
    int32_t c = dmi_builder_shape(b, x).c;
    dmi_value out = DMI_NONE;
    dmi_weights w = dmi_conv_weights(b, name, "conv", c, c, 3, DMI_INIT_FAN_AVERAGE);
    if (!b->status)
        b->status =
            dmi_conv(b->graph, &out, x, w.weight, w.bias, DMI_NONE, DMI_NONE, 3, 1, 1, true);
    return out;
}

dmi_value dmi_layer_linear(dmi_builder *b, dmi_weights w, dmi_value x) {
    dmi_value out = DMI_NONE;
    if (!b->status) b->status = dmi_linear(b->graph, &out, x, w.weight, w.bias);
    return out;
}

dmi_value dmi_layer_project(dmi_builder *b, const char *name, const char *part, dmi_value embedding,
                            int32_t out) {
    if (embedding == DMI_NONE) return DMI_NONE;
    int32_t in = dmi_builder_shape(b, embedding).c;
    return dmi_layer_linear(b, dmi_linear_weights(b, name, part, in, out, DMI_INIT_FAN_IN),
                            embedding);
}

dmi_value dmi_layer_activate(dmi_builder *b, dmi_value x, int32_t activation) {
    dmi_value out = DMI_NONE;
    if (!b->status) b->status = dmi_activate(b->graph, &out, x, activation);
    return out;
}

dmi_value dmi_layer_resample(dmi_builder *b, dmi_value x, int32_t kind) {
    dmi_value out = DMI_NONE;
    if (kind == DMI_RESAMPLE_IDENTITY) return x;
    if (!b->status) b->status = dmi_resample(b->graph, &out, x, kind);
    return out;
}

dmi_value dmi_layer_affine(dmi_builder *b, dmi_value x, float factor, float offset) {
    dmi_value out = DMI_NONE;
    if (!b->status) b->status = dmi_affine(b->graph, &out, x, factor, offset);
    return out;
}

dmi_value dmi_layer_add(dmi_builder *b, dmi_value x, dmi_value y) {
    dmi_value out = DMI_NONE;
    if (!b->status) b->status = dmi_add_values(b->graph, &out, x, y);
    return out;
}

dmi_value dmi_layer_concat(dmi_builder *b, dmi_value x, dmi_value y) {
    dmi_value out = DMI_NONE;
    if (!b->status) b->status = dmi_concat(b->graph, &out, x, y);
    return out;
}

dmi_value dmi_layer_slice(dmi_builder *b, dmi_value x, int32_t first, int32_t count) {
    dmi_value out = DMI_NONE;
    if (!b->status) b->status = dmi_slice(b->graph, &out, x, first, count);
    return out;
}
