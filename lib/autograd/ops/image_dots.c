/* SPDX-License-Identifier: MIT */
/* See image_dots.h. A task sums a block of channels of one image. */
#include "autograd/ops/image_dots.h"

enum { TASK_CHANNELS = 64 };

typedef struct dots_job {
    const dmi_kernels *kernels;
    float *sums;               /* [n, c] */
    const float *left, *right; /* [n, pixels, c]; right may be NULL */
    size_t pixels, c;
    int32_t blocks; /* of channels */
    double factor;
} dots_job;

static void dots_task(void *data, int32_t task, int32_t worker) {
    const dots_job *job = data;
    (void)worker;
    size_t c = job->c, image = (size_t)(task / job->blocks),
           first = (size_t)(task % job->blocks) * TASK_CHANNELS,
           at = image * job->pixels * c + first;
    job->kernels->column_dots(job->sums + image * c + first, job->left + at,
                              job->right ? job->right + at : NULL, c, job->pixels,
                              dmi_min_size(c - first, TASK_CHANNELS), job->factor);
}

void dmi_image_dots(const dmi_graph *graph, float *sums, const float *left, const float *right,
                    dmi_shape shape, double factor) {
    dots_job job = {.kernels = graph->kernels,
                    .sums = sums,
                    .left = left,
                    .right = right,
                    .pixels = (size_t)shape.h * (size_t)shape.w,
                    .c = (size_t)shape.c,
                    .blocks = dmi_divide_up(shape.c, TASK_CHANNELS),
                    .factor = factor};
    dmi_parallel(graph->host->pool, shape.n * job.blocks, dots_task, &job);
}
