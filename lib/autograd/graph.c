/* SPDX-License-Identifier: MIT */
/* Building and running a graph. plan.c plans its memory. */
#include "autograd/graph.h"

#include <string.h>

#include "autograd/ops.h"
#include "autograd/plan.h"
#include "autograd/profile_spans.h"
#include "kernels/gemm.h"

int32_t dmi_graph_create(dmi_host *host, dmi_graph **out, const dmi_kernels *kernels,
                         dmi_params *params) {
    int32_t status = dmi_alloc_zero(host, out, 1, sizeof(dmi_graph), "graph");
    if (status) return status;
    (*out)->host = host;
    (*out)->kernels = kernels;
    (*out)->params = params;
    return DMI_OK;
}

/* The arena and the entries of the weight cache. */
static void release_memory(dmi_graph *graph) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i].cached) dmi_weight_cache_release(graph->nodes[i].cached);
        graph->nodes[i].cached = NULL;
        graph->values[graph->nodes[i].output].cached_data = NULL;
    }
    dmi_free(graph->host, graph->arena);
    graph->arena = NULL;
}

void dmi_graph_destroy(dmi_graph *graph) {
    if (!graph) return;
    release_memory(graph);
    dmi_free(graph->host, graph->steps);
    dmi_free(graph->host, graph->values);
    dmi_free(graph->host, graph->nodes);
    dmi_free(graph->host, graph);
}

static int32_t add_value(dmi_graph *graph, dmi_value *out, dmi_value_kind kind, dmi_shape shape,
                         bool needs_gradient) {
    if (!dmi_shape_valid(shape))
        return dmi_fail(graph->host, DMI_ERROR_LIMIT_EXCEEDED,
                        "graph: a tensor of %d x %d x %d x %d is too large", (int)shape.n,
                        (int)shape.h, (int)shape.w, (int)shape.c);
    int32_t status =
        dmi_reserve(graph->host, &graph->values, &graph->value_capacity,
                    (size_t)graph->value_count + 1, sizeof(dmi_value_info), "graph: values");
    if (status) return status;
    graph->values[graph->value_count] = (dmi_value_info){.kind = kind,
                                                         .shape = shape,
                                                         .needs_gradient = needs_gradient,
                                                         .param = -1,
                                                         .other = DMI_NONE,
                                                         .alias_of = DMI_NONE,
                                                         .data_offset = SIZE_MAX,
                                                         .gradient_offset = SIZE_MAX};
    *out = graph->value_count++;
    return DMI_OK;
}

int32_t dmi_graph_input(dmi_graph *graph, dmi_value *out, dmi_shape shape, bool needs_gradient) {
    return add_value(graph, out, DMI_VALUE_INPUT, shape, needs_gradient);
}

int32_t dmi_graph_param(dmi_graph *graph, dmi_value *out, int32_t param) {
    const dmi_param *p = &graph->params->items[param];
    for (dmi_value v = 0; v < graph->value_count; v++)
        if (graph->values[v].param == param)
            return dmi_fail(graph->host, DMI_ERROR_INTERNAL,
                            "graph: parameter '%s' is a value already", p->name);
    bool needs_gradient = !p->frozen && !graph->only_inputs;
    int32_t status = add_value(graph, out, DMI_VALUE_PARAM, p->stored, needs_gradient);
    if (!status) graph->values[*out].param = param;
    return status;
}

static int32_t check_inputs(const dmi_graph *graph, const dmi_op *op, const dmi_value *inputs,
                            int32_t input_count) {
    if (graph->arena)
        return dmi_fail(graph->host, DMI_ERROR_WRONG_STATE, "%s: the graph is planned already",
                        op->name);
    for (int32_t i = 0; i < input_count; i++)
        if (inputs[i] != DMI_NONE && (inputs[i] < 0 || inputs[i] >= graph->value_count))
            return dmi_fail(graph->host, DMI_ERROR_INTERNAL, "%s: input %d is value %d of %d",
                            op->name, (int)i, (int)inputs[i], (int)graph->value_count);
    return DMI_OK;
}

int32_t dmi_graph_append_as(dmi_graph *graph, dmi_value *out, const dmi_op *op,
                            const dmi_value *inputs, int32_t input_count,
                            const dmi_attributes *attr, bool bf16) {
    dmi_host *host = graph->host;
    dmi_node node = {.op = op, .output = DMI_NONE, .segment = graph->segment, .bf16 = bf16};
    bool needs_gradient = false;
    for (int32_t i = 0; i < DMI_INPUTS_MAX; i++) {
        node.inputs[i] = i < input_count ? inputs[i] : DMI_NONE;
        if (node.inputs[i] == DMI_NONE) continue;
        const dmi_value_info *v = &graph->values[node.inputs[i]];
        needs_gradient = needs_gradient || v->needs_gradient;
    }
    if (attr) node.attr = *attr;
    dmi_shape shape;
    int32_t status = op->infer(graph, &node, &shape);
    if (!status)
        status = dmi_reserve(host, &graph->nodes, &graph->node_capacity,
                             (size_t)graph->node_count + 1, sizeof(dmi_node), "graph: nodes");
    if (!status)
        status = add_value(graph, &node.output, DMI_VALUE_ACTIVATION, shape, needs_gradient);
    if (status) return status;
    graph->values[node.output].bf16 = bf16;
    graph->nodes[graph->node_count++] = node;
    *out = node.output;
    return DMI_OK;
}

