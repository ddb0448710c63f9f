/* SPDX-License-Identifier: MIT */
/* A run of `diffusion sample`. */
#ifndef DIFFUSION_SAMPLE_JOB_H
#define DIFFUSION_SAMPLE_JOB_H

#include "console/progress.h"
#include "picture/image_write.h"
#include "sample/conditions.h"
#include "sample/sample_options.h"

typedef struct sample_job {
    const command_line *line;
    sample_options *o;
    dm_context *context;
    model model;
    dm_sampler *sampler;
    dm_unet_options u;
    size_t pixels, elements;     /* of one image */
    float *images;               /* [runs, count, elements] */
    float *image, *mask, *noise; /* [count, elements], the mask [count, pixels] */
    int32_t *labels;
    conditions conditions;
    progress bar;
    animation animation;
    png_texts texts;
    dm_status profiled; /* a profile that cannot be printed is reported after the images */
} sample_job;

/* Writes j->noise: interpolated between two seeds, or around that of an image, of which the first
 * of j->images becomes the scratch. Returns a status. */
dm_status interpolate_seeds(sample_job *j);
dm_status vary_image(sample_job *j, float *inverted);
/* Writes the grid and what else was asked for. Returns a status or REPORTED. */
int32_t write_files(sample_job *j, const dm_image_grid_options *grid);

#endif
