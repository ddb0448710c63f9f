/* SPDX-License-Identifier: MIT */
/* Transformed weights belong to the parameters: graphs on the same parameters share them, in one
 * thread or in several, and compute them again when the parameters change. */
#include "autograd/weight_cache.h"

#include <pthread.h>
#include <string.h>

#include "autograd/graph.h"
#include "autograd/ops.h"
#include "base/cpu.h"
#include "support/support.h"

enum { LAYERS = 3, BATCH = 2, SIDE = 8, FLOATS = BATCH * SIDE * SIDE * 16, ROUNDS = 100 };

static const int32_t channels[LAYERS + 1] = {16, 32, 32, 16};

/* LAYERS convolutions of 3x3 on x [BATCH, SIDE, SIDE, 16], all by Winograd; the last has a
 * standardized weight, which is cached too. */
typedef struct network {
    dmi_graph *graph;
    dmi_value x, y;
} network;

static void params_begin(dmi_host *host, dmi_params *params) {
    dmi_params_init(params);
    for (int32_t i = 0; i < LAYERS; i++) {
        char name[16];
        int32_t index;
        const int64_t shape[] = {channels[i + 1], channels[i], 3, 3};
        snprintf(name, sizeof name, "conv%d", (int)i);
        ck_assert_int_eq(dmi_params_add(host, params, &index, name, 4, shape, false), DMI_OK);
    }
    ck_assert_int_eq(dmi_params_allocate(host, params), DMI_OK);
    test_fill(params->data, params->floats, 1, 0.1f);
}

static int32_t plan(network *n, dmi_host *host, dmi_params *params, int32_t isa) {
    ck_assert_int_eq(dmi_graph_create(host, &n->graph, dmi_kernels_for(isa), params), DMI_OK);
    ck_assert_int_eq(dmi_graph_input(n->graph, &n->x, dmi_shape_of(BATCH, SIDE, SIDE, channels[0]),
                                     false),
                     DMI_OK);
    n->y = n->x;
    for (int32_t i = 0; i < LAYERS; i++) {
        dmi_value weight;
        ck_assert_int_eq(dmi_graph_param(n->graph, &weight, i), DMI_OK);
        if (i == LAYERS - 1)
            ck_assert_int_eq(dmi_weight_standardize(n->graph, &weight, weight, 1e-5f), DMI_OK);
        ck_assert_int_eq(dmi_conv(n->graph, &n->y, n->y, weight, DMI_NONE, DMI_NONE, DMI_NONE, 3, 1,
                                  1, false),
                         DMI_OK);
    }
    return dmi_graph_plan(n->graph, &n->y, 1, false);
}

static void network_begin(network *n, dmi_host *host, dmi_params *params) {
    ck_assert_int_eq(plan(n, host, params, dmi_cpu_isa()), DMI_OK);
}

static void run(const network *n, float *y) {
    test_fill(dmi_graph_data(n->graph, n->x), FLOATS, 2, 1);
    dmi_graph_forward(n->graph);
    memcpy(y, dmi_graph_data(n->graph, n->y), FLOATS * sizeof *y);
}

/* Of the entries that a graph uses. */
static size_t cached_bytes(const network *n) {
    size_t floats = 0;
    for (int32_t i = 0; i < n->graph->node_count; i++) {
        ck_assert_ptr_nonnull(n->graph->nodes[i].cached);
        floats += n->graph->nodes[i].needs.cached.floats;
    }
    return floats * sizeof(float);
}

START_TEST(graphs_share_entries) {
    dmi_host *host = test_host_new(1);
    dmi_params params;
    network first, second;
    static float want[FLOATS], got[FLOATS];
    params_begin(host, &params);
    uint64_t before = host->used;
    network_begin(&first, host, &params);
    uint64_t one = host->used - before;
    network_begin(&second, host, &params);
    uint64_t other = host->used - before - one;
    ck_assert_uint_ge(one - other, cached_bytes(&first));
    ck_assert_uint_lt(one - other, cached_bytes(&first) + LAYERS * 1024); /* and their lists */
    for (int32_t i = 0; i < LAYERS; i++)
        ck_assert_ptr_eq(first.graph->nodes[i].cached, second.graph->nodes[i].cached);
    run(&first, want);
    dmi_graph_destroy(first.graph);
    run(&second, got);
    ck_assert_mem_eq(got, want, sizeof want);
    dmi_graph_destroy(second.graph);
    ck_assert_uint_eq(host->used, before);
    dmi_params_free(host, &params);
    test_host_end(host);
}
END_TEST

