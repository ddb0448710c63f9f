/* SPDX-License-Identifier: MIT */
/* A network's options: presets, and the rules between options. */
#include "unet/options.h"

#include <math.h>

#include "core/enums.h"
#include "unet/recipe.h"

dm_status dm_unet_options_init(dm_unet_options *options, size_t size) {
    return dmi_struct_init(&dmi_struct_unet_options, options, size);
}

/* Images of size x size pixels; the width doubles with each level. */
static void set_recipe(dm_unet_options *o, int32_t size, int32_t width, int32_t classes) {
    o->height = o->width = size;
    for (int32_t i = 0; i < 4; i++) o->channels[i] = width << i;
    o->recipe[0] = DM_PART_RESNET;
    o->recipe[1] = DM_PART_CLASS_ATTENTION;
    o->recipe[2] = DM_PART_CHANNEL_ATTENTION;
    o->classes = classes;
    o->prediction = DM_PREDICT_EPS;
    o->learned_variance = 1;
    o->time_frequency_shift = 0;
}

dm_status dm_unet_options_preset(dm_unet_options *options, size_t size, dm_preset preset) {
    dm_unet_options o;
    dmi_struct_defaults(&dmi_struct_unet_options, &o);
    switch (preset) {
        case DM_PRESET_TINY:
            o.levels = 3;
            o.channels[0] = 32, o.channels[1] = 64, o.channels[2] = 64, o.channels[3] = 0;
            for (int32_t i = 0; i < DM_LEVELS_MAX; i++) o.blocks[i] = i < 3 ? 1 : 0;
            o.norm_groups = 8;
            break;
        case DM_PRESET_SMALL:
            o.norm_groups = 8;
            o.time_channels = 128;
            o.time_embedding = DM_TIME_ADD_OUTPUT;
            break;
        case DM_PRESET_DDPM_CIFAR10:
            o.channels[0] = 128, o.channels[1] = o.channels[2] = o.channels[3] = 256;
            o.dropout = 0.1f;
            o.prediction = DM_PREDICT_EPS;
            break;
        case DM_PRESET_RECIPE_64: set_recipe(&o, 64, 128, 1000); break;
        case DM_PRESET_RECIPE_32: set_recipe(&o, 32, 32, 10); break;
        default: return DM_ERROR_INVALID_ARGUMENT;
    }
    dmi_host no_context = {0};
    return dmi_struct_write(&no_context, &dmi_struct_unet_options, options, size, &o);
}

/* ---- rules ---- */

/* One entry of an array that has one for each level. */
static dm_status check_entry(dmi_host *host, const char *name, const int32_t *values, int32_t level,
                             int32_t minimum, int32_t maximum) {
    if (values[level] >= minimum && values[level] <= maximum) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "unet: '%s' is %d at level %d; it must be from %d to %d", name,
                    (int)values[level], (int)level, (int)minimum, (int)maximum);
}

/* Refuses a number of groups that does not divide the channels of a norm; `where` says which. */
static dm_status check_groups(dmi_host *host, const dm_unet_options *o, int32_t groups,
                              int32_t channels, const char *where, int32_t level) {
    if (groups > 0 && channels % groups == 0) return DM_OK;
    if (groups > 0 && groups == o->norm_groups)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "unet: 'norm_groups' is %d; it must divide every entry of 'channels' (%d at level %d)",
            (int)groups, (int)channels, (int)level);
    if (groups == 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'channels' give %d channels to a norm of %s level %d; with %s it "
                        "needs at least 4",
                        (int)channels, where, (int)level,
                        o->norm_groups ? "resampling skip" : "'norm_groups' 0");
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "unet: 'channels' give %d channels to a norm of %s level %d, which its %d "
                    "groups must divide",
                    (int)channels, where, (int)level, (int)groups);
}

/* The norm of a decoder's block on channels of the levels `hidden` and `passed`. Where norm_groups
 * do not divide the sum, the text names the entry of 'channels' that they do not divide. */
static dm_status check_concat(dmi_host *host, const dm_unet_options *o, int32_t level,
                              int32_t hidden, int32_t passed) {
    const int32_t *c = o->channels;
    int32_t groups = dmi_unet_concat_groups(o, level, c[hidden], c[passed]);
    if (groups > 0 && (c[hidden] + c[passed]) % groups == 0) return DM_OK;
    if (groups != o->norm_groups)
        return check_groups(host, o, groups, c[hidden] + c[passed], "the decoder's", level);
    dm_status status = check_groups(host, o, groups, c[hidden], "the decoder's", hidden);
    return status ? status : check_groups(host, o, groups, c[passed], "the decoder's", passed);
}

