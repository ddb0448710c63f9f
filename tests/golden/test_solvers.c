/* Every solver against diffusers: the pictures that make_solvers.py had it make. */
#include "base/torch_random.h"
#include "io/safetensors.h"
#include "support/sampling.h"

enum { PICTURES = 2, PICTURE = 3 * 4 * 4, VALUES = PICTURES * PICTURE, STEPS_MOST = 24 };

/* The options that a case changes, NAME = the case of make_solvers.py. Where the file has timesteps, they are the case's. */
typedef struct golden_case {
    const char *name;
    int32_t solver, steps, order, prediction, spacing, schedule, grid;
    double bound; /* relative to the pictures' norm; 0: ROUNDED */
    int32_t kept;          /* the last step goes to timestep 0's level */
    int32_t full_order;    /* 1: no lower_order_final */
    int32_t noisy, clips, inverts;
    double churn, threshold, shift;
} golden_case;

/* Diffusers rounds sigmas, timesteps and, in some schedulers, the state to float32; the first sigma is 157. */
#define ROUNDED 3e-5
/* It rounds the timesteps of a grid of sigmas to whole ones by tables in float32 of its own. */
#define GRID 2e-4

#define CASE(name_, solver_, steps_, prediction_, ...)                                                                     \
    {.name = name_, .solver = DM_SOLVER_##solver_, .steps = steps_, .prediction = DM_PREDICT_##prediction_,                \
     __VA_ARGS__}
#define LINSPACE .spacing = DM_SPACING_LINSPACE
#define TRAILING .spacing = DM_SPACING_TRAILING
#define EDM .schedule = DM_SCHEDULE_EDM, LINSPACE

#define WITH_PREDICTIONS(X) X("eps", EPS) X("x0", X0) X("v", V)
#define OF_ALL(p, P)                                                                                                       \
    CASE("euler-" p, EULER, 10, P, LINSPACE), CASE("heun-" p, HEUN, 10, P, LINSPACE),                                      \
    CASE("lms-" p, LMS, 10, P, LINSPACE),                                                                                  \
    CASE("dpmpp1-" p, DPMPP, 10, P, .order = 1), CASE("dpmpp2-" p, DPMPP, 10, P, .order = 2),                              \
    CASE("dpmpp3-" p, DPMPP, 10, P, .order = 3), CASE("dpmpp1-long-" p, DPMPP, 20, P, .order = 1, .full_order = 1),       \
    CASE("dpmpp2-long-" p, DPMPP, 20, P, .order = 2, .full_order = 1),                                                    \
    CASE("dpmpp3-long-" p, DPMPP, 20, P, .order = 3, .full_order = 1),                                                    \
    CASE("single1-" p, DPMPP_SINGLE, 11, P, .order = 1), CASE("single2-" p, DPMPP_SINGLE, 11, P, .order = 2),              \
    CASE("single3-" p, DPMPP_SINGLE, 11, P, .order = 3), CASE("sde1-" p, DPMPP_SDE, 10, P, .order = 1, .noisy = 1),        \
    CASE("sde2-" p, DPMPP_SDE, 10, P, .order = 2, .noisy = 1), CASE("unipc1-" p, UNIPC, 10, P, .order = 1),                \
    CASE("unipc2-" p, UNIPC, 10, P, .order = 2), CASE("unipc3-" p, UNIPC, 10, P, .order = 3),                              \
    CASE("deis1-" p, DEIS, 10, P, .order = 1, .kept = 1), CASE("deis2-" p, DEIS, 10, P, .order = 2, .kept = 1),            \
    CASE("deis3-" p, DEIS, 10, P, .order = 3, .kept = 1),
#define BUT_X0(p, P)                                                                                                       \
    CASE("dpm2-" p, DPM2, 10, P, LINSPACE),                    \
    CASE("ancestral-" p, EULER_ANCESTRAL, 10, P, TRAILING, .noisy = 1),

