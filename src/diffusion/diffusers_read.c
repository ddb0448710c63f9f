/* SPDX-License-Identifier: MIT */
/* A scheduler_config.json as a schedule and options of a sampler. Which options give diffusers'
 * images is what tests/golden/make_solvers.py measures. */
#include <math.h>
#include <string.h>

#include "diffusion/diffusers.h"

/* What a config is read into. */
typedef struct reader {
    dmi_config *c;
    const dmi_diffusers_scheduler *is;
    dmi_diffusers_model model;
    dm_schedule_options schedule;
    double *betas; /* trained_betas, or NULL */
    size_t beta_count;
    double lambda_min; /* lambda_min_clipped */
    bool compatible;
    dm_sampler_options *o;
} reader;

static bool has(const reader *r, uint32_t flags) { return (r->is->has & flags) != 0; }

/* Refuses a key that is true. */
static void must_be_false(dmi_config *c, const char *key) {
    if (!dmi_config_is_null(c, key) && dmi_config_bool(c, key, false))
        dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, key, "only false is supported");
}

static void must_be_null(dmi_config *c, const char *key) {
    if (!dmi_config_is_null(c, key))
        dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, key, "only null is supported");
}

/* Refuses a text that is not among those that are supported; null and a missing key are. */
static void must_be(dmi_config *c, const char *key, const dmi_config_name *names) {
    if (!dmi_config_is_null(c, key)) dmi_config_choice(c, key, names->name, names);
}

/* After the first one, which is meant, those of other classes that diffusers takes for it. */
static const dmi_config_name
    interpolations[] = {{"linear", 0}, {NULL, 0}},
    time_types[] = {{"discrete", 0}, {NULL, 0}},
    midpoint[] = {{"midpoint", 0}, {"logrho", 0}, {"bh1", 0}, {"bh2", 0}, {NULL, 0}},
    bh2[] = {{"bh2", 0}, {"midpoint", 0}, {"heun", 0}, {"logrho", 0}, {NULL, 0}},
    logrho[] = {{"logrho", 0}, {"midpoint", 0}, {"heun", 0}, {"bh1", 0}, {"bh2", 0}, {NULL, 0}},
    deis[] = {{"deis", 0}, {"dpmsolver", 0}, {"dpmsolver++", 0}, {NULL, 0}};

/* ---- the schedule ---- */

static dm_status read_trained_betas(reader *r) {
    static const char key[] = "trained_betas";
    dmi_config *c = r->c;
    if (dmi_config_is_null(c, key)) return DM_OK;
    const dmi_config_value *list = dmi_config_find(c, key);
    if (list->kind != DMI_CONFIG_LIST || list->count != (size_t)r->schedule.timesteps) {
        dmi_config_refuse(c, DM_ERROR_BAD_FORMAT, key,
                          "it must be a list of 'num_train_timesteps' numbers");
        return DM_OK;
    }
    dm_status status =
        dmi_alloc_array(c->host, &r->betas, list->count, sizeof *r->betas, "schedule: betas");
    if (status) return status;
    r->beta_count = list->count;
    for (size_t i = 0; i < list->count; i++) {
        const dmi_config_value *value = &c->elements[list->first + i];
        r->betas[i] = value->number;
        if (value->kind != DMI_CONFIG_NUMBER || !(value->number > 0 && value->number < 1))
            dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, key, "its numbers must be in (0, 1)");
    }
    return DM_OK;
}

static dm_status read_betas(reader *r) {
    static const char zero[] = "rescale_betas_zero_snr";
    dm_schedule_options *o = &r->schedule;
    o->kind = dmi_config_choice(r->c, "beta_schedule", "linear", dmi_diffusers_betas);
    o->beta_start = dmi_config_double(r->c, "beta_start", r->is->beta_start, 1e-30, 0.9999999);
    o->beta_end = dmi_config_double(r->c, "beta_end", r->is->beta_end, 1e-30, 0.9999999);
    /* Schedulers over sigma leave some signal, so that sigma is finite. */
    bool by_sigma = r->is->solver != DM_SOLVER_DDPM && r->is->solver != DM_SOLVER_DDIM;
    if (has(r, DMI_HAS_ZERO_SNR)) o->zero_terminal_snr = dmi_config_bool(r->c, zero, false);
    o->terminal_signal = o->zero_terminal_snr && r->compatible && by_sigma;
    dm_status status = read_trained_betas(r);
    if (r->betas && o->zero_terminal_snr)
        dmi_config_refuse(r->c, DM_ERROR_UNSUPPORTED, zero, "it cannot rescale 'trained_betas'");
    return status;
}

