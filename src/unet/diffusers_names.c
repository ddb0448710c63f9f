/* SPDX-License-Identifier: MIT */
/* What diffusers calls the parts that networks are chosen from. */
#include <string.h>

#include "unet/diffusers.h"

static const dmi_diffusers_block down_blocks[] = {
    {"DownBlock2D", DM_RESAMPLE_CONV, 0, false},
    {"AttnDownBlock2D", DM_RESAMPLE_CONV, 1, true},
    {"ResnetDownsampleBlock2D", DM_RESAMPLE_RESNET, 0, false},
    {"SkipDownBlock2D", DM_RESAMPLE_SKIP, 0, false},
    {"AttnSkipDownBlock2D", DM_RESAMPLE_SKIP, 1, false},
    {NULL, 0, 0, false},
};
static const dmi_diffusers_block up_blocks[] = {
    {"UpBlock2D", DM_RESAMPLE_CONV, 0, false},
    {"AttnUpBlock2D", DM_RESAMPLE_CONV, 1, true},
    {"ResnetUpsampleBlock2D", DM_RESAMPLE_RESNET, 0, false},
    {"SkipUpBlock2D", DM_RESAMPLE_SKIP, 0, false},
    {"AttnSkipUpBlock2D", DM_RESAMPLE_SKIP, 1, false},
    {NULL, 0, 0, false},
};

const dmi_diffusers_block *dmi_diffusers_find_block(bool down, const char *name) {
    static const char prefix[] = "UNetRes"; /* of older configurations */
    if (!strncmp(name, prefix, strlen(prefix))) name += strlen(prefix);
    for (const dmi_diffusers_block *b = down ? down_blocks : up_blocks; b->name; b++)
        if (!strcmp(b->name, name)) return b;
    return NULL;
}

const dmi_diffusers_block *dmi_diffusers_block_of(bool down, dm_resample resample,
                                                  int32_t attention, bool last) {
    if (last && resample != DM_RESAMPLE_SKIP) resample = DM_RESAMPLE_CONV;
    for (const dmi_diffusers_block *b = down ? down_blocks : up_blocks; b->name; b++)
        if (b->attention == attention &&
            (b->resample == resample || (b->typed && resample == DM_RESAMPLE_RESNET)))
            return b;
    return NULL;
}

const dmi_config_name dmi_diffusers_activations[] = {
    {"silu", DM_ACTIVATION_SILU}, {"swish", DM_ACTIVATION_SILU}, {"mish", DM_ACTIVATION_MISH},
    {"gelu", DM_ACTIVATION_GELU}, {"relu", DM_ACTIVATION_RELU},  {NULL, 0},
};
const dmi_config_name dmi_diffusers_time_features[] = {
    {"positional", DM_TIME_SINUSOIDAL},
    {"fourier", DM_TIME_FOURIER},
    {"learned", DM_TIME_LEARNED},
    {NULL, 0},
};
const dmi_config_name dmi_diffusers_time_embeddings[] = {
    {"default", DM_TIME_ADD},
    {"scale_shift", DM_TIME_SCALE_SHIFT},
    {NULL, 0},
};

const char *dmi_diffusers_name(const dmi_config_name *names, int32_t value) {
    for (; names->name; names++)
        if (names->value == value) return names->name;
    return NULL;
}
