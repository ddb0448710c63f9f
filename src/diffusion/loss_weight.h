/* SPDX-License-Identifier: MIT */
/* Weights of the loss by noise level, and the term of the variational bound. */
#ifndef DM_SRC_DIFFUSION_LOSS_WEIGHT_H
#define DM_SRC_DIFFUSION_LOSS_WEIGHT_H

#include "diffusion/level.h"
#include "kernels/kernels.h"

/* The factor of an image's loss, by options->loss_weight. `t` is the timestep, which
 * DM_LOSS_WEIGHT_BOUND alone needs. */
double dmi_loss_weight(const dm_trainer_options *options, const dm_schedule *schedule,
                       dmi_level level, int32_t t, dm_prediction prediction);
/* The term of the variational bound at timestep t of a schedule with betas, for eps; its `factor`
 * is left to the caller. */
dmi_bound dmi_loss_bound(const dm_schedule *schedule, int32_t t);

#endif
