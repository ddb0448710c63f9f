/* SPDX-License-Identifier: MIT */
/* Training, files and evaluation of networks with a condition image and a condition vector: what
 * reaches the network, what is dropped, and that nothing else changes. test_condition_data.c has
 * the datasets, test_condition_sampling.c the sampler. */
#include "support/refusal.h"
#include "support/training.h"
#include "train/trainer.h"

enum { N = TRAINING_ELEMENTS, BATCH = 4 };

static training_setup conditional(void) {
    training_setup setup = training_default();
    setup.condition_image = setup.condition_vector = true;
    setup.prediction = DM_PREDICT_X0; /* the target is then the image */
    return setup;
}

static const float *input(const training *t, dmi_value value) {
    return dmi_graph_data(t->trainer->train.graph, value);
}

static bool is_zero(const float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (values[i] != 0) return false;
    return true;
}

/* ---- what reaches the network ---- */

/* Of the dataset's images, a condition image is the negative of its image, also flipped and cropped
 * like it, and a vector begins with the image's index. */
static void check_inputs(const training *t) {
    const dmi_batch *batch = &t->trainer->batch;
    for (int32_t i = 0; i < BATCH; i++) {
        const float *target = batch->target + i * N;
        const float *image = input(t, t->trainer->train.condition_image) + i * N;
        const float *vector = input(t, t->trainer->train.condition_vector) + i * TRAINING_VECTOR;
        for (int32_t k = 0; k < N; k++) ck_assert_float_eq_tol(image[k], -target[k], 1e-6f);
        ck_assert_mem_eq(vector, training_condition_vectors() + batch->indices[i] * TRAINING_VECTOR,
                         TRAINING_VECTOR * sizeof(float));
    }
}

START_TEST(images_and_vectors_of_the_dataset) {
    training t;
    training_setup setup = conditional();
    setup.vector_invariant = true;
    setup.threads = 1 + 2 * (_i & 1);
    setup.options.flip = _i >> 1 & 1;
    setup.options.crop_padding = 2 * (_i >> 2 & 1);
    setup.self_conditioning = _i >> 3 & 1;
    setup.options.recompute = _i >> 3 & 1 ? DM_RECOMPUTE_BLOCKS : DM_RECOMPUTE_NONE;
    training_begin(&t, &setup);
    for (int32_t step = 0; step < 6; step++) {
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        check_inputs(&t);
    }
    training_end(&t);
}
END_TEST

/* A dataset that is not read by tasks. */
static int32_t read_item(void *user, dm_dataset_item *item) {
    (void)user;
    memcpy(item->pixels, training_pixels() + item->index * N, N);
    memcpy(item->condition_image, training_condition_images() + item->index * N, N);
    memcpy(item->condition_vector, training_condition_vectors() + item->index * TRAINING_VECTOR,
           TRAINING_VECTOR * sizeof(float));
    return 0;
}

START_TEST(of_a_callback) {
    training t;
    training_setup setup = conditional();
    dm_dataset_callback c;
    setup.dataset = false;
    training_prepare(&t, &setup);
    ck_assert_int_eq(dm_dataset_callback_init(&c, sizeof c), DM_OK);
    c.count = TRAINING_IMAGES;
    c.height = c.width = TRAINING_SIDE;
    c.channels = c.condition_channels = TRAINING_CHANNELS;
    c.condition_size = TRAINING_VECTOR;
    c.read = read_item;
    training_require(&t, dm_dataset_create_from_callback(&t.dataset, t.context, &c));
    training_require(&t,
                     dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options));
    for (int32_t step = 0; step < 3; step++) {
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        check_inputs(&t);
    }
    training_end(&t);
}
END_TEST

/* Both conditions of an image are dropped together, at the rate, apart from its label, and nothing
 * else of the batch changes. */
