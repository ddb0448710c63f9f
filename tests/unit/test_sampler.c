/* The sampler: which timesteps it visits, its coefficients, distributions whose exact denoiser is known, that a picture is
 * the same in any batch, callbacks, cancelling, and what is refused. */
#include "context.h"
#include "diffusion.h"
#include "solver.h"
#include "support/support.h"

enum { SIDE = 4, CHANNELS = 3, ELEMENTS = SIDE * SIDE * CHANNELS, STEPS = 8 };

static dm_context *context;
static dm_schedule *schedule;
static double alpha_cumprod[1000];

static void setup(void) {
    dm_context_options o;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = 2;
    ck_assert_int_eq(dm_context_create(&context, &o), DM_OK);
    ck_assert_int_eq(dm_schedule_create(&schedule, context, NULL), DM_OK);
    ck_assert_int_eq(dm_schedule_get(schedule, DM_SERIES_ALPHA_CUMPROD, alpha_cumprod, 1000), DM_OK);
}

static void teardown(void) {
    dm_schedule_destroy(schedule);
    uint64_t used;
    dm_context *fresh;
    dm_context_options o;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = 2;
    ck_assert_int_eq(dm_context_create(&fresh, &o), DM_OK);
    ck_assert_int_eq(dm_context_memory(fresh, &used, NULL, NULL), DM_OK);
    ck_assert_msg(context->host.used == used, "%llu bytes are in use, a fresh context has %llu",
                  (unsigned long long)context->host.used, (unsigned long long)used);
    dm_context_destroy(fresh);
    dm_context_destroy(context);
}

#define ok(call)                                                                                       \
    do {                                                                                               \
        int32_t status_ = (call);                                                                      \
        ck_assert_msg(status_ == DM_OK, "%s: %s", dm_status_name(status_), dm_context_error(context)); \
    } while (0)

#define fails(status, call, text)                                                                                 \
    do {                                                                                                          \
        int32_t status_ = (call);                                                                                 \
        ck_assert_msg(status_ == (status), "%s: %s", dm_status_name(status_), dm_context_error(context));         \
        ck_assert_msg(strstr(dm_context_error(context), (text)), "\"%s\" lacks \"%s\"", dm_context_error(context), (text)); \
    } while (0)

static dm_sampler_options options_of(int32_t solver, int32_t steps, int32_t spacing) {
    dm_sampler_options o;
    ck_assert_int_eq(dm_sampler_options_init(&o, sizeof o), DM_OK);
    o.solver = solver;
    o.steps = steps;
    o.spacing = spacing;
    return o;
}

static dm_sampler_request request_of(uint64_t count) {
    dm_sampler_request r;
    ck_assert_int_eq(dm_sampler_request_init(&r, sizeof r), DM_OK);
    r.count = count;
    return r;
}

static dm_sampler *sampler_of(dm_denoiser denoiser, void *user, int32_t prediction, const dm_sampler_options *o) {
    dm_sampler *sampler;
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule, denoiser, user, prediction, SIDE, SIDE, CHANNELS, o));
    return sampler;
}

/* A network without meaning, that depends on everything it should and on nothing else. */
static int32_t wave(void *user, float *output, const float *x_t, float timestep, const int32_t *labels, size_t count,
                    size_t elements) {
    (void)user;
    for (size_t n = 0; n < count; n++)
        for (size_t i = 0; i < elements; i++)
            output[n * elements + i] = sinf(2 * x_t[n * elements + i] + 0.001f * timestep + (labels ? (float)labels[n] : 0));
    return 0;
}

/* ---- timesteps ---- */

static void check_timesteps(dm_sampler_options o, const int32_t *want) {
    dm_sampler *sampler = sampler_of(wave, NULL, DM_PREDICT_EPS, &o);
    int32_t got[16];
    ck_assert_int_eq(dm_sampler_steps(sampler), o.steps);
    ok(dm_sampler_timesteps(sampler, got, (size_t)o.steps));
    for (int32_t i = 0; i < o.steps; i++)
        ck_assert_msg(got[i] == want[i], "timestep %d is %d, not %d", (int)i, (int)got[i], (int)want[i]);
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_timesteps(sampler, got, (size_t)o.steps + 1), "'count'");
    dm_sampler_destroy(sampler);
}

