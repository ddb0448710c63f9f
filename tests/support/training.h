/* SPDX-License-Identifier: MIT */
/* A small network in training, as the tests of trainer and checkpoint need it: 8 x 8 images, two
 * levels, of 16 channels unless a test changes it, with attention. */
#ifndef DM_TESTS_TRAINING_H
#define DM_TESTS_TRAINING_H

#include "diffusion.h"
#include "support/allocator.h"
#include "support/checksums.h"
#include "support/support.h"

enum {
    TRAINING_SIDE = 8,
    TRAINING_CHANNELS = 3,
    TRAINING_ELEMENTS = TRAINING_SIDE * TRAINING_SIDE * TRAINING_CHANNELS,
    TRAINING_IMAGES = 10, /* of the dataset */
    TRAINING_CLASSES = 4, /* of its labels; the last image has none */
    TRAINING_VECTOR = 4,  /* floats of its condition vectors */
    TRAINING_GIVEN = 8    /* the maximum of images in a batch supplied by the caller */
};

/* Filled with defaults by training_setup, then changed by the test. */
typedef struct training_setup {
    int32_t threads;
    bool dataset;     /* the one in memory; false: none */
    int32_t channels; /* of both levels */
    int32_t prediction, classes, learned_variance, self_conditioning;
    bool condition_image, condition_vector; /* of the network, and of the dataset */
    bool vector_invariant;                  /* of the dataset */
    float dropout, sigma_data;
    dm_schedule_options schedule;
    dm_trainer_options options;
} training_setup;

typedef struct training {
    dm_context *context;
    dm_schedule *schedule;
    dm_dataset *dataset; /* or NULL */
    dm_unet *unet;
    dm_trainer *trainer;
} training;

/* One thread, the dataset, eps, linear schedule, no classes; batch 4, rate 1e-3, EMA 0.9, seed
 * 5. */
training_setup training_default(void);
/* The dataset's images, [TRAINING_IMAGES, 8, 8, 3], and labels, always the same. */
const uint8_t *training_pixels(void);
const int32_t *training_labels(void);
/* Their conditions: the negative of each image, and a vector that begins with its index. */
const uint8_t *training_condition_images(void);
const float *training_condition_vectors(void);

/* Context, schedule, dataset and network, without a trainer. */
void training_prepare(training *t, const training_setup *setup);
/* The same with a trainer. */
void training_begin(training *t, const training_setup *setup);
/* Destroys what there is, and fails the test where a byte is left. */
void training_end(training *t);

/* Fails the test with the context's text where status is not DM_OK. */
void training_require(const training *t, int32_t status);
/* Fails the test unless status is `want` and the context's text has each of `words`, which are
 * separated by '|'. */
void training_expect(const training *t, int32_t status, int32_t want, const char *words);

/* The steps that a trainer has done. */
uint64_t training_steps(const dm_trainer *trainer);
/* A copy of the network's weights, to be freed, and whether they are still the same bits. */
float *training_weights(const training *t);
bool training_unchanged(const training *t, const float *weights);

/* Weights, moments and first EMA of the trainer one after another, to be freed; fails the test
 * unless they are the same. */
float *training_state(const training *t, size_t *floats);
void training_same_state(const training *t, const float *want, size_t floats);

/* A batch for dm_trainer_step_batch. */
typedef struct training_given {
    float images[TRAINING_GIVEN * TRAINING_ELEMENTS], noise[TRAINING_GIVEN * TRAINING_ELEMENTS];
    int32_t timesteps[TRAINING_GIVEN], labels[TRAINING_GIVEN];
    dm_train_batch batch;
} training_given;

/* `count` images with noise and timesteps, always the same. There are labels, but the batch does
 * not point to them. */
void training_give(training_given *given, uint64_t count);

/* A whole file, to be freed. */
uint8_t *training_read_file(const char *path, size_t *size);
void training_write_file(const char *path, const void *bytes, size_t size);
/* Fails the test unless two files have the same bytes. */
void training_same_files(const char *one, const char *other);

#endif
