/* SPDX-License-Identifier: MIT */
/* Attention: one and several heads, odd sizes, images of several blocks of queries and keys, and
 * large scores. */
#include "support/gradient.h"

#include "base/cpu.h"

static void build(test_net *net) {
    const test_op *op = net->op;
    dmi_value q = test_net_input(net, op->h, op->w, op->c, 2);
    dmi_value k = test_net_input(net, op->h, op->w, op->c, 2);
    dmi_value v = test_net_input(net, op->h, op->w, op->c, 1);
    int32_t status = dmi_attention(net->graph, &net->output, q, k, v, op->groups);
    ck_assert_msg(status == DMI_OK, "%s: %s", op->name, net->host->error);
}

static void reference(const test_net *net, double *const *v, double *y) {
    const test_op *op = net->op;
    size_t c = (size_t)op->c, pixels = (size_t)op->h * (size_t)op->w, d = c / (size_t)op->groups;
    double *p = malloc(pixels * sizeof *p);
    ck_assert_ptr_nonnull(p);
    for (size_t row = 0; row < (size_t)net->n * pixels; row++)
        for (size_t head = 0; head < (size_t)op->groups; head++) {
            size_t first = row / pixels * pixels;
            const double *q = v[0] + row * c + head * d;
            double sum = 0;
            for (size_t j = 0; j < pixels; j++) {
                double score = 0;
                for (size_t i = 0; i < d; i++) score += q[i] * v[1][(first + j) * c + head * d + i];
                p[j] = exp(score / sqrt((double)d));
                sum += p[j];
            }
            for (size_t i = 0; i < d; i++) y[row * c + head * d + i] = 0;
            for (size_t j = 0; j < pixels; j++)
                for (size_t i = 0; i < d; i++)
                    y[row * c + head * d + i] += p[j] / sum * v[2][(first + j) * c + head * d + i];
        }
    free(p);
}

/* 192 pixels are blocks of 128 and 64 queries; 640 are five of 128, and 256, 256 and 128 keys in
 * forward. Backward makes the probabilities from the log-sum-exp, and a rounding of that is a
 * relative error of the probabilities: log(640) is 6.5, half of its last place 2.4e-7. */
#define ATTENTION .build = build, .reference = reference
/* clang-format off */
static const test_op cases[] = {
    {.name = "attention", ATTENTION, .n = 3, .h = 3, .w = 5, .c = 8, .groups = 1},
    {.name = "attention, two heads", ATTENTION, .n = 2, .h = 4, .w = 3, .c = 8, .groups = 2},
    {.name = "attention, odd heads", ATTENTION, .n = 2, .h = 3, .w = 3, .c = 15, .groups = 5},
    {.name = "attention, a channel a head", ATTENTION, .n = 2, .h = 1, .w = 7, .c = 3, .groups = 3},
    {.name = "attention, two blocks", ATTENTION, .n = 1, .h = 12, .w = 16, .c = 6, .groups = 2,
     .samples = 12},
    {.name = "attention, five blocks", ATTENTION, .n = 1, .h = 20, .w = 32, .c = 4, .groups = 1,
     .samples = 4,
     .bound = 2e-6},
    {.name = "attention, three pixels", ATTENTION, .n = 2, .h = 1, .w = 3, .c = 10, .groups = 2},
    {.name = "attention, odd channels", ATTENTION, .n = 1, .h = 7, .w = 5, .c = 33, .groups = 1,
     .samples = 20},
    {.name = "attention, wide heads", ATTENTION, .n = 1, .h = 5, .w = 9, .c = 272, .groups = 2,
     .samples = 6},
};
/* clang-format on */

START_TEST(test_case) { test_check_op(&cases[_i]); }
END_TEST

/* The output of one pixel is its value, and neither query nor key matters. */
START_TEST(test_one_pixel) {
    const test_op op = {
        .name = "attention, one pixel", ATTENTION, .n = 2, .h = 1, .w = 1, .c = 6, .groups = 2};
    test_net *net = test_net_new(&op, (test_setup){.threads = 2});
    test_net_run(net);
    for (size_t i = 0; i < 12; i++) {
        ck_assert_float_eq(dmi_graph_data(net->graph, net->output)[i], test_net_data(net, 2)[i]);
        ck_assert_float_eq(test_net_gradient(net, 2)[i],
                           dmi_graph_gradient(net->graph, net->output)[i]);
        for (int32_t value = 0; value < 2; value++)
            ck_assert(fabsf(test_net_gradient(net, value)[i]) < 1e-6f);
    }
    test_net_end(net);
}
END_TEST

