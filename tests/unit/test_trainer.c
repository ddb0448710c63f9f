/* SPDX-License-Identifier: MIT */
/* The trainer: what a step does to the weights and their EMA, its creation and destruction. */
#include "support/dataset.h"
#include "support/network.h"
#include "support/training.h"
#include "train/trainer.h"

/* ---- learning ---- */

/* The same images, noise and timesteps can be overfitted. */
START_TEST(one_batch_can_be_overfitted) {
    training t;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.prediction = _i;
    setup.options.learning_rate = 3e-3;
    training_begin(&t, &setup);
    training_give(&given, 4);
    dm_train_stats first = {.struct_size = sizeof first}, last = first;
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &first));
    for (int32_t i = 0; i < 250; i++)
        training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &last));
    ck_assert_msg(last.loss < 0.1 * first.loss, "the loss went from %g to %g only", first.loss,
                  last.loss);
    training_end(&t);
}
END_TEST

/* The network's last convolution starts as practically zero, so the first loss is the targets'
 * mean square. */
START_TEST(first_loss_is_the_targets_size) {
    training t;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.prediction = _i;
    training_begin(&t, &setup);
    training_give(&given, 4);
    double want = 0, *a = malloc(1000 * sizeof *a);
    training_require(&t, dm_schedule_get_series(t.schedule, DM_SERIES_ALPHA_CUMPROD, a, 1000));
    for (size_t i = 0; i < 4 * TRAINING_ELEMENTS; i++) {
        double x0 = given.images[i], eps = given.noise[i],
               at = a[given.timesteps[i / TRAINING_ELEMENTS]];
        double target = _i == DM_PREDICT_EPS  ? eps
                        : _i == DM_PREDICT_X0 ? x0
                                              : sqrt(at) * eps - sqrt(1 - at) * x0;
        want += target * target / (4 * TRAINING_ELEMENTS);
    }
    dm_train_stats stats = {.struct_size = sizeof stats};
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &stats));
    ck_assert_double_eq_tol(stats.loss / want, 1, 1e-4); /* the output is some 1e-5 of the target */
    free(a);
    training_end(&t);
}
END_TEST

/* ---- accumulation ---- */

/* The gradients of 8 images in 1 to 8 passes. */
static float *gradients_in(int32_t passes, size_t *count, dm_train_stats *stats) {
    training t;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.options.batch_size = TRAINING_GIVEN / passes;
    setup.options.accumulation = passes;
    training_begin(&t, &setup);
    training_give(&given, TRAINING_GIVEN);
    *stats = (dm_train_stats){.struct_size = sizeof *stats};
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, stats));
    *count = t.unet->weights->params.floats;
    float *gradients = malloc(*count * sizeof *gradients);
    memcpy(gradients, t.unet->weights->params.gradient, *count * sizeof *gradients);
    training_end(&t);
    return gradients;
}

START_TEST(accumulation_is_a_larger_batch) {
    size_t count;
    dm_train_stats one, many;
    float *want = gradients_in(1, &count, &one), *got = gradients_in(1 << _i, &count, &many);
    test_close(
        got, want, count,
        2e-6); /* the same sums in another order, of a second step, whose weights differ as much */
    ck_assert_double_eq_tol(many.loss / one.loss, 1, 1e-6);
    ck_assert_double_eq_tol(many.gradient_norm / one.gradient_norm, 1, 1e-6);
    ck_assert_uint_eq(many.images, one.images);
    free(want);
    free(got);
}
END_TEST

/* ---- the weights ---- */

START_TEST(rate_of_each_step) {
    training t;
    training_setup setup = training_default();
    setup.options.warmup_steps = 4;
    setup.options.learning_rate_schedule = DM_RATE_LINEAR;
    setup.options.learning_rate_end_step = 6;
    training_begin(&t, &setup);
    const double want[] = {0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 0.5e-3, 0, 0};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        dm_train_stats stats = {.struct_size = sizeof stats};
        float *weights = training_weights(&t);
        training_require(&t, dm_trainer_step(t.trainer, &stats));
        ck_assert_double_eq_tol(stats.learning_rate, want[i], 1e-15);
        ck_assert_int_eq(training_unchanged(&t, weights), want[i] == 0);
        free(weights);
    }
    training_end(&t);
}
END_TEST

/* ---- clipping and stats ---- */

