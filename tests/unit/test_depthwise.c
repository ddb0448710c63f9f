/* SPDX-License-Identifier: MIT */
/* Depthwise convolution: the operation against a loop and differences, its kernels on parts of an
 * image, and what it refuses. */
#include "support/gradient.h"
#include "support/kernels.h"

/* ---- the operation ---- */

static void build(test_net *net) {
    const test_op *op = net->op;
    dmi_value x = test_net_input(net, op->h, op->w, op->c, 1);
    dmi_value weight = test_net_param(net, dmi_shape_of(op->kernel, op->kernel, 1, op->c), 1);
    dmi_value bias = op->bias ? test_net_param(net, dmi_shape_of(1, 1, 1, op->c), 1) : DMI_NONE;
    int32_t status = dmi_depthwise(net->graph, &net->output, x, weight, bias, op->kernel);
    ck_assert_msg(status == DMI_OK, "%s: %s", op->name, net->host->error);
}

static void reference(const test_net *net, double *const *v, double *y) {
    const test_op *op = net->op;
    int32_t pad = op->kernel / 2;
    for (int32_t row = 0; row < net->n * op->h * op->w; row++)
        for (int32_t c = 0; c < op->c; c++) {
            int32_t n = row / (op->h * op->w), h = row / op->w % op->h, w = row % op->w;
            double sum = op->bias ? v[2][c] : 0;
            for (int32_t tap = 0; tap < op->kernel * op->kernel; tap++) {
                int32_t i = h + tap / op->kernel - pad, j = w + tap % op->kernel - pad;
                if (i < 0 || j < 0 || i >= op->h || j >= op->w) continue;
                sum += v[0][((n * op->h + i) * op->w + j) * op->c + c] * v[1][tap * op->c + c];
            }
            *y++ = sum;
        }
}

/* Tiles have 32 rows and up to 64 columns, blocks 8 columns, slices 16 channels. */
#define DEPTHWISE .build = build, .reference = reference
/* clang-format off */
static const test_op cases[] = {
    {.name = "7x7", DEPTHWISE, .n = 2, .h = 9, .w = 8, .c = 16, .kernel = 7, .bias = true,
     .samples = 60},
    {.name = "7x7 of one pixel", DEPTHWISE, .n = 3, .h = 1, .w = 1, .c = 1, .kernel = 7},
    {.name = "7x7 smaller than the kernel", DEPTHWISE, .n = 2, .h = 2, .w = 3, .c = 21,
     .kernel = 7, .bias = true, .samples = 60},
    {.name = "7x7 of several tiles, blocks and slices", DEPTHWISE, .n = 2, .h = 34, .w = 9,
     .c = 18, .kernel = 7, .bias = true, .samples = 6},
    {.name = "7x7 of a wide row", DEPTHWISE, .n = 2, .h = 3, .w = 150, .c = 5, .kernel = 7,
     .samples = 20},
    {.name = "7x7 of many tiles", DEPTHWISE, .n = 2, .h = 34, .w = 521, .c = 2, .kernel = 7,
     .bias = true, .samples = 6},
    {.name = "5x5, the last tile of one column", DEPTHWISE, .n = 3, .h = 2, .w = 81, .c = 17,
     .kernel = 5, .samples = 20},
    {.name = "7x7 in groups of images", DEPTHWISE, .n = 9, .h = 8, .w = 8, .c = 24, .kernel = 7,
     .bias = true, .samples = 20},
    {.name = "5x5", DEPTHWISE, .n = 2, .h = 7, .w = 17, .c = 19, .kernel = 5, .samples = 40},
    {.name = "3x3", DEPTHWISE, .n = 3, .h = 5, .w = 6, .c = 10, .kernel = 3, .bias = true},
    {.name = "3x3 of several tiles", DEPTHWISE, .n = 1, .h = 33, .w = 9, .c = 32, .kernel = 3,
     .samples = 20},
};
/* clang-format on */

