/* SPDX-License-Identifier: MIT */
/* The noise levels of a sampler: one per model evaluation, and custom lists. */
#include "diffusion/schedule.h"
#include "support/sampling.h"

enum { LEVELS_MAX = 64 };

typedef struct levels {
    int32_t count;
    double timesteps[LEVELS_MAX], signal[LEVELS_MAX], noise[LEVELS_MAX], time[LEVELS_MAX];
} levels;

static levels levels_of(const dm_sampler *sampler) {
    levels l = {.count = dm_sampler_evaluations(sampler)};
    ck_assert_int_le(l.count, LEVELS_MAX);
    ok(dm_sampler_get_levels(sampler, l.timesteps, l.signal, l.noise, (size_t)l.count));
    return l;
}

/* Records the inputs of the denoiser. */
static int32_t record(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    levels *l = user;
    ck_assert_int_lt(l->count, LEVELS_MAX);
    ck_assert_int_eq(input->height, SIDE);
    ck_assert_int_eq(input->width, SIDE);
    ck_assert_int_eq(input->channels, CHANNELS);
    ck_assert_uint_eq(input->count * ELEMENTS, size);
    ck_assert_ptr_null(input->condition_image);
    ck_assert_ptr_null(input->condition_vector);
    l->timesteps[l->count] = input->timestep;
    l->signal[l->count] = input->signal;
    l->noise[l->count] = input->noise;
    l->time[l->count++] = input->time;
    return test_wave(NULL, input, output, size);
}

/* ---- one level per evaluation ---- */

static const struct {
    int32_t solver, evaluations; /* of 8 steps */
    double churn;
} counts[] = {
    {DM_SOLVER_DDPM, 8, 0},
    {DM_SOLVER_DDIM, 8, 0},
    {DM_SOLVER_PNDM, 17, 0},
    {DM_SOLVER_PLMS, 9, 0},
    {DM_SOLVER_EULER, 8, 5},
    {DM_SOLVER_HEUN, 15, 5},
    {DM_SOLVER_DPM2, 15, 0},
    {DM_SOLVER_LMS, 8, 0},
    {DM_SOLVER_DPMPP, 8, 0},
    {DM_SOLVER_DPMPP_SINGLE, 8, 0},
    {DM_SOLVER_UNIPC, 8, 0},
    {DM_SOLVER_DEIS, 8, 0},
    {DM_SOLVER_EULER_ANCESTRAL, 8, 0},
    {DM_SOLVER_DPMPP_SDE, 8, 0},
};

START_TEST(levels_are_those_evaluated) {
    levels evaluated = {0};
    float image[ELEMENTS] = {0}, got[ELEMENTS];
    dm_sampler_options o = test_sampler_options(counts[_i].solver, STEPS, DM_SPACING_AUTO);
    o.grid = DM_GRID_AUTO;
    o.churn = counts[_i].churn;
    dm_sampler *sampler = test_sampler_of(record, &evaluated, DM_PREDICT_V, &o);
    ck_assert_int_eq(dm_sampler_steps(sampler), STEPS);
    ck_assert_int_eq(dm_sampler_evaluations(sampler), counts[_i].evaluations);
    dm_sampler_request r = test_sampler_request(1);
    /* Part of a run does not change the inputs of a whole one. */
    r.image = image;
    r.strength = 0.6;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, ELEMENTS));
    r.image = NULL;
    r.strength = 1;
    evaluated.count = 0;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, ELEMENTS));
    levels want = levels_of(sampler);
    ck_assert_int_eq(evaluated.count, want.count);
    for (int32_t i = 0; i < want.count; i++) {
        ck_assert_double_eq(evaluated.timesteps[i], want.timesteps[i]);
        ck_assert_double_eq(evaluated.signal[i], want.signal[i]);
        ck_assert_double_eq(evaluated.noise[i], want.noise[i]);
        ck_assert(want.timesteps[i] >= 0 && want.timesteps[i] <= 999);
        ck_assert_double_eq_tol(evaluated.time[i], evaluated.timesteps[i], 0.5);
        ck_assert_double_eq_tol(dmi_schedule_timestep_of_sigma(schedule,
                                                               want.noise[i] / want.signal[i]),
                                want.timesteps[i], 0.05);
    }
    ok(dm_sampler_get_levels(sampler, NULL, NULL, NULL, (size_t)want.count));
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- the denoiser ---- */

static int32_t check_guided(void *user, const dm_denoiser_input *input, float *output,
                            size_t size) {
    uint64_t *calls = user, half = input->count / 2;
    ck_assert_uint_eq(input->first, *calls ? 2 : 0);
    ck_assert_uint_eq(half, *calls ? 1 : 2);
    for (uint64_t i = 0; i < half; i++) {
        ck_assert_int_eq(input->labels[i], (int32_t)(input->first + i));
        ck_assert_int_eq(input->labels[half + i], -1);
    }
    ck_assert_mem_eq(input->x, input->x + half * ELEMENTS, half * ELEMENTS * sizeof(float));
    ++*calls;
    return test_wave(NULL, input, output, size);
}

