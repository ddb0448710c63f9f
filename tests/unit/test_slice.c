/* SPDX-License-Identifier: MIT */
/* Slices of channels. */
#include "support/gradient.h"

static void done(test_net *net, int32_t status) {
    ck_assert_msg(status == DMI_OK, "%s: %s", net->op->name, net->host->error);
}

/* `out` channels from `groups` on; with `residual`, the sum of them with the first ones. */
static void build(test_net *net) {
    dmi_value x = test_net_input(net, net->op->h, net->op->w, net->op->c, 1), first;
    done(net, dmi_slice(net->graph, &net->output, x, net->op->groups, net->op->out));
    if (!net->op->residual) return;
    done(net, dmi_slice(net->graph, &first, x, 0, net->op->out));
    done(net, dmi_add_values(net->graph, &net->output, net->output, first));
}

static void reference(const test_net *net, double *const *v, double *y) {
    dmi_shape x = test_net_shape(net, 0);
    for (size_t r = 0; r < dmi_shape_rows(x); r++)
        for (int32_t c = 0; c < net->op->out; c++) {
            const double *row = v[0] + r * (size_t)x.c;
            *y++ = row[net->op->groups + c] + (net->op->residual ? row[c] : 0);
        }
}

#define SLICE .build = build, .reference = reference
/* clang-format off */
static const test_op cases[] = {
    {.name = "slice", SLICE, .n = 3, .h = 5, .w = 3,
     .c = 7, .out = 3, .groups = 2},
    {.name = "slice of several tiles", SLICE, .n = 2,
     .h = 33, .w = 35, .c = 21, .out = 16, .groups = 5},
    {.name = "two slices that overlap", SLICE,
     .n = 3, .h = 5, .w = 3, .c = 7, .out = 4, .groups = 3, .residual = true},
};
/* clang-format on */

START_TEST(test_case) { test_check_op(&cases[_i]); }
END_TEST

START_TEST(test_refusals) {
    static const struct {
        int32_t first, count;
        const char *words;
    } refusals[] = {{-1, 2, "slice: 2 channels from -1 on are not in a tensor of 6"},
                    {0, 0, "slice: 0 channels from 0 on are not in a tensor of 6"},
                    {4, 3, "slice: 3 channels from 4 on are not in a tensor of 6"}};
    dmi_host *host = test_host_new(1);
    dmi_params params;
    dmi_graph *graph;
    dmi_value x, out;
    dmi_params_init(&params);
    ck_assert_int_eq(dmi_graph_create(host, &graph, dmi_kernels_for(0), &params), DMI_OK);
    ck_assert_int_eq(dmi_graph_input(graph, &x, dmi_shape_of(2, 3, 4, 6), true), DMI_OK);
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        ck_assert_int_eq(dmi_slice(graph, &out, x, refusals[i].first, refusals[i].count),
                         DMI_ERROR_INVALID_ARGUMENT);
        ck_assert_str_eq(host->error, refusals[i].words);
    }
    dmi_graph_destroy(graph);
    test_host_end(host);
}
END_TEST

Suite *test_slice_suite(void);
Suite *test_slice_suite(void) {
    Suite *suite = suite_create("slice");
    TCase *checks = tcase_create("checks");
    tcase_set_timeout(checks, 30);
    tcase_add_loop_test(checks, test_case, 0, sizeof cases / sizeof cases[0]);
    tcase_add_test(checks, test_refusals);
    suite_add_tcase(suite, checks);
    return suite;
}
