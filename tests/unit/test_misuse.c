/* SPDX-License-Identifier: MIT */
/* Calls that callbacks and other threads must not make are refused, change nothing and leave the
 * error text as it was; and callbacks give their reasons by dm_callback_fail. */
#include <pthread.h>

#include "core/context.h"
#include "support/allocator.h"
#include "support/dataset.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"

static const char before_text[] = "training: the text of an earlier error";

/* What a callback may use. */
typedef struct objects {
    training t;
    dm_sampler *sampler;
    const char *reason; /* for dm_callback_fail, or NULL */
    int32_t returns;    /* by the callback */
    bool nested;        /* the callback calls what is forbidden, on two threads */
    int32_t calls;      /* of the callback */
    int32_t wrong;      /* forbidden calls that were not refused as they must be */
    const char *which;  /* the last of these */
} objects;

/* ---- forbidden calls ---- */

#define FORBID(o, call)                                                                            \
    do {                                                                                           \
        if ((call) != DM_ERROR_WRONG_STATE) (o)->wrong++, (o)->which = #call;                      \
    } while (0)

static void forbid_creation(objects *o) {
    dm_context *c = o->t.context;
    dm_unet *unet;
    dm_trainer *trainer;
    dm_dataset *dataset;
    dm_schedule *schedule;
    FORBID(o, dm_unet_create(&unet, c, NULL, 0));
    FORBID(o, dm_unet_load(&unet, c, "file", DM_WEIGHTS_DEFAULT));
    FORBID(o, dm_unet_load_memory(&unet, c, "bytes", 5, DM_WEIGHTS_DEFAULT));
    FORBID(o, dm_unet_share(&unet, c, o->t.unet));
    FORBID(o, dm_trainer_create(&trainer, o->t.unet, o->t.schedule, NULL, NULL));
    FORBID(o, dm_trainer_resume(&trainer, o->t.unet, NULL, "file"));
    FORBID(o, dm_trainer_resume_memory(&trainer, o->t.unet, NULL, "bytes", 5));
    FORBID(o, dm_dataset_create_shapes(&dataset, c, 16, 1, 0));
    FORBID(o, dm_dataset_load_cifar10(&dataset, c, "file", DM_SPLIT_TRAIN));
    FORBID(o, dataset_from_memory(&dataset, c, training_pixels(), NULL, 1, 8, 8, 3));
    FORBID(o, dm_schedule_create(&schedule, c, NULL));
    dm_context_destroy(c); /* does nothing */
}

static void forbid_unet(objects *o) {
    dm_unet *unet = o->t.unet;
    dm_unet_options options;
    dm_tensor_info info = {.struct_size = sizeof info};
    dm_unet_input input = {.struct_size = sizeof input};
    float values[TRAINING_CHANNELS] = {0};
    const int64_t shape[1] = {TRAINING_CHANNELS};
    size_t size;
    FORBID(o, dm_unet_get_options(unet, &options, sizeof options));
    FORBID(o, dm_unet_get_tensor_info(unet, 0, &info));
    FORBID(o, dm_unet_get_tensor(unet, "conv_out.bias", values, TRAINING_CHANNELS));
    FORBID(o, dm_unet_set_tensor(unet, "conv_out.bias", values, TRAINING_CHANNELS, shape, 1));
    FORBID(o, dm_unet_forward(unet, &input, values, TRAINING_CHANNELS));
    FORBID(o, dm_unet_input_gradient(unet, &input, values, 1, NULL, values, 1));
    FORBID(o, dm_unet_set_tiling(unet, 0, 0));
    FORBID(o, dm_unet_set_precision(unet, DM_PRECISION_F32));
    FORBID(o, dm_unet_save(unet, NULL, "file"));
    FORBID(o, dm_unet_save_memory(unet, NULL, NULL, 0, &size));
    dm_unet_destroy(unet); /* does nothing */
}

static void forbid_dataset(objects *o) {
    dm_dataset_info info = {.struct_size = sizeof info};
    uint8_t pixels[TRAINING_ELEMENTS];
    FORBID(o, dm_dataset_get_info(o->t.dataset, &info));
    FORBID(o, dm_dataset_get_image(o->t.dataset, 0, pixels, sizeof pixels, NULL));
    dm_dataset_destroy(o->t.dataset);
}

