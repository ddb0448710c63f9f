/* Solvers: which timesteps are visited, the coefficients of each step, and distributions whose exact denoiser is known. */
#include "solver.h"

#include "support/sampling.h"

/* ---- timesteps ---- */

static void check_timesteps(dm_sampler_options o, const int32_t *want) {
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_EPS, &o);
    int32_t got[16];
    ck_assert_int_eq(dm_sampler_steps(sampler), o.steps);
    ok(dm_sampler_timesteps(sampler, got, (size_t)o.steps));
    for (int32_t i = 0; i < o.steps; i++)
        ck_assert_msg(got[i] == want[i], "timestep %d is %d, not %d", (int)i, (int)got[i], (int)want[i]);
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_timesteps(sampler, got, (size_t)o.steps + 1), "'count'");
    dm_sampler_destroy(sampler);
}

/* What numpy gives for the three formulas. 1000 / 16 = 62.5, so trailing has ties: 437.5 goes to 438, 312.5 to 312. */
START_TEST(spacings) {
    check_timesteps(test_sampler_options(0, 7, DM_SPACING_LEADING), (const int32_t[]){852, 710, 568, 426, 284, 142, 0});
    check_timesteps(test_sampler_options(0, 7, DM_SPACING_TRAILING), (const int32_t[]){999, 856, 713, 570, 428, 285, 142});
    check_timesteps(test_sampler_options(0, 7, DM_SPACING_LINSPACE), (const int32_t[]){999, 832, 666, 500, 333, 166, 0});
    check_timesteps(test_sampler_options(0, 16, DM_SPACING_TRAILING),
                    (const int32_t[]){999, 937, 874, 811, 749, 687, 624, 561, 499, 437, 374, 311, 249, 187, 124, 61});
    check_timesteps(test_sampler_options(0, 1, DM_SPACING_LEADING), (const int32_t[]){0});
    check_timesteps(test_sampler_options(0, 1, DM_SPACING_LINSPACE), (const int32_t[]){0});
    check_timesteps(test_sampler_options(0, 1, DM_SPACING_TRAILING), (const int32_t[]){999});
    dm_sampler_options o = test_sampler_options(0, 10, DM_SPACING_LEADING);
    o.steps_offset = 1;
    check_timesteps(o, (const int32_t[]){901, 801, 701, 601, 501, 401, 301, 201, 101, 1});
    int32_t list[] = {999, 3, 0};
    o = test_sampler_options(1, 3, DM_SPACING_CUSTOM);
    o.timesteps = list;
    check_timesteps(o, (const int32_t[]){999, 3, 0});
}
END_TEST

START_TEST(spacings_fall) {
    int32_t t[1000];
    for (int32_t steps = 1; steps <= 1000; steps++) {
        dm_sampler_options o = test_sampler_options(0, steps, _i);
        dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_EPS, &o);
        ok(dm_sampler_timesteps(sampler, t, (size_t)steps));
        ck_assert(t[0] <= 999 && t[steps - 1] >= 0);
        if (_i == DM_SPACING_TRAILING) ck_assert_int_eq(t[0], 999);
        for (int32_t i = 1; i < steps; i++) ck_assert_int_lt(t[i], t[i - 1]);
        dm_sampler_destroy(sampler);
    }
}
END_TEST

/* ---- coefficients ---- */

/* DDIM's variance from one timestep to another, of diffusers' tests. */
START_TEST(ddim_variance_figures) {
    static const struct {
        int32_t pair[2];
        double variance;
    } want[] = {{{420, 400}, 0.14771}, {{980, 960}, 0.32460}, {{487, 486}, 0.00979}, {{999, 998}, 0.02}};
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 2, DM_SPACING_CUSTOM);
    o.eta = 1;
    for (int i = 0; i < 4; i++) {
        dmi_solver_step step;
        dmi_solver_ddim.step(schedule, &o, want[i].pair, 2, 0, &step);
        ck_assert_double_eq_tol(step.noise * step.noise, want[i].variance, 1e-5);
    }
}
END_TEST

/* Over all timesteps, ancestral sampling is eq. 7's posterior, and DDIM with eta 1 is the same (Song et al. 2021, sec. 4.1).
 */
