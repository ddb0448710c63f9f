/* SPDX-License-Identifier: MIT */
/* Guidance by callback: without changes nothing changes, what it changes is what a denoiser with
 * the same changes gives, and what it is given, may do and must not leave. */
#include "support/network.h"
#include "support/sampling.h"

enum { COUNT = 3, TOTAL = COUNT * ELEMENTS };

static const int32_t labels_of[COUNT] = {1, 0, 2};

/* ---- a guidance that changes nothing ---- */

typedef struct record {
    int32_t calls, rederive, fail_at;
    size_t next; /* image expected at the first call of a batch */
    double previous;
    bool labels;
} record;

static int32_t look(void *user, dm_guidance_step *step) {
    record *r = user;
    ck_assert_uint_eq(step->struct_size, sizeof *step);
    ck_assert_int_eq(step->rederive, 0);
    ck_assert_uint_eq(step->elements, step->count * ELEMENTS);
    ck_assert(step->count >= 1 && step->count <= COUNT && step->first < COUNT);
    ck_assert(step->timestep >= 0 && step->timestep <= 999);
    ck_assert(step->signal >= 0 && step->noise >= 0);
    ck_assert_int_eq(step->labels != NULL, r->labels);
    for (size_t i = 0; r->labels && i < step->count; i++)
        ck_assert_int_eq(step->labels[i], labels_of[step->first + i]);
    for (size_t i = 0; i < step->elements; i++) {
        double x = step->signal * step->x_0[i] + step->noise * step->eps[i];
        ck_assert_double_eq_tol((double)step->x[i], x, 1e-5 * (1 + fabs(x)));
    }
    step->rederive = r->rederive;
    return ++r->calls == r->fail_at ? 5 : 0;
}

/* With all solvers, options of all kinds, and in every kind of run. */
START_TEST(nothing_changes) {
    for (int kind = 0; kind < 4; kind++) {
        if (test_solver_is_special(_i)) continue;
        dm_sampler_options o = test_sampler_options(_i, 8, DM_SPACING_TRAILING);
        record log = {.labels = kind > 1};
        float want[TOTAL], got[TOTAL];
        o.clip = kind > 0;
        if (kind == 2) o.guidance = 3;
        if (kind == 3) o.threshold = 0.9, o.batch_size = 2;
        if (kind == 1 && _i == DM_SOLVER_DDIM) o.rederive_eps = 1;
        dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
        dm_sampler_request r = test_sampler_request(COUNT);
        if (log.labels) r.labels = labels_of;
        ok(dm_sampler_run(sampler, test_counted(sampler, &r), want, TOTAL));
        r.guide = look;
        r.guide_user = &log;
        ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, TOTAL));
        ck_assert_mem_eq(want, got, sizeof got);
        ck_assert_int_eq(log.calls, dm_sampler_evaluations(sampler) * (kind == 3 ? 2 : 1));
        ok(dm_sampler_start(sampler, test_counted(sampler, &r)));
        for (int32_t left = 1; left;) ok(dm_sampler_step(sampler, &left));
        ok(dm_sampler_finish(sampler, got, TOTAL));
        ck_assert_mem_eq(want, got, sizeof got);
        dm_sampler_destroy(sampler);
    }
}
END_TEST

/* ---- against denoisers with the same change ---- */

/* What is added to the prediction, from x_t. */
static double shift(double x, size_t i) { return 0.3 * cos(3 * x + (double)(i % ELEMENTS)); }

static int32_t shifted_wave(void *user, const dm_denoiser_input *in, float *output, size_t size) {
    test_wave(NULL, in, output, size);
    (void)user;
    for (size_t i = 0; i < size; i++) output[i] += (float)shift((double)in->x[i], i);
    return 0;
}

/* 1: x_0 is changed and eps follows, 2: the reverse, 0: both are changed. */
static int32_t shift_it(void *user, dm_guidance_step *step) {
    const int32_t kind = *(const int32_t *)user;
    for (size_t i = 0; i < step->elements; i++) {
        double by = shift((double)step->x[i], i);
        if (kind == 1) step->x_0[i] += by;
        else step->eps[i] += by;
        if (kind == 0) step->x_0[i] -= by * step->noise / step->signal;
    }
    step->rederive = kind;
    return 0;
}

