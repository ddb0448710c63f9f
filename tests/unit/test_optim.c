/* SPDX-License-Identifier: MIT */
/* The functions of the optimizer against loops in double precision, and the learning rate at points
 * worked out by hand. */
#include <float.h>

#include "base/cpu.h"
#include "optim/adamw.h"
#include "optim/clip.h"
#include "optim/partition.h"
#include "optim/rate.h"
#include "support/support.h"

/* Two whole tiles and a remainder, which no vector width divides. */
enum { FLOATS = 2 * DMI_FLAT_TILE + 1237, STEPS = 20, IMAGES = 8 };

static float *zeros(size_t count) {
    float *values = calloc(count, sizeof *values);
    ck_assert_ptr_nonnull(values);
    return values;
}

static const dmi_kernels *kernels(void) { return dmi_kernels_for(dmi_cpu_isa()); }

/* ---- AdamW ---- */

typedef struct adamw_case {
    dmi_adamw_settings settings;
    dmi_ema ema; /* a decay below 0: none */
    double rate, scale;
} adamw_case;

static const adamw_case adamw_cases[] = {
    {{.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0}, {.decay = -1}, 1e-3, 1},
    {{.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1},
     {.decay = 0.95, .warmup = true},
     1e-2,
     0.25},
    {{.beta1 = 0.8, .beta2 = 0.95, .eps = 1e-3, .weight_decay = 0.01}, {.decay = 0.5}, 1e-2, 3},
    {{.beta1 = 0, .beta2 = 0, .eps = 1e-2, .weight_decay = 0}, {.decay = 0}, 1e-2, 1},
    {{.beta1 = 0.9, .beta2 = 0.99, .eps = 1e-8, .weight_decay = 0.3, .l2 = true},
     {.half_life = 30, .rampup = 0.2},
     1e-2,
     0.5},
};
enum { ADAMW_CASES = sizeof adamw_cases / sizeof *adamw_cases };

typedef struct blocks {
    float *weights, *moment1, *moment2, *ema, *gradient, *start;
} blocks;

static blocks blocks_new(void) {
    blocks b = {zeros(FLOATS), zeros(FLOATS), zeros(FLOATS),
                zeros(FLOATS), zeros(FLOATS), zeros(FLOATS)};
    test_fill(b.start, FLOATS, 1, 1);
    memcpy(b.weights, b.start, FLOATS * sizeof(float));
    memcpy(b.ema, b.start, FLOATS * sizeof(float));
    return b;
}

static void blocks_free(blocks *b) {
    free(b->weights), free(b->moment1), free(b->moment2), free(b->ema), free(b->gradient),
        free(b->start);
}

static bool has_ema(const adamw_case *c) { return c->ema.decay >= 0; }

static void run_ours(blocks *b, const adamw_case *c, int32_t threads) {
    dmi_host *host = test_host_new(threads);
    dmi_adamw_blocks all = {.weights = b->weights,
                            .moment1 = b->moment1,
                            .moment2 = b->moment2,
                            .emas = {has_ema(c) ? b->ema : NULL},
                            .gradient = b->gradient,
                            .floats = FLOATS};
    for (uint64_t step = 1; step <= STEPS; step++) {
        dmi_adamw at = dmi_adamw_at(&c->settings, step, c->rate, c->scale);
        all.ema_weights[0] = (float)dmi_ema_weight(&c->ema, step, IMAGES, (step - 1) * IMAGES);
        test_fill(b->gradient, FLOATS, 100 + step, 1);
        dmi_adamw_step(host->pool, kernels(), &all, &at);
    }
    test_host_end(host);
}

/* Loshchilov and Hutter (2019), algorithm 2, one element at a time. The betas are rounded to
 * floats, as the header says. */