/* Sigmas of a flow in place of those of betas. */
static void read_flow(reader *r) {
    static const char prediction[] = "prediction_type";
    dmi_config *c = r->c;
    must_be_false(c, "use_dynamic_shifting");
    bool is_flow = dmi_config_bool(c, "use_flow_sigmas", false);
    double shift = dmi_config_double(c, "flow_shift", 1, 1e-6, 1e6);
    if (is_flow) {
        r->schedule.kind = DM_SCHEDULE_FLOW;
        r->schedule.flow_shift = shift;
        r->schedule.zero_terminal_snr = r->schedule.terminal_signal = 0;
    } else if (r->model.prediction == DM_PREDICT_FLOW) {
        dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, prediction, "it needs 'use_flow_sigmas'");
    }
}

static void read_edm(reader *r) {
    dm_schedule_options *o = &r->schedule;
    o->kind = DM_SCHEDULE_EDM;
    o->sigma_min = dmi_config_double(r->c, "sigma_min", 0.002, 1e-6, 1e6);
    o->sigma_max = dmi_config_double(r->c, "sigma_max", 80, 1e-6, 1e6);
    o->rho = dmi_config_double(r->c, "rho", 7, 1, 100);
}

/* diffusers gives the network 1000 ln(sigma) / 4; EDM's time is a thousandth of it. */
static void read_consistency(reader *r) {
    read_edm(r);
    r->schedule.time_scale = 1000;
    r->o->churn_noise = dmi_config_double(r->c, "s_noise", 1, 0, 1e6);
}

static void read_flow_match(reader *r) {
    dmi_config *c = r->c;
    r->schedule.kind = DM_SCHEDULE_FLOW;
    r->schedule.flow_shift = dmi_config_double(c, "shift", 1, 1e-6, 1e6);
    must_be_false(c, "use_dynamic_shifting");
    must_be_false(c, "invert_sigmas");
    must_be_false(c, "stochastic_sampling");
    must_be_null(c, "shift_terminal");
}

/* ---- levels ---- */

static void read_spacing(reader *r) {
    enum { LEADING, LINSPACE, TRAILING };
    static const dmi_config_name names[] = {{"leading", LEADING},
                                            {"linspace", LINSPACE},
                                            {"trailing", TRAILING},
                                            {NULL, 0}};
    static const dm_spacing spacings[2][3] = {{DM_SPACING_LEADING, DM_SPACING_LINSPACE,
                                               DM_SPACING_TRAILING},
                                              {DM_SPACING_LEADING_INNER, DM_SPACING_LINSPACE_INNER,
                                               DM_SPACING_TRAILING}};
    int32_t spacing = LINSPACE;
    if (has(r, DMI_HAS_SPACING))
        spacing = dmi_config_choice(r->c, "timestep_spacing", r->is->spacing, names);
    r->o->spacing = spacings[has(r, DMI_INNER_SPACING)][spacing];
    int32_t offset =
        has(r, DMI_HAS_SPACING) ? dmi_config_i32(r->c, "steps_offset", 0, 0, 100000) : 0;
    r->o->steps_offset = spacing == LEADING ? offset : 0;
}

