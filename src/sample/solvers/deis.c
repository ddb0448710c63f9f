/* SPDX-License-Identifier: MIT */
/* tAB-DEIS over log rho (Zhang and Chen 2023), with rho = sigma: eps is the polynomial over log rho
 * through its last values, whose integral over rho has a closed form. */
#include <math.h>

#include "sample/solver.h"

/* The integrals from 0 to rho of log(x) - c, and of (log(x) - c) (log(x) - d). */
static double integral1(double rho, double c) { return rho > 0 ? rho * (log(rho) - 1 - c) : 0; }
static double integral2(double rho, double c, double d) {
    if (!(rho > 0)) return 0;
    double l = log(rho);
    return rho * (l * l - 2 * l + 2 - (c + d) * (l - 1) + c * d);
}

static int32_t step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    int32_t order = dmi_multistep_order(path, i, dmi_few_steps(path));
    stages[0] = dmi_stage_at(path, i);
    stages[0].pushes_history = true;
    stages[0].history_eps = 1;
    if (order == 1) {
        stages[0].update = dmi_sum_at_level(to);
        return 1;
    }
    double rho = dmi_level_sigma(to), now = dmi_level_sigma(from), logs[3];
    for (int32_t k = 0; k < order; k++) logs[k] = log(dmi_level_sigma(path->levels[i - k]));
    dmi_sum_begin_slope(&stages[0].update, DMI_X, from, to);
    for (int32_t k = 0; k < order; k++) {
        double a = logs[(k + 1) % order], b = logs[(k + 2) % order], area;
        if (order == 2) area = (integral1(rho, a) - integral1(now, a)) / (logs[k] - a);
        else area = (integral2(rho, a, b) - integral2(now, a, b)) / ((logs[k] - a) * (logs[k] - b));
        stages[0].update.factors[k ? DMI_HISTORY + k - 1 : DMI_EPS] = to.signal * area;
    }
    return 1;
}

const dmi_solver dmi_solver_deis = {
    .order = 2,
    .order_max = 3,
    .stages_max = 1,
    .history_size = 2,
    .multistep = true,
    .history_holds_eps = true,
    .eps_from_clipped_x0 = true,
    .has_sigma_grid = true,
    .default_spacing = DM_SPACING_TRAILING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = step,
};
