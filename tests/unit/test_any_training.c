/* SPDX-License-Identifier: MIT */
/* Training options at random: whatever they are, they are refused with a text or give finite
 * losses; a run that is saved and continues in another ends in the same file; and the evaluation of
 * what was trained is finite. */
#include <math.h>
#include <string.h>

#include "support/training.h"

enum { RUNS = 12 };

static uint64_t state;

static int32_t below(int32_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((state >> 33) % (uint64_t)n);
}

static bool rarely(void) { return below(5) == 0; }

static int32_t any_prediction(int32_t kind) {
    if (kind == DM_SCHEDULE_EDM) return DM_PREDICT_EDM;
    if (kind == DM_SCHEDULE_FLOW) return below(2) ? DM_PREDICT_FLOW : DM_PREDICT_X0;
    return below(DM_PREDICT_V + 1);
}

static int32_t any_sampling(int32_t kind) {
    if (below(2)) return below(2) ? DM_TIMESTEPS_UNIFORM : DM_TIMESTEPS_LOSS_AWARE;
    return kind == DM_SCHEDULE_FLOW  ? DM_TIMESTEPS_LOGIT_NORMAL
           : kind == DM_SCHEDULE_EDM ? DM_TIMESTEPS_LOG_NORMAL
                                     : 0;
}

static training_setup any_setup(int32_t kind) {
    static const int32_t timesteps[] = {1, 2, 3, 5, 50, 1000};
    training_setup setup = training_default();
    dm_schedule_options *s = &setup.schedule;
    dm_trainer_options *o = &setup.options;
    s->kind = kind;
    s->timesteps = timesteps[below(6)];
    s->zero_terminal_snr = kind < DM_SCHEDULE_FLOW && s->timesteps > 1 && rarely();
    if (below(2)) s->flow_shift = below(2) ? 3 : 0.3;
    setup.threads = 1 + below(2);
    setup.prediction = any_prediction(kind);
    setup.learned_variance = setup.prediction == DM_PREDICT_EPS && below(2);
    setup.self_conditioning = rarely();
    if (below(2)) setup.classes = TRAINING_CLASSES, o->label_dropout = below(2) ? 0.3 : 0;
    o->batch_size = 1 + below(3);
    o->accumulation = 1 + below(2);
    o->flip = below(2);
    o->crop_padding = below(4);
    o->learning_rate = 1e-2;
    o->loss = setup.learned_variance ? DM_LOSS_HYBRID : below(2);
    o->loss_weight =
        kind == DM_SCHEDULE_EDM ? DM_LOSS_WEIGHT_SIMPLE : below(DM_LOSS_WEIGHT_BOUND + 1);
    o->timestep_sampling = any_sampling(kind);
    o->optimizer = below(2);
    o->weight_decay = below(2) ? 0.1 : 0;
    o->recompute = below(3);
    o->warmup_steps = (uint64_t)below(4);
    o->learning_rate_schedule = below(3);
    o->learning_rate_end_step = o->warmup_steps + 1 + (uint64_t)below(9);
    if (below(2)) o->ema_decay[0] = 0, o->ema_half_life[0] = 10;
    if (below(2)) o->ema_decay[2] = 0.5, o->ema_half_life[3] = 3;
    if (rarely()) o->huber_delta = 1e-6;
    if (rarely()) o->min_snr_gamma = 1e6;
    if (rarely()) o->p2_gamma = 10;
    if (rarely()) o->logit_std = 100;
    if (rarely()) o->log_sigma_mean = below(2) ? 10 : -10, o->log_sigma_std = 5;
    return setup;
}

static void step(const training *t, dm_trainer *trainer, int32_t steps) {
    for (int32_t i = 0; i < steps; i++) {
        dm_train_stats stats = {.struct_size = sizeof stats};
        training_require(t, dm_trainer_step(trainer, &stats));
        ck_assert(isfinite(stats.loss) && isfinite(stats.gradient_norm) && !stats.skipped);
    }
}

static void evaluate(const training *t, bool has_betas) {
    dm_evaluation_options o;
    dm_evaluation result = {.struct_size = sizeof result};
    ck_assert_int_eq(dm_evaluation_options_init(&o, sizeof o), DM_OK);
    o.count = 0;
    o.batch_size = 1 + below(4);
    o.timesteps = below(4);
    o.variance = below(2);
    o.clip = below(2);
    int32_t status = dm_unet_evaluate(t->unet, t->schedule, t->dataset, &o, NULL, NULL, &result);
    if (status)
        ck_assert_int_eq(status, DM_ERROR_INVALID_ARGUMENT); /* more timesteps than there are */
    else
        ck_assert_msg(has_betas ? isfinite(result.bits) : isnan(result.bits), "%g bits",
                      result.bits);
}

START_TEST(any_options_are_refused_or_train) {
    char half[1200], whole[1200], parts[1200];
    const char *folder = test_folder();
    snprintf(half, sizeof half, "%s/half", folder);
    snprintf(whole, sizeof whole, "%s/whole", folder);
    snprintf(parts, sizeof parts, "%s/parts", folder);
    int ran = 0;
    state = 1 + (uint64_t)_i;
    for (int run = 0; run < RUNS; run++) {
        training_setup setup = any_setup(_i);
        training t;
        training_prepare(&t, &setup);
        int32_t status =
            dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options);
        if (status) {
            ck_assert_int_eq(status, DM_ERROR_INVALID_ARGUMENT);
            ck_assert_ptr_nonnull(strstr(dm_context_error(t.context), "cannot be combined"));
            training_end(&t);
            continue;
        }
        int32_t first = below(9), rest = 1 + below(6);
        step(&t, t.trainer, first);
        training_require(&t, dm_trainer_save(t.trainer, half));
        step(&t, t.trainer, rest);
        training_require(&t, dm_trainer_save(t.trainer, whole));
        evaluate(&t, _i < DM_SCHEDULE_FLOW);
        dm_unet *unet;
        dm_trainer *trainer;
        training_require(&t, dm_unet_load(&unet, t.context, half, DM_WEIGHTS_TRAINED));
        training_require(&t, dm_trainer_resume(&trainer, unet, t.dataset, half));
        step(&t, trainer, rest);
        training_require(&t, dm_trainer_save(trainer, parts));
        training_same_files(whole, parts);
        dm_trainer_destroy(trainer);
        dm_unet_destroy(unet);
        training_end(&t);
        ran++;
    }
    ck_assert_int_gt(ran, RUNS / 4);
}
END_TEST

Suite *test_any_training_suite(void);

Suite *test_any_training_suite(void) {
    Suite *suite = suite_create("any_training");
    TCase *tcase = tcase_create("any_training");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, any_options_are_refused_or_train, DM_SCHEDULE_LINEAR,
                        DM_SCHEDULE_EDM + 1);
    suite_add_tcase(suite, tcase);
    return suite;
}
