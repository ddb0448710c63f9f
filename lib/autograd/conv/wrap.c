/* SPDX-License-Identifier: MIT */
/* See wrap.h. */
#include "autograd/conv/wrap.h"

#include "autograd/conv/product.h"
#include "autograd/conv/taps.h"
#include "kernels/product.h"

/* Output channels of a task, or input channels of the data gradient's; sides of a block of dw. */
enum { TASK_CHANNELS = 128, BLOCK_IN = 64, BLOCK_OUT = 128 };

typedef struct wrap_job {
    const dmi_kernels *kernels;
    const dmi_conv_shape *shape;
    int32_t wrap;
    float *to;           /* y [n, oh, ow, co], dx [n, ih, iw, ci] or dw [taps, ci, co] */
    const float *x, *dy; /* [n, ih, iw, ci], [n, oh, ow, co] */
    const float *weight; /* [taps, ci, co]; for the data gradient transposed, [taps, co, ci] */
} wrap_job;

/* ---- one axis ---- */

/* What one row or column of the kernel reads along an axis: outputs first to end - 1 read pixels
 * inside, the others beyond a border. */
typedef struct reads {
    int32_t inputs, outputs; /* pixels of the axis; inputs as stored */
    int32_t first, end;
    int32_t shift, stride, up; /* output i reads (i * stride + shift) >> up */
    bool wraps;
} reads;

static reads reads_of(const dmi_conv_shape *s, int32_t k, bool rows, int32_t wrap) {
    reads r = {.inputs = rows ? s->ih : s->iw,
               .outputs = rows ? s->oh : s->ow,
               .shift = k - s->pad,
               .stride = s->stride,
               .up = s->upsample,
               .wraps = (wrap & (rows ? DMI_WRAP_ROWS : DMI_WRAP_COLUMNS)) != 0};
    int32_t size = r.inputs << r.up;
    r.first = dmi_min(r.shift < 0 ? dmi_divide_up(-r.shift, r.stride) : 0, r.outputs);
    r.end = dmi_min(size > r.shift ? dmi_divide_up(size - r.shift, r.stride) : 0, r.outputs);
    r.end = dmi_max(r.end, r.first);
    return r;
}

/* The pixel that output i reads, around the border. */
static int32_t source_of(const reads *r, int32_t i) {
    int32_t size = r->inputs << r->up, at = (i * r->stride + r->shift) % size;
    return (at < 0 ? at + size : at) >> r->up;
}

/* The next output after i that reads beyond a border; `outputs` after the last. i: -1 to begin. */
static int32_t next_outside(const reads *r, int32_t i) {
    i++;
    return r->wraps ? (i >= r->first && i < r->end ? r->end : i) : r->outputs;
}

/* ---- runs of pixels ---- */

/* `count` products: output pixel `y` + i `y_step` reads input pixel x + i x_step. In pixels of one
 * image. */
typedef struct run {
    size_t y, y_step, x, x_step;
    int32_t count;
} run;

typedef void (*run_function)(const wrap_job *job, void *data, int32_t tap, const run *r);

/* Output `fixed` of one axis with the inside of the other, whose pixels lie `y_pixel` and `x_pixel`
 * apart. Where x is upsampled, every second output reads the next pixel. */
static void visit_inside(const wrap_job *job, run_function function, void *data, int32_t tap,
                         const reads *along, size_t y, size_t x, size_t y_pixel, size_t x_pixel) {
    int32_t step = along->up && along->stride == 1 ? 2 : 1,
            advance = step * along->stride >> along->up;
    for (int32_t phase = 0; phase < step; phase++) {
        int32_t first = along->first + phase;
        if (first >= along->end) break;
        run r = {.y = y + (size_t)first * y_pixel,
                 .y_step = (size_t)step * y_pixel,
                 .x = x + (size_t)source_of(along, first) * x_pixel,
                 .x_step = (size_t)advance * x_pixel,
                 .count = dmi_divide_up(along->end - first, step)};
        function(job, data, tap, &r);
    }
}

/* All products of one tap that a convolution with zeros leaves out, in a fixed order. */
static void visit_tap(const wrap_job *job, run_function function, void *data, int32_t tap) {
    const dmi_conv_shape *s = job->shape;
    reads rows = reads_of(s, tap / s->kernel, true, job->wrap),
          columns = reads_of(s, tap % s->kernel, false, job->wrap);
    size_t ow = (size_t)s->ow, iw = (size_t)s->iw;
    for (int32_t i = next_outside(&rows, -1); i < rows.outputs; i = next_outside(&rows, i)) {
        size_t y = (size_t)i * ow, x = (size_t)source_of(&rows, i) * iw;
        visit_inside(job, function, data, tap, &columns, y, x, 1, 1);
        for (int32_t k = next_outside(&columns, -1); k < columns.outputs;
             k = next_outside(&columns, k)) {
            run corner = {.y = y + (size_t)k, .x = x + (size_t)source_of(&columns, k), .count = 1};
            function(job, data, tap, &corner);
        }
    }
    for (int32_t k = next_outside(&columns, -1); k < columns.outputs; k = next_outside(&columns, k))
        visit_inside(job, function, data, tap, &rows, (size_t)k, (size_t)source_of(&columns, k), ow,
                     iw);
}

/* ---- forward and data gradient: a task is a range of channels of one image ---- */

