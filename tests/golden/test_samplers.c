/* SPDX-License-Identifier: MIT */
/* Against diffusers: the values of its own tests, and whole images of DDPM and DDIM that
 * make_samplers.py had it make. Those of the other solvers are in test_solvers.c. */
#include "base/torch_random.h"
#include "diffusion.h"
#include "diffusion/prediction.h"
#include "diffusion/schedule.h"
#include "io/safetensors.h"
#include "sample/solver.h"
#include "support/denoiser.h"
#include "support/support.h"

enum { IMAGES = 4, ELEMENTS = 3 * 8 * 8, TOTAL = IMAGES * ELEMENTS };

static dm_context *context_new(void) {
    dm_context *context;
    dm_context_options o;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = 2;
    ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
    return context;
}

#define ok(context, call)                                                                          \
    do {                                                                                           \
        int32_t status_ = (call);                                                                  \
        ck_assert_msg(status_ == DM_OK, "%s: %s", dm_status_name(status_),                         \
                      dm_context_error(context));                                                  \
    } while (0)

/* ---- the values of diffusers' own tests ---- */

static int32_t dummy(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    const float *x_t = input->x;
    float timestep = (float)input->time;
    (void)user;
    for (size_t i = 0; i < size; i++) output[i] = x_t[i] * timestep / (timestep + 1);
    return 0;
}

static int32_t torch_noise(void *user, const dm_noise_request *request, float *noise, size_t size) {
    size_t first = request->first;
    ck_assert_uint_eq(first, 0);
    dmi_torch_randn(user, noise, size);
    return 0;
}

/* Element (n, c, h, w) is (((c*8+h)*8+w)*4+n) / 768. */
static void deterministic_sample(float *start) {
    for (int n = 0; n < IMAGES; n++)
        for (int i = 0; i < ELEMENTS; i++)
            start[n * ELEMENTS + i] = (float)(i * IMAGES + n) / TOTAL;
}

/* Published, from tables in float32, with the tolerances of those tests; a sum of 0: there is none.
 * `exact` is the sum that the same run of diffusers gives with its tables and state in double. */
static void check_sums(const float *images, double sum, double mean, double exact) {
    double total = 0;
    for (int i = 0; i < TOTAL; i++) total += fabs(images[i]);
    ck_assert_msg(sum == 0 || fabs(total - sum) < 1e-2, "the sum is %.6f, not %.6f", total, sum);
    ck_assert_msg(fabs(total / TOTAL - mean) < 1e-3, "the mean is %.7f, not %.7f", total / TOTAL,
                  mean);
    /* What is left is the rounding of what the network gets and gives: 6e-8 a step, and for EDM,
     * which measures 1e-6, more where the time is near -1 and t / (t + 1) multiplies its
     * rounding. */
    ck_assert_msg(fabs(total - exact) < 2e-6 * exact, "the sum is %.6f, not %.6f", total, exact);
}

/* The schedule is linear unless its options are given; the start is multiplied by `spread`. */
static void check_published(const dm_sampler_options *options,
                            const dm_schedule_options *schedule_options, int32_t prediction,
                            double spread, double sum, double mean, double exact) {
    dm_context *context = context_new();
    dm_schedule *schedule;
    dm_sampler *sampler;
    dm_schedule_options linear;
    ok(context, dm_schedule_options_init(&linear, sizeof linear));
    linear.kind = DM_SCHEDULE_LINEAR;
    ok(context,
       dm_schedule_create(&schedule, context, schedule_options ? schedule_options : &linear));
    ok(context,
       dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                       test_denoiser(dummy, NULL, prediction, 8, 8, 3), options));
    float start[TOTAL], images[TOTAL];
    deterministic_sample(start);
    for (int i = 0; i < TOTAL; i++) start[i] = (float)(spread * start[i]);
    dmi_torch torch;
    dmi_torch_seed(&torch, 0);
    dm_sampler_request request;
    ok(context, dm_sampler_request_init(&request, sizeof request));
    request.count = IMAGES;
    request.initial_noise = start;
    request.noise = torch_noise;
    request.noise_user = &torch;
    ok(context, dm_sampler_run(sampler, test_counted(sampler, &request), images, TOTAL));
    check_sums(images, sum, mean, exact);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
}

START_TEST(diffusers_ddpm_values) {
    dm_sampler_options o;
    dm_sampler_options_init(&o, sizeof o);
    o.solver = DM_SOLVER_DDPM;
    o.steps = 1000;
    o.variance = DM_VARIANCE_FIXED_SMALL;
    check_published(&o, NULL, DM_PREDICT_EPS, 1, 258.9606, 0.3372, 258.9590527);
}
END_TEST

