/* SPDX-License-Identifier: MIT */
/* Several EMAs of the weights, by decay and by half-life, and Adam with L2: against
 * loops in double precision over the weights that a run goes through; in files; and what is
 * refused. */
#include "support/kernels.h"
#include "support/network.h"
#include "support/training.h"
#include "train/trainer.h"

enum { STEPS = 6, COUNT = 4 };

/* All four: a decay with warm-up, none, a half-life, another decay. */
static training_setup four_emas(void) {
    training_setup setup = training_default();
    setup.options.ema_decay[0] = 0.9;
    setup.options.ema_half_life[2] = 40;
    setup.options.ema_rampup = 0.5;
    setup.options.ema_decay[3] = 0.05;
    setup.options.accumulation = 2;
    return setup;
}

/* The decays of EMA `index` above in step `step` from 1 on; a negative one: there is no such
 * EMA. */
static double decay_of(int32_t index, int32_t step) {
    double images = 8, before = images * (step - 1), warm = (1.0 + step) / (10.0 + step);
    if (index == 0) return fmin(0.9, warm);
    if (index == 2) return pow(0.5, images / fmax(fmin(40, 0.5 * before), 1e-8));
    return index == 3 ? fmin(0.05, warm) : -1;
}

START_TEST(emas_follow_the_weights) {
    training t, target;
    training_setup setup = four_emas();
    double *want[COUNT];
    training_begin(&t, &setup);
    training_prepare(&target, &setup);
    size_t floats = t.unet->weights->params.floats;
    for (int32_t k = 0; k < COUNT; k++) {
        want[k] = malloc(floats * sizeof **want);
        for (size_t i = 0; i < floats; i++) want[k][i] = t.unet->weights->params.data[i];
    }
    for (int32_t step = 1; step <= STEPS; step++) {
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        for (int32_t k = 0; k < COUNT; k++)
            for (size_t i = 0; i < floats; i++) {
                double d = decay_of(k, step);
                want[k][i] = d * want[k][i] + (1 - d) * t.unet->weights->params.data[i];
            }
    }
    for (int32_t k = 0; k < COUNT; k++) {
        int32_t status = dm_trainer_get_ema(t.trainer, k, target.unet);
        if (k == 1)
            training_expect(&t, status, DM_ERROR_WRONG_STATE,
                            "no EMA 1|'ema_decay[1]'|'ema_half_life[1]'");
        else training_require(&t, status);
        if (k != 1)
            ck_assert_double_le(test_error_d(target.unet->weights->params.data, want[k], floats),
                                1e-7);
        free(want[k]);
    }
    training_expect(&t, dm_trainer_get_ema(t.trainer, 4, target.unet), DM_ERROR_INVALID_ARGUMENT,
                    "'index' is 4");
    training_expect(&t, dm_trainer_get_ema(t.trainer, -1, target.unet), DM_ERROR_INVALID_ARGUMENT,
                    "'index' is -1");
    training_end(&target);
    training_end(&t);
}
END_TEST

/* The kernels of L2 and of further EMAs, on every instruction set. */
START_TEST(kernels_follow_the_loop) {
    enum { N = 197 };
    for (int isa = 0; isa < ISAS && kernels_of(isa); isa++) {
        float *w = uniform(N, 1, 1), *ema = uniform(N, 2, 1), *g = uniform(N, 3, 1),
              *m = uniform(N, 4, 0), *v = uniform(N, 5, 0);
        double *want = doubles(N), *want_m = doubles(N);
        for (size_t i = 0; i < N; i++) want[i] = 0.8f * (double)ema[i] + (1 - 0.8f) * (double)w[i];
        for (size_t i = 0; i < N; i++) want_m[i] = (1 - 0.9f) * (0.25 * g[i] + 0.5 * w[i]);
        kernels_of(isa)->ema(ema, w, 0.2f, N);
        dmi_adamw o = {.rate = 0.01f,
                       .beta1 = 0.9f,
                       .beta2 = 0.99f,
                       .correction1 = 10,
                       .correction2 = 100,
                       .eps = 1e-8f,
                       .gradient_scale = 0.25f,
                       .l2 = 0.5f,
                       .first = true};
        kernels_of(isa)->adamw(w, m, v, NULL, g, &o, N);
        check_near("ema", ema, want, N, 2e-7);
        check_near("l2", m, want_m, N, 3e-7);
        release();
    }
}
END_TEST

