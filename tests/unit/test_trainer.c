/* The trainer: what a step is made of, what is refused, and what is left alone when something fails. */
#include "base/random.h"
#include "support/training.h"
#include "trainer.h"

/* ---- a batch of the caller's ---- */

enum { BATCH = 8, FLOATS = BATCH * TRAINING_ELEMENTS };

typedef struct given_batch {
    float images[FLOATS], noise[FLOATS];
    int32_t timesteps[BATCH], labels[BATCH];
    dm_train_batch batch;
} given_batch;

/* `count` pictures with noise and timesteps, without labels. */
static void fill_given(given_batch *given, uint64_t count) {
    test_fill(given->images, FLOATS, 11, 1);
    test_fill(given->noise, FLOATS, 12, 1.7f);
    for (int32_t i = 0; i < BATCH; i++) {
        given->timesteps[i] = i * 137;
        given->labels[i] = i % TRAINING_CLASSES;
    }
    given->batch = (dm_train_batch){.struct_size = sizeof given->batch, .count = count, .images = given->images,
                                    .noise = given->noise, .timesteps = given->timesteps};
}

/* ---- learning ---- */

/* The same pictures, noise and timesteps over and over can be learned by heart. */
START_TEST(a_batch_is_learned_by_heart) {
    training t;
    given_batch given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.prediction = _i;
    setup.options.learning_rate = 3e-3;
    training_begin(&t, &setup);
    fill_given(&given, 4);
    dm_train_stats first = {.struct_size = sizeof first}, last = first;
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &first));
    for (int32_t i = 0; i < 250; i++) training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &last));
    ck_assert_msg(last.loss < 0.1 * first.loss, "the loss went from %g to %g only", first.loss, last.loss);
    training_end(&t);
}
END_TEST

/* The network's last convolution begins as practically nothing, so the first loss is the targets' mean square. */
START_TEST(first_loss_is_the_targets_size) {
    training t;
    given_batch given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.prediction = _i;
    training_begin(&t, &setup);
    fill_given(&given, 4);
    double want = 0, *a = malloc(1000 * sizeof *a);
    training_require(&t, dm_schedule_get(t.schedule, DM_SERIES_ALPHA_CUMPROD, a, 1000));
    for (size_t i = 0; i < 4 * TRAINING_ELEMENTS; i++) {
        double x0 = given.images[i], eps = given.noise[i], at = a[given.timesteps[i / TRAINING_ELEMENTS]];
        double target = _i == DM_PREDICT_EPS ? eps : _i == DM_PREDICT_X0 ? x0 : sqrt(at) * eps - sqrt(1 - at) * x0;
        want += target * target / (4 * TRAINING_ELEMENTS);
    }
    dm_train_stats stats = {.struct_size = sizeof stats};
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &stats));
    ck_assert_double_eq_tol(stats.loss / want, 1, 1e-4); /* the output is some 1e-5 of the target */
    free(a);
    training_end(&t);
}
END_TEST

/* ---- what is drawn ---- */

static const float *input(const training *t, dmi_value value) { return dmi_graph_data(t->trainer->train.graph, value); }

/* Whether the target, which is x_0 itself where that is predicted, is picture `index`, mirrored or not. */
static bool target_is(const training *t, int32_t place, uint64_t index, bool mirrored) {
    const float *target = t->trainer->batch.target + (size_t)place * TRAINING_ELEMENTS;
    const uint8_t *pixels = training_pixels() + index * TRAINING_ELEMENTS;
    for (int32_t y = 0; y < TRAINING_SIDE; y++)
        for (int32_t x = 0; x < TRAINING_SIDE; x++)
            for (int32_t c = 0; c < TRAINING_CHANNELS; c++) {
                int32_t from = mirrored ? TRAINING_SIDE - 1 - x : x;
                float want = (float)pixels[(y * TRAINING_SIDE + from) * TRAINING_CHANNELS + c] / 127.5f - 1;
                if (fabsf(target[(y * TRAINING_SIDE + x) * TRAINING_CHANNELS + c] - want) > 1e-6f) return false;
            }
    return true;
}

/* The picture at a place of the batch, or -1. */
static int32_t which_picture(const training *t, int32_t place, bool mirrored) {
    for (int32_t i = 0; i < TRAINING_PICTURES; i++)
        if (target_is(t, place, (uint64_t)i, mirrored)) return i;
    return -1;
}

