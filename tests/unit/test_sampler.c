/* The sampler's runs: a picture is the same in any batch, what is refused, memory that runs out. */
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
    ok(dm_sampler_run(sampler, &r, whole, TOTAL));
    for (int i = 0; i < COUNT; i++)
        for (int k = 0; k < i; k++)
            ck_assert(
                memcmp(whole + i * ELEMENTS, whole + k * ELEMENTS, sizeof(float) * ELEMENTS) != 0);
    ok(dm_sampler_run(sampler, &r, other, TOTAL));
    ck_assert_mem_eq(other, whole, sizeof whole);
    r.seed = 5;
    r.seeds = seeds;
    ok(dm_sampler_run(sampler, &r, other, TOTAL));
    ck_assert_mem_eq(other, whole, sizeof whole);
    for (int i = 0; i < COUNT; i++) {
        dm_sampler_request one = test_sampler_request(1);
        one.seed = 100 + (uint64_t)i;
        one.labels = &labels[i];
        ok(dm_sampler_run(sampler, &one, other, ELEMENTS));
        ck_assert_mem_eq(other, whole + i * ELEMENTS, ELEMENTS * sizeof(float));
    }
    dm_sampler_destroy(sampler);
    o.batch_size = 3;
    sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    ok(dm_sampler_run(sampler, &r, other, TOTAL));
    ck_assert_mem_eq(other, whole, sizeof whole);
    dm_sampler_destroy(sampler);
}
END_TEST

START_TEST(runs_allocate_once) {
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, STEPS, DM_SPACING_TRAILING);
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, &o);
    float images[4 * ELEMENTS];
    dm_sampler_request r = test_sampler_request(4);
    ok(dm_sampler_run(sampler, &r, images, 4 * ELEMENTS));
    uint64_t before, after;
    ok(dm_context_memory(context, NULL, NULL, &before));
    ok(dm_sampler_run(sampler, &r, images, 4 * ELEMENTS));
    r.count = 2;
    ok(dm_sampler_run(sampler, &r, images, 2 * ELEMENTS));
    ok(dm_context_memory(context, NULL, NULL, &after));
    ck_assert_uint_eq(after, before);
    dm_sampler_destroy(sampler);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(options_refused) {
    static const int32_t rising[] = {5, 5}, outside[] = {1000, 3}, negative[] = {4, -1};
    const struct {
        dm_sampler_options change; /* over the defaults, where not 0 */
        const char *text;
    } bad[] = {
        {{.solver = DM_SOLVER_FLOW_HEUN + 1}, "'solver' is 16"},
        {{.solver = -1}, "'solver' is -1"},
        {{.steps = 1001}, "'steps' 1001 and the schedule's 'timesteps' 1000 don't go together"},
        {{.steps = 100001}, "'steps' is 100001"},
        {{.steps = -1}, "'steps' is -1"},
        {{.spacing = 4}, "'spacing' is 4"},
        {{.spacing = DM_SPACING_CUSTOM, .steps = 2}, "'timesteps' is NULL"},
        {{.spacing = DM_SPACING_CUSTOM, .steps = 2, .timesteps = rising},
         "timestep 1 of the list is 5"},
        {{.spacing = DM_SPACING_CUSTOM, .steps = 2, .timesteps = outside},
         "timestep 0 of the list is 1000"},
        {{.spacing = DM_SPACING_CUSTOM, .steps = 2, .timesteps = negative},
         "timestep 1 of the list is -1"},
        {{.timesteps = negative}, "'spacing' is 1"},
        {{.steps_offset = 1}, "only leading"},
        {{.variance = 3}, "'variance' is 3"},
        {{.clip = 2}, "'clip' is 2"},
        {{.rederive_eps = -2}, "'rederive_eps' is -2"},
        {{.final_alpha_one = 3}, "'final_alpha_one' is 3"},
        {{.batch_size = 4097}, "'batch_size' is 4097"},
        {{.batch_size = -1}, "'batch_size' is -1"},
        {{.eta = 1.5}, "'eta' is 1.5"},
        {{.eta = -0.5}, "'eta' is -0.5"},
        {{.eta = NAN}, "'eta' is"},
    };
    dm_sampler *sampler;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const dm_sampler_options *c = &bad[i].change;
        dm_sampler_options o =
            test_sampler_options(c->solver ? c->solver : DM_SOLVER_DDIM, c->steps ? c->steps : 50,
                                 c->spacing ? c->spacing : DM_SPACING_TRAILING);
        o.timesteps = c->timesteps;
        o.steps_offset = c->steps_offset;
        if (c->variance) o.variance = c->variance;
        if (c->clip) o.clip = c->clip;
        if (c->rederive_eps) o.rederive_eps = c->rederive_eps;
        if (c->final_alpha_one) o.final_alpha_one = c->final_alpha_one;
        if (c->batch_size) o.batch_size = c->batch_size;
        o.eta = c->eta;
        fails(DM_ERROR_INVALID_ARGUMENT,
              dm_sampler_create_with_denoiser(&sampler, context, schedule, test_wave, NULL,
                                              DM_PREDICT_EPS, 8, 8, 3, &o),
              bad[i].text);
        ck_assert_ptr_null(sampler);
    }
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, 50, DM_SPACING_TRAILING);
    o.eta = 0.5;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, test_wave, NULL, 0, 8, 8, 3,
                                          &o),
          "'eta' and the solver ddpm don't go together");
    o = test_sampler_options(DM_SOLVER_DDIM, 10, DM_SPACING_LEADING);
    o.steps_offset = 100;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, test_wave, NULL, 0, 8, 8, 3,
                                          &o),
          "'steps_offset' is 100");
    /* Evenly spread timesteps between the whole ones take neither. */
    o = test_sampler_options(DM_SOLVER_EULER, 10, DM_SPACING_LINSPACE);
    o.steps_offset = 1;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, test_wave, NULL, 0, 8, 8, 3,
                                          &o),
          "only leading");
    o.steps_offset = 0;
    o.timesteps = rising;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, test_wave, NULL, 0, 8, 8, 3,
                                          &o),
          "'spacing' is 2");
    o = test_sampler_options(DM_SOLVER_DDIM, 10, DM_SPACING_TRAILING);
    o.prediction = DM_PREDICT_EPS;
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, test_wave, NULL,
                                          DM_PREDICT_V, 8, 8, 3, &o),
          "'prediction' 0 (eps) and the network don't go together: it predicts v");
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule, test_wave, NULL, DM_PREDICT_EPS,
                                       8, 8, 3, &o));
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
              dm_sampler_create_with_denoiser(&sampler, context, schedule, test_wave, NULL,
                                              shapes[i].prediction, shapes[i].height,
                                              shapes[i].width, shapes[i].channels, NULL),
              shapes[i].text);
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, NULL, test_wave, NULL, 0, 8, 8, 3,
                                          NULL),
          "'schedule' is NULL");
    fails(DM_ERROR_INVALID_ARGUMENT,
          dm_sampler_create_with_denoiser(&sampler, context, schedule, NULL, NULL, 0, 8, 8, 3,
                                          NULL),
          "'denoiser' is NULL");
    ck_assert_int_eq(dm_sampler_create(&sampler, NULL, schedule, NULL), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_sampler_run(NULL, NULL, NULL, 0), DM_ERROR_INVALID_ARGUMENT);
    dm_sampler_destroy(NULL);
}
END_TEST

