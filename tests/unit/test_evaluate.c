/* SPDX-License-Identifier: MIT */
/* The variational bound and the losses by quarter, against naive loops over the network's
 * outputs. */
#include "base/random.h"
#include "support/dataset.h"
#include "support/network.h"
#include "support/sampling.h"

enum { PIXELS = 8 * 8, VALUES = PIXELS * 3, COUNT = 5, T = 13, FIRST = 2 };

static dm_unet *network_of(int32_t prediction, int32_t learned, int32_t classes) {
    dm_unet_options u;
    dm_unet *unet;
    ok(dm_unet_options_init(&u, sizeof u));
    u.height = u.width = 8;
    u.levels = 2;
    u.channels[0] = 16, u.channels[1] = 16;
    u.blocks[0] = u.blocks[1] = 1;
    u.attention[1] = 0;
    u.norm_groups = 4;
    u.prediction = prediction;
    u.learned_variance = learned;
    u.classes = classes;
    ok(dm_unet_create(&unet, context, &u, 4));
    /* The last layer starts at practically nothing: then nothing would be tested. */
    dm_tensor_info info = {.struct_size = sizeof info};
    ok(dm_unet_get_tensor_info(unet, dm_unet_tensor_count(unet) - 2, &info));
    ck_assert_str_eq(info.name, "conv_out.weight");
    float *weights = malloc(info.elements * sizeof *weights);
    test_fill(weights, info.elements, 8, 0.2f);
    ok(network_set(unet, info.name, weights, info.elements));
    free(weights);
    return unet;
}

static uint8_t pixels[(FIRST + COUNT) * VALUES];
static int32_t labels[FIRST + COUNT];

static dm_dataset *dataset_of(void) {
    dm_dataset *dataset;
    for (int i = 0; i < (FIRST + COUNT) * VALUES; i++)
        pixels[i] = (uint8_t)(i % 97 < 8 ? 255 * (i % 2) : (i * 37) % 256);
    for (int i = 0; i < FIRST + COUNT; i++) labels[i] = i % 3;
    ok(dataset_from_memory(&dataset, context, pixels, labels, FIRST + COUNT, 8, 8, 3));
    return dataset;
}

static dm_schedule *schedule_with(int32_t kind, int32_t zero_terminal_snr) {
    dm_schedule_options o;
    dm_schedule *s;
    ok(dm_schedule_options_init(&o, sizeof o));
    o.kind = kind;
    o.zero_terminal_snr = zero_terminal_snr;
    o.timesteps = T;
    o.beta_start = 0.01;
    o.beta_end = 0.4;
    ok(dm_schedule_create(&s, context, &o));
    return s;
}

static dm_schedule *schedule_of(int32_t kind) { return schedule_with(kind, 0); }

static double cdf(double x) { return 0.5 * erfc(-x / sqrt(2)); }

typedef struct bound {
    double prior, steps, decoder, loss[4];
} bound;

