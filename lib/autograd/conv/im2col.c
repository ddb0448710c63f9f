/* SPDX-License-Identifier: MIT */
/* Convolution as matrix products (im2col) by dmi_gemm, which calls BLAS or, built without, the
 * library's own product. The rows of a matrix hold, for each output pixel, the kernel x kernel x ci
 * inputs that it reads: ci for each tap, as taps.h calls an element of the kernel. The matrix is
 * made tile by tile in a worker's scratch, never as a whole. A product never covers two images,
 * because BLAS may round rows differently when there are more of them. */
#include <string.h>

#include "autograd/conv/gather.h"
#include "autograd/conv/partial_sums.h"
#include "autograd/conv/taps.h"
#include "kernels/gemm.h"

/* TILE_FLOATS (512 KiB) of the matrix stay in L2. With many columns that would leave products of
 * few pixels (rows), and with few columns too few tasks. */
enum { TILE_FLOATS = 128 * 1024, TILE_PIXELS_MIN = 8, TILE_PIXELS_MAX = 256 };
/* Channels of a block of dx or dw. dw has a product for each tap; below TAP_CHANNELS_MIN input
 * channels that would have too few rows, and one product covers all taps. */
enum { TASK_CHANNELS = 64, TAP_CHANNELS_MIN = 32 };

typedef struct im2col_job {
    const dmi_kernels *kernels;
    const dmi_conv_shape *shape;
    float *result;       /* y [n, oh, ow, co], dx [n, ih, iw, ci] or dw [taps, ci, co] */
    const float *x;      /* [n, ih, iw, ci] */
    const float *dy;     /* [n, oh, ow, co] */
    const float *weight; /* [taps, ci, co] */
    const dmi_epilogue *epilogue;
    bool add;
    float *partial; /* [groups, taps, ci, co] */
    float *scratch; /* [workers, scratch_floats]: each worker's tile of the matrix */
    size_t scratch_floats;
} im2col_job;

static bool suits(const dmi_conv_shape *s) {
    (void)s;
    return true;
}

/* Columns of the full matrix: the inputs of one output pixel. */
static size_t full_columns(const dmi_conv_shape *s) { return (size_t)dmi_taps(s) * (size_t)s->ci; }

/* Pixels of a tile whose rows have `columns` floats. */
static int32_t tile_pixels(const dmi_conv_shape *s, size_t columns) {
    int32_t pixels = (int32_t)dmi_min_size(TILE_FLOATS / columns, TILE_PIXELS_MAX);
    return dmi_min(dmi_max(pixels, TILE_PIXELS_MIN), dmi_output_pixels(s));
}

static float *scratch_of(const im2col_job *job, int32_t worker) {
    return job->scratch + (size_t)worker * job->scratch_floats;
}

/* ---- a tile's columns of one tap ---- */

/* The adjoint of dmi_gather: matrix [pixels, channels] is added to image [ih, iw, ci]. */
static void scatter(const im2col_job *job, const float *matrix, size_t stride, float *image,
                    int32_t tap, dmi_input_tile t) {
    const dmi_conv_shape *s = job->shape;
    size_t ci = (size_t)s->ci, channels = (size_t)t.channels;
    dmi_row_span span;
    for (int32_t done = 0; done < t.pixels; done += span.length) {
        span = dmi_row_span_at(s->ow, t.pixel + done, t.pixels - done);
        dmi_pixel_run r = dmi_pixel_run_of(s, tap, span);
        const float *rows = matrix + (size_t)done * stride;
        if (r.first == r.end) continue;
        float *to = image + (size_t)r.row * (size_t)s->iw * ci + (size_t)t.channel;
        if (s->upsample) {
            for (int32_t i = r.first; i < r.end; i++)
                dmi_copy_pixel(job->kernels, to + (size_t)((i * s->stride + r.shift) >> 1) * ci,
                               rows + (size_t)(i - span.column) * stride, channels, true);
        } else {
            job->kernels->copy_rows(to + (size_t)(r.first * s->stride + r.shift) * ci,
                                    (size_t)s->stride * ci,
                                    rows + (size_t)(r.first - span.column) * stride, stride,
                                    (size_t)(r.end - r.first), channels, true);
        }
    }
}

