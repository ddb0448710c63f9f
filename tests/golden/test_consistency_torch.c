/* SPDX-License-Identifier: MIT */
/* Consistency models against diffusers' scheduler and pipeline (make_consistency.py). */
#include "diffusion.h"
#include "golden/golden.h"
#include "support/denoiser.h"
#include "support/network.h"
#include "support/support.h"

enum { IMAGES = 2, SIDE = 8, TOTAL = IMAGES * SIDE * SIDE * 3, LINE = 96 };

/* As in test_solvers.c; the network's rounding comes to that of the second. */
static const double usual_bound = 2e-7, unet_bound = 1e-6;

static dm_context *context;

static void setup(void) { ck_assert_int_eq(dm_context_create(&context, NULL, NULL, 0), DM_OK); }

static void teardown(void) { dm_context_destroy(context); }

static void require(int32_t status) {
    ck_assert_msg(status == DM_OK, "%s: %s", dm_status_name(status), dm_context_error(context));
}

static dm_schedule *new_schedule(bool other) {
    dm_schedule_options o;
    dm_schedule *schedule;
    require(dm_schedule_options_init(&o, sizeof o));
    o.kind = DM_SCHEDULE_EDM;
    o.timesteps = other ? 10 : 40;
    o.time_scale = 1000;
    if (other) o.sigma_min = 0.01, o.sigma_max = 20, o.rho = 5;
    require(dm_schedule_create(&schedule, context, &o));
    return schedule;
}

static int32_t network(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    double t = (float)input->time;
    (void)user;
    for (size_t i = 0; i < size; i++) {
        double x = input->x[i];
        output[i] = (float)(0.9 * x * ((t + 1) / (t + 2)) + 0.1 * sin(3 * x + 0.01 * t));
    }
    return 0;
}

static int32_t formula_noise(void *user, const dm_noise_request *request, float *noise,
                             size_t size) {
    char name[32];
    (void)user;
    snprintf(name, sizeof name, request->step ? "noise%d" : "start", (int)request->step);
    golden_fill(noise, size, request->step ? sqrtf(3.0f) : 2.0f, "solvers", name);
    return 0;
}

static void run(dm_sampler *sampler, const int32_t *labels, const char *name, double bound) {
    float images[TOTAL];
    dm_sampler_request r;
    require(dm_sampler_request_init(&r, sizeof r));
    r.count = IMAGES;
    r.labels = labels;
    r.noise = formula_noise;
    require(dm_sampler_run(sampler, test_counted(sampler, &r), images, TOTAL));
    dmi_host *host = test_host_new(1);
    dmi_safetensors *file = golden_open(host, "consistency.safetensors");
    float *want = golden_read(file, name, "x", TOTAL);
    double error = test_error(images, want, TOTAL);
    if (getenv("GOLDEN_VERBOSE")) printf("%s: error %.3g\n", name, error);
    ck_assert_msg(error <= bound, "%s: relative error %.3g is above %.3g", name, error, bound);
    free(want);
    dmi_safetensors_close(host, file);
    test_host_end(host);
}

/* ---- the network of make_solvers.py ---- */

static const struct {
    const char *name;
    int32_t steps;
    bool other, unclipped;
    double times[4]; /* in place of trailing timesteps, if the first is set */
} cases[] = {
    {"one", 1, false, false, {0}},
    {"two", 2, false, false, {0}},
    {"four", 4, false, false, {0}},
    /* Counted from sigma_max in diffusers: 39 - 0 and 39 - 22. */
    {"list", 2, false, false, {39, 17}},
    {"three", 3, false, false, {39, 26, 13}},
    {"other", 2, true, false, {0}},
    {"unclipped", 4, false, true, {0}},
};