/* All in double, from betas on: Ho et al. 2020, eq. 5, 7, 10 and 13. */
static bound naive(dm_unet *unet, const dm_schedule *own, const dm_evaluation_options *o,
                   int32_t prediction, bool learned, bool classes) {
    double beta[T], a[T], a_prev = 1;
    bound b = {0};
    int32_t counts[4] = {0};
    ok(dm_schedule_get_series(own, DM_SERIES_BETA, beta, T));
    ok(dm_schedule_get_series(own, DM_SERIES_ALPHA_CUMPROD, a, T));
    for (int n = 0; n < COUNT; n++) {
        float x0[VALUES], noise[VALUES], xt[VALUES], out[2 * VALUES];
        ok(dm_image_from_u8(x0, pixels + (FIRST + n) * VALUES, VALUES));
        for (int i = 0; i < VALUES; i++)
            b.prior +=
                0.5 * (-1 - log(1 - a[T - 1]) + (1 - a[T - 1]) + a[T - 1] * x0[i] * (double)x0[i]);
        for (int t = 0; t < T; t++) {
            a_prev = t ? a[t - 1] : 1;
            dmi_random at = dmi_random_at(o->seed, DMI_STREAM_EVALUATION_NOISE,
                                          (uint64_t)((FIRST + n) * T + t));
            dmi_random_normal(&at, noise, VALUES);
            for (int i = 0; i < VALUES; i++)
                xt[i] = (float)(sqrt(a[t]) * x0[i] + sqrt(1 - a[t]) * noise[i]);
            float time = (float)t;
            ok(network_forward(unet, out, xt, &time, classes ? &labels[FIRST + n] : NULL, 1));
            double low =
                t ? beta[t] * (1 - a_prev) / (1 - a[t]) : beta[1] * (1 - a[0]) / (1 - a[1]);
            for (int i = 0; i < VALUES; i++) {
                int at_out = learned ? i / 3 * 6 + i % 3 : i;
                double p = out[at_out], signal = sqrt(a[t]), sigma = sqrt(1 - a[t]);
                double target =
                    prediction == DM_PREDICT_EPS ? noise[i] : signal * noise[i] - sigma * x0[i];
                double seen = prediction == DM_PREDICT_EPS ? (xt[i] - sigma * p) / signal
                                                           : signal * xt[i] - sigma * p;
                if (o->clip) seen = seen > 1 ? 1 : seen < -1 ? -1 : seen;
                double share =
                    learned ? (out[at_out + 3] + 1.0) / 2 : o->variance == DM_VARIANCE_FIXED_LARGE;
                if (!t && !learned) share = 0; /* Ho et al.: the posterior's, with beta too */
                double log_variance = share * log(beta[t]) + (1 - share) * log(low),
                       variance = exp(log_variance);
                double off = sqrt(a_prev) * beta[t] / (1 - a[t]) *
                             (x0[i] - seen); /* between the two means */
                b.loss[t * 4 / T] += (p - target) * (p - target);
                counts[t * 4 / T]++;
                if (t) {
                    b.steps +=
                        0.5 * (log_variance - log(low) - 1 + low / variance + off * off / variance);
                    continue;
                }
                double up = x0[i] > 0.999 ? 1 : cdf((off + 1 / 255.0) / sqrt(variance));
                double down = x0[i] < -0.999 ? 0 : cdf((off - 1 / 255.0) / sqrt(variance));
                b.decoder -= log(fmax(up - down, 1e-12));
            }
        }
    }
    double unit = 1 / (log(2) * VALUES * COUNT);
    b.prior *= unit, b.steps *= unit, b.decoder *= unit;
    for (int q = 0; q < 4; q++) b.loss[q] /= counts[q];
    return b;
}

static const struct {
    int32_t prediction, learned, variance, clip, classes, batch, zero_terminal_snr;
} cases[] = {
    {DM_PREDICT_EPS, 0, DM_VARIANCE_FIXED_LARGE, 1, 0, 2, 0},
    {DM_PREDICT_EPS, 0, DM_VARIANCE_FIXED_SMALL, 0, 3, 5, 0},
    {DM_PREDICT_V, 0, DM_VARIANCE_FIXED_SMALL, 1, 0, 16, 0},
    {DM_PREDICT_EPS, 1, DM_VARIANCE_LEARNED, 1, 0, 3, 0},
    {DM_PREDICT_V, 0, DM_VARIANCE_FIXED_SMALL, 0, 0, 4, 1},
};

