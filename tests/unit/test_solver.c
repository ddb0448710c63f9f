/* SPDX-License-Identifier: MIT */
/* Solvers: the timesteps of a run, the coefficients of each step, and distributions whose
 * exact denoiser is known. */
#include "sample/solver.h"

#include "diffusion/prediction.h"
#include "diffusion/schedule.h"

#include "support/sampling.h"

/* ---- timesteps ---- */

static void check_timesteps(dm_sampler_options o, const int32_t *want) {
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_EPS, &o);
    double got[16];
    size_t count = (size_t)dm_sampler_steps(sampler);
    ck_assert_int_eq(dm_sampler_evaluations(sampler), dm_sampler_steps(sampler));
    ok(dm_sampler_get_levels(sampler, got, NULL, NULL, count));
    for (size_t i = 0; i < count; i++)
        ck_assert_msg(got[i] == want[i], "timestep %zu is %g, not %d", i, got[i], (int)want[i]);
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_get_levels(sampler, got, NULL, NULL, count + 1),
          "'count'");
    dm_sampler_destroy(sampler);
}

/* What numpy gives for the three formulas. 1000 / 16 = 62.5, so trailing has ties: 437.5 goes to
 * 438, 312.5 to 312. */
START_TEST(spacings) {
    check_timesteps(test_sampler_options(0, 7, DM_SPACING_LEADING),
                    (const int32_t[]){852, 710, 568, 426, 284, 142, 0});
    check_timesteps(test_sampler_options(0, 7, DM_SPACING_TRAILING),
                    (const int32_t[]){999, 856, 713, 570, 428, 285, 142});
    check_timesteps(test_sampler_options(0, 7, DM_SPACING_LINSPACE),
                    (const int32_t[]){999, 832, 666, 500, 333, 166, 0});
    check_timesteps(test_sampler_options(0, 16, DM_SPACING_TRAILING),
                    (const int32_t[]){999, 937, 874, 811, 749, 687, 624, 561, 499, 437, 374, 311,
                                      249, 187, 124, 61});
    check_timesteps(test_sampler_options(0, 1, DM_SPACING_LEADING), (const int32_t[]){0});
    check_timesteps(test_sampler_options(0, 1, DM_SPACING_LINSPACE), (const int32_t[]){0});
    check_timesteps(test_sampler_options(0, 1, DM_SPACING_TRAILING), (const int32_t[]){999});
    check_timesteps(test_sampler_options(0, 7, DM_SPACING_LINSPACE_INNER),
                    (const int32_t[]){999, 856, 714, 571, 428, 285, 143});
    check_timesteps(test_sampler_options(0, 1, DM_SPACING_LINSPACE_INNER), (const int32_t[]){999});
    dm_sampler_options o = test_sampler_options(0, 7, DM_SPACING_LEADING_INNER);
    o.steps_offset = 1;
    check_timesteps(o, (const int32_t[]){876, 751, 626, 501, 376, 251, 126});
    o = test_sampler_options(0, 10, DM_SPACING_LEADING);
    o.steps_offset = 1;
    check_timesteps(o, (const int32_t[]){901, 801, 701, 601, 501, 401, 301, 201, 101, 1});
    const double list[] = {999, 3, 0};
    o = test_sampler_options(1, 50, DM_SPACING_TRAILING);
    o.custom_times = list;
    o.custom_count = 3;
    check_timesteps(o, (const int32_t[]){999, 3, 0});
}
END_TEST

START_TEST(spacings_fall) {
    double t[1000];
    /* The inner ones leave one out. */
    for (int32_t steps = 1; steps <= (_i > DM_SPACING_LINSPACE ? 999 : 1000); steps++) {
        dm_sampler_options o = test_sampler_options(0, steps, _i);
        dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_EPS, &o);
        ok(dm_sampler_get_levels(sampler, t, NULL, NULL, (size_t)steps));
        ck_assert(t[0] <= 999 && t[steps - 1] >= 0);
        if (_i == DM_SPACING_TRAILING) ck_assert_double_eq(t[0], 999);
        for (int32_t i = 1; i < steps; i++) ck_assert_double_lt(t[i], t[i - 1]);
        dm_sampler_destroy(sampler);
    }
}
END_TEST

