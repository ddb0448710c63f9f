/* SPDX-License-Identifier: MIT */
/* Callbacks of an owner's context may run a share of the network in another context. */
#include <pthread.h>

#include "support/allocator.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/support.h"
#include "unet/unet.h"

static uint64_t used_by(const dm_context *context) {
    uint64_t used;
    ck_assert_int_eq(dm_context_get_memory(context, &used, NULL, NULL), DM_OK);
    return used;
}

typedef struct nested_run {
    dm_unet *share; /* NULL: not yet */
    network_input in;
    float want[NETWORK_ELEMENTS];
    int32_t calls, at; /* callbacks so far; the number of the one that runs the share */
    bool inside;       /* that one */
    bool on_thread;    /* it runs the share on another thread, and waits for that */
    int32_t done, wrong;
} nested_run;

static void *run_share(void *data) {
    nested_run *n = data;
    float got[NETWORK_ELEMENTS];
    dm_status status = network_forward(n->share, got, n->in.x, n->in.timesteps, NULL, 1);
    n->wrong += status || memcmp(got, n->want, sizeof got) != 0;
    n->done++;
    return NULL;
}

static void any_callback(nested_run *n) {
    pthread_t thread;
    if (!n->share || n->inside || n->calls++ != n->at) return;
    n->inside = true;
    if (!n->on_thread) run_share(n);
    else if (!pthread_create(&thread, NULL, run_share, n)) pthread_join(thread, NULL);
    n->inside = false;
}

static void for_each(void *user, int32_t count, void (*body)(void *data, int32_t index),
                     void *data) {
    any_callback(user);
    for (int32_t i = 0; i < count; i++) body(data, i);
}

static void *allocate(void *user, size_t size) {
    any_callback(user);
    return malloc(size);
}

static void release(void *user, void *pointer, size_t size) {
    (void)size;
    any_callback(user);
    free(pointer);
}

static dm_context *context_with_callbacks(nested_run *n) {
    dm_context_options o;
    dm_context *context;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = 2;
    o.parallel_for = for_each;
    o.allocate = allocate;
    o.release = release;
    o.parallel_user = o.allocator_user = n;
    ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
    return context;
}

/* Each callback in turn, from the plan of a graph to its end: there is no lock that the share would
 * wait for. */
START_TEST(callbacks_may_run_shares) {
    static nested_run n;
    static float got[NETWORK_ELEMENTS];
    n = (nested_run){0}; /* where the tests run in one process */
    dm_context *context = context_with_callbacks(&n), *other = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *share;
    network_randomize(unet, 4);
    network_give(&n.in);
    test_accepted(context, network_forward(unet, n.want, n.in.x, n.in.timesteps, NULL, 1));
    test_accepted(other, dm_unet_share(&share, other, unet));
    dmi_unet_graph_destroy(&unet->forward);
    const uint64_t used = used_by(context);
    n.on_thread = _i;
    do {
        n.calls = 0;
        n.share = share;
        test_accepted(context, network_forward(unet, got, n.in.x, n.in.timesteps, NULL, 1));
        ck_assert_mem_eq(got, n.want, sizeof got);
        dmi_unet_graph_destroy(&unet->forward);
        n.share = NULL;
        dmi_unet_graph_destroy(&share->forward);
        ck_assert_uint_eq(used_by(context), used);
    } while (n.calls > n.at++);
    ck_assert_int_gt(n.done, 100);
    ck_assert_int_eq(n.done, n.at - 1);
    ck_assert_int_eq(n.wrong, 0);
    dm_unet_destroy(share);
    dm_unet_destroy(unet);
    dm_context_destroy(other);
    dm_context_destroy(context);
}
END_TEST

Suite *test_shared_callbacks_suite(void);
Suite *test_shared_callbacks_suite(void) {
    Suite *suite = suite_create("shared_callbacks");
    TCase *tcase = tcase_create("shared_callbacks");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, callbacks_may_run_shares, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}
