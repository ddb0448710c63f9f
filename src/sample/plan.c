/* SPDX-License-Identifier: MIT */
/* The stages of a run, computed in double before it. */
#include "sample/sampler.h"

dm_status dmi_sampler_plan_allocate(dmi_host *host, dmi_sampler_plan *plan, int32_t steps,
                                    int32_t stages_max) {
    size_t count = (size_t)steps + 1;
    *plan = (dmi_sampler_plan){.steps = steps};
    dm_status status =
        dmi_alloc_array(host, &plan->timesteps, count, sizeof(double), "sampler: timesteps");
    if (!status)
        status =
            dmi_alloc_array(host, &plan->levels, count, sizeof *plan->levels, "sampler: levels");
    if (!status)
        status = dmi_alloc_array(host, &plan->stage_offsets, count, sizeof *plan->stage_offsets,
                                 "sampler: stage offsets");
    if (!status)
        status = dmi_alloc_array(host, &plan->stages, (size_t)steps * (size_t)stages_max,
                                 sizeof *plan->stages, "sampler: stages");
    return status;
}

void dmi_sampler_plan_free(dmi_host *host, dmi_sampler_plan *plan) {
    dmi_free(host, plan->timesteps);
    dmi_free(host, plan->levels);
    dmi_free(host, plan->stages);
    dmi_free(host, plan->stage_offsets);
    *plan = (dmi_sampler_plan){0};
}

/* Euler's step, for the steps that no solver's formula covers: to a level that is pure noise,
 * where sigma is infinite, or from a level without noise, where lambda is. It saves x and its
 * evaluation as the solver's own steps do, for the steps that follow. */
static int32_t euler_step(const dmi_solver *solver, const dmi_path *path, int32_t i,
                          dmi_stage *stages) {
    stages[0] = dmi_stage_at(path, i);
    stages[0].update = dmi_sum_at_level(path->levels[i + 1]);
    stages[0].saves_x = true;
    stages[0].pushes_history = solver->multistep;
    stages[0].history_x0 = !solver->history_holds_eps;
    stages[0].history_eps = solver->history_holds_eps;
    return 1;
}

void dmi_sampler_plan_stages(dm_sampler *s, int32_t first) {
    dmi_sampler_plan *plan = &s->plan;
    dmi_path path = {.schedule = s->schedule,
                     .options = &s->options,
                     .levels = plan->levels,
                     .timesteps = plan->timesteps,
                     .steps = plan->steps,
                     .first = first,
                     .order = s->options.order};
    int32_t count = 0;
    for (int32_t i = first; i < path.steps; i++) {
        bool needs_euler = !dmi_level_has_signal(path.levels[i + 1]) || path.levels[i].noise == 0;
        plan->stage_offsets[i] = count;
        count += needs_euler ? euler_step(s->solver, &path, i, plan->stages + count)
                             : s->solver->step(&path, i, plan->stages + count);
    }
    plan->stage_offsets[path.steps] = count;
    plan->first = first;
}

dmi_prediction_coefficients dmi_sampler_coefficients(const dm_sampler *s, const dmi_stage *stage) {
    if (s->prediction == DM_PREDICT_CONSISTENCY)
        return dmi_prediction_consistent(stage->at, s->sigma_data, s->schedule->options.sigma_min);
    bool rederive = s->options.clip && s->options.rederive_eps;
    return rederive ? dmi_prediction_rederived(stage->at, s->prediction, s->sigma_data)
                    : dmi_prediction_at(stage->at, s->prediction, s->sigma_data);
}
