/* SPDX-License-Identifier: MIT */
/* Scales and turns a picture while its rows come in, so that the picture as stored is never in
 * memory as a whole. Each axis is scaled by itself: the exact mean of the area that a pixel covers
 * where it shrinks, bilinear where it grows. All sums are integers and exact, and the result is
 * rounded to nearest once, so that it is the same on every machine. */
#ifndef DIFFUSION_PICTURE_RESIZE_H
#define DIFFUSION_PICTURE_RESIZE_H

#include "picture/decode.h"

/* A pixel is the sum of pixels first..last, by the weights: of the first, of the last if that is
 * another one, and `full` of the ones between, divided by `total`. */
typedef struct scaler_tap {
    int32_t first, last;
    uint32_t first_weight, last_weight;
} scaler_tap;

typedef struct scaler_axis {
    int32_t from, to; /* pixels that come in, and of the result */
    uint32_t full, total;
    scaler_tap *taps; /* [to] */
} scaler_axis;

typedef struct scaler {
    scaler_axis y, x; /* as stored */
    int32_t channels;
    int32_t row;          /* that comes next */
    int32_t done;         /* rows of the result */
    int plain;            /* neither axis is scaled */
    uint32_t *now, *last; /* [x.to, channels]: the row that came in, scaled along x, and the one
                             before */
    uint64_t *sum;        /* [x.to, channels]: of a row of the result */
    uint8_t *bytes;       /* [x.to, channels]: a row of the result */
    uint8_t *origin;      /* where row 0, column 0 goes */
    ptrdiff_t y_stride, x_stride; /* from one to the next, in bytes */
} scaler;

/* Allocates out->pixels for a picture of that header, scaled to height x width as stored and turned
 * upright. Rows of `channels` values come in; each of their pixels stands for `reduction` x
 * `reduction` pixels of the picture, fewer at its right and lower edge: their number is the
 * picture's divided by `reduction` and rounded up, and no smaller than the result's. 0, or 1 if
 * memory is short. In both cases scaler_end is to be called. */
int scaler_begin(scaler *s, picture *out, const picture_header *header, int32_t height,
                 int32_t width, int32_t channels, int32_t reduction);
/* The next row, [x.from, channels]. */
void scaler_row(scaler *s, const uint8_t *row);
void scaler_end(scaler *s);

#endif