/* A worker's scratch does not grow with the width. */
START_TEST(scratch_of_wide_images) {
    size_t work[2];
    for (int32_t i = 0; i < 2; i++) {
        dmi_host *host = test_host_new(1);
        dmi_params params;
        dmi_graph *graph;
        dmi_value x, weight, y;
        dmi_params_init(&params);
        ck_assert_int_eq(dmi_graph_create(host, &graph, dmi_kernels_for(0), &params), DMI_OK);
        dmi_shape shape = dmi_shape_of(1, 32, i ? 4096 : 64, 1);
        ck_assert_int_eq(dmi_graph_input(graph, &x, shape, false), DMI_OK);
        ck_assert_int_eq(dmi_graph_input(graph, &weight, dmi_shape_of(7, 7, 1, 1), false), DMI_OK);
        ck_assert_int_eq(dmi_depthwise(graph, &y, x, weight, DMI_NONE, 7), DMI_OK);
        ck_assert_int_eq(dmi_graph_plan(graph, &y, 1, false), DMI_OK);
        work[i] = graph->nodes[0].needs.forward_work;
        dmi_graph_destroy(graph);
        test_host_end(host);
    }
    ck_assert_uint_eq(work[0], work[1]);
}
END_TEST

START_TEST(test_case) { test_check_op(&cases[_i]); }
END_TEST

/* ---- the kernels on a part of an image, which leave the rest alone ---- */

enum { H = 11, WIDTH = 13, C = 23, CHANNEL = 7, CHANNELS = 11 };
enum { ROW = 3, ROWS_OF_PART = 5, COLUMN = 1, COLUMNS_OF_PART = 9 };

static bool in_part(size_t i) {
    size_t c = i % C, row = i / C / WIDTH, column = i / C % WIDTH;
    return c >= CHANNEL && c < CHANNEL + CHANNELS && row >= ROW && row < ROW + ROWS_OF_PART &&
           column >= COLUMN && column < COLUMN + COLUMNS_OF_PART;
}

/* What tap (ky, kx) reads for element i of y, or zero outside. */
static double read_at(const float *x, size_t i, int32_t kernel, int32_t tap) {
    int32_t row = (int32_t)(i / C / WIDTH) + tap / kernel - kernel / 2,
            column = (int32_t)(i / C % WIDTH) + tap % kernel - kernel / 2;
    if (row < 0 || column < 0 || row >= H || column >= WIDTH) return 0;
    return x[((size_t)row * WIDTH + (size_t)column) * C + i % C];
}

/* Scratch of exactly the stated size, full of NaN. */
static float *scratch_of(const dmi_depthwise_part *d, bool gradient) {
    size_t count = dmi_depthwise_floats(d->rows, d->columns, d->kernel, gradient);
    float *scratch = allocate(count * sizeof *scratch);
    for (size_t i = 0; i < count; i++) scratch[i] = NAN;
    return scratch;
}

