/* SPDX-License-Identifier: MIT */
/* Group norm: with each activation function and without, and with the scale and shift, or a factor
 * and a shift, of each image; groups of all sizes. */
#include "support/gradient.h"

#define EPS 1e-5f

static void build(test_net *net) {
    const test_op *op = net->op;
    dmi_value x = test_net_input(net, op->h, op->w, op->c, 2);
    dmi_value gamma = test_net_param(net, dmi_shape_of(1, 1, 1, op->c), 2);
    dmi_value beta = test_net_param(net, dmi_shape_of(1, 1, 1, op->c), 1);
    if (op->residual) { /* a factor, and with `bias` a shift */
        dmi_value factor = test_net_input(net, 1, 1, op->c, 1);
        dmi_value shift = op->bias ? test_net_input(net, 1, 1, op->c, 1) : DMI_NONE;
        int32_t added = dmi_group_norm_factor(net->graph, &net->output, x, gamma, beta, factor,
                                              shift, op->groups, EPS, op->activation);
        ck_assert_msg(added == DMI_OK, "%s: %s", op->name, net->host->error);
        return;
    }
    dmi_value scale_shift = op->modulation ? test_net_input(net, 1, 1, 2 * op->c, 1) : DMI_NONE;
    int32_t status = dmi_group_norm(net->graph, &net->output, x, gamma, beta, scale_shift,
                                    op->groups, EPS, op->activation);
    ck_assert_msg(status == DMI_OK, "%s: %s", op->name, net->host->error);
}

static void reference(const test_net *net, double *const *v, double *y) {
    const test_op *op = net->op;
    size_t c = (size_t)op->c, pixels = (size_t)op->h * (size_t)op->w,
           per_group = c / (size_t)op->groups;
    for (size_t n = 0; n < (size_t)net->n; n++) {
        const double *x = v[0] + n * pixels * c;
        for (size_t g = 0; g < (size_t)op->groups; g++) {
            double mean = 0, variance = 0, count = (double)(pixels * per_group);
            for (size_t p = 0; p < pixels; p++)
                for (size_t k = g * per_group; k < (g + 1) * per_group; k++)
                    mean += x[p * c + k] / count;
            for (size_t p = 0; p < pixels; p++)
                for (size_t k = g * per_group; k < (g + 1) * per_group; k++)
                    variance += (x[p * c + k] - mean) * (x[p * c + k] - mean) / count;
            for (size_t p = 0; p < pixels; p++)
                for (size_t k = g * per_group; k < (g + 1) * per_group; k++) {
                    double u = (x[p * c + k] - mean) / sqrt(variance + EPS) * v[1][k] + v[2][k];
                    if (op->residual) u *= v[3][n * c + k];
                    if (op->bias) u += v[4][n * c + k];
                    if (op->modulation) u = u * (1 + v[3][n * 2 * c + k]) + v[3][n * 2 * c + c + k];
                    y[(n * pixels + p) * c + k] = naive_activation(op->activation, u);
                }
        }
    }
}

/* A task is a run of whole groups: 18 of 96 channels in 32 groups and 48 of them in 6, of 64 where
 * there are 16 images. Beyond 4096 pixels backward keeps nothing between its passes. With ReLU
 * there are few elements, so that no difference reaches across its bend. */