START_TEST(changed_as_by_a_denoiser) {
    static const int32_t solvers[] = {DM_SOLVER_DDIM, DM_SOLVER_DPMPP, DM_SOLVER_HEUN,
                                      DM_SOLVER_DDPM};
    for (int k = 0; k < 4; k++)
        for (int clip = 0; clip < 2; clip++) {
            int32_t kind = _i, prediction = kind == 1 ? DM_PREDICT_X0 : DM_PREDICT_EPS;
            float want[TOTAL], got[TOTAL];
            dm_sampler_options o = test_sampler_options(solvers[k], 8, DM_SPACING_LEADING);
            o.clip = clip;
            dm_sampler *by_itself = test_sampler_of(shifted_wave, NULL, prediction, &o),
                       *guided = test_sampler_of(test_wave, NULL, prediction, &o);
            dm_sampler_request r = test_sampler_request(COUNT);
            ok(dm_sampler_run(by_itself, test_counted(by_itself, &r), want, TOTAL));
            r.guide = shift_it;
            r.guide_user = &kind;
            ok(dm_sampler_run(guided, test_counted(guided, &r), got, TOTAL));
            test_close(got, want, TOTAL, 2e-5);
            ok(dm_sampler_run(guided, test_counted(guided, &r), want, TOTAL));
            ck_assert_mem_eq(got, want, sizeof got);
            r.guide = NULL;
            ok(dm_sampler_run(guided, test_counted(guided, &r), want, TOTAL));
            ck_assert_double_gt(test_error(got, want, TOTAL), 1e-2);
            /* An image alone and in batches. */
            r.guide = shift_it;
            r.count = 1;
            r.seed = 2;
            ok(dm_sampler_run(guided, test_counted(guided, &r), want, ELEMENTS));
            ck_assert_mem_eq(got + 2 * ELEMENTS, want, ELEMENTS * sizeof *want);
            dm_sampler_destroy(guided);
            dm_sampler_destroy(by_itself);
        }
}
END_TEST

static int32_t far_away(void *user, dm_guidance_step *step) {
    (void)user;
    for (size_t i = 0; i < step->elements; i++) step->x_0[i] = i % 2 ? 7 : -7;
    step->rederive = 1;
    return 0;
}

/* x_0 is clipped after the guidance. */
START_TEST(clipped_afterwards) {
    float got[ELEMENTS];
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 4, DM_SPACING_TRAILING);
    for (int clip = 0; clip < 2; clip++) {
        o.clip = clip;
        dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
        dm_sampler_request r = test_sampler_request(1);
        r.guide = far_away;
        ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, ELEMENTS));
        for (int i = 0; i < ELEMENTS; i++)
            ck_assert_float_eq_tol(fabsf(got[i]), clip ? 1 : 7, 1e-5f);
        dm_sampler_destroy(sampler);
    }
}
END_TEST

/* Pure noise has no eps that x_0 follows from, and a clean image no eps: they stay. */
START_TEST(at_the_ends) {
    float got[ELEMENTS], image[ELEMENTS];
    dm_schedule_options so;
    dm_schedule *terminal;
    ok(dm_schedule_options_init(&so, sizeof so));
    so.zero_terminal_snr = 1;
    ok(dm_schedule_create(&terminal, context, &so));
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 4, DM_SPACING_TRAILING);
    for (int32_t rederive = 0; rederive < 3; rederive++) {
        record log = {.rederive = rederive};
        dm_sampler *sampler;
        float want[ELEMENTS];
        ok(dm_sampler_create_with_denoiser(&sampler, context, terminal,
                                           test_denoiser(test_wave, NULL, DM_PREDICT_V, SIDE, SIDE,
                                                         CHANNELS),
                                           &o));
        dm_sampler_request r = test_sampler_request(1);
        ok(dm_sampler_run(sampler, test_counted(sampler, &r), want, ELEMENTS));
        r.guide = look;
        r.guide_user = &log;
        ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, ELEMENTS));
        test_close(got, want, ELEMENTS, 1e-5);
        test_fill(image, ELEMENTS, 3, 1);
        r.image = image;
        ok(dm_sampler_invert(sampler, test_counted(sampler, &r), got, ELEMENTS));
        ck_assert_int_eq(log.calls, 8);
        dm_sampler_destroy(sampler);
    }
    dm_schedule_destroy(terminal);
}
END_TEST

/* ---- refusals ---- */

static int32_t with_reason(void *user, dm_guidance_step *step) {
    (void)step;
    ok(dm_callback_fail(user, "no classifier"));
    return 1;
}

static int32_t not_finite(void *user, dm_guidance_step *step) {
    if (step->timestep < 500) {
        double *of = *(const int32_t *)user ? step->eps : step->x_0;
        of[step->count > 1 ? ELEMENTS + 7 : 0] = *(const int32_t *)user ? INFINITY : NAN;
    }
    return 0;
}