/* Every picture once an epoch, in another order each, the batches of 4 running across the ends of epochs of 10. */
START_TEST(epochs_are_permutations) {
    enum { EPOCHS = 4, SEEN = EPOCHS * TRAINING_PICTURES };
    training t;
    int32_t order[SEEN], flips = 0;
    training_setup setup = training_default();
    setup.prediction = DM_PREDICT_X0;
    setup.options.flip = _i;
    training_begin(&t, &setup);
    for (int32_t done = 0; done < SEEN; done += 4) {
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        for (int32_t k = 0; k < 4; k++) {
            int32_t plain = which_picture(&t, k, false), mirrored = which_picture(&t, k, true);
            ck_assert_msg((plain < 0) != (mirrored < 0), "place %d is no picture of the dataset", (int)(done + k));
            order[done + k] = plain < 0 ? mirrored : plain;
            flips += plain < 0;
        }
    }
    for (int32_t epoch = 0; epoch < EPOCHS; epoch++) {
        int32_t seen[TRAINING_PICTURES] = {0};
        for (int32_t i = 0; i < TRAINING_PICTURES; i++) seen[order[epoch * TRAINING_PICTURES + i]]++;
        for (int32_t i = 0; i < TRAINING_PICTURES; i++) ck_assert_int_eq(seen[i], 1);
        if (epoch > 0) ck_assert_mem_ne(order, order + epoch * TRAINING_PICTURES, TRAINING_PICTURES * sizeof *order);
    }
    if (setup.options.flip) ck_assert(flips > SEEN / 4 && flips < 3 * SEEN / 4); /* 40 coins: 10 or 30 is 3 sigma off */
    else ck_assert_int_eq(flips, 0);
    training_end(&t);
}
END_TEST

/* x_t = sqrt(a) x_0 + sqrt(1 - a) eps with the t that the network is told, and eps drawn anew for each position. */
START_TEST(x_t_is_made_of_picture_and_noise) {
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
            double a = t.trainer->schedule->alpha_cumprod[(int32_t)timesteps[i / TRAINING_ELEMENTS]];
            want[i] = (float)(sqrt(a) * t.trainer->batch.target[i] + sqrt(1 - a) * noise[i]);
        }
        test_close(input(&t, t.trainer->train.x), want, COUNT, 1e-6); /* roundings of three floats */
    }
    training_end(&t);
}
END_TEST

START_TEST(timesteps_cover_the_schedule) {
    enum { STEPS = 100, DRAWN = 4 * STEPS };
    training t;
    training_setup setup = training_default();
    double sum = 0;
    int32_t least = 1000, most = -1;
    training_begin(&t, &setup);
    for (int32_t step = 0; step < STEPS; step++) {
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        for (int32_t i = 0; i < 4; i++) {
            int32_t timestep = (int32_t)input(&t, t.trainer->train.t)[i];
            sum += timestep;
            if (timestep < least) least = timestep;
            if (timestep > most) most = timestep;
        }
    }
    ck_assert(least >= 0 && least < 30 && most > 970 && most < 1000); /* 0.97^400 is 5e-6 */
    ck_assert_double_eq_tol(sum / DRAWN, 499.5, 4 * 289 / sqrt(DRAWN)); /* four sigma */
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
            int32_t label = training_labels()[which_picture(&t, i, false)];
            if (!setup.options.use_labels || label < 0) label = TRAINING_CLASSES;
            ck_assert_int_eq((int32_t)input(&t, t.trainer->train.labels)[i], label);
        }
    }
    training_end(&t);
}
END_TEST

START_TEST(given_labels_reach_the_network) {
    training t;
    given_batch given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.classes = TRAINING_CLASSES;
    training_begin(&t, &setup);
    fill_given(&given, 4);
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    for (int32_t i = 0; i < 4; i++) ck_assert(input(&t, t.trainer->train.labels)[i] == TRAINING_CLASSES);
    given.labels[1] = -1;
    given.labels[2] = TRAINING_CLASSES;
    given.batch.labels = given.labels;
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    const float want[] = {0, TRAINING_CLASSES, TRAINING_CLASSES, 3};
    ck_assert_mem_eq(input(&t, t.trainer->train.labels), want, sizeof want);
    training_end(&t);
}
END_TEST

START_TEST(label_outside_the_classes) {
    training t;
    training_setup setup = training_default();
    setup.classes = TRAINING_CLASSES - 1;
    setup.options.batch_size = TRAINING_PICTURES;
    training_begin(&t, &setup);
    float *weights = training_weights(&t);
    training_expect(&t, dm_trainer_step(t.trainer, NULL), DM_ERROR_INVALID_ARGUMENT, "picture |has label 3|3 classes");
    ck_assert_uint_eq(dm_trainer_steps_done(t.trainer), 0);
    ck_assert(training_unchanged(&t, weights));
    free(weights);
    training_end(&t);
}
END_TEST

/* ---- accumulation ---- */

/* The gradients of 8 pictures in 1, 2 or 4 passes. */
static float *gradients_in(int32_t passes, size_t *count, dm_train_stats *stats) {
    training t;
    given_batch given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.options.batch_size = BATCH / passes;
    setup.options.accumulation = passes;
    training_begin(&t, &setup);
    fill_given(&given, BATCH);
    *stats = (dm_train_stats){.struct_size = sizeof *stats};
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, stats));
    *count = t.unet->params.floats;
    float *gradients = malloc(*count * sizeof *gradients);
    memcpy(gradients, t.unet->params.gradient, *count * sizeof *gradients);
    training_end(&t);
    return gradients;
}

