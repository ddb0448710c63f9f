/* SPDX-License-Identifier: MIT */
/* Activation functions (DMI_ACTIVATION_*). After a group norm they are part of that operation. */
#include "autograd/ops.h"
#include "autograd/ops/partition.h"

typedef struct activation_job {
    const dmi_kernels *kernels;
    int32_t activation;
    dmi_shape shape;     /* [n, h, w, c], of all tensors */
    float *y;            /* forward: y; backward: dx */
    const float *x, *dy; /* dy: backward only */
    bool add;
} activation_job;

static int32_t activation_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    int32_t kind = node->attr.activation.kind;
    if (kind < DMI_ACTIVATION_SILU || kind > DMI_ACTIVATION_RELU)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "activate: activation is %d; it must be one of DMI_ACTIVATION_*, not _NONE",
                        (int)kind);
    *output = dmi_input_shape(graph, node, 0);
    return DMI_OK;
}

static void activation_needs(const dmi_graph *graph, const dmi_node *node, bool train,
                             dmi_needs *needs) {
    (void)graph, (void)node, (void)train;
    needs->reads = 1u << 0;
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const activation_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, at = dmi_tile_start(job->shape, task, &rows) * c;
    job->kernels->activation_forward(job->y + at, job->x + at, job->activation, rows * c);
}

static void backward_task(void *data, int32_t task, int32_t worker) {
    const activation_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, at = dmi_tile_start(job->shape, task, &rows) * c;
    job->kernels->activation_backward(job->y + at, job->x + at, job->dy + at, job->activation,
                                      rows * c, job->add);
}

static void activation_forward(dmi_graph *graph, dmi_node *node) {
    activation_job job = {.kernels = graph->kernels,
                          .activation = node->attr.activation.kind,
                          .shape = dmi_input_shape(graph, node, 0),
                          .y = dmi_graph_data(graph, node->output),
                          .x = dmi_input(graph, node, 0)};
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), forward_task, &job);
}

static void activation_backward(dmi_graph *graph, dmi_node *node) {
    activation_job job = {.kernels = graph->kernels,
                          .activation = node->attr.activation.kind,
                          .shape = dmi_input_shape(graph, node, 0),
                          .y = dmi_input_gradient(graph, node, 0),
                          .x = dmi_input(graph, node, 0),
                          .dy = dmi_graph_gradient(graph, node->output),
                          .add = node->accumulates[0]};
    if (!job.y) return;
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), backward_task, &job);
}

static const dmi_op activation_op = {.name = "activation",
                                     .infer = activation_infer,
                                     .needs = activation_needs,
                                     .forward = activation_forward,
                                     .backward = activation_backward,
                                     .memory_bound = true};

int32_t dmi_activate(dmi_graph *graph, dmi_value *out, dmi_value x, int32_t activation) {
    dmi_attributes attr = {.activation = {.kind = activation}};
    return dmi_graph_append(graph, out, &activation_op, &x, 1, &attr);
}
