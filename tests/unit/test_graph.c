/* SPDX-License-Identifier: MIT */
/* Graphs of a few nodes whose gradients are known: residuals, values used twice or not at all,
 * outputs used again. */
#include "autograd/graph.h"
#include "autograd/ops.h"
#include "base/cpu.h"
#include "support/support.h"

enum { SIDE_N = 2, CHANNELS_N = 5, COUNT_N = SIDE_N * SIDE_N * CHANNELS_N };

typedef struct small {
    dmi_host *host;
    dmi_graph *g;
    dmi_params params;
    dmi_value x; /* [1, 2, 2, 5], which requires a gradient */
} small;

static void small_begin(small *s) {
    s->host = test_host_new(1);
    dmi_params_init(&s->params);
    ck_assert_int_eq(dmi_graph_create(s->host, &s->g, dmi_kernels_for(dmi_cpu_isa()), &s->params),
                     DMI_OK);
    ck_assert_int_eq(dmi_graph_input(s->g, &s->x, dmi_shape_of(1, SIDE_N, SIDE_N, CHANNELS_N),
                                     true),
                     DMI_OK);
}

static void small_end(small *s) {
    dmi_graph_destroy(s->g);
    dmi_params_free(s->host, &s->params);
    test_host_end(s->host);
}

/* Plans, fills with NaN, and runs with x and the outputs' gradients from test_fill; x is copied to
 * `x`. */
static void small_run(small *s, const dmi_value *outputs, int32_t count, float *x) {
    int32_t index;
    if (!s->params.count) /* the blocks must be there to train */
        ck_assert_int_eq(dmi_params_add(s->host, &s->params, &index, "none", 1, (int64_t[]){1},
                                        false),
                         DMI_OK);
    if (!s->params.data) ck_assert_int_eq(dmi_params_allocate(s->host, &s->params), DMI_OK);
    ck_assert_int_eq(dmi_params_allocate_gradient(s->host, &s->params), DMI_OK);
    ck_assert_int_eq(dmi_graph_plan(s->g, outputs, count, true), DMI_OK);
    for (size_t i = 0; i < s->g->arena_floats; i++) s->g->arena[i] = NAN;
    test_fill(x, COUNT_N, 1, 2);
    memcpy(dmi_graph_data(s->g, s->x), x, COUNT_N * sizeof *x);
    dmi_graph_forward(s->g);
    for (int32_t i = 0; i < count; i++)
        test_fill(dmi_graph_gradient(s->g, outputs[i]), COUNT_N, 10 + (uint64_t)i, 1);
    dmi_graph_backward(s->g);
}

static double silu(double x) { return x / (1 + exp(-x)); }
static double silu_slope(double x) {
    double s = 1 / (1 + exp(-x));
    return s * (1 + x * (1 - s));
}

/* A graph of one convolution, planned. */
static void plan_conv(small *s, int32_t channels, int32_t kernel, bool upsample) {
    int32_t index;
    dmi_value weight, y;
    small_begin(s);
    ck_assert_int_eq(dmi_params_add(s->host, &s->params, &index, "w", 4,
                                    (int64_t[]){channels, CHANNELS_N, kernel, kernel}, false),
                     DMI_OK);
    ck_assert_int_eq(dmi_params_allocate(s->host, &s->params), DMI_OK);
    ck_assert_int_eq(dmi_graph_param(s->g, &weight, index), DMI_OK);
    ck_assert_int_eq(dmi_conv(s->g, &y, s->x, weight, DMI_NONE, DMI_NONE, DMI_NONE, kernel, 1,
                              kernel / 2, upsample),
                     DMI_OK);
    ck_assert_int_eq(dmi_graph_plan(s->g, &y, 1, false), DMI_OK);
}

START_TEST(blas_is_set_up_only_for_im2col) {
    static const struct {
        int32_t channels, kernel;
        bool upsample, uses_blas;
    } cases[] = {{32, 3, false, false}, /* Winograd */
                 {32, 3, true, false},
                 {4, 1, false, false}, /* product */
                 {4, 3, false, false},
                 {4, 3, true, true}}; /* im2col: too few channels, and upsampled */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        small s;
        plan_conv(&s, cases[i].channels, cases[i].kernel, cases[i].upsample);
        ck_assert_msg(s.g->uses_blas == cases[i].uses_blas, "case %zu", i);
        small_end(&s);
    }
}
END_TEST

/* float kernels of a few operations each: 1e-6 is some ten roundings. */
static const double bound = 1e-6;

