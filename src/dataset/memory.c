/* SPDX-License-Identifier: MIT */
/* Images in the caller's memory, or copied from it. */
#include <string.h>

#include "dataset/dataset.h"

typedef struct memory_state {
    const uint8_t *pixels;
    const int32_t *labels;           /* or NULL */
    const uint8_t *condition_images; /* likewise */
    const float *condition_vectors;
    /* Copies, or NULL. */
    uint8_t *own_pixels;
    int32_t *own_labels;
    uint8_t *own_condition_images;
    float *own_condition_vectors;
} memory_state;

dm_status dm_dataset_memory_init(dm_dataset_memory *memory, size_t size) {
    return dmi_struct_init(&dmi_struct_dataset_memory, memory, size);
}

static dm_status read_memory(const dm_dataset *dataset, uint64_t index, dmi_dataset_image *image) {
    const memory_state *state = dataset->state;
    const size_t size = dmi_dataset_image_bytes(dataset),
                 bytes = dmi_dataset_condition_bytes(dataset),
                 floats = (size_t)dataset->condition_size;
    memcpy(image->pixels, state->pixels + (size_t)index * size, size);
    if (image->condition_image)
        memcpy(image->condition_image, state->condition_images + (size_t)index * bytes, bytes);
    if (image->condition_vector)
        memcpy(image->condition_vector, state->condition_vectors + (size_t)index * floats,
               floats * sizeof(float));
    image->label = state->labels ? state->labels[index] : -1;
    return DM_OK;
}

static void free_state(dm_dataset *dataset) {
    dmi_host *host = &dataset->context->host;
    memory_state *state = dataset->state;
    if (!state) return;
    dmi_free(host, state->own_pixels);
    dmi_free(host, state->own_labels);
    dmi_free(host, state->own_condition_images);
    dmi_free(host, state->own_condition_vectors);
}

static dm_status check_sizes(dmi_host *host, const dm_dataset_memory *m) {
    size_t bytes = 1;
    const uint64_t sides[] = {m->count, (uint64_t)m->height, (uint64_t)m->width,
                              (uint64_t)m->channels};
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        if (sides[i] > SIZE_MAX || !dmi_mul(bytes, (size_t)sides[i], &bytes))
            return dmi_fail(
                host, DM_ERROR_INVALID_ARGUMENT,
                "dataset: 'count' is %llu; this many images of %d x %d x %d bytes cannot "
                "be addressed",
                (unsigned long long)m->count, (int)m->height, (int)m->width, (int)m->channels);
    if (m->pixel_bytes != bytes)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "dataset: 'pixel_bytes' is %llu; %llu images of %d x %d x %d have %zu",
                        (unsigned long long)m->pixel_bytes, (unsigned long long)m->count,
                        (int)m->height, (int)m->width, (int)m->channels, bytes);
    if (m->label_count != (m->labels ? m->count : 0))
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "dataset: 'label_count' is %llu; it must be %llu",
                        (unsigned long long)m->label_count,
                        (unsigned long long)(m->labels ? m->count : 0));
    return DM_OK;
}

/* One condition: `size`, the number of its elements in one image, says whether there is one. */
static dm_status check_condition(dmi_host *host, const dm_dataset_memory *m, const char *array_name,
                                 const char *size_name, const void *array, uint64_t elements,
                                 uint64_t size) {
    size_t wanted;
    if (array && size == 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "dataset: '%s' is given, but the size of this condition is 0", array_name);
    if (!array && size)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "dataset: '%s' is NULL, but the size of this condition is not 0",
                        array_name);
    if (size > SIZE_MAX || !dmi_mul((size_t)m->count, (size_t)size, &wanted) ||
        wanted > SIZE_MAX / sizeof(float))
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "dataset: 'count' is %llu; '%s' of this many images cannot be addressed",
                        (unsigned long long)m->count, array_name);
    if (elements == wanted) return DM_OK;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH, "dataset: '%s' is %llu; it must be %zu",
                    size_name, (unsigned long long)elements, wanted);
}

static dm_status check_conditions(dmi_host *host, const dm_dataset_memory *m) {
    const uint64_t pixels = (uint64_t)m->height * (uint64_t)m->width,
                   size = (uint64_t)m->condition_size;
    dm_status status =
        check_condition(host, m, "condition_images", "condition_image_bytes", m->condition_images,
                        m->condition_image_bytes, pixels * (uint64_t)m->condition_channels);
    if (!status)
        status = check_condition(host, m, "condition_vectors", "condition_vector_elements",
                                 m->condition_vectors, m->condition_vector_elements, size);
    for (uint64_t i = 0; !status && m->condition_vectors && i < m->count; i++)
        status =
            dmi_dataset_check_vector(host, i, m->condition_vectors + i * size, m->condition_size);
    return status;
}

