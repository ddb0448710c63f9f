/* SPDX-License-Identifier: MIT */
/* Datasets: generated, from memory, from a callback, from files of CIFAR-10. */
#include "cases.h"
#include "cifar.h"

static dm_status shapes(world *w) {
    dm_dataset *made;
    const dm_status status = CALL(dm_dataset_create_shapes, &made, w->context, 16, 6, 3);
    w->made[MADE_DATASET] = made;
    return status;
}

static dm_status described_shapes(world *w) {
    dm_dataset *made;
    const dm_status status = CALL(dm_dataset_create_described_shapes, &made, w->context, 16, 6, 3);
    w->made[MADE_DATASET] = made;
    return status;
}

static dm_status with_conditions(world *w) {
    dm_dataset *made;
    dm_dataset_memory m = world_conditional_memory(w);
    m.copy = w->variant;
    const dm_status status = CALL(dm_dataset_create_from_memory, &made, w->context, &m);
    w->made[MADE_DATASET] = made;
    return status;
}

static dm_status from_memory(world *w) {
    dm_dataset *made;
    dm_dataset_memory m;
    dm_dataset_memory_init(&m, sizeof m);
    m.copy = w->variant;
    m.count = m.label_count = IMAGES;
    m.height = m.width = SIDE;
    m.channels = CHANNELS;
    m.pixel_bytes = IMAGES * ELEMENTS;
    m.pixels = w->pixels;
    m.labels = w->labels;
    const dm_status status = CALL(dm_dataset_create_from_memory, &made, w->context, &m);
    w->made[MADE_DATASET] = made;
    return status;
}

static int32_t read_item(void *user, dm_dataset_item *item) {
    const world *w = user;
    for (uint64_t i = 0; i < item->pixel_bytes; i++)
        item->pixels[i] = w->pixels[item->index * ELEMENTS + i];
    item->label = w->labels[item->index];
    for (uint64_t i = 0; i < item->condition_vector_elements; i++)
        item->condition_vector[i] = w->vectors[i];
    return 0;
}

static dm_status from_callback(world *w) {
    dm_dataset *made;
    dm_dataset_callback c;
    dm_dataset_callback_init(&c, sizeof c);
    c.classes = CLASSES;
    c.count = IMAGES;
    c.height = c.width = SIDE;
    c.channels = CHANNELS;
    c.read = read_item;
    c.user = w;
    c.condition_channels = w->variant ? CHANNELS : 0;
    c.condition_size = w->variant ? VECTOR : 0;
    const dm_status status = CALL(dm_dataset_create_from_callback, &made, w->context, &c);
    w->made[MADE_DATASET] = made;
    return status;
}

/* An image of shapes is drawn in the call. */
static void make_shapes(world *w) {
    PREPARE(w, dm_dataset_create_shapes(&w->dataset, w->context, 16, 6, 3));
}

static dm_status get_image(world *w) {
    int32_t label;
    w->output_size = 16 * 16 * 3;
    return CALL(dm_dataset_get_image, w->dataset, 4, w->output, w->output_size, &label);
}

/* ---- conditions ---- */

static dm_status downscaled(world *w) {
    dm_dataset *made;
    const dm_status status = CALL(dm_dataset_create_downscaled, &made, w->dataset, 4);
    w->made[MADE_DATASET] = made;
    return status;
}

static void make_downscaled(world *w) {
    PREPARE(w, dm_dataset_create_described_shapes(&w->unread, w->context, 16, 6, 3));
    PREPARE(w, dm_dataset_create_downscaled(&w->dataset, w->unread, 4));
}

static dm_status get_condition(world *w) {
    float vector[6];
    const dm_status status =
        CALL(dm_dataset_get_condition, w->dataset, 4, w->output, 16 * 16 * 3, vector, 6);
    w->output_size = 16 * 16 * 3;
    return status;
}

static void write_cifar(world *w) { cifar_write(w, w->variant); }

static dm_status load_cifar(world *w) {
    dm_dataset *made;
    const dm_split split = w->variant == CIFAR_TEST_SPLIT ? DM_SPLIT_TEST : DM_SPLIT_TRAIN;
    const dm_status status = CALL(dm_dataset_load_cifar10, &made, w->context, w->path, split);
    w->made[MADE_DATASET] = made;
    return status;
}

const alloc_case cases_dataset[] = {
    {"dataset_create_shapes", NULL, shapes, 0, 0},
    {"dataset_create_from_memory", NULL, from_memory, 0, 0},
    {"dataset_create_from_memory, copy", NULL, from_memory, 1, 0},
    {"dataset_create_from_callback", NULL, from_callback, 0, 0},
    {"dataset_create_from_callback, conditions", NULL, from_callback, 1, 0},
    {"dataset_create_from_memory, conditions", NULL, with_conditions, 0, 0},
    {"dataset_create_from_memory, copied conditions", NULL, with_conditions, 1, 0},
    {"dataset_create_described_shapes", NULL, described_shapes, 0, 0},
    {"dataset_create_downscaled", make_shapes, downscaled, 0, 0},
    {"dataset_get_condition", make_downscaled, get_condition, 0, 0},
    {"dataset_get_image, shapes", make_shapes, get_image, 0, 0},
    {"cifar10, folder", write_cifar, load_cifar, CIFAR_FOLDER, 0},
    {"cifar10, test split", write_cifar, load_cifar, CIFAR_TEST_SPLIT, 0},
    {"cifar10, folder in it", write_cifar, load_cifar, CIFAR_FOLDER_INSIDE, 0},
    {"cifar10, tar", write_cifar, load_cifar, CIFAR_TAR, 0},
    {"cifar10, tar.gz", write_cifar, load_cifar, CIFAR_TARGZ, 0},
    {"cifar10, missing batch", write_cifar, load_cifar, CIFAR_MISSING, CASE_FAILS},
    {"cifar10, size", write_cifar, load_cifar, CIFAR_SIZE, CASE_FAILS},
    {"cifar10, label", write_cifar, load_cifar, CIFAR_LABEL, CASE_FAILS},
    {"cifar10, no folder", write_cifar, load_cifar, CIFAR_ABSENT, CASE_FAILS},
    {"cifar10, cut tar.gz", write_cifar, load_cifar, CIFAR_CUT, CASE_FAILS},
    {"cifar10, damaged tar.gz", write_cifar, load_cifar, CIFAR_DAMAGED, CASE_FAILS},
    {"cifar10, tar.gz checksum", write_cifar, load_cifar, CIFAR_CHECKSUM, CASE_FAILS},
    {"cifar10, tar header", write_cifar, load_cifar, CIFAR_HEADER, CASE_FAILS},
    {"cifar10, no archive", write_cifar, load_cifar, CIFAR_TEXT, CASE_FAILS},
    {NULL, NULL, NULL, 0, 0}};
