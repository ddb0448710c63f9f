/* SPDX-License-Identifier: MIT */
/* Weight standardization, channel gates, attention between channels and within windows: against
 * loops in double precision, and what they refuse. */
#include "base/cpu.h"
#include "support/gradient.h"
#include "support/operation.h"

static void done(test_net *net, int32_t status) {
    ck_assert_msg(status == DMI_OK, "%s: %s", net->op->name, net->host->error);
}

static dmi_value image_input(test_net *net, float scale) {
    return test_net_input(net, net->op->h, net->op->w, net->op->c, scale);
}

/* ---- weight standardization ---- */

static const float standardize_eps = 1e-5f;

/* A linear layer [c, out] where kernel is 0, else a convolution, with a standardized weight. */
static void build_standardize(test_net *net) {
    const test_op *op = net->op;
    int32_t k = op->kernel ? op->kernel : 1;
    dmi_value x = image_input(net, 1), weight;
    dmi_value raw = test_net_param(net, dmi_shape_of(k, k, op->c, op->out), 0.3f);
    done(net, dmi_weight_standardize(net->graph, &weight, raw, standardize_eps));
    if (op->kernel)
        done(net, dmi_conv(net->graph, &net->output, x, weight, DMI_NONE, DMI_NONE, DMI_NONE, k,
                           op->stride, op->pad, false));
    else done(net, dmi_linear(net->graph, &net->output, x, weight, DMI_NONE));
}

static void standardize(double *to, const double *from, size_t rows, size_t filters) {
    for (size_t o = 0; o < filters; o++) {
        double mean = 0, variance = 0;
        for (size_t r = 0; r < rows; r++) mean += from[r * filters + o] / (double)rows;
        for (size_t r = 0; r < rows; r++) {
            double deviation = from[r * filters + o] - mean;
            variance += deviation * deviation / (double)rows;
        }
        for (size_t r = 0; r < rows; r++)
            to[r * filters + o] =
                (from[r * filters + o] - mean) / sqrt(variance + (double)standardize_eps);
    }
}

/* The tap (a, b) of output pixel (i, j), summed over the channels. */
static double tap(const test_op *op, const double *x, const double *weight, int32_t i, int32_t j,
                  int32_t a, int32_t b, int32_t k) {
    double sum = 0;
    i += a - op->pad;
    j += b - op->pad;
    if (i < 0 || j < 0 || i >= op->h || j >= op->w) return 0;
    for (int32_t c = 0; c < op->c; c++)
        sum += x[(i * op->w + j) * op->c + c] * weight[((a * k + b) * op->c + c) * op->out];
    return sum;
}

static void reference_standardize(const test_net *net, double *const *v, double *y) {
    const test_op *op = net->op;
    int32_t k = op->kernel ? op->kernel : 1, stride = op->kernel ? op->stride : 1;
    size_t rows = (size_t)(k * k * op->c), filters = (size_t)op->out;
    double *weight = malloc(rows * filters * sizeof *weight);
    ck_assert_ptr_nonnull(weight);
    standardize(weight, v[1], rows, filters);
    for (int32_t n = 0; n < net->n; n++)
        for (int32_t i = 0; i < op->h; i += stride)
            for (int32_t j = 0; j < op->w; j += stride)
                for (int32_t o = 0; o < op->out; o++) {
                    *y = 0;
                    for (int32_t a = 0; a < k * k; a++)
                        *y += tap(op, v[0] + (size_t)n * (size_t)(op->h * op->w * op->c),
                                  weight + o, i, j, a / k, a % k, k);
                    y++;
                }
    free(weight);
}

/* ---- channel gates ---- */

/* A kernel of `kernel` taps. */
static void build_gate(test_net *net) {
    dmi_value x = image_input(net, 2),
              weight = test_net_param(net, dmi_shape_of(1, 1, 1, net->op->kernel), 2);
    done(net, dmi_channel_gate(net->graph, &net->output, x, weight));
}