/* ---- coefficients ---- */

/* Step i of a solver over whole timesteps, `count` of them, to the clean image. */
static dmi_stage step_of(const dmi_solver *solver, const dm_sampler_options *o,
                         const int32_t *timesteps, int32_t count, int32_t i) {
    dmi_level levels[1001];
    double t[1001];
    dmi_stage stages[4];
    for (int32_t k = 0; k < count; k++)
        levels[k] = dmi_schedule_level(schedule, timesteps[k]), t[k] = timesteps[k];
    levels[count] = (dmi_level){.signal = 1};
    t[count] = -1;
    dmi_path path = {
        .schedule = schedule, .options = o, .levels = levels, .timesteps = t, .steps = count};
    ck_assert_int_eq(solver->step(&path, i, stages), 1);
    return stages[0];
}

/* DDIM's variance from one timestep to another, of diffusers' tests. */
START_TEST(ddim_variance_values) {
    static const struct {
        int32_t pair[2];
        double variance;
    } want[] = {{{420, 400}, 0.14771},
                {{980, 960}, 0.32460},
                {{487, 486}, 0.00979},
                {{999, 998}, 0.02}};
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 2, DM_SPACING_TRAILING);
    o.eta = 1;
    for (int i = 0; i < 4; i++) {
        double noise = step_of(&dmi_solver_ddim, &o, want[i].pair, 2, 0).update.noise;
        ck_assert_double_eq_tol(noise * noise, want[i].variance, 1e-5);
    }
}
END_TEST

/* Over all timesteps, ancestral sampling is eq. 7's posterior, and DDIM with eta 1 is the same
 * (Song et al. 2021, sec.
 * 4.1). */
START_TEST(steps_are_the_posterior) {
    double mean_x0[1000], mean_xt[1000], variance[1000], beta[1000];
    ok(dm_schedule_get_series(schedule, DM_SERIES_POSTERIOR_MEAN_X0, mean_x0, 1000));
    ok(dm_schedule_get_series(schedule, DM_SERIES_POSTERIOR_MEAN_XT, mean_xt, 1000));
    ok(dm_schedule_get_series(schedule, DM_SERIES_POSTERIOR_VARIANCE, variance, 1000));
    ok(dm_schedule_get_series(schedule, DM_SERIES_BETA, beta, 1000));
    int32_t all[1000];
    for (int32_t i = 0; i < 1000; i++) all[i] = 999 - i;
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, 1000, DM_SPACING_LEADING);
    /* A difference of alpha_cumprods near 1 loses four digits, its square root two. */
    const double bound = 1e-11;
    for (int32_t i = 0; i < 1000; i++) {
        int32_t t = all[i];
        bool last = i == 999;
        o.variance = DM_VARIANCE_FIXED_SMALL;
        dmi_sum small = step_of(&dmi_solver_ddpm, &o, all, 1000, i).update;
        o.variance = DM_VARIANCE_FIXED_LARGE;
        dmi_sum large = step_of(&dmi_solver_ddpm, &o, all, 1000, i).update;
        o.variance = DM_VARIANCE_LEARNED;
        dmi_stage learned = step_of(&dmi_solver_ddpm, &o, all, 1000, i);
        ck_assert_double_eq_tol(small.factors[DMI_X0], mean_x0[t], bound);
        ck_assert_double_eq_tol(small.factors[DMI_X], mean_xt[t], bound);
        ck_assert_double_eq(small.factors[DMI_EPS], 0);
        ck_assert_double_eq_tol(small.noise * small.noise, last ? 0 : variance[t], bound);
        ck_assert_double_eq_tol(large.noise * large.noise, last ? 0 : beta[t], bound);
        ck_assert_double_eq_tol(learned.update.noise, small.noise, bound);
        if (!last)
            ck_assert_double_eq_tol(learned.learned_log_range, log(beta[t] / variance[t]), 1e-9);
        o.eta = 1;
        dmi_sum ddim = step_of(&dmi_solver_ddim, &o, all, 1000, i).update;
        o.eta = 0;
        double signal = sqrt(alpha_cumprod[t]), noise = sqrt(1 - alpha_cumprod[t]);
        ck_assert_double_eq_tol(ddim.factors[DMI_X] + ddim.factors[DMI_EPS] / noise,
                                small.factors[DMI_X], 1e-9);
        ck_assert_double_eq_tol(ddim.factors[DMI_X0] - ddim.factors[DMI_EPS] * signal / noise,
                                small.factors[DMI_X0], 1e-9);
        ck_assert_double_eq_tol(ddim.noise, small.noise, 1e-9);
    }
}
END_TEST