START_TEST(steps_are_the_posterior) {
    double mean_x0[1000], mean_xt[1000], variance[1000], beta[1000];
    ok(dm_schedule_get(schedule, DM_SERIES_POSTERIOR_MEAN_X0, mean_x0, 1000));
    ok(dm_schedule_get(schedule, DM_SERIES_POSTERIOR_MEAN_XT, mean_xt, 1000));
    ok(dm_schedule_get(schedule, DM_SERIES_POSTERIOR_VARIANCE, variance, 1000));
    ok(dm_schedule_get(schedule, DM_SERIES_BETA, beta, 1000));
    int32_t all[1000];
    for (int32_t i = 0; i < 1000; i++) all[i] = 999 - i;
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, 1000, DM_SPACING_LEADING);
    /* A difference of alpha_cumprods near 1 loses four digits, its square root two. */
    const double bound = 1e-11;
    for (int32_t i = 0; i < 1000; i++) {
        int32_t t = all[i];
        bool last = i == 999;
        dmi_solver_step small, large, ddim;
        o.variance = DM_VARIANCE_FIXED_SMALL;
        dmi_solver_ddpm.step(schedule, &o, all, 1000, i, &small);
        o.variance = DM_VARIANCE_FIXED_LARGE;
        dmi_solver_ddpm.step(schedule, &o, all, 1000, i, &large);
        ck_assert_double_eq_tol(small.start, mean_x0[t], bound);
        ck_assert_double_eq_tol(small.keep, mean_xt[t], bound);
        ck_assert_double_eq(small.direction, 0);
        ck_assert_double_eq_tol(small.noise * small.noise, last ? 0 : variance[t], bound);
        ck_assert_double_eq_tol(large.noise * large.noise, last ? 0 : beta[t], bound);
        o.eta = 1;
        dmi_solver_ddim.step(schedule, &o, all, 1000, i, &ddim);
        o.eta = 0;
        double signal = sqrt(alpha_cumprod[t]), noise = sqrt(1 - alpha_cumprod[t]);
        ck_assert_double_eq_tol(ddim.keep + ddim.direction / noise, small.keep, 1e-9);
        ck_assert_double_eq_tol(ddim.start - ddim.direction * signal / noise, small.start, 1e-9);
        ck_assert_double_eq_tol(ddim.noise, small.noise, 1e-9);
    }
}
END_TEST

/* From a perfect prediction of any kind the same x_0 and next x come. */
START_TEST(predictions_agree) {
    const double x0 = 0.3, eps = -1.2;
    for (int32_t t = 0; t < 1000; t += 37) {
        double a = alpha_cumprod[t], x = sqrt(a) * x0 + sqrt(1 - a) * eps;
        const double given[] = {
            [DM_PREDICT_EPS] = eps, [DM_PREDICT_X0] = x0, [DM_PREDICT_V] = sqrt(a) * eps - sqrt(1 - a) * x0};
        const dmi_solver_step step = {.keep = 0.1, .start = 0.7, .direction = 0.4, .noise = 0.2};
        double want = step.keep * x + step.start * x0 + step.direction * eps;
        for (int32_t kind = 0; kind <= DM_PREDICT_V; kind++) {
            for (int32_t rederive = 0; rederive < 2; rederive++) {
                dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 1, DM_SPACING_LEADING);
                o.rederive_eps = rederive;
                dmi_solver_update u;
                dmi_solver_fold(&step, a, kind, &o, &u);
                double got_x0 = u.x0_x * x + u.x0_prediction * given[kind];
                double got = u.keep * x + u.start * got_x0 + u.prediction * given[kind];
                /* Coefficients are floats, 157 at most for x_0; eps from x_0 is 1 / sqrt(1-a) = 100 times as sensitive. */
                ck_assert_double_eq_tol(got_x0, x0, 3e-5);
                ck_assert_double_eq_tol(got, want, 3e-5);
                ck_assert_float_eq_tol(u.noise, 0.2f, 1e-7f);
            }
        }
    }
}
END_TEST

/* Betas so small that alpha_cumprod stays 1, so large that it ends at 0, and one timestep only. */
START_TEST(extreme_schedules_stay_finite) {
    enum { COUNT = 400 };
    static const double values[] = {1e-300, 1e-17, 0.5, 0.999999999};
    double betas[COUNT];
    for (int i = 0; i < 4 * 2 * 3 * 2; i++) {
        for (int t = 0; t < COUNT; t++) betas[t] = values[i % 4];
        int32_t solver = i / 4 % 2, prediction = i / 8 % 3, short_one = i / 24;
        dm_schedule *extreme;
        ok(dm_schedule_create_from_betas(&extreme, context, betas, short_one ? 1 : COUNT));
        dm_sampler_options o = test_sampler_options(solver, short_one ? 1 : 20, DM_SPACING_TRAILING);
        o.rederive_eps = 1;
        dm_sampler *sampler;
        ok(dm_sampler_create_with_denoiser(&sampler, context, extreme, test_wave, NULL, prediction, SIDE, SIDE, CHANNELS,
                                           &o));
        float images[ELEMENTS];
        ok(dm_sampler_run(sampler, NULL, images, ELEMENTS));
        dm_sampler_destroy(sampler);
        dm_schedule_destroy(extreme);
    }
}
END_TEST

