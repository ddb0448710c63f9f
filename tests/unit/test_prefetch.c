/* SPDX-License-Identifier: MIT */
/* What a dataset of a callback is told while it trains: which images are read next, and how often
 * the data was passed before. */
#include "base/random.h"
#include "support/refusal.h"
#include "support/training.h"

enum { BATCH = 4, READS_MAX = 200, TOLD_MAX = 50 };

/* All that a reader and its prefetch were asked for, in order. */
typedef struct diary {
    dm_context *context;
    uint64_t read[READS_MAX], epoch[READS_MAX];
    size_t reads;
    uint64_t told[TOLD_MAX][BATCH];
    size_t reads_before[TOLD_MAX]; /* reads that were done when it was told */
    size_t tellings;
    size_t fail_at; /* the read that fails; SIZE_MAX: none */
    bool complains; /* prefetch calls what it may not */
} diary;

static int32_t read_item(void *user, dm_dataset_item *item) {
    diary *d = user;
    if (d->reads == d->fail_at) {
        d->fail_at = SIZE_MAX;
        return 1;
    }
    ck_assert_uint_lt(d->reads, READS_MAX);
    d->read[d->reads] = item->index;
    d->epoch[d->reads++] = item->epoch;
    memcpy(item->pixels, training_pixels() + item->index * TRAINING_ELEMENTS, TRAINING_ELEMENTS);
    return 0;
}

static void prefetch(void *user, const uint64_t *indices, size_t count) {
    diary *d = user;
    ck_assert_uint_eq(count, BATCH);
    ck_assert_uint_lt(d->tellings, TOLD_MAX);
    memcpy(d->told[d->tellings], indices, sizeof d->told[0]);
    d->reads_before[d->tellings++] = d->reads;
    if (!d->complains) return;
    dm_dataset *made;
    ck_assert_int_eq(dm_dataset_create_shapes(&made, d->context, 16, 4, 1), DM_ERROR_WRONG_STATE);
    ck_assert_int_eq(dm_callback_fail(d->context, "too early"), DM_OK);
}

static void make_dataset(training *t, diary *d, dm_dataset_prefetch told) {
    dm_dataset_callback c;
    training_require(t, dm_dataset_callback_init(&c, sizeof c));
    ck_assert(c.prefetch == NULL);
    c.count = TRAINING_IMAGES;
    c.height = c.width = TRAINING_SIDE;
    c.channels = TRAINING_CHANNELS;
    c.read = read_item;
    c.prefetch = told;
    c.user = d;
    d->context = t->context;
    d->fail_at = SIZE_MAX;
    training_require(t, dm_dataset_create_from_callback(&t->dataset, t->context, &c));
}

static void make_trainer(training *t, const training_setup *setup) {
    training_require(t, dm_trainer_create(&t->trainer, t->unet, t->schedule, t->dataset,
                                          &setup->options));
}

static training_setup without_dataset(void) {
    training_setup setup = training_default();
    setup.dataset = false;
    setup.options.batch_size = BATCH;
    return setup;
}

static void begin(training *t, diary *d, const training_setup *setup, dm_dataset_prefetch told) {
    training_prepare(t, setup);
    make_dataset(t, d, told);
    make_trainer(t, setup);
}

static uint64_t index_at(const training_setup *setup, uint64_t position) {
    return dmi_random_permute(setup->options.seed, position / TRAINING_IMAGES,
                              position % TRAINING_IMAGES, TRAINING_IMAGES);
}

/* Fails the test unless telling `k` was about the pass at `position`, after `reads` reads. */
static void check_telling(const diary *d, const training_setup *setup, size_t k, uint64_t position,
                          size_t reads) {
    ck_assert_uint_lt(k, d->tellings);
    ck_assert_uint_eq(d->reads_before[k], reads);
    for (uint64_t i = 0; i < BATCH; i++)
        ck_assert_uint_eq(d->told[k][i], index_at(setup, position + i));
}

