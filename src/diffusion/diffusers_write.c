/* SPDX-License-Identifier: MIT */
/* A schedule and options of a sampler as a scheduler_config.json. What is an argument of a call in
 * diffusers (steps, eta, churn, guidance) is not written. */
#include <float.h>
#include <math.h>
#include <stdio.h>

#include "core/enums.h"
#include "diffusion/diffusers.h"

typedef struct writer {
    dmi_host *host;
    const dmi_diffusers_scheduler *is;
    const dm_schedule *schedule;
    const dm_sampler_options *o;
    const dmi_diffusers_model *model;
    bool is_flow; /* use_flow_sigmas */
} writer;

static bool has(const writer *w, uint32_t flags) { return (w->is->has & flags) != 0; }

/* ---- what cannot be written ---- */

static dm_status refuse(const writer *w, const char *owner, const char *option, const char *value,
                        const char *reason) {
    return dmi_fail(w->host, DM_ERROR_UNSUPPORTED, "diffusers: '%s.%s' is %s: diffusers' %s %s",
                    owner, option, value, w->is->name, reason);
}

static dm_status check_levels(const writer *w) {
    const dm_sampler_options *o = w->o;
    const char *spacing = dmi_enum_text("dm_spacing", o->spacing);
    bool by_grid = o->grid == DM_GRID_KARRAS || o->grid == DM_GRID_EXPONENTIAL;
    bool inner = has(w, DMI_INNER_SPACING);
    if (o->custom_count)
        return refuse(w, "sampler", "custom_count", "set", "has no list of levels");
    if (by_grid && !has(w, DMI_HAS_GRIDS | DMI_IS_EDM))
        return refuse(w, "sampler", "grid", dmi_enum_text("dm_grid", o->grid), "has no such grid");
    if (by_grid && w->is_flow)
        return refuse(w, "sampler", "grid", dmi_enum_text("dm_grid", o->grid),
                      "has no such grid on a flow");
    if (by_grid && has(w, DMI_HAS_GRIDS) && o->grid == DM_GRID_KARRAS && o->rho != 7)
        return refuse(w, "sampler", "rho", "not 7", "has no other exponent");
    if (has(w, DMI_IS_EDM) && o->grid == DM_GRID_KARRAS && o->rho != w->schedule->options.rho)
        return refuse(w, "sampler", "rho", "not 'schedule.rho'", "has no other exponent");
    if (o->spacing == DM_SPACING_AUTO) return DM_OK;
    bool is_inner =
        o->spacing == DM_SPACING_LINSPACE_INNER || o->spacing == DM_SPACING_LEADING_INNER;
    if (has(w, DMI_IS_CONSISTENCY))
        return o->spacing == DM_SPACING_TRAILING
                   ? DM_OK
                   : refuse(w, "sampler", "spacing", spacing, "has no such spacing");
    bool fits = has(w, DMI_HAS_SPACING)
                    ? is_inner == inner || o->spacing == DM_SPACING_TRAILING
                    : o->spacing == (inner ? DM_SPACING_LINSPACE_INNER : DM_SPACING_LINSPACE);
    if (by_grid && inner) fits = o->spacing == DM_SPACING_LINSPACE;
    return fits ? DM_OK : refuse(w, "sampler", "spacing", spacing, "has no such spacing");
}

static dm_status check_end(const writer *w) {
    if (has(w, DMI_HAS_ALPHA_ONE | DMI_HAS_FINAL_SIGMAS)) return DM_OK;
    bool only = !has(w, DMI_ENDS_AT_FIRST_LEVEL);
    if ((w->o->final_alpha_one != 0) == only) return DM_OK;
    return refuse(w, "sampler", "final_alpha_one", only ? "0" : "1", "always ends at the other");
}

