/* Group norm, alone or with SiLU after it. */
#include "layers/layers.h"

dmi_value dmi_layer_norm(dmi_builder *b, dmi_weights w, dmi_value x, dmi_value scale_shift, dmi_norm_options options, bool silu) {
    dmi_value out = DMI_NONE;
    if (!b->status)
        b->status = dmi_group_norm(b->graph, &out, x, w.weight, w.bias, scale_shift, options.groups, options.eps, silu);
    return out;
}
