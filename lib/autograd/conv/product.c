/* SPDX-License-Identifier: MIT */
/* Convolution as one matrix product for each tap of the kernel and run of pixels within a row. The
 * products read x and write y in place; nothing is copied but the weights, transposed for the data
 * gradient. For kernel 1, stride 2 and kernels above 3, which Winograd does not support. */
#include "autograd/conv/product.h"

#include <string.h>

#include "autograd/conv/partial_sums.h"
#include "autograd/conv/taps.h"
#include "kernels/product.h"

/* A task computes a tile of y or dx, of at most TASK_PIXELS and TASK_CHANNELS, so that its parts of
 * x and y stay in L2; or a block of dw, of at most BLOCK_IN input and BLOCK_OUT output channels.
 * Where there are fewer tiles than threads, they have fewer channels, at least TASK_CHANNELS_MIN.
 */
enum {
    TASK_PIXELS = 64,
    TASK_CHANNELS = 128,
    TASK_CHANNELS_MIN = 32,
    BLOCK_IN = 64,
    BLOCK_OUT = 128
};

typedef struct product_job {
    const dmi_kernels *kernels;
    const dmi_conv_shape *shape;
    float *result;       /* y [n, oh, ow, co], dx [n, ih, iw, ci] or dw [taps, ci, co] */
    const float *x;      /* [n, ih, iw, ci] */
    const float *dy;     /* [n, oh, ow, co] */
    const float *weight; /* [taps, ci, co]; for the data gradient transposed, [taps, co, ci] */
    const dmi_epilogue *epilogue;
    const float *bias; /* of dx [ci], or NULL */
    bool add;
    int32_t task_channels;
    float *partial; /* [groups, taps, ci, co] */
} product_job;

static bool suits(const dmi_conv_shape *s) { return !s->upsample; }

/* ---- tiles of y and dx ---- */

static int32_t pixel_tiles(int32_t pixels) { return dmi_divide_up(pixels, TASK_PIXELS); }

/* The channels of a tile of `n` images, which have `pixels` pixels of `channels` channels. */
static int32_t task_channels(int32_t n, int32_t pixels, int32_t channels, int32_t threads) {
    int32_t width = TASK_CHANNELS, rows = n * pixel_tiles(pixels);
    while (width > TASK_CHANNELS_MIN && rows * dmi_divide_up(channels, width) < threads) width /= 2;
    return width;
}

/* Computes all tiles of y or dx. */
static void run_tiles(const dmi_graph *graph, product_job *job, dmi_task task, int32_t pixels,
                      int32_t channels) {
    int32_t n = job->shape->n, threads = dmi_pool_threads(graph->host->pool);
    job->task_channels = task_channels(n, pixels, channels, threads);
    int32_t count = n * pixel_tiles(pixels) * dmi_divide_up(channels, job->task_channels);
    dmi_parallel(graph->host->pool, count, task, job);
}

/* Of image n: pixels `pixel` to pixel + pixels - 1, likewise channels. */
typedef struct tile {
    int32_t n, pixel, pixels, channel, channels;
} tile;

/* The tile of a task; each image has `pixels` pixels of `channels` channels. */
static tile tile_of(const product_job *job, int32_t task, int32_t pixels, int32_t channels) {
    int32_t width = job->task_channels, across = dmi_divide_up(channels, width),
            row = task / across;
    tile t = {.n = row / pixel_tiles(pixels),
              .pixel = row % pixel_tiles(pixels) * TASK_PIXELS,
              .channel = task % across * width};
    t.pixels = dmi_min(pixels - t.pixel, TASK_PIXELS);
    t.channels = dmi_min(channels - t.channel, width);
    return t;
}

/* rows [pixels, channels], with row stride `stride`, = 0 */
static void clear(float *rows, size_t stride, const tile *t) {
    for (int32_t i = 0; i < t->pixels; i++)
        memset(rows + (size_t)i * stride, 0, (size_t)t->channels * sizeof *rows);
}

/* ---- forward ---- */

static dmi_output_tile output_tile(const tile *t, size_t offset) {
    return (dmi_output_tile){t->n, offset, (size_t)t->pixels, (size_t)t->channel,
                             (size_t)t->channels};
}

/* A 1x1 convolution: one product, which adds bias and residual as it writes; other terms of the
 * epilogue are written first and added to. x: the tile's first pixel; offset: of that in y. */
