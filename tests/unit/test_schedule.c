/* SPDX-License-Identifier: MIT */
/* The forward process: known values, identities between the series, extreme betas, and what is
 * refused. */
#include "core/context.h"
#include "diffusion.h"
#include "diffusion/schedule.h"
#include "support/schedule.h"
#include "support/support.h"

static dm_context *context;

static void setup(void) { ck_assert_int_eq(dm_context_create(&context, NULL, NULL, 0), DM_OK); }

static void teardown(void) {
    uint64_t used;
    dm_context *fresh;
    ck_assert_int_eq(dm_context_create(&fresh, NULL, NULL, 0), DM_OK);
    ck_assert_int_eq(dm_context_get_memory(fresh, &used, NULL, NULL), DM_OK);
    ck_assert_msg(context->host.used == used, "%llu bytes are in use, a fresh context has %llu",
                  (unsigned long long)context->host.used, (unsigned long long)used);
    dm_context_destroy(fresh);
    dm_context_destroy(context);
}

/* The caller frees it. */
static double *series_of(const dm_schedule *schedule, int32_t series) {
    size_t count = (size_t)dm_schedule_timesteps(schedule);
    double *values = malloc(count * sizeof *values);
    ck_assert_int_eq(dm_schedule_get_series(schedule, series, values, count), DM_OK);
    return values;
}

static void check_relative(double got, double want, double bound, const char *what) {
    ck_assert_msg(fabs(got - want) <= bound * fabs(want), "%s is %.12g, not %.12g", what, got,
                  want);
}

/* ---- values ---- */

/* Given to nine digits by other implementations. */
START_TEST(linear_values) {
    dm_schedule *schedule = test_schedule(context, DM_SCHEDULE_LINEAR, 1000);
    double *a = series_of(schedule, DM_SERIES_ALPHA_CUMPROD),
           *beta = series_of(schedule, DM_SERIES_BETA);
    check_relative(beta[0], 1e-4, 1e-15, "beta[0]");
    check_relative(beta[999], 0.02, 1e-15, "beta[999]");
    check_relative(a[0], 0.9999, 1e-15, "alpha_cumprod[0]");
    check_relative(a[1], 0.999780092, 1e-9, "alpha_cumprod[1]");
    check_relative(a[499], 0.0785872429, 1e-9, "alpha_cumprod[499]");
    check_relative(a[999], 4.03582977e-5, 2e-9, "alpha_cumprod[999]");
    free(a);
    free(beta);
    dm_schedule_destroy(schedule);
}
END_TEST

START_TEST(cosine_values) {
    dm_schedule *schedule = test_schedule(context, DM_SCHEDULE_COSINE, 1000);
    double *a = series_of(schedule, DM_SERIES_ALPHA_CUMPROD),
           *beta = series_of(schedule, DM_SERIES_BETA);
    check_relative(beta[0], 4.12842248e-5, 2e-9, "beta[0]");
    check_relative(beta[998], 0.749999393, 1e-9, "beta[998]");
    check_relative(a[499], 0.49384359, 1e-8, "alpha_cumprod[499]");
    check_relative(a[999], 2.42876691e-9, 2e-9, "alpha_cumprod[999]");
    int clipped = 0;
    for (int t = 0; t < 1000; t++) clipped += beta[t] == 0.999;
    ck_assert_int_eq(clipped, 1);
    free(a);
    free(beta);
    dm_schedule_destroy(schedule);
}
END_TEST

/* DDPM's variance at 0, 487 and 999, of diffusers' tests. */
START_TEST(posterior_variance_values) {
    dm_schedule *schedule = test_schedule(context, DM_SCHEDULE_LINEAR, 1000);
    double *variance = series_of(schedule, DM_SERIES_POSTERIOR_VARIANCE);
    ck_assert_double_eq(variance[0], 0);
    ck_assert_double_eq_tol(variance[487], 0.00979, 1e-5);
    ck_assert_double_eq_tol(variance[999], 0.02, 1e-5);
    free(variance);
    dm_schedule_destroy(schedule);
}
END_TEST

/* ---- identities ---- */

