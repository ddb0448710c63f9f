/* Denoising diffusion implicit models (Song, Meng and Ermon 2021), and their way back. */
#include <math.h>

#include "sample/solver.h"

/* Eq. 12 and 16: straight on, with the share sigma of the noise drawn anew. */
static int32_t step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    double ratio = from.noise > 0 ? to.noise / from.noise : 0;
    double sigma = path->options->eta * ratio * sqrt(dmi_variance_between(from, to));
    double rest = to.noise * to.noise - sigma * sigma;
    stages[0] = dmi_stage_at(path, i);
    stages[0].move =
        dmi_sum_straight((dmi_level){.signal = to.signal, .noise = rest > 0 ? sqrt(rest) : 0});
    stages[0].move.noise = sigma;
    return 1;
}

/* The levels rise. The network is asked as if x stood where it goes to, as it will be on the way
 * down. */
static int32_t step_back(const dmi_path *path, int32_t i, dmi_stage *stages) {
    stages[0] = dmi_stage_at(path, i);
    stages[0].at.time = path->levels[i + 1].time;
    stages[0].move = dmi_sum_straight(path->levels[i + 1]);
    return 1;
}

const dmi_solver dmi_solver_ddim = {
    .name = "ddim",
    .advice = "the default: 20 to 100 steps, the same seed gives much the same picture at any "
              "number of them",
    .stages = 1,
    .has_eta = true,
    .step = step,
};

const dmi_solver dmi_solver_inversion = {.name = "ddim inversion", .stages = 1, .step = step_back};