/* What numpy gives for the three formulas. 1000 / 16 = 62.5, so trailing has ties: 437.5 goes to 438, 312.5 to 312. */
START_TEST(spacings) {
    check_timesteps(options_of(0, 7, DM_SPACING_LEADING), (const int32_t[]){852, 710, 568, 426, 284, 142, 0});
    check_timesteps(options_of(0, 7, DM_SPACING_TRAILING), (const int32_t[]){999, 856, 713, 570, 428, 285, 142});
    check_timesteps(options_of(0, 7, DM_SPACING_LINSPACE), (const int32_t[]){999, 832, 666, 500, 333, 166, 0});
    check_timesteps(options_of(0, 16, DM_SPACING_TRAILING), (const int32_t[]){999, 937, 874, 811, 749, 687, 624, 561, 499, 437,
                                                                              374, 311, 249, 187, 124, 61});
    check_timesteps(options_of(0, 1, DM_SPACING_LEADING), (const int32_t[]){0});
    check_timesteps(options_of(0, 1, DM_SPACING_LINSPACE), (const int32_t[]){0});
    check_timesteps(options_of(0, 1, DM_SPACING_TRAILING), (const int32_t[]){999});
    dm_sampler_options o = options_of(0, 10, DM_SPACING_LEADING);
    o.steps_offset = 1;
    check_timesteps(o, (const int32_t[]){901, 801, 701, 601, 501, 401, 301, 201, 101, 1});
    int32_t list[] = {999, 3, 0};
    o = options_of(1, 3, DM_SPACING_CUSTOM);
    o.timesteps = list;
    check_timesteps(o, (const int32_t[]){999, 3, 0});
}
END_TEST

START_TEST(spacings_fall) {
    int32_t t[1000];
    for (int32_t steps = 1; steps <= 1000; steps++) {
        dm_sampler_options o = options_of(0, steps, _i);
        dm_sampler *sampler = sampler_of(wave, NULL, DM_PREDICT_EPS, &o);
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
    dm_sampler_options o = options_of(DM_SOLVER_DDIM, 2, DM_SPACING_CUSTOM);
    o.eta = 1;
    for (int i = 0; i < 4; i++) {
        dmi_solver_step step;
        dmi_solver_ddim.step(schedule, &o, want[i].pair, 2, 0, &step);
        ck_assert_double_eq_tol(step.noise * step.noise, want[i].variance, 1e-5);
    }
}
END_TEST

/* Over all timesteps, ancestral sampling is eq. 7's posterior, and DDIM with eta 1 is the same (Song et al. 2021, sec. 4.1). */
START_TEST(steps_are_the_posterior) {
    double mean_x0[1000], mean_xt[1000], variance[1000], beta[1000];
    ok(dm_schedule_get(schedule, DM_SERIES_POSTERIOR_MEAN_X0, mean_x0, 1000));
    ok(dm_schedule_get(schedule, DM_SERIES_POSTERIOR_MEAN_XT, mean_xt, 1000));
    ok(dm_schedule_get(schedule, DM_SERIES_POSTERIOR_VARIANCE, variance, 1000));
    ok(dm_schedule_get(schedule, DM_SERIES_BETA, beta, 1000));
    int32_t all[1000];
    for (int32_t i = 0; i < 1000; i++) all[i] = 999 - i;
    dm_sampler_options o = options_of(DM_SOLVER_DDPM, 1000, DM_SPACING_LEADING);
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
                dm_sampler_options o = options_of(DM_SOLVER_DDIM, 1, DM_SPACING_LEADING);
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
        dm_sampler_options o = options_of(solver, short_one ? 1 : 20, DM_SPACING_TRAILING);
        o.rederive_eps = 1;
        dm_sampler *sampler;
        ok(dm_sampler_create_with_denoiser(&sampler, context, extreme, wave, NULL, prediction, SIDE, SIDE, CHANNELS, &o));
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
        output[i] = (float)(prediction == DM_PREDICT_EPS ? eps : prediction == DM_PREDICT_X0 ? x0 : sqrt(a) * eps - sqrt(1 - a) * x0);
    }
    return 0;
}

