/* SPDX-License-Identifier: MIT */
/* Convolution of small maps: a task gathers what its output pixels read, all taps of a pixel side
 * by side, and multiplies these rows by the weights in one product of depth taps * ci.
 *
 * For forward passes alone. Winograd's transformed weights are four times the weights, and a map of
 * one or a few tiles reads them for few products. */
#include <string.h>

#include "autograd/conv/gather.h"
#include "autograd/conv/taps.h"
#include "kernels/product.h"

/* Pixels of a task at most, of several images where they are smaller; and the channels of y whose
 * weights lie together: a panel of the products. Where there are fewer tiles of pixels than
 * threads, their panels are divided among tasks. No result depends on any of that. */
enum { TASK_PIXELS = 64 };

typedef struct gathered_job {
    const dmi_kernels *kernels;
    const dmi_conv_shape *shape;
    float *y;            /* [n, oh, ow, co] */
    const float *x;      /* [n, ih, iw, ci] */
    const float *weight; /* [taps, ci, co] */
    float *packed;       /* [panels, taps, ci, panel_columns], zeros from channel co on */
    int32_t splits;      /* tasks among which the panels of a tile are divided */
    const dmi_epilogue *epilogue;
    float *scratch; /* [workers, scratch_floats] */
    size_t scratch_floats;
} gathered_job;

static bool suits(const dmi_conv_shape *s) { return s->kernel > 1 || s->stride > 1 || s->upsample; }

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

/* A tile: pixels of one image, or several whole images of fewer pixels. */
static int32_t images_of_tile(const dmi_conv_shape *s) {
    return dmi_max(TASK_PIXELS / dmi_output_pixels(s), 1);
}

static int32_t tiles_of_image(const dmi_conv_shape *s) {
    return dmi_divide_up(dmi_output_pixels(s), TASK_PIXELS);
}

/* Of one worker: the rows of a tile. */
static size_t scratch_floats(const dmi_conv_shape *s) {
    return dmi_align_floats((size_t)TASK_PIXELS * (size_t)depth(s));
}

static size_t forward_work(const dmi_kernels *k, const dmi_conv_shape *s, int32_t threads) {
    (void)k;
    return scratch_floats(s) * (size_t)threads;
}

/* Of one tile. */
typedef struct tile {
    int32_t n, images, pixel, pixels; /* of each of the images n to n + images - 1 */
} tile;

static tile tile_of(const dmi_conv_shape *s, int32_t number) {
    int32_t parts = tiles_of_image(s), n = number / parts * images_of_tile(s);
    tile t = {.n = n,
              .images = dmi_min(s->n - n, images_of_tile(s)),
              .pixel = number % parts * TASK_PIXELS};
    t.pixels = dmi_min(dmi_output_pixels(s) - t.pixel, TASK_PIXELS);
    return t;
}

/* rows [images, pixels, taps, ci] */
static void gather_rows(const gathered_job *job, float *rows, const tile *t) {
    const dmi_conv_shape *s = job->shape;
    const dmi_input_tile part = {t->pixel, t->pixels, 0, s->ci};
    const size_t row = (size_t)depth(s);
    for (int32_t i = 0; i < t->images; i++) {
        const float *image = job->x + (size_t)(t->n + i) * dmi_input_floats(s);
        float *to = rows + (size_t)(i * t->pixels) * row;
        for (int32_t tap = 0; tap < dmi_taps(s); tap++)
            dmi_gather(job->kernels, s, to + (size_t)tap * (size_t)s->ci, row, image, tap, part);
    }
}

/* What the products are added to, of the tile's channels c to c + count - 1: the bias alone, or y,
 * into which the other terms are written. */
static dmi_product_addend addend_of(const gathered_job *job, const tile *t, float *y, size_t c,
                                    size_t count) {
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

static void forward_task(void *data, int32_t task, int32_t worker) {
    const gathered_job *job = data;
    const dmi_conv_shape *s = job->shape;
    const dmi_product *product = job->kernels->product;
    const tile t = tile_of(s, task / job->splits);
    const int32_t split = task % job->splits, panels = panels_of(job->kernels, s);
    const size_t co = (size_t)s->co, width = (size_t)product->panel_columns, row = (size_t)depth(s);
    float *rows = job->scratch + (size_t)worker * job->scratch_floats;
    float *y = job->y + (size_t)t.n * dmi_output_floats(s) + (size_t)t.pixel * co;
    gather_rows(job, rows, &t);
    for (int32_t panel = panels * split / job->splits; panel < panels * (split + 1) / job->splits;
         panel++) {
        size_t c = (size_t)panel * width, count = dmi_min_size(co - c, width);
        dmi_product_addend start = addend_of(job, &t, y + c, c, count);
        product->multiply_add(y + c, co, rows, row, job->packed + c * row, width,
                              t.images * t.pixels, (int32_t)count, depth(s), &start);
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
                        .scratch_floats = scratch_floats(s)};
    int32_t tiles = dmi_divide_up(s->n, images_of_tile(s)) * tiles_of_image(s),
            threads = dmi_pool_threads(graph->host->pool);
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
