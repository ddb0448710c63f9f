/* SPDX-License-Identifier: MIT */
/* Model evaluations of a batch; with classifier-free guidance, the conditional and the
 * unconditional batch as one. */
#include <math.h>
#include <string.h>

#include "sample/run.h"

/* Whether guidance applies at a stage: between guidance_begin and guidance_end. */
static bool is_guided(const dm_sampler *s, const dmi_stage *stage) {
    const dm_sampler_options *o = &s->options;
    double t = dmi_schedule_has_betas(s->schedule)
                   ? stage->at.time
                   : dmi_schedule_timestep_of_sigma(s->schedule, dmi_level_sigma(stage->at));
    double share = t / s->schedule->steps;
    return o->guidance != 1 && share >= o->guidance_begin && share <= o->guidance_end;
}

/* The unconditional batch: the same images, without a class if the network has a row for that. Its
 * conditions are zeros from the batch's beginning. */
static void append_unconditional(const dmi_run *run, size_t images) {
    dmi_sampler_buffers *b = &run->sampler->buffers;
    size_t floats = run->sampler->elements * (1 + (size_t)run->sampler->self_conditioning);
    memcpy(b->model_input + images * floats, b->model_input, images * floats * sizeof(float));
    for (size_t i = 0; i < images; i++)
        b->labels[images + i] = run->sampler->label_minimum < 0 ? -1 : b->labels[i];
}

static dm_status evaluate_denoiser(const dmi_run *run, const dmi_stage *stage,
                                   const int32_t *labels, size_t images) {
    const dm_sampler *s = run->sampler;
    dm_denoiser_input input;
    dmi_struct_defaults(&dmi_struct_denoiser_input, &input);
    input.height = s->height;
    input.width = s->width;
    input.channels = s->channels;
    input.first = run->first;
    input.count = images;
    input.timestep = stage->timestep;
    input.time = stage->at.time;
    input.signal = stage->at.signal;
    input.noise = stage->at.noise;
    input.x = s->buffers.model_input;
    input.labels = labels;
    if (run->request.condition_image) {
        input.condition_image = s->buffers.condition_image;
        input.condition_image_elements = images * s->image_condition;
    }
    if (run->request.condition_vector) {
        input.condition_vector = s->buffers.condition_vector;
        input.condition_vector_elements = images * s->vector_condition;
    }
    dmi_callback_begin(s->context);
    int32_t returned = s->denoiser.evaluate(s->denoiser.user, &input, s->buffers.model_output,
                                            images * s->elements);
    return dmi_callback_result(s->context, returned, DM_ERROR_CALLBACK_FAILED,
                               "sampler: the denoiser");
}

typedef struct guidance_job {
    const dmi_run *run;
    size_t images; /* of the conditional batch */
    bool guided;
} guidance_job;

/* Classifier-free guidance: Ho and Salimans 2022, eq. 6, with their w + 1; Lin et al. 2024, eq. 15
 * and 16. output may be `conditional`. */
static void guide(const dm_sampler *s, float *output, const float *conditional,
                  const float *unconditional) {
    const dmi_kernels *kernels = s->context->kernels;
    const dm_sampler_options *o = &s->options;
    size_t n = s->elements;
    const bool rescale = o->guidance_rescale > 0;
    double mean, conditional_variance, variance;
    if (rescale) kernels->moments(&mean, &conditional_variance, conditional, n);
    kernels->combine(output, (float)o->guidance, conditional, (float)(1 - o->guidance),
                     unconditional, n);
    if (!rescale) return;
    kernels->moments(&mean, &variance, output, n);
    if (variance > 0)
        kernels->scale(output, output,
                       (float)(o->guidance_rescale * sqrt(conditional_variance / variance) + 1 -
                               o->guidance_rescale),
                       n);
}

static void output_task(void *data, int32_t task, int32_t worker) {
    const guidance_job *job = data;
    const dm_sampler *s = job->run->sampler;
    const dmi_sampler_buffers *b = &s->buffers;
    const dmi_kernels *kernels = s->context->kernels;
    size_t i = (size_t)task, n = s->elements, c = (size_t)s->channels,
           factor = s->learned_variance ? 2 : 1;
    float *prediction = b->prediction + i * n, *variance = b->variance ? b->variance + i * n : NULL;
    const float *conditional = b->model_output + i * factor * n,
                *unconditional = b->model_output + (job->images + i) * factor * n;
    (void)worker;
    dmi_output_split(kernels, prediction, NULL, 0, conditional, factor * c, n / c, c);
    if (job->guided && variance) {
        /* `variance` holds the unconditional prediction until it gets its own values below. */
        dmi_output_split(kernels, variance, NULL, 0, unconditional, factor * c, n / c, c);
        unconditional = variance;
    }
    if (job->guided) guide(s, prediction, prediction, unconditional);
    if (variance) kernels->copy_rows(variance, c, conditional + c, factor * c, n / c, c, false);
}

dm_status dmi_run_evaluate(const dmi_run *run, const dmi_stage *stage) {
    dm_sampler *s = run->sampler;
    dmi_sampler_buffers *b = &s->buffers;
    guidance_job job = {.run = run,
                        .images = s->unet ? run->size : run->count,
                        .guided = is_guided(s, stage)};
    if (job.guided) append_unconditional(run, job.images);
    size_t images = job.guided ? 2 * job.images : job.images;
    const int32_t *labels = run->request.labels ? b->labels : NULL;
    const dmi_unet_pass pass = {.count = images,
                                .x = b->model_input,
                                .times = &stage->at.time,
                                .labels = labels,
                                .condition_image = b->condition_image,
                                .condition_vector = b->condition_vector};
    dm_status status = s->unet ? dmi_unet_forward(s->unet, b->model_output, &pass)
                               : evaluate_denoiser(run, stage, labels, images);
    if (!status) dmi_parallel(s->context->host.pool, (int32_t)run->count, output_task, &job);
    return status;
}
