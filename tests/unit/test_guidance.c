/* SPDX-License-Identifier: MIT */
/* Classifier-free guidance: against a denoiser that guides by itself, and against the network
 * evaluated for the conditional and the unconditional batch separately. */
#include "support/network.h"
#include "support/sampling.h"

enum { COUNT = 3, TOTAL = COUNT * ELEMENTS };

static const int32_t labels_of[COUNT] = {1, 0, 2};

/* eps of a "network" with classes; -1 is none. */
static float eps_of(float x, float timestep, int32_t label) {
    return sinf(2 * x + 0.001f * timestep + 0.7f * (float)label);
}

typedef struct guided_case {
    size_t max, min;                     /* images in one evaluation */
    float guidance, rescale, begin, end; /* for by_itself */
} guided_case;

static int32_t labelled(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    const float *x = input->x;
    float timestep = (float)input->time;
    const int32_t *labels = input->labels;
    size_t count = (size_t)input->count, elements = size / count;
    guided_case *a = user;
    if (count > a->max) a->max = count;
    if (count < a->min) a->min = count;
    for (size_t i = 0; i < size; i++) output[i] = eps_of(x[i], timestep, labels[i / elements]);
    return 0;
}

static double deviation(const float *x, size_t n) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) sum += x[i];
    for (size_t i = 0; i < n; i++) squares += (x[i] - sum / (double)n) * (x[i] - sum / (double)n);
    return sqrt(squares / (double)n);
}

/* The formulas of the header, image by image. */
static int32_t by_itself(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    const float *x = input->x;
    float timestep = (float)input->time;
    const int32_t *labels = input->labels;
    size_t count = (size_t)input->count, elements = size / count;
    const guided_case *a = user;
    bool guided = timestep >= 1000 * a->begin && timestep <= 1000 * a->end;
    for (size_t n = 0; n < count; n++) {
        float *out = output + n * elements, with[ELEMENTS];
        const float *in = x + n * elements;
        for (size_t i = 0; i < elements; i++) {
            with[i] = eps_of(in[i], timestep, labels[n]);
            out[i] = guided ? eps_of(in[i], timestep, -1) +
                                  a->guidance * (with[i] - eps_of(in[i], timestep, -1))
                            : with[i];
        }
        double ratio = guided ? deviation(with, elements) / deviation(out, elements) : 1;
        for (size_t i = 0; i < elements; i++)
            out[i] = (float)(a->rescale * ratio * out[i] + (1 - a->rescale) * out[i]);
    }
    return 0;
}

static const guided_case cases[] = {
    {0, 99, 3, 0, 0, 1},    {0, 99, 0, 0, 0, 1},        {0, 99, -1.5f, 0, 0, 1},
    {0, 99, 4, 0.7f, 0, 1}, {0, 99, 3, 0, 0.25f, 0.7f},
};

START_TEST(guided_as_by_hand) {
    static const int32_t solvers[] = {DM_SOLVER_DDIM, DM_SOLVER_DPMPP, DM_SOLVER_HEUN};
    for (int k = 0; k < 3; k++) {
        guided_case one = cases[_i], two = cases[_i];
        dm_sampler_options o = test_sampler_options(solvers[k], 12, DM_SPACING_TRAILING);
        o.rederive_eps = 1; /* as it is with guidance, which the sampler by hand does not have */
        dm_sampler *hand = test_sampler_of(by_itself, &one, DM_PREDICT_V, &o);
        o.guidance = two.guidance;
        o.guidance_rescale = two.rescale;
        o.guidance_begin = two.begin;
        o.guidance_end = two.end;
        dm_sampler *sampler = test_sampler_of(labelled, &two, DM_PREDICT_V, &o);
        float want[TOTAL], got[TOTAL];
        dm_sampler_request r = test_sampler_request(COUNT);
        r.labels = labels_of;
        ok(dm_sampler_run(hand, test_counted(hand, &r), want, TOTAL));
        ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, TOTAL));
        /* Both round the output to a float, in different orders; guided so, this network doubles a
         * difference at each step. */
        for (int i = 0; i < TOTAL; i++) ck_assert_float_eq_tol(got[i], want[i], 1e-4f);
        ck_assert_uint_eq(two.max, 2 * COUNT);
        ck_assert_uint_eq(two.min, two.begin > 0 ? COUNT : 2 * COUNT);
        dm_sampler_destroy(hand);
        dm_sampler_destroy(sampler);
    }
}
END_TEST

