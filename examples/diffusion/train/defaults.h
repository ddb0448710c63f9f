/* SPDX-License-Identifier: MIT */
/* Options that draw shapes where the command line chooses none. */
#ifndef DIFFUSION_TRAIN_DEFAULTS_H
#define DIFFUSION_TRAIN_DEFAULTS_H

#include <diffusion.h>

/* The network of a preset, or where that is NULL one for images of that size; and what it is
 * trained with. */
void choose_network(dm_unet_options *u, dm_schedule_options *s, dm_trainer_options *t,
                    const char *preset, int32_t height, int32_t width);
/* What does not depend on the network. */
void choose_trainer(dm_trainer_options *t);

#endif
