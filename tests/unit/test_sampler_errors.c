/* SPDX-License-Identifier: MIT */
/* Options and requests that a sampler refuses, each with its error text. */
#include "support/sampling.h"

START_TEST(options_refused) {
    static const double rising[] = {5, 5}, outside[] = {1000, 3}, negative[] = {4, -1},
                        none[] = {3, NAN}, endless[] = {INFINITY, 1}, zero[] = {1, 0};
    const struct {
        dm_sampler_options change; /* over the defaults, where not 0 */
        const char *text;
    } bad[] = {
        {{.solver = 1000}, "'solver' is 1000"},
        {{.solver = -1}, "'solver' is -1"},
        {{.steps = 1001}, "'steps' is 1001; it must be at most the schedule's 'timesteps', 1000"},
        {{.steps = 100001}, "'steps' is 100001"},
        {{.steps = -1}, "'steps' is -1"},
        {{.spacing = 6}, "'spacing' is 6"},
        {{.spacing = DM_SPACING_LINSPACE_INNER, .steps = 1000}, "'steps' is 1000"},
        {{.spacing = DM_SPACING_LEADING_INNER, .steps = 1000}, "below the schedule's 1000"},
        {{.custom_count = 2}, "'custom_count' is 2; without a list"},
        {{.custom_times = rising}, "'custom_count' is 0; with a list"},
        {{.custom_count = 100001, .custom_times = rising}, "'custom_count' is 100001"},
        {{.custom_count = 2, .custom_times = rising, .custom_sigmas = zero},
         "'custom_times' cannot be combined with 'custom_sigmas'"},
        {{.custom_count = 2, .custom_times = rising}, "'custom_times[1]' is 5"},
        {{.custom_count = 2, .custom_times = outside}, "'custom_times[0]' is 1000"},
        {{.custom_count = 2, .custom_times = negative}, "'custom_times[1]' is -1"},
        {{.custom_count = 2, .custom_times = none}, "'custom_times[1]' is nan"},
        {{.custom_count = 2, .custom_sigmas = rising}, "'custom_sigmas[1]' is 5"},
        {{.custom_count = 2, .custom_sigmas = endless}, "'custom_sigmas[0]' is inf"},
        {{.custom_count = 2, .custom_sigmas = zero}, "'custom_sigmas[1]' is 0"},
        {{.steps_offset = 1}, "only leading"},
        {{.variance = 4}, "'variance' is 4"},
        {{.clip = 2}, "'clip' is 2"},
        {{.rederive_eps = -2}, "'rederive_eps' is -2"},
        {{.final_alpha_one = 3}, "'final_alpha_one' is 3"},
        {{.batch_size = 4097}, "'batch_size' is 4097"},
        {{.batch_size = -1}, "'batch_size' is -1"},
        {{.eta = 1.5}, "'eta' is 1.5"},
        {{.eta = -0.5}, "'eta' is -0.5"},
        {{.eta = NAN}, "'eta' is NaN"},
    };
    dm_sampler *sampler;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const dm_sampler_options *c = &bad[i].change;
        dm_sampler_options o =
            test_sampler_options(c->solver ? c->solver : DM_SOLVER_DDIM, c->steps ? c->steps : 50,
                                 c->spacing ? c->spacing : DM_SPACING_TRAILING);
        o.custom_count = c->custom_count;
        o.custom_times = c->custom_times;
        o.custom_sigmas = c->custom_sigmas;
        o.steps_offset = c->steps_offset;
        if (c->variance) o.variance = c->variance;
        if (c->clip) o.clip = c->clip;
        if (c->rederive_eps) o.rederive_eps = c->rederive_eps;
        if (c->final_alpha_one) o.final_alpha_one = c->final_alpha_one;
        if (c->batch_size) o.batch_size = c->batch_size;
        o.eta = c->eta;
        fails(DM_ERROR_INVALID_ARGUMENT,
              dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                              test_denoiser(test_wave, NULL, DM_PREDICT_EPS, 8, 8,
                                                            3),
                                              &o),
              bad[i].text);
        ck_assert_ptr_null(sampler);
    }
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, 50, DM_SPACING_TRAILING);
    o.eta = 0.5;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(test_wave, NULL, 0, 8, 8, 3), &o),
          "'eta' cannot be combined with the solver ddpm");
    o = test_sampler_options(DM_SOLVER_DDIM, 10, DM_SPACING_LEADING);
    o.steps_offset = 100;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(test_wave, NULL, 0, 8, 8, 3), &o),
          "'steps_offset' is 100");
    /* Fractional linear spacing has no offset either. */
    o = test_sampler_options(DM_SOLVER_EULER, 10, DM_SPACING_LINSPACE);
    o.steps_offset = 1;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(test_wave, NULL, 0, 8, 8, 3), &o),
          "only leading");
    o = test_sampler_options(DM_SOLVER_DDIM, 10, DM_SPACING_TRAILING);
    o.expected_prediction = DM_PREDICT_EPS;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(test_wave, NULL, DM_PREDICT_V, 8, 8, 3),
                                          &o),
          "'expected_prediction' is 0 (eps); the model predicts v");
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                       test_denoiser(test_wave, NULL, DM_PREDICT_EPS, 8, 8, 3),
                                       &o));
    dm_sampler_destroy(sampler);
    static const struct {
        int32_t prediction, height, width, channels;
        const char *text;
    } shapes[] = {{6, 8, 8, 3, "'prediction' is 6"},
                  {0, 0, 8, 3, "'height' is 0"},
                  {0, 8, -8, 3, "'width' is -8"},
                  {0, 8, 8, 0, "'channels' is 0"},
                  {0, 65537, 8, 3, "'height' is 65537"}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        fails(DM_ERROR_INVALID_ARGUMENT,
              dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                              test_denoiser(test_wave, NULL, shapes[i].prediction,
                                                            shapes[i].height, shapes[i].width,
                                                            shapes[i].channels),
                                              NULL),
              shapes[i].text);
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, NULL,
                                          test_denoiser(test_wave, NULL, 0, 8, 8, 3), NULL),
          "'schedule' is NULL");
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, NULL, NULL),
          "'denoiser' is NULL");
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(NULL, NULL, 0, 8, 8, 3), NULL),
          "'evaluate' is NULL");
    ck_assert_int_eq(dm_sampler_create(&sampler, NULL, schedule, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_sampler_run(NULL, NULL, NULL, 0), DM_ERROR_INVALID_ARGUMENT);
    dm_sampler_destroy(NULL);
}
END_TEST

START_TEST(requests_refused) {
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, NULL);
    float images[2 * ELEMENTS];
    dm_sampler_request r = test_sampler_request(0);
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, test_counted(sampler, &r), images, 0),
          "'count' is 0");
    r.count = 65537;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, test_counted(sampler, &r), images, 0),
          "'count' is 65537");
    r.count = 2;
    fails(DM_ERROR_SHAPE_MISMATCH,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS), "'elements' is 48");
    double timesteps[1];
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_get_levels(sampler, timesteps, NULL, NULL, 1),
          "'count' is 1");
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), NULL, 2 * ELEMENTS),
          "'images' is NULL");
    r.random = 2;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 2 * ELEMENTS),
          "'random' is 2");
    dm_sampler_destroy(sampler);
}
END_TEST

Suite *test_sampler_errors_suite(void);

Suite *test_sampler_errors_suite(void) {
    Suite *suite = suite_create("sampler_errors");
    TCase *tcase = tcase_create("sampler_errors");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, options_refused);
    tcase_add_test(tcase, requests_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