/* ---- forward: a task is one tile of pixels of one image; y = matrix weight ---- */

static int32_t forward_tile_pixels(const dmi_conv_shape *s) {
    return tile_pixels(s, full_columns(s));
}

static int32_t forward_tiles(const dmi_conv_shape *s) {
    return dmi_divide_up(dmi_output_pixels(s), forward_tile_pixels(s));
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const im2col_job *job = data;
    const dmi_conv_shape *s = job->shape;
    int32_t n = task / forward_tiles(s);
    dmi_input_tile t = {.pixel = task % forward_tiles(s) * forward_tile_pixels(s),
                        .channels = s->ci};
    t.pixels = dmi_min(dmi_output_pixels(s) - t.pixel, forward_tile_pixels(s));
    size_t ci = (size_t)s->ci, columns = full_columns(s);
    size_t offset = (size_t)n * dmi_output_floats(s) + (size_t)t.pixel * (size_t)s->co;
    const float *image = job->x + (size_t)n * dmi_input_floats(s), *matrix;
    if (dmi_is_pointwise(s)) {
        matrix = image + (size_t)t.pixel * ci;
    } else {
        float *gathered = scratch_of(job, worker);
        for (int32_t tap = 0; tap < dmi_taps(s); tap++)
            dmi_gather(job->kernels, s, gathered + (size_t)tap * ci, columns, image, tap, t);
        matrix = gathered;
    }
    dmi_output_tile y = {.n = n,
                         .offset = offset,
                         .pixels = (size_t)t.pixels,
                         .channels = (size_t)s->co};
    bool add = dmi_epilogue_begin(job->kernels, job->epilogue, job->result, (size_t)s->co, &y);
    dmi_gemm(job->kernels->product, false, false, t.pixels, s->co, (int32_t)columns, matrix,
             (int32_t)columns, job->weight, s->co, add, job->result + offset, s->co);
}

/* ---- data gradient dx: a task is one tile of input channels of one image; for each tap, the
 * matrix dy weight^T is scattered to dx ---- */

static int32_t dx_channel_tiles(const dmi_conv_shape *s) {
    return dmi_divide_up(s->ci, TASK_CHANNELS);
}
static int32_t dx_tile_pixels(const dmi_conv_shape *s) { return tile_pixels(s, TASK_CHANNELS); }

static void dx_task(void *data, int32_t task, int32_t worker) {
    const im2col_job *job = data;
    const dmi_conv_shape *s = job->shape;
    int32_t n = task / dx_channel_tiles(s);
    dmi_input_tile t = {.channel = task % dx_channel_tiles(s) * TASK_CHANNELS};
    t.channels = dmi_min(s->ci - t.channel, TASK_CHANNELS);
    size_t ci = (size_t)s->ci, co = (size_t)s->co, c0 = (size_t)t.channel;
    float *image = job->result + (size_t)n * dmi_input_floats(s);
    const float *dy = job->dy + (size_t)n * dmi_output_floats(s);
    float *matrix = scratch_of(job, worker); /* [pixels, channels] */
    if (!job->add && !dmi_is_pointwise(s))
        for (size_t i = 0; i < (size_t)s->ih * (size_t)s->iw; i++)
            memset(image + i * ci + c0, 0, (size_t)t.channels * sizeof *image);
    for (; t.pixel < dmi_output_pixels(s); t.pixel += dx_tile_pixels(s)) {
        t.pixels = dmi_min(dmi_output_pixels(s) - t.pixel, dx_tile_pixels(s));
        const float *rows = dy + (size_t)t.pixel * co;
        for (int32_t tap = 0; tap < dmi_taps(s); tap++) {
            const float *weight = job->weight + ((size_t)tap * ci + c0) * co;
            if (dmi_is_pointwise(s)) {
                dmi_gemm(job->kernels->product, false, true, t.pixels, t.channels, s->co, rows,
                         s->co, weight, s->co, job->add, image + (size_t)t.pixel * ci + c0, s->ci);
            } else {
                dmi_gemm(job->kernels->product, false, true, t.pixels, t.channels, s->co, rows,
                         s->co, weight, s->co, false, matrix, t.channels);
                scatter(job, matrix, (size_t)t.channels, image, tap, t);
            }
        }
    }
}