/* ---- files ---- */

/* At once on one thread; and saved and resumed, on two and three threads. Adam with L2, so that all
 * that is new is in it. */
START_TEST(resumed_runs_are_the_same_bits) {
    char *folder = test_folder_new();
    const char *whole = test_path(folder, "whole"), *half = test_path(folder, "half"),
               *resumed = test_path(folder, "resumed");
    training t;
    training_setup setup = four_emas();
    setup.options.optimizer = DM_OPTIMIZER_ADAM;
    setup.options.weight_decay = 0.1;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 14, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, whole));
    training_end(&t);
    setup.threads = 2;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 5, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, half));
    training_end(&t);
    setup.threads = 3;
    training_prepare(&t, &setup);
    training_require(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, half));
    training_require(&t, dm_trainer_run(t.trainer, 14, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, resumed));
    training_same_files(whole, resumed);
    training_end(&t);
    free(folder);
}
END_TEST

START_TEST(networks_load_with_each_ema) {
    static const int32_t weights[COUNT] = {DM_WEIGHTS_DEFAULT, DM_WEIGHTS_EMA + 1,
                                           DM_WEIGHTS_EMA + 2, DM_WEIGHTS_EMA + 3};
    char *folder = test_folder_new();
    const char *path = test_path(folder, "file");
    training t, target;
    dm_unet *unet;
    training_setup setup = four_emas();
    training_begin(&t, &setup);
    training_prepare(&target, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, path));
    for (int32_t k = 0; k < COUNT; k++) {
        int32_t status = dm_unet_load(&unet, t.context, path, weights[k]);
        if (k == 1)
            training_expect(&t, status, DM_ERROR_NOT_FOUND, "no EMA 1|ema_1.conv_in.weight");
        if (k == 1) continue;
        training_require(&t, status);
        training_require(&t, dm_trainer_get_ema(t.trainer, k, target.unet));
        ck_assert(training_unchanged(&target, unet->weights->params.data));
        ck_assert(!training_unchanged(&t, unet->weights->params.data));
        dm_unet_destroy(unet);
    }
    training_end(&target);
    training_end(&t);
    free(folder);
}
END_TEST

/* A default instead of a missing option would describe another run. */
START_TEST(missing_options_are_refused) {
    static const char *const keys[] = {"\"trainer.timestep_sampling\"", "\"trainer.ema_decay\"",
                                       "\"unet.null_class\""};
    char *folder = test_folder_new(), word[64];
    const char *path = test_path(folder, "file");
    training t;
    size_t size, length = strlen(keys[_i]);
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_save(t.trainer, path));
    training_end(&t);
    uint8_t *bytes = training_read_file(path, &size);
    test_drop_checksums(bytes, size);
    uint8_t *at = memmem(bytes, size, keys[_i], length);
    ck_assert_ptr_nonnull(at);
    at[length - 2] = 'G';
    training_write_file(path, bytes, size);
    training_prepare(&t, &setup);
    snprintf(word, sizeof word, "has no '%.*s'", (int)length - 2, keys[_i] + 1);
    training_expect(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, path), DM_ERROR_BAD_FORMAT,
                    word);
    ck_assert_ptr_null(t.trainer);
    training_end(&t);
    free(bytes);
    free(folder);
}
END_TEST

/* ---- Adam with L2 ---- */

/* After one step the first moments are (1 - beta1) times the gradients that went in: clipped, and
 * then the weights' share. */
