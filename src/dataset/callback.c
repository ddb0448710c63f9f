/* SPDX-License-Identifier: MIT */
/* Images that a callback supplied by the caller provides. */
#include <stdio.h>

#include "dataset/dataset.h"

typedef struct callback_state {
    dm_dataset_read read;
    void *user;
} callback_state;

dm_status dm_dataset_callback_init(dm_dataset_callback *callback, size_t size) {
    return dmi_struct_init(&dmi_struct_dataset_callback, callback, size);
}

static dm_status read_callback(const dm_dataset *dataset, uint64_t index, uint8_t *pixels,
                               int32_t *label) {
    const callback_state *state = dataset->state;
    dm_context *context = dataset->context;
    char what[80];
    dm_dataset_item item = {.struct_size = sizeof item,
                            .label = -1,
                            .index = index,
                            .pixel_bytes = dmi_dataset_image_bytes(dataset),
                            .pixels = pixels};
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
    *label = item.label;
    return DM_OK;
}

static dm_status fill(dm_dataset *dataset, const dm_dataset_callback *c) {
    callback_state *state;
    dm_status status = dmi_alloc_zero(&dataset->context->host, &state, 1, sizeof *state, "dataset");
    if (status) return status;
    *state = (callback_state){c->read, c->user};
    dataset->state = state;
    dataset->read = read_callback;
    dataset->count = c->count;
    dataset->height = c->height;
    dataset->width = c->width;
    dataset->channels = c->channels;
    dataset->classes = c->classes;
    dataset->fingerprint = c->fingerprint;
    return DM_OK;
}

static dm_status check_size(dmi_host *host, const dm_dataset_callback *c) {
    size_t bytes;
    if (dmi_mul((size_t)c->height, (size_t)c->width, &bytes) &&
        dmi_mul(bytes, (size_t)c->channels, &bytes))
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