/* ---- weight gradient dw: a task is one block of dw for one group of images; dw = matrix^T dy.
 * Groups have partial sums, which are added in order ---- */

typedef struct weight_partition {
    int32_t taps;          /* of one block: one, or all */
    int32_t channel_tiles; /* of input channels */
    int32_t out_tiles;     /* of output channels */
    int32_t row_blocks;    /* of dw seen as [taps * ci, co] */
    int32_t groups;        /* of images */
} weight_partition;

static weight_partition partition_of(const dmi_conv_shape *s) {
    weight_partition p = {.taps = s->ci < TAP_CHANNELS_MIN ? dmi_taps(s) : 1,
                          .channel_tiles = dmi_divide_up(s->ci, TASK_CHANNELS),
                          .out_tiles = dmi_divide_up(s->co, TASK_CHANNELS)};
    p.row_blocks = dmi_taps(s) / p.taps * p.channel_tiles;
    p.groups = dmi_image_groups(p.row_blocks * p.out_tiles, s->n);
    return p;
}

/* The block of dw and the group of images of one task. */
typedef struct weight_block {
    int32_t group, tap, channel, channels, out, outs;
} weight_block;

static weight_block block_of(const dmi_conv_shape *s, const weight_partition *p, int32_t task) {
    int32_t row_block = task / p->out_tiles % p->row_blocks;
    weight_block b = {.group = task / p->out_tiles / p->row_blocks,
                      .tap = row_block / p->channel_tiles * p->taps,
                      .channel = row_block % p->channel_tiles * TASK_CHANNELS,
                      .out = task % p->out_tiles * TASK_CHANNELS};
    b.channels = dmi_min(s->ci - b.channel, TASK_CHANNELS);
    b.outs = dmi_min(s->co - b.out, TASK_CHANNELS);
    return b;
}

/* Columns of the matrix of a dw task, at most. */
static size_t dw_columns(const dmi_conv_shape *s) {
    return s->ci < TAP_CHANNELS_MIN ? full_columns(s) : (size_t)dmi_min(s->ci, TASK_CHANNELS);
}

static void dw_task(void *data, int32_t task, int32_t worker) {
    const im2col_job *job = data;
    const dmi_conv_shape *s = job->shape;
    weight_partition p = partition_of(s);
    weight_block b = block_of(s, &p, task);
    int32_t rows = p.taps * b.channels, tile_max = tile_pixels(s, dw_columns(s));
    float *matrix = scratch_of(job, worker); /* [pixels, taps * channels] */
    float *dw = p.groups > 1 ? job->partial + (size_t)b.group * dmi_weight_count(s) : job->result;
    dw += ((size_t)b.tap * (size_t)s->ci + (size_t)b.channel) * (size_t)s->co + (size_t)b.out;
    bool add = p.groups == 1 && job->add;
    for (int32_t n = s->n * b.group / p.groups; n < s->n * (b.group + 1) / p.groups; n++) {
        const float *image = job->x + (size_t)n * dmi_input_floats(s);
        const float *dy = job->dy + (size_t)n * dmi_output_floats(s) + (size_t)b.out;
        for (int32_t pixel = 0; pixel < dmi_output_pixels(s); pixel += tile_max) {
            dmi_input_tile t = {.pixel = pixel,
                                .pixels = dmi_min(dmi_output_pixels(s) - pixel, tile_max),
                                .channel = b.channel,
                                .channels = b.channels};
            const float *a; /* [pixels, rows] */
            int32_t lda;
            if (dmi_is_pointwise(s)) {
                a = image + (size_t)pixel * (size_t)s->ci + (size_t)b.channel;
                lda = s->ci;
            } else {
                for (int32_t i = 0; i < p.taps; i++)
                    dmi_gather(job->kernels, s, matrix + (size_t)i * (size_t)b.channels,
                               (size_t)rows, image, b.tap + i, t);
                a = matrix;
                lda = rows;
            }
            dmi_gemm(job->kernels->product, true, false, rows, b.outs, t.pixels, a, lda,
                     dy + (size_t)pixel * (size_t)s->co, s->co, add, dw, s->co);
            add = true; /* further tiles add to the first */
        }
    }
}

