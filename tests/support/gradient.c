/* SPDX-License-Identifier: MIT */
/* See gradient.h: networks whose results must be the same bits, or sums of them. */
#include "support/gradient.h"

#include "base/cpu.h"
#include "support/gradient_network.h"

static test_setup best(void) { return (test_setup){.isa = dmi_cpu_isa()}; }

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
                dmi_graph_data(b->graph, b->output), test_net_output_count(a));
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
        test_net_fill_prior(want, count, i);
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

static void overwriting(const test_op *op) {
    test_setup setup = best();
    test_net *plain = test_net_new(op, setup);
    setup.interior = true;
    test_net *interior = test_net_new(op, setup);
    test_net_run(plain);
    test_net_run(interior);
    assert_same_nets(plain, interior, "with all overwritten that backward does not need");
    test_net_end(interior);
    test_net_end(plain);
}

static void batch_independence(const test_op *op, int32_t image) {
    test_setup setup = best();
    setup.n = 3;
    test_net *batch = test_net_new(op, setup);
    setup.n = 1;
    test_net *alone = test_net_new(op, setup);
    size_t outputs = test_net_output_count(alone);
    for (int32_t i = 0; i < alone->count; i++) {
        size_t count = test_net_count(alone, i);
        if (alone->values[i].batch)
            memcpy(test_net_data(alone, i), test_net_data(batch, i) + (size_t)image * count,
                   count * sizeof(float));
    }
    test_net_run(batch);
    dmi_graph_forward(alone->graph);
    float *w = malloc(3 * outputs * sizeof *w);
    ck_assert_ptr_nonnull(w);
    test_net_fill_loss(w, 3 * outputs);
    memcpy(dmi_graph_gradient(alone->graph, alone->output), w + (size_t)image * outputs,
           outputs * sizeof *w);
    free(w);
    dmi_graph_backward(alone->graph);
    assert_same(op, "an image alone and in a batch", -1,
                dmi_graph_data(alone->graph, alone->output),
                dmi_graph_data(batch->graph, batch->output) + (size_t)image * outputs, outputs);
    for (int32_t i = 0; i < alone->count; i++) {
        size_t count = test_net_count(alone, i);
        if (alone->values[i].batch && alone->values[i].gradient)
            assert_same(op, "an image alone and in a batch", i, test_net_gradient(alone, i),
                        test_net_gradient(batch, i) + (size_t)image * count, count);
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
                    dmi_graph_data(train->graph, train->output), test_net_output_count(train));
    }
    test_net_end(infer);
    test_net_end(train);
}

void test_check_op(const test_op *op) {
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) test_check_reference(op, isa);
    test_check_differences(op);
    adding(op);
    without_gradients(op);
    overwriting(op);
    batch_independence(op, op->random ? 0 : 1);
    threads(op);
    if (!op->random) inference(op);
}

void test_check_op_alone(const test_op *op) {
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
