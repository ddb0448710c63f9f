/* SPDX-License-Identifier: MIT */
/* Callbacks for the structs that a fuzz target fills: each checks what it gets. */
#ifndef DM_TESTS_FUZZ_CALLBACKS_H
#define DM_TESTS_FUZZ_CALLBACKS_H

#include <string.h>

#include "fuzz/fuzz.h"

static inline int32_t denoise(void *user, const dm_denoiser_input *input, float *output,
                              size_t elements) {
    (void)user;
    for (size_t i = 0; i < elements; i++) output[i] = input->x[i] / 2;
    return 0;
}

static inline int32_t guide(void *user, dm_guidance_step *step) {
    (void)user;
    for (uint64_t i = 0; i < step->elements; i++) step->x_0[i] += step->eps[i] / 8;
    step->rederive = (int32_t)(step->first % 3);
    return 0;
}

static inline int32_t progress(void *user, const dm_sampler_progress *p) {
    (void)user;
    FUZZ_CHECK(p->step >= 1 && p->step <= p->steps && p->x_t && p->x_0);
    return 0;
}

static inline int32_t noise(void *user, const dm_noise_request *request, float *values,
                            size_t size) {
    (void)user;
    FUZZ_CHECK(size == request->count * request->elements);
    for (size_t i = 0; i < size; i++) values[i] = (float)(i % 3) - 1;
    return 0;
}

static inline int32_t read_item(void *user, dm_dataset_item *item) {
    (void)user;
    memset(item->pixels, 7, (size_t)item->pixel_bytes);
    item->label = 1;
    return 0;
}

static inline int32_t evaluated(void *user, uint64_t done, uint64_t total) {
    (void)user;
    FUZZ_CHECK(done <= total);
    return 0;
}

#endif
