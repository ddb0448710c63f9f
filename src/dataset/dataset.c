/* SPDX-License-Identifier: MIT */
/* What all datasets share: creation, destruction and the public functions on them. */
#include "dataset/dataset.h"

dm_status dm_dataset_item_init(dm_dataset_item *item, size_t size) {
    return dmi_struct_init(&dmi_struct_dataset_item, item, size);
}

dm_status dm_dataset_info_init(dm_dataset_info *info, size_t size) {
    return dmi_struct_init(&dmi_struct_dataset_info, info, size);
}

dm_status dmi_dataset_new(dm_dataset **out, dm_context *context) {
    dm_status status = dmi_alloc_zero(&context->host, out, 1, sizeof(dm_dataset), "dataset");
    if (!status) (*out)->context = context;
    return status;
}

void dmi_dataset_free(dm_dataset *dataset) {
    if (!dataset) return;
    if (dataset->free_state) dataset->free_state(dataset);
    dmi_class_names_free(&dataset->context->host, &dataset->own_names);
    dmi_free(&dataset->context->host, dataset->state);
    dmi_free(&dataset->context->host, dataset);
}

void dm_dataset_destroy(dm_dataset *dataset) {
    if (!dataset) return;
    dm_context *context = dataset->context;
    if (!dmi_enter(context)) return;
    dmi_dataset_free(dataset);
    dmi_leave(context, DM_OK);
}

dm_status dmi_dataset_check_count(dmi_host *host, const char *owner, uint64_t count) {
    if (count >= 1 && count <= DMI_DATASET_COUNT_MAX) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "%s: 'count' is %llu; it must be from 1 to 2^56", owner,
                    (unsigned long long)count);
}

dm_status dmi_dataset_set_names(dm_dataset *dataset, const char *const *names, uint64_t count) {
    dmi_host *host = &dataset->context->host;
    if (count != (names ? (uint64_t)dataset->classes : 0))
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "dataset: 'class_name_count' is %llu; it must be %llu",
                        (unsigned long long)count,
                        (unsigned long long)(names ? dataset->classes : 0));
    dm_status status =
        dmi_class_names_set(host, "dataset", &dataset->own_names, names, (size_t)count);
    dataset->class_names = dataset->own_names.names;
    return status;
}

size_t dmi_dataset_image_bytes(const dm_dataset *dataset) {
    return (size_t)dataset->height * (size_t)dataset->width * (size_t)dataset->channels;
}

size_t dmi_dataset_condition_bytes(const dm_dataset *dataset) {
    return (size_t)dataset->height * (size_t)dataset->width * (size_t)dataset->condition_channels;
}

dm_context *dm_dataset_context(const dm_dataset *dataset) {
    return dataset ? dataset->context : NULL;
}

const char *dm_dataset_class_name(const dm_dataset *dataset, int32_t label) {
    if (!dataset || !dataset->class_names || label < 0 || label >= dataset->classes) return NULL;
    return dataset->class_names[label];
}

/* ---- info and images ---- */

static dm_status get_info(const dm_dataset *dataset, dm_dataset_info *info) {
    dmi_host *host = &dataset->context->host;
    if (!info) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "dataset: 'info' is NULL");
    const dm_dataset_info full = {
        .struct_size = sizeof full,
        .classes = dataset->classes,
        .count = dataset->count,
        .height = dataset->height,
        .width = dataset->width,
        .channels = dataset->channels,
        .vector_invariant = dataset->vector_invariant,
        .fingerprint = dataset->fingerprint,
        .condition_channels = dataset->condition_channels,
        .condition_size = dataset->condition_size,
    };
    return dmi_struct_write_back(host, &dmi_struct_dataset_info, info, &full);
}

