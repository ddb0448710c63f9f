/* A distance between two sets of pictures: the Frechet distance (Dowson and Landau 1982) between
 * two normal distributions with the means and covariances of their features, 1000 (|m1 - m2|^2 +
 * tr(C1 + C2 - 2 (C1 C2)^(1/2))). The features are those of a network of random weights that follow
 * from a seed: of each of FRECHET_CHANNELS channels the mean over the picture and the standard
 * deviation. It is no FID: the network has learned nothing, so the figure compares pictures of one
 * kind with each other and means nothing beside figures of other papers. What it sees is colour,
 * edges and texture at several sizes. With fewer pictures it is larger, also of a set from itself,
 * so only figures of the same number of pictures may be compared. */
#ifndef EXAMPLES_FRECHET_H
#define EXAMPLES_FRECHET_H

#include <diffusion.h>

enum { FRECHET_CHANNELS = 64, FRECHET_FEATURES = 2 * FRECHET_CHANNELS };

typedef struct frechet_features frechet_features;

/* The network for pictures [height, width, channels], both sides multiples of 4. Ends with
 * frechet_destroy. */
int32_t frechet_create(frechet_features **out, dm_context *context, int32_t height, int32_t width,
                       int32_t channels);
void frechet_destroy(frechet_features *f);

/* The sums of a set of pictures, {0} to begin with. */
typedef struct frechet_set {
    double count, sum[FRECHET_FEATURES], product[FRECHET_FEATURES][FRECHET_FEATURES];
} frechet_set;

/* Adds pictures [count, height, width, channels] in [-1, 1]. */
int32_t frechet_add(frechet_features *f, frechet_set *set, const float *images, size_t count);
double frechet_distance(const frechet_set *a, const frechet_set *b);

#endif
