/* SPDX-License-Identifier: MIT */
/* Attention of one head within windows of an image (as in Liu et al. 2021, Swin Transformer,
 * without shifts): the attention of attention_job.h on windows in place of images. Where windows
 * are as wide as the image their pixels are consecutive in memory, and nothing is copied; else
 * tensors are copied to the order of windows, and the results back. */
#include <math.h>

#include "autograd/ops.h"
#include "autograd/ops/attention_job.h"

enum { Q = DMI_ATTENTION_Q, K = DMI_ATTENTION_K, V = DMI_ATTENTION_V, TENSORS_MAX = 5 };

/* The sizes of a window in pixels, and how many an image has. */
typedef struct windows {
    dmi_shape image; /* [n, h, w, c] */
    int32_t height, width, down, across;
} windows;

static windows windows_of(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape q = dmi_input_shape(graph, node, Q);
    int32_t side = node->attr.window_attention.window;
    windows s = {.image = q, .height = dmi_min(side, q.h), .width = dmi_min(side, q.w)};
    s.down = q.h / s.height;
    s.across = q.w / s.width;
    return s;
}

static int32_t window_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_shape q = dmi_input_shape(graph, node, Q);
    int32_t side = node->attr.window_attention.window;
    float scale = node->attr.window_attention.scale;
    if (side < 1 || (side < q.h && q.h % side) || (side < q.w && q.w % side))
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "window_attention: windows of %d pixels do not divide an image of %d x %d",
                        (int)side, (int)q.h, (int)q.w);
    if (!(scale > 0) || isinf(scale))
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "window_attention: scale is %g; it must be above 0 and finite",
                        (double)scale);
    int32_t status = dmi_attention_check(graph, node);
    if (!status && q.n > INT32_MAX / (q.h * q.w))
        return dmi_fail(graph->host, DMI_ERROR_LIMIT_EXCEEDED,
                        "window_attention: %d x %d x %d pixels are too many", (int)q.n, (int)q.h,
                        (int)q.w);
    *output = q;
    return status;
}

static dmi_attention_job job_of(const dmi_graph *graph, const dmi_node *node) {
    windows s = windows_of(graph, node);
    return (dmi_attention_job){.kernels = graph->kernels,
                               .images = s.image.n * s.down * s.across,
                               .pixels = s.height * s.width,
                               .channels = s.image.c,
                               .heads = 1,
                               .width = s.image.c,
                               .scale = node->attr.window_attention.scale};
}

/* ---- copies in the order of windows ---- */

/* Tensors that are copied from images to windows, or where `back` from windows to images. */
typedef struct copy_job {
    const dmi_kernels *kernels;
    windows windows;
    int32_t count;
    const float *from[TENSORS_MAX];
    float *to[TENSORS_MAX];
    bool back, add[TENSORS_MAX];
} copy_job;

/* A row of the image consists of a row of each window across, which are a window apart. */
static void copy_task(void *data, int32_t row, int32_t worker) {
    const copy_job *job = data;
    const windows *s = &job->windows;
    (void)worker;
    size_t columns = (size_t)s->width * (size_t)s->image.c, across = (size_t)s->across,
           window = (size_t)s->height * columns, of_image = columns * across;
    size_t in_image = (size_t)row * of_image,
           in_windows =
               (size_t)(row / s->height) * across * window + (size_t)(row % s->height) * columns;
    for (int32_t i = 0; i < job->count; i++) {
        if (job->back)
            job->kernels->copy_rows(job->to[i] + in_image, columns, job->from[i] + in_windows,
                                    window, across, columns, job->add[i]);
        else
            job->kernels->copy_rows(job->to[i] + in_windows, window, job->from[i] + in_image,
                                    columns, across, columns, false);
    }
}

static void run_copies(const dmi_graph *graph, copy_job *job) {
    dmi_parallel(graph->host->pool, job->windows.image.n * job->windows.image.h, copy_task, job);
}

static copy_job copy_job_of(const dmi_graph *graph, const dmi_node *node, bool back) {
    return (copy_job){.kernels = graph->kernels, .windows = windows_of(graph, node), .back = back};
}

/* Adds a tensor to be copied. */
static void add_copy(copy_job *job, float *to, const float *from, bool add) {
    job->to[job->count] = to;
    job->from[job->count] = from;
    job->add[job->count++] = add;
}

/* ---- the operation ---- */

