/* SPDX-License-Identifier: MIT */
/* Checkpoints: a run that is saved and resumed continues bit for bit, and a file that is not right
 * changes nothing. */
#include "io/safetensors.h"
#include "support/dataset.h"
#include "support/network.h"
#include "support/training.h"
#include "train/trainer.h"

/* ---- bit for bit ---- */

/* Everything that a step depends on at once. */
static training_setup everything(void) {
    training_setup setup = training_default();
    setup.prediction = DM_PREDICT_V;
    setup.classes = TRAINING_CLASSES;
    setup.dropout = 0.1f;
    setup.options.accumulation = 2;
    setup.options.flip = 1;
    setup.options.weight_decay = 0.02;
    setup.options.gradient_clip = 0.3;
    setup.options.warmup_steps = 10;
    setup.options.learning_rate_schedule = DM_RATE_COSINE;
    setup.options.learning_rate_end_step = 45;
    setup.options.learning_rate_end_fraction = 0.1;
    setup.options.ema_decay[0] = 0.95;
    return setup;
}

/* And what eps with a learned variance can have besides. */
static training_setup hybrid(void) {
    training_setup setup = everything();
    setup.prediction = DM_PREDICT_EPS;
    setup.learned_variance = setup.self_conditioning = 1;
    setup.options.loss = DM_LOSS_HYBRID;
    setup.options.loss_weight = DM_LOSS_WEIGHT_P2;
    setup.options.label_dropout = 0.3;
    setup.options.crop_padding = 2;
    return setup;
}

static training_setup no_ema(void) {
    training_setup setup = training_default();
    setup.options.ema_decay[0] = 0;
    return setup;
}

static training_setup (*const setups[])(void) = {training_default, everything, hybrid, no_ema};
enum { SETUPS = sizeof setups / sizeof *setups };

/* 50 steps at once on one thread; and 30, saved and resumed in a new context, on two
 * or three threads. */
START_TEST(resumed_runs_are_the_same_bits) {
    training_setup setup = setups[_i]();
    char *folder = test_folder_new();
    training t;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 50, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "whole")));
    training_end(&t);

    setup.threads = 2;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 30, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "half")));
    training_end(&t);

    setup.threads = 3;
    training_prepare(&t, &setup);
    training_require(&t,
                     dm_trainer_resume(&t.trainer, t.unet, t.dataset, test_path(folder, "half")));
    ck_assert_uint_eq(training_steps(t.trainer), 30);
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "again")));
    training_same_files(test_path(folder, "half"), test_path(folder, "again"));
    training_require(&t, dm_trainer_run(t.trainer, 50, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "resumed")));
    training_same_files(test_path(folder, "whole"), test_path(folder, "resumed"));
    training_end(&t);
    free(folder);
}
END_TEST

/* Custom betas and a changed learning rate are of the file too, and so are refused
 * steps. */
START_TEST(files_hold_the_whole_run) {
    double betas[40];
    training t;
    char *folder = test_folder_new();
    training_setup setup = everything();
    setup.options.use_labels = 0;
    setup.options.ema_warmup = 0;
    for (int32_t i = 0; i < 40; i++) betas[i] = 0.001 + 0.1 * i / 39;
    training_prepare(&t, &setup);
    dm_schedule_destroy(t.schedule);
    training_require(&t, dm_schedule_create_from_betas(&t.schedule, t.context, betas, 40));
    training_require(&t,
                     dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options));
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    training_require(&t, dm_trainer_set_learning_rate(t.trainer, 1.0 / 3));
    training_given given;
    training_give(&given, 8);
    given.images[0] = NAN;
    given.batch.timesteps = NULL;
    given.batch.timestep_count = 0;
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL), DM_ERROR_NOT_FINITE,
                    "skipped");
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "file")));
    dm_trainer_options options;
    training_require(&t, dm_trainer_get_options(t.trainer, &options, sizeof options));
    training_end(&t);

    training_prepare(&t, &setup);
    training_require(&t,
                     dm_trainer_resume(&t.trainer, t.unet, t.dataset, test_path(folder, "file")));
    dm_trainer_options got;
    training_require(&t, dm_trainer_get_options(t.trainer, &got, sizeof got));
    ck_assert_mem_eq(&got, &options, sizeof got);
    ck_assert_uint_eq(t.trainer->progress.steps, 4);
    ck_assert_uint_eq(t.trainer->progress.applied, 3);
    ck_assert_uint_eq(t.trainer->progress.images, 32);
    ck_assert_mem_eq(t.trainer->schedule->beta, betas, sizeof betas);
    training_end(&t);
    free(folder);
}
END_TEST

/* What a network keeps for running is of the file's weights after it was resumed. */
START_TEST(network_runs_after_resume) {
    training t;
    training_given given;
    const float timestep = 300;
    float want[TRAINING_ELEMENTS], got[TRAINING_ELEMENTS];
    char *folder = test_folder_new();
    training_setup setup = training_default();
    training_give(&given, 4);
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "file")));
    training_require(&t, network_forward(t.unet, want, given.images, &timestep, NULL, 1));
    training_end(&t);
    training_prepare(&t, &setup);
    training_require(&t, network_forward(t.unet, got, given.images, &timestep, NULL, 1));
    ck_assert_mem_ne(got, want, sizeof want);
    training_require(&t,
                     dm_trainer_resume(&t.trainer, t.unet, t.dataset, test_path(folder, "file")));
    training_require(&t, network_forward(t.unet, got, given.images, &timestep, NULL, 1));
    ck_assert_mem_eq(got, want, sizeof want);
    training_end(&t);
    free(folder);
}
END_TEST

/* A limit that suffices for training suffices for going on. The batch is large enough for the graph
 * to exceed the file. */
