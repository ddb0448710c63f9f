/* SPDX-License-Identifier: MIT */
/* Defaults of sampling that depend on the solver, on the schedule or on the network. */
#include "support/sampling.h"
#include "unet/unet.h"

/* ---- defaults that depend on the solver ---- */

static dm_sampler_options resolved_with(const dm_schedule *own, dm_sampler_options o,
                                        int32_t prediction) {
    dm_sampler *sampler;
    ok(dm_sampler_create_with_denoiser(&sampler, context, own,
                                       test_denoiser(test_wave, NULL, prediction, SIDE, SIDE,
                                                     CHANNELS),
                                       &o));
    ok(dm_sampler_get_options(sampler, &o, sizeof o));
    dm_sampler_destroy(sampler);
    return o;
}

static dm_sampler_options resolved(const dm_schedule *own, int32_t solver, int32_t steps,
                                   int32_t prediction) {
    dm_sampler_options o;
    ok(dm_sampler_options_init(&o, sizeof o));
    o.solver = solver;
    o.steps = steps;
    return resolved_with(own, o, prediction);
}

START_TEST(defaults_of_solvers) {
    for (int32_t solver = 0; solver < test_solver_count(); solver++) {
        if (test_solver_is_special(solver)) continue;
        dm_sampler_options o = resolved(schedule, solver, 20, DM_PREDICT_V);
        bool exponential = solver == DM_SOLVER_HEUN || solver == DM_SOLVER_DPM2,
             leading = solver == DM_SOLVER_PNDM || solver == DM_SOLVER_PLMS;
        ck_assert_int_eq(o.spacing, leading ? DM_SPACING_LEADING : DM_SPACING_TRAILING);
        ck_assert_int_eq(o.grid, exponential ? DM_GRID_EXPONENTIAL : DM_GRID_TIMESTEPS);
        ck_assert_int_eq(o.expected_prediction, DM_PREDICT_V);
        ck_assert_int_eq(o.rederive_eps, solver != DM_SOLVER_DDPM && solver != DM_SOLVER_DDIM);
    }
    ck_assert_int_eq(resolved(schedule, DM_SOLVER_LMS, 20, DM_PREDICT_V).order, 4);
    ck_assert_int_eq(resolved(schedule, DM_SOLVER_DPMPP, 20, DM_PREDICT_V).order, 2);
    ck_assert_int_eq(resolved(schedule, DM_SOLVER_DDPM, 1000, DM_PREDICT_V).variance,
                     DM_VARIANCE_FIXED_LARGE);
    ck_assert_int_eq(resolved(schedule, DM_SOLVER_DDPM, 100, DM_PREDICT_V).variance,
                     DM_VARIANCE_FIXED_SMALL);
}
END_TEST

/* Trailing spacing is for the exponential grid alone. */
START_TEST(defaults_of_grids) {
    for (int32_t grid = DM_GRID_TIMESTEPS; grid <= DM_GRID_EXPONENTIAL; grid++) {
        dm_sampler_options o = test_sampler_options(DM_SOLVER_HEUN, 20, DM_SPACING_AUTO);
        o.grid = grid;
        o = resolved_with(schedule, o, DM_PREDICT_V);
        ck_assert_int_eq(o.grid, grid);
        ck_assert_int_eq(o.spacing,
                         grid == DM_GRID_EXPONENTIAL ? DM_SPACING_TRAILING : DM_SPACING_LEADING);
    }
}
END_TEST

/* No leading spacing and no grid over sigma without betas, and none where sigma is infinite. */
START_TEST(defaults_of_schedules) {
    dm_schedule_options so;
    dm_schedule *flow, *edm, *zero;
    ok(dm_schedule_options_init(&so, sizeof so));
    so.kind = DM_SCHEDULE_FLOW;
    ok(dm_schedule_create(&flow, context, &so));
    dm_sampler_options o = resolved(flow, DM_SOLVER_PLMS, 20, DM_PREDICT_FLOW);
    ck_assert_int_eq(o.spacing, DM_SPACING_TRAILING);
    ck_assert_int_eq(resolved(flow, DM_SOLVER_HEUN, 20, DM_PREDICT_FLOW).grid, DM_GRID_TIMESTEPS);
    dm_schedule_destroy(flow);
    so.kind = DM_SCHEDULE_EDM;
    ok(dm_schedule_create(&edm, context, &so));
    o = resolved(edm, DM_SOLVER_HEUN, 20, DM_PREDICT_EDM);
    ck_assert_int_eq(o.spacing, DM_SPACING_TRAILING);
    ck_assert_int_eq(o.grid, DM_GRID_TIMESTEPS);
    dm_schedule_destroy(edm);
    so.kind = DM_SCHEDULE_COSINE;
    so.zero_terminal_snr = 1;
    ok(dm_schedule_create(&zero, context, &so));
    o = resolved(zero, DM_SOLVER_HEUN, 20, DM_PREDICT_V);
    ck_assert_int_eq(o.spacing, DM_SPACING_LEADING);
    ck_assert_int_eq(o.grid, DM_GRID_EXPONENTIAL);
    o = test_sampler_options(DM_SOLVER_HEUN, 20, DM_SPACING_TRAILING);
    o.grid = DM_GRID_AUTO;
    ck_assert_int_eq(resolved_with(zero, o, DM_PREDICT_V).grid, DM_GRID_TIMESTEPS);
    dm_schedule_destroy(zero);
}
END_TEST