START_TEST(bound_follows_the_formulas) {
    dm_unet *unet = network_of(cases[_i].prediction, cases[_i].learned, cases[_i].classes);
    dm_schedule *own = schedule_with(DM_SCHEDULE_LINEAR, cases[_i].zero_terminal_snr);
    dm_dataset *dataset = dataset_of();
    dm_evaluation_options o;
    dm_evaluation got = {.struct_size = sizeof got};
    ok(dm_evaluation_options_init(&o, sizeof o));
    o.first = FIRST;
    o.count = 0;
    o.seed = 9;
    o.timesteps = 0;
    o.variance = cases[_i].variance;
    o.clip = cases[_i].clip;
    o.batch_size = cases[_i].batch;
    ok(dm_unet_evaluate(unet, own, dataset, &o, NULL, NULL, &got));
    bound want = naive(unet, own, &o, cases[_i].prediction, cases[_i].learned, cases[_i].classes);
    ck_assert_uint_eq(got.images, COUNT);
    /* x_t and the network's outputs are floats on both sides; the sides round x_t apart by a unit
     * in the last place. */
    ck_assert_double_eq_tol(got.prior_bits, want.prior,
                            1e-6 * want.prior + 1e-12); /* 0 with zero terminal SNR */
    ck_assert_double_eq_tol(got.step_bits, want.steps, 2e-5 * want.steps);
    ck_assert_double_eq_tol(got.decoder_bits, want.decoder, 2e-5 * want.decoder);
    ck_assert_double_eq_tol(got.bits, want.prior + want.steps + want.decoder, 2e-5 * got.bits);
    for (int q = 0; q < 4; q++)
        ck_assert_double_eq_tol(got.loss[q], want.loss[q], 2e-5 * want.loss[q]);
    ck_assert(got.standard_error > 0);
    dm_dataset_destroy(dataset);
    dm_schedule_destroy(own);
    dm_unet_destroy(unet);
}
END_TEST

/* Few timesteps estimate what all give: the mean over many seeds is that, within 4 standard errors.
 * The 12 timesteps after the first in strata of 1 and 2, so that their weights differ. */
START_TEST(estimates_are_unbiased) {
    enum { SEEDS = 200 };
    dm_unet *unet = network_of(DM_PREDICT_EPS, 0, 0);
    dm_schedule *own = schedule_of(DM_SCHEDULE_LINEAR);
    dm_dataset *dataset = dataset_of();
    dm_evaluation_options o;
    dm_evaluation got = {.struct_size = sizeof got};
    ok(dm_evaluation_options_init(&o, sizeof o));
    o.count = 0;
    double mean[2] = {0}, square[2] = {0};
    for (int few = 0; few < 2; few++) {
        o.timesteps = few ? 7 : 0;
        for (o.seed = 0; o.seed < SEEDS; o.seed++) {
            ok(dm_unet_evaluate(unet, own, dataset, &o, NULL, NULL, &got));
            mean[few] += got.step_bits / SEEDS,
                square[few] += got.step_bits * got.step_bits / SEEDS;
        }
    }
    double error = sqrt((square[0] - mean[0] * mean[0] + square[1] - mean[1] * mean[1]) / SEEDS);
    ck_assert_msg(fabs(mean[0] - mean[1]) < 4 * error, "%g with 7 timesteps, %g with all, error %g",
                  mean[1], mean[0], error);
    dm_dataset_destroy(dataset);
    dm_schedule_destroy(own);
    dm_unet_destroy(unet);
}
END_TEST

/* Of 7 images and 13 timesteps the defaults, 256 images and 20 timesteps, are all. One timestep
 * leaves no quarter but the first anything. */
START_TEST(defaults_are_at_most) {
    dm_unet *unet = network_of(DM_PREDICT_EPS, 0, 0);
    dm_schedule *own = schedule_of(DM_SCHEDULE_LINEAR), *single;
    dm_dataset *dataset = dataset_of();
    dm_evaluation_options o;
    dm_evaluation got = {.struct_size = sizeof got}, all = got;
    ok(dm_unet_evaluate(unet, own, dataset, NULL, NULL, NULL, &got));
    ok(dm_evaluation_options_init(&o, sizeof o));
    o.count = 0, o.timesteps = 0;
    ok(dm_unet_evaluate(unet, own, dataset, &o, NULL, NULL, &all));
    ck_assert_uint_eq(got.images, FIRST + COUNT);
    ck_assert(got.bits == all.bits && got.loss[0] == all.loss[0] && got.loss[3] == all.loss[3]);
    static const double beta = 0.02;
    ok(dm_schedule_create_from_betas(&single, context, &beta, 1));
    ok(dm_unet_evaluate(unet, single, dataset, NULL, NULL, NULL, &got));
    ck_assert(got.loss[0] > 0 && isnan(got.loss[1]) && isnan(got.loss[3]) && got.step_bits == 0 &&
              got.decoder_bits > 0);
    dm_dataset_destroy(dataset);
    dm_schedule_destroy(own);
    dm_schedule_destroy(single);
    dm_unet_destroy(unet);
}
END_TEST

