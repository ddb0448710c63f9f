/* SPDX-License-Identifier: MIT */
/* What is done to images and labels before the network gets them: dropped labels, random
 * crops, and self-conditioning. */
#include "base/random.h"
#include "support/kernels.h"
#include "support/network.h"
#include "support/training.h"
#include "train/trainer.h"
#include "unet/options.h"

static const float *input(const training *t, dmi_value value) {
    return dmi_graph_data(t->trainer->train.graph, value);
}

/* ---- labels ---- */

static int32_t dropped_of(training *t, const dm_train_batch *batch, int32_t count, int32_t steps) {
    int32_t dropped = 0;
    for (int32_t step = 0; step < steps; step++) {
        training_require(t, dm_trainer_step_batch(t->trainer, batch, NULL));
        for (int32_t i = 0; i < count; i++)
            dropped += input(t, t->trainer->train.labels)[i] == TRAINING_CLASSES;
    }
    return dropped;
}

/* The share of dropped labels is the rate, within four standard errors; the others are as they
 * were. */
START_TEST(labels_are_dropped_at_the_rate) {
    enum { COUNT = 8, STEPS = 125 };
    static const double rates[] = {0, 0.1, 0.7, 1};
    training t;
    training_given given;
    training_setup setup = training_default();
    double rate = rates[_i];
    setup.dataset = false;
    setup.classes = TRAINING_CLASSES;
    setup.options.batch_size = COUNT;
    setup.options.label_dropout = rate;
    training_begin(&t, &setup);
    training_give(&given, COUNT);
    given.batch.labels = given.labels;
    given.batch.label_count = COUNT;
    double share = (double)dropped_of(&t, &given.batch, COUNT, STEPS) / (COUNT * STEPS);
    ck_assert_double_le(fabs(share - rate), 4 * sqrt(rate * (1 - rate) / (COUNT * STEPS)));
    for (int32_t i = 0; i < COUNT; i++) {
        float label = input(&t, t.trainer->train.labels)[i];
        ck_assert(label == TRAINING_CLASSES || (int32_t)label == given.labels[i]);
    }
    training_end(&t);
}
END_TEST

/* ---- crops ---- */

static int32_t naive_mirrored(int32_t i, int32_t n) {
    while (i < 0 || i >= n) i = i < 0 ? -i : 2 * n - 2 - i;
    return i;
}

START_TEST(shift_follows_the_loop) {
    enum { H = 5, W = 7, C = 3 };
    float *x = uniform(H * W * C, 1, 1), *y = uniform(H * W * C, 2, 1);
    for (int isa = 0; isa < ISAS; isa++)
        for (int32_t down = 1 - H; kernels_of(isa) && down < H; down++)
            for (int32_t right = 1 - W; right < W; right++) {
                kernels_of(isa)->shift(y, x, H, W, C, down, right);
                for (int32_t r = 0; r < H; r++)
                    for (int32_t q = 0; q < W; q++)
                        for (int32_t c = 0; c < C; c++)
                            ck_assert(
                                y[(r * W + q) * C + c] ==
                                x[(naive_mirrored(r + down, H) * W + naive_mirrored(q + right, W)) *
                                      C +
                                  c]);
            }
    release();
}
END_TEST

/* Where image `index` must have been shifted from, or false. */
static bool find_shift(const float *got, uint64_t index, int32_t shift_max, int32_t *down,
                       int32_t *right) {
    enum { S = TRAINING_SIDE, C = TRAINING_CHANNELS };
    const uint8_t *pixels = training_pixels() + index * TRAINING_ELEMENTS;
    for (*down = -shift_max; *down <= shift_max; ++*down)
        for (*right = -shift_max; *right <= shift_max; ++*right) {
            bool same = true;
            for (int32_t i = 0; same && i < TRAINING_ELEMENTS; i++) {
                int32_t r = naive_mirrored(i / (S * C) + *down, S),
                        q = naive_mirrored(i / C % S + *right, S);
                same =
                    fabsf(got[i] - ((float)pixels[(r * S + q) * C + i % C] / 127.5f - 1)) < 1e-6f;
            }
            if (same) return true;
        }
    return false;
}

/* Each of the 49 offsets is equally likely: the means of both directions are 0 within four standard
 * errors, and the ends are met. */
