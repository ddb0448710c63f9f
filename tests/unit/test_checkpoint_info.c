/* SPDX-License-Identifier: MIT */
/* What a file says about training, without a network to resume. */
#include "core/context.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"

static dm_checkpoint_info info_of(const training *t, const char *path) {
    dm_checkpoint_info info;
    training_require(t, dm_checkpoint_info_init(&info, sizeof info));
    training_require(t, dm_checkpoint_load_info(t->context, path, NULL, &info));
    return info;
}

/* Steps and images, the data, and the EMAs that are kept. */
START_TEST(files_of_training) {
    training t;
    dm_dataset_info data;
    dm_trainer_options options;
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file");
    training_setup setup = training_default();
    setup.options.accumulation = 2;
    setup.options.ema_decay[0] = 0;
    setup.options.ema_half_life[1] = 100;
    setup.options.ema_decay[3] = 0.99;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, file));
    training_require(&t, dm_dataset_info_init(&data, sizeof data));
    training_require(&t, dm_dataset_get_info(t.dataset, &data));
    dm_checkpoint_info info = info_of(&t, file);
    ck_assert_uint_eq(info.struct_size, sizeof info);
    ck_assert_int_eq(info.training, 1);
    ck_assert_uint_eq(info.step, 3);
    ck_assert_uint_eq(info.images, 24);
    ck_assert_uint_eq(info.dataset_count, TRAINING_IMAGES);
    ck_assert_uint_eq(info.dataset_fingerprint, data.fingerprint);
    ck_assert_uint_ne(info.dataset_fingerprint, 0);
    ck_assert_int_eq(info.emas, 1 << 1 | 1 << 3);
    ck_assert_int_eq(info.format_version, 1);
    ck_assert_int_eq(info.null_class, 0);
    training_require(&t, dm_trainer_options_init(&options, sizeof options));
    training_require(&t, dm_checkpoint_load_info(t.context, file, &options, &info));
    ck_assert_mem_eq(&options, &setup.options, sizeof options);
    training_require(&t, dm_checkpoint_load_info(t.context, file, NULL, NULL));
    training_end(&t);
    free(folder);
}
END_TEST

/* At step 0, of a run without a dataset. */
START_TEST(runs_that_only_began) {
    training t;
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file");
    training_setup setup = training_default();
    setup.dataset = false;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_save(t.trainer, file));
    const dm_checkpoint_info info = info_of(&t, file);
    ck_assert_int_eq(info.training, 1);
    ck_assert_uint_eq(info.step, 0);
    ck_assert_uint_eq(info.images, 0);
    ck_assert_uint_eq(info.dataset_count, 0);
    ck_assert_uint_eq(info.dataset_fingerprint, 0);
    ck_assert_int_eq(info.emas, 1);
    ck_assert_int_eq(info.format_version, 1);
    training_end(&t);
    free(folder);
}
END_TEST

/* Files of a network have no training but may say whether labels were dropped. */
START_TEST(files_of_networks) {
    training t;
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file");
    dm_trainer_options options;
    training_setup setup = training_default();
    setup.classes = TRAINING_CLASSES;
    setup.options.label_dropout = _i ? 0.2 : 0;
    training_prepare(&t, &setup);
    training_require(&t, dm_unet_save(t.unet, NULL, file));
    ck_assert_int_eq(info_of(&t, file).null_class, 0); /* not known */
    training_require(&t,
                     dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options));
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_require(&t, dm_unet_save(t.unet, t.schedule, file));
    const dm_checkpoint_info info = info_of(&t, file);
    dm_checkpoint_info want = {.struct_size = sizeof want, .format_version = 1, .null_class = _i};
    ck_assert_mem_eq(&info, &want, sizeof info);
    training_require(&t, dm_trainer_options_init(&options, sizeof options));
    const dm_trainer_options before = options;
    training_expect(&t, dm_checkpoint_load_info(t.context, file, &options, NULL),
                    DM_ERROR_BAD_FORMAT, "file:|without training state");
    ck_assert_mem_eq(&options, &before, sizeof options);
    training_end(&t);
    free(folder);
}
END_TEST

/* ---- what is refused ---- */

/* Refused calls leave the structs as they were, and memory. */
static void refuse(const training *t, const char *path, int32_t want, const char *words) {
    dm_trainer_options options;
    dm_checkpoint_info info;
    training_require(t, dm_trainer_options_init(&options, sizeof options));
    training_require(t, dm_checkpoint_info_init(&info, sizeof info));
    info.step = 77;
    const dm_trainer_options options_before = options;
    const dm_checkpoint_info info_before = info;
    test_untouched untouched = test_untouched_begin(t->context, NULL);
    training_expect(t, dm_checkpoint_load_info(t->context, path, &options, &info), want, words);
    training_expect(t, dm_checkpoint_load_info(t->context, path, NULL, NULL), want, words);
    ck_assert_mem_eq(&options, &options_before, sizeof options);
    ck_assert_mem_eq(&info, &info_before, sizeof info);
    test_untouched_end(&untouched);
}