START_TEST(schedulers_images) {
    dm_sampler *sampler;
    dm_sampler_options o;
    dm_schedule *schedule = new_schedule(cases[_i].other);
    require(dm_sampler_options_init(&o, sizeof o));
    o.solver = DM_SOLVER_CONSISTENCY;
    o.steps = cases[_i].steps;
    o.clip = !cases[_i].unclipped;
    if (cases[_i].other) o.churn_noise = 1.01;
    if (cases[_i].times[0] > 0) {
        o.custom_times = cases[_i].times;
        o.custom_count = (uint64_t)cases[_i].steps;
    }
    dm_denoiser d = *test_denoiser(network, NULL, DM_PREDICT_CONSISTENCY, SIDE, SIDE, 3);
    if (cases[_i].other) d.sigma_data = 0.7;
    require(dm_sampler_create_with_denoiser(&sampler, context, schedule, &d, &o));
    run(sampler, NULL, cases[_i].name, usual_bound);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
}
END_TEST

/* ---- a UNet2DModel with classes ---- */

/* From lines "member value". */
static dm_unet_options stored_options(void) {
    dm_unet_options o;
    char line[LINE];
    dmi_host *host = test_host_new(1);
    dmi_safetensors *file = golden_open(host, "consistency.safetensors");
    const char *text = dmi_safetensors_metadata(file, "unet/options");
    ck_assert_ptr_nonnull(text);
    require(dm_unet_options_init(&o, sizeof o));
    while (*text) {
        size_t length = strcspn(text, "\n");
        ck_assert_uint_lt(length, LINE);
        memcpy(line, text, length);
        line[length] = 0;
        text += length + (text[length] == '\n');
        char *value = strchr(line, ' ');
        ck_assert_ptr_nonnull(value);
        *value++ = 0;
        require(dm_options_set(context, "dm_unet_options", &o, line, value));
    }
    dmi_safetensors_close(host, file);
    test_host_end(host);
    o.prediction = DM_PREDICT_CONSISTENCY;
    return o;
}

static dm_unet *new_network(void) {
    dm_unet_options options = stored_options();
    dm_unet *unet;
    require(dm_unet_create(&unet, context, &options, 1));
    for (int32_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        dm_tensor_info info = {.struct_size = sizeof info};
        require(dm_unet_get_tensor_info(unet, i, &info));
        float *values = golden_floats(info.elements);
        golden_weight(values, info.name, info.rank, info.shape);
        require(network_set(unet, info.name, values, info.elements));
        free(values);
    }
    return unet;
}

/* Saved and loaded in between: files keep the prediction and the factor of the times. */
START_TEST(pipelines_images) {
    static const struct {
        const char *name;
        int32_t steps;
    } runs[] = {{"unet-one", 1}, {"unet-two", 2}, {"unet-four", 4}};
    static const int32_t labels[IMAGES] = {3, 0};
    dm_sampler_options o;
    dm_schedule *made = new_schedule(false), *schedule;
    dm_unet *drawn = new_network(), *unet;
    size_t size;
    require(dm_unet_save_memory(drawn, made, NULL, 0, &size));
    void *bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    require(dm_unet_save_memory(drawn, made, bytes, size, &size));
    require(dm_unet_load_memory(&unet, context, bytes, size, DM_WEIGHTS_DEFAULT));
    require(dm_schedule_load_memory(&schedule, context, bytes, size));
    require(dm_sampler_options_init(&o, sizeof o));
    o.solver = DM_SOLVER_CONSISTENCY;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) {
        dm_sampler *sampler;
        o.steps = runs[i].steps;
        require(dm_sampler_create(&sampler, unet, schedule, &o));
        run(sampler, labels, runs[i].name, unet_bound);
        dm_sampler_destroy(sampler);
    }
    free(bytes);
    dm_unet_destroy(unet);
    dm_unet_destroy(drawn);
    dm_schedule_destroy(schedule);
    dm_schedule_destroy(made);
}
END_TEST

Suite *test_consistency_torch_suite(void);

Suite *test_consistency_torch_suite(void) {
    Suite *suite = suite_create("consistency_torch");
    TCase *tests = tcase_create("consistency_torch");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, schedulers_images, 0, (int)(sizeof cases / sizeof *cases));
    tcase_add_test(tests, pipelines_images);
    suite_add_tcase(suite, tests);
    return suite;
}
