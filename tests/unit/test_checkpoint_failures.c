/* SPDX-License-Identifier: MIT */
/* Checkpoints that cannot be written or resumed: damaged and truncated files, other networks and
 * datasets, memory that runs out. A refused call changes nothing. */
#include "support/dataset.h"
#include "support/network.h"
#include "support/training.h"
#include "unet/unet.h"

START_TEST(saving_where_nothing_can_be_written) {
    training t;
    char *folder = test_folder_new();
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_expect(&t, dm_trainer_save(t.trainer, test_path(folder, "none/file")), DM_ERROR_IO,
                    "none/file");
    training_expect(&t, dm_trainer_save(t.trainer, NULL), DM_ERROR_INVALID_ARGUMENT,
                    "'path' is NULL");
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "file")));
    training_end(&t);
    free(folder);
}
END_TEST

/* Resumes from `path` with another network, which must fail and leave it as it was, free for a
 * trainer. */
static void refuse_resume(const training_setup *setup, const char *path, int32_t want,
                          const char *words) {
    training t;
    uint64_t before, after;
    dm_trainer *trainer = (dm_trainer *)&t;
    training_prepare(&t, setup);
    float *weights = training_weights(&t);
    dm_context_get_memory(t.context, &before, NULL, NULL);
    training_expect(&t, dm_trainer_resume(&trainer, t.unet, t.dataset, path), want, words);
    ck_assert_ptr_null(trainer);
    dm_context_get_memory(t.context, &after, NULL, NULL);
    ck_assert_uint_eq(before, after);
    ck_assert(training_unchanged(&t, weights));
    ck_assert(!t.unet->trained);
    free(weights);
    training_end(&t);
}

/* A file of a run of two steps, to be freed. */
static uint8_t *file_of_run(const training_setup *setup, const char *path, size_t *size) {
    training t;
    training_begin(&t, setup);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, path));
    training_end(&t);
    return training_read_file(path, size);
}

START_TEST(truncated_files) {
    size_t size;
    char *folder = test_folder_new();
    training_setup setup = training_default();
    uint8_t *bytes = file_of_run(&setup, test_path(folder, "file"), &size);
    const size_t sizes[] = {0, 1, 7, 8, 9, 500, 5000, size / 2, size - 4, size - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        training_write_file(test_path(folder, "part"), bytes, sizes[i]);
        refuse_resume(&setup, test_path(folder, "part"), DM_ERROR_BAD_FORMAT, "part");
    }
    refuse_resume(&setup, test_path(folder, "none"), DM_ERROR_NOT_FOUND, "none");
    free(bytes);
    free(folder);
}
END_TEST

/* A change to the file's header that keeps its length. */
typedef struct damage {
    const char *from, *to;
    int32_t status;
    const char *words;
} damage;