/* DDIM's eps follows the clipped x_0 where there is guidance, unless the caller says otherwise, and
 * else stays. */
START_TEST(eps_follows_where_guided) {
    for (int guided = 0; guided < 2; guided++) {
        float got[3][TOTAL];
        guided_case a = cases[0];
        for (int32_t choice = -1; choice <= 1; choice++) {
            dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 12, DM_SPACING_TRAILING);
            ck_assert_int_eq(o.rederive_eps, -1);
            o.rederive_eps = choice;
            if (guided) o.guidance = 4;
            dm_sampler *sampler = test_sampler_of(labelled, &a, DM_PREDICT_V, &o);
            dm_sampler_request r = test_sampler_request(COUNT);
            r.labels = labels_of;
            ok(dm_sampler_run(sampler, test_counted(sampler, &r), got[choice + 1], TOTAL));
            dm_sampler_destroy(sampler);
        }
        ck_assert_mem_eq(got[0], got[1 + guided], sizeof got[0]);
        ck_assert_mem_ne(got[0], got[2 - guided], sizeof got[0]);
    }
}
END_TEST

/* ---- with a network ---- */

enum { IMAGE = 16 * 16 * 3 };

static dm_unet *network_in(dm_context *own, int32_t classes) {
    dm_unet_options u;
    dm_unet *unet;
    ok(dm_unet_options_preset(&u, sizeof u, DM_PRESET_TINY));
    u.height = u.width = 16;
    u.classes = classes;
    u.prediction = DM_PREDICT_V;
    ck_assert_int_eq(dm_unet_create(&unet, own, &u, 3), DM_OK);
    return unet;
}

static dm_unet *network_of(int32_t classes) { return network_in(context, classes); }

/* The network itself, in another context, evaluated for one batch after the other. */
static int32_t batch_by_batch(void *user, const dm_denoiser_input *input, float *output,
                              size_t size) {
    const float *x = input->x;
    float timestep = (float)input->time;
    const int32_t *labels = input->labels;
    size_t count = (size_t)input->count;
    static float without[COUNT * IMAGE];
    float times[COUNT];
    for (size_t i = 0; i < count; i++) times[i] = timestep;
    if (network_forward(user, output, x, times, labels, count)) return 1;
    if (network_forward(user, without, x, times, NULL, count)) return 1;
    for (size_t i = 0; i < size; i++) output[i] = without[i] + 3 * (output[i] - without[i]);
    return 0;
}

START_TEST(network_halves) {
    static float want[COUNT * IMAGE], got[COUNT * IMAGE], alone[IMAGE];
    dm_context *other;
    ck_assert_int_eq(dm_context_create(&other, NULL, NULL, 0), DM_OK);
    dm_unet *unet = network_of(4), *same = network_in(other, 4);
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 4, DM_SPACING_TRAILING);
    dm_sampler *hand, *sampler;
    o.rederive_eps = 1;
    ok(dm_sampler_create_with_denoiser(&hand, context, schedule,
                                       test_denoiser(batch_by_batch, same, DM_PREDICT_V, 16, 16, 3),
                                       &o));
    o.guidance = 3;
    ok(dm_sampler_create(&sampler, unet, schedule, &o));
    dm_sampler_request r = test_sampler_request(COUNT);
    r.labels = labels_of;
    ok(dm_sampler_run(hand, test_counted(hand, &r), want, COUNT * IMAGE));
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, COUNT * IMAGE));
    for (int i = 0; i < COUNT * IMAGE; i++) ck_assert_float_eq_tol(got[i], want[i], 2e-5f);
    /* An image is the same alone and in a batch, to the bit. */
    r.count = 1;
    r.labels = &labels_of[1];
    r.seed = 1;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), alone, IMAGE));
    ck_assert_mem_eq(alone, got + IMAGE, sizeof alone);
    dm_sampler_destroy(hand);
    dm_sampler_destroy(sampler);
    dm_unet_destroy(unet);
    dm_unet_destroy(same);
    dm_context_destroy(other);
}
END_TEST

/* The rescaling is at work beside a learned variance too: with it, all of the spread comes from the
 * conditional batch. */
