/* SPDX-License-Identifier: MIT */
/* Nothing is allocated once work is under way, counted by the allocator: the context's
 * hooks. Steps of training allocate nothing at all, the network nothing once it has run for a
 * count, a sampler nothing after its first step. */
#include "support/allocator.h"
#include "support/dataset.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/support.h"

enum { SIDE = 16, ELEMENTS = SIDE * SIDE * NETWORK_CHANNELS, IMAGES = 7, STEPS = 4, SAMPLES = 5 };

/* What the hooks have seen. */
typedef struct mark {
    int64_t calls, live;
} mark;

static mark mark_of(const test_allocator *a) { return (mark){a->calls, a->live}; }

static void check_quiet(const test_allocator *a, mark before, const char *what, int32_t time) {
    ck_assert_msg(a->calls == before.calls && a->live == before.live,
                  "%s, time %d: %lld allocations, %lld blocks more", what, (int)time,
                  (long long)(a->calls - before.calls), (long long)(a->live - before.live));
}

static dm_context *context_of(test_allocator *allocator, int32_t threads, int32_t profile) {
    dm_context_options o;
    dm_context *context;
    *allocator = (test_allocator){.fail_at = -1};
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = threads;
    o.profile = profile;
    test_allocator_use(allocator, &o);
    ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
    ck_assert_int_gt(allocator->calls, 0);
    return context;
}

/* The test network for square images, as the built-in ones are. */
static dm_unet *unet_of(dm_context *context, float dropout, int32_t new_ones) {
    dm_unet_options o = network_options();
    dm_unet *unet;
    o.height = o.width = SIDE;
    o.dropout = dropout;
    o.learned_variance = o.self_conditioning = new_ones == 1;
    if (new_ones) o.prediction = new_ones == 2 ? DM_PREDICT_FLOW : DM_PREDICT_EPS;
    test_accepted(context, dm_unet_create(&unet, context, &o, 1));
    return unet;
}

/* ---- training ---- */

static uint8_t pixels[IMAGES * ELEMENTS];
static const int32_t labels[IMAGES] = {0, 1, 2, 3, -1, 0, 1};

static int32_t read_grey(void *user, dm_dataset_item *item) {
    (void)user;
    memset(item->pixels, (int)item->index, item->pixel_bytes);
    item->label = (int32_t)(item->index % NETWORK_CLASSES);
    return 0;
}

enum { MEMORY, CALLBACK, BUILTIN };

static dm_dataset *dataset_of(dm_context *context, int kind) {
    dm_dataset *d;
    test_accepted(context,
                  kind == MEMORY
                      ? dataset_from_memory(&d, context, pixels, labels, IMAGES, SIDE, SIDE, 3)
                  : kind == CALLBACK
                      ? dataset_from_callback(&d, context, read_grey, NULL, IMAGES, SIDE, SIDE, 3)
                      : dm_dataset_create_shapes(&d, context, SIDE, IMAGES, 1));
    return d;
}

typedef struct variant {
    const char *name;
    int dataset;
    int32_t threads, profile, accumulation, flip, use_labels;
    float dropout;
    double ema, clip;
    int32_t new_ones; /* 1: the options of the loss, of timesteps, images and EMAs; 2: those
                         of flow */
} variant;

/* The built-in images have more classes than the network. */
static const variant variants[] = {
    {"plain", MEMORY, 1, 0, 1, 0, 0, 0, 0, 0, 0},
    {"all options", MEMORY, 2, 0, 3, 1, 1, 0.3f, 0.99, 1, 0},
    {"all options, profiled", CALLBACK, 3, 1, 2, 1, 1, 0.3f, 0.99, 1, 0},
    {"built-in images", BUILTIN, 2, 0, 2, 0, 0, 0.1f, 0.9999, 0, 0},
    {"hybrid loss", MEMORY, 2, 1, 2, 1, 1, 0.1f, 0, 1, 1},
    {"flow", MEMORY, 2, 0, 1, 1, 0, 0, 0.99, 1, 2},
};
enum { VARIANTS = sizeof variants / sizeof *variants };

/* Timesteps are few, so that they are sampled by their losses before the test ends. */
static void set_new_ones(int32_t which, dm_trainer_options *o, dm_schedule_options *schedule) {
    if (which == 1) {
        schedule->timesteps = 3;
        schedule->beta_end = 0.5;
        o->loss = DM_LOSS_HYBRID;
        o->loss_weight = DM_LOSS_WEIGHT_MIN_SNR;
        o->timestep_sampling = DM_TIMESTEPS_LOSS_AWARE;
        o->optimizer = DM_OPTIMIZER_ADAM;
        o->weight_decay = 0.01;
        o->crop_padding = 3;
        o->label_dropout = 0.5;
        o->ema_half_life[0] = 100;
        o->ema_decay[1] = 0.9;
    } else if (which == 2) {
        schedule->kind = DM_SCHEDULE_FLOW;
        o->timestep_sampling = DM_TIMESTEPS_LOGIT_NORMAL;
        o->loss = DM_LOSS_PSEUDO_HUBER;
    }
}

/* One step by each call that there is, in turn. */
static int32_t step(dm_trainer *trainer, const dm_train_batch *batch, int32_t time) {
    dm_train_stats stats = {.struct_size = sizeof stats};
    if (time % 3 == 0) return dm_trainer_step(trainer, &stats);
    if (time % 3 == 1) return dm_trainer_step_batch(trainer, batch, NULL);
    return dm_trainer_run(trainer, (uint64_t)time + 1, NULL, NULL);
}

