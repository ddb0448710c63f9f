/* DDIM (Song, Meng and Ermon 2021, eq. 12), with the sigma of eq. 16: deterministic where eta is 0. */
#include <math.h>

#include "solver.h"

static void ddim_step(const dm_schedule *schedule, const dm_sampler_options *options, const int32_t *timesteps,
                      int32_t count, int32_t i, dmi_solver_step *out) {
    double a = schedule->alpha_cumprod[timesteps[i]];
    double a_prev = i + 1 < count              ? schedule->alpha_cumprod[timesteps[i + 1]]
                    : options->final_alpha_one ? 1
                                               : schedule->alpha_cumprod[0];
    double sigma = 0;
    if (a < 1 && a_prev > 0) sigma = options->eta * sqrt((1 - a_prev) / (1 - a)) * sqrt(1 - a / a_prev);
    *out = (dmi_solver_step){
        .start = sqrt(a_prev),
        .direction = sqrt(fmax(0, 1 - a_prev - sigma * sigma)),
        .noise = sigma,
    };
}

const dmi_solver dmi_solver_ddim = {DM_SOLVER_DDIM, "ddim", ddim_step};
