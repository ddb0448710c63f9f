/* SPDX-License-Identifier: MIT */
/* The cache of transformed weights: what inference graphs compute from parameters and reuse until
 * the parameters change. It belongs to a dmi_params, and all graphs on these share it, also graphs
 * of other hosts (contexts) that run in other threads.
 *
 * An entry is allocated when a graph is planned, from the host of the parameters, and freed with
 * the last graph that uses it. The first graph that needs its data computes it, under the cache's
 * mutex; after that it is only read, without a lock. Parameters may change only while one graph at
 * a time is in use; then the data is computed again. */
#ifndef DMI_AUTOGRAD_WEIGHT_CACHE_H
#define DMI_AUTOGRAD_WEIGHT_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/host.h"

typedef struct dmi_weight_cache dmi_weight_cache;
typedef struct dmi_cached_weight dmi_cached_weight;

/* What an entry holds. Keys are equal where all members are. */
typedef struct dmi_weight_key {
    int32_t param;         /* index in dmi_params */
    const void *algorithm; /* the address of the table whose functions compute the data */
    const void *layout;    /* likewise of the kernels, whose vector width the layout depends on */
    const void *source; /* likewise of the operation that computes the algorithm's weight from the
                           parameter; NULL: the parameter is the weight */
    size_t floats;
} dmi_weight_key;

/* `host` allocates the cache and all entries. */
int32_t dmi_weight_cache_create(dmi_host *host, dmi_weight_cache **out);
/* After all graphs. NULL is accepted. */
void dmi_weight_cache_destroy(dmi_weight_cache *cache);

/* The entry with that key, allocated if there is none, for one more graph. An error is reported to
 * `user`, the host of the graph. Graphs that are planned at once may each allocate the entry for a
 * moment, and are refused if the limit leaves no room for that. */
int32_t dmi_weight_cache_acquire(dmi_weight_cache *cache, dmi_host *user, const dmi_weight_key *key,
                                 dmi_cached_weight **out);
/* For one graph less. */
void dmi_weight_cache_release(dmi_cached_weight *weight);

/* [key.floats] */
float *dmi_cached_weight_data(const dmi_cached_weight *weight);

/* Whether the data must be computed, since it is not of that version (1 or more) of the parameters.
 * If true, the caller holds the mutex of the cache, writes the data without running code of the
 * program's (dmi_parallel_locked), and calls dmi_cached_weight_end. */
bool dmi_cached_weight_begin(dmi_cached_weight *weight, uint64_t version);
void dmi_cached_weight_end(dmi_cached_weight *weight, uint64_t version);

#endif
