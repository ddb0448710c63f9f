/* SPDX-License-Identifier: MIT */
/* See bias_gradient.h. A task sums one image. */
#include "autograd/ops/bias_gradient.h"

typedef struct sum_job {
    const dmi_kernels *kernels;
    float *to;       /* [n, c] */
    const float *dy; /* [n, pixels, c] */
    size_t pixels, c;
} sum_job;

static void sum_task(void *data, int32_t task, int32_t worker) {
    const sum_job *job = data;
    (void)worker;
    job->kernels->sum_rows(job->to + (size_t)task * job->c,
                           job->dy + (size_t)task * job->pixels * job->c, job->pixels, job->c,
                           false);
}

void dmi_image_sums(const dmi_graph *graph, float *sums, const float *dy, dmi_shape y) {
    sum_job job = {.kernels = graph->kernels,
                   .to = sums,
                   .dy = dy,
                   .pixels = (size_t)y.h * (size_t)y.w,
                   .c = (size_t)y.c};
    dmi_parallel(graph->host->pool, y.n, sum_task, &job);
}

void dmi_bias_gradient(const dmi_graph *graph, const dmi_node *node, int32_t i, float *work) {
    float *gradient = dmi_input_gradient(graph, node, i);
    dmi_shape y = dmi_graph_shape(graph, node->output);
    if (!gradient) return;
    dmi_image_sums(graph, work, dmi_graph_gradient(graph, node->output), y);
    graph->kernels->sum_rows(gradient, work, (size_t)y.n, (size_t)y.c, node->accumulates[i]);
}