START_TEST(parts) {
    const dmi_kernels *k = kernels_of(_i);
    if (!k) return;
    for (int32_t kernel = 3; kernel <= 7; kernel += 2) {
        const size_t count = (size_t)H * WIDTH * C, taps = (size_t)(kernel * kernel);
        const float *x = uniform(count, 1, 1), *w = uniform(taps * C, 2, 1), *b = uniform(C, 3, 1),
                    *before = uniform(count, 4, 1), *dw_before = uniform(taps * C, 5, 1);
        dmi_depthwise_part d = {.h = H,
                                .w = WIDTH,
                                .c = C,
                                .kernel = kernel,
                                .channels = CHANNELS,
                                .row = ROW,
                                .rows = ROWS_OF_PART,
                                .column = COLUMN,
                                .columns = COLUMNS_OF_PART};
        for (int mode = 0; mode < 4; mode++) {
            d.rotated = mode & 1;
            d.add = mode & 2;
            float *y = copied(before, count);
            double *want = widened(before, count);
            for (size_t i = 0; i < count; i++) {
                if (!in_part(i)) continue;
                want[i] = (d.add ? before[i] : 0) + (d.rotated ? 0 : b[i % C]);
                for (size_t t = 0; t < taps; t++)
                    want[i] += read_at(x, i, kernel, (int32_t)t) *
                               w[(d.rotated ? taps - 1 - t : t) * C + i % C];
            }
            k->depthwise_forward(y + CHANNEL, x + CHANNEL, w + CHANNEL,
                                 d.rotated ? NULL : b + CHANNEL, &d, scratch_of(&d, false));
            check_near("depthwise_forward", y, want, count, 5e-7);
            for (size_t i = 0; i < count; i++) ck_assert(in_part(i) || y[i] == before[i]);
        }
        float *dw = copied(dw_before, taps * C);
        double *want = widened(dw_before, taps * C);
        for (size_t i = 0; i < count; i++)
            for (size_t t = 0; in_part(i) && t < taps; t++)
                want[t * C + i % C] += read_at(x, i, kernel, (int32_t)t) * before[i];
        k->depthwise_gradient(dw + CHANNEL, x + CHANNEL, before + CHANNEL, &d,
                              scratch_of(&d, true));
        check_near("depthwise_gradient", dw, want, taps * C, 5e-7);
        for (size_t i = 0; i < taps * C; i++)
            ck_assert(i % C >= CHANNEL && i % C < CHANNEL + CHANNELS ? true
                                                                     : dw[i] == dw_before[i]);
        release();
    }
}
END_TEST

/* ---- refusals ---- */

typedef struct refusal {
    int32_t status;
    const char *text;
    dmi_shape x, weight, bias;
    int32_t kernel;
} refusal;

static const refusal refusals[] = {
    {DMI_ERROR_INVALID_ARGUMENT,
     "depthwise: kernel is 4; it must be 3, 5 or 7",
     {1, 4, 4, 6},
     {4, 4, 1, 6},
     {1, 1, 1, 6},
     4},
    {DMI_ERROR_INVALID_ARGUMENT,
     "depthwise: kernel is 9; it must be 3, 5 or 7",
     {1, 4, 4, 6},
     {9, 9, 1, 6},
     {1, 1, 1, 6},
     9},
    {DMI_ERROR_SHAPE_MISMATCH,
     "depthwise: weight is 7 x 7 x 6 x 6; it must be 7 x 7 x 1 x 6",
     {1, 4, 4, 6},
     {7, 7, 6, 6},
     {1, 1, 1, 6},
     7},
    {DMI_ERROR_SHAPE_MISMATCH,
     "depthwise: bias is 1 x 1 x 1 x 5; it must be 1 x 1 x 1 x 6",
     {1, 4, 4, 6},
     {7, 7, 1, 6},
     {1, 1, 1, 5},
     7},
    {DMI_ERROR_LIMIT_EXCEEDED,
     "depthwise: 1 x 65536 x 65536 pixels are too many",
     {1, 65536, 65536, 1},
     {7, 7, 1, 1},
     {1, 1, 1, 1},
     7},
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
    ck_assert_int_eq(dmi_depthwise(graph, &out, x, weight, bias, r->kernel), r->status);
    ck_assert_msg(strstr(host->error, r->text) == host->error, "'%s' is not '%s'", host->error,
                  r->text);
    ck_assert_int_eq(out, 77);
    dmi_graph_destroy(graph);
    test_host_end(host);
}
END_TEST

Suite *test_depthwise_suite(void);
Suite *test_depthwise_suite(void) {
    Suite *suite = suite_create("depthwise");
    TCase *checks = tcase_create("checks");
    tcase_set_timeout(checks, 30);
    tcase_add_loop_test(checks, test_case, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(checks, scratch_of_wide_images);
    tcase_add_loop_test(checks, parts, 0, ISAS);
    tcase_add_loop_test(checks, refused, 0, sizeof refusals / sizeof refusals[0]);
    suite_add_tcase(suite, checks);
    return suite;
}
