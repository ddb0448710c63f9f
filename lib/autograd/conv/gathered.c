/* SPDX-License-Identifier: MIT */
/* Convolution of small maps: a task gathers what its output pixels read, all taps of a pixel side
 * by side, and multiplies these rows by the weights in one product of depth taps * ci.
 *
 * For forward passes alone. Winograd's transformed weights are four times the weights, and a map of
 * one or a few tiles reads them for few products. */
#include <string.h>

#include "autograd/conv/epilogue_bf16.h"
#include "autograd/conv/gather.h"
#include "autograd/conv/taps.h"
#include "kernels/product.h"

/* The channels of y whose weights lie together are a panel of the products. Where there are fewer
 * tiles of pixels than threads, their panels are divided among tasks. No result depends on that. */
enum { TASK_PIXELS = DMI_TILE_PIXELS };

typedef struct gathered_job {
    const dmi_kernels *kernels;
    const dmi_conv_shape *shape;
    void *y;             /* [n, oh, ow, co] */
    const void *x;       /* [n, ih, iw, ci] */
    const float *weight; /* [taps, ci, co] */
    float *packed;       /* [panels, taps, ci, panel_columns], zeros from channel co on */
    int32_t splits;      /* tasks among which the panels of a tile are divided */
    const dmi_epilogue *epilogue;
    float *scratch; /* [workers, scratch_floats] */
    size_t scratch_floats;
} gathered_job;

/* Pairs of bfloat16 are gathered as floats. */
static bool suits(const dmi_conv_shape *s) {
    return (s->kernel > 1 || s->stride > 1 || s->upsample) && (!s->bf16 || s->ci % 2 == 0);
}

static int32_t depth(const dmi_conv_shape *s) { return dmi_taps(s) * s->ci; }

static int32_t panels_of(const dmi_kernels *k, const dmi_conv_shape *s) {
    return dmi_divide_up(s->co, k->product->panel_columns);
}

/* ---- packed weights ---- */

static size_t weight_floats(const dmi_kernels *k, const dmi_conv_shape *s) {
    return (size_t)panels_of(k, s) * (size_t)depth(s) * (size_t)k->product->panel_columns;
}

static void pack_task(void *data, int32_t panel, int32_t worker) {
    const gathered_job *job = data;
    const dmi_conv_shape *s = job->shape;
    (void)worker;
    size_t width = (size_t)job->kernels->product->panel_columns, rows = (size_t)depth(s),
           co = (size_t)s->co, first = (size_t)panel * width;
    float *to = job->packed + first * rows;
    if (co - first < width) memset(to, 0, rows * width * sizeof *to);
    job->kernels->copy_rows(to, width, job->weight + first, co, rows,
                            dmi_min_size(width, co - first), false);
}

static void prepare(const dmi_graph *graph, const dmi_conv_shape *s, float *prepared,
                    const float *weight, bool locked) {
    gathered_job job = {.kernels = graph->kernels,
                        .shape = s,
                        .weight = weight,
                        .packed = prepared};
    int32_t tasks = panels_of(graph->kernels, s);
    if (locked) dmi_parallel_locked(graph->host->pool, tasks, pack_task, &job);
    else dmi_parallel(graph->host->pool, tasks, pack_task, &job);
}

/* ---- forward ---- */

/* Of one worker: rows [TASK_PIXELS, depth], and where x and y are bfloat16 these as such, sums
 * [TASK_PIXELS, panel_columns] and one row of them. */
static size_t row_floats(const dmi_conv_shape *s) { return TASK_PIXELS * (size_t)depth(s); }
static size_t scratch_floats(const dmi_kernels *k, const dmi_conv_shape *s) {
    size_t floats = row_floats(s);
    if (s->bf16)
        floats += row_floats(s) / 2 + (TASK_PIXELS + 1) * (size_t)k->product->panel_columns;
    return dmi_align_floats(floats);
}

static size_t forward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    return scratch_floats(k, s) * (size_t)threads;
}

/* What the products are added to, of the tile's channels c to c + count - 1: the bias alone, or y,
 * into which the other terms are written. */