static void reference_gate(const test_net *net, double *const *v, double *y) {
    const test_op *op = net->op;
    int32_t c = op->c, pixels = op->h * op->w;
    double *mean = malloc((size_t)c * sizeof *mean);
    ck_assert_ptr_nonnull(mean);
    for (int32_t n = 0; n < net->n; n++) {
        const double *x = v[0] + (size_t)n * (size_t)(pixels * c);
        for (int32_t d = 0; d < c; d++) {
            mean[d] = 0;
            for (int32_t p = 0; p < pixels; p++) mean[d] += x[p * c + d] / pixels;
        }
        for (int32_t p = 0; p < pixels; p++)
            for (int32_t d = 0; d < c; d++) {
                double u = 0;
                for (int32_t j = 0; j < op->kernel; j++) {
                    int32_t from = d + j - op->kernel / 2;
                    if (from >= 0 && from < c) u += v[1][j] * mean[from];
                }
                *y++ = x[p * c + d] / (1 + exp(-u));
            }
    }
    free(mean);
}

/* ---- attention between channels ---- */

static void build_channels(test_net *net) {
    dmi_value x = image_input(net, 1), q = test_net_input(net, 1, 1, net->op->c, 4),
              k = test_net_input(net, 1, 1, net->op->c, 4);
    done(net, dmi_channel_mixing(net->graph, &net->output, x, q, k));
}

static void reference_channels(const test_net *net, double *const *v, double *y) {
    const test_op *op = net->op;
    int32_t c = op->c, pixels = op->h * op->w;
    double *p = malloc((size_t)c * sizeof *p);
    ck_assert_ptr_nonnull(p);
    for (int32_t n = 0; n < net->n; n++) {
        const double *x = v[0] + (size_t)n * (size_t)(pixels * c), *q = v[1] + n * c,
                     *k = v[2] + n * c;
        for (int32_t to = 0; to < c; to++) {
            double sum = 0;
            for (int32_t d = 0; d < c; d++) sum += p[d] = exp(k[to] * q[d] / sqrt((double)c));
            for (int32_t i = 0; i < pixels; i++) {
                double mixed = 0;
                for (int32_t d = 0; d < c; d++) mixed += p[d] / sum * x[i * c + d];
                y[(n * pixels + i) * c + to] = mixed;
            }
        }
    }
    free(p);
}

/* ---- attention within windows ---- */

/* Windows of `kernel` pixels, scale 1 / sqrt(kernel). */
static void build_windows(test_net *net) {
    dmi_value q = image_input(net, 2), k = image_input(net, 2), v = image_input(net, 1);
    done(net, dmi_window_attention(net->graph, &net->output, q, k, v, net->op->kernel,
                                   (float)(1 / sqrt((double)net->op->kernel))));
}

/* The row of pixel (i, j) of image n in the tensors. */
static size_t row_of(const test_op *op, int32_t n, int32_t i, int32_t j) {
    return ((size_t)n * (size_t)op->h + (size_t)i) * (size_t)op->w + (size_t)j;
}

/* One query, pixel (i, j) of image n. */
static void attend(const test_op *op, double *const *v, double *y, int32_t n, int32_t i,
                   int32_t j) {
    int32_t side = op->kernel, top = i / side * side, left = j / side * side;
    int32_t bottom = top + side < op->h ? top + side : op->h,
            right = left + side < op->w ? left + side : op->w;
    size_t c = (size_t)op->c, at = row_of(op, n, i, j) * c;
    double sum = 0;
    for (size_t x = 0; x < c; x++) y[at + x] = 0;
    for (int32_t a = top; a < bottom; a++)
        for (int32_t b = left; b < right; b++) {
            size_t key = row_of(op, n, a, b) * c;
            double score = 0;
            for (size_t x = 0; x < c; x++) score += v[0][at + x] * v[1][key + x];
            double p = exp(score / sqrt((double)side));
            sum += p;
            for (size_t x = 0; x < c; x++) y[at + x] += p * v[2][key + x];
        }
    for (size_t x = 0; x < c; x++) y[at + x] /= sum;
}

static void reference_windows(const test_net *net, double *const *v, double *y) {
    for (int32_t n = 0; n < net->n; n++)
        for (int32_t i = 0; i < net->op->h; i++)
            for (int32_t j = 0; j < net->op->w; j++) attend(net->op, v, y, n, i, j);
}

/* ---- cases ---- */

