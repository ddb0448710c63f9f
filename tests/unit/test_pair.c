/* SPDX-License-Identifier: MIT */
/* Operations on two tensors whose channels lie side by side: group norm and the convolution of
 * kernel 1. */
#include "support/gradient.h"

#define EPS 1e-5f

/* Channel k of pixel p of [x, x2]. */
static double channel_of(const test_op *op, double *const *v, size_t p, size_t k) {
    size_t c = (size_t)op->c, c2 = (size_t)op->c2;
    return k < c ? v[0][p * c + k] : v[1][p * c2 + k - c];
}

/* ---- group norm ---- */

static void build_norm(test_net *net) {
    const test_op *op = net->op;
    int32_t c = op->c + op->c2;
    dmi_value x = test_net_input(net, op->h, op->w, op->c, 2),
              x2 = test_net_input(net, op->h, op->w, op->c2, 1);
    dmi_value gamma = test_net_param(net, dmi_shape_of(1, 1, 1, c), 2),
              beta = test_net_param(net, dmi_shape_of(1, 1, 1, c), 1);
    dmi_value scale_shift = op->modulation ? test_net_input(net, 1, 1, 2 * c, 1) : DMI_NONE;
    int32_t status = dmi_group_norm_pair(net->graph, &net->output, x, x2, gamma, beta, scale_shift,
                                         op->groups, EPS, op->activation);
    ck_assert_msg(status == DMI_OK, "%s: %s", op->name, net->host->error);
}

static void reference_norm(const test_net *net, double *const *v, double *y) {
    const test_op *op = net->op;
    size_t c = (size_t)(op->c + op->c2), pixels = (size_t)op->h * (size_t)op->w,
           per_group = c / (size_t)op->groups;
    double count = (double)(pixels * per_group);
    for (size_t n = 0; n < (size_t)net->n; n++) {
        for (size_t g = 0; g < (size_t)op->groups; g++) {
            double mean = 0, variance = 0;
            for (size_t p = n * pixels; p < (n + 1) * pixels; p++)
                for (size_t k = g * per_group; k < (g + 1) * per_group; k++)
                    mean += channel_of(op, v, p, k) / count;
            for (size_t p = n * pixels; p < (n + 1) * pixels; p++)
                for (size_t k = g * per_group; k < (g + 1) * per_group; k++)
                    variance += pow(channel_of(op, v, p, k) - mean, 2) / count;
            for (size_t p = n * pixels; p < (n + 1) * pixels; p++)
                for (size_t k = g * per_group; k < (g + 1) * per_group; k++) {
                    double u =
                        (channel_of(op, v, p, k) - mean) / sqrt(variance + EPS) * v[2][k] + v[3][k];
                    if (op->modulation) u = u * (1 + v[4][n * 2 * c + k]) + v[4][n * 2 * c + c + k];
                    y[p * c + k] = naive_activation(op->activation, u);
                }
        }
    }
}

/* ---- convolution of kernel 1 ---- */

static void build_conv(test_net *net) {
    const test_op *op = net->op;
    dmi_value x = test_net_input(net, op->h, op->w, op->c, 1),
              x2 = test_net_input(net, op->h, op->w, op->c2, 1);
    dmi_value weight = test_net_param(net, dmi_shape_of(1, 1, op->c + op->c2, op->out), 1);
    dmi_value bias = op->bias ? test_net_param(net, dmi_shape_of(1, 1, 1, op->out), 1) : DMI_NONE;
    dmi_value residual = op->residual ? test_net_input(net, op->h, op->w, op->out, 1) : DMI_NONE;
    int32_t status = dmi_conv_pair(net->graph, &net->output, x, x2, weight, bias, residual);
    ck_assert_msg(status == DMI_OK, "%s: %s", op->name, net->host->error);
}

static void reference_conv(const test_net *net, double *const *v, double *y) {
    const test_op *op = net->op;
    size_t c = (size_t)(op->c + op->c2), out = (size_t)op->out,
           pixels = (size_t)net->n * (size_t)op->h * (size_t)op->w;
    for (size_t p = 0; p < pixels; p++)
        for (size_t o = 0; o < out; o++) {
            double sum =
                (op->bias ? v[3][o] : 0) + (op->residual ? v[op->bias ? 4 : 3][p * out + o] : 0);
            for (size_t k = 0; k < c; k++) sum += channel_of(op, v, p, k) * v[2][k * out + o];
            y[p * out + o] = sum;
        }
}

