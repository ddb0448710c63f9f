/* SPDX-License-Identifier: MIT */
/* Steps that are skipped because something is not finite, and how runs begin and end. */
#include "support/network.h"
#include "support/training.h"
#include "train/trainer.h"

/* ---- what is not finite ---- */

static const float bad_values[] = {NAN, INFINITY, -INFINITY, 1e38f};

START_TEST(losses_that_are_not_finite_change_nothing) {
    training t;
    training_given given;
    size_t floats;
    training_setup setup = training_default();
    setup.dataset = false;
    training_begin(&t, &setup);
    training_give(&given, 4);
    dm_train_stats stats = {.struct_size = sizeof stats};
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    float *state = training_state(&t, &floats);
    uint64_t version = t.unet->weights->params.version;
    given.images[TRAINING_ELEMENTS + 5] = bad_values[_i];
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, &stats), DM_ERROR_NOT_FINITE,
                    "step 2 was skipped");
    ck_assert_int_eq(stats.skipped, 1);
    ck_assert_uint_eq(stats.step, 2);
    ck_assert(!isfinite(stats.loss) || !isfinite(stats.gradient_norm));
    ck_assert_uint_eq(training_steps(t.trainer), 2);
    ck_assert_uint_eq(t.unet->weights->params.version, version);
    training_same_state(&t, state, floats);
    training_give(&given, 4);
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &stats));
    ck_assert_int_eq(stats.skipped, 0);
    ck_assert_uint_eq(stats.step, 3);
    ck_assert_uint_eq(t.trainer->progress.applied, 2);
    free(state);
    training_end(&t);
}
END_TEST

/* Gradients may overflow where the loss, a sum in double, does not. */
START_TEST(gradients_that_overflow_are_skipped) {
    enum { WEIGHTS = TRAINING_CHANNELS * 16 * 9 };
    training t;
    float large[WEIGHTS];
    size_t floats;
    training_setup setup = training_default();
    training_begin(&t, &setup);
    for (int32_t i = 0; i < WEIGHTS; i++) large[i] = 1e25f;
    training_require(&t, network_set(t.unet, "conv_out.weight", large, WEIGHTS));
    float *state = training_state(&t, &floats);
    dm_train_stats stats = {.struct_size = sizeof stats};
    training_expect(&t, dm_trainer_step(t.trainer, &stats), DM_ERROR_NOT_FINITE, "skipped");
    ck_assert(isfinite(stats.loss) && !isfinite(stats.gradient_norm));
    training_same_state(&t, state, floats);
    free(state);
    training_end(&t);
}
END_TEST

/* Finite gradients whose squares are not would make second moments infinite, and their weights
 * would never move again. */
START_TEST(gradients_whose_squares_overflow_are_skipped) {
    training t;
    training_given given;
    size_t floats;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.prediction = DM_PREDICT_X0;
    setup.options.gradient_clip = 0;
    training_begin(&t, &setup);
    training_give(&given, 4);
    dm_train_stats stats = {.struct_size = sizeof stats};
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    float *state = training_state(&t, &floats), before[TRAINING_CHANNELS], after[TRAINING_CHANNELS];
    for (int32_t i = 0; i < 4 * TRAINING_ELEMENTS; i++) given.images[i] = 1e25f;
    for (int32_t i = 0; i < 4; i++) given.timesteps[i] = 999; /* x_t stays in float's range */
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, &stats), DM_ERROR_NOT_FINITE,
                    "skipped");
    ck_assert(isfinite(stats.loss) && isfinite(stats.gradient_norm) && stats.gradient_norm > 1e18);
    training_same_state(&t, state, floats);
    training_require(&t, dm_unet_get_tensor(t.unet, "conv_out.bias", before, TRAINING_CHANNELS));
    training_give(&given, 4);
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &stats));
    training_require(&t, dm_unet_get_tensor(t.unet, "conv_out.bias", after, TRAINING_CHANNELS));
    for (int32_t i = 0; i < TRAINING_CHANNELS; i++) ck_assert(before[i] != after[i]);
    free(state);
    training_end(&t);
}
END_TEST

/* Adam's bias correction counts the steps that were applied: with a skipped one between, the
 * weights are the same bits. */
START_TEST(skipped_steps_do_not_count_for_adam) {
    training with, without;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    training_begin(&with, &setup);
    training_begin(&without, &setup);
    for (int32_t i = 0; i < 3; i++) {
        training_give(&given, 4);
        training_require(&with, dm_trainer_step_batch(with.trainer, &given.batch, NULL));
        training_require(&without, dm_trainer_step_batch(without.trainer, &given.batch, NULL));
        given.images[0] = NAN;
        ck_assert_int_eq(dm_trainer_step_batch(with.trainer, &given.batch, NULL),
                         DM_ERROR_NOT_FINITE);
    }
    size_t floats;
    float *state = training_state(&without, &floats);
    training_same_state(&with, state, floats);
    free(state);
    training_end(&with);
    training_end(&without);
}
END_TEST

typedef struct report {
    dm_trainer *trainer;
    int32_t calls, skipped, cancel_at, fail_at;
    uint64_t steps[64];
} report;

