/* SPDX-License-Identifier: MIT */
/* A solver's order: halving the steps divides the error as its order says, on a mixture of two
 * Gaussians, whose exact denoiser is known in closed form. Golden values cannot show this: they
 * would repeat another's mistake. */
#include "support/sampling.h"

enum { PIXELS = 8 };

/* x_0 is N(mean[k], deviation[k]^2) with probability weight[k]. */
static const double weight[2] = {0.3, 0.7}, mean[2] = {-0.6, 0.5}, deviation[2] = {0.3, 0.2};

/* E[x_0 | x = signal x_0 + noise eps]. */
static double denoised(double x, double signal, double noise) {
    double exponent[2], posterior[2], max;
    for (int k = 0; k < 2; k++) {
        double variance = signal * signal * deviation[k] * deviation[k] + noise * noise,
               off = x - signal * mean[k];
        exponent[k] = log(weight[k]) - 0.5 * log(variance) - off * off / (2 * variance);
        posterior[k] = mean[k] + signal * deviation[k] * deviation[k] / variance * off;
    }
    max = exponent[0] > exponent[1] ? exponent[0] : exponent[1];
    double a = exp(exponent[0] - max), b = exp(exponent[1] - max);
    return (a * posterior[0] + b * posterior[1]) / (a + b);
}

/* The time input is ln(sigma) / 4, which gives the level. */
static int32_t edm_mixture(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    float time = (float)input->time;
    (void)user;
    double sigma = exp(4 * (double)time), data = 0.5, both = sigma * sigma + data * data;
    for (size_t i = 0; i < size; i++) {
        double x = input->x[i] * sqrt(both);
        output[i] =
            (float)((denoised(x, 1, sigma) - data * data / both * x) / (sigma * data / sqrt(both)));
    }
    return 0;
}

/* The time input is s T. */
static int32_t flow_mixture(void *user, const dm_denoiser_input *input, float *output,
                            size_t size) {
    const float *x = input->x;
    float time = (float)input->time;
    double s = time / *(const double *)user;
    for (size_t i = 0; i < size; i++) {
        double x0 = denoised(x[i], 1 - s, s);
        output[i] = (float)((x[i] - x0) / s);
    }
    return 0;
}

/* The exact solution of dx = (x - E[x_0 | x]) / sigma dsigma, by fourth-order Runge-Kutta steps
 * over log sigma. */
static double exact(double x, double from, double to) {
    enum { FINE_STEPS = 4000 };
    double h = (log(to) - log(from)) / FINE_STEPS;
    for (int i = 0; i < FINE_STEPS; i++) {
        double s0 = exp(log(from) + i * h), s1 = exp(log(from) + (i + 0.5) * h),
               s2 = exp(log(from) + (i + 1) * h);
        double k1 = x - denoised(x, 1, s0), k2 = x + h / 2 * k1 - denoised(x + h / 2 * k1, 1, s1);
        double k3 = x + h / 2 * k2 - denoised(x + h / 2 * k2, 1, s1),
               k4 = x + h * k3 - denoised(x + h * k3, 1, s2);
        x += h / 6 * (k1 + 2 * k2 + 2 * k3 + k4);
    }
    return x;
}

static const double sigma_low = 0.1, sigma_high = 5,
                    many_timesteps = 10081; /* 10080 is a multiple of all numbers of intervals */

/* The largest error of PIXELS values after `intervals` steps from sigma_high to sigma_low. The last
 * step of the path, from the lowest level to itself, has length zero. */
static double edm_error(int32_t solver, int32_t order, int32_t intervals) {
    dm_schedule_options so;
    dm_schedule *edm;
    dm_sampler *sampler;
    ok(dm_schedule_options_init(&so, sizeof so));
    so.kind = DM_SCHEDULE_EDM;
    so.timesteps = (int32_t)many_timesteps;
    so.sigma_min = sigma_low;
    so.sigma_max = sigma_high;
    so.rho = 3;
    ok(dm_schedule_create(&edm, context, &so));
    dm_sampler_options o = test_sampler_options(solver, intervals + 1, DM_SPACING_LINSPACE);
    o.order = order;
    o.clip = 0;
    o.final_alpha_one = 0;
    o.lower_order_final = 0;
    ok(dm_sampler_create_with_denoiser(&sampler, context, edm,
                                       test_denoiser(edm_mixture, NULL, DM_PREDICT_EDM, 1, PIXELS,
                                                     1),
                                       &o));
    float start[PIXELS], images[PIXELS];
    for (int i = 0; i < PIXELS; i++) start[i] = (float)(sigma_high * (i - 3.4) / 3);
    dm_sampler_request r = test_sampler_request(1);
    r.initial_noise = start;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, PIXELS));
    double worst = 0;
    for (int i = 0; i < PIXELS; i++)
        worst = fmax(worst, fabs(images[i] - exact(start[i], sigma_high, sigma_low)));
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(edm);
    return worst;
}

