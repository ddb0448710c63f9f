/* SPDX-License-Identifier: MIT */
/* What guided_classifier.c and guided_reconstruction.c share: a network of square images in colour
 * with a sampler, and pictures. */
#ifndef EXAMPLES_GUIDED_H
#define EXAMPLES_GUIDED_H

#include <diffusion.h>

enum { GUIDED_STEPS = 50, GUIDED_CHANNELS = 3, GUIDED_COLUMNS = 8 };

typedef struct guided {
    dm_context *context, *second;
    dm_unet *unet, *share; /* of the first and of the second context */
    dm_unet_options network;
    dm_schedule *schedule;
    dm_sampler *sampler; /* DDIM */
    int32_t width;       /* and height of an image */
    size_t n;            /* floats of an image */
    const char *picture; /* path */
    double weight;       /* of the guidance */
} guided;

/* main of a program MODEL.safetensors OUT.png [WEIGHT], around `work`. */
int guided_main(int argc, const char **argv, const char *program, double weight,
                dm_status (*work)(guided *g));
/* Writes the picture: rows of GUIDED_COLUMNS images [count, n]. */
dm_status guided_write(const guided *g, const float *images, uint64_t count);

#endif