START_TEST(guidance_gives_two_halves) {
    static const int32_t labels[3] = {0, 1, 2};
    float images[3 * ELEMENTS];
    uint64_t calls = 0;
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 1, DM_SPACING_TRAILING);
    o.guidance = 2;
    o.batch_size = 2;
    dm_sampler *sampler = test_sampler_of(check_guided, &calls, DM_PREDICT_V, &o);
    dm_sampler_request r = test_sampler_request(3);
    r.labels = labels;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, 3 * ELEMENTS));
    ck_assert_uint_eq(calls, 2);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(denoiser_members) {
    const int32_t label = 3;
    float image[ELEMENTS];
    dm_denoiser d = *test_denoiser(test_wave, NULL, DM_PREDICT_V, SIDE, SIDE, CHANNELS);
    dm_sampler_request r = test_sampler_request(1);
    dm_sampler *sampler;
    r.labels = &label;
    d.classes = 3;
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule, &d, NULL));
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), image, ELEMENTS),
          "the label of image 0 is 3; it must be from 0 to 2");
    dm_sampler_destroy(sampler);
    d.classes = 0;
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule, &d, NULL));
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), image, ELEMENTS),
          "the model has no classes");
    int32_t height, width, channels;
    dm_sampler_shape(sampler, &height, &width, &channels);
    ck_assert(height == SIDE && width == SIDE && channels == CHANNELS);
    dm_sampler_shape(sampler, NULL, NULL, NULL);
    dm_sampler_shape(NULL, &height, &width, &channels);
    ck_assert(height == 0 && width == 0 && channels == 0);
    ck_assert_ptr_eq(dm_sampler_context(sampler), context);
    dm_sampler_destroy(sampler);
    d.sigma_data = 0;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, &d, NULL), "'sigma_data'");
    d = *test_denoiser(test_wave, NULL, DM_PREDICT_V, SIDE, SIDE, CHANNELS);
    d.struct_size = 3;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, &d, NULL), "dm_denoiser");
}
END_TEST

/* sigma_data belongs to the preconditioning: c_in = 1 / sqrt(sigma^2 + sigma_data^2). */
static int32_t largest_input(void *user, const dm_denoiser_input *input, float *output,
                             size_t size) {
    float *largest = user;
    if (input->timestep < 998) return test_wave(NULL, input, output, size);
    for (size_t i = 0; i < size; i++) *largest = fmaxf(*largest, fabsf(input->x[i]));
    return test_wave(NULL, input, output, size);
}

START_TEST(sigma_data_scales_the_input) {
    dm_schedule_options so;
    dm_schedule *edm;
    float noise[ELEMENTS], image[ELEMENTS], largest[2] = {0};
    ok(dm_schedule_options_init(&so, sizeof so));
    so.kind = DM_SCHEDULE_EDM;
    so.sigma_max = 1;
    ok(dm_schedule_create(&edm, context, &so));
    for (int i = 0; i < ELEMENTS; i++) noise[i] = 0.5f;
    for (int k = 0; k < 2; k++) {
        dm_denoiser d =
            *test_denoiser(largest_input, &largest[k], DM_PREDICT_EDM, SIDE, SIDE, CHANNELS);
        d.sigma_data = k ? 2 : 0.5;
        dm_sampler *sampler;
        dm_sampler_options o = test_sampler_options(DM_SOLVER_EULER, 4, DM_SPACING_TRAILING);
        ok(dm_sampler_create_with_denoiser(&sampler, context, edm, &d, &o));
        dm_sampler_request r = test_sampler_request(1);
        r.initial_noise = noise;
        ok(dm_sampler_run(sampler, test_counted(sampler, &r), image, ELEMENTS));
        ck_assert_double_eq_tol((double)largest[k], 0.5 / sqrt(1 + d.sigma_data * d.sigma_data),
                                1e-6);
        dm_sampler_destroy(sampler);
    }
    dm_schedule_destroy(edm);
}
END_TEST

/* ---- custom lists ---- */

START_TEST(custom_times) {
    const double times[] = {990.25, 500, 20.5, 3};
    for (int32_t solver = 0; solver < test_solver_count(); solver++) {
        if (test_solver_is_special(solver)) continue;
        dm_sampler_options o = test_sampler_options(solver, 50, DM_SPACING_AUTO);
        o.custom_times = times;
        o.custom_count = 4;
        float image[ELEMENTS];
        levels evaluated = {0};
        dm_sampler *sampler = test_sampler_of(record, &evaluated, DM_PREDICT_V, &o);
        ck_assert_int_eq(dm_sampler_steps(sampler), 4);
        ok(dm_sampler_run(sampler, NULL, image, ELEMENTS));
        levels l = levels_of(sampler);
        ck_assert_double_eq(l.timesteps[0], 990.25);
        ck_assert_double_eq(evaluated.time[0], 990.25);
        ck_assert_double_eq(l.timesteps[l.count - 1], 3);
        double signal, noise, time;
        ok(dm_schedule_get_level(schedule, 990.25, &signal, &noise, &time));
        ck_assert_double_eq(l.signal[0], signal);
        ck_assert_double_eq(l.noise[0], noise);
        ck_assert_double_eq(time, 990.25);
        dm_sampler_destroy(sampler);
    }
}
END_TEST

