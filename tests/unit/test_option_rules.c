/* SPDX-License-Identifier: MIT */
/* Rules between options, and arguments that are missing: what no other suite refuses. */
#include "core/metadata.h"
#include "support/refusal.h"
#include "support/sampling.h"
#include "support/training.h"

static void refuse_sampler(const dm_sampler_options *o, const char *words) {
    dm_sampler *sampler = (dm_sampler *)&context;
    test_refused(
        context,
        dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                        test_denoiser(test_wave, NULL, DM_PREDICT_EPS, 8, 8, 3), o),
        DM_ERROR_INVALID_ARGUMENT, words);
    ck_assert_ptr_null(sampler);
}

START_TEST(samplers) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 10, DM_SPACING_TRAILING);
    o.grid = DM_GRID_KARRAS;
    refuse_sampler(&o, "'grid' cannot be combined with the solver ddim");
    o.grid = DM_GRID_TIMESTEPS;
    o.churn = 1;
    refuse_sampler(&o, "'churn' cannot be combined with the solver ddim");
    o.churn = 0;
    o.variance = DM_VARIANCE_LEARNED;
    refuse_sampler(&o, "'variance' 3 (learned) cannot be combined with a model without");
    o = test_sampler_options(DM_SOLVER_DDIM, 10, DM_SPACING_TRAILING);
    o.threshold = 0.5;
    o.clip = 0;
    refuse_sampler(&o, "'threshold' 0.5 cannot be combined with 'clip' 0");
    /* A list of levels replaces the schedule's timesteps, and so their limit. */
    static double times[1500];
    for (int i = 0; i < 1500; i++) times[i] = 999 - i * 0.5;
    o = test_sampler_options(DM_SOLVER_EULER, 1500, DM_SPACING_TRAILING);
    refuse_sampler(&o, "'steps' is 1500; it must be at most");
    o.custom_times = times;
    o.custom_count = 1500;
    dm_sampler *sampler;
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                       test_denoiser(test_wave, NULL, DM_PREDICT_EPS, 8, 8, 3),
                                       &o));
    dm_sampler_destroy(sampler);
}
END_TEST

/* Only DDPM has a variance that a network can learn. */
START_TEST(learned_variances) {
    dm_unet_options network;
    dm_unet *unet;
    dm_sampler *sampler;
    ck_assert_int_eq(dm_unet_options_preset(&network, sizeof network, DM_PRESET_TINY), DM_OK);
    network.learned_variance = 1;
    network.prediction = DM_PREDICT_EPS;
    ok(dm_unet_create(&unet, context, &network, 1));
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 10, DM_SPACING_TRAILING);
    o.variance = DM_VARIANCE_LEARNED;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_create(&sampler, unet, schedule, &o),
          "'variance' cannot be combined with the solver ddim");
    ck_assert_ptr_null(sampler);
    o.solver = DM_SOLVER_DDPM;
    ok(dm_sampler_create(&sampler, unet, schedule, &o));
    dm_sampler_destroy(sampler);
    dm_unet_destroy(unet);
}
END_TEST

START_TEST(schedules) {
    dm_schedule_options o;
    dm_schedule *made;
    ck_assert_int_eq(dm_schedule_options_init(&o, sizeof o), DM_OK);
    o.kind = DM_SCHEDULE_LINEAR;
    o.timesteps = 10; /* a factor of 100 */
    o.scale_betas = 1;
    o.beta_start = 1e-4;
    o.beta_end = 0.02;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_schedule_create(&made, context, &o),
          "by 100, to 0.01 and 2;");
    o.beta_start = 0.02;
    o.beta_end = 1e-4;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_schedule_create(&made, context, &o),
          "by 100, to 2 and 0.01;");
    ck_assert_ptr_null(made);
    const int32_t bad = DM_ERROR_INVALID_ARGUMENT;
    ck_assert_int_eq(dm_schedule_load(&made, NULL, "path"), bad);
    ck_assert_int_eq(dm_schedule_load_memory(&made, NULL, "", 0), bad);
    fails(bad, dm_schedule_load(NULL, context, "path"), "'out' is NULL");
    fails(bad, dm_schedule_load(&made, context, NULL), "'path' is NULL");
    fails(bad, dm_schedule_load_memory(NULL, context, "", 0), "'out' is NULL");
    fails(bad, dm_schedule_load_memory(&made, context, NULL, 0), "'bytes' is NULL");
}
END_TEST

