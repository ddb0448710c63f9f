/* SPDX-License-Identifier: MIT */
/* Networks of random options: they are refused with a text when they are created, or they work. An
 * image has the same bits alone and in a batch, and with any number of threads; the gradient to the
 * input is the slope; a step has the same bits whatever is recomputed, and nearly the same gradient
 * in one pass and in two; files hold the network. What tests of single options miss are two that
 * only meet here. */
#include "core/context.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/support.h"
#include "unet/options.h"
#include "unet/unet.h"

enum {
    IMAGES = 3,
    BATCH = 4,
    SIDE_MAX = 24,
    CHANNELS_MAX = 4, /* of an image */
    FLOATS = BATCH * SIDE_MAX * SIDE_MAX * CHANNELS_MAX * 2,
    VECTOR_MAX = 96,
    RUNS = 12, /* of one test */
    TESTS = 8
};

static uint64_t state;

static int32_t below(int32_t n) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (int32_t)((state >> 33) % (uint64_t)n);
}

static bool rarely(void) { return below(6) == 0; }

/* ---- options ---- */

static void any_levels(dm_unet_options *o) {
    static const int32_t resamples[] = {DM_RESAMPLE_CONV, DM_RESAMPLE_RESNET, DM_RESAMPLE_NONE,
                                        DM_RESAMPLE_SKIP};
    int32_t down = below(5), up = below(5), attends = below(3);
    for (int32_t i = 0; i < o->levels; i++) {
        o->blocks[i] = 1 + (below(4) == 0);
        o->attention[i] = attends && below(2);
        o->up_attention[i] = below(3) - 1;
        o->down_resample[i] = resamples[down < 4 ? down : below(4)];
        o->up_resample[i] = resamples[up < 4 ? up : below(4)];
    }
    o->mid_block = below(4) != 0;
    o->mid_attention = below(2);
    if (below(2)) o->mid_scale = 1.5f;
    o->mid_norm_groups = below(3) - 1;
    if (rarely()) o->mid_norm_groups = 4;
    o->attention_head_size = rarely() ? 1 + below(12) : 0;
    o->dropout = below(3) ? 0 : 0.3f;
    o->time_embedding = below(3);
    o->downsample_padding = below(2);
    o->time_features = below(3);
    o->time_steps = 30 + below(100);
    if (o->time_features == DM_TIME_FOURIER && below(2))
        o->prediction = DM_PREDICT_FLOW, o->learned_variance = 0;
    if (below(2)) return;
    o->condition_embedding = below(3);
    o->condition_size = o->condition_embedding == DM_CONDITION_TIME ? 1 : 1 + below(VECTOR_MAX);
    if (o->condition_embedding == DM_CONDITION_IDENTITY)
        o->condition_size = dmi_unet_time_channels(o);
}

static void any_recipe(dm_unet_options *o) {
    int32_t parts = 1 + below(4);
    o->recipe[0] = below(2) ? DM_PART_RESNET : DM_PART_CONVNEXT;
    for (int32_t i = 1; i < parts; i++) o->recipe[i] = 1 + below(DM_PART_CHANNEL_ATTENTION);
    o->attention_window = 1 << below(6);
}

static dm_unet_options any_options(void) {
    static const int32_t units[] = {1, 2, 3, 4, 8, 16, 32};
    dm_unet_options o;
    ck_assert_int_eq(dm_unet_options_init(&o, sizeof o), DM_OK);
    o.levels = 1 + below(3);
    o.height = (1 + below(4)) << (o.levels - 1);
    o.width = (1 + below(6)) << (o.levels - 1);
    o.in_channels = 1 + below(CHANNELS_MAX);
    o.out_channels = below(4) ? o.in_channels : 1 + below(CHANNELS_MAX);
    int32_t unit = units[below(7)];
    for (int32_t i = 0; i < DM_LEVELS_MAX; i++)
        o.channels[i] = i < o.levels ? unit * (1 + below(unit > 8 ? 2 : 5)) : 0;
    o.norm_groups = below(4) ? unit : below(8);
    o.norm_eps = 0.1f; /* norms of two numbers would else be steps, which have no slope */
    o.time_channels = below(2) ? 0 : 1 + below(VECTOR_MAX);
    o.time_cos_first = below(2);
    if (rarely()) o.time_frequency_shift = 0;
    o.classes = below(2) ? 0 : 1 + below(4);
    o.null_row = below(4) != 0;
    o.prediction = below(2) ? DM_PREDICT_EPS : below(4);
    o.learned_variance = o.prediction == DM_PREDICT_EPS && below(3) == 0;
    o.self_conditioning = below(3) == 0;
    o.activation = 1 + below(4);
    o.center_input = below(4) == 0;
    o.condition_channels = below(3) ? 0 : 1 + below(2);
    if (below(3)) any_levels(&o);
    else any_recipe(&o);
    return o;
}

