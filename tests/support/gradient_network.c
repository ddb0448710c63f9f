/* SPDX-License-Identifier: MIT */
/* See gradient.h: the network that a case is checked on. */
#include "support/gradient_network.h"

enum { LOSS_SEED = 99 };

/* value + 0: the same value as an activation. */
static dmi_value plus_zero(test_net *net, dmi_value value) {
    dmi_value *zero = &net->zeros[net->zero_count++], sum;
    ck_assert_int_eq(dmi_graph_input(net->graph, zero, dmi_graph_shape(net->graph, value), false),
                     DMI_OK);
    ck_assert_int_eq(dmi_add_values(net->graph, &sum, value, *zero), DMI_OK);
    return sum;
}

static dmi_value declare(test_net *net, dmi_shape shape, test_value value) {
    ck_assert_int_lt(net->count, TEST_VALUES_MAX);
    value.gradient = !(net->setup.frozen >> net->count & 1) && !value.whole;
    if (value.batch || !value.gradient) {
        ck_assert_int_eq(dmi_graph_input(net->graph, &value.value, shape, value.gradient), DMI_OK);
    } else {
        int64_t outside[4] = {shape.c, shape.w, shape.n, shape.h};
        char name[16];
        int32_t index;
        snprintf(name, sizeof name, "p%d", (int)net->count);
        ck_assert_int_eq(dmi_params_add(net->host, &net->params, &index, name, 4, outside, false),
                         DMI_OK);
        ck_assert_int_eq(dmi_graph_param(net->graph, &value.value, index), DMI_OK);
    }
    net->values[net->count++] = value;
    return value.batch && net->setup.interior ? plus_zero(net, value.value) : value.value;
}

dmi_value test_net_input(test_net *net, int32_t h, int32_t w, int32_t c, float scale) {
    return declare(net, dmi_shape_of(net->n, h, w, c), (test_value){.batch = true, .scale = scale});
}

dmi_value test_net_whole(test_net *net, int32_t bound) {
    return declare(net, dmi_shape_of(net->n, 1, 1, 1),
                   (test_value){.batch = true, .scale = 1, .whole = bound});
}

dmi_value test_net_param(test_net *net, dmi_shape shape, float scale) {
    return declare(net, shape, (test_value){.scale = scale});
}

dmi_shape test_net_shape(const test_net *net, int32_t value) {
    return dmi_graph_shape(net->graph, net->values[value].value);
}

float *test_net_data(const test_net *net, int32_t value) {
    return dmi_graph_data(net->graph, net->values[value].value);
}

float *test_net_gradient(const test_net *net, int32_t value) {
    return dmi_graph_gradient(net->graph, net->values[value].value);
}

size_t test_net_count(const test_net *net, int32_t value) {
    return dmi_shape_count(test_net_shape(net, value));
}

size_t test_net_output_count(const test_net *net) {
    return dmi_shape_count(dmi_graph_shape(net->graph, net->output));
}

static void fill_value(test_net *net, int32_t i) {
    const test_value *v = &net->values[i];
    float *data = test_net_data(net, i);
    test_fill(data, test_net_count(net, i), 100 + (uint64_t)i, v->scale);
    if (v->whole)
        for (size_t k = 0; k < test_net_count(net, i); k++)
            data[k] = floorf((data[k] + 1) / 2 * (float)v->whole);
}