START_TEST(dropped_at_the_rate) {
    enum { STEPS = 150 };
    const double rate = 0.3, labels = 0.4;
    training plain, t;
    training_setup setup = conditional();
    setup.classes = TRAINING_CLASSES;
    setup.options.label_dropout = labels;
    setup.options.learning_rate = 0;
    training_begin(&plain, &setup);
    setup.options.condition_dropout = rate;
    training_begin(&t, &setup);
    int32_t dropped = 0, both = 0, unlabelled = 0;
    for (int32_t step = 0; step < STEPS; step++) {
        training_require(&plain, dm_trainer_step(plain.trainer, NULL));
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        const dmi_unet_graph *g = &t.trainer->train, *p = &plain.trainer->train;
        ck_assert_mem_eq(input(&t, g->x), input(&plain, p->x), BATCH * N * sizeof(float));
        ck_assert_mem_eq(input(&t, g->labels), input(&plain, p->labels), BATCH * sizeof(float));
        for (int32_t i = 0; i < BATCH; i++) {
            const float *image = input(&t, g->condition_image) + i * N;
            const float *vector = input(&t, g->condition_vector) + i * TRAINING_VECTOR;
            bool gone = is_zero(image, N), no_label = input(&t, g->labels)[i] == TRAINING_CLASSES;
            ck_assert_int_eq(gone, is_zero(vector, TRAINING_VECTOR));
            if (!gone) {
                ck_assert_mem_eq(image, input(&plain, p->condition_image) + i * N,
                                 N * sizeof *image);
                ck_assert_mem_eq(vector, input(&plain, p->condition_vector) + i * TRAINING_VECTOR,
                                 TRAINING_VECTOR * sizeof *vector);
            }
            dropped += gone;
            unlabelled += no_label;
            both += gone && no_label;
        }
    }
    /* Four standard deviations; one image of ten has no label at all. */
    const double images = STEPS * BATCH, share = (double)unlabelled / images;
    ck_assert_double_eq_tol(dropped / images, rate, 4 * sqrt(rate * (1 - rate) / images));
    ck_assert_double_eq_tol(both / images, rate * share, 4 * sqrt(0.13 * 0.87 / images));
    training_end(&t);
    training_end(&plain);
}
END_TEST

/* ---- the caller's batches ---- */

START_TEST(given_conditions) {
    static training_given given;
    static float images[TRAINING_GIVEN * N], vectors[TRAINING_GIVEN * TRAINING_VECTOR];
    training t;
    training_setup setup = conditional();
    setup.dataset = false;
    setup.options.accumulation = 2;
    training_begin(&t, &setup);
    training_give(&given, 2 * BATCH);
    test_fill(images, TRAINING_GIVEN * N, 31, 1);
    test_fill(vectors, TRAINING_GIVEN * TRAINING_VECTOR, 32, 1);
    const dmi_unet_graph *g = &t.trainer->train;
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    ck_assert(is_zero(input(&t, g->condition_image), BATCH * N));
    ck_assert(is_zero(input(&t, g->condition_vector), (size_t)BATCH * TRAINING_VECTOR));
    given.batch.condition_image = images;
    given.batch.condition_image_elements = TRAINING_GIVEN * N;
    given.batch.condition_vector = vectors;
    given.batch.condition_vector_elements = TRAINING_GIVEN * TRAINING_VECTOR;
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    /* The graph has those of the second pass. */
    ck_assert_mem_eq(input(&t, g->condition_image), images + BATCH * N, BATCH * N * sizeof(float));
    ck_assert_mem_eq(input(&t, g->condition_vector), vectors + BATCH * TRAINING_VECTOR,
                     (size_t)BATCH * TRAINING_VECTOR * sizeof(float));
    given.batch.condition_image_elements--;
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL),
                    DM_ERROR_SHAPE_MISMATCH, "'condition_image_elements' is 1535|must be 1536");
    given.batch.condition_image_elements++;
    given.batch.condition_vector = NULL;
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL),
                    DM_ERROR_SHAPE_MISMATCH, "'condition_vector_elements' is 32|must be 0");
    training_end(&t);

    setup.condition_vector = false;
    training_begin(&t, &setup);
    given.batch.condition_vector = vectors;
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL),
                    DM_ERROR_INVALID_ARGUMENT, "'condition_vector' is given|takes none");
    training_end(&t);
}
END_TEST

/* ---- the same bits ---- */

/* `variant`: 0: plain, 1: self-conditioning, 2: a learned variance and the hybrid loss, 3: dropout
 * of activations and recomputation. */