static dm_status check_output(const writer *w) {
    const dm_sampler_options *o = w->o;
    if (o->threshold > 0 && !has(w, DMI_HAS_THRESHOLD))
        return refuse(w, "sampler", "threshold", "set", "has no thresholding");
    if (o->clip && o->threshold == 0 &&
        !has(w, DMI_HAS_CLIP | DMI_HAS_THRESHOLD | DMI_IS_CONSISTENCY))
        return refuse(w, "sampler", "clip", "1", "cannot clip");
    if (o->clip && o->threshold == 0 && o->clip_range > 0 && o->clip_range != 1 &&
        !has(w, DMI_HAS_CLIP))
        return refuse(w, "sampler", "clip_range", "not 1", "has no other range");
    if (w->model->learned_variance && !has(w, DMI_HAS_VARIANCE))
        return refuse(w, "unet", "learned_variance", "1", "takes no output with a variance");
    if (w->o->variance == DM_VARIANCE_LEARNED && !w->model->learned_variance)
        return refuse(w, "sampler", "variance", "learned", "needs a network with learned_variance");
    return DM_OK;
}

static dm_status check_solver(const writer *w) {
    const dm_sampler_options *o = w->o;
    if (o->solver == DM_SOLVER_LMS && o->order != 0 && o->order != 4)
        return refuse(w, "sampler", "order", "not 4", "has no other order");
    return DM_OK;
}

static dm_status check_schedule(const writer *w) {
    const dm_schedule_options *s = &w->schedule->options;
    dm_prediction prediction = w->model->prediction;
    bool edm = has(w, DMI_IS_EDM), flow = w->is_flow || has(w, DMI_IS_FLOW_MATCH);
    if (s->zero_terminal_snr && !has(w, DMI_HAS_ZERO_SNR))
        return refuse(w, "schedule", "zero_terminal_snr", "1", "does not rescale betas");
    if (has(w, DMI_IS_CONSISTENCY) != (prediction == DM_PREDICT_CONSISTENCY) ||
        edm != (prediction == DM_PREDICT_EDM) || flow != (prediction == DM_PREDICT_FLOW))
        return refuse(w, "unet", "prediction", dmi_enum_text("dm_prediction", prediction),
                      "is for another");
    if (prediction == DM_PREDICT_X0 && has(w, DMI_LACKS_X0))
        return refuse(w, "unet", "prediction", "x0", "has no prediction_type sample");
    if (edm && s->time_scale != 0 && s->time_scale != 1)
        return refuse(w, "schedule", "time_scale", "not 1", "has no other");
    if (has(w, DMI_IS_CONSISTENCY) && s->time_scale != 1000)
        return refuse(w, "schedule", "time_scale", "not 1000", "has no other");
    return DM_OK;
}

/* ---- keys ---- */

static void write_betas(const writer *w, dmi_json_writer *j) {
    const dm_schedule_options *s = &w->schedule->options;
    double factor = dmi_schedule_beta_factor(s);
    bool custom = s->kind == DM_SCHEDULE_CUSTOM ||
                  (s->kind == DM_SCHEDULE_SIGMOID && !has(w, DMI_HAS_SIGMOID));
    const char *kind = "linear"; /* of no effect beside trained_betas and use_flow_sigmas */
    for (const dmi_config_name *n = dmi_diffusers_betas; n->name; n++)
        if (n->value == s->kind && !custom) kind = n->name;
    dmi_json_write_string(j, "beta_schedule", kind);
    dmi_json_write_double(j, "beta_start", factor * s->beta_start);
    dmi_json_write_double(j, "beta_end", factor * s->beta_end);
    if (has(w, DMI_HAS_ZERO_SNR))
        dmi_json_write_bool(j, "rescale_betas_zero_snr", s->zero_terminal_snr != 0);
    if (!custom) {
        dmi_json_write_null(j, "trained_betas");
        return;
    }
    dmi_json_write_open(j, "trained_betas", '[');
    for (int32_t t = 0; t < w->schedule->steps; t++)
        dmi_json_write_double(j, NULL, w->schedule->beta[t]);
    dmi_json_write_close(j, ']');
}

