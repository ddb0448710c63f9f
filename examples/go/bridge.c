/* SPDX-License-Identifier: MIT */
#include "bridge.h"

#include "_cgo_export.h"

uintptr_t bridge_thread(void) {
    static _Thread_local char self;
    return (uintptr_t)&self;
}

/* ---- callbacks: `user` is a cgo.Handle ---- */

static void on_log(void *user, dm_log_level level, const char *message) {
    goLog((uintptr_t)user, level, (char *)message);
}

static int32_t on_read(void *user, dm_dataset_item *item) {
    return goDatasetRead((uintptr_t)user, item);
}

static void on_prefetch(void *user, const uint64_t *indices, size_t count) {
    goPrefetch((uintptr_t)user, (uint64_t *)indices, count);
}

static int32_t on_evaluation(void *user, uint64_t done, uint64_t total) {
    return goEvaluation((uintptr_t)user, done, total);
}

static int32_t on_train(void *user, const dm_train_stats *stats) {
    return goTrain((uintptr_t)user, (dm_train_stats *)stats);
}

static int32_t on_progress(void *user, const dm_sampler_progress *progress) {
    return goProgress((uintptr_t)user, (dm_sampler_progress *)progress);
}

static int32_t on_noise(void *user, const dm_noise_request *request, float *noise, size_t size) {
    return goNoise((uintptr_t)user, (dm_noise_request *)request, noise, size);
}

static int32_t on_guide(void *user, dm_guidance_step *step) {
    return goGuide((uintptr_t)user, step);
}

static int32_t on_denoise(void *user, const dm_denoiser_input *input, float *output,
                          size_t elements) {
    return goDenoise((uintptr_t)user, (dm_denoiser_input *)input, output, elements);
}

/* ---- calls ---- */

dm_status bridge_context_create(dm_context **out, dm_context_options *options, uintptr_t log,
                                char *error, size_t capacity) {
    if (log) {
        options->log = on_log;
        options->log_user = (void *)log;
    }
    return dm_context_create(out, options, error, capacity);
}

dm_status bridge_dataset_from_memory(dm_dataset **out, dm_context *context,
                                     dm_dataset_memory *memory, const uint8_t *pixels,
                                     const int32_t *labels, const uint8_t *condition_images,
                                     const float *condition_vectors) {
    memory->pixels = pixels;
    memory->labels = labels;
    memory->condition_images = condition_images;
    memory->condition_vectors = condition_vectors;
    dm_status status = dm_dataset_create_from_memory(out, context, memory);
    memory->pixels = NULL;
    memory->labels = NULL;
    memory->condition_images = NULL;
    memory->condition_vectors = NULL;
    return status;
}

dm_status bridge_dataset_from_callback(dm_dataset **out, dm_context *context,
                                       dm_dataset_callback *callback, uintptr_t user,
                                       int32_t prefetch) {
    callback->read = on_read;
    if (prefetch) callback->prefetch = on_prefetch;
    callback->user = (void *)user;
    return dm_dataset_create_from_callback(out, context, callback);
}

static void set_input(dm_unet_input *input, const float *x, const double *times,
                      const int32_t *labels, const float *condition_image,
                      const float *condition_vector) {
    input->x = x;
    input->times = times;
    input->labels = labels;
    input->condition_image = condition_image;
    input->condition_vector = condition_vector;
}

dm_status bridge_unet_forward(dm_unet *unet, dm_unet_input *input, const float *x,
                              const double *times, const int32_t *labels,
                              const float *condition_image, const float *condition_vector,
                              float *output, size_t elements) {
    set_input(input, x, times, labels, condition_image, condition_vector);
    dm_status status = dm_unet_forward(unet, input, output, elements);
    set_input(input, NULL, NULL, NULL, NULL, NULL);
    return status;
}