/* What a second graph finds is neither computed again nor touched. */
START_TEST(entries_are_computed_once) {
    dmi_host *host = test_host_new(1);
    dmi_params params;
    network first, second;
    static float y[FLOATS];
    params_begin(host, &params);
    network_begin(&first, host, &params);
    network_begin(&second, host, &params);
    run(&first, y);
    float *data[LAYERS + 1], values[LAYERS + 1];
    ck_assert_int_eq(second.graph->node_count, LAYERS + 1);
    for (int32_t i = 0; i <= LAYERS; i++) {
        data[i] = dmi_cached_weight_data(second.graph->nodes[i].cached);
        values[i] = data[i][0];
        data[i][0]++;
    }
    run(&second, y);
    for (int32_t i = 0; i <= LAYERS; i++) ck_assert(data[i][0] == values[i] + 1);
    params.version++;
    run(&second, y);
    for (int32_t i = 0; i <= LAYERS; i++) ck_assert(data[i][0] == values[i]);
    dmi_graph_destroy(second.graph);
    dmi_graph_destroy(first.graph);
    dmi_params_free(host, &params);
    test_host_end(host);
}
END_TEST

START_TEST(changed_parameters_are_transformed_again) {
    dmi_host *host = test_host_new(2);
    dmi_params params;
    network old, fresh;
    static float before[FLOATS], want[FLOATS], got[FLOATS];
    params_begin(host, &params);
    network_begin(&old, host, &params);
    run(&old, before);
    test_fill(params.data, params.floats, 3, 0.1f);
    params.version++;
    run(&old, got);
    dmi_graph_destroy(old.graph);
    network_begin(&fresh, host, &params);
    run(&fresh, want);
    ck_assert_mem_eq(got, want, sizeof want);
    ck_assert_mem_ne(got, before, sizeof before);
    dmi_graph_destroy(fresh.graph);
    dmi_params_free(host, &params);
    test_host_end(host);
}
END_TEST

/* Kernels of another vector width have another layout. */
START_TEST(other_kernels_have_other_entries) {
    dmi_host *host = test_host_new(1);
    dmi_params params;
    network best, base;
    static float want[FLOATS], got[FLOATS];
    params_begin(host, &params);
    network_begin(&best, host, &params);
    ck_assert_int_eq(plan(&base, host, &params, DMI_ISA_BASE), DMI_OK);
    ck_assert_int_eq(best.graph->nodes[0].cached == base.graph->nodes[0].cached,
                     dmi_cpu_isa() == DMI_ISA_BASE);
    run(&best, want);
    run(&base, got);
    test_close(got, want, FLOATS, 1e-5);
    dmi_graph_destroy(base.graph);
    dmi_graph_destroy(best.graph);
    dmi_params_free(host, &params);
    test_host_end(host);
}
END_TEST

/* The owner's limit is the one that counts, and the graph's host has the error. */
START_TEST(an_owner_that_runs_out_of_memory) {
    dmi_host *owner = test_host_new(1), *user = test_host_new(1);
    dmi_params params;
    network n;
    params_begin(owner, &params);
    network_begin(&n, user, &params);
    uint64_t needed = owner->used, cached = cached_bytes(&n);
    dmi_graph_destroy(n.graph);
    uint64_t used = owner->used;
    ck_assert_uint_ge(needed - used, cached);
    for (uint64_t limit = used; limit < needed; limit += 4096) {
        owner->limit = limit;
        ck_assert_int_eq(plan(&n, user, &params, dmi_cpu_isa()), DMI_ERROR_LIMIT_EXCEEDED);
        ck_assert_ptr_nonnull(strstr(user->error, "owns the parameters"));
        ck_assert_uint_eq(owner->used, used);
        dmi_graph_destroy(n.graph);
    }
    owner->limit = needed;
    network_begin(&n, user, &params);
    dmi_graph_destroy(n.graph);
    dmi_params_free(owner, &params);
    test_host_end(user);
    test_host_end(owner);
}
END_TEST

/* An allocator that, once, acquires an entry itself: as another thread may at that moment. */
typedef struct competing {
    dmi_weight_cache *cache;
    dmi_host *user;
    dmi_weight_key key;
    dmi_cached_weight *weight;
} competing;

