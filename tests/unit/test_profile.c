/* SPDX-License-Identifier: MIT */
/* The profile: rows, what they count, and its refusals. */
#include <check.h>
#include <string.h>

#include "base/profile.h"
#include "diffusion.h"
#include "support/support.h"

static const dmi_work product = {.name = "product",
                                 .part = "forward",
                                 .n = 2,
                                 .h = 3,
                                 .w = 4,
                                 .in = 5,
                                 .out = 6,
                                 .flop = 100,
                                 .bytes = 10};

START_TEST(spans_of_one_shape_share_a_row) {
    dmi_host host = {0};
    dmi_profile *profile;
    ck_assert_int_eq(dmi_profile_create(&host, &profile), DM_OK);
    dmi_work other = product;
    other.out = 7;
    dmi_profile_start(profile);
    dmi_profile_span(profile, &product);
    dmi_profile_span(profile, &other);
    dmi_profile_span(profile, &product);
    ck_assert_int_eq(dmi_profile_rows(profile), 2);
    const dmi_profile_row *row = dmi_profile_row_at(profile, 0);
    ck_assert_uint_eq(row->spans, 2);
    ck_assert(row->work.flop == 200 && row->work.bytes == 20 && row->seconds >= 0);
    ck_assert_uint_eq(dmi_profile_row_at(profile, 1)->spans, 1);
    dmi_profile_reset(profile);
    ck_assert_int_eq(dmi_profile_rows(profile), 0);
    dmi_profile_destroy(&host, profile);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(rows_beyond_the_limit_share_the_last) {
    dmi_host host = {0};
    dmi_profile *profile;
    ck_assert_int_eq(dmi_profile_create(&host, &profile), DM_OK);
    dmi_profile_start(profile);
    for (int32_t i = 0; i < 2000; i++) {
        dmi_work work = product;
        work.n = i;
        dmi_profile_span(profile, &work);
    }
    int32_t rows = dmi_profile_rows(profile);
    uint64_t spans = 0;
    double flop = 0;
    for (int32_t i = 0; i < rows; i++) {
        spans += dmi_profile_row_at(profile, i)->spans;
        flop += dmi_profile_row_at(profile, i)->work.flop;
    }
    ck_assert_int_lt(rows, 2000);
    ck_assert_uint_eq(spans, 2000);
    ck_assert(flop == 200000);
    ck_assert_str_eq(dmi_profile_row_at(profile, rows - 1)->work.name, "others");
    dmi_profile_destroy(&host, profile);
}
END_TEST

static dm_context *profiled(int32_t profile) {
    dm_context_options options;
    dm_context *context;
    dm_context_options_init(&options, sizeof options);
    options.threads = 2;
    options.profile = profile;
    ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_OK);
    return context;
}

/* Two steps of a network of 16x16: twice as many calls as one step, and each part of the step has
 * its row. */
