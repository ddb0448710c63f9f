/* SPDX-License-Identifier: MIT */
/* Rules between a sampler's options, and the defaults that depend on the solver. Ranges of single
 * options are in the struct's table. */
#include "sample/sampler.h"

static const char *solver_name(const dm_sampler_options *o) {
    return dm_enum_name("dm_solver", o->solver);
}

/* ---- lists of levels ---- */

static dm_status check_lists(const dm_sampler *s) {
    dmi_host *host = &s->context->host;
    const dm_sampler_options *o = &s->options;
    bool list = o->custom_times || o->custom_sigmas;
    if (o->custom_times && o->custom_sigmas)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'custom_times' cannot be combined with 'custom_sigmas'");
    if (!list && o->custom_count)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'custom_count' is %llu; without a list it must be 0",
                        (unsigned long long)o->custom_count);
    if (list && (o->custom_count < 1 || o->custom_count > DMI_TIMESTEPS_MAX))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'custom_count' is %llu; with a list it must be from 1 to %d",
                        (unsigned long long)o->custom_count, (int)DMI_TIMESTEPS_MAX);
    if (o->custom_sigmas && o->solver == DM_SOLVER_PNDM)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'custom_sigmas' cannot be combined with the solver pndm, which "
                        "evaluates the model midway between timesteps");
    return DM_OK;
}

/* ---- what the solver, the schedule and the model cannot do ---- */

static dm_status check_solver(const dm_sampler *s) {
    dmi_host *host = &s->context->host;
    const dm_sampler_options *o = &s->options;
    const dmi_solver *solver = s->solver;
    const char *option = NULL, *why = NULL;
    if (o->eta != 0 && !solver->has_eta) option = "eta", why = "it has no eta";
    else if (o->order && !solver->order) option = "order", why = "it has no order";
    else if (o->grid != DM_GRID_AUTO && o->grid != DM_GRID_TIMESTEPS && !solver->has_sigma_grid)
        option = "grid", why = "it visits the levels of timesteps";
    else if (o->churn > 0 && !solver->has_churn) option = "churn", why = "it has no churn";
    else if (o->variance == DM_VARIANCE_LEARNED && o->solver != DM_SOLVER_DDPM)
        option = "variance", why = "it has no variance of its own";
    if (option)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: '%s' cannot be combined with the solver %s: %s", option,
                        solver_name(o), why);
    if (o->order > solver->order_max)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'order' is %d; for %s it must be from 1 to %d, or 0",
                        (int)o->order, solver_name(o), (int)solver->order_max);
    if (o->steps < solver->steps_min)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'steps' is %d; %s needs at least %d", (int)o->steps,
                        solver_name(o), (int)solver->steps_min);
    return DM_OK;
}

static dm_status check_schedule(const dm_sampler *s) {
    dmi_host *host = &s->context->host;
    const dm_sampler_options *o = &s->options;
    if (o->steps > s->schedule->steps && !s->custom_levels)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'steps' is %d; it must be at most the schedule's 'timesteps', %d",
                        (int)o->steps, (int)s->schedule->steps);
    if (s->solver->flow_only && s->schedule->options.kind != DM_SCHEDULE_FLOW)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: the solver %s cannot be combined with the schedule's 'kind' %d "
                        "(%s): it needs the flow schedule",
                        solver_name(o), (int)s->schedule->options.kind,
                        dmi_schedule_name(s->schedule));
    if (o->solver == DM_SOLVER_PNDM && !dmi_schedule_has_betas(s->schedule))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: the solver pndm cannot be combined with the schedule's 'kind' %d "
                        "(%s): it needs a schedule with betas",
                        (int)s->schedule->options.kind, dmi_schedule_name(s->schedule));
    return DM_OK;
}