#define NORM .build = build, .reference = reference
/* clang-format off */
static const test_op cases[] = {
    {.name = "group norm", NORM, .n = 3, .h = 5, .w = 3, .c = 6, .groups = 3},
    {.name = "group norm, SiLU", NORM, .n = 3, .h = 5, .w = 3, .c = 6, .groups = 2,
     .activation = DMI_ACTIVATION_SILU},
    {.name = "group norm, scale and shift", NORM, .n = 3, .h = 5, .w = 3, .c = 6, .groups = 3,
     .modulation = true},
    {.name = "group norm, scale and shift, SiLU", NORM, .n = 3, .h = 4, .w = 3, .c = 10,
     .groups = 5, .modulation = true, .activation = DMI_ACTIVATION_SILU},
    {.name = "group norm, factor", NORM, .n = 3, .h = 5, .w = 3, .c = 6, .groups = 3,
     .residual = true},
    {.name = "group norm, factor and shift, SiLU", NORM, .n = 3, .h = 4, .w = 3, .c = 10,
     .groups = 5, .residual = true, .bias = true, .activation = DMI_ACTIVATION_SILU},
    {.name = "group norm, Mish", NORM, .n = 3, .h = 5, .w = 3, .c = 6, .groups = 2,
     .activation = DMI_ACTIVATION_MISH},
    {.name = "group norm, GELU", NORM, .n = 3, .h = 5, .w = 3, .c = 6, .groups = 2,
     .activation = DMI_ACTIVATION_GELU},
    {.name = "group norm, scale and shift, Mish", NORM, .n = 2, .h = 5, .w = 4, .c = 36,
     .groups = 6, .modulation = true, .activation = DMI_ACTIVATION_MISH, .samples = 60},
    {.name = "group norm, scale and shift, GELU", NORM, .n = 2, .h = 5, .w = 4, .c = 36,
     .groups = 6, .modulation = true, .activation = DMI_ACTIVATION_GELU, .samples = 60},
    {.name = "group norm, ReLU", NORM, .n = 3, .h = 5, .w = 3, .c = 6, .groups = 2,
     .activation = DMI_ACTIVATION_RELU},
    {.name = "group norm, scale and shift, ReLU", NORM, .n = 2, .h = 4, .w = 2, .c = 6,
     .groups = 2, .modulation = true, .activation = DMI_ACTIVATION_RELU, .samples = 60},
    {.name = "group norm of six runs", NORM, .n = 2, .h = 3, .w = 3, .c = 96, .groups = 32,
     .modulation = true, .activation = DMI_ACTIVATION_SILU, .samples = 60},
    {.name = "one group", NORM, .n = 2, .h = 3, .w = 4, .c = 70, .groups = 1,
     .activation = DMI_ACTIVATION_SILU, .samples = 60},
    {.name = "a group for each channel", NORM, .n = 2, .h = 7, .w = 5, .c = 37, .groups = 37,
     .activation = DMI_ACTIVATION_SILU, .samples = 60},
    {.name = "one pixel", NORM, .n = 2, .h = 1, .w = 1, .c = 64, .groups = 4, .modulation = true,
     .samples = 60},
    {.name = "group norm of two runs", NORM, .n = 4, .h = 3, .w = 3, .c = 96, .groups = 6,
     .activation = DMI_ACTIVATION_SILU, .samples = 60},
    {.name = "many images", NORM, .n = 17, .h = 3, .w = 1, .c = 64, .groups = 4,
     .activation = DMI_ACTIVATION_SILU, .samples = 60},
    {.name = "many pixels", NORM, .n = 1, .h = 33, .w = 31, .c = 8, .groups = 2,
     .activation = DMI_ACTIVATION_SILU, .samples = 20},
    {.name = "too many pixels to keep", NORM, .n = 1, .h = 65, .w = 64, .c = 4, .groups = 2,
     .activation = DMI_ACTIVATION_SILU, .samples = 10},
};
/* clang-format on */

START_TEST(test_case) { test_check_op(&cases[_i]); }
END_TEST

/* Two images of 1 MiB each are written non-temporally, one alone is not. */
START_TEST(test_large_output) {
    static const test_op op = {.name = "a large output",
                               NORM,
                               .n = 2,
                               .h = 64,
                               .w = 64,
                               .c = 64,
                               .groups = 32,
                               .activation = DMI_ACTIVATION_SILU};
    test_check_op_alone(&op);
}
END_TEST

Suite *test_group_norm_suite(void);
Suite *test_group_norm_suite(void) {
    Suite *suite = suite_create("group_norm");
    TCase *checks = tcase_create("checks");
    tcase_set_timeout(checks, 30);
    tcase_add_test(checks, test_large_output);
    tcase_add_loop_test(checks, test_case, 0, sizeof cases / sizeof cases[0]);
    suite_add_tcase(suite, checks);
    return suite;
}