START_TEST(accumulation_is_a_larger_batch) {
    size_t count;
    dm_train_stats one, many;
    float *want = gradients_in(1, &count, &one), *got = gradients_in(_i, &count, &many);
    test_close(got, want, count, 2e-6); /* the same sums in another order, of the second step, whose weights differ by as much */
    ck_assert_double_eq_tol(many.loss / one.loss, 1, 1e-6);
    ck_assert_double_eq_tol(many.gradient_norm / one.gradient_norm, 1, 1e-6);
    ck_assert_uint_eq(many.images, one.images);
    free(want);
    free(got);
}
END_TEST

/* ---- what is not finite ---- */

/* The blocks of a trainer one after another, to be freed. */
static float *state_of(const training *t, size_t *floats) {
    size_t n = t->unet->params.floats;
    const float *blocks[] = {t->unet->params.data, t->trainer->moment1, t->trainer->moment2, t->trainer->average};
    float *state = malloc(4 * n * sizeof *state);
    ck_assert_ptr_nonnull(state);
    for (size_t i = 0; i < 4; i++) memcpy(state + i * n, blocks[i], n * sizeof *state);
    *floats = 4 * n;
    return state;
}

static void assert_state(const training *t, const float *want, size_t floats) {
    float *state = state_of(t, &floats);
    ck_assert_mem_eq(state, want, floats * sizeof *state);
    free(state);
}

static const float bad_values[] = {NAN, INFINITY, -INFINITY, 1e38f};

START_TEST(what_is_not_finite_changes_nothing) {
    training t;
    given_batch given;
    size_t floats;
    training_setup setup = training_default();
    setup.dataset = false;
    training_begin(&t, &setup);
    fill_given(&given, 4);
    dm_train_stats stats = {.struct_size = sizeof stats};
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    float *state = state_of(&t, &floats);
    uint64_t version = t.unet->params.version;
    given.images[TRAINING_ELEMENTS + 5] = bad_values[_i];
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, &stats), DM_ERROR_NOT_FINITE, "step 2 was refused");
    ck_assert_int_eq(stats.refused, 1);
    ck_assert_uint_eq(stats.step, 2);
    ck_assert(!isfinite(stats.loss) || !isfinite(stats.gradient_norm));
    ck_assert_uint_eq(dm_trainer_steps_done(t.trainer), 2);
    ck_assert_uint_eq(t.unet->params.version, version);
    assert_state(&t, state, floats);
    fill_given(&given, 4);
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, &stats));
    ck_assert_int_eq(stats.refused, 0);
    ck_assert_uint_eq(stats.step, 3);
    ck_assert_uint_eq(t.trainer->progress.applied, 2);
    free(state);
    training_end(&t);
}
END_TEST

/* Adam's bias correction counts the steps that were applied: with a refused one between, the weights are the same bits. */
START_TEST(refused_steps_do_not_count_for_adam) {
    training with, without;
    given_batch given;
    training_setup setup = training_default();
    setup.dataset = false;
    training_begin(&with, &setup);
    training_begin(&without, &setup);
    for (int32_t i = 0; i < 3; i++) {
        fill_given(&given, 4);
        training_require(&with, dm_trainer_step_batch(with.trainer, &given.batch, NULL));
        training_require(&without, dm_trainer_step_batch(without.trainer, &given.batch, NULL));
        given.images[0] = NAN;
        ck_assert_int_eq(dm_trainer_step_batch(with.trainer, &given.batch, NULL), DM_ERROR_NOT_FINITE);
    }
    size_t floats;
    float *state = state_of(&without, &floats);
    assert_state(&with, state, floats);
    free(state);
    training_end(&with);
    training_end(&without);
}
END_TEST

typedef struct report {
    dm_trainer *trainer;
    int32_t calls, refused, cancel_at, answer_at;
    uint64_t steps[64];
} report;

static int32_t note_step(void *user, const dm_train_stats *stats) {
    report *r = user;
    r->refused += stats->refused;
    if (r->calls < 64) r->steps[r->calls] = stats->step;
    r->calls++;
    if (r->calls == r->cancel_at) dm_trainer_cancel(r->trainer);
    return r->calls == r->answer_at ? 7 : 0;
}

/* One bias of NaN makes every step refused. */
static void spoil(const training *t) {
    float bias[TRAINING_CHANNELS] = {NAN};
    training_require(t, dm_unet_tensor_set(t->unet, "conv_out.bias", bias, TRAINING_CHANNELS));
}

