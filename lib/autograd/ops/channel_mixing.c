/* SPDX-License-Identifier: MIT */
/* Attention between channels: every pixel's channels are mixed by a matrix that two vectors q and k
 * of the image give,
 *
 *     A_cd = softmax over d of k_c q_d / sqrt(channels)     y_c = sum over d of A_cd x_d
 *
 * No matrix of an image is stored whole. Forward computes panels of A^T, DMI_SOFTMAX_COLUMNS
 * channels c at a time, and saves the log-sum-exp of each c; backward computes panels of A again,
 * as many channels d at a time. With delta_c = sum over d of A_cd dA_cd = sum over pixels of
 * dy_c y_c it needs nothing of the other panels but their part of dk:
 *
 *     dA_cd = sum over pixels of dy_c x_d     dS_cd = A_cd (dA_cd - delta_c) / sqrt(channels)
 *     dx_d = sum over c of A_cd dy_c     dq_d = sum over c of dS_cd k_c
 *     dk_c = sum over d of dS_cd q_d */
#include <math.h>
#include <string.h>

#include "autograd/ops.h"
#include "autograd/ops/check_shape.h"
#include "autograd/ops/image_dots.h"
#include "kernels/product.h"

enum { X, Q, K };

enum {
    COLUMNS = DMI_SOFTMAX_COLUMNS,
    TASK_PIXELS = 1024 /* of a forward task: many more than a panel's exponentials cost */
};

typedef struct channel_job {
    const dmi_kernels *kernels;
    int32_t images, pixels, channels;
    float scale;
    const float *x, *q, *k; /* [images, pixels, channels]; q, k [images, channels] */
    float *y, *lse;         /* lse [images, channels] */
    const float *dy;        /* backward: the gradient of y */
    float *dx, *dq, *dk;    /* or NULL */
    float *delta;           /* [images, channels] */
    float *partial;         /* dk of each panel [images, panels, channels] */
    bool accumulates_x, accumulates_q;
    float *work; /* [workers, scratch_floats] */
} channel_job;

static int32_t channel_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_shape x = dmi_input_shape(graph, node, X), vector = dmi_shape_of(x.n, 1, 1, x.c);
    if (x.h > INT32_MAX / x.w)
        return dmi_fail(graph->host, DMI_ERROR_LIMIT_EXCEEDED,
                        "channel_mixing: %d x %d pixels are too many", (int)x.h, (int)x.w);
    int32_t status = dmi_check_shape(graph, node, Q, "q", vector);
    if (!status) status = dmi_check_shape(graph, node, K, "k", vector);
    *output = x;
    return status;
}

static channel_job job_of(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape x = dmi_input_shape(graph, node, X);
    return (channel_job){.kernels = graph->kernels,
                         .images = x.n,
                         .pixels = x.h * x.w,
                         .channels = x.c,
                         .scale = (float)(1.0 / sqrt((double)x.c)),
                         .x = dmi_input(graph, node, X),
                         .q = dmi_input(graph, node, Q),
                         .k = dmi_input(graph, node, K),
                         .lse = dmi_saved(graph, node)};
}

/* ---- partition and memory ---- */

static int32_t panel_count(const channel_job *job) { return dmi_divide_up(job->channels, COLUMNS); }

static int32_t pixel_blocks(const channel_job *job) {
    return dmi_divide_up(job->pixels, TASK_PIXELS);
}

/* The first channel of a panel, and how many it has. */
static int32_t panel_channels(const channel_job *job, int32_t panel, int32_t *count) {
    int32_t first = panel * COLUMNS;
    *count = dmi_min(job->channels - first, COLUMNS);
    return first;
}

static size_t panel_floats(const channel_job *job) { return (size_t)job->channels * COLUMNS; }

static size_t vector_floats(const channel_job *job) {
    return dmi_align_floats((size_t)job->images * (size_t)job->channels);
}

/* One worker's: two panels [channels, COLUMNS], and three rows of a panel. Forward uses the first
 * panel alone. */
static size_t scratch_floats(const channel_job *job) {
    return dmi_align_floats(2 * panel_floats(job) + (size_t)3 * COLUMNS);
}

static void channel_needs(const dmi_graph *graph, const dmi_node *node, bool train,
                          dmi_needs *needs) {
    channel_job job = job_of(graph, node);
    size_t scratch = (size_t)dmi_pool_threads(graph->host->pool) * scratch_floats(&job);
    needs->saved = vector_floats(&job);
    needs->forward_work = scratch;
    if (train)
        needs->backward_work = scratch + vector_floats(&job) * (1 + (size_t)panel_count(&job));
    needs->reads = 1u << X | 1u << Q | 1u << K | DMI_READS_OUTPUT;
}

/* s [channels, COLUMNS] = rows [channels] times `count` elements of columns, zeros after these;
 * row [COLUMNS] is scratch for them. */
static void scores(const channel_job *job, float *s, float *row, const float *rows,
                   const float *columns, int32_t count) {
    memset(row, 0, COLUMNS * sizeof *row);
    memcpy(row, columns, (size_t)count * sizeof *row);
    job->kernels->product->multiply(s, COLUMNS, rows, 1, row, COLUMNS, job->channels, COLUMNS, 1,
                                    false);
}

/* ---- forward ---- */

