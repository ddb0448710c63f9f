/* SPDX-License-Identifier: MIT */
/* Runs that go on with another number of images per step: where they are in the data, and what
 * their files say about it. */
#include "base/random.h"
#include "support/training.h"

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

enum { LOG_MAX = 100 };

typedef struct reads {
    uint64_t index[LOG_MAX], epoch[LOG_MAX];
    size_t count;
} reads;

static int32_t read_item(void *user, dm_dataset_item *item) {
    reads *r = user;
    ck_assert_uint_lt(r->count, LOG_MAX);
    r->index[r->count] = item->index;
    r->epoch[r->count++] = item->epoch;
    memcpy(item->pixels, training_pixels() + item->index * TRAINING_ELEMENTS, TRAINING_ELEMENTS);
    return 0;
}

static void use_reads(training *t, reads *r) {
    dm_dataset_callback c;
    training_require(t, dm_dataset_callback_init(&c, sizeof c));
    c.count = TRAINING_IMAGES;
    c.height = c.width = TRAINING_SIDE;
    c.channels = TRAINING_CHANNELS;
    c.read = read_item;
    c.user = r;
    dm_dataset_destroy(t->dataset);
    training_require(t, dm_dataset_create_from_callback(&t->dataset, t->context, &c));
}

/* Three steps of 4 images, then two of 2 * 3: positions 12 to 23, of which the last 4 are in the
 * third epoch. */
START_TEST(other_batch_size) {
    static reads r;
    training t;
    char *folder = test_folder_new();
    training_setup setup = training_default();
    write_run(&setup, 3, test_path(folder, "file"));
    setup.options.batch_size = 2;
    setup.options.accumulation = 3;
    setup.options.learning_rate = 5e-4;
    training_prepare(&t, &setup);
    use_reads(&t, &r);
    training_require(&t, dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset,
                                                   test_path(folder, "file"), &setup.options));
    dm_trainer_options options;
    training_require(&t, dm_trainer_get_options(t.trainer, &options, sizeof options));
    ck_assert_mem_eq(&options, &setup.options, sizeof options);
    ck_assert_uint_eq(training_steps(t.trainer), 3);
    dm_train_stats stats = step(&t);
    ck_assert_uint_eq(stats.step, 4);
    ck_assert_uint_eq(stats.images, 18);
    ck_assert_double_eq(stats.learning_rate, 5e-4);
    stats = step(&t);
    ck_assert_uint_eq(stats.images, 24);
    ck_assert_double_eq_tol(stats.epoch, 2.4, 1e-12);
    ck_assert_uint_eq(r.count, 12);
    for (uint64_t i = 0; i < r.count; i++) {
        const uint64_t position = 12 + i, epoch = position / TRAINING_IMAGES;
        ck_assert_uint_eq(r.epoch[i], epoch);
        ck_assert_uint_eq(r.index[i],
                          dmi_random_permute(setup.options.seed, epoch, position % TRAINING_IMAGES,
                                             TRAINING_IMAGES));
    }
    training_end(&t);
    free(folder);
}
END_TEST

/* As many images in other passes: the file stays one of a run that was never changed. */
START_TEST(other_split_of_a_step) {
    training t;
    dm_checkpoint_info info;
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file");
    training_setup setup = training_default();
    write_run(&setup, 3, file);
    setup.options.batch_size = 1;
    setup.options.accumulation = 4;
    training_prepare(&t, &setup);
    training_require(&t, dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset, file,
                                                   &setup.options));
    ck_assert_uint_eq(step(&t).images, 16);
    training_require(&t, dm_trainer_save(t.trainer, file));
    training_require(&t, dm_checkpoint_info_init(&info, sizeof info));
    training_require(&t, dm_checkpoint_load_info(t.context, file, NULL, &info));
    ck_assert_int_eq(info.format_version, 1);
    ck_assert_uint_eq(info.step, 4);
    ck_assert_uint_eq(info.images, 16);
    training_end(&t);
    free(folder);
}
END_TEST

