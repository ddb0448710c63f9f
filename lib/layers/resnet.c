/* SPDX-License-Identifier: MIT */
/* The residual block of Ho et al. (2020): norm, SiLU, convolution, time embedding, norm, SiLU,
 * dropout, convolution, shortcut. In the decoder its input is the concatenation [x, skip], which is
 * not copied into one tensor. */
#include "layers/layers.h"

dmi_value dmi_layer_resnet(dmi_builder *b, const char *name, dmi_value x, dmi_value skip,
                           dmi_value time, const dmi_resnet_options *options) {
    int32_t in = dmi_builder_shape(b, x).c + (skip != DMI_NONE ? dmi_builder_shape(b, skip).c : 0),
            out = options->out, time_channels = dmi_builder_shape(b, time).c;
    bool scale_shift = options->time_embedding == DMI_TIME_SCALE_SHIFT;

    dmi_weights norm1 = dmi_norm_weights(b, name, "norm1", in);
    dmi_weights conv1 = dmi_conv_weights(b, name, "conv1", in, out, 3, DMI_INIT_FAN_AVERAGE);
    dmi_weights time_proj = dmi_linear_weights(b, name, "time_emb_proj", time_channels,
                                               scale_shift ? 2 * out : out, DMI_INIT_FAN_AVERAGE);
    dmi_weights norm2 = dmi_norm_weights(b, name, "norm2", out);
    dmi_weights conv2 = dmi_conv_weights(b, name, "conv2", out, out, 3, DMI_INIT_PRACTICALLY_ZERO);

    dmi_value t = dmi_layer_linear(b, time_proj, time);
    dmi_value after_conv1 = options->time_embedding == DMI_TIME_ADD ? t : DMI_NONE;
    dmi_value at_norm2 = scale_shift ? t : DMI_NONE;
    dmi_value at_output = options->time_embedding == DMI_TIME_ADD_OUTPUT ? t : DMI_NONE;

    if (in == out && skip != DMI_NONE) { /* the shortcut adds the input, so it must be one tensor */
        x = dmi_layer_concat(b, x, skip);
        skip = DMI_NONE;
    }
    dmi_value shortcut = x;
    if (in != out)
        shortcut = dmi_layer_conv1x1_pair(b,
                                          dmi_conv_weights(b, name, "conv_shortcut", in, out, 1,
                                                           DMI_INIT_FAN_AVERAGE),
                                          x, skip, DMI_NONE);
    dmi_value h =
        dmi_layer_norm_pair(b, norm1, x, skip, DMI_NONE, options->norm, DMI_ACTIVATION_SILU);
    h = dmi_layer_conv3x3(b, conv1, h, after_conv1, DMI_NONE);
    h = dmi_layer_norm(b, norm2, h, at_norm2, options->norm, DMI_ACTIVATION_SILU);
    if (b->train && options->dropout > 0 && !b->status) {
        dmi_value dropped = DMI_NONE;
        b->status = dmi_dropout(b->graph, &dropped, h, options->dropout);
        h = dropped;
    }
    return dmi_layer_conv3x3(b, conv2, h, at_output, shortcut);
}
