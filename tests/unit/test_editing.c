/* SPDX-License-Identifier: MIT */
/* Sampling from images: strength, masks, RePaint, initial noise and inversion. */
#include "support/sampling.h"

enum { COUNT = 2, TOTAL = COUNT * ELEMENTS, CALLS_MAX = 400 };

/* The exact denoiser of one x_0, which records its evaluations. */
typedef struct denoiser {
    float x_0;
    int32_t calls;
    float timestep[CALLS_MAX];
    double square[CALLS_MAX]; /* mean square of (x - signal x_0) / noise */
    float seen[TOTAL];        /* x of the first evaluation */
} denoiser;

static int32_t evaluate(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    const float *x = input->x;
    float timestep = (float)input->time;
    denoiser *o = user;
    if (o->calls == 0) memcpy(o->seen, x, size * sizeof *x);
    o->square[o->calls] = 0;
    for (size_t i = 0; i < size; i++)
        o->square[o->calls] +=
            pow((x[i] - input->signal * (double)o->x_0) / input->noise, 2) / (double)size;
    o->timestep[o->calls++] = timestep;
    for (size_t i = 0; i < size; i++) output[i] = o->x_0;
    return 0;
}

static void fill_images(float *images) {
    for (int i = 0; i < TOTAL; i++) images[i] = (float)(i % 7) / 4 - 0.7f;
}

/* A request with an image and a mask, every `period`-th pixel of which is kept. */
static dm_sampler_request masked(float *image, float *mask, int period) {
    dm_sampler_request r = test_sampler_request(COUNT);
    fill_images(image);
    for (int i = 0; i < COUNT * SIDE * SIDE; i++)
        mask[i] = (float)(i % period) / (float)(period - 1);
    r.image = image;
    r.mask = mask;
    return r;
}

/* The last 5 of 10 steps, begun from the image with the noise of their first timestep. */
START_TEST(strength) {
    for (int32_t solver = 0; solver < test_solver_count(); solver++) {
        if (test_solver_is_special(solver)) continue;
        denoiser o = {.x_0 = 0.25f};
        dm_sampler_options options = test_sampler_options(solver, 10, DM_SPACING_TRAILING);
        dm_sampler *sampler = test_sampler_of(evaluate, &o, DM_PREDICT_X0, &options);
        float image[TOTAL], got[TOTAL];
        fill_images(image);
        dm_sampler_request r = test_sampler_request(COUNT);
        r.image = image;
        r.strength = 0.5;
        ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, TOTAL));
        ck_assert_float_eq(o.timestep[0], 499);
        double a = alpha_cumprod[499], mean = 0, square = 0;
        for (int i = 0; i < TOTAL; i++) {
            double noise = (o.seen[i] - sqrt(a) * image[i]) / sqrt(1 - a);
            mean += noise / TOTAL, square += noise * noise / TOTAL;
            ck_assert_msg(fabsf(got[i] - 0.25f) < 2e-5f, "%s: %g",
                          dm_enum_name("dm_solver", solver), (double)got[i]);
        }
        /* 96 numbers: 4 standard errors. */
        ck_assert_double_lt(fabs(mean), 0.41);
        ck_assert_double_lt(fabs(square - 1), 0.58);
        dm_sampler_destroy(sampler);
    }
}
END_TEST

/* What the mask keeps is the image at the end, to float's precision. */
START_TEST(mask_keeps_the_image) {
    if (test_solver_is_special(_i)) return;
    denoiser o = {.x_0 = 0.9f};
    dm_sampler_options options = test_sampler_options(_i, 20, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(evaluate, &o, DM_PREDICT_X0, &options);
    float image[TOTAL], mask[COUNT * SIDE * SIDE], got[TOTAL];
    dm_sampler_request r = masked(image, mask, 3);
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, TOTAL));
    for (int i = 0; i < TOTAL; i++) {
        float m = mask[i / CHANNELS], want = m * 0.9f + (1 - m) * image[i];
        /* In between, solvers with a history of eps continue with slopes of pixels that were
         * changed since. */
        bool history_holds_eps =
            _i == DM_SOLVER_PNDM || _i == DM_SOLVER_PLMS || _i == DM_SOLVER_LMS;
        if (m == 0) ck_assert_float_eq(got[i], image[i]);
        else if (m == 1 || !history_holds_eps) ck_assert_float_eq_tol(got[i], want, 2e-5f);
    }
    dm_sampler_destroy(sampler);
}
END_TEST