static void forbid_trainer(objects *o) {
    dm_trainer *trainer = o->t.trainer;
    dm_trainer_options options;
    dm_train_batch batch = {.struct_size = sizeof batch};
    uint64_t step;
    size_t size;
    if (!trainer) return;
    FORBID(o, dm_trainer_step(trainer, NULL));
    FORBID(o, dm_trainer_step_batch(trainer, &batch, NULL));
    FORBID(o, dm_trainer_run(trainer, 99, NULL, NULL));
    FORBID(o, dm_trainer_get_step(trainer, &step));
    FORBID(o, dm_trainer_get_options(trainer, &options, sizeof options));
    FORBID(o, dm_trainer_set_learning_rate(trainer, 1));
    FORBID(o, dm_trainer_get_ema(trainer, 0, o->t.unet));
    FORBID(o, dm_trainer_save(trainer, "file"));
    FORBID(o, dm_trainer_save_memory(trainer, NULL, 0, &size));
    dm_trainer_destroy(trainer);
}

static void forbid_sampler(objects *o) {
    float images[TRAINING_ELEMENTS];
    dm_sampler_request r = {.struct_size = sizeof r};
    if (!o->sampler) return;
    FORBID(o, dm_sampler_run(o->sampler, &r, images, TRAINING_ELEMENTS));
    FORBID(o, dm_sampler_start(o->sampler, &r));
    dm_sampler_destroy(o->sampler);
}

static void *forbid_all(void *data) {
    objects *o = data;
    forbid_creation(o);
    forbid_unet(o);
    forbid_dataset(o);
    forbid_trainer(o);
    forbid_sampler(o);
    return NULL;
}

/* ---- allowed calls ---- */

static void allow(objects *o) {
    dm_context *other = test_context_new(NULL, 0);
    dm_schedule *schedule;
    uint8_t png[4096];
    size_t size;
    bool fine = !dm_schedule_create(&schedule, other, NULL);
    dm_schedule_destroy(schedule);
    dm_context_destroy(other);
    fine = fine && dm_unet_context(o->t.unet) == o->t.context;
    fine = fine && dm_unet_parameter_count(o->t.unet) > 0 && dm_unet_tensor_count(o->t.unet) > 0;
    fine = fine && dm_dataset_context(o->t.dataset) == o->t.context;
    fine = fine && dm_trainer_context(o->t.trainer) == (o->t.trainer ? o->t.context : NULL);
    fine = fine && !dm_image_encode_png(o->t.context, png, sizeof png, &size, training_pixels(),
                                        TRAINING_ELEMENTS, TRAINING_SIDE, TRAINING_SIDE, 3);
    if (!fine) o->wrong++, o->which = "a call that is allowed";
}

/* The body of each callback. */
static int32_t called(objects *o) {
    pthread_t thread;
    o->calls++;
    if (o->nested) {
        forbid_all(o);
        if (!pthread_create(&thread, NULL, forbid_all, o)) pthread_join(thread, NULL);
        if (strcmp(dm_context_error(o->t.context), before_text))
            o->wrong++, o->which = "the error text";
        allow(o);
    }
    if (o->reason && dm_callback_fail(o->t.context, o->reason)) o->wrong++, o->which = "fail";
    return o->returns;
}

static int32_t after_step(void *user, const dm_train_stats *stats) {
    (void)stats;
    return called(user);
}

static int32_t read_image(void *user, dm_dataset_item *item) {
    memcpy(item->pixels, training_pixels() + item->index * TRAINING_ELEMENTS, item->pixel_bytes);
    return called(user);
}

static int32_t after_sampling(void *user, const dm_sampler_progress *progress) {
    (void)progress;
    return called(user);
}

static int32_t guide(void *user, dm_guidance_step *step) {
    (void)step;
    return called(user);
}

/* ---- each callback ---- */

enum { TRAINING, READING, GETTING, SAMPLING, GUIDING, KINDS };

static void begin(objects *o, int kind) {
    training_setup setup = training_default();
    dm_sampler_options options;
    *o = (objects){0};
    setup.options.batch_size = 2;
    setup.dataset = kind != READING && kind != GETTING;
    training_prepare(&o->t, &setup);
    if (!setup.dataset)
        training_require(&o->t, dataset_from_callback(&o->t.dataset, o->t.context, read_image, o,
                                                      TRAINING_IMAGES, TRAINING_SIDE, TRAINING_SIDE,
                                                      TRAINING_CHANNELS));
    if (kind == TRAINING || kind == READING)
        training_require(&o->t, dm_trainer_create(&o->t.trainer, o->t.unet, o->t.schedule,
                                                  o->t.dataset, &setup.options));
    if (kind != SAMPLING && kind != GUIDING) return;
    training_require(&o->t, dm_sampler_options_init(&options, sizeof options));
    options.steps = 2;
    training_require(&o->t, dm_sampler_create(&o->sampler, o->t.unet, o->t.schedule, &options));
}

