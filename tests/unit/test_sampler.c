/* The sampler's runs: a picture is the same in any batch, callbacks, cancelling, what is refused,
 * memory that runs out. */
#include "support/allocator.h"
#include "support/sampling.h"

/* ---- one picture, whatever its batch ---- */

START_TEST(alone_and_in_batches) {
    enum { COUNT = 7, TOTAL = COUNT * ELEMENTS };
    dm_sampler_options o = test_sampler_options(_i, STEPS, DM_SPACING_TRAILING);
    o.eta = _i == DM_SOLVER_DDIM ? 0.5 : 0;
    const int32_t labels[COUNT] = {3, 1, -1, 0, 5, 2, 2};
    const uint64_t seeds[COUNT] = {100, 101, 102, 103, 104, 105, 106};
    float whole[TOTAL], other[TOTAL];
    o.batch_size = 16;
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    dm_sampler_request r = test_sampler_request(COUNT);
    r.seed = 100;
    r.labels = labels;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), whole, TOTAL));
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < i; k++)
            ck_assert(
                memcmp(whole + i * ELEMENTS, whole + k * ELEMENTS, sizeof(float) * ELEMENTS) != 0);
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), other, TOTAL));
    ck_assert_mem_eq(other, whole, sizeof whole);
    r.seed = 5;
    r.seeds = seeds;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), other, TOTAL));
    ck_assert_mem_eq(other, whole, sizeof whole);
    for (int i = 0; i < COUNT; i++) {
        dm_sampler_request one = test_sampler_request(1);
        one.seed = 100 + (uint64_t)i;
        one.labels = &labels[i];
        ok(dm_sampler_run(sampler, test_counted(sampler, &one), other, ELEMENTS));
        ck_assert_mem_eq(other, whole + i * ELEMENTS, ELEMENTS * sizeof(float));
    }
    dm_sampler_destroy(sampler);
    o.batch_size = 3;
    sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), other, TOTAL));
    ck_assert_mem_eq(other, whole, sizeof whole);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(runs_allocate_once) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    float images[4 * ELEMENTS];
    dm_sampler_request r = test_sampler_request(4);
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS));
    uint64_t before, after;
    ok(dm_context_get_memory(context, NULL, NULL, &before));
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS));
    r.count = 2;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, 2 * ELEMENTS));
    ok(dm_context_get_memory(context, NULL, NULL, &after));
    ck_assert_uint_eq(after, before);
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- callbacks ---- */

typedef struct record {
    dm_sampler *sampler;
    int32_t calls, steps[64];
    size_t firsts[64], counts[64];
    int32_t fail_at, answer; /* the call that answers, and what */
    int32_t cancel_at;       /* the call that cancels */
    float x_t[2 * ELEMENTS], x_0[2 * ELEMENTS];
} record;

static int32_t note(record *log, int32_t step, size_t first, size_t count) {
    ck_assert_int_lt(log->calls, 64);
    log->steps[log->calls] = step;
    log->firsts[log->calls] = first;
    log->counts[log->calls] = count;
    log->calls++;
    if (log->calls == log->cancel_at) dm_sampler_cancel(log->sampler);
    return log->calls == log->fail_at ? log->answer : 0;
}

static int32_t progress(void *user, const dm_sampler_progress *p) {
    record *log = user;
    ck_assert_int_eq(p->steps, STEPS);
    ck_assert_uint_le(p->count, 2);
    ck_assert_uint_eq(p->elements, p->count * ELEMENTS);
    memcpy(log->x_t, p->x_t, p->elements * sizeof(float));
    memcpy(log->x_0, p->x_0, p->elements * sizeof(float));
    return note(log, p->step, p->first, p->count);
}

static int32_t noise_source(void *user, const dm_noise_request *request, float *noise,
                            size_t size) {
    ck_assert_uint_eq(request->elements, ELEMENTS);
    ck_assert_uint_eq(size, request->count * ELEMENTS);
    for (size_t n = 0; n < request->count; n++)
        test_fill(noise + n * ELEMENTS, ELEMENTS,
                  (uint64_t)request->step * 1000 + request->first + n, 1);
    return note(user, request->step, request->first, request->count);
}