#define STANDARDIZE .build = build_standardize, .reference = reference_standardize
#define GATE .build = build_gate, .reference = reference_gate
#define CHANNELS .build = build_channels, .reference = reference_channels
#define WINDOWS .build = build_windows, .reference = reference_windows
/* Standardized weights are some 1 each, so a convolution's sums cancel: bounds of Winograd's as in
 * the tests of convolutions. 1100 pixels are two tasks of attention between channels; 70 channels
 * three panels. */
/* clang-format off */
static const test_op cases[] = {
    {.name = "standardized linear", STANDARDIZE, .n = 3, .h = 1, .w = 1, .c = 13, .out = 70},
    {.name = "standardized linear of four", STANDARDIZE, .n = 2, .h = 1, .w = 1, .c = 4, .out = 5},
    {.name = "standardized 1x1", STANDARDIZE, .n = 2, .h = 3, .w = 5, .c = 9, .out = 17,
     .kernel = 1, .stride = 1},
    {.name = "standardized 3x3", STANDARDIZE, .n = 2, .h = 5, .w = 7, .c = 6, .out = 11,
     .kernel = 3, .stride = 1, .pad = 1, .bound = 3e-6},
    {.name = "standardized 3x3 of 32", STANDARDIZE, .n = 2, .h = 8, .w = 8, .c = 32, .out = 32,
     .kernel = 3, .stride = 1, .pad = 1, .samples = 12, .bound = 3e-6},
    {.name = "standardized 3x3, stride 2", STANDARDIZE, .n = 2, .h = 6, .w = 4, .c = 5, .out = 7,
     .kernel = 3, .stride = 2, .pad = 1},
    {.name = "gate of one channel", GATE, .n = 2, .h = 3, .w = 2, .c = 1, .kernel = 3},
    {.name = "gate", GATE, .n = 3, .h = 3, .w = 5, .c = 7, .kernel = 3},
    {.name = "gate of five taps", GATE, .n = 2, .h = 4, .w = 4, .c = 67, .kernel = 5},
    {.name = "gate of few channels and many taps", GATE, .n = 2, .h = 2, .w = 2, .c = 3,
     .kernel = 11},
    {.name = "gate of several tiles", GATE, .n = 2, .h = 37, .w = 41, .c = 13, .kernel = 1,
     .samples = 30},
    {.name = "channels", CHANNELS, .n = 3, .h = 3, .w = 5, .c = 8},
    {.name = "one channel", CHANNELS, .n = 2, .h = 2, .w = 2, .c = 1},
    {.name = "channels of one pixel", CHANNELS, .n = 3, .h = 1, .w = 1, .c = 21},
    {.name = "channels, whole panels", CHANNELS, .n = 2, .h = 4, .w = 4, .c = 64, .samples = 40},
    {.name = "channels, three panels", CHANNELS, .n = 2, .h = 5, .w = 3, .c = 70, .samples = 40},
    {.name = "channels of many pixels", CHANNELS, .n = 2, .h = 44, .w = 25, .c = 11,
     .samples = 20, .bound = 2e-6},
    {.name = "windows", WINDOWS, .n = 3, .h = 6, .w = 4, .c = 5, .kernel = 2},
    {.name = "windows as wide as the image", WINDOWS, .n = 2, .h = 9, .w = 3, .c = 8,
     .kernel = 3},
    {.name = "windows as high as the image", WINDOWS, .n = 2, .h = 2, .w = 8, .c = 33,
     .kernel = 4},
    {.name = "windows larger than the image", WINDOWS, .n = 2, .h = 3, .w = 5, .c = 6,
     .kernel = 8},
    {.name = "windows of two blocks", WINDOWS, .n = 1, .h = 12, .w = 24, .c = 4, .kernel = 12,
     .samples = 12, .bound = 2e-6},
};
/* clang-format on */

START_TEST(test_case) { test_check_op(&cases[_i]); }
END_TEST

/* ---- relations ---- */

/* A window of the whole image with attention's own scale is dmi_attention, bit for bit. */
static void build_whole(test_net *net) {
    dmi_value q = image_input(net, 2), k = image_input(net, 2), v = image_input(net, 1);
    done(net, net->op->kernel ? dmi_window_attention(net->graph, &net->output, q, k, v, 64,
                                                     (float)(1 / sqrt((double)net->op->c)))
                              : dmi_attention(net->graph, &net->output, q, k, v, 1));
}

