/* SPDX-License-Identifier: MIT */
/* The kernel distance of two sets of pictures (KID, Binkowski et al. 2018, "Demystifying MMD
 * GANs"): the unbiased estimate of the squared maximum mean discrepancy of their features for the
 * kernel (x . y / d + 1)^3. Unlike the Frechet distance it does not depend on the number of
 * pictures, and can be negative between sets of the same distribution. */
#ifndef DIFFUSION_MEASURE_KERNEL_DISTANCE_H
#define DIFFUSION_MEASURE_KERNEL_DISTANCE_H

#include "measure/features.h"

typedef struct kernel_distance {
    double value; /* from all pairs of pictures */
    /* The standard error: the standard deviation of the estimates from `subsets` disjoint random
     * parts of the sets, divided by the square root of `subsets`. It is too large rather than too
     * small where both sets have the same distribution. 0 if there are no two subsets. */
    double error;
    size_t subsets, subset_size; /* of 1000 pictures of each set, or fewer so that there are 10 */
} kernel_distance;

/* To be called with features standardised by those of the data (feature_set_standardise). Needs 2
 * pictures in each set, else DM_ERROR_INVALID_ARGUMENT. Takes time proportional to the square of
 * the number of pictures: `stop`, which may be NULL, is called every tenth of a second or more
 * often, and ends it with DM_ERROR_CANCELLED by returning non-zero. */
dm_status kernel_distance_measure(kernel_distance *out, const feature_set *a, const feature_set *b,
                                  int (*stop)(void *), void *user);

#endif