static void run_reference(const blocks *b, const adamw_case *c, double *weights, double *ema) {
    float *gradient = zeros(FLOATS);
    double *m = calloc(FLOATS, sizeof *m), *v = calloc(FLOATS, sizeof *v);
    double beta1 = (float)c->settings.beta1, beta2 = (float)c->settings.beta2;
    ck_assert(m && v);
    for (size_t i = 0; i < FLOATS; i++) weights[i] = ema[i] = b->start[i];
    for (int32_t step = 1; step <= STEPS; step++) {
        double decay = c->ema.decay,
               half_life = fmin(c->ema.half_life, c->ema.rampup * IMAGES * (step - 1));
        if (c->ema.warmup && decay > (1.0 + step) / (10.0 + step))
            decay = (1.0 + step) / (10.0 + step);
        if (c->ema.half_life > 0)
            decay = pow(0.5, IMAGES / fmax(half_life, 1e-8)); /* as in EDM's training loop */
        test_fill(gradient, FLOATS, 100 + (uint64_t)step, 1);
        for (size_t i = 0; i < FLOATS; i++) {
            double g = (double)gradient[i] * c->scale +
                       (c->settings.l2 ? c->settings.weight_decay * weights[i] : 0);
            m[i] = beta1 * m[i] + (1 - beta1) * g;
            v[i] = beta2 * v[i] + (1 - beta2) * g * g;
            double step1 = m[i] / (1 - pow(beta1, step)), step2 = v[i] / (1 - pow(beta2, step));
            weights[i] -= c->rate * ((c->settings.l2 ? 0 : c->settings.weight_decay) * weights[i] +
                                     step1 / (sqrt(step2) + c->settings.eps));
            ema[i] = decay * ema[i] + (1 - decay) * weights[i];
        }
    }
    free(gradient), free(m), free(v);
}

/* || (got - start) - (want - start) || / || want - start || */
static double movement_error(const float *got, const double *want, const float *start) {
    double difference = 0, size = 0;
    for (size_t i = 0; i < FLOATS; i++) {
        difference += (got[i] - want[i]) * (got[i] - want[i]);
        size += (want[i] - start[i]) * (want[i] - start[i]);
    }
    return sqrt(difference / size);
}

/* A weight of size 1 is rounded to some 3e-8 in each step, which moves it by about the rate. */
static const double rounding = 5e-8;

/* A weight of 1e-7 keeps its digits, which it would lose as 1 - decay in float. */
START_TEST(small_ema_weights_are_accurate) {
    dmi_ema slow = {.half_life = 1e9}, nearly = {.decay = 1 - 1e-6};
    double want = log(2) * IMAGES / 1e9;
    ck_assert_double_eq_tol(dmi_ema_weight(&slow, 10, IMAGES, 0), want, 1e-8 * want);
    ck_assert_double_eq_tol(dmi_ema_weight(&nearly, 10, IMAGES, 0), 1e-6, 1e-16);
}
END_TEST

START_TEST(adamw_follows_the_loop) {
    const adamw_case *c = &adamw_cases[_i];
    blocks b = blocks_new();
    double *weights = calloc(FLOATS, sizeof *weights), *ema = calloc(FLOATS, sizeof *ema);
    ck_assert(weights && ema);
    run_ours(&b, c, 2);
    run_reference(&b, c, weights, ema);
    ck_assert_double_le(movement_error(b.weights, weights, b.start), rounding / c->rate);
    if (has_ema(c)) ck_assert_double_le(movement_error(b.ema, ema, b.start), rounding / c->rate);
    else ck_assert_mem_eq(b.ema, b.start, FLOATS * sizeof(float));
    free(weights), free(ema);
    blocks_free(&b);
}
END_TEST

START_TEST(adamw_is_the_same_with_any_threads) {
    blocks one = blocks_new(), three = blocks_new();
    run_ours(&one, &adamw_cases[1], 1);
    run_ours(&three, &adamw_cases[1], 3);
    ck_assert_mem_eq(one.weights, three.weights, FLOATS * sizeof(float));
    ck_assert_mem_eq(one.ema, three.ema, FLOATS * sizeof(float));
    ck_assert_mem_eq(one.moment2, three.moment2, FLOATS * sizeof(float));
    blocks_free(&one);
    blocks_free(&three);
}
END_TEST