static dm_status run(objects *o, int kind) {
    uint8_t pixels[TRAINING_ELEMENTS];
    float image[TRAINING_ELEMENTS];
    dm_sampler_request r;
    dmi_fail(&o->t.context->host, DM_ERROR_IO, "%s", before_text);
    if (kind == TRAINING) return dm_trainer_run(o->t.trainer, 1, after_step, o);
    if (kind == READING) return dm_trainer_run(o->t.trainer, 1, NULL, NULL);
    if (kind == GETTING)
        return dm_dataset_get_image(o->t.dataset, 3, pixels, TRAINING_ELEMENTS, NULL);
    dm_sampler_request_init(&r, sizeof r);
    if (kind == GUIDING) r.guide = guide;
    else r.progress = after_sampling;
    r.progress_user = r.guide_user = o;
    return dm_sampler_run(o->sampler, &r, image, TRAINING_ELEMENTS);
}

static void end(objects *o) {
    dm_sampler_destroy(o->sampler);
    training_end(&o->t);
}

START_TEST(calls_of_callbacks_are_refused) {
    objects o;
    begin(&o, _i);
    o.nested = true;
    training_require(&o.t, run(&o, _i));
    ck_assert_int_gt(o.calls, 0);
    ck_assert_msg(o.wrong == 0, "%d calls were not as expected; the last is %s", (int)o.wrong,
                  o.which);
    o.nested = false; /* and everything still works */
    training_require(&o.t, run(&o, _i));
    end(&o);
}
END_TEST

/* Without a reason each callback has its own status. */
static const dm_status plain_status[KINDS] = {DM_ERROR_CANCELLED, DM_ERROR_CALLBACK_FAILED,
                                              DM_ERROR_CALLBACK_FAILED, DM_ERROR_CANCELLED,
                                              DM_ERROR_CALLBACK_FAILED};

START_TEST(callbacks_give_reasons) {
    objects o;
    begin(&o, _i);
    o.returns = 7;
    o.reason = "the disk with the images was unplugged";
    training_expect(&o.t, run(&o, _i), DM_ERROR_CALLBACK_FAILED,
                    "callback|the disk with the images was unplugged");
    ck_assert_int_eq(o.calls, 1);
    end(&o);
    begin(&o, _i);
    o.returns = 7;
    training_expect(&o.t, run(&o, _i), plain_status[_i], "callback|returned 7");
    end(&o);
    begin(&o, _i); /* a reason alone does not stop the work, nor does it stay for the next call */
    o.reason = "changed my mind";
    training_require(&o.t, run(&o, _i));
    o.reason = NULL;
    o.returns = 3;
    if (_i == TRAINING) training_require(&o.t, dm_trainer_run(o.t.trainer, 1, after_step, &o));
    end(&o);
    begin(&o, _i);
    o.returns = -1;
    o.reason = "changed my mind";
    training_expect(&o.t, run(&o, _i), DM_ERROR_CALLBACK_FAILED, "changed my mind");
    o.reason = NULL;
    if (_i == GETTING || _i == SAMPLING || _i == GUIDING)
        training_expect(&o.t, run(&o, _i), plain_status[_i], "returned -1");
    ck_assert_ptr_null(strstr(dm_context_error(o.t.context), "no reason"));
    ck_assert_int_eq(o.wrong, 0);
    end(&o);
}
END_TEST

START_TEST(reasons_need_a_callback) {
    dm_context *context = test_context_new(NULL, 0);
    ck_assert_int_eq(dm_callback_fail(context, "no callback runs"), DM_ERROR_WRONG_STATE);
    ck_assert_int_eq(dm_callback_fail(NULL, "no context"), DM_ERROR_INVALID_ARGUMENT);
    dm_context_destroy(context);
}
END_TEST

/* ---- overlapping calls ---- */

/* A thread that does a number of steps, trying again where another thread's call is in
 * progress. */
typedef struct stepper {
    dm_trainer *trainer;
    uint64_t steps;
    dm_status status;
} stepper;

static void *step_all(void *data) {
    stepper *s = data;
    for (uint64_t done = 0; !s->status && done < s->steps;) {
        dm_status status = dm_trainer_step(s->trainer, NULL);
        if (!status) done++;
        else if (status != DM_ERROR_WRONG_STATE) s->status = status;
    }
    return NULL;
}

START_TEST(two_threads_take_turns) {
    enum { STEPS = 20 };
    training t, alone;
    training_setup setup = training_default();
    size_t floats;
    training_begin(&alone, &setup);
    training_require(&alone, dm_trainer_run(alone.trainer, 2 * STEPS, NULL, NULL));
    float *want = training_state(&alone, &floats);
    training_end(&alone);
    training_begin(&t, &setup);
    stepper steppers[2] = {{t.trainer, STEPS, DM_OK}, {t.trainer, STEPS, DM_OK}};
    pthread_t threads[2];
    for (int32_t i = 0; i < 2; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, step_all, &steppers[i]), 0);
    for (int32_t i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    for (int32_t i = 0; i < 2; i++) training_require(&t, steppers[i].status);
    ck_assert_uint_eq(training_steps(t.trainer), 2 * STEPS);
    training_same_state(&t, want, floats);
    free(want);
    training_end(&t);
}
END_TEST

