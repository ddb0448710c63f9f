/* SPDX-License-Identifier: MIT */
/* Convolution as an operation: every algorithm, with what is added to its result, and all
 * of its gradients. */
#include "support/gradient.h"

static int32_t out_side(const test_op *op, int32_t side) {
    return (side * (op->upsample ? 2 : 1) + op->stride - 1) / op->stride;
}

static void build(test_net *net) {
    const test_op *op = net->op;
    int32_t oh = out_side(op, op->h), ow = out_side(op, op->w);
    dmi_value x = test_net_input(net, op->h, op->w, op->c, 1);
    dmi_value weight = test_net_param(net, dmi_shape_of(op->kernel, op->kernel, op->c, op->out), 1);
    dmi_value bias = op->bias ? test_net_param(net, dmi_shape_of(1, 1, 1, op->out), 1) : DMI_NONE;
    dmi_value per_image = op->modulation ? test_net_input(net, 1, 1, op->out, 1) : DMI_NONE;
    dmi_value residual = op->residual ? test_net_input(net, oh, ow, op->out, 1) : DMI_NONE;
    net->graph->wrap = op->wrap;
    int32_t status = dmi_conv(net->graph, &net->output, x, weight, bias, per_image, residual,
                              op->kernel, op->stride, op->pad, op->upsample);
    ck_assert_msg(status == DMI_OK, "%s: %s", op->name, net->host->error);
}

/* Pixel (h, w) of x as the kernel reads it: doubled where upsampled; outside, zero or that of the
 * opposite border. */
static const double *pixel(const test_op *op, const double *x, int32_t n, int32_t h, int32_t w) {
    int32_t factor = op->upsample ? 2 : 1, height = op->h * factor, width = op->w * factor;
    if (op->wrap & DMI_WRAP_ROWS) h = (h + 4 * height) % height;
    if (op->wrap & DMI_WRAP_COLUMNS) w = (w + 4 * width) % width;
    if (h < 0 || w < 0 || h >= op->h * factor || w >= op->w * factor) return NULL;
    return x + (((size_t)n * (size_t)op->h + (size_t)(h / factor)) * (size_t)op->w +
                (size_t)(w / factor)) *
                   (size_t)op->c;
}

static void reference(const test_net *net, double *const *v, double *y) {
    const test_op *op = net->op;
    int32_t oh = out_side(op, op->h), ow = out_side(op, op->w), next = 2;
    const double *bias = op->bias ? v[next++] : NULL,
                 *per_image = op->modulation ? v[next++] : NULL;
    const double *residual = op->residual ? v[next++] : NULL;
    size_t out = (size_t)op->out;
    for (int32_t row = 0; row < net->n * oh * ow; row++, y += out) {
        int32_t n = row / (oh * ow), h = row / ow % oh, w = row % ow;
        for (size_t o = 0; o < out; o++)
            y[o] = (bias ? bias[o] : 0) + (per_image ? per_image[(size_t)n * out + o] : 0) +
                   (residual ? residual[(size_t)row * out + o] : 0);
        for (int32_t tap = 0; tap < op->kernel * op->kernel; tap++) {
            int32_t kh = tap / op->kernel, kw = tap % op->kernel;
            const double *x =
                pixel(op, v[0], n, h * op->stride + kh - op->pad, w * op->stride + kw - op->pad);
            for (int32_t i = 0; x && i < op->c; i++)
                for (size_t o = 0; o < out; o++)
                    y[o] += x[i] * v[1][((size_t)tap * (size_t)op->c + (size_t)i) * out + o];
        }
    }
}

/* Winograd's transforms cost a digit: Lavin and Gray 2016, sec. 7. The others are held to it
 * too. */