START_TEST(crops_are_anywhere_within_the_padding) {
    enum { BATCH = 8, STEPS = 50, PADDING = 3, SAMPLES = BATCH * STEPS };
    training t;
    int32_t sums[2] = {0}, ends[4] = {0};
    training_setup setup = training_default();
    setup.prediction = DM_PREDICT_X0;
    setup.options.batch_size = BATCH;
    setup.options.crop_padding = PADDING;
    training_begin(&t, &setup);
    for (int32_t step = 0; step < STEPS; step++) {
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        for (int32_t i = 0; i < BATCH; i++) {
            int32_t down, right;
            ck_assert_msg(find_shift(t.trainer->batch.target + i * TRAINING_ELEMENTS,
                                     t.trainer->batch.indices[i], PADDING, &down, &right),
                          "image %d of step %d is no crop", (int)i, (int)step);
            sums[0] += down, sums[1] += right;
            const int32_t reached[4] = {down, -down, right, -right};
            for (int32_t k = 0; k < 4; k++) ends[k] = reached[k] > ends[k] ? reached[k] : ends[k];
        }
    }
    double error =
        2 / sqrt(SAMPLES); /* the variance of an offset is ((2 PADDING + 1)^2 - 1) / 12 = 4 */
    ck_assert_double_le(fabs((double)sums[0] / SAMPLES), 4 * error);
    ck_assert_double_le(fabs((double)sums[1] / SAMPLES), 4 * error);
    for (int32_t k = 0; k < 4; k++) ck_assert_int_eq(ends[k], PADDING);
    training_end(&t);
}
END_TEST

/* ---- self-conditioning ---- */

static training_setup self_conditioned(double rate) {
    training_setup setup = training_default();
    setup.dataset = false;
    setup.self_conditioning = 1;
    setup.options.learning_rate = 0.01;
    setup.options.self_conditioning_rate = rate;
    return setup;
}

/* Passes are decided one by one, and their share is the rate within four standard errors. */
START_TEST(passes_self_condition_at_the_rate) {
    enum { PASSES = 4000 };
    training t;
    training_setup setup = self_conditioned(0.3);
    int32_t twice = 0, changes = 0;
    training_begin(&t, &setup);
    for (uint64_t pass = 0; pass < PASSES; pass++) {
        bool now = dmi_batch_self_conditions(&t.trainer->batch, 0.3, pass);
        twice += now;
        changes += pass > 0 && now != dmi_batch_self_conditions(&t.trainer->batch, 0.3, pass - 1);
        ck_assert(!dmi_batch_self_conditions(&t.trainer->batch, 0, pass) &&
                  dmi_batch_self_conditions(&t.trainer->batch, 1, pass));
    }
    ck_assert_double_le(fabs((double)twice / PASSES - 0.3), 4 * sqrt(0.21 / PASSES));
    ck_assert_double_le(fabs((double)changes / PASSES - 0.42), 4 * sqrt(0.5 / PASSES));
    training_end(&t);
}
END_TEST

/* On every instruction set: the second half of the rows, clipped; what is not a number stays so;
 * the first half is left alone. */
START_TEST(self_condition_follows_the_loop) {
    enum { PIXELS = 11, C = 3, OUT = 6 };
    for (int isa = 0; isa < ISAS && kernels_of(isa); isa++) {
        float *rows = uniform(PIXELS * 2 * C, 1, 1), *before = copied(rows, PIXELS * 2 * C),
              *output = uniform(PIXELS * OUT, 2, 1);
        output[OUT + 1] = NAN;
        kernels_of(isa)->self_condition(rows, 1.5f, output, -0.75f, OUT, PIXELS, C);
        for (size_t p = 0; p < PIXELS; p++)
            for (size_t k = 0; k < C; k++) {
                double want = 1.5 * before[p * 2 * C + k] - 0.75 * output[p * OUT + k],
                       got = rows[p * 2 * C + C + k];
                ck_assert(rows[p * 2 * C + k] == before[p * 2 * C + k]);
                if (isnan(want)) ck_assert(isnan(got));
                else ck_assert_double_eq_tol(got, fmin(fmax(want, -1), 1), 3e-7);
            }
        release();
    }
}
END_TEST

/* Splits the input of a graph into x_t and the condition beside it. */
static void split_input(const training *t, float *x, float *side) {
    enum { C = TRAINING_CHANNELS };
    const float *all = input(t, t->trainer->train.x);
    for (int32_t i = 0; i < 4 * TRAINING_ELEMENTS; i++) {
        x[i] = all[i / C * 2 * C + i % C];
        side[i] = all[i / C * 2 * C + C + i % C];
    }
}

/* With rate 0 the condition is 0; with rate 1 it is the x_0 of the model output for that input,
 * clipped. */