/* Adam is invariant to the scale of gradients, but its moments show it. */
START_TEST(clipping_scales_the_gradients) {
    training clipped, free_run;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    training_give(&given, 4);
    setup.options.gradient_clip = 0;
    training_begin(&free_run, &setup);
    setup.options.gradient_clip = 0.01;
    training_begin(&clipped, &setup);
    dm_train_stats stats = {.struct_size = sizeof stats};
    training_require(&free_run, dm_trainer_step_batch(free_run.trainer, &given.batch, NULL));
    training_require(&clipped, dm_trainer_step_batch(clipped.trainer, &given.batch, &stats));
    ck_assert(stats.gradient_norm > 0.01);
    size_t floats = clipped.unet->weights->params.floats;
    float *want = malloc(floats * sizeof *want);
    for (size_t i = 0; i < floats; i++)
        want[i] = (float)(free_run.trainer->moment1[i] * (0.01 / stats.gradient_norm));
    test_close(clipped.trainer->moment1, want, floats, 1e-6);
    free(want);
    training_end(&free_run);
    training_end(&clipped);
}
END_TEST

START_TEST(stats_are_filled) {
    training t;
    training_setup setup = training_default();
    setup.options.accumulation = 2;
    training_begin(&t, &setup);
    dm_train_stats stats = {0};
    training_expect(&t, dm_trainer_step(t.trainer, &stats), DM_ERROR_INVALID_ARGUMENT,
                    "struct_size");
    ck_assert_uint_eq(training_steps(t.trainer), 0);
    stats.struct_size = sizeof stats;
    for (int32_t i = 0; i < 3; i++) training_require(&t, dm_trainer_step(t.trainer, &stats));
    ck_assert_uint_eq(stats.struct_size, sizeof stats);
    ck_assert_uint_eq(stats.step, 3);
    ck_assert_uint_eq(stats.images, 24);
    ck_assert_double_eq_tol(stats.epoch, 2.4, 1e-15);
    ck_assert(stats.loss > 0 && stats.gradient_norm > 0 && stats.seconds > 0 &&
              stats.learning_rate == 1e-3);
    dm_train_stats shorter; /* as an older caller has it: nothing past its end is written */
    memset(&shorter, 0x55, sizeof shorter);
    shorter.struct_size = offsetof(dm_train_stats, images);
    training_require(&t, dm_trainer_step(t.trainer, &shorter));
    ck_assert_uint_eq(shorter.step, 4);
    ck_assert_uint_eq(shorter.images, 0x5555555555555555u);
    training_end(&t);
}
END_TEST

/* ---- EMAs ---- */

START_TEST(ema_follows_the_weights) {
    training t, target;
    training_setup setup = training_default();
    setup.options.ema_decay[0] = 0.75;
    setup.options.ema_warmup = 0;
    training_begin(&t, &setup);
    training_prepare(&target, &setup);
    size_t floats = t.unet->weights->params.floats;
    double *want = malloc(floats * sizeof *want);
    for (size_t i = 0; i < floats; i++) want[i] = t.unet->weights->params.data[i];
    training_require(&t, dm_trainer_get_ema(t.trainer, 0, target.unet));
    ck_assert(training_unchanged(&target, t.unet->weights->params.data));
    uint64_t version = target.unet->weights->params.version;
    for (int32_t step = 0; step < 4; step++) {
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        for (size_t i = 0; i < floats; i++)
            want[i] = 0.75 * want[i] + 0.25 * t.unet->weights->params.data[i];
    }
    training_require(&t, dm_trainer_get_ema(t.trainer, 0, target.unet));
    ck_assert_uint_gt(target.unet->weights->params.version, version);
    ck_assert_double_le(test_error_d(target.unet->weights->params.data, want, floats), 1e-7);
    ck_assert(!training_unchanged(&target, t.unet->weights->params.data));
    free(want);
    training_end(&target);
    training_end(&t);
}
END_TEST

START_TEST(ema_needs_a_fitting_target) {
    training t, target;
    training_setup setup = training_default();
    training_begin(&t, &setup);
    setup.prediction = DM_PREDICT_V;
    training_prepare(&target, &setup);
    training_expect(&t, dm_trainer_get_ema(t.trainer, 0, NULL), DM_ERROR_INVALID_ARGUMENT, "NULL");
    training_expect(&t, dm_trainer_get_ema(t.trainer, 0, t.unet), DM_ERROR_INVALID_ARGUMENT,
                    "being trained");
    training_expect(&t, dm_trainer_get_ema(t.trainer, 0, target.unet), DM_ERROR_SHAPE_MISMATCH,
                    "'prediction'");
    training_end(&target);
    training_end(&t);
    setup = training_default();
    setup.options.ema_decay[0] = 0;
    training_begin(&t, &setup);
    ck_assert_ptr_null(t.trainer->ema[0]);
    training_prepare(&target, &setup);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_expect(&t, dm_trainer_get_ema(t.trainer, 0, target.unet), DM_ERROR_WRONG_STATE,
                    "no EMA 0|'ema_decay[0]'");
    training_end(&target);
    training_end(&t);
}
END_TEST

