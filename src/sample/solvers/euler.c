/* SPDX-License-Identifier: MIT */
/* Euler's method over sigma (Karras et al. 2022, algorithm 2 without the correction), its ancestral
 * form, and Euler's method on the flow schedule. In all of them x_0 and eps are constant over a
 * step. */
#include <math.h>

#include "sample/solver.h"

static const double gamma_max = 0.41421356237309503; /* sqrt(2) - 1 */

void dmi_stage_add_churn(dmi_stage *stage, const dmi_path *path, int32_t i) {
    const dm_sampler_options *o = path->options;
    double sigma = dmi_level_sigma(path->levels[i]), gamma = o->churn / path->steps;
    if (!(gamma > 0) || !dmi_level_has_signal(path->levels[i]) || sigma < o->churn_sigma_min ||
        sigma > o->churn_sigma_max)
        return;
    if (gamma > gamma_max) gamma = gamma_max;
    double raised = sigma * (1 + gamma);
    stage->at = dmi_schedule_level_of_sigma(path->schedule, raised);
    stage->timestep = dmi_schedule_timestep_of_sigma(path->schedule, raised);
    stage->churn_x = stage->at.signal / path->levels[i].signal;
    stage->churn_noise = stage->at.signal * o->churn_noise * sqrt(raised * raised - sigma * sigma);
}

static int32_t euler_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    stages[0] = dmi_stage_at(path, i);
    dmi_stage_add_churn(&stages[0], path, i);
    stages[0].update = dmi_sum_at_level(path->levels[i + 1]);
    return 1;
}

/* Down to sigma_to^2 / sigma, then noise up to sigma_to: the variance of the posterior. */
static int32_t ancestral_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    double ratio = to.noise * from.signal / (to.signal * from.noise); /* sigma_to / sigma */
    stages[0] = dmi_stage_at(path, i);
    stages[0].update =
        dmi_sum_at_level((dmi_level){.signal = to.signal, .noise = to.noise * ratio});
    stages[0].update.noise = to.noise * sqrt(fmax(1 - ratio * ratio, 0));
    return 1;
}

const dmi_solver dmi_solver_euler = {
    .stages_max = 1,
    .eps_from_clipped_x0 = true,
    .has_sigma_grid = true,
    .fractional_time = true,
    .has_churn = true,
    .default_spacing = DM_SPACING_TRAILING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = euler_step,
};

const dmi_solver dmi_solver_euler_ancestral = {
    .stages_max = 1,
    .eps_from_clipped_x0 = true,
    .has_sigma_grid = true,
    .fractional_time = true,
    .default_spacing = DM_SPACING_TRAILING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = ancestral_step,
};

const dmi_solver dmi_solver_flow_euler = {
    .stages_max = 1,
    .eps_from_clipped_x0 = true,
    .has_sigma_grid = true,
    .fractional_time = true,
    .flow_only = true,
    .default_spacing = DM_SPACING_TRAILING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = euler_step,
};
