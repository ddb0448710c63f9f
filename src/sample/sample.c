/* SPDX-License-Identifier: MIT */
/* Public functions that sample: whole runs, initial noise, and held runs in steps. */
#include <string.h>

#include "sample/run.h"

/* A run of the caller's request on the sampler's own plan. */
static dm_status prepare(dmi_run *run, dm_sampler *s, const dm_sampler_request *request) {
    memset(run, 0, sizeof *run);
    run->sampler = s;
    dm_status status = dmi_run_check_idle(s);
    if (!status) status = dmi_request_read(s, &run->request, request);
    return status;
}

static dm_status begin(dmi_run *run) {
    dm_sampler *s = run->sampler;
    int32_t first = dmi_request_first_step(s, &run->request);
    if (s->plan.first != first) dmi_sampler_plan_stages(s, first);
    return dmi_run_begin(run, &s->plan);
}

static dm_status sample(dm_sampler *s, const dm_sampler_request *request,
                        dm_status (*work)(dmi_run *), float *images, size_t elements) {
    dmi_run run;
    dm_status status = prepare(&run, s, request);
    if (!status) status = dmi_request_check_images(s, &run.request, images, elements);
    if (!status) status = begin(&run);
    run.images = images;
    if (!status) status = work(&run);
    return dmi_run_clear_cancel(s, status);
}

dm_status dm_sampler_run(dm_sampler *sampler, const dm_sampler_request *request, float *images,
                         size_t elements) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(sampler->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(sampler->context, sample(sampler, request, dmi_run_all, images, elements));
}

dm_status dm_sampler_initial_noise(dm_sampler *sampler, const dm_sampler_request *request,
                                   float *noise, size_t elements) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(sampler->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(sampler->context,
                     sample(sampler, request, dmi_run_initial_noise, noise, elements));
}

/* ---- held runs ---- */

static void release_held(dm_sampler *s) {
    dmi_host *host = &s->context->host;
    if (!s->held) return;
    dmi_free(host, s->held->images);
    dmi_free(host, s->held->preview);
    dmi_free(host, s->held);
    s->held = NULL;
}

static size_t image_floats(const dmi_run *run) {
    return (size_t)run->request.count * run->sampler->elements;
}

/* Moves a prepared run to s->held. */
static dm_status keep_run(dm_sampler *s, const dmi_run *prepared) {
    dmi_host *host = &s->context->host;
    dm_status status = dmi_alloc_zero(host, &s->held, 1, sizeof *s->held, "sampler: held run");
    if (status) return status;
    *s->held = *prepared;
    status = dmi_alloc_array(host, &s->held->images, (size_t)prepared->request.count,
                             s->elements * sizeof(float), "sampler: images of a held run");
    if (!status)
        status = dmi_alloc_zero(host, &s->held->preview, (size_t)prepared->request.count,
                                s->elements * sizeof(float), "sampler: previews of a held run");
    if (!status) status = begin(s->held);
    if (!status && s->unet) {
        s->held->weights_version = s->unet->weights->params.version;
        s->held->wrap = s->unet->wrap, s->held->precision = s->unet->options.precision;
    }
    if (status) release_held(s);
    return status;
}

static dm_status start(dm_sampler *s, const dm_sampler_request *request) {
    dmi_run run;
    dm_status status = prepare(&run, s, request);
    return status ? status : keep_run(s, &run);
}

dm_status dm_sampler_start(dm_sampler *sampler, const dm_sampler_request *request) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(sampler->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(sampler->context, start(sampler, request));
}

static dm_status check_held(const dm_sampler *s) {
    if (s->held) return DM_OK;
    return dmi_fail(&s->context->host, DM_ERROR_WRONG_STATE,
                    "sampler: no run is held; begin one with dm_sampler_start");
}

