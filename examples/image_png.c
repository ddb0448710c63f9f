/* SPDX-License-Identifier: MIT */
/* The functions of image_read.h that decode PNG, by libpng. */
#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image_read.h"

/* Begins to read `path`; *file is to be closed where this is true. */
static int begin(png_image *image, const char *program, const char *path, FILE **file) {
    *image = (png_image){.version = PNG_IMAGE_VERSION};
    *file = fopen(path, "rb");
    if (!*file) {
        fprintf(stderr, "%s: %s: %s\n", program, path, strerror(errno));
        return 0;
    }
    if (png_image_begin_read_from_stdio(image, *file)) return 1;
    fprintf(stderr, "%s: %s: %s\n", program, path, image->message);
    png_image_free(image);
    (void)fclose(*file); /* which was only read */
    return 0;
}

int read_image_size(const char *program, const char *path, int32_t *height, int32_t *width,
                    int32_t *channels) {
    png_image image;
    FILE *file;
    if (!begin(&image, program, path, &file)) return 1;
    *height = (int32_t)image.height;
    *width = (int32_t)image.width;
    *channels = image.format & PNG_FORMAT_FLAG_COLOR ? 3 : 1;
    png_image_free(&image);
    (void)fclose(file); /* which was only read */
    return 0;
}

uint8_t *read_pixels(const char *program, const char *path, int32_t height, int32_t width,
                     int32_t channels, const char *expected) {
    png_image image;
    png_color white = {255, 255, 255};
    uint8_t *pixels = NULL;
    FILE *file;
    if (!begin(&image, program, path, &file)) return NULL;
    if (image.width != (png_uint_32)width || image.height != (png_uint_32)height) {
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
    (void)fclose(file); /* which was only read */
    return pixels;
}
