/* SPDX-License-Identifier: MIT */
/* Cases of the target options without options: structs that the library fills, and text. */
#include <stdlib.h>
#include <string.h>

#include "fuzz/outputs.h"

static void take_text(fuzz_input *in, char *text, size_t capacity) {
    size_t n = fuzz_u8(in) % capacity;
    if (n > in->left) n = in->left;
    memcpy(text, in->at, n);
    text[n] = 0;
    in->at += n;
    in->left -= n;
}

static void by_name(const char *name, const char *text, int32_t number) {
    int32_t value;
    dm_enum_value(name, text, &value);
    dm_enum_name(name, number);
    dm_enum_help(name, number);
    dm_enum_item(name, number, &value);
    dm_enum_count(name);
    dm_struct_name(number);
    dm_enum_type_name(number);
    dm_struct_size(name);
    dm_feature(text);
    dm_status_name(number);
    dm_status_message(number);
}

void fuzz_text_case(fuzz_input *in, dm_context *context) {
    static const char *const enumerations[] = {"dm_solver", "dm_loss", "dm_status",
                                               "dm_prediction"};
    union {
        uint8_t bytes[FUZZ_STRUCT_MAX];
        double align;
    } options = {{0}};
    char member[40], value[128], text[128];
    const char *name = dm_struct_name((int32_t)fuzz_below(in, (uint32_t)dm_struct_count()));
    dm_member_info info;
    size_t size;
    const uint32_t struct_size = (uint32_t)dm_struct_size(name);
    memcpy(options.bytes, &struct_size, sizeof struct_size);
    FUZZ_CHECK(!dm_member_info_init(&info, sizeof info));
    const int32_t index = (int8_t)fuzz_u8(in);
    const bool known = dm_struct_member(name, index, &info) == DM_OK;
    take_text(in, member, sizeof member);
    take_text(in, value, sizeof value);
    const char *of = known ? info.name : member;
    const dm_status status = dm_options_set(context, name, &options, of, value);
    fuzz_ok(context, status);
    const dm_status got = dm_options_get(context, name, &options, of, text, sizeof text, &size);
    fuzz_ok(context, got);
    /* What was set can be read, and what was read can be set. */
    if (!status) FUZZ_CHECK(!got);
    if (!status && size <= sizeof text)
        FUZZ_CHECK(!dm_options_set(context, name, &options, of, text));
    const size_t capacity = fuzz_u8(in) % sizeof text;
    dm_options_get(NULL, name, &options, of, text, capacity, NULL);
    by_name(fuzz_u8(in) % 2 ? enumerations[fuzz_u8(in) % 4] : member, value, (int32_t)fuzz_u32(in));
}