static training_setup variant_of(int32_t variant) {
    training_setup setup = conditional();
    setup.options.condition_dropout = 0.3;
    setup.options.accumulation = 2;
    setup.prediction = DM_PREDICT_EPS;
    setup.self_conditioning = variant == 1;
    if (variant == 2) {
        setup.learned_variance = 1;
        setup.options.loss = DM_LOSS_HYBRID;
    }
    if (variant == 3) {
        setup.dropout = 0.2f;
        setup.options.recompute = DM_RECOMPUTE_BLOCKS;
    }
    return setup;
}

static float *trained(const training_setup *setup, size_t *floats) {
    training t;
    training_begin(&t, setup);
    training_require(&t, dm_trainer_run(t.trainer, 4, NULL, NULL));
    float *state = training_state(&t, floats);
    training_end(&t);
    return state;
}

/* Threads and recomputation change nothing; a resumed run goes on as if it had never stopped. */
START_TEST(training_is_reproducible) {
    size_t floats;
    training t;
    training_setup setup = variant_of(_i);
    float *want = trained(&setup, &floats);
    setup.threads = 3;
    setup.options.recompute = DM_RECOMPUTE_SELECTIVE;
    float *other = trained(&setup, &floats);
    ck_assert_mem_eq(want, other, floats * sizeof *want);
    free(other);
    setup.options.condition_dropout = 0;
    other = trained(&setup, &floats);
    ck_assert_mem_ne(want, other, floats * sizeof *want);
    free(other);

    setup = variant_of(_i);
    char path[160];
    snprintf(path, sizeof path, "%s/checkpoint", test_folder());
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, path));
    dm_trainer_destroy(t.trainer);
    dm_unet_destroy(t.unet);
    training_require(&t, dm_unet_load(&t.unet, t.context, path, DM_WEIGHTS_TRAINED));
    training_require(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, path));
    dm_trainer_options o;
    training_require(&t, dm_trainer_get_options(t.trainer, &o, sizeof o));
    ck_assert_double_eq(o.condition_dropout, 0.3);
    training_require(&t, dm_trainer_run(t.trainer, 4, NULL, NULL));
    training_same_state(&t, want, floats);
    training_end(&t);
    free(want);
}
END_TEST

/* A network without conditions ignores those of a dataset. */
START_TEST(ignored_conditions) {
    size_t floats;
    training_setup setup = training_default();
    float *want = trained(&setup, &floats);
    training with, t;
    training_setup conditions = conditional();
    training_prepare(&with, &conditions);
    training_prepare(&t, &setup);
    dm_dataset_destroy(t.dataset);
    t.dataset = NULL;
    dm_unet_destroy(with.unet);
    dm_unet_options o;
    training_require(&t, dm_unet_get_options(t.unet, &o, sizeof o));
    training_require(&with, dm_unet_create(&with.unet, with.context, &o, 3));
    training_require(&with, dm_trainer_create(&with.trainer, with.unet, with.schedule, with.dataset,
                                              &setup.options));
    training_require(&with, dm_trainer_run(with.trainer, 4, NULL, NULL));
    training_same_state(&with, want, floats);
    training_end(&t);
    training_end(&with);
    free(want);
}
END_TEST

/* ---- refusals ---- */

