/* Linear multistep over sigma (k-diffusion): the slope is the polynomial through the last eps,
 * integrated exactly. */
#include <math.h>

#include "sample/solver.h"

/* The integral from `from` to `to` of the polynomial of `count` points that is 1 at points[one] and
 * 0 at the others: Gauss's rule of two points is exact up to degree 3. */
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
    stages[0].remembers = true;
    stages[0].remember[1] = 1;
    for (int32_t k = i; k >= path->first && count < path->order &&
                        dmi_level_has_signal(path->levels[k]) && (k == i || dmi_falls(path, k));
         k--)
        sigmas[count++] = dmi_level_sigma(path->levels[k]);
    if (count == 0) {
        stages[0].move = dmi_sum_straight(to);
        return 1;
    }
    dmi_sum_along(&stages[0].move, DMI_X, from, to);
    for (int32_t k = 0; k < count; k++)
        stages[0].move.of[k ? DMI_MEMORY + k - 1 : DMI_EPS] =
            to.signal * integral(sigmas, count, k, sigmas[0], dmi_level_sigma(to));
    return 1;
}

const dmi_solver dmi_solver_lms = {
    .name = "lms",
    .advice = "20 to 50 steps, deterministic, one question a step; dpmpp is steadier",
    .order = 4,
    .order_most = 4,
    .stages = 1,
    .memory = 3,
    .multistep = true,
    .keeps_eps = true,
    .rederives = true,
    .has_grid = true,
    .between = true,
    .step = step,
};
