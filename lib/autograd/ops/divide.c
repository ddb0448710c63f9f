/* SPDX-License-Identifier: MIT */
/* Division of each image by its noise level, the last operation of score networks whose output is a
 * score in place of a noise (Song et al. 2021). */
#include "autograd/ops.h"
#include "autograd/ops/check_shape.h"
#include "autograd/ops/partition.h"

enum { X, T };

typedef struct divide_job {
    const dmi_kernels *kernels;
    dmi_shape shape;    /* [n, h, w, c] */
    const float *x, *t; /* forward: x; backward: dy; t [n] */
    float *y;           /* forward: y; backward: dx */
    bool add;
} divide_job;

/* The gradient of t: -(sum of dy * x) / t^2 over each image. */
typedef struct time_job {
    const dmi_kernels *kernels;
    dmi_shape shape;
    const float *x, *dy, *t;
    float *dt;   /* [n] */
    float *work; /* [n, h, w] */
    bool add;
} time_job;

static int32_t divide_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    *output = dmi_input_shape(graph, node, X);
    return dmi_check_shape(graph, node, T, "t", dmi_shape_of(output->n, 1, 1, 1));
}

static void divide_needs(const dmi_graph *graph, const dmi_node *node, bool train,
                         dmi_needs *needs) {
    needs->reads = 1u << T;
    if (!train || !graph->values[node->inputs[T]].needs_gradient) return;
    needs->reads |= 1u << X;
    needs->backward_work = dmi_shape_rows(dmi_input_shape(graph, node, X));
}

static void divide_task(void *data, int32_t task, int32_t worker) {
    const divide_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, at = dmi_tile_start(job->shape, task, &rows) * c;
    job->kernels->divide(job->y + at, job->x + at, job->t[task / dmi_tiles_per_image(job->shape)],
                         rows * c, job->add);
}

/* One image: products of pixels in float, their sum in double. */
static void time_task(void *data, int32_t n, int32_t worker) {
    const time_job *job = data;
    size_t w = (size_t)job->shape.w, c = (size_t)job->shape.c, pixels = (size_t)job->shape.h * w;
    float *dots = job->work + (size_t)n * pixels;
    const float *x = job->x + (size_t)n * pixels * c, *dy = job->dy + (size_t)n * pixels * c;
    double sum = 0, t = (double)job->t[n];
    (void)worker;
    for (size_t at = 0; at < pixels; at += w)
        job->kernels->row_dot(dots + at, dy + at * c, c, x + at * c, c, job->shape.w, job->shape.c);
    for (size_t i = 0; i < pixels; i++) sum += (double)dots[i];
    sum /= -t * t;
    job->dt[n] = (float)(job->add ? (double)job->dt[n] + sum : sum);
}

static void divide_forward(dmi_graph *graph, dmi_node *node) {
    divide_job job = {.kernels = graph->kernels,
                      .shape = dmi_input_shape(graph, node, X),
                      .x = dmi_input(graph, node, X),
                      .t = dmi_input(graph, node, T),
                      .y = dmi_graph_data(graph, node->output)};
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), divide_task, &job);
}

static void divide_backward(dmi_graph *graph, dmi_node *node) {
    divide_job job = {.kernels = graph->kernels,
                      .shape = dmi_input_shape(graph, node, X),
                      .x = dmi_graph_gradient(graph, node->output),
                      .t = dmi_input(graph, node, T),
                      .y = dmi_input_gradient(graph, node, X),
                      .add = node->accumulates[X]};
    time_job time = {.kernels = graph->kernels,
                     .shape = job.shape,
                     .x = dmi_input(graph, node, X),
                     .dy = job.x,
                     .t = job.t,
                     .dt = dmi_input_gradient(graph, node, T),
                     .work = dmi_backward_work(graph, node),
                     .add = node->accumulates[T]};
    if (time.dt) dmi_parallel(graph->host->pool, job.shape.n, time_task, &time);
    if (job.y) dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), divide_task, &job);
}

static const dmi_op divide_op = {.name = "divide",
                                 .infer = divide_infer,
                                 .needs = divide_needs,
                                 .forward = divide_forward,
                                 .backward = divide_backward,
                                 .memory_bound = true};

int32_t dmi_divide_by_time(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value t) {
    dmi_value inputs[] = {x, t};
    return dmi_graph_append(graph, out, &divide_op, inputs, 2, NULL);
}