START_TEST(ten_refused_in_a_row_end_a_run) {
    training t;
    report r = {0};
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 2, note_step, &r));
    spoil(&t);
    training_expect(&t, dm_trainer_run(t.trainer, 100, note_step, &r), DM_ERROR_NOT_FINITE, "10 steps in a row|step 12");
    ck_assert_int_eq(r.calls, 12);
    ck_assert_int_eq(r.refused, 10);
    ck_assert_uint_eq(dm_trainer_steps_done(t.trainer), 12);
    training_end(&t);
}
END_TEST

/* ---- runs ---- */

START_TEST(run_counts_from_the_first_step) {
    training t;
    report r = {0};
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 3, note_step, &r));
    training_require(&t, dm_trainer_run(t.trainer, 3, note_step, &r));
    ck_assert_int_eq(r.calls, 3);
    training_require(&t, dm_trainer_run(t.trainer, 5, note_step, &r));
    ck_assert_int_eq(r.calls, 5);
    for (int32_t i = 0; i < 5; i++) ck_assert_uint_eq(r.steps[i], (uint64_t)i + 1);
    training_require(&t, dm_trainer_run(t.trainer, 6, NULL, NULL));
    ck_assert_uint_eq(dm_trainer_steps_done(t.trainer), 6);
    training_end(&t);
}
END_TEST

START_TEST(runs_can_be_cancelled) {
    training t;
    training_setup setup = training_default();
    training_begin(&t, &setup);
    report r = {.trainer = t.trainer, .cancel_at = 2};
    training_expect(&t, dm_trainer_run(t.trainer, 9, note_step, &r), DM_ERROR_CANCELLED, "after step 2");
    ck_assert_uint_eq(dm_trainer_steps_done(t.trainer), 2);
    training_require(&t, dm_trainer_run(t.trainer, 3, note_step, &r));
    dm_trainer_cancel(t.trainer); /* before a run: it does not begin */
    training_expect(&t, dm_trainer_run(t.trainer, 9, note_step, &r), DM_ERROR_CANCELLED, "after step 3");
    ck_assert_int_eq(r.calls, 3);
    r = (report){.trainer = t.trainer, .cancel_at = 1}; /* in the last step of all */
    training_expect(&t, dm_trainer_run(t.trainer, 4, note_step, &r), DM_ERROR_CANCELLED, "after step 4");
    r = (report){.answer_at = 3};
    training_expect(&t, dm_trainer_run(t.trainer, 99, note_step, &r), DM_ERROR_CANCELLED, "callback answered 7|step 7");
    training_require(&t, dm_trainer_run(t.trainer, 8, NULL, NULL));
    dm_trainer_cancel(NULL);
    training_end(&t);
}
END_TEST

/* ---- datasets that fail ---- */

typedef struct source {
    int32_t calls, fail_at;
} source;

static int32_t read_source(void *user, uint64_t index, uint8_t *pixels, int32_t *label) {
    source *s = user;
    if (s->calls++ == s->fail_at) return 5;
    memcpy(pixels, training_pixels() + index * TRAINING_ELEMENTS, TRAINING_ELEMENTS);
    *label = training_labels()[index];
    return 0;
}

/* A failed reading leaves everything as it was, and the next try goes on as if it had not been. */
START_TEST(failed_reading_changes_nothing) {
    training t, sound;
    size_t floats;
    source s = {.fail_at = 11}; /* in the second pass of the second step */
    training_setup setup = training_default();
    setup.options.batch_size = 3;
    setup.options.accumulation = 2;
    training_begin(&sound, &setup);
    setup.dataset = false;
    training_prepare(&t, &setup);
    training_require(&t, dm_dataset_from_callback(&t.dataset, t.context, read_source, &s, TRAINING_PICTURES, TRAINING_SIDE,
                                                  TRAINING_SIDE, TRAINING_CHANNELS));
    training_require(&t, dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options));
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    float *state = state_of(&t, &floats);
    training_expect(&t, dm_trainer_run(t.trainer, 9, NULL, NULL), DM_ERROR_CALLBACK_FAILED, "answered 5");
    ck_assert_uint_eq(dm_trainer_steps_done(t.trainer), 1);
    assert_state(&t, state, floats);
    free(state);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_require(&sound, dm_trainer_run(sound.trainer, 2, NULL, NULL));
    state = state_of(&sound, &floats); /* and reading by callback or by tasks is the same */
    assert_state(&t, state, floats);
    free(state);
    training_end(&t);
    training_end(&sound);
}
END_TEST

START_TEST(shapes_must_agree) {
    training t;
    training_setup setup = training_default();
    setup.dataset = false;
    training_prepare(&t, &setup);
    training_require(&t, dm_dataset_from_memory(&t.dataset, t.context, training_pixels(), NULL, 4, 4, 8, 3));
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
    int32_t status = dm_trainer_create(&t.trainer, t.unet, t.schedule, other.dataset, &setup.options);
    training_expect(&t, status, DM_ERROR_INVALID_ARGUMENT, "another context");
    training_require(&t, dm_trainer_create(&t.trainer, t.unet, other.schedule, t.dataset, &setup.options));
    training_end(&other);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_end(&t);
}
END_TEST