dm_status bridge_unet_input_gradient(dm_unet *unet, dm_unet_input *input, const float *x,
                                     const double *times, const int32_t *labels,
                                     const float *condition_image, const float *condition_vector,
                                     const float *output_gradient, size_t output_elements,
                                     float *output, float *input_gradient, size_t input_elements) {
    set_input(input, x, times, labels, condition_image, condition_vector);
    dm_status status = dm_unet_input_gradient(unet, input, output_gradient, output_elements, output,
                                              input_gradient, input_elements);
    set_input(input, NULL, NULL, NULL, NULL, NULL);
    return status;
}

dm_status bridge_unet_evaluate(dm_unet *unet, const dm_schedule *schedule,
                               const dm_dataset *dataset, const dm_evaluation_options *options,
                               uintptr_t user, dm_evaluation *result) {
    return dm_unet_evaluate(unet, schedule, dataset, options, user ? on_evaluation : NULL,
                            (void *)user, result);
}

dm_status bridge_trainer_run(dm_trainer *trainer, uint64_t steps, uintptr_t user) {
    return dm_trainer_run(trainer, steps, user ? on_train : NULL, (void *)user);
}

dm_status bridge_trainer_step_batch(dm_trainer *trainer, dm_train_batch *batch, const float *images,
                                    const float *noise, const int32_t *labels,
                                    const int32_t *timesteps, const float *condition_image,
                                    const float *condition_vector, dm_train_stats *stats) {
    batch->images = images;
    batch->noise = noise;
    batch->labels = labels;
    batch->timesteps = timesteps;
    batch->condition_image = condition_image;
    batch->condition_vector = condition_vector;
    dm_status status = dm_trainer_step_batch(trainer, batch, stats);
    batch->images = NULL;
    batch->noise = NULL;
    batch->labels = NULL;
    batch->timesteps = NULL;
    batch->condition_image = NULL;
    batch->condition_vector = NULL;
    return status;
}

void bridge_request_callbacks(dm_sampler_request *request, uintptr_t user, int32_t noise,
                              int32_t progress, int32_t guide) {
    if (noise) {
        request->noise = on_noise;
        request->noise_user = (void *)user;
    }
    if (progress) {
        request->progress = on_progress;
        request->progress_user = (void *)user;
    }
    if (guide) {
        request->guide = on_guide;
        request->guide_user = (void *)user;
    }
}

dm_status bridge_sampler_run(int32_t kind, dm_sampler *sampler, dm_sampler_request *request,
                             const uint64_t *seeds, const int32_t *labels,
                             const float *initial_noise, const float *image, const float *mask,
                             const float *condition_image, const float *condition_vector,
                             float *images, size_t elements) {
    request->seeds = seeds;
    request->labels = labels;
    request->initial_noise = initial_noise;
    request->image = image;
    request->mask = mask;
    request->condition_image = condition_image;
    request->condition_vector = condition_vector;
    dm_status status;
    if (kind == BRIDGE_INITIAL_NOISE)
        status = dm_sampler_initial_noise(sampler, request, images, elements);
    else if (kind == BRIDGE_INVERT) status = dm_sampler_invert(sampler, request, images, elements);
    else status = dm_sampler_run(sampler, request, images, elements);
    request->seeds = NULL;
    request->labels = NULL;
    request->initial_noise = NULL;
    request->image = NULL;
    request->mask = NULL;
    request->condition_image = NULL;
    request->condition_vector = NULL;
    return status;
}

void bridge_sampler_discard_cancel(dm_sampler *sampler) {
    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    if (!dm_sampler_start(sampler, &request)) dm_sampler_finish(sampler, NULL, 0);
}

dm_status bridge_sampler_with_denoiser(dm_sampler **out, dm_context *context,
                                       const dm_schedule *schedule, dm_denoiser *denoiser,
                                       uintptr_t user, const dm_sampler_options *options) {
    denoiser->evaluate = on_denoise;
    denoiser->user = (void *)user;
    return dm_sampler_create_with_denoiser(out, context, schedule, denoiser, options);
}