START_TEST(diffusers_ddim_values) {
    dm_sampler_options o;
    dm_sampler_options_init(&o, sizeof o);
    o.steps = 10;
    o.spacing = DM_SPACING_LEADING;
    check_published(&o, NULL, DM_PREDICT_EPS, 1, 172.0067, 0.223967, 172.0065222);
}
END_TEST

/* Eleven timesteps from 999 to 0, without the last; timestep 0's level at the end. */
static const double ten_of_eleven[] = {999, 899, 799, 699, 599, 500, 400, 300, 200, 100};

static dm_sampler_options few_steps(int32_t solver) {
    dm_sampler_options o;
    dm_sampler_options_init(&o, sizeof o);
    o.solver = solver;
    o.custom_count = 10;
    o.custom_times = ten_of_eleven;
    o.order = 2;
    o.clip = 0;
    o.final_alpha_one = 0;
    return o;
}

START_TEST(diffusers_dpmpp_values) {
    dm_sampler_options o = few_steps(DM_SOLVER_DPMPP);
    o.lower_order_final = 0;
    check_published(&o, NULL, DM_PREDICT_EPS, 1, 0, 0.3301, 253.5528790);
}
END_TEST

START_TEST(diffusers_unipc_values) {
    dm_sampler_options o = few_steps(DM_SOLVER_UNIPC);
    check_published(&o, NULL, DM_PREDICT_EPS, 1, 0, 0.2464, 189.2316532);
}
END_TEST

START_TEST(diffusers_edm_euler_values) {
    dm_schedule_options s;
    dm_schedule_options_init(&s, sizeof s);
    s.kind = DM_SCHEDULE_EDM;
    s.timesteps = 256;
    dm_sampler_options o;
    dm_sampler_options_init(&o, sizeof o);
    o.solver = DM_SOLVER_EULER;
    o.steps = 10;
    o.spacing = DM_SPACING_LINSPACE;
    o.clip = 0;
    check_published(&o, &s, DM_PREDICT_EDM, sqrt(80 * 80 + 1), 34.1855, 0.044, 34.1854943);
}
END_TEST

/* In these tests of diffusers' the scaled sample, x in this library, is also taken for the one to
 * continue from, x / signal: so x comes out of the evaluation multiplied by its signal. The sampler
 * doesn't do that, and its stages are gone through here. */
static void check_scaled_twice(const dmi_solver *solver, double sum, double mean, double exact) {
    enum { STEPS = 10, TIMESTEPS = 1100 };
    dm_context *context = context_new();
    dm_schedule_options so;
    dm_schedule *schedule;
    ok(context, dm_schedule_options_init(&so, sizeof so));
    so.kind = DM_SCHEDULE_LINEAR;
    so.timesteps = TIMESTEPS;
    ok(context, dm_schedule_create(&schedule, context, &so));
    dm_sampler_options o;
    dm_sampler_options_init(&o, sizeof o);
    dmi_level levels[STEPS + 1];
    double timesteps[STEPS + 1];
    for (int i = 0; i < STEPS; i++) {
        timesteps[i] = (TIMESTEPS - 1.0) * (STEPS - 1 - i) / (STEPS - 1);
        levels[i] = dmi_schedule_level(schedule, timesteps[i]);
    }
    levels[STEPS] = (dmi_level){.signal = 1};
    timesteps[STEPS] = -1;
    dmi_path path = {.schedule = schedule,
                     .options = &o,
                     .levels = levels,
                     .timesteps = timesteps,
                     .steps = STEPS};
    float images[TOTAL], noise[TOTAL], x_f32[TOTAL], output[TOTAL];
    double x[TOTAL];
    deterministic_sample(images);
    for (int i = 0; i < TOTAL; i++)
        x[i] = dmi_level_sigma(levels[0]) * levels[0].signal * images[i];
    dmi_torch torch;
    dmi_torch_seed(&torch, 0);
    for (int k = 0; k < STEPS; k++) {
        dmi_stage stage;
        ck_assert_int_eq(solver->step(&path, k, &stage), 1);
        ck_assert(stage.churn_noise == 0 && !stage.has_corrector);
        dmi_prediction_coefficients coefficients = dmi_prediction_at(stage.at, DM_PREDICT_EPS, 0);
        dmi_torch_randn(&torch, noise, TOTAL);
        for (int i = 0; i < TOTAL; i++) x_f32[i] = (float)x[i];
        dm_denoiser_input input = {.x = x_f32, .time = stage.at.time, .count = IMAGES};
        dummy(NULL, &input, output, TOTAL);
        for (int i = 0; i < TOTAL; i++) {
            double taken = x[i] * stage.at.signal;
            double x_0 = coefficients.x0_x * taken + coefficients.x0_output * output[i];
            double eps = coefficients.eps_x * taken + coefficients.eps_output * output[i];
            const dmi_sum *update = &stage.update;
            x[i] = update->factors[DMI_X] * taken + update->factors[DMI_X0] * x_0 +
                   update->factors[DMI_EPS] * eps + update->noise * noise[i];
        }
    }
    for (int i = 0; i < TOTAL; i++) images[i] = (float)x[i];
    check_sums(images, sum, mean, exact);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
}

