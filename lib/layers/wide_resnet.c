/* SPDX-License-Identifier: MIT */
/* The wide residual block (Zagoruyko and Komodakis 2016) with standardized weights (Qiao et al.
 * 2019), whose first norm the time scales and the class shifts. */
#include "layers/layers.h"

#define EPS 1e-5f

static dmi_norm_options norm_of(int32_t in, int32_t out) {
    return (dmi_norm_options){.groups = in > 4 && in % 8 == 0 && out % 8 == 0 ? 8 : 1, .eps = EPS};
}

static dmi_value standard_conv(dmi_builder *b, dmi_weights w, dmi_value x) {
    if (!b->status) b->status = dmi_weight_standardize(b->graph, &w.weight, w.weight, EPS);
    return dmi_layer_conv3x3(b, w, x, DMI_NONE, DMI_NONE);
}

dmi_value dmi_layer_wide_resnet(dmi_builder *b, const char *name, dmi_value x, dmi_value silu_time,
                                dmi_value silu_class, int32_t out) {
    int32_t in = dmi_builder_shape(b, x).c;
    const int32_t init = DMI_INIT_FAN_IN;
    dmi_weights conv1 = dmi_conv_weights(b, name, "conv1", in, out, 3, init);
    dmi_weights norm1 = dmi_norm_weights(b, name, "norm1", out);
    dmi_weights conv2 = dmi_conv_weights(b, name, "conv2", out, out, 3, init);
    dmi_weights norm2 = dmi_norm_weights(b, name, "norm2", out);
    dmi_value factor = dmi_layer_project(b, name, "time_emb_proj", silu_time, out);
    dmi_value shift = dmi_layer_project(b, name, "class_emb_proj", silu_class, out);
    dmi_value shortcut = x;
    if (in != out)
        shortcut =
            dmi_layer_conv1x1(b, dmi_conv_weights(b, name, "conv_shortcut", in, out, 1, init), x,
                              DMI_NONE);

    dmi_norm_options norm = norm_of(in, out);
    dmi_value h = standard_conv(b, conv1, x);
    h = dmi_layer_norm_factor(b, norm1, h, factor, shift, norm, DMI_ACTIVATION_SILU);
    h = standard_conv(b, conv2, h);
    h = dmi_layer_norm(b, norm2, h, DMI_NONE, norm, DMI_ACTIVATION_SILU);
    return dmi_layer_add(b, h, shortcut);
}