static void initialise(fuzz_input *in) {
#define INITIALISER(type)                                                                          \
    { #type, (dm_status(*)(void *, size_t))(void *)type##_init }
    static const struct initialiser {
        const char *name;
        dm_status (*init)(void *, size_t);
    } all[] = {
        INITIALISER(dm_context_options),    INITIALISER(dm_schedule_options),
        INITIALISER(dm_unet_options),       INITIALISER(dm_trainer_options),
        INITIALISER(dm_sampler_options),    INITIALISER(dm_sampler_request),
        INITIALISER(dm_evaluation_options), INITIALISER(dm_image_grid_options),
        INITIALISER(dm_image_animation),    INITIALISER(dm_dataset_memory),
        INITIALISER(dm_dataset_callback),   INITIALISER(dm_dataset_info),
        INITIALISER(dm_dataset_item),       INITIALISER(dm_train_batch),
        INITIALISER(dm_train_stats),        INITIALISER(dm_unet_input),
        INITIALISER(dm_tensor_info),        INITIALISER(dm_evaluation),
        INITIALISER(dm_profile_row),        INITIALISER(dm_member_info),
        INITIALISER(dm_sampler_progress),   INITIALISER(dm_noise_request),
        INITIALISER(dm_denoiser_input),     INITIALISER(dm_denoiser),
        INITIALISER(dm_guidance_step),
    };
    const struct initialiser *one = &all[fuzz_below(in, sizeof all / sizeof *all)];
    const size_t size = fuzz_struct_size(one->name, in);
    uint8_t *target = malloc(size && size <= FUZZ_STRUCT_MAX ? size : 1);
    FUZZ_CHECK(target != NULL);
    const bool works = fuzz_ok(NULL, one->init(target, size));
    FUZZ_CHECK(!works || (size >= 16 && size <= FUZZ_STRUCT_MAX && size % 4 == 0));
    free(target);
}

static void get_options(fuzz_input *in, const fuzz_objects *of) {
    static const char *const names[] = {"dm_unet_options", "dm_trainer_options",
                                        "dm_sampler_options", "dm_schedule_options",
                                        "dm_unet_options"};
    const unsigned which = fuzz_u8(in) % 5;
    const size_t size = fuzz_struct_size(names[which], in);
    void *target = malloc(size && size <= FUZZ_STRUCT_MAX ? size : 1);
    FUZZ_CHECK(target != NULL);
    switch (which) {
        case 0: fuzz_ok(of->context, dm_unet_get_options(of->unet, target, size)); break;
        case 1: fuzz_ok(of->context, dm_trainer_get_options(of->trainer, target, size)); break;
        case 2: fuzz_ok(of->context, dm_sampler_get_options(of->sampler, target, size)); break;
        case 3: fuzz_ok(of->context, dm_schedule_get_options(of->schedule, target, size)); break;
        default: fuzz_ok(NULL, dm_unet_options_preset(target, size, (int8_t)fuzz_u8(in)));
    }
    free(target);
}

static void fill_struct(fuzz_input *in, const fuzz_objects *of) {
    static const char *const names[] = {"dm_dataset_info", "dm_tensor_info", "dm_member_info",
                                        "dm_profile_row"};
    const unsigned which = fuzz_u8(in) % 4;
    void *target = fuzz_struct_empty(names[which], in);
    const int32_t index = (int8_t)fuzz_u8(in);
    switch (which) {
        case 0: fuzz_ok(of->context, dm_dataset_get_info(of->dataset, target)); break;
        case 1: fuzz_ok(of->context, dm_unet_get_tensor_info(of->unet, index, target)); break;
        case 2: fuzz_ok(NULL, dm_struct_member("dm_unet_options", index, target)); break;
        default: fuzz_ok(of->context, dm_context_get_profile_row(of->context, index, target));
    }
    free(target);
}

/* A level or a tensor, by a number or a name of the input. */
static void read_values(fuzz_input *in, const fuzz_objects *of) {
    union {
        uint64_t bits;
        double value;
    } timestep;
    double signal, noise, time, values[64];
    float tensor[64];
    char name[40];
    int64_t shape[4];
    timestep.bits = fuzz_u64(in);
    if (fuzz_u8(in) % 2) timestep.value = fuzz_u8(in) / 16.0 - 1;
    fuzz_ok(of->context,
            dm_schedule_get_level(of->schedule, timestep.value, &signal, &noise, &time));
    const size_t count = fuzz_u8(in) % 65;
    fuzz_ok(of->context, dm_schedule_get_series(of->schedule, (int8_t)fuzz_u8(in), values, count));
    take_text(in, name, sizeof name);
    dm_tensor_info info;
    FUZZ_CHECK(!dm_tensor_info_init(&info, sizeof info));
    if (!dm_unet_get_tensor_info(of->unet, fuzz_u8(in), &info) && strlen(info.name) < sizeof name)
        strcpy(name, info.name);
    fuzz_ok(of->context, dm_unet_get_tensor(of->unet, name, tensor, count));
    for (size_t i = 0; i < 64; i++) tensor[i] = 0.01f * (float)i;
    for (size_t i = 0; i < 4; i++) shape[i] = fuzz_u8(in) % 2 ? info.shape[i] : (int8_t)fuzz_u8(in);
    fuzz_ok(of->context,
            dm_unet_set_tensor(of->unet, name, tensor, count, shape, (int32_t)fuzz_u8(in) % 6));
}

void fuzz_outputs_case(fuzz_input *in, const fuzz_objects *of) {
    switch (fuzz_u8(in) % 4) {
        case 0: initialise(in); break;
        case 1: get_options(in, of); break;
        case 2: fill_struct(in, of); break;
        default: read_values(in, of);
    }
}
