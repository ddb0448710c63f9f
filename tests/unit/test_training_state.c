/* SPDX-License-Identifier: MIT */
/* What training stores besides weights: whether "no class" was trained, the fingerprint of
 * the dataset, and which weights a checkpoint gives. */
#include "support/allocator.h"
#include "support/dataset.h"
#include "support/network.h"
#include "support/training.h"
#include "train/trainer.h"

/* ---- the null class ---- */

/* How a network is trained, and what is known of its null class afterwards. */
typedef struct null_case {
    int32_t classes, use_labels;
    double label_dropout;
    bool unlabelled; /* the dataset has an image without a label */
    int32_t want;
} null_case;

static const null_case null_cases[] = {
    {0, 1, 0, true, DMI_NULL_CLASS_UNKNOWN},
    {TRAINING_CLASSES, 1, 0, false, DMI_NULL_CLASS_UNTRAINED},
    {TRAINING_CLASSES, 1, 0, true, DMI_NULL_CLASS_TRAINED},
    {TRAINING_CLASSES, 1, 1e-9, false, DMI_NULL_CLASS_TRAINED},
    {TRAINING_CLASSES, 0, 0, false, DMI_NULL_CLASS_TRAINED},
};

static void begin_with_labels(training *t, training_setup *setup, bool unlabelled) {
    static int32_t labels[TRAINING_IMAGES];
    for (int32_t i = 0; i < TRAINING_IMAGES; i++) labels[i] = i % TRAINING_CLASSES;
    if (unlabelled) labels[3] = -1;
    setup->dataset = false;
    training_prepare(t, setup);
    training_require(t, dataset_from_memory(&t->dataset, t->context, training_pixels(), labels,
                                            TRAINING_IMAGES, TRAINING_SIDE, TRAINING_SIDE,
                                            TRAINING_CHANNELS));
    training_require(t, dm_trainer_create(&t->trainer, t->unet, t->schedule, t->dataset,
                                          &setup->options));
}

/* An epoch of training; then the checkpoint and an EMA bring it to other networks. */
START_TEST(null_class_follows_training) {
    const null_case *c = &null_cases[_i];
    training t;
    training_setup setup = training_default();
    dm_unet *loaded, *target;
    size_t size;
    setup.classes = c->classes;
    setup.options.use_labels = c->use_labels;
    setup.options.label_dropout = c->label_dropout;
    setup.options.batch_size = TRAINING_IMAGES / 2;
    begin_with_labels(&t, &setup, c->unlabelled);
    ck_assert_int_eq(t.unet->null_class, DMI_NULL_CLASS_UNKNOWN);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    ck_assert_int_eq(t.unet->null_class, c->want);

    training_require(&t, dm_trainer_save_memory(t.trainer, NULL, 0, &size));
    uint8_t *bytes = malloc(size);
    training_require(&t, dm_trainer_save_memory(t.trainer, bytes, size, &size));
    training_require(&t, dm_unet_load_memory(&loaded, t.context, bytes, size, DM_WEIGHTS_DEFAULT));
    ck_assert_int_eq(loaded->null_class, c->want);
    training_require(&t, dm_unet_create(&target, t.context, &t.unet->options, 9));
    training_require(&t, dm_trainer_get_ema(t.trainer, 0, target));
    ck_assert_int_eq(target->null_class, c->want);
    dm_unet_destroy(target);
    dm_trainer_destroy(t.trainer);
    t.trainer = NULL;
    loaded->null_class = DMI_NULL_CLASS_UNKNOWN;
    training_require(&t, dm_trainer_resume_memory(&t.trainer, loaded, t.dataset, bytes, size));
    ck_assert_int_eq(loaded->null_class, c->want);
    dm_trainer_destroy(t.trainer);
    t.trainer = NULL;
    dm_unet_destroy(loaded);
    free(bytes);
    training_end(&t);
}
END_TEST

