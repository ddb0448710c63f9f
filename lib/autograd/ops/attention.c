/* SPDX-License-Identifier: MIT */
/* Attention over the pixels of each image, softmax(q k^T / sqrt(d)) v with d = c / heads (Vaswani
 * et al. 2017, eq. 1): the operation, its shapes and its memory. No score matrix is stored: forward
 * saves the log-sum-exp of each query's scores, from which backward recomputes them (Dao et al.
 * 2022, FlashAttention). */
#include <math.h>

#include "autograd/ops.h"

#include "autograd/ops/attention_job.h"
#include "autograd/ops/cast.h"
#include "autograd/ops/check_shape.h"

enum { Q = DMI_ATTENTION_Q, K = DMI_ATTENTION_K, V = DMI_ATTENTION_V };

int32_t dmi_attention_check(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape q = dmi_input_shape(graph, node, Q);
    const char *name = node->op->name;
    if (q.w < 1 || q.h > INT32_MAX / q.w)
        return dmi_fail(graph->host, DMI_ERROR_LIMIT_EXCEEDED, "%s: %d x %d pixels are too many",
                        name, (int)q.h, (int)q.w);
    if (node->inputs[Q] == node->inputs[K] || node->inputs[Q] == node->inputs[V] ||
        node->inputs[K] == node->inputs[V])
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "%s: q, k and v are values %d, %d and %d; they must differ, since "
                        "their gradients are accumulated at the same time",
                        name, (int)node->inputs[Q], (int)node->inputs[K], (int)node->inputs[V]);
    int32_t status = dmi_check_shape(graph, node, K, "k", q);
    if (!status) status = dmi_check_shape(graph, node, V, "v", q);
    return status;
}

static int32_t attention_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    dmi_shape q = dmi_input_shape(graph, node, Q);
    int32_t heads = node->attr.attention.heads;
    if (heads < 1 || q.c % heads)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "attention: %d heads do not divide %d channels", (int)heads, (int)q.c);
    int32_t status = dmi_attention_check(graph, node);
    *output = q;
    return status;
}

static dmi_attention_job job_of(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape q = dmi_input_shape(graph, node, Q);
    int32_t heads = node->attr.attention.heads, width = q.c / heads;
    return (dmi_attention_job){.kernels = graph->kernels,
                               .images = q.n,
                               .pixels = q.h * q.w,
                               .channels = q.c,
                               .heads = heads,
                               .width = width,
                               .scale = (float)(1.0 / sqrt((double)width))};
}

/* Where q, k, v and y are bfloat16, they and their gradients are floats in workspace: q, k, v, y;
 * or q, k, v, y, dy, dq, dk, dv. */
enum { FORWARD_TENSORS = 4, BACKWARD_TENSORS = 8 };

static size_t tensor_floats(const dmi_attention_job *job) {
    return dmi_align_floats((size_t)job->images * (size_t)job->pixels * (size_t)job->channels);
}

/* The tensors that a job reads or writes, and the float versions of the job's. */
static float *next_tensor(dmi_attention_job *job) {
    float *tensor = job->work;
    job->work += tensor_floats(job);
    return tensor;
}

/* Of input i. */
static const float *floats_of_input(const dmi_graph *graph, const dmi_node *node,
                                    dmi_attention_job *job, int32_t i) {
    if (!node->bf16) return dmi_input(graph, node, i);
    float *tensor = next_tensor(job);
    dmi_widen(graph, dmi_input_shape(graph, node, i), tensor, dmi_input(graph, node, i));
    return tensor;
}

/* Of the output or of its gradient. */
static const float *floats_of_output(const dmi_graph *graph, const dmi_node *node,
                                     dmi_attention_job *job, const void *data) {
    if (!node->bf16) return data;
    float *tensor = next_tensor(job);
    dmi_widen(graph, dmi_graph_shape(graph, node->output), tensor, data);
    return tensor;
}

static void attention_needs(const dmi_graph *graph, const dmi_node *node, bool train,
                            dmi_needs *needs) {
    dmi_attention_job job = job_of(graph, node);
    int32_t threads = dmi_pool_threads(graph->host->pool);
    needs->saved = dmi_attention_query_floats(&job);
    needs->forward_work = dmi_attention_forward_work(&job, threads);
    if (train) needs->backward_work = dmi_attention_backward_work(&job, threads);
    if (node->bf16) {
        needs->forward_work += FORWARD_TENSORS * tensor_floats(&job);
        if (train) needs->backward_work += BACKWARD_TENSORS * tensor_floats(&job);
    }
    needs->reads = 1u << Q | 1u << K | 1u << V | DMI_READS_OUTPUT;
}

static void attention_forward(dmi_graph *graph, dmi_node *node) {
    dmi_attention_job job = job_of(graph, node);
    void *y = dmi_graph_stored(graph, node->output);
    job.work = dmi_forward_work(graph, node);
    for (int32_t i = Q; i <= V; i++) job.input[i] = floats_of_input(graph, node, &job, i);
    job.lse = dmi_saved(graph, node);
    job.y = node->bf16 ? next_tensor(&job) : y;
    dmi_attention_run_forward(graph->host->pool, &job);
    if (node->bf16) dmi_narrow(graph, dmi_graph_shape(graph, node->output), y, job.y, false);
}

static void attention_backward(dmi_graph *graph, dmi_node *node) {
    dmi_attention_job job = job_of(graph, node);
    job.work = dmi_backward_work(graph, node);
    for (int32_t i = Q; i <= V; i++) {
        job.input[i] = floats_of_input(graph, node, &job, i);
        job.gradient[i] = dmi_input_gradient(graph, node, i);
        if (job.gradient[i] && node->bf16) job.gradient[i] = next_tensor(&job);
        job.accumulates[i] = !node->bf16 && node->accumulates[i];
    }
    job.lse = dmi_saved(graph, node);
    job.o = floats_of_output(graph, node, &job, dmi_graph_stored(graph, node->output));
    job.dy = floats_of_output(graph, node, &job, dmi_graph_stored_gradient(graph, node->output));
    dmi_attention_run_backward(graph->host->pool, &job);
    for (int32_t i = Q; node->bf16 && i <= V; i++)
        if (job.gradient[i])
            dmi_narrow(graph, dmi_input_shape(graph, node, i), dmi_input_gradient(graph, node, i),
                       job.gradient[i], node->accumulates[i]);
}

/* Two products over all pairs of pixels, for each channel. */
static double attention_flop(const dmi_graph *graph, const dmi_node *node) {
    dmi_shape q = dmi_graph_shape(graph, node->inputs[Q]);
    return 4.0 * (double)dmi_shape_count(q) * q.h * q.w;
}

static const dmi_op attention_op = {.name = "attention",
                                    .infer = attention_infer,
                                    .needs = attention_needs,
                                    .forward = attention_forward,
                                    .backward = attention_backward,
                                    .flop = attention_flop,
                                    .bf16_inputs = 1u << Q | 1u << K | 1u << V};

int32_t dmi_attention(dmi_graph *graph, dmi_value *out, dmi_value q, dmi_value k, dmi_value v,
                      int32_t heads) {
    dmi_value inputs[] = {q, k, v};
    dmi_attributes attr = {.attention = {.heads = heads}};
    return dmi_graph_append(graph, out, &attention_op, inputs, 3, &attr);
}
