/* SPDX-License-Identifier: MIT */
/* Sampling with DDPM (Ho et al. 2020, algorithm 2).  sample_ddpm MODEL.safetensors OUT.png
 *
 * Training mixed images with noise; sampling goes the way back. It starts from pure noise and
 * removes a little of it in each of T steps, with what the network predicts. As the image is not
 * determined by the noise yet, each step also adds fresh noise, less than was removed:
 *
 *     1  x_T ~ N(0, I)
 *     2  for t = T, ..., 1
 *     3      z ~ N(0, I) if t > 1, else 0
 *     4      x_(t-1) = (x_t - beta_t / sqrt(1 - a_t) eps_theta(x_t, t)) / sqrt(alpha_t) + sigma_t z
 *     5  return x_0
 *
 * with alpha_t = 1 - beta_t, a_t = alpha_1 ... alpha_t, and sigma_t^2 = beta_t. MODEL.safetensors
 * is a file of train_cifar10.c. The same images in fewer steps: sample_ddim.c. */
#include <diffusion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { IMAGES = 8, COLUMNS = 4, SCALE = 3, PRINT_EVERY = 100 };

/* Called after each step, with x_(t-1) and with the x_0 that the network sees in x_t. */
static int32_t on_step(void *user, const dm_sampler_progress *progress) {
    (void)user;
    if (progress->step % PRINT_EVERY && progress->step != progress->steps) return 0;
    printf("step %" PRId32 " of %" PRId32 "\n", progress->step, progress->steps);
    (void)fflush(stdout);
    return 0; /* anything else stops the run */
}

/* Images [count, height, width, channels] of the sampler's size, in [-1, 1], as one PNG. */
static dm_status write_png(const dm_sampler *sampler, const char *path, const float *images,
                           uint64_t count) {
    dm_image_grid_options grid;
    dm_image_grid_options_init(&grid, sizeof grid);
    dm_sampler_shape(sampler, &grid.height, &grid.width, &grid.channels);
    grid.count = count;
    grid.columns = COLUMNS;
    grid.scale = SCALE;
    int32_t height, width;
    dm_status status = dm_image_grid_size(&grid, &height, &width);
    if (status) return status;
    const size_t channels = (size_t)grid.channels,
                 bytes = (size_t)height * (size_t)width * channels;
    const size_t n = (size_t)count * (size_t)grid.height * (size_t)grid.width * channels;
    uint8_t *pixels = malloc(n), *picture = malloc(bytes);
    status = pixels && picture ? dm_image_to_u8(pixels, images, n) : DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = dm_image_draw_grid(&grid, picture, bytes, pixels, n);
    if (!status)
        status = dm_image_write_png(dm_sampler_context(sampler), path, picture, bytes, height,
                                    width, grid.channels);
    free(picture);
    free(pixels);
    return status;
}

int main(int argc, const char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: sample_ddpm MODEL.safetensors OUT.png\n");
        return 2;
    }
    dm_context *context;
    char error[512];
    if (dm_context_create(&context, NULL, error, sizeof error)) {
        fprintf(stderr, "sample_ddpm: %s\n", error);
        return 1;
    }
    dm_unet *unet = NULL;
    dm_schedule *schedule = NULL;
    dm_sampler *sampler = NULL;
    float *images = NULL;

    /* The network, with the average of its weights, and the schedule that it was trained with. */
    dm_status status = dm_unet_load(&unet, context, argv[1], DM_WEIGHTS_DEFAULT);
    if (!status) status = dm_schedule_load(&schedule, context, argv[1]);

    /* One step for each of the T levels of training, usually 1000: here formula and data agree. */
    dm_sampler_options options;
    dm_sampler_options_init(&options, sizeof options);
    options.solver = DM_SOLVER_DDPM;
    options.variance = DM_VARIANCE_FIXED_LARGE; /* sigma_t^2 = beta_t */
    options.steps = dm_schedule_timesteps(schedule);
    if (!status) status = dm_sampler_create(&sampler, unet, schedule, &options);

    /* Image i draws x_T and its z with seed 0 + i, whatever else is sampled beside it. */
    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    request.count = IMAGES;
    request.seed = 0;
    request.progress = on_step;
    int32_t height, width, channels;
    dm_sampler_shape(sampler, &height, &width, &channels);
    const size_t elements = (size_t)IMAGES * (size_t)height * (size_t)width * (size_t)channels;
    if (!status && !(images = malloc(elements * sizeof *images))) status = DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = dm_sampler_run(sampler, &request, images, elements);

    if (!status) status = write_png(sampler, argv[2], images, IMAGES);
    if (status)
        fprintf(stderr, "sample_ddpm: %s: %s\n", dm_status_message(status),
                dm_context_error(context));
    free(images);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    return status || fflush(stdout) || ferror(stdout);
}
