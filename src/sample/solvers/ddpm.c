/* SPDX-License-Identifier: MIT */
/* Ho et al. (2020), algorithm 2: the posterior q(x_next | x, x_0) of eq. 6 and 7, between any two
 * noise levels. */
#include <math.h>

#include "sample/solver.h"

/* What diffusers has at least for the posterior's variance. */
static const double variance_min = 1e-20;

/* With b the variance between the two levels (beta if all timesteps are visited), the mean is
 * (signal_from / signal_to) noise_to^2 / noise^2 x + signal_to b / noise^2 x_0, and the variance is
 * b noise_to^2 / noise^2. */
static int32_t step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    double from_variance = from.noise * from.noise, to_variance = to.noise * to.noise;
    double beta = dmi_variance_between(from, to);
    double posterior = from_variance > 0 ? beta * to_variance / from_variance : 0;
    stages[0] = dmi_stage_at(path, i);
    dmi_sum *update = &stages[0].update;
    if (from_variance == 0) {
        *update = dmi_sum_at_level(to);
        return 1;
    }
    update->factors[DMI_X] = from.signal / to.signal * to_variance / from_variance;
    update->factors[DMI_X0] = to.signal * beta / from_variance;
    /* diffusers leaves out the noise of timestep 0 alone, and all others have a least variance. */
    bool noisy = path->options->diffusers_compatible && path->timesteps[i] > 0 && beta > 0;
    if (noisy) posterior = fmax(posterior, variance_min);
    else if (i == path->steps - 1 || !(posterior > 0)) return 1;
    update->noise = sqrt(path->options->variance == DM_VARIANCE_FIXED_LARGE ? beta : posterior);
    if (path->options->variance == DM_VARIANCE_LEARNED)
        stages[0].learned_log_range = log(beta / posterior);
    return 1;
}

const dmi_solver dmi_solver_ddpm = {
    .stages_max = 1,
    .ends_clean = true,
    .default_spacing = DM_SPACING_TRAILING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = step,
};
