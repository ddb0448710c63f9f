/* SPDX-License-Identifier: MIT */
/* Networks and trainers that compute with bfloat16: how far they are from float32, that they take
 * less memory and give the same bits, and which options are refused. Their kernels are tested in
 * test_bfloat16.c, images in any batch in test_unet.c, recomputation in test_recompute.c. */
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"
#include "train/trainer.h"
#include "unet/unet.h"

enum { N = NETWORK_IMAGES * NETWORK_ELEMENTS };

static dm_context *context;

static void begin(void) { ck_assert_int_eq(dm_context_create(&context, NULL, NULL, 0), DM_OK); }
static void end(void) { dm_context_destroy(context); }

static void forward(dm_unet *unet, float *y) {
    static network_input in;
    network_give(&in);
    test_accepted(context, network_forward(unet, y, in.x, in.timesteps, in.labels, NETWORK_IMAGES));
}

/* A value of 8 significant bits is off by up to 2^-9, 0.1 % on average over a layer; some ten
 * layers in a row make about 0.5 %. What is below a tenth of that did not compute with bfloat16. */
#define ERROR_HIGH 0.015
#define ERROR_LOW 5e-4

START_TEST(close_to_float32) {
    static float want[N], got[N];
    dm_unet *unet = network_new(context, 1);
    network_randomize(unet, 4);
    forward(unet, want);
    test_accepted(context, dm_unet_set_precision(unet, DM_PRECISION_BF16));
    forward(unet, got);
    double error = test_error(got, want, N);
    ck_assert_msg(error > ERROR_LOW && error < ERROR_HIGH, "error %.3g", error);
    test_accepted(context, dm_unet_set_precision(unet, DM_PRECISION_F32));
    forward(unet, got);
    ck_assert_mem_eq(got, want, sizeof got);
    dm_unet_destroy(unet);
}
END_TEST

/* Gradients of the parameters and of the input, on the same numbers. */
START_TEST(gradients_close_to_float32) {
    static network_input in;
    float *gradient[2];
    size_t floats = 0;
    network_give(&in);
    for (int32_t i = 0; i < 2; i++) {
        dm_unet *unet = network_new(context, 1);
        dmi_unet_graph u;
        network_randomize(unet, 2);
        test_accepted(context,
                      dm_unet_set_precision(unet, i ? DM_PRECISION_BF16 : DM_PRECISION_F32));
        test_accepted(context,
                      dmi_params_allocate_gradient(&context->host, &unet->weights->params));
        test_accepted(context,
                      dmi_unet_graph_create(unet, &u, NETWORK_IMAGES, true, DM_RECOMPUTE_NONE));
        memcpy(dmi_graph_data(u.graph, u.x), in.x, sizeof in.x);
        memcpy(dmi_graph_data(u.graph, u.t), in.timesteps, sizeof in.timesteps);
        for (int32_t k = 0; k < NETWORK_IMAGES; k++)
            dmi_graph_data(u.graph, u.labels)[k] = (float)(k % NETWORK_CLASSES);
        dmi_graph_forward(u.graph);
        test_fill(dmi_graph_gradient(u.graph, u.output), N, 8, 1);
        dmi_graph_backward(u.graph);
        floats = unet->weights->params.floats;
        gradient[i] = calloc(floats, sizeof *gradient[i]);
        for (int32_t k = 0; k < unet->weights->params.count; k++) { /* not what lies between */
            const dmi_param *p = &unet->weights->params.items[k];
            memcpy(gradient[i] + p->offset, unet->weights->params.gradient + p->offset,
                   p->count * sizeof(float));
        }
        dmi_unet_graph_destroy(&u);
        dm_unet_destroy(unet);
    }
    double error = test_error(gradient[1], gradient[0], floats);
    ck_assert_msg(error > ERROR_LOW && error < 2 * ERROR_HIGH, "error %.3g", error);
    free(gradient[0]);
    free(gradient[1]);
}
END_TEST

/* Convolutions of two inputs of which either is the wider: the decoder of a network whose levels
 * become narrower, on any number of threads. */