START_TEST(files_that_are_refused) {
    static const char *const damages[][2] = {{"libdiffusion.checkpoint", "libdiffusion.something_"},
                                             {"\"progress.images\":\"8\"",
                                              "\"progress.images\":\"9\""},
                                             {"\"progress.applied\"", "\"progress.Applied\""},
                                             {"\"trainer.seed\"", "\"trainer.sEed\""},
                                             {"\"unet.levels\":\"2\"", "\"unet.levels\":\"x\""},
                                             {"\"dataset.count\":\"10\"",
                                              "\"dataset.count\":\"x0\""}};
    training t;
    size_t size;
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file"), *bad = test_path(folder, "bad");
    const training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, file));
    uint8_t *bytes = training_read_file(file, &size);
    test_drop_checksums(bytes, size);
    for (size_t i = 0; i < sizeof damages / sizeof *damages; i++) {
        const char *from = damages[i][0], *to = damages[i][1];
        uint8_t *at = memmem(bytes, size, from, strlen(from));
        ck_assert_msg(at && strlen(from) == strlen(to), "%s", from);
        memcpy(at, to, strlen(to));
        training_write_file(bad, bytes, size);
        refuse(&t, bad, DM_ERROR_BAD_FORMAT, "bad:");
        memcpy(at, from, strlen(from));
    }
    training_write_file(bad, bytes, size - 1);
    refuse(&t, bad, DM_ERROR_BAD_FORMAT, "bad");
    training_write_file(bad, bytes, 0);
    refuse(&t, bad, DM_ERROR_BAD_FORMAT, "bad");
    refuse(&t, test_path(folder, "none"), DM_ERROR_NOT_FOUND, "none");
    refuse(&t, NULL, DM_ERROR_INVALID_ARGUMENT, "checkpoint: 'path' is NULL");
    ck_assert_int_eq(dm_checkpoint_load_info(NULL, file, NULL, NULL), DM_ERROR_INVALID_ARGUMENT);
    free(bytes);
    training_end(&t);
    free(folder);
}
END_TEST

/* Callers of an older header get the members that they know; one that is no struct gets nothing. */
START_TEST(structs_of_other_sizes) {
    training t;
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file");
    const training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, file));
    dm_checkpoint_info info;
    memset(&info, 0x55, sizeof info);
    info.struct_size = offsetof(dm_checkpoint_info, images);
    const dm_checkpoint_info before = info;
    training_require(&t, dm_checkpoint_load_info(t.context, file, NULL, &info));
    ck_assert_int_eq(info.training, 1);
    ck_assert_uint_eq(info.step, 2);
    ck_assert_uint_eq(info.images, before.images);
    ck_assert_int_eq(info.null_class, before.null_class);
    info.struct_size = 0;
    training_expect(&t, dm_checkpoint_load_info(t.context, file, NULL, &info),
                    DM_ERROR_INVALID_ARGUMENT, "struct_size");
    ck_assert_int_eq(dm_checkpoint_info_init(NULL, sizeof info), DM_ERROR_INVALID_ARGUMENT);
    training_end(&t);
    free(folder);
}
END_TEST

static int32_t load_info(dm_context *context, const void *path) {
    dm_checkpoint_info info;
    dm_trainer_options options;
    ck_assert_int_eq(dm_checkpoint_info_init(&info, sizeof info), DM_OK);
    ck_assert_int_eq(dm_trainer_options_init(&options, sizeof options), DM_OK);
    return dm_checkpoint_load_info(context, path, &options, &info);
}

/* It reads the header alone, whatever the size of the file. */
START_TEST(only_the_header_is_read) {
    training t;
    size_t size;
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file");
    const training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_save(t.trainer, file));
    free(training_read_file(file, &size));
    t.context->host.limit = t.context->host.used + size / 4; /* the file has four blocks */
    ck_assert_int_eq(info_of(&t, file).training, 1);
    t.context->host.limit = 0;
    training_end(&t);
    ck_assert_int_gt(test_every_allocation(load_info, file), 3);
    free(folder);
}
END_TEST

Suite *test_checkpoint_info_suite(void);
Suite *test_checkpoint_info_suite(void) {
    Suite *suite = suite_create("checkpoint_info");
    TCase *tcase = tcase_create("checkpoint_info");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, files_of_training);
    tcase_add_test(tcase, runs_that_only_began);
    tcase_add_loop_test(tcase, files_of_networks, 0, 2);
    tcase_add_test(tcase, files_that_are_refused);
    tcase_add_test(tcase, structs_of_other_sizes);
    tcase_add_test(tcase, only_the_header_is_read);
    suite_add_tcase(suite, tcase);
    return suite;
}