static dmi_product_addend addend_of(const gathered_job *job, const dmi_pixel_tile *t, float *y,
                                    size_t c, size_t count) {
    const dmi_epilogue *e = job->epilogue;
    const size_t co = (size_t)job->shape->co;
    dmi_product_addend start = {.stride = co};
    if (!e->per_image && !e->residual && !e->add) {
        start.bias = e->bias ? e->bias + c : NULL;
        return start;
    }
    for (int32_t i = 0; i < t->images; i++) {
        size_t offset = (size_t)(t->n + i) * dmi_output_floats(job->shape) + (size_t)t->pixel * co;
        dmi_output_tile out = {t->n + i, offset, (size_t)t->pixels, c, count};
        dmi_epilogue_begin(job->kernels, e, job->y, co, &out);
    }
    start.matrix = y;
    return start;
}

/* y of one panel from its rows. */
static void multiply_panel(const gathered_job *job, const dmi_pixel_tile *t, const float *rows,
                           int32_t panel) {
    const dmi_conv_shape *s = job->shape;
    const dmi_product *product = job->kernels->product;
    const size_t co = (size_t)s->co, width = (size_t)product->panel_columns, row = (size_t)depth(s),
                 c = (size_t)panel * width, count = dmi_min_size(co - c, width);
    float *y = (float *)job->y + (size_t)t->n * dmi_output_floats(s) + (size_t)t->pixel * co + c;
    const dmi_product_addend start = addend_of(job, t, y, c, count);
    product->multiply_add(y, co, rows, row, job->packed + c * row, width, t->images * t->pixels,
                          (int32_t)count, depth(s), &start);
}

/* The same where y is bfloat16; sums: scratch. */
static void multiply_panel_bf16(const gathered_job *job, const dmi_pixel_tile *t, const float *rows,
                                int32_t panel, float *sums) {
    const dmi_conv_shape *s = job->shape;
    const dmi_product *product = job->kernels->product;
    const size_t width = (size_t)product->panel_columns, row = (size_t)depth(s),
                 c = (size_t)panel * width, count = dmi_min_size((size_t)s->co - c, width);
    const dmi_product_addend none = {.bias = NULL};
    product->multiply_add(sums, width, rows, row, job->packed + c * row, width,
                          t->images * t->pixels, (int32_t)width, depth(s), &none);
    dmi_bf16_finish_tile(job->kernels, s, job->epilogue, job->y, t, c, count, sums, width,
                         sums + TASK_PIXELS * width);
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const gathered_job *job = data;
    const dmi_conv_shape *s = job->shape;
    const dmi_pixel_tile t = dmi_pixel_tile_of(s, task / job->splits);
    const int32_t split = task % job->splits, panels = panels_of(job->kernels, s);
    const size_t row = (size_t)depth(s);
    float *rows = job->scratch + (size_t)worker * job->scratch_floats,
          *halves = rows + row_floats(s), *sums = halves + row_floats(s) / 2;
    if (s->bf16) {
        uint16_t *from = (uint16_t *)(void *)halves;
        dmi_gather_rows_bf16(job->kernels, s, from, row, job->x, &t);
        job->kernels->widen_rows(rows, row, from, row, (size_t)(t.images * t.pixels), row);
    } else {
        dmi_gather_rows(job->kernels, s, rows, row, job->x, &t);
    }
    for (int32_t panel = panels * split / job->splits; panel < panels * (split + 1) / job->splits;
         panel++) {
        if (s->bf16) multiply_panel_bf16(job, &t, rows, panel, sums);
        else multiply_panel(job, &t, rows, panel);
    }
}

static void forward(const dmi_graph *graph, const dmi_conv_shape *s, void *y, const void *x,
                    const float *weight, const float *prepared, const dmi_epilogue *epilogue,
                    float *work) {
    (void)weight;
    gathered_job job = {.kernels = graph->kernels,
                        .shape = s,
                        .y = y,
                        .x = x,
                        .packed = (float *)prepared,
                        .epilogue = epilogue,
                        .scratch = work,
                        .scratch_floats = scratch_floats(graph->kernels, s)};
    int32_t tiles = dmi_pixel_tile_count(s), threads = dmi_pool_threads(graph->host->pool);
    job.splits = dmi_min(dmi_divide_up(threads, tiles), panels_of(graph->kernels, s));
    dmi_parallel(graph->host->pool, tiles * job.splits, forward_task, &job);
}

const dmi_conv_algorithm dmi_conv_gathered = {
    .name = "gathered",
    .suits = suits,
    .weight_floats = weight_floats,
    .prepare = prepare,
    .forward_work = forward_work,
    .forward = forward,
};
