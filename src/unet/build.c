/* SPDX-License-Identifier: MIT */
/* The U-Net of Ho et al. (2020, appendix B), with the levels of later networks, as a graph: down,
 * middle, up, with skip connections. This is the only definition of the network: it declares the
 * parameters and builds the graph of every batch size. */
#include "unet/build.h"

#include <math.h>
#include <stdio.h>

#include "layers/layers.h"
#include "unet/options.h"
#include "unet/recipe.h"

/* Each level pushes at most 16 blocks and a downsampling. */
enum { SKIPS_MAX = DM_LEVELS_MAX * 17 + 1, LAYER_NAME_MAX = 64 };

_Static_assert((int)DMI_RECOMPUTE_NONE == DM_RECOMPUTE_NONE &&
                   (int)DMI_RECOMPUTE_SELECTIVE == DM_RECOMPUTE_SELECTIVE &&
                   (int)DMI_RECOMPUTE_BLOCKS == DM_RECOMPUTE_BLOCKS,
               "the engine's values differ from the public ones");
_Static_assert((int)DMI_TIME_ADD == DM_TIME_ADD &&
                   (int)DMI_TIME_SCALE_SHIFT == DM_TIME_SCALE_SHIFT &&
                   (int)DMI_TIME_ADD_OUTPUT == DM_TIME_ADD_OUTPUT &&
                   (int)DMI_TIME_SINUSOIDAL == DM_TIME_SINUSOIDAL &&
                   (int)DMI_TIME_FOURIER == DM_TIME_FOURIER &&
                   (int)DMI_TIME_LEARNED == DM_TIME_LEARNED,
               "the engine's values differ from the public ones");
_Static_assert((int)DMI_ACTIVATION_SILU == DM_ACTIVATION_SILU &&
                   (int)DMI_ACTIVATION_MISH == DM_ACTIVATION_MISH &&
                   (int)DMI_ACTIVATION_GELU == DM_ACTIVATION_GELU &&
                   (int)DMI_ACTIVATION_RELU == DM_ACTIVATION_RELU,
               "the engine's values differ from the public ones");
_Static_assert((int)DMI_CONDITION_LINEAR == DM_CONDITION_LINEAR &&
                   (int)DMI_CONDITION_IDENTITY == DM_CONDITION_IDENTITY &&
                   (int)DMI_CONDITION_TIME == DM_CONDITION_TIME,
               "the engine's values differ from the public ones");

/* The state of building a graph. */
typedef struct builder {
    dmi_builder b;
    const dm_unet_options *o;
    dmi_value time;             /* the activation of the embedding */
    dmi_value skips[SKIPS_MAX]; /* a stack */
    int32_t skip_count;
    dmi_value pyramid; /* of NCSN++: the input at the size of the encoder's level, then the sum of
                          the decoder's outputs; or DMI_NONE */
} builder;

/* Each layer is a segment of its own: DM_RECOMPUTE_BLOCKS recomputes what is inside. */
static void segment(builder *u) { dmi_graph_segment(u->b.graph); }

/* What the blocks of a level, or of the mid block, have in common. */
typedef struct block {
    int32_t groups; /* of a block's norms, where they are not those of a concatenation */
    int32_t attention_groups;
    float scale; /* sums with the shortcut are divided by it */
} block;

static block block_of(const dm_unet_options *o, dm_resample kind, int32_t channels) {
    bool skip = kind == DM_RESAMPLE_SKIP;
    int32_t groups = dmi_unet_groups(o, skip, channels);
    return (block){.groups = groups,
                   .attention_groups = skip ? DMI_SKIP_GROUPS : groups,
                   .scale = skip ? (float)sqrt(2.0) : 1};
}

static dmi_resnet_options resnet_options(const builder *u, const block *k, int32_t out) {
    const dm_unet_options *o = u->o;
    return (dmi_resnet_options){.out = out,
                                .time_embedding = o->time_embedding,
                                .activation = o->activation,
                                .resample = DMI_RESAMPLE_IDENTITY,
                                .groups = k->groups,
                                .groups_out = k->groups,
                                .eps = o->norm_eps,
                                .dropout = o->dropout,
                                .scale = k->scale};
}

/* On h, or on [h, skip]; the first norm has `groups`. */
static dmi_value resnet(builder *u, const block *k, const char *name, dmi_value h, dmi_value skip,
                        int32_t groups, int32_t out) {
    dmi_resnet_options options = resnet_options(u, k, out);
    options.groups = groups;
    segment(u);
    return dmi_layer_resnet(&u->b, name, h, skip, u->time, &options);
}

