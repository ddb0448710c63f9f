/* SPDX-License-Identifier: MIT */
/* What a network with conditions draws from. */
#ifndef DIFFUSION_SAMPLE_CONDITIONS_H
#define DIFFUSION_SAMPLE_CONDITIONS_H

#include "command/line.h"

typedef struct conditions {
    float *images, *vectors;                /* or NULL */
    size_t image_elements, vector_elements; /* of all images that are drawn */
} conditions;

/* Reads --condition, a picture or a folder of them that are taken in turn, and --vector, numbers
 * with commas, for `count` images. Each must be given where the network takes it and cannot be
 * where not. 0, or REPORTED. */
int32_t read_conditions(conditions *out, const command_line *line, const dm_unet_options *u,
                        size_t count, const char *path, const char *vector);
void free_conditions(conditions *c);
void set_conditions(dm_sampler_request *r, const conditions *c);

#endif