/* ---- dropout, and the network between steps ---- */

/* The gradients' norm of step `step` with a rate of 0, so that only the masks change from step to
 * step. */
static double norm_of_step(uint64_t seed, float dropout, int32_t step) {
    training t;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.dropout = dropout;
    setup.options.seed = seed;
    setup.options.learning_rate = 0;
    training_begin(&t, &setup);
    training_give(&given, 4);
    dm_train_stats stats = {.struct_size = sizeof stats};
    for (int32_t i = 0; i < step; i++)
        training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &stats));
    training_end(&t);
    return stats.gradient_norm;
}

START_TEST(dropout_is_sampled_anew) {
    ck_assert(norm_of_step(5, 0.3f, 2) == norm_of_step(5, 0.3f, 2));
    ck_assert(norm_of_step(5, 0.3f, 2) != norm_of_step(5, 0.3f, 1));
    ck_assert(norm_of_step(5, 0.3f, 2) != norm_of_step(6, 0.3f, 2));
    ck_assert(norm_of_step(5, 0, 2) == norm_of_step(6, 0, 1));
}
END_TEST

/* What is cached for running, computed from the weights, is recomputed after a step. */
START_TEST(network_runs_between_steps) {
    training t, other;
    training_given given;
    const float timestep = 300;
    float before[TRAINING_ELEMENTS], after[TRAINING_ELEMENTS], want[TRAINING_ELEMENTS];
    training_setup setup = training_default();
    setup.options.learning_rate = 0.01;
    training_give(&given, 4);
    training_begin(&t, &setup);
    training_prepare(&other, &setup);
    training_require(&t, network_forward(t.unet, before, given.images, &timestep, NULL, 1));
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    training_require(&t, network_forward(t.unet, after, given.images, &timestep, NULL, 1));
    memcpy(other.unet->weights->params.data, t.unet->weights->params.data,
           t.unet->weights->params.floats * sizeof(float));
    training_require(&other, network_forward(other.unet, want, given.images, &timestep, NULL, 1));
    ck_assert_mem_eq(after, want, sizeof want);
    ck_assert_mem_ne(after, before, sizeof before);
    training_end(&other);
    training_end(&t);
}
END_TEST

/* ---- creation, destruction and memory ---- */

START_TEST(a_network_has_one_trainer) {
    training t;
    dm_trainer *second = (dm_trainer *)&t;
    training_setup setup = training_default();
    training_begin(&t, &setup);
    int32_t status = dm_trainer_create(&second, t.unet, t.schedule, NULL, &setup.options);
    training_expect(&t, status, DM_ERROR_WRONG_STATE, "already");
    ck_assert_ptr_null(second);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    dm_trainer_destroy(t.trainer);
    ck_assert_ptr_null(t.unet->weights->params.gradient);
    training_require(&t, dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, NULL));
    training_end(&t);
}
END_TEST

