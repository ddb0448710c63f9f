/* SPDX-License-Identifier: MIT */
/* Runs that go on with other options: EMAs and recorded losses that begin or end, what is refused,
 * and that equal options change nothing. */
#include "support/allocator.h"
#include "support/refusal.h"
#include "support/training.h"
#include "train/trainer.h"

/* ---- with the file's options ---- */

static training_setup loss_aware(void) {
    training_setup setup = training_default();
    setup.schedule.timesteps = 5;
    setup.schedule.beta_end = 0.6;
    setup.options.timestep_sampling = DM_TIMESTEPS_LOSS_AWARE;
    setup.options.accumulation = 2;
    return setup;
}

static training_setup everything(void) {
    training_setup setup = training_default();
    setup.classes = TRAINING_CLASSES;
    setup.dropout = 0.1f;
    setup.options.accumulation = 2;
    setup.options.flip = 1;
    setup.options.crop_padding = 1;
    setup.options.label_dropout = 0.3;
    setup.options.weight_decay = 0.02;
    setup.options.warmup_steps = 10;
    setup.options.ema_half_life[2] = 100;
    return setup;
}

static training_setup (*const setups[])(void) = {training_default, loss_aware, everything};
enum { SETUPS = sizeof setups / sizeof *setups };

/* A file of a run of `steps`. */
static void write_run(const training_setup *setup, uint64_t steps, const char *path) {
    training t;
    training_begin(&t, setup);
    training_require(&t, dm_trainer_run(t.trainer, steps, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, path));
    training_end(&t);
}

static dm_train_stats step(const training *t) {
    dm_train_stats stats;
    training_require(t, dm_train_stats_init(&stats, sizeof stats));
    training_require(t, dm_trainer_step(t->trainer, &stats));
    return stats;
}

START_TEST(equal_options_change_nothing) {
    training t;
    char *folder = test_folder_new();
    const char *half = test_path(folder, "half"), *same = test_path(folder, "same"),
               *want = test_path(folder, "want"), *got = test_path(folder, "got");
    const training_setup setup = setups[_i]();
    write_run(&setup, 12, half);
    for (int32_t changed = 0; changed < 2; changed++) {
        training_prepare(&t, &setup);
        training_require(&t, changed ? dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset,
                                                                 half, &setup.options)
                                     : dm_trainer_resume(&t.trainer, t.unet, t.dataset, half));
        training_require(&t, dm_trainer_save(t.trainer, same));
        training_same_files(half, same);
        training_require(&t, dm_trainer_run(t.trainer, 20, NULL, NULL));
        training_require(&t, dm_trainer_save(t.trainer, changed ? got : want));
        training_end(&t);
    }
    training_same_files(want, got);
    free(folder);
}
END_TEST

/* ---- EMAs and recorded losses ---- */

static bool same_block(const training *t, const float *one, const float *other) {
    return !memcmp(one, other, t->unet->weights->params.floats * sizeof *one);
}

/* An EMA of the file goes on, a new one begins as the weights, and one that is off is gone. */
START_TEST(emas_are_added_and_removed) {
    training t;
    size_t floats;
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file");
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, file));
    float *state = training_state(&t, &floats);
    training_end(&t);
    setup.options.ema_half_life[2] = 50;
    training_prepare(&t, &setup);
    training_require(&t, dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset, file,
                                                   &setup.options));
    training_same_state(&t, state, floats); /* weights, moments and EMA 0 */
    ck_assert_ptr_null(t.trainer->ema[1]);
    ck_assert(same_block(&t, t.trainer->ema[2], t.unet->weights->params.data));
    ck_assert(!same_block(&t, t.trainer->ema[2], t.trainer->ema[0]));
    training_require(&t, dm_trainer_run(t.trainer, 6, NULL, NULL));
    ck_assert(!same_block(&t, t.trainer->ema[2], t.unet->weights->params.data));
    training_require(&t, dm_trainer_save(t.trainer, file));
    training_end(&t);

    setup.options.ema_decay[0] = 0;
    training_prepare(&t, &setup);
    training_require(&t, dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset, file,
                                                   &setup.options));
    ck_assert_ptr_null(t.trainer->ema[0]);
    ck_assert(!same_block(&t, t.trainer->ema[2], t.unet->weights->params.data));
    training_require(&t, dm_trainer_run(t.trainer, 7, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, file));
    dm_unet *unet;
    training_expect(&t, dm_unet_load(&unet, t.context, file, DM_WEIGHTS_EMA), DM_ERROR_NOT_FOUND,
                    "no EMA 0");
    training_end(&t);
    free(state);
    free(folder);
}
END_TEST

