/* SPDX-License-Identifier: MIT */
/* Datasets in one line, as most tests need them. */
#ifndef DM_TESTS_DATASET_H
#define DM_TESTS_DATASET_H

#include "diffusion.h"

/* dm_dataset_create_from_memory without a copy; labels may be NULL. */
dm_status dataset_from_memory(dm_dataset **out, dm_context *context, const uint8_t *pixels,
                              const int32_t *labels, uint64_t count, int32_t height, int32_t width,
                              int32_t channels);
/* dm_dataset_create_from_callback without classes. */
dm_status dataset_from_callback(dm_dataset **out, dm_context *context, dm_dataset_read read,
                                void *user, uint64_t count, int32_t height, int32_t width,
                                int32_t channels);

#endif