static void forward_pointwise(const product_job *job, const tile *t, const float *x,
                              size_t offset) {
    const dmi_conv_shape *s = job->shape;
    const dmi_epilogue *e = job->epilogue;
    size_t co = (size_t)s->co, c0 = (size_t)t->channel;
    float *y = job->result + offset + c0;
    dmi_product_addend start = {.stride = co};
    if (e->per_image || e->add) {
        dmi_output_tile out = output_tile(t, offset);
        bool begun = dmi_epilogue_begin(job->kernels, e, job->result, co, &out);
        start.matrix = begun ? y : NULL;
    } else {
        start.bias = e->bias ? e->bias + c0 : NULL;
        const float *residual = e->residual;
        start.matrix = residual ? residual + offset + c0 : NULL;
    }
    job->kernels->product->multiply_add(y, co, x, (size_t)s->ci, job->weight + c0, co, t->pixels,
                                        t->channels, s->ci, &start);
}

/* y [span.length, channels] (row stride co) += for each tap, the pixels of image [ih, iw, ci] that
 * it reads for the span, times its weights. */
static void forward_span(const product_job *job, const tile *t, float *y, const float *image,
                         dmi_row_span span) {
    const dmi_conv_shape *s = job->shape;
    size_t ci = (size_t)s->ci, co = (size_t)s->co, c0 = (size_t)t->channel;
    for (int32_t tap = 0; tap < dmi_taps(s); tap++) {
        dmi_pixel_run r = dmi_pixel_run_of(s, tap, span);
        if (r.first == r.end) continue;
        size_t column = (size_t)(r.first * s->stride + r.shift);
        const float *x = image + ((size_t)r.row * (size_t)s->iw + column) * ci;
        job->kernels->product->multiply(y + (size_t)(r.first - span.column) * co, co, x,
                                        (size_t)s->stride * ci,
                                        job->weight + (size_t)tap * ci * co + c0, co,
                                        r.end - r.first, t->channels, s->ci, true);
    }
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const product_job *job = data;
    const dmi_conv_shape *s = job->shape;
    (void)worker;
    tile t = tile_of(job, task, dmi_output_pixels(s), s->co);
    size_t co = (size_t)s->co, c0 = (size_t)t.channel;
    size_t offset = (size_t)t.n * dmi_output_floats(s) + (size_t)t.pixel * co;
    const float *image = job->x + (size_t)t.n * dmi_input_floats(s);
    if (dmi_is_pointwise(s)) {
        forward_pointwise(job, &t, image + (size_t)t.pixel * (size_t)s->ci, offset);
        return;
    }
    float *y = job->result + offset + c0;
    dmi_output_tile out = output_tile(&t, offset);
    if (!dmi_epilogue_begin(job->kernels, job->epilogue, job->result, co, &out)) clear(y, co, &t);
    dmi_row_span span;
    for (int32_t done = 0; done < t.pixels; done += span.length) {
        span = dmi_row_span_at(s->ow, t.pixel + done, t.pixels - done);
        forward_span(job, &t, y + (size_t)done * co, image, span);
    }
}

/* ---- data gradient dx ---- */

typedef struct transpose_job {
    const dmi_kernels *kernels;
    const dmi_conv_shape *shape;
    float *to;           /* [taps, co, ci] */
    const float *weight; /* [taps, ci, co] */
} transpose_job;

static void transpose_task(void *data, int32_t tap, int32_t worker) {
    const transpose_job *job = data;
    size_t ci = (size_t)job->shape->ci, co = (size_t)job->shape->co, at = (size_t)tap * ci * co;
    (void)worker;
    job->kernels->product->transpose(job->to + at, ci, job->weight + at, co, job->shape->ci,
                                     job->shape->co);
}

/* Sets *first and *end to the output columns, first to end - 1, that read the span's input columns
 * through column kx of the kernel. */
static void reading_columns(const dmi_conv_shape *s, int32_t kx, dmi_row_span span, int32_t *first,
                            int32_t *end) {
    int32_t low = span.column + s->pad - kx, high = low + span.length;
    *first = low > 0 ? dmi_divide_up(low, s->stride) : 0;
    *end = high > 0 ? dmi_min(dmi_divide_up(high, s->stride), s->ow) : 0;
}

/* dx [span.length, channels] (row stride ci) += for each tap, the output pixels of dy [oh, ow, co],
 * one image, that read the span through it, times its weights. */