/* Without a change an EMA that is missing is an error. */
START_TEST(a_missing_ema_is_damage) {
    static const char name[] = "\"ema_0.conv_in.weight\"";
    training t;
    size_t size;
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file");
    const training_setup setup = training_default();
    write_run(&setup, 2, file);
    uint8_t *bytes = training_read_file(file, &size);
    test_drop_checksums(bytes, size);
    uint8_t *at = memmem(bytes, size, name, sizeof name - 1);
    ck_assert_ptr_nonnull(at);
    at[1] = 'E';
    training_write_file(file, bytes, size);
    training_prepare(&t, &setup);
    training_expect(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, file), DM_ERROR_NOT_FOUND,
                    "ema_0.conv_in.weight");
    training_require(&t, dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset, file,
                                                   &setup.options));
    ck_assert(same_block(&t, t.trainer->ema[0], t.unet->weights->params.data));
    training_end(&t);
    free(bytes);
    free(folder);
}
END_TEST

START_TEST(loss_aware_sampling_is_switched) {
    training t;
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file");
    training_setup setup = loss_aware();
    setup.options.timestep_sampling = DM_TIMESTEPS_UNIFORM;
    write_run(&setup, 3, file);
    setup.options.timestep_sampling = DM_TIMESTEPS_LOSS_AWARE;
    training_prepare(&t, &setup);
    training_require(&t, dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset, file,
                                                   &setup.options));
    const dmi_timesteps *timesteps = &t.trainer->timesteps;
    for (int32_t i = 0; i < setup.schedule.timesteps; i++) ck_assert(timesteps->counts[i] == 0);
    ck_assert(!timesteps->warm);
    training_require(&t, dm_trainer_run(t.trainer, 40, NULL, NULL));
    ck_assert(timesteps->warm);
    training_require(&t, dm_trainer_save(t.trainer, file));
    float counts[5];
    memcpy(counts, timesteps->counts, sizeof counts);
    training_end(&t);

    training_prepare(&t, &setup); /* recorded losses that fit are kept */
    setup.options.learning_rate = 1e-4;
    training_require(&t, dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset, file,
                                                   &setup.options));
    ck_assert_mem_eq(t.trainer->timesteps.counts, counts, sizeof counts);
    dm_trainer_destroy(t.trainer);
    setup.options.timestep_sampling = DM_TIMESTEPS_UNIFORM;
    training_require(&t, dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset, file,
                                                   &setup.options));
    ck_assert_ptr_null(t.trainer->timesteps.losses);
    ck_assert_uint_eq(step(&t).step, 41);
    training_end(&t);
    free(folder);
}
END_TEST

/* ---- what is refused ---- */

/* A refused call leaves network and memory as they were. */
static void refuse(const training *t, const char *path, const dm_trainer_options *options,
                   int32_t want, const char *words) {
    dm_trainer *trainer = (dm_trainer *)&words;
    float *weights = training_weights(t);
    test_untouched untouched = test_untouched_begin(t->context, NULL);
    training_expect(t, dm_trainer_resume_changed(&trainer, t->unet, t->dataset, path, options),
                    want, words);
    ck_assert_ptr_null(trainer);
    test_untouched_end(&untouched);
    ck_assert(training_unchanged(t, weights));
    ck_assert(!t->unet->trained);
    free(weights);
}

START_TEST(options_that_are_refused) {
    training t;
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file"), *network = test_path(folder, "network");
    training_setup setup = training_default();
    setup.prediction = DM_PREDICT_V;
    write_run(&setup, 2, file);
    training_prepare(&t, &setup);
    training_require(&t, dm_unet_save(t.unet, t.schedule, network));
    dm_trainer_options o = setup.options;
    o.distill_steps = 4;
    refuse(&t, file, &o, DM_ERROR_INVALID_ARGUMENT, "'distill_steps' is 4|file|0, which must stay");
    o = setup.options;
    o.batch_size = 0;
    refuse(&t, file, &o, DM_ERROR_INVALID_ARGUMENT, "trainer|'batch_size' is 0");
    o = setup.options;
    o.struct_size = 3;
    refuse(&t, file, &o, DM_ERROR_INVALID_ARGUMENT, "struct_size");
    o = setup.options;
    o.loss = DM_LOSS_HYBRID; /* which needs a learned variance */
    refuse(&t, file, &o, DM_ERROR_INVALID_ARGUMENT, "trainer: 'loss'");
    refuse(&t, file, NULL, DM_ERROR_INVALID_ARGUMENT, "'options' is NULL");
    refuse(&t, NULL, &setup.options, DM_ERROR_INVALID_ARGUMENT, "'path' is NULL");
    refuse(&t, test_path(folder, "none"), &setup.options, DM_ERROR_NOT_FOUND, "none");
    refuse(&t, network, &setup.options, DM_ERROR_BAD_FORMAT, "without training state");
    training_expect(&t, dm_trainer_resume_changed(NULL, t.unet, t.dataset, file, &setup.options),
                    DM_ERROR_INVALID_ARGUMENT, "'out' is NULL");
    ck_assert_int_eq(dm_trainer_resume_changed(&t.trainer, NULL, NULL, file, &setup.options),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_null(t.trainer);
    training_end(&t);
    setup.channels = 32;
    training_prepare(&t, &setup);
    refuse(&t, file, &setup.options, DM_ERROR_SHAPE_MISMATCH, "'channels'");
    training_end(&t);
    free(folder);
}
END_TEST

static int32_t call_inside(void *user, const dm_train_stats *stats) {
    const training *t = user;
    dm_trainer *trainer = (dm_trainer *)&t;
    dm_trainer_options o;
    dm_checkpoint_info info;
    (void)stats;
    ck_assert_int_eq(dm_trainer_options_init(&o, sizeof o), DM_OK);
    ck_assert_int_eq(dm_checkpoint_info_init(&info, sizeof info), DM_OK);
    ck_assert_int_eq(dm_trainer_resume_changed(&trainer, t->unet, NULL, "file", &o),
                     DM_ERROR_WRONG_STATE);
    ck_assert_ptr_null(trainer);
    ck_assert_int_eq(dm_checkpoint_load_info(t->context, "file", &o, &info), DM_ERROR_WRONG_STATE);
    ck_assert_int_eq(dm_unet_set_class_names(t->unet, NULL, 0), DM_ERROR_WRONG_STATE);
    ck_assert_ptr_null(dm_unet_class_name(t->unet, 0)); /* which may be called here */
    return 0;
}

START_TEST(calls_in_callbacks) {
    training t;
    const training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 1, call_inside, &t));
    training_end(&t);
}
END_TEST

