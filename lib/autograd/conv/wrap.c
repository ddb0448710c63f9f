/* SPDX-License-Identifier: MIT */
/* See wrap.h. A task is one row of an image. */
#include "autograd/conv/wrap.h"

#include <string.h>

/* Pixels of x in front of one axis of the copy, and of the copy. */
typedef struct axis {
    int32_t before, length, inner; /* inner: of x */
    bool wraps;
} axis;

typedef struct wrap_job {
    const dmi_kernels *kernels;
    axis rows, columns;
    size_t channels;
    float *to;
    const float *from;
    bool add;
} wrap_job;

/* Pixels of x in front: what `pad` reads, half of it where x is upsampled. */
static int32_t before_of(const dmi_conv_shape *s) {
    return s->upsample ? dmi_divide_up(s->pad, 2) : s->pad;
}

/* Pixels of x behind, which the last of `outputs` pixels reads. */
static int32_t after_of(const dmi_conv_shape *s, int32_t inputs, int32_t outputs) {
    int32_t times = s->upsample ? 2 : 1,
            past = (outputs - 1) * s->stride + s->kernel - s->pad - inputs * times;
    return past > 0 ? dmi_divide_up(past, times) : 0;
}

dmi_conv_shape dmi_wrapped_shape(const dmi_conv_shape *s) {
    dmi_conv_shape w = *s;
    int32_t before = before_of(s);
    w.ih += before + after_of(s, s->ih, s->oh);
    w.iw += before + after_of(s, s->iw, s->ow);
    w.pad -= before * (s->upsample ? 2 : 1);
    return w;
}

/* The pixel of x at position i of the copy; -1: none, it is zero. */
static int32_t source_of(const axis *a, int32_t i) {
    int32_t at = i - a->before;
    if (at >= 0 && at < a->inner) return at;
    if (!a->wraps) return -1;
    at %= a->inner;
    return at < 0 ? at + a->inner : at;
}

static wrap_job job_of(const dmi_graph *graph, const dmi_conv_shape *s, int32_t wrap) {
    dmi_conv_shape w = dmi_wrapped_shape(s);
    int32_t before = before_of(s);
    return (wrap_job){.kernels = graph->kernels,
                      .rows = {before, w.ih, s->ih, (wrap & DMI_WRAP_ROWS) != 0},
                      .columns = {before, w.iw, s->iw, (wrap & DMI_WRAP_COLUMNS) != 0},
                      .channels = (size_t)s->ci};
}

static void wrap_task(void *data, int32_t task, int32_t worker) {
    const wrap_job *job = data;
    const axis *columns = &job->columns;
    size_t c = job->channels, width = (size_t)columns->inner * c;
    int32_t row = source_of(&job->rows, task % job->rows.length), n = task / job->rows.length;
    float *to = job->to + (size_t)task * (size_t)columns->length * c;
    (void)worker;
    if (row < 0) {
        memset(to, 0, (size_t)columns->length * c * sizeof *to);
        return;
    }
    const float *from = job->from + ((size_t)n * (size_t)job->rows.inner + (size_t)row) * width;
    memcpy(to + (size_t)columns->before * c, from, width * sizeof *to);
    for (int32_t i = 0; i < columns->length; i++) {
        if (i == columns->before) i += columns->inner;
        if (i == columns->length) break;
        int32_t column = source_of(columns, i);
        if (column < 0) memset(to + (size_t)i * c, 0, c * sizeof *to);
        else memcpy(to + (size_t)i * c, from + (size_t)column * c, c * sizeof *to);
    }
}

void dmi_wrap(const dmi_graph *graph, const dmi_conv_shape *s, int32_t wrap, float *copy,
              const float *x) {
    wrap_job job = job_of(graph, s, wrap);
    job.to = copy;
    job.from = x;
    dmi_parallel(graph->host->pool, s->n * job.rows.length, wrap_task, &job);
}

/* dx's row += one row of the copy. */
static void add_row(const wrap_job *job, float *to, const float *from, bool add) {
    const axis *columns = &job->columns;
    size_t c = job->channels, width = (size_t)columns->inner * c;
    job->kernels->copy_rows(to, width, from + (size_t)columns->before * c, width, 1, width, add);
    for (int32_t i = 0; i < columns->length; i++) {
        if (i == columns->before) i += columns->inner;
        int32_t column = i < columns->length ? source_of(columns, i) : -1;
        if (column >= 0)
            job->kernels->copy_rows(to + (size_t)column * c, c, from + (size_t)i * c, c, 1, c,
                                    true);
    }
}

/* The row itself, then the rows of the borders that are copies of it. */
static void unwrap_task(void *data, int32_t task, int32_t worker) {
    const wrap_job *job = data;
    const axis *rows = &job->rows;
    size_t width = (size_t)job->columns.length * job->channels;
    int32_t row = task % rows->inner;
    const float *image = job->from + (size_t)(task / rows->inner) * (size_t)rows->length * width;
    float *to = job->to + (size_t)task * (size_t)job->columns.inner * job->channels;
    (void)worker;
    add_row(job, to, image + (size_t)(rows->before + row) * width, job->add);
    for (int32_t i = 0; i < rows->length; i++)
        if (i != rows->before + row && source_of(rows, i) == row)
            add_row(job, to, image + (size_t)i * width, true);
}

void dmi_unwrap(const dmi_graph *graph, const dmi_conv_shape *s, int32_t wrap, float *dx,
                const float *copy, bool add) {
    wrap_job job = job_of(graph, s, wrap);
    job.to = dx;
    job.from = copy;
    job.add = add;
    dmi_parallel(graph->host->pool, s->n * s->ih, unwrap_task, &job);
}