/* From a perfect prediction of any kind come the same x_0 and eps, at any level of noise that it
 * goes with. */
START_TEST(predictions_agree) {
    const double x0 = 0.3, eps = -1.2, data = 0.5;
    for (int32_t kind = 0; kind <= DM_PREDICT_EDM; kind++) {
        for (int i = 1; i < 40; i++) {
            double share = i / 40.0, sigma = 0.01 * pow(1.25, i);
            dmi_level with_betas = {.signal = sqrt(1 - share), .noise = sqrt(share)},
                      line = {.signal = 1 - share, .noise = share};
            dmi_level level = kind == DM_PREDICT_EDM    ? (dmi_level){.signal = 1, .noise = sigma}
                              : kind == DM_PREDICT_FLOW ? line
                                                        : with_betas;
            double x = level.signal * x0 + level.noise * eps, both = sigma * sigma + data * data;
            const double given[] = {[DM_PREDICT_EPS] = eps,
                                    [DM_PREDICT_X0] = x0,
                                    [DM_PREDICT_V] = level.signal * eps - level.noise * x0,
                                    [DM_PREDICT_FLOW] = eps - x0,
                                    [DM_PREDICT_EDM] = (x0 - data * data / both * x) /
                                                       (sigma * data / sqrt(both))};
            dmi_prediction_coefficients r = dmi_prediction_at(level, kind, data);
            ck_assert_double_eq_tol(r.x0_x * x + r.x0_output * given[kind], x0, 1e-12);
            ck_assert_double_eq_tol(r.eps_x * x + r.eps_output * given[kind], eps, 1e-12);
            ck_assert_double_eq_tol(r.input, kind == DM_PREDICT_EDM ? 1 / sqrt(both) : 1, 1e-15);
        }
    }
}
END_TEST

/* Betas so small that alpha_cumprod stays 1, so large that it ends at 0, both in turns, and one
 * timestep only. */
START_TEST(extreme_schedules_stay_finite) {
    enum { COUNT = 400 };
    const int solvers = test_solver_count();
    /* The first value is the beta of 20 timesteps, one step; the second that of the next 40; and so
     * on. */
    static const double values[][2] = {{1e-300, 1e-300},           {1e-17, 1e-17}, {0.5, 0.5},
                                       {0.999999999, 0.999999999}, {0.01, 1e-17},  {1e-17, 0.01}};
    enum { VALUES = sizeof values / sizeof values[0] };
    double betas[COUNT];
    for (int i = 0; i < VALUES * solvers * 3 * 2; i++) {
        const double *value = values[i % VALUES];
        for (int t = 0; t < COUNT; t++) betas[t] = value[t / 20 % 3 != 0];
        int32_t solver = i / VALUES % solvers, prediction = i / VALUES / solvers % 3,
                short_one = i / VALUES / solvers / 3;
        if (test_solver_is_special(solver)) continue;
        if (solver == DM_SOLVER_PNDM && short_one) continue; /* it needs 4 steps */
        dm_schedule *extreme;
        ok(dm_schedule_create_from_betas(&extreme, context, betas, short_one ? 1 : COUNT));
        dm_sampler_options o =
            test_sampler_options(solver, short_one ? 1 : 20, DM_SPACING_TRAILING);
        o.rederive_eps = 1;
        dm_sampler *sampler;
        ok(dm_sampler_create_with_denoiser(&sampler, context, extreme,
                                           test_denoiser(test_wave, NULL, prediction, SIDE, SIDE,
                                                         CHANNELS),
                                           &o));
        float images[ELEMENTS];
        int32_t status = dm_sampler_run(sampler, NULL, images, ELEMENTS);
        ck_assert_msg(status == DM_OK, "%s, prediction %d, betas of %g and %g: %s",
                      dm_enum_name("dm_solver", solver), (int)prediction, value[0], value[1],
                      dm_context_error(context));
        dm_sampler_destroy(sampler);
        dm_schedule_destroy(extreme);
    }
}
END_TEST

