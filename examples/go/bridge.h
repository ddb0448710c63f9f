/* SPDX-License-Identifier: MIT */
/* What cgo cannot express: calls with a Go callback, whose `user` is a cgo.Handle (0: none), and
 * calls whose structs hold pointers to Go arrays. The structs lie in C memory, and the pointers are
 * removed from them before the call returns, as the rules of cgo demand. */
#ifndef DIFFUSION_GO_BRIDGE_H
#define DIFFUSION_GO_BRIDGE_H

#include <diffusion.h>
#include <stdint.h>
#include <stdlib.h>

/* A number of the calling thread that no other thread has at the same time. */
uintptr_t bridge_thread(void);

dm_status bridge_context_create(dm_context **out, dm_context_options *options, uintptr_t log,
                                char *error, size_t capacity);
dm_status bridge_dataset_from_memory(dm_dataset **out, dm_context *context,
                                     dm_dataset_memory *memory, const uint8_t *pixels,
                                     const int32_t *labels, const uint8_t *condition_images,
                                     const float *condition_vectors);
/* `prefetch` is 1 where `user` has that callback. */
dm_status bridge_dataset_from_callback(dm_dataset **out, dm_context *context,
                                       dm_dataset_callback *callback, uintptr_t user,
                                       int32_t prefetch);
dm_status bridge_unet_forward(dm_unet *unet, dm_unet_input *input, const float *x,
                              const double *times, const int32_t *labels,
                              const float *condition_image, const float *condition_vector,
                              float *output, size_t elements);
dm_status bridge_unet_input_gradient(dm_unet *unet, dm_unet_input *input, const float *x,
                                     const double *times, const int32_t *labels,
                                     const float *condition_image, const float *condition_vector,
                                     const float *output_gradient, size_t output_elements,
                                     float *output, float *input_gradient, size_t input_elements);
dm_status bridge_unet_evaluate(dm_unet *unet, const dm_schedule *schedule,
                               const dm_dataset *dataset, const dm_evaluation_options *options,
                               uintptr_t user, dm_evaluation *result);
dm_status bridge_trainer_run(dm_trainer *trainer, uint64_t steps, uintptr_t user);
dm_status bridge_trainer_step_batch(dm_trainer *trainer, dm_train_batch *batch, const float *images,
                                    const float *noise, const int32_t *labels,
                                    const int32_t *timesteps, const float *condition_image,
                                    const float *condition_vector, dm_train_stats *stats);

/* `noise`, `progress` and `guide` are 1 where `user` has that callback. */
void bridge_request_callbacks(dm_sampler_request *request, uintptr_t user, int32_t noise,
                              int32_t progress, int32_t guide);
enum { BRIDGE_RUN, BRIDGE_INITIAL_NOISE, BRIDGE_INVERT };
dm_status bridge_sampler_run(int32_t kind, dm_sampler *sampler, dm_sampler_request *request,
                             const uint64_t *seeds, const int32_t *labels,
                             const float *initial_noise, const float *image, const float *mask,
                             const float *condition_image, const float *condition_vector,
                             float *images, size_t elements);
/* Discards a request to cancel while the sampler holds no run. */
void bridge_sampler_discard_cancel(dm_sampler *sampler);
dm_status bridge_sampler_with_denoiser(dm_sampler **out, dm_context *context,
                                       const dm_schedule *schedule, dm_denoiser *denoiser,
                                       uintptr_t user, const dm_sampler_options *options);

#endif