static const damage damages[] = {
    {"\"format_version\":\"1\"", "\"format_version\":\"3\"", DM_ERROR_UNSUPPORTED_VERSION,
     "format_version is 3"},
    {"\"format_version\":\"1\"", "\"format_version\":\"0\"", DM_ERROR_BAD_FORMAT,
     "'format_version' is '0'"},
    {"\"format_version\":\"1\"", "\"format_version\":\"x\"", DM_ERROR_BAD_FORMAT,
     "'format_version' is 'x'"},
    {"\"format_version\"", "\"format_versiom\"", DM_ERROR_BAD_FORMAT, "'format_version'"},
    {"libdiffusion.checkpoint", "libdiffusion.something_", DM_ERROR_BAD_FORMAT, "no checkpoint"},
    {"\"progress.steps\"", "\"progress.stepS\"", DM_ERROR_BAD_FORMAT, "no 'progress.steps'"},
    {"\"progress.steps\":\"2\"", "\"progress.steps\":\"3\"", DM_ERROR_BAD_FORMAT,
     "3 steps, 2 of them|8 images"},
    {"\"progress.applied\":\"2\"", "\"progress.applied\":\"9\"", DM_ERROR_BAD_FORMAT,
     "9 of them applied"},
    {"\"trainer.seed\"", "\"trainer.sEed\"", DM_ERROR_BAD_FORMAT, "no 'trainer.seed'"},
    {"\"trainer.batch_size\":\"4\"", "\"trainer.batch_size\":\"0\"", DM_ERROR_BAD_FORMAT,
     "'batch_size' is 0"},
    {"\"trainer.batch_size\":\"4\"", "\"trainer.batch_size\":\"x\"", DM_ERROR_BAD_FORMAT, "\"x\""},
    {"\"unet.dropout\"", "\"unet.drOpout\"", DM_ERROR_BAD_FORMAT, "no 'unet.dropout'"},
    {"\"dataset.count\":\"10\"", "\"dataset.count\":\"x0\"", DM_ERROR_BAD_FORMAT,
     "'dataset.count'"},
    {"\"schedule.kind\":\"0\"", "\"schedule.kind\":\"7\"", DM_ERROR_BAD_FORMAT, "'kind' is 7"},
    {"\"schedule.kind\"", "\"schedule.kInd\"", DM_ERROR_NOT_FOUND, "schedule"},
    {"\"adam_v.conv_in.bias\"", "\"adam_w.conv_in.bias\"", DM_ERROR_NOT_FOUND,
     "adam_v.conv_in.bias"},
    {"\"ema_0.conv_in.bias\"", "\"ema_O.conv_in.bias\"", DM_ERROR_NOT_FOUND, "ema_0.conv_in.bias"},
    {"\"unet.prediction\":\"0\"", "\"unet.prediction\":\"2\"", DM_ERROR_SHAPE_MISMATCH,
     "'prediction'"},
};

START_TEST(damaged_files) {
    const damage *d = &damages[_i];
    size_t size, length = strlen(d->from);
    char *folder = test_folder_new();
    training_setup setup = training_default();
    uint8_t *bytes = file_of_run(&setup, test_path(folder, "file"), &size);
    test_drop_checksums(bytes, size);
    uint8_t *at = memmem(bytes, size, d->from, length);
    ck_assert_msg(at && strlen(d->to) == length, "%s is not in the file", d->from);
    memcpy(at, d->to, length);
    training_write_file(test_path(folder, "damaged"), bytes, size);
    refuse_resume(&setup, test_path(folder, "damaged"), d->status, d->words);
    free(bytes);
    free(folder);
}
END_TEST

START_TEST(network_files_have_no_training_state) {
    training t;
    char *folder = test_folder_new();
    training_setup setup = training_default();
    training_prepare(&t, &setup);
    training_require(&t, dm_unet_save(t.unet, t.schedule, test_path(folder, "network")));
    training_end(&t);
    refuse_resume(&setup, test_path(folder, "network"), DM_ERROR_BAD_FORMAT,
                  "without training state|dm_unet_load");
    free(folder);
}
END_TEST

