/* SPDX-License-Identifier: MIT */
/* A program under a tight address-space limit, as tests/tools/no_blas.sh runs it: saves a network,
 * loads it, and samples from it. One thread, since each further one reserves its whole stack. The
 * network has so few channels that its upsampling is im2col. */
#include <diffusion.h>
#include <stdio.h>
#include <string.h>

enum { SIDE = 8, FLOATS = SIDE * SIDE * 3 };

static int32_t sample(dm_context *context, dm_unet *unet, float *image) {
    dm_schedule *schedule = NULL;
    dm_sampler *sampler = NULL;
    dm_sampler_options options;
    dm_sampler_request request;
    dm_sampler_options_init(&options, sizeof options);
    options.steps = 4;
    options.batch_size = 1;
    dm_sampler_request_init(&request, sizeof request);
    request.count = 1;
    int32_t status = dm_schedule_create(&schedule, context, NULL);
    if (!status) status = dm_sampler_create(&sampler, unet, schedule, &options);
    if (!status) status = dm_sampler_run(sampler, &request, image, FLOATS);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    return status;
}

static int32_t run(dm_context *context, const char *path, float *image) {
    dm_unet_options options;
    dm_unet *made = NULL, *unet = NULL;
    dm_unet_options_init(&options, sizeof options);
    options.height = options.width = SIDE;
    options.levels = 2;
    memset(options.channels, 0, sizeof options.channels);
    options.channels[0] = options.channels[1] = 8;
    options.norm_groups = 4;
    int32_t status = dm_unet_create(&made, context, &options, 1);
    if (!status) status = dm_unet_save(made, NULL, path);
    if (!status) status = dm_unet_load(&unet, context, path, DM_WEIGHTS_TRAINED);
    if (!status) status = sample(context, unet, image);
    dm_unet_destroy(unet);
    dm_unet_destroy(made);
    return status;
}

int main(int argc, char **argv) {
    dm_context_options options;
    dm_context *context;
    float image[FLOATS];
    if (argc != 2 || !strstr(dm_build_info(), "no BLAS")) return 2;
    dm_context_options_init(&options, sizeof options);
    options.threads = 1;
    if (dm_context_create(&context, &options, NULL, 0)) return 3;
    int32_t status = run(context, argv[1], image);
    if (status) fprintf(stderr, "%s: %s\n", dm_status_name(status), dm_context_error(context));
    dm_context_destroy(context);
    for (int i = 0; i < FLOATS && !status; i++)
        if (!(image[i] >= -1 && image[i] <= 1)) return 4;
    return status ? 1 : 0;
}
