/* SPDX-License-Identifier: MIT */
/* The beginning of a batch, and what masks do to it between steps. */
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "diffusion/noising.h"
#include "sample/run.h"

/* ---- the beginning ---- */

/* Without an image, x at the first level is this factor times standard normal noise. With betas,
 * where signal^2 + noise^2 = 1, it is 1, so that x has the variance that it has with an image.
 * k-diffusion takes the level's noise instead, and so do its solvers here, which are those with
 * fractional times, except with leading spacing. */
static double initial_factor(const dmi_run *run) {
    const dm_sampler *s = run->sampler;
    bool as_k_diffusion = s->solver->fractional_time &&
                          (s->custom_levels || (s->options.spacing != DM_SPACING_LEADING &&
                                                s->options.spacing != DM_SPACING_LEADING_INNER));
    double noise = run->plan->levels[run->step].noise;
    bool compatible = s->options.diffusers_compatible != 0;
    if (dmi_schedule_has_betas(s->schedule) && !as_k_diffusion) return 1;
    /* diffusers has 1 for every flow, also where it begins below pure noise, and for EDM the
     * deviation of data of variance 1 with noise, but not for consistency models. */
    if (compatible && s->schedule->options.kind == DM_SCHEDULE_FLOW) return 1;
    if (compatible && s->schedule->options.kind == DM_SCHEDULE_EDM && !s->solver->consistency_only)
        return sqrt(noise * noise + 1);
    return noise;
}

static void begin_task(void *data, int32_t task, int32_t worker) {
    const dmi_run *run = data;
    const dm_sampler *s = run->sampler;
    const dm_sampler_request *r = &run->request;
    const dmi_sampler_buffers *b = &s->buffers;
    const dmi_kernels *kernels = s->context->kernels;
    dmi_level level = run->plan->levels[run->step];
    size_t i = (size_t)task, n = s->elements, at = i * n, image = (run->first + i) * n;
    float *noise = b->noise + at, *x_f32 = b->x_f32 + at;
    (void)worker;
    if (r->random == DM_RANDOM_TORCH)
        dmi_torch_seed(&b->torch[i],
                       r->seeds ? r->seeds[run->first + i] : r->seed + run->first + i);
    if (!r->initial_noise && !r->noise) dmi_run_draw_noise(run, i, DMI_STREAM_SAMPLE, noise);
    if (r->initial_noise) memcpy(x_f32, r->initial_noise + image, n * sizeof *x_f32);
    else if (r->strength < 1)
        dmi_combine_with_noise(kernels, x_f32, level.signal, r->image + image, level.noise, noise,
                               n);
    else kernels->scale(x_f32, noise, (float)initial_factor(run), n);
    kernels->solver_weighted_sum(b->x + at, NULL, NULL, 0, x_f32, 1, n); /* to double */
    memset(b->x_0_f32 + at, 0, n * sizeof *b->x_0_f32);
}

/* One condition of the batch's images, of n elements each: `given` for all images of the request,
 * or zeros. With guidance, zeros follow for the unconditional batch. */
static void set_condition(const dmi_run *run, float *buffer, const float *given, size_t n) {
    const dm_sampler *s = run->sampler;
    size_t images = s->unet ? run->size : run->count, bytes = n * sizeof *buffer;
    if (!buffer) return;
    for (size_t i = 0; i < images; i++) {
        if (given) memcpy(buffer + i * n, given + (run->first + i % run->count) * n, bytes);
        else memset(buffer + i * n, 0, bytes);
    }
    if (s->options.guidance != 1) memset(buffer + images * n, 0, images * bytes);
}

dm_status dmi_run_begin_batch(dmi_run *run) {
    dm_sampler *s = run->sampler;
    const dm_sampler_request *r = &run->request;
    dmi_sampler_buffers *b = &s->buffers;
    if (r->noise && !r->initial_noise) {
        dm_status status = dmi_run_request_noise(run, b->noise);
        if (status) return status;
    }
    dmi_parallel(s->context->host.pool, (int32_t)run->count, begin_task, run);
    if (!s->context->kernels->all_finite(b->x_f32, run->count * s->elements))
        return dmi_fail(&s->context->host, DM_ERROR_NOT_FINITE,
                        "sampler: the initial noise of images %zu to %zu is infinite or NaN",
                        run->first, run->first + run->count - 1);
    for (size_t i = 0; r->labels && i < run->size; i++)
        b->labels[i] = r->labels[run->first + i % run->count];
    set_condition(run, b->condition_image, r->condition_image, s->image_condition);
    set_condition(run, b->condition_vector, r->condition_vector, s->vector_condition);
    return DM_OK;
}

/* ---- masks ---- */

typedef struct level_job {
    const dmi_run *run;
    dmi_level from, to; /* from: for renoise_task, lower than `to` */
} level_job;

static void keep_task(void *data, int32_t task, int32_t worker) {
    const level_job *job = data;
    const dmi_run *run = job->run;
    const dm_sampler *s = run->sampler;
    const dm_sampler_request *r = &run->request;
    size_t i = (size_t)task, n = s->elements, pixels = n / (size_t)s->channels,
           image = run->first + i;
    float *noise = s->buffers.noise + i * n;
    (void)worker;
    if (job->to.noise > 0) dmi_run_draw_noise(run, i, DMI_STREAM_INPAINT, noise);
    s->context->kernels->solver_inpaint(s->buffers.x + i * n, r->mask + image * pixels,
                                        r->image + image * n, job->to.signal, noise, job->to.noise,
                                        pixels, (size_t)s->channels);
    s->context->kernels->solver_to_f32(s->buffers.x_f32 + i * n, 1, s->buffers.x + i * n, n);
}

void dmi_run_keep_masked(const dmi_run *run, dmi_level level) {
    level_job job = {.run = run, .to = level};
    if (run->request.mask)
        dmi_parallel(run->sampler->context->host.pool, (int32_t)run->count, keep_task, &job);
}

static void renoise_task(void *data, int32_t task, int32_t worker) {
    const level_job *job = data;
    const dm_sampler *s = job->run->sampler;
    const dmi_kernels *kernels = s->context->kernels;
    size_t i = (size_t)task, n = s->elements;
    double *x = s->buffers.x + i * n;
    float *noise = s->buffers.noise + i * n;
    (void)worker;
    dmi_run_draw_noise(job->run, i, DMI_STREAM_RENOISE, noise);
    const double *terms[] = {x};
    /* Without a signal, x is pure noise and is sampled anew. */
    bool has_signal = dmi_level_has_signal(job->from);
    double factor = has_signal ? job->to.signal / job->from.signal : 0;
    double added = has_signal ? sqrt(dmi_variance_between(job->to, job->from)) : job->to.noise;
    kernels->solver_weighted_sum(x, terms, &factor, 1, noise, added, n);
}

void dmi_run_renoise(const dmi_run *run, dmi_level from, dmi_level to) {
    level_job job = {.run = run, .from = from, .to = to};
    dmi_parallel(run->sampler->context->host.pool, (int32_t)run->count, renoise_task, &job);
}