/* A dataset of another size is reported, and its images are drawn from where the run is. */
START_TEST(datasets_of_another_size) {
    training t;
    char warning[256] = "";
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file");
    training_setup setup = training_default();
    dm_dataset_memory m;
    write_run(&setup, 2, file);
    setup.dataset = false;
    training_prepare(&t, &setup);
    training_require(&t, dm_dataset_memory_init(&m, sizeof m));
    m.count = TRAINING_IMAGES - 3;
    m.height = m.width = TRAINING_SIDE;
    m.channels = TRAINING_CHANNELS;
    m.pixel_bytes = m.count * TRAINING_ELEMENTS;
    m.pixels = training_pixels();
    training_require(&t, dm_dataset_create_from_memory(&t.dataset, t.context, &m));
    t.context->host.log = test_keep_warning;
    t.context->host.log_user = warning;
    training_expect(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, file),
                    DM_ERROR_SHAPE_MISMATCH, "10 images|7");
    ck_assert_str_eq(warning, "");
    training_require(&t, dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset, file,
                                                   &setup.options));
    ck_assert_msg(strstr(warning, "10 images") && strstr(warning, "has 7"), "%s", warning);
    const dm_train_stats stats = step(&t);
    ck_assert_uint_eq(stats.images, 12);
    ck_assert_double_eq_tol(stats.epoch, 12.0 / 7, 1e-12);
    training_end(&t);
    free(folder);
}
END_TEST

typedef struct job {
    const char *path;
    dm_trainer_options options;
} job;

static int32_t make_changed(dm_context *context, const void *user) {
    const job *j = user;
    dm_unet *unet;
    dm_trainer *trainer = NULL;
    int32_t status = dm_unet_load(&unet, context, j->path, DM_WEIGHTS_TRAINED);
    if (!status) status = dm_trainer_resume_changed(&trainer, unet, NULL, j->path, &j->options);
    if (status) ck_assert_ptr_null(trainer);
    dm_trainer_destroy(trainer);
    dm_unet_destroy(unet);
    return status;
}

START_TEST(every_allocation_may_fail) {
    char *folder = test_folder_new();
    training_setup setup = loss_aware();
    job j = {.path = test_path(folder, "file")};
    write_run(&setup, 2, j.path);
    j.options = setup.options;
    j.options.batch_size = 3;
    j.options.ema_half_life[1] = 10;
    ck_assert_int_gt(test_every_allocation(make_changed, &j), 40);
    free(folder);
}
END_TEST

Suite *test_resume_changed_suite(void);
Suite *test_resume_changed_suite(void) {
    Suite *suite = suite_create("resume_changed");
    TCase *tcase = tcase_create("resume_changed");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, equal_options_change_nothing, 0, SETUPS);
    tcase_add_test(tcase, emas_are_added_and_removed);
    tcase_add_test(tcase, a_missing_ema_is_damage);
    tcase_add_test(tcase, loss_aware_sampling_is_switched);
    tcase_add_test(tcase, options_that_are_refused);
    tcase_add_test(tcase, calls_in_callbacks);
    tcase_add_test(tcase, datasets_of_another_size);
    tcase_add_test(tcase, every_allocation_may_fail);
    suite_add_tcase(suite, tcase);
    return suite;
}
