/* SPDX-License-Identifier: MIT */
/* A network that is told where a shape is, and in which colour.  condition_vector OUT.png [STEPS]
 *
 * Six numbers are a condition vector c: a linear layer adds it to the embedding of the time, in
 * training from the dataset and in sampling from the request. Any numbers that describe an image
 * can take their place: a continuous label, the embedding of a text, the camera of a rendered
 * scene. At a rate of 0.1 training leaves the numbers out, so that sampling can compare the two
 * and go further (classifier-free guidance, Ho and Salimans 2022, with w = 2):
 *
 *     eps = eps_theta(x_t, 0, t) + w (eps_theta(x_t, c, t) - eps_theta(x_t, 0, t))
 *
 * OUT.png has a row in which one number moves the shape, and one in which three change its colour.
 * All start from the same noise, which decides about the rest: shape, rotation, background. */
#include <diffusion.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 16, NUMBERS = 6, COLUMNS = 8, IMAGES = 2 * COLUMNS, SCALE = 6, N = SIZE * SIZE * 3 };

/* The dataset has the numbers that drew each shape. */
static dm_status train(dm_unet *unet, const dm_schedule *schedule, uint64_t steps) {
    dm_trainer_options options;
    dm_trainer_options_init(&options, sizeof options);
    options.batch_size = 16;
    options.learning_rate = 1e-3;
    options.learning_rate_schedule = DM_RATE_COSINE; /* to 0, so that no average is needed */
    options.learning_rate_end_step = steps + 1;
    options.condition_dropout = 0.1;
    dm_train_stats stats;
    dm_train_stats_init(&stats, sizeof stats);
    dm_dataset *shapes;
    dm_trainer *trainer = NULL;
    dm_status status =
        dm_dataset_create_described_shapes(&shapes, dm_unet_context(unet), SIZE, 20000, 1);
    if (!status) status = dm_trainer_create(&trainer, unet, schedule, shapes, &options);
    for (uint64_t i = 1; !status && i <= steps; i++) {
        status = dm_trainer_step(trainer, &stats);
        if (!status && i % 100 == 0) printf("step %d, loss %.4f\n", (int)i, stats.loss);
        (void)fflush(stdout);
    }
    dm_trainer_destroy(trainer);
    dm_dataset_destroy(shapes);
    return status;
}

/* What to draw, numbers [IMAGES, NUMBERS]: a blue shape that moves from left to right, then one in
 * the middle in the colours of the rainbow. */
static void describe(float *numbers) {
    static const float colours[COLUMNS][3] = {{1, -0.3f, -0.3f},   {1, 0.1f, -0.5f},
                                              {1, 0.5f, -0.5f},    {0.4f, 0.7f, -0.4f},
                                              {-0.7f, 0.6f, 0.4f}, {-0.6f, 0.5f, 0.9f},
                                              {0, -0.1f, 1},       {0.9f, -0.2f, 0.7f}};
    for (int i = 0; i < IMAGES; i++) {
        const float *rgb = colours[i < COLUMNS ? 5 : i % COLUMNS];
        const float x = i < COLUMNS ? -1 + 2 * (float)i / (COLUMNS - 1) : 0, y = 0, size = -0.8f;
        const float c[NUMBERS] = {x, y, size, rgb[0], rgb[1], rgb[2]};
        for (int k = 0; k < NUMBERS; k++) numbers[i * NUMBERS + k] = c[k];
    }
}

static dm_status sample(dm_unet *unet, const dm_schedule *schedule, float *images) {
    float numbers[IMAGES * NUMBERS];
    uint64_t seeds[IMAGES];
    describe(numbers);
    for (int i = 0; i < IMAGES; i++) seeds[i] = 3;
    dm_sampler_options options;
    dm_sampler_options_init(&options, sizeof options);
    options.solver = DM_SOLVER_DPMPP;
    options.steps = 20;
    options.guidance = 2; /* w */
    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    request.count = request.seed_count = IMAGES;
    request.seeds = seeds;
    request.condition_vector = numbers;
    request.condition_vector_elements = (size_t)IMAGES * NUMBERS;
    dm_sampler *sampler;
    dm_status status = dm_sampler_create(&sampler, unet, schedule, &options);
    if (!status) status = dm_sampler_run(sampler, &request, images, (size_t)IMAGES * N);
    dm_sampler_destroy(sampler);
    return status;
}

/* Where the blue shape of an image is: the mean column of its blue; grey backgrounds have none. */
static double column_of(const float *image) {
    double sum = 0, weight = 0;
    for (int i = 0; i < SIZE * SIZE; i++) {
        const float *pixel = image + (size_t)3 * i;
        const double blue = (double)pixel[2] - (double)pixel[0];
        if (blue < 0.5) continue;
        sum += blue * (i % SIZE + 0.5);
        weight += blue;
    }
    return weight > 0 ? sum / weight : 0;
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
    const long steps = argc > 2 ? strtol(argv[2], &end, 10) : 2000;
    if (argc < 2 || argc > 3 || argv[1][0] == '-' || *end || steps < 1 || steps > 1000000) {
        fprintf(stderr, "usage: condition_vector OUT.png [STEPS], at most 1000000\n");
        return 2;
    }
    dm_context *context;
    if (dm_context_create(&context, NULL, error, sizeof error)) {
        fprintf(stderr, "condition_vector: %s\n", error);
        return 1;
    }
    dm_schedule *schedule = NULL;
    dm_unet *unet = NULL;
    float images[IMAGES * N];
    dm_unet_options network;
    dm_unet_options_preset(&network, sizeof network, DM_PRESET_TINY);
    network.height = network.width = SIZE;
    network.condition_size = NUMBERS;
    dm_status status = dm_schedule_create(&schedule, context, NULL);
    if (!status) status = dm_unet_create(&unet, context, &network, 1);
    if (!status) status = train(unet, schedule, (uint64_t)steps);
    if (!status) status = sample(unet, schedule, images);
    if (!status)
        printf("the shape moves from column %.1f to %.1f\n", column_of(images),
               column_of(images + (size_t)(COLUMNS - 1) * N));
    if (!status) status = write_png(context, argv[1], images);
    if (status)
        fprintf(stderr, "condition_vector: %s: %s\n", dm_status_message(status),
                dm_context_error(context));
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
    return status || fflush(stdout) || ferror(stdout);
}
