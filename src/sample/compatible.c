/* SPDX-License-Identifier: MIT */
/* Levels as diffusers' schedulers have them, for diffusers_compatible. docs/diffusers.md lists what
 * differs. */
#include <math.h>

#include "sample/sampler.h"

/* Esser et al. 2024, eq. 23. */
static double shifted(const dm_sampler *s, double u) {
    double shift = s->schedule->options.flow_shift;
    return shift * u / (1 + (shift - 1) * u);
}

static bool is_solver(const dm_sampler *s, dm_solver solver) { return s->options.solver == solver; }

/* The least share of noise of FlowMatchEulerDiscreteScheduler is shifted before the levels are
 * spaced, and with them again. */
static void flow_match_levels(dm_sampler *s) {
    dmi_sampler_plan *plan = &s->plan;
    double total = s->schedule->steps, least = shifted(s, 1 / total), last = plan->steps - 1;
    for (int32_t i = 0; i < plan->steps; i++) {
        double u = last > 0 ? 1 + (least - 1) * i / last : 1;
        plan->timesteps[i] = total * u - 1;
        plan->levels[i] = dmi_schedule_level(s->schedule, plan->timesteps[i]);
    }
}

/* Those with use_flow_sigmas: UniPC begins 1e-6 below pure noise, the others 1 / T. Sigma is a
 * float, which decides the little signal of the first level, and the network's time an integer,
 * which the last bit may decide: it is computed in the same order as there. */
static void flow_sigma_levels(dm_sampler *s) {
    dmi_sampler_plan *plan = &s->plan;
    double total = s->schedule->steps, step = (1 / total - 1) / plan->steps;
    bool unipc = is_solver(s, DM_SOLVER_UNIPC);
    for (int32_t i = 0; i < plan->steps; i++) {
        double u = unipc ? i * step + 1 : 1 - (i ? (plan->steps - i) * step + 1 : 1 / total);
        double sigma = shifted(s, u);
        if (unipc && i == 0) sigma -= 1e-6;
        float noise = (float)sigma;
        plan->timesteps[i] = total * sigma - 1;
        plan->levels[i] = (dmi_level){.signal = (double)(1 - noise),
                                      .noise = (double)noise,
                                      .time = floor(total * sigma)};
    }
}

void dmi_compatible_levels(dm_sampler *s) {
    bool by_lambda = is_solver(s, DM_SOLVER_DPMPP) || is_solver(s, DM_SOLVER_DPMPP_SDE) ||
                     is_solver(s, DM_SOLVER_DPMPP_SINGLE) || is_solver(s, DM_SOLVER_UNIPC) ||
                     is_solver(s, DM_SOLVER_DEIS);
    if (s->schedule->options.kind != DM_SCHEDULE_FLOW) return;
    if (by_lambda) flow_sigma_levels(s);
    if (is_solver(s, DM_SOLVER_FLOW_EULER) || is_solver(s, DM_SOLVER_EULER)) flow_match_levels(s);
}

double dmi_compatible_time(const dm_sampler *s, double t) {
    bool karras = s->options.grid == DM_GRID_KARRAS,
         cosine = s->schedule->options.kind == DM_SCHEDULE_COSINE,
         multistep = is_solver(s, DM_SOLVER_DPMPP) || is_solver(s, DM_SOLVER_DPMPP_SDE);
    if (!dmi_schedule_has_betas(s->schedule)) return t;
    if (is_solver(s, DM_SOLVER_DPM2)) return karras ? nearbyint(t) : t;
    if (s->solver->fractional_time) return t;
    return karras && !(cosine && multistep) ? nearbyint(t) : floor(t);
}

void dmi_compatible_final_level(dm_sampler *s) {
    dmi_sampler_plan *plan = &s->plan;
    dmi_level *end = &plan->levels[plan->steps];
    bool repeats = is_solver(s, DM_SOLVER_UNIPC) || is_solver(s, DM_SOLVER_DEIS);
    if (end->noise == 0) return;
    /* On a flow these two end with a step that changes nothing. */
    if (s->schedule->options.kind == DM_SCHEDULE_FLOW && repeats) {
        *end = plan->levels[plan->steps - 1];
        plan->timesteps[plan->steps] = plan->timesteps[plan->steps - 1];
    }
    /* Schedulers over sigma leave x as x_0 + sigma eps. */
    if (dmi_schedule_has_betas(s->schedule) && s->solver->fractional_time)
        *end = (dmi_level){.signal = 1, .noise = dmi_level_sigma(*end), .time = end->time};
}
