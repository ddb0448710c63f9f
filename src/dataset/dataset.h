/* SPDX-License-Identifier: MIT */
/* Datasets. A source fills in the members below and gives a function that reads one image; each
 * source is one file. */
#ifndef DM_SRC_DATASET_H
#define DM_SRC_DATASET_H

#include "core/context.h"

/* The largest number of images, the limit of dmi_random_at's index. */
#define DMI_DATASET_COUNT_MAX (UINT64_C(1) << 56)

struct dm_dataset {
    dm_context *context;
    uint64_t count;
    int32_t height, width, channels, classes;
    uint64_t fingerprint;           /* 0: not known */
    const char *const *class_names; /* [classes], or NULL */
    /* Writes the pixels of one image and its label, -1 for none. */
    dm_status (*read)(const dm_dataset *dataset, uint64_t index, uint8_t *pixels, int32_t *label);
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
/* The bytes of one image. */
size_t dmi_dataset_image_bytes(const dm_dataset *dataset);
/* Sets the fingerprint of a finished dataset: a hash of count, shape, and the pixels and labels of
 * up to 64 images that are spread over it. The dataset must be concurrent. */
dm_status dmi_dataset_set_fingerprint(dm_dataset *dataset);
/* Extends a hash (FNV-1a); it begins with DMI_HASH_START. */
#define DMI_HASH_START UINT64_C(0xcbf29ce484222325)
uint64_t dmi_hash(uint64_t hash, const void *bytes, size_t size);

#endif
