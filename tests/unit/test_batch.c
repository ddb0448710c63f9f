/* SPDX-License-Identifier: MIT */
/* What goes into a step: images in their order, flips, timesteps, noise and labels, from a
 * dataset or from the caller, and errors where they do not fit. */
#include "base/random.h"
#include "support/dataset.h"
#include "support/training.h"
#include "train/trainer.h"

/* ---- random choices ---- */

static const float *input(const training *t, dmi_value value) {
    return dmi_graph_data(t->trainer->train.graph, value);
}

/* Whether the target, which is x_0 itself where that is predicted, is image `index`, mirrored or
 * not. */
static bool target_is(const training *t, int32_t position, uint64_t index, bool mirrored) {
    const float *target = t->trainer->batch.target + (size_t)position * TRAINING_ELEMENTS;
    const uint8_t *pixels = training_pixels() + index * TRAINING_ELEMENTS;
    for (int32_t y = 0; y < TRAINING_SIDE; y++)
        for (int32_t x = 0; x < TRAINING_SIDE; x++)
            for (int32_t c = 0; c < TRAINING_CHANNELS; c++) {
                int32_t from = mirrored ? TRAINING_SIDE - 1 - x : x;
                float want =
                    (float)pixels[(y * TRAINING_SIDE + from) * TRAINING_CHANNELS + c] / 127.5f - 1;
                if (fabsf(target[(y * TRAINING_SIDE + x) * TRAINING_CHANNELS + c] - want) > 1e-6f)
                    return false;
            }
    return true;
}

/* The image at a position of the batch, or -1. */
static int32_t which_image(const training *t, int32_t position, bool mirrored) {
    for (int32_t i = 0; i < TRAINING_IMAGES; i++)
        if (target_is(t, position, (uint64_t)i, mirrored)) return i;
    return -1;
}

/* Every image once an epoch, in another order each, the batches of 4 running across the ends of
 * epochs of 10. */
START_TEST(epochs_are_permutations) {
    enum { EPOCHS = 4, SEEN = EPOCHS * TRAINING_IMAGES };
    training t;
    int32_t order[SEEN], flips = 0;
    training_setup setup = training_default();
    setup.prediction = DM_PREDICT_X0;
    setup.options.flip = _i;
    training_begin(&t, &setup);
    for (int32_t done = 0; done < SEEN; done += 4) {
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        for (int32_t k = 0; k < 4; k++) {
            int32_t plain = which_image(&t, k, false), mirrored = which_image(&t, k, true);
            ck_assert_msg((plain < 0) != (mirrored < 0), "position %d is no image of the dataset",
                          (int)(done + k));
            order[done + k] = plain < 0 ? mirrored : plain;
            flips += plain < 0;
        }
    }
    for (int32_t epoch = 0; epoch < EPOCHS; epoch++) {
        int32_t seen[TRAINING_IMAGES] = {0};
        for (int32_t i = 0; i < TRAINING_IMAGES; i++) seen[order[epoch * TRAINING_IMAGES + i]]++;
        for (int32_t i = 0; i < TRAINING_IMAGES; i++) ck_assert_int_eq(seen[i], 1);
        if (epoch > 0)
            ck_assert_mem_ne(order, order + epoch * TRAINING_IMAGES,
                             TRAINING_IMAGES * sizeof *order);
    }
    if (setup.options.flip)
        ck_assert(flips > SEEN / 4 && flips < 3 * SEEN / 4); /* 10 or 30 of 40: 3 sigma */
    else ck_assert_int_eq(flips, 0);
    training_end(&t);
}
END_TEST

/* x_t = sqrt(a) x_0 + sqrt(1 - a) eps with the t that the network gets, and new eps for
 * each position. */
START_TEST(x_t_is_made_of_image_and_noise) {
    enum { COUNT = 4 * TRAINING_ELEMENTS };
    static float want[COUNT], noise[COUNT];
    training t;
    training_setup setup = training_default();
    setup.prediction = DM_PREDICT_X0;
    training_begin(&t, &setup);
    for (uint64_t step = 0; step < 3; step++) {
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        const float *timesteps = input(&t, t.trainer->train.t);
        for (uint64_t i = 0; i < 4; i++) {
            dmi_random at = dmi_random_at(setup.options.seed, DMI_STREAM_NOISE, step * 4 + i);
            dmi_random_normal(&at, noise + i * TRAINING_ELEMENTS, TRAINING_ELEMENTS);
        }
        for (size_t i = 0; i < COUNT; i++) {
            double a =
                t.trainer->schedule->alpha_cumprod[(int32_t)timesteps[i / TRAINING_ELEMENTS]];
            want[i] = (float)(sqrt(a) * t.trainer->batch.target[i] + sqrt(1 - a) * noise[i]);
        }
        test_close(input(&t, t.trainer->train.x), want, COUNT,
                   1e-6); /* roundings of three floats */
    }
    training_end(&t);
}
END_TEST

