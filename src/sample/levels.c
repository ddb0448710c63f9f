/* SPDX-License-Identifier: MIT */
/* The noise levels of a run: from the spacing and the grid, or from a custom list. */
#include <math.h>

#include "sample/sampler.h"

/* ---- spacing and grid ---- */

/* Solvers that use fractional times take linear spacing unrounded. */
static void linspace_fractional(dmi_sampler_plan *plan, int32_t total, bool inner) {
    double first = total - 1;
    int32_t last = inner ? plan->steps : plan->steps - 1;
    for (int32_t i = 0; i < plan->steps; i++)
        plan->timesteps[i] = last ? first * (last - i) / last : 0;
}

/* Sigma number i of steps - 1 equal steps from `first` to `last`: in log sigma, or in sigma^(1/rho)
 * (Karras et al. 2022, eq. 5). */
static double sigma_on_grid(const dm_sampler_options *o, double first, double last, int32_t i) {
    double share = (double)i / (o->steps - 1);
    if (o->grid == DM_GRID_EXPONENTIAL) return exp(log(first) + share * (log(last) - log(first)));
    double high = pow(first, 1 / o->rho), low = pow(last, 1 / o->rho);
    return pow(high + share * (low - high), o->rho);
}

/* A level with that sigma. Networks know whole timesteps best, so solvers without fractional times
 * round the time. */
static void set_sigma(dm_sampler *s, int32_t i, double sigma) {
    dmi_sampler_plan *plan = &s->plan;
    plan->levels[i] = dmi_schedule_level_of_sigma(s->schedule, sigma);
    plan->timesteps[i] = dmi_schedule_timestep_of_sigma(s->schedule, sigma);
    if (s->options.diffusers_compatible)
        plan->levels[i].time = dmi_compatible_time(s, plan->levels[i].time);
    else if (!s->solver->fractional_time && dmi_schedule_has_betas(s->schedule))
        plan->levels[i].time = nearbyint(plan->levels[i].time);
}

/* Resolves DM_GRID_AUTO: to the solver's grid, or to the timesteps where sigma is infinite at the
 * first level and for schedules without betas, flow and EDM, whose timesteps are spaced well. */
static void resolve_grid(dm_sampler *s) {
    bool has_grid =
        isfinite(dmi_level_sigma(s->plan.levels[0])) && dmi_schedule_has_betas(s->schedule);
    if (s->options.grid == DM_GRID_AUTO)
        s->options.grid = has_grid ? s->solver->default_grid : DM_GRID_TIMESTEPS;
}

/* A flow's grid is over its noise (as in diffusers' flow matching), which is at most 1, where the
 * ratio to the signal is infinite. */
static void apply_flow_grid(dm_sampler *s) {
    const dm_sampler_options *o = &s->options;
    double first = s->plan.levels[0].noise, last = s->plan.levels[o->steps - 1].noise;
    for (int32_t i = 1; i < o->steps - 1; i++) {
        double noise = sigma_on_grid(o, first, last, i);
        set_sigma(s, i, noise / (1 - noise));
    }
}

static dm_status apply_grid(dm_sampler *s) {
    const dm_sampler_options *o = &s->options;
    const dmi_sampler_plan *plan = &s->plan;
    double first = dmi_level_sigma(plan->levels[0]),
           last = dmi_level_sigma(plan->levels[o->steps - 1]);
    if (s->schedule->options.kind == DM_SCHEDULE_FLOW && o->grid != DM_GRID_TIMESTEPS) {
        apply_flow_grid(s);
        return DM_OK;
    }
    if (o->grid == DM_GRID_TIMESTEPS) return DM_OK;
    if (!isfinite(first))
        return dmi_fail(&s->context->host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'grid' %d (%s) cannot be combined with the schedule: timestep %g "
                        "is pure noise, where sigma is infinite",
                        (int)o->grid, dm_enum_name("dm_grid", o->grid), plan->timesteps[0]);
    /* The first and the last level stay as they are: computed from sigma, and so rounded, the last
     * could fall below the level at which the run ends. */
    for (int32_t i = 1; i < o->steps - 1; i++) set_sigma(s, i, sigma_on_grid(o, first, last, i));
    return DM_OK;
}