START_TEST(diffusers_euler_values) {
    check_scaled_twice(&dmi_solver_euler, 10.0807, 0.0131, 10.0806681);
    check_scaled_twice(&dmi_solver_euler_ancestral, 152.3192, 0.1983, 152.3192723);
}
END_TEST

/* The first numbers of torch.manual_seed(0); torch.randn(...). */
START_TEST(torch_random_numbers) {
    static const float want[] = {-1.1258f, -1.1524f, -0.2506f, -0.4339f};
    float got[16];
    dmi_torch torch;
    dmi_torch_seed(&torch, 0);
    dmi_torch_randn(&torch, got, 16);
    for (int i = 0; i < 4; i++) ck_assert_float_eq_tol(got[i], want[i], 5e-5f);
}
END_TEST

/* ---- whole images ---- */

typedef struct golden_case {
    const char *name;
    int32_t prediction, schedule;
    dm_sampler_options options; /* solver, steps, spacing, ...; struct_size is set by the test */
} golden_case;

static const double custom_times[] = {990, 700, 431, 200, 77, 20, 3, 1};

#define DDPM(variance_, steps_, spacing_)                                                          \
    .solver = DM_SOLVER_DDPM, .variance = DM_VARIANCE_##variance_, .steps = (steps_),              \
    .spacing = DM_SPACING_##spacing_, .clip = 1
#define DDIM(steps_, spacing_, clip_, alpha_one_)                                                  \
    .solver = DM_SOLVER_DDIM, .steps = (steps_), .spacing = DM_SPACING_##spacing_,                 \
    .clip = (clip_), .final_alpha_one = (alpha_one_)

static const golden_case cases[] = {
    {"ddpm-large", DM_PREDICT_EPS, DM_SCHEDULE_LINEAR, {DDPM(FIXED_LARGE, 50, LEADING)}},
    {"ddpm-small", DM_PREDICT_EPS, DM_SCHEDULE_LINEAR, {DDPM(FIXED_SMALL, 50, TRAILING)}},
    {"ddpm-x0", DM_PREDICT_X0, DM_SCHEDULE_LINEAR, {DDPM(FIXED_LARGE, 20, TRAILING)}},
    {"ddpm-v", DM_PREDICT_V, DM_SCHEDULE_LINEAR, {DDPM(FIXED_SMALL, 20, LINSPACE)}},
    {"ddpm-custom",
     DM_PREDICT_V,
     DM_SCHEDULE_LINEAR,
     {DDPM(FIXED_LARGE, 8, AUTO), .custom_times = custom_times, .custom_count = 8}},
    {"ddpm-cosine", DM_PREDICT_V, DM_SCHEDULE_COSINE, {DDPM(FIXED_LARGE, 100, LEADING)}},
    {"ddim-leading", DM_PREDICT_EPS, DM_SCHEDULE_LINEAR, {DDIM(20, LEADING, 1, 1)}},
    {"ddim-half", DM_PREDICT_EPS, DM_SCHEDULE_LINEAR, {DDIM(20, LEADING, 1, 1), .eta = 0.5}},
    {"ddim-full", DM_PREDICT_V, DM_SCHEDULE_LINEAR, {DDIM(20, TRAILING, 1, 1), .eta = 1}},
    {"ddim-x0", DM_PREDICT_X0, DM_SCHEDULE_LINEAR, {DDIM(10, LINSPACE, 1, 1)}},
    {"ddim-x0-half", DM_PREDICT_X0, DM_SCHEDULE_LINEAR, {DDIM(25, TRAILING, 0, 1), .eta = 0.5}},
    {"ddim-offset", DM_PREDICT_V, DM_SCHEDULE_LINEAR, {DDIM(20, LEADING, 1, 0), .steps_offset = 1}},
    {"ddim-rederive",
     DM_PREDICT_EPS,
     DM_SCHEDULE_LINEAR,
     {DDIM(20, TRAILING, 1, 1), .rederive_eps = 1}},
    {"ddim-free", DM_PREDICT_EPS, DM_SCHEDULE_LINEAR, {DDIM(50, TRAILING, 0, 1)}},
    {"ddim-cosine", DM_PREDICT_V, DM_SCHEDULE_COSINE, {DDIM(20, TRAILING, 1, 1)}},
};
enum { CASE_COUNT = sizeof cases / sizeof cases[0] };

static int32_t network(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    const float *x_t = input->x;
    float timestep = (float)input->time;
    (void)user;
    double factor = 0.98 * (timestep + 1) / (timestep + 2);
    for (size_t i = 0; i < size; i++) output[i] = (float)(factor * x_t[i]);
    return 0;
}