#define CONV .build = build, .reference = reference, .bound = 1e-5
/* clang-format off */
static const test_op cases[] = {
    {.name = "3x3, wrapped", CONV, .n = 2, .h = 6, .w = 7, .c = 17, .out = 18, .kernel = 3,
     .stride = 1, .pad = 1, .wrap = DMI_WRAP_ROWS | DMI_WRAP_COLUMNS, .bias = true,
     .modulation = true, .residual = true, .samples = 30},
    {.name = "3x3, columns wrapped", CONV, .n = 2, .h = 5, .w = 4, .c = 5, .out = 6, .kernel = 3,
     .stride = 1, .pad = 1, .wrap = DMI_WRAP_COLUMNS, .bias = true, .samples = 60},
    {.name = "3x3, rows wrapped", CONV, .n = 2, .h = 5, .w = 4, .c = 5, .out = 6, .kernel = 3,
     .stride = 1, .pad = 1, .wrap = DMI_WRAP_ROWS, .bias = true, .samples = 60},
    {.name = "3x3 of one pixel, wrapped", CONV, .n = 2, .h = 1, .w = 1, .c = 16, .out = 16,
     .kernel = 3, .stride = 1, .pad = 1, .wrap = DMI_WRAP_ROWS | DMI_WRAP_COLUMNS, .samples = 60},
    {.name = "3x3 after upsampling, wrapped", CONV, .n = 2, .h = 3, .w = 5, .c = 16, .out = 17,
     .kernel = 3, .stride = 1, .pad = 1, .wrap = DMI_WRAP_ROWS | DMI_WRAP_COLUMNS,
     .upsample = true, .bias = true, .samples = 20},
    {.name = "3x3 after upsampling, columns wrapped", CONV, .n = 2, .h = 4, .w = 3, .c = 3,
     .out = 5, .kernel = 3, .stride = 1, .pad = 1, .wrap = DMI_WRAP_COLUMNS, .upsample = true,
     .samples = 40},
    {.name = "3x3 of many channels, wrapped", CONV, .n = 2, .h = 4, .w = 5, .c = 70, .out = 132,
     .kernel = 3, .stride = 1, .pad = 1, .wrap = DMI_WRAP_ROWS | DMI_WRAP_COLUMNS, .bias = true,
     .samples = 10},
    {.name = "3x3, stride 2, wrapped", CONV, .n = 2, .h = 8, .w = 6, .c = 5, .out = 4, .kernel = 3,
     .stride = 2, .pad = 1, .wrap = DMI_WRAP_ROWS | DMI_WRAP_COLUMNS, .bias = true, .samples = 60},
    {.name = "3x3, stride 2, wrapped below and right", CONV, .n = 2, .h = 8, .w = 7, .c = 5,
     .out = 4, .kernel = 3, .stride = 2, .pad = 0, .wrap = DMI_WRAP_ROWS | DMI_WRAP_COLUMNS,
     .bias = true, .samples = 60},
    {.name = "3x3", CONV, .n = 2, .h = 6, .w = 7, .c = 5, .out = 6, .kernel = 3, .stride = 1,
     .pad = 1, .bias = true,
     .samples = 60},
    {.name = "3x3, few channels in", CONV, .n = 2, .h = 9, .w = 8, .c = 3, .out = 32,
     .kernel = 3, .stride = 1, .pad = 1,
     .bias = true, .samples = 30},
    {.name = "3x3, few channels out", CONV, .n = 2, .h = 9, .w = 8, .c = 32, .out = 3,
     .kernel = 3, .stride = 1, .pad = 1,
     .bias = true, .samples = 30},
    {.name = "3x3, all that is added", CONV, .n = 3, .h = 8, .w = 5, .c = 16, .out = 16,
     .kernel = 3, .stride = 1, .pad = 1,
     .bias = true, .modulation = true, .residual = true, .samples = 30},
    {.name = "3x3 of one pixel", CONV, .n = 2, .h = 1, .w = 1, .c = 16, .out = 16, .kernel = 3,
     .stride = 1, .pad = 1,
     .samples = 60},
    {.name = "3x3 after upsampling", CONV, .n = 2, .h = 3, .w = 5, .c = 16, .out = 17,
     .kernel = 3, .stride = 1, .pad = 1,
     .upsample = true, .bias = true, .samples = 20},
    {.name = "3x3, stride 2", CONV, .n = 2, .h = 8, .w = 6, .c = 5, .out = 4, .kernel = 3,
     .stride = 2, .pad = 1,
     .bias = true, .samples = 60},
    {.name = "3x3, stride 2, odd sides", CONV, .n = 2, .h = 7, .w = 9, .c = 5, .out = 4,
     .kernel = 3, .stride = 2, .pad = 1,
     .samples = 60},
    {.name = "3x3, stride 2, padded below and right", CONV, .n = 2, .h = 8, .w = 6, .c = 16,
     .out = 16, .kernel = 3,
     .stride = 2, .pad = 0, .bias = true, .samples = 30},
    {.name = "1x1", CONV, .n = 3, .h = 5, .w = 3, .c = 7, .out = 9, .kernel = 1, .stride = 1,
     .pad = 0, .bias = true,
     .samples = 60},
    {.name = "1x1, all that is added", CONV, .n = 3, .h = 5, .w = 3, .c = 32, .out = 16,
     .kernel = 1, .stride = 1, .pad = 0,
     .bias = true, .modulation = true, .residual = true, .samples = 30},
    /* By BLAS, where conv/select.c prefers it. */
    {.name = "1x1, many channels, all that is added", CONV, .n = 3, .h = 5, .w = 3, .c = 40,
     .out = 32, .kernel = 1, .stride = 1, .pad = 0,
     .bias = true, .modulation = true, .residual = true, .samples = 10},
    {.name = "3x3, stride 2, many channels", CONV, .n = 2, .h = 4, .w = 5, .c = 64, .out = 65,
     .kernel = 3, .stride = 2, .pad = 1, .bias = true, .samples = 6},
    {.name = "7x7, few channels in", CONV, .n = 2, .h = 9, .w = 7, .c = 3, .out = 20, .kernel = 7,
     .stride = 1, .pad = 3, .bias = true, .samples = 12},
    {.name = "7x7, few channels out, all that is added", CONV, .n = 2, .h = 5, .w = 7, .c = 17,
     .out = 3, .kernel = 7, .stride = 1, .pad = 3, .bias = true, .modulation = true,
     .residual = true, .samples = 12},
    {.name = "7x7, few channels, all that is added", CONV, .n = 3, .h = 4, .w = 5, .c = 6,
     .out = 6, .kernel = 7, .stride = 1, .pad = 3, .bias = true, .modulation = true,
     .residual = true, .samples = 20},
    {.name = "7x7, many channels, all that is added", CONV, .n = 2, .h = 4, .w = 5, .c = 32,
     .out = 33, .kernel = 7, .stride = 1, .pad = 3, .bias = true, .modulation = true,
     .residual = true, .samples = 6},
    {.name = "5x5 of one pixel", CONV, .n = 2, .h = 1, .w = 1, .c = 7, .out = 5, .kernel = 5,
     .stride = 1, .pad = 2, .samples = 30},
    {.name = "5x5 after upsampling", CONV, .n = 2, .h = 3, .w = 4, .c = 5, .out = 6, .kernel = 5,
     .stride = 1, .pad = 2, .upsample = true, .samples = 20},
    {.name = "3x3, many channels", CONV, .n = 1, .h = 13, .w = 11, .c = 48, .out = 32,
     .kernel = 3, .stride = 1, .pad = 1,
     .bias = true, .residual = true, .samples = 6},
};
/* clang-format on */

START_TEST(test_case) { test_check_op(&cases[_i]); }
END_TEST

/* Two images of 1 MiB each are written non-temporally, one alone is not; so are their
 * gradients. */
START_TEST(large_outputs) {
    static const test_op op = {.name = "a large output",
                               CONV,
                               .n = 2,
                               .h = 64,
                               .w = 64,
                               .c = 64,
                               .out = 64,
                               .kernel = 3,
                               .stride = 1,
                               .pad = 1};
    test_check_op_alone(&op);
}
END_TEST

Suite *test_conv_gradient_suite(void);
Suite *test_conv_gradient_suite(void) {
    Suite *suite = suite_create("conv_gradient");
    TCase *checks = tcase_create("checks");
    tcase_set_timeout(checks, 30);
    tcase_add_loop_test(checks, test_case, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(checks, large_outputs);
    suite_add_tcase(suite, checks);
    return suite;
}