/* The first step of Adam is the rate itself, whatever the gradient's size: which a wrong bias
 * correction changes. */
START_TEST(first_step_has_the_size_of_the_rate) {
    const float sizes[] = {1e-3f, 1, 1e3f};
    dmi_adamw_settings settings = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-12};
    dmi_adamw at = dmi_adamw_at(&settings, 1, 0.5, 1);
    dmi_host *host = test_host_new(1);
    for (size_t i = 0; i < 3; i++) {
        float w = 0, m = 0, v = 0, g = sizes[i];
        dmi_adamw_blocks all = {
            .weights = &w, .moment1 = &m, .moment2 = &v, .gradient = &g, .floats = 1};
        dmi_adamw_step(host->pool, kernels(), &all, &at);
        ck_assert_float_eq_tol(w, -0.5f, 1e-6f);
    }
    test_host_end(host);
}
END_TEST

/* Parameters' blocks have gaps, which hold zeros and must stay zeros. */
START_TEST(zeros_stay_zeros) {
    blocks b = blocks_new();
    memset(b.weights, 0, FLOATS * sizeof(float));
    memset(b.ema, 0, FLOATS * sizeof(float));
    dmi_host *host = test_host_new(1);
    dmi_adamw at = dmi_adamw_at(&adamw_cases[1].settings, 1, 1e-2, 0.5);
    dmi_adamw_blocks all = {.weights = b.weights,
                            .moment1 = b.moment1,
                            .moment2 = b.moment2,
                            .emas = {b.ema},
                            .gradient = b.gradient,
                            .floats = FLOATS};
    dmi_adamw_step(host->pool, kernels(), &all, &at);
    for (size_t i = 0; i < FLOATS; i++)
        ck_assert(b.weights[i] == 0 && b.ema[i] == 0 && b.moment2[i] == 0);
    test_host_end(host);
    blocks_free(&b);
}
END_TEST

/* ---- clipping ---- */

static double norm_with(const float *gradient, int32_t threads) {
    dmi_host *host = test_host_new(threads);
    double sums[8];
    ck_assert_int_le(dmi_flat_tile_count(FLOATS), 8);
    double norm = dmi_flat_norm(host->pool, kernels(), gradient, FLOATS, sums);
    test_host_end(host);
    return norm;
}

START_TEST(norm_is_that_of_the_whole_gradient) {
    float *gradient = zeros(FLOATS);
    double squares = 0;
    test_fill(gradient, FLOATS, 7, 3);
    for (size_t i = 0; i < FLOATS; i++) squares += (double)gradient[i] * gradient[i];
    double norm = norm_with(gradient, 1);
    ck_assert_double_eq_tol(norm / sqrt(squares), 1,
                            1e-13); /* both are double sums, in another order */
    ck_assert(norm == norm_with(gradient, 3));
    free(gradient);
}
END_TEST

START_TEST(norm_is_finite_if_all_gradients_are) {
    static const size_t positions[] = {0, DMI_FLAT_TILE, FLOATS - 1};
    float *gradient = zeros(FLOATS);
    for (size_t i = 0; i < FLOATS; i++) gradient[i] = FLT_MAX;
    ck_assert(isfinite(norm_with(gradient, 1)));
    for (size_t i = 0; i < 3; i++) {
        memset(gradient, 0, FLOATS * sizeof(float));
        gradient[positions[i]] = INFINITY;
        ck_assert(!isfinite(norm_with(gradient, 1)));
        gradient[positions[i]] = NAN;
        ck_assert(!isfinite(norm_with(gradient, 1)));
    }
    free(gradient);
}
END_TEST