/* A block that halves or doubles the size; that of NCSN++ has a convolution in its shortcut. */
static dmi_value resample_resnet(builder *u, const block *k, const char *name, dmi_value h,
                                 int32_t kind) {
    dmi_resnet_options options = resnet_options(u, k, dmi_builder_shape(&u->b, h).c);
    options.resample = kind;
    options.convolves_shortcut = kind == DMI_RESAMPLE_FIR_DOWN || kind == DMI_RESAMPLE_FIR_UP;
    segment(u);
    return dmi_layer_resnet(&u->b, name, h, DMI_NONE, u->time, &options);
}

static dmi_value attention(builder *u, const block *k, const char *name, dmi_value h) {
    dmi_attention_options options = {u->o->attention_head_size,
                                     {k->attention_groups, u->o->norm_eps},
                                     k->scale};
    segment(u);
    return dmi_layer_attention(&u->b, name, h, &options);
}

static dmi_value push_skip(builder *u, dmi_value h) { return u->skips[u->skip_count++] = h; }
static dmi_value pop_skip(builder *u) { return u->skips[--u->skip_count]; }

/* ---- encoder ---- */

/* Half the size of a level of NCSN++; the input at that size is added (Song et al. 2021, appendix
 * H, "progressive growing": input skip). */
static dmi_value down_skip(builder *u, const block *k, const char *level, dmi_value h) {
    char name[LAYER_NAME_MAX];
    snprintf(name, sizeof name, "%s.resnet_down", level);
    h = resample_resnet(u, k, name, h, DMI_RESAMPLE_FIR_DOWN);
    segment(u);
    u->pyramid = dmi_layer_resample(&u->b, u->pyramid, DMI_RESAMPLE_FIR_DOWN);
    dmi_weights w =
        dmi_conv_weights(&u->b, level, "skip_conv", dmi_builder_shape(&u->b, u->pyramid).c,
                         dmi_builder_shape(&u->b, h).c, 1, DMI_INIT_FAN_AVERAGE);
    return dmi_layer_conv1x1(&u->b, w, u->pyramid, h);
}

static dmi_value downsample(builder *u, const block *k, const char *level, dm_resample kind,
                            dmi_value h) {
    char name[LAYER_NAME_MAX];
    snprintf(name, sizeof name, "%s.downsamplers.0", level);
    switch (kind) {
        case DM_RESAMPLE_SKIP: return down_skip(u, k, level, h);
        case DM_RESAMPLE_RESNET: return resample_resnet(u, k, name, h, DMI_RESAMPLE_MEAN);
        case DM_RESAMPLE_NONE: segment(u); return dmi_layer_resample(&u->b, h, DMI_RESAMPLE_MEAN);
        default: segment(u); return dmi_layer_downsample(&u->b, name, h, u->o->downsample_padding);
    }
}

/* Residual blocks at one size, then half the size. */
static dmi_value down_level(builder *u, int32_t level, dmi_value h) {
    const dm_unet_options *o = u->o;
    dm_resample kind = o->down_resample[level];
    block k = block_of(o, kind, o->channels[level]);
    char prefix[LAYER_NAME_MAX / 2], name[LAYER_NAME_MAX];
    snprintf(prefix, sizeof prefix, "down_blocks.%d", (int)level);
    for (int32_t i = 0; i < o->blocks[level]; i++) {
        int32_t in = dmi_builder_shape(&u->b, h).c;
        snprintf(name, sizeof name, "%s.resnets.%d", prefix, (int)i);
        h = resnet(u, &k, name, h, DMI_NONE, dmi_unet_groups(o, kind == DM_RESAMPLE_SKIP, in),
                   o->channels[level]);
        snprintf(name, sizeof name, "%s.attentions.%d", prefix, (int)i);
        if (o->attention[level]) h = attention(u, &k, name, h);
        push_skip(u, h);
    }
    if (level == o->levels - 1) return h;
    return push_skip(u, downsample(u, &k, prefix, kind, h));
}

static dmi_value middle(builder *u, dmi_value h) {
    const dm_unet_options *o = u->o;
    int32_t c = o->channels[o->levels - 1];
    block k = block_of(o, DM_RESAMPLE_CONV, c);
    k.scale = o->mid_scale;
    if (o->mid_norm_groups >= 0) k.attention_groups = o->mid_norm_groups;
    h = resnet(u, &k, "mid_block.resnets.0", h, DMI_NONE, k.groups, c);
    if (o->mid_attention) h = attention(u, &k, "mid_block.attentions.0", h);
    return resnet(u, &k, "mid_block.resnets.1", h, DMI_NONE, k.groups, c);
}

