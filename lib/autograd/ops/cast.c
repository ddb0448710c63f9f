/* SPDX-License-Identifier: MIT */
/* Conversion between floats and bfloat16. dmi_graph_append inserts it where an operation reads
 * another type than the one before it has written. */
#include "autograd/ops/cast.h"

#include "autograd/ops.h"
#include "autograd/ops/partition.h"

typedef struct cast_job {
    const dmi_kernels *kernels;
    dmi_shape shape;
    void *to;
    const void *from;
    bool narrows; /* to bfloat16 */
    bool add;
} cast_job;

static int32_t cast_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    *output = dmi_input_shape(graph, node, 0);
    return DMI_OK;
}

static void cast_task(void *data, int32_t task, int32_t worker) {
    const cast_job *job = data;
    (void)worker;
    size_t rows, c = (size_t)job->shape.c, at = dmi_tile_start(job->shape, task, &rows) * c;
    if (job->narrows)
        job->kernels->narrow_rows((uint16_t *)job->to + at, c, (const float *)job->from + at, c,
                                  rows, c, job->add);
    else if (job->add)
        job->kernels->widen_add((float *)job->to + at, (const uint16_t *)job->from + at, rows * c);
    else
        job->kernels->widen_rows((float *)job->to + at, c, (const uint16_t *)job->from + at, c,
                                 rows, c);
}

static void run(const dmi_graph *graph, cast_job job) {
    job.kernels = graph->kernels;
    dmi_parallel(graph->host->pool, dmi_tile_count(job.shape), cast_task, &job);
}

void dmi_widen(const dmi_graph *graph, dmi_shape shape, float *to, const uint16_t *from) {
    run(graph, (cast_job){.shape = shape, .to = to, .from = from});
}

void dmi_narrow(const dmi_graph *graph, dmi_shape shape, uint16_t *to, const float *from,
                bool add) {
    run(graph, (cast_job){.shape = shape, .to = to, .from = from, .narrows = true, .add = add});
}

static void cast_forward(dmi_graph *graph, dmi_node *node) {
    run(graph, (cast_job){.shape = dmi_input_shape(graph, node, 0),
                          .to = dmi_graph_stored(graph, node->output),
                          .from = dmi_input(graph, node, 0),
                          .narrows = node->bf16});
}

static void cast_backward(dmi_graph *graph, dmi_node *node) {
    cast_job job = {.shape = dmi_input_shape(graph, node, 0),
                    .to = dmi_input_gradient(graph, node, 0),
                    .from = dmi_graph_stored_gradient(graph, node->output),
                    .narrows = !node->bf16,
                    .add = node->accumulates[0]};
    if (job.to) run(graph, job);
}

static const dmi_op cast_op = {.name = "cast",
                               .infer = cast_infer,
                               .forward = cast_forward,
                               .backward = cast_backward,
                               .memory_bound = true};

int32_t dmi_cast(dmi_graph *graph, dmi_value *out, dmi_value x, bool bf16) {
    if (graph->values[x].bf16 == bf16) {
        *out = x;
        return DMI_OK;
    }
    if (graph->values[x].other != DMI_NONE) {
        *out = graph->values[x].other;
        return DMI_OK;
    }
    int32_t status = dmi_graph_append_as(graph, out, &cast_op, &x, 1, NULL, bf16);
    if (status) return status;
    graph->values[x].other = *out;
    graph->cast_count++;
    return DMI_OK;
}