/* ---- options ---- */

typedef struct bad_option {
    size_t offset;
    char type; /* i, d or u */
    double value;
    const char *words;
} bad_option;

#define BAD(type, member, value, text) {offsetof(dm_trainer_options, member), type, value, "'" #member "' is " text}

static const bad_option bad_options[] = {
    BAD('i', batch_size, 0, "0"), BAD('i', batch_size, 4097, "4097"), BAD('i', accumulation, 0, "0"),
    BAD('i', accumulation, -1, "-1"), BAD('i', flip, 2, "2"), BAD('i', decay, 3, "3"), BAD('i', average_warmup, -1, "-1"),
    BAD('i', use_labels, 7, "7"), BAD('i', reserved, 1, "1"),
    BAD('d', learning_rate, -1e-9, "-1e-09"), BAD('d', learning_rate, (double)INFINITY, "inf"),
    BAD('d', learning_rate, (double)NAN, ""), BAD('d', learning_rate, 1e300, "1e+300"),
    BAD('d', beta1, 1, "1"), BAD('d', beta1, -0.1, "-0.1"), BAD('d', beta2, 1, "1"), BAD('d', beta2, (double)NAN, ""),
    BAD('d', beta2, 0.99999999, "0.99999999"), BAD('d', adam_eps, 0, "0"), BAD('d', adam_eps, -1, "-1"),
    BAD('d', adam_eps, 1e-60, "1e-60"), BAD('d', weight_decay, -1, "-1"), BAD('d', gradient_clip, -1, "-1"),
    BAD('d', gradient_clip, (double)NAN, ""), BAD('d', average_decay, 1, "1"), BAD('d', average_decay, -0.5, "-0.5"),
    BAD('d', final_rate, 1.5, "1.5"), BAD('d', final_rate, -1, "-1"),
};

START_TEST(bad_options_are_named) {
    const bad_option *bad = &bad_options[_i];
    training t;
    training_setup setup = training_default();
    training_prepare(&t, &setup);
    char *member = (char *)&setup.options + bad->offset;
    int32_t whole = (int32_t)(bad->type == 'i' ? bad->value : 0);
    if (bad->type == 'i') memcpy(member, &whole, sizeof whole);
    else memcpy(member, &bad->value, sizeof bad->value);
    int32_t status = dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options);
    training_expect(&t, status, DM_ERROR_INVALID_ARGUMENT, bad->words);
    ck_assert_ptr_null(t.trainer);
    training_end(&t);
}
END_TEST

START_TEST(decay_needs_its_end) {
    training t;
    training_setup setup = training_default();
    training_prepare(&t, &setup);
    setup.options.decay = DM_DECAY_COSINE;
    setup.options.warmup_steps = setup.options.decay_steps = 10;
    int32_t status = dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options);
    training_expect(&t, status, DM_ERROR_INVALID_ARGUMENT, "'decay_steps' is 10|'warmup_steps' (10)");
    setup.options.decay_steps = 11;
    training_require(&t, dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options));
    training_end(&t);
}
END_TEST

START_TEST(options_come_back) {
    training t;
    training_setup setup = training_default();
    setup.options.warmup_steps = 77;
    training_begin(&t, &setup);
    dm_trainer_options got;
    training_require(&t, dm_trainer_get_options(t.trainer, &got, sizeof got));
    ck_assert_mem_eq(&got, &setup.options, sizeof got);
    training_require(&t, dm_trainer_set_learning_rate(t.trainer, 0.25));
    training_require(&t, dm_trainer_get_options(t.trainer, &got, sizeof got));
    ck_assert(got.learning_rate == 0.25);
    training_expect(&t, dm_trainer_set_learning_rate(t.trainer, -1), DM_ERROR_INVALID_ARGUMENT, "'learning_rate' is -1");
    training_require(&t, dm_trainer_get_options(t.trainer, &got, sizeof got));
    ck_assert(got.learning_rate == 0.25);
    training_end(&t);
}
END_TEST

START_TEST(rate_of_each_step) {
    training t;
    training_setup setup = training_default();
    setup.options.warmup_steps = 4;
    setup.options.decay = DM_DECAY_LINEAR;
    setup.options.decay_steps = 6;
    training_begin(&t, &setup);
    const double want[] = {0.25e-3, 0.5e-3, 0.75e-3, 1e-3, 0.5e-3, 0, 0};
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        dm_train_stats stats = {.struct_size = sizeof stats};
        float *weights = training_weights(&t);
        training_require(&t, dm_trainer_step(t.trainer, &stats));
        ck_assert_double_eq_tol(stats.learning_rate, want[i], 1e-15);
        ck_assert_int_eq(training_unchanged(&t, weights), want[i] == 0);
        free(weights);
    }
    training_end(&t);
}
END_TEST

