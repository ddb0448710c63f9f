/* Attention: one and several heads, odd sizes, and pictures of several blocks of query rows. */
#include "support/gradient.h"

static void build(test_net *net) {
    const test_op *op = net->op;
    dmi_value q = test_net_input(net, op->h, op->w, op->c, 2);
    dmi_value k = test_net_input(net, op->h, op->w, op->c, 2);
    dmi_value v = test_net_input(net, op->h, op->w, op->c, 1);
    int32_t status = dmi_attention(net->graph, &net->output, q, k, v, op->parts);
    ck_assert_msg(status == DMI_OK, "%s: %s", op->name, net->host->error);
}

static void reference(const test_net *net, double *const *v, double *y) {
    const test_op *op = net->op;
    size_t c = (size_t)op->c, pixels = (size_t)op->h * (size_t)op->w, d = c / (size_t)op->parts;
    double *p = malloc(pixels * sizeof *p);
    ck_assert_ptr_nonnull(p);
    for (size_t row = 0; row < (size_t)net->n * pixels; row++)
        for (size_t head = 0; head < (size_t)op->parts; head++) {
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

/* 192 pixels are blocks of 128 and 64 query rows, 640 are six of 102 and one of 28. Backward makes the probabilities from
 * the log-sum-exp, and a rounding of that is a relative error of theirs: log(640) is 6.5, half of its last place 2.4e-7. */
#define ATTENTION .build = build, .reference = reference
static const test_op cases[] = {
    {.name = "attention", ATTENTION, .n = 3, .h = 3, .w = 5, .c = 8, .parts = 1},
    {.name = "attention, two heads", ATTENTION, .n = 2, .h = 4, .w = 3, .c = 8, .parts = 2},
    {.name = "attention, odd heads", ATTENTION, .n = 2, .h = 3, .w = 3, .c = 15, .parts = 5},
    {.name = "attention, a channel a head", ATTENTION, .n = 2, .h = 1, .w = 7, .c = 3, .parts = 3},
    {.name = "attention, two blocks", ATTENTION, .n = 1, .h = 12, .w = 16, .c = 6, .parts = 2, .samples = 12},
    {.name = "attention, seven blocks", ATTENTION, .n = 1, .h = 20, .w = 32, .c = 4, .parts = 1, .samples = 4,
     .bound = 2e-6},
};

START_TEST(test_case) { test_prove(&cases[_i]); }
END_TEST

/* The output of one pixel is its value, and neither query nor key matters. */
START_TEST(test_one_pixel) {
    const test_op op = {.name = "attention, one pixel", ATTENTION, .n = 2, .h = 1, .w = 1, .c = 6, .parts = 2};
    test_net *net = test_net_new(&op, (test_setup){.threads = 2});
    test_net_run(net);
    for (size_t i = 0; i < 12; i++) {
        ck_assert_float_eq(dmi_graph_data(net->graph, net->output)[i], test_net_data(net, 2)[i]);
        ck_assert_float_eq(test_net_gradient(net, 2)[i], dmi_graph_gradient(net->graph, net->output)[i]);
        for (int32_t value = 0; value < 2; value++) ck_assert(fabsf(test_net_gradient(net, value)[i]) < 1e-6f);
    }
    test_net_end(net);
}
END_TEST

/* Scores of tens of thousands, whose exponentials no float holds: the largest takes all. */
START_TEST(test_large_scores) {
    const test_op op = {.name = "attention, large scores", ATTENTION, .n = 1, .h = 3, .w = 3, .c = 4, .parts = 1};
    test_net *net = test_net_new(&op, (test_setup){.threads = 1});
    for (size_t i = 0; i < 36; i++) {
        test_net_data(net, 0)[i] = 200;
        test_net_data(net, 1)[i] = i / 4 == 5 ? 200 : -200;
    }
    test_net_run(net);
    for (size_t i = 0; i < 36; i++) {
        ck_assert_float_eq(dmi_graph_data(net->graph, net->output)[i], test_net_data(net, 2)[20 + i % 4]);
        for (int32_t value = 0; value < 3; value++) ck_assert(isfinite(test_net_gradient(net, value)[i]));
    }
    test_net_end(net);
}
END_TEST

Suite *test_attention_suite(void);
Suite *test_attention_suite(void) {
    Suite *suite = suite_create("attention");
    TCase *proofs = tcase_create("proofs");
    tcase_set_timeout(proofs, 30);
    tcase_add_loop_test(proofs, test_case, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(proofs, test_one_pixel);
    tcase_add_test(proofs, test_large_scores);
    suite_add_tcase(suite, proofs);
    return suite;
}