START_TEST(progress_is_told) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    o.batch_size = 2;
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    float images[3 * ELEMENTS];
    record log = {0};
    dm_sampler_request r = test_sampler_request(3);
    r.progress = progress;
    r.progress_user = &log;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, 3 * ELEMENTS));
    ck_assert_int_eq(log.calls, 2 * STEPS);
    for (int i = 0; i < log.calls; i++) {
        ck_assert_int_eq(log.steps[i], i % STEPS + 1);
        ck_assert_uint_eq(log.firsts[i], i < STEPS ? 0 : 2);
        ck_assert_uint_eq(log.counts[i], i < STEPS ? 2 : 1);
    }
    /* The last step adds no noise: the picture is the x_0 predicted there. */
    ck_assert_mem_eq(log.x_t, images + 2 * ELEMENTS, ELEMENTS * sizeof(float));
    test_close(log.x_t, log.x_0, ELEMENTS, 1e-6);
    for (int i = 0; i < ELEMENTS; i++) ck_assert(fabsf(log.x_0[i]) <= 1);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(noise_of_the_caller) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    o.batch_size = 2;
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    float images[3 * ELEMENTS], again[3 * ELEMENTS], start[3 * ELEMENTS];
    record log = {0};
    dm_sampler_request r = test_sampler_request(3);
    r.noise = noise_source;
    r.noise_user = &log;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, 3 * ELEMENTS));
    /* Steps 0 to 7 for two batches: the last step adds none. */
    ck_assert_int_eq(log.calls, 2 * STEPS);
    for (int i = 0; i < log.calls; i++) {
        ck_assert_int_eq(log.steps[i], i % STEPS);
        ck_assert_uint_eq(log.firsts[i], i < STEPS ? 0 : 2);
        ck_assert_uint_eq(log.counts[i], i < STEPS ? 2 : 1);
    }
    /* A start takes the place of step 0 alone. */
    for (size_t n = 0; n < 3; n++) test_fill(start + n * ELEMENTS, ELEMENTS, n, 1);
    r.initial_noise = start;
    log = (record){0};
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), again, 3 * ELEMENTS));
    ck_assert_mem_eq(again, images, sizeof images);
    ck_assert_int_eq(log.calls, 2 * STEPS - 2);
    dm_sampler_destroy(sampler);

    /* DDIM with eta 0 asks for the start only. */
    o.solver = DM_SOLVER_DDIM;
    sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    log = (record){0};
    r.initial_noise = NULL;
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), again, 3 * ELEMENTS));
    ck_assert_int_eq(log.calls, 2);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(callbacks_fail) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    float images[ELEMENTS];
    record log = {.fail_at = 1, .answer = 7};
    dm_sampler_request r = test_sampler_request(1);
    r.noise = noise_source;
    r.noise_user = &log;
    fails(DM_ERROR_CALLBACK_FAILED,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "sampler: the noise source returned 7");
    log = (record){.fail_at = 4, .answer = -1};
    fails(DM_ERROR_CALLBACK_FAILED,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "sampler: the noise source returned -1");
    r.noise = NULL;
    r.progress = progress;
    log = (record){.fail_at = 2, .answer = 1};
    r.progress_user = &log;
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "the progress callback returned 1");
    ck_assert_int_eq(log.calls, 2);
    log = (record){0};
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS));
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(cancelled) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, STEPS, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    float images[ELEMENTS];
    record log = {.sampler = sampler, .cancel_at = 3};
    dm_sampler_request r = test_sampler_request(1);
    r.progress = progress;
    r.progress_user = &log;
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "after step 3 of 8");
    ck_assert_int_eq(log.calls, 3);
    /* Even after the last step. */
    log = (record){.sampler = sampler, .cancel_at = STEPS};
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "after step 8 of 8");
    /* One that comes before the run stops it, and is then spent. */
    dm_sampler_cancel(sampler);
    log = (record){0};
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "after step 0 of 8");
    ck_assert_int_eq(log.calls, 0);
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS));
    /* One that fails for another reason does not spend it. */
    dm_sampler_cancel(sampler);
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), NULL, ELEMENTS), "'images' is NULL");
    fails(DM_ERROR_CANCELLED, dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS),
          "after step 0 of 8");
    log = (record){0};
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS));
    dm_sampler_cancel(NULL);
    dm_sampler_destroy(sampler);
}
END_TEST

/* NaN in picture 2 from the timestep that `user` points to on; a negative one is an error
 * instead. */
static int32_t breaks(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    size_t count = (size_t)input->count, elements = size / count;
    float from = *(const float *)user;
    if (from < 0) return 42;
    test_wave(NULL, input, output, size);
    if (input->time <= (double)from) output[(count > 2 ? 2 : 0) * elements + 5] = NAN;
    return 0;
}