/* DDIM follows an ODE, here the line from a quantile of x_T to the same quantile of the data: by Euler's method, so twice
 * the steps halve the error. */
static double ddim_error(int32_t prediction, int32_t steps) {
    enum { COUNT = 4, TOTAL = COUNT * ELEMENTS };
    dm_sampler_options o = options_of(DM_SOLVER_DDIM, steps, DM_SPACING_TRAILING);
    o.clip = 0;
    dm_sampler *sampler = sampler_of(gauss, &prediction, prediction, &o);
    float start[TOTAL], images[TOTAL];
    double want[TOTAL], a = alpha_cumprod[999];
    test_fill(start, TOTAL, 5, 2);
    for (int i = 0; i < TOTAL; i++)
        want[i] = gauss_mean + gauss_deviation * (start[i] - sqrt(a) * gauss_mean) /
                                   sqrt(a * gauss_deviation * gauss_deviation + 1 - a);
    dm_sampler_request r = request_of(COUNT);
    r.start = start;
    ok(dm_sampler_run(sampler, &r, images, TOTAL));
    dm_sampler_destroy(sampler);
    return test_error_d(images, want, TOTAL);
}

START_TEST(ddim_on_a_gaussian) {
    double coarse = ddim_error(_i, 500), fine = ddim_error(_i, 1000);
    ck_assert_msg(fine < 0.0045, "prediction %d: relative error %.4g", _i, fine);
    ck_assert_msg(coarse > 1.9 * fine && coarse < 2.05 * fine, "prediction %d: %.4g with 500 steps, %.4g with 1000", _i, coarse,
                  fine);
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
    dm_sampler_options o = options_of(_i < 2 ? DM_SOLVER_DDPM : DM_SOLVER_DDIM, 1000, DM_SPACING_TRAILING);
    o.clip = 0;
    o.batch_size = 64;
    o.variance = _i == 0 ? DM_VARIANCE_FIXED_SMALL : DM_VARIANCE_FIXED_LARGE;
    o.eta = _i < 2 ? 0 : 1;
    int32_t prediction = DM_PREDICT_V;
    dm_sampler *sampler = sampler_of(gauss, &prediction, prediction, &o);
    float *images = malloc(TOTAL * sizeof *images);
    dm_sampler_request r = request_of(COUNT);
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

/* ---- one picture, whatever its batch ---- */

START_TEST(alone_and_in_batches) {
    enum { COUNT = 7, TOTAL = COUNT * ELEMENTS };
    dm_sampler_options o = options_of(_i, STEPS, DM_SPACING_TRAILING);
    o.eta = _i == DM_SOLVER_DDIM ? 0.5 : 0;
    const int32_t labels[COUNT] = {3, 1, -1, 0, 5, 2, 2};
    const uint64_t seeds[COUNT] = {100, 101, 102, 103, 104, 105, 106};
    float whole[TOTAL], other[TOTAL];
    o.batch_size = 16;
    dm_sampler *sampler = sampler_of(wave, NULL, DM_PREDICT_V, &o);
    dm_sampler_request r = request_of(COUNT);
    r.seed = 100;
    r.labels = labels;
    ok(dm_sampler_run(sampler, &r, whole, TOTAL));
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < i; k++) ck_assert(memcmp(whole + i * ELEMENTS, whole + k * ELEMENTS, sizeof(float) * ELEMENTS) != 0);
    ok(dm_sampler_run(sampler, &r, other, TOTAL));
    ck_assert_mem_eq(other, whole, sizeof whole);
    r.seed = 5;
    r.seeds = seeds;
    ok(dm_sampler_run(sampler, &r, other, TOTAL));
    ck_assert_mem_eq(other, whole, sizeof whole);
    for (int i = 0; i < COUNT; i++) {
        dm_sampler_request one = request_of(1);
        one.seed = 100 + (uint64_t)i;
        one.labels = &labels[i];
        ok(dm_sampler_run(sampler, &one, other, ELEMENTS));
        ck_assert_mem_eq(other, whole + i * ELEMENTS, ELEMENTS * sizeof(float));
    }
    dm_sampler_destroy(sampler);
    o.batch_size = 3;
    sampler = sampler_of(wave, NULL, DM_PREDICT_V, &o);
    ok(dm_sampler_run(sampler, &r, other, TOTAL));
    ck_assert_mem_eq(other, whole, sizeof whole);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(runs_allocate_once) {
    dm_sampler_options o = options_of(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    dm_sampler *sampler = sampler_of(wave, NULL, DM_PREDICT_V, &o);
    float images[4 * ELEMENTS];
    dm_sampler_request r = request_of(4);
    ok(dm_sampler_run(sampler, &r, images, 4 * ELEMENTS));
    uint64_t before, after;
    ok(dm_context_memory(context, NULL, NULL, &before));
    ok(dm_sampler_run(sampler, &r, images, 4 * ELEMENTS));
    r.count = 2;
    ok(dm_sampler_run(sampler, &r, images, 2 * ELEMENTS));
    ok(dm_context_memory(context, NULL, NULL, &after));
    ck_assert_uint_eq(after, before);
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- callbacks ---- */

typedef struct record {
    dm_sampler *sampler;
    int32_t calls, steps[64];
    size_t firsts[64], counts[64];
    int32_t fail_at, answer; /* the call that answers, and what */
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
    return log->calls == log->fail_at ? log->answer : 0;
}

static int32_t progress(void *user, int32_t step, int32_t steps, const float *x_t, const float *x_0, size_t first, size_t count) {
    record *log = user;
    ck_assert_int_eq(steps, STEPS);
    ck_assert_uint_le(count, 2);
    memcpy(log->x_t, x_t, count * ELEMENTS * sizeof(float));
    memcpy(log->x_0, x_0, count * ELEMENTS * sizeof(float));
    return note(log, step, first, count);
}

static int32_t noise_source(void *user, int32_t step, float *noise, size_t first, size_t count, size_t elements) {
    ck_assert_uint_eq(elements, ELEMENTS);
    for (size_t n = 0; n < count; n++) test_fill(noise + n * elements, elements, (uint64_t)step * 1000 + first + n, 1);
    return note(user, step, first, count);
}

START_TEST(progress_is_told) {
    dm_sampler_options o = options_of(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    o.batch_size = 2;
    dm_sampler *sampler = sampler_of(wave, NULL, DM_PREDICT_V, &o);
    float images[3 * ELEMENTS];
    record log = {0};
    dm_sampler_request r = request_of(3);
    r.progress = progress;
    r.progress_user = &log;
    ok(dm_sampler_run(sampler, &r, images, 3 * ELEMENTS));
    ck_assert_int_eq(log.calls, 2 * STEPS);
    for (int i = 0; i < log.calls; i++) {
        ck_assert_int_eq(log.steps[i], i % STEPS + 1);
        ck_assert_uint_eq(log.firsts[i], i < STEPS ? 0 : 2);
        ck_assert_uint_eq(log.counts[i], i < STEPS ? 2 : 1);
    }
    /* The last step adds no noise: the picture is the x_0 predicted there. */
    ck_assert_mem_eq(log.x_t, images + 2 * ELEMENTS, ELEMENTS * sizeof(float));
    test_close(log.x_t, log.x_0, ELEMENTS, 1e-6);
    for (int i = 0; i < ELEMENTS; i++) ck_assert(fabsf(log.x_0[i]) <= 1);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(noise_of_the_caller) {
    dm_sampler_options o = options_of(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    o.batch_size = 2;
    dm_sampler *sampler = sampler_of(wave, NULL, DM_PREDICT_V, &o);
    float images[3 * ELEMENTS], again[3 * ELEMENTS], start[3 * ELEMENTS];
    record log = {0};
    dm_sampler_request r = request_of(3);
    r.noise = noise_source;
    r.noise_user = &log;
    ok(dm_sampler_run(sampler, &r, images, 3 * ELEMENTS));
    /* Steps 0 to 7 for two batches: the last step adds none. */
    ck_assert_int_eq(log.calls, 2 * STEPS);
    for (int i = 0; i < log.calls; i++) {
        ck_assert_int_eq(log.steps[i], i % STEPS);
        ck_assert_uint_eq(log.firsts[i], i < STEPS ? 0 : 2);
        ck_assert_uint_eq(log.counts[i], i < STEPS ? 2 : 1);
    }
    /* A start takes the place of step 0 alone. */
    for (size_t n = 0; n < 3; n++) test_fill(start + n * ELEMENTS, ELEMENTS, n, 1);
    r.start = start;
    log = (record){0};
    ok(dm_sampler_run(sampler, &r, again, 3 * ELEMENTS));
    ck_assert_mem_eq(again, images, sizeof images);
    ck_assert_int_eq(log.calls, 2 * STEPS - 2);
    dm_sampler_destroy(sampler);

    /* DDIM with eta 0 asks for the start only. */
    o.solver = DM_SOLVER_DDIM;
    sampler = sampler_of(wave, NULL, DM_PREDICT_V, &o);
    log = (record){0};
    r.start = NULL;
    ok(dm_sampler_run(sampler, &r, again, 3 * ELEMENTS));
    ck_assert_int_eq(log.calls, 2);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(callbacks_fail) {
    dm_sampler_options o = options_of(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    dm_sampler *sampler = sampler_of(wave, NULL, DM_PREDICT_V, &o);
    float images[ELEMENTS];
    record log = {.fail_at = 1, .answer = 7};
    dm_sampler_request r = request_of(1);
    r.noise = noise_source;
    r.noise_user = &log;
    fails(DM_ERROR_CALLBACK_FAILED, dm_sampler_run(sampler, &r, images, ELEMENTS), "noise source returned 7 at step 0");
    log = (record){.fail_at = 4, .answer = -1};
    fails(DM_ERROR_CALLBACK_FAILED, dm_sampler_run(sampler, &r, images, ELEMENTS), "returned -1 at step 3");
    r.noise = NULL;
    r.progress = progress;
    log = (record){.fail_at = 2, .answer = 1};
    r.progress_user = &log;
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, &r, images, ELEMENTS), "after step 2 of 8");
    ck_assert_int_eq(log.calls, 2);
    log = (record){0};
    ok(dm_sampler_run(sampler, &r, images, ELEMENTS));
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(cancelled) {
    dm_sampler_options o = options_of(DM_SOLVER_DDIM, STEPS, DM_SPACING_TRAILING);
    dm_sampler *sampler = sampler_of(wave, NULL, DM_PREDICT_V, &o);
    float images[ELEMENTS];
    record log = {.sampler = sampler, .cancel_at = 3};
    dm_sampler_request r = request_of(1);
    r.progress = progress;
    r.progress_user = &log;
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, &r, images, ELEMENTS), "after step 3 of 8");
    ck_assert_int_eq(log.calls, 3);
    /* Even after the last step. */
    log = (record){.sampler = sampler, .cancel_at = STEPS};
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, &r, images, ELEMENTS), "after step 8 of 8");
    /* One that comes before the run stops it, and is then spent. */
    dm_sampler_cancel(sampler);
    log = (record){0};
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, &r, images, ELEMENTS), "after step 0 of 8");
    ck_assert_int_eq(log.calls, 0);
    ok(dm_sampler_run(sampler, &r, images, ELEMENTS));
    dm_sampler_cancel(NULL);
    dm_sampler_destroy(sampler);
}
END_TEST

/* NaN in picture 2 from the timestep that `user` points to on; a negative one is an error instead. */
static int32_t breaks(void *user, float *output, const float *x_t, float timestep, const int32_t *labels, size_t count,
                      size_t elements) {
    float from = *(const float *)user;
    if (from < 0) return 42;
    wave(NULL, output, x_t, timestep, labels, count, elements);
    if (timestep <= from) output[(count > 2 ? 2 : 0) * elements + 5] = NAN;
    return 0;
}

static int32_t nan_noise(void *user, int32_t step, float *noise, size_t first, size_t count, size_t elements) {
    (void)first;
    for (size_t i = 0; i < count * elements; i++) noise[i] = 0.5f;
    if (step == *(const int32_t *)user) noise[elements] = INFINITY;
    return 0;
}

START_TEST(not_finite) {
    float from = 500, images[4 * ELEMENTS];
    dm_sampler_options o = options_of(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    dm_sampler *sampler = sampler_of(breaks, &from, DM_PREDICT_V, &o);
    dm_sampler_request r = request_of(4);
    fails(DM_ERROR_NOT_FINITE, dm_sampler_run(sampler, &r, images, 4 * ELEMENTS),
          "output is infinite or not a number in picture 2 at step 5 of 8 (timestep 499)");
    from = -1;
    fails(DM_ERROR_CALLBACK_FAILED, dm_sampler_run(sampler, &r, images, 4 * ELEMENTS), "denoiser returned 42 at step 1");
    from = 0;
    int32_t step = 3;
    r.noise = nan_noise;
    r.noise_user = &step;
    fails(DM_ERROR_NOT_FINITE, dm_sampler_run(sampler, &r, images, 4 * ELEMENTS), "the noise is infinite");
    ck_assert_ptr_nonnull(strstr(dm_context_error(context), "picture 1 at step 3 of 8"));
    step = 0;
    fails(DM_ERROR_NOT_FINITE, dm_sampler_run(sampler, &r, images, 4 * ELEMENTS), "noise to start from");
    float start[4 * ELEMENTS] = {0};
    start[3 * ELEMENTS] = NAN;
    r.start = start;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, images, 4 * ELEMENTS), "'start' of picture 3");
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(options_refused) {
    static const int32_t rising[] = {5, 5}, outside[] = {1000, 3}, negative[] = {4, -1};
    const struct {
        dm_sampler_options change; /* over the defaults, where not 0 */
        const char *text;
    } bad[] = {
        {{.solver = 2}, "'solver' is 2"},
        {{.solver = -1}, "'solver' is -1"},
        {{.steps = 1001}, "'steps' is 1001"},
        {{.steps = -1}, "'steps' is -1"},
        {{.spacing = 4}, "'spacing' is 4"},
        {{.spacing = DM_SPACING_CUSTOM, .steps = 2}, "'timesteps' is NULL"},
        {{.spacing = DM_SPACING_CUSTOM, .steps = 2, .timesteps = rising}, "timestep 1 of the list is 5"},
        {{.spacing = DM_SPACING_CUSTOM, .steps = 2, .timesteps = outside}, "timestep 0 of the list is 1000"},
        {{.spacing = DM_SPACING_CUSTOM, .steps = 2, .timesteps = negative}, "timestep 1 of the list is -1"},
        {{.timesteps = negative}, "'spacing' is 1"},
        {{.steps_offset = 1}, "only leading"},
        {{.variance = 2}, "'variance' is 2"},
        {{.clip = 2}, "'clip' is 2"},
        {{.rederive_eps = -1}, "'rederive_eps' is -1"},
        {{.final_alpha_one = 3}, "'final_alpha_one' is 3"},
        {{.batch_size = 4097}, "'batch_size' is 4097"},
        {{.batch_size = -1}, "'batch_size' is -1"},
        {{.eta = 1.5}, "'eta' is 1.5"},
        {{.eta = -0.5}, "'eta' is -0.5"},
        {{.eta = NAN}, "'eta' is"},
    };
    dm_sampler *sampler;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const dm_sampler_options *c = &bad[i].change;
        dm_sampler_options o = options_of(c->solver ? c->solver : DM_SOLVER_DDIM, c->steps ? c->steps : 50,
                                          c->spacing ? c->spacing : DM_SPACING_TRAILING);
        o.timesteps = c->timesteps;
        o.steps_offset = c->steps_offset;
        if (c->variance) o.variance = c->variance;
        if (c->clip) o.clip = c->clip;
        if (c->rederive_eps) o.rederive_eps = c->rederive_eps;
        if (c->final_alpha_one) o.final_alpha_one = c->final_alpha_one;
        if (c->batch_size) o.batch_size = c->batch_size;
        o.eta = c->eta;
        fails(DM_ERROR_INVALID_ARGUMENT,
              dm_sampler_create_with_denoiser(&sampler, context, schedule, wave, NULL, DM_PREDICT_EPS, 8, 8, 3, &o),
              bad[i].text);
        ck_assert_ptr_null(sampler);
    }
    dm_sampler_options o = options_of(DM_SOLVER_DDPM, 50, DM_SPACING_TRAILING);
    o.eta = 0.5;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, wave, NULL, 0, 8, 8, 3, &o), "only the DDIM solver");
    o = options_of(DM_SOLVER_DDIM, 10, DM_SPACING_LEADING);
    o.steps_offset = 100;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, wave, NULL, 0, 8, 8, 3, &o), "'steps_offset' is 100");
    static const struct {
        int32_t prediction, height, width, channels;
        const char *text;
    } shapes[] = {{3, 8, 8, 3, "'prediction' is 3"}, {0, 0, 8, 3, "'height' is 0"}, {0, 8, -8, 3, "'width' is -8"},
                  {0, 8, 8, 0, "'channels' is 0"}, {0, 65537, 8, 3, "'height' is 65537"}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        fails(DM_ERROR_INVALID_ARGUMENT,
              dm_sampler_create_with_denoiser(&sampler, context, schedule, wave, NULL, shapes[i].prediction, shapes[i].height,
                                              shapes[i].width, shapes[i].channels, NULL),
              shapes[i].text);
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_create_with_denoiser(&sampler, context, NULL, wave, NULL, 0, 8, 8, 3, NULL),
          "'schedule' is NULL");
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, NULL, NULL, 0, 8, 8, 3, NULL), "'denoiser' is NULL");
    ck_assert_int_eq(dm_sampler_create(&sampler, NULL, schedule, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_sampler_run(NULL, NULL, NULL, 0), DM_ERROR_INVALID_ARGUMENT);
    dm_sampler_destroy(NULL);
}
END_TEST

