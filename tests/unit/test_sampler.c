/* SPDX-License-Identifier: MIT */
/* The sampler's runs: an image is the same in any batch, networks, memory that runs out. */
#include "support/allocator.h"
#include "support/sampling.h"

/* ---- one image, whatever its batch ---- */

START_TEST(images_are_the_same_in_any_batch) {
    enum { COUNT = 7, TOTAL = COUNT * ELEMENTS };
    dm_sampler_options o = test_sampler_options(_i, STEPS, DM_SPACING_TRAILING);
    o.eta = _i == DM_SOLVER_DDIM ? 0.5 : 0;
    const int32_t labels[COUNT] = {3, 1, -1, 0, 5, 2, 2};
    const uint64_t seeds[COUNT] = {100, 101, 102, 103, 104, 105, 106};
    float whole[TOTAL], other[TOTAL];
    o.batch_size = 16;
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    dm_sampler_request r = test_sampler_request(COUNT);
    r.seed = 100;
    r.labels = labels;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), whole, TOTAL));
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < i; k++)
            ck_assert(
                memcmp(whole + i * ELEMENTS, whole + k * ELEMENTS, sizeof(float) * ELEMENTS) != 0);
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), other, TOTAL));
    ck_assert_mem_eq(other, whole, sizeof whole);
    r.seed = 5;
    r.seeds = seeds;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), other, TOTAL));
    ck_assert_mem_eq(other, whole, sizeof whole);
    for (int i = 0; i < COUNT; i++) {
        dm_sampler_request one = test_sampler_request(1);
        one.seed = 100 + (uint64_t)i;
        one.labels = &labels[i];
        ok(dm_sampler_run(sampler, test_counted(sampler, &one), other, ELEMENTS));
        ck_assert_mem_eq(other, whole + i * ELEMENTS, ELEMENTS * sizeof(float));
    }
    dm_sampler_destroy(sampler);
    o.batch_size = 3;
    sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), other, TOTAL));
    ck_assert_mem_eq(other, whole, sizeof whole);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(runs_allocate_once) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    float images[4 * ELEMENTS];
    dm_sampler_request r = test_sampler_request(4);
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS));
    uint64_t before, after;
    ok(dm_context_get_memory(context, NULL, NULL, &before));
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS));
    r.count = 2;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, 2 * ELEMENTS));
    ok(dm_context_get_memory(context, NULL, NULL, &after));
    ck_assert_uint_eq(after, before);
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- with a network of the library's ---- */

static dm_unet_options network_options(int32_t classes, int32_t out_channels) {
    dm_unet_options u;
    ok(dm_unet_options_preset(&u, sizeof u, DM_PRESET_TINY));
    u.height = u.width = 16;
    u.classes = classes;
    u.out_channels = out_channels;
    u.prediction = DM_PREDICT_V;
    return u;
}

static dm_unet *network_of(int32_t classes, int32_t out_channels) {
    dm_unet_options u = network_options(classes, out_channels);
    dm_unet *unet;
    ok(dm_unet_create(&unet, context, &u, 3));
    return unet;
}

START_TEST(network_in_batches) {
    enum { COUNT = 5, IMAGE = 16 * 16 * 3, TOTAL = COUNT * IMAGE };
    static float whole[TOTAL], other[TOTAL];
    const int32_t labels[COUNT] = {0, 3, -1, 2, 1};
    dm_unet *unet = network_of(4, 3);
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, 3, DM_SPACING_TRAILING);
    dm_sampler *sampler;
    dm_sampler_request r = test_sampler_request(COUNT);
    r.labels = labels;
    o.batch_size = COUNT;
    ok(dm_sampler_create(&sampler, unet, schedule, &o));
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), whole, TOTAL));
    dm_sampler_destroy(sampler);
    for (o.batch_size = 1; o.batch_size < COUNT; o.batch_size++) {
        ok(dm_sampler_create(&sampler, unet, schedule, &o));
        ok(dm_sampler_run(sampler, test_counted(sampler, &r), other, TOTAL));
        ck_assert_mem_eq(other, whole, sizeof whole);
        dm_sampler_destroy(sampler);
    }
    dm_unet_destroy(unet);
}
END_TEST

START_TEST(network_refused) {
    float images[768];
    const int32_t label = 4;
    dm_sampler *sampler;
    dm_sampler_request r = test_sampler_request(1);
    r.labels = &label;
    dm_unet *unet = network_of(0, 3);
    ok(dm_sampler_create(&sampler, unet, schedule, NULL));
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 768),
          "the model has no classes");
    dm_sampler_destroy(sampler);
    dm_unet_destroy(unet);
    unet = network_of(4, 3);
    ok(dm_sampler_create(&sampler, unet, schedule, NULL));
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 768),
          "the label of image 0 is 4");
    dm_sampler_destroy(sampler);
    dm_unet_destroy(unet);
    unet = network_of(0, 6);
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_create(&sampler, unet, schedule, NULL),
          "3 channels in and 6 out");
    ck_assert_ptr_null(sampler);
    dm_unet_destroy(unet);
}
END_TEST

/* ---- memory that runs out ---- */

static int32_t run_own_denoiser(dm_context *own, const void *user) {
    (void)user;
    dm_schedule *linear = NULL;
    dm_sampler *sampler = NULL;
    float images[ELEMENTS];
    int32_t status = dm_schedule_create(&linear, own, NULL);
    if (!status)
        status = dm_sampler_create_with_denoiser(&sampler, own, linear,
                                                 test_denoiser(test_wave, NULL, DM_PREDICT_V, SIDE,
                                                               SIDE, CHANNELS),
                                                 NULL);
    if (!status) status = dm_sampler_run(sampler, NULL, images, ELEMENTS);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(linear);
    return status;
}

static int32_t run_network(dm_context *own, const void *user) {
    dm_schedule *linear = NULL;
    dm_unet *unet = NULL;
    dm_sampler *sampler = NULL;
    float images[768];
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 1, DM_SPACING_TRAILING);
    int32_t status = dm_schedule_create(&linear, own, NULL);
    if (!status) status = dm_unet_create(&unet, own, user, 3);
    if (!status) status = dm_sampler_create(&sampler, unet, linear, &o);
    if (!status) status = dm_sampler_run(sampler, NULL, images, 768);
    dm_sampler_destroy(sampler);
    dm_unet_destroy(unet);
    dm_schedule_destroy(linear);
    return status;
}

START_TEST(every_allocation_may_fail) {
    ck_assert_int_gt(test_every_allocation(run_own_denoiser, NULL), 10);
    dm_unet_options u = network_options(0, 3);
    ck_assert_int_gt(test_every_allocation(run_network, &u), 20);
}
END_TEST

Suite *test_sampler_suite(void);

Suite *test_sampler_suite(void) {
    Suite *suite = suite_create("sampler");
    TCase *tcase = tcase_create("sampler");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 20);
    tcase_add_loop_test(tcase, images_are_the_same_in_any_batch, DM_SOLVER_DDPM,
                        DM_SOLVER_DDIM + 1);
    tcase_add_test(tcase, runs_allocate_once);
    tcase_add_test(tcase, network_in_batches);
    tcase_add_test(tcase, network_refused);
    tcase_add_test(tcase, every_allocation_may_fail);
    suite_add_tcase(suite, tcase);
    return suite;
}