START_TEST(requests_refused) {
    dm_sampler *sampler = test_sampler_of(test_wave, NULL, DM_PREDICT_V, NULL);
    float images[2 * ELEMENTS];
    dm_sampler_request r = test_sampler_request(0);
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, images, 0), "'count' is 0");
    r.count = 65537;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, images, 0), "'count' is 65537");
    r.count = 2;
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_run(sampler, &r, images, ELEMENTS),
          "'elements' is 48");
    int32_t timesteps[1];
    fails(DM_ERROR_SHAPE_MISMATCH, dm_sampler_timesteps(sampler, timesteps, 1), "'count' is 1");
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, NULL, 2 * ELEMENTS),
          "'images' is NULL");
    r.random = 2;
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, images, 2 * ELEMENTS),
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
    const int32_t labels[COUNT] = {0, 3, -1, 4, 1};
    dm_unet *unet = network_of(4, 3);
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, 3, DM_SPACING_TRAILING);
    dm_sampler *sampler;
    dm_sampler_request r = test_sampler_request(COUNT);
    r.labels = labels;
    o.batch_size = COUNT;
    ok(dm_sampler_create(&sampler, unet, schedule, &o));
    ok(dm_sampler_run(sampler, &r, whole, TOTAL));
    dm_sampler_destroy(sampler);
    for (o.batch_size = 1; o.batch_size < COUNT; o.batch_size++) {
        ok(dm_sampler_create(&sampler, unet, schedule, &o));
        ok(dm_sampler_run(sampler, &r, other, TOTAL));
        ck_assert_mem_eq(other, whole, sizeof whole);
        dm_sampler_destroy(sampler);
    }
    dm_unet_destroy(unet);
}
END_TEST

START_TEST(network_refused) {
    float images[768];
    const int32_t label = 5;
    dm_sampler *sampler;
    dm_sampler_request r = test_sampler_request(1);
    r.labels = &label;
    dm_unet *unet = network_of(0, 3);
    ok(dm_sampler_create(&sampler, unet, schedule, NULL));
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, images, 768),
          "the network has no classes");
    dm_sampler_destroy(sampler);
    dm_unet_destroy(unet);
    unet = network_of(4, 3);
    ok(dm_sampler_create(&sampler, unet, schedule, NULL));
    fails(DM_ERROR_INVALID_ARGUMENT, dm_sampler_run(sampler, &r, images, 768),
          "the label of picture 0 is 5");
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
        status = dm_sampler_create_with_denoiser(&sampler, own, linear, test_wave, NULL,
                                                 DM_PREDICT_V, SIDE, SIDE, CHANNELS, NULL);
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
    tcase_add_test(tcase, options_refused);
    tcase_add_test(tcase, requests_refused);
    tcase_add_test(tcase, network_in_batches);
    tcase_add_test(tcase, network_refused);
    tcase_add_test(tcase, every_allocation_may_fail);
    suite_add_tcase(suite, tcase);
    return suite;
}
