/* SPDX-License-Identifier: MIT */
/* Networks whose weights several contexts share (dm_unet_share). */
#include <pthread.h>

#include "support/allocator.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/schedule.h"
#include "support/training.h"
#include "unet/unet.h"

/* A context of one thread that keeps its last warning in `warning` [256]. */
static uint64_t used_by(const dm_context *context) {
    uint64_t used;
    ck_assert_int_eq(dm_context_get_memory(context, &used, NULL, NULL), DM_OK);
    return used;
}

/* ---- threads ---- */

enum { THREADS = 8, RUNS = 3, IMAGES = 2, STEPS = 3 };

/* What one thread samples: the same with each network that has the same weights. */
typedef struct outputs {
    float forward[IMAGES * NETWORK_ELEMENTS], sampled[IMAGES * NETWORK_ELEMENTS];
} outputs;

static dm_status sample(dm_unet *unet, const dm_schedule *schedule, float *images) {
    dm_sampler_options o;
    dm_sampler_request r;
    dm_sampler *sampler;
    const int32_t labels[IMAGES] = {0, 3};
    dm_status status = dm_sampler_options_init(&o, sizeof o);
    if (!status) status = dm_sampler_request_init(&r, sizeof r);
    o.steps = STEPS;
    o.batch_size = 1;
    r.count = IMAGES;
    r.labels = labels;
    r.label_count = IMAGES;
    if (!status) status = dm_sampler_create(&sampler, unet, schedule, &o);
    if (status) return status;
    status = dm_sampler_run(sampler, &r, images, IMAGES * NETWORK_ELEMENTS);
    dm_sampler_destroy(sampler);
    return status;
}

static dm_status run_both(dm_unet *unet, const dm_schedule *schedule, outputs *out) {
    static const double times[IMAGES] = {3, 700};
    network_input in;
    dm_unet_input input;
    network_give(&in);
    dm_status status = dm_unet_input_init(&input, sizeof input);
    input.count = IMAGES;
    input.x_elements = IMAGES * NETWORK_ELEMENTS;
    input.time_count = input.count;
    input.x = in.x;
    input.times = times;
    if (!status) status = dm_unet_forward(unet, &input, out->forward, IMAGES * NETWORK_ELEMENTS);
    return status ? status : sample(unet, schedule, out->sampled);
}

/* A thread with a context and a share of its own. */
typedef struct worker {
    pthread_t thread;
    const dm_unet *owner;
    const dm_schedule *schedule;
    const outputs *want;
    dm_status status;
    bool same;
    uint64_t used; /* by the share, before it ran */
} worker;

static void *work(void *data) {
    worker *w = data;
    dm_context_options o;
    dm_context *context;
    w->same = true;
    w->status = dm_context_options_init(&o, sizeof o);
    o.threads = 2;
    if (!w->status) w->status = dm_context_create(&context, &o, NULL, 0);
    for (int32_t run = 0; !w->status && run < RUNS; run++) {
        dm_unet *unet;
        uint64_t before, after;
        outputs out;
        dm_context_get_memory(context, &before, NULL, NULL);
        w->status = dm_unet_share(&unet, context, w->owner);
        if (w->status) break;
        dm_context_get_memory(context, &after, NULL, NULL);
        w->used = after - before;
        w->status = run_both(unet, w->schedule, &out);
        w->same = w->same && !memcmp(&out, w->want, sizeof out);
        dm_unet_destroy(unet);
        dm_context_get_memory(context, &after, NULL, NULL);
        w->same = w->same && after == before;
    }
    dm_context_destroy(context);
    return NULL;
}

