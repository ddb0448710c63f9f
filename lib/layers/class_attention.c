/* SPDX-License-Identifier: MIT */
/* Attention between the channels of an image, with queries and keys from the embedding of its
 * class. */
#include "layers/layers.h"

dmi_value dmi_layer_class_attention(dmi_builder *b, const char *name, dmi_value x,
                                    dmi_value class_embedding) {
    int32_t c = dmi_builder_shape(b, x).c, in = dmi_builder_shape(b, class_embedding).c;
    dmi_weights norm_in = dmi_norm_weights(b, name, "group_norm", c);
    dmi_weights to_q = dmi_linear_weights(b, name, "to_q", in, c, DMI_INIT_FAN_IN);
    dmi_weights to_k = dmi_linear_weights(b, name, "to_k", in, c, DMI_INIT_FAN_IN);
    dmi_weights to_out = dmi_linear_weights(b, name, "to_out.0", c, c, DMI_INIT_FAN_IN);
    dmi_weights norm_out = dmi_norm_weights(b, name, "norm_out", c);

    dmi_norm_options norm = dmi_norm_quarter_groups(c);
    dmi_value h = dmi_layer_norm(b, norm_in, x, DMI_NONE, norm, DMI_ACTIVATION_NONE);
    dmi_value q = dmi_layer_linear(b, to_q, class_embedding);
    dmi_value k = dmi_layer_linear(b, to_k, class_embedding);
    dmi_value mixed = DMI_NONE;
    if (!b->status) b->status = dmi_channel_mixing(b->graph, &mixed, h, q, k);
    h = dmi_layer_conv1x1(b, to_out, mixed, DMI_NONE);
    return dmi_layer_add(b, x, dmi_layer_norm(b, norm_out, h, DMI_NONE, norm, DMI_ACTIVATION_NONE));
}