START_TEST(test_one_window_is_attention) {
    test_op op = {.name = "one window", .build = build_whole, .n = 2, .h = 13, .w = 12, .c = 20};
    test_net *whole = test_net_new(&op, (test_setup){.isa = dmi_cpu_isa()});
    op.kernel = 1;
    test_op windowed = op;
    test_net *window = test_net_new(&windowed, (test_setup){.isa = dmi_cpu_isa(), .threads = 2});
    test_net_run(whole);
    test_net_run(window);
    size_t bytes = test_net_count(whole, 0) * sizeof(float);
    ck_assert_mem_eq(dmi_graph_data(whole->graph, whole->output),
                     dmi_graph_data(window->graph, window->output), bytes);
    for (int32_t i = 0; i < 3; i++)
        ck_assert_mem_eq(test_net_gradient(whole, i), test_net_gradient(window, i), bytes);
    test_net_end(window);
    test_net_end(whole);
}
END_TEST

/* The output of a window of one pixel is its value, and neither query nor key matters. */
START_TEST(test_windows_of_one_pixel) {
    const test_op op = {
        .name = "windows of one pixel", WINDOWS, .n = 2, .h = 2, .w = 3, .c = 4, .kernel = 1};
    test_net *net = test_net_new(&op, (test_setup){.isa = dmi_cpu_isa()});
    test_net_run(net);
    for (size_t i = 0; i < test_net_count(net, 2); i++) {
        ck_assert_float_eq(dmi_graph_data(net->graph, net->output)[i], test_net_data(net, 2)[i]);
        ck_assert_float_eq(test_net_gradient(net, 2)[i],
                           dmi_graph_gradient(net->graph, net->output)[i]);
        for (int32_t value = 0; value < 2; value++)
            ck_assert(fabsf(test_net_gradient(net, value)[i]) < 1e-6f);
    }
    test_net_end(net);
}
END_TEST

/* Scores of thousands, whose exponentials no float holds: each channel becomes the one with the
 * largest score. */
START_TEST(test_large_scores_of_channels) {
    const test_op op = {.name = "large scores", CHANNELS, .n = 1, .h = 1, .w = 2, .c = 4};
    test_net *net = test_net_new(&op, (test_setup){.isa = dmi_cpu_isa()});
    static const float q[] = {-90, 80, 90, -80}, k[] = {100, -100, 300, -300};
    static const int32_t chosen[] = {2, 0, 2, 0};
    memcpy(test_net_data(net, 1), q, sizeof q);
    memcpy(test_net_data(net, 2), k, sizeof k);
    test_net_run(net);
    for (int32_t i = 0; i < 8; i++)
        ck_assert_float_eq(dmi_graph_data(net->graph, net->output)[i],
                           test_net_data(net, 0)[i / 4 * 4 + chosen[i % 4]]);
    for (int32_t value = 0; value < 3; value++)
        for (size_t i = 0; i < test_net_count(net, value); i++)
            ck_assert(isfinite(test_net_gradient(net, value)[i]));
    test_net_end(net);
}
END_TEST

/* ---- refusals ---- */

enum { IMAGE, OTHER, SHORTER, VECTOR, EVEN, SQUARE, SHAPES };

static const dmi_shape shapes[SHAPES] = {
    {2, 4, 6, 6}, {2, 4, 6, 6}, {2, 3, 6, 6}, {2, 1, 1, 6}, {1, 1, 1, 4}, {3, 3, 2, 6},
};