static void write_schedule(const writer *w, dmi_json_writer *j) {
    const dm_schedule_options *s = &w->schedule->options;
    dmi_json_write_integer(j, "num_train_timesteps", w->schedule->steps);
    if (has(w, DMI_IS_EDM | DMI_IS_CONSISTENCY)) {
        dmi_json_write_double(j, "sigma_min", s->sigma_min);
        dmi_json_write_double(j, "sigma_max", s->sigma_max);
        dmi_json_write_double(j, "rho", s->rho);
        dmi_json_write_double(j, "sigma_data", w->model->sigma_data);
    } else if (has(w, DMI_IS_FLOW_MATCH)) {
        dmi_json_write_double(j, "shift", s->flow_shift);
    } else {
        write_betas(w, j);
    }
    if (has(w, DMI_HAS_FLOW)) {
        dmi_json_write_bool(j, "use_flow_sigmas", w->is_flow);
        dmi_json_write_double(j, "flow_shift", w->is_flow ? s->flow_shift : 1);
    }
}

static void write_levels(const writer *w, dmi_json_writer *j) {
    static const char *const spacings[] = {[DM_SPACING_LEADING] = "leading",
                                           [DM_SPACING_LINSPACE] = "linspace",
                                           [DM_SPACING_TRAILING] = "trailing",
                                           [DM_SPACING_LINSPACE_INNER] = "linspace",
                                           [DM_SPACING_LEADING_INNER] = "leading"};
    const dm_sampler_options *o = w->o;
    if (has(w, DMI_HAS_SPACING)) {
        if (o->spacing != DM_SPACING_AUTO)
            dmi_json_write_string(j, "timestep_spacing", spacings[o->spacing]);
        dmi_json_write_integer(j, "steps_offset", o->steps_offset);
    }
    if (has(w, DMI_HAS_GRIDS)) {
        dmi_json_write_bool(j, "use_karras_sigmas", o->grid == DM_GRID_KARRAS);
        dmi_json_write_bool(j, "use_exponential_sigmas", o->grid == DM_GRID_EXPONENTIAL);
    }
    if (has(w, DMI_IS_EDM))
        dmi_json_write_string(j, "sigma_schedule",
                              o->grid == DM_GRID_EXPONENTIAL ? "exponential" : "karras");
    if (has(w, DMI_HAS_ALPHA_ONE))
        dmi_json_write_bool(j, "set_alpha_to_one", o->final_alpha_one != 0);
    if (has(w, DMI_HAS_FINAL_SIGMAS))
        dmi_json_write_string(j, "final_sigmas_type", o->final_alpha_one ? "zero" : "sigma_min");
}

/* Diffusers clips with values that must be floats. */
static void write_bound(dmi_json_writer *j, const char *key, double value) {
    dmi_json_write_double(j, key, fmin(value, FLT_MAX));
}

static void write_output(const writer *w, dmi_json_writer *j) {
    const dm_sampler_options *o = w->o;
    if (has(w, DMI_IS_CONSISTENCY)) {
        dmi_json_write_bool(j, "clip_denoised", o->clip != 0);
        dmi_json_write_double(j, "s_noise", o->churn_noise);
    }
    bool threshold = o->clip && o->threshold > 0;
    /* Thresholding with a maximum of 1 clips to [-1, 1]. */
    bool as_clip = o->clip && !threshold && !has(w, DMI_HAS_CLIP);
    if (has(w, DMI_HAS_CLIP)) {
        dmi_json_write_bool(j, "clip_sample", o->clip != 0);
        write_bound(j, "clip_sample_range", o->clip_range > 0 ? o->clip_range : 1);
    }
    if (has(w, DMI_HAS_THRESHOLD)) {
        dmi_json_write_bool(j, "thresholding", threshold || as_clip);
        dmi_json_write_double(j, "dynamic_thresholding_ratio", threshold ? o->threshold : 0.995);
        write_bound(j, "sample_max_value", threshold ? o->threshold_max : 1);
    }
}

