/* SPDX-License-Identifier: MIT */
/* See training.h. */
#include "support/training.h"

#include "support/allocator.h"
#include "support/refusal.h"
#include "train/trainer.h"

training_setup training_default(void) {
    training_setup setup = {.threads = 1,
                            .dataset = true,
                            .channels = 16,
                            .prediction = DM_PREDICT_EPS,
                            .sigma_data = 0.5f};
    ck_assert_int_eq(dm_schedule_options_init(&setup.schedule, sizeof setup.schedule), DM_OK);
    ck_assert_int_eq(dm_trainer_options_init(&setup.options, sizeof setup.options), DM_OK);
    setup.schedule.kind = DM_SCHEDULE_LINEAR;
    setup.options.batch_size = 4;
    setup.options.learning_rate = 1e-3;
    setup.options.ema_decay[0] = 0.9;
    setup.options.seed = 5;
    return setup;
}

const uint8_t *training_pixels(void) {
    static uint8_t pixels[TRAINING_IMAGES * TRAINING_ELEMENTS];
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * i * 31 % 251 + i / TRAINING_ELEMENTS);
    return pixels;
}

const int32_t *training_labels(void) {
    static int32_t labels[TRAINING_IMAGES];
    for (int32_t i = 0; i < TRAINING_IMAGES; i++) labels[i] = i % TRAINING_CLASSES;
    labels[TRAINING_IMAGES - 1] = -1;
    return labels;
}

const uint8_t *training_condition_images(void) {
    static uint8_t images[TRAINING_IMAGES * TRAINING_ELEMENTS];
    for (size_t i = 0; i < sizeof images; i++) images[i] = (uint8_t)(255 - training_pixels()[i]);
    return images;
}

const float *training_condition_vectors(void) {
    static float vectors[TRAINING_IMAGES * TRAINING_VECTOR];
    test_fill(vectors, TRAINING_IMAGES * TRAINING_VECTOR, 21, 1);
    for (int32_t i = 0; i < TRAINING_IMAGES; i++) vectors[i * TRAINING_VECTOR] = (float)i;
    return vectors;
}

uint64_t training_steps(const dm_trainer *trainer) {
    uint64_t steps;
    ck_assert_int_eq(dm_trainer_get_step(trainer, &steps), DM_OK);
    return steps;
}

void training_require(const training *t, int32_t status) { test_accepted(t->context, status); }

void training_expect(const training *t, int32_t status, int32_t want, const char *words) {
    test_refused(t->context, status, want, words);
}

static void make_unet(training *t, const training_setup *setup) {
    dm_unet_options o;
    training_require(t, dm_unet_options_init(&o, sizeof o));
    o.height = o.width = TRAINING_SIDE;
    o.levels = 2;
    for (int32_t i = 0; i < DM_LEVELS_MAX; i++) {
        o.channels[i] = i < 2 ? setup->channels : 0;
        o.blocks[i] = i < 2;
        o.attention[i] = i == 1;
    }
    o.norm_groups = setup->channels < 4 ? setup->channels : 4;
    o.prediction = setup->prediction;
    o.classes = setup->classes;
    o.dropout = setup->dropout;
    o.learned_variance = setup->learned_variance;
    o.self_conditioning = setup->self_conditioning;
    o.condition_channels = setup->condition_image ? TRAINING_CHANNELS : 0;
    o.condition_size = setup->condition_vector ? TRAINING_VECTOR : 0;
    o.sigma_data = setup->sigma_data;
    training_require(t, dm_unet_create(&t->unet, t->context, &o, 3));
}

static void make_dataset(training *t, const training_setup *setup) {
    dm_dataset_memory m;
    training_require(t, dm_dataset_memory_init(&m, sizeof m));
    m.count = m.label_count = TRAINING_IMAGES;
    m.height = m.width = TRAINING_SIDE;
    m.channels = TRAINING_CHANNELS;
    m.pixel_bytes = TRAINING_IMAGES * TRAINING_ELEMENTS;
    m.pixels = training_pixels();
    m.labels = training_labels();
    m.vector_invariant = setup->vector_invariant;
    if (setup->condition_image) {
        m.condition_channels = TRAINING_CHANNELS;
        m.condition_image_bytes = m.pixel_bytes;
        m.condition_images = training_condition_images();
    }
    if (setup->condition_vector) {
        m.condition_size = TRAINING_VECTOR;
        m.condition_vector_elements = TRAINING_IMAGES * TRAINING_VECTOR;
        m.condition_vectors = training_condition_vectors();
    }
    training_require(t, dm_dataset_create_from_memory(&t->dataset, t->context, &m));
}