/* The norms of the blocks of a level, both ways. */
static dm_status check_norms(dmi_host *host, const dm_unet_options *o, int32_t level) {
    const int32_t *c = o->channels;
    int32_t below = dmi_max(level - 1, 0), above = dmi_min(level + 1, o->levels - 1), in = c[below];
    bool skip = o->down_resample[level] == DM_RESAMPLE_SKIP;
    dm_status status =
        check_groups(host, o, dmi_unet_groups(o, skip, c[level]), c[level], "the encoder's", level);
    if (!status)
        status = check_groups(host, o, dmi_unet_groups(o, skip, in), in, "the encoder's", level);
    if (!status && skip && o->attention[level])
        status = check_groups(host, o, DMI_SKIP_GROUPS, c[level], "the encoder's", level);
    skip = o->up_resample[level] == DM_RESAMPLE_SKIP;
    if (!status)
        status = check_groups(host, o, dmi_unet_groups(o, skip, c[level]), c[level],
                              "the decoder's", level);
    if (!status && skip && dmi_unet_up_attention(o, level))
        status = check_groups(host, o, DMI_SKIP_GROUPS, c[level], "the decoder's", level);
    for (int32_t i = 0; !status && i <= o->blocks[level]; i++)
        status = check_concat(host, o, level, i == 0 ? above : level,
                              i == o->blocks[level] ? below : level);
    return status;
}

/* The norms of the mid block and of the output, which are in no level of NCSN++. */
static dm_status check_outer_norms(dmi_host *host, const dm_unet_options *o) {
    int32_t last = o->levels - 1, c = o->channels[last];
    dm_status status = DM_OK;
    if (o->mid_block)
        status = check_groups(host, o, dmi_unet_groups(o, false, c), c, "the mid block's", last);
    if (status) return status;
    return check_groups(host, o, dmi_unet_groups(o, false, o->channels[0]), o->channels[0],
                        "the output's", 0);
}

static dm_status check_level(dmi_host *host, const dm_unet_options *o, int32_t level) {
    int32_t c = o->channels[level];
    bool last = level == o->levels - 1, mid = last && o->mid_block && o->mid_attention;
    if (o->attention_head_size > c &&
        (o->attention[level] || dmi_unet_up_attention(o, level) || mid))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'attention_head_size' is %d; it must be at most the channels of "
                        "levels with attention (%d at level %d)",
                        (int)o->attention_head_size, (int)c, (int)level);
    dm_status status = check_norms(host, o, level);
    if (!status && mid && o->mid_norm_groups > 0 && c % o->mid_norm_groups)
        status = dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                          "unet: 'mid_norm_groups' is %d; it must divide the channels of the last "
                          "level, %d",
                          (int)o->mid_norm_groups, (int)c);
    return status;
}

static dm_status check_entries(dmi_host *host, const dm_unet_options *o, int32_t level) {
    dm_status status = check_entry(host, "blocks", o->blocks, level, 1, 16);
    if (!status) status = check_entry(host, "attention", o->attention, level, 0, 1);
    return status;
}

/* The pyramid of NCSN++ passes from level to level: the encoder's begins at the input, the
 * decoder's ends at the output. */
static dm_status check_pyramids(dmi_host *host, const dm_unet_options *o) {
    const char *name = NULL;
    int32_t wrong = 0;
    for (int32_t level = 0; level + 1 < o->levels && !name; level++) {
        wrong = level;
        if (level + 2 < o->levels && o->down_resample[level] != DM_RESAMPLE_SKIP &&
            o->down_resample[level + 1] == DM_RESAMPLE_SKIP)
            name = "down_resample";
        else if (o->up_resample[level] != DM_RESAMPLE_SKIP &&
                 o->up_resample[level + 1] == DM_RESAMPLE_SKIP)
            name = "up_resample";
    }
    if (!name) return DM_OK;
    return dmi_fail(
        host, DM_ERROR_INVALID_ARGUMENT,
        "unet: '%s' is skip at level %d and not at level %d; its pyramid passes through "
        "all levels from 0",
        name, (int)wrong + 1, (int)wrong);
}

