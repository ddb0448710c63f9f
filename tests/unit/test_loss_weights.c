/* SPDX-License-Identifier: MIT */
/* Trainers on every kind of schedule and for everything that a network may predict: what it gets,
 * its target, and the weight of its error, against the papers' formulas in double precision;
 * and refused options. */
#include "diffusion/loss_weight.h"
#include "support/training.h"
#include "train/trainer.h"

typedef struct level_case {
    int32_t kind, prediction, zero_terminal_snr;
} level_case;

static const level_case cases[] = {
    {DM_SCHEDULE_LINEAR, DM_PREDICT_EPS, 0}, {DM_SCHEDULE_COSINE, DM_PREDICT_V, 0},
    {DM_SCHEDULE_SIGMOID, DM_PREDICT_X0, 0}, {DM_SCHEDULE_LINEAR, DM_PREDICT_V, 1},
    {DM_SCHEDULE_COSINE, DM_PREDICT_X0, 1},  {DM_SCHEDULE_FLOW, DM_PREDICT_FLOW, 0},
    {DM_SCHEDULE_FLOW, DM_PREDICT_X0, 0},    {DM_SCHEDULE_EDM, DM_PREDICT_EDM, 0},
};
enum {
    CASES = sizeof cases / sizeof *cases,
    T = 60,
    IMAGES = 4,
    FLOATS = IMAGES * TRAINING_ELEMENTS
};

static const double shift = 3, sigma_min = 0.01, sigma_max = 30, rho = 5;
static const float sigma_data = 0.4f;

static training_setup setup_of(const level_case *c) {
    training_setup setup = training_default();
    setup.dataset = false;
    setup.prediction = c->prediction;
    setup.sigma_data = sigma_data;
    setup.schedule.kind = c->kind;
    setup.schedule.timesteps = T;
    setup.schedule.scale_betas = c->kind == DM_SCHEDULE_LINEAR;
    setup.schedule.zero_terminal_snr = c->zero_terminal_snr;
    setup.schedule.flow_shift = shift;
    setup.schedule.sigma_min = sigma_min;
    setup.schedule.sigma_max = sigma_max;
    setup.schedule.rho = rho;
    return setup;
}

/* Signal, noise and the network's time at t; *input is what x_t is multiplied by. */
static void level_of(const training *t, const level_case *c, int32_t step, double *signal,
                     double *noise, double *time, double *input) {
    *input = 1;
    if (c->kind == DM_SCHEDULE_FLOW) {
        double u = (step + 1.0) / T;
        *noise = shift * u / (1 + (shift - 1) * u), *signal = 1 - *noise, *time = *noise * T;
    } else if (c->kind == DM_SCHEDULE_EDM) {
        double fraction = (double)step / (T - 1);
        *signal = 1, *noise = pow(pow(sigma_min, 1 / rho) + fraction * (pow(sigma_max, 1 / rho) -
                                                                        pow(sigma_min, 1 / rho)),
                                  rho);
        *time = log(*noise) / 4,
        *input = 1 / sqrt(*noise * *noise + (double)sigma_data * sigma_data);
    } else {
        double a[T];
        training_require(t, dm_schedule_get_series(t->schedule, DM_SERIES_ALPHA_CUMPROD, a, T));
        *signal = sqrt(a[step]), *noise = sqrt(1 - a[step]), *time = step;
    }
}

static double target_of(const level_case *c, double signal, double noise, double x_0, double eps) {
    double data = (double)sigma_data * sigma_data, both = noise * noise + data;
    switch (c->prediction) {
        case DM_PREDICT_X0: return x_0;
        case DM_PREDICT_V: return signal * eps - noise * x_0;
        case DM_PREDICT_FLOW: return eps - x_0;
        case DM_PREDICT_EDM:
            return (x_0 - data / both * (x_0 + noise * eps)) /
                   (noise * (double)sigma_data / sqrt(both));
        default: return eps;
    }
}

static void give_timesteps(training_given *given) {
    const int32_t timesteps[IMAGES] = {0, 13, 41, T - 1};
    training_give(given, IMAGES);
    memcpy(given->timesteps, timesteps, sizeof timesteps);
}

