/* Euler's steps over sigma (Karras et al. 2022, algorithm 2 without its correction), the same with
 * fresh noise, and along the flow schedule's line. x_0 and eps stay as the network sees them, so in
 * all of them x goes straight on. */
#include <math.h>

#include "sample/solver.h"

static const double gamma_most = 0.41421356237309503; /* sqrt(2) - 1 */

void dmi_stage_churn(dmi_stage *stage, const dmi_path *path, int32_t i) {
    const dm_sampler_options *o = path->options;
    double sigma = dmi_level_sigma(path->levels[i]), gamma = o->churn / path->steps;
    if (!(gamma > 0) || !dmi_level_has_signal(path->levels[i]) || sigma < o->churn_min ||
        sigma > o->churn_max)
        return;
    if (gamma > gamma_most) gamma = gamma_most;
    double raised = sigma * (1 + gamma);
    stage->at = dmi_schedule_level_of_sigma(path->schedule, raised);
    stage->before_x = stage->at.signal / path->levels[i].signal;
    stage->before_noise = stage->at.signal * o->churn_noise * sqrt(raised * raised - sigma * sigma);
}

static int32_t euler_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    stages[0] = dmi_stage_at(path, i);
    dmi_stage_churn(&stages[0], path, i);
    stages[0].move = dmi_sum_straight(path->levels[i + 1]);
    return 1;
}

/* Down to sigma_to^2 / sigma, then noise up to sigma_to: as much as the posterior of sigma has. */
static int32_t ancestral_step(const dmi_path *path, int32_t i, dmi_stage *stages) {
    dmi_level from = path->levels[i], to = path->levels[i + 1];
    double ratio = to.noise * from.signal / (to.signal * from.noise); /* of the two sigmas */
    stages[0] = dmi_stage_at(path, i);
    stages[0].move = dmi_sum_straight((dmi_level){.signal = to.signal, .noise = to.noise * ratio});
    stages[0].move.noise = to.noise * sqrt(fmax(1 - ratio * ratio, 0));
    return 1;
}

const dmi_solver dmi_solver_euler = {
    .name = "euler",
    .advice = "simple and robust, 20 to 50 steps; with churn it adds noise on the way",
    .stages = 1,
    .rederives = true,
    .has_grid = true,
    .between = true,
    .has_churn = true,
    .step = euler_step,
};

const dmi_solver dmi_solver_euler_ancestral = {
    .name = "euler_ancestral",
    .advice = "20 to 50 steps with fresh noise: livelier, and it never settles on one picture",
    .stages = 1,
    .rederives = true,
    .has_grid = true,
    .between = true,
    .step = ancestral_step,
};

const dmi_solver dmi_solver_flow_euler = {
    .name = "flow_euler",
    .advice = "networks trained on the flow schedule: 20 to 50 steps",
    .stages = 1,
    .rederives = true,
    .between = true,
    .needs_flow = true,
    .step = euler_step,
};
