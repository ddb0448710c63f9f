/* SPDX-License-Identifier: MIT */
/* The network of blocks by recipe: a U-Net with one block at each size, whose parts are chosen, and
 * with embeddings of the time and of the class that enter the parts apart. docs/networks.md has its
 * formulas and the names of its tensors. */
#include "unet/recipe.h"

#include <stdio.h>

#include "layers/layers.h"
#include "unet/options.h"

enum { NAME_MAX_LENGTH = 64 };

typedef struct builder {
    dmi_builder b;
    const dm_unet_options *o;
    int32_t parts;                  /* of a block */
    dmi_value time, silu_time;      /* [n, 1, 1, time channels] */
    dmi_value classes, silu_class;  /* of the class, likewise, or DMI_NONE */
    dmi_value skips[DM_LEVELS_MAX]; /* the encoder's blocks; [0] is unused */
} builder;

static void segment(builder *u) { dmi_graph_segment(u->b.graph); }

/* ---- embeddings ---- */

static dmi_value linear(builder *u, const char *part, dmi_value x, int32_t out) {
    int32_t in = dmi_builder_shape(&u->b, x).c;
    return dmi_layer_linear(
        &u->b, dmi_linear_weights(&u->b, "time_embedding", part, in, out, DMI_INIT_FAN_IN), x);
}

static void embed_time(builder *u, dmi_value t) {
    const dm_unet_options *o = u->o;
    int32_t channels = dmi_unet_time_channels(o);
    dmi_value h = DMI_NONE;
    if (!u->b.status)
        u->b.status = dmi_timestep(u->b.graph, &h, t, channels, o->time_frequency_shift,
                                   o->time_cos_first != 0);
    h = dmi_layer_activate(&u->b, linear(u, "linear_1", h, channels), DMI_ACTIVATION_GELU);
    u->time = linear(u, "linear_2", h, channels);
    u->silu_time = dmi_layer_activate(&u->b, u->time, DMI_ACTIVATION_SILU);
}

/* A row for each class; no class is zeros, which is what the table gives for the row after its
 * last. */
static void embed_class(builder *u, dmi_value labels) {
    const int64_t shape[4] = {u->o->classes, dmi_unet_time_channels(u->o), 1, 1};
    u->classes = u->silu_class = DMI_NONE;
    if (labels == DMI_NONE) return;
    dmi_value table =
        dmi_builder_param(&u->b, "class_embedding", "weight", 2, shape, DMI_INIT_ROWS);
    if (!u->b.status) u->b.status = dmi_embedding(u->b.graph, &u->classes, labels, table);
    u->silu_class = dmi_layer_activate(&u->b, u->classes, DMI_ACTIVATION_SILU);
}

/* ---- blocks ---- */

static dmi_value part(builder *u, dm_part kind, const char *name, dmi_value x, int32_t out) {
    dmi_builder *b = &u->b;
    segment(u);
    switch (kind) {
        case DM_PART_RESNET:
            return dmi_layer_wide_resnet(b, name, x, u->silu_time, u->silu_class, out);
        case DM_PART_CONVNEXT: return dmi_layer_convnext(b, name, x, u->time, u->classes, out);
        case DM_PART_CLASS_ATTENTION: return dmi_layer_class_attention(b, name, x, u->classes);
        case DM_PART_ATTENTION:
            return dmi_layer_window_attention(b, name, x, u->o->attention_window);
        default: return dmi_layer_channel_gate(b, name, x);
    }
}

/* The first part changes the number of channels to `out`. */
static dmi_value block(builder *u, const char *prefix, dmi_value x, int32_t out) {
    char name[NAME_MAX_LENGTH];
    for (int32_t i = 0; i < u->parts; i++) {
        snprintf(name, sizeof name, "%s.parts.%d", prefix, (int)i);
        x = part(u, u->o->recipe[i], name, x, out);
    }
    return x;
}

static dmi_value conv(builder *u, const char *name, dmi_value x, int32_t out, int32_t kernel,
                      int32_t stride) {
    dmi_builder *b = &u->b;
    dmi_weights w =
        dmi_conv_weights(b, name, "", dmi_builder_shape(b, x).c, out, kernel, DMI_INIT_FAN_IN);
    dmi_value y = DMI_NONE;
    segment(u);
    if (!b->status)
        b->status = dmi_conv(b->graph, &y, x, w.weight, w.bias, DMI_NONE, DMI_NONE, kernel, stride,
                             kernel / 2, false);
    return y;
}