/* *classes: one more than the largest label; 0 if no image has one. */
static dm_status count_classes(dmi_host *host, int32_t *classes, const int32_t *labels,
                               uint64_t count) {
    *classes = 0;
    for (uint64_t i = 0; labels && i < count; i++) {
        if (labels[i] < -1 || labels[i] == INT32_MAX)
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "dataset: label %llu is %d; it must be from 0 to %d, or -1 for none",
                            (unsigned long long)i, (int)labels[i], INT32_MAX - 1);
        if (labels[i] >= *classes) *classes = labels[i] + 1;
    }
    return DM_OK;
}

/* Copies an array; *copy stays NULL without one. `copy` is the address of the pointer. */
static dm_status copy_array(dmi_host *host, void *copy, const void *array, uint64_t bytes,
                            const char *what) {
    if (!array) return DM_OK;
    dm_status status = dmi_alloc(host, copy, (size_t)bytes, what);
    if (!status) memcpy(*(void **)copy, array, (size_t)bytes);
    return status;
}

static dm_status copy_arrays(dmi_host *host, memory_state *state, const dm_dataset_memory *m) {
    dm_status status =
        copy_array(host, &state->own_pixels, m->pixels, m->pixel_bytes, "dataset: pixels");
    if (!status)
        status = copy_array(host, &state->own_labels, m->labels, m->count * sizeof(int32_t),
                            "dataset: labels");
    if (!status)
        status = copy_array(host, &state->own_condition_images, m->condition_images,
                            m->condition_image_bytes, "dataset: condition images");
    if (!status)
        status =
            copy_array(host, &state->own_condition_vectors, m->condition_vectors,
                       m->condition_vector_elements * sizeof(float), "dataset: condition vectors");
    state->pixels = state->own_pixels;
    state->labels = state->own_labels;
    state->condition_images = state->own_condition_images;
    state->condition_vectors = state->own_condition_vectors;
    return status;
}

static dm_status fill(dm_dataset *dataset, const dm_dataset_memory *m) {
    dmi_host *host = &dataset->context->host;
    memory_state *state;
    dm_status status = dmi_alloc_zero(host, &state, 1, sizeof *state, "dataset");
    if (status) return status;
    dataset->state = state;
    dataset->free_state = free_state;
    dataset->read = read_memory;
    dataset->concurrent = true;
    dataset->count = m->count;
    dataset->height = m->height;
    dataset->width = m->width;
    dataset->channels = m->channels;
    state->pixels = m->pixels;
    state->labels = m->labels;
    state->condition_images = m->condition_images;
    state->condition_vectors = m->condition_vectors;
    dataset->condition_channels = m->condition_channels;
    dataset->condition_size = m->condition_size;
    dataset->vector_invariant = m->vector_invariant;
    status = count_classes(host, &dataset->classes, m->labels, m->count);
    /* Classes without images have names too. */
    if (!status && m->labels && m->class_names && m->class_name_count < INT32_MAX &&
        (int32_t)m->class_name_count > dataset->classes)
        dataset->classes = (int32_t)m->class_name_count;
    if (!status) status = dmi_dataset_set_names(dataset, m->class_names, m->class_name_count);
    if (!status && m->copy) status = copy_arrays(host, state, m);
    return status ? status : dmi_dataset_set_fingerprint(dataset);
}

static dm_status create(dm_dataset **out, dm_context *context, const dm_dataset_memory *memory) {
    dmi_host *host = &context->host;
    dm_dataset_memory m;
    if (!out || !memory)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "dataset: '%s' is NULL",
                        out ? "memory" : "out");
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_dataset_memory, &m, memory);
    if (!status) status = dmi_dataset_check_count(host, "dataset", m.count);
    if (!status && !m.pixels)
        status = dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "dataset: 'pixels' is NULL");
    if (!status) status = check_sizes(host, &m);
    if (!status) status = check_conditions(host, &m);
    if (status) return status;
    dm_dataset *dataset;
    status = dmi_dataset_new(&dataset, context);
    if (status) return status;
    status = fill(dataset, &m);
    if (status) {
        dmi_dataset_free(dataset);
        return status;
    }
    *out = dataset;
    return DM_OK;
}

dm_status dm_dataset_create_from_memory(dm_dataset **out, dm_context *context,
                                        const dm_dataset_memory *memory) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, create(out, context, memory));
}