START_TEST(other_networks_and_datasets) {
    training t;
    dm_trainer *trainer = (dm_trainer *)&t;
    size_t size;
    char *folder = test_folder_new();
    training_setup setup = training_default(), other = training_default();
    free(file_of_run(&setup, test_path(folder, "file"), &size));
    other.prediction = DM_PREDICT_X0;
    refuse_resume(&other, test_path(folder, "file"), DM_ERROR_SHAPE_MISMATCH, "'prediction'");
    other = setup;
    other.dropout = 0.25f;
    refuse_resume(&other, test_path(folder, "file"), DM_ERROR_SHAPE_MISMATCH, "'dropout'");
    other = setup;
    other.dataset = false;
    training_prepare(&t, &other);
    training_require(&t, dataset_from_memory(&t.dataset, t.context, training_pixels(), NULL, 2, 16,
                                             4, 3));
    float *weights = training_weights(&t);
    training_expect(&t, dm_trainer_resume(&trainer, t.unet, t.dataset, test_path(folder, "file")),
                    DM_ERROR_SHAPE_MISMATCH, "16 x 4 x 3|8 x 8 x 3");
    ck_assert_ptr_null(trainer);
    dm_dataset_destroy(t.dataset);
    training_require(&t, dataset_from_memory(&t.dataset, t.context, training_pixels(), NULL, 3, 8,
                                             8, 3));
    training_expect(&t, dm_trainer_resume(&trainer, t.unet, t.dataset, test_path(folder, "file")),
                    DM_ERROR_SHAPE_MISMATCH, "file|10 images|has 3");
    ck_assert_ptr_null(trainer);
    ck_assert(training_unchanged(&t, weights));
    free(weights);
    training_end(&t);

    training_begin(&t, &setup);
    training_expect(&t, dm_trainer_resume(&trainer, t.unet, t.dataset, test_path(folder, "file")),
                    DM_ERROR_WRONG_STATE, "already");
    training_expect(&t, dm_trainer_resume(NULL, t.unet, NULL, "file"), DM_ERROR_INVALID_ARGUMENT,
                    "'out'");
    training_expect(&t, dm_trainer_resume(&trainer, t.unet, NULL, NULL), DM_ERROR_INVALID_ARGUMENT,
                    "'path'");
    ck_assert_int_eq(dm_trainer_resume(&trainer, NULL, NULL, "x"), DM_ERROR_INVALID_ARGUMENT);
    training_end(&t);
    free(folder);
}
END_TEST

/* The path of a checkpoint of the tiny preset at 8 x 8. */
typedef struct resume_case {
    dm_unet_options network;
    const char *path;
    bool save; /* saves the run instead of resuming one */
} resume_case;

static int32_t make_resumed(dm_context *context, const void *user) {
    const resume_case *c = user;
    dm_unet *unet = NULL;
    dm_schedule *schedule = NULL;
    dm_trainer *trainer = NULL;
    training_setup setup = training_default();
    int32_t status = dm_unet_create(&unet, context, &c->network, 1);
    if (!status && c->save) status = dm_schedule_create(&schedule, context, NULL);
    if (!status && c->save)
        status = dm_trainer_create(&trainer, unet, schedule, NULL, &setup.options);
    if (!status && c->save) status = dm_trainer_save(trainer, c->path);
    if (!status && !c->save) status = dm_trainer_resume(&trainer, unet, NULL, c->path);
    dm_trainer_destroy(trainer);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    return status;
}

START_TEST(every_allocation_may_fail) {
    char *folder = test_folder_new();
    resume_case c = {.path = test_path(folder, "file"), .save = true};
    ck_assert_int_eq(dm_unet_options_preset(&c.network, sizeof c.network, DM_PRESET_TINY), DM_OK);
    c.network.height = c.network.width = TRAINING_SIDE;
    c.network.levels = 1;
    c.network.mid_attention = 0;
    ck_assert_int_gt(test_every_allocation(make_resumed, &c), 20);
    c.save = false;
    ck_assert_int_gt(test_every_allocation(make_resumed, &c), 20);
    free(folder);
}
END_TEST

Suite *test_checkpoint_failures_suite(void);
Suite *test_checkpoint_failures_suite(void) {
    Suite *suite = suite_create("checkpoint_failures");
    TCase *tcase = tcase_create("checkpoint_failures");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, saving_where_nothing_can_be_written);
    tcase_add_test(tcase, truncated_files);
    tcase_add_loop_test(tcase, damaged_files, 0, (int)(sizeof damages / sizeof *damages));
    tcase_add_test(tcase, network_files_have_no_training_state);
    tcase_add_test(tcase, other_networks_and_datasets);
    tcase_add_test(tcase, every_allocation_may_fail);
    suite_add_tcase(suite, tcase);
    return suite;
}