START_TEST(inputs_and_targets_follow_the_papers) {
    const level_case *c = &cases[_i];
    training t;
    training_given given;
    static float x[FLOATS], target[FLOATS];
    training_setup setup = setup_of(c);
    training_begin(&t, &setup);
    give_timesteps(&given);
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    for (size_t i = 0; i < FLOATS; i++) {
        double signal, noise, time, input;
        level_of(&t, c, given.timesteps[i / TRAINING_ELEMENTS], &signal, &noise, &time, &input);
        x[i] = (float)(input * (signal * given.images[i] + noise * given.noise[i]));
        target[i] = (float)target_of(c, signal, noise, given.images[i], given.noise[i]);
        const float *times = dmi_graph_data(t.trainer->train.graph, t.trainer->train.t);
        ck_assert_float_eq_tol(times[i / TRAINING_ELEMENTS], (float)time,
                               1e-6f * fmaxf(1, fabsf((float)time)));
    }
    test_close(dmi_graph_data(t.trainer->train.graph, t.trainer->train.x), x, FLOATS, 2e-7);
    test_close(t.trainer->batch.target, target, FLOATS, 2e-7);
    training_end(&t);
}
END_TEST

/* A sampler that reads the target as the network's output finds the image: both sides have the
 * same idea of it. */
START_TEST(samplers_read_the_target_as_the_image) {
    const level_case *c = &cases[_i];
    training t;
    training_given given;
    training_setup setup = setup_of(c);
    training_begin(&t, &setup);
    give_timesteps(&given);
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    const float *x = dmi_graph_data(t.trainer->train.graph, t.trainer->train.x);
    for (size_t i = 0; i < FLOATS; i++) {
        dmi_level level = dmi_schedule_level(t.schedule, given.timesteps[i / TRAINING_ELEMENTS]);
        dmi_prediction_coefficients r = dmi_prediction_at(level, c->prediction, (double)sigma_data);
        double x_0 = r.x0_x * x[i] / r.input + r.x0_output * t.trainer->batch.target[i];
        ck_assert_double_eq_tol(x_0, given.images[i],
                                1e-5 * (1 + dmi_level_sigma(level)) *
                                    (c->prediction == DM_PREDICT_EPS ? 1 : 0.1));
    }
    training_end(&t);
}
END_TEST

/* ---- weights ---- */

/* As numerics have them for each prediction; snr is signal^2 / noise^2. */
static double weight_of(int32_t kind, const level_case *c, double signal, double noise,
                        double beta) {
    double snr = signal * signal / (noise * noise), clamped_snr = fmin(snr, 4);
    if (kind == DM_LOSS_WEIGHT_MIN_SNR)
        return c->prediction == DM_PREDICT_EPS  ? clamped_snr / snr
               : c->prediction == DM_PREDICT_X0 ? clamped_snr
               : c->prediction == DM_PREDICT_V  ? clamped_snr / (snr + 1)
                                                : clamped_snr * noise * noise;
    if (kind == DM_LOSS_WEIGHT_TRUNCATED_SNR)
        return c->prediction == DM_PREDICT_EPS  ? fmax(1, 1 / snr)
               : c->prediction == DM_PREDICT_X0 ? fmax(snr, 1)
               : c->prediction == DM_PREDICT_V  ? fmax(signal * signal, noise * noise)
                                                : fmax(snr, 1) * noise * noise;
    /* Of eps: errors of x_0, v and eps - x_0 are sqrt(snr), signal and signal times as large in
     * eps. */
    double in_eps = c->prediction == DM_PREDICT_EPS  ? 1
                    : c->prediction == DM_PREDICT_X0 ? snr
                                                     : signal * signal;
    if (kind == DM_LOSS_WEIGHT_P2) return pow(0.5 + snr, -1.5) * in_eps;
    return kind == DM_LOSS_WEIGHT_BOUND ? beta * beta / (2 * beta * (1 - beta) * noise * noise) : 1;
}

/* The first output is practically nothing, so the loss is the targets' weighted mean square. */
START_TEST(errors_are_weighted) {
    int32_t kind = _i / CASES;
    const level_case *c = &cases[_i % CASES];
    training t;
    training_given given;
    double want = 0, betas[T];
    training_setup setup = setup_of(c);
    bool refused = kind != DM_LOSS_WEIGHT_SIMPLE &&
                   (c->prediction == DM_PREDICT_EDM ||
                    (kind == DM_LOSS_WEIGHT_BOUND && c->prediction != DM_PREDICT_EPS));
    setup.options.loss_weight = kind;
    setup.options.min_snr_gamma = 4;
    setup.options.p2_k = 0.5;
    setup.options.p2_gamma = 1.5;
    training_prepare(&t, &setup);
    int32_t status = dm_trainer_create(&t.trainer, t.unet, t.schedule, NULL, &setup.options);
    if (refused) {
        training_expect(&t, status, DM_ERROR_INVALID_ARGUMENT,
                        "'loss_weight'|'prediction'|cannot be combined");
        training_end(&t);
        return;
    }
    training_require(&t, status);
    give_timesteps(&given);
    training_require(&t, dm_schedule_get_series(t.schedule, DM_SERIES_BETA, betas, T));
    for (size_t i = 0; i < FLOATS; i++) {
        double signal, noise, time, input;
        int32_t step = given.timesteps[i / TRAINING_ELEMENTS];
        level_of(&t, c, step, &signal, &noise, &time, &input);
        double target = target_of(c, signal, noise, given.images[i], given.noise[i]);
        want += weight_of(kind, c, signal, noise, betas[step]) * target * target / FLOATS;
    }
    dm_train_stats stats = {.struct_size = sizeof stats};
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &stats));
    ck_assert_double_eq_tol(stats.loss / want, 1, 1e-4);
    training_end(&t);
}
END_TEST