static const char *text_of(const dm_unet_options *o) {
    static const char *const members[] = {"height",
                                          "width",
                                          "in_channels",
                                          "out_channels",
                                          "levels",
                                          "channels",
                                          "blocks",
                                          "attention",
                                          "mid_attention",
                                          "attention_head_size",
                                          "norm_groups",
                                          "dropout",
                                          "time_embedding",
                                          "time_channels",
                                          "classes",
                                          "prediction",
                                          "learned_variance",
                                          "self_conditioning",
                                          "down_resample",
                                          "up_resample",
                                          "up_attention",
                                          "mid_block",
                                          "mid_scale",
                                          "mid_norm_groups",
                                          "activation",
                                          "time_features",
                                          "center_input",
                                          "null_row",
                                          "condition_channels",
                                          "condition_size",
                                          "condition_embedding",
                                          "recipe",
                                          "attention_window"};
    static char text[4096];
    size_t at = 0;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        char value[256];
        dm_options_get(NULL, "dm_unet_options", o, members[i], value, sizeof value, NULL);
        at += (size_t)snprintf(text + at, sizeof text - at, "%s %s; ", members[i], value);
    }
    return text;
}

/* ---- passes ---- */

static dm_context *context_of(int32_t threads) {
    dm_context_options o;
    dm_context *context;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = threads;
    ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
    return context;
}

/* A network in a context of one thread, its share in one of two, and the arrays of a pass. */
typedef struct trial {
    dm_unet_options o;
    dm_unet *unet, *share;
    size_t in, out, pixels; /* floats of an image */
    float x[FLOATS], dy[FLOATS], image[FLOATS], vector[BATCH * VECTOR_MAX * 4];
    double times[BATCH];
    int32_t labels[BATCH];
} trial;

static trial t;

static void fill(void) {
    const dm_unet_options *o = &t.o;
    t.pixels = (size_t)o->height * (size_t)o->width;
    t.in = t.pixels * (size_t)dmi_unet_channels_in(o);
    t.out = t.pixels * (size_t)dmi_unet_channels_out(o);
    test_fill(t.x, FLOATS, 1, 1);
    test_fill(t.dy, FLOATS, 2, 1);
    test_fill(t.image, FLOATS, 3, 1);
    test_fill(t.vector, sizeof t.vector / sizeof *t.vector, 4, 1);
    for (int32_t i = 0; i < BATCH; i++) {
        t.times[i] = 1 + 7 * i;
        t.labels[i] = o->classes ? below(o->classes + o->null_row) - o->null_row : -1;
        if (o->condition_embedding == DM_CONDITION_TIME) t.vector[i] = (float)(3 + i);
    }
}

/* Images first to first + count - 1. */
static dm_unet_input input_of(size_t first, size_t count) {
    const dm_unet_options *o = &t.o;
    dm_unet_input input;
    ck_assert_int_eq(dm_unet_input_init(&input, sizeof input), DM_OK);
    size_t image = t.pixels * (size_t)o->condition_channels, vector = (size_t)o->condition_size;
    input.count = input.time_count = count;
    input.x = t.x + first * t.in, input.x_elements = count * t.in;
    input.times = t.times + first;
    if (o->classes) input.labels = t.labels + first, input.label_count = count;
    if (image) {
        input.condition_image = t.image + first * image;
        input.condition_image_elements = count * image;
    }
    if (vector) {
        input.condition_vector = t.vector + first * vector;
        input.condition_vector_elements = count * vector;
    }
    return input;
}

static void forward(dm_unet *unet, float *y, size_t first, size_t count) {
    dm_unet_input input = input_of(first, count);
    test_accepted(dm_unet_context(unet), dm_unet_forward(unet, &input, y, count * t.out));
}

static void gradient(dm_unet *unet, float *y, float *dx, size_t first, size_t count) {
    dm_unet_input input = input_of(first, count);
    test_accepted(dm_unet_context(unet),
                  dm_unet_input_gradient(unet, &input, t.dy + first * t.out, count * t.out, y, dx,
                                         count * t.in));
}

static void same(const char *what, const float *a, const float *b, size_t count) {
    ck_assert_msg(!memcmp(a, b, count * sizeof *a), "%s: %s", what, text_of(&t.o));
}

static double dot(const float *a, const float *b, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * b[i];
    return sum;
}

