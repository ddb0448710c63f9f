/* SPDX-License-Identifier: MIT */
/* Rows of im2col's matrix: what the kernel reads of the input for a tile of output pixels. */
#ifndef DMI_AUTOGRAD_CONV_GATHER_H
#define DMI_AUTOGRAD_CONV_GATHER_H

#include "autograd/conv/conv.h"

/* Output pixels `pixel` to pixel + pixels - 1 of one image, input channels `channel` to channel +
 * channels - 1. */
typedef struct dmi_input_tile {
    int32_t pixel, pixels, channel, channels;
} dmi_input_tile;

/* to [channels] = (or += where `add`) from [channels] */
static inline void dmi_copy_pixel(const dmi_kernels *k, float *to, const float *from,
                                  size_t channels, bool add) {
    k->copy_rows(to, channels, from, channels, 1, channels, add);
}

/* matrix [pixels, channels] (row stride `stride`) = what `tap` reads from image [ih, iw, ci] for
 * the tile's pixels. */
void dmi_gather(const dmi_kernels *k, const dmi_conv_shape *s, float *matrix, size_t stride,
                const float *image, int32_t tap, dmi_input_tile t);

/* The output pixels of a task: of one image, or of several whole images of fewer pixels. */
enum { DMI_TILE_PIXELS = 64 };

/* Pixels `pixel` to pixel + pixels - 1 of each of the images n to n + images - 1. */
typedef struct dmi_pixel_tile {
    int32_t n, images, pixel, pixels;
} dmi_pixel_tile;

int32_t dmi_pixel_tile_count(const dmi_conv_shape *s);
dmi_pixel_tile dmi_pixel_tile_of(const dmi_conv_shape *s, int32_t number);

/* rows [images, pixels, row] = what all taps read for the tile's pixels, [taps, ci], then zeros;
 * x [n, ih, iw, ci] are all images. */
void dmi_gather_rows(const dmi_kernels *k, const dmi_conv_shape *s, float *rows, size_t row,
                     const float *x, const dmi_pixel_tile *t);
/* The same of bfloat16; ci and `row` are even. */
void dmi_gather_rows_bf16(const dmi_kernels *k, const dmi_conv_shape *s, uint16_t *rows, size_t row,
                          const uint16_t *x, const dmi_pixel_tile *t);

#endif
