/* SPDX-License-Identifier: MIT */
/* A 1x1 convolution whose activations are bfloat16. A task widens a tile of them to floats in its
 * scratch, which stays in L2, multiplies there as product.c does, and narrows the result: sums and
 * weights are floats. */
#include "autograd/conv/epilogue_bf16.h"
#include "autograd/conv/partial_sums.h"
#include "autograd/conv/taps.h"
#include "kernels/product.h"

/* A task computes a tile of y or dx, of TASK_PIXELS pixels of one image by at most TASK_CHANNELS
 * channels, at least TASK_CHANNELS_MIN where there are fewer tiles than threads; or a block of dw,
 * which it sums over ROUND_PIXELS pixels at a time. */
enum {
    TASK_PIXELS = 64,
    TASK_CHANNELS = 256,
    TASK_CHANNELS_MIN = 32,
    BLOCK_IN = 64,
    BLOCK_OUT = 128,
    ROUND_PIXELS = 128
};

/* Of forward, and of the data gradient with x and y, ci and co exchanged. */
typedef struct tile_job {
    const dmi_kernels *kernels;
    int32_t pixels, ci, co; /* of one image */
    int32_t task_channels;  /* of a task's tile of y */
    uint16_t *y;            /* [n, pixels, co] */
    const uint16_t *x;      /* [n, pixels, ci] */
    const float *weight;    /* [ci, co] */
    dmi_epilogue epilogue;
    float *scratch; /* [workers, scratch_floats] */
    size_t scratch_floats;
} tile_job;

static bool suits(const dmi_conv_shape *s) { return s->bf16 && dmi_is_pointwise(s); }

/* ---- tiles of y and dx ---- */

/* Of one worker: a tile of x, a tile of y and a row of it. */
static size_t tile_floats(int32_t ci, int32_t co) {
    const size_t channels = (size_t)dmi_min(co, TASK_CHANNELS);
    return dmi_align_floats(TASK_PIXELS * ((size_t)ci + channels) + channels);
}

static void tile_task(void *data, int32_t task, int32_t worker) {
    const tile_job *job = data;
    const int32_t across = dmi_divide_up(job->co, job->task_channels), row = task / across,
                  tiles = dmi_divide_up(job->pixels, TASK_PIXELS);
    const size_t n = (size_t)(row / tiles), ci = (size_t)job->ci, co = (size_t)job->co,
                 c = (size_t)(task % across * job->task_channels),
                 channels = dmi_min_size(co - c, (size_t)job->task_channels),
                 pixel = (size_t)(row % tiles) * TASK_PIXELS,
                 pixels = dmi_min_size((size_t)job->pixels - pixel, TASK_PIXELS),
                 at = n * (size_t)job->pixels + pixel;
    float *x = job->scratch + (size_t)worker * job->scratch_floats, *y = x + TASK_PIXELS * ci;
    const dmi_product_addend none = {.bias = NULL};
    const dmi_bf16_tile tile = {n, (size_t)job->pixels, pixel, pixels, co, c, channels};
    job->kernels->widen_rows(x, ci, job->x + at * ci, ci, pixels, ci);
    job->kernels->product->multiply_add(y, channels, x, ci, job->weight + c, co, (int32_t)pixels,
                                        (int32_t)channels, job->ci, &none);
    dmi_bf16_finish(job->kernels, &job->epilogue, job->y, &tile, y, channels,
                    y + TASK_PIXELS * channels);
}

static void run_tiles(const dmi_graph *graph, tile_job *job, int32_t n) {
    const int32_t rows = n * dmi_divide_up(job->pixels, TASK_PIXELS),
                  threads = dmi_pool_threads(graph->host->pool);
    job->kernels = graph->kernels;
    job->task_channels = TASK_CHANNELS;
    while (job->task_channels > TASK_CHANNELS_MIN &&
           rows * dmi_divide_up(job->co, job->task_channels) < threads)
        job->task_channels /= 2;
    job->scratch_floats = tile_floats(job->ci, job->co);
    dmi_parallel(graph->host->pool, rows * dmi_divide_up(job->co, job->task_channels), tile_task,
                 job);
}

/* ---- weight gradient: a task is one block of dw for one group of images, as in product.c ---- */

typedef struct gradient_job {
    const dmi_kernels *kernels;
    const dmi_conv_shape *shape;
    float *dw;          /* [groups, ci, co] */
    const uint16_t *x;  /* [n, pixels, ci] */
    const uint16_t *dy; /* [n, pixels, co] */
    bool add;
    int32_t groups;
    float *scratch; /* [workers, GRADIENT_FLOATS] */
} gradient_job;

enum { GRADIENT_FLOATS = ROUND_PIXELS * (BLOCK_IN + BLOCK_OUT) };

