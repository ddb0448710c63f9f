/* SPDX-License-Identifier: MIT */
/* See gradient.h: forward and gradients against the naive loop, and gradients against differences.
 */
#include "base/cpu.h"
#include "support/gradient_network.h"

enum { DIRECTIONS = 4 };

/* ---- against the naive loop ---- */

typedef struct naive {
    const test_net *net;
    double *values[TEST_VALUES_MAX];
    double *y;
    float *w;
    size_t outputs;
} naive;

static naive naive_new(const test_net *net) {
    naive r = {.net = net, .outputs = test_net_output_count(net)};
    for (int32_t i = 0; i < net->count; i++) {
        size_t count = test_net_count(net, i);
        r.values[i] = malloc(count * sizeof(double));
        ck_assert_ptr_nonnull(r.values[i]);
        for (size_t k = 0; k < count; k++) r.values[i][k] = test_net_data(net, i)[k];
    }
    r.y = malloc(r.outputs * sizeof(double));
    r.w = malloc(r.outputs * sizeof(float));
    ck_assert(r.y && r.w);
    test_net_fill_loss(r.w, r.outputs);
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

void test_check_reference(const test_op *op, int32_t isa) {
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

static float *copy_of(const float *values, size_t count) {
    float *copy = malloc(count * sizeof *copy);
    ck_assert_ptr_nonnull(copy);
    memcpy(copy, values, count * sizeof *copy);
    return copy;
}

/* ---- against the graph's own forward ---- */

static double loss(test_net *net, const float *w) {
    dmi_graph_forward(net->graph);
    return dot(dmi_graph_data(net->graph, net->output), w, test_net_output_count(net));
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

void test_check_differences(const test_op *op) {
    test_net *net = test_net_new(op, (test_setup){.isa = dmi_cpu_isa()});
    float *gradients[TEST_VALUES_MAX] = {NULL}, *w = malloc(test_net_output_count(net) * sizeof *w);
    ck_assert_ptr_nonnull(w);
    test_net_fill_loss(w, test_net_output_count(net));
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
