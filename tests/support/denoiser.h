/* SPDX-License-Identifier: MIT */
/* Shorthand for the structs of samplers. */
#ifndef DM_TESTS_DENOISER_H
#define DM_TESTS_DENOISER_H

#include "diffusion.h"

/* A denoiser of those members; static storage, until the next call. */
const dm_denoiser *test_denoiser(dm_denoiser_evaluate evaluate, void *user, int32_t prediction,
                                 int32_t height, int32_t width, int32_t channels);
/* The request, after the element counts of its arrays were filled in. */
const dm_sampler_request *test_counted(const dm_sampler *sampler, dm_sampler_request *request);

#endif
