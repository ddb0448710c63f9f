/* A sampler's options: defaults, what makes sense, and what goes together. */
#include <math.h>

#include "core/options.h"
#include "sample/sampler.h"

enum { BATCH_MOST = 4096 };

const dm_sampler_options dmi_sampler_defaults = {
    .struct_size = sizeof(dm_sampler_options),
    .solver = DM_SOLVER_DDIM,
    .steps = 50,
    .spacing = DM_SPACING_TRAILING,
    .variance = DM_VARIANCE_FIXED_LARGE,
    .clip = 1,
    .final_alpha_one = 1,
    .batch_size = 16,
    .prediction = -1,
    .rederive_eps = -1,
    .lower_order_final = 1,
    .rho = 7,
    .churn_max = 1e300,
    .churn_noise = 1,
    .guidance = 1,
    .guidance_end = 1,
    .threshold_max = 1e300,
};

int32_t dm_sampler_options_init(dm_sampler_options *options, size_t size) {
    return dmi_options_write(NULL, options, size, &dmi_sampler_defaults,
                             sizeof dmi_sampler_defaults, "dm_sampler_options");
}

/* Written so that what is not a number fails too. */
static int32_t check_real(dmi_host *host, const char *name, double value, double least,
                          double most) {
    if (value >= least && value <= most) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "sampler: '%s' is %g; it must be from %g to %g", name, value, least, most);
}

static int32_t check_ranges(dmi_host *host, const dm_sampler_options *o) {
    const struct {
        const char *name;
        int32_t value, least, most;
    } whole[] = {
        {"steps", o->steps, 1, DMI_SCHEDULE_STEPS_MOST},
        {"variance", o->variance, DM_VARIANCE_FIXED_SMALL, DM_VARIANCE_LEARNED},
        {"clip", o->clip, 0, 1},
        {"rederive_eps", o->rederive_eps, -1, 1},
        {"final_alpha_one", o->final_alpha_one, 0, 1},
        {"batch_size", o->batch_size, 1, BATCH_MOST},
        {"lower_order_final", o->lower_order_final, 0, 1},
        {"grid", o->grid, DM_GRID_TIMESTEPS, DM_GRID_EXPONENTIAL},
        {"prediction", o->prediction, -1, DM_PREDICT_EDM},
        {"solver", o->solver, 0, dm_solver_count() - 1},
    };
    const struct {
        const char *name;
        double value, least, most;
    } reals[] = {
        {"eta", o->eta, 0, 1},
        {"rho", o->rho, 1, 100},
        {"churn", o->churn, 0, 1e6},
        {"churn_min", o->churn_min, 0, 1e300},
        {"churn_max", o->churn_max, 0, 1e300},
        {"churn_noise", o->churn_noise, 0, 10},
        {"guidance", o->guidance, -100, 100},
        {"guidance_rescale", o->guidance_rescale, 0, 1},
        {"guidance_begin", o->guidance_begin, 0, 1},
        {"guidance_end", o->guidance_end, o->guidance_begin, 1},
        {"threshold", o->threshold, 0, 1},
        {"threshold_max", o->threshold_max, 1, 1e300},
    };
    int32_t status = DM_OK;
    for (size_t i = 0; !status && i < sizeof whole / sizeof *whole; i++)
        status = dmi_check_range(host, "sampler", whole[i].name, whole[i].value, whole[i].least,
                                 whole[i].most);
    for (size_t i = 0; !status && i < sizeof reals / sizeof *reals; i++)
        status = check_real(host, reals[i].name, reals[i].value, reals[i].least, reals[i].most);
    return status;
}

/* What the solver that was chosen cannot do. */
static int32_t check_solver(dmi_host *host, const dmi_solver *solver, const dm_sampler_options *o) {
    const char *option = NULL, *why = NULL;
    if (o->eta != 0 && !solver->has_eta) option = "eta", why = "only ddim has one";
    else if (o->order && !solver->order)
        option = "order", why = "only lms, dpmpp, dpmpp_single, dpmpp_sde, unipc and deis have one";
    else if (o->grid != DM_GRID_TIMESTEPS && !solver->has_grid)
        option = "grid", why = "it goes by timesteps";
    else if (o->churn > 0 && !solver->has_churn)
        option = "churn", why = "only euler and heun have one";
    else if (o->variance == DM_VARIANCE_LEARNED && o->solver != DM_SOLVER_DDPM)
        option = "variance", why = "only ddpm uses a learned one";
    if (option)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: '%s' and the solver %s don't go together: %s", option,
                        solver->name, why);
    if (o->order < 0 || o->order > solver->order_most)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'order' is %d; of %s it must be 1 to %d, or 0 for its own",
                        (int)o->order, solver->name, (int)solver->order_most);
    if (o->steps < solver->steps_least)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'steps' is %d; %s needs %d at least", (int)o->steps, solver->name,
                        (int)solver->steps_least);
    if (o->threshold > 0 && !o->clip)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'threshold' %g and 'clip' 0 don't go together: dynamic "
                        "thresholding is a way to clip",
                        o->threshold);
    return DM_OK;
}

/* What the network or the schedule cannot do. */
static int32_t check_model(const dm_sampler *s, const dm_sampler_options *o) {
    dmi_host *host = &s->context->host;
    const dmi_solver *solver = dmi_solver_find(o->solver);
    if (o->steps > s->schedule->steps)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "sampler: 'steps' %d and the schedule's 'timesteps' %d don't go together: it has "
            "no more levels of noise than these",
            (int)o->steps, (int)s->schedule->steps);
    if (o->prediction >= 0 && o->prediction != s->prediction)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "sampler: 'prediction' %d (%s) and the network don't go together: it predicts %s",
            (int)o->prediction, dmi_prediction_name(o->prediction),
            dmi_prediction_name(s->prediction));
    if (solver->needs_flow && s->schedule->options.kind != DM_SCHEDULE_FLOW)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: the solver %s and the schedule's 'kind' %d (%s) don't go "
                        "together: it needs the flow schedule",
                        solver->name, (int)s->schedule->options.kind,
                        dmi_schedule_name(s->schedule));
    if ((o->solver == DM_SOLVER_PNDM) && !dmi_schedule_has_betas(s->schedule))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: the solver pndm and the schedule's 'kind' %d (%s) don't go "
                        "together: it needs timesteps with "
                        "betas",
                        (int)s->schedule->options.kind, dmi_schedule_name(s->schedule));
    if (o->variance == DM_VARIANCE_LEARNED && !(s->unet && s->unet->options.learned_variance))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "sampler: 'variance' 2 (learned) and the network don't go together: it was "
                        "made without 'learned_variance'");
    if (o->guidance != 1 && s->unet && !s->unet->options.classes)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "sampler: 'guidance' %g and the network don't go together: it has no classes",
            o->guidance);
    if (o->guidance == 1 && o->guidance_rescale > 0)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "sampler: 'guidance_rescale' %g and 'guidance' 1 don't go together: nothing is "
            "guided that could be rescaled",
            o->guidance_rescale);
    return DM_OK;
}

int32_t dmi_sampler_check_options(const dm_sampler *s, const dm_sampler_options *o) {
    dmi_host *host = &s->context->host;
    int32_t status = check_ranges(host, o);
    if (!status) status = check_model(s, o);
    return status ? status : check_solver(host, dmi_solver_find(o->solver), o);
}