static void *competing_allocate(void *user, size_t size) {
    competing *r = user;
    dmi_weight_cache *cache = r->cache;
    r->cache = NULL;
    if (cache)
        ck_assert_int_eq(dmi_weight_cache_acquire(cache, r->user, &r->key, &r->weight), DMI_OK);
    return malloc(size);
}

static void competing_release(void *user, void *pointer, size_t size) {
    (void)user, (void)size;
    free(pointer);
}

START_TEST(the_first_of_two_entries_stays) {
    dmi_host *user = test_host_new(1);
    competing r = {.user = user, .key = {.algorithm = &r, .floats = 100}};
    dmi_host owner = {.allocate = competing_allocate,
                      .release = competing_release,
                      .allocator_user = &r};
    dmi_weight_cache *cache;
    dmi_cached_weight *weight;
    ck_assert_int_eq(dmi_weight_cache_create(&owner, &cache), DMI_OK);
    uint64_t used = owner.used;
    r.cache = cache;
    ck_assert_int_eq(dmi_weight_cache_acquire(cache, user, &r.key, &weight), DMI_OK);
    ck_assert_ptr_nonnull(weight);
    ck_assert_ptr_eq(weight, r.weight);
    ck_assert_uint_lt(owner.used - used, 2 * 100 * sizeof(float));
    dmi_weight_cache_release(weight);
    dmi_cached_weight_data(weight)[99] = 1; /* one graph is left */
    dmi_weight_cache_release(weight);
    ck_assert_uint_eq(owner.used, used);
    dmi_weight_cache_destroy(cache);
    test_host_end(user);
}
END_TEST

/* ---- gradients of inputs alone ---- */

enum { IN = 16, WIDE = 32, X_FLOATS = BATCH * SIDE * SIDE * IN, Y_FLOATS = 4 * X_FLOATS };

/* A convolution of a standardized weight, a depthwise and a transposed one, with gradients of the
 * input x or of the parameters too. Runs it twice. Returns the arena's floats. */
static size_t run_gradients(dmi_host *host, bool only_inputs, float *y, float *dx) {
    static const int64_t shapes[][4] = {{WIDE, IN, 3, 3}, {WIDE, 1, 7, 7}, {WIDE, IN, 4, 4}};
    dmi_params params;
    dmi_graph *g;
    dmi_value x, h, weights[3];
    int32_t index;
    dmi_params_init(&params);
    for (int32_t i = 0; i < 3; i++)
        ck_assert_int_eq(dmi_params_add(host, &params, &index, (char[]){(char)('a' + i), 0}, 4,
                                        shapes[i], false),
                         DMI_OK);
    ck_assert_int_eq(dmi_params_allocate(host, &params), DMI_OK);
    ck_assert_int_eq(dmi_params_allocate_gradient(host, &params), DMI_OK);
    test_fill(params.data, params.floats, 1, 0.1f);
    ck_assert_int_eq(dmi_graph_create(host, &g, dmi_kernels_for(dmi_cpu_isa()), &params), DMI_OK);
    g->only_inputs = only_inputs;
    ck_assert_int_eq(dmi_graph_input(g, &x, dmi_shape_of(BATCH, SIDE, SIDE, IN), true), DMI_OK);
    for (int32_t i = 0; i < 3; i++) ck_assert_int_eq(dmi_graph_param(g, &weights[i], i), DMI_OK);
    ck_assert_int_eq(dmi_weight_standardize(g, &weights[0], weights[0], 1e-5f), DMI_OK);
    ck_assert_int_eq(dmi_conv(g, &h, x, weights[0], DMI_NONE, DMI_NONE, DMI_NONE, 3, 1, 1, false),
                     DMI_OK);
    ck_assert_int_eq(dmi_depthwise(g, &h, h, weights[1], DMI_NONE, 7), DMI_OK);
    ck_assert_int_eq(dmi_conv_transposed(g, &h, h, weights[2], DMI_NONE), DMI_OK);
    ck_assert_int_eq(dmi_graph_plan(g, &h, 1, true), DMI_OK);
    for (int32_t i = 0; i < 4; i++) {
        const dmi_node *node = &g->nodes[i];
        ck_assert_int_eq(node->cached != NULL, only_inputs && i != 2); /* depthwise needs nothing */
        if (i) ck_assert_int_eq(node->needs.reads & 1, !only_inputs);  /* x, for dw alone */
    }
    for (int32_t k = 0; k < 2; k++) {
        test_fill(dmi_graph_data(g, x), X_FLOATS, 2, 1);
        dmi_graph_forward(g);
        memcpy(y, dmi_graph_data(g, h), Y_FLOATS * sizeof *y);
        test_fill(dmi_graph_gradient(g, h), Y_FLOATS, 3, 1);
        dmi_graph_backward(g);
        memcpy(dx, dmi_graph_gradient(g, x), X_FLOATS * sizeof *dx);
    }
    size_t floats = g->arena_floats;
    dmi_graph_destroy(g);
    dmi_params_free(host, &params);
    return floats;
}

