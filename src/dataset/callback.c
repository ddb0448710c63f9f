/* SPDX-License-Identifier: MIT */
/* Images that a callback supplied by the caller provides. */
#include <stdio.h>
#include <string.h>

#include "dataset/dataset.h"

typedef struct callback_state {
    dm_dataset_read read;
    dm_dataset_prefetch prefetch;
    void *user;
    /* For conditions that the reader does not want; NULL where the dataset has none. */
    uint8_t *condition_image;
    float *condition_vector;
} callback_state;

dm_status dm_dataset_callback_init(dm_dataset_callback *callback, size_t size) {
    return dmi_struct_init(&dmi_struct_dataset_callback, callback, size);
}

/* What the callback fills in. Conditions start as zeros. */
static dm_dataset_item item_of(const dm_dataset *dataset, uint64_t index,
                               const dmi_dataset_image *image) {
    const callback_state *state = dataset->state;
    dm_dataset_item item = {.struct_size = sizeof item,
                            .label = -1,
                            .index = index,
                            .pixel_bytes = dmi_dataset_image_bytes(dataset),
                            .pixels = image->pixels,
                            .condition_image_bytes = dmi_dataset_condition_bytes(dataset),
                            .condition_vector_elements = (uint64_t)dataset->condition_size,
                            .epoch = image->epoch};
    if (dataset->condition_channels) {
        item.condition_image =
            image->condition_image ? image->condition_image : state->condition_image;
        memset(item.condition_image, 0, (size_t)item.condition_image_bytes);
    }
    if (dataset->condition_size) {
        item.condition_vector =
            image->condition_vector ? image->condition_vector : state->condition_vector;
        memset(item.condition_vector, 0, (size_t)dataset->condition_size * sizeof(float));
    }
    return item;
}

static dm_status read_callback(const dm_dataset *dataset, uint64_t index,
                               dmi_dataset_image *image) {
    const callback_state *state = dataset->state;
    dm_context *context = dataset->context;
    char what[80];
    dm_dataset_item item = item_of(dataset, index, image);
    const float *vector = item.condition_vector;
    snprintf(what, sizeof what, "dataset: the read callback for image %llu",
             (unsigned long long)index);
    dmi_callback_begin(context);
    int32_t returned = state->read(state->user, &item);
    dm_status status = dmi_callback_result(context, returned, DM_ERROR_CALLBACK_FAILED, what);
    if (status) return status;
    if (item.label < -1)
        return dmi_fail(&context->host, DM_ERROR_INVALID_ARGUMENT,
                        "dataset: the read callback gave image %llu label %d; it must be from 0, "
                        "or -1 for none",
                        (unsigned long long)index, (int)item.label);
    image->label = item.label;
    return vector ? dmi_dataset_check_vector(&context->host, index, vector, dataset->condition_size)
                  : DM_OK;
}

static void prefetch_callback(const dm_dataset *dataset, const uint64_t *indices, size_t count) {
    const callback_state *state = dataset->state;
    state->prefetch(state->user, indices, count);
}

static void free_state(dm_dataset *dataset) {
    dmi_host *host = &dataset->context->host;
    callback_state *state = dataset->state;
    if (!state) return;
    dmi_free(host, state->condition_image);
    dmi_free(host, state->condition_vector);
}

static dm_status fill(dm_dataset *dataset, const dm_dataset_callback *c) {
    dmi_host *host = &dataset->context->host;
    callback_state *state;
    dm_status status = dmi_alloc_zero(host, &state, 1, sizeof *state, "dataset");
    if (status) return status;
    state->read = c->read;
    state->prefetch = c->prefetch;
    if (c->prefetch) dataset->prefetch = prefetch_callback;
    state->user = c->user;
    dataset->state = state;
    dataset->free_state = free_state;
    dataset->read = read_callback;
    dataset->count = c->count;
    dataset->height = c->height;
    dataset->width = c->width;
    dataset->channels = c->channels;
    dataset->classes = c->classes;
    dataset->fingerprint = c->fingerprint;
    dataset->condition_channels = c->condition_channels;
    dataset->condition_size = c->condition_size;
    dataset->vector_invariant = c->vector_invariant;
    if (c->condition_channels)
        status = dmi_alloc(host, &state->condition_image, dmi_dataset_condition_bytes(dataset),
                           "dataset: a condition image");
    if (!status && c->condition_size)
        status = dmi_alloc_array(host, &state->condition_vector, (size_t)c->condition_size,
                                 sizeof(float), "dataset: a condition vector");
    return status ? status : dmi_dataset_set_names(dataset, c->class_names, c->class_name_count);
}

static dm_status check_size(dmi_host *host, const dm_dataset_callback *c) {
    size_t pixels, bytes;
    if (dmi_mul((size_t)c->height, (size_t)c->width, &pixels) &&
        dmi_mul(pixels, (size_t)c->channels, &bytes) &&
        dmi_mul(pixels, (size_t)c->condition_channels, &bytes))
        return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "dataset: an image of %d x %d x %d bytes cannot be addressed", (int)c->height,
                    (int)c->width, (int)c->channels);
}

static dm_status create(dm_dataset **out, dm_context *context,
                        const dm_dataset_callback *callback) {
    dmi_host *host = &context->host;
    dm_dataset_callback c;
    if (!out || !callback)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "dataset: '%s' is NULL",
                        out ? "callback" : "out");
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_dataset_callback, &c, callback);
    if (!status) status = dmi_dataset_check_count(host, "dataset", c.count);
    if (!status && !c.read)
        status = dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "dataset: 'read' is NULL");
    if (!status) status = check_size(host, &c);
    if (status) return status;
    dm_dataset *dataset;
    status = dmi_dataset_new(&dataset, context);
    if (status) return status;
    status = fill(dataset, &c);
    if (status) {
        dmi_dataset_free(dataset);
        return status;
    }
    *out = dataset;
    return DM_OK;
}

dm_status dm_dataset_create_from_callback(dm_dataset **out, dm_context *context,
                                          const dm_dataset_callback *callback) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, create(out, context, callback));
}
