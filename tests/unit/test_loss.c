/* SPDX-License-Identifier: MIT */
/* The loss of given outputs against naive loops in double precision: Huber's and the hybrid one,
 * whose gradients are also differences of the loop, and the weights and importances of images. */
#include "support/kernels.h"

#include "diffusion.h"
#include "diffusion/loss_weight.h"
#include "diffusion/schedule.h"
#include "support/refusal.h"
#include "support/schedule.h"
#include "train/loss.h"

enum { IMAGES = 3, PIXELS = 25, CHANNELS = 3, N = PIXELS * CHANNELS };

static const double lambda = 0.37, values = 1000; /* any numbers will do */

static dm_context *context_of(int32_t threads) {
    dm_context *context;
    dm_context_options o;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = threads;
    ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
    return context;
}

/* ---- Huber ---- */

typedef struct huber_case {
    double delta;
    const float *target;
    size_t count;
} huber_case;

static double naive_huber(const void *shape, const double *output) {
    const huber_case *c = shape;
    double sum = 0;
    for (size_t i = 0; i < c->count; i++) {
        double u = (output[i] - c->target[i]) / c->delta;
        sum += 2 * c->delta * c->delta * (sqrt(1 + u * u) - 1);
    }
    return sum;
}

/* d^2 where d is small, 2 delta |d| where it is large, and all between; of lengths that no vector
 * divides. */
START_TEST(huber_follows_the_loop) {
    static const double deltas[] = {0.03, 0.3, 30};
    for (int isa = 0; isa < ISAS; isa++)
        for (size_t k = 0; kernels_of(isa) && k < 3; k++) {
            const size_t n = 197;
            float *output = uniform(n, 1, 1), *target = uniform(n, 2, 1),
                  *gradient = uniform(n, 3, 0);
            double *want = doubles(n), *at = widened(output, n);
            huber_case c = {deltas[k], target, n};
            for (size_t i = 0; i < n; i++)
                want[i] = 2 * (at[i] - target[i]) / sqrt(1 + pow((at[i] - target[i]) / c.delta, 2));
            check_gradient("huber", naive_huber, &c, at, want, n);
            double sum = kernels_of(isa)->huber(gradient, output, target, 2, (float)c.delta, n);
            check_near("huber", gradient, want, n, 3e-7);
            ck_assert_double_eq_tol(sum / naive_huber(&c, at), 1,
                                    1e-6); /* delta is rounded to a float */
            release();
        }
}
END_TEST

/* An error whose square no float holds is not lost. */
START_TEST(huber_of_large_errors) {
    float output = 3e30f, target = 0, gradient;
    double sum = dmi_kernels_for(dmi_cpu_isa())->huber(&gradient, &output, &target, 2, 0.5f, 1);
    ck_assert_double_eq_tol(sum / 3e30, 1, 1e-6); /* 2 delta |d| */
    ck_assert_float_eq_tol(gradient, 1, 1e-6f);   /* 2 delta */
}
END_TEST

/* ---- the hybrid loss ---- */

typedef struct bound_case {
    int32_t t;
    const double *a, *log_posterior, *of_x0, *of_xt; /* series of the schedule */
    double beta;
    const float *x_0, *eps; /* [N] */
    const double
        *guess; /* [N]: eps as predicted, a constant that the bound's gradient leaves alone */
} bound_case;

static double normal_below(double x) { return 0.5 * (1 + erf(x / sqrt(2))); }

/* The term in bits, from means, variances and probabilities (improved-diffusion, _vb_terms_bpd), of
 * the shares v [N]. */
static double naive_bound(const void *shape, const double *v) {
    const bound_case *c = shape;
    double sum = 0, a = c->a[c->t];
    for (size_t i = 0; i < N; i++) {
        double x_t = sqrt(a) * c->x_0[i] + sqrt(1 - a) * c->eps[i],
               x_0 = (x_t - sqrt(1 - a) * c->guess[i]) / sqrt(a);
        double share = (v[i] + 1) / 2,
               log_variance = share * log(c->beta) + (1 - share) * c->log_posterior[c->t];
        double is = c->of_x0[c->t] * c->x_0[i] + c->of_xt[c->t] * x_t,
               predicted = c->of_x0[c->t] * x_0 + c->of_xt[c->t] * x_t;
        if (c->t > 0) {
            sum += 0.5 * (log_variance - c->log_posterior[c->t] - 1 +
                          exp(c->log_posterior[c->t] - log_variance) +
                          (is - predicted) * (is - predicted) / exp(log_variance));
            continue;
        }
        double wide = exp(log_variance / 2);
        double above =
            c->x_0[i] > 0.999f ? 1 : normal_below((c->x_0[i] + 1 / 255.0 - predicted) / wide);
        double below =
            c->x_0[i] < -0.999f ? 0 : normal_below((c->x_0[i] - 1 / 255.0 - predicted) / wide);
        sum -= log(above - below);
    }
    return sum / log(2);
}