START_TEST(steps_of_training) {
    static float images[4 * 3 * ELEMENTS];
    const variant *v = &variants[_i];
    test_allocator allocator;
    dm_context *context = context_of(&allocator, v->threads, v->profile);
    dm_unet *unet = unet_of(context, v->dropout, v->new_ones);
    dm_dataset *dataset = dataset_of(context, v->dataset);
    dm_schedule *schedule;
    dm_schedule_options so;
    dm_trainer_options o;
    dm_trainer *trainer;
    test_accepted(context, dm_trainer_options_init(&o, sizeof o));
    test_accepted(context, dm_schedule_options_init(&so, sizeof so));
    o.batch_size = 3;
    o.accumulation = v->accumulation;
    o.flip = v->flip;
    o.use_labels = v->use_labels;
    o.ema_decay[0] = v->ema;
    o.gradient_clip = v->clip;
    set_new_ones(v->new_ones, &o, &so);
    test_accepted(context, dm_schedule_create(&schedule, context, &so));
    test_accepted(context, dm_trainer_create(&trainer, unet, schedule, dataset, &o));
    dm_train_batch batch = {.struct_size = sizeof batch,
                            .count = (uint64_t)(3 * v->accumulation),
                            .elements = (uint64_t)(3 * v->accumulation) * ELEMENTS,
                            .images = images};
    mark before = mark_of(&allocator);
    for (int32_t i = 0; i < 2 * STEPS; i++) {
        test_accepted(context, step(trainer, &batch, i));
        check_quiet(&allocator, before, v->name, i);
    }
    /* A forward pass of the network between steps plans its forward pass, once. */
    float y[2 * ELEMENTS], t = 1;
    for (int32_t i = 0; i < STEPS; i++) {
        test_accepted(context, network_forward(unet, y, images, &t, NULL, 1));
        if (i == 0) before = mark_of(&allocator);
        test_accepted(context, step(trainer, &batch, i));
        check_quiet(&allocator, before, v->name, i);
    }
    dm_trainer_destroy(trainer);
    dm_schedule_destroy(schedule);
    dm_dataset_destroy(dataset);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    ck_assert_int_eq(allocator.live, 0);
}
END_TEST

/* ---- the network ---- */

START_TEST(forward_passes) {
    static const float x[3 * ELEMENTS];
    static float y[3 * ELEMENTS];
    const float t[3] = {0, 10, 999};
    const int32_t classes[3] = {0, -1, 3};
    float bias[16] = {0};
    test_allocator allocator;
    dm_context *context = context_of(&allocator, 1 + _i, _i);
    dm_unet *unet = unet_of(context, 0, 0);
    test_accepted(context, network_forward(unet, y, x, t, classes, 3));
    const mark before = mark_of(&allocator);
    for (int32_t i = 0; i < STEPS; i++) {
        /* Changed weights are transformed again, into the memory of the old ones. */
        if (i == 2) test_accepted(context, network_set(unet, "conv_in.bias", bias, 16));
        test_accepted(context, network_forward(unet, y, x, t, i % 2 ? classes : NULL, 3));
        check_quiet(&allocator, before, "forward", i);
    }
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    ck_assert_int_eq(allocator.live, 0);
}
END_TEST

/* ---- sampling ---- */

typedef struct watch {
    const test_allocator *allocator;
    mark before;
    int32_t steps; /* seen */
} watch;

static int32_t watch_step(void *user, const dm_sampler_progress *progress) {
    watch *w = user;
    (void)progress;
    if (w->steps++ == 0) w->before = mark_of(w->allocator);
    check_quiet(w->allocator, w->before, "sampler step", w->steps);
    return 0;
}

static int32_t constant_noise(void *user, const dm_noise_request *request, float *noise,
                              size_t size) {
    (void)user, (void)request;
    for (size_t i = 0; i < size; i++) noise[i] = 0.5f;
    return 0;
}

/* DDIM, DDIM with noise, DDPM; three batches in a run, two runs. */
START_TEST(steps_of_sampling) {
    static float images[SAMPLES * ELEMENTS];
    test_allocator allocator;
    dm_context *context = context_of(&allocator, 2, 0);
    dm_unet *unet = unet_of(context, 0, 0);
    dm_schedule *schedule;
    dm_sampler *sampler;
    dm_sampler_options o;
    dm_sampler_request r;
    test_accepted(context, dm_schedule_create(&schedule, context, NULL));
    test_accepted(context, dm_sampler_options_init(&o, sizeof o));
    o.solver = _i == 2 ? DM_SOLVER_DDPM : DM_SOLVER_DDIM;
    o.eta = _i == 1;
    o.steps = STEPS;
    o.batch_size = 2;
    test_accepted(context, dm_sampler_create(&sampler, unet, schedule, &o));
    test_accepted(context, dm_sampler_request_init(&r, sizeof r));
    watch w = {.allocator = &allocator};
    r.count = SAMPLES;
    r.labels = labels;
    r.label_count = SAMPLES;
    r.noise = _i == 1 ? constant_noise : NULL;
    r.progress = watch_step;
    r.progress_user = &w;
    for (int32_t run = 1; run <= 2; run++) {
        test_accepted(context, dm_sampler_run(sampler, &r, images, SAMPLES * ELEMENTS));
        check_quiet(&allocator, w.before, "sampler run", run);
        ck_assert_int_eq(w.steps, run * 3 * STEPS);
    }
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    ck_assert_int_eq(allocator.live, 0);
}
END_TEST

Suite *test_step_memory_suite(void);
Suite *test_step_memory_suite(void) {
    Suite *suite = suite_create("step_memory");
    TCase *tcase = tcase_create("step_memory");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, steps_of_training, 0, VARIANTS);
    tcase_add_loop_test(tcase, forward_passes, 0, 2);
    tcase_add_loop_test(tcase, steps_of_sampling, 0, 3);
    suite_add_tcase(suite, tcase);
    return suite;
}