/* A graph with gradients of its inputs alone keeps the transformed weights, and no activations for
 * the weights' gradients. */
START_TEST(gradients_of_inputs_alone) {
    static float want[Y_FLOATS], want_dx[X_FLOATS], y[Y_FLOATS], dx[X_FLOATS];
    dmi_host *host = test_host_new(2);
    size_t all = run_gradients(host, false, want, want_dx),
           inputs = run_gradients(host, true, y, dx);
    ck_assert_mem_eq(y, want, sizeof want);
    ck_assert_mem_eq(dx, want_dx, sizeof want_dx);
    ck_assert_uint_lt(inputs, all);
    test_host_end(host);
}
END_TEST

/* ---- threads ---- */

typedef struct client {
    dmi_params *params;
    const float *want;
    int32_t threads;
    pthread_barrier_t *barrier;
    int32_t wrong; /* runs whose bits differ */
} client;

/* Plans and runs a graph of its own in each round, in which no entry is computed at first. */
static void *client_main(void *argument) {
    client *c = argument;
    dmi_host *host = test_host_new(c->threads);
    float *y = malloc(FLOATS * sizeof *y);
    for (int32_t round = 0; round < ROUNDS; round++) {
        network n;
        network_begin(&n, host, c->params);
        pthread_barrier_wait(c->barrier);
        for (int32_t i = 0; i < 2; i++) {
            run(&n, y);
            c->wrong += memcmp(y, c->want, FLOATS * sizeof *y) != 0;
        }
        dmi_graph_destroy(n.graph);
        pthread_barrier_wait(c->barrier); /* no thread uses an entry any more: all are freed */
    }
    free(y);
    test_host_end(host);
    return NULL;
}

START_TEST(threads_share_entries) {
    enum { CLIENTS = 2 };
    dmi_host *owner = test_host_new(1);
    dmi_params params;
    network n;
    static float want[FLOATS];
    pthread_barrier_t barrier;
    pthread_t threads[CLIENTS];
    client clients[CLIENTS];
    params_begin(owner, &params);
    uint64_t used = owner->used;
    network_begin(&n, owner, &params);
    run(&n, want);
    dmi_graph_destroy(n.graph);
    ck_assert_int_eq(pthread_barrier_init(&barrier, NULL, CLIENTS), 0);
    for (int32_t i = 0; i < CLIENTS; i++) {
        clients[i] = (client){&params, want, 1 + i, &barrier, 0};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, client_main, &clients[i]), 0);
    }
    for (int32_t i = 0; i < CLIENTS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_int_eq(clients[i].wrong, 0);
    }
    pthread_barrier_destroy(&barrier);
    ck_assert_uint_eq(owner->used, used);
    dmi_params_free(owner, &params);
    test_host_end(owner);
}
END_TEST

Suite *test_weight_cache_suite(void);
Suite *test_weight_cache_suite(void) {
    Suite *suite = suite_create("weight_cache");
    TCase *tcase = tcase_create("weight_cache");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, graphs_share_entries);
    tcase_add_test(tcase, entries_are_computed_once);
    tcase_add_test(tcase, changed_parameters_are_transformed_again);
    tcase_add_test(tcase, other_kernels_have_other_entries);
    tcase_add_test(tcase, an_owner_that_runs_out_of_memory);
    tcase_add_test(tcase, the_first_of_two_entries_stays);
    tcase_add_test(tcase, gradients_of_inputs_alone);
    tcase_add_test(tcase, threads_share_entries);
    suite_add_tcase(suite, tcase);
    return suite;
}
