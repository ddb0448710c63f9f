/* SPDX-License-Identifier: MIT */
/* A distance between two sets of pictures: the Frechet distance (Dowson and Landau 1982) between
 * the normal distributions with the means and covariances of their features (features.h), 1000
 * (|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))). It falls as the number of pictures grows, also
 * between sets of the same distribution, so only values for equal numbers of pictures can be
 * compared. */
#ifndef DIFFUSION_MEASURE_FRECHET_H
#define DIFFUSION_MEASURE_FRECHET_H

#include "measure/features.h"

/* DM_ERROR_INVALID_ARGUMENT for an empty set. */
dm_status frechet_distance(double *distance, const feature_set *a, const feature_set *b);

#endif