static void check_passes(void) {
    static float y[FLOATS], one[FLOATS], dx[FLOATS], done[FLOATS];
    forward(t.unet, y, 0, IMAGES);
    for (size_t i = 0; i < IMAGES * t.out; i++)
        ck_assert_msg(isfinite(y[i]), "not finite: %s", text_of(&t.o));
    forward(t.unet, one, 1, 1);
    same("forward alone", y + t.out, one, t.out);
    forward(t.share, one, 0, IMAGES);
    same("forward of two threads", y, one, IMAGES * t.out);
    gradient(t.unet, one, dx, 0, IMAGES);
    same("forward before the gradient", y, one, IMAGES * t.out);
    gradient(t.unet, one, done, 1, 1);
    same("gradient alone", dx + t.in, done, t.in);
    gradient(t.share, one, done, 0, IMAGES);
    same("gradient of two threads", dx, done, IMAGES * t.in);
}

/* Along the gradient, where the slope is its norm. */
static void check_slope(void) {
    static float y[FLOATS], plus[FLOATS], minus[FLOATS], dx[FLOATS], x[FLOATS];
    gradient(t.unet, y, dx, 0, 1);
    double norm = sqrt(dot(dx, dx, t.in)), best = INFINITY;
    memcpy(x, t.x, sizeof x);
    for (double step = 0.02; step > 0.001 && norm > 0; step /= 2) {
        for (size_t i = 0; i < t.in; i++) t.x[i] = (float)(x[i] + step * dx[i] / norm);
        forward(t.unet, plus, 0, 1);
        for (size_t i = 0; i < t.in; i++) t.x[i] = (float)(x[i] - step * dx[i] / norm);
        forward(t.unet, minus, 0, 1);
        memcpy(t.x, x, sizeof x);
        double slope = (dot(plus, t.dy, t.out) - dot(minus, t.dy, t.out)) / (2 * step);
        best = fmin(best, fabs(slope / norm - 1));
    }
    double size = sqrt(dot(y, y, t.out) * dot(t.dy, t.dy, t.out));
    ck_assert_msg(norm < 1e-3 * size || best < 0.1, "gradient %g, wrong by %g (size %g): %s", norm,
                  best, size, text_of(&t.o));
}

/* ---- training ---- */

static dm_schedule *schedule_of(dm_context *context) {
    dm_schedule_options o;
    dm_schedule *schedule;
    ck_assert_int_eq(dm_schedule_options_init(&o, sizeof o), DM_OK);
    o.timesteps = 30;
    if (t.o.prediction == DM_PREDICT_FLOW || t.o.time_features == DM_TIME_FOURIER)
        o.kind = DM_SCHEDULE_FLOW;
    test_accepted(context, dm_schedule_create(&schedule, context, &o));
    return schedule;
}

static dm_unet *copy_of(dm_context *context, const void *file, size_t size) {
    dm_unet *unet;
    test_accepted(context, dm_unet_load_memory(&unet, context, file, size, DM_WEIGHTS_DEFAULT));
    return unet;
}

typedef struct stepped {
    bool refused;
    double norm;
    float *weights;
} stepped;

/* One step, then one more, of a copy of the network. */
static stepped step(const void *file, size_t size, int32_t threads, int32_t recompute,
                    int32_t passes) {
    static float noise[FLOATS];
    static const int32_t timesteps[BATCH] = {3, 29, 14, 0};
    dm_context *context = context_of(threads);
    dm_schedule *schedule = schedule_of(context);
    dm_unet *unet = copy_of(context, file, size);
    dm_trainer *trainer;
    dm_trainer_options o;
    dm_train_batch b;
    dm_train_stats stats;
    stepped result = {.refused = false};
    ck_assert_int_eq(dm_trainer_options_init(&o, sizeof o), DM_OK);
    ck_assert_int_eq(dm_train_batch_init(&b, sizeof b), DM_OK);
    ck_assert_int_eq(dm_train_stats_init(&stats, sizeof stats), DM_OK);
    o.recompute = recompute;
    o.batch_size = BATCH / passes;
    o.accumulation = passes;
    o.learning_rate = 1e-3;
    if (t.o.learned_variance) o.loss = DM_LOSS_HYBRID;
    test_fill(noise, FLOATS, 9, 1.7f);
    b.count = b.timestep_count = BATCH;
    b.elements = BATCH * t.pixels * (size_t)t.o.in_channels;
    b.images = t.x, b.noise = noise, b.timesteps = timesteps;
    dm_unet_input given = input_of(0, BATCH);
    b.labels = given.labels, b.label_count = given.label_count;
    b.condition_image = given.condition_image, b.condition_vector = given.condition_vector;
    b.condition_image_elements = given.condition_image_elements;
    b.condition_vector_elements = given.condition_vector_elements;
    dm_status status = dm_trainer_create(&trainer, unet, schedule, NULL, &o);
    if (status) {
        ck_assert_msg(status == DM_ERROR_INVALID_ARGUMENT || status == DM_ERROR_SHAPE_MISMATCH,
                      "%s: %s", dm_context_error(context), text_of(&t.o));
        result.refused = true;
    } else {
        status = dm_trainer_step_batch(trainer, &b, &stats);
        ck_assert_msg(!status, "%s: %s", dm_context_error(context), text_of(&t.o));
        result.norm = stats.gradient_norm;
        test_accepted(context, dm_trainer_step_batch(trainer, &b, &stats));
        const dmi_params *p = &unet->weights->params;
        result.weights = malloc(p->floats * sizeof(float));
        ck_assert_ptr_nonnull(result.weights);
        memcpy(result.weights, p->data, p->floats * sizeof(float));
    }
    dm_trainer_destroy(trainer);
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
    return result;
}