/* As a sampler resolves DM_VARIANCE_AUTO; solvers other than DDPM have no variance of their own. */
static void write_variance(const writer *w, dmi_json_writer *j) {
    const dm_sampler_options *o = w->o;
    dm_variance variance = o->variance;
    if (variance == DM_VARIANCE_AUTO)
        variance = dmi_schedule_default_variance(w->schedule, w->model->learned_variance, o->steps);
    if (o->solver != DM_SOLVER_DDPM && !w->model->learned_variance) return;
    if (o->solver != DM_SOLVER_DDPM) variance = DM_VARIANCE_LEARNED;
    dmi_json_write_string(j, "variance_type",
                          variance == DM_VARIANCE_LEARNED       ? "learned_range"
                          : variance == DM_VARIANCE_FIXED_LARGE ? "fixed_large"
                                                                : "fixed_small");
}

static void write_solver(const writer *w, dmi_json_writer *j) {
    const dm_sampler_options *o = w->o;
    if (has(w, DMI_HAS_ORDER)) {
        dmi_json_write_integer(j, "solver_order", o->order ? o->order : 2);
        dmi_json_write_bool(j, "lower_order_final", o->lower_order_final != 0);
    }
    if (o->solver == DM_SOLVER_PNDM || o->solver == DM_SOLVER_PLMS)
        dmi_json_write_bool(j, "skip_prk_steps", o->solver == DM_SOLVER_PLMS);
    if (w->is->solver == DM_SOLVER_DPMPP || w->is->solver == DM_SOLVER_DPMPP_SINGLE)
        dmi_json_write_string(j, "algorithm_type",
                              o->solver == DM_SOLVER_DPMPP_SDE ? "sde-dpmsolver++" : "dpmsolver++");
    if (has(w, DMI_HAS_VARIANCE)) write_variance(w, j);
    if (!has(w, DMI_IS_FLOW_MATCH | DMI_IS_CONSISTENCY)) {
        dm_prediction prediction = has(w, DMI_IS_EDM) ? DM_PREDICT_EPS : w->model->prediction;
        for (const dmi_config_name *n = dmi_diffusers_predictions; n->name; n++)
            if (n->value == prediction) dmi_json_write_string(j, "prediction_type", n->name);
    }
}

static dm_status check(const writer *w) {
    dm_status status = check_schedule(w);
    if (!status) status = check_levels(w);
    if (!status) status = check_end(w);
    if (!status) status = check_output(w);
    return status ? status : check_solver(w);
}

dm_status dmi_diffusers_write_scheduler(dmi_host *host, dmi_file_writer *file,
                                        const dm_schedule *schedule,
                                        const dm_sampler_options *sampler,
                                        const dmi_diffusers_model *model, const char **name) {
    dm_schedule_kind kind = schedule->options.kind;
    writer w = {.host = host, .schedule = schedule, .o = sampler, .model = model};
    dmi_json_writer j;
    w.is = dmi_diffusers_class_of(sampler->solver, kind);
    if (!w.is)
        return dmi_fail(host, DM_ERROR_UNSUPPORTED,
                        "diffusers: 'sampler.solver' is %s and 'schedule.kind' %s: diffusers has "
                        "no such scheduler",
                        dmi_enum_text("dm_solver", sampler->solver), dmi_schedule_name(schedule));
    w.is_flow = kind == DM_SCHEDULE_FLOW && has(&w, DMI_HAS_FLOW);
    *name = w.is->name;
    dm_status status = check(&w);
    if (status || !file) return status;
    dmi_json_write_begin(&j, host);
    dmi_json_write_open(&j, NULL, '{');
    dmi_json_write_string(&j, "_class_name", w.is->name);
    write_schedule(&w, &j);
    write_levels(&w, &j);
    write_output(&w, &j);
    write_solver(&w, &j);
    dmi_json_write_close(&j, '}');
    return dmi_json_write_file(&j, file);
}
