/* SPDX-License-Identifier: MIT */
/* Functions that take no object: none can allocate. */
#include <string.h>

#include "cases.h"

static void put(world *w, const void *bytes, size_t size) {
    memcpy(w->output + w->output_size, bytes, size);
    w->output_size += size;
}

static void put_text(world *w, const char *text) { put(w, text, strlen(text)); }

static dm_status version(world *w) {
    const uint32_t number = CALL(dm_version);
    put(w, &number, sizeof number);
    put_text(w, CALL(dm_version_string));
    put_text(w, CALL(dm_build_info));
    put_text(w, CALL(dm_status_name, DM_ERROR_IO));
    put_text(w, CALL(dm_status_message, DM_ERROR_IO));
    return CALL(dm_feature, "no such feature") ? DM_ERROR_INTERNAL : DM_OK;
}

static dm_status structs(world *w) {
    dm_member_info info;
    dm_status status = CALL(dm_member_info_init, &info, sizeof info);
    for (int32_t i = 0; !status && i < CALL(dm_struct_count); i++) {
        const char *name = CALL(dm_struct_name, i);
        const size_t size = CALL(dm_struct_size, name);
        put(w, &size, sizeof size);
        for (int32_t m = 0; CALL(dm_struct_member, name, m, &info) == DM_OK; m++)
            put_text(w, info.name);
    }
    return status;
}

static dm_status enums(world *w) {
    for (int32_t i = 0; i < CALL(dm_enum_type_count); i++) {
        const char *name = CALL(dm_enum_type_name, i);
        for (int32_t k = 0; k < CALL(dm_enum_count, name); k++) {
            int32_t value, back;
            dm_status status = CALL(dm_enum_item, name, k, &value);
            const char *text = CALL(dm_enum_name, name, value);
            if (!status) status = CALL(dm_enum_value, name, text, &back);
            if (status || back != value) return DM_ERROR_INTERNAL;
            put_text(w, text);
            put_text(w, CALL(dm_enum_help, name, value));
        }
    }
    return DM_OK;
}

#define INIT(name)                                                                                 \
    do {                                                                                           \
        memset(&value, 0, sizeof value);                                                           \
        dm_status status = CALL(dm_##name##_init, (dm_##name *)&value, sizeof(dm_##name));         \
        if (status) return status;                                                                 \
        put(w, &value, sizeof(dm_##name));                                                         \
    } while (0)

static dm_status inits(world *w) {
    union {
        dm_trainer_options largest;
        char room[1024];
    } value;
    INIT(context_options);
    INIT(profile_row);
    INIT(schedule_options);
    INIT(unet_options);
    INIT(tensor_info);
    INIT(unet_input);
    INIT(dataset_info);
    INIT(dataset_item);
    INIT(dataset_memory);
    INIT(dataset_callback);
    INIT(trainer_options);
    INIT(train_stats);
    INIT(train_batch);
    INIT(checkpoint_info);
    INIT(sampler_options);
    INIT(sampler_progress);
    INIT(noise_request);
    INIT(denoiser_input);
    INIT(denoiser);
    INIT(guidance_step);
    INIT(sampler_request);
    INIT(evaluation_options);
    INIT(evaluation);
    INIT(image_grid_options);
    INIT(image_animation);
    dm_unet_options preset;
    const dm_status status =
        CALL(dm_unet_options_preset, &preset, sizeof preset, DM_PRESET_DDPM_CIFAR10);
    put(w, &preset, sizeof preset);
    return status;
}

static dm_status images(world *w) {
    float values[ELEMENTS];
    uint8_t pixels[2 * ELEMENTS], grid[4096];
    int32_t height = 0, width = 0;
    dm_image_grid_options o;
    dm_status status = CALL(dm_image_from_u8, values, w->pixels, ELEMENTS);
    if (!status) status = CALL(dm_image_to_u8, pixels, values, ELEMENTS);
    if (!status) status = CALL(dm_noise_interpolate, values, values, w->noise, 0.3, ELEMENTS);
    if (!status) status = CALL(dm_image_grid_options_init, &o, sizeof o);
    o.height = o.width = SIDE;
    o.channels = CHANNELS;
    o.count = 2;
    if (!status) status = CALL(dm_image_grid_size, &o, &height, &width);
    const size_t size = (size_t)height * (size_t)width * CHANNELS;
    if (!status) status = CALL(dm_image_draw_grid, &o, grid, size, w->pixels, 2 * ELEMENTS);
    put(w, values, sizeof values);
    put(w, pixels, ELEMENTS);
    put(w, grid, size);
    return status;
}

const alloc_case cases_values[] = {{"version", NULL, version, 0, CASE_NEVER},
                                   {"structs", NULL, structs, 0, CASE_NEVER},
                                   {"enums", NULL, enums, 0, CASE_NEVER},
                                   {"inits", NULL, inits, 0, CASE_NEVER},
                                   {"images", NULL, images, 0, CASE_NEVER},
                                   {NULL, NULL, NULL, 0, 0}};