/* ---- decoder ---- */

/* The output of a level of NCSN++, which is added to those of the smaller levels (output skip),
 * and twice the size. At level 0 the sum is only brought to that level's size. */
static dmi_value up_skip(builder *u, const block *k, const char *level, bool last, dmi_value h) {
    dmi_builder *b = &u->b;
    char name[LAYER_NAME_MAX];
    segment(u);
    if (u->pyramid != DMI_NONE) u->pyramid = dmi_layer_resample(b, u->pyramid, DMI_RESAMPLE_FIR_UP);
    if (last) return h;
    int32_t c = dmi_builder_shape(b, h).c;
    snprintf(name, sizeof name, "%s.resnet_up", level);
    dmi_value larger = resample_resnet(u, k, name, h, DMI_RESAMPLE_FIR_UP);
    segment(u);
    dmi_weights norm = dmi_norm_weights(b, level, "skip_norm", c);
    dmi_weights conv = dmi_conv_weights(b, level, "skip_conv", c, dmi_unet_channels_out(u->o), 3,
                                        DMI_INIT_PRACTICALLY_ZERO);
    dmi_norm_options options = {k->groups, u->o->norm_eps};
    dmi_value out = dmi_layer_norm(b, norm, h, DMI_NONE, options, DMI_ACTIVATION_SILU);
    u->pyramid = dmi_layer_conv3x3(b, conv, out, DMI_NONE, u->pyramid);
    return larger;
}

static dmi_value upsample(builder *u, const block *k, const char *level, dm_resample kind,
                          bool last, dmi_value h) {
    char name[LAYER_NAME_MAX];
    snprintf(name, sizeof name, "%s.upsamplers.0", level);
    if (kind == DM_RESAMPLE_SKIP) return up_skip(u, k, level, last, h);
    if (last) return h;
    if (kind == DM_RESAMPLE_RESNET) return resample_resnet(u, k, name, h, DMI_RESAMPLE_NEAREST);
    segment(u);
    if (kind == DM_RESAMPLE_NONE) return dmi_layer_resample(&u->b, h, DMI_RESAMPLE_NEAREST);
    return dmi_layer_upsample(&u->b, name, h);
}

/* One block more than in the encoder, each on [hidden, skip]; then twice the size. diffusers'
 * names count these levels from the mid block. In NCSN++ attention follows the last block alone. */
static dmi_value up_level(builder *u, int32_t level, dmi_value h) {
    const dm_unet_options *o = u->o;
    dm_resample kind = o->up_resample[level];
    block k = block_of(o, kind, o->channels[level]);
    bool skip = kind == DM_RESAMPLE_SKIP, attends = dmi_unet_up_attention(o, level);
    char prefix[LAYER_NAME_MAX / 2], name[LAYER_NAME_MAX];
    snprintf(prefix, sizeof prefix, "up_blocks.%d", (int)(o->levels - 1 - level));
    for (int32_t i = 0; i <= o->blocks[level]; i++) {
        dmi_value passed = pop_skip(u);
        int32_t groups = dmi_unet_concat_groups(o, level, dmi_builder_shape(&u->b, h).c,
                                                dmi_builder_shape(&u->b, passed).c);
        snprintf(name, sizeof name, "%s.resnets.%d", prefix, (int)i);
        h = resnet(u, &k, name, h, passed, groups, o->channels[level]);
        snprintf(name, sizeof name, "%s.attentions.%d", prefix, (int)(skip ? 0 : i));
        if (attends && (!skip || i == o->blocks[level])) h = attention(u, &k, name, h);
    }
    return upsample(u, &k, prefix, kind, level == 0, h);
}

/* ---- the network ---- */

static dmi_time_options time_options(const dm_unet_options *o) {
    return (dmi_time_options){.features = o->time_features,
                              .width = o->channels[0],
                              .channels = dmi_unet_time_channels(o),
                              .shift = o->time_frequency_shift,
                              .cos_first = o->time_cos_first,
                              .steps = o->time_steps,
                              .class_rows = o->classes ? o->classes + o->null_row : 0,
                              .condition = o->condition_embedding,
                              .activation = o->activation};
}

/* From [0, 1] to [-1, 1]; the previous estimate beside the image stays, since none is zeros. */
static dmi_value centered(builder *u, dmi_value x) {
    int32_t c = u->o->in_channels;
    if (!u->o->self_conditioning) return dmi_layer_affine(&u->b, x, 2, -1);
    dmi_value image = dmi_layer_affine(&u->b, dmi_layer_slice(&u->b, x, 0, c), 2, -1);
    return dmi_layer_concat(&u->b, image, dmi_layer_slice(&u->b, x, c, c));
}