START_TEST(null_arguments) {
    training t;
    dm_trainer *trainer;
    training_setup setup = training_default();
    training_prepare(&t, &setup);
    ck_assert_int_eq(dm_trainer_create(&trainer, NULL, t.schedule, NULL, NULL),
                     DM_ERROR_INVALID_ARGUMENT);
    training_expect(&t, dm_trainer_create(NULL, t.unet, t.schedule, NULL, NULL),
                    DM_ERROR_INVALID_ARGUMENT, "'out'");
    training_expect(&t, dm_trainer_create(&trainer, t.unet, NULL, NULL, NULL),
                    DM_ERROR_INVALID_ARGUMENT, "'schedule'");
    ck_assert_int_eq(dm_trainer_step(NULL, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_trainer_run(NULL, 1, NULL, NULL), DM_ERROR_INVALID_ARGUMENT);
    uint64_t step;
    ck_assert_int_eq(dm_trainer_get_step(NULL, &step), DM_ERROR_INVALID_ARGUMENT);
    dm_trainer_destroy(NULL);
    training_end(&t);
}
END_TEST

START_TEST(steps_allocate_nothing) {
    training t;
    training_given given;
    uint64_t before, after;
    training_setup setup = training_default();
    setup.threads = 2;
    setup.classes = TRAINING_CLASSES;
    setup.dropout = 0.1f;
    setup.options.accumulation = 2;
    setup.options.flip = 1;
    training_begin(&t, &setup);
    training_give(&given, 8);
    training_require(&t, dm_context_get_memory(t.context, NULL, NULL, &before));
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    training_require(&t, dm_context_get_memory(t.context, NULL, NULL, &after));
    ck_assert_uint_eq(before, after);
    training_end(&t);
}
END_TEST

START_TEST(memory_limit) {
    training t = {0};
    dm_unet_options o;
    uint64_t before, after;
    t.context = test_context_new(NULL, 10000000);
    training_require(&t, dm_unet_options_preset(&o, sizeof o, DM_PRESET_TINY));
    training_require(&t, dm_unet_create(&t.unet, t.context, &o, 1));
    training_require(&t, dm_schedule_create(&t.schedule, t.context, NULL));
    training_require(&t, dm_context_get_memory(t.context, &before, NULL, NULL));
    float *weights = training_weights(&t);
    training_expect(&t, dm_trainer_create(&t.trainer, t.unet, t.schedule, NULL, NULL),
                    DM_ERROR_LIMIT_EXCEEDED, "10.0 MB");
    training_require(&t, dm_context_get_memory(t.context, &after, NULL, NULL));
    ck_assert_uint_eq(before, after);
    ck_assert(training_unchanged(&t, weights));
    ck_assert(!t.unet->trained);
    free(weights);
    training_end(&t);
}
END_TEST

static int32_t make_trainer(dm_context *context, const void *user) {
    const training_setup *setup = user;
    training t = {.context = context};
    dm_unet_options o;
    int32_t status = dm_unet_options_preset(&o, sizeof o, DM_PRESET_TINY);
    o.height = o.width = TRAINING_SIDE;
    if (!status) status = dm_schedule_create(&t.schedule, context, NULL);
    if (!status)
        status = dataset_from_memory(&t.dataset, context, training_pixels(), NULL, TRAINING_IMAGES,
                                     TRAINING_SIDE, TRAINING_SIDE, TRAINING_CHANNELS);
    if (!status) status = dm_unet_create(&t.unet, context, &o, 1);
    if (!status)
        status = dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup->options);
    dm_trainer_destroy(t.trainer);
    dm_unet_destroy(t.unet);
    dm_dataset_destroy(t.dataset);
    dm_schedule_destroy(t.schedule);
    return status;
}

START_TEST(every_allocation_may_fail) {
    training_setup setup = training_default();
    if (_i == 1) {
        setup.options.timestep_sampling = DM_TIMESTEPS_LOSS_AWARE;
        setup.options.ema_decay[2] = 0.5;
    }
    ck_assert_int_gt(test_every_allocation(make_trainer, &setup), 15 + 6 * _i);
}
END_TEST

Suite *test_trainer_suite(void);
Suite *test_trainer_suite(void) {
    Suite *suite = suite_create("trainer");
    TCase *tcase = tcase_create("trainer");
    tcase_set_timeout(tcase, 20);
    tcase_add_loop_test(tcase, one_batch_can_be_overfitted, DM_PREDICT_EPS, DM_PREDICT_V + 1);
    tcase_add_loop_test(tcase, first_loss_is_the_targets_size, DM_PREDICT_EPS, DM_PREDICT_V + 1);
    tcase_add_loop_test(tcase, accumulation_is_a_larger_batch, 1, 4);
    tcase_add_test(tcase, rate_of_each_step);
    tcase_add_test(tcase, clipping_scales_the_gradients);
    tcase_add_test(tcase, stats_are_filled);
    tcase_add_test(tcase, ema_follows_the_weights);
    tcase_add_test(tcase, ema_needs_a_fitting_target);
    tcase_add_test(tcase, dropout_is_sampled_anew);
    tcase_add_test(tcase, network_runs_between_steps);
    tcase_add_test(tcase, a_network_has_one_trainer);
    tcase_add_test(tcase, null_arguments);
    tcase_add_test(tcase, steps_allocate_nothing);
    tcase_add_test(tcase, memory_limit);
    tcase_add_loop_test(tcase, every_allocation_may_fail, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}
