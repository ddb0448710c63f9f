/* SPDX-License-Identifier: MIT */
/* The losses of a step in each quarter of the timesteps. */
#include "diffusion/loss_weight.h"
#include "support/network.h"
#include "support/training.h"
#include "train/trainer.h"

static dm_train_stats step_on(const training *t, const dm_train_batch *batch) {
    dm_train_stats stats;
    training_require(t, dm_train_stats_init(&stats, sizeof stats));
    training_require(t, batch ? dm_trainer_step_batch(t->trainer, batch, &stats)
                              : dm_trainer_step(t->trainer, &stats));
    return stats;
}

static int32_t images_of(const dm_train_stats *stats) {
    int32_t sum = 0;
    for (int32_t q = 0; q < 4; q++) sum += stats->quarter_images[q];
    return sum;
}

/* The mean of the quarters by their images. */
static double mean_of(const dm_train_stats *stats) {
    double sum = 0;
    for (int32_t q = 0; q < 4; q++) sum += stats->quarter_loss[q] * stats->quarter_images[q];
    return sum / images_of(stats);
}

/* Of 1000 timesteps the first quarter is 0 to 249. Quarters without images have 0. */
START_TEST(quarters_of_timesteps) {
    training t;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.options.batch_size = 2;
    setup.options.accumulation = 4;
    training_begin(&t, &setup);
    training_give(&given, 8);
    const int32_t at[] = {0, 249, 250, 750, 999, 998, 249, 800};
    memcpy(given.timesteps, at, sizeof at);
    dm_train_stats stats = step_on(&t, &given.batch);
    const int32_t want[] = {3, 1, 0, 4};
    ck_assert_mem_eq(stats.quarter_images, want, sizeof want);
    ck_assert(stats.quarter_loss[0] > 0 && stats.quarter_loss[1] > 0 && stats.quarter_loss[3] > 0);
    ck_assert(stats.quarter_loss[2] == 0);
    ck_assert_double_eq_tol(mean_of(&stats) / stats.loss, 1, 1e-9);
    for (int32_t i = 0; i < 8; i++) given.timesteps[i] = 500 + 10 * i;
    stats = step_on(&t, &given.batch); /* nothing is left of the step before */
    const int32_t third[] = {0, 0, 8, 0};
    ck_assert_mem_eq(stats.quarter_images, third, sizeof third);
    ck_assert_double_eq_tol(stats.quarter_loss[2] / stats.loss, 1, 1e-9);
    ck_assert(stats.quarter_loss[0] == 0);
    training_end(&t);
}
END_TEST

/* Four timesteps of which each is a quarter, and fewer than four. */
START_TEST(short_schedules) {
    static const int32_t want[][4] = {{8, 0, 0, 0}, {4, 0, 4, 0}, {3, 3, 2, 0}, {2, 2, 2, 2}};
    training t;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.options.batch_size = 8;
    setup.schedule.timesteps = _i;
    setup.schedule.beta_end = 0.5;
    training_begin(&t, &setup);
    training_give(&given, 8);
    for (int32_t i = 0; i < 8; i++) given.timesteps[i] = i % _i;
    const dm_train_stats stats = step_on(&t, &given.batch);
    ck_assert_mem_eq(stats.quarter_images, want[_i - 1], sizeof want[0]);
    training_end(&t);
}
END_TEST

/* Each loss has its loss weight: a mean square of the noise, since a new network's output is
 * practically nothing. */
START_TEST(losses_have_their_weight) {
    training t;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.options.loss_weight = DM_LOSS_WEIGHT_MIN_SNR;
    training_begin(&t, &setup);
    training_give(&given, 4);
    const int32_t at[] = {100, 400, 600, 900};
    memcpy(given.timesteps, at, sizeof at);
    const dm_train_stats stats = step_on(&t, &given.batch);
    for (int32_t i = 0; i < 4; i++) {
        double squares = 0;
        for (int32_t k = 0; k < TRAINING_ELEMENTS; k++)
            squares += pow((double)given.noise[i * TRAINING_ELEMENTS + k], 2);
        const double weight =
            dmi_loss_weight(&setup.options, t.schedule, dmi_schedule_level(t.schedule, at[i]),
                            at[i], DM_PREDICT_EPS);
        ck_assert_int_eq(stats.quarter_images[i], 1);
        ck_assert_double_eq_tol(stats.quarter_loss[i] / (weight * squares / TRAINING_ELEMENTS), 1,
                                1e-4);
    }
    training_end(&t);
}
END_TEST

/* Without the weights of importance sampling, unlike the loss of the step. */
START_TEST(importance_is_left_out) {
    training t;
    training_setup setup = training_default();
    setup.schedule.timesteps = 8;
    setup.schedule.beta_end = 0.6;
    setup.options.timestep_sampling = DM_TIMESTEPS_LOSS_AWARE;
    setup.options.loss_weight = DM_LOSS_WEIGHT_BOUND;
    setup.options.batch_size = 8;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 40, NULL, NULL));
    ck_assert(t.trainer->timesteps.warm);
    const dm_train_stats stats = step_on(&t, NULL);
    double sum = 0;
    for (int32_t i = 0; i < 8; i++) sum += t.trainer->recorded[i].loss;
    ck_assert_int_eq(images_of(&stats), 8);
    ck_assert_double_eq_tol(mean_of(&stats) / (sum / 8), 1, 1e-9);
    ck_assert(fabs(mean_of(&stats) / stats.loss - 1) > 1e-3);
    training_end(&t);
}
END_TEST

/* Levels between timesteps are in no quarter. */
START_TEST(levels_between_timesteps) {
    training t;
    training_setup setup = training_default();
    setup.schedule.kind = DM_SCHEDULE_FLOW;
    setup.prediction = DM_PREDICT_FLOW;
    setup.options.timestep_sampling = DM_TIMESTEPS_LOGIT_NORMAL;
    training_begin(&t, &setup);
    const dm_train_stats stats = step_on(&t, NULL);
    ck_assert(stats.loss > 0);
    ck_assert_int_eq(images_of(&stats), 0);
    for (int32_t q = 0; q < 4; q++) ck_assert(stats.quarter_loss[q] == 0);
    training_end(&t);
}
END_TEST

static int32_t check_step(void *user, const dm_train_stats *stats) {
    int32_t *steps = user;
    ck_assert_int_eq(images_of(stats), 4);
    for (int32_t q = 0; q < 4; q++) ck_assert(isfinite(stats->quarter_loss[q]));
    ck_assert_double_eq_tol(mean_of(stats) / stats->loss, 1, 1e-9);
    ++*steps;
    return 0;
}

START_TEST(callbacks_of_a_run) {
    training t;
    int32_t steps = 0;
    const training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 5, check_step, &steps));
    ck_assert_int_eq(steps, 5);
    training_end(&t);
}
END_TEST

Suite *test_quarter_losses_suite(void);
Suite *test_quarter_losses_suite(void) {
    Suite *suite = suite_create("quarter_losses");
    TCase *tcase = tcase_create("quarter_losses");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, quarters_of_timesteps);
    tcase_add_loop_test(tcase, short_schedules, 1, 5);
    tcase_add_test(tcase, losses_have_their_weight);
    tcase_add_test(tcase, importance_is_left_out);
    tcase_add_test(tcase, levels_between_timesteps);
    tcase_add_test(tcase, callbacks_of_a_run);
    suite_add_tcase(suite, tcase);
    return suite;
}