/* The owner runs at the same time as its shares. */
START_TEST(eight_threads_on_one_network) {
    static outputs want, got;
    static worker workers[THREADS];
    dm_context *context = test_context_new(NULL, 0);
    dm_schedule *schedule;
    dm_unet *unet = network_new(context, 1);
    network_randomize(unet, 4);
    test_accepted(context, linear_schedule(&schedule, context));
    test_accepted(context, run_both(unet, schedule, &want));
    const uint64_t used = used_by(context);
    const size_t bytes = dm_unet_parameter_count(unet) * sizeof(float);
    for (int32_t i = 0; i < THREADS; i++) {
        workers[i] = (worker){.owner = unet, .schedule = schedule, .want = &want};
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int32_t run = 0; run < RUNS; run++) {
        test_accepted(context, run_both(unet, schedule, &got));
        ck_assert_mem_eq(&got, &want, sizeof want);
    }
    for (int32_t i = 0; i < THREADS; i++) {
        pthread_join(workers[i].thread, NULL);
        ck_assert_msg(workers[i].status == DM_OK, "%s", dm_status_name(workers[i].status));
        ck_assert(workers[i].same);
        ck_assert_uint_lt(workers[i].used, bytes / 10);
    }
    ck_assert_uint_eq(used_by(context), used);
    ck_assert(dmi_unet_weights_lock(unet->weights)); /* no share is left */
    dmi_unet_weights_unlock(unet->weights);
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
}
END_TEST

/* ---- read-only ---- */

START_TEST(shared_weights_are_read_only) {
    training t, other;
    dm_unet *share, *second;
    dm_trainer *trainer;
    float bias[16] = {0};
    char path[256];
    const int64_t shape[1] = {16};
    const int32_t state = DM_ERROR_WRONG_STATE;
    training_setup setup = training_default();
    snprintf(path, sizeof path, "%s/checkpoint", test_folder());
    training_begin(&t, &setup);
    training_prepare(&other, &setup);
    training_require(&t, dm_trainer_save(t.trainer, path));
    training_require(&other, dm_unet_share(&share, other.context, other.unet));
    training_require(&other, dm_unet_share(&second, other.context, share));
    float *weights = training_weights(&other);
    for (int32_t i = 0; i < 2; i++) {
        dm_unet *unet = i == 0 ? other.unet : share;
        training_expect(&other, dm_unet_set_tensor(unet, "conv_in.bias", bias, 16, shape, 1), state,
                        "unet: the network is shared|read-only");
        training_expect(&other,
                        dm_trainer_create(&trainer, unet, other.schedule, other.dataset, NULL),
                        state, "trainer: the network is shared");
        ck_assert_ptr_null(trainer);
        training_expect(&other, dm_trainer_resume(&trainer, unet, other.dataset, path), state,
                        "trainer: the network is shared");
        ck_assert_ptr_null(trainer);
        training_expect(&t, dm_trainer_get_ema(t.trainer, 0, unet), state, "'target' is shared");
        if (i == 0) dm_unet_destroy(second);
    }
    ck_assert(training_unchanged(&other, weights));
    dm_unet_destroy(share);
    training_require(&other, network_set(other.unet, "conv_in.bias", bias, 16));
    training_require(&t, dm_trainer_get_ema(t.trainer, 0, other.unet));
    training_require(&other, dm_trainer_resume(&other.trainer, other.unet, other.dataset, path));
    training_require(&other, dm_trainer_step(other.trainer, NULL));
    free(weights);
    training_end(&other);
    training_end(&t);
}
END_TEST

START_TEST(a_network_in_training_is_not_shared) {
    training t;
    dm_unet *share = (dm_unet *)&t;
    training_setup setup = training_default();
    dm_context *context = test_context_new(NULL, 0);
    training_begin(&t, &setup);
    const uint64_t used = used_by(context);
    test_refused(context, dm_unet_share(&share, context, t.unet), DM_ERROR_WRONG_STATE,
                 "unet: the network cannot be shared|trainer");
    ck_assert_ptr_null(share);
    ck_assert_uint_eq(used_by(context), used);
    dm_trainer_destroy(t.trainer);
    t.trainer = NULL;
    test_accepted(context, dm_unet_share(&share, context, t.unet));
    dm_unet_destroy(share);
    dm_context_destroy(context);
    training_end(&t);
}
END_TEST

/* ---- ends ---- */