/* Outputs of three images at a timestep: eps near the truth, and any share. x_0 are values of
 * bytes, the first and the last of them too. */
typedef struct hybrid {
    float x_0[IMAGES * N], eps[IMAGES * N], input[IMAGES * 2 * N], output[IMAGES * 2 * N],
        gradient[IMAGES * 2 * N];
    float scratch[4 * 2 * N];
    double losses[IMAGES];
    dmi_loss_term terms[IMAGES];
} hybrid;

static size_t in_rows(size_t i) { return i / CHANNELS * 2 * CHANNELS + i % CHANNELS; }

/* The input has the previous input of the network at x_t's side, as with self-conditioning. */
static void fill_hybrid(hybrid *h, const dm_schedule *schedule, int32_t t) {
    double a = schedule->alpha_cumprod[t];
    test_fill(h->x_0, IMAGES * N, 5, 1.1f);
    test_fill(h->eps, IMAGES * N, 6, 1.7f);
    test_fill(h->output, IMAGES * 2 * N, 7, 1);
    test_fill(h->input, IMAGES * 2 * N, 8, 1);
    for (size_t i = 0; i < IMAGES * N; i++) {
        double byte = fmin(fmax(round((h->x_0[i] + 1) * 127.5), 0), 255);
        h->x_0[i] = (float)(byte / 127.5 - 1);
        h->input[in_rows(i)] = (float)(sqrt(a) * h->x_0[i] + sqrt(1 - a) * h->eps[i]);
        h->output[in_rows(i)] = h->eps[i] + 0.2f * h->output[in_rows(i)];
    }
    for (int32_t i = 0; i < IMAGES; i++)
        h->terms[i] = (dmi_loss_term){.weight = 0.5 + i,
                                      .importance_weight = 1 + 0.25 * i,
                                      .bound = dmi_loss_bound(schedule, t)};
}

static double run_hybrid(hybrid *h, const dm_context *context) {
    dmi_loss loss = {.kernels = context->kernels,
                     .kind = DM_LOSS_HYBRID,
                     .bound_factor = lambda / log(2),
                     .values = values,
                     .images = IMAGES,
                     .elements = N,
                     .channels = CHANNELS,
                     .input_channels = 2 * CHANNELS,
                     .scratch = h->scratch};
    return dmi_loss_run(context->host.pool, &loss, h->terms, h->gradient, h->output, h->eps,
                        h->input, h->losses);
}

static double *series(const dm_schedule *schedule, int32_t which) {
    double *all = doubles((size_t)dm_schedule_timesteps(schedule));
    ck_assert_int_eq(dm_schedule_get_series(schedule, which, all,
                                            (size_t)dm_schedule_timesteps(schedule)),
                     DM_OK);
    return all;
}

static const int32_t timesteps[] = {0, 1, 20, 500, 999};

/* The sum; the gradient of the shares against differences of the loop; and eps, whose gradient is
 * that of the squares alone. */
START_TEST(hybrid_follows_the_loop) {
    static hybrid h;
    dm_schedule *schedule;
    dm_context *context = context_of(1);
    int32_t t = timesteps[_i];
    test_accepted(context, linear_schedule(&schedule, context));
    fill_hybrid(&h, schedule, t);
    double sum = run_hybrid(&h, context), want_sum = 0;
    for (size_t k = 0; k < IMAGES; k++) {
        const float *x_0 = h.x_0 + k * N, *eps = h.eps + k * N, *output = h.output + k * 2 * N,
                    *gradient = h.gradient + k * 2 * N;
        double *shares = doubles(N), *guess = doubles(N), *slopes = doubles(N), squares = 0;
        float *got = uniform(N, 1, 0);
        for (size_t i = 0; i < N; i++)
            guess[i] = output[in_rows(i)], shares[i] = output[in_rows(i) + CHANNELS];
        bound_case c = {t,
                        series(schedule, DM_SERIES_ALPHA_CUMPROD),
                        series(schedule, DM_SERIES_POSTERIOR_LOG_VARIANCE),
                        series(schedule, DM_SERIES_POSTERIOR_MEAN_X0),
                        series(schedule, DM_SERIES_POSTERIOR_MEAN_XT),
                        schedule->beta[t],
                        x_0,
                        eps,
                        guess};
        for (size_t i = 0; i < N; i++) {
            double share = shares[i],
                   step = 2e-4 / (log(c.beta) - c.log_posterior[t]); /* 1e-4 of the logarithm */
            shares[i] = share + step;
            double above = naive_bound(&c, shares);
            shares[i] = share - step;
            slopes[i] = h.terms[k].importance_weight * lambda * (above - naive_bound(&c, shares)) /
                        (2 * step) / values;
            shares[i] = share;
            got[i] = gradient[in_rows(i) + CHANNELS];
        }
        /* x_0 comes back from floats, and the loop's difference loses digits. */
        check_near("the bound's gradient", got, slopes, N, 2e-5);
        for (size_t i = 0; i < N; i++) {
            slopes[i] =
                h.terms[k].importance_weight * h.terms[k].weight * 2 * (guess[i] - eps[i]) / values;
            squares += (guess[i] - eps[i]) * (guess[i] - eps[i]);
            got[i] = gradient[in_rows(i)];
        }
        check_near("the squares' gradient", got, slopes, N, 3e-7);
        double want = h.terms[k].weight * squares + lambda * naive_bound(&c, shares);
        ck_assert_double_eq_tol(h.losses[k] / want, 1, 2e-6);
        want_sum += h.terms[k].importance_weight * want;
        release();
    }
    ck_assert_double_eq_tol(sum / want_sum, 1, 2e-6);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
}
END_TEST

