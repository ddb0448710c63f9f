/* SPDX-License-Identifier: MIT */
/* Callbacks of the sampler: progress, noise, failures, cancelling, values that are not finite. */
#include "support/sampling.h"

typedef struct record {
    dm_sampler *sampler;
    int32_t calls, steps[64];
    size_t firsts[64], counts[64];
    int32_t fail_at, result; /* the call that fails, and its return value */
    int32_t cancel_at;       /* the call that cancels */
    float x_t[2 * ELEMENTS], x_0[2 * ELEMENTS];
} record;

static int32_t note(record *log, int32_t step, size_t first, size_t count) {
    ck_assert_int_lt(log->calls, 64);
    log->steps[log->calls] = step;
    log->firsts[log->calls] = first;
    log->counts[log->calls] = count;
    log->calls++;
    if (log->calls == log->cancel_at) dm_sampler_cancel(log->sampler);
    return log->calls == log->fail_at ? log->result : 0;
}

static int32_t progress(void *user, const dm_sampler_progress *p) {
    record *log = user;
    ck_assert_int_eq(p->steps, STEPS);
    ck_assert_uint_le(p->count, 2);
    ck_assert_uint_eq(p->elements, p->count * ELEMENTS);
    memcpy(log->x_t, p->x_t, p->elements * sizeof(float));
    memcpy(log->x_0, p->x_0, p->elements * sizeof(float));
    return note(log, p->step, p->first, p->count);
}

static int32_t noise_source(void *user, const dm_noise_request *request, float *noise,
                            size_t size) {
    ck_assert_uint_eq(request->elements, ELEMENTS);
    ck_assert_uint_eq(size, request->count * ELEMENTS);
    for (size_t n = 0; n < request->count; n++)
        test_fill(noise + n * ELEMENTS, ELEMENTS,
                  (uint64_t)request->step * 1000 + request->first + n, 1);
    return note(user, request->step, request->first, request->count);
}

START_TEST(progress_reports_every_step) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    o.batch_size = 2;
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    float images[3 * ELEMENTS];
    record log = {0};
    dm_sampler_request r = test_sampler_request(3);
    r.progress = progress;
    r.progress_user = &log;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, 3 * ELEMENTS));
    ck_assert_int_eq(log.calls, 2 * STEPS);
    for (int i = 0; i < log.calls; i++) {
        ck_assert_int_eq(log.steps[i], i % STEPS + 1);
        ck_assert_uint_eq(log.firsts[i], i < STEPS ? 0 : 2);
        ck_assert_uint_eq(log.counts[i], i < STEPS ? 2 : 1);
    }
    /* The last step adds no noise: the image is the x_0 predicted there. */
    ck_assert_mem_eq(log.x_t, images + 2 * ELEMENTS, ELEMENTS * sizeof(float));
    test_close(log.x_t, log.x_0, ELEMENTS, 1e-6);
    for (int i = 0; i < ELEMENTS; i++) ck_assert(fabsf(log.x_0[i]) <= 1);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(noise_of_the_caller) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    o.batch_size = 2;
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    float images[3 * ELEMENTS], again[3 * ELEMENTS], start[3 * ELEMENTS];
    record log = {0};
    dm_sampler_request r = test_sampler_request(3);
    r.noise = noise_source;
    r.noise_user = &log;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, 3 * ELEMENTS));
    /* Steps 0 to 7 for two batches: the last step adds none. */
    ck_assert_int_eq(log.calls, 2 * STEPS);
    for (int i = 0; i < log.calls; i++) {
        ck_assert_int_eq(log.steps[i], i % STEPS);
        ck_assert_uint_eq(log.firsts[i], i < STEPS ? 0 : 2);
        ck_assert_uint_eq(log.counts[i], i < STEPS ? 2 : 1);
    }
    /* Initial noise replaces step 0 alone. */
    for (size_t n = 0; n < 3; n++) test_fill(start + n * ELEMENTS, ELEMENTS, n, 1);
    r.initial_noise = start;
    log = (record){0};
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), again, 3 * ELEMENTS));
    ck_assert_mem_eq(again, images, sizeof images);
    ck_assert_int_eq(log.calls, 2 * STEPS - 2);
    dm_sampler_destroy(sampler);

    /* DDIM with eta 0 requests the initial noise only. */
    o.solver = DM_SOLVER_DDIM;
    sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    log = (record){0};
    r.initial_noise = NULL;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), again, 3 * ELEMENTS));
    ck_assert_int_eq(log.calls, 2);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(failed_callbacks_end_a_run) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    float images[ELEMENTS];
    record log = {.fail_at = 1, .result = 7};
    dm_sampler_request r = test_sampler_request(1);
    r.noise = noise_source;
    r.noise_user = &log;
    fails(DM_ERROR_CALLBACK_FAILED,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "sampler: the noise source returned 7");
    log = (record){.fail_at = 4, .result = -1};
    fails(DM_ERROR_CALLBACK_FAILED,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "sampler: the noise source returned -1");
    r.noise = NULL;
    r.progress = progress;
    log = (record){.fail_at = 2, .result = 1};
    r.progress_user = &log;
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "the progress callback returned 1");
    ck_assert_int_eq(log.calls, 2);
    log = (record){0};
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS));
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(runs_can_be_cancelled) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, STEPS, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    float images[ELEMENTS];
    record log = {.sampler = sampler, .cancel_at = 3};
    dm_sampler_request r = test_sampler_request(1);
    r.progress = progress;
    r.progress_user = &log;
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "after step 3 of 8");
    ck_assert_int_eq(log.calls, 3);
    /* After the last step too. */
    log = (record){.sampler = sampler, .cancel_at = STEPS};
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "after step 8 of 8");
    /* A cancel before the run stops it, and only it. */
    dm_sampler_cancel(sampler);
    log = (record){0};
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "after step 0 of 8");
    ck_assert_int_eq(log.calls, 0);
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS));
    /* A run that fails for another reason does not use it up. */
    dm_sampler_cancel(sampler);
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), NULL, ELEMENTS), "'images' is NULL");
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "after step 0 of 8");
    log = (record){0};
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS));
    dm_sampler_cancel(NULL);
    dm_sampler_destroy(sampler);
}
END_TEST