START_TEST(requests_refused) {
    dm_sampler *sampler = sampler_of(wave, NULL, DM_PREDICT_V, NULL);
    float images[2 * ELEMENTS];
    dm_sampler_request r = request_of(0);
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, images, 0), "'count' is 0");
    r.count = 65537;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, images, 0), "'count' is 65537");
    r.count = 2;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, images, ELEMENTS), "'elements' is 48");
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, NULL, 2 * ELEMENTS), "'images' is NULL");
    r.reserved = 1;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, images, 2 * ELEMENTS), "'reserved' is 1");
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- memory that runs out ---- */

typedef struct meagre {
    int64_t left; /* allocations that succeed */
} meagre;

static void *meagre_allocate(void *user, size_t size) {
    meagre *m = user;
    return m->left-- > 0 ? malloc(size) : NULL;
}

static void meagre_release(void *user, void *pointer, size_t size) {
    (void)user, (void)size;
    free(pointer);
}

START_TEST(every_allocation_may_fail) {
    meagre m = {1 << 20};
    dm_context *own;
    dm_context_options c;
    ok(dm_context_options_init(&c, sizeof c));
    c.threads = 1;
    c.allocate = meagre_allocate;
    c.release = meagre_release;
    c.allocator_user = &m;
    ok(dm_context_create(&own, &c));
    uint64_t before, after;
    ok(dm_context_memory(own, &before, NULL, NULL));
    int32_t status = DM_ERROR_OUT_OF_MEMORY, tries = 0;
    for (; status != DM_OK && tries < 100; tries++) {
        m.left = tries;
        dm_schedule *s = NULL;
        dm_sampler *sampler = NULL;
        float images[ELEMENTS];
        status = dm_schedule_create(&s, own, NULL);
        if (!status) status = dm_sampler_create_with_denoiser(&sampler, own, s, wave, NULL, 2, SIDE, SIDE, CHANNELS, NULL);
        if (!status) status = dm_sampler_run(sampler, NULL, images, ELEMENTS);
        ck_assert(status == DM_OK || status == DM_ERROR_OUT_OF_MEMORY);
        dm_sampler_destroy(sampler);
        dm_schedule_destroy(s);
        ok(dm_context_memory(own, &after, NULL, NULL));
        ck_assert_uint_eq(after, before);
    }
    ck_assert_int_eq(status, DM_OK);
    ck_assert_int_gt(tries, 10);
    dm_context_destroy(own);
}
END_TEST

