/* SPDX-License-Identifier: MIT */
/* Weight standardization (Qiao et al. 2019): each filter of a convolution is given mean 0 and
 * variance 1. The result is an activation that a convolution takes as its weight. Unless parameters
 * are trained it is cached until they change, and so are the weights that the convolution
 * transforms. */
#include "autograd/ops.h"

#include <math.h>

/* Filters, columns of the weight seen as a matrix, of one task. */
enum { TASK_FILTERS = 64 };

typedef struct standardize_job {
    const dmi_kernels *kernels;
    size_t rows, filters; /* of the weight */
    float eps;
    const float *weight, *dy; /* [rows, filters] */
    float *y, *dweight;
    float *rstd; /* [filters] */
    bool add;
} standardize_job;

static int32_t standardize_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    float eps = node->attr.standardize.eps;
    if (!(eps > 0) || isinf(eps))
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "weight_standardize: eps is %g; it must be above 0 and finite",
                        (double)eps);
    *output = dmi_input_shape(graph, node, 0);
    return DMI_OK;
}

static void standardize_needs(const dmi_graph *graph, const dmi_node *node, bool train,
                              dmi_needs *needs) {
    dmi_shape shape = dmi_input_shape(graph, node, 0);
    const dmi_value_info *weight = &graph->values[node->inputs[0]];
    needs->saved = (size_t)shape.c;
    if (dmi_caches_weights(graph, train) && weight->kind == DMI_VALUE_PARAM) {
        needs->cached = (dmi_weight_key){.param = weight->param,
                                         .algorithm = node->op,
                                         .layout = graph->kernels,
                                         .floats = dmi_shape_count(shape)};
        needs->caches_output = true;
    }
    needs->reads = DMI_READS_OUTPUT;
}

static standardize_job job_of(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape shape = dmi_input_shape(graph, node, 0);
    return (standardize_job){.kernels = graph->kernels,
                             .rows = dmi_shape_rows(shape),
                             .filters = (size_t)shape.c,
                             .eps = node->attr.standardize.eps,
                             .y = dmi_graph_data(graph, node->output),
                             .rstd = dmi_saved(graph, node)};
}

static int32_t task_count(const standardize_job *job) {
    return dmi_divide_up((int32_t)job->filters, TASK_FILTERS);
}

static void forward_task(void *data, int32_t task, int32_t worker) {
    const standardize_job *job = data;
    (void)worker;
    size_t first = (size_t)task * TASK_FILTERS,
           count = dmi_min_size(job->filters - first, TASK_FILTERS);
    job->kernels->standardize_forward(job->y + first, job->rstd + first, job->weight + first,
                                      job->filters, job->rows, count, job->eps);
}

static void backward_task(void *data, int32_t task, int32_t worker) {
    const standardize_job *job = data;
    (void)worker;
    size_t first = (size_t)task * TASK_FILTERS,
           count = dmi_min_size(job->filters - first, TASK_FILTERS);
    job->kernels->standardize_backward(job->dweight + first, job->dy + first, job->y + first,
                                       job->rstd + first, job->filters, job->rows, count, job->add);
}

static void standardize_forward(dmi_graph *graph, dmi_node *node) {
    standardize_job job = job_of(graph, node);
    job.weight = dmi_input(graph, node, 0);
    if (!node->cached) {
        dmi_parallel(graph->host->pool, task_count(&job), forward_task, &job);
        return;
    }
    if (!dmi_cached_weight_begin(node->cached, graph->params->version)) return;
    dmi_parallel_locked(graph->host->pool, task_count(&job), forward_task, &job);
    dmi_cached_weight_end(node->cached, graph->params->version);
}

static void standardize_backward(dmi_graph *graph, dmi_node *node) {
    standardize_job job = job_of(graph, node);
    job.dy = dmi_graph_gradient(graph, node->output);
    job.dweight = dmi_input_gradient(graph, node, 0);
    job.add = node->accumulates[0];
    if (job.dweight) dmi_parallel(graph->host->pool, task_count(&job), backward_task, &job);
}

/* Sum, squared deviation and result of each element; what is cached costs nothing. */
static double standardize_flop(const dmi_graph *graph, const dmi_node *node) {
    return node->cached ? 0 : 6.0 * (double)dmi_shape_count(dmi_input_shape(graph, node, 0));
}

static const dmi_op standardize_op = {.name = "weight_standardize",
                                      .infer = standardize_infer,
                                      .needs = standardize_needs,
                                      .forward = standardize_forward,
                                      .backward = standardize_backward,
                                      .memory_bound = true,
                                      .flop = standardize_flop};

int32_t dmi_weight_standardize(dmi_graph *graph, dmi_value *out, dmi_value weight, float eps) {
    dmi_attributes attr = {.standardize = {.eps = eps}};
    return dmi_graph_append(graph, out, &standardize_op, &weight, 1, &attr);
}
