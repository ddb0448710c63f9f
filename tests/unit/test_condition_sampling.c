/* SPDX-License-Identifier: MIT */
/* Sampling with conditions: classifier-free guidance against two forward passes, batches that are
 * filled up, what a caller's model receives, and refusals. */
#include "core/context.h"
#include "support/allocator.h"
#include "support/denoiser.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/support.h"

enum { SIDE = 8, CHANNELS = 3, N = SIDE * SIDE * CHANNELS, DEEP = 2, IMAGE = SIDE * SIDE * DEEP };
enum { SIZE = 5, COUNT = 5, CLASSES = 3 };

typedef struct fixture {
    dm_context *context;
    dm_schedule *schedule;
    dm_unet *unet;
    float images[COUNT * IMAGE], vectors[COUNT * SIZE], noise[COUNT * N];
    int32_t labels[COUNT];
} fixture;

static fixture f;

static dm_unet *network(int32_t classes, int32_t null_row, dm_prediction prediction) {
    dm_unet_options o;
    dm_unet *unet;
    ck_assert_int_eq(dm_unet_options_init(&o, sizeof o), DM_OK);
    o.height = o.width = SIDE;
    o.levels = 2;
    o.channels[0] = o.channels[1] = 8;
    o.blocks[0] = o.blocks[1] = 1;
    o.attention[1] = 0;
    o.norm_groups = 4;
    o.classes = classes;
    o.null_row = null_row;
    o.prediction = prediction;
    o.condition_channels = DEEP;
    o.condition_size = SIZE;
    test_accepted(f.context, dm_unet_create(&unet, f.context, &o, 3));
    network_randomize(unet, 4);
    return unet;
}

static void begin(int32_t threads, int32_t classes, int32_t null_row, dm_prediction prediction) {
    dm_context_options o;
    dm_schedule_options s;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = threads;
    ck_assert_int_eq(dm_context_create(&f.context, &o, NULL, 0), DM_OK);
    ck_assert_int_eq(dm_schedule_options_init(&s, sizeof s), DM_OK);
    s.kind = DM_SCHEDULE_LINEAR;
    test_accepted(f.context, dm_schedule_create(&f.schedule, f.context, &s));
    f.unet = network(classes, null_row, prediction);
    test_fill(f.images, COUNT * IMAGE, 5, 1);
    test_fill(f.vectors, COUNT * SIZE, 6, 2);
    test_fill(f.noise, COUNT * N, 7, 1.7f);
    for (int32_t i = 0; i < COUNT; i++) f.labels[i] = i % CLASSES;
}

static void end(void) {
    dm_unet_destroy(f.unet);
    dm_schedule_destroy(f.schedule);
    dm_context_destroy(f.context);
}

static dm_sampler *sampler_of(int32_t steps, double guidance, int32_t batch_size) {
    dm_sampler_options o;
    dm_sampler *sampler;
    ck_assert_int_eq(dm_sampler_options_init(&o, sizeof o), DM_OK);
    o.steps = steps;
    o.guidance = guidance;
    o.batch_size = batch_size;
    o.spacing = DM_SPACING_TRAILING;
    test_accepted(f.context, dm_sampler_create(&sampler, f.unet, f.schedule, &o));
    return sampler;
}

/* With both conditions. */
static dm_sampler_request request_of(uint64_t count) {
    dm_sampler_request r;
    ck_assert_int_eq(dm_sampler_request_init(&r, sizeof r), DM_OK);
    r.count = count;
    r.condition_image = f.images;
    r.condition_image_elements = count * IMAGE;
    r.condition_vector = f.vectors;
    r.condition_vector_elements = count * SIZE;
    return r;
}

/* ---- guidance ---- */

/* x_0 as the network predicts it from the noise at the last timestep. */
static void forward(float *output, bool conditions, const int32_t *labels) {
    dm_unet_input input;
    double times[COUNT];
    ck_assert_int_eq(dm_unet_input_init(&input, sizeof input), DM_OK);
    for (int32_t i = 0; i < COUNT; i++) times[i] = 999;
    input.count = input.time_count = COUNT;
    input.x_elements = COUNT * N;
    input.x = f.noise;
    input.times = times;
    input.labels = labels;
    input.label_count = labels ? COUNT : 0;
    if (conditions) {
        input.condition_image = f.images;
        input.condition_image_elements = COUNT * IMAGE;
        input.condition_vector = f.vectors;
        input.condition_vector_elements = COUNT * SIZE;
    }
    test_accepted(f.context, dm_unet_forward(f.unet, &input, output, COUNT * N));
}

