/* SPDX-License-Identifier: MIT */
/* Generated shapes: a dataset without a file. Image i follows from (seed, i). */
#include "base/random.h"
#include "dataset/dataset.h"
#include "dataset/shape_drawing.h"

enum { SIDE_MIN = 16, SIDE_MAX = 64 };

typedef struct shapes_state {
    uint64_t seed;
} shapes_state;

_Static_assert(DMI_SHAPE_DESCRIPTION == 6, "the header says x, y, size, r, g, b");

static const char *const names[DMI_SHAPES] = {"circle", "square", "triangle", "star",    "ring",
                                              "cross",  "heart",  "moon",     "diamond", "arrow"};

/* Every ten images in a row have all ten classes. */
static dm_status read_shape(const dm_dataset *dataset, uint64_t index, dmi_dataset_image *image) {
    const shapes_state *state = dataset->state;
    const int32_t shape = (int32_t)(index % DMI_SHAPES);
    const dmi_random random = dmi_random_at(state->seed, DMI_STREAM_BUILTIN, index);
    float numbers[DMI_SHAPE_NUMBERS];
    dmi_random_uniform(&random, numbers, DMI_SHAPE_NUMBERS);
    dmi_shape_draw(image->pixels, dataset->width, shape, numbers);
    if (image->condition_vector) dmi_shape_describe(image->condition_vector, numbers);
    image->label = shape;
    return DM_OK;
}

/* The parameters determine the images, so none is generated here. */
static uint64_t fingerprint(int32_t size, uint64_t count, uint64_t seed, bool described) {
    uint64_t hash = dmi_hash(DMI_HASH_START, "shapes", sizeof "shapes");
    if (described) hash = dmi_hash(hash, "described", sizeof "described");
    hash = dmi_hash(hash, &size, sizeof size);
    hash = dmi_hash(hash, &count, sizeof count);
    hash = dmi_hash(hash, &seed, sizeof seed);
    return hash ? hash : 1;
}

static dm_status fill(dm_dataset *dataset, int32_t size, uint64_t count, uint64_t seed,
                      bool described) {
    shapes_state *state;
    dm_status status = dmi_alloc(&dataset->context->host, &state, sizeof *state, "shapes");
    if (status) return status;
    state->seed = seed;
    dataset->state = state;
    dataset->read = read_shape;
    dataset->concurrent = true;
    dataset->count = count;
    dataset->height = dataset->width = size;
    dataset->channels = 3;
    dataset->classes = DMI_SHAPES;
    dataset->class_names = names;
    dataset->condition_size = described ? DMI_SHAPE_DESCRIPTION : 0;
    dataset->fingerprint = fingerprint(size, count, seed, described);
    return DM_OK;
}

static dm_status create(dm_dataset **out, dm_context *context, int32_t size, uint64_t count,
                        uint64_t seed, bool described) {
    dmi_host *host = &context->host;
    if (!out) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "shapes: 'out' is NULL");
    dm_status status = dmi_check_range(host, "shapes", "size", size, SIDE_MIN, SIDE_MAX);
    if (!status) status = dmi_dataset_check_count(host, "shapes", count);
    if (status) return status;
    dm_dataset *dataset;
    status = dmi_dataset_new(&dataset, context);
    if (status) return status;
    status = fill(dataset, size, count, seed, described);
    if (status) {
        dmi_dataset_free(dataset);
        return status;
    }
    *out = dataset;
    return DM_OK;
}

dm_status dm_dataset_create_shapes(dm_dataset **out, dm_context *context, int32_t size,
                                   uint64_t count, uint64_t seed) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, create(out, context, size, count, seed, false));
}

dm_status dm_dataset_create_described_shapes(dm_dataset **out, dm_context *context, int32_t size,
                                             uint64_t count, uint64_t seed) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, create(out, context, size, count, seed, true));
}