/* A run with two numbers of images per step is saved and resumed like any other, bit for bit. */
START_TEST(changed_runs_are_resumed) {
    training t;
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file"), *half = test_path(folder, "half"),
               *want = test_path(folder, "want"), *got = test_path(folder, "got");
    training_setup setup = training_default();
    write_run(&setup, 3, file);
    setup.options.batch_size = 6;
    setup.threads = 2;
    training_prepare(&t, &setup);
    training_require(&t, dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset, file,
                                                   &setup.options));
    training_require(&t, dm_trainer_run(t.trainer, 5, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, half));
    training_require(&t, dm_trainer_run(t.trainer, 7, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, want));
    training_end(&t);
    training_prepare(&t, &setup);
    training_require(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, half));
    training_require(&t, dm_trainer_run(t.trainer, 7, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, got));
    training_same_files(want, got);
    training_end(&t);

    setup.options.batch_size = 1; /* and changed again */
    training_prepare(&t, &setup);
    training_require(&t, dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset, want,
                                                   &setup.options));
    ck_assert_uint_eq(step(&t).images, 12 + 4 * 6 + 1);
    training_require(&t, dm_trainer_save(t.trainer, got));
    dm_trainer_destroy(t.trainer);
    training_require(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, got));
    ck_assert_uint_eq(step(&t).images, 12 + 4 * 6 + 2);
    training_end(&t);
    free(folder);
}
END_TEST

/* Counts that contradict each other, in the file of a run that had 3 steps of 4 images and 2 of
 * 6. */
static const char *const damages[][2] = {{"progress.images\":\"24", "progress.images\":\"25"},
                                         {"progress.images\":\"24", "progress.images\":\"11"},
                                         {"progress.steps\":\"5", "progress.steps\":\"6"},
                                         {"progress.base_steps\":\"3", "progress.base_steps\":\"9"},
                                         {"progress.base_images\":\"12",
                                          "progress.base_images\":\"18"},
                                         {"progress.base_steps", "progress.base_stepS"},
                                         {"progress.base_images", "progress.base_imageS"}};

enum { DAMAGES = sizeof damages / sizeof *damages };

START_TEST(counts_that_contradict) {
    training t;
    size_t size, length = strlen(damages[_i][0]);
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file");
    training_setup setup = training_default();
    write_run(&setup, 3, file);
    setup.options.batch_size = 6;
    training_prepare(&t, &setup);
    training_require(&t, dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset, file,
                                                   &setup.options));
    training_require(&t, dm_trainer_run(t.trainer, 5, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, file));
    dm_trainer_destroy(t.trainer);
    uint8_t *bytes = training_read_file(file, &size);
    test_drop_checksums(bytes, size);
    uint8_t *at = memmem(bytes, size, damages[_i][0], length);
    ck_assert_msg(at && strlen(damages[_i][1]) == length, "%s is not there", damages[_i][0]);
    memcpy(at, damages[_i][1], length);
    training_write_file(file, bytes, size);
    training_expect(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, file), DM_ERROR_BAD_FORMAT,
                    "file:|contradict");
    training_expect(&t,
                    dm_trainer_resume_changed(&t.trainer, t.unet, t.dataset, file, &setup.options),
                    DM_ERROR_BAD_FORMAT, "file:|contradict");
    ck_assert_ptr_null(t.trainer);
    training_end(&t);
    free(bytes);
    free(folder);
}
END_TEST

Suite *test_resume_position_suite(void);
Suite *test_resume_position_suite(void) {
    Suite *suite = suite_create("resume_position");
    TCase *tcase = tcase_create("resume_position");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, other_batch_size);
    tcase_add_test(tcase, other_split_of_a_step);
    tcase_add_test(tcase, changed_runs_are_resumed);
    tcase_add_loop_test(tcase, counts_that_contradict, 0, DAMAGES);
    suite_add_tcase(suite, tcase);
    return suite;
}
