/* SPDX-License-Identifier: MIT */
/* Transposed convolution of kernel 4 and stride 2: the operation against a loop and differences,
 * that its weights keep PyTorch's layout outside, that inference follows changed weights, and what
 * it refuses. */
#include "support/gradient.h"

static void build(test_net *net) {
    const test_op *op = net->op;
    dmi_value x = test_net_input(net, op->h, op->w, op->c, 1);
    dmi_value weight = test_net_param(net, dmi_shape_of(4, 4, op->out, op->c), 1);
    dmi_value bias = op->bias ? test_net_param(net, dmi_shape_of(1, 1, 1, op->out), 1) : DMI_NONE;
    int32_t status = dmi_conv_transposed(net->graph, &net->output, x, weight, bias);
    ck_assert_msg(status == DMI_OK, "%s: %s", op->name, net->host->error);
}

/* Each pixel of x adds its products to 16 pixels of y. */
static void reference(const test_net *net, double *const *v, double *y) {
    const test_op *op = net->op;
    int32_t oh = 2 * op->h, ow = 2 * op->w;
    for (int32_t i = 0; i < net->n * oh * ow * op->out; i++)
        y[i] = op->bias ? v[2][i % op->out] : 0;
    for (int32_t row = 0; row < net->n * op->h * op->w; row++)
        for (int32_t tap = 0; tap < 16; tap++) {
            int32_t n = row / (op->h * op->w), h = 2 * (row / op->w % op->h) + tap / 4 - 1,
                    w = 2 * (row % op->w) + tap % 4 - 1;
            if (h < 0 || w < 0 || h >= oh || w >= ow) continue;
            double *to = y + ((n * oh + h) * ow + w) * op->out;
            for (int32_t o = 0; o < op->out; o++)
                for (int32_t c = 0; c < op->c; c++)
                    to[o] += v[0][row * op->c + c] * v[1][(tap * op->out + o) * op->c + c];
        }
}

#define TRANSPOSED .build = build, .reference = reference
/* clang-format off */
static const test_op cases[] = {
    {.name = "transposed", TRANSPOSED, .n = 2, .h = 3, .w = 5, .c = 7, .out = 6, .bias = true,
     .samples = 60},
    {.name = "transposed without bias", TRANSPOSED, .n = 3, .h = 4, .w = 2, .c = 5, .out = 9,
     .samples = 60},
    {.name = "transposed of one pixel", TRANSPOSED, .n = 2, .h = 1, .w = 1, .c = 1, .out = 1,
     .bias = true},
    {.name = "transposed, one to many channels", TRANSPOSED, .n = 2, .h = 3, .w = 3, .c = 1,
     .out = 40, .bias = true, .samples = 30},
    {.name = "transposed in several tiles", TRANSPOSED, .n = 2, .h = 9, .w = 5, .c = 33,
     .out = 130, .bias = true, .samples = 2},
    {.name = "transposed in groups of images", TRANSPOSED, .n = 9, .h = 2, .w = 3, .c = 8,
     .out = 8, .bias = true, .samples = 20},
};
/* clang-format on */

START_TEST(test_case) { test_check_op(&cases[_i]); }
END_TEST

/* PyTorch's weight [in, out, 4, 4] with a single one: weight[1, 2, 0, 3] takes channel 1 of pixel
 * (i, j) to channel 2 of pixel (2 i - 1, 2 j + 2). After a change of the weights an inference graph
 * uses the new ones. */