START_TEST(a_network_has_one_trainer) {
    training t;
    dm_trainer *second = (dm_trainer *)&t;
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_expect(&t, dm_trainer_create(&second, t.unet, t.schedule, t.dataset, &setup.options),
                    DM_ERROR_WRONG_STATE, "trainer: the network has a trainer already");
    ck_assert_ptr_null(second);
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_end(&t);
}
END_TEST

/* ---- ends in another order than they should come ---- */

enum { USER, NETWORK, CONTEXT, ENDS };
static const int32_t orders[][ENDS] = {{NETWORK, USER, CONTEXT}, {NETWORK, CONTEXT, USER},
                                       {CONTEXT, NETWORK, USER}, {CONTEXT, USER, NETWORK},
                                       {USER, CONTEXT, NETWORK}, {USER, NETWORK, CONTEXT}};
enum { ORDERS = sizeof orders / sizeof *orders };

/* What uses a network, which is of the context of `t`; the schedule is of another. */
static void begin_user(objects *o, bool sampling, dm_schedule *schedule) {
    dm_sampler_options options;
    training_setup setup = training_default();
    training_require(&o->t, dm_sampler_options_init(&options, sizeof options));
    options.steps = 2;
    if (sampling)
        training_require(&o->t, dm_sampler_create(&o->sampler, o->t.unet, schedule, &options));
    else
        training_require(&o->t, dm_trainer_create(&o->t.trainer, o->t.unet, schedule, NULL,
                                                  &setup.options));
}

static dm_status use_network(objects *o) {
    static training_given given;
    float image[TRAINING_ELEMENTS];
    dm_sampler_request r;
    dm_sampler_request_init(&r, sizeof r);
    training_give(&given, 4);
    return o->sampler ? dm_sampler_run(o->sampler, &r, image, TRAINING_ELEMENTS)
                      : dm_trainer_step_batch(o->t.trainer, &given.batch, NULL);
}

/* Trainers, and samplers from number ORDERS on, work on as long as they are there. */
START_TEST(networks_stay_for_their_users) {
    training model;
    training_setup setup = training_default();
    objects o = {0};
    dm_unet_options options;
    test_allocator allocator;
    char warning[256] = "";
    const int32_t *order = orders[_i % ORDERS];
    training_prepare(&model, &setup);
    training_require(&model, dm_unet_get_options(model.unet, &options, sizeof options));
    o.t.context = test_context_with_log(&allocator, 2, warning);
    training_require(&o.t, dm_unet_create(&o.t.unet, o.t.context, &options, 3));
    begin_user(&o, _i >= ORDERS, model.schedule);
    for (int32_t i = 0; i < ENDS; i++) {
        if (order[i] == NETWORK) dm_unet_destroy(o.t.unet);
        if (order[i] == CONTEXT) dm_context_destroy(o.t.context);
        if (order[i] == USER) {
            dm_trainer_destroy(o.t.trainer);
            dm_sampler_destroy(o.sampler);
            o.t.trainer = NULL;
            o.sampler = NULL;
        }
        if (o.t.trainer || o.sampler) ck_assert_int_eq(use_network(&o), DM_OK);
        if (i == 0) {
            const char *want = order[i] == NETWORK   ? "unet: destroyed while a trainer or sampler"
                               : order[i] == CONTEXT ? "context: destroyed before its networks"
                                                     : "";
            ck_assert_msg(*want ? strstr(warning, want) != NULL : !*warning, "%s", warning);
        }
    }
    ck_assert_int_eq(allocator.live, 0);
    training_end(&model);
}
END_TEST

Suite *test_misuse_suite(void);
Suite *test_misuse_suite(void) {
    Suite *suite = suite_create("misuse");
    TCase *tcase = tcase_create("misuse");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, calls_of_callbacks_are_refused, 0, KINDS);
    tcase_add_loop_test(tcase, callbacks_give_reasons, 0, KINDS);
    tcase_add_test(tcase, reasons_need_a_callback);
    tcase_add_test(tcase, two_threads_take_turns);
    tcase_add_test(tcase, a_network_has_one_trainer);
    tcase_add_loop_test(tcase, networks_stay_for_their_users, 0, 2 * ORDERS);
    suite_add_tcase(suite, tcase);
    return suite;
}
