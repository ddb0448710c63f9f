/* SPDX-License-Identifier: MIT */
/* Self-attention over an image's pixels (Vaswani et al. 2017; Ho et al. 2020, appendix B). */
#include "layers/layers.h"

dmi_value dmi_layer_attention(dmi_builder *b, const char *name, dmi_value x,
                              const dmi_attention_options *options) {
    int32_t c = dmi_builder_shape(b, x).c, size = options->head_size;
    int32_t heads = size ? c / size : 1, inner = size ? heads * size : c;
    bool has_norm = options->norm.groups > 0;
    dmi_weights norm = {DMI_NONE, DMI_NONE};
    if (has_norm) norm = dmi_norm_weights(b, name, "group_norm", c);
    dmi_weights to_q = dmi_linear_weights(b, name, "to_q", c, inner, DMI_INIT_FAN_AVERAGE);
    dmi_weights to_k = dmi_linear_weights(b, name, "to_k", c, inner, DMI_INIT_FAN_AVERAGE);
    dmi_weights to_v = dmi_linear_weights(b, name, "to_v", c, inner, DMI_INIT_FAN_AVERAGE);
    dmi_weights to_out =
        dmi_linear_weights(b, name, "to_out.0", inner, c, DMI_INIT_PRACTICALLY_ZERO);

    dmi_value h = x;
    if (has_norm) h = dmi_layer_norm(b, norm, x, DMI_NONE, options->norm, DMI_ACTIVATION_NONE);
    dmi_value q = dmi_layer_conv1x1(b, to_q, h, DMI_NONE);
    dmi_value k = dmi_layer_conv1x1(b, to_k, h, DMI_NONE);
    dmi_value v = dmi_layer_conv1x1(b, to_v, h, DMI_NONE);
    dmi_value attended = DMI_NONE;
    if (!b->status) b->status = dmi_attention(b->graph, &attended, q, k, v, heads);
    h = dmi_layer_conv1x1(b, to_out, attended, x);
    return options->scale == 1 ? h : dmi_layer_affine(b, h, 1 / options->scale, 0);
}