/* A flow that is practically all noise or all image, and a grid over a chain whose first level
 * has no noise. */
START_TEST(extreme_grids_stay_finite) {
    static const double few[] = {1e-17, 0.1, 0.2, 0.3}, shifts[] = {1e-17, 1e-3, 1e3};
    float images[ELEMENTS];
    for (size_t i = 0; i <= sizeof shifts / sizeof *shifts; i++) {
        bool chain = i == sizeof shifts / sizeof *shifts;
        dm_schedule *extreme;
        dm_schedule_options flow;
        ok(dm_schedule_options_init(&flow, sizeof flow));
        flow.kind = DM_SCHEDULE_FLOW;
        if (!chain) flow.flow_shift = shifts[i];
        if (chain) ok(dm_schedule_create_from_betas(&extreme, context, few, 4));
        else ok(dm_schedule_create(&extreme, context, &flow));
        dm_sampler_options o = test_sampler_options(chain ? DM_SOLVER_EULER : DM_SOLVER_FLOW_EULER,
                                                    4, DM_SPACING_TRAILING);
        if (chain) o.grid = DM_GRID_KARRAS;
        dm_sampler *sampler;
        ok(dm_sampler_create_with_denoiser(&sampler, context, extreme,
                                           test_denoiser(test_wave, NULL,
                                                         chain ? DM_PREDICT_EPS : DM_PREDICT_FLOW,
                                                         SIDE, SIDE, CHANNELS),
                                           &o));
        int32_t status = dm_sampler_run(sampler, NULL, images, ELEMENTS);
        ck_assert_msg(status == DM_OK, "%s: %s", chain ? "chain" : "flow",
                      dm_context_error(context));
        dm_sampler_destroy(sampler);
        dm_schedule_destroy(extreme);
    }
}
END_TEST

/* ---- a distribution whose exact denoiser is known: every pixel N(mean, deviation^2) ---- */

static const double gauss_mean = 0.2, gauss_deviation = 0.3;

/* E[x_0 | x_t] as the prediction that `user` points to. */
static int32_t gauss(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    const float *x_t = input->x;
    float timestep = (float)input->time;
    double a = alpha_cumprod[(int)timestep], variance = gauss_deviation * gauss_deviation;
    double gain = variance * sqrt(a) / (a * variance + 1 - a);
    int32_t prediction = *(const int32_t *)user;
    for (size_t i = 0; i < size; i++) {
        double x0 = gauss_mean + gain * (x_t[i] - sqrt(a) * gauss_mean);
        double eps = (x_t[i] - sqrt(a) * x0) / sqrt(1 - a);
        output[i] = (float)(prediction == DM_PREDICT_EPS  ? eps
                            : prediction == DM_PREDICT_X0 ? x0
                                                          : sqrt(a) * eps - sqrt(1 - a) * x0);
    }
    return 0;
}

/* DDIM follows an ODE, here the line from a quantile of x_T to the same quantile of the data: by
 * Euler's method, so twice the steps halve the error. */