/* Scores of tens of thousands, whose exponentials no float holds: the largest takes all. */
START_TEST(test_large_scores) {
    const test_op op = {
        .name = "attention, large scores", ATTENTION, .n = 1, .h = 3, .w = 3, .c = 4, .groups = 1};
    test_net *net = test_net_new(&op, (test_setup){.threads = 1});
    for (size_t i = 0; i < 36; i++) {
        test_net_data(net, 0)[i] = 200;
        test_net_data(net, 1)[i] = i / 4 == 5 ? 200 : -200;
    }
    test_net_run(net);
    for (size_t i = 0; i < 36; i++) {
        ck_assert_float_eq(dmi_graph_data(net->graph, net->output)[i],
                           test_net_data(net, 2)[20 + i % 4]);
        for (int32_t value = 0; value < 3; value++)
            ck_assert(isfinite(test_net_gradient(net, value)[i]));
    }
    test_net_end(net);
}
END_TEST

/* ---- against the formulas in double ---- */

enum { Q, K, V };

typedef struct naive_gradients {
    double *y, *d[3];
} naive_gradients;

/* Output and gradients of image `image` by the formulas of FlashAttention's appendix B.2, which
 * the cases above have checked by differences. */
static naive_gradients naive_of(const test_net *net, int32_t image) {
    const test_op *op = net->op;
    const size_t c = (size_t)op->c, pixels = (size_t)op->h * (size_t)op->w,
                 d = c / (size_t)op->groups, n = pixels * c;
    const float *q = test_net_data(net, Q) + (size_t)image * n,
                *k = test_net_data(net, K) + (size_t)image * n;
    const float *v = test_net_data(net, V) + (size_t)image * n;
    const float *dy = dmi_graph_gradient(net->graph, net->output) + (size_t)image * n;
    double *all = calloc(4 * n, sizeof *all), *p = malloc(2 * pixels * sizeof *p), *dp = p + pixels;
    ck_assert(all && p);
    naive_gradients g = {all, {all + n, all + 2 * n, all + 3 * n}};
    for (size_t head = 0; head < c; head += d)
        for (size_t i = head; i < n; i += c) {
            double largest = -INFINITY, sum = 0, delta = 0, scale = 1 / sqrt((double)d);
            for (size_t j = 0; j < pixels; j++) {
                p[j] = dp[j] = 0;
                for (size_t x = 0; x < d; x++) {
                    p[j] += scale * q[i + x] * k[j * c + head + x];
                    dp[j] += (double)dy[i + x] * v[j * c + head + x];
                }
                largest = fmax(largest, p[j]);
            }
            for (size_t j = 0; j < pixels; j++) sum += p[j] = exp(p[j] - largest);
            for (size_t j = 0; j < pixels; j++) delta += (p[j] /= sum) * dp[j];
            for (size_t j = 0; j < pixels; j++)
                for (size_t x = 0; x < d; x++) {
                    size_t at = j * c + head + x;
                    double ds = scale * p[j] * (dp[j] - delta);
                    g.y[i + x] += p[j] * v[at];
                    g.d[Q][i + x] += ds * k[at];
                    g.d[K][at] += ds * q[i + x];
                    g.d[V][at] += p[j] * dy[i + x];
                }
        }
    free(p);
    return g;
}

static void check_error(const char *name, int32_t value, const float *got, const double *want,
                        size_t count, double bound) {
    double error = test_error_d(got, want, count);
    ck_assert_msg(error <= bound, "%s, value %d: relative error %.3g is above %.3g", name,
                  (int)value, error, bound);
}

/* The last image. */
static void check_formulas(const test_net *net, double bound) {
    size_t n = test_net_count(net, Q) / (size_t)net->n, at = n * (size_t)(net->n - 1);
    naive_gradients g = naive_of(net, net->n - 1);
    check_error(net->op->name, -1, dmi_graph_data(net->graph, net->output) + at, g.y, n, bound);
    for (int32_t i = Q; i <= V; i++)
        check_error(net->op->name, i, test_net_gradient(net, i) + at, g.d[i], n, 2 * bound);
    free(g.y);
}

/* Images whose keys come in several blocks: a running softmax in forward, and two or four groups
 * in backward. */
/* clang-format off */
static const test_op large[] = {
    {.name = "attention, 256 pixels of 128 channels", ATTENTION, .n = 2, .h = 16, .w = 16,
     .c = 128, .groups = 1},
    {.name = "attention, 300 pixels of 8 heads", ATTENTION, .n = 2, .h = 20, .w = 15, .c = 64,
     .groups = 8},
    {.name = "attention, 1024 pixels", ATTENTION, .n = 1, .h = 32, .w = 32, .c = 24, .groups = 3},
    {.name = "attention, 1025 pixels", ATTENTION, .n = 5, .h = 41, .w = 25, .c = 6, .groups = 1},
    {.name = "attention, 4096 pixels", ATTENTION, .n = 1, .h = 64, .w = 64, .c = 8, .groups = 1},
};
/* clang-format on */