START_TEST(l2_is_added_after_clipping) {
    training t;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.options.optimizer = DM_OPTIMIZER_ADAM;
    setup.options.weight_decay = 0.5;
    setup.options.gradient_clip = 0;
    training_give(&given, 4);
    for (int32_t clipped = 0; clipped < 2; clipped++) {
        double scale = 1;
        dm_train_stats stats = {.struct_size = sizeof stats};
        static float *gradient;
        setup.options.gradient_clip = clipped ? 0.01 : 0;
        setup.options.weight_decay = clipped ? 0.5 : 0;
        training_begin(&t, &setup);
        size_t floats = t.unet->weights->params.floats;
        float *before = training_weights(&t), *want = malloc(floats * sizeof *want);
        training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &stats));
        if (!clipped) { /* nothing is added: what was computed is there */
            gradient = malloc(floats * sizeof *gradient);
            memcpy(gradient, t.unet->weights->params.gradient, floats * sizeof *gradient);
        } else scale = 0.01 / stats.gradient_norm;
        double share = 1.0 - (double)0.9f;
        for (size_t i = 0; i < floats; i++)
            want[i] =
                (float)(share * (scale * gradient[i] + setup.options.weight_decay * before[i]));
        test_close(t.trainer->moment1, want, floats, 1e-6);
        free(before);
        free(want);
        if (clipped) free(gradient);
        training_end(&t);
    }
}
END_TEST

/* What L2 adds is in the moments too, and must stay within a float as the gradients must. */
START_TEST(l2_that_overflows_is_refused) {
    enum { WEIGHTS = 16 * TRAINING_CHANNELS * 9 };
    training t;
    float large[WEIGHTS];
    training_setup setup = training_default();
    setup.options.optimizer = DM_OPTIMIZER_ADAM;
    setup.options.weight_decay = _i ? 1e6 : 0; /* without, the step is taken */
    for (int32_t i = 0; i < WEIGHTS; i++) large[i] = 1e12f;
    training_begin(&t, &setup);
    training_require(&t, network_set(t.unet, "conv_in.weight", large, WEIGHTS));
    if (_i) training_expect(&t, dm_trainer_step(t.trainer, NULL), DM_ERROR_NOT_FINITE, "skipped");
    else training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_end(&t);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(decay_or_half_life) {
    training t;
    training_setup setup = training_default();
    training_prepare(&t, &setup);
    setup.options.ema_half_life[0] = 500;
    training_expect(&t,
                    dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options),
                    DM_ERROR_INVALID_ARGUMENT,
                    "'ema_half_life[0]' 500|'ema_decay[0]' 0.9|cannot be combined");
    setup.options.ema_decay[0] = 0;
    setup.options.ema_decay[3] = 0.5;
    setup.options.ema_half_life[3] = 7;
    training_expect(&t,
                    dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options),
                    DM_ERROR_INVALID_ARGUMENT,
                    "'ema_half_life[3]' 7|'ema_decay[3]' 0.5|cannot be combined");
    setup.options.ema_decay[3] = 0;
    setup.options.ema_half_life[3] = 1e9;
    training_expect(&t,
                    dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options),
                    DM_ERROR_INVALID_ARGUMENT, "'ema_half_life[3]' is 1e+09|precision");
    setup.options.ema_half_life[3] = 0;
    training_require(&t,
                     dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options));
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_end(&t);
}
END_TEST

Suite *test_ema_suite(void);
Suite *test_ema_suite(void) {
    Suite *suite = suite_create("ema");
    TCase *tcase = tcase_create("ema");
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, emas_follow_the_weights);
    tcase_add_test(tcase, kernels_follow_the_loop);
    tcase_add_test(tcase, resumed_runs_are_the_same_bits);
    tcase_add_test(tcase, networks_load_with_each_ema);
    tcase_add_loop_test(tcase, missing_options_are_refused, 0, 3);
    tcase_add_test(tcase, l2_is_added_after_clipping);
    tcase_add_loop_test(tcase, l2_that_overflows_is_refused, 0, 2);
    tcase_add_test(tcase, decay_or_half_life);
    suite_add_tcase(suite, tcase);
    return suite;
}
