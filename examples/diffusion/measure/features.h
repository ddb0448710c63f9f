/* SPDX-License-Identifier: MIT */
/* Features of pictures, on which the measures of this folder compare two sets of pictures. They
 * come from an untrained network with fixed random weights: the mean and the standard deviation
 * over the picture of each of FEATURE_CHANNELS channels, which respond to colour, edges and texture
 * at several sizes. Figures from them are no FID or KID of Inception features and cannot be
 * compared with those of papers. */
#ifndef DIFFUSION_MEASURE_FEATURES_H
#define DIFFUSION_MEASURE_FEATURES_H

#include <diffusion.h>

enum { FEATURE_CHANNELS = 64, FEATURE_COUNT = 2 * FEATURE_CHANNELS, FEATURE_TILE = 32 };

typedef struct feature_network feature_network;

/* The network for pictures [height, width, channels], height and width multiples of 4. *out is set
 * even on failure, and to be freed by feature_network_destroy. */
dm_status feature_network_create(feature_network **out, dm_context *context, int32_t height,
                                 int32_t width, int32_t channels);
void feature_network_destroy(feature_network *n);

/* The features of a set of pictures; {0} is the empty set. */
typedef struct feature_set {
    size_t count, capacity; /* pictures */
    float *values;          /* [capacity, FEATURE_COUNT] */
} feature_set;

void feature_set_free(feature_set *set);
/* Appends features [count, FEATURE_COUNT], which may not be a part of the set. On failure the set
 * is unchanged. */
dm_status feature_set_append(feature_set *set, const float *features, size_t count);
/* Appends the features of pictures [count, height, width, channels] in [-1, 1]. */
dm_status feature_set_add(feature_set *set, feature_network *n, const float *pictures,
                          size_t count);
/* Appends to *out the features of `set`, shifted and scaled so that each feature has mean 0 and
 * deviation 1 over `reference`. Deviations below a tenth of their root mean square are replaced by
 * that, so that a feature which hardly varies there, as over few pictures, does not outweigh the
 * others. The features have means up to ten times their deviations, which differ tenfold; without
 * this a kernel or a nearest neighbour hardly sees many of them. */
dm_status feature_set_standardise(feature_set *out, const feature_set *set,
                                  const feature_set *reference);

/* ---- all pairs of two sets, a tile at a time ---- */

/* FEATURE_TILE pictures or fewer of a set, transposed: loops over pictures need no reordered sums
 * to be vectorised. */
typedef struct feature_tile {
    size_t first, count;
    float values[FEATURE_COUNT][FEATURE_TILE];
} feature_tile;

/* The pictures of the set from `first` on. */
void feature_tile_load(feature_tile *tile, const feature_set *set, size_t first);
/* out: [FEATURE_TILE], the scalar product and the squared distance of x, [FEATURE_COUNT], and each
 * picture of the tile; 0 or any finite value beyond the tile's count. */
void feature_tile_products(float *out, const feature_tile *tile, const float *x);
void feature_tile_distances(float *out, const feature_tile *tile, const float *x);

#endif
