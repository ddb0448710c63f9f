/* SPDX-License-Identifier: MIT */
/* 'compatible' of dm_diffusers_options: the tables and images of diffusers' schedulers as they
 * are. */
#include "diffusion.h"
#include "diffusion/diffusers.h"
#include "golden/golden.h"
#include "support/denoiser.h"
#include "support/refusal.h"
#include "support/support.h"
#include "support/training.h"

enum { IMAGES = 2, ELEMENTS = 3 * 8 * 8, TOTAL = IMAGES * ELEMENTS, STEPS = 20 };

static dm_context *context;

static void setup(void) { context = test_context_new(NULL, 0); }
static void teardown(void) { dm_context_destroy(context); }

#define ok(call) test_accepted(context, (call))

/* ---- images ---- */

/* The first are those of tests/diffusers/check_schedulers.py. */
static const char *const cases[] = {
    "ddpm",
    "ddpm-large",
    "ddpm-cosine",
    "ddpm-zero",
    "ddim",
    "ddim-trailing",
    "ddim-v",
    "pndm",
    "plms",
    "dpmpp",
    "dpmpp-karras",
    "dpmpp-sde",
    "dpmpp-trailing",
    "single",
    "euler",
    "euler-karras",
    "euler-leading",
    "ancestral",
    "heun",
    "heun-karras",
    "dpm2",
    "lms",
    "unipc",
    "unipc-third",
    "deis",
    "edm-euler",
    "edm-dpmpp",
    "flow",
    "pndm-v",
    "plms-v",
    "plms-uneven",
    "pndm-uneven",
    "dpmpp-third",
    "single-third",
    "ddim-uneven",
    "ddpm-uneven",
    "flow-shift",
    "flow-karras",
    "flow-exponential",
    "dpmpp-flow",
    "dpmpp-flow-third",
    "single-flow",
    "unipc-flow",
    "unipc-flow-keep",
    "deis-flow",
    "edm-third",
    "edm-exponential",
    "edm-keep",
    "euler-zero",
    "euler-zero-karras",
    "euler-keep",
    "dpmpp-zero",
    "unipc-zero",
    "dpmpp-exponential",
    "dpmpp-cosine",
    "dpm2-karras",
    "deis-karras",
    "ddim-range",
    "heun-range",
    "ddim-threshold",
    "ddim-betas",
    "edm-sde",
};
enum { CASES = sizeof cases / sizeof *cases };

/* DEIS integrates in float32: in double, from the same sigmas, diffusers itself differs by 1.45e-5
 * where sigma begins at 999. */
static double bound_of(const char *name) { return !strcmp(name, "deis-flow") ? 2e-5 : 1e-5; }

static int32_t network(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    double t = (float)input->time;
    (void)user;
    for (size_t i = 0; i < size; i++) {
        double x = input->x[i];
        output[i] = (float)(0.9 * x * ((t + 1) / (t + 2)) + 0.1 * sin(3 * x + 0.01 * t));
    }
    return 0;
}

static int32_t noise(void *user, const dm_noise_request *request, float *values, size_t size) {
    char name[32];
    (void)user;
    ck_assert(size == TOTAL);
    snprintf(name, sizeof name, request->step ? "noise%d" : "start", (int)request->step);
    golden_fill(values, size, request->step ? (float)sqrt(3) : 2, "scheduler", name);
    return 0;
}

static dm_schedule *read_config(const dmi_safetensors *file, const char *name, bool compatible,
                                dm_sampler_options *o) {
    char key[64];
    dmi_config config;
    dm_schedule *schedule;
    snprintf(key, sizeof key, "config.%s", name);
    const char *text = dmi_safetensors_metadata(file, key);
    ck_assert_ptr_nonnull(text);
    ok(dm_sampler_options_init(o, sizeof *o));
    o->steps = STEPS;
    ok(dmi_config_parse(&context->host, &config, text, strlen(text), name));
    ok(dmi_diffusers_read_scheduler(&schedule, context, &config, compatible, o));
    dmi_config_free(&config);
    return schedule;
}