static double ddim_error(int32_t prediction, int32_t steps) {
    enum { COUNT = 4, TOTAL = COUNT * ELEMENTS };
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, steps, DM_SPACING_TRAILING);
    o.clip = 0;
    dm_sampler *sampler = test_sampler_of(gauss, &prediction, prediction, &o);
    float start[TOTAL], images[TOTAL];
    double want[TOTAL], a = alpha_cumprod[999];
    test_fill(start, TOTAL, 5, 2);
    for (int i = 0; i < TOTAL; i++)
        want[i] = gauss_mean + gauss_deviation * (start[i] - sqrt(a) * gauss_mean) /
                                   sqrt(a * gauss_deviation * gauss_deviation + 1 - a);
    dm_sampler_request r = test_sampler_request(COUNT);
    r.initial_noise = start;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, TOTAL));
    dm_sampler_destroy(sampler);
    return test_error_d(images, want, TOTAL);
}

START_TEST(ddim_on_a_gaussian) {
    double coarse = ddim_error(_i, 500), fine = ddim_error(_i, 1000);
    ck_assert_msg(fine < 0.0045, "prediction %d: relative error %.4g", _i, fine);
    ck_assert_msg(coarse > 1.9 * fine && coarse < 2.05 * fine,
                  "prediction %d: %.4g with 500 steps, %.4g with 1000", _i, coarse, fine);
}
END_TEST

static void mean_and_deviation(const float *values, size_t count, double *mean, double *deviation) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) sum += values[i], squares += (double)values[i] * values[i];
    *mean = sum / (double)count;
    *deviation = sqrt(squares / (double)count - *mean * *mean);
}

START_TEST(noisy_solvers_on_a_gaussian) {
    enum { COUNT = 256, TOTAL = COUNT * ELEMENTS };
    dm_sampler_options o =
        test_sampler_options(_i < 2 ? DM_SOLVER_DDPM : DM_SOLVER_DDIM, 1000, DM_SPACING_TRAILING);
    o.clip = 0;
    o.batch_size = 64;
    o.variance = _i == 0 ? DM_VARIANCE_FIXED_SMALL : DM_VARIANCE_FIXED_LARGE;
    o.eta = _i < 2 ? 0 : 1;
    int32_t prediction = DM_PREDICT_V;
    dm_sampler *sampler = test_sampler_of(gauss, &prediction, prediction, &o);
    float *images = malloc(TOTAL * sizeof *images);
    dm_sampler_request r = test_sampler_request(COUNT);
    r.seed = 11;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, TOTAL));
    double mean, deviation;
    mean_and_deviation(images, TOTAL, &mean, &deviation);
    /* 12,288 values: standard errors 0.0027 and 0.0019, of which 4; 1000 steps bias the deviation
     * by 0.001 to 0.002. */
    ck_assert_double_eq_tol(mean, gauss_mean, 0.011);
    ck_assert_double_eq_tol(deviation, gauss_deviation, 0.010);
    free(images);
    dm_sampler_destroy(sampler);
}
END_TEST

Suite *test_solver_suite(void);

Suite *test_solver_suite(void) {
    Suite *suite = suite_create("solver");
    TCase *tcase = tcase_create("solver");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, spacings);
    tcase_add_loop_test(tcase, spacings_fall, DM_SPACING_LEADING, DM_SPACING_LEADING_INNER + 1);
    tcase_add_test(tcase, ddim_variance_values);
    tcase_add_test(tcase, steps_are_the_posterior);
    tcase_add_test(tcase, predictions_agree);
    tcase_add_test(tcase, extreme_schedules_stay_finite);
    tcase_add_test(tcase, extreme_grids_stay_finite);
    tcase_add_loop_test(tcase, ddim_on_a_gaussian, DM_PREDICT_EPS, DM_PREDICT_V + 1);
    tcase_add_loop_test(tcase, noisy_solvers_on_a_gaussian, 0, 3);
    suite_add_tcase(suite, tcase);
    return suite;
}
