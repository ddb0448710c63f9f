/* SPDX-License-Identifier: MIT */
/* Networks in files, and what of memory they take: nothing is lost, and nothing is left
 * where something fails. */
#include "diffusion.h"
#include "support/allocator.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"

/* ---- files ---- */

START_TEST(files_hold_the_whole_network) {
    enum { T = 30 };
    dm_context *context = test_context_new(NULL, 0), *other = test_context_new(NULL, 0);
    dm_schedule_options o;
    dm_schedule *schedule, *loaded_schedule;
    dm_unet *unet = network_new(context, 1), *loaded;
    double betas[T], loaded_betas[T];
    char folder[128], path[256], again[256];
    size_t size;
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(path, sizeof path, "%s/network", folder);
    snprintf(again, sizeof again, "%s/again", folder);
    network_randomize(unet, 9);
    ck_assert_int_eq(dm_schedule_options_init(&o, sizeof o), DM_OK);
    o.timesteps = T;
    o.beta_start = 1.0 / 3000;
    test_accepted(context, dm_schedule_create(&schedule, context, &o));
    test_accepted(context, dm_unet_save(unet, schedule, path));

    test_accepted(other, dm_unet_load(&loaded, other, path, DM_WEIGHTS_DEFAULT));
    network_same(unet, loaded);
    test_accepted(other, dm_schedule_load(&loaded_schedule, other, path));
    ck_assert_int_eq(dm_schedule_timesteps(loaded_schedule), T);
    test_accepted(context, dm_schedule_get_series(schedule, DM_SERIES_BETA, betas, T));
    test_accepted(other, dm_schedule_get_series(loaded_schedule, DM_SERIES_BETA, loaded_betas, T));
    ck_assert_mem_eq(betas, loaded_betas, sizeof betas);
    test_accepted(other, dm_unet_save(loaded, loaded_schedule, again));
    training_same_files(path, again);
    test_accepted(other,
                  dm_unet_save(loaded, loaded_schedule, again)); /* over a file that is there */
    training_same_files(path, again);
    dm_schedule_destroy(loaded_schedule);
    dm_unet_destroy(loaded);

    uint8_t *bytes = training_read_file(path, &size);
    test_accepted(other, dm_unet_load_memory(&loaded, other, bytes, size, DM_WEIGHTS_TRAINED));
    memset(bytes, 0x55, size); /* of which nothing was kept */
    network_same(unet, loaded);
    static network_input in;
    static float y[NETWORK_ELEMENTS], want[NETWORK_ELEMENTS];
    network_give(&in);
    test_accepted(context, network_forward(unet, want, in.x, in.timesteps, in.labels, 1));
    test_accepted(other, network_forward(loaded, y, in.x, in.timesteps, in.labels, 1));
    ck_assert_mem_eq(y, want, sizeof y);
    free(bytes);
    dm_unet_destroy(loaded);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    dm_context_destroy(other);
    dm_context_destroy(context);
}
END_TEST

START_TEST(networks_without_a_schedule) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *loaded;
    dm_schedule *schedule = (dm_schedule *)&unet;
    const char *path = test_path(test_folder(), "network");
    test_accepted(context, dm_unet_save(unet, NULL, path));
    test_untouched untouched = test_untouched_begin(context, NULL);
    test_refused(context, dm_schedule_load(&schedule, context, path), DM_ERROR_NOT_FOUND,
                 "network:|no schedule");
    ck_assert_ptr_null(schedule);
    test_untouched_end(&untouched);
    test_accepted(context, dm_unet_load(&loaded, context, path, DM_WEIGHTS_DEFAULT));
    network_same(unet, loaded);
    dm_unet_destroy(loaded);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