START_TEST(narrower_levels) {
    enum { SIDE = 8, ELEMENTS = SIDE * SIDE * 3, IMAGES = 3 };
    static float x[IMAGES * ELEMENTS], y[3][IMAGES * ELEMENTS], times[IMAGES];
    test_fill(x, IMAGES * ELEMENTS, 1, 1);
    for (size_t i = 0; i < IMAGES; i++) times[i] = 7.0f + (float)i;
    for (int32_t i = 0; i < 3; i++) {
        dm_context_options o;
        dm_unet_options u;
        dm_context *own;
        dm_unet *unet;
        ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
        ck_assert_int_eq(dm_unet_options_init(&u, sizeof u), DM_OK);
        o.threads = i == 1 ? 3 : 1;
        u.height = u.width = SIDE;
        u.levels = 2;
        u.channels[0] = 96, u.channels[1] = 32;
        u.precision = i ? DM_PRECISION_BF16 : DM_PRECISION_F32;
        ck_assert_int_eq(dm_context_create(&own, &o, NULL, 0), DM_OK);
        test_accepted(own, dm_unet_create(&unet, own, &u, 1));
        network_randomize(unet, 3);
        test_accepted(own, network_forward(unet, y[i], x, times, NULL, IMAGES));
        dm_unet_destroy(unet);
        dm_context_destroy(own);
    }
    ck_assert_mem_eq(y[1], y[2], sizeof y[1]);
    double error = test_error(y[1], y[0], IMAGES * ELEMENTS);
    ck_assert_msg(error > ERROR_LOW && error < ERROR_HIGH, "error %.3g", error);
}
END_TEST

START_TEST(refused) {
    dm_unet *unet = network_new(context, 1);
    dm_unet_options o = network_options();
    const int32_t bad[] = {DM_PRECISION_F16, 3, -1};
    for (size_t i = 0; i < 3; i++) {
        dm_unet *other;
        o.precision = bad[i];
        ck_assert_int_eq(dm_unet_create(&other, context, &o, 1), DM_ERROR_INVALID_ARGUMENT);
        test_refused(context, dm_unet_set_precision(unet, bad[i]), DM_ERROR_INVALID_ARGUMENT,
                     i ? "unet: 'precision' is unknown|f32 or bf16"
                       : "unet: 'precision' is f16 (1)|f32 or bf16");
    }
    ck_assert_int_eq(dm_unet_set_precision(NULL, DM_PRECISION_F32), DM_ERROR_INVALID_ARGUMENT);
    dm_unet_destroy(unet);
}
END_TEST

/* Files keep it; a share begins with its owner's and has its own from then on. */
START_TEST(kept_in_files) {
    static uint8_t bytes[4 << 20];
    static float want[N], got[N];
    dm_unet_options o = network_options();
    dm_unet *unet, *loaded, *share;
    size_t size;
    o.precision = DM_PRECISION_BF16;
    test_accepted(context, dm_unet_create(&unet, context, &o, 1));
    network_randomize(unet, 4);
    forward(unet, want);
    test_accepted(context, dm_unet_save_memory(unet, NULL, bytes, sizeof bytes, &size));
    test_accepted(context, dm_unet_load_memory(&loaded, context, bytes, size, DM_WEIGHTS_DEFAULT));
    test_accepted(context, dm_unet_get_options(loaded, &o, sizeof o));
    ck_assert_int_eq(o.precision, DM_PRECISION_BF16);
    forward(loaded, got);
    ck_assert_mem_eq(got, want, sizeof got);
    test_accepted(context, dm_unet_share(&share, context, loaded));
    forward(share, got);
    ck_assert_mem_eq(got, want, sizeof got);
    test_accepted(context, dm_unet_set_precision(share, DM_PRECISION_F32));
    forward(share, got);
    ck_assert_mem_ne(got, want, sizeof got);
    forward(loaded, got);
    ck_assert_mem_eq(got, want, sizeof got);
    dm_unet_destroy(share);
    dm_unet_destroy(loaded);
    dm_unet_destroy(unet);
}
END_TEST

START_TEST(held_runs) {
    static float images[NETWORK_ELEMENTS];
    dm_unet *unet;
    dm_schedule *schedule;
    dm_sampler *sampler;
    dm_sampler_options o;
    dm_unet_options u = network_options();
    dm_sampler_request r;
    int32_t left = 1;
    u.classes = u.self_conditioning = 0;
    test_accepted(context, dm_unet_create(&unet, context, &u, 1));
    test_accepted(context, dm_schedule_create(&schedule, context, NULL));
    ck_assert_int_eq(dm_sampler_options_init(&o, sizeof o), DM_OK);
    ck_assert_int_eq(dm_sampler_request_init(&r, sizeof r), DM_OK);
    o.steps = 3;
    test_accepted(context, dm_sampler_create(&sampler, unet, schedule, &o));
    test_accepted(context, dm_sampler_start(sampler, &r));
    test_accepted(context, dm_unet_set_precision(unet, DM_PRECISION_BF16));
    test_refused(context, dm_sampler_step(sampler, &left), DM_ERROR_WRONG_STATE,
                 "precision has changed since dm_sampler_start|dm_sampler_finish");
    test_accepted(context, dm_unet_set_precision(unet, DM_PRECISION_F32));
    for (left = 1; left;) test_accepted(context, dm_sampler_step(sampler, &left));
    test_accepted(context, dm_sampler_finish(sampler, images, NETWORK_ELEMENTS));
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
}
END_TEST