static dm_status spaced_levels(dm_sampler *s) {
    dmi_sampler_plan *plan = &s->plan;
    dm_status status =
        dmi_space_timesteps(&s->context->host, &s->options, s->schedule->steps, plan->timesteps);
    if (status) return status;
    bool inner = s->options.spacing == DM_SPACING_LINSPACE_INNER;
    if (s->solver->fractional_time && (inner || s->options.spacing == DM_SPACING_LINSPACE))
        linspace_fractional(plan, s->schedule->steps, inner);
    for (int32_t i = 0; i < plan->steps; i++)
        plan->levels[i] = dmi_schedule_level(s->schedule, plan->timesteps[i]);
    if (s->options.diffusers_compatible) dmi_compatible_levels(s);
    resolve_grid(s);
    return apply_grid(s);
}

/* ---- custom lists ---- */

static dm_status fail_entry(const dm_sampler *s, const char *name, int32_t i, double value,
                            const char *must) {
    return dmi_fail(&s->context->host, DM_ERROR_INVALID_ARGUMENT,
                    "sampler: '%s[%d]' is %g; it must be %s", name, (int)i, value, must);
}

static dm_status custom_times(dm_sampler *s) {
    const double *times = s->options.custom_times;
    for (int32_t i = 0; i < s->plan.steps; i++) {
        if (!(times[i] >= 0 && times[i] <= s->schedule->steps - 1))
            return fail_entry(s, "custom_times", i, times[i], "from 0 to the schedule's T - 1");
        if (i > 0 && !(times[i] < times[i - 1]))
            return fail_entry(s, "custom_times", i, times[i], "below the entry before");
        s->plan.timesteps[i] = times[i];
        s->plan.levels[i] = dmi_schedule_level(s->schedule, times[i]);
    }
    return DM_OK;
}

static dm_status custom_sigmas(dm_sampler *s) {
    const double *sigmas = s->options.custom_sigmas;
    for (int32_t i = 0; i < s->plan.steps; i++) {
        if (!(sigmas[i] > 0 && isfinite(sigmas[i])))
            return fail_entry(s, "custom_sigmas", i, sigmas[i], "a finite number above 0");
        if (i > 0 && !(sigmas[i] < sigmas[i - 1]))
            return fail_entry(s, "custom_sigmas", i, sigmas[i], "below the entry before");
        set_sigma(s, i, sigmas[i]);
    }
    return DM_OK;
}

/* ---- the end of the run ---- */

static dm_status set_final_level(dm_sampler *s) {
    dmi_host *host = &s->context->host;
    dmi_sampler_plan *plan = &s->plan;
    dmi_level timestep_0 = dmi_schedule_level(s->schedule, 0);
    if (s->options.final_alpha_one || s->solver->ends_clean) {
        plan->levels[plan->steps] = (dmi_level){.signal = 1};
        plan->timesteps[plan->steps] = -1;
        return DM_OK;
    }
    if (!dmi_level_has_signal(timestep_0))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'final_alpha_one' 0 cannot be combined with the schedule's "
                        "'timesteps' %d: timestep 0, where the run would end, is pure noise",
                        (int)s->schedule->steps);
    if (s->options.custom_sigmas &&
        dmi_level_sigma(plan->levels[plan->steps - 1]) < dmi_level_sigma(timestep_0))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'final_alpha_one' 0 cannot be combined with 'custom_sigmas' that "
                        "end at %g, below the sigma of timestep 0, %g",
                        dmi_level_sigma(plan->levels[plan->steps - 1]),
                        dmi_level_sigma(timestep_0));
    plan->levels[plan->steps] = timestep_0;
    plan->timesteps[plan->steps] = 0;
    return DM_OK;
}

dm_status dmi_sampler_plan_levels(dm_sampler *s) {
    dm_status status = s->options.custom_times    ? custom_times(s)
                       : s->options.custom_sigmas ? custom_sigmas(s)
                                                  : spaced_levels(s);
    if (!status) status = set_final_level(s);
    if (!status && s->options.diffusers_compatible) dmi_compatible_final_level(s);
    return status;
}
