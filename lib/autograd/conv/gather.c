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