/* One step to the clean image gives x_0: unconditional + w (conditional - unconditional). Variants:
 * a network with conditions alone; with classes too, both of which are left out; with classes that
 * have no row for none, which stay. */
START_TEST(guided_as_by_two_passes) {
    static const int32_t none[COUNT] = {-1, -1, -1, -1, -1};
    static float with[COUNT * N], without[COUNT * N], want[COUNT * N], got[COUNT * N];
    const double w = 2.5;
    begin(2, _i ? CLASSES : 0, _i != 2, DM_PREDICT_X0);
    const int32_t *labels = _i ? f.labels : NULL;
    forward(with, true, labels);
    forward(without, false, _i == 1 ? none : labels);
    for (int32_t k = 0; k < COUNT * N; k++) {
        double x_0 = (double)without[k] + w * ((double)with[k] - (double)without[k]);
        want[k] = (float)fmin(fmax(x_0, -1), 1);
    }
    for (int32_t batch_size = 2; batch_size <= COUNT; batch_size += 3) {
        dm_sampler *sampler = sampler_of(1, w, batch_size);
        dm_sampler_request r = request_of(COUNT);
        r.labels = labels;
        r.initial_noise = f.noise;
        test_counted(sampler, &r);
        test_accepted(f.context, dm_sampler_run(sampler, &r, got, COUNT * N));
        for (int32_t k = 0; k < COUNT * N; k++) ck_assert_float_eq_tol(got[k], want[k], 2e-6f);
        dm_sampler_destroy(sampler);
    }
    end();
}
END_TEST

/* ---- batches ---- */

enum { PLAIN, GUIDED, GUIDED_IN_BETWEEN, REPAINTED, INVERTED, KINDS };

static void sample(float *images, int32_t kind, int32_t batch_size, bool held) {
    static float known[COUNT * N], mask[COUNT * SIDE * SIDE];
    test_fill(known, COUNT * N, 8, 1);
    for (int32_t i = 0; i < COUNT * SIDE * SIDE; i++) mask[i] = (float)(i % 2);
    dm_sampler_options o;
    dm_sampler *sampler;
    ck_assert_int_eq(dm_sampler_options_init(&o, sizeof o), DM_OK);
    o.steps = 4;
    o.batch_size = batch_size;
    if (kind == GUIDED || kind == GUIDED_IN_BETWEEN) o.guidance = 3;
    if (kind == GUIDED_IN_BETWEEN) o.guidance_begin = 0.3, o.guidance_end = 0.7;
    test_accepted(f.context, dm_sampler_create(&sampler, f.unet, f.schedule, &o));
    dm_sampler_request r = request_of(COUNT);
    if (kind == REPAINTED || kind == INVERTED) r.image = known;
    if (kind == REPAINTED) {
        r.mask = mask;
        r.repaint_repetitions = 2;
        r.repaint_jump_length = 2;
    }
    test_counted(sampler, &r);
    if (kind == INVERTED) {
        test_accepted(f.context, dm_sampler_invert(sampler, &r, images, COUNT * N));
    } else if (held) {
        int32_t left = 1;
        test_accepted(f.context, dm_sampler_start(sampler, &r));
        while (left) test_accepted(f.context, dm_sampler_step(sampler, &left));
        test_accepted(f.context, dm_sampler_finish(sampler, images, COUNT * N));
    } else {
        test_accepted(f.context, dm_sampler_run(sampler, &r, images, COUNT * N));
    }
    dm_sampler_destroy(sampler);
}

/* Neither batches, which are filled up with earlier images, nor threads, nor steps by the caller
 * change a bit; each image has its own condition. */
START_TEST(images_do_not_depend_on_batches) {
    static float want[COUNT * N], got[COUNT * N];
    for (int32_t threads = 1; threads <= 3; threads += 2) {
        begin(threads, 0, 1, DM_PREDICT_V);
        if (threads == 1) sample(want, _i, COUNT, false);
        for (int32_t batch_size = 1; batch_size <= COUNT; batch_size++) {
            sample(got, _i, batch_size, batch_size == 3);
            ck_assert_mem_eq(got, want, sizeof got);
        }
        f.vectors[3 * SIZE] += 1;
        sample(got, _i, 2, false);
        for (int32_t i = 0; i < COUNT; i++)
            ck_assert_int_eq(!memcmp(got + i * N, want + i * N, N * sizeof *got), i != 3);
        f.vectors[3 * SIZE] -= 1;
        f.images[1 * IMAGE] -= 1;
        sample(got, _i, 4, false);
        for (int32_t i = 0; i < COUNT; i++)
            ck_assert_int_eq(!memcmp(got + i * N, want + i * N, N * sizeof *got), i != 1);
        end();
    }
}
END_TEST

