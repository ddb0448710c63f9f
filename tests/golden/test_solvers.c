/* SPDX-License-Identifier: MIT */
/* Every solver against diffusers: the images that make_solvers.py had it make, in double
 * precision. */
#include "diffusion.h"
#include "golden/golden.h"
#include "golden/solver_cases.h"
#include "support/denoiser.h"
#include "support/network.h"
#include "support/support.h"

enum { IMAGES = 2, ELEMENTS = 3 * 8 * 8, TOTAL = IMAGES * ELEMENTS, STEPS_MAX = 20 };

/* The state is in double on both sides, and the network in single precision on both. So what is
 * left is a float's last bit in a few values: of the result, and of what the network gets or
 * gives where a double lies next to the middle between two floats. Nearly all cases measure 0 and
 * the worst 8e-8, with zero terminal SNR, where diffusers' side has a sigma of 1e8 for an infinite
 * one. */
static const double usual_bound = 2e-7;

static dm_context *context;

static void setup(void) {
    dm_context_options o;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = 2;
    ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
}

static void teardown(void) { dm_context_destroy(context); }

#define ok(call)                                                                                   \
    do {                                                                                           \
        int32_t status_ = (call);                                                                  \
        ck_assert_msg(status_ == DM_OK, "%s: %s", dm_status_name(status_),                         \
                      dm_context_error(context));                                                  \
    } while (0)

/* In double between a float's input and a float's output, as make_solvers.py has it. */
static int32_t network(void *user, const dm_denoiser_input *input, float *output, size_t size) {
    const float *x_t = input->x;
    float timestep = (float)input->time;
    const int32_t *labels = input->labels;
    size_t elements = size / (size_t)input->count;
    (void)user;
    double t = timestep;
    for (size_t i = 0; i < size; i++) {
        double x = x_t[i], label = labels ? labels[i / elements] : 0;
        output[i] = (float)(0.9 * x * ((t + 1) / (t + 2)) + 0.1 * sin(3 * x + (0.01 * t + label)));
    }
    return 0;
}

static int32_t formula_noise(void *user, const dm_noise_request *request, float *noise,
                             size_t size) {
    int32_t step = request->step;
    (void)user;
    ck_assert(request->first == 0 && request->count == IMAGES && size == TOTAL);
    char name[32];
    snprintf(name, sizeof name, step == 0 ? "start" : "noise%d", (int)step);
    golden_fill(noise, TOTAL, step == 0 ? 2.0f : sqrtf(3.0f), "solvers", name);
    return 0;
}

static int32_t keep_middle(void *user, const dm_sampler_progress *p) {
    if (p->step == (p->steps + 1) / 2) memcpy(user, p->x_0, p->elements * sizeof(float));
    return 0;
}

static void compare(const dmi_safetensors *file, const char *name, const char *what,
                    const float *got, size_t count, double bound) {
    float *want = golden_read(file, name, what, count);
    double error = test_error(got, want, count);
    free(want);
    if (getenv("GOLDEN_VERBOSE")) printf("solvers: %s/%s: error %.3g\n", name, what, error);
    ck_assert_msg(error <= bound, "%s/%s: relative error %.3g is above %.3g", name, what, error,
                  bound);
}

static dm_schedule *schedule_of(const solver_case *c) {
    dm_schedule_options o;
    dm_schedule *schedule;
    ok(dm_schedule_options_init(&o, sizeof o));
    o.kind = c->kind;
    o.zero_terminal_snr = c->zero;
    if (c->flow_shift > 0) o.flow_shift = c->flow_shift;
    ok(dm_schedule_create(&schedule, context, &o));
    return schedule;
}

