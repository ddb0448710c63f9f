/* SPDX-License-Identifier: MIT */
/* DPM-Solver++ (Lu et al. 2022), multistep: the exact solution of the linear part over lambda =
 * log(signal / noise), and x_0 as the polynomial through its last values. For the ODE (algorithm 2)
 * and the SDE (appendix B.6). */
#include <math.h>

#include "sample/solver.h"

/* A step of length h in lambda; exp_minus_h is right for an infinite h too. */
typedef struct lambda_step {
    dmi_level from, to;
    double h, exp_minus_h;
} lambda_step;

static lambda_step lambda_step_of(dmi_level from, dmi_level to) {
    return (lambda_step){.from = from,
                         .to = to,
                         .h = dmi_level_lambda(to) - dmi_level_lambda(from),
                         .exp_minus_h = from.signal / from.noise * (to.noise / to.signal)};
}

/* 1 / r, where r h is the length of the step that ends at level i; 0 if that step began without a
 * signal. */
static double inverse_ratio(const dmi_path *path, int32_t i, double h) {
    return h / (dmi_level_lambda(path->levels[i]) - dmi_level_lambda(path->levels[i - 1]));
}

/* Adds factor times the difference of two terms. */
static void add_difference(dmi_sum *sum, int32_t newer, int32_t older, double factor) {
    sum->factors[newer] += factor;
    sum->factors[older] -= factor;
}

static int32_t ode_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    lambda_step s = lambda_step_of(path->levels[i], path->levels[i + 1]);
    int32_t order = dmi_multistep_order(path, i, dmi_few_steps(path));
    double x0_factor = s.to.signal * (1 - s.exp_minus_h);
    stages[0] = dmi_stage_at(path, i);
    stages[0].pushes_history = true;
    stages[0].history_x0 = 1;
    dmi_sum *update = &stages[0].update;
    update->factors[DMI_X] = s.to.noise / s.from.noise;
    update->factors[DMI_X0] = x0_factor;
    if (order == 1) return 1;
    double first = inverse_ratio(path, i, s.h); /* of the latest difference */
    if (order == 2) {
        add_difference(update, DMI_X0, DMI_HISTORY, 0.5 * x0_factor * first);
        return 1;
    }
    double second = inverse_ratio(path, i - 1, s.h), r0 = 1 / first, r1 = 1 / second,
           r_sum = r0 + r1;
    /* With the divided differences a and b, D1 = a + r0 / (r0 + r1) (a - b) approximates h times
     * the first derivative, and D2 = 2 (a - b) / (r0 + r1) h^2 times the second. The authors' code
     * and diffusers lack the 2, which makes it second order. */
    double factor = path->options->diffusers_compatible ? 1 : 2;
    double d1 = s.to.signal * ((s.exp_minus_h - 1) / s.h + 1),
           d2 = -factor * s.to.signal * ((s.exp_minus_h - 1 + s.h) / (s.h * s.h) - 0.5);
    double a = d1 * (1 + r0 / r_sum) + d2 / r_sum, b = -d1 * r0 / r_sum - d2 / r_sum;
    add_difference(update, DMI_X0, DMI_HISTORY, a * first);
    add_difference(update, DMI_HISTORY, DMI_HISTORY + 1, b * second);
    return 1;
}

static int32_t sde_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    lambda_step s = lambda_step_of(path->levels[i], path->levels[i + 1]);
    int32_t order = dmi_multistep_order(path, i, dmi_few_steps(path));
    double x0_factor = s.to.signal * (1 - s.exp_minus_h * s.exp_minus_h);
    stages[0] = dmi_stage_at(path, i);
    stages[0].pushes_history = true;
    stages[0].history_x0 = 1;
    dmi_sum *update = &stages[0].update;
    update->factors[DMI_X] = s.to.noise / s.from.noise * s.exp_minus_h;
    update->factors[DMI_X0] = x0_factor;
    update->noise =
        s.to.noise * sqrt(fmax(1 - s.exp_minus_h * s.exp_minus_h,
                               0)); /* where sigma stays, exp_minus_h may round above 1 */
    if (order == 2)
        add_difference(update, DMI_X0, DMI_HISTORY, 0.5 * x0_factor * inverse_ratio(path, i, s.h));
    return 1;
}

const dmi_solver dmi_solver_dpmpp = {
    .order = 2,
    .order_max = 3,
    .stages_max = 1,
    .history_size = 2,
    .multistep = true,
    .eps_from_clipped_x0 = true,
    .has_sigma_grid = true,
    .default_spacing = DM_SPACING_TRAILING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = ode_step,
};

const dmi_solver dmi_solver_dpmpp_sde = {
    .order = 2,
    .order_max = 2,
    .stages_max = 1,
    .history_size = 1,
    .multistep = true,
    .eps_from_clipped_x0 = true,
    .has_sigma_grid = true,
    .default_spacing = DM_SPACING_TRAILING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = sde_step,
};