START_TEST(hybrid_is_the_same_with_any_threads) {
    static hybrid one, three;
    dm_schedule *schedule;
    dm_context *context = context_of(1), *other = context_of(3);
    test_accepted(context, linear_schedule(&schedule, context));
    fill_hybrid(&one, schedule, 20);
    fill_hybrid(&three, schedule, 20);
    ck_assert(run_hybrid(&one, context) == run_hybrid(&three, other));
    ck_assert_mem_eq(one.gradient, three.gradient, sizeof one.gradient);
    dm_schedule_destroy(schedule);
    dm_context_destroy(other);
    dm_context_destroy(context);
}
END_TEST

/* ---- squares and Huber with weights ---- */

START_TEST(weights_and_importances_scale_the_loss) {
    static float output[IMAGES * N], target[IMAGES * N], gradient[IMAGES * N], want[IMAGES * N];
    dm_context *context = context_of(2);
    double losses[IMAGES], want_sum = 0;
    dmi_loss_term terms[IMAGES] = {{.weight = 1, .importance_weight = 1},
                                   {.weight = 3, .importance_weight = 0.5},
                                   {.weight = 0, .importance_weight = 7}};
    dmi_loss loss = {.kernels = context->kernels,
                     .kind = _i,
                     .huber_delta = 0.2,
                     .values = values,
                     .images = IMAGES,
                     .elements = N,
                     .channels = CHANNELS,
                     .input_channels = CHANNELS};
    test_fill(output, IMAGES * N, 1, 1);
    test_fill(target, IMAGES * N, 2, 1);
    double sum =
        dmi_loss_run(context->host.pool, &loss, terms, gradient, output, target, NULL, losses);
    for (size_t i = 0; i < IMAGES * N; i++) {
        const dmi_loss_term *term = &terms[i / N];
        double d = (double)output[i] - target[i],
               root = _i == DM_LOSS_PSEUDO_HUBER ? sqrt(1 + d * d / 0.04) : 1;
        want[i] = (float)(term->weight * term->importance_weight * 2 * d / root / values);
        want_sum += term->weight * term->importance_weight *
                    (_i == DM_LOSS_PSEUDO_HUBER ? 0.08 * (root - 1) : d * d);
    }
    test_close(gradient, want, IMAGES * N, 3e-7);
    ck_assert_double_eq_tol(sum / want_sum, 1, 1e-6);
    ck_assert_double_eq_tol((losses[0] + 0.5 * losses[1]) / want_sum, 1, 1e-6);
    ck_assert(losses[2] == 0);
    dm_context_destroy(context);
}
END_TEST

Suite *test_loss_suite(void);
Suite *test_loss_suite(void) {
    Suite *suite = suite_create("loss");
    TCase *tcase = tcase_create("loss");
    tcase_add_test(tcase, huber_follows_the_loop);
    tcase_add_test(tcase, huber_of_large_errors);
    tcase_add_loop_test(tcase, hybrid_follows_the_loop, 0,
                        (int)(sizeof timesteps / sizeof *timesteps));
    tcase_add_test(tcase, hybrid_is_the_same_with_any_threads);
    tcase_add_loop_test(tcase, weights_and_importances_scale_the_loss, DM_LOSS_MSE,
                        DM_LOSS_PSEUDO_HUBER + 1);
    suite_add_tcase(suite, tcase);
    return suite;
}
