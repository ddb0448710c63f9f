/* A solver: how a sampler goes from one timestep to the next. One file each, and one line in solver.c's table. */
#ifndef DM_SRC_SOLVER_H
#define DM_SRC_SOLVER_H

#include "schedule.h"

/* The coefficients of one step, worked out in double before the run: with x0 (clipped where asked) and eps from the
 * network's prediction,  x_next = keep * x_t + start * x0 + direction * eps + noise * z. */
typedef struct dmi_solver_step {
    double keep, start, direction, noise;
} dmi_solver_step;

typedef struct dmi_solver {
    int32_t id;       /* DM_SOLVER_* */
    const char *name; /* "ddpm" */
    /* For step i of timesteps[0..count-1]; after the last one the picture is clean. */
    void (*step)(const dm_schedule *schedule, const dm_sampler_options *options, const int32_t *timesteps, int32_t count,
                 int32_t i, dmi_solver_step *out);
} dmi_solver;

extern const dmi_solver dmi_solver_ddpm, dmi_solver_ddim;
const dmi_solver *dmi_solver_find(int32_t id); /* NULL: none */

/* The step as the kernel takes it, for a network that predicts `prediction` (DM_PREDICT_*) where alpha_cumprod is `a`:
 * x0 and eps are linear in x_t and the prediction, so eps need never be stored. */
void dmi_solver_fold(const dmi_solver_step *step, double a, int32_t prediction, const dm_sampler_options *options,
                     dmi_solver_update *out);

#endif
