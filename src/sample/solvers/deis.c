/* DEIS (Zhang and Chen 2023), tAB in log rho: rho = sigma, and eps as the polynomial over log rho
 * through its last values, whose integral over rho is known in closed form. */
#include <math.h>

#include "sample/solver.h"

/* The integral of log(x) - c, or of its product with log(x) - d, up to x = rho; both are 0 at 0. */
static double integral1(double rho, double c) { return rho > 0 ? rho * (log(rho) - 1 - c) : 0; }
static double integral2(double rho, double c, double d) {
    if (!(rho > 0)) return 0;
    double l = log(rho);
    return rho * (l * l - 2 * l + 2 - (c + d) * (l - 1) + c * d);
}

static int32_t step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    enum { SHORT_RUN = 15 };
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    int32_t order =
        dmi_order_at(path, i, path->options->lower_order_final && path->steps < SHORT_RUN);
    stages[0] = dmi_stage_at(path, i);
    stages[0].remembers = true;
    stages[0].remember[1] = 1;
    if (order == 1) {
        stages[0].move = dmi_sum_straight(to);
        return 1;
    }
    double rho = dmi_level_sigma(to), now = dmi_level_sigma(from), logs[3];
    for (int32_t k = 0; k < order; k++) logs[k] = log(dmi_level_sigma(path->levels[i - k]));
    dmi_sum_along(&stages[0].move, DMI_X, from, to);
    for (int32_t k = 0; k < order; k++) {
        double a = logs[(k + 1) % order], b = logs[(k + 2) % order], area;
        if (order == 2) area = (integral1(rho, a) - integral1(now, a)) / (logs[k] - a);
        else area = (integral2(rho, a, b) - integral2(now, a, b)) / ((logs[k] - a) * (logs[k] - b));
        stages[0].move.of[k ? DMI_MEMORY + k - 1 : DMI_EPS] = to.signal * area;
    }
    return 1;
}

const dmi_solver dmi_solver_deis = {
    .name = "deis",
    .advice = "few steps: 10 to 25, one question each; close to dpmpp",
    .order = 2,
    .order_most = 3,
    .stages = 1,
    .memory = 2,
    .multistep = true,
    .keeps_eps = true,
    .rederives = true,
    .has_grid = true,
    .step = step,
};