/* Lists of betas that a file may have. */
START_TEST(lists_of_betas) {
    static const struct {
        const char *text; /* NULL: none */
        bool good;
    } cases[] = {
        {" [ 0.1 ,\t0.2\r,\n0.3 ] \n", true},
        {"[0.1,0.2,0.3]", true},
        {"[0.1,0.2,0.3", false},
        {"[0.1;0.2,0.3]", false},
        {"0.1,0.2,0.3", false},
        {"[0.1,x,0.3]", false},
        {"[0.1,0.2,0.3] x", false},
        {"[0.1,0.2,0.3,", false},
        {NULL, false},
    };
    dmi_host *host = &context->host;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dmi_safetensors_writer *w;
        uint8_t bytes[4000];
        size_t size;
        dm_schedule *made = (dm_schedule *)&size;
        dm_schedule_options o;
        ck_assert_int_eq(dm_schedule_options_init(&o, sizeof o), DM_OK);
        o.kind = DM_SCHEDULE_CUSTOM;
        o.timesteps = 3;
        ok(dmi_safetensors_begin(host, &w));
        ok(dmi_format_write(host, w, dmi_format_unet, 1));
        ok(dmi_struct_save(host, w, &dmi_struct_schedule_options, &o));
        if (cases[i].text)
            ok(dmi_safetensors_add_metadata(host, w, "schedule.betas", cases[i].text));
        ok(dmi_safetensors_write_memory(host, w, bytes, sizeof bytes, &size));
        dmi_safetensors_free(host, w);
        const dm_status status = dm_schedule_load_memory(&made, context, bytes, size);
        ck_assert_msg(status == (cases[i].good ? DM_OK : DM_ERROR_BAD_FORMAT), "case %zu: %s", i,
                      dm_context_error(context));
        double betas[3];
        if (!cases[i].good) {
            ck_assert_ptr_null(made);
            continue;
        }
        ok(dm_schedule_get_series(made, DM_SERIES_BETA, betas, 3));
        ck_assert_double_eq(betas[0], 0.1);
        ck_assert_double_eq(betas[2], 0.3);
        dm_schedule_destroy(made);
    }
}
END_TEST

START_TEST(networks) {
    dm_unet_options o;
    dm_unet *unet = (dm_unet *)&o;
    const int32_t bad = DM_ERROR_INVALID_ARGUMENT;
    ck_assert_int_eq(dm_unet_options_preset(&o, sizeof o, DM_PRESET_TINY), DM_OK);
    o.blocks[1] = 0;
    fails(bad, dm_unet_create(&unet, context, &o, 1), "'blocks' is 0 at level 1");
    o.blocks[1] = 1;
    o.learned_variance = 1;
    o.prediction = DM_PREDICT_V;
    fails(bad, dm_unet_create(&unet, context, &o, 1), "'learned_variance'");
    ck_assert_ptr_null(unet);
    ck_assert_int_eq(dm_unet_load_memory(&unet, NULL, "", 0, DM_WEIGHTS_DEFAULT), bad);
}
END_TEST

static void refuse_trainer(const training_setup *setup, const dm_trainer_options *o,
                           const char *words) {
    training t;
    dm_trainer *trainer;
    training_prepare(&t, setup);
    training_expect(&t, dm_trainer_create(&trainer, t.unet, t.schedule, t.dataset, o),
                    DM_ERROR_INVALID_ARGUMENT, words);
    ck_assert_ptr_null(trainer);
    training_end(&t);
}

START_TEST(trainers) {
    const training_setup setup = training_default();
    dm_trainer_options o = setup.options;
    o.optimizer = DM_OPTIMIZER_ADAMW;
    o.learning_rate = 0.5;
    o.weight_decay = 4;
    refuse_trainer(&setup, &o, "'weight_decay' 4|'learning_rate' 0.5|it is above 1");
    o = setup.options;
    o.crop_padding = TRAINING_SIDE;
    refuse_trainer(&setup, &o, "'crop_padding' 8|images of 8 x 8");
    dm_trainer *trainer = (dm_trainer *)&o;
    ck_assert_int_eq(dm_trainer_save(NULL, "path"), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_trainer_resume_memory(&trainer, NULL, NULL, "", 0),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_null(trainer);
}
END_TEST

Suite *test_option_rules_suite(void);
Suite *test_option_rules_suite(void) {
    Suite *suite = suite_create("option_rules");
    TCase *tests = tcase_create("with a context");
    tcase_add_checked_fixture(tests, test_sampling_setup, test_sampling_teardown);
    tcase_add_test(tests, samplers);
    tcase_add_test(tests, learned_variances);
    tcase_add_test(tests, schedules);
    tcase_add_test(tests, lists_of_betas);
    tcase_add_test(tests, networks);
    suite_add_tcase(suite, tests);
    tests = tcase_create("trainers");
    tcase_add_test(tests, trainers);
    suite_add_tcase(suite, tests);
    return suite;
}