START_TEST(resume_needs_no_more_memory) {
    training t;
    uint64_t began, resumed;
    char *folder = test_folder_new();
    training_setup setup = training_default();
    setup.options.batch_size = 32;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "file")));
    training_end(&t);
    training_begin(&t, &setup);
    dm_context_get_memory(t.context, NULL, &began, NULL);
    training_end(&t);
    training_prepare(&t, &setup);
    training_require(&t,
                     dm_trainer_resume(&t.trainer, t.unet, t.dataset, test_path(folder, "file")));
    dm_context_get_memory(t.context, NULL, &resumed, NULL);
    ck_assert_uint_eq(began, resumed);
    training_end(&t);
    free(folder);
}
END_TEST

/* Without a dataset, only steps on the caller's batches are possible. */
START_TEST(resume_without_dataset) {
    training t;
    training_given given;
    char *folder = test_folder_new();
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "file")));
    dm_trainer_destroy(t.trainer);
    training_require(&t, dm_trainer_resume(&t.trainer, t.unet, NULL, test_path(folder, "file")));
    training_expect(&t, dm_trainer_step(t.trainer, NULL), DM_ERROR_WRONG_STATE,
                    "without a dataset");
    training_give(&given, 4);
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    training_end(&t);
    free(folder);
}
END_TEST

/* ---- what is in the file ---- */

static void assert_tensors(const training *t, const dmi_safetensors *file, const char *prefix,
                           bool there) {
    for (int32_t i = 0; i < t->unet->weights->params.count; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s%s", prefix, t->unet->weights->params.items[i].name);
        ck_assert_msg((dmi_safetensors_find(file, name) != NULL) == there, "%s", name);
    }
}

START_TEST(names_in_the_file) {
    training t;
    char *folder = test_folder_new();
    training_setup setup = setups[_i]();
    bool has_ema = setup.options.ema_decay[0] > 0;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "file")));
    dmi_safetensors *file;
    training_require(&t, dmi_safetensors_open(&t.context->host, &file, test_path(folder, "file")));
    assert_tensors(&t, file, "", true);
    assert_tensors(&t, file, "adam_m.", true);
    assert_tensors(&t, file, "adam_v.", true);
    assert_tensors(&t, file, "ema_0.", has_ema);
    ck_assert_uint_eq(dmi_safetensors_count(file),
                      (size_t)t.unet->weights->params.count * (has_ema ? 4 : 3));
    ck_assert_str_eq(dmi_safetensors_metadata(file, "format"), "libdiffusion.checkpoint");
    ck_assert_str_eq(dmi_safetensors_metadata(file, "format_version"), "1");
    ck_assert_str_eq(dmi_safetensors_metadata(file, "progress.steps"), "2");
    dmi_safetensors_close(&t.context->host, file);
    training_end(&t);
    free(folder);
}
END_TEST

/* A sampler's side: the file is a network's too, with either of its weights. */
START_TEST(networks_load_from_checkpoints) {
    training t, target;
    dm_unet *unet;
    char *folder = test_folder_new();
    training_setup setup = setups[_i]();
    training_begin(&t, &setup);
    training_prepare(&target, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "file")));
    training_require(&t,
                     dm_unet_load(&unet, t.context, test_path(folder, "file"), DM_WEIGHTS_TRAINED));
    ck_assert(training_unchanged(&t, unet->weights->params.data));
    dm_unet_destroy(unet);
    training_require(&t,
                     dm_unet_load(&unet, t.context, test_path(folder, "file"), DM_WEIGHTS_DEFAULT));
    if (t.trainer->ema[0]) {
        training_require(&t, dm_trainer_get_ema(t.trainer, 0, target.unet));
        ck_assert(training_unchanged(&target, unet->weights->params.data));
        ck_assert(!training_unchanged(&t, unet->weights->params.data));
    } else {
        ck_assert(training_unchanged(&t, unet->weights->params.data));
    }
    dm_unet_destroy(unet);
    training_end(&target);
    training_end(&t);
    free(folder);
}
END_TEST

/* Reading a part of a checkpoint takes memory for that part only. */
START_TEST(partial_reads_take_little_memory) {
    training t;
    size_t size;
    dm_schedule *schedule;
    dm_unet *unet;
    char *folder = test_folder_new();
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "file")));
    free(training_read_file(test_path(folder, "file"), &size));
    t.context->host.limit = t.context->host.used + size / 4; /* the file has four blocks */
    training_require(&t, dm_schedule_load(&schedule, t.context, test_path(folder, "file")));
    dm_schedule_destroy(schedule);
    t.context->host.limit = t.context->host.used + size / 2;
    training_require(&t,
                     dm_unet_load(&unet, t.context, test_path(folder, "file"), DM_WEIGHTS_TRAINED));
    dm_unet_destroy(unet);
    t.context->host.limit = 0;
    training_end(&t);
    free(folder);
}
END_TEST

Suite *test_checkpoint_suite(void);
Suite *test_checkpoint_suite(void) {
    Suite *suite = suite_create("checkpoint");
    TCase *tcase = tcase_create("checkpoint");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, resumed_runs_are_the_same_bits, 0, SETUPS);
    tcase_add_test(tcase, files_hold_the_whole_run);
    tcase_add_test(tcase, network_runs_after_resume);
    tcase_add_test(tcase, resume_needs_no_more_memory);
    tcase_add_test(tcase, resume_without_dataset);
    tcase_add_loop_test(tcase, names_in_the_file, 0, SETUPS);
    tcase_add_loop_test(tcase, networks_load_from_checkpoints, 0, SETUPS);
    tcase_add_test(tcase, partial_reads_take_little_memory);
    suite_add_tcase(suite, tcase);
    return suite;
}
