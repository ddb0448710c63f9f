/* SPDX-License-Identifier: MIT */
/* DPM-Solver++ (Lu et al. 2022), singlestep (algorithm 1): groups of steps of order 1, 2 and 3, all
 * from the x at which their group began. The steps of the path are the points within a group, so
 * that there is one model evaluation per step. */
#include "sample/solver.h"

/* The order of step `at` of `count`: 1, 2, 3, 1, 2, 3 ..., and 1 for the last step with
 * lower_at_end or to the clean image. */
static int32_t order_of(int32_t at, int32_t count, int32_t order_max, bool lower_at_end,
                        bool ends_clean) {
    int32_t order = at % order_max + 1, left = count - at;
    if (lower_at_end) {
        /* A complete last group would end on the highest order: its last step becomes a group of
         * its own. */
        int32_t first_of_last = count - order_max;
        if (count % order_max == 0 && at >= first_of_last)
            order = at - first_of_last + 1 < order_max ? at - first_of_last + 1 : 1;
    }
    return left == 1 && ends_clean ? 1 : order;
}

static double lambda_difference(dmi_level a, dmi_level b) {
    return dmi_level_lambda(a) - dmi_level_lambda(b);
}

static int32_t step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    const dmi_level *l = path->levels;
    int32_t order = order_of(i - path->first, path->steps - path->first, path->order,
                             path->options->lower_order_final, l[path->steps].noise == 0);
    /* The group began order - 1 steps ago, but after steps without a signal or that change
     * nothing. */
    int32_t begin = i, first = dmi_step_lowers_sigma(path, i) ? i - order + 1 : i;
    while (begin > first && dmi_level_has_signal(l[begin - 1]) &&
           dmi_step_lowers_sigma(path, begin - 1))
        begin--;
    order = i - begin + 1;
    dmi_level from = l[begin], to = l[i + 1];
    double exp_minus_h = from.signal / from.noise * (to.noise / to.signal),
           x0_factor = to.signal * (1 - exp_minus_h);
    stages[0] = dmi_stage_at(path, i);
    stages[0].saves_x = order == 1;
    stages[0].pushes_history = true;
    stages[0].history_x0 = 1;
    dmi_sum *update = &stages[0].update;
    update->factors[order == 1 ? DMI_X : DMI_SAVED_X] = to.noise / from.noise;
    if (order == 1) {
        update->factors[DMI_X0] = x0_factor;
        return 1;
    }
    /* x_0 at the group's beginning, and its difference to x_0 now (eq. 4.1 and 4.2). */
    int32_t first_x0 = DMI_HISTORY + order - 2;
    double h = lambda_difference(to, from), r = lambda_difference(l[i], from) / h;
    double difference_factor =
        order == 2 ? 0.5 * x0_factor / r : to.signal * ((exp_minus_h - 1) / h + 1) / r;
    update->factors[first_x0] = x0_factor - difference_factor;
    update->factors[DMI_X0] = difference_factor;
    return 1;
}

const dmi_solver dmi_solver_dpmpp_single = {
    .order = 2,
    .order_max = 3,
    .stages_max = 1,
    .history_size = 2,
    .multistep = true,
    .eps_from_clipped_x0 = true,
    .has_sigma_grid = true,
    .default_spacing = DM_SPACING_TRAILING,
    .default_grid = DM_GRID_TIMESTEPS,
    .step = step,
};