static int32_t nan_noise(void *user, const dm_noise_request *request, float *noise, size_t size) {
    for (size_t i = 0; i < size; i++) noise[i] = 0.5f;
    if (request->step == *(const int32_t *)user) noise[request->elements] = INFINITY;
    return 0;
}

START_TEST(not_finite) {
    float from = 500, images[4 * ELEMENTS];
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(breaks, &from, DM_PREDICT_V, &o);
    dm_sampler_request r = test_sampler_request(4);
    fails(DM_ERROR_NOT_FINITE,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS),
          "output is infinite or NaN for image 2 at step 5 of 8 (timestep 499)");
    from = -1;
    fails(DM_ERROR_CALLBACK_FAILED,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS),
          "the denoiser returned 42");
    from = 0;
    int32_t step = 3;
    r.noise = nan_noise;
    r.noise_user = &step;
    fails(DM_ERROR_NOT_FINITE,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS),
          "the noise is infinite");
    ck_assert_ptr_nonnull(strstr(dm_context_error(context), "image 1 at step 3 of 8"));
    step = 0;
    fails(DM_ERROR_NOT_FINITE,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS),
          "initial noise");
    float start[4 * ELEMENTS] = {0};
    start[3 * ELEMENTS] = NAN;
    r.initial_noise = start;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 4 * ELEMENTS),
          "'initial_noise' of image 3");
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(options_refused) {
    static const double rising[] = {5, 5}, outside[] = {1000, 3}, negative[] = {4, -1},
                        none[] = {3, NAN}, endless[] = {INFINITY, 1}, zero[] = {1, 0};
    const struct {
        dm_sampler_options change; /* over the defaults, where not 0 */
        const char *text;
    } bad[] = {
        {{.solver = DM_SOLVER_FLOW_HEUN + 1}, "'solver' is 16"},
        {{.solver = -1}, "'solver' is -1"},
        {{.steps = 1001}, "'steps' is 1001; it must be at most the schedule's 'timesteps', 1000"},
        {{.steps = 100001}, "'steps' is 100001"},
        {{.steps = -1}, "'steps' is -1"},
        {{.spacing = 4}, "'spacing' is 4"},
        {{.custom_count = 2}, "'custom_count' is 2; without a list"},
        {{.custom_times = rising}, "'custom_count' is 0; with a list"},
        {{.custom_count = 100001, .custom_times = rising}, "'custom_count' is 100001"},
        {{.custom_count = 2, .custom_times = rising, .custom_sigmas = zero},
         "'custom_times' cannot be combined with 'custom_sigmas'"},
        {{.custom_count = 2, .custom_times = rising}, "'custom_times[1]' is 5"},
        {{.custom_count = 2, .custom_times = outside}, "'custom_times[0]' is 1000"},
        {{.custom_count = 2, .custom_times = negative}, "'custom_times[1]' is -1"},
        {{.custom_count = 2, .custom_times = none}, "'custom_times[1]' is nan"},
        {{.custom_count = 2, .custom_sigmas = rising}, "'custom_sigmas[1]' is 5"},
        {{.custom_count = 2, .custom_sigmas = endless}, "'custom_sigmas[0]' is inf"},
        {{.custom_count = 2, .custom_sigmas = zero}, "'custom_sigmas[1]' is 0"},
        {{.steps_offset = 1}, "only leading"},
        {{.variance = 4}, "'variance' is 4"},
        {{.clip = 2}, "'clip' is 2"},
        {{.rederive_eps = -2}, "'rederive_eps' is -2"},
        {{.final_alpha_one = 3}, "'final_alpha_one' is 3"},
        {{.batch_size = 4097}, "'batch_size' is 4097"},
        {{.batch_size = -1}, "'batch_size' is -1"},
        {{.eta = 1.5}, "'eta' is 1.5"},
        {{.eta = -0.5}, "'eta' is -0.5"},
        {{.eta = NAN}, "'eta' is NaN"},
    };
    dm_sampler *sampler;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const dm_sampler_options *c = &bad[i].change;
        dm_sampler_options o =
            test_sampler_options(c->solver ? c->solver : DM_SOLVER_DDIM, c->steps ? c->steps : 50,
                                 c->spacing ? c->spacing : DM_SPACING_TRAILING);
        o.custom_count = c->custom_count;
        o.custom_times = c->custom_times;
        o.custom_sigmas = c->custom_sigmas;
        o.steps_offset = c->steps_offset;
        if (c->variance) o.variance = c->variance;
        if (c->clip) o.clip = c->clip;
        if (c->rederive_eps) o.rederive_eps = c->rederive_eps;
        if (c->final_alpha_one) o.final_alpha_one = c->final_alpha_one;
        if (c->batch_size) o.batch_size = c->batch_size;
        o.eta = c->eta;
        fails(DM_ERROR_INVALID_ARGUMENT,
              dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                              test_denoiser(test_wave, NULL, DM_PREDICT_EPS, 8, 8,
                                                            3),
                                              &o),
              bad[i].text);
        ck_assert_ptr_null(sampler);
    }
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, 50, DM_SPACING_TRAILING);
    o.eta = 0.5;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(test_wave, NULL, 0, 8, 8, 3), &o),
          "'eta' cannot be combined with the solver ddpm");
    o = test_sampler_options(DM_SOLVER_DDIM, 10, DM_SPACING_LEADING);
    o.steps_offset = 100;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(test_wave, NULL, 0, 8, 8, 3), &o),
          "'steps_offset' is 100");
    /* Fractional linear spacing has no offset either. */
    o = test_sampler_options(DM_SOLVER_EULER, 10, DM_SPACING_LINSPACE);
    o.steps_offset = 1;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(test_wave, NULL, 0, 8, 8, 3), &o),
          "only leading");
    o = test_sampler_options(DM_SOLVER_DDIM, 10, DM_SPACING_TRAILING);
    o.expected_prediction = DM_PREDICT_EPS;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(test_wave, NULL, DM_PREDICT_V, 8, 8, 3),
                                          &o),
          "'expected_prediction' is 0 (eps); the model predicts v");
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                       test_denoiser(test_wave, NULL, DM_PREDICT_EPS, 8, 8, 3),
                                       &o));
    dm_sampler_destroy(sampler);
    static const struct {
        int32_t prediction, height, width, channels;
        const char *text;
    } shapes[] = {{5, 8, 8, 3, "'prediction' is 5"},
                  {0, 0, 8, 3, "'height' is 0"},
                  {0, 8, -8, 3, "'width' is -8"},
                  {0, 8, 8, 0, "'channels' is 0"},
                  {0, 65537, 8, 3, "'height' is 65537"}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        fails(DM_ERROR_INVALID_ARGUMENT,
              dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                              test_denoiser(test_wave, NULL, shapes[i].prediction,
                                                            shapes[i].height, shapes[i].width,
                                                            shapes[i].channels),
                                              NULL),
              shapes[i].text);
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, NULL,
                                          test_denoiser(test_wave, NULL, 0, 8, 8, 3), NULL),
          "'schedule' is NULL");
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, NULL, NULL),
          "'denoiser' is NULL");
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                          test_denoiser(NULL, NULL, 0, 8, 8, 3), NULL),
          "'evaluate' is NULL");
    ck_assert_int_eq(dm_sampler_create(&sampler, NULL, schedule, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_sampler_run(NULL, NULL, NULL, 0), DM_ERROR_INVALID_ARGUMENT);
    dm_sampler_destroy(NULL);
}
END_TEST