/* The first pass is told before it is read, and each next one after the reads of the one before it;
 * a step has `accumulation` passes. Batches run across the ends of epochs. */
START_TEST(passes_are_told_in_order) {
    diary d = {0};
    training t;
    training_setup setup = without_dataset();
    setup.options.accumulation = _i;
    begin(&t, &d, &setup, prefetch);
    ck_assert_uint_eq(d.tellings, 0);
    training_require(&t, dm_trainer_run(t.trainer, 6, NULL, NULL));
    const size_t passes = 6 * (size_t)_i;
    ck_assert_uint_eq(d.reads, passes * BATCH);
    ck_assert_uint_eq(d.tellings, passes + 1); /* the last is of a step that did not come */
    check_telling(&d, &setup, 0, 0, 0);
    for (size_t k = 1; k <= passes; k++) check_telling(&d, &setup, k, k * BATCH, k * BATCH);
    for (size_t k = 0; k < passes; k++)
        ck_assert_mem_eq(d.told[k], d.read + k * BATCH, sizeof d.told[k]);
    training_end(&t);
}
END_TEST

/* Each epoch has each image once. */
START_TEST(items_know_their_epoch) {
    diary d = {0};
    training t;
    uint8_t pixels[TRAINING_ELEMENTS];
    training_setup setup = without_dataset();
    int32_t seen[3][TRAINING_IMAGES] = {{0}};
    begin(&t, &d, &setup, NULL);
    training_require(&t, dm_trainer_run(t.trainer, 7, NULL, NULL));
    ck_assert_uint_eq(d.tellings, 0);
    ck_assert_uint_eq(d.reads, 7 * BATCH);
    for (size_t i = 0; i < d.reads; i++) {
        ck_assert_uint_eq(d.epoch[i], i / TRAINING_IMAGES);
        ck_assert_uint_eq(d.read[i], index_at(&setup, i));
        seen[d.epoch[i]][d.read[i]]++;
    }
    for (int32_t i = 0; i < TRAINING_IMAGES; i++) {
        ck_assert_int_eq(seen[0][i], 1);
        ck_assert_int_eq(seen[1][i], 1);
    }
    training_require(&t, dm_dataset_get_image(t.dataset, 3, pixels, sizeof pixels, NULL));
    ck_assert_uint_eq(d.read[d.reads - 1], 3);
    ck_assert_uint_eq(d.epoch[d.reads - 1], 0);
    training_end(&t);
}
END_TEST

/* A pass that is read again is told again, and so is the one after it. */
START_TEST(repeated_passes_are_told_again) {
    diary d = {0};
    training t;
    training_setup setup = without_dataset();
    begin(&t, &d, &setup, prefetch);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    d.fail_at = BATCH + 2;
    training_expect(&t, dm_trainer_step(t.trainer, NULL), DM_ERROR_CALLBACK_FAILED, "returned 1");
    ck_assert_uint_eq(d.tellings, 2);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    ck_assert_uint_eq(d.tellings, 3); /* the pass at BATCH was told, and is the one to be read */
    check_telling(&d, &setup, 1, BATCH, BATCH);
    check_telling(&d, &setup, 2, 2 * BATCH, 2 * BATCH + 2);

    setup.options.accumulation = 2; /* the second pass fails: the first is read again */
    dm_trainer_destroy(t.trainer);
    d = (diary){.context = t.context, .fail_at = BATCH};
    make_trainer(&t, &setup);
    training_expect(&t, dm_trainer_step(t.trainer, NULL), DM_ERROR_CALLBACK_FAILED, "returned 1");
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    ck_assert_uint_eq(d.tellings, 5);
    check_telling(&d, &setup, 0, 0, 0);
    check_telling(&d, &setup, 1, BATCH, BATCH);
    check_telling(&d, &setup, 2, 0, BATCH);
    check_telling(&d, &setup, 3, BATCH, 2 * BATCH);
    check_telling(&d, &setup, 4, 2 * BATCH, 3 * BATCH);
    training_end(&t);
}
END_TEST

