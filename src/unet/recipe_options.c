/* SPDX-License-Identifier: MIT */
/* The rules of networks of blocks by recipe. */
#include "core/enums.h"
#include "unet/options.h"
#include "unet/recipe.h"

static bool has_part(const dm_unet_options *o, dm_part part) {
    for (int32_t i = 0; i < dmi_recipe_parts(o); i++)
        if (o->recipe[i] == part) return true;
    return false;
}

dm_status dmi_recipe_check_end(dmi_host *host, const dm_unet_options *o) {
    int32_t end = dmi_recipe_parts(o);
    for (int32_t i = end + 1; i < DMI_PARTS_MAX; i++)
        if (o->recipe[i] != DM_PART_END)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "unet: 'recipe[%d]' is %s; it must be end, as 'recipe[%d]' is", (int)i,
                            dmi_enum_text("dm_part", o->recipe[i]), (int)end);
    return DM_OK;
}

static dm_status check_parts(dmi_host *host, const dm_unet_options *o) {
    if (o->recipe[0] != DM_PART_RESNET && o->recipe[0] != DM_PART_CONVNEXT)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'recipe' begins with %s; the first part changes the number of "
                        "channels, so it must be resnet or convnext",
                        dmi_enum_text("dm_part", o->recipe[0]));
    if (has_part(o, DM_PART_CLASS_ATTENTION) && !o->classes)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'recipe' has class_attention, which needs 'classes'");
    return DM_OK;
}

/* Options that would be ignored although they change what the network is given, or its training
 * without a sign of it. */
static dm_status check_inputs(dmi_host *host, const dm_unet_options *o) {
    if (o->time_features != DM_TIME_SINUSOIDAL)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'recipe' cannot be combined with 'time_features' %s: the time of "
                        "its networks is embedded as sinusoidal",
                        dmi_enum_text("dm_time_features", o->time_features));
    if (o->condition_size)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'recipe' cannot be combined with 'condition_size' %d: its networks "
                        "take no condition vector",
                        (int)o->condition_size);
    if (o->dropout > 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'recipe' cannot be combined with 'dropout' %g: its parts have none",
                        (double)o->dropout);
    return DM_OK;
}

/* ---- windows ---- */

static dm_status check_side(dmi_host *host, const dm_unet_options *o, const char *name,
                            int32_t side) {
    int32_t window = o->attention_window;
    if (side <= window || side % window == 0) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "unet: 'attention_window' is %d; at a level where '%s' is %d, it must divide "
                    "it or be no less",
                    (int)window, name, (int)side);
}

static dm_status check_windows(dmi_host *host, const dm_unet_options *o) {
    if (!has_part(o, DM_PART_ATTENTION)) return DM_OK;
    for (int32_t level = 0; level < o->levels; level++) {
        dm_status status = check_side(host, o, "height", o->height >> level);
        if (!status) status = check_side(host, o, "width", o->width >> level);
        if (status) return status;
    }
    return DM_OK;
}

/* ---- groups ---- */

/* The norms of a quarter as many groups as channels, rounded down. */
static bool groups_divide(int32_t channels) {
    return channels <= 4 || channels % (channels / 4) == 0;
}

static dm_status check_width(dmi_host *host, int32_t channels, const char *of) {
    if (groups_divide(channels)) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "unet: '%s' give %d channels to a norm, which a quarter of them, %d groups, "
                    "must divide",
                    of, (int)channels, (int)(channels / 4));
}

/* Of a block from `in` to `out` channels. */
static dm_status check_block(dmi_host *host, const dm_unet_options *o, int32_t in, int32_t out,
                             const char *of) {
    for (int32_t i = 0; i < dmi_recipe_parts(o); i++) {
        dm_part part = o->recipe[i];
        if (part == DM_PART_RESNET || part == DM_PART_CHANNEL_ATTENTION) continue;
        dm_status status = check_width(host, i == 0 ? in : out, of);
        if (status) return status;
    }
    return DM_OK;
}

static dm_status check_norms(dmi_host *host, const dm_unet_options *o) {
    const int32_t *c = o->channels;
    dm_status status = DM_OK;
    for (int32_t i = 1; !status && i < o->levels; i++) {
        status = check_block(host, o, c[i - 1], c[i], "channels");
        if (!status) status = check_block(host, o, 2 * c[i], c[i - 1], "channels");
    }
    int32_t last = c[o->levels - 1];
    if (!status) status = check_block(host, o, last, last, "channels");
    if (!status) status = check_block(host, o, c[0], c[0], "channels");
    if (!status) status = check_block(host, o, c[0], dmi_unet_channels_out(o), "out_channels");
    if (!status && o->learned_variance) status = check_width(host, o->out_channels, "out_channels");
    return status;
}

dm_status dmi_recipe_check_options(dmi_host *host, const dm_unet_options *o) {
    dm_status status = check_parts(host, o);
    if (!status) status = check_inputs(host, o);
    if (!status) status = check_windows(host, o);
    return status ? status : check_norms(host, o);
}