START_TEST(requests_refused) {
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, NULL);
    float images[2 * ELEMENTS];
    dm_sampler_request r = test_sampler_request(0);
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, test_counted(sampler, &r), images, 0),
          "'count' is 0");
    r.count = 65537;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, test_counted(sampler, &r), images, 0),
          "'count' is 65537");
    r.count = 2;
    fails(DM_ERROR_SHAPE_MISMATCH,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, ELEMENTS), "'elements' is 48");
    double timesteps[1];
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_get_levels(sampler, timesteps, NULL, NULL, 1),
          "'count' is 1");
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), NULL, 2 * ELEMENTS),
          "'images' is NULL");
    r.random = 2;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 2 * ELEMENTS),
          "'random' is 2");
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- with a network of the library's ---- */

static dm_unet_options network_options(int32_t classes, int32_t out_channels) {
    dm_unet_options u;
    ok(dm_unet_options_preset(&u, sizeof u, DM_PRESET_TINY));
    u.height = u.width = 16;
    u.classes = classes;
    u.out_channels = out_channels;
    u.prediction = DM_PREDICT_V;
    return u;
}

static dm_unet *network_of(int32_t classes, int32_t out_channels) {
    dm_unet_options u = network_options(classes, out_channels);
    dm_unet *unet;
    ok(dm_unet_create(&unet, context, &u, 3));
    return unet;
}

