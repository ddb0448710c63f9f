/* SPDX-License-Identifier: MIT */
/* Consistency models on one Gaussian, whose consistency function has a closed form: a step is
 * exact, and any number of steps gives the distribution of the data. And what is refused. */
#include "support/sampling.h"
#include "support/schedule.h"
#include "support/training.h"

enum { POINTS = 4096 };

static const double centre = 0.3, deviation = 0.4, sigma_min = 0.05, sigma_max = 20,
                    sigma_data = 0.6;

/* Where the path of x at sigma ends, at sigma_min: dx = (x - E[x_0 | x]) / sigma dsigma keeps
 * (x - centre) / sqrt(deviation^2 + sigma^2). */
static double end_of_path(double x, double sigma) {
    double data = deviation * deviation;
    return centre + (x - centre) * sqrt((data + sigma_min * sigma_min) / (data + sigma * sigma));
}

/* F in f = c_skip x + c_out F(c_in x), the time being 1000 / 4 ln(sigma); 0 where c_out is. */
static int32_t exact(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    double sigma = exp(input->time / 250), above = sigma - sigma_min,
           data = sigma_data * sigma_data, root = sqrt(sigma * sigma + data),
           skip = data / (above * above + data), out = above * sigma_data / root;
    (void)user;
    ck_assert_double_eq_tol(sigma, input->noise, 1e-9);
    for (size_t i = 0; i < size; i++) {
        double x = input->x[i] * root;
        output[i] = above > 1e-9 ? (float)((end_of_path(x, sigma) - skip * x) / out) : 0;
    }
    return 0;
}

static dm_schedule *consistency_schedule(void) {
    dm_schedule_options o;
    dm_schedule *own;
    ok(dm_schedule_options_init(&o, sizeof o));
    o.kind = DM_SCHEDULE_EDM;
    o.timesteps = 40;
    o.sigma_min = sigma_min;
    o.sigma_max = sigma_max;
    o.time_scale = 1000;
    ok(dm_schedule_create(&own, context, &o));
    return own;
}

static int32_t compatible;

static dm_sampler *sampler_of(const dm_schedule *own, int32_t steps, double churn_noise) {
    dm_sampler *sampler;
    dm_sampler_options o = test_sampler_options(DM_SOLVER_CONSISTENCY, steps, DM_SPACING_AUTO);
    o.clip = 0;
    o.batch_size = POINTS;
    o.churn_noise = churn_noise;
    o.diffusers_compatible = compatible;
    dm_denoiser d = *test_denoiser(exact, NULL, DM_PREDICT_CONSISTENCY, 1, 1, 1);
    d.sigma_data = sigma_data;
    ok(dm_sampler_create_with_denoiser(&sampler, context, own, &d, &o));
    return sampler;
}

/* Noise that the test can repeat. */
static double noise_at(int32_t step, size_t i) { return sin(1.3 * step + 0.7 * (double)i); }

static int32_t known_noise(void *user, const dm_noise_request *request, float *noise, size_t size) {
    (void)user;
    for (size_t i = 0; i < size; i++) noise[i] = (float)noise_at(request->step, i);
    return 0;
}

/* One step goes to the end of the path; more add the noise of their levels in between. Diffusers
 * does the same, and has no other beginning for these, as it has for EDM. */
START_TEST(steps_are_exact) {
    enum { COUNT = 7 };
    const double churn_noise = _i == 3 ? 1.1 : 1;
    float got[COUNT];
    compatible = _i == 2;
    dm_schedule *own = consistency_schedule();
    dm_sampler *sampler = sampler_of(own, _i, churn_noise);
    dm_sampler_request r = test_sampler_request(COUNT);
    r.noise = known_noise;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, COUNT));
    double sigmas[8];
    ck_assert_int_eq(dm_sampler_evaluations(sampler), _i);
    ok(dm_sampler_get_levels(sampler, NULL, NULL, sigmas, (size_t)_i));
    ck_assert_double_eq_tol(sigmas[0], sigma_max, 1e-12);
    for (size_t i = 0; i < COUNT; i++) {
        double x = sigma_max * noise_at(0, i);
        for (int32_t step = 0; step < _i; step++) {
            double sigma = step ? sigmas[step] : sigma_max;
            if (step)
                x += churn_noise * sqrt(sigma * sigma - sigma_min * sigma_min) * noise_at(step, i);
            x = end_of_path(x, sigma);
        }
        ck_assert_double_eq_tol(got[i], x, 3e-5);
    }
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(own);
}
END_TEST

