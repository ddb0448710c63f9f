/* SPDX-License-Identifier: MIT */
/* See kernel_distance.h. */
#include "measure/kernel_distance.h"

#include <math.h>
#include <stdlib.h>

#include "data/random_bits.h"

enum { N = FEATURE_COUNT, SUBSET_MOST = 1000, SUBSETS_LEAST = 10 };

typedef struct stopper {
    int (*function)(void *);
    void *user;
} stopper;

static int stopped(const stopper *s) { return s->function && s->function(s->user); }

static double kernel(float product) {
    double base = product / (double)N + 1;
    return base * base * base;
}

/* The mean of the kernel over all pairs of a picture of a and one of b; a picture is not paired
 * with itself where both are the same set. */
static dm_status mean_kernel(double *mean, const feature_set *a, const feature_set *b,
                             const stopper *stop) {
    const int same = a == b;
    feature_tile tile;
    float products[FEATURE_TILE];
    double sum = 0;
    for (size_t first = 0; first < b->count; first += FEATURE_TILE) {
        if (stopped(stop)) return DM_ERROR_CANCELLED;
        feature_tile_load(&tile, b, first);
        /* Of one set, the pairs with i < j. */
        size_t rows = same ? first + tile.count : a->count;
        for (size_t i = 0; i < rows; i++) {
            double part = 0;
            feature_tile_products(products, &tile, a->values + i * N);
            for (size_t j = same && i >= first ? i - first + 1 : 0; j < tile.count; j++)
                part += kernel(products[j]);
            sum += part;
        }
    }
    double pairs = (double)a->count * (double)(same ? b->count - 1 : b->count);
    *mean = (same ? 2 : 1) * sum / pairs;
    return DM_OK;
}

/* The unbiased estimate of the squared MMD (Gretton et al. 2012, eq. 3). */
static dm_status estimate(double *value, const feature_set *a, const feature_set *b,
                          const stopper *stop) {
    double aa = 0, bb = 0, ab = 0;
    dm_status status = mean_kernel(&aa, a, a, stop);
    if (!status) status = mean_kernel(&bb, b, b, stop);
    if (!status) status = mean_kernel(&ab, a, b, stop);
    *value = aa + bb - 2 * ab;
    return status;
}

/* A random order, always the same for a count: the pictures of a data set may be sorted by class.
 * The bias of the remainder is below 2^-40. */
static size_t *random_order(size_t count) {
    size_t *order = calloc(count + 1, sizeof *order);
    uint64_t state = count;
    if (!order) return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t k = (size_t)(random_bits(state += RANDOM_BITS_STEP) % (i + 1));
        order[i] = order[k];
        order[k] = i;
    }
    return order;
}

static dm_status pick(feature_set *out, const feature_set *set, const size_t *order, size_t count) {
    dm_status status = DM_OK;
    out->count = 0;
    for (size_t i = 0; !status && i < count; i++)
        status = feature_set_append(out, set->values + order[i] * N, 1);
    return status;
}

/* Sets out->error. */
static dm_status subset_error(kernel_distance *out, const feature_set *a, const feature_set *b,
                              const stopper *stop) {
    const size_t size = out->subset_size;
    size_t *order_a = random_order(a->count), *order_b = random_order(b->count);
    feature_set part_a = {0}, part_b = {0};
    double mean = 0, squares = 0;
    dm_status status = order_a && order_b ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    /* Welford's running mean and sum of squared differences. */
    for (size_t i = 0; !status && i < out->subsets; i++) {
        double value = 0;
        status = pick(&part_a, a, order_a + i * size, size);
        if (!status) status = pick(&part_b, b, order_b + i * size, size);
        if (!status) status = estimate(&value, &part_a, &part_b, stop);
        double difference = value - mean;
        mean += difference / (double)(i + 1);
        squares += difference * (value - mean);
    }
    if (!status) out->error = sqrt(squares / ((double)out->subsets - 1) / (double)out->subsets);
    feature_set_free(&part_a);
    feature_set_free(&part_b);
    free(order_a);
    free(order_b);
    return status;
}

dm_status kernel_distance_measure(kernel_distance *out, const feature_set *a, const feature_set *b,
                                  int (*stop)(void *), void *user) {
    const stopper s = {stop, user};
    const size_t least = a->count < b->count ? a->count : b->count;
    *out = (kernel_distance){0};
    if (least < 2) return DM_ERROR_INVALID_ARGUMENT;
    size_t size = least / SUBSETS_LEAST;
    if (size > SUBSET_MOST) size = SUBSET_MOST;
    if (size < 2) size = 2;
    out->subset_size = size;
    out->subsets = least / size;
    dm_status status = estimate(&out->value, a, b, &s);
    return status || out->subsets < 2 ? status : subset_error(out, a, b, &s);
}
