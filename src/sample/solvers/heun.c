/* Second-order one-step solvers: Heun's over sigma (Karras et al. 2022, algorithms 1 and 2) and
 * along the flow schedule's line, and the midpoint rule over log sigma (DPM-Solver-2, Lu et al.
 * 2022). The step to the clean picture is Euler's. */
#include <math.h>

#include "sample/solver.h"

static bool is_first_order(const dmi_path *path, int32_t i) {
    return path->levels[i + 1].noise == 0 || !dmi_level_has_signal(path->levels[i]);
}

/* Asks at the stage's level and goes straight to `to`; x as it was is saved, and the slope w_x0 x_0
 * + w_eps eps remembered. */
static void predict(dmi_stage *s, dmi_level to, double w_x0, double w_eps) {
    s->move = dmi_sum_straight(to);
    s->saves = s->remembers = true;
    s->remember[0] = w_x0;
    s->remember[1] = w_eps;
}

static int32_t heun_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level to = path->levels[i + 1];
    stages[0] = dmi_stage_at(path, i);
    dmi_stage_churn(&stages[0], path, i);
    stages[0].move = dmi_sum_straight(to);
    if (is_first_order(path, i)) return 1;
    predict(&stages[0], to, 0, 1);
    stages[0].ends_step = false;
    stages[1] = dmi_stage_at(path, i + 1);
    double half = dmi_sum_along(&stages[1].move, DMI_SAVED, stages[0].at, to) / 2;
    stages[1].move.of[DMI_EPS] = stages[1].move.of[DMI_MEMORY] = half;
    return 2;
}

static int32_t midpoint_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    stages[0] = dmi_stage_at(path, i);
    stages[0].move = dmi_sum_straight(to);
    if (is_first_order(path, i)) return 1;
    dmi_level middle = dmi_schedule_level_of_sigma(path->schedule, sqrt(dmi_level_sigma(from) *
                                                                        dmi_level_sigma(to)));
    predict(&stages[0], middle, 0, 1);
    stages[0].ends_step = false;
    stages[1] = (dmi_stage){.at = middle, .ends_step = true};
    double distance = dmi_sum_along(&stages[1].move, DMI_SAVED, from, to);
    stages[1].move.of[DMI_EPS] = distance;
    return 2;
}

/* On the line, where x = (1-s) x_0 + s eps, the slope over s is eps - x_0. */
static int32_t flow_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    stages[0] = dmi_stage_at(path, i);
    stages[0].move = dmi_sum_straight(to);
    if (to.noise == 0) return 1;
    predict(&stages[0], to, -1, 1);
    stages[0].ends_step = false;
    double half = (to.noise - from.noise) / 2;
    stages[1] = dmi_stage_at(path, i + 1);
    stages[1].move.of[DMI_SAVED] = 1;
    stages[1].move.of[DMI_EPS] = stages[1].move.of[DMI_MEMORY] = half;
    stages[1].move.of[DMI_X0] = -half;
    return 2;
}

const dmi_solver dmi_solver_heun = {
    .name = "heun",
    .advice = "EDM's: very exact, 18 steps are 35 questions; with churn it corrects earlier errors",
    .stages = 2,
    .memory = 1,
    .rederives = true,
    .has_grid = true,
    .between = true,
    .has_churn = true,
    .step = heun_step,
};

const dmi_solver dmi_solver_dpm2 = {
    .name = "dpm2",
    .advice = "as heun, by the midpoint; good with grid karras",
    .stages = 2,
    .memory = 1,
    .rederives = true,
    .has_grid = true,
    .between = true,
    .step = midpoint_step,
};

const dmi_solver dmi_solver_flow_heun = {
    .name = "flow_heun",
    .advice = "networks trained on the flow schedule: more exact, twice the questions",
    .stages = 2,
    .memory = 1,
    .rederives = true,
    .between = true,
    .needs_flow = true,
    .step = flow_step,
};