/* x_4 = x_3 + silu(x_3) and so on: one memory for the gradients of x_0 to x_3. */
START_TEST(residuals_share_gradients) {
    enum { LENGTH = 4 };
    small s;
    dmi_value at[LENGTH + 1], branch;
    float x[COUNT_N], dy[COUNT_N];
    double want[COUNT_N];
    small_begin(&s);
    at[0] = s.x;
    for (int32_t i = 0; i < LENGTH; i++) {
        ck_assert_int_eq(dmi_silu(s.g, &branch, at[i]), DMI_OK);
        ck_assert_int_eq(dmi_add_values(s.g, &at[i + 1], at[i], branch), DMI_OK);
    }
    small_run(&s, &at[LENGTH], 1, x);
    for (int32_t i = 0; i + 1 < LENGTH; i++)
        ck_assert_ptr_eq(dmi_graph_gradient(s.g, at[i]), dmi_graph_gradient(s.g, at[LENGTH - 1]));
    ck_assert_ptr_ne(dmi_graph_gradient(s.g, at[LENGTH]), dmi_graph_gradient(s.g, at[0]));
    test_fill(dy, COUNT_N, 10, 1);
    ck_assert_mem_eq(dmi_graph_gradient(s.g, at[LENGTH]), dy,
                     sizeof dy); /* the caller's own stays */
    for (int32_t k = 0; k < COUNT_N; k++) {
        double value = x[k];
        want[k] = dy[k];
        for (int32_t i = 0; i < LENGTH; i++) {
            want[k] *= 1 + silu_slope(value);
            value += silu(value);
        }
    }
    ck_assert_double_le(test_error_d(dmi_graph_gradient(s.g, s.x), want, COUNT_N), bound);
    small_end(&s);
}
END_TEST

/* y = silu(x) + silu(x), the same value on both sides: neither side may take over the sum's
 * gradient. */
START_TEST(a_value_used_twice_by_one_node) {
    small s;
    dmi_value h, sum, y;
    float x[COUNT_N], dy[COUNT_N];
    double want[COUNT_N];
    small_begin(&s);
    ck_assert_int_eq(dmi_silu(s.g, &h, s.x), DMI_OK);
    ck_assert_int_eq(dmi_add_values(s.g, &sum, h, h), DMI_OK);
    ck_assert_int_eq(dmi_silu(s.g, &y, sum), DMI_OK);
    small_run(&s, &y, 1, x);
    test_fill(dy, COUNT_N, 10, 1);
    for (int32_t k = 0; k < COUNT_N; k++)
        want[k] = dy[k] * silu_slope(2 * silu(x[k])) * 2 * silu_slope(x[k]);
    ck_assert_double_le(test_error_d(dmi_graph_gradient(s.g, s.x), want, COUNT_N), bound);
    small_end(&s);
}
END_TEST

/* What has no path to an output gets no gradient, and gives none: y = silu(x), beside it a
 * convolution of x that nothing reads. */
START_TEST(unused_outputs) {
    small s;
    dmi_value y, unused, more, w;
    float x[COUNT_N], dy[COUNT_N];
    double want[COUNT_N];
    int32_t index;
    const int64_t shape[4] = {CHANNELS_N, CHANNELS_N, 1, 1};
    small_begin(&s);
    ck_assert_int_eq(dmi_params_add(s.host, &s.params, &index, "w", 4, shape, false), DMI_OK);
    ck_assert_int_eq(dmi_graph_param(s.g, &w, index), DMI_OK);
    ck_assert_int_eq(dmi_silu(s.g, &y, s.x), DMI_OK);
    ck_assert_int_eq(dmi_conv(s.g, &unused, s.x, w, DMI_NONE, DMI_NONE, DMI_NONE, 1, 1, 0, false),
                     DMI_OK);
    ck_assert_int_eq(dmi_silu(s.g, &more, unused), DMI_OK);
    small_run(&s, &y, 1, x);
    ck_assert_ptr_null(dmi_graph_gradient(s.g, unused));
    ck_assert_ptr_null(dmi_graph_gradient(s.g, more));
    test_fill(dy, COUNT_N, 10, 1);
    for (int32_t k = 0; k < COUNT_N; k++) want[k] = dy[k] * silu_slope(x[k]);
    ck_assert_double_le(test_error_d(dmi_graph_gradient(s.g, s.x), want, COUNT_N), bound);
    for (size_t i = 0; i < s.params.floats; i++) ck_assert(s.params.gradient[i] == 0);
    small_end(&s);
}
END_TEST