static dm_status check_size(dmi_host *host, const char *name, int32_t value, int32_t levels) {
    int32_t unit = 1 << (levels - 1);
    if (value % unit == 0) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "unet: '%s' is %d; with %d 'levels' it must be a multiple of %d", name,
                    (int)value, (int)levels, (int)unit);
}

/* The largest exponent of a frequency: exp(60) as a float leaves room for the time. */
enum { EXPONENT_MAX = 60 };

/* There are as many sines and cosines as channels at level 0, of a recipe as in the embedding. */
static dm_status check_time(dmi_host *host, const dm_unet_options *o) {
    bool recipe = dmi_unet_has_recipe(o);
    int32_t width = recipe ? dmi_unet_time_channels(o) : o->channels[0];
    const int32_t half = width / 2;
    double distance = half - (double)o->time_frequency_shift;
    if (o->time_features != DM_TIME_SINUSOIDAL) return DM_OK;
    if (width < 2 && recipe)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'time_channels' is %d; the sines and cosines of the time need at "
                        "least 2",
                        (int)width);
    if (width < 2)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'channels' is %d at level 0; the sines and cosines of the time need "
                        "at least 2",
                        (int)width);
    if (distance > 0 || (distance < 0 && log(10000.0) * (half - 1) / -distance < EXPONENT_MAX))
        return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "unet: 'time_frequency_shift' is %g; it is too near half of the channels %s "
                    "(%g): the time's frequencies would overflow",
                    (double)o->time_frequency_shift, recipe ? "of the time" : "at level 0",
                    (double)half);
}

static dm_status check_condition(dmi_host *host, const dm_unet_options *o) {
    int32_t size = o->condition_size;
    if (size && o->condition_embedding == DM_CONDITION_IDENTITY &&
        size != dmi_unet_time_channels(o))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'condition_size' is %d; with 'condition_embedding' identity it must "
                        "be that of the time embedding, %d",
                        (int)size, (int)dmi_unet_time_channels(o));
    if (size > 1 && o->condition_embedding == DM_CONDITION_TIME)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "unet: 'condition_size' is %d; with 'condition_embedding' time it must be 1",
            (int)size);
    return DM_OK;
}

/* What holds for residual and attention blocks alone. */
static dm_status check_levels(dmi_host *host, const dm_unet_options *o) {
    dm_status status = DM_OK;
    for (int32_t level = 0; !status && level < o->levels; level++)
        status = check_entries(host, o, level);
    for (int32_t level = 0; !status && level < o->levels; level++)
        status = check_level(host, o, level);
    if (!status) status = check_outer_norms(host, o);
    if (!status) status = check_pyramids(host, o);
    return status ? status : check_condition(host, o);
}

dm_status dmi_unet_check_options(dmi_host *host, const dm_unet_options *o) {
    bool recipe = dmi_unet_has_recipe(o);
    dm_status status = check_size(host, "height", o->height, o->levels);
    if (!status) status = check_size(host, "width", o->width, o->levels);
    for (int32_t level = 0; !status && level < o->levels; level++)
        status = check_entry(host, "channels", o->channels, level, 1, 8192);
    if (!status) status = dmi_recipe_check_end(host, o);
    if (!status) status = recipe ? dmi_recipe_check_options(host, o) : check_levels(host, o);
    if (!status) status = check_time(host, o);
    if (!status) status = dmi_check_computes_in(host, "unet", o->precision);
    if (status) return status;
    if (o->learned_variance && o->prediction != DM_PREDICT_EPS)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'learned_variance' cannot be combined with 'prediction' %s: a "
                        "variance is learned beside eps only",
                        dmi_enum_text("dm_prediction", o->prediction));
    return DM_OK;
}

const char *dmi_unet_options_difference(const dm_unet_options *a, const dm_unet_options *b) {
    dm_unet_options used[2] = {*a, *b};
    for (int32_t i = 0; i < 2; i++) {
        used[i].precision = DM_PRECISION_F32; /* any network can compute in any */
        for (int32_t level = used[i].levels; level < DM_LEVELS_MAX; level++)
            used[i].channels[level] = used[i].blocks[level] = used[i].attention[level] =
                used[i].down_resample[level] = used[i].up_resample[level] =
                    used[i].up_attention[level] = 0;
    }
    const dmi_member *member = dmi_struct_difference(&dmi_struct_unet_options, &used[0], &used[1]);
    return member ? member->name : NULL;
}