START_TEST(clip_factor) {
    ck_assert(dmi_clip_factor(4, 1) == 0.25);
    ck_assert(dmi_clip_factor(0.5, 1) == 1);
    ck_assert(dmi_clip_factor(1, 1) == 1);
    ck_assert(dmi_clip_factor(0, 1) == 1);
    ck_assert(dmi_clip_factor(100, 0) == 1);
    ck_assert(dmi_clip_factor(100, 25) == 0.25);
}
END_TEST

/* ---- the learning rate ---- */

typedef struct rate_point {
    int32_t decay;
    uint64_t warmup_steps, decay_steps, step;
    double final_rate, want;
} rate_point;

/* Of a learning rate of 2. */
static const rate_point rate_points[] = {
    {DMI_DECAY_NONE, 0, 0, 1, 0, 2},         {DMI_DECAY_NONE, 0, 0, 1000000, 0, 2},
    {DMI_DECAY_NONE, 4, 0, 1, 0, 0.5},       {DMI_DECAY_NONE, 4, 0, 3, 0, 1.5},
    {DMI_DECAY_NONE, 4, 0, 4, 0, 2},         {DMI_DECAY_NONE, 4, 0, 5, 0, 2},
    {DMI_DECAY_NONE, 1, 0, 1, 0, 2},         {DMI_DECAY_LINEAR, 0, 10, 0, 0, 2},
    {DMI_DECAY_LINEAR, 0, 10, 5, 0, 1},      {DMI_DECAY_LINEAR, 0, 10, 10, 0, 0},
    {DMI_DECAY_LINEAR, 0, 10, 11, 0, 0},     {DMI_DECAY_LINEAR, 10, 20, 5, 0.5, 1},
    {DMI_DECAY_LINEAR, 10, 20, 10, 0.5, 2},  {DMI_DECAY_LINEAR, 10, 20, 15, 0.5, 1.5},
    {DMI_DECAY_LINEAR, 10, 20, 20, 0.5, 1},  {DMI_DECAY_LINEAR, 10, 20, UINT64_MAX, 0.5, 1},
    {DMI_DECAY_COSINE, 10, 22, 10, 0, 2},    {DMI_DECAY_COSINE, 10, 22, 14, 0, 1.5},
    {DMI_DECAY_COSINE, 10, 22, 16, 0, 1},    {DMI_DECAY_COSINE, 10, 22, 18, 0, 0.5},
    {DMI_DECAY_COSINE, 10, 22, 22, 0, 0},    {DMI_DECAY_COSINE, 10, 22, 14, 0.5, 1.75},
    {DMI_DECAY_COSINE, 10, 22, 100, 0.5, 1},
};

START_TEST(rate_at_points) {
    const rate_point *p = &rate_points[_i];
    dmi_rate rate = {.learning_rate = 2,
                     .final_rate = p->final_rate,
                     .warmup_steps = p->warmup_steps,
                     .decay_steps = p->decay_steps,
                     .decay = p->decay};
    ck_assert_double_eq_tol(dmi_rate_at(&rate, p->step), p->want,
                            1e-14); /* the cosine's rounding */
}
END_TEST

Suite *test_optim_suite(void);
Suite *test_optim_suite(void) {
    Suite *suite = suite_create("optim");
    TCase *tcase = tcase_create("optim");
    tcase_add_loop_test(tcase, adamw_follows_the_loop, 0, ADAMW_CASES);
    tcase_add_test(tcase, small_ema_weights_are_accurate);
    tcase_add_test(tcase, adamw_is_the_same_with_any_threads);
    tcase_add_test(tcase, first_step_has_the_size_of_the_rate);
    tcase_add_test(tcase, zeros_stay_zeros);
    tcase_add_test(tcase, norm_is_that_of_the_whole_gradient);
    tcase_add_test(tcase, norm_is_finite_if_all_gradients_are);
    tcase_add_test(tcase, clip_factor);
    tcase_add_loop_test(tcase, rate_at_points, 0, (int)(sizeof rate_points / sizeof *rate_points));
    suite_add_tcase(suite, tcase);
    return suite;
}