START_TEST(series_agree) {
    dm_schedule *schedule = test_schedule(context, _i, 200);
    double *s[DM_SERIES_SIGMA + 1];
    for (int32_t i = 0; i <= DM_SERIES_SIGMA; i++) s[i] = series_of(schedule, i);
    /* 1 - a cancels up to 1e4-fold where a is near 1. */
    const double bound = 1e-11;
    double product = 1;
    for (int t = 0; t < 200; t++) {
        double beta = s[DM_SERIES_BETA][t], a = s[DM_SERIES_ALPHA_CUMPROD][t],
               a_prev = s[DM_SERIES_ALPHA_CUMPROD_PREV][t];
        check_relative(a_prev, product, 1e-15, "a_prev");
        product *= 1 - beta;
        check_relative(s[DM_SERIES_ALPHA][t], 1 - beta, 1e-15, "alpha");
        check_relative(a, product, 1e-15, "alpha_cumprod");
        double signal = s[DM_SERIES_SQRT_ALPHA_CUMPROD][t],
               noise = s[DM_SERIES_SQRT_ONE_MINUS_ALPHA_CUMPROD][t];
        check_relative(signal * signal + noise * noise, 1, 1e-15, "signal and noise");
        check_relative(s[DM_SERIES_SNR][t], signal * signal / (noise * noise), bound, "snr");
        check_relative(s[DM_SERIES_SIGMA][t], noise / signal, bound, "sigma");
        /* A noiseless x_t comes from a noiseless x_{t-1}. */
        check_relative(s[DM_SERIES_POSTERIOR_MEAN_X0][t] +
                           s[DM_SERIES_POSTERIOR_MEAN_XT][t] * signal,
                       sqrt(a_prev), bound, "posterior mean");
        if (t == 0) continue;
        /* Precisions add: q(x_t | x_{t-1}) seen from x_{t-1}, and q(x_{t-1} | x_0). */
        check_relative(1 / s[DM_SERIES_POSTERIOR_VARIANCE][t], (1 - beta) / beta + 1 / (1 - a_prev),
                       bound, "posterior precision");
        check_relative(s[DM_SERIES_POSTERIOR_LOG_VARIANCE][t],
                       log(s[DM_SERIES_POSTERIOR_VARIANCE][t]), bound, "log variance");
    }
    ck_assert_double_eq(s[DM_SERIES_POSTERIOR_VARIANCE][0], 0);
    ck_assert_double_eq(s[DM_SERIES_POSTERIOR_LOG_VARIANCE][0],
                        s[DM_SERIES_POSTERIOR_LOG_VARIANCE][1]);
    for (int32_t i = 0; i <= DM_SERIES_SIGMA; i++) free(s[i]);
    dm_schedule_destroy(schedule);
}
END_TEST

static void check_not_nan(const dm_schedule *schedule) {
    for (int32_t i = 0; i <= DM_SERIES_SIGMA; i++) {
        double *values = series_of(schedule, i);
        for (int32_t t = 0; t < dm_schedule_timesteps(schedule); t++)
            ck_assert_msg(!isnan(values[t]), "series %d is not a number at %d", i, t);
        free(values);
    }
}

START_TEST(one_timestep) {
    for (int32_t kind = 0; kind <= DM_SCHEDULE_COSINE; kind++) {
        dm_schedule *schedule = test_schedule(context, kind, 1);
        check_not_nan(schedule);
        double log_variance;
        ck_assert_int_eq(dm_schedule_get_series(schedule, DM_SERIES_POSTERIOR_LOG_VARIANCE,
                                                &log_variance, 1),
                         DM_OK);
        ck_assert_double_eq(log_variance, log(1e-20));
        dm_schedule_destroy(schedule);
    }
}
END_TEST

/* Betas that leave alpha_cumprod at 1, and such as take it to 0. */
START_TEST(extreme_betas) {
    enum { COUNT = 2000 };
    static const double values[] = {1e-300, 1e-17, 1e-16, 0.5, 0.999999999999};
    double betas[COUNT];
    for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
        for (int t = 0; t < COUNT; t++) betas[t] = values[k];
        dm_schedule *schedule;
        ck_assert_int_eq(dm_schedule_create_from_betas(&schedule, context, betas, COUNT), DM_OK);
        check_not_nan(schedule);
        dm_schedule_destroy(schedule);
    }
}
END_TEST

