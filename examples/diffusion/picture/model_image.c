/* SPDX-License-Identifier: MIT */
/* See model_image.h. */
#include "picture/model_image.h"

#include <stdlib.h>

#include "picture/read.h"

/* [height, width, channels], to be freed; NULL after printing why not. */
static uint8_t *read_pixels(const command_line *line, const char *path, int32_t height,
                            int32_t width, int32_t channels) {
    picture p;
    char error[512];
    const picture_options options = {.channels = channels,
                                     .height = height,
                                     .width = width,
                                     .background = {255, 255, 255}};
    if (channels != 1 && channels != 3) {
        command_line_refuse(line, "%s: the network's images have %d channels; pictures have 1 or 3",
                            path, (int)channels);
        return NULL;
    }
    if (picture_read(&p, path, &options, error, sizeof error)) {
        command_line_refuse(line, "%s", error);
        return NULL;
    }
    uint8_t *pixels = malloc((size_t)height * (size_t)width * (size_t)channels);
    if (pixels) picture_crop(pixels, &p, height, width, 0.5, 0.5);
    else command_line_refuse(line, "%s: out of memory", path);
    picture_free(&p);
    return pixels;
}

int read_image(const command_line *line, const char *path, float *image, int32_t height,
               int32_t width, int32_t channels) {
    uint8_t *pixels = read_pixels(line, path, height, width, channels);
    if (!pixels) return REPORTED;
    dm_image_from_u8(image, pixels, (size_t)height * (size_t)width * (size_t)channels);
    free(pixels);
    return 0;
}

int read_mask(const command_line *line, const char *path, float *mask, int32_t height,
              int32_t width) {
    uint8_t *pixels = read_pixels(line, path, height, width, 1);
    if (!pixels) return REPORTED;
    for (size_t i = 0; i < (size_t)height * (size_t)width; i++) mask[i] = (float)pixels[i] / 255;
    free(pixels);
    return 0;
}