START_TEST(timesteps_cover_the_schedule) {
    enum { STEPS = 100, SAMPLES = 4 * STEPS };
    training t;
    training_setup setup = training_default();
    double sum = 0;
    int32_t smallest = 1000, largest = -1;
    training_begin(&t, &setup);
    for (int32_t step = 0; step < STEPS; step++) {
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        for (int32_t i = 0; i < 4; i++) {
            int32_t timestep = (int32_t)input(&t, t.trainer->train.t)[i];
            sum += timestep;
            if (timestep < smallest) smallest = timestep;
            if (timestep > largest) largest = timestep;
        }
    }
    ck_assert(smallest >= 0 && smallest < 30 && largest > 970 &&
              largest < 1000);                                              /* 0.97^400 is 5e-6 */
    ck_assert_double_eq_tol(sum / SAMPLES, 499.5, 4 * 289 / sqrt(SAMPLES)); /* four sigma */
    training_end(&t);
}
END_TEST

START_TEST(labels_reach_the_network) {
    training t;
    training_setup setup = training_default();
    setup.prediction = DM_PREDICT_X0;
    setup.classes = TRAINING_CLASSES;
    setup.options.use_labels = _i;
    training_begin(&t, &setup);
    for (int32_t step = 0; step < 5; step++) {
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        for (int32_t i = 0; i < 4; i++) {
            int32_t label = training_labels()[which_image(&t, i, false)];
            if (!setup.options.use_labels || label < 0) label = TRAINING_CLASSES;
            ck_assert_int_eq((int32_t)input(&t, t.trainer->train.labels)[i], label);
        }
    }
    training_end(&t);
}
END_TEST

START_TEST(given_labels_reach_the_network) {
    training t;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.classes = TRAINING_CLASSES;
    training_begin(&t, &setup);
    training_give(&given, 4);
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    for (int32_t i = 0; i < 4; i++)
        ck_assert(input(&t, t.trainer->train.labels)[i] == TRAINING_CLASSES);
    given.labels[1] = -1;
    given.labels[2] = -1;
    given.batch.labels = given.labels;
    given.batch.label_count = 4;
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    const float want[] = {0, TRAINING_CLASSES, TRAINING_CLASSES, 3};
    ck_assert_mem_eq(input(&t, t.trainer->train.labels), want, sizeof want);
    training_end(&t);
}
END_TEST

/* Each pass takes its own images of the caller's batch; the last one's stays in the graph's
 * inputs. */
START_TEST(passes_take_their_images) {
    training t;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.classes = TRAINING_CLASSES;
    setup.options.batch_size = 2;
    setup.options.accumulation = 3;
    training_begin(&t, &setup);
    training_give(&given, 6);
    given.batch.labels = given.labels;
    given.batch.label_count = 6;
    given.labels[4] = 2;
    given.labels[5] = 1;
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    for (int32_t i = 0; i < 2; i++) {
        ck_assert_int_eq((int32_t)input(&t, t.trainer->train.labels)[i], given.labels[4 + i]);
        ck_assert_int_eq((int32_t)input(&t, t.trainer->train.t)[i], given.timesteps[4 + i]);
    }
    ck_assert_mem_eq(t.trainer->batch.target, given.noise + 4 * TRAINING_ELEMENTS,
                     2 * TRAINING_ELEMENTS * sizeof(float));
    training_end(&t);
}
END_TEST

/* ---- datasets that fail ---- */

typedef struct source {
    int32_t calls, fail_at;
    uint64_t indices[64];
} source;

static int32_t read_source(void *user, dm_dataset_item *item) {
    source *s = user;
    s->indices[s->calls % 64] = item->index;
    if (s->calls++ == s->fail_at) return 5;
    memcpy(item->pixels, training_pixels() + item->index * TRAINING_ELEMENTS, item->pixel_bytes);
    item->label = training_labels()[item->index];
    return 0;
}

