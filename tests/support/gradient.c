/* See gradient.h. */
#include "support/gradient.h"

#include "base/cpu.h"

enum { SAMPLES = 160, DIRECTIONS = 3 };

static uint64_t seed_of(int32_t value) { return 100 + (uint64_t)value; }

static dmi_value declare(test_net *net, dmi_shape shape, test_value value) {
    ck_assert_int_lt(net->count, TEST_MAX_VALUES);
    value.gradient = !(net->frozen >> net->count & 1) && !value.whole;
    if (value.batch || !value.gradient) {
        ck_assert_int_eq(dmi_graph_input(net->graph, &value.value, shape, value.gradient), DMI_OK);
    } else {
        int64_t outside[4] = {shape.c, shape.w, shape.n, shape.h};
        char name[16];
        int32_t index;
        snprintf(name, sizeof name, "p%d", (int)net->count);
        ck_assert_int_eq(dmi_params_add(net->host, &net->params, &index, name, 4, outside, false), DMI_OK);
        ck_assert_int_eq(dmi_graph_param(net->graph, &value.value, index), DMI_OK);
    }
    net->values[net->count++] = value;
    return value.value;
}

dmi_value test_net_input(test_net *net, int32_t h, int32_t w, int32_t c, float scale) {
    return declare(net, dmi_shape_of(net->n, h, w, c), (test_value){.batch = true, .scale = scale});
}

dmi_value test_net_whole(test_net *net, int32_t bound) {
    return declare(net, dmi_shape_of(net->n, 1, 1, 1), (test_value){.batch = true, .scale = 1, .whole = bound});
}

dmi_value test_net_param(test_net *net, dmi_shape shape, float scale) {
    return declare(net, shape, (test_value){.scale = scale});
}

dmi_shape test_net_shape(const test_net *net, int32_t value) { return dmi_graph_shape(net->graph, net->values[value].value); }

float *test_net_data(const test_net *net, int32_t value) { return dmi_graph_data(net->graph, net->values[value].value); }

float *test_net_gradient(const test_net *net, int32_t value) {
    return dmi_graph_gradient(net->graph, net->values[value].value);
}

size_t test_net_count(const test_net *net, int32_t value) { return dmi_shape_count(test_net_shape(net, value)); }

static size_t output_count(const test_net *net) { return dmi_shape_count(dmi_graph_shape(net->graph, net->output)); }

static void fill(test_net *net) {
    memset(net->graph->arena, 0xFF, net->graph->arena_floats * sizeof(float));
    if (net->params.gradient) memset(net->params.gradient, 0xFF, net->params.floats * sizeof(float));
    for (int32_t i = 0; i < net->count; i++) {
        const test_value *v = &net->values[i];
        float *data = test_net_data(net, i);
        test_fill(data, test_net_count(net, i), seed_of(i), v->scale);
        if (v->whole)
            for (size_t k = 0; k < test_net_count(net, i); k++) data[k] = floorf((data[k] + 1) / 2 * (float)v->whole);
    }
}

test_net *test_net_new(const test_op *op, int32_t n, int32_t threads, int32_t isa, bool train, uint32_t frozen) {
    test_net *net = calloc(1, sizeof *net);
    ck_assert_ptr_nonnull(net);
    net->op = op;
    net->n = n;
    net->frozen = frozen;
    net->host = test_host_new(threads);
    dmi_params_init(&net->params);
    ck_assert_int_eq(dmi_graph_create(net->host, &net->graph, dmi_kernels_for(isa), &net->params), DMI_OK);
    op->build(net);
    ck_assert_int_eq(dmi_params_allocate(net->host, &net->params), DMI_OK);
    if (train) ck_assert_int_eq(dmi_params_allocate_gradient(net->host, &net->params), DMI_OK);
    /* The inputs are outputs too, so that backward adds to the gradients that stand there: see test_net_run. */
    dmi_value outputs[TEST_MAX_VALUES + 1] = {net->output};
    int32_t count = 1;
    for (int32_t i = 0; i < net->count; i++)
        if (net->values[i].batch && net->values[i].gradient) outputs[count++] = net->values[i].value;
    bool add = net->graph->add_to_params;
    ck_assert_int_eq(dmi_graph_plan(net->graph, outputs, add ? count : 1, train), DMI_OK);
    net->graph->dropout_seed = 7;
    net->graph->dropout_step = 3;
    fill(net);
    return net;
}

void test_net_end(test_net *net) {
    dmi_graph_destroy(net->graph);
    dmi_params_free(net->host, &net->params);
    test_host_end(net->host);
    free(net);
}