static dm_status check_model(const dm_sampler *s) {
    dmi_host *host = &s->context->host;
    const dm_sampler_options *o = &s->options;
    if (o->expected_prediction != DM_PREDICT_ANY && o->expected_prediction != s->prediction)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'expected_prediction' is %d (%s); the model predicts %s",
                        (int)o->expected_prediction, dmi_prediction_name(o->expected_prediction),
                        dmi_prediction_name(s->prediction));
    if (s->solver->consistency_only != (s->prediction == DM_PREDICT_CONSISTENCY))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: the solver %s cannot be combined with a model that predicts %s: "
                        "%s",
                        solver_name(o), dmi_prediction_name(s->prediction),
                        s->solver->consistency_only
                            ? "it needs a consistency model"
                            : "the end of a path is no denoised image; the solver is consistency");
    if (o->variance == DM_VARIANCE_LEARNED && !s->learned_variance)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'variance' 3 (learned) cannot be combined with a model without "
                        "'learned_variance'");
    bool conditions = s->image_condition || s->vector_condition;
    if (o->guidance != 1 && s->label_minimum == 0 && !conditions)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'guidance' %g cannot be combined with the network's 'null_row' "
                        "0: it has no output without a class",
                        o->guidance);
    if (o->guidance != 1 && s->classes == 0 && !conditions)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'guidance' %g cannot be combined with a model without classes "
                        "and conditions",
                        o->guidance);
    return DM_OK;
}

static dm_status check_output_options(const dm_sampler *s) {
    dmi_host *host = &s->context->host;
    const dm_sampler_options *o = &s->options;
    if (o->guidance == 1 && o->guidance_rescale > 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'guidance_rescale' %g cannot be combined with 'guidance' 1, "
                        "which turns guidance off",
                        o->guidance_rescale);
    if (o->guidance_end < o->guidance_begin)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'guidance_end' is %g; it must be from 'guidance_begin' (%g) to 1",
                        o->guidance_end, o->guidance_begin);
    if (o->threshold > 0 && !o->clip)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'threshold' %g cannot be combined with 'clip' 0: dynamic "
                        "thresholding clips x_0",
                        o->threshold);
    return DM_OK;
}

/* ---- defaults that depend on the solver ---- */

/* The solver's spacing. Leading spacing keeps extrapolating solvers off the last timesteps of
 * schedules with betas, where sigma may be in the thousands; flow and EDM have no such levels. An
 * exponential grid falls from there in many steps, so it can begin at the last timestep, unless
 * that is noise alone. */
static dm_spacing default_spacing(const dm_sampler *s) {
    dm_grid grid = s->options.grid == DM_GRID_AUTO ? s->solver->default_grid : s->options.grid;
    dmi_level last = dmi_schedule_level(s->schedule, s->schedule->steps - 1);
    if (!dmi_schedule_has_betas(s->schedule)) return DM_SPACING_TRAILING;
    if (grid == DM_GRID_EXPONENTIAL && dmi_level_has_signal(last)) return DM_SPACING_TRAILING;
    return s->solver->default_spacing;
}

dm_status dmi_sampler_resolve_options(dm_sampler *s) {
    dm_sampler_options *o = &s->options;
    s->solver = dmi_solver_find(o->solver);
    dm_status status = check_lists(s);
    if (status) return status;
    s->custom_levels = o->custom_count > 0;
    if (s->custom_levels) {
        o->steps = (int32_t)o->custom_count;
        o->grid = DM_GRID_TIMESTEPS;
    }
    status = check_schedule(s);
    if (!status) status = check_model(s);
    if (!status) status = check_output_options(s);
    if (!status) status = check_solver(s);
    if (status) return status;
    if (o->spacing == DM_SPACING_AUTO) o->spacing = default_spacing(s);
    if (o->variance == DM_VARIANCE_AUTO && o->solver == DM_SOLVER_DDPM)
        o->variance = dmi_schedule_default_variance(s->schedule, s->learned_variance, o->steps);
    if (o->clip_range == 0) o->clip_range = 1;
    if (o->order == 0) o->order = s->solver->order;
    if (s->solver->eps_from_clipped_x0) o->rederive_eps = 1;
    else if (o->rederive_eps < 0) o->rederive_eps = o->guidance != 1;
    o->expected_prediction = s->prediction;
    return DM_OK;
}
