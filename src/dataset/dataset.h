/* SPDX-License-Identifier: MIT */
/* Datasets. A source fills in the members below and gives a function that reads one image; each
 * source is one file. */
#ifndef DM_SRC_DATASET_H
#define DM_SRC_DATASET_H

#include "core/class_names.h"
#include "core/context.h"

/* The largest number of images, the limit of dmi_random_at's index. */
#define DMI_DATASET_COUNT_MAX (UINT64_C(1) << 56)

/* Where the parts of one image go. */
typedef struct dmi_dataset_image {
    uint8_t *pixels;          /* [height, width, channels] */
    uint8_t *condition_image; /* [height, width, condition_channels]; NULL: not wanted */
    float *condition_vector;  /* [condition_size]; NULL: not wanted */
    uint64_t epoch;           /* passes over the dataset before this one */
    int32_t label;            /* is set; -1: none */
} dmi_dataset_image;

struct dm_dataset {
    dm_context *context;
    uint64_t count;
    int32_t height, width, channels, classes;
    int32_t condition_channels, condition_size; /* 0: no such condition */
    bool vector_invariant; /* condition vectors stay right when images are flipped or cropped */
    uint64_t fingerprint;  /* 0: not known */
    const char *const *class_names; /* [classes], or NULL */
    dmi_class_names own_names;      /* to which they point, of datasets that have copies */
    /* Reads one image. Conditions that the dataset lacks are not wanted. */
    dm_status (*read)(const dm_dataset *dataset, uint64_t index, dmi_dataset_image *image);
    /* Tells which images will be read next; NULL: nobody wants to know. */
    void (*prefetch)(const dm_dataset *dataset, const uint64_t *indices, size_t count);
    void (*free_state)(dm_dataset *dataset); /* frees what `state` holds; NULL: nothing */
    bool concurrent; /* read never fails and may be called by several tasks at once; false for
                        callbacks */
    void *state;
};

/* A zeroed dataset. */
dm_status dmi_dataset_new(dm_dataset **out, dm_context *context);
/* dm_dataset_destroy within a call of the context. NULL is accepted. */
void dmi_dataset_free(dm_dataset *dataset);
/* Refuses a count outside 1 to DMI_DATASET_COUNT_MAX. The table's range is of doubles, which cannot
 * distinguish 2^56 from 2^56 + 1. `owner` begins the message. */
dm_status dmi_dataset_check_count(dmi_host *host, const char *owner, uint64_t count);
/* Copies the caller's names of the classes, one for each; NULL and 0 for none. */
dm_status dmi_dataset_set_names(dm_dataset *dataset, const char *const *names, uint64_t count);
/* The bytes of one image, and of its condition image, which is 0 if there is none. */
size_t dmi_dataset_image_bytes(const dm_dataset *dataset);
size_t dmi_dataset_condition_bytes(const dm_dataset *dataset);
/* Sets the fingerprint of a finished dataset: a hash of count, shape, and the pixels, labels and
 * conditions of up to 64 images that are spread over it. The dataset must be concurrent. */
dm_status dmi_dataset_set_fingerprint(dm_dataset *dataset);
/* Extends a hash (FNV-1a); it begins with DMI_HASH_START. */
#define DMI_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t dmi_hash(uint64_t hash, const void *bytes, size_t size);

/* ---- conditions.c ---- */

/* Refuses a dataset without the conditions that a network takes, of these sizes, each 0 where it
 * takes none. `owner` begins the message. */
dm_status dmi_dataset_check_conditions(const dm_dataset *dataset, const char *owner,
                                       int32_t condition_channels, int32_t condition_size);
/* Refuses infinities and NaN in the condition vector of image `index`. */
dm_status dmi_dataset_check_vector(dmi_host *host, uint64_t index, const float *vector,
                                   int32_t size);

#endif