START_TEST(the_condition_is_the_clipped_prediction) {
    enum { C = TRAINING_CHANNELS, FLOATS = 4 * TRAINING_ELEMENTS };
    static float x[FLOATS], side[FLOATS], model_input[2 * FLOATS], output[2 * FLOATS], want[FLOATS];
    static const int32_t predictions[] = {DM_PREDICT_EPS, DM_PREDICT_V, DM_PREDICT_EDM,
                                          DM_PREDICT_EPS};
    training t;
    training_given given;
    training_setup setup = self_conditioned(1);
    size_t out = _i == 3 ? 2 * C : C;
    setup.prediction = predictions[_i];
    setup.learned_variance = _i == 3;
    setup.options.loss = _i == 3 ? DM_LOSS_HYBRID : DM_LOSS_MSE;
    if (setup.prediction == DM_PREDICT_EDM) setup.schedule.kind = DM_SCHEDULE_EDM;
    training_begin(&t, &setup);
    training_give(&given, 4);
    for (int32_t i = 0; i < 5; i++)
        training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    training_require(&t, dm_trainer_set_learning_rate(
                             t.trainer, 0)); /* the evaluation below has the same weights */
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    split_input(&t, x, side);
    for (size_t i = 0; i < FLOATS; i++) {
        model_input[i / C * 2 * C + i % C] = x[i];
        model_input[i / C * 2 * C + C + i % C] = 0;
    }
    training_require(&t, network_forward(t.unet, output, model_input, input(&t, t.trainer->train.t),
                                         NULL, 4));
    for (size_t i = 0; i < FLOATS; i++) {
        const dmi_prediction_coefficients *r =
            &t.trainer->batch.levels[i / TRAINING_ELEMENTS].coefficients;
        want[i] = (float)fmin(
            fmax(r->x0_x * x[i] / r->input + r->x0_output * output[i / C * out + i % C], -1), 1);
    }
    test_close(side, want, FLOATS, 1e-5);
    training_end(&t);

    setup.options.self_conditioning_rate = 0;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    split_input(&t, want, side);
    for (size_t i = 0; i < FLOATS; i++) ck_assert(side[i] == 0);
    test_close(x, want, FLOATS, 1e-7);
    training_end(&t);
}
END_TEST

/* ---- threads, and refused options ---- */

/* Everything of this file at once. */
static training_setup everything(void) {
    training_setup setup = training_default();
    setup.classes = TRAINING_CLASSES;
    setup.self_conditioning = setup.learned_variance = 1;
    setup.dropout = 0.1f;
    setup.options.accumulation = 2;
    setup.options.flip = 1;
    setup.options.crop_padding = 2;
    setup.options.label_dropout = 0.3;
    setup.options.loss = DM_LOSS_HYBRID;
    setup.options.loss_weight = DM_LOSS_WEIGHT_MIN_SNR;
    return setup;
}

START_TEST(the_same_bits_with_any_threads) {
    training t;
    size_t floats;
    training_setup setup = everything();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 12, NULL, NULL));
    float *state = training_state(&t, &floats);
    training_end(&t);
    setup.threads = 3;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 12, NULL, NULL));
    training_same_state(&t, state, floats);
    training_end(&t);
    free(state);
}
END_TEST

typedef struct refused_case {
    double label_dropout;
    int32_t classes, use_labels, crop_padding;
    const char *words;
} refused_case;

static const refused_case refused_cases[] = {
    {0.1, 0, 1, 0, "'label_dropout' 0.1|'classes' 0|cannot be combined"},
    {0.2, 4, 0, 0, "'label_dropout' 0.2|'use_labels' 0|cannot be combined"},
    {0, 0, 1, TRAINING_SIDE, "'crop_padding' 8|8 x 8|cannot be combined"},
};

START_TEST(options_that_cannot_be_combined) {
    const refused_case *r = &refused_cases[_i];
    training t;
    training_setup setup = training_default();
    setup.classes = r->classes;
    setup.options.label_dropout = r->label_dropout;
    setup.options.use_labels = r->use_labels;
    setup.options.crop_padding = r->crop_padding;
    training_prepare(&t, &setup);
    int32_t status = dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options);
    training_expect(&t, status, DM_ERROR_INVALID_ARGUMENT, r->words);
    ck_assert_ptr_null(t.trainer);
    training_end(&t);
}
END_TEST

Suite *test_training_options_suite(void);
Suite *test_training_options_suite(void) {
    Suite *suite = suite_create("training_options");
    TCase *tcase = tcase_create("training_options");
    tcase_set_timeout(tcase, 20);
    tcase_add_loop_test(tcase, labels_are_dropped_at_the_rate, 0, 4);
    tcase_add_test(tcase, shift_follows_the_loop);
    tcase_add_test(tcase, crops_are_anywhere_within_the_padding);
    tcase_add_test(tcase, passes_self_condition_at_the_rate);
    tcase_add_test(tcase, self_condition_follows_the_loop);
    tcase_add_loop_test(tcase, the_condition_is_the_clipped_prediction, 0, 4);
    tcase_add_test(tcase, the_same_bits_with_any_threads);
    tcase_add_loop_test(tcase, options_that_cannot_be_combined, 0,
                        (int)(sizeof refused_cases / sizeof *refused_cases));
    suite_add_tcase(suite, tcase);
    return suite;
}
