/* Which levels of noise a trainer trains on. A picture's level depends on the seed, on its position
 * in the whole run, and, where timesteps are drawn by their losses, on the losses before the
 * step. */
#ifndef DM_SRC_TIMESTEPS_H
#define DM_SRC_TIMESTEPS_H

#include "diffusion/schedule.h"

enum {
    DMI_TIMESTEP_BETWEEN = -1, /* a level that is no timestep's */
    DMI_LOSSES_KEPT = 10       /* of each timestep */
};

typedef struct dmi_timesteps {
    dm_context *context;
    const dm_schedule *schedule;
    int32_t sampling; /* DM_TIMESTEPS_* */
    uint64_t seed;
    double mean, deviation; /* of the normal number behind a logit-normal or log-normal level */
    /* Loss-aware; else NULL. */
    float *losses; /* [T, DMI_LOSSES_KEPT], the oldest first */
    float *
        counts; /* [T] how many of them there are; whole numbers, as floats for the sake of files */
    double *shares; /* [T] a timestep's probability */
    double *below;  /* [T] the sum of those up to and with it */
    bool warm;      /* there are shares; else any timestep is as likely as another */
} dmi_timesteps;

/* A level, its timestep or DMI_TIMESTEP_BETWEEN, and what the picture's loss is multiplied by so
 * that the mean over what is drawn is that over uniform timesteps. */
typedef struct dmi_drawn_level {
    dmi_level level;
    int32_t timestep;
    double importance;
} dmi_drawn_level;

/* Fills in what is loss-aware; the members before, the caller has set. */
int32_t dmi_timesteps_create(dmi_timesteps *timesteps);
void dmi_timesteps_destroy(dmi_timesteps *timesteps);

/* Before a step: the shares that follow from the losses so far. */
void dmi_timesteps_begin(dmi_timesteps *timesteps);
/* The level for a position of the run. Called from tasks. */
dmi_drawn_level dmi_timesteps_draw(const dmi_timesteps *timesteps, uint64_t position);
/* That of a timestep of the caller's, which counts as it is. */
dmi_drawn_level dmi_timesteps_given(const dmi_timesteps *timesteps, int32_t timestep);
/* After a step: what a picture's loss was, without importance. */
void dmi_timesteps_note(dmi_timesteps *timesteps, int32_t timestep, double loss);

#endif
