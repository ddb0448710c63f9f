/* See parts.h. A task is a run of floats, which stays in L1 while the groups are added to it. */
#include "autograd/conv/partition.h"

enum { TASK_FLOATS = 4096 };

typedef struct sum_job {
    const dmi_kernels *kernels;
    float *to;
    const float *parts;
    int32_t groups;
    size_t count;
    bool add;
} sum_job;

static void sum_task(void *data, int32_t task, int32_t worker) {
    const sum_job *job = data;
    (void)worker;
    size_t at = (size_t)task * TASK_FLOATS,
           floats = job->count - at < TASK_FLOATS ? job->count - at : TASK_FLOATS;
    for (int32_t g = 0; g < job->groups; g++)
        job->kernels->copy_rows(job->to + at, floats, job->parts + (size_t)g * job->count + at,
                                floats, 1, floats, job->add || g > 0);
}

void dmi_sum_parts(const dmi_graph *graph, float *to, const float *parts, int32_t groups,
                   size_t count, bool add) {
    sum_job job = {.kernels = graph->kernels,
                   .to = to,
                   .parts = parts,
                   .groups = groups,
                   .count = count,
                   .add = add};
    dmi_parallel(graph->host->pool, (int32_t)((count + TASK_FLOATS - 1) / TASK_FLOATS), sum_task,
                 &job);
}
