/* SPDX-License-Identifier: MIT */
/* Reading PNG files: images to sample from, masks, and images to train on. Functions print what is
 * wrong, with `program` before it. */
#ifndef EXAMPLES_IMAGE_READ_H
#define EXAMPLES_IMAGE_READ_H

#include <stdint.h>

/* The size of a PNG; channels are 1 if it is grey, else 3. 0, or 1 after printing why not. */
int read_image_size(const char *program, const char *path, int32_t *height, int32_t *width,
                    int32_t *channels);
/* Its bytes [height, width, channels], to be freed by the caller, over white where it is
 * transparent. NULL after printing why not; a PNG of another size is refused with `expected` in the
 * message: "cat.png has 3 x 3 pixels; `expected` 32 x 32". */
uint8_t *read_pixels(const char *program, const char *path, int32_t height, int32_t width,
                     int32_t channels, const char *expected);
/* A PNG as floats [height, width, channels] in [-1, 1], with 1 or 3 channels. 0, or 1 after
 * printing why not. */
int read_image(const char *program, const char *path, float *image, int32_t height, int32_t width,
               int32_t channels);
/* A PNG as a mask [height, width]: 1 for white, 0 for black, in between for grey. */
int read_mask(const char *program, const char *path, float *mask, int32_t height, int32_t width);

#endif