/* The task's image and channels. */
typedef struct range {
    size_t n, channel;
    int32_t channels;
} range;

static range range_of(int32_t task, int32_t channels) {
    int32_t tiles = dmi_divide_up(channels, TASK_CHANNELS), channel = task % tiles * TASK_CHANNELS;
    return (range){(size_t)(task / tiles), (size_t)channel,
                   dmi_min(channels - channel, TASK_CHANNELS)};
}

static void forward_run(const wrap_job *job, void *data, int32_t tap, const run *r) {
    const dmi_conv_shape *s = job->shape;
    const range *part = data;
    size_t ci = (size_t)s->ci, co = (size_t)s->co;
    float *y = job->to + part->n * dmi_output_floats(s) + r->y * co + part->channel;
    const float *x = job->x + part->n * dmi_input_floats(s) + r->x * ci;
    job->kernels->product->multiply(y, r->y_step * co, x, r->x_step * ci,
                                    job->weight + (size_t)tap * ci * co + part->channel, co,
                                    r->count, part->channels, s->ci, true);
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const wrap_job *job = data;
    range part = range_of(task, job->shape->co);
    (void)worker;
    for (int32_t tap = 0; tap < dmi_taps(job->shape); tap++)
        visit_tap(job, forward_run, &part, tap);
}

void dmi_wrap_forward(const dmi_graph *graph, const dmi_conv_shape *s, int32_t wrap, float *y,
                      const float *x, const float *weight) {
    wrap_job job = {graph->kernels, s, wrap, .to = y, .x = x, .weight = weight};
    dmi_parallel(graph->host->pool, s->n * dmi_divide_up(s->co, TASK_CHANNELS), forward_task, &job);
}

static void data_run(const wrap_job *job, void *data, int32_t tap, const run *r) {
    const dmi_conv_shape *s = job->shape;
    const range *part = data;
    size_t ci = (size_t)s->ci, co = (size_t)s->co;
    float *dx = job->to + part->n * dmi_input_floats(s) + r->x * ci + part->channel;
    const float *dy = job->dy + part->n * dmi_output_floats(s) + r->y * co;
    job->kernels->product->multiply(dx, r->x_step * ci, dy, r->y_step * co,
                                    job->weight + (size_t)tap * ci * co + part->channel, ci,
                                    r->count, part->channels, s->co, true);
}

static void data_task(void *data, int32_t task, int32_t worker) {
    const wrap_job *job = data;
    range part = range_of(task, job->shape->ci);
    (void)worker;
    for (int32_t tap = 0; tap < dmi_taps(job->shape); tap++) visit_tap(job, data_run, &part, tap);
}

size_t dmi_wrap_floats(const dmi_conv_shape *s) { return dmi_weight_count(s); }

void dmi_wrap_data(const dmi_graph *graph, const dmi_conv_shape *s, int32_t wrap, float *dx,
                   const float *dy, const float *weight, float *work) {
    wrap_job job = {graph->kernels, s, wrap, .to = dx, .dy = dy, .weight = work};
    dmi_product_transpose(graph, s, work, weight, false);
    dmi_parallel(graph->host->pool, s->n * dmi_divide_up(s->ci, TASK_CHANNELS), data_task, &job);
}

/* ---- weight gradient: a task is a block of one tap's matrix, for all images in order ---- */

typedef struct block {
    size_t n, in, out;
    int32_t ins, outs;
} block;

static void weight_run(const wrap_job *job, void *data, int32_t tap, const run *r) {
    const dmi_conv_shape *s = job->shape;
    const block *b = data;
    size_t ci = (size_t)s->ci, co = (size_t)s->co;
    const float *x = job->x + b->n * dmi_input_floats(s) + r->x * ci + b->in,
                *dy = job->dy + b->n * dmi_output_floats(s) + r->y * co + b->out;
    job->kernels->product->multiply_transposed(job->to + ((size_t)tap * ci + b->in) * co + b->out,
                                               co, x, r->x_step * ci, dy, r->y_step * co, b->ins,
                                               b->outs, r->count, true);
}

static void weight_task(void *data, int32_t task, int32_t worker) {
    const wrap_job *job = data;
    const dmi_conv_shape *s = job->shape;
    int32_t ins = dmi_divide_up(s->ci, BLOCK_IN), outs = dmi_divide_up(s->co, BLOCK_OUT),
            in = task / outs % ins * BLOCK_IN, out = task % outs * BLOCK_OUT;
    block b = {.in = (size_t)in,
               .out = (size_t)out,
               .ins = dmi_min(s->ci - in, BLOCK_IN),
               .outs = dmi_min(s->co - out, BLOCK_OUT)};
    (void)worker;
    for (; b.n < (size_t)s->n; b.n++) visit_tap(job, weight_run, &b, task / outs / ins);
}

void dmi_wrap_weight(const dmi_graph *graph, const dmi_conv_shape *s, int32_t wrap, float *dw,
                     const float *x, const float *dy) {
    wrap_job job = {graph->kernels, s, wrap, .to = dw, .x = x, .dy = dy};
    int32_t blocks = dmi_divide_up(s->ci, BLOCK_IN) * dmi_divide_up(s->co, BLOCK_OUT);
    dmi_parallel(graph->host->pool, dmi_taps(s) * blocks, weight_task, &job);
}