/* Without conditions, and after a run with some, they are zeros. */
START_TEST(missing_conditions_are_zeros) {
    static const float zeros[COUNT * IMAGE];
    static float want[COUNT * N], got[COUNT * N];
    begin(1, 0, 1, DM_PREDICT_V);
    dm_sampler *sampler = sampler_of(3, 1, COUNT);
    dm_sampler_request r = request_of(COUNT);
    r.condition_image = r.condition_vector = zeros;
    test_accepted(f.context, dm_sampler_run(sampler, &r, want, COUNT * N));
    r = request_of(COUNT);
    test_accepted(f.context, dm_sampler_run(sampler, &r, got, COUNT * N));
    ck_assert_mem_ne(got, want, sizeof got);
    r.condition_image = r.condition_vector = NULL;
    r.condition_image_elements = r.condition_vector_elements = 0;
    test_accepted(f.context, dm_sampler_run(sampler, &r, got, COUNT * N));
    ck_assert_mem_eq(got, want, sizeof got);
    dm_sampler_destroy(sampler);
    end();
}
END_TEST

/* ---- the caller's model ---- */

typedef struct seen {
    uint64_t evaluations, images;
    bool conditions;
} seen;

static int32_t look(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    seen *s = user;
    s->evaluations++;
    s->images = input->count;
    memset(output, 0, size * sizeof *output);
    if (!s->conditions)
        return input->condition_image || input->condition_vector ||
               input->condition_image_elements || input->condition_vector_elements;
    if (input->condition_image_elements != input->count * IMAGE ||
        input->condition_vector_elements != input->count * SIZE)
        return 1;
    const uint64_t half = input->count / 2;
    for (uint64_t i = 0; i < input->count * IMAGE; i++)
        if (input->condition_image[i] !=
            (i < half * IMAGE ? f.images[input->first * IMAGE + i] : 0))
            return 1;
    for (uint64_t i = 0; i < input->count * SIZE; i++)
        if (input->condition_vector[i] !=
            (i < half * SIZE ? f.vectors[input->first * SIZE + i] : 0))
            return 1;
    return 0;
}

START_TEST(denoisers_receive_conditions) {
    static float got[COUNT * N];
    seen s = {0, 0, true};
    begin(2, 0, 1, DM_PREDICT_V);
    dm_denoiser d = *test_denoiser(look, &s, DM_PREDICT_EPS, SIDE, SIDE, CHANNELS);
    d.condition_channels = DEEP;
    d.condition_size = SIZE;
    dm_sampler_options o;
    dm_sampler *sampler;
    ck_assert_int_eq(dm_sampler_options_init(&o, sizeof o), DM_OK);
    o.steps = 2;
    o.batch_size = 3;
    o.guidance = 2;
    test_accepted(f.context,
                  dm_sampler_create_with_denoiser(&sampler, f.context, f.schedule, &d, &o));
    dm_sampler_request r = request_of(COUNT);
    test_accepted(f.context, dm_sampler_run(sampler, &r, got, COUNT * N));
    ck_assert_uint_eq(s.evaluations, 4);
    ck_assert_uint_eq(s.images, 4); /* two images, with guidance */
    dm_sampler_destroy(sampler);
    s.conditions = false;
    o.guidance = 1;
    test_accepted(f.context,
                  dm_sampler_create_with_denoiser(&sampler, f.context, f.schedule, &d, &o));
    ck_assert_int_eq(dm_sampler_request_init(&r, sizeof r), DM_OK);
    test_accepted(f.context, dm_sampler_run(sampler, &r, got, N));
    dm_sampler_destroy(sampler);
    d.condition_size = 65537;
    test_refused(f.context,
                 dm_sampler_create_with_denoiser(&sampler, f.context, f.schedule, &d, &o),
                 DM_ERROR_INVALID_ARGUMENT, "'condition_size' is 65537|65536");
    end();
}
END_TEST

