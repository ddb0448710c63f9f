/* SPDX-License-Identifier: MIT */
/* Linear multistep over sigma (k-diffusion): the polynomial through the last values of eps,
 * integrated exactly. */
#include <math.h>

#include "sample/solver.h"

/* The integral from `from` to `to` of the Lagrange polynomial that is 1 at points[one] and 0 at the
 * other points, at most 4. Gauss's rule of two points is exact up to degree 3. */
static double integral(const double *points, int32_t count, int32_t one, double from, double to) {
    double half = (to - from) / 2, middle = (to + from) / 2, sum = 0;
    for (int32_t side = -1; side <= 1; side += 2) {
        double at = middle + side * half / sqrt(3.0), product = 1;
        for (int32_t k = 0; k < count; k++)
            if (k != one) product *= (at - points[k]) / (points[one] - points[k]);
        sum += product;
    }
    return half * sum;
}

static int32_t step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    double sigmas[4];
    int32_t count = 0;
    stages[0] = dmi_stage_at(path, i);
    stages[0].pushes_history = true;
    stages[0].history_eps = 1;
    for (int32_t k = i;
         k >= path->first && count < path->order && dmi_level_has_signal(path->levels[k]) &&
         (k == i || dmi_step_lowers_sigma(path, k));
         k--)
        sigmas[count++] = dmi_level_sigma(path->levels[k]);
    if (count == 0) {
        stages[0].update = dmi_sum_at_level(to);
        return 1;
    }
    dmi_sum_begin_slope(&stages[0].update, DMI_X, from, to);
    for (int32_t k = 0; k < count; k++)
        stages[0].update.factors[k ? DMI_HISTORY + k - 1 : DMI_EPS] =
            to.signal * integral(sigmas, count, k, sigmas[0], dmi_level_sigma(to));
    return 1;
}

const dmi_solver dmi_solver_lms = {
    .order = 4,
    .order_max = 4,
    .stages_max = 1,
    .history_size = 3,
    .multistep = true,
    .history_holds_eps = true,
    .eps_from_clipped_x0 = true,
    .has_sigma_grid = true,
    .fractional_time = true,
    .default_spacing = DM_SPACING_TRAILING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = step,
};