static void dx_span(const product_job *job, const tile *t, float *dx, const float *dy,
                    dmi_row_span span) {
    const dmi_conv_shape *s = job->shape;
    size_t ci = (size_t)s->ci, co = (size_t)s->co, c0 = (size_t)t->channel;
    for (int32_t tap = 0; tap < dmi_taps(s); tap++) {
        int32_t kx = tap % s->kernel, ky = tap / s->kernel, first, end;
        int32_t y = span.row + s->pad - ky; /* output row * stride */
        if (y < 0 || y % s->stride || y / s->stride >= s->oh) continue;
        reading_columns(s, kx, span, &first, &end);
        if (first >= end) continue;
        float *to = dx + (size_t)(first * s->stride + kx - s->pad - span.column) * ci;
        const float *from = dy + ((size_t)(y / s->stride) * (size_t)s->ow + (size_t)first) * co;
        job->kernels->product->multiply(to, (size_t)s->stride * ci, from, co,
                                        job->weight + (size_t)tap * ci * co + c0, ci, end - first,
                                        t->channels, s->co, true);
    }
}

static void dx_task(void *data, int32_t task, int32_t worker) {
    const product_job *job = data;
    const dmi_conv_shape *s = job->shape;
    (void)worker;
    tile t = tile_of(job, task, s->ih * s->iw, s->ci);
    size_t ci = (size_t)s->ci, co = (size_t)s->co, c0 = (size_t)t.channel;
    float *dx = job->result + (size_t)t.n * dmi_input_floats(s) + (size_t)t.pixel * ci + c0;
    const float *dy = job->dy + (size_t)t.n * dmi_output_floats(s);
    if (dmi_is_pointwise(s)) {
        job->kernels->product->multiply(dx, ci, dy + (size_t)t.pixel * co, co, job->weight + c0, ci,
                                        t.pixels, t.channels, s->co, job->add);
        return;
    }
    if (!job->add && job->bias)
        job->kernels->copy_rows(dx, ci, job->bias + c0, 0, (size_t)t.pixels, (size_t)t.channels,
                                false);
    else if (!job->add) clear(dx, ci, &t);
    dmi_row_span span;
    for (int32_t done = 0; done < t.pixels; done += span.length) {
        span = dmi_row_span_at(s->iw, t.pixel + done, t.pixels - done);
        dx_span(job, &t, dx + (size_t)done * ci, dy, span);
    }
}

/* ---- weight gradient dw: a task is one block of one tap's matrix for one group of images; groups
 * have partial sums, which are added in order ---- */

static int32_t block_count(const dmi_conv_shape *s) {
    return dmi_taps(s) * dmi_divide_up(s->ci, BLOCK_IN) * dmi_divide_up(s->co, BLOCK_OUT);
}

static int32_t group_count(const dmi_conv_shape *s) {
    return dmi_image_groups(block_count(s), s->n);
}

/* Input channels `in` to in + ins - 1, likewise output channels, of one tap. */
typedef struct weight_block {
    int32_t tap, in, ins, out, outs;
} weight_block;

static weight_block block_of(const dmi_conv_shape *s, int32_t block) {
    int32_t in_blocks = dmi_divide_up(s->ci, BLOCK_IN),
            out_blocks = dmi_divide_up(s->co, BLOCK_OUT);
    weight_block b = {.tap = block / out_blocks / in_blocks,
                      .in = block / out_blocks % in_blocks * BLOCK_IN,
                      .out = block % out_blocks * BLOCK_OUT};
    b.ins = dmi_min(s->ci - b.in, BLOCK_IN);
    b.outs = dmi_min(s->co - b.out, BLOCK_OUT);
    return b;
}

/* dw [ins, outs] (row stride co) += the gradient of one image: row by row, the run of pixels that
 * the tap reads, transposed, times dy. x [ih, iw, ci] and dy [oh, ow, co] point at the block's
 * first channel. */
static void dw_image(const product_job *job, const weight_block *b, float *dw, const float *x,
                     const float *dy) {
    const dmi_conv_shape *s = job->shape;
    size_t ci = (size_t)s->ci, co = (size_t)s->co;
    for (int32_t row = 0; row < s->oh; row++) {
        dmi_pixel_run r = dmi_pixel_run_of(s, b->tap, (dmi_row_span){row, 0, s->ow});
        if (r.first == r.end) continue;
        size_t column = (size_t)(r.first * s->stride + r.shift);
        job->kernels->product->multiply_transposed(
            dw, co, x + ((size_t)r.row * (size_t)s->iw + column) * ci, (size_t)s->stride * ci,
            dy + ((size_t)row * (size_t)s->ow + (size_t)r.first) * co, co, b->ins, b->outs,
            r.end - r.first, true);
    }
}

