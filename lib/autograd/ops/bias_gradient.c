/* SPDX-License-Identifier: MIT */
/* See bias_gradient.h. A task sums one image. */
#include "autograd/ops/bias_gradient.h"

typedef struct sum_job {
    const dmi_kernels *kernels;
    float *to;      /* [n, c] */
    const void *dy; /* [n, pixels, c] */
    bool bf16;      /* dy is */
    size_t pixels, c;
} sum_job;

static void sum_task(void *data, int32_t task, int32_t worker) {
    const sum_job *job = data;
    (void)worker;
    const size_t c = job->c, at = (size_t)task * job->pixels * c;
    float *to = job->to + (size_t)task * c;
    if (job->bf16)
        job->kernels->sum_rows_bf16(to, (const uint16_t *)job->dy + at, job->pixels, c, false);
    else job->kernels->sum_rows(to, (const float *)job->dy + at, job->pixels, c, false);
}

void dmi_image_sums(const dmi_graph *graph, float *sums, const void *dy, dmi_shape y, bool bf16) {
    sum_job job = {.kernels = graph->kernels,
                   .to = sums,
                   .dy = dy,
                   .bf16 = bf16,
                   .pixels = (size_t)y.h * (size_t)y.w,
                   .c = (size_t)y.c};
    dmi_parallel(graph->host->pool, y.n, sum_task, &job);
}

void dmi_bias_gradient(const dmi_graph *graph, const dmi_node *node, int32_t i, float *work) {
    float *gradient = dmi_input_gradient(graph, node, i);
    dmi_shape y = dmi_graph_shape(graph, node->output);
    if (!gradient) return;
    dmi_image_sums(graph, work, dmi_graph_stored_gradient(graph, node->output), y, node->bf16);
    graph->kernels->sum_rows(gradient, work, (size_t)y.n, (size_t)y.c, node->accumulates[i]);
}
