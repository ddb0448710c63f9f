/* SPDX-License-Identifier: MIT */
/* What pictures were drawn with, in the texts of their PNG files. */
#ifndef DIFFUSION_SAMPLE_PICTURE_TEXTS_H
#define DIFFUSION_SAMPLE_PICTURE_TEXTS_H

#include <diffusion.h>

#include "picture/png_text.h"

typedef struct picture_origin {
    const char *model; /* its path */
    const dm_unet *unet;
    const dm_sampler_options *options;
    const char *steps; /* of several runs, "5,10"; NULL: those of the options */
    uint64_t seed, count;
} picture_origin;

/* Returns a status. */
int32_t add_picture_texts(png_texts *t, const picture_origin *o);

#endif