/* What the first convolution reads: [x, previous estimate, condition image]. */
static dmi_value input_of(builder *u, const dmi_unet_graph *inputs) {
    dmi_value x = u->o->center_input ? centered(u, inputs->x) : inputs->x;
    if (inputs->condition_image == DMI_NONE) return x;
    return dmi_layer_concat(&u->b, x, inputs->condition_image);
}

static dmi_value output_of(builder *u, dmi_value h, dmi_value t) {
    const dm_unet_options *o = u->o;
    dmi_builder *b = &u->b;
    dmi_weights norm = dmi_norm_weights(b, "conv_norm_out", "", o->channels[0]);
    dmi_weights conv = dmi_conv_weights(b, "conv_out", "", o->channels[0], dmi_unet_channels_out(o),
                                        3, DMI_INIT_PRACTICALLY_ZERO);
    dmi_norm_options options = {dmi_unet_groups(o, false, o->channels[0]), o->norm_eps};
    segment(u);
    h = dmi_layer_norm(b, norm, h, DMI_NONE, options, DMI_ACTIVATION_SILU);
    b->graph->bf16 = false;
    h = dmi_layer_conv3x3(b, conv, h, DMI_NONE, u->pyramid);
    if (o->time_features != DM_TIME_FOURIER || b->status) return h;
    dmi_value out = DMI_NONE;
    b->status = dmi_divide_by_time(b->graph, &out, h, t);
    return out;
}

/* Everything between the inputs and the output. */
static dmi_value network(builder *u, const dmi_unet_graph *inputs) {
    const dm_unet_options *o = u->o;
    dmi_weights conv_in =
        dmi_conv_weights(&u->b, "conv_in", "", dmi_unet_channels_in(o) + o->condition_channels,
                         o->channels[0], 3, DMI_INIT_FAN_AVERAGE);
    dmi_time_options time = time_options(o);
    dmi_time_inputs of_time = {inputs->t, inputs->labels, inputs->condition_vector};
    u->time = dmi_layer_time_embedding(&u->b, of_time, &time);
    /* The input and the output are floats, and so are the first and the last convolution. */
    dmi_graph *graph = u->b.graph;
    const bool bf16 = graph->bf16;
    graph->bf16 = false;
    u->pyramid = input_of(u, inputs);
    dmi_value h = push_skip(u, dmi_layer_conv3x3(&u->b, conv_in, u->pyramid, DMI_NONE, DMI_NONE));
    graph->bf16 = bf16;
    for (int32_t level = 0; level < o->levels; level++) h = down_level(u, level, h);
    if (o->mid_block) h = middle(u, h);
    u->pyramid = DMI_NONE;
    for (int32_t level = o->levels - 1; level >= 0; level--) h = up_level(u, level, h);
    return output_of(u, h, inputs->t);
}

static dm_status add_inputs(dmi_graph *graph, const dm_unet_options *o, dmi_unet_graph *out) {
    int32_t n = out->batch, h = o->height, w = o->width;
    dm_status status =
        dmi_graph_input(graph, &out->x, dmi_shape_of(n, h, w, dmi_unet_channels_in(o)),
                        graph->only_inputs);
    if (!status) status = dmi_graph_input(graph, &out->t, dmi_shape_of(n, 1, 1, 1), false);
    if (!status && o->classes)
        status = dmi_graph_input(graph, &out->labels, dmi_shape_of(n, 1, 1, 1), false);
    if (!status && o->condition_channels)
        status = dmi_graph_input(graph, &out->condition_image,
                                 dmi_shape_of(n, h, w, o->condition_channels), false);
    if (!status && o->condition_size)
        status = dmi_graph_input(graph, &out->condition_vector,
                                 dmi_shape_of(n, 1, 1, o->condition_size), false);
    return status;
}

dm_status dmi_unet_build(dmi_graph *graph, const dm_unet_options *o, int32_t batch, bool train,
                         dmi_unet_graph *out) {
    builder u = {.b = {.graph = graph, .train = train}, .o = o, .pyramid = DMI_NONE};
    *out = (dmi_unet_graph){.graph = graph,
                            .batch = batch,
                            .labels = DMI_NONE,
                            .condition_image = DMI_NONE,
                            .condition_vector = DMI_NONE};
    dm_status status = add_inputs(graph, o, out);
    if (status) return status;
    out->output = dmi_unet_has_recipe(o) ? dmi_recipe_build(&u.b, o, input_of(&u, out), out)
                                         : network(&u, out);
    return u.b.status;
}
