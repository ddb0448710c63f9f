/* SPDX-License-Identifier: MIT */
/* See run_sampler.h. */
#include "sample/run_sampler.h"

#include <stdlib.h>

#include "console/interrupt.h"

/* Conditions as the sampler takes them; NULL where the network has none. */
typedef struct conditions {
    uint8_t *pixels; /* of one image */
    float *images, *vectors;
    size_t image_elements, vector_elements; /* of one image */
} conditions;

static dm_status read_conditions(conditions *c, const sample_run *run, const dm_unet_options *u) {
    dm_status status = DM_OK;
    size_t count = (size_t)run->count;
    c->image_elements = (size_t)u->height * (size_t)u->width * (size_t)u->condition_channels;
    c->vector_elements = (size_t)u->condition_size;
    if (!count || !run->conditions || !(c->image_elements + c->vector_elements)) return DM_OK;
    if (c->image_elements) {
        c->pixels = malloc(c->image_elements);
        c->images = malloc(count * c->image_elements * sizeof *c->images);
        if (!c->pixels || !c->images) return DM_ERROR_OUT_OF_MEMORY;
    }
    if (c->vector_elements) {
        c->vectors = malloc(count * c->vector_elements * sizeof *c->vectors);
        if (!c->vectors) return DM_ERROR_OUT_OF_MEMORY;
    }
    dm_dataset_info info;
    dm_dataset_info_init(&info, sizeof info);
    status = dm_dataset_get_info(run->conditions, &info);
    for (size_t i = 0; !status && i < count; i++) {
        status = dm_dataset_get_condition(run->conditions, i % info.count, c->pixels,
                                          c->pixels ? c->image_elements : 0,
                                          c->vectors ? c->vectors + i * c->vector_elements : NULL,
                                          c->vector_elements);
        if (!status && c->pixels)
            status =
                dm_image_from_u8(c->images + i * c->image_elements, c->pixels, c->image_elements);
    }
    return status;
}

static void free_conditions(conditions *c) {
    free(c->pixels);
    free(c->images);
    free(c->vectors);
}

static int32_t stop_on_signal(void *user, const dm_sampler_progress *p) {
    (void)user;
    (void)p;
    return interrupt_signal() != 0;
}

dm_status run_sampler(const sample_run *run, float *images, int32_t *labels) {
    dm_unet_options u;
    dm_sampler_request r;
    dm_sampler *sampler = NULL;
    conditions c = {0};
    size_t count = (size_t)run->count;
    int32_t *own = NULL;
    dm_unet_options_init(&u, sizeof u);
    dm_sampler_request_init(&r, sizeof r);
    dm_status status = dm_unet_get_options(run->unet, &u, sizeof u);
    if (!labels) labels = own = malloc(count * sizeof *own);
    if (!labels) return DM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < count; i++)
        labels[i] = u.classes ? (int32_t)(i % (size_t)u.classes) : -1;
    if (!status) status = read_conditions(&c, run, &u);
    r.count = run->count;
    r.seed = run->seed;
    r.progress = run->progress ? run->progress : stop_on_signal;
    r.progress_user = run->user;
    r.labels = u.classes ? labels : NULL;
    r.label_count = u.classes ? r.count : 0;
    r.condition_image = c.images;
    r.condition_image_elements = c.images ? count * c.image_elements : 0;
    r.condition_vector = c.vectors;
    r.condition_vector_elements = c.vectors ? count * c.vector_elements : 0;
    if (!status) status = dm_sampler_create(&sampler, run->unet, run->schedule, run->options);
    if (!status)
        status =
            dm_sampler_run(sampler, &r, images,
                           count * (size_t)u.height * (size_t)u.width * (size_t)u.out_channels);
    dm_sampler_destroy(sampler);
    free_conditions(&c);
    free(own);
    return status;
}