/* ---- refusals and warnings ---- */

START_TEST(refused_requests) {
    static float got[COUNT * N];
    begin(1, 0, 1, DM_PREDICT_V);
    dm_sampler *sampler = sampler_of(2, 1, COUNT), *guided = sampler_of(2, 2, COUNT);
#define REFUSED(of, status, change, words)                                                         \
    do {                                                                                           \
        dm_sampler_request r = request_of(COUNT);                                                  \
        change;                                                                                    \
        test_refused(f.context, dm_sampler_run(of, &r, got, COUNT *N), status, words);             \
    } while (0)
    REFUSED(sampler, DM_ERROR_SHAPE_MISMATCH, r.condition_image_elements++,
            "'condition_image_elements' is 641|must be 640");
    REFUSED(sampler, DM_ERROR_SHAPE_MISMATCH, r.condition_vector_elements--,
            "'condition_vector_elements' is 24|must be 25");
    REFUSED(sampler, DM_ERROR_INVALID_ARGUMENT, r.condition_vector = NULL,
            "'condition_vector_elements' is 25|'condition_vector'");
    f.vectors[2 * SIZE] = NAN;
    REFUSED(sampler, DM_ERROR_INVALID_ARGUMENT, r.seed = 1, "'condition_vector' of image 2|NaN");
    f.vectors[2 * SIZE] = 0;
    f.images[4 * IMAGE] = INFINITY;
    REFUSED(sampler, DM_ERROR_INVALID_ARGUMENT, r.seed = 1, "'condition_image' of image 4|NaN");
    f.images[4 * IMAGE] = 0;
    dm_sampler_request nothing;
    ck_assert_int_eq(dm_sampler_request_init(&nothing, sizeof nothing), DM_OK);
    test_refused(f.context, dm_sampler_run(guided, &nothing, got, N), DM_ERROR_INVALID_ARGUMENT,
                 "'guidance' 2|'labels', 'condition_image' and 'condition_vector'");
    dm_sampler_destroy(guided);
    dm_sampler_destroy(sampler);

    dm_unet *conditional = f.unet;
    test_accepted(f.context, dm_unet_create(&f.unet, f.context, NULL, 1));
    sampler = sampler_of(2, 1, COUNT);
    REFUSED(sampler, DM_ERROR_INVALID_ARGUMENT, r.count = COUNT,
            "'condition_image' is given|takes none");
    dm_sampler_options o;
    ck_assert_int_eq(dm_sampler_options_init(&o, sizeof o), DM_OK);
    o.guidance = 2;
    test_refused(f.context, dm_sampler_create(&guided, f.unet, f.schedule, &o),
                 DM_ERROR_INVALID_ARGUMENT, "'guidance' 2|without classes and conditions");
    dm_sampler_destroy(sampler);
    dm_unet_destroy(conditional);
    end();
}
END_TEST

/* Labels that stay in both halves give guidance nothing to do. */
START_TEST(guidance_that_would_do_nothing) {
    static float got[COUNT * N];
    begin(1, CLASSES, 0, DM_PREDICT_V);
    dm_sampler *guided = sampler_of(2, 2, COUNT);
    dm_sampler_request r = request_of(COUNT);
    r.labels = f.labels;
    r.label_count = COUNT;
    test_accepted(f.context, dm_sampler_run(guided, &r, got, COUNT * N));
    r.condition_image = r.condition_vector = NULL;
    r.condition_image_elements = r.condition_vector_elements = 0;
    test_refused(f.context, dm_sampler_run(guided, &r, got, COUNT * N), DM_ERROR_INVALID_ARGUMENT,
                 "'guidance' 2|'condition_image' and 'condition_vector'");
    dm_sampler_destroy(guided);
    end();
}
END_TEST