/* ---- sizes in floats; of a worker's scratch, in whole cache lines ---- */

static size_t forward_scratch(const dmi_conv_shape *s) {
    if (dmi_is_pointwise(s)) return 0;
    return dmi_align_floats((size_t)forward_tile_pixels(s) * full_columns(s));
}

static size_t dx_scratch(const dmi_conv_shape *s) {
    if (dmi_is_pointwise(s)) return 0;
    return dmi_align_floats((size_t)dx_tile_pixels(s) * (size_t)dmi_min(s->ci, TASK_CHANNELS));
}

static size_t dw_scratch(const dmi_conv_shape *s) {
    if (dmi_is_pointwise(s)) return 0;
    return dmi_align_floats((size_t)tile_pixels(s, dw_columns(s)) * dw_columns(s));
}

static size_t partial_floats(const dmi_conv_shape *s) {
    int32_t groups = partition_of(s).groups;
    return groups > 1 ? dmi_align_floats((size_t)groups * dmi_weight_count(s)) : 0;
}

static size_t forward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k;
    return forward_scratch(s) * (size_t)threads;
}

static size_t backward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k;
    size_t data = dx_scratch(s) * (size_t)threads,
           weight = dw_scratch(s) * (size_t)threads + partial_floats(s);
    return dmi_max_size(data, weight);
}

static void forward(const dmi_graph *graph, const dmi_conv_shape *s, void *y, const void *x,
                    const float *weight, const float *prepared, const dmi_epilogue *epilogue,
                    float *work) {
    (void)prepared;
    im2col_job job = {.kernels = graph->kernels,
                      .shape = s,
                      .result = y,
                      .x = x,
                      .weight = weight,
                      .epilogue = epilogue,
                      .scratch = work,
                      .scratch_floats = forward_scratch(s)};
    dmi_parallel(graph->host->pool, s->n * forward_tiles(s), forward_task, &job);
}

static void backward_data(const dmi_graph *graph, const dmi_conv_shape *s, void *dx, const void *dy,
                          const float *weight, bool add, float *work) {
    im2col_job job = {.kernels = graph->kernels,
                      .shape = s,
                      .result = dx,
                      .dy = dy,
                      .weight = weight,
                      .add = add,
                      .scratch = work,
                      .scratch_floats = dx_scratch(s)};
    dmi_parallel(graph->host->pool, s->n * dx_channel_tiles(s), dx_task, &job);
}

static void backward_weight(const dmi_graph *graph, const dmi_conv_shape *s, float *dw,
                            const void *x, const void *dy, bool add, float *work) {
    weight_partition p = partition_of(s);
    im2col_job job = {.kernels = graph->kernels,
                      .shape = s,
                      .result = dw,
                      .x = x,
                      .dy = dy,
                      .add = add,
                      .partial = work,
                      .scratch = work + partial_floats(s),
                      .scratch_floats = dw_scratch(s)};
    dmi_parallel(graph->host->pool, p.groups * p.row_blocks * p.out_tiles, dw_task, &job);
    if (p.groups > 1)
        graph->kernels->sum_rows(dw, job.partial, (size_t)p.groups, dmi_weight_count(s), add);
}

const dmi_conv_algorithm dmi_conv_im2col = {
    .name = "im2col",
    .uses_blas = true,
    .suits = suits,
    .forward_work = forward_work,
    .backward_work = backward_work,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weight = backward_weight,
};
