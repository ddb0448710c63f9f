/* SPDX-License-Identifier: MIT */
/* The end of a convolution whose sums are floats and whose y is bfloat16. */
#ifndef DMI_AUTOGRAD_CONV_EPILOGUE_BF16_H
#define DMI_AUTOGRAD_CONV_EPILOGUE_BF16_H

#include "autograd/conv/gather.h"
#include "autograd/conv/taps.h"

/* A part of y [n, image_pixels, co]: `channels` channels from `channel` on of `pixels` pixels of
 * image n, from `pixel` on. */
typedef struct dmi_bf16_tile {
    size_t n, image_pixels, pixel, pixels, co, channel, channels;
} dmi_bf16_tile;

/* y = (or += where e->add) sums [pixels, channels] (row stride) + the terms of the epilogue. `row`:
 * scratch [channels]. */
static inline void dmi_bf16_finish(const dmi_kernels *k, const dmi_epilogue *e, uint16_t *y,
                                   const dmi_bf16_tile *t, float *sums, size_t stride, float *row) {
    const size_t at = (t->n * t->image_pixels + t->pixel) * t->co + t->channel;
    if (e->bias) k->copy_rows(sums, stride, e->bias + t->channel, 0, t->pixels, t->channels, true);
    if (e->per_image)
        k->copy_rows(sums, stride, e->per_image + t->n * t->co + t->channel, 0, t->pixels,
                     t->channels, true);
    for (size_t i = 0; e->residual && i < t->pixels; i++) {
        k->widen_rows(row, t->channels, (const uint16_t *)e->residual + at + i * t->co, t->co, 1,
                      t->channels);
        k->copy_rows(sums + i * stride, stride, row, t->channels, 1, t->channels, true);
    }
    k->narrow_rows(y + at, t->co, sums, stride, t->pixels, t->channels, e->add);
}

/* The same of channels `channel` on of all images of a tile: sums [images, pixels, channels]. */
static inline void dmi_bf16_finish_tile(const dmi_kernels *k, const dmi_conv_shape *s,
                                        const dmi_epilogue *e, uint16_t *y, const dmi_pixel_tile *t,
                                        size_t channel, size_t channels, float *sums, size_t stride,
                                        float *row) {
    for (int32_t i = 0; i < t->images; i++) {
        const dmi_bf16_tile part = {.n = (size_t)(t->n + i),
                                    .image_pixels = (size_t)dmi_output_pixels(s),
                                    .pixel = (size_t)t->pixel,
                                    .pixels = (size_t)t->pixels,
                                    .co = (size_t)s->co,
                                    .channel = channel,
                                    .channels = channels};
        dmi_bf16_finish(k, e, y, &part, sums + (size_t)(i * t->pixels) * stride, stride, row);
    }
}

#endif