static int32_t block_count(const dmi_conv_shape *s) {
    return dmi_divide_up(s->ci, BLOCK_IN) * dmi_divide_up(s->co, BLOCK_OUT);
}

static int32_t group_count(const dmi_conv_shape *s) {
    return dmi_image_groups(block_count(s), s->n);
}

/* The groups' gradients, where there is more than one. */
static size_t partial_floats(const dmi_conv_shape *s) {
    return group_count(s) > 1 ? dmi_align_floats((size_t)group_count(s) * dmi_weight_count(s)) : 0;
}

static void gradient_task(void *data, int32_t task, int32_t worker) {
    const gradient_job *job = data;
    const dmi_conv_shape *s = job->shape;
    const int32_t blocks = block_count(s), across = dmi_divide_up(s->co, BLOCK_OUT),
                  block = task % blocks, group = task / blocks, in = block / across * BLOCK_IN,
                  out = block % across * BLOCK_OUT, ins = dmi_min(s->ci - in, BLOCK_IN),
                  outs = dmi_min(s->co - out, BLOCK_OUT);
    const size_t ci = (size_t)s->ci, co = (size_t)s->co, pixels = (size_t)dmi_output_pixels(s),
                 first = pixels * (size_t)(s->n * group / job->groups),
                 end = pixels * (size_t)(s->n * (group + 1) / job->groups);
    float *x = job->scratch + (size_t)worker * GRADIENT_FLOATS, *dy = x + ROUND_PIXELS * BLOCK_IN;
    float *dw = job->dw + (size_t)group * dmi_weight_count(s) + (size_t)in * co + (size_t)out;
    for (size_t p = first, count; p < end; p += count) {
        count = dmi_min_size(end - p, ROUND_PIXELS);
        job->kernels->widen_rows(x, (size_t)ins, job->x + p * ci + in, ci, count, (size_t)ins);
        job->kernels->widen_rows(dy, (size_t)outs, job->dy + p * co + out, co, count, (size_t)outs);
        job->kernels->product->multiply_transposed(dw, co, x, (size_t)ins, dy, (size_t)outs, ins,
                                                   outs, (int32_t)count, job->add || p > first);
    }
}

/* ---- the algorithm ---- */

static size_t forward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k;
    return (size_t)threads * tile_floats(s->ci, s->co);
}

static size_t backward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k;
    size_t data =
        dmi_align_floats(dmi_weight_count(s)) + (size_t)threads * tile_floats(s->co, s->ci);
    return dmi_max_size(data, partial_floats(s) + (size_t)threads * GRADIENT_FLOATS);
}

static void forward(const dmi_graph *graph, const dmi_conv_shape *s, void *y, const void *x,
                    const float *weight, const float *prepared, const dmi_epilogue *epilogue,
                    float *work) {
    (void)prepared;
    tile_job job = {.pixels = dmi_output_pixels(s),
                    .ci = s->ci,
                    .co = s->co,
                    .y = y,
                    .x = x,
                    .weight = weight,
                    .epilogue = *epilogue,
                    .scratch = work};
    run_tiles(graph, &job, s->n);
}

static void backward_data(const dmi_graph *graph, const dmi_conv_shape *s, void *dx, const void *dy,
                          const float *weight, bool add, float *work) {
    graph->kernels->product->transpose(work, (size_t)s->ci, weight, (size_t)s->co, s->ci, s->co);
    tile_job job = {.pixels = dmi_output_pixels(s),
                    .ci = s->co,
                    .co = s->ci,
                    .y = dx,
                    .x = dy,
                    .weight = work,
                    .epilogue = {.add = add},
                    .scratch = work + dmi_align_floats(dmi_weight_count(s))};
    run_tiles(graph, &job, s->n);
}

static void backward_weight(const dmi_graph *graph, const dmi_conv_shape *s, float *dw,
                            const void *x, const void *dy, bool add, float *work) {
    const int32_t groups = group_count(s);
    gradient_job job = {.kernels = graph->kernels,
                        .shape = s,
                        .dw = groups > 1 ? work : dw,
                        .x = x,
                        .dy = dy,
                        .add = groups == 1 && add,
                        .groups = groups,
                        .scratch = work + partial_floats(s)};
    dmi_parallel(graph->host->pool, groups * block_count(s), gradient_task, &job);
    if (groups > 1) dmi_sum_partials(graph, dw, work, groups, dmi_weight_count(s), add);
}

const dmi_conv_algorithm dmi_conv_pointwise_bf16 = {
    .name = "product",
    .suits = suits,
    .forward_work = forward_work,
    .backward_work = backward_work,
    .forward = forward,
    .backward_data = backward_data,
    .backward_weight = backward_weight,
};
