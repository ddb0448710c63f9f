/* SPDX-License-Identifier: MIT */
/* A network that is told by six numbers where a shape is, how large, and in which colour.
 * condition_vector OUT.png [STEPS]
 *
 * The numbers are a condition vector: a linear layer adds it to the embedding of the time, in
 * training from the dataset and in sampling from the request. Any numbers that describe an image
 * can take their place: a continuous label, the embedding of a text, the camera of a rendered
 * scene. OUT.png has a row in which one number moves the shape, and one in which three change its
 * colour. All images start from the same noise, which decides about the rest: which shape it is,
 * its rotation and its background. */
#include <stdio.h>
#include <string.h>

#include "image_write.h"
#include "small_training.h"

enum { SIZE = 16, NUMBERS = 6, COLUMNS = 8, IMAGES = 2 * COLUMNS, N = SIZE * SIZE * 3 };
enum { X, Y, RADIUS, RED, GREEN, BLUE };

/* ---- training: the dataset has the numbers that drew each shape ---- */

static dm_status train(dm_unet **out, const small_program *program, const dm_schedule *schedule) {
    dm_dataset *shapes = NULL;
    dm_unet_options network = small_network(SIZE);
    network.condition_size = NUMBERS;
    dm_trainer_options options = small_options(program->steps);
    options.condition_dropout = 0.1; /* so that guidance has images without numbers to compare */
    dm_status status =
        dm_dataset_create_described_shapes(&shapes, program->context, SIZE, 20000, 1);
    if (!status) status = small_train(out, &network, schedule, shapes, &options, program->steps);
    dm_dataset_destroy(shapes);
    return status;
}

/* ---- what to draw ---- */

/* numbers [IMAGES, NUMBERS]: a blue shape that moves from left to right, then one in the middle in
 * the colours of the rainbow. */
static void describe(float *numbers) {
    static const float colours[COLUMNS][3] = {{255, 92, 92},   {255, 140, 66}, {255, 196, 61},
                                              {182, 220, 72},  {38, 208, 176}, {58, 196, 240},
                                              {124, 116, 255}, {236, 102, 214}};
    for (int i = 0; i < IMAGES; i++) {
        float *n = numbers + (size_t)i * NUMBERS;
        const int column = i % COLUMNS;
        const float *colour = colours[i < COLUMNS ? 5 : column];
        n[X] = i < COLUMNS ? -1 + 2 * (float)column / (COLUMNS - 1) : 0;
        n[Y] = 0;
        n[RADIUS] = -0.8f;
        for (int k = 0; k < 3; k++) n[RED + k] = colour[k] / 127.5f - 1;
    }
}

/* ---- sampling: the request has a vector for each image ---- */

static dm_status sample(dm_unet *unet, const dm_schedule *schedule, float *images) {
    float numbers[IMAGES * NUMBERS];
    uint64_t seeds[IMAGES];
    describe(numbers);
    for (int i = 0; i < IMAGES; i++) seeds[i] = 3;
    dm_sampler_options options;
    dm_sampler_options_init(&options, sizeof options);
    options.solver = DM_SOLVER_DPMPP;
    options.steps = 20;
    options.guidance = 2; /* away from images without numbers */
    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    request.count = request.seed_count = IMAGES;
    request.seeds = seeds;
    request.condition_vector = numbers;
    request.condition_vector_elements = (uint64_t)IMAGES * NUMBERS;
    dm_sampler *sampler = NULL;
    dm_status status = dm_sampler_create(&sampler, unet, schedule, &options);
    if (!status) status = dm_sampler_run(sampler, &request, images, (size_t)IMAGES * N);
    dm_sampler_destroy(sampler);
    return status;
}

/* Where the shape of an image of the upper row is: the mean column of the pixels that are as
 * blue as they should be, which must not depend on the background. */
static double column_of(const float *image) {
    double sum = 0, weight = 0;
    for (int i = 0; i < SIZE * SIZE; i++) {
        const float *pixel = image + (size_t)i * 3;
        const double blue = (double)(pixel[2] - pixel[0]); /* grey backgrounds have none */
        if (blue < 0.5) continue;
        sum += blue * (i % SIZE + 0.5);
        weight += blue;
    }
    return weight > 0 ? sum / weight : 0;
}

static dm_status train_and_draw(const small_program *program) {
    static float images[IMAGES * N];
    dm_schedule *schedule = NULL;
    dm_unet *unet = NULL;
    const dm_image_grid_options grid = grid_options(IMAGES, SIZE, SIZE, 3, COLUMNS, 6);
    dm_status status = dm_schedule_create(&schedule, program->context, NULL);
    if (!status) status = train(&unet, program, schedule);
    if (!status) status = sample(unet, schedule, images);
    if (!status)
        printf("the shape moves from column %.1f to %.1f\n", column_of(images),
               column_of(images + (size_t)(COLUMNS - 1) * N));
    if (!status) status = write_grid(program->context, program->picture, &grid, images);
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    return status;
}

int main(int argc, const char **argv) {
    return small_main(argc, argv, "condition_vector", false, 4000, train_and_draw);
}
