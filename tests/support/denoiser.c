/* SPDX-License-Identifier: MIT */
/* See denoiser.h. */
#include "support/denoiser.h"

#include "support/support.h"

const dm_denoiser *test_denoiser(dm_denoiser_evaluate evaluate, void *user, int32_t prediction,
                                 int32_t height, int32_t width, int32_t channels) {
    static dm_denoiser denoiser;
    ck_assert_int_eq(dm_denoiser_init(&denoiser, sizeof denoiser), DM_OK);
    denoiser.evaluate = evaluate;
    denoiser.user = user;
    denoiser.prediction = prediction;
    denoiser.height = height;
    denoiser.width = width;
    denoiser.channels = channels;
    return &denoiser;
}

const dm_sampler_request *test_counted(const dm_sampler *sampler, dm_sampler_request *r) {
    int32_t height, width, channels;
    dm_sampler_shape(sampler, &height, &width, &channels);
    uint64_t pixels = r->count * (uint64_t)height * (uint64_t)width,
             elements = pixels * (uint64_t)channels;
    r->seed_count = r->seeds ? r->count : 0;
    r->label_count = r->labels ? r->count : 0;
    r->initial_noise_elements = r->initial_noise ? elements : 0;
    r->image_elements = r->image ? elements : 0;
    r->mask_elements = r->mask ? pixels : 0;
    return r;
}
