/* SPDX-License-Identifier: MIT */
/* Sampling within other commands: images of all classes in turn. */
#ifndef DIFFUSION_SAMPLE_RUN_SAMPLER_H
#define DIFFUSION_SAMPLE_RUN_SAMPLER_H

#include <diffusion.h>

typedef struct sample_run {
    dm_unet *unet;
    const dm_schedule *schedule;
    const dm_sampler_options *options;
    const dm_dataset *conditions; /* whose first images' conditions are taken, where the network
                                     needs them; else NULL */
    uint64_t count, seed;
    dm_sampler_callback progress; /* NULL: a signal stops it, and nothing is told */
    void *user;
} sample_run;

/* images: [count, height, width, channels]; labels: [count] or NULL, the classes that were drawn,
 * -1 without classes. */
dm_status run_sampler(const sample_run *run, float *images, int32_t *labels);

#endif
