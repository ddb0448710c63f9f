/* SPDX-License-Identifier: MIT */
/* Pictures from PNG and JPEG files: upright, over a colour where they are transparent, scaled to
 * cover a size. The functions keep nothing between calls and may be called by several threads. */
#ifndef DIFFUSION_PICTURE_READ_H
#define DIFFUSION_PICTURE_READ_H

#include <stddef.h>
#include <stdint.h>

typedef struct picture {
    int32_t height, width, channels;
    uint8_t *pixels; /* [height, width, channels] */
} picture;

typedef struct picture_options {
    int32_t channels;      /* 1: grey, the luma of ITU-R BT.601; 3: RGB */
    int32_t height, width; /* to cover: the picture is scaled, keeping its shape, to the smallest
                              size with at least these; 0, 0: as it is */
    uint8_t background[3]; /* RGB, under transparent pixels */
} picture_options;

typedef struct picture_info {
    int32_t height, width; /* upright */
    int32_t channels;      /* 1 or 3, of the file's own colours */
    int32_t alpha;         /* whether pixels can be transparent */
    int32_t bits;          /* of a colour: 1 to 16 */
} picture_info;

/* The kind of a file is found by its first bytes. Only regular files are read, with at most 65500
 * rows, 65500 columns and 2^28 pixels; so is what they are scaled to. JPEG files are turned by the
 * orientation in their Exif data. Values are taken as sRGB: gamma (gAMA) and colour profiles (ICC)
 * are ignored. A file that is cut off or damaged is an error.
 *
 * Functions return 0, or 1 with a text in error[capacity] that names the file. */

/* Reads headers only. */
int picture_probe(picture_info *info, const char *path, char *error, size_t capacity);
/* Memory, besides the result: a few rows; for an interlaced PNG 1 to 8 bytes a pixel, for a JPEG of
 * several scans 2 bytes for each stored value. After an error *out is all zero. */
int picture_read(picture *out, const char *path, const picture_options *options, char *error,
                 size_t capacity);
/* Sets *p to zero. */
void picture_free(picture *p);

/* Copies a part of a picture to [height, width, channels], which must not be larger than it. Where
 * in what is left over: (y, x) in [0, 1]; 0, 0 is the upper left corner and 0.5, 0.5 the centre. */
void picture_crop(uint8_t *to, const picture *p, int32_t height, int32_t width, double y, double x);
/* Whether a path ends in .png, .jpg or .jpeg, in any case. */
int picture_is_named(const char *path);

#endif