/* With the source instead of the dataset. */
static void begin_with_source(training *t, training_setup setup, source *s) {
    setup.dataset = false;
    training_prepare(t, &setup);
    training_require(t,
                     dataset_from_callback(&t->dataset, t->context, read_source, s, TRAINING_IMAGES,
                                           TRAINING_SIDE, TRAINING_SIDE, TRAINING_CHANNELS));
    training_require(t, dm_trainer_create(&t->trainer, t->unet, t->schedule, t->dataset,
                                          &setup.options));
}

/* Three passes of two images read what one pass of six does, in the same order. */
START_TEST(accumulation_takes_the_next_images) {
    training t;
    source one = {.fail_at = -1}, many = {.fail_at = -1};
    training_setup setup = training_default();
    setup.options.batch_size = 6;
    begin_with_source(&t, setup, &one);
    training_require(&t, dm_trainer_run(t.trainer, 4, NULL, NULL));
    training_end(&t);
    setup.options.batch_size = 2;
    setup.options.accumulation = 3;
    begin_with_source(&t, setup, &many);
    training_require(&t, dm_trainer_run(t.trainer, 4, NULL, NULL));
    training_end(&t);
    ck_assert_int_eq(one.calls, 24);
    ck_assert_int_eq(many.calls, 24);
    ck_assert_mem_eq(one.indices, many.indices, sizeof one.indices);
}
END_TEST

/* A failed reading leaves everything as it was, and the next try is as if it had not been. */
START_TEST(failed_reading_changes_nothing) {
    training t, sound;
    size_t floats;
    source s = {.fail_at = 10}; /* in the second pass of the second step */
    training_setup setup = training_default();
    setup.options.batch_size = 3;
    setup.options.accumulation = 2;
    training_begin(&sound, &setup);
    begin_with_source(&t, setup, &s);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    float *state = training_state(&t, &floats);
    training_expect(&t, dm_trainer_run(t.trainer, 9, NULL, NULL), DM_ERROR_CALLBACK_FAILED,
                    "returned 5");
    ck_assert_uint_eq(training_steps(t.trainer), 1);
    ck_assert_int_eq(s.calls, 11);
    training_same_state(&t, state, floats);
    free(state);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_require(&sound, dm_trainer_run(sound.trainer, 2, NULL, NULL));
    state = training_state(&sound, &floats); /* and reading by callback or by tasks is the same */
    training_same_state(&t, state, floats);
    free(state);
    training_end(&t);
    training_end(&sound);
}
END_TEST

/* Known before the first step of the library's own datasets, and of a program's own when the
 * image is read. */
START_TEST(label_outside_the_classes) {
    training t;
    source s = {.fail_at = -1};
    training_setup setup = training_default();
    setup.classes = TRAINING_CLASSES - 1;
    setup.options.batch_size = TRAINING_IMAGES;
    training_prepare(&t, &setup);
    training_expect(&t,
                    dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options),
                    DM_ERROR_INVALID_ARGUMENT, "has 4 classes, the network 3");
    training_end(&t);
    begin_with_source(&t, setup, &s);
    float *weights = training_weights(&t);
    training_expect(&t, dm_trainer_step(t.trainer, NULL), DM_ERROR_INVALID_ARGUMENT,
                    "image |has label 3|3 classes");
    ck_assert_uint_eq(training_steps(t.trainer), 0);
    ck_assert(training_unchanged(&t, weights));
    free(weights);
    training_end(&t);
}
END_TEST

/* Dropping labels of images that have none. */
START_TEST(dropout_without_labels) {
    training t;
    training_setup setup = training_default();
    setup.classes = TRAINING_CLASSES;
    setup.dataset = false;
    setup.options.label_dropout = 0.1;
    training_prepare(&t, &setup);
    training_require(&t, dataset_from_memory(&t.dataset, t.context, training_pixels(), NULL,
                                             TRAINING_IMAGES, TRAINING_SIDE, TRAINING_SIDE,
                                             TRAINING_CHANNELS));
    training_expect(&t,
                    dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options),
                    DM_ERROR_INVALID_ARGUMENT, "'label_dropout' 0.1|its images have no labels");
    training_end(&t);
}
END_TEST

START_TEST(shapes_must_agree) {
    training t;
    training_setup setup = training_default();
    setup.dataset = false;
    training_prepare(&t, &setup);
    training_require(&t, dataset_from_memory(&t.dataset, t.context, training_pixels(), NULL, 4, 4,
                                             8, 3));
    int32_t status = dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options);
    training_expect(&t, status, DM_ERROR_SHAPE_MISMATCH, "4 x 8 x 3|8 x 8 x 3");
    ck_assert_ptr_null(t.trainer);
    training_end(&t);
}
END_TEST

