/* SPDX-License-Identifier: MIT */
/* The embedding of time, class and condition vector, an input of every residual block. */
#include "layers/layers.h"

/* The features of a time: of the network's, and of a condition that is embedded like it. */
static dmi_value features(dmi_builder *b, dmi_value t, dmi_value weight,
                          const dmi_time_options *o) {
    dmi_value out = DMI_NONE;
    if (b->status) return DMI_NONE;
    switch (o->features) {
        case DMI_TIME_FOURIER: b->status = dmi_fourier(b->graph, &out, t, weight); break;
        case DMI_TIME_LEARNED: b->status = dmi_embedding(b->graph, &out, t, weight); break;
        default: b->status = dmi_timestep(b->graph, &out, t, o->width, o->shift, o->cos_first != 0);
    }
    return out;
}

/* Random frequencies [width], or a table of times [steps, width]. */
static dmi_value feature_weight(dmi_builder *b, const dmi_time_options *o) {
    int64_t frequencies[4] = {o->width, 1, 1, 1}, table[4] = {o->steps, o->width, 1, 1};
    if (o->features == DMI_TIME_FOURIER)
        return dmi_builder_param(b, "time_proj", "weight", 1, frequencies, DMI_INIT_FREQUENCIES);
    if (o->features == DMI_TIME_LEARNED)
        return dmi_builder_param(b, "time_proj", "weight", 2, table, DMI_INIT_NORMAL);
    return DMI_NONE;
}

/* Two linear layers with SiLU between them. */
static dmi_value embed(dmi_builder *b, const char *name, dmi_value x, int32_t channels) {
    int32_t in = dmi_builder_shape(b, x).c;
    dmi_weights linear1 =
        dmi_linear_weights(b, name, "linear_1", in, channels, DMI_INIT_FAN_AVERAGE);
    dmi_weights linear2 =
        dmi_linear_weights(b, name, "linear_2", channels, channels, DMI_INIT_FAN_AVERAGE);
    dmi_value h = dmi_layer_linear(b, linear1, x);
    return dmi_layer_linear(b, linear2, dmi_layer_activate(b, h, DMI_ACTIVATION_SILU));
}

static dmi_value embed_class(dmi_builder *b, dmi_value labels, const dmi_time_options *o) {
    int64_t shape[4] = {o->class_rows, o->channels, 1, 1};
    dmi_value table = dmi_builder_param(b, "class_embedding", "weight", 2, shape, DMI_INIT_NORMAL);
    dmi_value out = DMI_NONE;
    if (!b->status) b->status = dmi_embedding(b->graph, &out, labels, table);
    return out;
}

static dmi_value embed_vector(dmi_builder *b, dmi_value vector, dmi_value weight,
                              const dmi_time_options *o) {
    if (o->condition == DMI_CONDITION_IDENTITY) return vector;
    if (o->condition == DMI_CONDITION_TIME)
        return embed(b, "class_embedding", features(b, vector, weight, o), o->channels);
    dmi_weights linear =
        dmi_linear_weights(b, "condition_embedding", "", dmi_builder_shape(b, vector).c,
                           o->channels, DMI_INIT_FAN_AVERAGE);
    return dmi_layer_linear(b, linear, vector);
}

dmi_value dmi_layer_time_embedding(dmi_builder *b, dmi_time_inputs inputs,
                                   const dmi_time_options *o) {
    dmi_value weight = feature_weight(b, o);
    dmi_value h = embed(b, "time_embedding", features(b, inputs.t, weight, o), o->channels);
    if (inputs.labels != DMI_NONE) h = dmi_layer_add(b, h, embed_class(b, inputs.labels, o));
    if (inputs.vector != DMI_NONE)
        h = dmi_layer_add(b, h, embed_vector(b, inputs.vector, weight, o));
    return dmi_layer_activate(b, h, o->activation);
}