/* Steps on the caller's images are in between: the data goes on behind them. */
START_TEST(steps_on_other_images) {
    diary d = {0};
    training t;
    training_given given;
    training_setup setup = without_dataset();
    begin(&t, &d, &setup, prefetch);
    training_give(&given, BATCH);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    ck_assert_uint_eq(d.tellings, 2);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    ck_assert_uint_eq(d.tellings, 4);
    check_telling(&d, &setup, 2, 2 * BATCH, BATCH);
    check_telling(&d, &setup, 3, 3 * BATCH, 2 * BATCH);
    ck_assert_mem_eq(d.told[2], d.read + BATCH, sizeof d.told[2]);
    training_end(&t);
}
END_TEST

/* A run that goes on tells its first pass, where the file left off. */
START_TEST(resumed_runs) {
    diary d = {0};
    training t;
    char *folder = test_folder_new();
    training_setup setup = without_dataset();
    begin(&t, &d, &setup, prefetch);
    training_require(&t, dm_trainer_run(t.trainer, 4, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "file")));
    training_end(&t);
    d = (diary){0};
    training_prepare(&t, &setup);
    make_dataset(&t, &d, prefetch);
    training_require(&t,
                     dm_trainer_resume(&t.trainer, t.unet, t.dataset, test_path(folder, "file")));
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    check_telling(&d, &setup, 0, 4 * BATCH, 0);
    check_telling(&d, &setup, 1, 5 * BATCH, BATCH);
    ck_assert_uint_eq(d.epoch[0], 4 * BATCH / TRAINING_IMAGES);
    training_end(&t);
    free(folder);
}
END_TEST

START_TEST(downscaled_datasets_pass_it_on) {
    diary d = {0};
    training t;
    training_setup setup = without_dataset();
    setup.condition_image = true;
    training_prepare(&t, &setup);
    make_dataset(&t, &d, _i ? prefetch : NULL);
    dm_dataset *source = t.dataset;
    training_require(&t, dm_dataset_create_downscaled(&t.dataset, source, 2));
    make_trainer(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    ck_assert_uint_eq(d.tellings, _i ? 4 : 0);
    for (size_t k = 0; k < d.tellings; k++) check_telling(&d, &setup, k, k * BATCH, k * BATCH);
    for (size_t i = 0; i < d.reads; i++) ck_assert_uint_eq(d.epoch[i], i / TRAINING_IMAGES);
    dm_trainer_destroy(t.trainer);
    dm_dataset_destroy(t.dataset);
    dm_dataset_destroy(source);
    t.trainer = NULL;
    t.dataset = NULL;
    training_end(&t);
}
END_TEST

/* Training is the same with and without it, and whatever it does. */
START_TEST(training_does_not_depend_on_it) {
    diary d = {0};
    training t;
    size_t floats = 0;
    float *want = NULL;
    training_setup setup = without_dataset();
    for (int32_t kind = 0; kind < 3; kind++) {
        setup.threads = 1 + kind;
        d = (diary){.complains = kind == 2};
        begin(&t, &d, &setup, kind ? prefetch : NULL);
        training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
        if (kind == 0) want = training_state(&t, &floats);
        training_same_state(&t, want, floats);
        training_end(&t);
    }
    free(want);
}
END_TEST

Suite *test_prefetch_suite(void);
Suite *test_prefetch_suite(void) {
    Suite *suite = suite_create("prefetch");
    TCase *tcase = tcase_create("prefetch");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, passes_are_told_in_order, 1, 4);
    tcase_add_test(tcase, items_know_their_epoch);
    tcase_add_test(tcase, repeated_passes_are_told_again);
    tcase_add_test(tcase, steps_on_other_images);
    tcase_add_test(tcase, resumed_runs);
    tcase_add_loop_test(tcase, downscaled_datasets_pass_it_on, 0, 2);
    tcase_add_test(tcase, training_does_not_depend_on_it);
    suite_add_tcase(suite, tcase);
    return suite;
}
