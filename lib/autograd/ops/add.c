/* SPDX-License-Identifier: MIT */
/* a + b. The gradient of both inputs equals the output's: that of a may share its memory
 * (gradient_alias), that of b is a copy. It is not memory_bound: to recompute a chain of residuals
 * its branches would have to be kept, which are as large as the sums. */
#include "autograd/ops.h"
#include "autograd/ops/check_shape.h"
#include "autograd/ops/partition.h"

typedef struct add_job {
    const dmi_kernels *kernels;
    dmi_shape shape; /* [n, h, w, c], of all tensors */
    float *y;
    const float *a, *b;
    const float *dy;
    float *gradient[2]; /* da, db; NULL: not computed, or dy itself */
    bool accumulates[2];
} add_job;

static int32_t add_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    *output = dmi_input_shape(graph, node, 0);
    return dmi_check_shape(graph, node, 1, "b", *output);
}

static void add_needs(const dmi_graph *graph, const dmi_node *node, bool train, dmi_needs *needs) {
    (void)graph, (void)node, (void)train;
    needs->gradient_alias = 0;
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const add_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, at = dmi_tile_start(job->shape, task, &rows) * c;
    job->kernels->add(job->y + at, job->a + at, job->b + at, rows * c);
}

static void backward_task(void *data, int32_t task, int32_t worker) {
    const add_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, at = dmi_tile_start(job->shape, task, &rows) * c;
    for (int32_t i = 0; i < 2; i++)
        if (job->gradient[i])
            job->kernels->copy_rows(job->gradient[i] + at, c, job->dy + at, c, rows, c,
                                    job->accumulates[i]);
}

static void add_forward(dmi_graph *graph, dmi_node *node) {
    add_job job = {.kernels = graph->kernels,
                   .shape = dmi_input_shape(graph, node, 0),
                   .y = dmi_graph_data(graph, node->output),
                   .a = dmi_input(graph, node, 0),
                   .b = dmi_input(graph, node, 1)};
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), forward_task, &job);
}

static void add_backward(dmi_graph *graph, dmi_node *node) {
    add_job job = {.kernels = graph->kernels,
                   .shape = dmi_input_shape(graph, node, 0),
                   .dy = dmi_graph_gradient(graph, node->output)};
    for (int32_t i = 0; i < 2; i++) {
        float *gradient = dmi_input_gradient(graph, node, i);
        job.gradient[i] = gradient == job.dy ? NULL : gradient;
        job.accumulates[i] = node->accumulates[i];
    }
    if (!job.gradient[0] && !job.gradient[1]) return;
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), backward_task, &job);
}

static const dmi_op add_op = {.name = "add",
                              .infer = add_infer,
                              .needs = add_needs,
                              .forward = add_forward,
                              .backward = add_backward};

int32_t dmi_add_values(dmi_graph *graph, dmi_value *out, dmi_value a, dmi_value b) {
    dmi_value inputs[] = {a, b};
    return dmi_graph_append(graph, out, &add_op, inputs, 2, NULL);
}