/* Two outputs, of which the second is made from the first, by a residual too: both stay readable,
 * and both gradients supplied by the caller are added. */
START_TEST(outputs_that_are_used_again) {
    small s;
    dmi_value outputs[2], branch;
    float x[COUNT_N], dy[2][COUNT_N];
    double want[COUNT_N], first[COUNT_N];
    small_begin(&s);
    ck_assert_int_eq(dmi_silu(s.g, &outputs[0], s.x), DMI_OK);
    ck_assert_int_eq(dmi_silu(s.g, &branch, outputs[0]), DMI_OK);
    ck_assert_int_eq(dmi_add_values(s.g, &outputs[1], outputs[0], branch), DMI_OK);
    small_run(&s, outputs, 2, x);
    for (int32_t i = 0; i < 2; i++) test_fill(dy[i], COUNT_N, 10 + (uint64_t)i, 1);
    for (int32_t k = 0; k < COUNT_N; k++) {
        first[k] = silu(x[k]);
        want[k] = silu_slope(x[k]) * (dy[0][k] + dy[1][k] * (1 + silu_slope(first[k])));
    }
    ck_assert_double_le(test_error_d(dmi_graph_data(s.g, outputs[0]), first, COUNT_N), bound);
    ck_assert_double_le(test_error_d(dmi_graph_gradient(s.g, s.x), want, COUNT_N), bound);
    ck_assert_mem_eq(dmi_graph_gradient(s.g, outputs[1]), dy[1], sizeof dy[1]);
    small_end(&s);
}
END_TEST

START_TEST(graphs_that_are_refused) {
    small s;
    dmi_value y, w, again, v;
    float x[COUNT_N];
    int32_t index, other;
    const int64_t shape[4] = {CHANNELS_N, CHANNELS_N, 1, 1};
    small_begin(&s);
    ck_assert_int_eq(dmi_params_add(s.host, &s.params, &index, "w", 4, shape, false), DMI_OK);
    ck_assert_int_eq(dmi_params_add(s.host, &s.params, &other, "w", 4, shape, false),
                     DMI_ERROR_INTERNAL);
    ck_assert_ptr_nonnull(strstr(s.host->error, "'w'"));
    ck_assert_int_eq(dmi_graph_param(s.g, &w, index), DMI_OK);
    ck_assert_int_eq(dmi_graph_param(s.g, &again, index), DMI_ERROR_INTERNAL);
    ck_assert_ptr_nonnull(strstr(s.host->error, "'w' is a value already"));
    ck_assert_int_eq(dmi_conv(s.g, &y, s.x, w, DMI_NONE, DMI_NONE, DMI_NONE, 1, 1, 0, false),
                     DMI_OK);
    ck_assert_int_eq(dmi_silu(s.g, &v, 99), DMI_ERROR_INTERNAL);
    ck_assert_int_eq(dmi_silu(s.g, &v, -7), DMI_ERROR_INTERNAL);
    ck_assert_int_eq(dmi_graph_input(s.g, &v, dmi_shape_of(1, 0, 1, 1), false),
                     DMI_ERROR_LIMIT_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(s.host->error, "1 x 0 x 1 x 1"));
    dmi_shape huge = dmi_shape_of(INT32_MAX, INT32_MAX, INT32_MAX, INT32_MAX);
    ck_assert_int_eq(dmi_graph_input(s.g, &v, huge, false), DMI_ERROR_LIMIT_EXCEEDED);
    ck_assert_int_eq(dmi_graph_plan(s.g, &y, 1, true), DMI_ERROR_INTERNAL);
    ck_assert_ptr_nonnull(strstr(s.host->error, "no gradients"));
    small_run(&s, &y, 1, x);
    ck_assert_int_eq(dmi_graph_plan(s.g, &y, 1, true), DMI_ERROR_WRONG_STATE);
    ck_assert_int_eq(dmi_silu(s.g, &v, y), DMI_ERROR_WRONG_STATE);
    small_end(&s);
}
END_TEST

Suite *test_graph_suite(void);
Suite *test_graph_suite(void) {
    Suite *suite = suite_create("graph");
    TCase *tcase = tcase_create("graph");
    tcase_add_test(tcase, blas_is_set_up_only_for_im2col);
    tcase_add_test(tcase, residuals_share_gradients);
    tcase_add_test(tcase, a_value_used_twice_by_one_node);
    tcase_add_test(tcase, unused_outputs);
    tcase_add_test(tcase, outputs_that_are_used_again);
    tcase_add_test(tcase, graphs_that_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
