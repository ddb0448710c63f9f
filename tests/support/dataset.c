/* SPDX-License-Identifier: MIT */
/* See dataset.h. */
#include "support/dataset.h"

dm_status dataset_from_memory(dm_dataset **out, dm_context *context, const uint8_t *pixels,
                              const int32_t *labels, uint64_t count, int32_t height, int32_t width,
                              int32_t channels) {
    dm_dataset_memory m;
    dm_status status = dm_dataset_memory_init(&m, sizeof m);
    m.count = count;
    m.height = height;
    m.width = width;
    m.channels = channels;
    m.pixel_bytes = count * (uint64_t)height * (uint64_t)width * (uint64_t)channels;
    m.label_count = labels ? count : 0;
    m.pixels = pixels;
    m.labels = labels;
    return status ? status : dm_dataset_create_from_memory(out, context, &m);
}

dm_status dataset_from_callback(dm_dataset **out, dm_context *context, dm_dataset_read read,
                                void *user, uint64_t count, int32_t height, int32_t width,
                                int32_t channels) {
    dm_dataset_callback c;
    dm_status status = dm_dataset_callback_init(&c, sizeof c);
    c.count = count;
    c.height = height;
    c.width = width;
    c.channels = channels;
    c.read = read;
    c.user = user;
    return status ? status : dm_dataset_create_from_callback(out, context, &c);
}
