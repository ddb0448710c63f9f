/* SPDX-License-Identifier: MIT */
/* Multistep sampling of consistency models (Song et al. 2023, algorithm 1): each step ends at the
 * clean image, to which the next level's noise is added. */
#include <math.h>

#include "diffusion/schedule.h"
#include "sample/solver.h"

/* x = x_0 + sqrt(sigma^2 - sigma_min^2) z, their epsilon being sigma_min; the last step adds
 * nothing. */
static int32_t step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    double sigma = path->levels[i + 1].noise, min = path->schedule->options.sigma_min;
    stages[0] = dmi_stage_at(path, i);
    stages[0].update =
        (dmi_sum){.factors = {[DMI_X0] = 1},
                  .noise = path->options->churn_noise * sqrt(fmax(sigma * sigma - min * min, 0))};
    return 1;
}

const dmi_solver dmi_solver_consistency = {
    .stages_max = 1,
    .consistency_only = true,
    .eps_from_clipped_x0 = true,
    .default_spacing = DM_SPACING_TRAILING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = step,
};
