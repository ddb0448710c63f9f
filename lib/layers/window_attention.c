/* SPDX-License-Identifier: MIT */
/* Self-attention of one head within windows of an image. The scale of the scores is a function of
 * the window's side, not of the channels. */
#include <math.h>

#include "layers/layers.h"

dmi_value dmi_layer_window_attention(dmi_builder *b, const char *name, dmi_value x,
                                     int32_t window) {
    int32_t c = dmi_builder_shape(b, x).c;
    dmi_weights norm_weights = dmi_norm_weights(b, name, "group_norm", c);
    dmi_weights to_k = dmi_linear_weights(b, name, "to_k", c, c, DMI_INIT_FAN_IN);
    dmi_weights to_q = dmi_linear_weights(b, name, "to_q", c, c, DMI_INIT_FAN_IN);
    dmi_weights to_v = dmi_linear_weights(b, name, "to_v", c, c, DMI_INIT_FAN_IN);
    dmi_weights to_out = dmi_linear_weights(b, name, "to_out.0", c, c, DMI_INIT_FAN_IN);

    dmi_value h = dmi_layer_norm(b, norm_weights, x, DMI_NONE, dmi_norm_quarter_groups(c),
                                 DMI_ACTIVATION_NONE);
    dmi_value k = dmi_layer_conv1x1(b, to_k, h, DMI_NONE);
    dmi_value q = dmi_layer_conv1x1(b, to_q, h, DMI_NONE);
    dmi_value v = dmi_layer_conv1x1(b, to_v, h, DMI_NONE);
    float scale = (float)(1 / sqrt((double)window));
    dmi_value attended = DMI_NONE;
    if (!b->status) b->status = dmi_window_attention(b->graph, &attended, q, k, v, window, scale);
    return dmi_layer_conv1x1(b, to_out, attended, x);
}
