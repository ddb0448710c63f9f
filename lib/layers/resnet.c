/* SPDX-License-Identifier: MIT */
/* The residual block of Ho et al. (2020): norm, activation, convolution, time embedding, norm,
 * activation, dropout, convolution, shortcut. In the decoder its input is the concatenation [x,
 * skip], which is not copied into one tensor. The block may halve or double the size before its
 * first convolution (Dhariwal and Nichol 2021). */
#include "layers/layers.h"

/* The first convolution, of the resampled h. Nearest neighbour is part of the convolution, which
 * does not store the larger tensor. */
static dmi_value first_conv(dmi_builder *b, dmi_weights w, dmi_value h, dmi_value per_image,
                            int32_t resample) {
    dmi_value out = DMI_NONE;
    if (resample != DMI_RESAMPLE_NEAREST)
        return dmi_layer_conv3x3(b, w, dmi_layer_resample(b, h, resample), per_image, DMI_NONE);
    if (!b->status)
        b->status =
            dmi_conv(b->graph, &out, h, w.weight, w.bias, per_image, DMI_NONE, 3, 1, 1, true);
    return out;
}

static dmi_value drop(dmi_builder *b, dmi_value h, float rate) {
    dmi_value dropped = DMI_NONE;
    if (!b->train || rate <= 0 || b->status) return h;
    b->status = dmi_dropout(b->graph, &dropped, h, rate);
    return dropped;
}

dmi_value dmi_layer_resnet(dmi_builder *b, const char *name, dmi_value x, dmi_value skip,
                           dmi_value time, const dmi_resnet_options *o) {
    int32_t in = dmi_builder_shape(b, x).c + (skip != DMI_NONE ? dmi_builder_shape(b, skip).c : 0),
            out = o->out, time_channels = dmi_builder_shape(b, time).c;
    bool scale_shift = o->time_embedding == DMI_TIME_SCALE_SHIFT,
         convolves = in != out || o->convolves_shortcut;

    dmi_weights norm1 = dmi_norm_weights(b, name, "norm1", in);
    dmi_weights conv1 = dmi_conv_weights(b, name, "conv1", in, out, 3, DMI_INIT_FAN_AVERAGE);
    dmi_weights time_proj = dmi_linear_weights(b, name, "time_emb_proj", time_channels,
                                               scale_shift ? 2 * out : out, DMI_INIT_FAN_AVERAGE);
    dmi_weights norm2 = dmi_norm_weights(b, name, "norm2", out);
    dmi_weights conv2 = dmi_conv_weights(b, name, "conv2", out, out, 3, DMI_INIT_PRACTICALLY_ZERO);

    dmi_value t = dmi_layer_linear(b, time_proj, time);
    dmi_value after_conv1 = o->time_embedding == DMI_TIME_ADD ? t : DMI_NONE;
    dmi_value at_norm2 = scale_shift ? t : DMI_NONE;
    dmi_value at_output = o->time_embedding == DMI_TIME_ADD_OUTPUT ? t : DMI_NONE;

    /* The shortcut adds the input, which then must be one tensor; and pairs of inputs must differ:
     * the first block of a decoder without a mid block has the encoder's output twice. */
    if (skip != DMI_NONE && (!convolves || skip == x)) {
        x = dmi_layer_concat(b, x, skip);
        skip = DMI_NONE;
    }
    dmi_value shortcut = dmi_layer_resample(b, x, o->resample);
    if (convolves)
        shortcut = dmi_layer_conv1x1_pair(b,
                                          dmi_conv_weights(b, name, "conv_shortcut", in, out, 1,
                                                           DMI_INIT_FAN_AVERAGE),
                                          shortcut, skip, DMI_NONE);
    dmi_norm_options first = {o->groups, o->eps}, second = {o->groups_out, o->eps};
    dmi_value h = dmi_layer_norm_pair(b, norm1, x, skip, DMI_NONE, first, o->activation);
    h = first_conv(b, conv1, h, after_conv1, o->resample);
    h = drop(b, dmi_layer_norm(b, norm2, h, at_norm2, second, o->activation), o->dropout);
    h = dmi_layer_conv3x3(b, conv2, h, at_output, shortcut);
    return o->scale == 1 ? h : dmi_layer_affine(b, h, 1 / o->scale, 0);
}