static dm_sampler_options options_of(const solver_case *c, double *times) {
    dm_sampler_options o;
    ok(dm_sampler_options_init(&o, sizeof o));
    o.solver = c->solver, o.steps = c->steps, o.spacing = c->spacing,
    o.steps_offset = c->steps_offset;
    o.order = c->order, o.eta = c->eta;
    o.grid = c->grid ? c->grid : DM_GRID_TIMESTEPS;
    o.variance = c->variance ? c->variance : DM_VARIANCE_FIXED_SMALL;
    o.clip = c->clip || c->threshold;
    o.final_alpha_one = !c->keep, o.lower_order_final = !c->late;
    if (c->churn > 0) o.churn = c->churn, o.churn_sigma_min = c->churn_sigma_min;
    if (c->churn_sigma_max > 0)
        o.churn_sigma_max = c->churn_sigma_max, o.churn_noise = c->churn_noise;
    if (c->threshold) o.threshold = 0.9, o.threshold_max = 1.6;
    o.rederive_eps = 0; /* diffusers' default */
    if (c->guided) o.guidance = 4, o.guidance_rescale = c->guidance_rescale;
    if (c->spacing != DM_SPACING_LAST_DROPPED) return o;
    o.spacing = DM_SPACING_LINSPACE_INNER;
    if (c->kind != DM_SCHEDULE_FLOW) return o;
    o.spacing = DM_SPACING_AUTO;
    /* Flow's timestep t is where u = (t + 1) / 1000. */
    for (int32_t i = 0; i < c->steps; i++)
        times[i] = nearbyint(999.0 * (c->steps - i) / c->steps) - 1;
    o.custom_times = times;
    o.custom_count = (uint64_t)c->steps;
    return o;
}

START_TEST(diffusers_images) {
    const solver_case *c = &solver_cases[_i];
    static const int32_t labels[IMAGES] = {1, 2};
    double times[STEPS_MAX];
    dm_schedule *schedule = schedule_of(c);
    dm_sampler_options o = options_of(c, times);
    dm_sampler *sampler;
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                       test_denoiser(network, NULL, c->prediction, 8, 8, 3), &o));
    float images[TOTAL], middle[TOTAL] = {0}, start[TOTAL];
    dm_sampler_request request;
    ok(dm_sampler_request_init(&request, sizeof request));
    request.count = IMAGES;
    request.labels = c->guided ? labels : NULL;
    request.progress = keep_middle;
    request.progress_user = middle;
    golden_fill(start, TOTAL, 2, "solvers", "start");
    if (c->back) request.image = start;
    else request.noise = formula_noise;
    ok(c->back ? dm_sampler_invert(sampler, test_counted(sampler, &request), images, TOTAL)
               : dm_sampler_run(sampler, test_counted(sampler, &request), images, TOTAL));
    dmi_host *host = test_host_new(1);
    dmi_safetensors *file = golden_open(host, "solvers.safetensors");
    double bound = c->bound > 0 ? c->bound : usual_bound;
    char key[GOLDEN_NAME];
    snprintf(key, sizeof key, "%s/x0", c->name);
    compare(file, c->name, "x", images, TOTAL, bound);
    if (dmi_safetensors_find(file, key)) compare(file, c->name, "x0", middle, TOTAL, bound);
    dmi_safetensors_close(host, file);
    test_host_end(host);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
}
END_TEST

/* ---- a learned variance ---- */

START_TEST(learned_variance) {
    dm_unet_options u;
    dm_unet *unet;
    dm_schedule *schedule;
    dm_sampler *sampler;
    dm_sampler_options o;
    dm_sampler_request request;
    ok(dm_unet_options_init(&u, sizeof u));
    u.height = u.width = 8;
    u.levels = 2;
    u.norm_groups = 4;
    u.learned_variance = 1;
    u.prediction = DM_PREDICT_EPS;
    for (int i = 0; i < 2; i++) u.channels[i] = 8 << i, u.blocks[i] = 1, u.attention[i] = i;
    ok(dm_unet_create(&unet, context, &u, 1));
    for (int32_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        dm_tensor_info info = {.struct_size = sizeof info};
        ok(dm_unet_get_tensor_info(unet, i, &info));
        float *values = golden_floats(info.elements);
        golden_weight(values, info.name, info.rank, info.shape);
        ok(network_set(unet, info.name, values, info.elements));
        free(values);
    }
    schedule = schedule_of(&(solver_case){.kind = DM_SCHEDULE_LINEAR});
    ok(dm_sampler_options_init(&o, sizeof o));
    o.solver = DM_SOLVER_DDPM;
    o.variance = DM_VARIANCE_LEARNED;
    o.steps = 10;
    o.spacing = DM_SPACING_LEADING;
    ok(dm_sampler_create(&sampler, unet, schedule, &o));
    ok(dm_sampler_request_init(&request, sizeof request));
    request.count = IMAGES;
    request.noise = formula_noise;
    float images[TOTAL];
    ok(dm_sampler_run(sampler, test_counted(sampler, &request), images, TOTAL));
    dmi_host *host = test_host_new(1);
    dmi_safetensors *file = golden_open(host, "solvers.safetensors");
    /* Measures 4e-7: the network's rounding, 1e-6 of its output, of which clipping and later steps
     * leave less. */
    compare(file, "learned", "x", images, TOTAL, 2e-6);
    dmi_safetensors_close(host, file);
    test_host_end(host);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
}
END_TEST