static void dw_task(void *data, int32_t task, int32_t worker) {
    const product_job *job = data;
    const dmi_conv_shape *s = job->shape;
    (void)worker;
    weight_block b = block_of(s, task % block_count(s));
    int32_t group = task / block_count(s), groups = group_count(s);
    size_t ci = (size_t)s->ci, co = (size_t)s->co;
    float *dw = groups > 1 ? job->partial + (size_t)group * dmi_weight_count(s) : job->result;
    dw += ((size_t)b.tap * ci + (size_t)b.in) * co + (size_t)b.out;
    for (int32_t i = 0; i < b.ins && (groups > 1 || !job->add); i++)
        memset(dw + (size_t)i * co, 0, (size_t)b.outs * sizeof *dw);
    int32_t first = s->n * group / groups, end = s->n * (group + 1) / groups;
    const float *x = job->x + (size_t)first * dmi_input_floats(s) + b.in;
    const float *dy = job->dy + (size_t)first * dmi_output_floats(s) + b.out;
    if (dmi_is_pointwise(s)) {
        job->kernels->product->multiply_transposed(dw, co, x, ci, dy, co, b.ins, b.outs,
                                                   (end - first) * dmi_output_pixels(s), true);
        return;
    }
    for (int32_t n = first; n < end; n++, x += dmi_input_floats(s), dy += dmi_output_floats(s))
        dw_image(job, &b, dw, x, dy);
}

/* ---- the algorithm ---- */

static size_t forward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k, (void)s, (void)threads;
    return 0;
}

static size_t backward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k, (void)threads;
    return (size_t)group_count(s) * dmi_weight_count(s);
}

static void forward(const dmi_graph *graph, const dmi_conv_shape *s, void *y, const void *x,
                    const float *weight, const float *prepared, const dmi_epilogue *epilogue,
                    float *work) {
    (void)prepared, (void)work;
    product_job job = {.kernels = graph->kernels,
                       .shape = s,
                       .result = y,
                       .x = x,
                       .weight = weight,
                       .epilogue = epilogue};
    run_tiles(graph, &job, forward_task, dmi_output_pixels(s), s->co);
}

void dmi_product_transpose(const dmi_graph *graph, const dmi_conv_shape *s, float *to,
                           const float *weight, bool locked) {
    transpose_job job = {.kernels = graph->kernels, .shape = s, .to = to, .weight = weight};
    if (locked) dmi_parallel_locked(graph->host->pool, dmi_taps(s), transpose_task, &job);
    else dmi_parallel(graph->host->pool, dmi_taps(s), transpose_task, &job);
}

void dmi_product_data(const dmi_graph *graph, const dmi_conv_shape *s, float *dx, const float *dy,
                      const float *transposed, const float *bias, bool add) {
    product_job job = {.kernels = graph->kernels,
                       .shape = s,
                       .result = dx,
                       .dy = dy,
                       .weight = transposed,
                       .bias = bias,
                       .add = add};
    run_tiles(graph, &job, dx_task, s->ih * s->iw, s->ci);
}

static void backward_data(const dmi_graph *graph, const dmi_conv_shape *s, void *dx, const void *dy,
                          const float *weight, bool add, float *work) {
    dmi_product_transpose(graph, s, work, weight, false);
    dmi_product_data(graph, s, dx, dy, work, NULL, add);
}

static void backward_weight(const dmi_graph *graph, const dmi_conv_shape *s, float *dw,
                            const void *x, const void *dy, bool add, float *work) {
    int32_t groups = group_count(s);
    product_job job = {.kernels = graph->kernels,
                       .shape = s,
                       .result = dw,
                       .x = x,
                       .dy = dy,
                       .add = add,
                       .partial = work};
    dmi_parallel(graph->host->pool, groups * block_count(s), dw_task, &job);
    if (groups > 1) dmi_sum_partials(graph, dw, work, groups, dmi_weight_count(s), add);
}

const dmi_conv_algorithm dmi_conv_product = {
    .name = "product",
    .suits = suits,
    .forward_work = forward_work,
    .backward_work = backward_work,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weight = backward_weight,
};