/* ---- clipping and stats ---- */

/* Adam does not feel the scale of gradients, but its moments show it. */
START_TEST(clipping_scales_the_gradients) {
    training clipped, free_run;
    given_batch given;
    training_setup setup = training_default();
    setup.dataset = false;
    fill_given(&given, 4);
    setup.options.gradient_clip = 0;
    training_begin(&free_run, &setup);
    setup.options.gradient_clip = 0.01;
    training_begin(&clipped, &setup);
    dm_train_stats stats = {.struct_size = sizeof stats};
    training_require(&free_run, dm_trainer_step_batch(free_run.trainer, &given.batch, NULL));
    training_require(&clipped, dm_trainer_step_batch(clipped.trainer, &given.batch, &stats));
    ck_assert(stats.gradient_norm > 0.01);
    size_t floats = clipped.unet->params.floats;
    float *want = malloc(floats * sizeof *want);
    for (size_t i = 0; i < floats; i++)
        want[i] = (float)(free_run.trainer->moment1[i] * (0.01 / stats.gradient_norm));
    test_close(clipped.trainer->moment1, want, floats, 1e-6);
    free(want);
    training_end(&free_run);
    training_end(&clipped);
}
END_TEST

START_TEST(stats_are_filled) {
    training t;
    training_setup setup = training_default();
    setup.options.accumulation = 2;
    training_begin(&t, &setup);
    dm_train_stats stats = {0};
    training_expect(&t, dm_trainer_step(t.trainer, &stats), DM_ERROR_INVALID_ARGUMENT, "struct_size");
    ck_assert_uint_eq(dm_trainer_steps_done(t.trainer), 0);
    stats.struct_size = sizeof stats;
    for (int32_t i = 0; i < 3; i++) training_require(&t, dm_trainer_step(t.trainer, &stats));
    ck_assert_uint_eq(stats.struct_size, sizeof stats);
    ck_assert_uint_eq(stats.step, 3);
    ck_assert_uint_eq(stats.images, 24);
    ck_assert_double_eq_tol(stats.epoch, 2.4, 1e-15);
    ck_assert(stats.loss > 0 && stats.gradient_norm > 0 && stats.seconds > 0 && stats.learning_rate == 1e-3);
    dm_train_stats shorter; /* as an older caller has it: nothing past its end is written */
    memset(&shorter, 0x55, sizeof shorter);
    shorter.struct_size = offsetof(dm_train_stats, images);
    training_require(&t, dm_trainer_step(t.trainer, &shorter));
    ck_assert_uint_eq(shorter.step, 4);
    ck_assert_uint_eq(shorter.images, 0x5555555555555555u);
    training_end(&t);
}
END_TEST

/* ---- a batch of the caller's that is wrong ---- */

START_TEST(bad_batches_are_named) {
    training t;
    given_batch given;
    training_setup setup = training_default();
    setup.dataset = false;
    training_begin(&t, &setup);
    float *weights = training_weights(&t);
    dm_train_batch *batch = &given.batch;
    training_expect(&t, dm_trainer_step_batch(t.trainer, NULL, NULL), DM_ERROR_INVALID_ARGUMENT, "'batch' is NULL");
    fill_given(&given, 4), batch->struct_size = 0;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_INVALID_ARGUMENT, "dm_train_batch|struct_size");
    fill_given(&given, 5);
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_INVALID_ARGUMENT, "'count' is 5|4");
    fill_given(&given, 4), batch->images = NULL;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_INVALID_ARGUMENT, "'images' is NULL");
    fill_given(&given, 4), batch->reserved = 1;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_INVALID_ARGUMENT, "'reserved' is 1");
    fill_given(&given, 4), given.timesteps[3] = 1000;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_INVALID_ARGUMENT, "timestep 3 is 1000|999");
    fill_given(&given, 4), given.timesteps[2] = -1;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_INVALID_ARGUMENT, "timestep 2 is -1");
    fill_given(&given, 4), batch->labels = given.labels;
    training_expect(&t, dm_trainer_step_batch(t.trainer, batch, NULL), DM_ERROR_INVALID_ARGUMENT, "no classes");
    training_expect(&t, dm_trainer_step(t.trainer, NULL), DM_ERROR_WRONG_STATE, "without a dataset");
    training_expect(&t, dm_trainer_run(t.trainer, 1, NULL, NULL), DM_ERROR_WRONG_STATE, "without a dataset");
    ck_assert_uint_eq(dm_trainer_steps_done(t.trainer), 0);
    ck_assert(training_unchanged(&t, weights));
    free(weights);
    training_end(&t);
}
END_TEST

