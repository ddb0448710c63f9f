/* SPDX-License-Identifier: MIT */
/* SiLU, x * sigmoid(x) (Elfwing et al. 2018). After a group norm it is part of that operation. */
#include "autograd/ops.h"
#include "autograd/ops/partition.h"

typedef struct silu_job {
    const dmi_kernels *kernels;
    dmi_shape shape;     /* [n, h, w, c], of all tensors */
    float *y;            /* forward: y; backward: dx */
    const float *x, *dy; /* dy: backward only */
    bool add;
} silu_job;

static int32_t silu_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    *output = dmi_input_shape(graph, node, 0);
    return DMI_OK;
}

static void silu_needs(const dmi_graph *graph, const dmi_node *node, bool train, dmi_needs *needs) {
    (void)graph, (void)node, (void)train;
    needs->reads = 1u << 0;
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const silu_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, at = dmi_tile_start(job->shape, task, &rows) * c;
    job->kernels->silu_forward(job->y + at, job->x + at, rows * c);
}

static void backward_task(void *data, int32_t task, int32_t worker) {
    const silu_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, at = dmi_tile_start(job->shape, task, &rows) * c;
    job->kernels->silu_backward(job->y + at, job->x + at, job->dy + at, rows * c, job->add);
}

static void silu_forward(dmi_graph *graph, dmi_node *node) {
    silu_job job = {.kernels = graph->kernels,
                    .shape = dmi_input_shape(graph, node, 0),
                    .y = dmi_graph_data(graph, node->output),
                    .x = dmi_input(graph, node, 0)};
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), forward_task, &job);
}

static void silu_backward(dmi_graph *graph, dmi_node *node) {
    silu_job job = {.kernels = graph->kernels,
                    .shape = dmi_input_shape(graph, node, 0),
                    .y = dmi_input_gradient(graph, node, 0),
                    .x = dmi_input(graph, node, 0),
                    .dy = dmi_graph_gradient(graph, node->output),
                    .add = node->accumulates[0]};
    if (!job.y) return;
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), backward_task, &job);
}

static const dmi_op silu_op = {.name = "silu",
                               .infer = silu_infer,
                               .needs = silu_needs,
                               .forward = silu_forward,
                               .backward = silu_backward,
                               .memory_bound = true};

int32_t dmi_silu(dmi_graph *graph, dmi_value *out, dmi_value x) {
    return dmi_graph_append(graph, out, &silu_op, &x, 1, NULL);
}