/* Guidance subtracts the output for conditions of zeros, which a file says whether training saw. */
START_TEST(guidance_without_dropped_conditions) {
    for (int32_t dropped = 0; dropped < 2; dropped++) {
        char warning[256] = "", path[160];
        snprintf(path, sizeof path, "%s/network", test_folder());
        begin(1, 0, 1, DM_PREDICT_V);
        f.context->host.log = test_keep_warning;
        f.context->host.log_user = warning;
        dm_trainer_options o;
        dm_trainer *trainer;
        dm_train_batch batch;
        ck_assert_int_eq(dm_trainer_options_init(&o, sizeof o), DM_OK);
        ck_assert_int_eq(dm_train_batch_init(&batch, sizeof batch), DM_OK);
        o.batch_size = 2;
        o.condition_dropout = dropped ? 0.5 : 0;
        batch.count = 2;
        batch.elements = 2 * N;
        batch.images = f.noise;
        batch.condition_image = f.images;
        batch.condition_image_elements = 2 * IMAGE;
        test_accepted(f.context, dm_trainer_create(&trainer, f.unet, f.schedule, NULL, &o));
        test_accepted(f.context, dm_trainer_step_batch(trainer, &batch, NULL));
        dm_trainer_destroy(trainer);
        test_accepted(f.context, dm_unet_save(f.unet, NULL, path));
        dm_unet_destroy(f.unet);
        test_accepted(f.context, dm_unet_load(&f.unet, f.context, path, DM_WEIGHTS_DEFAULT));
        dm_sampler_destroy(sampler_of(2, 3, 1));
        ck_assert_int_eq(strstr(warning, "without 'condition_dropout'") != NULL, !dropped);
        end();
    }
}
END_TEST

/* With classes too, what guidance leaves out must have been dropped: the class where there is a
 * row for none, and the conditions. */
START_TEST(guidance_of_classes_and_conditions) {
    static const struct {
        int32_t null_row;
        double labels, conditions;
        const char *without; /* NULL: no warning */
    } cases[] = {
        {1, 0.5, 0.5, NULL},
        {1, 0.5, 0,
         "without 'label_dropout' or 'condition_dropout': its output without a class "
         "and a condition was"},
        {1, 0, 0.5, "without 'label_dropout' or 'condition_dropout'"},
        {0, 0, 0.5, NULL},
        {0, 0, 0, "without 'condition_dropout': its output without a condition was"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char warning[256] = "";
        begin(1, 0, 1, DM_PREDICT_V);
        f.context->host.log = test_keep_warning;
        f.context->host.log_user = warning;
        const int32_t labels[] = {0, 1};
        dm_unet_options u;
        dm_trainer_options o;
        dm_trainer *trainer;
        dm_train_batch batch;
        test_accepted(f.context, dm_unet_get_options(f.unet, &u, sizeof u));
        dm_unet_destroy(f.unet);
        u.classes = 2;
        u.null_row = cases[i].null_row;
        test_accepted(f.context, dm_unet_create(&f.unet, f.context, &u, 1));
        ck_assert_int_eq(dm_trainer_options_init(&o, sizeof o), DM_OK);
        ck_assert_int_eq(dm_train_batch_init(&batch, sizeof batch), DM_OK);
        o.batch_size = 2;
        o.label_dropout = cases[i].labels;
        o.condition_dropout = cases[i].conditions;
        batch.count = batch.label_count = 2;
        batch.elements = 2 * N;
        batch.images = f.noise;
        batch.labels = labels;
        batch.condition_image = f.images;
        batch.condition_image_elements = 2 * IMAGE;
        test_accepted(f.context, dm_trainer_create(&trainer, f.unet, f.schedule, NULL, &o));
        test_accepted(f.context, dm_trainer_step_batch(trainer, &batch, NULL));
        dm_trainer_destroy(trainer);
        dm_sampler_destroy(sampler_of(2, 3, 1));
        if (cases[i].without)
            ck_assert_msg(strstr(warning, cases[i].without) != NULL, "%zu: %s", i, warning);
        else ck_assert_str_eq(warning, "");
        end();
    }
}
END_TEST

Suite *test_condition_sampling_suite(void);
Suite *test_condition_sampling_suite(void) {
    Suite *suite = suite_create("condition_sampling");
    TCase *tcase = tcase_create("condition_sampling");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, guided_as_by_two_passes, 0, 3);
    tcase_add_loop_test(tcase, images_do_not_depend_on_batches, 0, KINDS);
    tcase_add_test(tcase, missing_conditions_are_zeros);
    tcase_add_test(tcase, denoisers_receive_conditions);
    tcase_add_test(tcase, refused_requests);
    tcase_add_test(tcase, guidance_that_would_do_nothing);
    tcase_add_test(tcase, guidance_without_dropped_conditions);
    tcase_add_test(tcase, guidance_of_classes_and_conditions);
    suite_add_tcase(suite, tcase);
    return suite;
}