/* With ReLU there are few elements, so that no difference reaches across its bend. */
#define NORM .build = build_norm, .reference = reference_norm
#define CONV .build = build_conv, .reference = reference_conv
/* clang-format off */
static const test_op cases[] = {
    {.name = "norm, border between groups", NORM, .n = 3, .h = 5, .w = 3, .c = 4, .c2 = 2,
     .groups = 3, .activation = DMI_ACTIVATION_SILU},
    {.name = "norm, border within a group", NORM, .n = 3, .h = 4, .w = 3, .c = 7, .c2 = 5,
     .groups = 3, .modulation = true,
     .activation = DMI_ACTIVATION_SILU},
    {.name = "norm, Mish", NORM, .n = 3, .h = 4, .w = 3, .c = 7, .c2 = 5, .groups = 3,
     .modulation = true, .activation = DMI_ACTIVATION_MISH},
    {.name = "norm, GELU", NORM, .n = 3, .h = 4, .w = 3, .c = 7, .c2 = 5, .groups = 3,
     .modulation = true, .activation = DMI_ACTIVATION_GELU},
    {.name = "norm, ReLU", NORM, .n = 2, .h = 4, .w = 2, .c = 6, .c2 = 4, .groups = 2,
     .activation = DMI_ACTIVATION_RELU},
    {.name = "norm, border within a span", NORM, .n = 2, .h = 3, .w = 3, .c = 128, .c2 = 64,
     .groups = 32, .activation = DMI_ACTIVATION_SILU,
     .samples = 60},
    {.name = "norm, one group of both", NORM, .n = 2, .h = 3, .w = 4, .c = 40, .c2 = 50,
     .groups = 1, .samples = 60},
    {.name = "conv", CONV, .n = 3, .h = 5, .w = 3, .c = 5, .c2 = 3, .out = 4, .bias = true},
    {.name = "conv, all that is added", CONV, .n = 2, .h = 4, .w = 4, .c = 33, .c2 = 16,
     .out = 35, .bias = true,
     .residual = true, .samples = 60},
    {.name = "conv, wide", CONV, .n = 2, .h = 9, .w = 9, .c = 128, .c2 = 64, .out = 64,
     .samples = 60},
};
/* clang-format on */

START_TEST(test_case) { test_check_op(&cases[_i]); }
END_TEST

START_TEST(mismatched_shapes_are_refused) {
    dmi_host host = {0};
    dmi_params params;
    dmi_graph *graph;
    dmi_value x, taller, out;
    dmi_params_init(&params);
    ck_assert_int_eq(dmi_pool_create(&host, 1, NULL, NULL), DMI_OK);
    ck_assert_int_eq(dmi_graph_create(&host, &graph, dmi_kernels_for(0), &params), DMI_OK);
    ck_assert_int_eq(dmi_graph_input(graph, &x, dmi_shape_of(1, 2, 2, 4), true), DMI_OK);
    ck_assert_int_eq(dmi_graph_input(graph, &taller, dmi_shape_of(1, 3, 2, 4), true), DMI_OK);
    ck_assert_int_eq(dmi_group_norm_pair(graph, &out, x, taller, x, x, DMI_NONE, 2, EPS,
                                         DMI_ACTIVATION_NONE),
                     DMI_ERROR_SHAPE_MISMATCH);
    ck_assert_int_eq(dmi_group_norm_pair(graph, &out, x, x, x, x, DMI_NONE, 2, EPS,
                                         DMI_ACTIVATION_NONE),
                     DMI_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dmi_conv_pair(graph, &out, x, taller, x, DMI_NONE, DMI_NONE),
                     DMI_ERROR_SHAPE_MISMATCH);
    ck_assert_int_eq(dmi_conv_pair(graph, &out, x, x, x, DMI_NONE, DMI_NONE),
                     DMI_ERROR_INVALID_ARGUMENT);
    dmi_graph_destroy(graph);
    dmi_params_free(&host, &params);
    dmi_pool_destroy(&host);
}
END_TEST

Suite *test_pair_suite(void);
Suite *test_pair_suite(void) {
    Suite *suite = suite_create("pair");
    TCase *tests = tcase_create("pair");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_case, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tests, mismatched_shapes_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
