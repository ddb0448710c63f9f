/* SPDX-License-Identifier: MIT */
/* See gather.h. */
#include "autograd/conv/gather.h"

#include <string.h>

#include "autograd/conv/taps.h"

void dmi_gather(const dmi_kernels *k, const dmi_conv_shape *s, float *matrix, size_t stride,
                const float *image, int32_t tap, dmi_input_tile t) {
    size_t ci = (size_t)s->ci, channels = (size_t)t.channels;
    dmi_row_span span;
    for (int32_t done = 0; done < t.pixels; done += span.length) {
        span = dmi_row_span_at(s->ow, t.pixel + done, t.pixels - done);
        dmi_pixel_run r = dmi_pixel_run_of(s, tap, span);
        float *rows = matrix + (size_t)done * stride;
        for (int32_t i = span.column; i < span.column + span.length; i++)
            if (i < r.first || i >= r.end)
                memset(rows + (size_t)(i - span.column) * stride, 0, channels * sizeof *rows);
        if (r.first == r.end) continue;
        const float *from = image + (size_t)r.row * (size_t)s->iw * ci + (size_t)t.channel;
        if (s->upsample) {
            for (int32_t i = r.first; i < r.end; i++)
                dmi_copy_pixel(k, rows + (size_t)(i - span.column) * stride,
                               from + (size_t)((i * s->stride + r.shift) >> 1) * ci, channels,
                               false);
        } else {
            k->copy_rows(rows + (size_t)(r.first - span.column) * stride, stride,
                         from + (size_t)(r.first * s->stride + r.shift) * ci,
                         (size_t)s->stride * ci, (size_t)(r.end - r.first), channels, false);
        }
    }
}

static int32_t images_of_tile(const dmi_conv_shape *s) {
    return dmi_max(DMI_TILE_PIXELS / dmi_output_pixels(s), 1);
}

static int32_t tiles_of_image(const dmi_conv_shape *s) {
    return dmi_divide_up(dmi_output_pixels(s), DMI_TILE_PIXELS);
}

int32_t dmi_pixel_tile_count(const dmi_conv_shape *s) {
    return dmi_divide_up(s->n, images_of_tile(s)) * tiles_of_image(s);
}

dmi_pixel_tile dmi_pixel_tile_of(const dmi_conv_shape *s, int32_t number) {
    int32_t parts = tiles_of_image(s), n = number / parts * images_of_tile(s);
    dmi_pixel_tile t = {.n = n,
                        .images = dmi_min(s->n - n, images_of_tile(s)),
                        .pixel = number % parts * DMI_TILE_PIXELS};
    t.pixels = dmi_min(dmi_output_pixels(s) - t.pixel, DMI_TILE_PIXELS);
    return t;
}

void dmi_gather_rows(const dmi_kernels *k, const dmi_conv_shape *s, float *rows, size_t row,
                     const float *x, const dmi_pixel_tile *t) {
    const dmi_input_tile part = {t->pixel, t->pixels, 0, s->ci};
    const size_t used = (size_t)dmi_taps(s) * (size_t)s->ci;
    for (int32_t i = 0; i < t->images; i++) {
        const float *image = x + (size_t)(t->n + i) * dmi_input_floats(s);
        float *to = rows + (size_t)(i * t->pixels) * row;
        for (int32_t tap = 0; tap < dmi_taps(s); tap++)
            dmi_gather(k, s, to + (size_t)tap * (size_t)s->ci, row, image, tap, part);
        for (int32_t p = 0; used < row && p < t->pixels; p++)
            memset(to + (size_t)p * row + used, 0, (row - used) * sizeof *to);
    }
}

/* Two elements are moved as one float. */
void dmi_gather_rows_bf16(const dmi_kernels *k, const dmi_conv_shape *s, uint16_t *rows, size_t row,
                          const uint16_t *x, const dmi_pixel_tile *t) {
    dmi_conv_shape pairs = *s;
    pairs.ci /= 2;
    dmi_gather_rows(k, &pairs, (float *)(void *)rows, row / 2, (const float *)(const void *)x, t);
}