START_TEST(refused_trainers) {
    training t;
    training_setup setup = conditional();
    training_prepare(&t, &setup);
    dm_trainer_options o = setup.options;
#define REFUSED(status, words)                                                                     \
    training_expect(&t, dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &o), status,  \
                    words)
    o.flip = 1;
    REFUSED(DM_ERROR_INVALID_ARGUMENT, "'flip' 1|'vector_invariant' is 0");
    o.flip = 0;
    o.crop_padding = 3;
    REFUSED(DM_ERROR_INVALID_ARGUMENT, "'crop_padding' 3|'vector_invariant' is 0");
    o.crop_padding = 0;
    o.condition_dropout = 1.5;
    REFUSED(DM_ERROR_INVALID_ARGUMENT, "'condition_dropout' is 1.5|from 0 to 1");
    training_end(&t);

    o = setup.options;
    setup.condition_vector = false;
    training_prepare(&t, &setup);
    dm_dataset *without = t.dataset;
    dm_unet_options u;
    training_require(&t, dm_unet_get_options(t.unet, &u, sizeof u));
    u.condition_size = 6;
    dm_unet_destroy(t.unet);
    training_require(&t, dm_unet_create(&t.unet, t.context, &u, 1));
    REFUSED(DM_ERROR_SHAPE_MISMATCH, "vectors have 0 floats|'condition_size' is 6");
    /* Without a condition it is 0, which is no time of Fourier features. */
    o.condition_dropout = 0.5;
    u.condition_size = 1;
    u.condition_embedding = DM_CONDITION_TIME;
    for (int32_t features = 0; features < 2; features++) {
        u.time_features = features ? DM_TIME_FOURIER : DM_TIME_SINUSOIDAL;
        dm_unet_destroy(t.unet);
        training_require(&t, dm_unet_create(&t.unet, t.context, &u, 1));
        if (features)
            REFUSED(DM_ERROR_INVALID_ARGUMENT, "'condition_dropout' 0.5|'time_features' fourier");
        else REFUSED(DM_ERROR_SHAPE_MISMATCH, "vectors have 0 floats|'condition_size' is 1");
    }
    o.condition_dropout = 0;
    u.condition_embedding = DM_CONDITION_LINEAR;
    u.time_features = DM_TIME_SINUSOIDAL;
    training_require(&t, dm_dataset_create_shapes(&t.dataset, t.context, 16, 10, 1));
    u.condition_size = 0;
    u.condition_channels = 2;
    dm_unet_destroy(t.unet);
    training_require(&t, dm_unet_create(&t.unet, t.context, &u, 1));
    REFUSED(DM_ERROR_SHAPE_MISMATCH, "16 x 16 x 3|8 x 8 x 3");
    dm_dataset_destroy(t.dataset);
    t.dataset = without;
    REFUSED(DM_ERROR_SHAPE_MISMATCH, "have 3 channels|'condition_channels' is 2");
    dm_evaluation evaluation;
    training_require(&t, dm_evaluation_init(&evaluation, sizeof evaluation));
    training_expect(&t,
                    dm_unet_evaluate(t.unet, t.schedule, t.dataset, NULL, NULL, NULL, &evaluation),
                    DM_ERROR_SHAPE_MISMATCH, "evaluate|have 3 channels|'condition_channels' is 2");
    training_end(&t);

    setup = training_default();
    training_prepare(&t, &setup);
    o = setup.options;
    o.condition_dropout = 0.1;
    REFUSED(DM_ERROR_INVALID_ARGUMENT, "'condition_dropout' 0.1|'condition_channels' 0");
    training_end(&t);
}
END_TEST

/* ---- evaluation ---- */

static dm_evaluation evaluated(const training *t, int32_t batch_size) {
    dm_evaluation_options o;
    dm_evaluation e;
    training_require(t, dm_evaluation_options_init(&o, sizeof o));
    training_require(t, dm_evaluation_init(&e, sizeof e));
    o.batch_size = batch_size;
    o.timesteps = 5;
    training_require(t, dm_unet_evaluate(t->unet, t->schedule, t->dataset, &o, NULL, NULL, &e));
    return e;
}

/* The loss is that of the conditions of each image: another network that got them as part of its
 * weights would be needed to check its value, so only what it depends on is checked. */
START_TEST(evaluation_reads_conditions) {
    training t;
    training_setup setup = conditional();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 30, NULL, NULL));
    const dm_evaluation e = evaluated(&t, 3), same = evaluated(&t, 10);
    ck_assert_double_eq(e.bits, same.bits);
    ck_assert_mem_eq(e.loss, same.loss, sizeof e.loss);
    dm_dataset *kept = t.dataset;
    dm_dataset_memory m;
    static const uint8_t images[TRAINING_IMAGES * N];
    training_require(&t, dm_dataset_memory_init(&m, sizeof m));
    m.count = TRAINING_IMAGES;
    m.height = m.width = TRAINING_SIDE;
    m.channels = m.condition_channels = TRAINING_CHANNELS;
    m.pixel_bytes = m.condition_image_bytes = sizeof images;
    m.pixels = training_pixels();
    m.condition_size = TRAINING_VECTOR;
    m.condition_vector_elements = TRAINING_IMAGES * TRAINING_VECTOR;
    for (int32_t part = 0; part < 2; part++) {
        static const float vectors[TRAINING_IMAGES * TRAINING_VECTOR];
        m.condition_images = part ? training_condition_images() : images;
        m.condition_vectors = part ? vectors : training_condition_vectors();
        training_require(&t, dm_dataset_create_from_memory(&t.dataset, t.context, &m));
        ck_assert_double_ne(evaluated(&t, 3).loss[0], e.loss[0]);
        dm_dataset_destroy(t.dataset);
    }
    t.dataset = kept;
    training_end(&t);
}
END_TEST