static void read_grid(reader *r) {
    static const char karras[] = "use_karras_sigmas";
    r->o->grid = DM_GRID_TIMESTEPS;
    if (!has(r, DMI_HAS_GRIDS)) return;
    must_be_false(r->c, "use_beta_sigmas");
    must_be_false(r->c, "use_lu_lambdas");
    bool is_karras = !dmi_config_is_null(r->c, karras) && dmi_config_bool(r->c, karras, false);
    bool is_exponential = !dmi_config_is_null(r->c, "use_exponential_sigmas") &&
                          dmi_config_bool(r->c, "use_exponential_sigmas", false);
    if (is_karras && is_exponential)
        dmi_config_refuse(r->c, DM_ERROR_BAD_FORMAT, karras,
                          "it cannot be combined with 'use_exponential_sigmas'");
    if (!is_karras && !is_exponential) return;
    if (has(r, DMI_HAS_FLOW) && r->schedule.kind == DM_SCHEDULE_FLOW)
        dmi_config_refuse(r->c, DM_ERROR_UNSUPPORTED, "use_flow_sigmas",
                          "it cannot be combined with another grid of sigmas");
    r->o->grid = is_karras ? DM_GRID_KARRAS : DM_GRID_EXPONENTIAL;
    /* These reach from the first to the last timestep, whatever the spacing. */
    if (!has(r, DMI_INNER_SPACING)) return;
    r->o->spacing = DM_SPACING_LINSPACE;
    r->o->steps_offset = 0;
}

static void read_end(reader *r) {
    static const dmi_config_name ends[] = {{"zero", 1}, {"sigma_min", 0}, {NULL, 0}};
    r->o->final_alpha_one = !has(r, DMI_ENDS_AT_FIRST_LEVEL);
    if (has(r, DMI_HAS_ALPHA_ONE))
        r->o->final_alpha_one =
            dmi_config_bool(r->c, "set_alpha_to_one", has(r, DMI_ALPHA_ONE_DEFAULT));
    if (has(r, DMI_HAS_FINAL_SIGMAS))
        r->o->final_alpha_one = dmi_config_choice(r->c, "final_sigmas_type", "zero", ends);
}

static void read_edm_grid(reader *r) {
    static const dmi_config_name grids[] = {{"karras", DM_GRID_KARRAS},
                                            {"exponential", DM_GRID_EXPONENTIAL},
                                            {NULL, 0}};
    /* The timesteps of the schedule are a karras grid, but whole ones for some solvers. */
    r->o->grid = dmi_config_choice(r->c, "sigma_schedule", "karras", grids);
    r->o->rho = r->schedule.rho;
}

/* ---- the solver ---- */

static void read_algorithm(reader *r) {
    enum { ODE, SDE };
    static const char key[] = "algorithm_type";
    static const dmi_config_name names[] = {{"dpmsolver++", ODE},
                                            {"sde-dpmsolver++", SDE},
                                            {"deis", ODE},
                                            {NULL, 0}};
    if (dmi_config_choice(r->c, key, "dpmsolver++", names) != SDE) return;
    if (r->is->solver != DM_SOLVER_DPMPP)
        dmi_config_refuse(r->c, DM_ERROR_UNSUPPORTED, key, "only dpmsolver++ is supported");
    r->o->solver = DM_SOLVER_DPMPP_SDE;
}

static void read_order(reader *r) {
    static const char key[] = "solver_order";
    if (!has(r, DMI_HAS_ORDER)) return;
    r->o->order = dmi_config_i32(r->c, key, 2, 1, 3);
    r->o->lower_order_final =
        dmi_config_bool(r->c, "lower_order_final", has(r, DMI_LOWER_ORDER_DEFAULT));
    if (r->o->solver == DM_SOLVER_DPMPP_SDE && r->o->order > 2)
        dmi_config_refuse(r->c, DM_ERROR_UNSUPPORTED, key, "with the SDE it must be 1 or 2");
    /* Singlestep: the last step to the clean image is of first order in any case. */
    if (r->is->solver == DM_SOLVER_DPMPP_SINGLE && r->o->final_alpha_one)
        r->o->lower_order_final = 1;
    if (r->o->order > 1 && !dmi_config_is_null(r->c, "euler_at_final"))
        must_be_false(r->c, "euler_at_final");
}

