/* SPDX-License-Identifier: MIT */
/* What the page calls: one small network that is trained on drawn shapes and sampled from, a step
 * at a time, so that the worker can answer messages in between. Compiled to WebAssembly by
 * `make web`.
 *
 * Functions that can fail return 0, or -1, and web_error then has the reason. */
#include "diffusion_web.h"

#include <diffusion.h>
#include <stdio.h>
#include <string.h>

enum {
    SIZE = 16,
    CHANNELS = 3,
    CLASSES = 10,
    PIXELS = SIZE * SIZE,
    ELEMENTS = PIXELS * CHANNELS,
    IMAGES = 20 /* two of each class */
};

static struct {
    dm_context *context;
    dm_schedule *schedule;
    dm_dataset *shapes;
    dm_unet *unet, *average;
    dm_trainer *trainer;
    dm_sampler *sampler;
    dm_train_stats stats;
    float images[IMAGES * ELEMENTS];
    uint8_t colors[IMAGES * PIXELS * 4]; /* of the last images, RGBA */
} web;
static char error[512]; /* stays when the objects are destroyed */

const char *web_error(void) { return error; }

static int fail(dm_status status) {
    if (!status) return 0;
    snprintf(error, sizeof error, "%s: %s", dm_status_name(status),
             web.context ? dm_context_error(web.context) : dm_status_message(status));
    return -1;
}

/* ---- training ---- */

void web_end(void) {
    dm_sampler_destroy(web.sampler);
    dm_trainer_destroy(web.trainer);
    dm_unet_destroy(web.average);
    dm_unet_destroy(web.unet);
    dm_dataset_destroy(web.shapes);
    dm_schedule_destroy(web.schedule);
    dm_context_destroy(web.context);
    memset(&web, 0, sizeof web);
}

static dm_status create_networks(uint32_t seed) {
    dm_unet_options network;
    dm_unet_options_init(&network, sizeof network);
    network.height = network.width = SIZE;
    network.levels = 2;
    network.channels[0] = 32;
    network.channels[1] = 64;
    network.blocks[0] = network.blocks[1] = 1;
    network.classes = CLASSES;
    dm_status status = dm_unet_create(&web.unet, web.context, &network, seed);
    return status ? status : dm_unet_create(&web.average, web.context, &network, seed);
}

int web_begin(uint32_t seed, double learning_rate) {
    web_end();
    dm_context_options context;
    dm_context_options_init(&context, sizeof context);
    context.threads = 1;
    dm_status status = dm_context_create(&web.context, &context, error, sizeof error);
    if (status) return -1;
    dm_trainer_options training;
    dm_trainer_options_init(&training, sizeof training);
    training.batch_size = 16;
    training.learning_rate = learning_rate;
    training.warmup_steps = 50;
    training.label_dropout = 0.1; /* for guidance */
    training.seed = seed;
    training.ema_decay[0] = 0.995;
    status = dm_schedule_create(&web.schedule, web.context, NULL);
    if (!status) status = dm_dataset_create_shapes(&web.shapes, web.context, SIZE, 20000, seed);
    if (!status) status = create_networks(seed);
    if (!status)
        status = dm_trainer_create(&web.trainer, web.unet, web.schedule, web.shapes, &training);
    if (status) {
        fail(status);
        web_end();
        return -1;
    }
    dm_train_stats_init(&web.stats, sizeof web.stats);
    return 0;
}

int web_train_step(void) {
    const dm_status status = dm_trainer_step(web.trainer, &web.stats);
    return status == DM_ERROR_NOT_FINITE ? 0 : fail(status); /* a skipped step */
}

double web_loss(void) { return web.stats.loss; }
double web_steps_done(void) { return (double)web.stats.step; }
double web_parameters(void) { return (double)dm_unet_parameter_count(web.unet); }

/* ---- sampling ---- */

int web_solvers(void) { return dm_enum_count("dm_solver"); }

/* The name of solver `index`, or NULL where it needs another schedule than the network's. */
const char *web_solver_name(int index) {
    int32_t solver;
    if (dm_enum_item("dm_solver", index, &solver)) return NULL;
    if (solver == DM_SOLVER_FLOW_EULER || solver == DM_SOLVER_FLOW_HEUN) return NULL;
    return dm_enum_name("dm_solver", solver);
}

int web_sample_begin(const char *solver, int steps, double guidance, uint32_t seed) {
    static int32_t labels[IMAGES];
    for (int i = 0; i < IMAGES; i++) labels[i] = i % CLASSES;
    dm_sampler_destroy(web.sampler);
    web.sampler = NULL;
    dm_sampler_options options;
    dm_sampler_options_init(&options, sizeof options);
    dm_status status =
        dm_options_set(web.context, "dm_sampler_options", &options, "solver", solver);
    options.steps = steps;
    options.guidance = guidance;
    options.batch_size = IMAGES;
    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    request.count = request.label_count = IMAGES;
    request.labels = labels;
    request.seed = seed;
    /* Training changes the network's weights between two steps of the run, so it runs on its own
     * copy of their average. */
    if (!status) status = dm_trainer_get_ema(web.trainer, 0, web.average);
    if (!status) status = dm_sampler_create(&web.sampler, web.average, web.schedule, &options);
    if (!status) status = dm_sampler_start(web.sampler, &request);
    return fail(status);
}

/* The images so far: the clean ones as predicted at the last step, or, at the end, the result. */
static dm_status update_colors(int32_t steps_left) {
    const size_t elements = sizeof web.images / sizeof *web.images;
    static uint8_t pixels[IMAGES * ELEMENTS];
    dm_status status = steps_left > 0 ? dm_sampler_get_preview(web.sampler, web.images, elements)
                                      : dm_sampler_finish(web.sampler, web.images, elements);
    if (!status) status = dm_image_to_u8(pixels, web.images, elements);
    for (size_t i = 0; !status && i < (size_t)IMAGES * PIXELS; i++) {
        memcpy(web.colors + 4 * i, pixels + CHANNELS * i, CHANNELS);
        web.colors[4 * i + 3] = 255;
    }
    return status;
}

int web_sample_step(void) {
    int32_t steps_left = 0;
    dm_status status = dm_sampler_step(web.sampler, &steps_left);
    if (!status) status = update_colors(steps_left);
    return status ? fail(status) : steps_left;
}

const uint8_t *web_colors(void) { return web.colors; }
const float *web_images(void) { return web.images; }
int web_image_count(void) { return IMAGES; }
int web_image_size(void) { return SIZE; }
const char *web_class_name(int label) { return dm_dataset_class_name(web.shapes, label); }
const char *web_build(void) { return dm_build_info(); }
