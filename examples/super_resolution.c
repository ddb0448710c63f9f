/* SPDX-License-Identifier: MIT */
/* Super-resolution (Saharia et al. 2021): a network that sees a picture of 16 x 16 pixels,
 * enlarged, draws one of 32 x 32 that could have been its original. super_resolution OUT.png [STEPS
 * [CIFAR10]]
 *
 * It is trained like any other, but for a condition image beside x_t, which the dataset gives. Here
 * it is made from each image: dm_dataset_create_downscaled. Without CIFAR-10 the images are
 * generated shapes. Pictures that were not trained on become the three rows of OUT.png: enlarged,
 * sampled, and the original. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image_write.h"
#include "small_training.h"

enum { SIZE = 32, FACTOR = 2, IMAGES = 8, SAMPLER_STEPS = 20, N = SIZE * SIZE * 3 };

/* ---- data: images, and each at half its resolution as condition ---- */

typedef struct pairs {
    dm_dataset *images, *pairs; /* `pairs` reads `images` */
} pairs;

static dm_status open_pairs(pairs *p, dm_context *context, const char *path, dm_split split) {
    dm_status status =
        strcmp(path, "builtin") == 0
            ? dm_dataset_create_shapes(&p->images, context, SIZE, 20000, (uint64_t)split + 1)
            : dm_dataset_load_cifar10(&p->images, context, path, split);
    return status ? status : dm_dataset_create_downscaled(&p->pairs, p->images, FACTOR);
}

static void close_pairs(const pairs *p) {
    dm_dataset_destroy(p->pairs);
    dm_dataset_destroy(p->images);
}

/* ---- training: the network takes three channels more ---- */

static dm_status train(dm_unet **out, const small_program *program, const dm_schedule *schedule) {
    pairs p = {0};
    dm_unet_options network = small_network(SIZE);
    network.condition_channels = 3;
    dm_trainer_options options = small_options(program->steps);
    options.flip = 1; /* of both images together */
    dm_status status = open_pairs(&p, program->context, program->data, DM_SPLIT_TRAIN);
    if (!status) status = small_train(out, &network, schedule, p.pairs, &options, program->steps);
    close_pairs(&p);
    return status;
}

/* ---- sampling: the request has a condition image for each image ---- */

static dm_status sample(dm_unet *unet, const dm_schedule *schedule, const float *enlarged,
                        float *images) {
    dm_sampler_options options;
    dm_sampler_options_init(&options, sizeof options);
    options.solver = DM_SOLVER_DPMPP;
    options.steps = SAMPLER_STEPS;
    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    request.count = IMAGES;
    request.condition_image = enlarged;
    request.condition_image_elements = (uint64_t)IMAGES * N;
    dm_sampler *sampler = NULL;
    dm_status status = dm_sampler_create(&sampler, unet, schedule, &options);
    if (!status) status = dm_sampler_run(sampler, &request, images, (size_t)IMAGES * N);
    dm_sampler_destroy(sampler);
    return status;
}

/* ---- the picture ---- */

/* Pictures that training did not see, as floats: what the network gets, and the originals. */
static dm_status read_pairs(const small_program *program, float *enlarged, float *originals) {
    pairs p = {0};
    uint8_t pixels[N];
    dm_status status = open_pairs(&p, program->context, program->data, DM_SPLIT_TEST);
    for (size_t i = 0; !status && i < IMAGES; i++) {
        status = dm_dataset_get_image(p.pairs, i, pixels, N, NULL);
        if (!status) status = dm_image_from_u8(originals + i * N, pixels, N);
        if (!status) status = dm_dataset_get_condition(p.pairs, i, pixels, N, NULL, 0);
        if (!status) status = dm_image_from_u8(enlarged + i * N, pixels, N);
    }
    close_pairs(&p);
    return status;
}

/* The root mean square of the difference to the originals. */
static double error_of(const float *images, const float *originals) {
    double sum = 0;
    for (size_t i = 0; i < (size_t)IMAGES * N; i++)
        sum += pow((double)images[i] - (double)originals[i], 2);
    return sqrt(sum / ((double)IMAGES * N));
}

static dm_status compare(const small_program *program, dm_unet *unet, const dm_schedule *schedule) {
    const size_t all = (size_t)IMAGES * N;
    float *enlarged = malloc(3 * all * sizeof *enlarged);
    if (!enlarged) return DM_ERROR_OUT_OF_MEMORY;
    float *sampled = enlarged + all, *originals = sampled + all;
    const dm_image_grid_options grid = grid_options(3 * (uint64_t)IMAGES, SIZE, SIZE, 3, IMAGES, 3);
    dm_status status = read_pairs(program, enlarged, originals);
    if (!status) status = sample(unet, schedule, enlarged, sampled);
    if (!status)
        printf("root mean square error: %.4f enlarged, %.4f sampled\n",
               error_of(enlarged, originals), error_of(sampled, originals));
    if (!status) status = write_grid(program->context, program->picture, &grid, enlarged);
    free(enlarged);
    return status;
}

static dm_status train_and_compare(const small_program *program) {
    dm_schedule *schedule = NULL;
    dm_unet *unet = NULL;
    dm_status status = dm_schedule_create(&schedule, program->context, NULL);
    if (!status) status = train(&unet, program, schedule);
    if (!status) status = compare(program, unet, schedule);
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    return status;
}

int main(int argc, const char **argv) {
    return small_main(argc, argv, "super_resolution", true, 1500, train_and_compare);
}