START_TEST(test_large) {
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) {
        test_net *net = test_net_new(&large[_i], (test_setup){.threads = 2, .isa = isa});
        test_net_run(net);
        check_formulas(net, 2e-6); /* as above: the rounding of the log-sum-exp */
        test_net_end(net);
    }
}
END_TEST

/* Scores from -80 to 80, of which only the differences to the largest may reach an exponential, and
 * whose maxima come late: keys grow from the first to the last. A score of 80 is rounded by 4e-6
 * for each of its terms. */
START_TEST(test_scores_of_eighty) {
    const test_op op = {.name = "attention, scores of 80",
                        ATTENTION,
                        .n = 1,
                        .h = 20,
                        .w = 20,
                        .c = 16,
                        .groups = 1};
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) {
        test_net *net = test_net_new(&op, (test_setup){.threads = 2, .isa = isa});
        const size_t n = test_net_count(net, Q);
        double largest = 0;
        for (size_t i = 0; i < n; i++) {
            test_net_data(net, Q)[i] *= 5;
            test_net_data(net, K)[i] *= 4.0f * (float)i / (float)n;
        }
        for (size_t i = 0; i < n; i += 16)
            for (size_t j = 0; j < n; j += 16) {
                double score = 0;
                for (size_t x = 0; x < 16; x++)
                    score += test_net_data(net, Q)[i + x] * test_net_data(net, K)[j + x] / 4;
                largest = fmax(largest, score);
            }
        ck_assert_msg(largest > 80, "the largest score is %g", largest);
        test_net_run(net);
        check_formulas(net, 1e-5);
        test_net_end(net);
    }
}
END_TEST

/* Fewer pairs of image and head are split finer, and the bits of an image must not depend on it. */
/* clang-format off */
static const test_op batches[] = {
    {.name = "attention, batch of five, two heads", ATTENTION, .h = 14, .w = 15, .c = 40,
     .groups = 2},
    {.name = "attention, batch of five, four groups", ATTENTION, .h = 32, .w = 32, .c = 8,
     .groups = 1},
};
/* clang-format on */

START_TEST(test_batch_of_five) {
    const test_op *op = &batches[_i];
    for (int32_t threads = 1; threads <= 3; threads++) {
        test_net *five =
            test_net_new(op, (test_setup){.n = 5, .threads = threads, .isa = dmi_cpu_isa()});
        test_net *one =
            test_net_new(op, (test_setup){.n = 1, .threads = 4 - threads, .isa = dmi_cpu_isa()});
        const size_t n = test_net_count(one, Q), at = 3 * n;
        for (int32_t i = Q; i <= V; i++)
            memcpy(test_net_data(one, i), test_net_data(five, i) + at, n * sizeof(float));
        test_net_run(five);
        dmi_graph_forward(one->graph);
        memcpy(dmi_graph_gradient(one->graph, one->output),
               dmi_graph_gradient(five->graph, five->output) + at, n * sizeof(float));
        dmi_graph_backward(one->graph);
        const float *y = dmi_graph_data(five->graph, five->output) + at;
        ck_assert(memcmp(y, dmi_graph_data(one->graph, one->output), n * sizeof *y) == 0);
        for (int32_t i = Q; i <= V; i++)
            ck_assert_msg(memcmp(test_net_gradient(five, i) + at, test_net_gradient(one, i),
                                 n * sizeof *y) == 0,
                          "%s: gradient %d differs at %d threads", op->name, (int)i, (int)threads);
        test_net_end(one);
        test_net_end(five);
    }
}
END_TEST

Suite *test_attention_suite(void);
Suite *test_attention_suite(void) {
    Suite *suite = suite_create("attention");
    TCase *checks = tcase_create("checks");
    tcase_set_timeout(checks, 30);
    tcase_add_loop_test(checks, test_case, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(checks, test_one_pixel);
    tcase_add_test(checks, test_large_scores);
    tcase_add_loop_test(checks, test_large, 0, sizeof large / sizeof large[0]);
    tcase_add_test(checks, test_scores_of_eighty);
    tcase_add_loop_test(checks, test_batch_of_five, 0, sizeof batches / sizeof batches[0]);
    suite_add_tcase(suite, checks);
    return suite;
}