/* Keys of one class. */
static void read_own(reader *r) {
    static const dmi_config_name variances[] = {
        {"fixed_small", DM_VARIANCE_FIXED_SMALL},
        {"fixed_small_log", DM_VARIANCE_FIXED_SMALL},
        {"fixed_large", DM_VARIANCE_FIXED_LARGE},
        {"learned_range", DM_VARIANCE_LEARNED},
        {NULL, 0},
    };
    static const char corrector[] = "disable_corrector";
    dmi_config *c = r->c;
    const dmi_config_value *value;
    switch (r->is->solver) {
        case DM_SOLVER_DDPM:
            r->o->variance = dmi_config_choice(c, "variance_type", "fixed_small", variances);
            break;
        case DM_SOLVER_PNDM:
            if (dmi_config_bool(c, "skip_prk_steps", false)) r->o->solver = DM_SOLVER_PLMS;
            break;
        case DM_SOLVER_EULER:
            if (has(r, DMI_IS_EDM)) break;
            must_be(c, "interpolation_type", interpolations);
            must_be(c, "timestep_type", time_types);
            must_be_null(c, "sigma_min");
            must_be_null(c, "sigma_max");
            break;
        case DM_SOLVER_DPMPP:
        case DM_SOLVER_DPMPP_SINGLE:
            read_algorithm(r);
            must_be(c, "solver_type", midpoint);
            r->lambda_min =
                dmi_config_double(c, "lambda_min_clipped", -INFINITY, -INFINITY, INFINITY);
            break;
        case DM_SOLVER_DPMPP_SDE: r->o->order = 2; break;
        case DM_SOLVER_UNIPC:
            if (!dmi_config_bool(c, "predict_x0", true))
                dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, "predict_x0", "only true is supported");
            must_be(c, "solver_type", bh2);
            must_be_null(c, "solver_p");
            must_be_null(c, "sigma_min");
            must_be_null(c, "sigma_max");
            must_be_null(c, "shift_terminal");
            value = dmi_config_find(c, corrector);
            if (value && !(value->kind == DMI_CONFIG_LIST && value->count == 0))
                dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, corrector, "it must be an empty list");
            break;
        case DM_SOLVER_DEIS:
            must_be(c, "algorithm_type", deis);
            must_be(c, "solver_type", logrho);
            break;
        default: break;
    }
}

static void read_output(reader *r) {
    static const double least = 1e-30, most = 1e300;
    dmi_config *c = r->c;
    r->o->clip =
        has(r, DMI_HAS_CLIP) ? dmi_config_bool(c, "clip_sample", has(r, DMI_CLIPS_DEFAULT)) : 0;
    if (has(r, DMI_IS_CONSISTENCY)) r->o->clip = dmi_config_bool(c, "clip_denoised", true);
    if (has(r, DMI_HAS_THRESHOLD) && dmi_config_bool(c, "thresholding", false)) {
        r->o->clip = 1;
        r->o->threshold = dmi_config_double(c, "dynamic_thresholding_ratio", 0.995, 0, 1);
        r->o->threshold_max = dmi_config_double(c, "sample_max_value", 1, least, most);
        /* The maximum over everything: a quantile of 0 would mean that thresholding is off. */
        if (r->o->threshold == 0)
            dmi_config_refuse(c, DM_ERROR_UNSUPPORTED, "dynamic_thresholding_ratio",
                              "it must be above 0");
    } else if (has(r, DMI_HAS_CLIP) && r->o->clip) {
        r->o->clip_range = dmi_config_double(c, "clip_sample_range", 1, least, most);
    }
}

/* ---- all of it ---- */

static dm_status read_keys(reader *r) {
    dm_status status = DM_OK;
    dmi_struct_defaults(&dmi_struct_schedule_options, &r->schedule);
    dmi_diffusers_get_model(r->c, &r->model);
    int32_t timesteps = has(r, DMI_IS_CONSISTENCY) ? 40 : 1000;
    r->schedule.timesteps =
        dmi_config_i32(r->c, "num_train_timesteps", timesteps, 1, DMI_TIMESTEPS_MAX);
    if (has(r, DMI_IS_EDM)) read_edm(r);
    else if (has(r, DMI_IS_CONSISTENCY)) read_consistency(r);
    else if (has(r, DMI_IS_FLOW_MATCH)) read_flow_match(r);
    else status = read_betas(r);
    if (status) return status;
    if (has(r, DMI_HAS_FLOW)) read_flow(r);
    else if (r->model.prediction == DM_PREDICT_FLOW && !has(r, DMI_IS_FLOW_MATCH))
        dmi_config_refuse(r->c, DM_ERROR_UNSUPPORTED, "prediction_type",
                          "this scheduler has no flow");
    r->schedule.float32_tables = r->compatible && dmi_schedule_kind_has_betas(r->schedule.kind);
    r->o->solver = r->is->solver;
    r->o->order = 0;
    r->o->rho = 7;
    r->o->lower_order_final = 1;
    r->o->variance = DM_VARIANCE_AUTO;
    r->o->rederive_eps = 0;
    r->o->threshold = 0;
    r->o->threshold_max = 1e300;
    r->o->clip_range = 0;
    r->o->diffusers_compatible = r->compatible;
    r->o->custom_count = 0;
    r->o->custom_times = r->o->custom_sigmas = NULL;
    r->o->expected_prediction = r->model.prediction;
    read_spacing(r);
    if (has(r, DMI_IS_CONSISTENCY)) r->o->spacing = DM_SPACING_TRAILING;
    read_grid(r);
    if (has(r, DMI_IS_EDM)) read_edm_grid(r);
    read_end(r);
    read_own(r);
    read_order(r);
    read_output(r);
    dmi_diffusers_ignore_keys(r->c);
    return dmi_config_end(r->c);
}