/* 12 steps in segments of 5, 5 and 2, each three times. */
START_TEST(repaint_repeats_segments) {
    denoiser o = {.x_0 = 0.1f};
    dm_sampler_options options = test_sampler_options(DM_SOLVER_DDPM, 12, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(evaluate, &o, DM_PREDICT_X0, &options);
    double timesteps[12];
    int32_t call = 0;
    ok(dm_sampler_get_levels(sampler, timesteps, NULL, NULL, 12));
    float image[TOTAL], mask[COUNT * SIDE * SIDE], got[TOTAL], other[TOTAL];
    dm_sampler_request r = masked(image, mask, 2);
    r.repaint_repetitions = 3;
    r.repaint_jump_length = 5;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, TOTAL));
    ck_assert_int_eq(o.calls, 36);
    for (int from = 0; from < 12; from += 5)
        for (int time = 0; time < 3; time++)
            for (int i = from; i < from + 5 && i < 12; i++)
                ck_assert_float_eq(o.timestep[call++], (float)timesteps[i]);
    /* The second image is the same alone. */
    o.calls = 0;
    r.count = 1;
    r.seed = 1;
    r.image = image + ELEMENTS;
    r.mask = mask + SIDE * SIDE;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), other, ELEMENTS));
    ck_assert_mem_eq(other, got + ELEMENTS, ELEMENTS * sizeof *got);
    dm_sampler_destroy(sampler);
}
END_TEST

/* At each model evaluation x is as noisy as its level says, also after going back: standard normal
 * noise within 4 standard errors of 96 numbers. */
START_TEST(repaint_adds_noise) {
    denoiser o = {.x_0 = 0.1f};
    dm_sampler_options options = test_sampler_options(DM_SOLVER_DDPM, 12, DM_SPACING_TRAILING);
    options.variance = DM_VARIANCE_FIXED_SMALL;
    dm_sampler *sampler = test_sampler_of(evaluate, &o, DM_PREDICT_X0, &options);
    float image[TOTAL], mask[COUNT * SIDE * SIDE], got[TOTAL];
    dm_sampler_request r = masked(image, mask, 2);
    for (int i = 0; i < COUNT * SIDE * SIDE; i++) mask[i] = 1;
    r.repaint_repetitions = 3;
    r.repaint_jump_length = 5;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, TOTAL));
    ck_assert_int_eq(o.calls, 36);
    for (int i = 0; i < 36; i++)
        ck_assert_msg(fabs(o.square[i] - 1) < 0.58, "call %d: %g", i, o.square[i]);
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- inversion ---- */

/* E[x_0 | x] of pixels N(0.1, 0.4^2), as eps. */
static int32_t gauss(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    const float *x = input->x;
    float timestep = (float)input->time;
    (void)user;
    double a = alpha_cumprod[(int)timestep], gain = 0.16 * sqrt(a) / (0.16 * a + 1 - a);
    for (size_t i = 0; i < size; i++) {
        double x0 = 0.1 + gain * (x[i] - sqrt(a) * 0.1);
        output[i] = (float)((x[i] - sqrt(a) * x0) / sqrt(1 - a));
    }
    return 0;
}

static double invert_error(int32_t steps) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, steps, DM_SPACING_TRAILING);
    o.clip = 0;
    dm_sampler *sampler = test_sampler_of(gauss, NULL, DM_PREDICT_EPS, &o);
    float image[TOTAL], noise[TOTAL], got[TOTAL];
    fill_images(image);
    dm_sampler_request r = test_sampler_request(COUNT);
    r.image = image;
    ok(dm_sampler_invert(sampler, test_counted(sampler, &r), noise, TOTAL));
    /* The exact solution is the same quantile of x_T. */
    double a = alpha_cumprod[999];
    for (int i = 0; i < TOTAL; i++) {
        double want = sqrt(a) * 0.1 + sqrt(0.16 * a + 1 - a) * (image[i] - 0.1) / 0.4;
        if (steps >= 500) ck_assert_double_eq_tol(noise[i], want, 0.02);
    }
    r = test_sampler_request(COUNT);
    r.initial_noise = noise;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, TOTAL));
    dm_sampler_destroy(sampler);
    double worst = 0;
    for (int i = 0; i < TOTAL; i++) {
        double off = fabs(got[i] - image[i]);
        if (!(off <= worst))
            worst = off; /* fmax here ends GCC 12 for AArch64 by an error of its own */
    }
    return worst;
}

