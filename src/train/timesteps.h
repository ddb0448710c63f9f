/* SPDX-License-Identifier: MIT */
/* The noise levels that a trainer trains on. An image's level depends on the seed, on its position
 * in the whole run and, with DM_TIMESTEPS_LOSS_AWARE, on the losses recorded before the step. */
#ifndef DM_SRC_TIMESTEPS_H
#define DM_SRC_TIMESTEPS_H

#include "diffusion/schedule.h"

enum {
    DMI_TIMESTEP_NONE = -1,  /* a level between timesteps */
    DMI_RECORDED_LOSSES = 10 /* of each timestep */
};

typedef struct dmi_timesteps {
    dm_context *context;
    const dm_schedule *schedule;
    dm_timestep_sampling sampling;
    uint64_t seed;
    int32_t visited;        /* uniform among that many trailing timesteps; 0: among all */
    double mean, deviation; /* of the normal variable of logit-normal and log-normal levels */
    /* Loss-aware sampling; else NULL. */
    float *losses;         /* [T, DMI_RECORDED_LOSSES], the oldest first */
    float *counts;         /* [T] recorded losses; integers, stored as floats as files have them */
    double *probabilities; /* [T] */
    double *cumulative;    /* [T] the sum of the probabilities up to and including t */
    bool warm;             /* each timestep has all losses; before that, sampling is uniform */
} dmi_timesteps;

typedef struct dmi_noise_level {
    dmi_level level;
    int32_t timestep; /* or DMI_TIMESTEP_NONE */
    double weight;    /* of importance sampling: with it, the expected loss is that of uniform
                         timesteps */
} dmi_noise_level;

/* Allocates what loss-aware sampling needs; the caller has set the members before. */
dm_status dmi_timesteps_create(dmi_timesteps *timesteps);
void dmi_timesteps_destroy(dmi_timesteps *timesteps);

/* Before a step: computes the probabilities from the losses recorded so far. */
void dmi_timesteps_begin(dmi_timesteps *timesteps);
/* The level for a position of the run. Called by tasks. */
dmi_noise_level dmi_timesteps_draw(const dmi_timesteps *timesteps, uint64_t position);
/* The level of a timestep that the caller chose, with weight 1. */
dmi_noise_level dmi_timesteps_given(const dmi_timesteps *timesteps, int32_t timestep);
/* After a step: records the loss of an image, without the weight. */
void dmi_timesteps_record(dmi_timesteps *timesteps, int32_t timestep, double loss);

#endif
