/* SPDX-License-Identifier: MIT */
/* Rows of im2col's matrix: what a tap of the kernel reads of the input for a tile of output
 * pixels. */
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

#endif
