/* SPDX-License-Identifier: MIT */
/* A network's options: presets, and the rules between options. */
#include "unet/options.h"

#include "core/enums.h"

dm_status dm_unet_options_init(dm_unet_options *options, size_t size) {
    return dmi_struct_init(&dmi_struct_unet_options, options, size);
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

static dm_status check_level(dmi_host *host, const dm_unet_options *o, int32_t level) {
    int32_t c = o->channels[level];
    dm_status status = check_entry(host, "channels", o->channels, level, 1, 8192);
    if (!status) status = check_entry(host, "blocks", o->blocks, level, 1, 16);
    if (!status) status = check_entry(host, "attention", o->attention, level, 0, 1);
    if (status) return status;
    if (c % o->norm_groups)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "unet: 'norm_groups' is %d; it must divide every entry of 'channels' (%d at level %d)",
            (int)o->norm_groups, (int)c, (int)level);
    bool attention = o->attention[level] || (level == o->levels - 1 && o->mid_attention);
    if (attention && o->attention_head_size && c % o->attention_head_size)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'attention_head_size' is %d; it must divide the channels of levels "
                        "with attention (%d at level %d)",
                        (int)o->attention_head_size, (int)c, (int)level);
    return DM_OK;
}

static dm_status check_size(dmi_host *host, const char *name, int32_t value, int32_t levels) {
    int32_t unit = 1 << (levels - 1);
    if (value % unit == 0) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "unet: '%s' is %d; with %d 'levels' it must be a multiple of %d", name,
                    (int)value, (int)levels, (int)unit);
}

dm_status dmi_unet_check_options(dmi_host *host, const dm_unet_options *o) {
    dm_status status = check_size(host, "height", o->height, o->levels);
    if (!status) status = check_size(host, "width", o->width, o->levels);
    for (int32_t level = 0; !status && level < o->levels; level++)
        status = check_level(host, o, level);
    if (status) return status;
    if (o->channels[0] % 2)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'channels' is %d at level 0; it must be even, since half of the "
                        "time embedding are sines and half cosines",
                        (int)o->channels[0]);
    if (o->time_frequency_shift >= 0.5f * (float)o->channels[0])
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'time_frequency_shift' is %g; it must be below half of the channels "
                        "at level 0 (%g)",
                        (double)o->time_frequency_shift, 0.5 * o->channels[0]);
    if (o->learned_variance && o->prediction != DM_PREDICT_EPS)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'learned_variance' cannot be combined with 'prediction' %s: a "
                        "variance is learned beside eps only",
                        dmi_enum_text("dm_prediction", o->prediction));
    return DM_OK;
}

const char *dmi_unet_options_difference(const dm_unet_options *a, const dm_unet_options *b) {
    dm_unet_options used[2] = {*a, *b};
    for (int32_t i = 0; i < 2; i++)
        for (int32_t level = used[i].levels; level < DM_LEVELS_MAX; level++)
            used[i].channels[level] = used[i].blocks[level] = used[i].attention[level] = 0;
    const dmi_member *member = dmi_struct_difference(&dmi_struct_unet_options, &used[0], &used[1]);
    return member ? member->name : NULL;
}