START_TEST(betas_of_the_caller) {
    double betas[] = {0.1, 0.2, 0.05};
    dm_schedule *schedule, *copy;
    ck_assert_int_eq(dm_schedule_create_from_betas(&schedule, context, betas, 3), DM_OK);
    ck_assert_int_eq(dmi_schedule_copy(&copy, context, schedule), DM_OK);
    betas[0] = 0.9;
    dm_schedule_destroy(schedule);
    ck_assert_int_eq(dm_schedule_timesteps(copy), 3);
    double a[3];
    ck_assert_int_eq(dm_schedule_get_series(copy, DM_SERIES_ALPHA_CUMPROD, a, 3), DM_OK);
    check_relative(a[2], 0.9 * 0.8 * 0.95, 1e-15, "alpha_cumprod");
    dm_schedule_destroy(copy);
}
END_TEST

/* ---- noise ---- */

START_TEST(noise_added) {
    enum { COUNT = 3, ELEMENTS = 37, TOTAL = COUNT * ELEMENTS };
    dm_schedule *schedule = test_schedule(context, DM_SCHEDULE_LINEAR, 1000);
    const int32_t timesteps[COUNT] = {0, 999, 400};
    float start[TOTAL], noise[TOTAL], x_t[TOTAL];
    double want[TOTAL];
    test_fill(start, TOTAL, 1, 1);
    test_fill(noise, TOTAL, 2, 2);
    for (int i = 0; i < TOTAL; i++) {
        double a = schedule->alpha_cumprod[timesteps[i / ELEMENTS]];
        want[i] = sqrt(a) * start[i] + sqrt(1 - a) * noise[i];
    }
    ck_assert_int_eq(dm_schedule_add_noise(schedule, x_t, start, noise, timesteps, COUNT, ELEMENTS),
                     DM_OK);
    ck_assert_double_lt(test_error_d(x_t, want, TOTAL),
                        1e-7); /* two coefficients and a sum rounded to float */
    float same[TOTAL];
    memcpy(same, start, sizeof same);
    ck_assert_int_eq(dm_schedule_add_noise(schedule, same, same, noise, timesteps, COUNT, ELEMENTS),
                     DM_OK);
    ck_assert_mem_eq(same, x_t, sizeof same);
    memcpy(same, noise, sizeof same);
    ck_assert_int_eq(dm_schedule_add_noise(schedule, same, start, same, timesteps, COUNT, ELEMENTS),
                     DM_OK);
    ck_assert_mem_eq(same, x_t, sizeof same);

    const int32_t wrong[COUNT] = {0, 5, 1000};
    memset(same, 0, sizeof same);
    ck_assert_int_eq(dm_schedule_add_noise(schedule, same, start, noise, wrong, COUNT, ELEMENTS),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(dm_context_error(context), "timestep 2 is 1000"));
    ck_assert_float_eq(same[0], 0);
    ck_assert_int_eq(dm_schedule_add_noise(schedule, NULL, start, noise, timesteps, COUNT,
                                           ELEMENTS),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_schedule_add_noise(schedule, same, start, noise, NULL, 1, ELEMENTS),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_schedule_add_noise(schedule, same, start, noise, timesteps, 3,
                                           SIZE_MAX / 2),
                     DM_ERROR_INVALID_ARGUMENT);
    dm_schedule_destroy(schedule);
}
END_TEST

/* ---- the later kinds ---- */

/* Gives members that the kind does not use their defaults. */
static void set_unused(dm_schedule_options *o) {
    dm_schedule_options defaults;
    dm_schedule_options_init(&defaults, sizeof defaults);
    o->struct_size = sizeof *o;
    if (o->kind != DM_SCHEDULE_FLOW) o->flow_shift = defaults.flow_shift;
    if (o->kind != DM_SCHEDULE_EDM)
        o->sigma_min = defaults.sigma_min, o->sigma_max = defaults.sigma_max, o->rho = defaults.rho;
    if (o->kind != DM_SCHEDULE_LINEAR && o->kind != DM_SCHEDULE_SCALED_LINEAR &&
        o->kind != DM_SCHEDULE_SIGMOID)
        o->beta_start = defaults.beta_start, o->beta_end = defaults.beta_end;
}