/* ---- levels ---- */

/* Level i from 1: the block at the size of level i - 1, then half the size. */
static dmi_value down_level(builder *u, int32_t i, dmi_value h) {
    char prefix[NAME_MAX_LENGTH / 2], name[NAME_MAX_LENGTH];
    int32_t c = u->o->channels[i];
    snprintf(prefix, sizeof prefix, "down_blocks.%d", (int)(i - 1));
    h = u->skips[i] = block(u, prefix, h, c);
    snprintf(name, sizeof name, "%s.downsample", prefix);
    return conv(u, name, h, c, 3, 2);
}

static dmi_value middle(builder *u, dmi_value h) {
    int32_t c = u->o->channels[u->o->levels - 1];
    h = block(u, "mid_block.blocks.0", h, c);
    segment(u);
    h = dmi_layer_channel_gate(&u->b, "mid_block.gate", h);
    return block(u, "mid_block.blocks.1", h, c);
}

/* As many channels in and out, so that PyTorch's [in, out, 4, 4] is [out, in, 4, 4] too. */
static dmi_value upsample(builder *u, const char *name, dmi_value x) {
    dmi_builder *b = &u->b;
    int32_t c = dmi_builder_shape(b, x).c;
    dmi_weights w = dmi_conv_weights(b, name, "", c, c, 4, DMI_INIT_FAN_IN);
    dmi_value y = DMI_NONE;
    segment(u);
    if (!b->status) b->status = dmi_conv_transposed(b->graph, &y, x, w.weight, w.bias);
    return y;
}

/* Names count from the middle, as those of other networks. */
static dmi_value up_level(builder *u, int32_t i, dmi_value h) {
    char prefix[NAME_MAX_LENGTH / 2], name[NAME_MAX_LENGTH];
    snprintf(prefix, sizeof prefix, "up_blocks.%d", (int)(u->o->levels - 1 - i));
    snprintf(name, sizeof name, "%s.upsample", prefix);
    h = dmi_layer_concat(&u->b, upsample(u, name, h), u->skips[i]);
    return block(u, prefix, h, u->o->channels[i - 1]);
}

/* The halves of h are v, which interpolates the logarithm of the variance from 0 to 1, and eps; the
 * library's outputs are eps and then a share from -1 to 1 (Nichol and Dhariwal 2021 as in improved
 * diffusion), which is 2 v - 1. */
static dmi_value halves(builder *u, dmi_value h) {
    dmi_builder *b = &u->b;
    int32_t c = u->o->out_channels;
    segment(u);
    dmi_value v = dmi_layer_slice(b, h, 0, c), eps = dmi_layer_slice(b, h, c, c);
    v = dmi_layer_convnext(b, "variance_out", v, DMI_NONE, DMI_NONE, c);
    eps = dmi_layer_convnext(b, "eps_out", eps, DMI_NONE, DMI_NONE, c);
    return dmi_layer_concat(b, eps, dmi_layer_affine(b, v, 2, -1));
}

static dmi_value network(builder *u, dmi_value x, const dmi_unet_graph *inputs) {
    const dm_unet_options *o = u->o;
    int32_t out = dmi_unet_channels_out(o);
    dmi_value h = conv(u, "conv_in", x, o->channels[0], 7, 1);
    embed_time(u, inputs->t);
    embed_class(u, inputs->labels);
    for (int32_t i = 1; i < o->levels; i++) h = down_level(u, i, h);
    h = middle(u, h);
    for (int32_t i = o->levels - 1; i >= 1; i--) h = up_level(u, i, h);
    h = block(u, "out_blocks.0", h, o->channels[0]);
    h = block(u, "out_blocks.1", h, out);
    u->b.graph->bf16 = false; /* what gives the output is computed in floats */
    h = conv(u, "conv_out", h, out, 7, 1);
    return o->learned_variance ? halves(u, h) : h;
}

dmi_value dmi_recipe_build(dmi_builder *b, const dm_unet_options *o, dmi_value x,
                           const dmi_unet_graph *inputs) {
    builder u = {.b = *b, .o = o, .parts = dmi_recipe_parts(o)};
    dmi_value out = network(&u, x, inputs);
    *b = u.b;
    return out;
}