static int32_t stop_at(void *user, uint64_t done, uint64_t all) {
    (void)all;
    return done >= *(const uint64_t *)user;
}

START_TEST(evaluations_refused) {
    dm_unet *unet = network_of(DM_PREDICT_V, 0, 2);
    dm_schedule *own = schedule_of(DM_SCHEDULE_LINEAR), *flow = schedule_of(DM_SCHEDULE_FLOW);
    dm_dataset *dataset = dataset_of();
    dm_evaluation_options o;
    dm_evaluation got = {.struct_size = sizeof got};
    ok(dm_evaluation_options_init(&o, sizeof o));
    o.count = 0;
    o.timesteps = -1;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_unet_evaluate(unet, own, dataset, &o, NULL, NULL, &got),
          "'timesteps' is -1");
    o.timesteps = 3;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_unet_evaluate(unet, own, dataset, &o, NULL, NULL, &got),
          "image 2 of the dataset has label 2");
    o.use_labels = 0;
    uint64_t limit = 7;
    o.batch_size = 4;
    fails(DM_ERROR_CANCELLED, dm_unet_evaluate(unet, own, dataset, &o, stop_at, &limit, &got),
          "evaluate: the progress callback returned 1");
    o.variance = DM_VARIANCE_LEARNED;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_unet_evaluate(unet, own, dataset, &o, NULL, NULL, &got),
          "'variance' 3 (learned) cannot be combined with a network without");
    o.variance = DM_VARIANCE_FIXED_LARGE;
    o.first = FIRST + COUNT;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_unet_evaluate(unet, own, dataset, &o, NULL, NULL, &got),
          "'first' is 7; the dataset has 7 images");
    o.first = 0;
    dm_context *other;
    dm_dataset *strange;
    ok(dm_context_create(&other, NULL, NULL, 0));
    ok(dataset_from_memory(&strange, other, pixels, NULL, 1, 8, 8, 3));
    fails(DM_ERROR_INVALID_ARGUMENT, dm_unet_evaluate(unet, own, strange, &o, NULL, NULL, &got),
          "of another context");
    dm_dataset_destroy(strange);
    dm_context_destroy(other);
    fails(DM_ERROR_INVALID_ARGUMENT, dm_unet_evaluate(unet, flow, dataset, &o, NULL, NULL, &got),
          "'prediction' 2 (v) cannot be combined with the schedule's 'kind' 4 (flow)");
    fails(DM_ERROR_INVALID_ARGUMENT, dm_unet_evaluate(unet, own, NULL, &o, NULL, NULL, &got),
          "'dataset' is NULL");
    dm_dataset_destroy(dataset);
    dm_schedule_destroy(own);
    dm_schedule_destroy(flow);
    dm_unet_destroy(unet);
}
END_TEST

Suite *test_evaluate_suite(void);

Suite *test_evaluate_suite(void) {
    Suite *suite = suite_create("evaluate");
    TCase *tcase = tcase_create("evaluate");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, bound_follows_the_formulas, 0,
                        (int)(sizeof cases / sizeof cases[0]));
    tcase_add_test(tcase, estimates_are_unbiased);
    tcase_add_test(tcase, defaults_are_at_most);
    tcase_add_test(tcase, evaluations_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
