/* SPDX-License-Identifier: MIT */
/* A distance between two sets of images: the Frechet distance (Dowson and Landau 1982) between the
 * normal distributions with the means and covariances of their features, 1000 (|m1 - m2|^2 + tr(C1
 * + C2 - 2 (C1 C2)^(1/2))). The features come from an untrained network with random weights: the
 * mean and the standard deviation over the image of each of FRECHET_CHANNELS channels, which
 * respond to colour, edges and texture at several sizes. It is not an FID and cannot be compared
 * with values of other papers. It falls as the number of images grows, also between sets of the
 * same distribution, so only values for equal numbers of images can be compared. */
#ifndef EXAMPLES_FRECHET_H
#define EXAMPLES_FRECHET_H

#include <diffusion.h>

enum { FRECHET_CHANNELS = 64, FRECHET_FEATURES = 2 * FRECHET_CHANNELS };

typedef struct frechet_features frechet_features;

/* The network for images [height, width, channels], height and width multiples of 4. *out is set
 * even on failure, and to be freed by frechet_destroy. */
dm_status frechet_create(frechet_features **out, dm_context *context, int32_t height, int32_t width,
                         int32_t channels);
void frechet_destroy(frechet_features *f);

/* The sums over a set of images; {0} is the empty set. */
typedef struct frechet_set {
    double count, sum[FRECHET_FEATURES], product[FRECHET_FEATURES][FRECHET_FEATURES];
} frechet_set;

/* Adds images [count, height, width, channels] in [-1, 1]. */
dm_status frechet_add(frechet_features *f, frechet_set *set, const float *images, size_t count);
double frechet_distance(const frechet_set *a, const frechet_set *b);

#endif
