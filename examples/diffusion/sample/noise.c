/* SPDX-License-Identifier: MIT */
/* See job.h: noise that a run begins with in place of that of its seeds. */
#include <stdlib.h>

#include "console/interrupt.h"
#include "sample/job.h"

static int32_t on_inverted(void *user, const dm_sampler_progress *p) {
    (void)user;
    (void)p;
    return interrupt_signal() != 0;
}

static dm_status initial_noise(const sample_job *j, uint64_t seed, uint64_t count, float *noise) {
    dm_sampler_request r = j->o->request;
    r.count = count;
    r.seed = seed;
    r.strength = 1;
    r.repaint_repetitions = 1;
    r.labels = j->labels;
    r.label_count = j->labels ? count : 0;
    return dm_sampler_initial_noise(j->sampler, &r, noise, (size_t)count * j->elements);
}

/* From the noise of --seed to that of --between. */
dm_status interpolate_seeds(sample_job *j) {
    size_t n = j->elements, count = (size_t)j->o->count;
    float *ends = malloc(2 * n * sizeof *ends);
    if (!ends) return DM_ERROR_OUT_OF_MEMORY;
    dm_status status = initial_noise(j, j->o->request.seed, 1, ends);
    if (!status) status = initial_noise(j, (uint64_t)j->o->between, 1, ends + n);
    for (size_t i = 0; !status && i < count; i++)
        status = dm_noise_interpolate(j->noise + i * n, ends, ends + n,
                                      count > 1 ? (double)i / (double)(count - 1) : 0, n);
    free(ends);
    return status;
}

/* Around the noise to which the image is inverted. The first image is the inversion itself.
 * inverted: [elements]. */
dm_status vary_image(sample_job *j, float *inverted) {
    size_t n = j->elements, count = (size_t)j->o->count;
    dm_sampler_request r;
    dm_sampler_request_init(&r, sizeof r);
    r.image = j->image;
    r.image_elements = n;
    r.labels = j->labels;
    r.label_count = j->labels ? 1 : 0;
    r.progress = on_inverted;
    dm_status status = dm_sampler_invert(j->sampler, &r, inverted, n);
    if (!status) status = initial_noise(j, j->o->request.seed, count, j->noise);
    for (size_t i = 0; !status && i < count; i++)
        status = dm_noise_interpolate(j->noise + i * n, inverted, j->noise + i * n,
                                      i == 0 ? 0 : j->o->vary, n);
    return status;
}
