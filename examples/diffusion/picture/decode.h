/* SPDX-License-Identifier: MIT */
/* What the decoders of PNG and JPEG share; private to this folder. */
#ifndef DIFFUSION_PICTURE_DECODE_H
#define DIFFUSION_PICTURE_DECODE_H

#include <stdio.h>

#include "picture/read.h"

enum { PICTURE_MOST_SIDE = 65500, PICTURE_MOST_PIXELS = 1 << 28 };

/* An open file, and where its error goes. */
typedef struct picture_file {
    FILE *file;
    const char *path;
    int64_t bytes; /* its size */
    char *error;   /* [capacity] */
    size_t capacity;
} picture_file;

typedef struct picture_header {
    int32_t height, width; /* as stored */
    int32_t channels, alpha, bits;
    int32_t orientation; /* 1 to 8 as in Exif */
} picture_header;

/* Each reads a file from its start to `header` and, unless `options` is NULL, its pixels to `out`,
 * which is all zero; what is in it after an error is to be freed by the caller. 0, or 1 with a
 * text. */
int picture_decode_png(const picture_file *f, picture_header *header,
                       const picture_options *options, picture *out);
int picture_decode_jpeg(const picture_file *f, picture_header *header,
                        const picture_options *options, picture *out);

/* Writes "path: ..." as the error; returns 1. */
__attribute__((format(printf, 2, 3))) int picture_fail(const picture_file *f, const char *format,
                                                       ...);
/* A file that ended too early, or could not be read; returns 1. */
int picture_fail_short(const picture_file *f);
/* Refuses sizes over the limits; `what` is before them in the text. 0 or 1. */
int picture_check_size(const picture_file *f, const char *what, int64_t height, int64_t width);
/* The size as stored to which a picture is scaled. 0, or 1 if that is over the limits. */
int picture_target_size(const picture_file *f, const picture_header *header,
                        const picture_options *options, int32_t *height, int32_t *width);

/* The orientation in the data of a JPEG's APP1 marker: 1 to 8, or 0 where there is none. */
int32_t picture_exif_orientation(const uint8_t *data, size_t size);

/* Luma of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B, of values up to 65535, to nearest. */
static inline uint32_t picture_luma(uint32_t red, uint32_t green, uint32_t blue) {
    return (19595 * red + 38470 * green + 7471 * blue + 32768) >> 16;
}

#endif