START_TEST(network_in_batches) {
    enum { COUNT = 5, PICTURE = 16 * 16 * 3, TOTAL = COUNT * PICTURE };
    static float whole[TOTAL], other[TOTAL];
    const int32_t labels[COUNT] = {0, 3, -1, 2, 1};
    dm_unet *unet = network_of(4, 3);
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, 3, DM_SPACING_TRAILING);
    dm_sampler *sampler;
    dm_sampler_request r = test_sampler_request(COUNT);
    r.labels = labels;
    o.batch_size = COUNT;
    ok(dm_sampler_create(&sampler, unet, schedule, &o));
    ok(dm_sampler_run(sampler, test_counted(sampler, &r), whole, TOTAL));
    dm_sampler_destroy(sampler);
    for (o.batch_size = 1; o.batch_size < COUNT; o.batch_size++) {
        ok(dm_sampler_create(&sampler, unet, schedule, &o));
        ok(dm_sampler_run(sampler, test_counted(sampler, &r), other, TOTAL));
        ck_assert_mem_eq(other, whole, sizeof whole);
        dm_sampler_destroy(sampler);
    }
    dm_unet_destroy(unet);
}
END_TEST

START_TEST(network_refused) {
    float images[768];
    const int32_t label = 4;
    dm_sampler *sampler;
    dm_sampler_request r = test_sampler_request(1);
    r.labels = &label;
    dm_unet *unet = network_of(0, 3);
    ok(dm_sampler_create(&sampler, unet, schedule, NULL));
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 768),
          "the model has no classes");
    dm_sampler_destroy(sampler);
    dm_unet_destroy(unet);
    unet = network_of(4, 3);
    ok(dm_sampler_create(&sampler, unet, schedule, NULL));
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_run(sampler, test_counted(sampler, &r), images, 768),
          "the label of image 0 is 4");
    dm_sampler_destroy(sampler);
    dm_unet_destroy(unet);
    unet = network_of(0, 6);
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_create(&sampler, unet, schedule, NULL),
          "3 channels in and 6 out");
    ck_assert_ptr_null(sampler);
    dm_unet_destroy(unet);
}
END_TEST

/* ---- memory that runs out ---- */

static int32_t run_own_denoiser(dm_context *own, const void *user) {
    (void)user;
    dm_schedule *linear = NULL;
    dm_sampler *sampler = NULL;
    float images[ELEMENTS];
    int32_t status = dm_schedule_create(&linear, own, NULL);
    if (!status)
        status = dm_sampler_create_with_denoiser(&sampler, own, linear,
                                                 test_denoiser(test_wave, NULL, DM_PREDICT_V, SIDE,
                                                               SIDE, CHANNELS),
                                                 NULL);
    if (!status) status = dm_sampler_run(sampler, NULL, images, ELEMENTS);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(linear);
    return status;
}

static int32_t run_network(dm_context *own, const void *user) {
    dm_schedule *linear = NULL;
    dm_unet *unet = NULL;
    dm_sampler *sampler = NULL;
    float images[768];
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDIM, 1, DM_SPACING_TRAILING);
    int32_t status = dm_schedule_create(&linear, own, NULL);
    if (!status) status = dm_unet_create(&unet, own, user, 3);
    if (!status) status = dm_sampler_create(&sampler, unet, linear, &o);
    if (!status) status = dm_sampler_run(sampler, NULL, images, 768);
    dm_sampler_destroy(sampler);
    dm_unet_destroy(unet);
    dm_schedule_destroy(linear);
    return status;
}

START_TEST(every_allocation_may_fail) {
    ck_assert_int_gt(test_every_allocation(run_own_denoiser, NULL), 10);
    dm_unet_options u = network_options(0, 3);
    ck_assert_int_gt(test_every_allocation(run_network, &u), 20);
}
END_TEST

Suite *test_sampler_suite(void);

Suite *test_sampler_suite(void) {
    Suite *suite = suite_create("sampler");
    TCase *tcase = tcase_create("sampler");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_set_timeout(tcase, 20);
    tcase_add_loop_test(tcase, alone_and_in_batches, DM_SOLVER_DDPM, DM_SOLVER_DDIM + 1);
    tcase_add_test(tcase, runs_allocate_once);
    tcase_add_test(tcase, progress_is_told);
    tcase_add_test(tcase, noise_of_the_caller);
    tcase_add_test(tcase, callbacks_fail);
    tcase_add_test(tcase, cancelled);
    tcase_add_test(tcase, not_finite);
    tcase_add_test(tcase, options_refused);
    tcase_add_test(tcase, requests_refused);
    tcase_add_test(tcase, network_in_batches);
    tcase_add_test(tcase, network_refused);
    tcase_add_test(tcase, every_allocation_may_fail);
    suite_add_tcase(suite, tcase);
    return suite;
}
