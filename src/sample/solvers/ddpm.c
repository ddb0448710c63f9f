/* Ho et al. (2020), algorithm 2: the posterior q(x_next | x, x_0) of eq. 6 and 7, between any two
 * levels of noise. */
#include <math.h>

#include "sample/solver.h"

/* With b the variance between the two, beta where all timesteps are visited: the mean is
 * (signal_from / signal_to) noise_to^2 / noise^2 x + signal_to b / noise^2 x_0, the variance b
 * noise_to^2 / noise^2. */
static int32_t step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    double noise = from.noise * from.noise, kept = to.noise * to.noise;
    double beta = dmi_variance_between(from, to), posterior = noise > 0 ? beta * kept / noise : 0;
    stages[0] = dmi_stage_at(path, i);
    dmi_sum *move = &stages[0].move;
    if (noise == 0) {
        *move = dmi_sum_straight(to);
        return 1;
    }
    move->of[DMI_X] = from.signal / to.signal * kept / noise;
    move->of[DMI_X0] = to.signal * beta / noise;
    if (i == path->steps - 1 || !(posterior > 0)) return 1;
    move->noise = sqrt(path->options->variance == DM_VARIANCE_FIXED_LARGE ? beta : posterior);
    if (path->options->variance == DM_VARIANCE_LEARNED)
        stages[0].noise_range = log(beta / posterior);
    return 1;
}

const dmi_solver dmi_solver_ddpm = {
    .name = "ddpm",
    .advice =
        "the reference: all timesteps, varied pictures, slow; below 100 steps others do better",
    .stages = 1,
    .to_clean = true,
    .step = step,
};