/* Inversion and sampling return to the image, the closer the more steps. */
START_TEST(inversion_and_sampling_restore_the_image) {
    double coarse = invert_error(50), fine = invert_error(500);
    ck_assert_msg(fine < 0.01 && coarse > 2 * fine, "%g with 50 steps, %g with 500", coarse, fine);
}
END_TEST

/* A run from dm_sampler_initial_noise is the run of that request, with a mask too. */
START_TEST(initial_noise_is_that_of_the_run) {
    float image[TOTAL], mask[COUNT * SIDE * SIDE];
    fill_images(image);
    for (int i = 0; i < COUNT * SIDE * SIDE; i++) mask[i] = (float)(i % 3) / 2;
    for (int32_t random = DM_RANDOM_PHILOX; random <= DM_RANDOM_TORCH; random++) {
        dm_sampler_options o = test_sampler_options(DM_SOLVER_EULER, 5, DM_SPACING_LINSPACE);
        dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
        float noise[TOTAL], want[TOTAL], got[TOTAL];
        dm_sampler_request r = test_sampler_request(COUNT);
        r.seed = 7;
        r.random = random;
        if (_i) r.image = image, r.mask = mask;
        ok(dm_sampler_run(sampler, test_counted(sampler, &r), want, TOTAL));
        ok(dm_sampler_initial_noise(sampler, test_counted(sampler, &r), noise, TOTAL));
        r.initial_noise = noise;
        ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, TOTAL));
        /* PyTorch's generator has one sequence, from which a given start takes nothing: the mask's
         * noise is another. */
        if (!_i || random == DM_RANDOM_PHILOX) ck_assert_mem_eq(got, want, sizeof got);
        /* A request to cancel stops the run, not dm_sampler_initial_noise. */
        dm_sampler_cancel(sampler);
        r.initial_noise = NULL;
        ok(dm_sampler_initial_noise(sampler, test_counted(sampler, &r), noise, TOTAL));
        fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, test_counted(sampler, &r), got, TOTAL),
              "cancelled after step 0 of 5");
        dm_sampler_destroy(sampler);
    }
}
END_TEST

static int32_t see_kept(void *user, const dm_sampler_progress *progress) {
    float *last = user;
    if (progress->step == 20) memcpy(last, progress->x_t, progress->elements * sizeof *last);
    return 0;
}

/* What progress is shown has the kept pixels in it. */
START_TEST(progress_shows_the_kept_image) {
    denoiser o = {.x_0 = 0.9f};
    dm_sampler_options options = test_sampler_options(DM_SOLVER_DDIM, 20, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(evaluate, &o, DM_PREDICT_X0, &options);
    float image[TOTAL], mask[SIDE * SIDE * COUNT], got[TOTAL], last[TOTAL] = {0};
    dm_sampler_request r = masked(image, mask, 2);
    r.progress = see_kept;
    r.progress_user = last;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, TOTAL));
    ck_assert_mem_eq(last, got, sizeof got);
    dm_sampler_destroy(sampler);
}
END_TEST

/* Betas so large that alpha_cumprod is 0 long before the end: from there going back is to new
 * noise. */
START_TEST(repaint_starts_at_noise_alone) {
    denoiser o = {.x_0 = 0.1f};
    dm_schedule_options linear;
    dm_schedule *steep;
    ok(dm_schedule_options_init(&linear, sizeof linear));
    linear.kind = DM_SCHEDULE_LINEAR;
    linear.beta_start = 0.5;
    linear.beta_end = 0.9;
    ok(dm_schedule_create(&steep, context, &linear));
    dm_sampler_options options = test_sampler_options(DM_SOLVER_DDPM, 10, DM_SPACING_TRAILING);
    dm_sampler *sampler;
    ok(dm_sampler_create_with_denoiser(&sampler, context, steep,
                                       test_denoiser(evaluate, &o, DM_PREDICT_X0, SIDE, SIDE,
                                                     CHANNELS),
                                       &options));
    float image[TOTAL], mask[COUNT * SIDE * SIDE], got[TOTAL];
    dm_sampler_request r = masked(image, mask, 2);
    r.repaint_repetitions = 2;
    r.repaint_jump_length = 2;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, TOTAL));
    for (int i = 0; i < TOTAL; i++)
        ck_assert_float_eq_tol(got[i], mask[i / CHANNELS] > 0 ? 0.1f : image[i], 2e-5f);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(steep);
}
END_TEST