static double flow_error(int32_t solver, int32_t intervals) {
    dm_schedule_options so;
    dm_schedule *flow;
    dm_sampler *sampler;
    double timesteps =
        1120; /* a multiple of the numbers of intervals; the last timestep is pure noise */
    ok(dm_schedule_options_init(&so, sizeof so));
    so.kind = DM_SCHEDULE_FLOW;
    so.timesteps = (int32_t)timesteps;
    ok(dm_schedule_create(&flow, context, &so));
    dm_sampler_options o = test_sampler_options(solver, intervals, DM_SPACING_TRAILING);
    o.clip = 0;
    ok(dm_sampler_create_with_denoiser(&sampler, context, flow,
                                       test_denoiser(flow_mixture, &timesteps, DM_PREDICT_FLOW, 1,
                                                     PIXELS, 1),
                                       &o));
    float start[PIXELS], images[PIXELS];
    for (int i = 0; i < PIXELS; i++) start[i] = (float)((i - 3.4) / 3);
    dm_sampler_request r = test_sampler_request(1);
    r.initial_noise = start;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, PIXELS));
    double worst = 0;
    /* x at s = 1 is eps, which sigma eps continues from where sigma is large. */
    for (int i = 0; i < PIXELS; i++)
        worst = fmax(worst, fabs(images[i] - exact(1e4 * start[i] + 0.17, 1e4, 1e-4)));
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(flow);
    return worst;
}

/* PNDM goes by timesteps with betas: sigma falls geometrically over them, from sigma_high to
 * sigma_low. */
static double sigma_at(double t) {
    return sigma_low * pow(sigma_high / sigma_low, t / (many_timesteps - 1));
}

static int32_t eps_mixture(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    const float *x = input->x;
    float time = (float)input->time;
    (void)user;
    double sigma = sigma_at(time), signal = 1 / sqrt(1 + sigma * sigma), noise = sigma * signal;
    for (size_t i = 0; i < size; i++)
        output[i] = (float)((x[i] - signal * denoised(x[i], signal, noise)) / noise);
    return 0;
}

static double pndm_error(int32_t intervals) {
    static double betas[10081];
    dm_schedule *geometric;
    dm_sampler *sampler;
    for (int t = 0; t < (int)many_timesteps; t++) {
        double before = t ? 1 / (1 + pow(sigma_at(t - 1), 2)) : 1;
        betas[t] = 1 - 1 / (1 + pow(sigma_at(t), 2)) / before;
    }
    ok(dm_schedule_create_from_betas(&geometric, context, betas, (size_t)many_timesteps));
    dm_sampler_options o = test_sampler_options(DM_SOLVER_PNDM, intervals + 1, DM_SPACING_LINSPACE);
    o.clip = 0;
    o.final_alpha_one = 0;
    ok(dm_sampler_create_with_denoiser(&sampler, context, geometric,
                                       test_denoiser(eps_mixture, NULL, DM_PREDICT_EPS, 1, PIXELS,
                                                     1),
                                       &o));
    float start[PIXELS], images[PIXELS];
    double signal_high = 1 / sqrt(1 + sigma_high * sigma_high),
           signal_low = 1 / sqrt(1 + sigma_low * sigma_low);
    for (int i = 0; i < PIXELS; i++) start[i] = (float)(signal_high * sigma_high * (i - 3.4) / 3);
    dm_sampler_request r = test_sampler_request(1);
    r.initial_noise = start;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, PIXELS));
    double worst = 0;
    for (int i = 0; i < PIXELS; i++)
        worst = fmax(worst, fabs(images[i] / signal_low -
                                 exact(start[i] / signal_high, sigma_high, sigma_low)));
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(geometric);
    return worst;
}