/* Betas may be so small that a is 1 and the SNR infinite, and the SNR may be 0. */
START_TEST(weights_are_finite) {
    training t;
    double tiny[2] = {1e-20, 1e-3};
    training_setup setup = training_default();
    training_prepare(&t, &setup);
    dm_schedule_destroy(t.schedule);
    training_require(&t, dm_schedule_create_from_betas(&t.schedule, t.context, tiny, 2));
    for (int32_t kind = DM_LOSS_WEIGHT_SIMPLE; kind <= DM_LOSS_WEIGHT_BOUND; kind++)
        for (int32_t prediction = DM_PREDICT_EPS; prediction <= DM_PREDICT_V; prediction++) {
            dm_trainer_options o = setup.options;
            o.loss_weight = kind;
            double weight =
                dmi_loss_weight(&o, t.schedule, dmi_schedule_level(t.schedule, 0), 0, prediction);
            ck_assert(weight >= 0 && weight <= 5);
            if (kind == DM_LOSS_WEIGHT_BOUND) continue;
            dmi_level noise_alone = {.signal = 0, .noise = 1, .time = 1};
            weight = dmi_loss_weight(&o, t.schedule, noise_alone, 1, prediction);
            ck_assert(weight >= 0 && weight <= 5);
        }
    setup.options.loss_weight = DM_LOSS_WEIGHT_TRUNCATED_SNR;
    const dmi_level ends[] = {{.signal = 1, .noise = 0}, {.signal = 0, .noise = 1}};
    for (int i = 0; i < 2; i++)
        ck_assert_double_eq(dmi_loss_weight(&setup.options, t.schedule, ends[i], 0, DM_PREDICT_V),
                            1);
    training_end(&t);
}
END_TEST

/* ---- refused options ---- */

typedef struct refused_case {
    int32_t kind, prediction, zero_terminal_snr, learned_variance, loss, loss_weight;
    const char *words;
} refused_case;

static const refused_case refused_cases[] = {
    {DM_SCHEDULE_FLOW, DM_PREDICT_EPS, 0, 0, 0, 0, "'prediction' 0|'kind' 4"},
    {DM_SCHEDULE_FLOW, DM_PREDICT_V, 0, 0, 0, 0, "'prediction' 2|'kind' 4"},
    {DM_SCHEDULE_LINEAR, DM_PREDICT_FLOW, 0, 0, 0, 0, "'prediction' 3|'kind' 0"},
    {DM_SCHEDULE_LINEAR, DM_PREDICT_EDM, 0, 0, 0, 0, "'prediction' 4|'kind' 0"},
    {DM_SCHEDULE_EDM, DM_PREDICT_X0, 0, 0, 0, 0, "'prediction' 1|'kind' 5"},
    {DM_SCHEDULE_LINEAR, DM_PREDICT_EPS, 1, 0, 0, 0, "'prediction' 0|'zero_terminal_snr'"},
    {DM_SCHEDULE_LINEAR, DM_PREDICT_EPS, 0, 0, DM_LOSS_HYBRID, 0,
     "'loss' 2 (hybrid)|'learned_variance' 0"},
    {DM_SCHEDULE_LINEAR, DM_PREDICT_EPS, 0, 1, DM_LOSS_MSE, 0, "'loss' 0|'learned_variance' 1"},
    {DM_SCHEDULE_LINEAR, DM_PREDICT_EPS, 0, 1, DM_LOSS_PSEUDO_HUBER, 0,
     "'loss' 1|'learned_variance' 1"},
    {DM_SCHEDULE_LINEAR, DM_PREDICT_EPS, 0, 1, DM_LOSS_HYBRID, DM_LOSS_WEIGHT_BOUND,
     "'loss_weight' 3 (bound)|'loss' 2 (hybrid)"},
    {DM_SCHEDULE_LINEAR, DM_PREDICT_EPS, 0, 0, DM_LOSS_PSEUDO_HUBER, DM_LOSS_WEIGHT_BOUND,
     "'loss_weight' 3 (bound)|'loss' 1 (pseudo_huber)"},
    {DM_SCHEDULE_EDM, DM_PREDICT_EDM, 0, 0, 0, DM_LOSS_WEIGHT_MIN_SNR,
     "'loss_weight' 1|'prediction' 4"},
    {DM_SCHEDULE_LINEAR, DM_PREDICT_V, 0, 0, 0, DM_LOSS_WEIGHT_BOUND,
     "'loss_weight' 3 (bound)|'prediction' 2"},
};

