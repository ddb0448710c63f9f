/* SPDX-License-Identifier: MIT */
/* See convolve.h. Inner loops run over channels, which are contiguous. */
#include "error/convolve.h"

#include <string.h>

enum { TASK_CHANNELS = 16 };

size_t x_count(const dmi_conv_shape *s) {
    return (size_t)s->n * (size_t)s->ih * (size_t)s->iw * (size_t)s->ci;
}
size_t y_count(const dmi_conv_shape *s) {
    return (size_t)s->n * (size_t)s->oh * (size_t)s->ow * (size_t)s->co;
}
size_t w_count(const dmi_conv_shape *s) { return 9 * (size_t)s->ci * (size_t)s->co; }

typedef struct job {
    const dmi_conv_shape *s;
    double *to;
    const double *x, *dy, *w;
} job;

static void add_scaled(double *to, double factor, const double *from, size_t count) {
    for (size_t i = 0; i < count; i++) to[i] += factor * from[i];
}

/* The pixel of x that a tap multiplies for output (n, oy, ox), or NULL outside the image. */
static const double *input_pixel(const dmi_conv_shape *s, const double *x, int32_t n, int32_t oy,
                                 int32_t ox, int32_t tap) {
    int32_t y = oy + tap / 3 - 1, column = ox + tap % 3 - 1;
    if (y < 0 || y >= s->oh || column < 0 || column >= s->ow) return NULL;
    if (s->upsample) {
        y /= 2;
        column /= 2;
    }
    return x + ((size_t)(n * s->ih + y) * (size_t)s->iw + (size_t)column) * (size_t)s->ci;
}

/* One row of y. */
static void forward_task(void *data, int32_t task, int32_t worker) {
    const job *j = data;
    const dmi_conv_shape *s = j->s;
    size_t ci = (size_t)s->ci, co = (size_t)s->co;
    int32_t n = task / s->oh, oy = task % s->oh;
    double *row = j->to + (size_t)task * (size_t)s->ow * co;
    (void)worker;
    for (int32_t t = 0; t < 9; t++)
        for (size_t i = 0; i < ci; i++)
            for (int32_t ox = 0; ox < s->ow; ox++) {
                const double *pixel = input_pixel(s, j->x, n, oy, ox, t);
                if (pixel)
                    add_scaled(row + (size_t)ox * co, pixel[i], j->w + ((size_t)t * ci + i) * co,
                               co);
            }
}

/* One row of dx, from all outputs that depend on it; w is [3, 3, co, ci] here. */
static void data_task(void *data, int32_t task, int32_t worker) {
    const job *j = data;
    const dmi_conv_shape *s = j->s;
    size_t ci = (size_t)s->ci, co = (size_t)s->co;
    int32_t n = task / s->ih, times = s->upsample ? 2 : 1, first = task % s->ih * times;
    double *row = j->to + (size_t)task * (size_t)s->iw * ci;
    (void)worker;
    for (int32_t y = first; y < first + times; y++)
        for (int32_t t = 0; t < 9; t++)
            for (size_t o = 0; o < co; o++)
                for (int32_t column = 0; column < s->ow; column++) {
                    int32_t oy = y + 1 - t / 3, ox = column + 1 - t % 3;
                    if (oy < 0 || oy >= s->oh || ox < 0 || ox >= s->ow) continue;
                    double dy =
                        j->dy[((size_t)(n * s->oh + oy) * (size_t)s->ow + (size_t)ox) * co + o];
                    add_scaled(row + (size_t)(column / times) * ci, dy,
                               j->w + ((size_t)t * co + o) * ci, ci);
                }
}

/* One tap of dw for TASK_CHANNELS channels of x. */
static void weight_task(void *data, int32_t task, int32_t worker) {
    const job *j = data;
    const dmi_conv_shape *s = j->s;
    size_t ci = (size_t)s->ci, co = (size_t)s->co, first = (size_t)(task / 9) * TASK_CHANNELS;
    size_t end = ci < first + TASK_CHANNELS ? ci : first + TASK_CHANNELS;
    int32_t t = task % 9;
    const double *dy = j->dy;
    (void)worker;
    for (int32_t n = 0; n < s->n; n++)
        for (int32_t oy = 0; oy < s->oh; oy++)
            for (int32_t ox = 0; ox < s->ow; ox++, dy += co) {
                const double *pixel = input_pixel(s, j->x, n, oy, ox, t);
                for (size_t i = first; pixel && i < end; i++)
                    add_scaled(j->to + ((size_t)t * ci + i) * co, pixel[i], dy, co);
            }
}

void convolve(dmi_pool *pool, const dmi_conv_shape *s, int direction, double *to, const double *x,
              const double *dy, const double *w) {
    job j = {.s = s, .to = to, .x = x, .dy = dy, .w = w};
    const struct {
        size_t count;
        int32_t tasks;
        dmi_task task;
    } kinds[DIRECTIONS] = {
        [FORWARD] = {y_count(s), s->n * s->oh, forward_task},
        [DATA] = {x_count(s), s->n * s->ih, data_task},
        [WEIGHT] = {w_count(s), (s->ci + TASK_CHANNELS - 1) / TASK_CHANNELS * 9, weight_task},
    };
    memset(to, 0, kinds[direction].count * sizeof *to);
    dmi_parallel(pool, kinds[direction].tasks, kinds[direction].task, &j);
}