/* ---- training ---- */

static training_setup setup_of(dm_precision precision, int32_t threads) {
    training_setup setup = training_default();
    setup.threads = threads;
    setup.channels = 32;
    setup.dropout = 0.1f;
    setup.options.precision = precision;
    return setup;
}

/* The same bits on any number of threads; other bits than float32's, but close. The network's own
 * precision, float32, is that of forward passes alone. */
START_TEST(training_has_the_same_bits) {
    enum { STEPS = 5 };
    float *want = NULL;
    size_t floats = 0;
    double loss[2] = {0};
    for (int32_t threads = 1; threads <= 3; threads++) {
        const training_setup setup = setup_of(DM_PRECISION_BF16, threads);
        training t;
        dm_train_stats stats = {.struct_size = sizeof stats};
        training_begin(&t, &setup);
        for (int32_t i = 0; i < STEPS; i++)
            training_require(&t, dm_trainer_step(t.trainer, &stats));
        loss[1] = stats.loss;
        if (threads == 1) want = training_state(&t, &floats);
        else training_same_state(&t, want, floats);
        training_end(&t);
    }
    const training_setup setup = setup_of(DM_PRECISION_F32, 1);
    training t;
    dm_train_stats stats = {.struct_size = sizeof stats};
    training_begin(&t, &setup);
    for (int32_t i = 0; i < STEPS; i++) training_require(&t, dm_trainer_step(t.trainer, &stats));
    loss[0] = stats.loss;
    float *plain = training_state(&t, &floats);
    ck_assert_mem_ne(plain, want, floats * sizeof *plain);
    ck_assert_double_le(fabs(loss[1] / loss[0] - 1), 0.01);
    free(plain);
    free(want);
    training_end(&t);
}
END_TEST

/* A run that stops and goes on is the run that does not stop. */
START_TEST(training_resumes) {
    const training_setup setup = setup_of(DM_PRECISION_BF16, 2);
    static uint8_t bytes[8 << 20];
    size_t size, floats;
    training t;
    training_begin(&t, &setup);
    for (int32_t i = 0; i < 2; i++) training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_require(&t, dm_trainer_save_memory(t.trainer, bytes, sizeof bytes, &size));
    for (int32_t i = 0; i < 2; i++) training_require(&t, dm_trainer_step(t.trainer, NULL));
    float *want = training_state(&t, &floats);
    dm_trainer_destroy(t.trainer);
    training_require(&t, dm_trainer_resume_memory(&t.trainer, t.unet, t.dataset, bytes, size));
    ck_assert_int_eq(t.trainer->options.precision, DM_PRECISION_BF16);
    for (int32_t i = 0; i < 2; i++) training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_same_state(&t, want, floats);
    free(want);
    training_end(&t);
}
END_TEST

/* What training keeps between its passes is half as large. */
START_TEST(less_memory) {
    uint64_t arena[2];
    for (int32_t i = 0; i < 2; i++) {
        training_setup setup = setup_of(i ? DM_PRECISION_BF16 : DM_PRECISION_F32, 1);
        setup.options.batch_size = 10;
        training t;
        training_begin(&t, &setup);
        arena[i] = t.trainer->train.graph->arena_floats;
        training_end(&t);
    }
    ck_assert_msg(arena[1] < 0.75 * (double)arena[0], "%llu and %llu floats",
                  (unsigned long long)arena[1], (unsigned long long)arena[0]);
}
END_TEST

Suite *test_precision_suite(void);
Suite *test_precision_suite(void) {
    Suite *suite = suite_create("precision");
    TCase *networks = tcase_create("networks"), *trainers = tcase_create("trainers");
    tcase_add_checked_fixture(networks, begin, end);
    tcase_set_timeout(networks, 20);
    tcase_add_test(networks, close_to_float32);
    tcase_add_test(networks, gradients_close_to_float32);
    tcase_add_test(networks, narrower_levels);
    tcase_add_test(networks, refused);
    tcase_add_test(networks, kept_in_files);
    tcase_add_test(networks, held_runs);
    suite_add_tcase(suite, networks);
    tcase_set_timeout(trainers, 20);
    tcase_add_test(trainers, training_has_the_same_bits);
    tcase_add_test(trainers, training_resumes);
    tcase_add_test(trainers, less_memory);
    suite_add_tcase(suite, trainers);
    return suite;
}