START_TEST(a_step_of_training_has_its_rows) {
    dm_context *context = profiled(1);
    dm_dataset *data;
    dm_schedule *schedule;
    dm_unet *unet;
    dm_trainer *trainer;
    dm_unet_options network;
    dm_trainer_options training;
    dm_unet_options_preset(&network, sizeof network, DM_PRESET_TINY);
    network.height = network.width = 16;
    dm_trainer_options_init(&training, sizeof training);
    training.batch_size = 2;
    ck_assert_int_eq(dm_dataset_create_shapes(&data, context, 16, 10, 1), DM_OK);
    ck_assert_int_eq(dm_schedule_create(&schedule, context, NULL), DM_OK);
    ck_assert_int_eq(dm_unet_create(&unet, context, &network, 1), DM_OK);
    ck_assert_int_eq(dm_trainer_create(&trainer, unet, schedule, data, &training), DM_OK);
    double step_seconds = 0; /* by the steps themselves */
    for (int step = 0; step < 2; step++) {
        dm_train_stats stats = {.struct_size = sizeof stats};
        ck_assert_int_eq(dm_trainer_step(trainer, &stats), DM_OK);
        step_seconds += stats.seconds;
    }
    static const char *const expected[] = {"conv winograd forward",
                                           "conv winograd backward weight",
                                           "conv winograd backward data",
                                           "conv product forward",
                                           "group_norm forward",
                                           "group_norm backward",
                                           "attention forward",
                                           "attention backward",
                                           "linear forward",
                                           "batch ",
                                           "loss ",
                                           "gradient norm ",
                                           "adamw "};
    double seconds = 0;
    int32_t rows, found[sizeof expected / sizeof expected[0]] = {0};
    ck_assert_int_eq(dm_context_get_profile_rows(context, &rows), DM_OK);
    for (int32_t i = 0; i < rows; i++) {
        char name[80];
        dm_profile_row row = {.struct_size = sizeof row};
        ck_assert_int_eq(dm_context_get_profile_row(context, i, &row), DM_OK);
        snprintf(name, sizeof name, "%s %s", row.operation, row.part);
        ck_assert_uint_eq(row.calls % 2, 0);
        ck_assert(row.seconds >= 0 && row.flop >= 0 && row.bytes > 0);
        seconds += row.seconds;
        for (size_t k = 0; k < sizeof expected / sizeof expected[0]; k++)
            found[k] += strcmp(name, expected[k]) == 0;
        if (!strcmp(row.operation, "adamw"))
            ck_assert(row.bytes >= 2 * 9 * 4.0 * (double)dm_unet_parameter_count(unet));
        if (!strcmp(name, "conv winograd forward") && !strcmp(row.shape, "2x16x16, 3 to 32"))
            ck_assert(row.flop == 2 * 2.0 * 9 * 3 * 32 * 2 * 16 * 16);
    }
    for (size_t k = 0; k < sizeof expected / sizeof expected[0]; k++)
        ck_assert_msg(found[k] > 0, "no row '%s'", expected[k]);
    ck_assert_msg(seconds > 0.2 * step_seconds && seconds <= step_seconds,
                  "rows of %g s, steps of %g s", seconds, step_seconds);
    ck_assert_int_eq(dm_context_profile_reset(context), DM_OK);
    ck_assert_int_eq(dm_context_get_profile_rows(context, &rows), DM_OK);
    ck_assert_int_eq(rows, 0);
    dm_trainer_destroy(trainer);
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    dm_dataset_destroy(data);
    dm_context_destroy(context);
}
END_TEST

START_TEST(errors_are_named) {
    dm_context *context = profiled(0);
    int32_t rows = 7;
    dm_profile_row row = {.struct_size = sizeof row};
    ck_assert_int_eq(dm_context_get_profile_rows(context, &rows), DM_ERROR_WRONG_STATE);
    ck_assert_int_eq(rows, 0);
    ck_assert_str_eq(dm_context_error(context),
                     "profile: the context has none; set 'profile' in its options to 1");
    ck_assert_int_eq(dm_context_get_profile_row(context, 0, &row), DM_ERROR_WRONG_STATE);
    ck_assert_int_eq(dm_context_profile_reset(context), DM_ERROR_WRONG_STATE);
    dm_context_destroy(context);
    context = profiled(1);
    ck_assert_int_eq(dm_context_get_profile_row(context, 0, &row), DM_ERROR_NOT_FOUND);
    ck_assert_str_eq(dm_context_error(context), "profile: row 0; there are 0");
    ck_assert_int_eq(dm_context_get_profile_row(context, 0, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_context_get_profile_rows(context, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_context_get_profile_rows(NULL, &rows), DM_ERROR_INVALID_ARGUMENT);
    dm_context_destroy(context);
    dm_context_options options;
    dm_context_options_init(&options, sizeof options);
    options.profile = 2;
    ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_ERROR_INVALID_ARGUMENT);
    options.profile = 0;
    options.large_pages = 2;
    ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_ERROR_INVALID_ARGUMENT);
    options.large_pages = 1;
    ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_OK);
    dm_context_destroy(context);
}
END_TEST

Suite *test_profile_suite(void);
Suite *test_profile_suite(void) {
    Suite *suite = suite_create("profile");
    TCase *tests = tcase_create("profile");
    tcase_add_test(tests, spans_of_one_shape_share_a_row);
    tcase_add_test(tests, rows_beyond_the_limit_share_the_last);
    tcase_add_test(tests, a_step_of_training_has_its_rows);
    tcase_add_test(tests, errors_are_named);
    suite_add_tcase(suite, tests);
    return suite;
}