/* ---- PyTorch's random numbers ---- */

static const struct {
    const char *name;
    int32_t height, width;
    uint64_t count, seed;
} torch_cases[] = {
    {"torch", 8, 8, 2, 5},
    {"torch-odd", 5, 7, 2, 0},                     /* 105 values, no multiple of 16 */
    {"torch-few", 2, 2, 3, (uint64_t)1 << 32 | 7}, /* 12: fewer than 16 */
};

START_TEST(torch_random_numbers) {
    dm_schedule *schedule;
    dm_sampler *sampler;
    dm_sampler_options o;
    dm_sampler_request request;
    schedule = schedule_of(&(solver_case){.kind = DM_SCHEDULE_LINEAR});
    ok(dm_sampler_options_init(&o, sizeof o));
    o.solver = DM_SOLVER_DDPM;
    o.steps = 20;
    o.spacing = DM_SPACING_LEADING;
    o.variance = DM_VARIANCE_FIXED_LARGE;
    int32_t height = torch_cases[_i].height, width = torch_cases[_i].width;
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                       test_denoiser(network, NULL, DM_PREDICT_EPS, height, width,
                                                     3),
                                       &o));
    ok(dm_sampler_request_init(&request, sizeof request));
    request.count = torch_cases[_i].count;
    request.seed = torch_cases[_i].seed;
    request.random = DM_RANDOM_TORCH;
    size_t elements = (size_t)request.count * (size_t)(height * width * 3);
    float *images = golden_floats(elements);
    ok(dm_sampler_run(sampler, test_counted(sampler, &request), images, elements));
    dmi_host *host = test_host_new(1);
    dmi_safetensors *file = golden_open(host, "solvers.safetensors");
    /* 5e-8: the numbers are within a float's last bit or two, since PyTorch has logarithm, sine and
     * cosine of its own. */
    compare(file, torch_cases[_i].name, "x", images, elements, 5e-7);
    free(images);
    dmi_safetensors_close(host, file);
    test_host_end(host);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
}
END_TEST

/* ---- the file ---- */

static bool is_a_case(const char *name, size_t length) {
    for (size_t i = 0; i < SOLVER_CASES; i++)
        if (strlen(solver_cases[i].name) == length && !strncmp(solver_cases[i].name, name, length))
            return true;
    for (size_t i = 0; i < sizeof torch_cases / sizeof torch_cases[0]; i++)
        if (strlen(torch_cases[i].name) == length && !strncmp(torch_cases[i].name, name, length))
            return true;
    return length == strlen("learned") && !strncmp("learned", name, length);
}

START_TEST(every_stored_case_is_tested) {
    dmi_host *host = test_host_new(1);
    dmi_safetensors *file = golden_open(host, "solvers.safetensors");
    for (size_t i = 0; i < dmi_safetensors_count(file); i++) {
        const char *name = dmi_safetensors_at(file, i)->name;
        ck_assert_msg(is_a_case(name, strcspn(name, "/")), "%s belongs to no case", name);
    }
    dmi_safetensors_close(host, file);
    test_host_end(host);
}
END_TEST

Suite *test_solvers_suite(void);

Suite *test_solvers_suite(void) {
    Suite *suite = suite_create("solvers");
    TCase *tcase = tcase_create("diffusers");
    tcase_add_checked_fixture(tcase, setup, teardown);
    tcase_add_loop_test(tcase, diffusers_images, 0, SOLVER_CASES);
    tcase_add_test(tcase, learned_variance);
    tcase_add_loop_test(tcase, torch_random_numbers, 0, sizeof torch_cases / sizeof torch_cases[0]);
    tcase_add_test(tcase, every_stored_case_is_tested);
    suite_add_tcase(suite, tcase);
    return suite;
}
