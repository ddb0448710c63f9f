/* SPDX-License-Identifier: MIT */
/* Denoising diffusion implicit models (Song, Meng and Ermon 2021), and their inversion. */
#include <math.h>

#include "sample/solver.h"

/* Eq. 12 and 16: x_{i+1} = to.signal x_0 + sqrt(to.noise^2 - sigma^2) eps + sigma z, where sigma is
 * the standard deviation of the new noise z. */
static int32_t step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level from = path->levels[i], to = dmi_level_after(path, i);
    double ratio = from.noise > 0 ? to.noise / from.noise : 0;
    double sigma = path->options->eta * ratio * sqrt(dmi_variance_between(from, to));
    double rest = to.noise * to.noise - sigma * sigma;
    stages[0] = dmi_stage_at(path, i);
    stages[0].update =
        (dmi_sum){.factors = {[DMI_X0] = to.signal, [DMI_EPS] = rest > 0 ? sqrt(rest) : 0},
                  .noise = sigma};
    return 1;
}

/* Sec. 4.3, with rising levels. The model gets the time of the level to be reached, at which the
 * sampling step back will evaluate it. */
static int32_t inversion_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    stages[0] = dmi_stage_at(path, i);
    stages[0].at.time = path->levels[i + 1].time;
    stages[0].timestep = path->timesteps[i + 1];
    stages[0].update = dmi_sum_at_level(path->levels[i + 1]);
    return 1;
}

const dmi_solver dmi_solver_ddim = {
    .stages_max = 1,
    .has_eta = true,
    .default_spacing = DM_SPACING_TRAILING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = step,
};

const dmi_solver dmi_solver_ddim_inversion = {.stages_max = 1, .step = inversion_step};
