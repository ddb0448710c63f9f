/* SPDX-License-Identifier: MIT */
/* See defaults.h. */
#include "train/defaults.h"

#include <stddef.h>

#include "command/option.h"

enum { LOWEST = 8 }; /* pixels at the lowest level, where attention sees the whole image */

void choose_trainer(dm_trainer_options *t) {
    t->learning_rate = 1e-3;
    t->warmup_steps = 200;
    t->ema_decay[0] = 0.999;
    t->label_dropout = 0.1;
}

/* Whether images can be halved that often. */
static int can_be_halved(int32_t height, int32_t width, int32_t times) {
    int32_t block = 1 << times;
    return height % block == 0 && width % block == 0;
}

/* The tiny preset reaches 8 pixels from 32; larger images get more levels of its widest kind, and
 * attention at the first level of at most 16 pixels. */
static void add_levels(dm_unet_options *u, int32_t height, int32_t width) {
    int32_t side = height > width ? height : width, last = u->levels - 1;
    if (side <= 32) return;
    while (u->levels < DM_LEVELS_MAX && side >> u->levels >= LOWEST &&
           can_be_halved(height, width, u->levels)) {
        u->channels[u->levels] = u->channels[last];
        u->blocks[u->levels] = u->blocks[last];
        u->levels++;
    }
    for (int32_t i = 0, found = 0; i < u->levels; i++) {
        u->attention[i] = !found && side >> i <= 2 * LOWEST;
        found |= u->attention[i];
    }
}

void choose_network(dm_unet_options *u, dm_schedule_options *s, dm_trainer_options *t,
                    const char *preset, int32_t height, int32_t width) {
    dm_preset value = DM_PRESET_TINY;
    int32_t side = height > width ? height : width;
    if (preset) option_enum_value("dm_preset", preset, &value);
    dm_unet_options_preset(u, sizeof *u, value);
    if (!preset) add_levels(u, height, width);
    t->batch_size = side <= 32 ? 64 : side <= 64 ? 32 : 16;
    if (value == DM_PRESET_SMALL) t->learning_rate = 5e-4;
    if (value != DM_PRESET_TINY && value != DM_PRESET_SMALL) t->learning_rate = 2e-4;
    if (value == DM_PRESET_DDPM_CIFAR10) s->kind = DM_SCHEDULE_LINEAR;
    /* These networks have a variance, which only this loss trains; lambda of their source, whose
     * divergence is the mean of 1000 timesteps in nats. */
    if (u->recipe[0] != DM_PART_END) {
        t->loss = DM_LOSS_HYBRID;
        t->bound_lambda = 6.93e-7;
    }
}