START_TEST(options_that_cannot_be_combined) {
    const refused_case *r = &refused_cases[_i];
    training t;
    level_case c = {r->kind, r->prediction, r->zero_terminal_snr};
    training_setup setup = setup_of(&c);
    setup.learned_variance = r->learned_variance;
    setup.options.loss = r->loss;
    setup.options.loss_weight = r->loss_weight;
    training_prepare(&t, &setup);
    int32_t status = dm_trainer_create(&t.trainer, t.unet, t.schedule, NULL, &setup.options);
    training_expect(&t, status, DM_ERROR_INVALID_ARGUMENT, r->words);
    training_expect(&t, status, DM_ERROR_INVALID_ARGUMENT, "cannot be combined");
    ck_assert_ptr_null(t.trainer);
    ck_assert(!t.unet->trained);
    training_end(&t);
}
END_TEST

/* ---- learning ---- */

/* The same images, noise and levels can be overfitted, whatever the loss and
 * the network are. */
static const struct {
    level_case c;
    int32_t learned_variance, loss, weight;
} lessons[] = {
    {{DM_SCHEDULE_FLOW, DM_PREDICT_FLOW, 0}, 0, DM_LOSS_MSE, DM_LOSS_WEIGHT_SIMPLE},
    {{DM_SCHEDULE_EDM, DM_PREDICT_EDM, 0}, 0, DM_LOSS_MSE, DM_LOSS_WEIGHT_SIMPLE},
    {{DM_SCHEDULE_COSINE, DM_PREDICT_V, 0}, 0, DM_LOSS_PSEUDO_HUBER, DM_LOSS_WEIGHT_MIN_SNR},
    {{DM_SCHEDULE_LINEAR, DM_PREDICT_EPS, 0}, 1, DM_LOSS_HYBRID, DM_LOSS_WEIGHT_SIMPLE},
};

START_TEST(one_batch_can_be_overfitted) {
    training t;
    training_given given;
    training_setup setup = setup_of(&lessons[_i].c);
    setup.learned_variance = lessons[_i].learned_variance;
    setup.options.loss = lessons[_i].loss;
    setup.options.loss_weight = lessons[_i].weight;
    setup.options.learning_rate = 3e-3;
    training_begin(&t, &setup);
    give_timesteps(&given);
    dm_train_stats first = {.struct_size = sizeof first}, last = first;
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &first));
    for (int32_t i = 0; i < 200; i++)
        training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &last));
    ck_assert_msg(last.loss < 0.25 * first.loss, "the loss went from %g to %g only", first.loss,
                  last.loss);
    training_end(&t);
}
END_TEST

Suite *test_loss_weights_suite(void);
Suite *test_loss_weights_suite(void) {
    Suite *suite = suite_create("loss_weights");
    TCase *tcase = tcase_create("loss_weights");
    tcase_set_timeout(tcase, 20);
    tcase_add_loop_test(tcase, inputs_and_targets_follow_the_papers, 0, CASES);
    tcase_add_loop_test(tcase, samplers_read_the_target_as_the_image, 0, CASES);
    tcase_add_loop_test(tcase, errors_are_weighted, 0, CASES * (DM_LOSS_WEIGHT_TRUNCATED_SNR + 1));
    tcase_add_test(tcase, weights_are_finite);
    tcase_add_loop_test(tcase, options_that_cannot_be_combined, 0,
                        (int)(sizeof refused_cases / sizeof *refused_cases));
    tcase_add_loop_test(tcase, one_batch_can_be_overfitted, 0,
                        (int)(sizeof lessons / sizeof *lessons));
    suite_add_tcase(suite, tcase);
    return suite;
}