/* For each panel of A^T of each image and each block of pixels. */
static void forward_task(void *data, int32_t task, int32_t worker) {
    const channel_job *job = data;
    int32_t blocks = pixel_blocks(job), panels = panel_count(job), count;
    int32_t pixel = task % blocks * TASK_PIXELS, image = task / blocks / panels;
    int32_t first = panel_channels(job, task / blocks % panels, &count);
    size_t c = (size_t)job->channels, vector = (size_t)image * c,
           at = ((size_t)image * (size_t)job->pixels + (size_t)pixel) * c;
    float *s = job->work + (size_t)worker * scratch_floats(job), *max = s + 2 * panel_floats(job),
          *sum = max + COLUMNS, *row = sum + COLUMNS;
    scores(job, s, row, job->q + vector, job->k + vector + first, count);
    job->kernels->softmax_block(s, NULL, max, sum, job->scale, job->channels, 0, true);
    job->kernels->softmax_finish(s, job->lse + vector + first, max, sum, job->scale, job->channels,
                                 pixel == 0 ? count : 0);
    job->kernels->product->multiply(job->y + at + first, c, job->x + at, c, s, COLUMNS,
                                    dmi_min(job->pixels - pixel, TASK_PIXELS), count, job->channels,
                                    false);
}

static void channel_forward(dmi_graph *graph, dmi_node *node) {
    channel_job job = job_of(graph, node);
    job.y = dmi_graph_data(graph, node->output);
    job.work = dmi_forward_work(graph, node);
    dmi_parallel(graph->host->pool, job.images * panel_count(&job) * pixel_blocks(&job),
                 forward_task, &job);
}

/* ---- backward ---- */

/* For each panel of A of each image. */
static void backward_task(void *data, int32_t task, int32_t worker) {
    const channel_job *job = data;
    const dmi_product *product = job->kernels->product;
    int32_t panels = panel_count(job), image = task / panels, panel = task % panels, count;
    int32_t first = panel_channels(job, panel, &count);
    size_t c = (size_t)job->channels, vector = (size_t)image * c, at = vector * (size_t)job->pixels;
    float *a = job->work + (size_t)worker * scratch_floats(job), *ds = a + panel_floats(job),
          *row = ds + panel_floats(job);
    scores(job, a, row, job->k + vector, job->q + vector + first, count);
    bool of_scores = job->dq || job->dk;
    if (count < COLUMNS || !of_scores) memset(ds, 0, panel_floats(job) * sizeof *ds);
    if (of_scores)
        product->multiply_transposed(ds, COLUMNS, job->dy + at, c, job->x + at + first, c,
                                     job->channels, count, job->pixels, false);
    job->kernels->softmax_gradient(a, ds, job->lse + vector, job->delta + vector, job->scale,
                                   job->channels);
    if (job->dx)
        product->multiply(job->dx + at + first, c, job->dy + at, c, a, COLUMNS, job->pixels, count,
                          job->channels, job->accumulates_x);
    if (job->dq)
        product->multiply(job->dq + vector + first, c, job->k + vector, c, ds, COLUMNS, 1, count,
                          job->channels, job->accumulates_q);
    if (job->dk)
        job->kernels->row_dot(job->partial + (vector * (size_t)panels + (size_t)panel * c), ds,
                              COLUMNS, row, 0, job->channels, count);
}

static void channel_backward(dmi_graph *graph, dmi_node *node) {
    channel_job job = job_of(graph, node);
    job.dy = dmi_graph_gradient(graph, node->output);
    job.dx = dmi_input_gradient(graph, node, X);
    job.dq = dmi_input_gradient(graph, node, Q);
    job.dk = dmi_input_gradient(graph, node, K);
    job.accumulates_x = node->accumulates[X];
    job.accumulates_q = node->accumulates[Q];
    if (!job.dx && !job.dq && !job.dk) return;
    job.work = dmi_backward_work(graph, node);
    job.delta = job.work + (size_t)dmi_pool_threads(graph->host->pool) * scratch_floats(&job);
    job.partial = job.delta + vector_floats(&job);
    dmi_image_dots(graph, job.delta, job.dy, dmi_graph_data(graph, node->output),
                   dmi_input_shape(graph, node, X), 1);
    dmi_parallel(graph->host->pool, job.images * panel_count(&job), backward_task, &job);
    size_t c = (size_t)job.channels, panels = (size_t)panel_count(&job);
    for (size_t image = 0; job.dk && image < (size_t)job.images; image++)
        graph->kernels->sum_rows(job.dk + image * c, job.partial + image * panels * c, panels, c,
                                 node->accumulates[K]);
}

/* The product with A for each pixel. */
static double channel_flop(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape x = dmi_input_shape(graph, node, X);
    return 2.0 * (double)dmi_shape_count(x) * x.c;
}

static const dmi_op channel_op = {.name = "channel_mixing",
                                  .infer = channel_infer,
                                  .needs = channel_needs,
                                  .forward = channel_forward,
                                  .backward = channel_backward,
                                  .flop = channel_flop};

int32_t dmi_channel_mixing(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value q,
                           dmi_value k) {
    dmi_value inputs[] = {x, q, k};
    return dmi_graph_append(graph, out, &channel_op, inputs, 3, NULL);
}
