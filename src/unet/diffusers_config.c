/* SPDX-License-Identifier: MIT */
/* The config.json of a UNet2DModel as options. A key that is missing has the class's default, which
 * often differs from that of dm_unet_options. */
#include <stdio.h>
#include <string.h>

#include "unet/diffusers.h"
#include "unet/options.h"

enum { FACTOR_MAX = 1000000 };

/* An entry of a list that has one for each level, or of the default. */
typedef struct level_list {
    const dmi_config_value *values; /* NULL: the default */
    int32_t count;
} level_list;

static level_list find_list(dmi_config *c, const char *key, dmi_config_kind kind,
                            int32_t otherwise) {
    level_list list = {NULL, otherwise};
    const dmi_config_value *value = dmi_config_find(c, key);
    if (!value) return list;
    bool good = value->kind == DMI_CONFIG_LIST && value->count >= 1 &&
                value->count <= (size_t)DM_LEVELS_MAX;
    for (size_t i = 0; good && i < value->count; i++)
        good = c->elements[value->first + i].kind == kind;
    if (good) {
        list.values = &c->elements[value->first];
        list.count = (int32_t)value->count;
        return list;
    }
    dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, key,
                      kind == DMI_CONFIG_TEXT ? "it must be a list of 1 to 8 strings"
                                              : "it must be a list of 1 to 8 numbers");
    return list;
}

/* ---- levels ---- */

static void read_channels(dmi_config *c, dm_unet_options *o) {
    static const int32_t defaults[] = {224, 448, 672, 896};
    static const char key[] = "block_out_channels";
    level_list list = find_list(c, key, DMI_CONFIG_NUMBER, 4);
    memset(o->channels, 0, sizeof o->channels);
    o->levels = list.count;
    for (int32_t i = 0; i < list.count; i++) {
        double n = list.values ? list.values[i].number : defaults[i];
        if (n >= 1 && n <= 8192 && n == (int32_t)n) o->channels[i] = (int32_t)n;
        else dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, key, "its numbers must be 1 to 8192");
    }
}

static void check_levels(dmi_config *c, const char *key, const level_list *list,
                         const dm_unet_options *o) {
    char reason[96];
    if (list->count == o->levels) return;
    snprintf(reason, sizeof reason, "it must have as many entries as 'block_out_channels', %d",
             (int)o->levels);
    dmi_config_refuse(c, DM_ERROR_BAD_FORMAT, key, reason);
}

/* What blocks with attention resample with: downsample_type or upsample_type. *known: it can be
 * expressed. */
static dm_resample read_type(dmi_config *c, const char *key, bool *known) {
    const char *type = dmi_config_text(c, key, "conv");
    *known = !type || !*type || !strcmp(type, "conv") || !strcmp(type, "resnet");
    return type && !strcmp(type, "resnet") ? DM_RESAMPLE_RESNET : DM_RESAMPLE_CONV;
}

/* Blocks of one direction, as resampling and attention [levels]. */
static void read_blocks(dmi_config *c, bool down, const dm_unet_options *o, dm_resample *resample,
                        int32_t *attention) {
    static const char *const defaults[2][4] = {{"AttnUpBlock2D", "AttnUpBlock2D", "AttnUpBlock2D",
                                                "UpBlock2D"},
                                               {"DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D",
                                                "AttnDownBlock2D"}};
    const char *key = down ? "down_block_types" : "up_block_types";
    const char *type_key = down ? "downsample_type" : "upsample_type";
    bool type_known;
    dm_resample type = read_type(c, type_key, &type_known);
    level_list list = find_list(c, key, DMI_CONFIG_TEXT, 4);
    check_levels(c, key, &list, o);
    memset(attention, 0, DM_LEVELS_MAX * sizeof *attention);
    for (int32_t i = 0; i < list.count; i++) {
        /* Those of the decoder are listed from the innermost level. */
        int32_t level = down ? i : list.count - 1 - i;
        bool resamples = i < list.count - 1;
        const char *name = list.values ? list.values[i].text : defaults[down][i];
        const dmi_diffusers_block *block = dmi_diffusers_find_block(down, name);
        const char *way = down ? "Down" : "Up";
        if (!block) {
            char reason[240];
            snprintf(reason, sizeof reason,
                     "'%.48s' is not supported; supported are %sBlock2D, Attn%sBlock2D, "
                     "Resnet%ssampleBlock2D, Skip%sBlock2D and AttnSkip%sBlock2D",
                     name, way, way, way, way, way);
            dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, key, reason);
            return;
        }
        if (block->typed && resamples && !type_known)
            dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, type_key, "it must be conv or resnet");
        resample[level] = block->typed && resamples ? type : block->resample;
        attention[level] = block->attention;
    }
}

