/* SPDX-License-Identifier: MIT */
/* See image_read.h. */
#include "image_read.h"

#include <diffusion.h>
#include <stdio.h>
#include <stdlib.h>

static const char of_network[] = "the network's images have";

int read_image(const char *program, const char *path, float *image, int32_t height, int32_t width,
               int32_t channels) {
    if (channels != 1 && channels != 3) {
        fprintf(stderr, "%s: %s: the network's images have %d channels; a PNG is read as 1 or 3\n",
                program, path, (int)channels);
        return 1;
    }
    uint8_t *pixels = read_pixels(program, path, height, width, channels, of_network);
    if (!pixels) return 1;
    dm_image_from_u8(image, pixels, (size_t)height * (size_t)width * (size_t)channels);
    free(pixels);
    return 0;
}

int read_mask(const char *program, const char *path, float *mask, int32_t height, int32_t width) {
    uint8_t *pixels = read_pixels(program, path, height, width, 1, of_network);
    if (!pixels) return 1;
    for (int32_t i = 0; i < height * width; i++) mask[i] = (float)pixels[i] / 255;
    free(pixels);
    return 0;
}
