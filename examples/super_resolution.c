/* SPDX-License-Identifier: MIT */
/* Super-resolution (Saharia et al. 2021).  super_resolution OUT.png [STEPS [CIFAR10|builtin]]
 *
 * A network that sees a picture c of 16 x 16 pixels, enlarged, draws one of 32 x 32 that could have
 * been its original. It is trained as in train_cifar10.c, with c as more channels of its input:
 * |eps - eps_theta(x_t, c, t)|^2. Without x_t it could only draw the mean of all originals, which
 * is blurred; a sampler chooses one of them. The rows of OUT.png are pictures that were not trained
 * on: enlarged, sampled, and the originals. */
#include <diffusion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE = 32, COLUMNS = 8, IMAGES = 24, SCALE = 3, N = SIZE * SIZE * 3, ALL = COLUMNS * N };

/* The data: each of the images has itself at half its resolution as condition. */
static dm_status open_pairs(dm_dataset **images, dm_dataset **pairs, dm_context *context,
                            const char *data, dm_split split) {
    dm_status status;
    if (!strcmp(data, "builtin"))
        status = dm_dataset_create_shapes(images, context, SIZE, 20000, (uint64_t)split + 1);
    else status = dm_dataset_load_cifar10(images, context, data, split);
    return status ? status : dm_dataset_create_downscaled(pairs, *images, 2);
}

static dm_status train(dm_unet *unet, const dm_schedule *schedule, const dm_dataset *pairs,
                       uint64_t steps) {
    dm_trainer_options options;
    dm_trainer_options_init(&options, sizeof options);
    options.batch_size = 16;
    options.learning_rate = 1e-3;
    options.learning_rate_schedule = DM_RATE_COSINE; /* to 0, so that no average is needed */
    options.learning_rate_end_step = steps + 1;
    options.flip = 1; /* of both images together */
    dm_train_stats stats;
    dm_train_stats_init(&stats, sizeof stats);
    dm_trainer *trainer;
    dm_status status = dm_trainer_create(&trainer, unet, schedule, pairs, &options);
    for (uint64_t i = 1; !status && i <= steps; i++) {
        status = dm_trainer_step(trainer, &stats);
        if (!status && i % 50 == 0) printf("step %d, loss %.4f\n", (int)i, stats.loss);
        (void)fflush(stdout);
    }
    dm_trainer_destroy(trainer);
    return status;
}

/* The first pairs as floats: what the network gets, and the originals, both [COLUMNS, N]. */
static dm_status read_pairs(const dm_dataset *pairs, float *enlarged, float *originals) {
    uint8_t pixels[N];
    dm_status status = DM_OK;
    for (size_t i = 0; !status && i < COLUMNS; i++) {
        status = dm_dataset_get_image(pairs, i, pixels, N, NULL);
        if (!status) status = dm_image_from_u8(originals + i * N, pixels, N);
        if (!status) status = dm_dataset_get_condition(pairs, i, pixels, N, NULL, 0);
        if (!status) status = dm_image_from_u8(enlarged + i * N, pixels, N);
    }
    return status;
}

/* Samples one image for each condition, with DDIM in 50 steps, which are the defaults. */
static dm_status sample(dm_unet *unet, const dm_schedule *schedule, const float *enlarged,
                        float *images) {
    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    request.count = COLUMNS;
    request.condition_image = enlarged;
    request.condition_image_elements = ALL;
    dm_sampler *sampler;
    dm_status status = dm_sampler_create(&sampler, unet, schedule, NULL);
    if (!status) status = dm_sampler_run(sampler, &request, images, ALL);
    dm_sampler_destroy(sampler);
    return status;
}

static double error_of(const float *images, const float *originals) {
    double sum = 0;
    for (size_t i = 0; i < ALL; i++) sum += pow((double)images[i] - (double)originals[i], 2);
    return sqrt(sum / ALL);
}

/* Images [IMAGES, N] in [-1, 1] as one PNG, eight in a row. */
static dm_status write_png(dm_context *context, const char *path, const float *images) {
    dm_image_grid_options grid;
    dm_image_grid_options_init(&grid, sizeof grid);
    grid.height = grid.width = SIZE;
    grid.channels = 3;
    grid.scale = SCALE;
    grid.count = IMAGES;
    int32_t height, width;
    uint8_t pixels[IMAGES * N], *picture = NULL;
    dm_status status = dm_image_grid_size(&grid, &height, &width);
    const size_t bytes = status ? 0 : (size_t)height * (size_t)width * 3;
    if (!status && !(picture = malloc(bytes))) status = DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = dm_image_to_u8(pixels, images, sizeof pixels);
    if (!status) status = dm_image_draw_grid(&grid, picture, bytes, pixels, sizeof pixels);
    if (!status) status = dm_image_write_png(context, path, picture, bytes, height, width, 3);
    free(picture);
    return status;
}

int main(int argc, const char **argv) {
    char error[512] = "", *end = error;
    const long steps = argc > 2 ? strtol(argv[2], &end, 10) : 400;
    if (argc < 2 || argc > 4 || argv[1][0] == '-' || *end || steps < 1 || steps > 1000000) {
        fprintf(stderr, "usage: super_resolution OUT.png [STEPS [CIFAR10|builtin]]\n");
        return 2;
    }
    const char *data = argc > 3 ? argv[3] : "builtin";
    dm_context *context;
    if (dm_context_create(&context, NULL, error, sizeof error)) {
        fprintf(stderr, "super_resolution: %s\n", error);
        return 1;
    }
    dm_dataset *images = NULL, *pairs = NULL, *test_images = NULL, *test_pairs = NULL;
    dm_schedule *schedule = NULL;
    dm_unet *unet = NULL;
    float enlarged[3 * ALL], *sampled = enlarged + ALL, *originals = sampled + ALL;
    dm_unet_options network;
    dm_unet_options_preset(&network, sizeof network, DM_PRESET_TINY);
    network.condition_channels = 3; /* beside the three of x_t */
    dm_status status = open_pairs(&images, &pairs, context, data, DM_SPLIT_TRAIN);
    if (!status) status = open_pairs(&test_images, &test_pairs, context, data, DM_SPLIT_TEST);
    if (!status) status = dm_schedule_create(&schedule, context, NULL);
    if (!status) status = dm_unet_create(&unet, context, &network, 1);
    if (!status) status = train(unet, schedule, pairs, (uint64_t)steps);
    if (!status) status = read_pairs(test_pairs, enlarged, originals);
    if (!status) status = sample(unet, schedule, enlarged, sampled);
    if (!status)
        printf("root mean square error: %.4f enlarged, %.4f sampled\n",
               error_of(enlarged, originals), error_of(sampled, originals));
    if (!status) status = write_png(context, argv[1], enlarged);
    if (status)
        fprintf(stderr, "super_resolution: %s: %s\n", dm_status_message(status),
                dm_context_error(context));
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    dm_dataset_destroy(test_pairs);
    dm_dataset_destroy(test_images);
    dm_dataset_destroy(pairs);
    dm_dataset_destroy(images);
    dm_context_destroy(context);
    return status || fflush(stdout) || ferror(stdout);
}
