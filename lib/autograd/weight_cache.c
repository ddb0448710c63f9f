/* See weight_cache.h. The mutex guards the list, the counts and the computation of data. */
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
           a->floats == b->floats;
}

/* A new entry at the head of the list. The caller holds the mutex. */
static int32_t add(dmi_weight_cache *cache, const dmi_weight_key *key, dmi_cached_weight **out) {
    dmi_host *host = cache->host;
    dmi_cached_weight *weight;
    int32_t status = dmi_alloc_zero(host, &weight, 1, sizeof *weight, "network: its plan");
    if (status) return status;
    status = dmi_alloc_array(host, &weight->data, key->floats, sizeof(float), "network: its plan");
    if (status) {
        dmi_free(host, weight);
        return status;
    }
    weight->cache = cache;
    weight->key = *key;
    weight->next = cache->first;
    cache->first = weight;
    *out = weight;
    return DMI_OK;
}

int32_t dmi_weight_cache_acquire(dmi_weight_cache *cache, dmi_host *user, const dmi_weight_key *key,
                                 dmi_cached_weight **out) {
    int32_t status = DMI_OK;
    pthread_mutex_lock(&cache->mutex);
    dmi_cached_weight *weight = cache->first;
    while (weight && !is_same(&weight->key, key)) weight = weight->next;
    if (!weight) status = add(cache, key, &weight);
    if (!status) weight->graphs++;
    pthread_mutex_unlock(&cache->mutex);
    *out = status ? NULL : weight;
    if (status && user != cache->host)
        return dmi_fail(user, status,
                        "network: its plan: the context that owns the parameters has no memory for "
                        "their transformed weights");
    return status;
}

void dmi_weight_cache_release(dmi_cached_weight *weight) {
    dmi_weight_cache *cache = weight->cache;
    pthread_mutex_lock(&cache->mutex);
    if (--weight->graphs == 0) {
        dmi_cached_weight **link = &cache->first;
        while (*link != weight) link = &(*link)->next;
        *link = weight->next;
        dmi_free(cache->host, weight->data);
        dmi_free(cache->host, weight);
    }
    pthread_mutex_unlock(&cache->mutex);
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