/* ---- a distribution whose exact denoiser is known: every pixel N(mean, deviation^2) ---- */

static const double gauss_mean = 0.2, gauss_deviation = 0.3;

/* E[x_0 | x_t], told as the prediction that `user` points to. */
static int32_t gauss(void *user, float *output, const float *x_t, float timestep, const int32_t *labels, size_t count,
                     size_t elements) {
    (void)labels;
    double a = alpha_cumprod[(int)timestep], variance = gauss_deviation * gauss_deviation;
    double gain = variance * sqrt(a) / (a * variance + 1 - a);
    int32_t prediction = *(const int32_t *)user;
    for (size_t i = 0; i < count * elements; i++) {
        double x0 = gauss_mean + gain * (x_t[i] - sqrt(a) * gauss_mean);
        double eps = (x_t[i] - sqrt(a) * x0) / sqrt(1 - a);
        output[i] = (float)(prediction == DM_PREDICT_EPS  ? eps
                            : prediction == DM_PREDICT_X0 ? x0
                                                          : sqrt(a) * eps - sqrt(1 - a) * x0);
    }
    return 0;
}

/* DDIM follows an ODE, here the line from a quantile of x_T to the same quantile of the data: by Euler's method, so twice
 * the steps halve the error. */
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
    r.start = start;
    ok(dm_sampler_run(sampler, &r, images, TOTAL));
    dm_sampler_destroy(sampler);
    return test_error_d(images, want, TOTAL);
}

START_TEST(ddim_on_a_gaussian) {
    double coarse = ddim_error(_i, 500), fine = ddim_error(_i, 1000);
    ck_assert_msg(fine < 0.0045, "prediction %d: relative error %.4g", _i, fine);
    ck_assert_msg(coarse > 1.9 * fine && coarse < 2.05 * fine, "prediction %d: %.4g with 500 steps, %.4g with 1000", _i,
                  coarse, fine);
}
END_TEST

static void moments(const float *values, size_t count, double *mean, double *deviation) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < count; i++) sum += values[i], squares += (double)values[i] * values[i];
    *mean = sum / (double)count;
    *deviation = sqrt(squares / (double)count - *mean * *mean);
}

START_TEST(noisy_solvers_on_a_gaussian) {
    enum { COUNT = 256, TOTAL = COUNT * ELEMENTS };
    dm_sampler_options o = test_sampler_options(_i < 2 ? DM_SOLVER_DDPM : DM_SOLVER_DDIM, 1000, DM_SPACING_TRAILING);
    o.clip = 0;
    o.batch_size = 64;
    o.variance = _i == 0 ? DM_VARIANCE_FIXED_SMALL : DM_VARIANCE_FIXED_LARGE;
    o.eta = _i < 2 ? 0 : 1;
    int32_t prediction = DM_PREDICT_V;
    dm_sampler *sampler = test_sampler_of(gauss, &prediction, prediction, &o);
    float *images = malloc(TOTAL * sizeof *images);
    dm_sampler_request r = test_sampler_request(COUNT);
    r.seed = 11;
    ok(dm_sampler_run(sampler, &r, images, TOTAL));
    double mean, deviation;
    moments(images, TOTAL, &mean, &deviation);
    /* 12,288 values: standard errors 0.0027 and 0.0019, of which 4; 1000 steps bias the deviation by 0.001 to 0.002. */
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
    tcase_add_loop_test(tcase, spacings_fall, DM_SPACING_LEADING, DM_SPACING_LINSPACE + 1);
    tcase_add_test(tcase, ddim_variance_figures);
    tcase_add_test(tcase, steps_are_the_posterior);
    tcase_add_test(tcase, predictions_agree);
    tcase_add_test(tcase, extreme_schedules_stay_finite);
    tcase_add_loop_test(tcase, ddim_on_a_gaussian, DM_PREDICT_EPS, DM_PREDICT_V + 1);
    tcase_add_loop_test(tcase, noisy_solvers_on_a_gaussian, 0, 3);
    suite_add_tcase(suite, tcase);
    return suite;
}