/* Orders as measured between the two finer numbers of steps must be within these bounds: an order
 * is what an error tends to. */
static const struct {
    int32_t solver, order, intervals; /* of the coarser run */
    double min, max;
} cases[] = {
    {DM_SOLVER_DDIM, 0, 72, 0.9, 1.1},         {DM_SOLVER_EULER, 0, 72, 0.9, 1.1},
    {DM_SOLVER_HEUN, 0, 36, 1.8, 2.3},         {DM_SOLVER_DPM2, 0, 36, 1.8, 2.3},
    {DM_SOLVER_PLMS, 0, 72, 1.8, 5},           {DM_SOLVER_LMS, 1, 72, 0.9, 1.1},
    {DM_SOLVER_LMS, 2, 72, 1.8, 2.3},          {DM_SOLVER_LMS, 3, 72, 2.7, 3.5},
    {DM_SOLVER_LMS, 4, 72, 2.9, 4.7}, /* its first steps are of lower order */
    {DM_SOLVER_DPMPP, 1, 72, 0.9, 1.1},        {DM_SOLVER_DPMPP, 2, 72, 1.8, 2.3},
    {DM_SOLVER_DPMPP, 3, 72, 2.6, 3.6},        {DM_SOLVER_DPMPP_SINGLE, 1, 72, 0.9, 1.1},
    {DM_SOLVER_DPMPP_SINGLE, 2, 72, 1.8, 2.3}, {DM_SOLVER_DPMPP_SINGLE, 3, 72, 1.8, 3.6},
    {DM_SOLVER_UNIPC, 1, 72, 1.6, 2.4},        {DM_SOLVER_UNIPC, 2, 72, 2.6, 3.6},
    {DM_SOLVER_UNIPC, 3, 72, 3.3, 4.8},        {DM_SOLVER_DEIS, 1, 72, 0.9, 1.1},
    {DM_SOLVER_DEIS, 2, 72, 1.8, 2.3},         {DM_SOLVER_DEIS, 3, 72, 2.7, 3.5},
};
enum { CASES = sizeof cases / sizeof cases[0] };

START_TEST(orders) {
    double coarse = edm_error(cases[_i].solver, cases[_i].order, cases[_i].intervals);
    double fine = edm_error(cases[_i].solver, cases[_i].order, 2 * cases[_i].intervals),
           order = log2(coarse / fine);
    ck_assert_msg(order >= cases[_i].min && order <= cases[_i].max,
                  "%s %d: order %.2f, errors %.3g and %.3g",
                  dm_enum_name("dm_solver", cases[_i].solver), (int)cases[_i].order, order, coarse,
                  fine);
}
END_TEST

START_TEST(flow_orders) {
    double euler =
        log2(flow_error(DM_SOLVER_FLOW_EULER, 70) / flow_error(DM_SOLVER_FLOW_EULER, 140));
    double heun = log2(flow_error(DM_SOLVER_FLOW_HEUN, 70) / flow_error(DM_SOLVER_FLOW_HEUN, 140));
    ck_assert_msg(euler > 0.9 && euler < 1.1 && heun > 1.8 && heun < 2.3, "order %.2f and %.2f",
                  euler, heun);
}
END_TEST

/* Of order 2, as Liu et al. (2022) prove: the weights are of order 4 in the timestep, but weigh eps
 * alone, while the step length in sigma, which changes from step to step, is taken as constant. */
START_TEST(pndm_order) {
    double coarse = pndm_error(72), fine = pndm_error(144), order = log2(coarse / fine);
    ck_assert_msg(order > 1.8 && order < 2.3, "order %.2f, errors %.3g and %.3g", order, coarse,
                  fine);
}
END_TEST

Suite *test_solver_order_suite(void);

Suite *test_solver_order_suite(void) {
    Suite *suite = suite_create("solver_order");
    TCase *tcase = tcase_create("solver_order");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 20);
    tcase_add_loop_test(tcase, orders, 0, CASES);
    tcase_add_test(tcase, flow_orders);
    tcase_add_test(tcase, pndm_order);
    suite_add_tcase(suite, tcase);
    return suite;
}
