/* SPDX-License-Identifier: MIT */
/* Samples images one step at a time, as a program does that must not block: a game between two
 * frames, or an event loop.  step_loop MODEL.safetensors OUT.png */
#include <diffusion.h>
#include <stdio.h>
#include <stdlib.h>

#include "image_write.h"
#include "interrupt.h"
#include "output.h"

enum { IMAGES = 4, COLUMNS = 2, SCALE = 4, STEPS = 20 };

/* Stands for the rest of the program, which runs between two steps. */
static void on_idle(int32_t steps_left) {
    printf("%d steps left\n", (int)steps_left);
    flush_standard_output();
}

static dm_status sample(dm_sampler *sampler, float *images, size_t elements) {
    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    request.count = IMAGES;
    dm_status status = dm_sampler_start(sampler, &request);
    int32_t steps_left = 1;
    while (!status && steps_left > 0) {
        if (interrupt_signal()) dm_sampler_cancel(sampler);
        status = dm_sampler_step(sampler, &steps_left);
        if (!status) on_idle(steps_left);
    }
    return status ? status : dm_sampler_finish(sampler, images, elements);
}

static dm_status sample_to_file(dm_context *context, dm_sampler *sampler, const char *path) {
    int32_t height, width, channels;
    dm_sampler_shape(sampler, &height, &width, &channels);
    size_t elements = (size_t)IMAGES * (size_t)height * (size_t)width * (size_t)channels;
    float *images = malloc(elements * sizeof *images);
    dm_image_grid_options grid = grid_options(IMAGES, height, width, channels, COLUMNS, SCALE);
    dm_status status = images ? sample(sampler, images, elements) : DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = write_grid(context, path, &grid, images);
    free(images);
    return status;
}

int main(int argc, const char **argv) {
    dm_context *context;
    dm_unet *unet = NULL;
    dm_schedule *schedule = NULL;
    dm_sampler *sampler = NULL;
    dm_sampler_options options;
    char error[512];
    open_standard_streams("step_loop");
    if (argc != 3) {
        fprintf(stderr, "usage: step_loop MODEL.safetensors OUT.png\n");
        return 2;
    }
    if (dm_context_create(&context, NULL, error, sizeof error)) {
        fprintf(stderr, "step_loop: %s\n", error);
        return 1;
    }
    ignore_write_signals();
    interrupt_begin();
    dm_sampler_options_init(&options, sizeof options);
    options.steps = STEPS;
    dm_status status = dm_unet_load(&unet, context, argv[1], DM_WEIGHTS_DEFAULT);
    if (!status) status = dm_schedule_load(&schedule, context, argv[1]);
    if (!status) status = dm_sampler_create(&sampler, unet, schedule, &options);
    if (!status) status = sample_to_file(context, sampler, argv[2]);
    if (status) fprintf(stderr, "step_loop: %s\n", dm_context_error(context));
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    return interrupt_exit_status(status);
}