static const golden_case cases[] = {
    WITH_PREDICTIONS(OF_ALL)
    BUT_X0("eps", EPS) BUT_X0("v", V)
    CASE("pndm-eps", PNDM, 10, EPS, .bound = 2e-6),
    CASE("plms-eps", PLMS, 10, EPS, .bound = 2e-6),
    CASE("euler-karras", EULER, 10, EPS, LINSPACE, .grid = DM_GRID_KARRAS, .bound = GRID),
    CASE("euler-exponential", EULER, 10, EPS, LINSPACE, .grid = DM_GRID_EXPONENTIAL, .bound = GRID),
    CASE("euler-kept", EULER, 10, EPS, .kept = 1),
    CASE("euler-cosine", EULER, 10, V, TRAILING, .schedule = DM_SCHEDULE_COSINE, .bound = 3e-4), /* its first sigma is 20291 */
    CASE("heun-karras", HEUN, 10, EPS, LINSPACE, .grid = DM_GRID_KARRAS, .bound = GRID),
    CASE("dpm2-karras", DPM2, 10, EPS, LINSPACE, .grid = DM_GRID_KARRAS, .bound = GRID),
    CASE("lms-karras", LMS, 10, EPS, LINSPACE, .grid = DM_GRID_KARRAS, .bound = GRID),
    CASE("dpmpp2-karras", DPMPP, 10, EPS, LINSPACE, .grid = DM_GRID_KARRAS, .bound = GRID),
    CASE("dpmpp2-kept", DPMPP, 10, EPS, .kept = 1),
    CASE("unipc2-karras", UNIPC, 10, EPS, LINSPACE, .grid = DM_GRID_KARRAS, .bound = GRID),
    CASE("ddim-scaled", DDIM, 10, V, .schedule = DM_SCHEDULE_SCALED_LINEAR, .bound = 2e-6),
    CASE("ddim-terminal", DDIM, 10, V, TRAILING, .schedule = -1, .bound = 2e-6),
    CASE("ddim-threshold", DDIM, 10, EPS, .clips = 1, .threshold = 0.9, .bound = 2e-6),
    CASE("ddpm-sigmoid", DDPM, 20, V, .schedule = DM_SCHEDULE_SIGMOID, .noisy = 1, .clips = 1, .bound = 2e-6),
    CASE("inversion", DDIM, 10, EPS, .inverts = 1, .bound = 2e-6),
    CASE("inversion-v", DDIM, 10, V, .inverts = 1, .bound = 2e-6),
    CASE("flow-euler", FLOW_EULER, 10, FLOW, LINSPACE, .schedule = DM_SCHEDULE_FLOW, .shift = 1),
    CASE("flow-euler-shift", FLOW_EULER, 10, FLOW, LINSPACE, .schedule = DM_SCHEDULE_FLOW, .shift = 3),
    CASE("flow-heun", FLOW_HEUN, 10, FLOW, LINSPACE, .schedule = DM_SCHEDULE_FLOW, .shift = 1),
    CASE("edm-euler", EULER, 10, EDM, EDM),
    CASE("edm-dpmpp2", DPMPP, 10, EDM, EDM),
    CASE("edm-heun", HEUN, 18, EDM, EDM, .bound = 2e-6),
    CASE("edm-heun-churn", HEUN, 18, EDM, EDM, .churn = 10, .noisy = 1, .bound = 2e-6),
};
enum { CASES = sizeof cases / sizeof cases[0] };

static int32_t network(void *user, float *output, const float *x, float timestep, const int32_t *labels, size_t count, size_t elements) {
    (void)user, (void)labels;
    double factor = 0.98 * (timestep + 1.0) / (timestep + 2.0);
    for (size_t i = 0; i < count * elements; i++) output[i] = (float)(factor * x[i]);
    return 0;
}

/* fill(name) of formula.py, whose seed is FNV-1a of the name. */
static void fill_named(float *values, const char *name, float scale) {
    uint64_t seed = 0xCBF29CE484222325u;
    for (const char *c = name; *c; c++) seed = (seed ^ (uint8_t)*c) * 0x100000001B3u;
    test_fill(values, VALUES, seed, scale);
}

static int32_t formula_noise(void *user, int32_t step, float *noise, size_t first, size_t count, size_t elements) {
    char name[32];
    (void)user;
    ck_assert(first == 0 && count == PICTURES && elements == PICTURE && step > 0);
    snprintf(name, sizeof name, "solvers/noise%d", (int)step);
    fill_named(noise, name, sqrtf(3.0f));
    return 0;
}

static dm_schedule *schedule_of(const golden_case *c) {
    dm_schedule_options o;
    dm_schedule *s;
    ok(dm_schedule_options_init(&o, sizeof o));
    o.kind = c->schedule < 0 ? DM_SCHEDULE_LINEAR : c->schedule;
    o.zero_terminal_snr = c->schedule < 0;
    if (o.kind == DM_SCHEDULE_SCALED_LINEAR) o.beta_start = 0.00085, o.beta_end = 0.012;
    if (c->shift > 0) o.flow_shift = c->shift;
    ok(dm_schedule_create(&s, context, &o));
    return s;
}

/* A tensor of the golden file; returns its number of values, 0 where it has none of that name. */
static size_t read_golden(const char *name, const char *what, float *values, size_t most) {
    dmi_host *host = test_host_new(1);
    dmi_safetensors *file;
    char key[64];
    ck_assert_int_eq(dmi_safetensors_open(host, &file, test_golden("solvers.safetensors")), DMI_OK);
    snprintf(key, sizeof key, "%s/%s", name, what);
    const dmi_safetensors_entry *entry = dmi_safetensors_find(file, key);
    size_t count = entry ? (size_t)entry->size / sizeof(float) : 0;
    ck_assert_uint_le(count, most);
    if (count) ck_assert_int_eq(dmi_safetensors_read(host, file, entry, values), DMI_OK);
    dmi_safetensors_close(host, file);
    test_host_end(host);
    return count;
}