/* NaN in image 2 from the timestep that `user` points to on; a negative one is an error
 * instead. */
static int32_t give_nan(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    size_t count = (size_t)input->count, elements = size / count;
    float from = *(const float *)user;
    if (from < 0) return 42;
    test_wave(NULL, input, output, size);
    if (input->time <= (double)from) output[(count > 2 ? 2 : 0) * elements + 5] = NAN;
    return 0;
}

static int32_t nan_noise(void *user, const dm_noise_request *request, float *noise, size_t size) {
    for (size_t i = 0; i < size; i++) noise[i] = 0.5f;
    if (request->step == *(const int32_t *)user) noise[request->elements] = INFINITY;
    return 0;
}

START_TEST(values_that_are_not_finite_are_named) {
    float from = 500, images[4 * ELEMENTS];
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(give_nan, &from, DM_PREDICT_V, &o);
    dm_sampler_request r = test_sampler_request(4);
    fails(DM_ERROR_NOT_FINITE,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS),
          "output is infinite or NaN for image 2 at step 5 of 8 (timestep 499)");
    from = -1;
    fails(DM_ERROR_CALLBACK_FAILED,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS),
          "the denoiser returned 42");
    from = 0;
    int32_t step = 3;
    r.noise = nan_noise;
    r.noise_user = &step;
    fails(DM_ERROR_NOT_FINITE,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS),
          "the noise is infinite");
    ck_assert_ptr_nonnull(strstr(dm_context_error(context), "image 1 at step 3 of 8"));
    step = 0;
    fails(DM_ERROR_NOT_FINITE,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS),
          "initial noise");
    float start[4 * ELEMENTS] = {0};
    start[3 * ELEMENTS] = NAN;
    r.initial_noise = start;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS),
          "'initial_noise' of image 3");
    dm_sampler_destroy(sampler);
}
END_TEST

/* Before the model evaluates x with it. */
START_TEST(churn_that_is_not_finite_is_named) {
    float images[4 * ELEMENTS];
    int32_t step = 3;
    dm_sampler_options o = test_sampler_options(DM_SOLVER_EULER, STEPS, DM_SPACING_TRAILING);
    o.churn = 2;
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    dm_sampler_request r = test_sampler_request(4);
    r.noise = nan_noise;
    r.noise_user = &step;
    fails(DM_ERROR_NOT_FINITE,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS),
          "the noise is infinite or NaN for image 1 at step 3 of 8");
    dm_sampler_destroy(sampler);
}
END_TEST

Suite *test_sampler_callbacks_suite(void);

Suite *test_sampler_callbacks_suite(void) {
    Suite *suite = suite_create("sampler_callbacks");
    TCase *tcase = tcase_create("sampler_callbacks");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, progress_reports_every_step);
    tcase_add_test(tcase, noise_of_the_caller);
    tcase_add_test(tcase, failed_callbacks_end_a_run);
    tcase_add_test(tcase, runs_can_be_cancelled);
    tcase_add_test(tcase, values_that_are_not_finite_are_named);
    tcase_add_test(tcase, churn_that_is_not_finite_is_named);
    suite_add_tcase(suite, tcase);
    return suite;
}