START_TEST(interpolated_noise_is_on_the_arc) {
    const float a[] = {1, 0, 0}, b[] = {0, 2, 0}, c[] = {0.5f, 0, 0};
    float out[3];
    ck_assert_int_eq(dm_noise_interpolate(out, a, b, 0.5, 3), DM_OK);
    ck_assert_float_eq_tol(out[0], (float)sqrt(0.5), 1e-6f);
    ck_assert_float_eq_tol(out[1], 2 * (float)sqrt(0.5), 1e-6f);
    ck_assert_int_eq(dm_noise_interpolate(out, a, b, 0, 3), DM_OK);
    ck_assert_float_eq_tol(out[0], 1, 1e-7f);
    ck_assert_float_eq_tol(out[1], 0, 1e-7f);
    ck_assert_int_eq(dm_noise_interpolate(out, a, c, 0.5, 3), DM_OK); /* parallel: on the line */
    ck_assert_float_eq_tol(out[0], 0.75f, 1e-7f);
    ck_assert_int_eq(dm_noise_interpolate(out, a, b, 1.5, 3), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_noise_interpolate(out, a, b, NAN, 3), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_noise_interpolate(NULL, a, b, 0.5, 3), DM_ERROR_INVALID_ARGUMENT);
}
END_TEST

START_TEST(bad_requests_are_refused) {
    float image[ELEMENTS] = {0}, mask[SIDE * SIDE] = {0}, got[ELEMENTS];
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DPMPP, 10, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    dm_sampler_request r = test_sampler_request(1);
    r.strength = 0.5;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), got, ELEMENTS),
          "'strength' 0.5 cannot be combined with a request without 'image'");
    r.image = r.initial_noise = image;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), got, ELEMENTS),
          "'strength' 0.5 cannot be combined with 'initial_noise'");
    r.initial_noise = NULL;
    r.strength = 0;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), got, ELEMENTS), "'strength' is 0");
    r.strength = 1;
    r.image = NULL;
    r.mask = mask;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), got, ELEMENTS),
          "'mask' cannot be combined with a request without 'image'");
    r.image = image;
    r.image_elements = ELEMENTS;
    r.mask_elements = 0;
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_run(sampler, &r, got, ELEMENTS),
          "'mask_elements' is 0; it must be 16");
    r.mask_elements = ELEMENTS;
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_run(sampler, &r, got, ELEMENTS),
          "'mask_elements' is 48; it must be 16");
    mask[5] = 1.5f;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), got, ELEMENTS),
          "the mask of image 0 is 1.5 at row 1, column 1");
    mask[5] = 1;
    r.repaint_repetitions = 2;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), got, ELEMENTS),
          "'repaint_repetitions' 2 cannot be combined with the solver dpmpp");
    r.mask = NULL;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, got, ELEMENTS),
          "'mask_elements' is 16; without 'mask' it must be 0");
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), got, ELEMENTS),
          "'repaint_repetitions' 2 cannot be combined with a request without 'mask'");
    r.repaint_repetitions = 1;
    image[3] = NAN;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), got, ELEMENTS), "'image' of image 0");
    image[3] = 0;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_invert(sampler, test_counted(sampler, &r), got, ELEMENTS),
          "inversion cannot be combined with the solver dpmpp");
    r.image = NULL;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_invert(sampler, test_counted(sampler, &r), got, ELEMENTS),
          "the request's 'image'");
    dm_sampler_destroy(sampler);
}
END_TEST

Suite *test_editing_suite(void);

Suite *test_editing_suite(void) {
    Suite *suite = suite_create("editing");
    TCase *tcase = tcase_create("editing");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, strength);
    tcase_add_loop_test(tcase, mask_keeps_the_image, 0, test_solver_count());
    tcase_add_test(tcase, repaint_repeats_segments);
    tcase_add_test(tcase, repaint_adds_noise);
    tcase_add_test(tcase, inversion_and_sampling_restore_the_image);
    tcase_add_loop_test(tcase, initial_noise_is_that_of_the_run, 0, 2);
    tcase_add_test(tcase, progress_shows_the_kept_image);
    tcase_add_test(tcase, repaint_starts_at_noise_alone);
    tcase_add_test(tcase, interpolated_noise_is_on_the_arc);
    tcase_add_test(tcase, bad_requests_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
