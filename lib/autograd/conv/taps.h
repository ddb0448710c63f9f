/* What the ways that go tap by tap share: which inputs a tap of the kernel sees from a run of
 * output pixels, and what an output is before products are added to it. */
#ifndef DMI_AUTOGRAD_WAYS_TAPS_H
#define DMI_AUTOGRAD_WAYS_TAPS_H

#include "autograd/conv/conv.h"
#include "base/math.h"

static inline int32_t dmi_smaller(int32_t a, int32_t b) { return a < b ? a : b; }
static inline int32_t dmi_larger(int32_t a, int32_t b) { return a > b ? a : b; }

/* The products' matrix is x itself. */
static inline bool dmi_is_plain(const dmi_conv_shape *s) {
    return s->kernel == 1 && s->stride == 1 && s->pad == 0 && !s->upsample;
}

static inline int32_t dmi_taps(const dmi_conv_shape *s) { return s->kernel * s->kernel; }
static inline int32_t dmi_output_pixels(const dmi_conv_shape *s) { return s->oh * s->ow; }
static inline size_t dmi_input_floats(const dmi_conv_shape *s) {
    return (size_t)s->ih * (size_t)s->iw * (size_t)s->ci;
}
static inline size_t dmi_output_floats(const dmi_conv_shape *s) {
    return (size_t)s->oh * (size_t)s->ow * (size_t)s->co;
}
static inline size_t dmi_weight_count(const dmi_conv_shape *s) {
    return (size_t)dmi_taps(s) * (size_t)s->ci * (size_t)s->co;
}

typedef struct dmi_run {
    int32_t row;        /* of the input as stored, or -1: outside */
    int32_t first, end; /* output columns whose input column is inside; what those before and behind
                           see is zero */
    int32_t shift;      /* input column = output column * stride + shift, halved where upsampled */
} dmi_run;

/* Of the output pixels (row, column) to (row, column + columns - 1). */
static inline dmi_run dmi_run_of(const dmi_conv_shape *s, int32_t tap, int32_t row, int32_t column,
                                 int32_t columns) {
    int32_t up = s->upsample, y = row * s->stride + tap / s->kernel - s->pad, width = s->iw << up;
    dmi_run r = {.row = y < 0 || y >= s->ih << up ? -1 : y >> up,
                 .shift = tap % s->kernel - s->pad};
    r.first = dmi_larger(column, r.shift < 0 ? dmi_divide_up(-r.shift, s->stride) : 0);
    r.end = dmi_smaller(column + columns,
                        width > r.shift ? dmi_divide_up(width - r.shift, s->stride) : 0);
    if (r.row < 0 || r.end < r.first) r.first = r.end = column;
    return r;
}

/* Writes what is added to `columns` channels, from c0 on, of `pixels` pixels of picture n, the
 * first at float `place` of y; false: nothing is, and y is still to be written. */
static inline bool dmi_epilogue_begin(const dmi_kernels *k, const dmi_epilogue *e, float *y,
                                      int32_t n, size_t co, size_t place, size_t pixels, size_t c0,
                                      size_t columns) {
    bool begun = e->add;
    const float *rows[] = {e->bias, e->per_image ? e->per_image + (size_t)n * co : NULL,
                           e->residual ? e->residual + place : NULL};
    const size_t strides[] = {0, 0, co};
    for (int i = 0; i < 3; i++) {
        if (!rows[i]) continue;
        k->copy_rows(y + place + c0, co, rows[i] + c0, strides[i], pixels, columns, begun);
        begun = true;
    }
    return begun;
}

#endif