test_net *test_net_new(const test_op *op, test_setup setup) {
    test_net *net = calloc(1, sizeof *net);
    ck_assert_ptr_nonnull(net);
    net->op = op;
    net->n = setup.n ? setup.n : op->n;
    net->setup = setup;
    net->host = test_host_new(setup.threads ? setup.threads : 1);
    dmi_params_init(&net->params);
    ck_assert_int_eq(dmi_graph_create(net->host, &net->graph, dmi_kernels_for(setup.isa),
                                      &net->params),
                     DMI_OK);
    op->build(net);
    if (setup.interior) net->output = plus_zero(net, net->output);
    ck_assert_int_eq(dmi_params_allocate(net->host, &net->params), DMI_OK);
    if (!setup.inference)
        ck_assert_int_eq(dmi_params_allocate_gradient(net->host, &net->params), DMI_OK);
    /* An input that is an output too has a gradient before backward starts, and backward adds to
     * it. */
    dmi_value outputs[TEST_VALUES_MAX + 1] = {net->output};
    int32_t count = 1;
    for (int32_t i = 0; i < net->count; i++)
        if (setup.adding && net->values[i].batch && net->values[i].gradient)
            outputs[count++] = net->values[i].value;
    int32_t status = dmi_graph_plan(net->graph, outputs, count, !setup.inference);
    ck_assert_msg(status == DMI_OK, "%s: %s", op->name, net->host->error);
    net->graph->dropout_seed = 7;
    net->graph->dropout_step = 3;
    memset(net->graph->arena, 0xFF, net->graph->arena_floats * sizeof(float));
    if (net->params.gradient)
        memset(net->params.gradient, 0xFF, net->params.floats * sizeof(float));
    for (int32_t i = 0; i < net->count; i++) fill_value(net, i);
    for (int32_t i = 0; i < net->zero_count; i++) {
        dmi_value zero = net->zeros[i];
        memset(dmi_graph_data(net->graph, zero), 0,
               dmi_shape_count(dmi_graph_shape(net->graph, zero)) * sizeof(float));
    }
    return net;
}

void test_net_end(test_net *net) {
    dmi_graph_destroy(net->graph);
    dmi_params_free(net->host, &net->params);
    test_host_end(net->host);
    free(net);
}

void test_net_fill_prior(float *prior, size_t count, int32_t i) {
    test_fill(prior, count, 200 + (uint64_t)i, 3);
}

void test_net_fill_loss(float *w, size_t count) { test_fill(w, count, LOSS_SEED, 1); }

static void keep(const dmi_graph *graph, float *kept, const float *from, size_t count) {
    memcpy(kept + (from - graph->arena), from, count * sizeof *kept);
}

/* Leaves of the arena what backward may count on, inputs, what `needs` names and the output, and
 * makes the rest NaN. */
static void overwrite_unneeded(test_net *net) {
    dmi_graph *graph = net->graph;
    float *kept = malloc(graph->arena_floats * sizeof *kept);
    ck_assert_ptr_nonnull(kept);
    memset(kept, 0xFF, graph->arena_floats * sizeof *kept);
    for (dmi_value v = 0; v < graph->value_count; v++)
        if (graph->values[v].kind == DMI_VALUE_INPUT || v == net->output)
            keep(graph, kept, dmi_graph_data(graph, v), dmi_shape_count(graph->values[v].shape));
    for (int32_t i = 0; i < graph->node_count; i++) {
        const dmi_node *node = &graph->nodes[i];
        if (node->needs.saved) keep(graph, kept, dmi_saved(graph, node), node->needs.saved);
        if (node->needs.reads & DMI_READS_OUTPUT)
            keep(graph, kept, dmi_graph_data(graph, node->output),
                 dmi_shape_count(dmi_graph_shape(graph, node->output)));
        for (int32_t k = 0; k < DMI_INPUTS_MAX; k++)
            if (node->inputs[k] != DMI_NONE && node->needs.reads >> k & 1 &&
                graph->values[node->inputs[k]].kind != DMI_VALUE_PARAM)
                keep(graph, kept, dmi_input(graph, node, k),
                     dmi_shape_count(dmi_input_shape(graph, node, k)));
    }
    memcpy(graph->arena, kept, graph->arena_floats * sizeof *kept);
    free(kept);
}

void test_net_run(test_net *net) {
    dmi_graph_forward(net->graph);
    if (net->setup.inference) return;
    if (net->setup.interior) overwrite_unneeded(net);
    net->graph->add_to_params = net->setup.adding;
    for (int32_t i = 0; net->setup.adding && i < net->count; i++)
        if (test_net_gradient(net, i))
            test_net_fill_prior(test_net_gradient(net, i), test_net_count(net, i), i);
    test_net_fill_loss(dmi_graph_gradient(net->graph, net->output), test_net_output_count(net));
    dmi_graph_backward(net->graph);
}
