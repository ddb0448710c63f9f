/* SPDX-License-Identifier: MIT */
/* See partial_sums.h. A task sums one tile, which stays in L1 while the groups are added to it. */
#include "autograd/conv/partial_sums.h"

enum { TILE_FLOATS = 4096 };
/* Each group takes memory for its partial sum, which GROUPS_MAX bounds. */
enum { TASKS_MIN = 16, GROUPS_MAX = 8 };

int32_t dmi_image_groups(int32_t blocks, int32_t n) {
    return dmi_min(dmi_min(dmi_divide_up(TASKS_MIN, blocks), GROUPS_MAX), n);
}

typedef struct sum_job {
    const dmi_kernels *kernels;
    float *to;             /* [count] */
    const float *partials; /* [groups, count] */
    int32_t groups;
    size_t count;
    bool add;
} sum_job;

static void sum_task(void *data, int32_t task, int32_t worker) {
    const sum_job *job = data;
    (void)worker;
    size_t at = (size_t)task * TILE_FLOATS, floats = dmi_min_size(job->count - at, TILE_FLOATS);
    for (int32_t g = 0; g < job->groups; g++)
        job->kernels->copy_rows(job->to + at, floats, job->partials + (size_t)g * job->count + at,
                                floats, 1, floats, job->add || g > 0);
}

void dmi_sum_partials(const dmi_graph *graph, float *to, const float *partials, int32_t groups,
                      size_t count, bool add) {
    sum_job job = {.kernels = graph->kernels,
                   .to = to,
                   .partials = partials,
                   .groups = groups,
                   .count = count,
                   .add = add};
    dmi_parallel(graph->host->pool, (int32_t)dmi_divide_up_size(count, TILE_FLOATS), sum_task,
                 &job);
}