/* 0: the network is destroyed before its share; 1: its context too. */
START_TEST(owners_may_be_destroyed_first) {
    static outputs want, got;
    char warning[256] = "", unused[256] = "";
    test_allocator owned, shared;
    dm_context *context = test_context_with_log(&owned, 1, warning),
               *other = test_context_with_log(&shared, 1, unused);
    dm_schedule *schedule;
    dm_unet *unet = network_new(context, 1), *share;
    network_randomize(unet, 4);
    test_accepted(other, linear_schedule(&schedule, other));
    test_accepted(context, run_both(unet, schedule, &want));
    test_accepted(other, dm_unet_share(&share, other, unet));
    dm_unet_destroy(unet);
    ck_assert_msg(strstr(warning, "destroyed while it is shared"), "%s", warning);
    if (_i) {
        dm_context_destroy(context);
        ck_assert_msg(strstr(warning, "shares of them"), "%s", warning);
    }
    ck_assert_int_gt(owned.live, 0);
    warning[0] = 0;
    test_accepted(other, run_both(share, schedule, &got));
    ck_assert_mem_eq(&got, &want, sizeof want);
    dm_unet_destroy(share);
    if (!_i) {
        ck_assert_int_gt(owned.live, 0); /* the context */
        dm_context_destroy(context);
    }
    ck_assert_int_eq(owned.live, 0);
    ck_assert_str_eq(warning, "");
    dm_schedule_destroy(schedule);
    dm_context_destroy(other);
    ck_assert_int_eq(shared.live, 0);
    ck_assert_str_eq(unused, "");
}
END_TEST

enum { OWNER, SHARE, OWNERS_CONTEXT, SHARES_CONTEXT, ENDS, ORDERS = 24 };

/* Each of the ENDS once, in one of the ORDERS. */
static void order_of(int32_t order, int32_t *ends) {
    for (int32_t i = 0; i < ENDS; i++) ends[i] = i;
    for (int32_t i = 0; i < ENDS; i++) {
        int32_t chosen = i + order % (ENDS - i), end = ends[chosen];
        order /= ENDS - i;
        ends[chosen] = ends[i];
        ends[i] = end;
    }
}

/* In one context from number ORDERS on. A share runs as long as it is there. */
START_TEST(ends_may_come_in_any_order) {
    static float want[NETWORK_ELEMENTS], got[NETWORK_ELEMENTS];
    char warnings[2][256];
    test_allocator owned, shared = {0};
    int32_t ends[ENDS];
    network_input in;
    bool one = _i >= ORDERS;
    dm_context *context = test_context_with_log(&owned, 1, warnings[0]);
    dm_context *other = one ? context : test_context_with_log(&shared, 1, warnings[1]);
    dm_unet *unet = network_new(context, 1), *share;
    network_randomize(unet, 4);
    network_give(&in);
    test_accepted(context, network_forward(unet, want, in.x, in.timesteps, NULL, 1));
    test_accepted(other, dm_unet_share(&share, other, unet));
    order_of(_i % ORDERS, ends);
    for (int32_t i = 0; i < ENDS; i++) {
        if (ends[i] == OWNER) dm_unet_destroy(unet);
        if (ends[i] == OWNERS_CONTEXT) dm_context_destroy(context);
        if (ends[i] == SHARES_CONTEXT && !one) dm_context_destroy(other);
        if (ends[i] == SHARE) dm_unet_destroy(share), share = NULL;
        if (!share) continue;
        test_accepted(other, network_forward(share, got, in.x, in.timesteps, NULL, 1));
        ck_assert_mem_eq(got, want, sizeof want);
    }
    ck_assert_int_eq(owned.live, 0);
    ck_assert_int_eq(shared.live, 0);
}
END_TEST

START_TEST(shares_have_the_owners_properties) {
    dm_context *context = test_context_new(NULL, 0), *other = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *share;
    unet->null_class = DMI_NULL_CLASS_UNTRAINED;
    test_accepted(other, dm_unet_share(&share, other, unet));
    network_same(unet, share);
    ck_assert_ptr_eq(dm_unet_context(share), other);
    ck_assert_ptr_eq(dm_unet_context(unet), context);
    ck_assert_uint_eq(dm_unet_parameter_count(share), dm_unet_parameter_count(unet));
    ck_assert_int_eq(share->null_class, DMI_NULL_CLASS_UNTRAINED);
    dm_unet_destroy(share);
    test_refused(other, dm_unet_share(&share, other, NULL), DM_ERROR_INVALID_ARGUMENT,
                 "'unet' is NULL");
    ck_assert_ptr_null(share);
    test_refused(other, dm_unet_share(NULL, other, unet), DM_ERROR_INVALID_ARGUMENT,
                 "'out' is NULL");
    ck_assert_int_eq(dm_unet_share(&share, NULL, unet), DM_ERROR_INVALID_ARGUMENT);
    dm_unet_destroy(unet);
    dm_context_destroy(other);
    dm_context_destroy(context);
}
END_TEST