/* Options that are read back and used again give the same bits. */
START_TEST(resolved_options_are_the_same) {
    if (test_solver_is_special(_i)) return;
    dm_sampler_options o;
    float want[ELEMENTS], got[ELEMENTS];
    ok(dm_sampler_options_init(&o, sizeof o));
    o.solver = _i;
    o.steps = 12;
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    ok(dm_sampler_run(sampler, NULL, want, ELEMENTS));
    ok(dm_sampler_get_options(sampler, &o, sizeof o));
    dm_sampler_destroy(sampler);
    sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    ok(dm_sampler_run(sampler, NULL, got, ELEMENTS));
    ck_assert_mem_eq(got, want, sizeof got);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(learned_variance_is_the_default) {
    dm_unet_options u;
    dm_unet *unet;
    dm_sampler *sampler;
    dm_sampler_options o;
    ok(dm_unet_options_preset(&u, sizeof u, DM_PRESET_TINY));
    u.height = u.width = 16;
    u.prediction = DM_PREDICT_EPS;
    u.learned_variance = 1;
    ok(dm_unet_create(&unet, context, &u, 3));
    ok(dm_sampler_options_init(&o, sizeof o));
    o.solver = DM_SOLVER_DDPM;
    ok(dm_sampler_create(&sampler, unet, schedule, &o));
    ok(dm_sampler_get_options(sampler, &o, sizeof o));
    ck_assert_int_eq(o.variance, DM_VARIANCE_LEARNED);
    dm_sampler_destroy(sampler);
    dm_unet_destroy(unet);
}
END_TEST

/* ---- guidance without a trained null class ---- */

static void count_warnings(void *user, dm_log_level level, const char *message) {
    int32_t *warnings = user;
    if (level == DM_LOG_WARNING && strstr(message, "label_dropout")) ++*warnings;
}

START_TEST(untrained_null_class_warns) {
    int32_t warnings = 0;
    dm_context_options co;
    dm_context *own;
    dm_unet_options u;
    dm_unet *unet;
    dm_sampler_options o;
    ok(dm_context_options_init(&co, sizeof co));
    co.threads = 1;
    co.log = count_warnings;
    co.log_user = &warnings;
    ck_assert_int_eq(dm_context_create(&own, &co, NULL, 0), DM_OK);
    ok(dm_unet_options_preset(&u, sizeof u, DM_PRESET_TINY));
    u.classes = 4;
    ck_assert_int_eq(dm_unet_create(&unet, own, &u, 3), DM_OK);
    ok(dm_sampler_options_init(&o, sizeof o));
    for (int32_t null_class = 0; null_class <= DMI_NULL_CLASS_UNTRAINED; null_class++)
        for (int guided = 0; guided < 2; guided++) {
            dm_sampler *sampler;
            unet->null_class = null_class;
            o.guidance = guided ? 3 : 1;
            warnings = 0;
            ck_assert_int_eq(dm_sampler_create(&sampler, unet, schedule, &o), DM_OK);
            ck_assert_int_eq(warnings, guided && null_class == DMI_NULL_CLASS_UNTRAINED);
            dm_sampler_destroy(sampler);
        }
    dm_unet_destroy(unet);
    dm_context_destroy(own);
}
END_TEST

Suite *test_sampler_defaults_suite(void);

Suite *test_sampler_defaults_suite(void) {
    Suite *suite = suite_create("sampler_defaults");
    TCase *tcase = tcase_create("sampler_defaults");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, defaults_of_solvers);
    tcase_add_test(tcase, defaults_of_grids);
    tcase_add_test(tcase, defaults_of_schedules);
    tcase_add_loop_test(tcase, resolved_options_are_the_same, 0, test_solver_count());
    tcase_add_test(tcase, learned_variance_is_the_default);
    tcase_add_test(tcase, untrained_null_class_warns);
    suite_add_tcase(suite, tcase);
    return suite;
}