START_TEST(failures) {
    float images[TOTAL];
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 8, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    dm_sampler_request r = test_sampler_request(COUNT);
    record log = {.fail_at = 2};
    r.guide = look;
    r.guide_user = &log;
    fails(DM_ERROR_CALLBACK_FAILED,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, TOTAL),
          "sampler: the guidance callback returned 5");
    ck_assert_int_eq(log.calls, 2);
    for (int k = 0; k < 2; k++) {
        log = (record){.rederive = k ? 3 : -1};
        fails(DM_ERROR_INVALID_ARGUMENT,
              dm_sampler_run(sampler, test_counted(sampler, &r), images, TOTAL),
              k ? "sampler: the guidance callback: 'rederive' is 3; it must be from 0 to 2"
                : "'rederive' is -1");
    }
    r.guide = with_reason;
    r.guide_user = context;
    fails(DM_ERROR_CALLBACK_FAILED,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, TOTAL), "no classifier");
    r.guide = not_finite;
    for (int32_t which = 0; which < 2; which++) {
        r.guide_user = &which;
        fails(DM_ERROR_NOT_FINITE,
              dm_sampler_run(sampler, test_counted(sampler, &r), images, TOTAL),
              "sampler: the guidance's x_0 or eps is infinite or NaN for image 1 at step 5 of 8 "
              "(timestep 499)");
    }
    r.guide = NULL; /* guide_user alone is ignored */
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, TOTAL));
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- the network's gradient within the callback ---- */

typedef struct own_network {
    dm_unet *unet, *share;
    int32_t refused, calls;
} own_network;

static int32_t differentiate(void *user, dm_guidance_step *step) {
    static float dx[NETWORK_ELEMENTS], dy[NETWORK_ELEMENTS];
    own_network *n = user;
    dm_unet_input in;
    ck_assert_int_eq(dm_unet_input_init(&in, sizeof in), DM_OK);
    in.count = in.time_count = 1;
    in.x_elements = NETWORK_ELEMENTS;
    in.x = step->x;
    in.times = &step->time;
    for (size_t i = 0; i < NETWORK_ELEMENTS; i++) dy[i] = (float)step->x_0[i];
    n->refused += dm_unet_input_gradient(n->unet, &in, dy, NETWORK_ELEMENTS, NULL, dx,
                                         NETWORK_ELEMENTS) == DM_ERROR_WRONG_STATE;
    n->calls++;
    if (dm_unet_input_gradient(n->share, &in, dy, NETWORK_ELEMENTS, NULL, dx, NETWORK_ELEMENTS))
        return 1;
    for (size_t i = 0; i < NETWORK_ELEMENTS; i++) step->x_0[i] -= 0.1 * (double)dx[i];
    step->rederive = 1;
    return 0;
}

START_TEST(gradients_through_a_share) {
    static float images[NETWORK_ELEMENTS], without[NETWORK_ELEMENTS];
    dm_context *other;
    ok(dm_context_create(&other, NULL, NULL, 0));
    own_network n = {.unet = network_new(context, 1)};
    network_randomize(n.unet, 3);
    ok(dm_unet_share(&n.share, other, n.unet));
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 4, DM_SPACING_TRAILING);
    dm_sampler *sampler;
    ok(dm_sampler_create(&sampler, n.unet, schedule, &o));
    dm_sampler_request r = test_sampler_request(1);
    ok(dm_sampler_run(sampler, &r, without, NETWORK_ELEMENTS));
    r.guide = differentiate;
    r.guide_user = &n;
    ok(dm_sampler_run(sampler, &r, images, NETWORK_ELEMENTS));
    ck_assert_mem_ne(images, without, sizeof images);
    ck_assert_int_eq(n.calls, 4);
    ck_assert_int_eq(n.refused, 4);
    dm_sampler_destroy(sampler);
    dm_unet_destroy(n.share);
    dm_unet_destroy(n.unet);
    dm_context_destroy(other);
}
END_TEST

Suite *test_guidance_callback_suite(void);
Suite *test_guidance_callback_suite(void) {
    Suite *suite = suite_create("guidance_callback");
    TCase *tests = tcase_create("guide");
    tcase_add_checked_fixture(tests, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tests, 30);
    tcase_add_loop_test(tests, nothing_changes, 0, test_solver_count());
    tcase_add_loop_test(tests, changed_as_by_a_denoiser, 0, 3);
    tcase_add_test(tests, clipped_afterwards);
    tcase_add_test(tests, at_the_ends);
    tcase_add_test(tests, failures);
    tcase_add_test(tests, gradients_through_a_share);
    suite_add_tcase(suite, tests);
    return suite;
}