START_TEST(arguments_of_load_and_save) {
    const int32_t bad = DM_ERROR_INVALID_ARGUMENT;
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *loaded = unet;
    const char *path = test_path(test_folder(), "network");
    test_refused(context, dm_unet_load(&loaded, context, path, DM_WEIGHTS_DEFAULT),
                 DM_ERROR_NOT_FOUND, path);
    ck_assert_ptr_null(loaded);
    test_refused(context, dm_unet_load(&loaded, context, NULL, DM_WEIGHTS_DEFAULT), bad,
                 "unet|NULL");
    test_refused(context, dm_unet_load(&loaded, context, path, 6), bad, "'weights' is 6");
    test_refused(context, dm_unet_load_memory(&loaded, context, path, 8, -1), bad,
                 "'weights' is -1");
    test_refused(context, dm_unet_load_memory(&loaded, context, NULL, 8, 0), bad, "unet|NULL");
    test_refused(context, dm_unet_load_memory(&loaded, context, path, 0, 0), DM_ERROR_BAD_FORMAT,
                 "memory|0 bytes");
    test_refused(context, dm_unet_load(NULL, context, path, 0), bad, "unet|'out'");
    ck_assert_int_eq(dm_unet_load(&loaded, NULL, path, 0), bad);
    test_refused(context, dm_unet_save(unet, NULL, NULL), bad, "unet|NULL");
    test_refused(context, dm_unet_save(unet, NULL, ""), bad, "path");
    ck_assert_int_eq(dm_unet_save(NULL, NULL, path), bad);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* ---- memory ---- */

static int32_t make_unet(dm_context *context, const void *user) {
    static network_input in;
    static float y[3 * NETWORK_ELEMENTS];
    const size_t *counts = user; /* of images to run, up to a 0 */
    dm_unet_options o = network_options();
    dm_unet *unet;
    int32_t status = dm_unet_create(&unet, context, &o, 1);
    if (status) ck_assert_ptr_null(unet);
    network_give(&in);
    for (size_t i = 0; !status && counts[i]; i++)
        status = network_forward(unet, y, in.x, in.timesteps, NULL, counts[i]);
    dm_unet_destroy(unet);
    return status;
}

static int32_t load_unet(dm_context *context, const void *path) {
    dm_unet *unet;
    int32_t status = dm_unet_load(&unet, context, path, DM_WEIGHTS_DEFAULT);
    if (status) ck_assert_ptr_null(unet);
    dm_unet_destroy(unet);
    return status;
}

static int32_t save_unet(dm_context *context, const void *path) {
    dm_unet_options o = network_options();
    dm_unet *unet;
    int32_t status = dm_unet_create(&unet, context, &o, 1);
    if (!status) status = dm_unet_save(unet, NULL, path);
    dm_unet_destroy(unet);
    return status;
}

START_TEST(every_allocation_may_fail) {
    static const size_t none[] = {0}, some[] = {1, 3, 0};
    const char *path = test_path(test_folder(), "network");
    ck_assert_int_gt(test_every_allocation(make_unet, none), 5);
    ck_assert_int_gt(test_every_allocation(make_unet, some), 15);
    ck_assert_int_gt(test_every_allocation(save_unet, path), 10);
    ck_assert_int_gt(test_every_allocation(load_unet, path), 10);
}
END_TEST

START_TEST(create_at_the_limit) {
    dm_context *context = test_context_new(NULL, 10000000);
    dm_unet_options o;
    dm_unet *unet = (dm_unet *)&o;
    ck_assert_int_eq(dm_unet_options_preset(&o, sizeof o, DM_PRESET_SMALL), DM_OK);
    test_untouched untouched = test_untouched_begin(context, NULL);
    test_refused(context, dm_unet_create(&unet, context, &o, 1), DM_ERROR_LIMIT_EXCEEDED,
                 "parameters: 34.3 MB would exceed the memory limit of 10.0 MB|in use");
    ck_assert_ptr_null(unet);
    test_untouched_end(&untouched);
    dm_context_destroy(context);
}
END_TEST

/* A refused count leaves a network that still runs the others; running a count again allocates
 * nothing. */
START_TEST(forward_at_the_limit) {
    static float x[64 * 3072], y[64 * 3072], want[3072];
    float t[64] = {0};
    uint64_t before, after;
    dm_context *context = test_context_new(NULL, 40000000);
    dm_unet_options o;
    dm_unet *unet;
    test_fill(x, sizeof x / sizeof *x, 1, 1);
    ck_assert_int_eq(dm_unet_options_preset(&o, sizeof o, DM_PRESET_TINY), DM_OK);
    test_accepted(context, dm_unet_create(&unet, context, &o, 1));
    test_untouched untouched = test_untouched_begin(context, NULL);
    test_refused(context, network_forward(unet, y, x, t, NULL, 64), DM_ERROR_LIMIT_EXCEEDED,
                 "network: its plan|40.0 MB|in use");
    test_untouched_end(&untouched);
    test_accepted(context, network_forward(unet, want, x, t, NULL, 1));
    test_refused(context, network_forward(unet, y, x, t, NULL, 64), DM_ERROR_LIMIT_EXCEEDED,
                 "network: its plan");
    test_accepted(context, network_forward(unet, y, x, t, NULL, 1));
    ck_assert_mem_eq(y, want, sizeof want);
    test_accepted(context, dm_context_get_memory(context, NULL, NULL, &before));
    test_accepted(context, network_forward(unet, y, x, t, NULL, 1));
    test_accepted(context, dm_context_get_memory(context, NULL, NULL, &after));
    ck_assert_uint_eq(before, after);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

Suite *test_unet_file_suite(void);
Suite *test_unet_file_suite(void) {
    Suite *suite = suite_create("unet_file");
    TCase *tcase = tcase_create("unet_file");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, files_hold_the_whole_network);
    tcase_add_test(tcase, networks_without_a_schedule);
    tcase_add_test(tcase, arguments_of_load_and_save);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_test(tcase, create_at_the_limit);
    tcase_add_test(tcase, forward_at_the_limit);
    suite_add_tcase(suite, tcase);
    return suite;
}