START_TEST(rescaled_with_learned_variance) {
    static float got[2][COUNT * IMAGE];
    dm_unet_options u;
    dm_unet *unet;
    ok(dm_unet_options_preset(&u, sizeof u, DM_PRESET_TINY));
    u.height = u.width = 16;
    u.classes = 4;
    u.learned_variance = 1;
    u.prediction = DM_PREDICT_EPS;
    ok(dm_unet_create(&unet, context, &u, 3));
    for (int k = 0; k < 2; k++) {
        dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 4, DM_SPACING_TRAILING);
        o.guidance = 6;
        o.guidance_rescale = k;
        dm_sampler *sampler;
        ok(dm_sampler_create(&sampler, unet, schedule, &o));
        dm_sampler_request r = test_sampler_request(COUNT);
        r.labels = labels_of;
        ok(dm_sampler_run(sampler, test_counted(sampler, &r), got[k], COUNT * IMAGE));
        dm_sampler_destroy(sampler);
    }
    ck_assert_mem_ne(got[0], got[1], sizeof got[0]);
    dm_unet_destroy(unet);
}
END_TEST

static int32_t count_allocations(void *user, const dm_sampler_progress *progress) {
    uint64_t *seen = user;
    seen[progress->step == 1 ? 0 : 1] = context->host.allocations;
    return 0;
}

/* Guided in some steps and not in others, the network alternates between two sizes of batch,
 * both planned before. */
START_TEST(interval_allocates_nothing) {
    static float got[COUNT * IMAGE];
    dm_unet *unet = network_of(4);
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 6, DM_SPACING_TRAILING);
    o.guidance = 3;
    o.guidance_begin = 0.3;
    o.guidance_end = 0.7;
    dm_sampler *sampler;
    ok(dm_sampler_create(&sampler, unet, schedule, &o));
    dm_sampler_request r = test_sampler_request(COUNT);
    uint64_t seen[2] = {0, 1};
    r.labels = labels_of;
    r.progress = count_allocations;
    r.progress_user = seen;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), got, COUNT * IMAGE));
    ck_assert_uint_eq(seen[0], seen[1]);
    dm_sampler_destroy(sampler);
    dm_unet_destroy(unet);
}
END_TEST

START_TEST(more_channels_in_than_out) {
    dm_unet_options u;
    dm_unet *unet;
    dm_sampler *sampler;
    ok(dm_unet_options_preset(&u, sizeof u, DM_PRESET_TINY));
    u.in_channels = 6;
    ok(dm_unet_create(&unet, context, &u, 1));
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_create(&sampler, unet, schedule, NULL), "6 channels");
    dm_unet_destroy(unet);
}
END_TEST

START_TEST(guidance_refused) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 4, DM_SPACING_TRAILING);
    dm_sampler *sampler;
    dm_unet *unet = network_of(0);
    o.guidance = 2;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_create(&sampler, unet, schedule, &o),
          "'guidance' 2 cannot be combined with a model without classes");
    dm_unet_destroy(unet);
    o.guidance = 1;
    o.guidance_rescale = 0.5;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(test_wave, NULL, DM_PREDICT_V, SIDE, SIDE,
                                                        CHANNELS),
                                          &o),
          "'guidance_rescale' 0.5 cannot be combined with 'guidance' 1");
    o.guidance = NAN;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(test_wave, NULL, DM_PREDICT_V, SIDE, SIDE,
                                                        CHANNELS),
                                          &o),
          "'guidance' is NaN");
    o.guidance = 2;
    o.guidance_rescale = 0;
    o.guidance_begin = 0.6;
    o.guidance_end = 0.5;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(test_wave, NULL, DM_PREDICT_V, SIDE, SIDE,
                                                        CHANNELS),
                                          &o),
          "'guidance_end' is 0.5");
    o.guidance_begin = 0;
    float images[ELEMENTS];
    sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    dm_sampler_request r = test_sampler_request(1);
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "'guidance' 2 cannot be combined with a request without 'labels'");
    dm_sampler_destroy(sampler);
}
END_TEST

Suite *test_guidance_suite(void);

Suite *test_guidance_suite(void) {
    Suite *suite = suite_create("guidance");
    TCase *tcase = tcase_create("guidance");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, guided_as_by_hand, 0, (int)(sizeof cases / sizeof cases[0]));
    tcase_add_test(tcase, eps_follows_where_guided);
    tcase_add_test(tcase, network_halves);
    tcase_add_test(tcase, rescaled_with_learned_variance);
    tcase_add_test(tcase, interval_allocates_nothing);
    tcase_add_test(tcase, guidance_refused);
    tcase_add_test(tcase, more_channels_in_than_out);
    suite_add_tcase(suite, tcase);
    return suite;
}