/* The run's bits are those of dm_sampler_run only if the network stays. */
static dm_status check_network(const dm_sampler *s) {
    const char *changed = NULL;
    if (s->unet && s->held->wrap != s->unet->wrap) changed = "tiling";
    else if (s->unet && s->held->precision != s->unet->options.precision) changed = "precision";
    if (changed)
        return dmi_fail(&s->context->host, DM_ERROR_WRONG_STATE,
                        "sampler: the network's %s has changed since dm_sampler_start; set it "
                        "back, or end the held run with dm_sampler_finish",
                        changed);
    if (!s->unet || s->held->weights_version == s->unet->weights->params.version) return DM_OK;
    return dmi_fail(&s->context->host, DM_ERROR_WRONG_STATE,
                    "sampler: the network's weights have changed since dm_sampler_start; end the "
                    "held run with dm_sampler_finish");
}

static dm_status step(dm_sampler *s, int32_t *steps_left) {
    dm_status status = check_held(s);
    if (status) return status;
    if (dmi_run_is_done(s->held))
        return dmi_fail(&s->context->host, DM_ERROR_WRONG_STATE,
                        "sampler: the held run has no steps left; call dm_sampler_finish");
    status = dmi_sampler_reserve_model(s, s->held->size);
    if (!status) status = check_network(s);
    if (status == DM_ERROR_WRONG_STATE) return status;
    if (!status) status = dmi_run_step(s->held);
    if (status) {
        release_held(s);
        return dmi_run_clear_cancel(s, status);
    }
    if (steps_left) *steps_left = dmi_run_steps_left(s->held);
    return DM_OK;
}

dm_status dm_sampler_step(dm_sampler *sampler, int32_t *steps_left) {
    if (steps_left) *steps_left = 0;
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(sampler->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(sampler->context, step(sampler, steps_left));
}

static dm_status get_preview(const dm_sampler *s, float *images, size_t elements) {
    dm_status status = check_held(s);
    if (!status) status = dmi_request_check_images(s, &s->held->request, images, elements);
    if (status) return status;
    const dmi_run *run = s->held;
    memcpy(images, run->preview, image_floats(run) * sizeof *images);
    if (run->batch_begun)
        memcpy(images + run->first * s->elements, s->buffers.x_0_f32,
               run->count * s->elements * sizeof *images);
    return DM_OK;
}

dm_status dm_sampler_get_preview(const dm_sampler *sampler, float *images, size_t elements) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(sampler->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(sampler->context, get_preview(sampler, images, elements));
}

static dm_status finish(dm_sampler *s, float *images, size_t elements) {
    dm_status status = check_held(s);
    if (status) return status;
    if (images || elements) {
        status = dmi_request_check_images(s, &s->held->request, images, elements);
        if (status) return status;
        if (!dmi_run_is_done(s->held))
            return dmi_fail(&s->context->host, DM_ERROR_WRONG_STATE,
                            "sampler: the held run has %d steps left",
                            (int)dmi_run_steps_left(s->held));
        /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): refused above if NULL */
        memcpy(images, s->held->images, image_floats(s->held) * sizeof *images);
    }
    release_held(s);
    atomic_store(&s->cancelled, 0); /* it was meant for this run */
    return DM_OK;
}

dm_status dm_sampler_finish(dm_sampler *sampler, float *images, size_t elements) {
    if (!sampler) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(sampler->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(sampler->context, finish(sampler, images, elements));
}

/* ---- the end ---- */

void dm_sampler_cancel(dm_sampler *sampler) {
    if (sampler) atomic_store(&sampler->cancelled, 1);
}

void dm_sampler_destroy(dm_sampler *sampler) {
    if (!sampler) return;
    dm_context *context = sampler->context;
    if (!dmi_enter(context)) return;
    dmi_context_hold(context); /* which may be destroyed when the network releases it */
    release_held(sampler);
    dmi_sampler_free(sampler);
    dmi_leave(context, DM_OK);
    dmi_context_release(context);
}
