/* SPDX-License-Identifier: MIT */
/* factor * x + offset with constants, such as 2 x - 1 of an image in [0, 1]. */
#include "autograd/ops.h"
#include "autograd/ops/partition.h"

typedef struct affine_job {
    const dmi_kernels *kernels;
    dmi_shape shape; /* [n, h, w, c], of both tensors */
    const float *x;  /* forward: x; backward: dy */
    float *y;        /* forward: y; backward: dx */
    float factor, offset;
    bool add;
} affine_job;

static int32_t affine_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    *output = dmi_input_shape(graph, node, 0);
    return DMI_OK;
}

static void affine_task(void *data, int32_t task, int32_t worker) {
    const affine_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, at = dmi_tile_start(job->shape, task, &rows) * c;
    job->kernels->affine(job->y + at, job->x + at, job->factor, job->offset, rows * c, job->add);
}

static void affine_forward(dmi_graph *graph, dmi_node *node) {
    affine_job job = {.kernels = graph->kernels,
                      .shape = dmi_input_shape(graph, node, 0),
                      .x = dmi_input(graph, node, 0),
                      .y = dmi_graph_data(graph, node->output),
                      .factor = node->attr.affine.factor,
                      .offset = node->attr.affine.offset};
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), affine_task, &job);
}

static void affine_backward(dmi_graph *graph, dmi_node *node) {
    affine_job job = {.kernels = graph->kernels,
                      .shape = dmi_input_shape(graph, node, 0),
                      .x = dmi_graph_gradient(graph, node->output),
                      .y = dmi_input_gradient(graph, node, 0),
                      .factor = node->attr.affine.factor,
                      .add = node->accumulates[0]};
    if (!job.y) return;
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), affine_task, &job);
}

static const dmi_op affine_op = {.name = "affine",
                                 .infer = affine_infer,
                                 .forward = affine_forward,
                                 .backward = affine_backward,
                                 .memory_bound = true};

int32_t dmi_affine(dmi_graph *graph, dmi_value *out, dmi_value x, float factor, float offset) {
    dmi_attributes attr = {.affine = {.factor = factor, .offset = offset}};
    return dmi_graph_append(graph, out, &affine_op, &x, 1, &attr);
}