START_TEST(layout) {
    enum { IN = 3, OUT = 5, SIDE = 2 };
    dmi_host *host = test_host_new(1);
    dmi_params params;
    dmi_graph *graph;
    dmi_value x, weight, y;
    int32_t index;
    const int64_t shape[4] = {IN, OUT, 4, 4};
    float outside[IN * OUT * 16] = {0}, back[IN * OUT * 16];
    dmi_params_init(&params);
    ck_assert_int_eq(dmi_graph_create(host, &graph, dmi_kernels_for(0), &params), DMI_OK);
    ck_assert_int_eq(dmi_params_add(host, &params, &index, "w", 4, shape, false), DMI_OK);
    ck_assert_int_eq(dmi_graph_input(graph, &x, dmi_shape_of(1, SIDE, SIDE, IN), false), DMI_OK);
    ck_assert_int_eq(dmi_graph_param(graph, &weight, index), DMI_OK);
    ck_assert_int_eq(dmi_conv_transposed(graph, &y, x, weight, DMI_NONE), DMI_OK);
    ck_assert_int_eq(dmi_params_allocate(host, &params), DMI_OK);
    ck_assert_int_eq(dmi_graph_plan(graph, &y, 1, false), DMI_OK);
    float *from = dmi_graph_data(graph, x);
    for (int32_t i = 0; i < SIDE * SIDE * IN; i++) from[i] = (float)(i + 1);
    for (int32_t pass = 1; pass <= 2; pass++) {
        outside[((1 * OUT + 2) * 4 + 0) * 4 + 3] = (float)pass;
        dmi_params_import(&params.items[index], params.data, outside);
        params.version++;
        dmi_params_export(&params.items[index], params.data, back);
        ck_assert_mem_eq(back, outside, sizeof back);
        dmi_graph_forward(graph);
        /* Pixel (1, 0) alone stays inside: (1, 2). */
        const float *to = dmi_graph_data(graph, y);
        for (int32_t i = 0; i < 4 * SIDE * SIDE * OUT; i++) {
            float want = i == (1 * 2 * SIDE + 2) * OUT + 2 ? (float)pass * from[2 * IN + 1] : 0;
            ck_assert_msg(to[i] == want, "element %d is %g, not %g", (int)i, (double)to[i],
                          (double)want);
        }
    }
    dmi_graph_destroy(graph);
    dmi_params_free(host, &params);
    test_host_end(host);
}
END_TEST

typedef struct refusal {
    int32_t status;
    const char *text;
    dmi_shape x, weight, bias;
} refusal;

static const refusal refusals[] = {
    {DMI_ERROR_SHAPE_MISMATCH,
     "conv_transposed: weight is 3 x 3 x 5 x 6; it must be 4 x 4 x 5 x 6",
     {1, 4, 4, 6},
     {3, 3, 5, 6},
     {1, 1, 1, 5}},
    {DMI_ERROR_SHAPE_MISMATCH,
     "conv_transposed: weight is 4 x 4 x 6 x 5; it must be 4 x 4 x 6 x 6",
     {1, 4, 4, 6},
     {4, 4, 6, 5},
     {1, 1, 1, 6}},
    {DMI_ERROR_SHAPE_MISMATCH,
     "conv_transposed: bias is 1 x 1 x 1 x 6; it must be 1 x 1 x 1 x 5",
     {1, 4, 4, 6},
     {4, 4, 5, 6},
     {1, 1, 1, 6}},
    {DMI_ERROR_LIMIT_EXCEEDED,
     "conv_transposed: 1 x 16384 x 16384 pixels of 1 channels are too many",
     {1, 16384, 16384, 1},
     {4, 4, 1, 1},
     {1, 1, 1, 1}},
    {DMI_ERROR_LIMIT_EXCEEDED,
     "conv_transposed: 134217728 output channels are too many",
     {1, 1, 1, 1},
     {4, 4, 134217728, 1},
     {1, 1, 1, 134217728}},
};

START_TEST(refused) {
    const refusal *r = &refusals[_i];
    dmi_host *host = test_host_new(1);
    dmi_params params;
    dmi_graph *graph;
    dmi_value x, weight, bias, out = 77;
    dmi_params_init(&params);
    ck_assert_int_eq(dmi_graph_create(host, &graph, dmi_kernels_for(0), &params), DMI_OK);
    ck_assert_int_eq(dmi_graph_input(graph, &x, r->x, true), DMI_OK);
    ck_assert_int_eq(dmi_graph_input(graph, &weight, r->weight, true), DMI_OK);
    ck_assert_int_eq(dmi_graph_input(graph, &bias, r->bias, true), DMI_OK);
    ck_assert_int_eq(dmi_conv_transposed(graph, &out, x, weight, bias), r->status);
    ck_assert_msg(strstr(host->error, r->text) == host->error, "'%s' is not '%s'", host->error,
                  r->text);
    ck_assert_int_eq(out, 77);
    dmi_graph_destroy(graph);
    test_host_end(host);
}
END_TEST

Suite *test_conv_transposed_suite(void);
Suite *test_conv_transposed_suite(void) {
    Suite *suite = suite_create("conv_transposed");
    TCase *checks = tcase_create("checks");
    tcase_set_timeout(checks, 30);
    tcase_add_loop_test(checks, test_case, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(checks, layout);
    tcase_add_loop_test(checks, refused, 0, sizeof refusals / sizeof refusals[0]);
    suite_add_tcase(suite, checks);
    return suite;
}