/* A list of the timesteps of a spacing is that spacing, bit for bit. */
START_TEST(custom_times_of_a_spacing) {
    if (test_solver_is_special(_i)) return;
    const double times[] = {999, 899, 799, 699, 599, 499, 399, 299, 199, 99};
    float want[ELEMENTS], got[ELEMENTS];
    dm_sampler_options o = test_sampler_options(_i, 10, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_EPS, &o);
    ok(dm_sampler_run(sampler, NULL, want, ELEMENTS));
    dm_sampler_destroy(sampler);
    o.custom_times = times;
    o.custom_count = 10;
    o.spacing = DM_SPACING_AUTO; /* which does not matter now, not even for the initial noise */
    sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_EPS, &o);
    ok(dm_sampler_run(sampler, NULL, got, ELEMENTS));
    ck_assert_mem_eq(got, want, sizeof got);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(custom_sigmas) {
    const double sigmas[] = {50, 7.5, 1, 0.125, 0.02};
    for (int32_t solver = 0; solver < test_solver_count(); solver++) {
        if (test_solver_is_special(solver)) continue;
        dm_sampler_options o = test_sampler_options(solver, 50, DM_SPACING_AUTO);
        o.custom_sigmas = sigmas;
        o.custom_count = 5;
        dm_sampler *sampler;
        dm_status status =
            dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                            test_denoiser(test_wave, NULL, DM_PREDICT_V, SIDE, SIDE,
                                                          CHANNELS),
                                            &o);
        if (solver == DM_SOLVER_PNDM) {
            fails(DM_ERROR_INVALID_ARGUMENT, status,
                  "'custom_sigmas' cannot be combined with the solver pndm");
            continue;
        }
        ok(status);
        float image[ELEMENTS];
        ok(dm_sampler_run(sampler, NULL, image, ELEMENTS));
        levels l = levels_of(sampler);
        ck_assert_double_eq_tol(l.noise[0] / l.signal[0], 50, 1e-12);
        ck_assert_double_eq_tol(l.noise[l.count - 1] / l.signal[l.count - 1], 0.02, 1e-12);
        dm_sampler_destroy(sampler);
    }
    dm_sampler_options o = test_sampler_options(DM_SOLVER_EULER, 50, DM_SPACING_AUTO);
    const double low[] = {1, 1e-4};
    dm_sampler *sampler;
    o.custom_sigmas = low;
    o.custom_count = 2;
    o.final_alpha_one = 0;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(test_wave, NULL, DM_PREDICT_V, SIDE, SIDE,
                                                        CHANNELS),
                                          &o),
          "'final_alpha_one' 0 cannot be combined with 'custom_sigmas'");
}
END_TEST

/* ---- calls from callbacks ---- */

static dm_sampler *running;

static int32_t call_back(void *user, const dm_sampler_progress *progress) {
    float image[ELEMENTS];
    double series[1000];
    (void)progress;
    ck_assert_int_eq(dm_sampler_run(running, NULL, image, ELEMENTS), DM_ERROR_WRONG_STATE);
    ck_assert_int_eq(dm_schedule_get_series(schedule, DM_SERIES_BETA, series, 1000),
                     DM_ERROR_WRONG_STATE);
    ck_assert_int_eq(dm_sampler_steps(running), STEPS);
    ck_assert_int_eq(dm_schedule_timesteps(schedule), 1000);
    if (!user) return 0;
    ck_assert_int_eq(dm_callback_fail(context, user), DM_OK);
    return 1;
}

START_TEST(calls_from_callbacks) {
    char reason[] = "the user has left";
    float want[ELEMENTS], got[ELEMENTS];
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, STEPS, DM_SPACING_TRAILING);
    running = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    ok(dm_sampler_run(running, NULL, want, ELEMENTS));
    dm_sampler_request r = test_sampler_request(1);
    r.progress = call_back;
    ok(dm_sampler_run(running, test_counted(running, &r), got, ELEMENTS));
    ck_assert_mem_eq(got, want, sizeof got);
    r.progress_user = reason;
    fails(DM_ERROR_CALLBACK_FAILED, dm_sampler_run(running, &r, got, ELEMENTS),
          "sampler: the progress callback failed: the user has left");
    dm_sampler_destroy(running);
}
END_TEST

Suite *test_levels_suite(void);

Suite *test_levels_suite(void) {
    Suite *suite = suite_create("levels");
    TCase *tcase = tcase_create("levels");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, levels_are_those_evaluated, 0,
                        (int)(sizeof counts / sizeof counts[0]));
    tcase_add_test(tcase, guidance_gives_two_halves);
    tcase_add_test(tcase, denoiser_members);
    tcase_add_test(tcase, sigma_data_scales_the_input);
    tcase_add_test(tcase, custom_times);
    tcase_add_loop_test(tcase, custom_times_of_a_spacing, 0, test_solver_count());
    tcase_add_test(tcase, custom_sigmas);
    tcase_add_test(tcase, calls_from_callbacks);
    suite_add_tcase(suite, tcase);
    return suite;
}
