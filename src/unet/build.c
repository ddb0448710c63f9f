/* SPDX-License-Identifier: MIT */
/* The U-Net of Ho et al. (2020, appendix B) as a graph: down, middle, up, with skip connections.
 * This is the only definition of the network: it declares the parameters and builds the graph of
 * every batch size. */
#include "unet/build.h"

#include <stdio.h>

#include "layers/layers.h"
#include "unet/options.h"

/* Each level pushes at most 16 blocks and a downsampling. */
enum { SKIPS_MAX = DM_LEVELS_MAX * 17 + 1, LAYER_NAME_MAX = 64 };

_Static_assert((int)DMI_RECOMPUTE_NONE == DM_RECOMPUTE_NONE &&
                   (int)DMI_RECOMPUTE_SELECTIVE == DM_RECOMPUTE_SELECTIVE &&
                   (int)DMI_RECOMPUTE_BLOCKS == DM_RECOMPUTE_BLOCKS,
               "the engine's values differ from the public ones");
_Static_assert((int)DMI_TIME_ADD == DM_TIME_ADD &&
                   (int)DMI_TIME_SCALE_SHIFT == DM_TIME_SCALE_SHIFT &&
                   (int)DMI_TIME_ADD_OUTPUT == DM_TIME_ADD_OUTPUT,
               "the engine's values differ from the public ones");

/* The state of building a graph. */
typedef struct builder {
    dmi_builder b;
    const dm_unet_options *o;
    dmi_norm_options norm;
    dmi_value time;             /* SiLU of the embedding */
    dmi_value skips[SKIPS_MAX]; /* a stack */
    int32_t skip_count;
} builder;

/* Each layer is a segment of its own: DM_RECOMPUTE_BLOCKS recomputes what is inside. */
static void segment(builder *u) { dmi_graph_segment(u->b.graph); }

/* On h, or on [h, skip]. */
static dmi_value resnet(builder *u, const char *name, dmi_value h, dmi_value skip, int32_t out) {
    dmi_resnet_options options = {out, u->o->time_embedding, u->o->dropout, u->norm};
    segment(u);
    return dmi_layer_resnet(&u->b, name, h, skip, u->time, &options);
}

static dmi_value attention(builder *u, const char *name, dmi_value h) {
    segment(u);
    return dmi_layer_attention(&u->b, name, h, u->o->attention_head_size, u->norm);
}

static dmi_value push_skip(builder *u, dmi_value h) { return u->skips[u->skip_count++] = h; }
static dmi_value pop_skip(builder *u) { return u->skips[--u->skip_count]; }

/* Residual blocks at one size, then half the size. */
static dmi_value down_level(builder *u, int32_t level, dmi_value h) {
    char name[LAYER_NAME_MAX];
    for (int32_t i = 0; i < u->o->blocks[level]; i++) {
        snprintf(name, sizeof name, "down_blocks.%d.resnets.%d", (int)level, (int)i);
        h = resnet(u, name, h, DMI_NONE, u->o->channels[level]);
        snprintf(name, sizeof name, "down_blocks.%d.attentions.%d", (int)level, (int)i);
        if (u->o->attention[level]) h = attention(u, name, h);
        push_skip(u, h);
    }
    if (level == u->o->levels - 1) return h;
    snprintf(name, sizeof name, "down_blocks.%d.downsamplers.0", (int)level);
    segment(u);
    return push_skip(u, dmi_layer_downsample(&u->b, name, h, u->o->downsample_padding));
}

static dmi_value middle(builder *u, dmi_value h) {
    int32_t c = u->o->channels[u->o->levels - 1];
    h = resnet(u, "mid_block.resnets.0", h, DMI_NONE, c);
    if (u->o->mid_attention) h = attention(u, "mid_block.attentions.0", h);
    return resnet(u, "mid_block.resnets.1", h, DMI_NONE, c);
}

/* One block more than in the encoder, each on [hidden, skip]; then twice the size. diffusers'
 * names count these levels from the mid block. */
static dmi_value up_level(builder *u, int32_t level, dmi_value h) {
    char name[LAYER_NAME_MAX];
    int32_t index = u->o->levels - 1 - level;
    for (int32_t i = 0; i <= u->o->blocks[level]; i++) {
        snprintf(name, sizeof name, "up_blocks.%d.resnets.%d", (int)index, (int)i);
        h = resnet(u, name, h, pop_skip(u), u->o->channels[level]);
        snprintf(name, sizeof name, "up_blocks.%d.attentions.%d", (int)index, (int)i);
        if (u->o->attention[level]) h = attention(u, name, h);
    }
    if (level == 0) return h;
    snprintf(name, sizeof name, "up_blocks.%d.upsamplers.0", (int)index);
    segment(u);
    return dmi_layer_upsample(&u->b, name, h);
}

/* Everything between the inputs and the output. */
static dmi_value network(builder *u, dmi_value x, dmi_value t, dmi_value labels) {
    const dm_unet_options *o = u->o;
    dmi_weights conv_in = dmi_conv_weights(&u->b, "conv_in", "", dmi_unet_channels_in(o),
                                           o->channels[0], 3, DMI_INIT_FAN_AVERAGE);
    dmi_time_options time = {o->channels[0],
                             o->time_channels ? o->time_channels : 4 * o->channels[0],
                             o->time_frequency_shift, o->time_cos_first, o->classes};
    u->time = dmi_layer_time_embedding(&u->b, t, labels, &time);
    dmi_value h = push_skip(u, dmi_layer_conv3x3(&u->b, conv_in, x, DMI_NONE, DMI_NONE));
    for (int32_t level = 0; level < o->levels; level++) h = down_level(u, level, h);
    h = middle(u, h);
    for (int32_t level = o->levels - 1; level >= 0; level--) h = up_level(u, level, h);
    dmi_weights norm_out = dmi_norm_weights(&u->b, "conv_norm_out", "", o->channels[0]);
    dmi_weights conv_out = dmi_conv_weights(&u->b, "conv_out", "", o->channels[0],
                                            dmi_unet_channels_out(o), 3, DMI_INIT_PRACTICALLY_ZERO);
    segment(u);
    h = dmi_layer_norm(&u->b, norm_out, h, DMI_NONE, u->norm, DMI_ACTIVATION_SILU);
    return dmi_layer_conv3x3(&u->b, conv_out, h, DMI_NONE, DMI_NONE);
}

dm_status dmi_unet_build(dmi_graph *graph, const dm_unet_options *o, int32_t batch, bool train,
                         dmi_unet_graph *out) {
    builder u = {.b = {.graph = graph, .train = train},
                 .o = o,
                 .norm = {o->norm_groups, o->norm_eps}};
    dm_status status;
    *out = (dmi_unet_graph){.graph = graph, .batch = batch, .labels = DMI_NONE};
    status =
        dmi_graph_input(graph, &out->x,
                        dmi_shape_of(batch, o->height, o->width, dmi_unet_channels_in(o)), false);
    if (!status) status = dmi_graph_input(graph, &out->t, dmi_shape_of(batch, 1, 1, 1), false);
    if (!status && o->classes)
        status = dmi_graph_input(graph, &out->labels, dmi_shape_of(batch, 1, 1, 1), false);
    if (status) return status;
    out->output = network(&u, out->x, out->t, out->labels);
    return u.b.status;
}
