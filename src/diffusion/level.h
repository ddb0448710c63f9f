/* SPDX-License-Identifier: MIT */
/* Noise levels: x = signal x_0 + noise eps, and the levels that a schedule has. */
#ifndef DM_SRC_DIFFUSION_LEVEL_H
#define DM_SRC_DIFFUSION_LEVEL_H

#include <stdbool.h>

#include "diffusion.h"

typedef struct dmi_level {
    double signal, noise;
    double time; /* the network's time input (DM_SERIES_TIME) */
} dmi_level;

/* noise / signal; infinite without a signal. */
double dmi_level_sigma(dmi_level level);
/* log(signal / noise). */
double dmi_level_lambda(dmi_level level);
/* False where x is pure noise: there 1 / signal would exceed float's range. */
bool dmi_level_has_signal(dmi_level level);
/* The variance of the noise that the forward process adds from the level `cleaner` to `noisier`:
 * noisier.noise^2 - (noisier.signal / cleaner.signal)^2 cleaner.noise^2. Between neighbouring
 * timesteps of a schedule with betas it is beta. */
double dmi_variance_between(dmi_level noisier, dmi_level cleaner);

/* The level of timestep t, from 0 to T-1. Between whole timesteps of a schedule with betas, sigma
 * is interpolated linearly, as in Karras et al.'s code. */
dmi_level dmi_schedule_level(const dm_schedule *schedule, double t);
/* The timestep with this sigma, limited to 0 and T-1; with betas, log sigma is interpolated
 * linearly between timesteps. */
double dmi_schedule_timestep_of_sigma(const dm_schedule *schedule, double sigma);
/* The level with exactly this sigma, above 0, and the time of that timestep. */
dmi_level dmi_schedule_level_of_sigma(const dm_schedule *schedule, double sigma);

#endif
