/* SPDX-License-Identifier: MIT */
/* Features of pictures, and their scaling. */
#include "measure/features.h"

#include "measure/frechet.h"
#include "measure/precision_recall.h"
#include "support/support.h"

enum { N = FEATURE_COUNT };

static void accepted(dm_status status) { ck_assert_int_eq(status, DM_OK); }

START_TEST(constant_features) {
    feature_set a = {0}, b = {0};
    float ones[N];
    for (int f = 0; f < N; f++) ones[f] = 1;
    for (int i = 0; i < 5; i++) accepted(feature_set_append(&a, ones, 1));
    accepted(feature_set_standardise(&b, &a, &a));
    for (size_t i = 0; i < 5 * N; i++) ck_assert(b.values[i] == 0);
    precision_recall share;
    accepted(precision_recall_measure(&share, &a, &b, NULL, NULL));
    ck_assert(share.precision == 0 && share.recall == 0);
    accepted(precision_recall_measure(&share, &a, &a, NULL, NULL));
    ck_assert(share.precision == 1 && share.recall == 1);
    feature_set_free(&a);
    feature_set_free(&b);
}
END_TEST

/* 64 features of deviation 1/2, one far below a tenth of the root mean square, others constant. */
START_TEST(small_deviations) {
    feature_set a = {0}, b = {0};
    for (int i = 0; i < 4; i++) {
        float values[N] = {0};
        for (int f = 0; f < 64; f++) values[f] = (float)(i % 2);
        values[64] = 1e-4f * (float)(i % 2);
        accepted(feature_set_append(&a, values, 1));
    }
    accepted(feature_set_standardise(&b, &a, &a));
    ck_assert_float_eq_tol(b.values[0], -1, 1e-6f);
    ck_assert_float_eq_tol(b.values[64], -0.5e-4f / (0.1f * sqrtf(0.125f)), 1e-7f);
    feature_set_free(&a);
    feature_set_free(&b);
}
END_TEST

START_TEST(network) {
    enum { COUNT = 20, ELEMENTS = 8 * 8 * 3 };
    static float pictures[2][COUNT * ELEMENTS];
    dm_context *context;
    feature_network *n;
    feature_set a = {0}, b = {0}, parts = {0};
    double frechet = 0;
    test_fill(pictures[0], COUNT * ELEMENTS, 5, 1);
    test_fill(pictures[1], COUNT * ELEMENTS, 6, 0.5f);
    accepted(dm_context_create(&context, NULL, NULL, 0));
    accepted(feature_network_create(&n, context, 8, 8, 3));
    accepted(feature_set_add(&a, n, pictures[0], COUNT));
    accepted(feature_set_add(&b, n, pictures[1], COUNT));
    ck_assert_uint_eq(a.count, COUNT);
    accepted(frechet_distance(&frechet, &a, &b));
    /* What version 0.9.0 computed from sums in double precision. */
    ck_assert_double_eq_tol(frechet, 272.8595710333, 0.02);
    for (size_t i = 0; i < COUNT; i++)
        accepted(feature_set_add(&parts, n, pictures[0] + i * ELEMENTS, 1));
    test_close(parts.values, a.values, COUNT * N, 1e-5);
    feature_network_destroy(n);
    ck_assert_int_ne(feature_network_create(&n, context, 7, 8, 3), DM_OK);
    feature_network_destroy(n);
    feature_set_free(&a);
    feature_set_free(&b);
    feature_set_free(&parts);
    dm_context_destroy(context);
}
END_TEST

Suite *test_features_suite(void);
Suite *test_features_suite(void) {
    Suite *suite = suite_create("features");
    TCase *tests = tcase_create("features");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, constant_features);
    tcase_add_test(tests, small_deviations);
    tcase_add_test(tests, network);
    suite_add_tcase(suite, tests);
    return suite;
}
