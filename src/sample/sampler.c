/* SPDX-License-Identifier: MIT */
/* A sampler's creation, properties and end. */
#include "sample/sampler.h"

_Static_assert(ATOMIC_INT_LOCK_FREE == 2, "dm_sampler_cancel must be safe in a signal handler");

dm_status dm_sampler_options_init(dm_sampler_options *options, size_t size) {
    return dmi_struct_init(&dmi_struct_sampler_options, options, size);
}

dm_status dm_sampler_progress_init(dm_sampler_progress *progress, size_t size) {
    return dmi_struct_init(&dmi_struct_sampler_progress, progress, size);
}

dm_status dm_noise_request_init(dm_noise_request *request, size_t size) {
    return dmi_struct_init(&dmi_struct_noise_request, request, size);
}

dm_status dm_denoiser_input_init(dm_denoiser_input *input, size_t size) {
    return dmi_struct_init(&dmi_struct_denoiser_input, input, size);
}

dm_status dm_guidance_step_init(dm_guidance_step *step, size_t size) {
    return dmi_struct_init(&dmi_struct_guidance_step, step, size);
}

dm_status dm_denoiser_init(dm_denoiser *denoiser, size_t size) {
    return dmi_struct_init(&dmi_struct_denoiser, denoiser, size);
}

/* ---- creation ---- */

void dmi_sampler_free(dm_sampler *sampler) {
    if (!sampler) return;
    dmi_host *host = &sampler->context->host;
    dmi_sampler_plan_free(host, &sampler->plan);
    dmi_free(host, sampler->evaluations);
    dmi_sampler_release(sampler);
    if (sampler->unet) dmi_unet_release(sampler->unet);
    dmi_free(host, sampler);
}

/* The levels of all model evaluations, from the plan of a whole run. */
static dm_status list_evaluations(dm_sampler *s) {
    const dmi_sampler_plan *plan = &s->plan;
    s->evaluation_count = plan->stage_offsets[plan->steps];
    dm_status status =
        dmi_alloc_array(&s->context->host, &s->evaluations, (size_t)s->evaluation_count,
                        sizeof *s->evaluations, "sampler: levels of evaluations");
    for (int32_t i = 0; !status && i < s->evaluation_count; i++) {
        const dmi_stage *stage = &plan->stages[i];
        s->evaluations[i] = (dmi_evaluation_level){.timestep = stage->timestep,
                                                   .signal = stage->at.signal,
                                                   .noise = stage->at.noise};
    }
    return status;
}

static dm_status plan_all(dm_sampler *s) {
    dm_status status = dmi_sampler_plan_allocate(&s->context->host, &s->plan, s->options.steps,
                                                 s->solver->stages_max);
    if (!status) status = dmi_sampler_plan_levels(s);
    if (status) return status;
    s->options.custom_times = s->options.custom_sigmas = NULL;
    dmi_sampler_plan_stages(s, 0);
    return list_evaluations(s);
}

/* Guidance subtracts the output without class and conditions, which training must have seen. */
static void warn_of_guidance(const dm_sampler *s) {
    if (s->options.guidance == 1 || !s->unet || s->unet->null_class != DMI_NULL_CLASS_UNTRAINED)
        return;
    const dm_unet_options *o = &s->unet->options;
    bool class = dmi_unet_can_leave_class(o), condition = dmi_unet_has_condition(o);
    dmi_log(&s->context->host, DM_LOG_WARNING,
            "sampler: 'guidance' %g with a network that was trained without %s%s%s: its output "
            "without %s%s%s was never trained",
            s->options.guidance, class ? "'label_dropout'" : "", class && condition ? " or " : "",
            condition ? "'condition_dropout'" : "", class ? "a class" : "",
            class && condition ? " and " : "", condition ? "a condition" : "");
}

/* `model` is a sampler of which the context, the schedule and the model are set. */
static dm_status sampler_new(dm_sampler **out, const dm_sampler *model,
                             const dm_sampler_options *options) {
    dmi_host *host = &model->context->host;
    dm_sampler_options full;
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_sampler_options, &full, options);
    if (!status) status = dmi_prediction_check(host, "sampler", model->schedule, model->prediction);
    if (status) return status;
    dm_sampler *sampler;
    status = dmi_alloc_zero(host, &sampler, 1, sizeof *sampler, "sampler");
    if (status) return status;
    *sampler = *model;
    if (sampler->unet) dmi_unet_hold(sampler->unet);
    sampler->options = full;
    sampler->elements = (size_t)model->height * (size_t)model->width * (size_t)model->channels;
    atomic_init(&sampler->cancelled, 0);
    status = dmi_sampler_resolve_options(sampler);
    if (!status) status = plan_all(sampler);
    if (status) {
        dmi_sampler_free(sampler);
        return status;
    }
    warn_of_guidance(sampler);
    *out = sampler;
    return DM_OK;
}