START_TEST(bad_given_label) {
    training t;
    given_batch given;
    training_setup setup = training_default();
    setup.dataset = false;
    setup.classes = TRAINING_CLASSES;
    training_begin(&t, &setup);
    fill_given(&given, 4), given.batch.labels = given.labels, given.labels[2] = TRAINING_CLASSES + 1;
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL), DM_ERROR_INVALID_ARGUMENT, "label 2 is 5");
    training_end(&t);
}
END_TEST

/* ---- the average ---- */

START_TEST(average_follows_the_weights) {
    training t, target;
    training_setup setup = training_default();
    setup.options.average_decay = 0.75;
    setup.options.average_warmup = 0;
    training_begin(&t, &setup);
    training_prepare(&target, &setup);
    size_t floats = t.unet->params.floats;
    double *want = malloc(floats * sizeof *want);
    for (size_t i = 0; i < floats; i++) want[i] = t.unet->params.data[i];
    training_require(&t, dm_trainer_get_average(t.trainer, target.unet));
    ck_assert(training_unchanged(&target, t.unet->params.data));
    uint64_t version = target.unet->params.version;
    for (int32_t step = 0; step < 4; step++) {
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        for (size_t i = 0; i < floats; i++) want[i] = 0.75 * want[i] + 0.25 * t.unet->params.data[i];
    }
    training_require(&t, dm_trainer_get_average(t.trainer, target.unet));
    ck_assert_uint_gt(target.unet->params.version, version);
    ck_assert_double_le(test_error_d(target.unet->params.data, want, floats), 1e-7);
    ck_assert(!training_unchanged(&target, t.unet->params.data));
    free(want);
    training_end(&target);
    training_end(&t);
}
END_TEST

START_TEST(average_needs_a_fitting_target) {
    training t, target;
    training_setup setup = training_default();
    training_begin(&t, &setup);
    setup.prediction = DM_PREDICT_V;
    training_prepare(&target, &setup);
    training_expect(&t, dm_trainer_get_average(t.trainer, NULL), DM_ERROR_INVALID_ARGUMENT, "NULL");
    training_expect(&t, dm_trainer_get_average(t.trainer, t.unet), DM_ERROR_INVALID_ARGUMENT, "it trains");
    training_expect(&t, dm_trainer_get_average(t.trainer, target.unet), DM_ERROR_SHAPE_MISMATCH, "other options|prediction");
    training_end(&target);
    training_end(&t);
    setup = training_default();
    setup.options.average_decay = 0;
    training_begin(&t, &setup);
    ck_assert_ptr_null(t.trainer->average);
    training_prepare(&target, &setup);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_expect(&t, dm_trainer_get_average(t.trainer, target.unet), DM_ERROR_WRONG_STATE, "'average_decay' is 0");
    training_end(&target);
    training_end(&t);
}
END_TEST

/* ---- life and memory ---- */

START_TEST(a_network_has_one_trainer) {
    training t;
    dm_trainer *second = (dm_trainer *)&t;
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_expect(&t, dm_trainer_create(&second, t.unet, t.schedule, NULL, &setup.options), DM_ERROR_WRONG_STATE, "already");
    ck_assert_ptr_null(second);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    dm_trainer_destroy(t.trainer);
    ck_assert_ptr_null(t.unet->params.gradient);
    training_require(&t, dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, NULL));
    training_end(&t);
}
END_TEST