/* Only convolutions of the encoder have it. */
static void read_padding(dmi_config *c, dm_unet_options *o) {
    static const char key[] = "downsample_padding";
    const dmi_config_value *value = dmi_config_find(c, key);
    bool used = false;
    o->downsample_padding = DM_PAD_ALL;
    if (!value) return;
    for (int32_t i = 0; i + 1 < o->levels; i++)
        used = used || o->down_resample[i] == DM_RESAMPLE_CONV;
    if (value->kind == DMI_CONFIG_NUMBER && value->number == 0)
        o->downsample_padding = DM_PAD_BOTTOM_RIGHT;
    else if (used && !(value->kind == DMI_CONFIG_NUMBER && value->number == 1))
        dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, key,
                          "it must be 0 or 1 where convolutions halve the size");
}

static void read_levels(dmi_config *c, dm_unet_options *o) {
    int32_t up_attention[DM_LEVELS_MAX];
    read_channels(c, o);
    int32_t blocks = dmi_config_i32(c, "layers_per_block", 2, 1, 16);
    for (int32_t i = 0; i < DM_LEVELS_MAX; i++) o->blocks[i] = i < o->levels ? blocks : 0;
    read_blocks(c, true, o, o->down_resample, o->attention);
    read_blocks(c, false, o, o->up_resample, up_attention);
    for (int32_t i = 0; i < o->levels; i++)
        o->up_attention[i] = up_attention[i] == o->attention[i] ? -1 : up_attention[i];
    read_padding(c, o);
}

/* ---- the rest ---- */

static void read_size(dmi_config *c, const dm_diffusers_options *options, dm_unet_options *o) {
    static const char key[] = "sample_size";
    const dmi_config_value *value = dmi_config_find(c, key);
    double height = 0, width = 0;
    o->height = options->height;
    o->width = options->width;
    if (o->height && o->width) return;
    if (value && value->kind == DMI_CONFIG_NUMBER) {
        height = width = value->number;
    } else if (value && value->kind == DMI_CONFIG_LIST && value->count == 2) {
        height = c->elements[value->first].number;
        width = c->elements[value->first + 1].number;
    }
    if (!value || value->kind == DMI_CONFIG_NULL) {
        dmi_config_refuse(c, DM_ERROR_INVALID_ARGUMENT, key,
                          "'height' and 'width' of dm_diffusers_options must be set");
    } else if (height >= 1 && height <= 4096 && height == (int32_t)height && width >= 1 &&
               width <= 4096 && width == (int32_t)width) {
        if (!o->height) o->height = (int32_t)height;
        if (!o->width) o->width = (int32_t)width;
    } else {
        dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, key,
                          "it must be a number from 1 to 4096, or a list of two");
    }
}

static int32_t read_optional(dmi_config *c, const char *key, int32_t otherwise, int32_t null,
                             int32_t minimum, int32_t maximum) {
    const dmi_config_value *value = dmi_config_find(c, key);
    if (value && value->kind == DMI_CONFIG_NULL) return null;
    return dmi_config_i32(c, key, otherwise, minimum, maximum);
}

static void read_norms(dmi_config *c, dm_unet_options *o) {
    o->norm_groups = read_optional(c, "norm_num_groups", 32, 0, 1, 8192);
    o->norm_eps = (float)dmi_config_double(c, "norm_eps", 1e-5, 1e-12, 1);
    o->time_embedding =
        dmi_config_choice(c, "resnet_time_scale_shift", "default", dmi_diffusers_time_embeddings);
    int32_t null = o->time_embedding == DM_TIME_ADD ? -1 : 0;
    o->mid_norm_groups = read_optional(c, "attn_norm_num_groups", null, null, 1, 8192);
}

static void read_middle(dmi_config *c, dm_unet_options *o) {
    static const dmi_config_name types[] = {{"UNetMidBlock2D", 1}, {NULL, 0}};
    static const char key[] = "mid_block_type";
    const dmi_config_value *value = dmi_config_find(c, key);
    o->mid_block = value && value->kind == DMI_CONFIG_NULL
                       ? 0
                       : dmi_config_choice(c, key, "UNetMidBlock2D", types);
    o->mid_attention = dmi_config_bool(c, "add_attention", true);
    o->mid_scale = (float)dmi_config_double(c, "mid_block_scale_factor", 1, 1e-6, FACTOR_MAX);
}