static bool check_training(void) {
    size_t size, floats = t.unet->weights->params.floats;
    test_accepted(dm_unet_context(t.unet), dm_unet_save_memory(t.unet, NULL, NULL, 0, &size));
    void *file = malloc(size);
    ck_assert_ptr_nonnull(file);
    test_accepted(dm_unet_context(t.unet), dm_unet_save_memory(t.unet, NULL, file, size, &size));
    stepped want = step(file, size, 1, DM_RECOMPUTE_NONE, 2);
    for (int32_t recompute = 0; recompute <= 2 && !want.refused; recompute++) {
        stepped got = step(file, size, 2, recompute, 2);
        same("a step", want.weights, got.weights, floats);
        free(got.weights);
    }
    if (!want.refused && t.o.dropout == 0 && !t.o.self_conditioning) {
        stepped got = step(file, size, 1, DM_RECOMPUTE_NONE, 1);
        ck_assert_msg(fabs(got.norm / want.norm - 1) < 1e-3, "norms %g and %g: %s", got.norm,
                      want.norm, text_of(&t.o));
        free(got.weights);
    }
    free(want.weights);
    free(file);
    return !want.refused;
}

static void check_file(dm_context *context) {
    static float y[FLOATS], again[FLOATS];
    size_t size;
    test_accepted(context, dm_unet_save_memory(t.unet, NULL, NULL, 0, &size));
    void *file = malloc(size);
    ck_assert_ptr_nonnull(file);
    test_accepted(context, dm_unet_save_memory(t.unet, NULL, file, size, &size));
    dm_unet *loaded = copy_of(context, file, size);
    network_same(t.unet, loaded);
    forward(t.unet, y, 0, IMAGES);
    forward(loaded, again, 0, IMAGES);
    same("the file's network", y, again, IMAGES * t.out);
    dm_unet_destroy(loaded);
    free(file);
}

START_TEST(any_options_are_refused_or_work) {
    int trained = 0;
    dm_context *context = context_of(1), *second = context_of(2);
    state = 1 + (uint64_t)_i;
    for (int run = 0; run < RUNS; run++) {
        t.o = any_options();
        dm_status status = dm_unet_create(&t.unet, context, &t.o, 1);
        ck_assert_msg(!status || (status == DM_ERROR_INVALID_ARGUMENT &&
                                  !strncmp(dm_context_error(context), "unet: '", 7)),
                      "%s: %s", dm_context_error(context), text_of(&t.o));
        if (status) continue;
        network_randomize(t.unet, (uint64_t)run);
        test_accepted(second, dm_unet_share(&t.share, second, t.unet));
        fill();
        check_passes();
        if (t.o.activation != DM_ACTIVATION_RELU) check_slope();
        check_file(context);
        trained += check_training();
        if (!dm_unet_set_tiling(t.unet, below(2), 1)) {
            ck_assert_int_eq(dm_unet_set_tiling(t.share, t.unet->wrap & 1, 1), DM_OK);
            check_passes();
            if (t.o.activation != DM_ACTIVATION_RELU) check_slope();
        }
        dm_unet_destroy(t.share);
        dm_unet_destroy(t.unet);
    }
    ck_assert_int_gt(trained, RUNS / 8);
    dm_context_destroy(second);
    dm_context_destroy(context);
}
END_TEST

Suite *test_any_network_suite(void);

Suite *test_any_network_suite(void) {
    Suite *suite = suite_create("any_network");
    TCase *tcase = tcase_create("any_network");
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, any_options_are_refused_or_work, 0, TESTS);
    suite_add_tcase(suite, tcase);
    return suite;
}
