/* SPDX-License-Identifier: MIT */
/* The library from end to end on one page: train a small network on drawn shapes, cancel, save,
 * load, and draw one image of each class with guidance.  walkthrough MODEL.safetensors OUT.png
 *
 * examples/cpp, examples/python, examples/rust and examples/go have the same program in other
 * languages; all write the same OUT.png, byte for byte. */
#include <diffusion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 16, CLASSES = 10, STEPS = 300, CANCEL_AT = 350, COLUMNS = 5, SCALE = 4 };

/* ---- errors: what a program sees that passes a bad option, or the name of a missing file ---- */

static void show_errors(dm_context *context) {
    dm_unet_options options;
    dm_unet *unet;
    dm_unet_options_init(&options, sizeof options);
    options.norm_groups = 30;
    dm_status status = dm_unet_create(&unet, context, &options, 0);
    printf("%s: %s\n", dm_status_name(status), dm_context_error(context));
    status = dm_unet_load(&unet, context, "missing.safetensors", DM_WEIGHTS_DEFAULT);
    printf("%s: %s\n", dm_status_name(status), dm_context_error(context));
}

/* ---- training ---- */

/* Non-zero stops the run. */
static int32_t on_step(void *user, const dm_train_stats *stats) {
    (void)user;
    if (stats->step % 50 == 0) printf("step %" PRIu64 ", loss %.4f\n", stats->step, stats->loss);
    return stats->step >= CANCEL_AT;
}

static dm_status train(dm_context *context, const char *path) {
    dm_unet_options network;
    dm_unet_options_init(&network, sizeof network);
    network.height = network.width = SIZE;
    network.levels = 2;
    network.channels[0] = 32;
    network.channels[1] = 64;
    network.blocks[0] = network.blocks[1] = 1;
    network.classes = CLASSES;
    dm_trainer_options training;
    dm_trainer_options_init(&training, sizeof training);
    training.batch_size = 16;
    training.learning_rate = 2e-3;
    training.label_dropout = 0.1; /* so that guidance has a network without classes to start from */

    dm_schedule *schedule = NULL;
    dm_dataset *shapes = NULL;
    dm_unet *unet = NULL;
    dm_trainer *trainer = NULL;
    dm_status status = dm_schedule_create(&schedule, context, NULL);
    if (!status) status = dm_dataset_create_shapes(&shapes, context, SIZE, 1000, 1);
    if (!status) status = dm_unet_create(&unet, context, &network, 1);
    if (!status) status = dm_trainer_create(&trainer, unet, schedule, shapes, &training);
    if (!status) status = dm_trainer_run(trainer, STEPS, on_step, NULL);
    if (!status) status = dm_trainer_run(trainer, 1000, on_step, NULL);
    if (status == DM_ERROR_CANCELLED) {
        uint64_t step;
        status = dm_trainer_get_step(trainer, &step);
        if (!status) printf("cancelled after step %" PRIu64 "\n", step);
    }
    if (!status) status = dm_trainer_save(trainer, path);
    dm_trainer_destroy(trainer);
    dm_unet_destroy(unet);
    dm_dataset_destroy(shapes);
    dm_schedule_destroy(schedule);
    return status;
}

/* ---- sampling ---- */

static dm_status write_images(dm_context *context, const float *images, const char *path) {
    dm_image_grid_options grid;
    dm_image_grid_options_init(&grid, sizeof grid);
    grid.height = grid.width = SIZE;
    grid.channels = 3;
    grid.columns = COLUMNS;
    grid.scale = SCALE;
    grid.count = CLASSES;
    uint8_t pixels[CLASSES * SIZE * SIZE * 3];
    int32_t height, width;
    dm_image_to_u8(pixels, images, sizeof pixels);
    dm_image_grid_size(&grid, &height, &width);
    size_t bytes = (size_t)height * (size_t)width * 3;
    uint8_t *picture = malloc(bytes);
    if (!picture) return DM_ERROR_OUT_OF_MEMORY;
    dm_status status = dm_image_draw_grid(&grid, picture, bytes, pixels, sizeof pixels);
    if (!status) status = dm_image_write_png(context, path, picture, bytes, height, width, 3);
    free(picture);
    return status;
}

static dm_status sample(dm_context *context, const char *path, const char *picture) {
    dm_sampler_options options;
    dm_sampler_options_init(&options, sizeof options);
    options.steps = 20;
    options.guidance = 2;
    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    const int32_t labels[CLASSES] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    request.count = request.label_count = CLASSES;
    request.labels = labels;
    request.seed = 7;

    float images[CLASSES * SIZE * SIZE * 3];
    dm_unet *unet = NULL;
    dm_schedule *schedule = NULL;
    dm_sampler *sampler = NULL;
    dm_status status = dm_unet_load(&unet, context, path, DM_WEIGHTS_DEFAULT);
    if (!status) status = dm_schedule_load(&schedule, context, path);
    if (!status) status = dm_sampler_create(&sampler, unet, schedule, &options);
    if (!status) status = dm_sampler_run(sampler, &request, images, sizeof images / sizeof *images);
    if (!status) status = write_images(context, images, picture);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    return status;
}

int main(int argc, const char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: walkthrough MODEL.safetensors OUT.png\n");
        return 2;
    }
    dm_context *context;
    char error[512];
    if (dm_context_create(&context, NULL, error, sizeof error)) {
        fprintf(stderr, "walkthrough: %s\n", error);
        return 1;
    }
    show_errors(context);
    dm_status status = train(context, argv[1]);
    if (!status) status = sample(context, argv[1], argv[2]);
    if (status) fprintf(stderr, "walkthrough: %s\n", dm_context_error(context));
    else printf("%s and %s are written\n", argv[1], argv[2]);
    dm_context_destroy(context);
    return status != DM_OK;
}