/* fill(name) of formula.py, whose seed is FNV-1a of the name. */
static void fill_named(float *values, const char *name, float scale) {
    uint64_t seed = 0xCBF29CE484222325u;
    for (const char *c = name; *c; c++) seed = (seed ^ (uint8_t)*c) * 0x100000001B3u;
    test_fill(values, TOTAL, seed, scale);
}

static int32_t formula_noise(void *user, const dm_noise_request *request, float *noise,
                             size_t size) {
    int32_t step = request->step;
    (void)user;
    ck_assert(request->first == 0 && request->count == IMAGES && size == TOTAL);
    char name[32];
    snprintf(name, sizeof name, step == 0 ? "samplers/start" : "samplers/noise%d", (int)step);
    fill_named(noise, name, step == 0 ? 2.0f : sqrtf(3.0f));
    return 0;
}

static int32_t keep_middle(void *user, const dm_sampler_progress *p) {
    if (p->step == (p->steps + 1) / 2) memcpy(user, p->x_0, p->elements * sizeof(float));
    return 0;
}

static void compare(const dmi_safetensors *file, const char *name, const char *what,
                    const float *got, double bound) {
    char key[64];
    snprintf(key, sizeof key, "%s/%s", name, what);
    const dmi_safetensors_entry *entry = dmi_safetensors_find(file, key);
    ck_assert_msg(entry && entry->size == TOTAL * sizeof(float), "%s: not in the golden file", key);
    float want[TOTAL];
    dmi_host host = {0}; /* for the error text alone */
    ck_assert_msg(dmi_safetensors_read(&host, file, entry, want) == DMI_OK, "%s", host.error);
    double error = test_error(got, want, TOTAL);
    ck_assert_msg(error < bound, "%s: relative error %.3g", key, error);
}

START_TEST(diffusers_images) {
    const golden_case *c = &cases[_i];
    dmi_host *host = test_host_new(1);
    dmi_safetensors *file;
    ck_assert_int_eq(dmi_safetensors_open(host, &file, test_golden("samplers.safetensors")),
                     DMI_OK);
    dm_context *context = context_new();
    dm_schedule_options schedule_options;
    ok(context, dm_schedule_options_init(&schedule_options, sizeof schedule_options));
    schedule_options.kind = c->schedule;
    dm_schedule *schedule;
    ok(context, dm_schedule_create(&schedule, context, &schedule_options));
    dm_sampler_options o, given = c->options;
    ok(context, dm_sampler_options_init(&o, sizeof o));
    o.solver = given.solver, o.steps = given.steps, o.spacing = given.spacing,
    o.steps_offset = given.steps_offset;
    o.variance = given.variance, o.clip = given.clip, o.rederive_eps = given.rederive_eps,
    o.eta = given.eta;
    o.final_alpha_one = given.final_alpha_one;
    o.custom_times = given.custom_times, o.custom_count = given.custom_count;
    o.batch_size = IMAGES;
    dm_sampler *sampler;
    ok(context,
       dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                       test_denoiser(network, NULL, c->prediction, 8, 8, 3), &o));
    float images[TOTAL], middle[TOTAL] = {0};
    dm_sampler_request request;
    ok(context, dm_sampler_request_init(&request, sizeof request));
    request.count = IMAGES;
    request.noise = formula_noise;
    request.progress = keep_middle;
    request.progress_user = middle;
    ok(context, dm_sampler_run(sampler, test_counted(sampler, &request), images, TOTAL));
    /* Diffusers computes in double, libdiffusion rounds x_t to float at each of up to 100 steps.
     * x_0 is a difference of larger numbers: 0.01 x_t for this network in the middle of a
     * v-predicting run. */
    compare(file, c->name, "x", images, 2e-6);
    compare(file, c->name, "x0", middle, 1e-5);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
    dmi_safetensors_close(host, file);
    test_host_end(host);
}
END_TEST

Suite *test_samplers_suite(void);

Suite *test_samplers_suite(void) {
    Suite *suite = suite_create("samplers");
    TCase *tcase = tcase_create("diffusers");
    tcase_add_test(tcase, torch_random_numbers);
    tcase_add_test(tcase, diffusers_ddpm_values);
    tcase_add_test(tcase, diffusers_ddim_values);
    tcase_add_test(tcase, diffusers_dpmpp_values);
    tcase_add_test(tcase, diffusers_unipc_values);
    tcase_add_test(tcase, diffusers_edm_euler_values);
    tcase_add_test(tcase, diffusers_euler_values);
    tcase_add_loop_test(tcase, diffusers_images, 0, CASE_COUNT);
    suite_add_tcase(suite, tcase);
    return suite;
}