static dm_schedule *schedule_with(dm_schedule_options change) {
    dm_schedule *schedule;
    set_unused(&change);
    ck_assert_msg(dm_schedule_create(&schedule, context, &change) == DM_OK, "%s",
                  dm_context_error(context));
    return schedule;
}

static void check_series(dm_schedule *schedule, int32_t series, int32_t t, double want) {
    int32_t count = dm_schedule_timesteps(schedule);
    double *values = malloc((size_t)count * sizeof *values);
    ck_assert_int_eq(dm_schedule_get_series(schedule, series, values, (size_t)count), DM_OK);
    ck_assert_msg(fabs(values[t] - want) <= 1e-9 * fabs(want) + 1e-15,
                  "series %d at %d is %.12g, not %.12g", (int)series, (int)t, values[t], want);
    free(values);
}

START_TEST(kinds_with_betas) {
    dm_schedule *s = schedule_with((dm_schedule_options){.kind = DM_SCHEDULE_SCALED_LINEAR,
                                                         .timesteps = 1000,
                                                         .beta_start = 0.00085,
                                                         .beta_end = 0.012});
    check_series(s, DM_SERIES_BETA, 0, 0.00085);
    check_series(s, DM_SERIES_BETA, 500,
                 pow(sqrt(0.00085) + (sqrt(0.012) - sqrt(0.00085)) * 500 / 999, 2));
    check_series(s, DM_SERIES_BETA, 999, 0.012);
    dm_schedule_destroy(s);
    s = schedule_with((dm_schedule_options){
        .kind = DM_SCHEDULE_SIGMOID, .timesteps = 1000, .beta_start = 1e-4, .beta_end = 0.02});
    check_series(s, DM_SERIES_BETA, 0, 1e-4 + 0.0199 / (1 + exp(6)));
    check_series(s, DM_SERIES_BETA, 999, 1e-4 + 0.0199 / (1 + exp(-6)));
    dm_schedule_destroy(s);
    s = schedule_with((dm_schedule_options){
        .timesteps = 250, .beta_start = 1e-4, .beta_end = 0.02, .scale_betas = 1});
    check_series(s, DM_SERIES_BETA, 0, 4e-4);
    check_series(s, DM_SERIES_BETA, 249, 0.08);
    dm_schedule_destroy(s);
}
END_TEST

/* sqrt(a) ends at 0, starts where it did, and stays proportional. */
START_TEST(zero_terminal_snr) {
    dm_schedule *plain = test_schedule(context, DM_SCHEDULE_LINEAR, 1000);
    dm_schedule *s = schedule_with((dm_schedule_options){
        .timesteps = 1000, .zero_terminal_snr = 1, .beta_start = 1e-4, .beta_end = 0.02});
    double before[1000], after[1000], beta[1000];
    ck_assert_int_eq(dm_schedule_get_series(plain, DM_SERIES_SQRT_ALPHA_CUMPROD, before, 1000),
                     DM_OK);
    ck_assert_int_eq(dm_schedule_get_series(s, DM_SERIES_SQRT_ALPHA_CUMPROD, after, 1000), DM_OK);
    ck_assert_int_eq(dm_schedule_get_series(s, DM_SERIES_BETA, beta, 1000), DM_OK);
    ck_assert_double_eq_tol(after[0], before[0], 1e-15);
    ck_assert_double_eq(after[999], 0);
    ck_assert_double_eq(beta[999], 1);
    for (int t = 1; t < 999; t++)
        ck_assert_double_eq_tol(after[t] / after[0],
                                (before[t] - before[999]) / (before[0] - before[999]), 1e-12);
    dm_schedule_destroy(plain);
    dm_schedule_destroy(s);
}
END_TEST

