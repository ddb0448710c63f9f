/* SPDX-License-Identifier: MIT */
/* The parameters of a layer: a weight and a bias. */
#include "layers/layers.h"

#include <stdio.h>

static dmi_weights weights(dmi_builder *b, const char *layer, const char *part, int32_t rank,
                           const int64_t *shape, int32_t init, int32_t channels) {
    dmi_weights w = {DMI_NONE, DMI_NONE};
    char name[DMI_NAME_MAX];
    int64_t bias_shape[4] = {channels, 1, 1, 1};
    if (snprintf(name, sizeof name, "%s%s%s", layer, *part ? "." : "", part) >= (int)sizeof name) {
        if (!b->status)
            b->status = dmi_fail(b->graph->host, DMI_ERROR_INTERNAL,
                                 "layer name '%s.%s' is too long", layer, part);
        return w;
    }
    w.weight = dmi_builder_param(b, name, "weight", rank, shape, init);
    w.bias = dmi_builder_param(b, name, "bias", 1, bias_shape,
                               init == DMI_INIT_FAN_IN ? DMI_INIT_FAN_IN_BIAS : DMI_INIT_ZEROS);
    return w;
}

dmi_weights dmi_conv_weights(dmi_builder *b, const char *layer, const char *part, int32_t in,
                             int32_t out, int32_t kernel, int32_t init) {
    int64_t shape[4] = {out, in, kernel, kernel};
    return weights(b, layer, part, 4, shape, init, out);
}

dmi_weights dmi_linear_weights(dmi_builder *b, const char *layer, const char *part, int32_t in,
                               int32_t out, int32_t init) {
    int64_t shape[4] = {out, in, 1, 1};
    return weights(b, layer, part, 2, shape, init, out);
}

dmi_weights dmi_norm_weights(dmi_builder *b, const char *layer, const char *part,
                             int32_t channels) {
    int64_t shape[4] = {channels, 1, 1, 1};
    return weights(b, layer, part, 1, shape, DMI_INIT_ONES, channels);
}
