/* SPDX-License-Identifier: MIT */
/* The measures of two sets together, and features of a dataset, whose end is followed by its
 * start. */
#include "measure/compare.h"

#include "measure/frechet.h"
#include "support/allocator.h"
#include "support/dataset.h"
#include "support/refusal.h"
#include "support/support.h"

enum { SIDE = 8, ELEMENTS = SIDE * SIDE * 3, IMAGES = 70 };

typedef struct scene {
    dm_context *context;
    dm_dataset *dataset;
    feature_network *network;
    float images[IMAGES * ELEMENTS];
} scene;

static scene *scene_new(void) {
    static uint8_t pixels[IMAGES * ELEMENTS];
    scene *s = calloc(1, sizeof *s);
    ck_assert_ptr_nonnull(s);
    s->context = test_context_new(NULL, 0);
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * i * 31 % 251 + i / ELEMENTS);
    ck_assert_int_eq(dm_image_from_u8(s->images, pixels, IMAGES * ELEMENTS), DM_OK);
    test_accepted(s->context, dataset_from_memory(&s->dataset, s->context, pixels, NULL, IMAGES,
                                                  SIDE, SIDE, 3));
    test_accepted(s->context, feature_network_create(&s->network, s->context, SIDE, SIDE, 3));
    return s;
}

static void scene_free(scene *s) {
    feature_network_destroy(s->network);
    dm_dataset_destroy(s->dataset);
    dm_context_destroy(s->context);
    free(s);
}

/* Calls left before the work is stopped. */
static int stop(void *user) {
    int *left = user;
    return (*left)-- == 0;
}

START_TEST(features_of_a_dataset) {
    static const uint64_t cases[][2] = {{0, 70}, {3, 1}, {69, 2}, {60, 150}, {200, 5}, {5, 0}};
    scene *s = scene_new();
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        feature_set got = {0}, want = {0};
        test_accepted(s->context, add_data_features(&got, s->network, s->dataset, cases[k][0],
                                                    cases[k][1], NULL, NULL));
        for (uint64_t i = 0; i < cases[k][1]; i++)
            test_accepted(s->context,
                          feature_set_add(&want, s->network,
                                          s->images + (cases[k][0] + i) % IMAGES * ELEMENTS, 1));
        ck_assert_uint_eq(got.count, want.count);
        if (got.count) test_close(got.values, want.values, got.count * FEATURE_COUNT, 1e-5);
        feature_set_free(&got);
        feature_set_free(&want);
    }
    feature_set part = {0};
    int left = 1;
    ck_assert_int_eq(add_data_features(&part, s->network, s->dataset, 0, 200, stop, &left),
                     DM_ERROR_CANCELLED);
    ck_assert_uint_eq(part.count, 128);
    feature_set_free(&part);
    scene_free(s);
}
END_TEST

START_TEST(all_measures) {
    scene *s = scene_new();
    feature_set data = {0}, samples = {0}, d = {0}, x = {0};
    test_accepted(s->context, add_data_features(&data, s->network, s->dataset, 0, 40, NULL, NULL));
    test_accepted(s->context,
                  add_data_features(&samples, s->network, s->dataset, 40, 30, NULL, NULL));
    comparison c, same;
    test_accepted(s->context, compare_sets(&c, &data, &samples, NULL, NULL));
    double distance;
    kernel_distance kernel;
    precision_recall pr;
    test_accepted(s->context, frechet_distance(&distance, &data, &samples));
    test_accepted(s->context, feature_set_standardise(&d, &data, &data));
    test_accepted(s->context, feature_set_standardise(&x, &samples, &data));
    test_accepted(s->context, kernel_distance_measure(&kernel, &d, &x, NULL, NULL));
    test_accepted(s->context, precision_recall_measure(&pr, &d, &x, NULL, NULL));
    ck_assert(c.distance == distance && c.kernel.value == kernel.value &&
              c.kernel.error == kernel.error && c.pr.precision == pr.precision &&
              c.pr.recall == pr.recall);
    test_accepted(s->context, compare_sets(&same, &data, &data, NULL, NULL));
    ck_assert(same.distance < 0.01 * c.distance && same.pr.precision == 1);
    for (int calls = 0; calls < 3; calls++) {
        int left = calls;
        const dm_status status = compare_sets(&c, &data, &samples, stop, &left);
        ck_assert_int_eq(status, left < 0 ? DM_ERROR_CANCELLED : DM_OK);
        ck_assert(calls || left < 0);
    }
    feature_set_free(&data);
    feature_set_free(&samples);
    feature_set_free(&d);
    feature_set_free(&x);
    scene_free(s);
}
END_TEST

Suite *test_compare_suite(void);
Suite *test_compare_suite(void) {
    Suite *suite = suite_create("compare");
    TCase *tests = tcase_create("compare");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, features_of_a_dataset);
    tcase_add_test(tests, all_measures);
    suite_add_tcase(suite, tests);
    return suite;
}