START_TEST(images) {
    const char *name = cases[_i];
    dm_sampler_options o;
    dm_sampler_request request;
    dm_sampler *sampler;
    float got[TOTAL];
    dmi_host *host = test_host_new(1);
    dmi_safetensors *file = golden_open(host, "compatible.safetensors");
    dm_schedule *schedule = read_config(file, name, true, &o);
    ck_assert_int_eq(o.diffusers_compatible, 1);
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                       test_denoiser(network, NULL, o.expected_prediction, 8, 8, 3),
                                       &o));
    ok(dm_sampler_request_init(&request, sizeof request));
    request.count = IMAGES;
    request.noise = noise;
    ok(dm_sampler_run(sampler, test_counted(sampler, &request), got, TOTAL));
    float *want = golden_read(file, "images", name, TOTAL);
    double error = test_error(got, want, TOTAL);
    if (getenv("GOLDEN_VERBOSE")) printf("compatible: %s: error %.3g\n", name, error);
    ck_assert_msg(error <= bound_of(name), "%s: relative error %.3g", name, error);
    free(want);
    dmi_safetensors_close(host, file);
    test_host_end(host);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
}
END_TEST

/* ---- tables ---- */

/* The largest difference of a series to the golden table, relative to the value. */
static double table_error(const dm_schedule *schedule, dm_series series,
                          const dmi_safetensors *file, const char *prefix, const char *name) {
    size_t count = (size_t)dm_schedule_timesteps(schedule);
    double *got = malloc(count * sizeof *got), worst = 0;
    float *want = golden_read(file, prefix, name, count);
    ck_assert_ptr_nonnull(got);
    ok(dm_schedule_get_series(schedule, series, got, count));
    for (size_t t = 0; t < count; t++) {
        double difference = fabs(got[t] - (double)want[t]);
        if (difference > 0) worst = fmax(worst, difference / fabs((double)want[t]));
    }
    free(got);
    free(want);
    return worst;
}

static const struct {
    const char *name;
    double beta_bound, alpha_bound;
    dm_schedule_options options;
} tables[] = {
    {"linear", 0, 0, {.kind = DM_SCHEDULE_LINEAR, .timesteps = 1000}},
    {"short",
     0,
     0,
     {.kind = DM_SCHEDULE_LINEAR, .timesteps = 37, .beta_start = 0.001, .beta_end = 0.3}},
    {"scaled_linear",
     0,
     0,
     {.kind = DM_SCHEDULE_SCALED_LINEAR,
      .timesteps = 1000,
      .beta_start = 0.00085,
      .beta_end = 0.012}},
    {"cosine", 0, 0, {.kind = DM_SCHEDULE_COSINE, .timesteps = 1000}},
    /* torch.sqrt rounds 4 of the 1000 otherwise, in betas of 1e-4 that are differences from 1. */
    {"zero",
     1e-3,
     4e-7,
     {.kind = DM_SCHEDULE_SCALED_LINEAR, .timesteps = 1000, .zero_terminal_snr = 1}},
    /* torch.sigmoid's exponential: the last bit of 42 betas. */
    {"sigmoid", 3e-7, 1.2e-7, {.kind = DM_SCHEDULE_SIGMOID, .timesteps = 1000}},
};

static dm_schedule *table_schedule(size_t i) {
    dm_schedule_options o;
    dm_schedule *schedule;
    ok(dm_schedule_options_init(&o, sizeof o));
    o.kind = tables[i].options.kind;
    o.timesteps = tables[i].options.timesteps;
    o.zero_terminal_snr = tables[i].options.zero_terminal_snr;
    if (tables[i].options.beta_start > 0) {
        o.beta_start = tables[i].options.beta_start;
        o.beta_end = tables[i].options.beta_end;
    }
    o.float32_tables = 1;
    ok(dm_schedule_create(&schedule, context, &o));
    return schedule;
}

START_TEST(float32_tables) {
    dmi_host *host = test_host_new(1);
    dmi_safetensors *file = golden_open(host, "compatible.safetensors");
    dm_sampler_options o;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++) {
        const char *name = tables[i].name;
        dm_schedule *schedule = table_schedule(i);
        double beta = table_error(schedule, DM_SERIES_BETA, file, "betas", name),
               alpha = table_error(schedule, DM_SERIES_ALPHA_CUMPROD, file, "alphas", name);
        ck_assert_msg(beta <= tables[i].beta_bound && alpha <= tables[i].alpha_bound,
                      "%s: %.3g, %.3g", name, beta, alpha);
        dm_schedule_destroy(schedule);
    }
    dm_schedule *custom = read_config(file, "ddim-betas", true, &o);
    ck_assert(table_error(custom, DM_SERIES_BETA, file, "betas", "custom") == 0);
    ck_assert(table_error(custom, DM_SERIES_ALPHA_CUMPROD, file, "alphas", "custom") == 0);
    dm_schedule_destroy(custom);
    dmi_safetensors_close(host, file);
    test_host_end(host);
}
END_TEST