/* ---- with a network of the library's ---- */

static dm_unet *network_of(int32_t classes, int32_t out_channels) {
    dm_unet_options u;
    ok(dm_unet_options_preset(&u, sizeof u, DM_PRESET_TINY));
    u.height = u.width = 16;
    u.classes = classes;
    u.out_channels = out_channels;
    u.prediction = DM_PREDICT_V;
    dm_unet *unet;
    ok(dm_unet_create(&unet, context, &u, 3));
    return unet;
}

START_TEST(network_in_batches) {
    enum { COUNT = 5, PICTURE = 16 * 16 * 3, TOTAL = COUNT * PICTURE };
    static float whole[TOTAL], other[TOTAL];
    const int32_t labels[COUNT] = {0, 3, -1, 4, 1};
    dm_unet *unet = network_of(4, 3);
    dm_sampler_options o = options_of(DM_SOLVER_DDPM, 3, DM_SPACING_TRAILING);
    dm_sampler *sampler;
    dm_sampler_request r = request_of(COUNT);
    r.labels = labels;
    o.batch_size = COUNT;
    ok(dm_sampler_create(&sampler, unet, schedule, &o));
    ok(dm_sampler_run(sampler, &r, whole, TOTAL));
    dm_sampler_destroy(sampler);
    for (o.batch_size = 1; o.batch_size < COUNT; o.batch_size++) {
        ok(dm_sampler_create(&sampler, unet, schedule, &o));
        ok(dm_sampler_run(sampler, &r, other, TOTAL));
        ck_assert_mem_eq(other, whole, sizeof whole);
        dm_sampler_destroy(sampler);
    }
    dm_unet_destroy(unet);
}
END_TEST

