/* SPDX-License-Identifier: MIT */
/* The work of the client: every struct but those that only newer headers are tested with. */
#include <stdlib.h>

#include "client.h"

enum { SIDE = 16, CHANNELS = 3, ELEMENTS = SIDE * SIDE * CHANNELS };

static int32_t on_step(void *user, const dm_train_stats *stats) {
    (void)user;
    printf("step %d, loss %.9g\n", (int)stats->step, stats->loss);
    return 0;
}

static int32_t on_progress(void *user, const dm_sampler_progress *progress) {
    (void)user;
    printf("sampler step %d of %d\n", (int)progress->step, (int)progress->steps);
    return 0;
}

static void train(const client_objects *of, float *images) {
    client_require(dm_trainer_run(of->trainer, 2, on_step, NULL) == DM_OK, "run");
    GUARDED(dm_train_batch, batch);
    GUARDED(dm_train_stats, stats);
    dm_train_batch_init(&batch.value, sizeof batch.value);
    dm_train_stats_init(&stats.value, sizeof stats.value);
    batch.value.count = 2;
    batch.value.elements = 2 * ELEMENTS;
    batch.value.images = images;
    client_require(dm_trainer_step_batch(of->trainer, &batch.value, &stats.value) == DM_OK,
                   "step_batch");
    client_check_guard(batch.guard, "dm_train_batch");
    client_check_guard(stats.guard, "dm_train_stats");
    on_step(NULL, &stats.value);
}

static void forward(const client_objects *of, const float *images) {
    const double times[2] = {3, 4};
    float output[2 * ELEMENTS];
    GUARDED(dm_unet_input, input);
    dm_unet_input_init(&input.value, sizeof input.value);
    input.value.count = 2;
    input.value.x_elements = 2 * ELEMENTS;
    input.value.time_count = input.value.count;
    input.value.x = images;
    input.value.times = times;
    client_require(dm_unet_forward(of->unet, &input.value, output, 2 * ELEMENTS) == DM_OK,
                   "forward");
    client_check_guard(input.guard, "dm_unet_input");
    printf("forward %016llx\n", (unsigned long long)client_hash(output, sizeof output));
}

static void sample(const client_objects *of) {
    float images[2 * ELEMENTS];
    GUARDED(dm_sampler_request, request);
    dm_sampler_request_init(&request.value, sizeof request.value);
    request.value.count = 2;
    request.value.seed = 5;
    request.value.progress = on_progress;
    client_require(dm_sampler_run(of->sampler, &request.value, images, 2 * ELEMENTS) == DM_OK,
                   "sampler_run");
    client_check_guard(request.guard, "dm_sampler_request");
    printf("sample %016llx\n", (unsigned long long)client_hash(images, sizeof images));
}

static void evaluate(const client_objects *of) {
    GUARDED(dm_evaluation_options, options);
    GUARDED(dm_evaluation, result);
    dm_evaluation_options_init(&options.value, sizeof options.value);
    dm_evaluation_init(&result.value, sizeof result.value);
    options.value.count = 2;
    options.value.timesteps = 2;
    client_require(dm_unet_evaluate(of->unet, of->schedule, of->dataset, &options.value, NULL, NULL,
                                    &result.value) == DM_OK,
                   "evaluate");
    client_check_guard(options.guard, "dm_evaluation_options");
    client_check_guard(result.guard, "dm_evaluation");
    printf("evaluation %d images, %.9g bits\n", (int)result.value.images, result.value.bits);
}

static void read_infos(const client_objects *of) {
    GUARDED(dm_dataset_info, dataset);
    GUARDED(dm_tensor_info, tensor);
    GUARDED(dm_profile_row, row);
    GUARDED(dm_member_info, member);
    dm_dataset_info_init(&dataset.value, sizeof dataset.value);
    dm_tensor_info_init(&tensor.value, sizeof tensor.value);
    dm_profile_row_init(&row.value, sizeof row.value);
    dm_member_info_init(&member.value, sizeof member.value);
    client_require(dm_dataset_get_info(of->dataset, &dataset.value) == DM_OK, "dataset_info");
    client_require(dm_unet_get_tensor_info(of->unet, 0, &tensor.value) == DM_OK, "tensor_info");
    client_require(dm_context_get_profile_row(of->context, 0, &row.value) == DM_OK, "row");
    client_require(dm_struct_member("dm_unet_options", 6, &member.value) == DM_OK, "member");
    client_check_guard(dataset.guard, "dm_dataset_info");
    client_check_guard(tensor.guard, "dm_tensor_info");
    client_check_guard(row.guard, "dm_profile_row");
    client_check_guard(member.guard, "dm_member_info");
    printf("dataset %d, %d x %d\n", (int)dataset.value.count, (int)dataset.value.height,
           (int)dataset.value.width);
    printf("tensor %d, %d\n", (int)tensor.value.rank, (int)tensor.value.elements);
    printf("row %s, %d\n", row.value.operation, (int)row.value.calls);
    printf("member %s, %d\n", member.value.name, (int)member.value.count);
#ifdef NEWER
    client_require(!dataset.value.added[0] && !tensor.value.added[0] && !row.value.added[0] &&
                       !member.value.added[0],
                   "members that the library does not know are 0");
#endif
}

/* The delay of the last frame, which older headers lack, is in the file. */
static void animate(const client_objects *of, const char *folder) {
    static const uint8_t frames[2 * 4 * 4];
    char path[1024];
    unsigned char file[4096];
    GUARDED(dm_image_animation, animation);
    dm_image_animation_init(&animation.value, sizeof animation.value);
    animation.value.height = animation.value.width = 4;
    animation.value.channels = 1;
    animation.value.frames = 2;
    snprintf(path, sizeof path, "%s/client.png", folder);
    client_require(dm_image_write_apng(of->context, path, frames, sizeof frames,
                                       &animation.value) == DM_OK,
                   "write_apng");
    client_check_guard(animation.guard, "dm_image_animation");
    FILE *stream = fopen(path, "rb");
    client_require(stream != NULL, path);
    size_t size = fread(file, 1, sizeof file, stream);
    fclose(stream);
    printf("animation %016llx\n", (unsigned long long)client_hash(file, size));
}

void client_use(const client_objects *of, const char *folder) {
    float images[2 * ELEMENTS];
    for (size_t i = 0; i < 2 * ELEMENTS; i++) images[i] = (float)(i % 17) / 16 - 0.5f;
    train(of, images);
    forward(of, images);
    sample(of);
    evaluate(of);
    read_infos(of);
    animate(of, folder);
}
