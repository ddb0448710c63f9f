/* SPDX-License-Identifier: MIT */
/* Second-order one-step solvers: Heun's method over sigma (Karras et al. 2022, algorithms 1
 * and 2) and on the flow schedule, and the midpoint rule over log sigma (DPM-Solver-2, Lu et al.
 * 2022). The step to the clean image is Euler's. */
#include <math.h>

#include "sample/solver.h"

static bool is_first_order(const dmi_path *path, int32_t i) {
    return path->levels[i + 1].noise == 0 || !dmi_level_has_signal(path->levels[i]);
}

/* The first stage: Euler's step to `to`, which saves x and pushes the slope history_x0 x_0 +
 * history_eps eps. */
static void euler_stage(dmi_stage *s, dmi_level to, double history_x0, double history_eps) {
    s->update = dmi_sum_at_level(to);
    s->saves_x = s->pushes_history = true;
    s->history_x0 = history_x0;
    s->history_eps = history_eps;
}

static int32_t heun_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level to = path->levels[i + 1];
    stages[0] = dmi_stage_at(path, i);
    dmi_stage_add_churn(&stages[0], path, i);
    stages[0].update = dmi_sum_at_level(to);
    if (is_first_order(path, i)) return 1;
    euler_stage(&stages[0], to, 0, 1);
    stages[1] = dmi_stage_at(path, i + 1);
    double half = dmi_sum_begin_slope(&stages[1].update, DMI_SAVED_X, stages[0].at, to) / 2;
    stages[1].update.factors[DMI_EPS] = stages[1].update.factors[DMI_HISTORY] = half;
    return 2;
}

static int32_t midpoint_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    stages[0] = dmi_stage_at(path, i);
    stages[0].update = dmi_sum_at_level(to);
    if (is_first_order(path, i)) return 1;
    double sigma = sqrt(dmi_level_sigma(from) * dmi_level_sigma(to));
    dmi_level middle = dmi_schedule_level_of_sigma(path->schedule, sigma);
    euler_stage(&stages[0], middle, 0, 1);
    stages[1] = (dmi_stage){.at = middle,
                            .timestep = dmi_schedule_timestep_of_sigma(path->schedule, sigma)};
    double distance = dmi_sum_begin_slope(&stages[1].update, DMI_SAVED_X, from, to);
    stages[1].update.factors[DMI_EPS] = distance;
    return 2;
}

/* With x = (1-s) x_0 + s eps, the slope over s is eps - x_0. */
static int32_t flow_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    stages[0] = dmi_stage_at(path, i);
    stages[0].update = dmi_sum_at_level(to);
    if (to.noise == 0) return 1;
    euler_stage(&stages[0], to, -1, 1);
    double half = (to.noise - from.noise) / 2;
    stages[1] = dmi_stage_at(path, i + 1);
    stages[1].update.factors[DMI_SAVED_X] = 1;
    stages[1].update.factors[DMI_EPS] = stages[1].update.factors[DMI_HISTORY] = half;
    stages[1].update.factors[DMI_X0] = -half;
    return 2;
}

/* Default grid, by the distance of images to the data (docs/solvers.md, Heun, cosine
 * schedule): 11.7 in 10 steps and 10.9 in 20, from trailing timesteps; 16.2 and 11.2 with a Karras
 * grid from leading timesteps. Other grids begin at leading timesteps: trailing ones, whose first
 * sigmas are in the thousands, leave noise in the images on the grid of timesteps. */
const dmi_solver dmi_solver_heun = {
    .stages_max = 2,
    .history_size = 1,
    .eps_from_clipped_x0 = true,
    .has_sigma_grid = true,
    .fractional_time = true,
    .has_churn = true,
    .default_spacing = DM_SPACING_LEADING,
    .default_grid = DM_GRID_EXPONENTIAL,
    .step = heun_step,
};

const dmi_solver dmi_solver_dpm2 = {
    .stages_max = 2,
    .history_size = 1,
    .eps_from_clipped_x0 = true,
    .has_sigma_grid = true,
    .fractional_time = true,
    .default_spacing = DM_SPACING_LEADING,
    .default_grid = DM_GRID_EXPONENTIAL,
    .step = midpoint_step,
};

const dmi_solver dmi_solver_flow_heun = {
    .stages_max = 2,
    .history_size = 1,
    .eps_from_clipped_x0 = true,
    .fractional_time = true,
    .flow_only = true,
    .default_spacing = DM_SPACING_TRAILING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = flow_step,
};