START_TEST(dataset_of_another_context) {
    training t, other;
    training_setup setup = training_default();
    training_prepare(&t, &setup);
    training_prepare(&other, &setup);
    int32_t status =
        dm_trainer_create(&t.trainer, t.unet, t.schedule, other.dataset, &setup.options);
    training_expect(&t, status, DM_ERROR_INVALID_ARGUMENT, "network's context");
    training_require(&t, dm_trainer_create(&t.trainer, t.unet, other.schedule, t.dataset,
                                           &setup.options));
    training_end(&other);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_end(&t);
}
END_TEST

/* ---- an invalid batch supplied by the caller ---- */

START_TEST(bad_batches_are_named) {
    training t;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    training_begin(&t, &setup);
    float *weights = training_weights(&t);
    dm_train_batch *batch = &given.batch;
    training_expect(&t, dm_trainer_step_batch(t.trainer, NULL, NULL), DM_ERROR_INVALID_ARGUMENT,
                    "'batch' is NULL");
    training_give(&given, 4), batch->struct_size = 0;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_INVALID_ARGUMENT,
                    "batch|struct_size");
    training_give(&given, 5);
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_SHAPE_MISMATCH,
                    "'count' is 5|4");
    training_give(&given, 4), batch->images = NULL;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_INVALID_ARGUMENT,
                    "'images' is NULL");
    training_give(&given, 4), batch->elements--;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_SHAPE_MISMATCH,
                    "'elements' is 767|768");
    training_give(&given, 4), batch->timestep_count = 3;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_SHAPE_MISMATCH,
                    "'timestep_count' is 3|4");
    training_give(&given, 4), batch->label_count = 4;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_SHAPE_MISMATCH,
                    "'label_count' is 4|0");
    training_give(&given, 4), batch->padding = 1;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_INVALID_ARGUMENT,
                    "'padding'");
    training_give(&given, 4), given.timesteps[3] = 1000;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_INVALID_ARGUMENT,
                    "timestep 3 is 1000|999");
    training_give(&given, 4), given.timesteps[2] = -1;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_INVALID_ARGUMENT,
                    "timestep 2 is -1");
    training_give(&given, 4), batch->labels = given.labels, batch->label_count = 4;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_INVALID_ARGUMENT,
                    "no classes");
    training_expect(&t, dm_trainer_step(t.trainer, NULL), DM_ERROR_WRONG_STATE,
                    "without a dataset");
    training_expect(&t, dm_trainer_run(t.trainer, 1, NULL, NULL), DM_ERROR_WRONG_STATE,
                    "without a dataset");
    ck_assert_uint_eq(training_steps(t.trainer), 0);
    ck_assert(training_unchanged(&t, weights));
    free(weights);
    training_end(&t);
}
END_TEST

START_TEST(bad_given_label) {
    training t;
    training_given given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.classes = TRAINING_CLASSES;
    training_begin(&t, &setup);
    training_give(&given, 4);
    given.batch.labels = given.labels;
    given.batch.label_count = 4;
    given.labels[2] = TRAINING_CLASSES;
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL),
                    DM_ERROR_INVALID_ARGUMENT, "label 2 is 4|to 3");
    training_end(&t);
}
END_TEST

Suite *test_batch_suite(void);
Suite *test_batch_suite(void) {
    Suite *suite = suite_create("batch");
    TCase *tcase = tcase_create("batch");
    tcase_set_timeout(tcase, 10);
    tcase_add_loop_test(tcase, epochs_are_permutations, 0, 2);
    tcase_add_test(tcase, x_t_is_made_of_image_and_noise);
    tcase_add_test(tcase, timesteps_cover_the_schedule);
    tcase_add_loop_test(tcase, labels_reach_the_network, 0, 2);
    tcase_add_test(tcase, given_labels_reach_the_network);
    tcase_add_test(tcase, passes_take_their_images);
    tcase_add_test(tcase, accumulation_takes_the_next_images);
    tcase_add_test(tcase, label_outside_the_classes);
    tcase_add_test(tcase, dropout_without_labels);
    tcase_add_test(tcase, failed_reading_changes_nothing);
    tcase_add_test(tcase, shapes_must_agree);
    tcase_add_test(tcase, dataset_of_another_context);
    tcase_add_test(tcase, bad_batches_are_named);
    tcase_add_test(tcase, bad_given_label);
    suite_add_tcase(suite, tcase);
    return suite;
}