START_TEST(null_arguments) {
    training t;
    dm_trainer *trainer;
    training_setup setup = training_default();
    training_prepare(&t, &setup);
    ck_assert_int_eq(dm_trainer_create(&trainer, NULL, t.schedule, NULL, NULL), DM_ERROR_INVALID_ARGUMENT);
    training_expect(&t, dm_trainer_create(NULL, t.unet, t.schedule, NULL, NULL), DM_ERROR_INVALID_ARGUMENT, "'out'");
    training_expect(&t, dm_trainer_create(&trainer, t.unet, NULL, NULL, NULL), DM_ERROR_INVALID_ARGUMENT, "'schedule'");
    ck_assert_int_eq(dm_trainer_step(NULL, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_trainer_run(NULL, 1, NULL, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_uint_eq(dm_trainer_steps_done(NULL), 0);
    dm_trainer_destroy(NULL);
    training_end(&t);
}
END_TEST

START_TEST(steps_allocate_nothing) {
    training t;
    given_batch given;
    uint64_t before, after;
    training_setup setup = training_default();
    setup.threads = 2;
    setup.classes = TRAINING_CLASSES;
    setup.dropout = 0.1f;
    setup.options.accumulation = 2;
    setup.options.flip = 1;
    training_begin(&t, &setup);
    fill_given(&given, 8);
    training_require(&t, dm_context_memory(t.context, NULL, NULL, &before));
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    training_require(&t, dm_context_memory(t.context, NULL, NULL, &after));
    ck_assert_uint_eq(before, after);
    training_end(&t);
}
END_TEST

START_TEST(memory_limit) {
    training t = {0};
    dm_unet_options o;
    uint64_t before, after;
    t.context = test_context_new(NULL, 10000000);
    training_require(&t, dm_unet_options_preset(&o, sizeof o, DM_PRESET_TINY));
    training_require(&t, dm_unet_create(&t.unet, t.context, &o, 1));
    training_require(&t, dm_schedule_create(&t.schedule, t.context, NULL));
    training_require(&t, dm_context_memory(t.context, &before, NULL, NULL));
    float *weights = training_weights(&t);
    training_expect(&t, dm_trainer_create(&t.trainer, t.unet, t.schedule, NULL, NULL), DM_ERROR_LIMIT_EXCEEDED, "10.0 MB");
    training_require(&t, dm_context_memory(t.context, &after, NULL, NULL));
    ck_assert_uint_eq(before, after);
    ck_assert(training_unchanged(&t, weights));
    ck_assert(!t.unet->trained);
    free(weights);
    training_end(&t);
}
END_TEST

static int32_t make_trainer(dm_context *context, const void *user) {
    const training_setup *setup = user;
    training t = {.context = context};
    dm_unet_options o;
    int32_t status = dm_unet_options_preset(&o, sizeof o, DM_PRESET_TINY);
    o.height = o.width = TRAINING_SIDE;
    if (!status) status = dm_schedule_create(&t.schedule, context, NULL);
    if (!status)
        status = dm_dataset_from_memory(&t.dataset, context, training_pixels(), NULL, TRAINING_PICTURES, TRAINING_SIDE,
                                        TRAINING_SIDE, TRAINING_CHANNELS);
    if (!status) status = dm_unet_create(&t.unet, context, &o, 1);
    if (!status) status = dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup->options);
    dm_trainer_destroy(t.trainer);
    dm_unet_destroy(t.unet);
    dm_dataset_destroy(t.dataset);
    dm_schedule_destroy(t.schedule);
    return status;
}

START_TEST(every_allocation_may_fail) {
    training_setup setup = training_default();
    ck_assert_int_gt(test_every_allocation(make_trainer, &setup), 15);
}
END_TEST

Suite *test_trainer_suite(void);
Suite *test_trainer_suite(void) {
    Suite *suite = suite_create("trainer");
    TCase *learning = tcase_create("learning"), *data = tcase_create("data"), *refusing = tcase_create("refusing");
    TCase *life = tcase_create("life");
    tcase_set_timeout(learning, 20);
    tcase_add_loop_test(learning, a_batch_is_learned_by_heart, DM_PREDICT_EPS, DM_PREDICT_V + 1);
    tcase_add_loop_test(learning, first_loss_is_the_targets_size, DM_PREDICT_EPS, DM_PREDICT_V + 1);
    tcase_add_loop_test(learning, accumulation_is_a_larger_batch, 2, 5);
    tcase_add_test(learning, rate_of_each_step);
    tcase_add_test(learning, clipping_scales_the_gradients);
    tcase_add_test(learning, average_follows_the_weights);
    tcase_add_test(learning, average_needs_a_fitting_target);
    tcase_add_loop_test(data, epochs_are_permutations, 0, 2);
    tcase_add_test(data, x_t_is_made_of_picture_and_noise);
    tcase_add_test(data, timesteps_cover_the_schedule);
    tcase_add_loop_test(data, labels_reach_the_network, 0, 2);
    tcase_add_test(data, given_labels_reach_the_network);
    tcase_add_test(data, label_outside_the_classes);
    tcase_add_test(data, failed_reading_changes_nothing);
    tcase_add_test(data, shapes_must_agree);
    tcase_add_test(data, dataset_of_another_context);
    tcase_add_loop_test(refusing, what_is_not_finite_changes_nothing, 0, (int)(sizeof bad_values / sizeof *bad_values));
    tcase_add_test(refusing, refused_steps_do_not_count_for_adam);
    tcase_add_test(refusing, ten_refused_in_a_row_end_a_run);
    tcase_add_loop_test(refusing, bad_options_are_named, 0, (int)(sizeof bad_options / sizeof *bad_options));
    tcase_add_test(refusing, decay_needs_its_end);
    tcase_add_test(refusing, bad_batches_are_named);
    tcase_add_test(refusing, bad_given_label);
    tcase_add_test(life, run_counts_from_the_first_step);
    tcase_add_test(life, runs_can_be_cancelled);
    tcase_add_test(life, options_come_back);
    tcase_add_test(life, stats_are_filled);
    tcase_add_test(life, a_network_has_one_trainer);
    tcase_add_test(life, null_arguments);
    tcase_add_test(life, steps_allocate_nothing);
    tcase_add_test(life, memory_limit);
    tcase_add_test(life, every_allocation_may_fail);
    suite_add_tcase(suite, learning);
    suite_add_tcase(suite, data);
    suite_add_tcase(suite, refusing);
    suite_add_tcase(suite, life);
    return suite;
}
