/* SPDX-License-Identifier: MIT */
/* Concatenation of channels: the U-Net's skip connections. */
#include "autograd/ops.h"
#include "autograd/ops/check_shape.h"
#include "autograd/ops/partition.h"

typedef struct concat_job {
    const dmi_kernels *kernels;
    dmi_shape shape; /* of the output, [n, h, w, ca + cb] */
    float *y;
    const float *dy;
    size_t channels[2], start[2]; /* of each input: its channels, and its first in the output */
    const float *input[2];        /* a [n, h, w, ca], b [n, h, w, cb] */
    float *gradient[2];           /* da, db, or NULL */
    bool accumulates[2];
} concat_job;

static int32_t concat_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_shape a = dmi_input_shape(graph, node, 0), b = dmi_input_shape(graph, node, 1);
    int32_t status = dmi_check_shape(graph, node, 1, "b", dmi_shape_of(a.n, a.h, a.w, b.c));
    if (status) return status;
    if (a.c > INT32_MAX - b.c)
        return dmi_fail(graph->host, DMI_ERROR_LIMIT_EXCEEDED,
                        "concat: %d and %d channels are too many", (int)a.c, (int)b.c);
    *output = dmi_shape_of(a.n, a.h, a.w, a.c + b.c);
    return DMI_OK;
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const concat_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, first = dmi_tile_start(job->shape, task, &rows);
    for (int32_t i = 0; i < 2; i++)
        job->kernels->copy_rows(job->y + first * c + job->start[i], c,
                                job->input[i] + first * job->channels[i], job->channels[i], rows,
                                job->channels[i], false);
}

static void backward_task(void *data, int32_t task, int32_t worker) {
    const concat_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, first = dmi_tile_start(job->shape, task, &rows);
    for (int32_t i = 0; i < 2; i++)
        if (job->gradient[i])
            job->kernels->copy_rows(job->gradient[i] + first * job->channels[i], job->channels[i],
                                    job->dy + first * c + job->start[i], c, rows, job->channels[i],
                                    job->accumulates[i]);
}

static concat_job concat_job_of(const dmi_graph *graph, const dmi_node *node) {
    concat_job job = {.kernels = graph->kernels, .shape = dmi_graph_shape(graph, node->output)};
    for (int32_t i = 0; i < 2; i++) job.channels[i] = (size_t)dmi_input_shape(graph, node, i).c;
    job.start[1] = job.channels[0];
    return job;
}

static void concat_forward(dmi_graph *graph, dmi_node *node) {
    concat_job job = concat_job_of(graph, node);
    job.y = dmi_graph_data(graph, node->output);
    for (int32_t i = 0; i < 2; i++) job.input[i] = dmi_input(graph, node, i);
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), forward_task, &job);
}

static void concat_backward(dmi_graph *graph, dmi_node *node) {
    concat_job job = concat_job_of(graph, node);
    job.dy = dmi_graph_gradient(graph, node->output);
    for (int32_t i = 0; i < 2; i++) {
        job.gradient[i] = dmi_input_gradient(graph, node, i);
        job.accumulates[i] = node->accumulates[i];
    }
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), backward_task, &job);
}

static const dmi_op concat_op = {.name = "concat",
                                 .infer = concat_infer,
                                 .forward = concat_forward,
                                 .backward = concat_backward,
                                 .memory_bound = true};

int32_t dmi_concat(dmi_graph *graph, dmi_value *out, dmi_value a, dmi_value b) {
    dmi_value inputs[] = {a, b};
    return dmi_graph_append(graph, out, &concat_op, inputs, 2, NULL);
}
