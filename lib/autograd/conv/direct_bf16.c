/* SPDX-License-Identifier: MIT */
/* Convolution on bfloat16 by the processor's own products (bf16_product.h), forward alone: a task
 * gathers what its output pixels read, all taps of a pixel side by side, and multiplies these rows
 * by the weights, rounded to bfloat16 and packed. */
#include <string.h>

#include "autograd/conv/epilogue_bf16.h"
#include "autograd/conv/gather.h"
#include "autograd/conv/taps.h"
#include "kernels/bf16_product.h"

/* Where there are fewer tiles of pixels than threads, their panels of channels are divided among
 * tasks. No result depends on that. A tile's pixels are a multiple of every product's rows. */
enum { TASK_PIXELS = DMI_TILE_PIXELS };

typedef struct direct_job {
    const dmi_kernels *kernels;
    const dmi_bf16_product *product;
    const dmi_conv_shape *shape;
    uint16_t *y;         /* [n, oh, ow, co] */
    const uint16_t *x;   /* [n, ih, iw, ci] */
    const float *weight; /* [taps, ci, co] */
    uint16_t *packed;    /* [panels][depth / group][DMI_BF16_COLUMNS][group] */
    const dmi_epilogue *epilogue;
    int32_t splits; /* tasks among which the panels of a tile are divided */
    float *scratch; /* [workers, scratch_floats] */
    size_t scratch_floats;
} direct_job;

static int32_t panels_of(const dmi_conv_shape *s) { return dmi_divide_up(s->co, DMI_BF16_COLUMNS); }

/* Pairs of channels are gathered as floats. */
static bool suits(const dmi_conv_shape *s) {
    return s->bf16 && s->ci % 2 == 0 && s->ci < INT32_MAX / 2 / dmi_taps(s);
}

/* Depth of the products, padded with zeros, for the product that needs the most: the packed weights
 * are as large for all of them. */
enum { DEPTH_MULTIPLE = 32 };

static int32_t depth(const dmi_conv_shape *s) {
    return dmi_round_up(dmi_taps(s) * s->ci, DEPTH_MULTIPLE);
}

/* ---- packed weights ---- */

static size_t weight_floats(const dmi_kernels *k, const dmi_conv_shape *s) {
    (void)k;
    return (size_t)panels_of(s) * (size_t)depth(s) * DMI_BF16_COLUMNS / 2;
}

static void pack_task(void *data, int32_t panel, int32_t worker) {
    const direct_job *job = data;
    const dmi_conv_shape *s = job->shape;
    (void)worker;
    const size_t group = (size_t)job->product->group, rows = (size_t)(dmi_taps(s) * s->ci),
                 co = (size_t)s->co, first = (size_t)panel * DMI_BF16_COLUMNS,
                 columns = dmi_min_size(co - first, DMI_BF16_COLUMNS);
    uint16_t *to = job->packed + first * (size_t)depth(s), row[DMI_BF16_COLUMNS];
    memset(to, 0, (size_t)depth(s) * DMI_BF16_COLUMNS * sizeof *to);
    for (size_t i = 0; i < rows; i++) {
        job->kernels->narrow_rows(row, columns, job->weight + i * co + first, co, 1, columns,
                                  false);
        uint16_t *at = to + i / group * group * DMI_BF16_COLUMNS + i % group;
        for (size_t c = 0; c < columns; c++) at[c * group] = row[c];
    }
}

static void prepare(const dmi_graph *graph, const dmi_conv_shape *s, float *prepared,
                    const float *weight, bool locked) {
    direct_job job = {.kernels = graph->kernels,
                      .product = graph->bf16_product,
                      .shape = s,
                      .weight = weight,
                      .packed = (uint16_t *)(void *)prepared};
    if (locked) dmi_parallel_locked(graph->host->pool, panels_of(s), pack_task, &job);
    else dmi_parallel(graph->host->pool, panels_of(s), pack_task, &job);
}

/* ---- forward ---- */

/* Of one worker: rows [TASK_PIXELS, depth], sums [TASK_PIXELS, DMI_BF16_COLUMNS], and a row of
 * these. */
static size_t row_floats(const dmi_conv_shape *s) {
    return (size_t)TASK_PIXELS * (size_t)depth(s) / 2;
}
static size_t scratch_floats(const dmi_conv_shape *s) {
    return dmi_align_floats(row_floats(s) + (TASK_PIXELS + 1) * DMI_BF16_COLUMNS);
}

static size_t forward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k;
    return scratch_floats(s) * (size_t)threads;
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const direct_job *job = data;
    const dmi_conv_shape *s = job->shape;
    const dmi_bf16_product *product = job->product;
    const dmi_pixel_tile t = dmi_pixel_tile_of(s, task / job->splits);
    const int32_t split = task % job->splits, panels = panels_of(s),
                  count = dmi_round_up(t.images * t.pixels, product->rows);
    float *gathered = job->scratch + (size_t)worker * job->scratch_floats,
          *sums = gathered + row_floats(s), *row = sums + TASK_PIXELS * DMI_BF16_COLUMNS;
    uint16_t *rows = (uint16_t *)(void *)gathered;
    dmi_gather_rows_bf16(job->kernels, s, rows, (size_t)depth(s), job->x, &t);
    if (product->begin) product->begin();
    for (int32_t panel = panels * split / job->splits; panel < panels * (split + 1) / job->splits;
         panel++) {
        const size_t c = (size_t)panel * DMI_BF16_COLUMNS;
        product->multiply(sums, DMI_BF16_COLUMNS, rows, (size_t)depth(s),
                          job->packed + c * (size_t)depth(s), count, depth(s));
        dmi_bf16_finish_tile(job->kernels, s, job->epilogue, job->y, &t, c,
                             dmi_min_size((size_t)s->co - c, DMI_BF16_COLUMNS), sums,
                             DMI_BF16_COLUMNS, row);
    }
    if (product->end) product->end();
}

static void forward(const dmi_graph *graph, const dmi_conv_shape *s, void *y, const void *x,
                    const float *weight, const float *prepared, const dmi_epilogue *epilogue,
                    float *work) {
    (void)weight;
    direct_job job = {.kernels = graph->kernels,
                      .product = graph->bf16_product,
                      .shape = s,
                      .y = y,
                      .x = x,
                      .packed = (uint16_t *)(uintptr_t)prepared,
                      .epilogue = epilogue,
                      .scratch = work,
                      .scratch_floats = scratch_floats(s)};
    int32_t tiles = dmi_pixel_tile_count(s), threads = dmi_pool_threads(graph->host->pool);
    job.splits = dmi_min(dmi_divide_up(threads, tiles), panels_of(s));
    dmi_parallel(graph->host->pool, tiles * job.splits, forward_task, &job);
}

const dmi_conv_algorithm dmi_conv_direct_bf16 = {
    .name = "direct",
    .suits = suits,
    .weight_floats = weight_floats,
    .prepare = prepare,
    .forward_work = forward_work,
    .forward = forward,
};
