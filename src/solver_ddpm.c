/* Ancestral sampling (Ho et al. 2020, algorithm 2), over all timesteps or fewer: a jump from t to an earlier timestep is
 * one step of the shorter chain whose alpha is a_t / a_prev (Nichol and Dhariwal 2021, sec. 4). */
#include <math.h>

#include "solver.h"

static void ddpm_step(const dm_schedule *schedule, const dm_sampler_options *options, const int32_t *timesteps,
                      int32_t count, int32_t i, dmi_solver_step *out) {
    bool last = i + 1 == count;
    double a = schedule->alpha_cumprod[timesteps[i]];
    double a_prev = last ? 1 : schedule->alpha_cumprod[timesteps[i + 1]];
    /* Extreme betas make a_prev 0 (pure noise stays what it is) or leave a at 1 (x_t is x_0 already). */
    double alpha = a_prev > 0 ? a / a_prev : 1;
    double beta = 1 - alpha;
    *out = (dmi_solver_step){.start = 1};
    if (a >= 1) return;
    double posterior = beta * (1 - a_prev) / (1 - a); /* eq. 7 */
    out->keep = sqrt(alpha) * (1 - a_prev) / (1 - a);
    out->start = sqrt(a_prev) * beta / (1 - a);
    if (!last) out->noise = sqrt(options->variance == DM_VARIANCE_FIXED_SMALL ? posterior : beta);
}

const dmi_solver dmi_solver_ddpm = {DM_SOLVER_DDPM, "ddpm", ddpm_step};