int32_t dmi_graph_append(dmi_graph *graph, dmi_value *out, const dmi_op *op,
                         const dmi_value *inputs, int32_t input_count, const dmi_attributes *attr) {
    const bool bf16 = graph->bf16 && op->bf16_inputs != 0;
    dmi_value typed[DMI_INPUTS_MAX];
    int32_t status = check_inputs(graph, op, inputs, input_count);
    for (int32_t i = 0; !status && i < input_count; i++) {
        typed[i] = inputs[i];
        if (inputs[i] != DMI_NONE)
            status = dmi_cast(graph, &typed[i], inputs[i], bf16 && op->bf16_inputs >> i & 1);
    }
    if (status) return status;
    return dmi_graph_append_as(graph, out, op, typed, input_count, attr, bf16);
}

void dmi_graph_segment(dmi_graph *graph) { graph->segment++; }

static int32_t acquire_weights(dmi_graph *graph) {
    int32_t status = DMI_OK;
    for (int32_t i = 0; !status && i < graph->node_count; i++) {
        dmi_node *node = &graph->nodes[i];
        if (!node->needs.cached.floats) continue;
        if (!graph->params->cache)
            return dmi_fail(graph->host, DMI_ERROR_INTERNAL,
                            "graph: the parameters are not allocated");
        status = dmi_weight_cache_acquire(graph->params->cache, graph->host, &node->needs.cached,
                                          &node->cached);
        if (!status && node->needs.caches_output)
            graph->values[node->output].cached_data = dmi_cached_weight_data(node->cached);
    }
    return status;
}

int32_t dmi_graph_plan(dmi_graph *graph, const dmi_value *outputs, int32_t output_count,
                       bool train) {
    if (graph->arena) return dmi_fail(graph->host, DMI_ERROR_WRONG_STATE, "graph: planned already");
    if (train && !graph->only_inputs && !graph->params->gradient)
        return dmi_fail(graph->host, DMI_ERROR_INTERNAL,
                        "graph: the parameters have no gradients to train with");
    graph->train = train;
    int32_t status = dmi_graph_plan_memory(graph, outputs, output_count);
    if (status) return status;
    status = dmi_alloc_array(graph->host, &graph->arena, graph->arena_floats, sizeof(float),
                             "network: its plan");
    if (!status) status = acquire_weights(graph);
    if (status) release_memory(graph);
    return status;
}

static void run_forward(dmi_graph *graph, dmi_node *node) {
    node->op->forward(graph, node);
    if (!node->op->own_spans) dmi_span_forward(graph, node);
}

static void run_backward(dmi_graph *graph, dmi_node *node) {
    for (int32_t k = 0; k < DMI_INPUTS_MAX; k++)
        if (node->inputs[k] != DMI_NONE && graph->values[node->inputs[k]].kind == DMI_VALUE_PARAM)
            node->accumulates[k] = graph->add_to_params || node->follows[k];
    node->op->backward(graph, node);
    if (!node->op->own_spans) dmi_span_backward(graph, node);
}

/* Steps first to end-1. */
static void run_steps(dmi_graph *graph, int32_t first, int32_t end) {
    if (graph->uses_blas) dmi_gemm_begin();
    dmi_profile_start(graph->host->profile);
    for (int32_t i = first; i < end; i++) {
        dmi_node *node = &graph->nodes[graph->steps[i].node];
        if (graph->steps[i].phase == DMI_PHASE_BACKWARD) run_backward(graph, node);
        else run_forward(graph, node);
    }
    if (graph->uses_blas) dmi_gemm_end();
}

void dmi_graph_forward(dmi_graph *graph) { run_steps(graph, 0, graph->node_count); }

void dmi_graph_backward(dmi_graph *graph) {
    run_steps(graph, graph->node_count, graph->step_count);
}

void *dmi_graph_stored(const dmi_graph *graph, dmi_value value) {
    if (value == DMI_NONE) return NULL;
    const dmi_value_info *v = &graph->values[value];
    if (v->kind == DMI_VALUE_PARAM)
        return graph->params->data + graph->params->items[v->param].offset;
    return v->cached_data ? v->cached_data : dmi_at_offset(graph, v->data_offset);
}

void *dmi_graph_stored_gradient(const dmi_graph *graph, dmi_value value) {
    if (value == DMI_NONE || !graph->train) return NULL;
    const dmi_value_info *v = &graph->values[value];
    if (v->kind == DMI_VALUE_PARAM)
        return v->needs_gradient ? graph->params->gradient + graph->params->items[v->param].offset
                                 : NULL;
    return dmi_at_offset(graph, v->gradient_offset);
}

dmi_shape dmi_graph_shape(const dmi_graph *graph, dmi_value value) {
    if (value == DMI_NONE) return dmi_shape_of(0, 0, 0, 0);
    return graph->values[value].shape;
}

size_t dmi_graph_floats(const dmi_graph *graph, dmi_value value) {
    if (value == DMI_NONE) return 0;
    const dmi_value_info *v = &graph->values[value];
    return dmi_element_floats(dmi_shape_count(v->shape), v->bf16);
}