/* A vector that is embedded like the time must be one that the network has a row for, whether it
 * is read by tasks or before them. */
static int32_t read_time(void *user, dm_dataset_item *item) {
    const float *times = user;
    memcpy(item->pixels, training_pixels() + item->index * N, N);
    item->condition_vector[0] = times[item->index];
    return 0;
}

START_TEST(vectors_that_are_no_times) {
    static const float wrong[] = {3.5f, 50, -1, 1e30f};
    for (size_t i = 0; i < 2 * sizeof wrong / sizeof *wrong; i++) {
        training t;
        training_setup setup = training_default();
        dm_unet_options u;
        dm_dataset_memory m;
        dm_dataset_callback c;
        dm_evaluation e;
        float times[TRAINING_IMAGES] = {0, 49};
        setup.dataset = false;
        training_prepare(&t, &setup);
        training_require(&t, dm_unet_get_options(t.unet, &u, sizeof u));
        dm_unet_destroy(t.unet);
        u.time_features = DM_TIME_LEARNED;
        u.time_steps = dm_schedule_timesteps(t.schedule);
        u.condition_size = 1;
        u.condition_embedding = DM_CONDITION_TIME;
        training_require(&t, dm_unet_create(&t.unet, t.context, &u, 1));
        times[3] = wrong[i / 2];
        if (wrong[i / 2] == 50) times[3] = (float)u.time_steps;
        if (i % 2) {
            ck_assert_int_eq(dm_dataset_callback_init(&c, sizeof c), DM_OK);
            c.count = TRAINING_IMAGES;
            c.height = c.width = TRAINING_SIDE;
            c.channels = TRAINING_CHANNELS;
            c.condition_size = 1;
            c.read = read_time;
            c.user = times;
            training_require(&t, dm_dataset_create_from_callback(&t.dataset, t.context, &c));
        } else {
            ck_assert_int_eq(dm_dataset_memory_init(&m, sizeof m), DM_OK);
            m.count = TRAINING_IMAGES;
            m.height = m.width = TRAINING_SIDE;
            m.channels = TRAINING_CHANNELS;
            m.pixel_bytes = TRAINING_IMAGES * N;
            m.pixels = training_pixels();
            m.condition_size = 1;
            m.condition_vector_elements = TRAINING_IMAGES;
            m.condition_vectors = times;
            training_require(&t, dm_dataset_create_from_memory(&t.dataset, t.context, &m));
        }
        training_require(&t, dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset,
                                               &setup.options));
        training_expect(&t, dm_trainer_run(t.trainer, TRAINING_IMAGES, NULL, NULL),
                        DM_ERROR_INVALID_ARGUMENT, "trainer: image 3 of the dataset|condition 0");
        dm_trainer_destroy(t.trainer);
        t.trainer = NULL;
        ck_assert_int_eq(dm_evaluation_init(&e, sizeof e), DM_OK);
        training_expect(&t, dm_unet_evaluate(t.unet, t.schedule, t.dataset, NULL, NULL, NULL, &e),
                        DM_ERROR_INVALID_ARGUMENT, "evaluate: image 3 of the dataset|condition 0");
        training_end(&t);
    }
}
END_TEST

Suite *test_conditions_suite(void);
Suite *test_conditions_suite(void) {
    Suite *suite = suite_create("conditions");
    TCase *tcase = tcase_create("conditions");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, images_and_vectors_of_the_dataset, 0, 16);
    tcase_add_test(tcase, of_a_callback);
    tcase_add_test(tcase, dropped_at_the_rate);
    tcase_add_test(tcase, given_conditions);
    tcase_add_loop_test(tcase, training_is_reproducible, 0, 4);
    tcase_add_test(tcase, ignored_conditions);
    tcase_add_test(tcase, refused_trainers);
    tcase_add_test(tcase, evaluation_reads_conditions);
    tcase_add_test(tcase, vectors_that_are_no_times);
    suite_add_tcase(suite, tcase);
    return suite;
}