static void read_time(dmi_config *c, dm_unet_options *o) {
    static const char steps[] = "num_train_timesteps";
    o->time_features =
        dmi_config_choice(c, "time_embedding_type", "positional", dmi_diffusers_time_features);
    o->time_channels = read_optional(c, "time_embedding_dim", 0, 0, 0, 32768);
    bool cos_first = dmi_config_bool(c, "flip_sin_to_cos", true);
    double shift = dmi_config_double(c, "freq_shift", 0, 0, 4096);
    /* Other features have neither order nor shift. */
    if (o->time_features == DM_TIME_SINUSOIDAL) {
        o->time_cos_first = cos_first;
        o->time_frequency_shift = (float)shift;
    } else {
        o->time_cos_first = 0;
        o->time_frequency_shift = 0;
    }
    if (dmi_config_is_null(c, steps)) {
        if (o->time_features == DM_TIME_LEARNED)
            dmi_config_refuse(c, DM_ERROR_BAD_FORMAT, steps,
                              "'time_embedding_type' learned needs it");
    } else {
        int32_t rows = dmi_config_i32(c, steps, 1000, 1, 1000000);
        if (o->time_features == DM_TIME_LEARNED) o->time_steps = rows;
    }
}

static void read_classes(dmi_config *c, dm_unet_options *o) {
    enum { TABLE, TIMESTEP, IDENTITY };
    static const dmi_config_name types[] = {{"timestep", TIMESTEP},
                                            {"identity", IDENTITY},
                                            {NULL, 0}};
    static const char type_key[] = "class_embed_type", count_key[] = "num_class_embeds";
    int32_t type =
        dmi_config_is_null(c, type_key) ? TABLE : dmi_config_choice(c, type_key, "timestep", types);
    int32_t count =
        dmi_config_is_null(c, count_key) ? 0 : dmi_config_i32(c, count_key, 0, 1, 1000000);
    if (type == TABLE) {
        o->classes = count;
        if (count) o->null_row = 0;
        return;
    }
    bool is_time = type == TIMESTEP;
    o->condition_embedding = is_time ? DM_CONDITION_TIME : DM_CONDITION_IDENTITY;
    o->condition_size = is_time ? 1 : dmi_unet_time_channels(o);
}

/* UNet2DModel has no name for the channels of a condition image, which callers concatenate. */
static void read_input(dmi_config *c, const dm_diffusers_options *options, dm_unet_options *o) {
    static const char key[] = "in_channels", center[] = "center_input_sample";
    o->center_input = dmi_config_bool(c, center, false);
    o->in_channels = dmi_config_i32(c, key, 3, 1, 128);
    o->condition_channels = options->condition_channels;
    if (o->condition_channels >= o->in_channels)
        dmi_config_refuse(c, DM_ERROR_INVALID_ARGUMENT, key,
                          "'condition_channels' of dm_diffusers_options must be less");
    else o->in_channels -= o->condition_channels;
    if (o->center_input && o->condition_channels)
        dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, center,
                          "with 'condition_channels' it must be false: here only x is centred");
    if (o->in_channels > 64)
        dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, key,
                          "at most 64 besides those of a condition are supported");
}

static void check_class(dmi_config *c) {
    static const char key[] = "_class_name";
    const char *name = dmi_config_text(c, key, "UNet2DModel");
    if (!name || strcmp(name, "UNet2DModel") != 0)
        dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, key, "only UNet2DModel is supported");
}

dm_status dmi_diffusers_read_options(dmi_config *c, const dm_diffusers_options *options,
                                     dm_unet_options *o) {
    dmi_struct_defaults(&dmi_struct_unet_options, o);
    check_class(c);
    read_levels(c, o);
    read_size(c, options, o);
    read_input(c, options, o);
    o->out_channels = dmi_config_i32(c, "out_channels", 3, 1, 64);
    o->activation = dmi_config_choice(c, "act_fn", "silu", dmi_diffusers_activations);
    o->dropout = (float)dmi_config_double(c, "dropout", 0, 0, 0.99999994);
    o->attention_head_size = read_optional(c, "attention_head_dim", 8, 0, 1, 8192);
    read_norms(c, o);
    read_middle(c, o);
    read_time(c, o);
    read_classes(c, o);
    o->prediction = DM_PREDICT_EPS;
    return dmi_config_end(c);
}
