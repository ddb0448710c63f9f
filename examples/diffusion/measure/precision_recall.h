/* SPDX-License-Identifier: MIT */
/* Improved precision and recall (Kynkaanniemi et al. 2019): the share of the samples that lie among
 * the data, and the share of the data that lie among the samples. A picture lies among a set if its
 * features are no farther from those of any picture of the set than the third nearest neighbour of
 * that picture in the set is. */
#ifndef DIFFUSION_MEASURE_PRECISION_RECALL_H
#define DIFFUSION_MEASURE_PRECISION_RECALL_H

#include "measure/features.h"

enum { PRECISION_NEIGHBOURS = 3 };

typedef struct precision_recall {
    double precision, recall; /* 0 to 1 */
} precision_recall;

/* To be called with features standardised by those of the data (feature_set_standardise), and, as
 * both depend on the number of pictures, with sets of equal size. Needs PRECISION_NEIGHBOURS + 1
 * pictures in each set, else DM_ERROR_INVALID_ARGUMENT. `stop` as in kernel_distance.h. */
dm_status precision_recall_measure(precision_recall *out, const feature_set *data,
                                   const feature_set *samples, int (*stop)(void *), void *user);

#endif