REFUSE(standardize_zero, dmi_weight_standardize(g, out, of[SQUARE], 0))
REFUSE(standardize_nan, dmi_weight_standardize(g, out, of[SQUARE], NAN))
REFUSE(standardize_infinite, dmi_weight_standardize(g, out, of[SQUARE], INFINITY))
REFUSE(gate_even, dmi_channel_gate(g, out, of[IMAGE], of[EVEN]))
REFUSE(gate_square, dmi_channel_gate(g, out, of[IMAGE], of[SQUARE]))
REFUSE(channels_q, dmi_channel_mixing(g, out, of[IMAGE], of[EVEN], of[VECTOR]))
REFUSE(channels_k, dmi_channel_mixing(g, out, of[IMAGE], of[VECTOR], of[OTHER]))
REFUSE(windows_none, dmi_window_attention(g, out, of[IMAGE], of[OTHER], of[SHORTER], 0, 1))
REFUSE(windows_across, dmi_window_attention(g, out, of[IMAGE], of[OTHER], of[SHORTER], 4, 1))
REFUSE(windows_down, dmi_window_attention(g, out, of[IMAGE], of[OTHER], of[SHORTER], 3, 1))
REFUSE(windows_scale, dmi_window_attention(g, out, of[IMAGE], of[OTHER], of[SHORTER], 2, 0))
REFUSE(windows_infinite,
       dmi_window_attention(g, out, of[IMAGE], of[OTHER], of[SHORTER], 2, INFINITY))
REFUSE(windows_same, dmi_window_attention(g, out, of[IMAGE], of[OTHER], of[OTHER], 2, 1))
REFUSE(windows_shape, dmi_window_attention(g, out, of[IMAGE], of[OTHER], of[SHORTER], 2, 1))

static const operation_refusal refusals[] = {
    {DMI_ERROR_INVALID_ARGUMENT, "weight_standardize: eps is 0; it must be above 0 and finite",
     standardize_zero},
    {DMI_ERROR_INVALID_ARGUMENT, "weight_standardize: eps is nan", standardize_nan},
    {DMI_ERROR_INVALID_ARGUMENT, "weight_standardize: eps is inf", standardize_infinite},
    {DMI_ERROR_INVALID_ARGUMENT, "channel_gate: the kernel has 4 taps; their number must be odd",
     gate_even},
    {DMI_ERROR_SHAPE_MISMATCH, "channel_gate: weight is 3 x 3 x 2 x 6; it must be 1 x 1 x 1 x 6",
     gate_square},
    {DMI_ERROR_SHAPE_MISMATCH, "channel_mixing: q is 1 x 1 x 1 x 4; it must be 2 x 1 x 1 x 6",
     channels_q},
    {DMI_ERROR_SHAPE_MISMATCH, "channel_mixing: k is 2 x 4 x 6 x 6; it must be 2 x 1 x 1 x 6",
     channels_k},
    {DMI_ERROR_INVALID_ARGUMENT,
     "window_attention: windows of 0 pixels do not divide an image of 4 x 6", windows_none},
    {DMI_ERROR_INVALID_ARGUMENT,
     "window_attention: windows of 4 pixels do not divide an image of 4 x 6", windows_across},
    {DMI_ERROR_INVALID_ARGUMENT,
     "window_attention: windows of 3 pixels do not divide an image of 4 x 6", windows_down},
    {DMI_ERROR_INVALID_ARGUMENT, "window_attention: scale is 0; it must be above 0 and finite",
     windows_scale},
    {DMI_ERROR_INVALID_ARGUMENT, "window_attention: scale is inf", windows_infinite},
    {DMI_ERROR_INVALID_ARGUMENT, "window_attention: q, k and v are values 0, 1 and 1",
     windows_same},
    {DMI_ERROR_SHAPE_MISMATCH, "window_attention: v is 2 x 3 x 6 x 6; it must be 2 x 4 x 6 x 6",
     windows_shape},
};

START_TEST(test_refusal) { operation_refused(&refusals[_i], shapes, SHAPES); }
END_TEST

Suite *test_mixers_suite(void);
Suite *test_mixers_suite(void) {
    Suite *suite = suite_create("mixers");
    TCase *checks = tcase_create("checks");
    tcase_set_timeout(checks, 30);
    tcase_add_loop_test(checks, test_case, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(checks, test_one_window_is_attention);
    tcase_add_test(checks, test_windows_of_one_pixel);
    tcase_add_test(checks, test_large_scores_of_channels);
    tcase_add_loop_test(checks, test_refusal, 0, sizeof refusals / sizeof refusals[0]);
    suite_add_tcase(suite, checks);
    return suite;
}
