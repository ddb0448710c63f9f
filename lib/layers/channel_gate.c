/* SPDX-License-Identifier: MIT */
/* Efficient channel attention (Wang et al. 2020, ECA-Net), whose kernel grows with the number of
 * channels (eq. 12 with gamma 2 and b 1). */
#include "layers/layers.h"

/* int(log2(channels) / 2 + 1/2), the next odd number where it is even. With 4^j <= 2 channels <
 * 4^(j + 1) it is j, in whole numbers. */
static int32_t kernel_taps(int32_t channels) {
    int32_t taps = 0;
    for (int64_t power = 4; power <= 2 * (int64_t)channels; power *= 4) taps++;
    return taps | 1;
}

dmi_value dmi_layer_channel_gate(dmi_builder *b, const char *name, dmi_value x) {
    const int64_t shape[4] = {kernel_taps(dmi_builder_shape(b, x).c), 1, 1, 1};
    dmi_value weight = dmi_builder_param(b, name, "weight", 1, shape, DMI_INIT_FAN_IN);
    dmi_value out = DMI_NONE;
    if (!b->status) b->status = dmi_channel_gate(b->graph, &out, x, weight);
    return out;
}
