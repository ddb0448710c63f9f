/* SPDX-License-Identifier: MIT */
/* Some of the channels of a tensor. */
#include "autograd/ops.h"
#include "autograd/ops/partition.h"

#include <string.h>

typedef struct slice_job {
    const dmi_kernels *kernels;
    dmi_shape shape;     /* of x, [n, h, w, c] */
    size_t first, count; /* channels of the slice */
    const float *from;   /* forward: x; backward: dy [n, h, w, count] */
    float *to;           /* forward: y; backward: dx */
    bool add;            /* backward */
} slice_job;

static int32_t slice_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_shape x = dmi_input_shape(graph, node, 0);
    int32_t first = node->attr.slice.first, count = node->attr.slice.count;
    if (first < 0 || count < 1 || first > x.c - count)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "slice: %d channels from %d on are not in a tensor of %d", (int)count,
                        (int)first, (int)x.c);
    *output = dmi_shape_of(x.n, x.h, x.w, count);
    return DMI_OK;
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const slice_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, row = dmi_tile_start(job->shape, task, &rows);
    job->kernels->copy_rows(job->to + row * job->count, job->count,
                            job->from + row * c + job->first, c, rows, job->count, false);
}

/* The gradient of the other channels is zero. */
static void backward_task(void *data, int32_t task, int32_t worker) {
    const slice_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, row = dmi_tile_start(job->shape, task, &rows);
    float *to = job->to + row * c;
    if (!job->add) memset(to, 0, rows * c * sizeof *to);
    job->kernels->copy_rows(to + job->first, c, job->from + row * job->count, job->count, rows,
                            job->count, job->add);
}

static slice_job slice_job_of(const dmi_graph *graph, const dmi_node *node) {
    return (slice_job){.kernels = graph->kernels,
                       .shape = dmi_input_shape(graph, node, 0),
                       .first = (size_t)node->attr.slice.first,
                       .count = (size_t)node->attr.slice.count};
}

static void slice_forward(dmi_graph *graph, dmi_node *node) {
    slice_job job = slice_job_of(graph, node);
    job.from = dmi_input(graph, node, 0);
    job.to = dmi_graph_data(graph, node->output);
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), forward_task, &job);
}

static void slice_backward(dmi_graph *graph, dmi_node *node) {
    slice_job job = slice_job_of(graph, node);
    job.from = dmi_graph_gradient(graph, node->output);
    job.to = dmi_input_gradient(graph, node, 0);
    job.add = node->accumulates[0];
    if (job.to) dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), backward_task, &job);
}

static const dmi_op slice_op = {.name = "slice",
                                .infer = slice_infer,
                                .forward = slice_forward,
                                .backward = slice_backward,
                                .memory_bound = true};

int32_t dmi_slice(dmi_graph *graph, dmi_value *out, dmi_value x, int32_t first, int32_t count) {
    dmi_attributes attr = {.slice = {.first = first, .count = count}};
    return dmi_graph_append(graph, out, &slice_op, &x, 1, &attr);
}