static int32_t note_step(void *user, const dm_train_stats *stats) {
    report *r = user;
    r->skipped += stats->skipped;
    if (r->calls < 64) r->steps[r->calls] = stats->step;
    r->calls++;
    if (r->calls == r->cancel_at) dm_trainer_cancel(r->trainer);
    return r->calls == r->fail_at ? 7 : 0;
}

/* One bias of NaN makes every step skipped. */
static void invalidate(const training *t) {
    dmi_params *params = &t->unet->weights->params;
    int32_t bias = dmi_params_find(params, "conv_out.bias");
    params->data[params->items[bias].offset] = NAN; /* which dm_unet_set_tensor would refuse */
    params->version++;
}

START_TEST(ten_skipped_in_a_row_end_a_run) {
    training t;
    report r = {0};
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 2, note_step, &r));
    invalidate(&t);
    training_expect(&t, dm_trainer_run(t.trainer, 100, note_step, &r), DM_ERROR_NOT_FINITE,
                    "10 steps in a row|step 12");
    ck_assert_int_eq(r.calls, 12);
    ck_assert_int_eq(r.skipped, 10);
    ck_assert_uint_eq(training_steps(t.trainer), 12);
    training_end(&t);
}
END_TEST

/* ---- runs ---- */

START_TEST(run_counts_from_the_first_step) {
    training t;
    report r = {0};
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 3, note_step, &r));
    training_require(&t, dm_trainer_run(t.trainer, 3, note_step, &r));
    ck_assert_int_eq(r.calls, 3);
    training_require(&t, dm_trainer_run(t.trainer, 5, note_step, &r));
    ck_assert_int_eq(r.calls, 5);
    for (int32_t i = 0; i < 5; i++) ck_assert_uint_eq(r.steps[i], (uint64_t)i + 1);
    training_require(&t, dm_trainer_run(t.trainer, 6, NULL, NULL));
    ck_assert_uint_eq(training_steps(t.trainer), 6);
    training_end(&t);
}
END_TEST

START_TEST(runs_can_be_cancelled) {
    training t;
    training_setup setup = training_default();
    training_begin(&t, &setup);
    report r = {.trainer = t.trainer, .cancel_at = 2};
    training_expect(&t, dm_trainer_run(t.trainer, 9, note_step, &r), DM_ERROR_CANCELLED,
                    "after step 2");
    ck_assert_uint_eq(training_steps(t.trainer), 2);
    training_require(&t, dm_trainer_run(t.trainer, 3, note_step, &r));
    dm_trainer_cancel(t.trainer); /* before a run: it does not begin */
    training_expect(&t, dm_trainer_run(t.trainer, 9, note_step, &r), DM_ERROR_CANCELLED,
                    "after step 3");
    ck_assert_int_eq(r.calls, 3);
    r = (report){.trainer = t.trainer, .cancel_at = 1}; /* in the last step of all */
    training_expect(&t, dm_trainer_run(t.trainer, 4, note_step, &r), DM_ERROR_CANCELLED,
                    "after step 4");
    r = (report){.fail_at = 3};
    training_expect(&t, dm_trainer_run(t.trainer, 99, note_step, &r), DM_ERROR_CANCELLED,
                    "callback after step 7 returned 7");
    training_require(&t, dm_trainer_run(t.trainer, 8, NULL, NULL));
    dm_trainer_cancel(NULL);
    training_end(&t);
}
END_TEST

/* A cancel is pending until a call has returned it: one that fails for another reason, or has
 * nothing to do, does not. */
START_TEST(cancels_are_not_lost) {
    training t;
    training_given given;
    training_setup setup = training_default();
    training_begin(&t, &setup);
    dm_train_stats unset = {0};
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    dm_trainer_cancel(t.trainer);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    training_expect(&t, dm_trainer_step(t.trainer, &unset), DM_ERROR_INVALID_ARGUMENT,
                    "struct_size");
    training_expect(&t, dm_trainer_step(t.trainer, NULL), DM_ERROR_CANCELLED, "after step 2");
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    dm_trainer_cancel(t.trainer);
    training_give(&given, 4);
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL), DM_ERROR_CANCELLED,
                    "after step 3");
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    ck_assert_uint_eq(training_steps(t.trainer), 4);
    training_end(&t);
}
END_TEST

Suite *test_trainer_run_suite(void);
Suite *test_trainer_run_suite(void) {
    Suite *suite = suite_create("trainer_run");
    TCase *tcase = tcase_create("trainer_run");
    tcase_add_loop_test(tcase, losses_that_are_not_finite_change_nothing, 0,
                        (int)(sizeof bad_values / sizeof *bad_values));
    tcase_add_test(tcase, gradients_that_overflow_are_skipped);
    tcase_add_test(tcase, gradients_whose_squares_overflow_are_skipped);
    tcase_add_test(tcase, skipped_steps_do_not_count_for_adam);
    tcase_add_test(tcase, ten_skipped_in_a_row_end_a_run);
    tcase_add_test(tcase, run_counts_from_the_first_step);
    tcase_add_test(tcase, runs_can_be_cancelled);
    tcase_add_test(tcase, cancels_are_not_lost);
    suite_add_tcase(suite, tcase);
    return suite;
}