START_TEST(network_refused) {
    float images[768];
    const int32_t label = 5;
    dm_sampler *sampler;
    dm_sampler_request r = request_of(1);
    r.labels = &label;
    dm_unet *unet = network_of(0, 3);
    ok(dm_sampler_create(&sampler, unet, schedule, NULL));
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, images, 768), "the network has no classes");
    dm_sampler_destroy(sampler);
    dm_unet_destroy(unet);
    unet = network_of(4, 3);
    ok(dm_sampler_create(&sampler, unet, schedule, NULL));
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, images, 768), "the label of picture 0 is 5");
    dm_sampler_destroy(sampler);
    dm_unet_destroy(unet);
    unet = network_of(0, 6);
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_create(&sampler, unet, schedule, NULL), "3 channels in and 6 out");
    ck_assert_ptr_null(sampler);
    dm_unet_destroy(unet);
}
END_TEST

Suite *test_sampler_suite(void);

Suite *test_sampler_suite(void) {
    Suite *suite = suite_create("sampler");
    TCase *tcase = tcase_create("sampler");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, spacings);
    tcase_add_loop_test(tcase, spacings_fall, DM_SPACING_LEADING, DM_SPACING_LINSPACE + 1);
    tcase_add_test(tcase, ddim_variance_figures);
    tcase_add_test(tcase, steps_are_the_posterior);
    tcase_add_test(tcase, predictions_agree);
    tcase_add_test(tcase, extreme_schedules_stay_finite);
    tcase_add_loop_test(tcase, ddim_on_a_gaussian, DM_PREDICT_EPS, DM_PREDICT_V + 1);
    tcase_add_loop_test(tcase, noisy_solvers_on_a_gaussian, 0, 3);
    tcase_add_loop_test(tcase, alone_and_in_batches, DM_SOLVER_DDPM, DM_SOLVER_DDIM + 1);
    tcase_add_test(tcase, runs_allocate_once);
    tcase_add_test(tcase, progress_is_told);
    tcase_add_test(tcase, noise_of_the_caller);
    tcase_add_test(tcase, callbacks_fail);
    tcase_add_test(tcase, cancelled);
    tcase_add_test(tcase, not_finite);
    tcase_add_test(tcase, options_refused);
    tcase_add_test(tcase, requests_refused);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_test(tcase, network_in_batches);
    tcase_add_test(tcase, network_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
