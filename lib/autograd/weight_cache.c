/* SPDX-License-Identifier: MIT */
/* See weight_cache.h. The mutex guards the list, the counts and the computation of data.
 *
 * No code of the program's runs under it: neither its allocator nor its parallel_for. Either could
 * call into another context on the same parameters, in the same thread or in one that it waits for,
 * and that call would wait for the mutex for ever. Hence entries are allocated and freed without
 * the mutex, and data is computed by the library's own threads or by the calling one alone. */
#include "autograd/weight_cache.h"

#include <pthread.h>
#include <stdatomic.h>

struct dmi_cached_weight {
    dmi_cached_weight *next;
    dmi_weight_cache *cache;
    dmi_weight_key key;
    int32_t graphs;           /* that use it */
    _Atomic uint64_t version; /* of the parameters that data was computed from; 0: none */
    float *data;              /* [key.floats] */
};

struct dmi_weight_cache {
    dmi_host *host;
    pthread_mutex_t mutex;
    dmi_cached_weight *first;
};

int32_t dmi_weight_cache_create(dmi_host *host, dmi_weight_cache **out) {
    int32_t status = dmi_alloc_zero(host, out, 1, sizeof **out, "parameters: the weight cache");
    if (status) return status;
    (*out)->host = host;
    if (!pthread_mutex_init(&(*out)->mutex, NULL)) return DMI_OK;
    dmi_free(host, *out);
    *out = NULL;
    return dmi_fail(host, DMI_ERROR_THREAD, "parameters: a mutex could not be created");
}

void dmi_weight_cache_destroy(dmi_weight_cache *cache) {
    if (!cache) return;
    pthread_mutex_destroy(&cache->mutex);
    dmi_free(cache->host, cache);
}

static bool is_same(const dmi_weight_key *a, const dmi_weight_key *b) {
    return a->param == b->param && a->algorithm == b->algorithm && a->layout == b->layout &&
           a->source == b->source && a->floats == b->floats;
}

/* A new entry, not in the list. */
static int32_t create(dmi_weight_cache *cache, dmi_host *user, const dmi_weight_key *key,
                      dmi_cached_weight **out) {
    dmi_host *host = cache->host;
    const char *what = user == host ? "network: its plan"
                                    : "network: its plan, in the context that owns the parameters";
    dmi_cached_weight *weight;
    int32_t status = dmi_alloc_for(host, user, &weight, 1, sizeof *weight, what);
    if (status) return status;
    status = dmi_alloc_for(host, user, &weight->data, key->floats, sizeof(float), what);
    if (status) {
        dmi_free(host, weight);
        return status;
    }
    weight->next = NULL;
    weight->cache = cache;
    weight->key = *key;
    weight->graphs = 0;
    atomic_init(&weight->version, 0);
    *out = weight;
    return DMI_OK;
}

static void destroy(dmi_cached_weight *weight) {
    dmi_host *host = weight->cache->host;
    dmi_free(host, weight->data);
    dmi_free(host, weight);
}

/* The entry with that key, for one more graph: the one in the list, else `fresh`, which is added to
 * it; NULL where there is neither. */
static dmi_cached_weight *use(dmi_weight_cache *cache, const dmi_weight_key *key,
                              dmi_cached_weight *fresh) {
    pthread_mutex_lock(&cache->mutex);
    dmi_cached_weight *weight = cache->first;
    while (weight && !is_same(&weight->key, key)) weight = weight->next;
    if (!weight && fresh) {
        weight = fresh;
        weight->next = cache->first;
        cache->first = weight;
    }
    if (weight) weight->graphs++;
    pthread_mutex_unlock(&cache->mutex);
    return weight;
}

int32_t dmi_weight_cache_acquire(dmi_weight_cache *cache, dmi_host *user, const dmi_weight_key *key,
                                 dmi_cached_weight **out) {
    *out = use(cache, key, NULL);
    if (*out) return DMI_OK;
    dmi_cached_weight *fresh;
    int32_t status = create(cache, user, key, &fresh);
    if (status) return status;
    *out = use(cache, key, fresh);
    if (*out != fresh) destroy(fresh); /* another graph has added its own meanwhile */
    return DMI_OK;
}

void dmi_weight_cache_release(dmi_cached_weight *weight) {
    dmi_weight_cache *cache = weight->cache;
    pthread_mutex_lock(&cache->mutex);
    bool last = --weight->graphs == 0;
    if (last) {
        dmi_cached_weight **link = &cache->first;
        while (*link != weight) link = &(*link)->next;
        *link = weight->next;
    }
    pthread_mutex_unlock(&cache->mutex);
    if (last) destroy(weight);
}

float *dmi_cached_weight_data(const dmi_cached_weight *weight) { return weight->data; }

bool dmi_cached_weight_begin(dmi_cached_weight *weight, uint64_t version) {
    if (atomic_load_explicit(&weight->version, memory_order_acquire) == version) return false;
    pthread_mutex_lock(&weight->cache->mutex);
    if (atomic_load_explicit(&weight->version, memory_order_relaxed) != version) return true;
    pthread_mutex_unlock(&weight->cache->mutex); /* another graph has computed it meanwhile */
    return false;
}

void dmi_cached_weight_end(dmi_cached_weight *weight, uint64_t version) {
    atomic_store_explicit(&weight->version, version, memory_order_release);
    pthread_mutex_unlock(&weight->cache->mutex);
}
