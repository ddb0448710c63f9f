/* DPM-Solver++ (Lu et al. 2022), singlestep (algorithm 1): groups of steps of order 1, 2 and 3, all
 * from the x with which their group began. Steps of the path are the points in between, so that the
 * number of questions is that of the steps. */
#include "sample/solver.h"

/* The order of step `at` of `count`: 1, 2, 3, 1, 2, 3 ..., cut so that the last step is of order
 * 1. */
static int32_t order_of(int32_t at, int32_t count, int32_t most, bool falls, bool ends_clean) {
    int32_t order = at % most + 1, left = count - at;
    if (falls) {
        /* A last group that is whole would end on the highest order: it is split into one of all
         * but one, and one of 1. */
        int32_t first_of_last = count - most;
        if (count % most == 0 && at >= first_of_last)
            order = at - first_of_last + 1 < most ? at - first_of_last + 1 : 1;
    }
    return left == 1 && ends_clean ? 1 : order;
}

static double difference(dmi_level a, dmi_level b) {
    return dmi_level_lambda(a) - dmi_level_lambda(b);
}

static int32_t step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    const dmi_level *l = path->levels;
    int32_t order = order_of(i - path->first, path->steps - path->first, path->order,
                             path->options->lower_order_final, l[path->steps].noise == 0);
    /* The group began order - 1 steps ago, but after those without a signal, and after one that
     * went nowhere. */
    int32_t begun = i, first = dmi_falls(path, i) ? i - order + 1 : i;
    while (begun > first && dmi_level_has_signal(l[begun - 1]) && dmi_falls(path, begun - 1))
        begun--;
    order = i - begun + 1;
    dmi_level from = l[begun], to = l[i + 1];
    double left = from.signal / from.noise * (to.noise / to.signal), grown = to.signal * (1 - left);
    stages[0] = dmi_stage_at(path, i);
    stages[0].saves = order == 1;
    stages[0].remembers = true;
    stages[0].remember[0] = 1;
    dmi_sum *move = &stages[0].move;
    move->of[order == 1 ? DMI_X : DMI_SAVED] = to.noise / from.noise;
    if (order == 1) {
        move->of[DMI_X0] = grown;
        return 1;
    }
    /* From the x_0 at the group's beginning, and the difference that this step's makes to it
     * (eq. 4.1 and 4.2). */
    int32_t at_first = DMI_MEMORY + order - 2;
    double h = difference(to, from), r = difference(l[i], from) / h;
    double slope = order == 2 ? 0.5 * grown / r : to.signal * ((left - 1) / h + 1) / r;
    move->of[at_first] = grown - slope;
    move->of[DMI_X0] = slope;
    return 1;
}

const dmi_solver dmi_solver_dpmpp_single = {
    .name = "dpmpp_single",
    .advice = "as dpmpp without guidance, where a restart from each group's beginning is steadier",
    .order = 2,
    .order_most = 3,
    .stages = 1,
    .memory = 2,
    .multistep = true,
    .rederives = true,
    .has_grid = true,
    .step = step,
};
