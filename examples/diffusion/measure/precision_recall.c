/* SPDX-License-Identifier: MIT */
/* See precision_recall.h. */
#include "measure/precision_recall.h"

#include <math.h>
#include <stdlib.h>

enum { N = FEATURE_COUNT, K = PRECISION_NEIGHBOURS };

/* A set, and what is known of each of its pictures. */
typedef struct neighbourhood {
    const feature_set *set;
    float (*nearest)[K];   /* the squared distances to the K nearest others, in rising order */
    unsigned char *inside; /* whether it lies among the other set */
} neighbourhood;

static void neighbourhood_free(neighbourhood *h) {
    free(h->nearest);
    free(h->inside);
}

static void insert(float *nearest, float distance) {
    int k = K - 1;
    if (!(distance < nearest[k])) return;
    for (; k > 0 && nearest[k - 1] > distance; k--) nearest[k] = nearest[k - 1];
    nearest[k] = distance;
}

/* Finds the nearest neighbours of each picture. h is to be freed also after a failure. */
static dm_status neighbourhood_find(neighbourhood *h, int (*stop)(void *), void *user) {
    const size_t count = h->set->count;
    feature_tile tile;
    float distances[FEATURE_TILE];
    h->nearest = calloc(count, sizeof *h->nearest);
    h->inside = calloc(count, 1);
    if (!h->nearest || !h->inside) return DM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < K; k++) h->nearest[i][k] = INFINITY;
    for (size_t first = 0; first < count; first += FEATURE_TILE) {
        if (stop && stop(user)) return DM_ERROR_CANCELLED;
        feature_tile_load(&tile, h->set, first);
        /* Each pair once, i < j. */
        for (size_t i = 0; i < first + tile.count; i++) {
            feature_tile_distances(distances, &tile, h->set->values + i * N);
            for (size_t j = i >= first ? i - first + 1 : 0; j < tile.count; j++) {
                insert(h->nearest[i], distances[j]);
                insert(h->nearest[first + j], distances[j]);
            }
        }
    }
    return DM_OK;
}

/* Finds which pictures of each set lie among the other. */
static dm_status compare(neighbourhood *a, neighbourhood *b, int (*stop)(void *), void *user) {
    feature_tile tile;
    float distances[FEATURE_TILE];
    for (size_t first = 0; first < b->set->count; first += FEATURE_TILE) {
        if (stop && stop(user)) return DM_ERROR_CANCELLED;
        feature_tile_load(&tile, b->set, first);
        for (size_t i = 0; i < a->set->count; i++) {
            feature_tile_distances(distances, &tile, a->set->values + i * N);
            for (size_t j = 0; j < tile.count; j++) {
                a->inside[i] |= distances[j] <= b->nearest[first + j][K - 1];
                b->inside[first + j] |= distances[j] <= a->nearest[i][K - 1];
            }
        }
    }
    return DM_OK;
}

static double share_inside(const neighbourhood *h) {
    size_t inside = 0;
    for (size_t i = 0; i < h->set->count; i++) inside += h->inside[i];
    return (double)inside / (double)h->set->count;
}

dm_status precision_recall_measure(precision_recall *out, const feature_set *data,
                                   const feature_set *samples, int (*stop)(void *), void *user) {
    neighbourhood d = {.set = data}, s = {.set = samples};
    *out = (precision_recall){0};
    if (data->count <= K || samples->count <= K) return DM_ERROR_INVALID_ARGUMENT;
    dm_status status = neighbourhood_find(&d, stop, user);
    if (!status) status = neighbourhood_find(&s, stop, user);
    if (!status) status = compare(&d, &s, stop, user);
    if (!status) *out = (precision_recall){share_inside(&s), share_inside(&d)};
    neighbourhood_free(&d);
    neighbourhood_free(&s);
    return status;
}
