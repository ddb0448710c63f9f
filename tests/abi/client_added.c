/* SPDX-License-Identifier: MIT */
/* A member that the library does not know: unset it changes nothing, set it is refused. */
#include "client.h"

#define HAS_ADDED(options) (*(options)->added = 1, (options))

static const uint8_t pixels[16 * 16 * 3];

static void require_refused(dm_status status, const char *what) {
    client_require(status == DM_ERROR_UNSUPPORTED_VERSION, what);
}

static int32_t read_item(void *user, dm_dataset_item *item) {
    (void)user;
    memcpy(item->pixels, pixels, sizeof pixels);
    return 0;
}

static int32_t denoise(void *user, const dm_denoiser_input *input, float *output, size_t elements) {
    (void)user;
    (void)input;
    memset(output, 0, elements * sizeof *output);
    return 0;
}

static void refuse_options(const client_objects *of) {
    dm_context *context = NULL;
    char error[256];
    dm_context_options context_options;
    dm_context_options_init(&context_options, sizeof context_options);
    require_refused(dm_context_create(&context, HAS_ADDED(&context_options), error, sizeof error),
                    "context options");
    client_require(!context && strstr(error, "does not know") != NULL, error);

    dm_schedule *schedule;
    dm_schedule_options schedule_options;
    dm_schedule_options_init(&schedule_options, sizeof schedule_options);
    require_refused(dm_schedule_create(&schedule, of->context, HAS_ADDED(&schedule_options)),
                    "schedule options");

    dm_unet *unet;
    dm_unet_options unet_options;
    dm_unet_options_init(&unet_options, sizeof unet_options);
    require_refused(dm_unet_create(&unet, of->context, HAS_ADDED(&unet_options), 1),
                    "unet options");

    dm_sampler *sampler;
    dm_sampler_options sampler_options;
    dm_sampler_options_init(&sampler_options, sizeof sampler_options);
    require_refused(dm_sampler_create(&sampler, of->unet, of->schedule,
                                      HAS_ADDED(&sampler_options)),
                    "sampler options");
    client_require(!schedule && !unet && !sampler, "objects are NULL after a failure");
}

/* A second network, since `unet` has its trainer. */
static void refuse_trainer_options(const client_objects *of) {
    dm_unet *unet;
    dm_trainer *trainer;
    dm_unet_options unet_options;
    dm_trainer_options options;
    dm_unet_options_init(&unet_options, sizeof unet_options);
    client_require(dm_unet_get_options(of->unet, &unet_options, sizeof unet_options) == DM_OK &&
                       dm_unet_create(&unet, of->context, &unet_options, 1) == DM_OK,
                   "a second network");
    dm_trainer_options_init(&options, sizeof options);
    require_refused(dm_trainer_create(&trainer, unet, of->schedule, of->dataset,
                                      HAS_ADDED(&options)),
                    "trainer options");
    dm_unet_destroy(unet);
}

/* Each works before the member is set. */
static void refuse_dataset_and_denoiser(const client_objects *of) {
    dm_dataset *dataset;
    dm_dataset_memory memory;
    dm_dataset_memory_init(&memory, sizeof memory);
    memory.count = 1;
    memory.height = memory.width = 16;
    memory.channels = 3;
    memory.pixels = pixels;
    memory.pixel_bytes = sizeof pixels;
    client_require(dm_dataset_create_from_memory(&dataset, of->context, &memory) == DM_OK,
                   "dataset_memory");
    dm_dataset_destroy(dataset);
    require_refused(dm_dataset_create_from_memory(&dataset, of->context, HAS_ADDED(&memory)),
                    "dataset_memory");

    dm_dataset_callback callback;
    dm_dataset_callback_init(&callback, sizeof callback);
    callback.count = 1;
    callback.height = callback.width = 16;
    callback.channels = 3;
    callback.read = read_item;
    client_require(dm_dataset_create_from_callback(&dataset, of->context, &callback) == DM_OK,
                   "dataset_callback");
    dm_dataset_destroy(dataset);
    require_refused(dm_dataset_create_from_callback(&dataset, of->context, HAS_ADDED(&callback)),
                    "dataset_callback");

    dm_sampler *sampler;
    dm_denoiser denoiser;
    dm_sampler_options options;
    dm_denoiser_init(&denoiser, sizeof denoiser);
    dm_sampler_options_init(&options, sizeof options);
    denoiser.height = denoiser.width = 16;
    denoiser.channels = 3;
    denoiser.evaluate = denoise;
    options.steps = 3;
    client_require(dm_sampler_create_with_denoiser(&sampler, of->context, of->schedule, &denoiser,
                                                   &options) == DM_OK,
                   "denoiser");
    dm_sampler_destroy(sampler);
    require_refused(dm_sampler_create_with_denoiser(&sampler, of->context, of->schedule,
                                                    HAS_ADDED(&denoiser), &options),
                    "denoiser");
}

static void refuse_inputs(const client_objects *of) {
    static float images[2 * 16 * 16 * 3];
    const size_t elements = sizeof images / sizeof *images;
    const double times[2] = {3, 4};
    dm_unet_input input;
    dm_unet_input_init(&input, sizeof input);
    input.count = 2;
    input.x_elements = elements;
    input.time_count = input.count;
    input.x = images;
    input.times = times;
    require_refused(dm_unet_forward(of->unet, HAS_ADDED(&input), images, elements), "unet_input");

    dm_train_batch batch;
    dm_train_batch_init(&batch, sizeof batch);
    batch.count = 2;
    batch.elements = elements;
    batch.images = images;
    require_refused(dm_trainer_step_batch(of->trainer, HAS_ADDED(&batch), NULL), "train_batch");

    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    request.count = 2;
    require_refused(dm_sampler_run(of->sampler, HAS_ADDED(&request), images, elements), "request");

    dm_evaluation result;
    dm_evaluation_options options;
    dm_evaluation_init(&result, sizeof result);
    dm_evaluation_options_init(&options, sizeof options);
    require_refused(dm_unet_evaluate(of->unet, of->schedule, of->dataset, HAS_ADDED(&options), NULL,
                                     NULL, &result),
                    "evaluation options");
}

static void refuse_images(const client_objects *of) {
    int32_t height, width;
    dm_image_grid_options grid;
    dm_image_grid_options_init(&grid, sizeof grid);
    grid.height = grid.width = 16;
    grid.channels = 3;
    grid.count = 1;
    client_require(dm_image_grid_size(&grid, &height, &width) == DM_OK, "grid");
    require_refused(dm_image_grid_size(HAS_ADDED(&grid), &height, &width), "grid");

    dm_image_animation animation;
    dm_image_animation_init(&animation, sizeof animation);
    animation.height = animation.width = 16;
    animation.channels = 3;
    animation.frames = 1;
    require_refused(dm_image_write_apng(of->context, "", pixels, sizeof pixels,
                                        HAS_ADDED(&animation)),
                    "animation");
}

void client_set_added(const client_objects *of) {
    refuse_options(of);
    refuse_trainer_options(of);
    refuse_dataset_and_denoiser(of);
    refuse_inputs(of);
    refuse_images(of);
}