/* Floats of one copied tensor; 0 where nothing is copied. */
static size_t copy_floats(const dmi_graph *graph, const dmi_node *node) {
    windows s = windows_of(graph, node);
    return s.across == 1 ? 0 : dmi_align_floats(dmi_shape_count(s.image));
}

static void window_needs(const dmi_graph *graph, const dmi_node *node, bool train,
                         dmi_needs *needs) {
    dmi_attention_job job = job_of(graph, node);
    int32_t threads = dmi_pool_threads(graph->host->pool);
    size_t copy = copy_floats(graph, node);
    needs->saved = dmi_attention_query_floats(&job);
    needs->forward_work = 4 * copy + dmi_attention_forward_work(&job, threads);
    if (train) needs->backward_work = 8 * copy + dmi_attention_backward_work(&job, threads);
    needs->reads = 1u << Q | 1u << K | 1u << V | DMI_READS_OUTPUT;
}

static void window_forward(dmi_graph *graph, dmi_node *node) {
    dmi_attention_job job = job_of(graph, node);
    float *copy = dmi_forward_work(graph, node), *y = dmi_graph_data(graph, node->output);
    size_t floats = copy_floats(graph, node);
    copy_job in = copy_job_of(graph, node, false), out = copy_job_of(graph, node, true);
    job.lse = dmi_saved(graph, node);
    job.y = floats ? copy + 3 * floats : y;
    job.work = copy + 4 * floats;
    for (int32_t i = Q; i <= V; i++) {
        job.input[i] = dmi_input(graph, node, i);
        if (!floats) continue;
        add_copy(&in, copy + (size_t)i * floats, job.input[i], false);
        job.input[i] = in.to[i];
    }
    if (floats) run_copies(graph, &in);
    dmi_attention_run_forward(graph->host->pool, &job);
    if (!floats) return;
    add_copy(&out, y, job.y, false);
    run_copies(graph, &out);
}

/* The copied tensors are q, k, v, y, dy, and the gradients dq, dk, dv. */
static void window_backward(dmi_graph *graph, dmi_node *node) {
    dmi_attention_job job = job_of(graph, node);
    float *copy = dmi_backward_work(graph, node);
    size_t floats = copy_floats(graph, node);
    copy_job in = copy_job_of(graph, node, false), out = copy_job_of(graph, node, true);
    job.lse = dmi_saved(graph, node);
    job.o = dmi_graph_data(graph, node->output);
    job.dy = dmi_graph_gradient(graph, node->output);
    job.work = copy + 8 * floats;
    for (int32_t i = Q; i <= V; i++) {
        job.input[i] = dmi_input(graph, node, i);
        job.gradient[i] = dmi_input_gradient(graph, node, i);
        job.accumulates[i] = node->accumulates[i];
    }
    if (!floats) {
        dmi_attention_run_backward(graph->host->pool, &job);
        return;
    }
    for (int32_t i = Q; i <= V; i++) {
        add_copy(&in, copy + (size_t)i * floats, job.input[i], false);
        job.input[i] = in.to[i];
        if (!job.gradient[i]) continue;
        float *windows_gradient = copy + (size_t)(5 + i) * floats;
        add_copy(&out, job.gradient[i], windows_gradient, job.accumulates[i]);
        job.gradient[i] = windows_gradient;
        job.accumulates[i] = false;
    }
    add_copy(&in, copy + 3 * floats, job.o, false);
    add_copy(&in, copy + 4 * floats, job.dy, false);
    job.o = in.to[3];
    job.dy = in.to[4];
    run_copies(graph, &in);
    dmi_attention_run_backward(graph->host->pool, &job);
    run_copies(graph, &out);
}

/* Two products over all pairs of pixels of a window, for each channel. */
static double window_flop(const dmi_graph *graph, const dmi_node *node) {
    windows s = windows_of(graph, node);
    return 4.0 * (double)dmi_shape_count(s.image) * s.height * s.width;
}

static const dmi_op window_op = {.name = "window_attention",
                                 .infer = window_infer,
                                 .needs = window_needs,
                                 .forward = window_forward,
                                 .backward = window_backward,
                                 .flop = window_flop};

int32_t dmi_window_attention(dmi_graph *graph, dmi_value *out, dmi_value q, dmi_value k,
                             dmi_value v, int32_t window, float scale) {
    dmi_value inputs[] = {q, k, v};
    dmi_attributes attr = {.window_attention = {.window = window, .scale = scale}};
    return dmi_graph_append(graph, out, &window_op, inputs, 3, &attr);
}
