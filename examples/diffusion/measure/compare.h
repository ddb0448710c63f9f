/* SPDX-License-Identifier: MIT */
/* Everything that tells how far samples are from data. */
#ifndef DIFFUSION_MEASURE_COMPARE_H
#define DIFFUSION_MEASURE_COMPARE_H

#include "measure/kernel_distance.h"
#include "measure/precision_recall.h"

typedef struct comparison {
    double distance; /* Frechet's */
    kernel_distance kernel;
    precision_recall pr;
} comparison;

/* `stop`, which may be NULL, is polled and ends the work with DM_ERROR_CANCELLED by returning
 * non-zero. */
dm_status compare_sets(comparison *out, const feature_set *data, const feature_set *samples,
                       int (*stop)(void *), void *user);
/* Appends the features of `count` images of a dataset, from `first` on; past its end it begins
 * again. */
dm_status add_data_features(feature_set *set, feature_network *network, const dm_dataset *dataset,
                            uint64_t first, uint64_t count, int (*stop)(void *), void *user);

#endif