void training_prepare(training *t, const training_setup *setup) {
    dm_context_options o;
    *t = (training){0};
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = setup->threads;
    ck_assert_int_eq(dm_context_create(&t->context, &o, NULL, 0), DM_OK);
    training_require(t, dm_schedule_create(&t->schedule, t->context, &setup->schedule));
    if (setup->dataset) make_dataset(t, setup);
    make_unet(t, setup);
}

void training_begin(training *t, const training_setup *setup) {
    training_prepare(t, setup);
    training_require(t, dm_trainer_create(&t->trainer, t->unet, t->schedule, t->dataset,
                                          &setup->options));
}

void training_end(training *t) {
    char warning[256] = "";
    dm_trainer_destroy(t->trainer);
    dm_unet_destroy(t->unet);
    dm_dataset_destroy(t->dataset);
    dm_schedule_destroy(t->schedule);
    t->context->host.log = test_keep_warning; /* where the context reports what is left */
    t->context->host.log_user = warning;
    dm_context_destroy(t->context);
    ck_assert_str_eq(warning, "");
    *t = (training){0};
}

float *training_weights(const training *t) {
    size_t bytes = t->unet->weights->params.floats * sizeof(float);
    float *copy = malloc(bytes);
    ck_assert_ptr_nonnull(copy);
    return memcpy(copy, t->unet->weights->params.data, bytes);
}

bool training_unchanged(const training *t, const float *weights) {
    return !memcmp(weights, t->unet->weights->params.data,
                   t->unet->weights->params.floats * sizeof(float));
}

float *training_state(const training *t, size_t *floats) {
    size_t n = t->unet->weights->params.floats;
    const float *blocks[] = {t->unet->weights->params.data, t->trainer->moment1,
                             t->trainer->moment2, t->trainer->ema[0]};
    float *state = malloc(4 * n * sizeof *state);
    ck_assert_ptr_nonnull(state);
    for (size_t i = 0; i < 4; i++) memcpy(state + i * n, blocks[i], n * sizeof *state);
    *floats = 4 * n;
    return state;
}

void training_same_state(const training *t, const float *want, size_t floats) {
    float *state = training_state(t, &floats);
    ck_assert(!memcmp(state, want, floats * sizeof *state));
    free(state);
}

void training_give(training_given *given, uint64_t count) {
    size_t floats = sizeof given->images / sizeof *given->images;
    test_fill(given->images, floats, 11, 1);
    test_fill(given->noise, floats, 12, 1.7f);
    for (int32_t i = 0; i < TRAINING_GIVEN; i++) {
        given->timesteps[i] = i * 137;
        given->labels[i] = i % TRAINING_CLASSES;
    }
    given->batch = (dm_train_batch){.struct_size = sizeof given->batch,
                                    .count = count,
                                    .elements = count * TRAINING_ELEMENTS,
                                    .timestep_count = count,
                                    .images = given->images,
                                    .noise = given->noise,
                                    .timesteps = given->timesteps};
}

uint8_t *training_read_file(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    ck_assert_msg(file, "cannot open %s", path);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 1);
    ck_assert_ptr_nonnull(bytes);
    ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

void training_write_file(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    ck_assert_msg(file, "cannot open %s", path);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

void training_same_files(const char *one, const char *other) {
    size_t size, other_size;
    uint8_t *bytes = training_read_file(one, &size),
            *other_bytes = training_read_file(other, &other_size);
    ck_assert_msg(size == other_size && !memcmp(bytes, other_bytes, size), "%s and %s differ", one,
                  other);
    free(bytes);
    free(other_bytes);
}