START_TEST(flow_and_edm) {
    dm_schedule *s = schedule_with(
        (dm_schedule_options){.kind = DM_SCHEDULE_FLOW, .timesteps = 100, .flow_shift = 3});
    check_series(s, DM_SERIES_NOISE, 99, 1);
    check_series(s, DM_SERIES_SIGNAL, 99, 0);
    check_series(s, DM_SERIES_NOISE, 49, 3 * 0.5 / (1 + 2 * 0.5));
    check_series(s, DM_SERIES_TIME, 49, 75);
    check_series(s, DM_SERIES_SIGMA, 49, 3);
    dm_schedule_destroy(s);
    /* Karras et al. 2022: 18 steps from 80 to 0.002 go by 57.586, 40.7856, 28.3746 ... 0.0075, in
     * single precision there. */
    static const double want[] = {80, 57.586, 40.7856, 28.3746};
    s = schedule_with((dm_schedule_options){
        .kind = DM_SCHEDULE_EDM, .timesteps = 18, .sigma_min = 0.002, .sigma_max = 80, .rho = 7});
    double sigma[18];
    ck_assert_int_eq(dm_schedule_get_series(s, DM_SERIES_SIGMA, sigma, 18), DM_OK);
    for (int i = 0; i < 4; i++) ck_assert_double_eq_tol(sigma[17 - i], want[i], 1e-3);
    ck_assert_double_eq_tol(sigma[1], 0.0075, 1e-4);
    check_series(s, DM_SERIES_NOISE, 0, 0.002);
    check_series(s, DM_SERIES_SIGNAL, 17, 1);
    check_series(s, DM_SERIES_TIME, 17, log(80.0) / 4);
    dm_schedule_destroy(s);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(options_refused) {
    const struct {
        dm_schedule_options options;
        const char *text;
    } bad[] = {
        {{.kind = DM_SCHEDULE_CUSTOM, .timesteps = 10}, "'kind' is 6 (custom)"},
        {{.kind = 7, .timesteps = 10, .beta_start = 0.1, .beta_end = 0.1}, "'kind' is 7"},
        {{.kind = -1, .timesteps = 10, .beta_start = 0.1, .beta_end = 0.1}, "'kind' is -1"},
        {{.timesteps = 0, .beta_start = 0.1, .beta_end = 0.1}, "'timesteps' is 0"},
        {{.timesteps = 100001, .beta_start = 0.1, .beta_end = 0.1}, "'timesteps' is 100001"},
        {{.timesteps = 10, .padding = 7, .beta_start = 0.1, .beta_end = 0.1}, "'padding'"},
        {{.timesteps = 10, .zero_terminal_snr = 2, .beta_start = 0.1, .beta_end = 0.1},
         "'zero_terminal_snr' is 2"},
        {{.timesteps = 1, .zero_terminal_snr = 1, .beta_start = 0.1, .beta_end = 0.1},
         "'zero_terminal_snr' cannot be combined with 'timesteps' 1"},
        {{.timesteps = 10, .zero_terminal_snr = 1, .beta_start = 1e-17, .beta_end = 1e-17},
         "'zero_terminal_snr' cannot be combined with these betas"},
        {{.kind = DM_SCHEDULE_SIGMOID,
          .timesteps = 1000,
          .zero_terminal_snr = 1,
          .beta_start = 0.1,
          .beta_end = 0.99999},
         "'zero_terminal_snr' cannot be combined with these betas"},
        {{.timesteps = 10, .scale_betas = 1, .beta_start = 0.1, .beta_end = 0.2},
         "'scale_betas' with 10 'timesteps'"},
        {{.kind = DM_SCHEDULE_COSINE, .timesteps = 10, .scale_betas = 1},
         "'scale_betas' cannot be combined with 'kind' 1 (cosine)"},
        {{.kind = DM_SCHEDULE_FLOW, .timesteps = 10, .flow_shift = 1, .float32_tables = 1},
         "'float32_tables' cannot be combined with 'kind' 4 (flow)"},
        {{.timesteps = 10, .terminal_signal = 1, .beta_start = 0.1, .beta_end = 0.1},
         "'terminal_signal' cannot be combined with 'zero_terminal_snr' 0"},
        {{.kind = DM_SCHEDULE_FLOW, .timesteps = 10}, "'flow_shift' is 0"},
        {{.kind = DM_SCHEDULE_FLOW, .timesteps = 10, .flow_shift = 1, .zero_terminal_snr = 1},
         "'zero_terminal_snr' cannot be combined with 'kind' 4 (flow)"},
        {{.kind = DM_SCHEDULE_EDM, .timesteps = 10, .sigma_max = 1, .rho = 7}, "'sigma_min' is 0"},
        {{.kind = DM_SCHEDULE_EDM, .timesteps = 10, .sigma_min = 2, .sigma_max = 1, .rho = 7},
         "'sigma_max' is 1"},
        {{.kind = DM_SCHEDULE_EDM, .timesteps = 10, .sigma_min = 1, .sigma_max = 2}, "'rho' is 0"},
        {{.timesteps = 10, .beta_start = 0, .beta_end = 0.1}, "'beta_start' is 0"},
        {{.timesteps = 10, .beta_start = NAN, .beta_end = 0.1}, "'beta_start' is"},
        {{.timesteps = 10, .beta_start = 0.1, .beta_end = 1}, "'beta_end' is 1"},
        {{.timesteps = 10, .beta_start = 0.1, .beta_end = -INFINITY}, "'beta_end' is not finite"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        dm_schedule_options o = bad[i].options;
        set_unused(&o);
        dm_schedule *schedule = (dm_schedule *)&o;
        ck_assert_int_eq(dm_schedule_create(&schedule, context, &o), DM_ERROR_INVALID_ARGUMENT);
        ck_assert_ptr_null(schedule);
        ck_assert_msg(strstr(dm_context_error(context), bad[i].text) != NULL, "\"%s\" lacks \"%s\"",
                      dm_context_error(context), bad[i].text);
    }
    const double nan_beta[] = {0.1, NAN}, large_beta[] = {0.1, 0.2, 1};
    dm_schedule *schedule;
    ck_assert_int_eq(dm_schedule_create_from_betas(&schedule, context, nan_beta, 2),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(dm_context_error(context), "beta 1 is"));
    ck_assert_int_eq(dm_schedule_create_from_betas(&schedule, context, large_beta, 3),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_nonnull(strstr(dm_context_error(context), "beta 2 is 1"));
    ck_assert_int_eq(dm_schedule_create_from_betas(&schedule, context, NULL, 3),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_schedule_create_from_betas(&schedule, context, large_beta, 0),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_schedule_create_from_betas(&schedule, context, large_beta, 100001),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_null(schedule);
}
END_TEST

START_TEST(calls_refused) {
    dm_schedule *schedule = test_schedule(context, DM_SCHEDULE_LINEAR, 10);
    double values[10];
    ck_assert_int_eq(dm_schedule_get_series(schedule, -1, values, 10), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_schedule_get_series(schedule, 15, values, 10), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_schedule_get_series(schedule, 0, values, 9), DM_ERROR_SHAPE_MISMATCH);
    ck_assert_int_eq(dm_schedule_get_series(schedule, 0, NULL, 10), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_schedule_get_series(NULL, 0, values, 10), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_schedule_create(NULL, context, NULL), DM_ERROR_INVALID_ARGUMENT);
    dm_schedule *none = schedule;
    ck_assert_int_eq(dm_schedule_create(&none, NULL, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_null(none);
    ck_assert_int_eq(dm_schedule_timesteps(NULL), 0);
    dm_schedule_destroy(schedule);
    dm_schedule_destroy(NULL);
}
END_TEST

Suite *test_schedule_suite(void);

Suite *test_schedule_suite(void) {
    Suite *suite = suite_create("schedule");
    TCase *tcase = tcase_create("schedule");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_test(tcase, linear_values);
    tcase_add_test(tcase, cosine_values);
    tcase_add_test(tcase, posterior_variance_values);
    tcase_add_loop_test(tcase, series_agree, DM_SCHEDULE_LINEAR, DM_SCHEDULE_COSINE + 1);
    tcase_add_test(tcase, one_timestep);
    tcase_add_test(tcase, extreme_betas);
    tcase_add_test(tcase, betas_of_the_caller);
    tcase_add_test(tcase, noise_added);
    tcase_add_test(tcase, kinds_with_betas);
    tcase_add_test(tcase, zero_terminal_snr);
    tcase_add_test(tcase, flow_and_edm);
    tcase_add_test(tcase, options_refused);
    tcase_add_test(tcase, calls_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
