/* SPDX-License-Identifier: MIT */
/* A linear layer on vectors: the time embedding and its projections. Images use a convolution of
 * kernel 1 instead. */
#include "autograd/ops.h"
#include "autograd/ops/check_shape.h"

enum { X, WEIGHT, BIAS };

/* Columns (forward) or rows (backward) of the weight that one task uses, for all vectors of the
 * batch. */
enum { TASK_SIDE = 64 };

typedef struct linear_job {
    const dmi_kernels *kernels;
    int32_t n, in, out;
    const float *x;             /* [n, in] */
    const float *weight, *bias; /* [in, out], [out] */
    const float *dy;            /* [n, out] */
    float *y, *dx, *dweight;    /* [n, out], [n, in], [in, out] */
    bool accumulates_x, accumulates_weight;
} linear_job;

static int32_t linear_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_shape x = dmi_input_shape(graph, node, X), weight = dmi_input_shape(graph, node, WEIGHT);
    int32_t status = dmi_check_shape(graph, node, X, "x", dmi_shape_of(x.n, 1, 1, x.c));
    if (!status)
        status = dmi_check_shape(graph, node, WEIGHT, "weight", dmi_shape_of(1, 1, x.c, weight.c));
    if (!status && node->inputs[BIAS] != DMI_NONE)
        status = dmi_check_shape(graph, node, BIAS, "bias", dmi_shape_of(1, 1, 1, weight.c));
    *output = dmi_shape_of(x.n, 1, 1, weight.c);
    return status;
}

static void linear_needs(const dmi_graph *graph, const dmi_node *node, bool train,
                         dmi_needs *needs) {
    (void)graph, (void)node, (void)train;
    needs->reads = 1u << X | 1u << WEIGHT;
}

static int32_t task_count(int32_t side) { return dmi_divide_up(side, TASK_SIDE); }

static int32_t task_end(int32_t first, int32_t side) {
    return first + dmi_min(side - first, TASK_SIDE);
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const linear_job *job = data;
    (void)worker;
    int32_t first = task * TASK_SIDE, end = task_end(first, job->out);
    for (size_t i = 0; i < (size_t)job->n; i++)
        job->kernels->linear_forward(job->y + i * (size_t)job->out, job->x + i * (size_t)job->in,
                                     job->weight, job->bias, job->in, job->out, first, end);
}

static void backward_task(void *data, int32_t task, int32_t worker) {
    const linear_job *job = data;
    (void)worker;
    int32_t first = task * TASK_SIDE, end = task_end(first, job->in);
    if (job->dx)
        for (size_t i = 0; i < (size_t)job->n; i++)
            job->kernels->linear_backward_x(job->dx + i * (size_t)job->in,
                                            job->dy + i * (size_t)job->out, job->weight, job->out,
                                            first, end, job->accumulates_x);
    if (job->dweight)
        job->kernels->linear_backward_w(job->dweight, job->x, job->dy, job->n, job->in, job->out,
                                        first, end, job->accumulates_weight);
}

static linear_job linear_job_of(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape x = dmi_input_shape(graph, node, X);
    return (linear_job){.kernels = graph->kernels,
                        .n = x.n,
                        .in = x.c,
                        .out = dmi_graph_shape(graph, node->output).c,
                        .x = dmi_input(graph, node, X),
                        .weight = dmi_input(graph, node, WEIGHT),
                        .bias = dmi_input(graph, node, BIAS)};
}

static void linear_forward(dmi_graph *graph, dmi_node *node) {
    linear_job job = linear_job_of(graph, node);
    job.y = dmi_graph_data(graph, node->output);
    dmi_parallel(graph->host->pool, task_count(job.out), forward_task, &job);
}

static void linear_backward(dmi_graph *graph, dmi_node *node) {
    linear_job job = linear_job_of(graph, node);
    job.dy = dmi_graph_gradient(graph, node->output);
    job.dx = dmi_input_gradient(graph, node, X);
    job.dweight = dmi_input_gradient(graph, node, WEIGHT);
    job.accumulates_x = node->accumulates[X];
    job.accumulates_weight = node->accumulates[WEIGHT];
    if (job.dx || job.dweight)
        dmi_parallel(graph->host->pool, task_count(job.in), backward_task, &job);
    float *dbias = dmi_input_gradient(graph, node, BIAS);
    if (dbias)
        graph->kernels->sum_rows(dbias, job.dy, (size_t)job.n, (size_t)job.out,
                                 node->accumulates[BIAS]);
}

static double linear_flop(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape x = dmi_input_shape(graph, node, X);
    return 2.0 * x.n * x.c * dmi_graph_shape(graph, node->output).c;
}

static const dmi_op linear_op = {.name = "linear",
                                 .infer = linear_infer,
                                 .needs = linear_needs,
                                 .forward = linear_forward,
                                 .backward = linear_backward,
                                 .flop = linear_flop};

int32_t dmi_linear(dmi_graph *graph, dmi_value *out, dmi_value x, dmi_value weight,
                   dmi_value bias) {
    dmi_value inputs[] = {x, weight, bias};
    return dmi_graph_append(graph, out, &linear_op, inputs, 3, NULL);
}