static dm_status create(dm_sampler **out, dm_unet *unet, const dm_schedule *schedule,
                        const dm_sampler_options *options) {
    dmi_host *host = &unet->context->host;
    const dm_unet_options *u = &unet->options;
    if (!out || !schedule)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: '%s' is NULL",
                        out ? "schedule" : "out");
    dm_status status = dmi_unet_check_schedule(unet, "sampler", schedule);
    if (status) return status;
    if (u->in_channels != u->out_channels)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "sampler: the network has %d channels in and %d out; a sampler needs as "
                        "many out as in",
                        (int)u->in_channels, (int)u->out_channels);
    dm_sampler model = {.context = unet->context,
                        .unet = unet,
                        .schedule = schedule,
                        .prediction = u->prediction,
                        .sigma_data = (double)u->sigma_data,
                        .height = u->height,
                        .width = u->width,
                        .channels = u->in_channels,
                        .classes = u->classes,
                        .label_minimum = dmi_unet_label_range(u).minimum,
                        .image_condition =
                            (size_t)u->height * (size_t)u->width * (size_t)u->condition_channels,
                        .vector_condition = (size_t)u->condition_size,
                        .self_conditioning = u->self_conditioning != 0,
                        .learned_variance = u->learned_variance != 0};
    return sampler_new(out, &model, options);
}

dm_status dm_sampler_create(dm_sampler **out, dm_unet *unet, const dm_schedule *schedule,
                            const dm_sampler_options *options) {
    if (out) *out = NULL;
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, create(out, unet, schedule, options));
}

static dm_status create_with_denoiser(dm_sampler **out, dm_context *context,
                                      const dm_schedule *schedule, const dm_denoiser *denoiser,
                                      const dm_sampler_options *options) {
    dmi_host *host = &context->host;
    if (!out || !schedule || !denoiser)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "sampler: '%s' is NULL",
                        !out        ? "out"
                        : !schedule ? "schedule"
                                    : "denoiser");
    dm_denoiser full;
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_denoiser, &full, denoiser);
    if (status) return status;
    if (!full.evaluate)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "denoiser: 'evaluate' is NULL");
    size_t row, bytes;
    if (!dmi_mul((size_t)full.height * sizeof(float), (size_t)full.width, &row) ||
        !dmi_mul(row, (size_t)full.channels, &bytes) ||
        !dmi_mul(row, (size_t)full.condition_channels, &bytes))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "denoiser: an image of %d x %d x %d is too large", (int)full.height,
                        (int)full.width, (int)full.channels);
    dm_sampler model = {.context = context,
                        .denoiser = full,
                        .schedule = schedule,
                        .prediction = full.prediction,
                        .sigma_data = full.sigma_data,
                        .height = full.height,
                        .width = full.width,
                        .channels = full.channels,
                        .classes = full.classes,
                        .label_minimum = -1,
                        .image_condition = (size_t)full.height * (size_t)full.width *
                                           (size_t)full.condition_channels,
                        .vector_condition = (size_t)full.condition_size};
    return sampler_new(out, &model, options);
}

dm_status dm_sampler_create_with_denoiser(dm_sampler **out, dm_context *context,
                                          const dm_schedule *schedule, const dm_denoiser *denoiser,
                                          const dm_sampler_options *options) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, create_with_denoiser(out, context, schedule, denoiser, options));
}

/* ---- properties ---- */

dm_context *dm_sampler_context(const dm_sampler *sampler) {
    return sampler ? sampler->context : NULL;
}

dm_status dm_sampler_get_options(const dm_sampler *sampler, dm_sampler_options *options,
                                 size_t size) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    dm_context *context = sampler->context;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, dmi_struct_write(&context->host, &dmi_struct_sampler_options, options,
                                               size, &sampler->options));
}

void dm_sampler_shape(const dm_sampler *sampler, int32_t *height, int32_t *width,
                      int32_t *channels) {
    if (height) *height = sampler ? sampler->height : 0;
    if (width) *width = sampler ? sampler->width : 0;
    if (channels) *channels = sampler ? sampler->channels : 0;
}

int32_t dm_sampler_steps(const dm_sampler *sampler) { return sampler ? sampler->plan.steps : 0; }

int32_t dm_sampler_evaluations(const dm_sampler *sampler) {
    return sampler ? sampler->evaluation_count : 0;
}

static dm_status get_levels(const dm_sampler *s, double *timesteps, double *signal, double *noise,
                            size_t count) {
    if (count != (size_t)s->evaluation_count)
        return dmi_fail(&s->context->host, DM_ERROR_SHAPE_MISMATCH,
                        "sampler: 'count' is %zu; it must be the number of model evaluations, %d",
                        count, (int)s->evaluation_count);
    for (size_t i = 0; i < count; i++) {
        if (timesteps) timesteps[i] = s->evaluations[i].timestep;
        if (signal) signal[i] = s->evaluations[i].signal;
        if (noise) noise[i] = s->evaluations[i].noise;
    }
    return DM_OK;
}

dm_status dm_sampler_get_levels(const dm_sampler *sampler, double *timesteps, double *signal,
                                double *noise, size_t count) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(sampler->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(sampler->context, get_levels(sampler, timesteps, signal, noise, count));
}
