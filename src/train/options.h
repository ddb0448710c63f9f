/* SPDX-License-Identifier: MIT */
/* The rules between a trainer's options, and those with its network and schedule. Single values
 * must have passed dmi_struct_check. */
#ifndef DM_SRC_TRAIN_OPTIONS_H
#define DM_SRC_TRAIN_OPTIONS_H

#include "core/context.h"
#include "diffusion/schedule.h"
#include "optim/ema.h"

/* EMA `index` as the options say; false: it is not kept. */
bool dmi_trainer_ema(const dm_trainer_options *options, int32_t index, dmi_ema *ema);
/* Refuses options that cannot be combined. */
dm_status dmi_trainer_check_options(dmi_host *host, const dm_trainer_options *options);
/* Refuses options that the network or the schedule cannot be combined with. */
dm_status dmi_trainer_check_model(dmi_host *host, const dm_unet_options *unet,
                                  const dm_schedule *schedule, const dm_trainer_options *options);

#endif