/* Mean and variance at sigma_min, within 4 standard errors. */
START_TEST(any_number_of_steps_has_the_right_distribution) {
    static float got[POINTS];
    dm_schedule *own = consistency_schedule();
    dm_sampler *sampler = sampler_of(own, _i, 1);
    dm_sampler_request r = test_sampler_request(POINTS);
    r.seed = 9;
    ok(dm_sampler_run(sampler, &r, got, POINTS));
    double mean = 0, square = 0, want = deviation * deviation + sigma_min * sigma_min;
    /* The first level takes sigma_max for sqrt(sigma_max^2 + deviation^2), and 0 for the mean. */
    double off = centre * (1 - sqrt(want) / sigma_max);
    for (int i = 0; i < POINTS; i++) mean += got[i] / (double)POINTS;
    for (int i = 0; i < POINTS; i++) square += pow(got[i] - mean, 2) / POINTS;
    ck_assert_double_eq_tol(mean, centre, 4 * sqrt(want / POINTS) + fabs(off - centre));
    ck_assert_double_eq_tol(square, want, 4 * want * sqrt(2.0 / POINTS) + 1e-3 * want);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(own);
}
END_TEST

/* At sigma_min the function is the identity, whatever the network gives. */
START_TEST(boundary) {
    const double sigmas[] = {sigma_min};
    const float start[] = {0.25f, -3};
    float got[2];
    dm_schedule *own = consistency_schedule();
    dm_sampler *sampler;
    dm_sampler_options o = test_sampler_options(DM_SOLVER_CONSISTENCY, 1, DM_SPACING_AUTO);
    o.clip = 0;
    o.custom_sigmas = sigmas;
    o.custom_count = 1;
    ok(dm_sampler_create_with_denoiser(&sampler, context, own,
                                       test_denoiser(test_wave, NULL, DM_PREDICT_CONSISTENCY, 1, 1,
                                                     1),
                                       &o));
    dm_sampler_request r = test_sampler_request(2);
    r.initial_noise = start;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, 2));
    for (int i = 0; i < 2; i++) ck_assert_float_eq(got[i], start[i]);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(own);
}
END_TEST

/* The time is a factor of EDM's. */
START_TEST(time_scale) {
    double once, scaled;
    dm_schedule *edm = test_schedule(context, DM_SCHEDULE_EDM, 40), *own;
    dm_schedule_options o;
    ok(dm_schedule_get_options(edm, &o, sizeof o));
    ck_assert_double_eq(o.time_scale, 0); /* which is 1 */
    o.time_scale = 1000;
    ok(dm_schedule_create(&own, context, &o));
    for (int32_t t = 0; t < 40; t++) {
        ok(dm_schedule_get_level(edm, t, NULL, NULL, &once));
        ok(dm_schedule_get_level(own, t, NULL, NULL, &scaled));
        ck_assert_double_eq_tol(scaled, 1000 * once, 1e-12 * fabs(scaled));
    }
    dm_schedule_destroy(own);
    o.time_scale = -1;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_schedule_create(&own, context, &o), "'time_scale' is -1");
    dm_schedule_destroy(edm);
}
END_TEST

/* ---- refusals ---- */

START_TEST(other_combinations_are_refused) {
    dm_sampler *sampler;
    dm_schedule *own = consistency_schedule();
    dm_sampler_options o = test_sampler_options(DM_SOLVER_CONSISTENCY, 2, DM_SPACING_AUTO);
    dm_denoiser d = *test_denoiser(test_wave, NULL, DM_PREDICT_EDM, SIDE, SIDE, CHANNELS);
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, own, &d, &o),
          "the solver consistency cannot be combined with a model that predicts edm");
    d.prediction = DM_PREDICT_CONSISTENCY;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, &d, &o),
          "needs the EDM schedule");
    for (o.solver = 0; o.solver < test_solver_count(); o.solver++)
        if (!test_solver_is_special(o.solver) && o.solver != DM_SOLVER_PNDM)
            fails(DM_ERROR_INVALID_ARGUMENT,
                  dm_sampler_create_with_denoiser(&sampler, context, own, &d, &o),
                  "cannot be combined with a model that predicts consistency");
    dm_schedule_destroy(own);
}
END_TEST

START_TEST(training_is_refused) {
    training t;
    training_setup setup = training_default();
    setup.prediction = DM_PREDICT_CONSISTENCY;
    setup.schedule.kind = DM_SCHEDULE_EDM;
    training_prepare(&t, &setup);
    training_expect(&t,
                    dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options),
                    DM_ERROR_UNSUPPORTED, "trainer: training|'prediction' is 5 (consistency)");
    dm_evaluation result;
    training_require(&t, dm_evaluation_init(&result, sizeof result));
    training_expect(&t, dm_unet_evaluate(t.unet, t.schedule, t.dataset, NULL, NULL, NULL, &result),
                    DM_ERROR_UNSUPPORTED, "evaluate: evaluating|consistency");
    training_end(&t);
}
END_TEST

Suite *test_consistency_suite(void);

Suite *test_consistency_suite(void) {
    Suite *suite = suite_create("consistency");
    TCase *tests = tcase_create("consistency");
    tcase_add_checked_fixture(tests, test_sampling_setup, test_sampling_teardown);
    tcase_add_loop_test(tests, steps_are_exact, 1, 5);
    tcase_add_loop_test(tests, any_number_of_steps_has_the_right_distribution, 1, 5);
    tcase_add_test(tests, boundary);
    tcase_add_test(tests, time_scale);
    tcase_add_test(tests, other_combinations_are_refused);
    tcase_add_test(tests, training_is_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