/* What was trained once stays, and a skipped step trains nothing. */
START_TEST(null_class_stays_trained) {
    training t;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.classes = TRAINING_CLASSES;
    training_begin(&t, &setup);
    training_give(&given, 4);
    given.images[0] = NAN;
    ck_assert_int_eq(dm_trainer_step_batch(t.trainer, &given.batch, NULL), DM_ERROR_NOT_FINITE);
    ck_assert_int_eq(t.unet->null_class, DMI_NULL_CLASS_UNKNOWN);
    training_give(&given, 4);
    given.batch.labels = given.labels;
    given.batch.label_count = 4;
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    ck_assert_int_eq(t.unet->null_class, DMI_NULL_CLASS_UNTRAINED);
    given.labels[3] = -1;
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    ck_assert_int_eq(t.unet->null_class, DMI_NULL_CLASS_TRAINED);
    given.labels[3] = 0;
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    ck_assert_int_eq(t.unet->null_class, DMI_NULL_CLASS_TRAINED);
    training_end(&t);
}
END_TEST

/* ---- the dataset ---- */

static int32_t read_nothing(void *user, dm_dataset_item *item) {
    (void)user, (void)item;
    return 1;
}

/* The dataset of 10 images that a run continues on: 0 the same, 1 another, 2 one that is not known
 * (a callback without fingerprint). */
static dm_dataset *continued_on(training *t, int kind) {
    static uint8_t other[TRAINING_IMAGES * TRAINING_ELEMENTS];
    dm_dataset *dataset;
    memcpy(other, training_pixels(), sizeof other);
    other[0] ^= kind == 1;
    training_require(t, kind == 2
                            ? dataset_from_callback(&dataset, t->context, read_nothing, NULL,
                                                    TRAINING_IMAGES, TRAINING_SIDE, TRAINING_SIDE,
                                                    TRAINING_CHANNELS)
                            : dataset_from_memory(&dataset, t->context, other, training_labels(),
                                                  TRAINING_IMAGES, TRAINING_SIDE, TRAINING_SIDE,
                                                  TRAINING_CHANNELS));
    return dataset;
}

START_TEST(other_datasets_are_reported) {
    training t;
    training_setup setup = training_default();
    char path[256], warning[256] = "";
    snprintf(path, sizeof path, "%s/checkpoint", test_folder());
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, path));
    dm_trainer_destroy(t.trainer);
    t.context->host.log = test_keep_warning;
    t.context->host.log_user = warning;
    dm_dataset *dataset = continued_on(&t, _i);
    training_require(&t, dm_trainer_resume(&t.trainer, t.unet, dataset, path));
    ck_assert_msg((strstr(warning, "another dataset") != NULL) == (_i == 1), "%s", warning);
    if (_i != 2) training_require(&t, dm_trainer_step(t.trainer, NULL));
    dm_trainer_destroy(t.trainer);
    t.trainer = NULL;
    dm_dataset_destroy(dataset);
    training_end(&t);
}
END_TEST

/* ---- the weights of a checkpoint ---- */

/* The default is the first EMA that is kept, whichever that is. */
START_TEST(default_weights_are_the_first_ema) {
    training t, target;
    training_setup setup = training_default();
    size_t size;
    dm_unet *loaded;
    setup.options.ema_decay[0] = 0;
    setup.options.ema_half_life[2] = _i ? 20 : 0;
    setup.options.ema_decay[3] = _i ? 0.5 : 0;
    training_begin(&t, &setup);
    training_prepare(&target, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    training_require(&t, dm_trainer_save_memory(t.trainer, NULL, 0, &size));
    uint8_t *bytes = malloc(size);
    training_require(&t, dm_trainer_save_memory(t.trainer, bytes, size, &size));
    training_require(&t, dm_unet_load_memory(&loaded, t.context, bytes, size, DM_WEIGHTS_DEFAULT));
    if (_i) training_require(&t, dm_trainer_get_ema(t.trainer, 2, target.unet));
    network_same(loaded, _i ? target.unet : t.unet);
    if (_i) ck_assert(!training_unchanged(&t, loaded->weights->params.data));
    dm_unet_destroy(loaded);
    free(bytes);
    training_end(&target);
    training_end(&t);
}
END_TEST

Suite *test_training_state_suite(void);
Suite *test_training_state_suite(void) {
    Suite *suite = suite_create("training_state");
    TCase *tcase = tcase_create("training_state");
    tcase_add_loop_test(tcase, null_class_follows_training, 0,
                        (int)(sizeof null_cases / sizeof *null_cases));
    tcase_add_test(tcase, null_class_stays_trained);
    tcase_add_loop_test(tcase, other_datasets_are_reported, 0, 3);
    tcase_add_loop_test(tcase, default_weights_are_the_first_ema, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}
