/* See gradient.h. */
#include "support/gradient.h"

#include "base/cpu.h"

enum { DIRECTIONS = 4, LOSS_SEED = 99 };

/* ---- networks ---- */

/* value + 0: the same value as an activation. */
static dmi_value plus_zero(test_net *net, dmi_value value) {
    dmi_value *zero = &net->zeros[net->zero_count++], sum;
    ck_assert_int_eq(dmi_graph_input(net->graph, zero, dmi_graph_shape(net->graph, value), false),
                     DMI_OK);
    ck_assert_int_eq(dmi_add_values(net->graph, &sum, value, *zero), DMI_OK);
    return sum;
}

static dmi_value declare(test_net *net, dmi_shape shape, test_value value) {
    ck_assert_int_lt(net->count, TEST_MAX_VALUES);
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
    return value.batch && net->setup.buried ? plus_zero(net, value.value) : value.value;
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

static size_t output_count(const test_net *net) {
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
    if (setup.buried) net->output = plus_zero(net, net->output);
    ck_assert_int_eq(dmi_params_allocate(net->host, &net->params), DMI_OK);
    if (!setup.inference)
        ck_assert_int_eq(dmi_params_allocate_gradient(net->host, &net->params), DMI_OK);
    /* An input that is an output too has a gradient before backward begins, and backward adds to
     * it. */
    dmi_value outputs[TEST_MAX_VALUES + 1] = {net->output};
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

static float *copy_of(const float *values, size_t count) {
    float *copy = malloc(count * sizeof *copy);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, values, count * sizeof *copy);
    return copy;
}

/* What stands in the gradient of value i before an adding backward: of the size of the gradient
 * itself. */
static void fill_prior(float *prior, size_t count, int32_t i) {
    test_fill(prior, count, 200 + (uint64_t)i, 3);
}

static void fill_loss(float *w, size_t count) { test_fill(w, count, LOSS_SEED, 1); }

static void keep(const dmi_graph *graph, float *kept, const float *from, size_t count) {
    memcpy(kept + (from - graph->arena), from, count * sizeof *kept);
}

/* Leaves of the arena what backward may count on, inputs, what `needs` names and the output, and
 * makes the rest NaN. */
static void forget(test_net *net) {
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
    if (net->setup.buried) forget(net);
    net->graph->add_to_params = net->setup.adding;
    for (int32_t i = 0; net->setup.adding && i < net->count; i++)
        if (test_net_gradient(net, i))
            fill_prior(test_net_gradient(net, i), test_net_count(net, i), i);
    fill_loss(dmi_graph_gradient(net->graph, net->output), output_count(net));
    dmi_graph_backward(net->graph);
}

static test_setup best(void) { return (test_setup){.isa = dmi_cpu_isa()}; }

/* ---- against the naive loop ---- */

typedef struct naive {
    const test_net *net;
    double *values[TEST_MAX_VALUES];
    double *y;
    float *w;
    size_t outputs;
} naive;

static naive naive_new(const test_net *net) {
    naive r = {.net = net, .outputs = output_count(net)};
    for (int32_t i = 0; i < net->count; i++) {
        size_t count = test_net_count(net, i);
        r.values[i] = malloc(count * sizeof(double));
        ck_assert_ptr_nonnull(r.values[i]);
        for (size_t k = 0; k < count; k++) r.values[i][k] = test_net_data(net, i)[k];
    }
    r.y = malloc(r.outputs * sizeof(double));
    r.w = malloc(r.outputs * sizeof(float));
    ck_assert(r.y && r.w);
    fill_loss(r.w, r.outputs);
    return r;
}

static void naive_free(naive *r) {
    for (int32_t i = 0; i < r->net->count; i++) free(r->values[i]);
    free(r->y);
    free(r->w);
}

static double naive_loss(naive *r) {
    double sum = 0;
    r->net->op->reference(r->net, r->values, r->y);
    for (size_t i = 0; i < r->outputs; i++) sum += r->w[i] * r->y[i];
    return sum;
}

/* dL / d(value along u) by differences of fourth order. With step 2^-9 in double the truncation,
 * step^4 / 30 L^(5), and the rounding, 1e-16 L / step, are both below 1e-11 of L: nothing beside
 * the float's 1e-7. */
static double naive_slope(naive *r, int32_t value, size_t first, size_t count, const float *u) {
    static const double at[] = {1, -1, 2, -2}, weight[] = {8, -8, -1, 1};
    const double step = 0x1p-9;
    double *x = r->values[value] + first, slope = 0;
    double *start = malloc(count * sizeof *start);
    ck_assert_ptr_nonnull(start);
    memcpy(start, x, count * sizeof *x);
    for (int32_t k = 0; k < 4; k++) {
        for (size_t i = 0; i < count; i++) x[i] = start[i] + at[k] * step * (double)u[i];
        slope += weight[k] * naive_loss(r) / (12 * step);
    }
    memcpy(x, start, count * sizeof *x);
    free(start);
    return slope;
}

/* Element k of `samples` spread over `count`, first and last included. */
static size_t sample(size_t count, size_t samples, size_t k) {
    return count <= samples ? k : k * (count - 1) / (samples - 1);
}

static double dot(const float *a, const float *b, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += (double)a[i] * b[i];
    return sum;
}

static void compare_gradient(naive *r, int32_t value, double bound) {
    const char *name = r->net->op->name;
    size_t count = test_net_count(r->net, value),
           samples = r->net->op->samples ? (size_t)r->net->op->samples : TEST_SAMPLES;
    if (samples > count) samples = count;
    const float *gradient = test_net_gradient(r->net, value);
    float got[TEST_SAMPLES], one = 1;
    double want[TEST_SAMPLES];
    for (size_t k = 0; k < samples; k++) {
        got[k] = gradient[sample(count, samples, k)];
        want[k] = naive_slope(r, value, sample(count, samples, k), 1, &one);
    }
    double error = test_error_d(got, want, samples);
    ck_assert_msg(error <= bound, "%s: gradient of value %d: relative error %.3g is above %.3g",
                  name, (int)value, error, bound);
    float *u = malloc(count * sizeof *u);
    ck_assert_ptr_nonnull(u);
    for (uint64_t k = 0; k < DIRECTIONS; k++) {
        test_fill(u, count, 300 + k, 1);
        double is = dot(gradient, u, count), should = naive_slope(r, value, 0, count, u);
        double size =
            sqrt(dot(gradient, gradient, count)); /* the slope itself may be near zero by chance */
        ck_assert_msg(fabs(is - should) <= bound * size,
                      "%s: slope of value %d is %.9g, should be %.9g", name, (int)value, is,
                      should);
    }
    free(u);
}

static void against_reference(const test_op *op, int32_t isa) {
    double bound = op->bound > 0 ? op->bound : 1e-6;
    test_net *net = test_net_new(op, (test_setup){.isa = isa});
    test_net_run(net);
    naive r = naive_new(net);
    naive_loss(&r);
    double error = test_error_d(dmi_graph_data(net->graph, net->output), r.y, r.outputs);
    ck_assert_msg(error <= bound, "%s: relative error %.3g is above %.3g", op->name, error, bound);
    for (int32_t i = 0; i < net->count; i++)
        if (net->values[i].gradient) compare_gradient(&r, i, 2 * bound);
    naive_free(&r);
    test_net_end(net);
}

/* ---- against the graph's own forward ---- */

static double loss(test_net *net, const float *w) {
    dmi_graph_forward(net->graph);
    return dot(dmi_graph_data(net->graph, net->output), w, output_count(net));
}

/* L(x + step u) - L(x - step u), and in *predicted what the gradient says. Both use the x that
 * floats can hold. The error relative to L is step^2 / 6 of truncation and 2^-24 / step of
 * rounding, equal at step 2^-7, where both are 1e-5. */
static double difference(test_net *net, const float *w, const float *gradient, float *x,
                         size_t count, const float *u, double *predicted) {
    const float step = 0x1p-7f;
    float *start = copy_of(x, count);
    *predicted = 0;
    for (size_t i = 0; i < count; i++) x[i] = start[i] + step * u[i];
    for (size_t i = 0; i < count; i++)
        *predicted += gradient[i] * ((double)x[i] - (double)(start[i] - step * u[i]));
    double above = loss(net, w);
    for (size_t i = 0; i < count; i++) x[i] = start[i] - step * u[i];
    double below = loss(net, w);
    memcpy(x, start, count * sizeof *x);
    free(start);
    return above - below;
}

static void differences_of(test_net *net, const float *w, int32_t value, const float *gradient) {
    size_t count = test_net_count(net, value), samples = count < 24 ? count : 24;
    float *x = test_net_data(net, value), one = 1;
    float *u = malloc(count * sizeof *u);
    ck_assert_ptr_nonnull(u);
    double size = sqrt(dot(gradient, gradient, count)), is, should;
    for (uint64_t k = 0; k < DIRECTIONS; k++) {
        test_fill(u, count, 400 + k, 1);
        for (size_t i = 0; i < count; i++)
            u[i] += gradient[i] >= 0 ? 0.5f : -0.5f; /* so that the slope is no chance zero */
        is = difference(net, w, gradient, x, count, u, &should);
        ck_assert_msg(fabs(is - should) <= 1e-2 * fabs(should),
                      "%s: along a direction of value %d the loss changes "
                      "by %.6g, the gradient says %.6g",
                      net->op->name, (int)value, is, should);
    }
    for (size_t k = 0; k < samples; k++) {
        size_t i = sample(count, samples, k);
        double usual = 2 * 0x1p-7 * size / sqrt((double)count);
        is = difference(net, w, gradient + i, x + i, 1, &one, &should);
        ck_assert_msg(fabs(is - should) <= 1e-2 * (fabs(should) + 0.2 * usual),
                      "%s: for element %zu of value %d the loss "
                      "changes by %.6g, the gradient says %.6g",
                      net->op->name, i, (int)value, is, should);
    }
    free(u);
}

static void against_differences(const test_op *op) {
    test_net *net = test_net_new(op, best());
    float *gradients[TEST_MAX_VALUES] = {NULL}, *w = malloc(output_count(net) * sizeof *w);
    ck_assert_ptr_nonnull(w);
    fill_loss(w, output_count(net));
    test_net_run(net);
    for (int32_t i = 0; i < net->count; i++)
        if (net->values[i].gradient)
            gradients[i] = copy_of(test_net_gradient(net, i), test_net_count(net, i));
    for (int32_t i = 0; i < net->count; i++) {
        if (!gradients[i]) continue;
        differences_of(net, w, i, gradients[i]);
        free(gradients[i]);
    }
    free(w);
    test_net_end(net);
}

/* ---- adding, leaving out, forgetting, batches, threads ---- */

static void assert_same(const test_op *op, const char *what, int32_t value, const float *a,
                        const float *b, size_t count) {
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(isfinite(a[i]) && a[i] == b[i],
                      "%s: %s (value %d): element %zu is %.9g and %.9g", op->name, what, (int)value,
                      i, (double)a[i], (double)b[i]);
}

/* Output and gradients of two networks; values without a gradient in either are passed over. */
static void assert_same_nets(const test_net *a, const test_net *b, const char *what) {
    assert_same(a->op, what, -1, dmi_graph_data(a->graph, a->output),
                dmi_graph_data(b->graph, b->output), output_count(a));
    for (int32_t i = 0; i < a->count; i++)
        if (test_net_gradient(a, i) && test_net_gradient(b, i))
            assert_same(a->op, what, i, test_net_gradient(a, i), test_net_gradient(b, i),
                        test_net_count(a, i));
}

static void adding(const test_op *op) {
    test_setup setup = best();
    test_net *plain = test_net_new(op, setup);
    setup.adding = true;
    test_net *sum = test_net_new(op, setup);
    test_net_run(plain);
    test_net_run(sum);
    for (int32_t i = 0; i < plain->count; i++) {
        size_t count = test_net_count(plain, i);
        if (!plain->values[i].gradient) continue;
        float *want = malloc(count * sizeof *want), *got = test_net_gradient(sum, i);
        ck_assert_ptr_nonnull(want);
        fill_prior(want, count, i);
        for (size_t k = 0; k < count; k++) want[k] += test_net_gradient(plain, i)[k];
        double error = test_error(got, want, count);
        ck_assert_msg(error <= 1e-6, "%s: adding to the gradient of value %d: relative error %.3g",
                      op->name, (int)i, error);
        free(want);
    }
    test_net_end(sum);
    test_net_end(plain);
}

static void without_gradients(const test_op *op) {
    test_setup setup = best();
    test_net *plain = test_net_new(op, setup);
    test_net_run(plain);
    for (int32_t i = 0; i < plain->count; i++) {
        bool others = false;
        for (int32_t k = 0; k < plain->count; k++)
            others = others || (k != i && plain->values[k].gradient);
        if (!plain->values[i].gradient || !others) continue;
        setup.frozen = 1u << i;
        test_net *frozen = test_net_new(op, setup);
        test_net_run(frozen);
        ck_assert_ptr_null(test_net_gradient(frozen, i));
        assert_same_nets(plain, frozen, "with a gradient left out");
        test_net_end(frozen);
    }
    test_net_end(plain);
}

static void forgetting(const test_op *op) {
    test_setup setup = best();
    test_net *plain = test_net_new(op, setup);
    setup.buried = true;
    test_net *buried = test_net_new(op, setup);
    test_net_run(plain);
    test_net_run(buried);
    assert_same_nets(plain, buried, "with all forgotten that backward does not need");
    test_net_end(buried);
    test_net_end(plain);
}

static void batch_independence(const test_op *op, int32_t picture) {
    test_setup setup = best();
    setup.n = 3;
    test_net *batch = test_net_new(op, setup);
    setup.n = 1;
    test_net *alone = test_net_new(op, setup);
    size_t outputs = output_count(alone);
    for (int32_t i = 0; i < alone->count; i++) {
        size_t count = test_net_count(alone, i);
        if (alone->values[i].batch)
            memcpy(test_net_data(alone, i), test_net_data(batch, i) + (size_t)picture * count,
                   count * sizeof(float));
    }
    test_net_run(batch);
    dmi_graph_forward(alone->graph);
    float *w = malloc(3 * outputs * sizeof *w);
    ck_assert_ptr_nonnull(w);
    fill_loss(w, 3 * outputs);
    memcpy(dmi_graph_gradient(alone->graph, alone->output), w + (size_t)picture * outputs,
           outputs * sizeof *w);
    free(w);
    dmi_graph_backward(alone->graph);
    assert_same(op, "a picture alone and in a batch", -1,
                dmi_graph_data(alone->graph, alone->output),
                dmi_graph_data(batch->graph, batch->output) + (size_t)picture * outputs, outputs);
    for (int32_t i = 0; i < alone->count; i++) {
        size_t count = test_net_count(alone, i);
        if (alone->values[i].batch && alone->values[i].gradient)
            assert_same(op, "a picture alone and in a batch", i, test_net_gradient(alone, i),
                        test_net_gradient(batch, i) + (size_t)picture * count, count);
    }
    test_net_end(alone);
    test_net_end(batch);
}

static void threads(const test_op *op) {
    test_setup setup = best();
    test_net *one = test_net_new(op, setup);
    test_net_run(one);
    for (setup.threads = 2; setup.threads <= 3; setup.threads++) {
        test_net *more = test_net_new(op, setup);
        test_net_run(more);
        assert_same_nets(one, more, "with more threads");
        test_net_run(more);
        assert_same_nets(one, more, "a second time");
        test_net_end(more);
    }
    test_net_end(one);
}

static void inference(const test_op *op) {
    test_setup setup = best();
    test_net *train = test_net_new(op, setup);
    setup.inference = true;
    setup.threads = 2;
    test_net *infer = test_net_new(op, setup);
    dmi_graph_forward(train->graph);
    for (int32_t again = 0; again < 2; again++) {
        dmi_graph_forward(infer->graph);
        assert_same(op, "planned without backward", -1, dmi_graph_data(infer->graph, infer->output),
                    dmi_graph_data(train->graph, train->output), output_count(train));
    }
    test_net_end(infer);
    test_net_end(train);
}

void test_prove(const test_op *op) {
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) against_reference(op, isa);
    against_differences(op);
    adding(op);
    without_gradients(op);
    forgetting(op);
    batch_independence(op, op->random ? 0 : 1);
    threads(op);
    if (!op->random) inference(op);
}

void test_prove_alone(const test_op *op) {
    test_setup setup = {.n = 2, .isa = dmi_cpu_isa(), .threads = 2};
    test_net *both = test_net_new(op, setup);
    setup.n = 1;
    test_net *alone = test_net_new(op, setup);
    size_t count = test_net_count(alone, 0), bytes = count * sizeof(float);
    memcpy(test_net_data(alone, 0), test_net_data(both, 0), bytes);
    test_net_run(both);
    test_net_run(alone);
    size_t y_bytes = dmi_shape_count(dmi_graph_shape(alone->graph, alone->output)) * sizeof(float);
    ck_assert_mem_eq(dmi_graph_data(alone->graph, alone->output),
                     dmi_graph_data(both->graph, both->output), y_bytes);
    ck_assert_mem_eq(test_net_gradient(alone, 0), test_net_gradient(both, 0), bytes);
    test_net_end(alone);
    test_net_end(both);
}
