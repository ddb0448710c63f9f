/* Datasets whose pictures are the caller's: an array in memory, or a callback. */
#include <string.h>

#include "dataset/dataset.h"

enum { MAX_SIDE = 65536, MAX_CHANNELS = 64 };

/* Checks the shape. */
static int32_t new_of_shape(dm_dataset **out, dm_context *context, uint64_t count, int32_t height,
                            int32_t width, int32_t channels) {
    dmi_host *host = &context->host;
    const struct {
        const char *name;
        int32_t value, most;
    } sizes[] = {{"height", height, MAX_SIDE},
                 {"width", width, MAX_SIDE},
                 {"channels", channels, MAX_CHANNELS}};
    size_t bytes = 1;
    bool fits = true;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].most)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "dataset: '%s' is %d; it must be 1 to %d", sizes[i].name,
                            sizes[i].value, sizes[i].most);
        fits = fits && dmi_mul(bytes, (size_t)sizes[i].value, &bytes);
    }
    if (count == 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "dataset: 'count' is 0; it must be at least 1");
    if (!fits || count > DMI_DATASET_MOST)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "dataset: 'count' is %llu; it must be 1 to 2^56 (pictures of %d x %d x %d)",
                        (unsigned long long)count, height, width, channels);
    const int32_t status = dmi_dataset_new(out, context);
    if (status != DMI_OK) return status;
    (*out)->count = count;
    (*out)->height = height;
    (*out)->width = width;
    (*out)->channels = channels;
    return DMI_OK;
}

static size_t picture_size(const dm_dataset *dataset) {
    return (size_t)dataset->height * (size_t)dataset->width * (size_t)dataset->channels;
}

static void free_state(dm_dataset *dataset) { dmi_free(&dataset->context->host, dataset->state); }

/* ---- memory ---- */

typedef struct memory_state {
    const uint8_t *pixels;
    const int32_t *labels; /* or NULL */
} memory_state;

static int32_t read_memory(const dm_dataset *dataset, uint64_t index, uint8_t *pixels,
                           int32_t *label) {
    const memory_state *state = dataset->state;
    const size_t size = picture_size(dataset);
    memcpy(pixels, state->pixels + (size_t)index * size, size);
    if (label != NULL) *label = state->labels != NULL ? state->labels[index] : -1;
    return DMI_OK;
}

/* All the pictures of an array can be addressed, unless its size is a lie. */
static int32_t check_addressable(dmi_host *host, uint64_t count, int32_t height, int32_t width,
                                 int32_t channels) {
    size_t bytes = 1;
    const uint64_t sides[] = {count, (uint64_t)height, (uint64_t)width, (uint64_t)channels};
    for (size_t i = 0; i < sizeof sides / sizeof sides[0]; i++)
        if (sides[i] > SIZE_MAX || !dmi_mul(bytes, (size_t)sides[i], &bytes))
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "dataset: 'count' is %llu; so many pictures of %d x %d x %d bytes "
                            "cannot be addressed",
                            (unsigned long long)count, height, width, channels);
    return DMI_OK;
}

/* *classes: one more than the largest label; 0 where no picture has one. */
static int32_t count_classes(dmi_host *host, int32_t *classes, const int32_t *labels,
                             uint64_t count) {
    *classes = 0;
    for (uint64_t i = 0; labels != NULL && i < count; i++) {
        if (labels[i] < -1 || labels[i] == INT32_MAX)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "dataset: label %llu is %d; it must be from 0 to %d, or -1 for none",
                            (unsigned long long)i, labels[i], INT32_MAX - 1);
        if (labels[i] >= *classes) *classes = labels[i] + 1;
    }
    return DMI_OK;
}

int32_t dm_dataset_from_memory(dm_dataset **out, dm_context *context, const uint8_t *pixels,
                               const int32_t *labels, uint64_t count, int32_t height, int32_t width,
                               int32_t channels) {
    if (out != NULL) *out = NULL;
    if (context == NULL) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (out == NULL) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "dataset: 'out' is NULL");
    if (pixels == NULL)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "dataset: 'pixels' is NULL");
    dm_dataset *dataset;
    int32_t status = new_of_shape(&dataset, context, count, height, width, channels);
    if (status != DMI_OK) return status;
    status = check_addressable(host, count, height, width, channels);
    if (status == DMI_OK) status = count_classes(host, &dataset->classes, labels, count);
    if (status == DMI_OK)
        status = dmi_alloc(host, &dataset->state, sizeof(memory_state), "dataset");
    if (status != DMI_OK) {
        dm_dataset_destroy(dataset);
        return status;
    }
    *(memory_state *)dataset->state = (memory_state){pixels, labels};
    dataset->read = read_memory;
    dataset->close = free_state;
    dataset->concurrent = true;
    *out = dataset;
    return DM_OK;
}

/* ---- callback ---- */

typedef struct callback_state {
    dm_dataset_read read;
    void *user;
} callback_state;

static int32_t read_callback(const dm_dataset *dataset, uint64_t index, uint8_t *pixels,
                             int32_t *label) {
    const callback_state *state = dataset->state;
    dmi_host *host = &dataset->context->host;
    int32_t its_label = -1;
    const int32_t answer = state->read(state->user, index, pixels, &its_label);
    if (answer != 0)
        return dmi_fail(host, DM_ERROR_CALLBACK_FAILED,
                        "dataset: the callback answered %d for picture %llu", answer,
                        (unsigned long long)index);
    if (its_label < -1)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "dataset: the callback gave label %d to picture %llu; it must be from 0, "
                        "or -1 for none",
                        its_label, (unsigned long long)index);
    if (label != NULL) *label = its_label;
    return DMI_OK;
}

int32_t dm_dataset_from_callback(dm_dataset **out, dm_context *context, dm_dataset_read read,
                                 void *user, uint64_t count, int32_t height, int32_t width,
                                 int32_t channels) {
    if (out != NULL) *out = NULL;
    if (context == NULL) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (out == NULL) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "dataset: 'out' is NULL");
    if (read == NULL) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "dataset: 'read' is NULL");
    dm_dataset *dataset;
    int32_t status = new_of_shape(&dataset, context, count, height, width, channels);
    if (status != DMI_OK) return status;
    status = dmi_alloc(host, &dataset->state, sizeof(callback_state), "dataset");
    if (status != DMI_OK) {
        dm_dataset_destroy(dataset);
        return status;
    }
    *(callback_state *)dataset->state = (callback_state){read, user};
    dataset->read = read_callback;
    dataset->close = free_state;
    *out = dataset;
    return DM_OK;
}
