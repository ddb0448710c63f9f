/* SPDX-License-Identifier: MIT */
/* Geometry shared by the algorithms that compute a convolution tap by tap (im2col, product). A tap
 * is one element (ky, kx) of the kernel, numbered ky * kernel + kx: for it, output pixel (r, c)
 * reads input pixel (r * stride + ky - pad, c * stride + kx - pad), halved where upsampled. */
#ifndef DMI_AUTOGRAD_CONV_TAPS_H
#define DMI_AUTOGRAD_CONV_TAPS_H

#include "autograd/conv/conv.h"

/* A 1x1 convolution: each pixel of y is the product of one pixel of x with the weight, so im2col is
 * the identity. */
static inline bool dmi_is_pointwise(const dmi_conv_shape *s) {
    return s->kernel == 1 && s->stride == 1 && s->pad == 0 && !s->upsample;
}

static inline int32_t dmi_taps(const dmi_conv_shape *s) { return s->kernel * s->kernel; }
static inline int32_t dmi_output_pixels(const dmi_conv_shape *s) { return s->oh * s->ow; }

/* Of one image. */
static inline size_t dmi_input_floats(const dmi_conv_shape *s) {
    return (size_t)s->ih * (size_t)s->iw * (size_t)s->ci;
}
static inline size_t dmi_output_floats(const dmi_conv_shape *s) {
    return (size_t)s->oh * (size_t)s->ow * (size_t)s->co;
}

static inline size_t dmi_weight_count(const dmi_conv_shape *s) {
    return (size_t)dmi_taps(s) * (size_t)s->ci * (size_t)s->co;
}

/* Consecutive pixels of one row of an image. */
typedef struct dmi_row_span {
    int32_t row, column, length;
} dmi_row_span;

/* Of `count` pixels from number `pixel` on, those in the first row; the image is `width` wide. */
static inline dmi_row_span dmi_row_span_at(int32_t width, int32_t pixel, int32_t count) {
    dmi_row_span span = {.row = pixel / width, .column = pixel % width};
    span.length = dmi_min(width - span.column, count);
    return span;
}

/* The input pixels that one tap reads for a span of output pixels. */
typedef struct dmi_pixel_run {
    int32_t row;        /* of the input as stored, or -1: outside */
    int32_t first, end; /* the output columns of the span whose input column is inside; for the
                           others the tap reads zero. Empty where the row is outside */
    int32_t shift;      /* input column = output column * stride + shift, halved where upsampled */
} dmi_pixel_run;

static inline dmi_pixel_run dmi_pixel_run_of(const dmi_conv_shape *s, int32_t tap,
                                             dmi_row_span span) {
    int32_t up = s->upsample, width = s->iw << up;
    int32_t y = span.row * s->stride + tap / s->kernel - s->pad;
    dmi_pixel_run r = {.row = y < 0 || y >= s->ih << up ? -1 : y >> up,
                       .shift = tap % s->kernel - s->pad};
    r.first = dmi_max(span.column, r.shift < 0 ? dmi_divide_up(-r.shift, s->stride) : 0);
    r.end = dmi_min(span.column + span.length,
                    width > r.shift ? dmi_divide_up(width - r.shift, s->stride) : 0);
    if (r.row < 0 || r.end < r.first) r.first = r.end = span.column;
    return r;
}

/* A part of y [n, oh, ow, co]: channels `channel` to channel + channels - 1 of `pixels` pixels of
 * image n, the first of which is at float `offset` of y. */
typedef struct dmi_output_tile {
    int32_t n;
    size_t offset, pixels, channel, channels;
} dmi_output_tile;

/* Initializes the tile with the epilogue's terms, to which the products are then added. False:
 * there are no terms, and y is not written. */
static inline bool dmi_epilogue_begin(const dmi_kernels *k, const dmi_epilogue *e, float *y,
                                      size_t co, const dmi_output_tile *t) {
    bool begun = e->add;
    const float *residual = e->residual;
    const float *rows[] = {e->bias, e->per_image ? e->per_image + (size_t)t->n * co : NULL,
                           residual ? residual + t->offset : NULL};
    const size_t strides[] = {0, 0, co};
    for (int i = 0; i < 3; i++) {
        if (!rows[i]) continue;
        k->copy_rows(y + t->offset + t->channel, co, rows[i] + t->channel, strides[i], t->pixels,
                     t->channels, begun);
        begun = true;
    }
    return begun;
}

#endif