static dm_status make_schedule(dm_schedule **out, dm_context *context, const reader *r) {
    dmi_host *host = &context->host;
    if (r->betas && r->schedule.kind != DM_SCHEDULE_FLOW)
        return dmi_schedule_create_from_betas(out, context, r->betas, r->beta_count, r->compatible);
    dm_status status = dmi_struct_check(host, &dmi_struct_schedule_options, &r->schedule);
    if (!status) status = dmi_schedule_create(out, context, &r->schedule);
    if (status != DM_ERROR_INVALID_ARGUMENT) return status;
    return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: %.400s", r->c->from, host->error);
}

/* DPM-Solver leaves out timesteps of a lower lambda = log(signal / noise). */
static dm_status check_lambda(const reader *r, const dm_schedule *schedule) {
    double least = -log(dmi_schedule_value(schedule, DM_SERIES_SIGMA, schedule->steps - 1));
    if (r->lambda_min <= least) return DM_OK;
    dmi_config_refuse(r->c, DM_ERROR_UNSUPPORTED, "lambda_min_clipped",
                      "it must be below that of the last timestep");
    return r->c->status;
}

dm_status dmi_diffusers_read_scheduler(dm_schedule **out, dm_context *context, dmi_config *config,
                                       bool compatible, dm_sampler_options *sampler) {
    dm_sampler_options unused = {0};
    reader r = {.c = config,
                .o = sampler ? sampler : &unused,
                .lambda_min = -INFINITY,
                .compatible = compatible};
    *out = NULL;
    r.is = dmi_diffusers_find_class(dmi_diffusers_class(config));
    if (!r.is) {
        dmi_config_refuse(config, DM_ERROR_UNSUPPORTED, "_class_name",
                          "this scheduler is not supported");
        return config->status;
    }
    dm_schedule *schedule = NULL;
    dm_status status = read_keys(&r);
    if (!status) status = make_schedule(&schedule, context, &r);
    if (!status && schedule) status = check_lambda(&r, schedule);
    dmi_free(config->host, r.betas);
    if (status) dmi_schedule_free(schedule);
    else *out = schedule;
    return status;
}

static dm_status load(dm_schedule **out, dm_context *context, const char *path,
                      const dm_diffusers_options *options, dm_sampler_options *sampler) {
    dmi_host *host = &context->host;
    dm_diffusers_options how;
    dm_sampler_options o;
    dmi_config config;
    char *file;
    if (!out || !path)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "schedule: '%s' is NULL",
                        out ? "path" : "out");
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_diffusers_options, &how, options);
    if (!status) status = dmi_struct_read(host, &dmi_struct_sampler_options, &o, sampler);
    if (!status) status = dmi_diffusers_find_scheduler(host, &file, path);
    if (status) return status;
    status = dmi_config_read(host, &config, file);
    if (!status) {
        status = dmi_diffusers_read_scheduler(out, context, &config, how.compatible != 0, &o);
        dmi_config_free(&config);
    }
    dmi_free(host, file);
    if (status || !sampler) return status;
    return dmi_struct_write_back(host, &dmi_struct_sampler_options, sampler, &o);
}

dm_status dm_schedule_load_diffusers(dm_schedule **out, dm_context *context, const char *path,
                                     const dm_diffusers_options *options,
                                     dm_sampler_options *sampler) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, load(out, context, path, options, sampler));
}
