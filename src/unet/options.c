/* A network's options: defaults, presets and what makes sense. */
#include "unet/options.h"

#include <math.h>

#include "core/options.h"
#include "unet/unet.h"

dm_unet_options dmi_unet_default_options(void) {
    return (dm_unet_options){
        .struct_size = sizeof(dm_unet_options),
        .height = 32,
        .width = 32,
        .in_channels = 3,
        .out_channels = 3,
        .levels = 4,
        .channels = {64, 128, 128, 128},
        .blocks = {2, 2, 2, 2},
        .attention = {0, 1, 0, 0},
        .mid_attention = 1,
        .norm_groups = 32,
        .norm_eps = 1e-6f,
        .time_embedding = DM_TIME_ADD,
        .time_frequency_shift = 1.0f,
        .downsample_padding = DM_PAD_BOTTOM_RIGHT,
        .prediction = DM_PREDICT_EPS,
        .sigma_data = 0.5f,
    };
}

int32_t dm_unet_options_init(dm_unet_options *options, size_t size) {
    dm_unet_options defaults = dmi_unet_default_options();
    return dmi_options_write(NULL, options, size, &defaults, sizeof defaults, "dm_unet_options");
}

int32_t dm_unet_options_preset(dm_unet_options *options, size_t size, int32_t preset) {
    dm_unet_options o = dmi_unet_default_options();
    switch (preset) {
        case DM_PRESET_TINY:
            o.levels = 3;
            o.channels[0] = 32, o.channels[1] = 64, o.channels[2] = 64, o.channels[3] = 0;
            for (int32_t i = 0; i < DM_MAX_LEVELS; i++) o.blocks[i] = i < 3 ? 1 : 0;
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
            break;
        default: return DM_ERROR_INVALID_ARGUMENT;
    }
    return dmi_options_write(NULL, options, size, &o, sizeof o, "dm_unet_options");
}

/* One entry of an array that has one for each level. */
static int32_t check_entry(dmi_host *host, const char *name, const int32_t *values, int32_t level,
                           int32_t low, int32_t high) {
    if (values[level] >= low && values[level] <= high) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "unet: '%s' is %d at level %d; it must be %d to %d", name, (int)values[level],
                    (int)level, (int)low, (int)high);
}

static int32_t check_level(dmi_host *host, const dm_unet_options *o, int32_t level) {
    int32_t c = o->channels[level], status;
    if ((status = check_entry(host, "channels", o->channels, level, 1, 8192))) return status;
    if (c % o->norm_groups)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "unet: 'norm_groups' is %d; it must divide every entry of 'channels' (%d at level %d)",
            (int)o->norm_groups, (int)c, (int)level);
    if ((status = check_entry(host, "blocks", o->blocks, level, 1, 16))) return status;
    if ((status = check_entry(host, "attention", o->attention, level, 0, 1))) return status;
    bool attends = o->attention[level] || (level == o->levels - 1 && o->mid_attention);
    if (attends && o->attention_head_size && c % o->attention_head_size)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'attention_head_size' is %d; it must divide the channels of levels "
                        "with attention "
                        "(%d at level %d)",
                        (int)o->attention_head_size, (int)c, (int)level);
    return DM_OK;
}

static int32_t check_size(dmi_host *host, const char *name, int32_t value, int32_t levels) {
    int32_t status = dmi_check_range(host, "unet", name, value, 1, 4096), unit = 1 << (levels - 1);
    if (status || value % unit == 0) return status;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "unet: '%s' is %d; with %d 'levels' it must be a multiple of %d", name,
                    (int)value, (int)levels, (int)unit);
}

int32_t dmi_unet_check_options(dmi_host *host, const dm_unet_options *o) {
    const struct {
        const char *name;
        int32_t value, low, high;
    } ranges[] = {
        {"levels", o->levels, 1, DM_MAX_LEVELS},
        {"in_channels", o->in_channels, 1, 64},
        {"out_channels", o->out_channels, 1, 64},
        {"mid_attention", o->mid_attention, 0, 1},
        {"attention_head_size", o->attention_head_size, 0, 8192},
        {"norm_groups", o->norm_groups, 1, 8192},
        {"time_embedding", o->time_embedding, DM_TIME_ADD, DM_TIME_ADD_OUTPUT},
        {"time_channels", o->time_channels, 0, 32768},
        {"time_cos_first", o->time_cos_first, 0, 1},
        {"downsample_padding", o->downsample_padding, DM_PAD_BOTTOM_RIGHT, DM_PAD_ALL},
        {"classes", o->classes, 0, 1000000},
        {"prediction", o->prediction, DM_PREDICT_EPS, DM_PREDICT_EDM},
        {"learned_variance", o->learned_variance, 0, 1},
        {"self_conditioning", o->self_conditioning, 0, 1},
        {"reserved", o->reserved, 0, 0},
    };
    int32_t status;
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if ((status = dmi_check_range(host, "unet", ranges[i].name, ranges[i].value, ranges[i].low,
                                      ranges[i].high)))
            return status;
    if ((status = check_size(host, "height", o->height, o->levels))) return status;
    if ((status = check_size(host, "width", o->width, o->levels))) return status;
    for (int32_t level = 0; level < o->levels; level++)
        if ((status = check_level(host, o, level))) return status;
    if (o->channels[0] % 2)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "unet: 'channels' begins with %d; it must be even, for the sinusoids of the timestep",
            (int)o->channels[0]);
    if (!(o->norm_eps > 0 && o->norm_eps <= 1))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'norm_eps' is %g; it must be above 0 and at most 1",
                        (double)o->norm_eps);
    if (o->prediction == DM_PREDICT_EDM && !(o->sigma_data >= 1e-3f && o->sigma_data <= 1e3f))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'sigma_data' is %g; it must be 1e-3 to 1e3", (double)o->sigma_data);
    if (o->learned_variance && o->prediction != DM_PREDICT_EPS)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'learned_variance' and 'prediction' %d don't go together: a "
                        "variance is learned beside eps (0)",
                        (int)o->prediction);
    if (!(o->dropout >= 0 && o->dropout < 1))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'dropout' is %g; it must be from 0 to below 1", (double)o->dropout);
    if (!(o->time_frequency_shift >= 0 && o->time_frequency_shift < 0.5f * (float)o->channels[0]))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'time_frequency_shift' is %g; it must be from 0 to below half of "
                        "the first width (%g)",
                        (double)o->time_frequency_shift, 0.5 * o->channels[0]);
    return DM_OK;
}
