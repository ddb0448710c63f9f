/* SPDX-License-Identifier: MIT */
/* A client that uses every struct, for clients.sh, which compiles it against diffusion_cdef.h as it
 * is, without the last members of each struct (older) and with one more (newer, which defines
 * NEWER). It uses no member that the older headers lack, so that its output must be the same for
 * all. What follows each struct is filled with a pattern that the library must neither read
 * nor write. */
#include "client.h"

#include <stdlib.h>

static dm_context *context;

void client_require(int holds, const char *what) {
    if (holds) return;
    fprintf(stderr, "client: %s: %s\n", what, context ? dm_context_error(context) : "no context");
    exit(1);
}

void client_fill(void *bytes, size_t size) { memset(bytes, PATTERN, size); }

void client_check_guard(const unsigned char *guard, const char *what) {
    for (size_t i = 0; i < GUARD_SIZE; i++) client_require(guard[i] == PATTERN, what);
}

uint64_t client_hash(const void *bytes, size_t size) {
    const unsigned char *from = bytes;
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < size; i++) hash = (hash ^ from[i]) * 1099511628211u;
    return hash;
}

/* All options in effect, by the library's own tables: also those that this header does not have. */
static void print_options(const char *of, const void *options) {
    dm_member_info info;
    client_require(dm_member_info_init(&info, sizeof info) == DM_OK, "dm_member_info_init");
    for (int32_t i = 1; dm_struct_member(of, i, &info) == DM_OK; i++) {
        char text[512];
        if (dm_options_get(NULL, of, options, info.name, text, sizeof text, NULL) == DM_OK)
            printf("%s.%s = %s\n", of, info.name, text);
    }
}

static void print_all_options(const client_objects *of) {
    uint64_t whole[128]; /* as large as any version's */
    const size_t size = dm_struct_size("dm_unet_options");
    client_require(dm_unet_get_options(of->unet, (void *)whole, size) == DM_OK, "unet options");
    print_options("dm_unet_options", whole);
    client_require(dm_schedule_get_options(of->schedule, (void *)whole,
                                           dm_struct_size("dm_schedule_options")) == DM_OK,
                   "schedule options");
    print_options("dm_schedule_options", whole);
    client_require(dm_trainer_get_options(of->trainer, (void *)whole,
                                          dm_struct_size("dm_trainer_options")) == DM_OK,
                   "trainer options");
    print_options("dm_trainer_options", whole);
    client_require(dm_sampler_get_options(of->sampler, (void *)whole,
                                          dm_struct_size("dm_sampler_options")) == DM_OK,
                   "sampler options");
    print_options("dm_sampler_options", whole);
}

static void create(client_objects *of) {
    GUARDED(dm_context_options, options);
    dm_context_options_init(&options.value, sizeof options.value);
    client_require(options.value.struct_size == sizeof options.value, "struct_size");
    options.value.threads = 1;
    options.value.profile = 1;
    client_require(dm_context_create(&context, &options.value, NULL, 0) == DM_OK, "context");
    client_check_guard(options.guard, "dm_context_options");
    of->context = context;

    GUARDED(dm_schedule_options, schedule);
    dm_schedule_options_init(&schedule.value, sizeof schedule.value);
    schedule.value.timesteps = 20;
    client_require(dm_schedule_create(&of->schedule, context, &schedule.value) == DM_OK,
                   "schedule");
    client_check_guard(schedule.guard, "dm_schedule_options");

    GUARDED(dm_unet_options, unet);
    dm_unet_options_init(&unet.value, sizeof unet.value);
    unet.value.height = unet.value.width = 16;
    unet.value.levels = 2;
    unet.value.norm_groups = 4;
    for (int i = 0; i < 2; i++) {
        unet.value.channels[i] = 8;
        unet.value.blocks[i] = 1;
        unet.value.attention[i] = 0;
    }
    client_require(dm_unet_create(&of->unet, context, &unet.value, 1) == DM_OK, "unet");
    client_check_guard(unet.guard, "dm_unet_options");
    client_require(dm_dataset_create_shapes(&of->dataset, context, 16, 8, 2) == DM_OK, "dataset");

    GUARDED(dm_trainer_options, trainer);
    dm_trainer_options_init(&trainer.value, sizeof trainer.value);
    trainer.value.batch_size = 2;
    client_require(dm_trainer_create(&of->trainer, of->unet, of->schedule, of->dataset,
                                     &trainer.value) == DM_OK,
                   "trainer");
    client_check_guard(trainer.guard, "dm_trainer_options");

    GUARDED(dm_sampler_options, sampler);
    dm_sampler_options_init(&sampler.value, sizeof sampler.value);
    sampler.value.steps = 3;
    client_require(dm_sampler_create(&of->sampler, of->unet, of->schedule, &sampler.value) == DM_OK,
                   "sampler");
    client_check_guard(sampler.guard, "dm_sampler_options");
}

int main(int argc, char **argv) {
    client_objects of;
    client_require(argc == 2, "client FOLDER");
    create(&of);
    print_all_options(&of);
    client_use(&of, argv[1]);
#ifdef NEWER
    client_set_added(&of);
#endif
    dm_sampler_destroy(of.sampler);
    dm_trainer_destroy(of.trainer);
    dm_dataset_destroy(of.dataset);
    dm_unet_destroy(of.unet);
    dm_schedule_destroy(of.schedule);
    dm_context_destroy(of.context);
    return 0;
}