/* The last alpha_cumprod, and the rest as without. */
START_TEST(terminal_signal) {
    dm_schedule_options o;
    dm_schedule *with, *without;
    ok(dm_schedule_options_init(&o, sizeof o));
    for (o.float32_tables = 0; o.float32_tables < 2; o.float32_tables++) {
        o.zero_terminal_snr = 1, o.terminal_signal = 0;
        ok(dm_schedule_create(&without, context, &o));
        o.terminal_signal = 1;
        ok(dm_schedule_create(&with, context, &o));
        size_t last = (size_t)o.timesteps - 1;
        ck_assert(with->alpha_cumprod[last] == ldexp(1, -24) && without->alpha_cumprod[last] == 0);
        ck_assert_mem_eq(with->alpha_cumprod, without->alpha_cumprod, last * sizeof(double));
        ck_assert_mem_eq(with->beta, without->beta, (last + 1) * sizeof(double));
        dm_schedule_destroy(with);
        dm_schedule_destroy(without);
    }
}
END_TEST

/* ---- files ---- */

/* A network's file with such a schedule is of version 2, and others stay of version 1. */
START_TEST(files) {
    char *folder = test_folder_new();
    dmi_host *host = test_host_new(1);
    dm_unet_options o;
    dm_unet *unet;
    dm_schedule *plain, *again;
    ok(dm_unet_options_init(&o, sizeof o));
    o.height = o.width = 8, o.levels = 1, o.channels[0] = 8, o.norm_groups = 4;
    ok(dm_unet_create(&unet, context, &o, 1));
    ok(dm_schedule_create(&plain, context, NULL));
    for (int32_t saved = 0; saved < 3; saved++) {
        dmi_safetensors *golden = golden_open(host, "compatible.safetensors"), *file;
        dm_sampler_options unused;
        dm_schedule *custom = read_config(golden, "ddim-betas", true, &unused),
                    *schedule = saved == 0   ? plain
                                : saved == 1 ? table_schedule(4)
                                             : custom;
        const char *path = test_path(folder, "network.safetensors");
        ok(dm_unet_save(unet, schedule, path));
        ck_assert_int_eq(dmi_safetensors_open(host, &file, path), DMI_OK);
        ck_assert_str_eq(dmi_safetensors_metadata(file, "format_version"), saved ? "2" : "1");
        dmi_safetensors_close(host, file);
        ok(dm_schedule_load(&again, context, path));
        ck_assert_mem_eq(&again->options, &schedule->options, sizeof again->options);
        size_t size = (size_t)again->steps * sizeof(double);
        ck_assert_mem_eq(again->beta, schedule->beta, size);
        ck_assert_mem_eq(again->alpha_cumprod, schedule->alpha_cumprod, size);
        dm_schedule_destroy(again);
        if (saved == 1) dm_schedule_destroy(schedule);
        dm_schedule_destroy(custom);
        dmi_safetensors_close(host, golden);
    }
    dm_schedule_destroy(plain);
    dm_unet_destroy(unet);
    test_host_end(host);
    free(folder);
}
END_TEST

/* ---- options ---- */

START_TEST(options) {
    dm_diffusers_options how;
    dm_sampler_options o;
    dm_schedule *schedule;
    const char *path = test_golden("diffusers/schedulers/ddim-keep.json");
    ok(dm_diffusers_options_init(&how, sizeof how));
    ok(dm_sampler_options_init(&o, sizeof o));
    for (how.compatible = 1; how.compatible >= 0; how.compatible--) {
        ok(dm_schedule_load_diffusers(&schedule, context, path, &how, &o));
        ck_assert_int_eq(schedule->options.float32_tables, how.compatible);
        ck_assert_int_eq(o.diffusers_compatible, how.compatible);
        dm_schedule_destroy(schedule);
    }
    how.compatible = 2;
    test_refused(context, dm_schedule_load_diffusers(&schedule, context, path, &how, &o),
                 DM_ERROR_INVALID_ARGUMENT, "'compatible' is 2");
    static const double bad[] = {0.1, 1 - 1e-12};
    ck_assert_int_eq(dmi_schedule_create_from_betas(&schedule, context, bad, 2, true),
                     DM_ERROR_INVALID_ARGUMENT);
}
END_TEST

Suite *test_diffusers_compatible_suite(void);
Suite *test_diffusers_compatible_suite(void) {
    Suite *suite = suite_create("diffusers_compatible");
    TCase *tests = tcase_create("diffusers_compatible");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, images, 0, CASES);
    tcase_add_test(tests, float32_tables);
    tcase_add_test(tests, terminal_signal);
    tcase_add_test(tests, files);
    tcase_add_test(tests, options);
    suite_add_tcase(suite, tests);
    return suite;
}
