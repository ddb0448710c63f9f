/* SPDX-License-Identifier: MIT */
/* The public functions of schedules: levels, options, contexts, and files in memory. */
#include "core/metadata.h"
#include "diffusion/schedule.h"
#include "support/sampling.h"
#include "support/schedule.h"

START_TEST(levels_are_the_series) {
    dm_schedule *s = test_schedule(context, _i, 100);
    double signal[100], noise[100], time[100];
    ok(dm_schedule_get_series(s, DM_SERIES_SIGNAL, signal, 100));
    ok(dm_schedule_get_series(s, DM_SERIES_NOISE, noise, 100));
    ok(dm_schedule_get_series(s, DM_SERIES_TIME, time, 100));
    for (int t = 0; t < 100; t++) {
        double got[3];
        ok(dm_schedule_get_level(s, t, &got[0], &got[1], &got[2]));
        ck_assert(got[0] == signal[t] && got[1] == noise[t] && got[2] == time[t]);
        if (t == 99) continue;
        ok(dm_schedule_get_level(s, t + 0.5, &got[0], &got[1], &got[2]));
        ck_assert(got[1] / got[0] > noise[t] / signal[t]);
        ck_assert(got[1] / got[0] < noise[t + 1] / signal[t + 1]);
        ck_assert(got[2] > time[t] && got[2] < time[t + 1]);
    }
    ok(dm_schedule_get_level(s, 5, NULL, NULL, NULL));
    const double outside[] = {-0.01, 99.01, NAN, INFINITY};
    double untouched = 7;
    for (int i = 0; i < 4; i++)
        fails(DM_ERROR_INVALID_ARGUMENT,
              dm_schedule_get_level(s, outside[i], &untouched, NULL, NULL), "'timestep' is");
    ck_assert_double_eq(untouched, 7);
    ck_assert_int_eq(dm_schedule_get_level(NULL, 0, NULL, NULL, NULL), DM_ERROR_INVALID_ARGUMENT);
    dm_schedule_destroy(s);
}
END_TEST

START_TEST(options_can_be_read) {
    const double betas[] = {0.1, 0.2};
    dm_schedule_options o;
    dm_schedule *s, *again;
    ok(dm_schedule_options_init(&o, sizeof o));
    ck_assert_int_eq(o.kind, DM_SCHEDULE_COSINE);
    o.kind = DM_SCHEDULE_FLOW;
    o.timesteps = 77;
    o.flow_shift = 2.5;
    ok(dm_schedule_create(&s, context, &o));
    dm_schedule_options got;
    ok(dm_schedule_get_options(s, &got, sizeof got));
    ck_assert_mem_eq(&got, &o, sizeof o);
    ok(dm_schedule_create(&again, context, &got));
    ck_assert_ptr_eq(dm_schedule_context(s), context);
    ck_assert_ptr_null(dm_schedule_context(NULL));
    dm_schedule_destroy(again);
    dm_schedule_destroy(s);
    ok(dm_schedule_create_from_betas(&s, context, betas, 2));
    ok(dm_schedule_get_options(s, &got, sizeof got));
    ck_assert(got.kind == DM_SCHEDULE_CUSTOM && got.timesteps == 2);
    fails(DM_ERROR_INVALID_ARGUMENT, dm_schedule_create(&again, context, &got), "(custom)");
    fails(DM_ERROR_INVALID_ARGUMENT, dm_schedule_get_options(s, NULL, sizeof got), "is NULL");
    dm_schedule_destroy(s);
}
END_TEST

START_TEST(from_memory) {
    dm_schedule *s = test_schedule(context, DM_SCHEDULE_SIGMOID, 100), *loaded;
    dmi_host *host = &context->host;
    dmi_safetensors_writer *writer;
    size_t size = 0;
    ok(dmi_safetensors_begin(host, &writer));
    ok(dmi_format_write(host, writer, dmi_format_unet, 1));
    ok(dmi_schedule_write(host, writer, s));
    ok(dmi_safetensors_write_memory(host, writer, NULL, 0, &size));
    void *bytes = malloc(size);
    ok(dmi_safetensors_write_memory(host, writer, bytes, size, &size));
    dmi_safetensors_free(host, writer);
    ok(dm_schedule_load_memory(&loaded, context, bytes, size));
    ck_assert_mem_eq(loaded->beta, s->beta, 100 * sizeof(double));
    ck_assert_mem_eq(&loaded->options, &s->options, sizeof s->options);
    dm_schedule_destroy(loaded);
    fails(DM_ERROR_BAD_FORMAT, dm_schedule_load_memory(&loaded, context, bytes, 20), "memory");
    ck_assert_ptr_null(loaded);
    fails(DM_ERROR_INVALID_ARGUMENT, dm_schedule_load_memory(&loaded, context, NULL, 20), "NULL");
    free(bytes);
    dm_schedule_destroy(s);
}
END_TEST

/* Objects of another context use a schedule while its own context is in a call. */
START_TEST(of_a_busy_context) {
    dm_context *own;
    dm_sampler *sampler;
    float image[ELEMENTS];
    double beta[1000];
    ck_assert_int_eq(dm_context_create(&own, NULL, NULL, 0), DM_OK);
    ck_assert(dmi_enter(context));
    ck_assert_int_eq(dm_sampler_create_with_denoiser(&sampler, own, schedule,
                                                     test_denoiser(test_wave, NULL, DM_PREDICT_V,
                                                                   SIDE, SIDE, CHANNELS),
                                                     NULL),
                     DM_OK);
    ck_assert_int_eq(dm_sampler_run(sampler, NULL, image, ELEMENTS), DM_OK);
    ck_assert_int_eq(dm_schedule_get_series(schedule, DM_SERIES_BETA, beta, 1000),
                     DM_ERROR_WRONG_STATE);
    ck_assert_int_eq(dmi_leave(context, DM_OK), DM_OK);
    dm_sampler_destroy(sampler);
    dm_context_destroy(own);
}
END_TEST

Suite *test_schedule_calls_suite(void);

Suite *test_schedule_calls_suite(void) {
    Suite *suite = suite_create("schedule_calls");
    TCase *tcase = tcase_create("schedule_calls");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_add_loop_test(tcase, levels_are_the_series, 0, DM_SCHEDULE_EDM + 1);
    tcase_add_test(tcase, options_can_be_read);
    tcase_add_test(tcase, from_memory);
    tcase_add_test(tcase, of_a_busy_context);
    suite_add_tcase(suite, tcase);
    return suite;
}
