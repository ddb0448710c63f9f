/* SPDX-License-Identifier: MIT */
/* See image_read.h. */
#include "image_read.h"

#include <diffusion.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>

static const char of_network[] = "the network's images have";

int read_image_size(const char *program, const char *path, int32_t *height, int32_t *width,
                    int32_t *channels) {
    png_image image = {.version = PNG_IMAGE_VERSION};
    int bad = !png_image_begin_read_from_file(&image, path);
    if (bad) fprintf(stderr, "%s: %s: %s\n", program, path, image.message);
    *height = (int32_t)image.height;
    *width = (int32_t)image.width;
    *channels = image.format & PNG_FORMAT_FLAG_COLOR ? 3 : 1;
    png_image_free(&image);
    return bad;
}

uint8_t *read_pixels(const char *program, const char *path, int32_t height, int32_t width,
                     int32_t channels, const char *expected) {
    png_image image = {.version = PNG_IMAGE_VERSION};
    png_color white = {255, 255, 255};
    uint8_t *pixels = NULL;
    if (!png_image_begin_read_from_file(&image, path)) {
        fprintf(stderr, "%s: %s: %s\n", program, path, image.message);
    } else if (image.width != (png_uint_32)width || image.height != (png_uint_32)height) {
        fprintf(stderr, "%s: %s has %u x %u pixels; %s %d x %d\n", program, path,
                (unsigned)image.width, (unsigned)image.height, expected, (int)width, (int)height);
    } else {
        image.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
        pixels = malloc(PNG_IMAGE_SIZE(image));
        if (!pixels || !png_image_finish_read(&image, &white, pixels, 0, NULL)) {
            fprintf(stderr, "%s: %s: %s\n", program, path,
                    pixels ? image.message : "out of memory");
            free(pixels);
            pixels = NULL;
        }
    }
    png_image_free(&image);
    return pixels;
}

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