static dm_sampler_options options_of(const golden_case *c, int32_t *timesteps) {
    float list[STEPS_MOST];
    dm_sampler_options o = test_sampler_options(c->solver, c->steps, c->spacing);
    size_t count = read_golden(c->name, "timesteps", list, STEPS_MOST);
    o.order = c->order;
    o.grid = c->grid;
    o.clip = c->clips;
    o.final_alpha_one = !c->kept;
    o.lower_order_final = !c->full_order;
    o.batch_size = PICTURES;
    o.variance = DM_VARIANCE_FIXED_SMALL;
    if (c->churn > 0) o.churn = c->churn, o.churn_min = 0.05, o.churn_max = 50, o.churn_noise = 1.003;
    if (c->threshold > 0) o.threshold = c->threshold, o.threshold_max = 1.5;
    if (count) {
        ck_assert_uint_eq(count, c->steps);
        for (size_t i = 0; i < count; i++) timesteps[i] = (int32_t)list[i];
        o.spacing = DM_SPACING_CUSTOM;
        o.timesteps = timesteps;
    }
    return o;
}

START_TEST(as_diffusers) {
    const golden_case *c = &cases[_i];
    int32_t timesteps[STEPS_MOST];
    float start[VALUES], got[VALUES], want[VALUES];
    dm_schedule *own = schedule_of(c);
    dm_sampler_options o = options_of(c, timesteps);
    dm_sampler *sampler;
    ok(dm_sampler_create_with_denoiser(&sampler, context, own, network, NULL, c->prediction, 4, 4, 3, &o));
    fill_named(start, "solvers/start", 2);
    for (int i = 0; i < VALUES && c->schedule == DM_SCHEDULE_EDM; i++) start[i] *= 80;
    dm_sampler_request r = test_sampler_request(PICTURES);
    r.start = c->inverts ? NULL : start;
    r.image = c->inverts ? start : NULL;
    r.noise = c->noisy ? formula_noise : NULL;
    if (c->inverts) ok(dm_sampler_invert(sampler, &r, got, VALUES));
    else ok(dm_sampler_run(sampler, &r, got, VALUES));
    ck_assert_uint_eq(read_golden(c->name, "x", want, VALUES), VALUES);
    double error = test_error(got, want, VALUES);
    ck_assert_msg(error < (c->bound > 0 ? c->bound : ROUNDED), "%s: relative error %.3g", c->name, error);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(own);
}
END_TEST

/* PyTorch's numbers: alone, in draws of fewer than 16 and of no multiple of 16, and in a run of DDPM. */
START_TEST(as_torch) {
    static const size_t counts[] = {5, 16, 37};
    float want[VALUES], got[VALUES];
    dmi_torch generator;
    for (int k = 0; k < 3; k++) {
        char name[32];
        snprintf(name, sizeof name, "torch-randn-%d", (int)counts[k]);
        ck_assert_uint_eq(read_golden(name, "x", want, VALUES), counts[k]);
        dmi_torch_seed(&generator, ((uint64_t)1 << 32) + 7);
        dmi_torch_randn(&generator, got, counts[k]);
        /* Their logarithms, sines and cosines are others, right to a unit or two in the last place. */
        for (size_t i = 0; i < counts[k]; i++) ck_assert_float_eq_tol(got[i], want[i], 2e-6f);
    }
    dm_sampler_options o = test_sampler_options(DM_SOLVER_DDPM, 20, DM_SPACING_LEADING);
    o.batch_size = 1;
    dm_sampler *sampler;
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule, network, NULL, DM_PREDICT_V, 4, 4, 3, &o));
    dm_sampler_request r = test_sampler_request(PICTURES);
    r.random = DM_RANDOM_TORCH;
    r.seed = 5;
    ok(dm_sampler_run(sampler, &r, got, VALUES));
    ck_assert_uint_eq(read_golden("torch-ddpm", "x", want, VALUES), VALUES);
    double error = test_error(got, want, VALUES);
    ck_assert_msg(error < 3e-6, "relative error %.3g", error);
    dm_sampler_destroy(sampler);
}
END_TEST

Suite *test_solvers_suite(void);

Suite *test_solvers_suite(void) {
    Suite *suite = suite_create("golden_solvers");
    TCase *tcase = tcase_create("golden_solvers");
    tcase_add_checked_fixture(tcase, test_sampling_setup, test_sampling_teardown);
    tcase_add_loop_test(tcase, as_diffusers, 0, CASES);
    tcase_add_test(tcase, as_torch);
    suite_add_tcase(suite, tcase);
    return suite;
}