dm_status dm_dataset_get_info(const dm_dataset *dataset, dm_dataset_info *info) {
    if (!dataset) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(dataset->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(dataset->context, get_info(dataset, info));
}

static dm_status get_image(const dm_dataset *dataset, uint64_t index, uint8_t *pixels, size_t bytes,
                           int32_t *label) {
    dmi_host *host = &dataset->context->host;
    const size_t size = dmi_dataset_image_bytes(dataset);
    if (!pixels) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "dataset: 'pixels' is NULL");
    if (index >= dataset->count)
        return dmi_fail(host, DM_ERROR_NOT_FOUND, "dataset: 'index' is %llu; there are %llu images",
                        (unsigned long long)index, (unsigned long long)dataset->count);
    if (bytes != size)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "dataset: 'bytes' is %zu; an image has %d x %d x %d = %zu", bytes,
                        (int)dataset->height, (int)dataset->width, (int)dataset->channels, size);
    dmi_dataset_image image = {.pixels = pixels};
    dm_status status = dataset->read(dataset, index, &image);
    if (!status && label) *label = image.label;
    return status;
}

dm_status dm_dataset_get_image(const dm_dataset *dataset, uint64_t index, uint8_t *pixels,
                               size_t bytes, int32_t *label) {
    if (!dataset) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(dataset->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(dataset->context, get_image(dataset, index, pixels, bytes, label));
}

/* ---- fingerprint ---- */

uint64_t dmi_hash(uint64_t hash, const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++) hash = (hash ^ at[i]) * UINT64_C(0x100000001b3);
    return hash;
}

/* Without conditions the hash is that of versions that had none. */
static uint64_t hash_shape(const dm_dataset *d) {
    const int32_t shape[] = {d->height, d->width, d->channels};
    const int32_t conditions[] = {d->condition_channels, d->condition_size, d->vector_invariant};
    uint64_t hash = dmi_hash(DMI_HASH_START, &d->count, sizeof d->count);
    hash = dmi_hash(hash, shape, sizeof shape);
    if (d->condition_channels || d->condition_size)
        hash = dmi_hash(hash, conditions, sizeof conditions);
    return hash;
}

static uint64_t hash_image(const dm_dataset *d, uint64_t hash, const dmi_dataset_image *image) {
    hash = dmi_hash(hash, image->pixels, dmi_dataset_image_bytes(d));
    hash = dmi_hash(hash, &image->label, sizeof image->label);
    hash = dmi_hash(hash, image->condition_image, dmi_dataset_condition_bytes(d));
    return dmi_hash(hash, image->condition_vector, (size_t)d->condition_size * sizeof(float));
}

dm_status dmi_dataset_set_fingerprint(dm_dataset *dataset) {
    enum { IMAGES_MAX = 64 };
    dmi_host *host = &dataset->context->host;
    const size_t bytes = dmi_dataset_image_bytes(dataset), floats = (size_t)dataset->condition_size;
    const uint64_t count = dataset->count, images = count < IMAGES_MAX ? count : IMAGES_MAX;
    uint64_t hash = hash_shape(dataset);
    float *vector;
    dm_status status =
        dmi_alloc(host, &vector,
                  floats * sizeof *vector + bytes + dmi_dataset_condition_bytes(dataset),
                  "dataset: image for the fingerprint");
    if (status) return status;
    uint8_t *pixels = (uint8_t *)(vector + floats);
    dmi_dataset_image image = {.pixels = pixels,
                               .condition_image =
                                   dataset->condition_channels ? pixels + bytes : NULL,
                               .condition_vector = floats ? vector : NULL};
    for (uint64_t i = 0; !status && i < images; i++) {
        /* The first and the last image are among them. */
        uint64_t index = images < count ? i * ((count - 1) / (IMAGES_MAX - 1)) : i;
        if (i + 1 == images) index = count - 1;
        status = dataset->read(dataset, index, &image);
        hash = hash_image(dataset, hash, &image);
    }
    dmi_free(host, vector);
    dataset->fingerprint = hash ? hash : 1;
    return status;
}