static dm_status make_share(dm_context *context, const void *user) {
    dm_unet *share;
    dm_status status = dm_unet_share(&share, context, user);
    dm_unet_destroy(share);
    return status;
}

START_TEST(every_allocation_may_fail) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1);
    ck_assert_int_ge(test_every_allocation(make_share, unet), 1);
    ck_assert(dmi_unet_weights_lock(unet->weights));
    dmi_unet_weights_unlock(unet->weights);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* A share's thread may fail while the owner's context is in use by another. */
START_TEST(errors_are_the_shares) {
    static float out[NETWORK_ELEMENTS];
    char text[256];
    network_input in;
    dm_context *context = test_context_new(NULL, 0), *other = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *share;
    test_accepted(other, dm_unet_share(&share, other, unet));
    network_give(&in);
    ck_assert_int_ne(dm_unet_get_tensor(unet, "none", out, 1), DM_OK);
    snprintf(text, sizeof text, "%s", dm_context_error(context));
    for (uint64_t room = 1; room < 100000; room *= 8) { /* neither a list's item nor data fit */
        context->host.limit = used_by(context) + room;
        test_refused(other, network_forward(share, out, in.x, in.timesteps, NULL, 1),
                     DM_ERROR_LIMIT_EXCEEDED, "owns the parameters|would exceed the memory limit");
        ck_assert_str_eq(dm_context_error(context), text);
    }
    context->host.limit = 0;
    test_accepted(other, network_forward(share, out, in.x, in.timesteps, NULL, 1));
    ck_assert_str_eq(dm_context_error(context), text);
    dm_unet_destroy(share);
    dm_unet_destroy(unet);
    dm_context_destroy(other);
    dm_context_destroy(context);
}
END_TEST

/* ---- a busy owner ---- */

typedef struct busy {
    dm_unet *unet;
    dm_context *other;
    dm_status here, there;
} busy;

static int32_t share_now(void *user, const dm_sampler_progress *progress) {
    busy *b = user;
    dm_unet *share;
    (void)progress;
    b->here = dm_unet_share(&share, dm_unet_context(b->unet), b->unet);
    b->there = dm_unet_share(&share, b->other, b->unet);
    dm_unet_destroy(share);
    return 0;
}

START_TEST(busy_owners_can_be_shared) {
    training t;
    training_setup setup = training_default();
    float image[TRAINING_ELEMENTS];
    dm_sampler_options o;
    dm_sampler_request r;
    dm_sampler *sampler;
    training_prepare(&t, &setup);
    busy b = {.unet = t.unet, .other = test_context_new(NULL, 0), .there = DM_ERROR_INTERNAL};
    training_require(&t, dm_sampler_options_init(&o, sizeof o));
    training_require(&t, dm_sampler_request_init(&r, sizeof r));
    o.steps = 2;
    r.progress = share_now;
    r.progress_user = &b;
    training_require(&t, dm_sampler_create(&sampler, t.unet, t.schedule, &o));
    training_require(&t, dm_sampler_run(sampler, &r, image, TRAINING_ELEMENTS));
    ck_assert_int_eq(b.here, DM_ERROR_WRONG_STATE);
    ck_assert_int_eq(b.there, DM_OK);
    dm_sampler_destroy(sampler);
    dm_context_destroy(b.other);
    training_end(&t);
}
END_TEST

Suite *test_shared_suite(void);
Suite *test_shared_suite(void) {
    Suite *suite = suite_create("shared");
    TCase *tcase = tcase_create("shared");
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, eight_threads_on_one_network);
    tcase_add_test(tcase, shared_weights_are_read_only);
    tcase_add_test(tcase, a_network_in_training_is_not_shared);
    tcase_add_loop_test(tcase, owners_may_be_destroyed_first, 0, 2);
    tcase_add_loop_test(tcase, ends_may_come_in_any_order, 0, 2 * ORDERS);
    tcase_add_test(tcase, shares_have_the_owners_properties);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_test(tcase, errors_are_the_shares);
    tcase_add_test(tcase, busy_owners_can_be_shared);
    suite_add_tcase(suite, tcase);
    return suite;
}
