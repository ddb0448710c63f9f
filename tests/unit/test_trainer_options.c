/* SPDX-License-Identifier: MIT */
/* A trainer's options: what is refused, by name and value, and what comes back. */
#include "support/training.h"

typedef struct bad_option {
    size_t offset;
    char type; /* i, d or u */
    double value;
    const char *words;
} bad_option;

#define BAD(type, member, value, text)                                                             \
    { offsetof(dm_trainer_options, member), type, value, "'" #member "' is " text }

static const bad_option bad_options[] = {
    BAD('i', batch_size, 0, "0"),
    BAD('i', batch_size, 4097, "4097"),
    BAD('i', accumulation, 0, "0"),
    BAD('i', accumulation, -1, "-1"),
    BAD('i', flip, 2, "2"),
    BAD('i', learning_rate_schedule, 3, "3"),
    BAD('i', ema_warmup, -1, "-1"),
    BAD('i', use_labels, 7, "7"),
    BAD('i', recompute, 3, "3"),
    BAD('i', recompute, -1, "-1"),
    BAD('d', learning_rate, -1e-9, "-1e-09"),
    BAD('d', learning_rate, (double)INFINITY, "not finite"),
    BAD('d', learning_rate, (double)NAN, ""),
    BAD('d', learning_rate, 1e300, "1e+300"),
    BAD('d', beta1, 1, "1"),
    BAD('d', beta1, -0.1, "-0.1"),
    BAD('d', beta2, 1, "1"),
    BAD('d', beta2, (double)NAN, ""),
    BAD('d', beta2, 0.99999999, "0.99999999"),
    BAD('d', adam_eps, 0, "0"),
    BAD('d', adam_eps, -1, "-1"),
    BAD('d', adam_eps, 1e-60, "1e-60"),
    BAD('d', weight_decay, -1, "-1"),
    BAD('d', gradient_clip, -1, "-1"),
    BAD('d', gradient_clip, (double)NAN, ""),
    BAD('d', ema_decay[0], 1, "1"),
    BAD('d', ema_decay[0], -0.5, "-0.5"),
    BAD('d', learning_rate_end_fraction, 1.5, "1.5"),
    BAD('d', learning_rate_end_fraction, -1, "-1"),
    BAD('i', timestep_sampling, 4, "4"),
    BAD('d', logit_mean, -101, "-101"),
    BAD('d', logit_std, 0, "0"),
    BAD('d', log_sigma_mean, (double)NAN, ""),
    BAD('d', log_sigma_std, 6, "6"),
    BAD('d', learning_rate, -1e-60, "-1e-60"),
    BAD('i', optimizer, 2, "2"),
    BAD('i', padding, 1, "set"),
    BAD('i', precision, DM_PRECISION_F16, "f16"),
    BAD('i', precision, 3, "3"),
    BAD('i', distill_clip, 2, "2"),
    BAD('i', distill_steps, -1, "-1"),
    BAD('i', distill_steps, 50001, "50001"),
    BAD('d', ema_half_life[0], -1, "-1"),
    BAD('d', ema_rampup, (double)INFINITY, "not finite"),
    BAD('d', ema_decay[2], 1, "1"),
    BAD('d', ema_half_life[3], -2, "-2"),
    BAD('i', loss, 3, "3"),
    BAD('i', loss_weight, -1, "-1"),
    BAD('i', crop_padding, -1, "-1"),
    BAD('d', huber_delta, 0, "0"),
    BAD('d', huber_delta, 1e7, "10000000"),
    BAD('d', bound_lambda, -1, "-1"),
    BAD('d', min_snr_gamma, 0, "0"),
    BAD('d', p2_k, 0, "0"),
    BAD('d', p2_gamma, 11, "11"),
    BAD('d', label_dropout, 1.5, "1.5"),
    BAD('d', self_conditioning_rate, -0.5, "-0.5"),
    BAD('d', self_conditioning_rate, (double)NAN, ""),
};

START_TEST(bad_options_are_named) {
    const bad_option *bad = &bad_options[_i];
    training t;
    training_setup setup = training_default();
    training_prepare(&t, &setup);
    char *member = (char *)&setup.options + bad->offset;
    int32_t whole = (int32_t)(bad->type == 'i' ? bad->value : 0);
    if (bad->type == 'i') memcpy(member, &whole, sizeof whole);
    else memcpy(member, &bad->value, sizeof bad->value);
    int32_t status = dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options);
    training_expect(&t, status, DM_ERROR_INVALID_ARGUMENT, bad->words);
    ck_assert_ptr_null(t.trainer);
    training_end(&t);
}
END_TEST

START_TEST(decay_needs_its_end) {
    training t;
    training_setup setup = training_default();
    training_prepare(&t, &setup);
    setup.options.learning_rate_schedule = DM_RATE_COSINE;
    setup.options.warmup_steps = setup.options.learning_rate_end_step = 10;
    int32_t status = dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options);
    training_expect(&t, status, DM_ERROR_INVALID_ARGUMENT,
                    "'learning_rate_end_step' is 10|'warmup_steps' (10)");
    setup.options.learning_rate_end_step = 11;
    training_require(&t,
                     dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options));
    training_end(&t);
}
END_TEST

START_TEST(options_can_be_read) {
    training t;
    training_setup setup = training_default();
    setup.options.warmup_steps = 77;
    training_begin(&t, &setup);
    dm_trainer_options got;
    training_require(&t, dm_trainer_get_options(t.trainer, &got, sizeof got));
    ck_assert_mem_eq(&got, &setup.options, sizeof got);
    training_require(&t, dm_trainer_set_learning_rate(t.trainer, 0.25));
    training_require(&t, dm_trainer_get_options(t.trainer, &got, sizeof got));
    ck_assert(got.learning_rate == 0.25);
    training_expect(&t, dm_trainer_set_learning_rate(t.trainer, -1), DM_ERROR_INVALID_ARGUMENT,
                    "'learning_rate' is -1");
    training_require(&t, dm_trainer_get_options(t.trainer, &got, sizeof got));
    ck_assert(got.learning_rate == 0.25);
    training_end(&t);
}
END_TEST

Suite *test_trainer_options_suite(void);
Suite *test_trainer_options_suite(void) {
    Suite *suite = suite_create("trainer_options");
    TCase *tcase = tcase_create("trainer_options");
    tcase_add_loop_test(tcase, bad_options_are_named, 0,
                        (int)(sizeof bad_options / sizeof *bad_options));
    tcase_add_test(tcase, decay_needs_its_end);
    tcase_add_test(tcase, options_can_be_read);
    suite_add_tcase(suite, tcase);
    return suite;
}
