/* SPDX-License-Identifier: MIT */
/* Sampling with DDIM (Song, Meng and Ermon 2021).  sample_ddim MODEL.safetensors OUT.png [STEPS]
 *
 * The network of DDPM, trained once, suits a whole family of ways back from noise to image, with
 * different sigma (eq. 12):
 *
 *     x_0     = (x_t - sqrt(1 - a_t) eps_theta(x_t, t)) / sqrt(a_t)                  what it sees
 *     x_s     = sqrt(a_s) x_0 + sqrt(1 - a_s - sigma^2) eps_theta(x_t, t) + sigma z       s < t
 *
 * With sigma^2 = beta_t, roughly, this is sample_ddpm.c. With sigma = 0 no noise is added: the
 * image is a function of the first noise alone, and x_t moves along a smooth path, on which steps
 * can be long: s need not be t - 1. The default is 50 steps instead of 1000. */
#include <diffusion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { IMAGES = 8, COLUMNS = 4, SCALE = 3 };

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
    char error[512] = "", *end = error;
    const long steps = argc > 3 ? strtol(argv[3], &end, 10) : 50;
    if (argc < 3 || argc > 4 || *end || steps < 1 || steps > 100000) {
        fprintf(stderr, "usage: sample_ddim MODEL.safetensors OUT.png [STEPS], at most 100000\n");
        return 2;
    }
    dm_context *context;
    if (dm_context_create(&context, NULL, error, sizeof error)) {
        fprintf(stderr, "sample_ddim: %s\n", error);
        return 1;
    }
    dm_unet *unet = NULL;
    dm_schedule *schedule = NULL;
    dm_sampler *sampler = NULL;
    float *images = NULL;
    dm_status status = dm_unet_load(&unet, context, argv[1], DM_WEIGHTS_DEFAULT);
    if (!status) status = dm_schedule_load(&schedule, context, argv[1]);

    dm_sampler_options options;
    dm_sampler_options_init(&options, sizeof options);
    options.solver = DM_SOLVER_DDIM;
    options.steps = (int32_t)steps;
    options.eta = 0; /* sigma = 0; with 1, it is that of DDPM */
    if (!status) status = dm_sampler_create(&sampler, unet, schedule, &options);

    if (!status)
        printf("%" PRId32 " evaluations of the network in place of %" PRId32 "\n",
               dm_sampler_evaluations(sampler), dm_schedule_timesteps(schedule));

    /* The seeds of sample_ddpm.c: both start from the same noise. */
    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    request.count = IMAGES;
    request.seed = 0;
    int32_t height, width, channels;
    dm_sampler_shape(sampler, &height, &width, &channels);
    const size_t elements = (size_t)IMAGES * (size_t)height * (size_t)width * (size_t)channels;
    if (!status && !(images = malloc(elements * sizeof *images))) status = DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = dm_sampler_run(sampler, &request, images, elements);

    if (!status) status = write_png(sampler, argv[2], images, IMAGES);
    if (status)
        fprintf(stderr, "sample_ddim: %s: %s\n", dm_status_message(status),
                dm_context_error(context));
    free(images);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    return status || fflush(stdout) || ferror(stdout);
}
