/* SPDX-License-Identifier: MIT */
/* Schedulers of diffusers: what a scheduler_config.json becomes against the images that the
 * scheduler gives, and what is refused. */
#include "diffusion.h"
#include "diffusion/diffusers.h"
#include "golden/golden.h"
#include "support/denoiser.h"
#include "support/refusal.h"
#include "support/support.h"
#include "support/training.h"

enum { IMAGES = 2, ELEMENTS = 3 * 8 * 8, TOTAL = IMAGES * ELEMENTS, STEPS = 10 };

static dm_context *context;

static void setup(void) { context = test_context_new(NULL, 0); }
static void teardown(void) { dm_context_destroy(context); }

#define ok(call) test_accepted(context, (call))

/* ---- images ---- */

static const char *const cases[] = {
    "ddim",      "ddim-v",        "ddim-keep",     "ddim-threshold",
    "ddim-zero", "ddim-betas",    "pndm",          "plms",
    "euler",     "euler-leading", "euler-karras",  "euler-keep",
    "heun",      "heun-clip",     "dpm2",          "lms",
    "dpmpp",     "dpmpp-karras",  "dpmpp-leading", "dpmpp-keep",
    "single",    "single-karras", "unipc",         "unipc-flow",
    "deis",      "edm-euler",     "edm-dpmpp",     "edm-exponential",
    "flow",      "ddpm",          "ancestral",     "sde",
};
enum { CASES = sizeof cases / sizeof *cases, STOCHASTIC = 3 /* the last ones, without images */ };

/* The state is in double on both sides. Euler's first level is unrounded here where its end is that
 * of timestep 0; a flow begins at 1 here and at 1 - 1e-6 there, and the times between are rounded
 * to whole ones here. */
static double bound_of(const char *name) {
    return !strcmp(name, "unipc-flow") ? 3e-3 : !strcmp(name, "euler-keep") ? 1e-4 : 1e-6;
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

/* The start in place of noise; no step adds any. */
static int32_t start_noise(void *user, const dm_noise_request *request, float *noise, size_t size) {
    (void)user;
    ck_assert(request->step == 0 && size == TOTAL);
    golden_fill(noise, size, 2, "scheduler", "start");
    return 0;
}

static const char *config_path(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "diffusers/schedulers/%s.json", name);
    return test_golden(path);
}

START_TEST(images) {
    const char *name = cases[_i];
    dm_sampler_options o;
    dm_sampler_request request;
    dm_schedule *schedule;
    dm_sampler *sampler;
    float got[TOTAL];
    char key[64];
    ok(dm_sampler_options_init(&o, sizeof o));
    o.steps = STEPS;
    ok(dm_schedule_load_diffusers(&schedule, context, config_path(name), NULL, &o));
    ck_assert_int_eq(o.steps, STEPS);
    ok(dm_sampler_create_with_denoiser(&sampler, context, schedule,
                                       test_denoiser(network, NULL, o.expected_prediction, 8, 8, 3),
                                       &o));
    ok(dm_sampler_request_init(&request, sizeof request));
    request.count = IMAGES;
    request.noise = start_noise;
    ok(dm_sampler_run(sampler, test_counted(sampler, &request), got, TOTAL));
    dmi_host *host = test_host_new(1);
    dmi_safetensors *file = golden_open(host, "diffusers.safetensors");
    snprintf(key, sizeof key, "%s", name);
    float *want = golden_read(file, "scheduler", key, TOTAL);
    double error = test_error(got, want, TOTAL);
    if (getenv("GOLDEN_VERBOSE")) printf("schedulers: %s: error %.3g\n", name, error);
    ck_assert_msg(error <= bound_of(name), "%s: relative error %.3g is above %.3g", name, error,
                  bound_of(name));
    free(want);
    dmi_safetensors_close(host, file);
    test_host_end(host);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
}
END_TEST

/* ---- reading and writing ---- */

static dm_status read_text(const char *text, dm_schedule **schedule, dm_sampler_options *o) {
    dmi_config config;
    dm_status status = dmi_config_parse(&context->host, &config, text, strlen(text), "s.json");
    *schedule = NULL;
    if (status) return status;
    dmi_struct_defaults(&dmi_struct_sampler_options, o);
    status = dmi_diffusers_read_scheduler(schedule, context, &config, false, o);
    dmi_config_free(&config);
    return status;
}

/* What was read and written reads the same again. */
START_TEST(written_again) {
    dm_sampler_options o, again;
    dm_schedule *schedule, *second;
    dmi_file_writer *file;
    const char *name;
    char *folder = test_folder_new();
    ok(dm_sampler_options_init(&o, sizeof o));
    ok(dm_sampler_options_init(&again, sizeof again));
    o.steps = again.steps = STEPS;
    ok(dm_schedule_load_diffusers(&schedule, context, config_path(cases[_i]), NULL, &o));
    const dmi_diffusers_model model = {o.expected_prediction, false, 0.5};
    ok(dmi_file_begin(&context->host, &file, test_path(folder, "scheduler_config.json")));
    ok(dmi_diffusers_write_scheduler(&context->host, file, schedule, &o, &model, &name));
    ok(dmi_file_commit(&context->host, file));
    ok(dm_schedule_load_diffusers(&second, context, folder, NULL, &again));
    ck_assert_mem_eq(&o, &again, sizeof o);
    ck_assert_mem_eq(&schedule->options, &second->options, sizeof second->options);
    ck_assert_mem_eq(schedule->beta, second->beta, (size_t)schedule->steps * sizeof(double));
    dm_schedule_destroy(schedule);
    dm_schedule_destroy(second);
    free(folder);
}
END_TEST

/* Members that are arguments of calls in diffusers stay; custom levels go. */
START_TEST(what_stays) {
    static const double times[] = {5, 1};
    dm_sampler_options o;
    dm_schedule *schedule;
    ok(dm_sampler_options_init(&o, sizeof o));
    o.steps = 7, o.eta = 0.5, o.guidance = 3, o.batch_size = 2;
    o.custom_times = times, o.custom_count = 2;
    ok(dm_schedule_load_diffusers(&schedule, context, config_path("ddim"), NULL, &o));
    ck_assert(o.steps == 7 && o.eta == 0.5 && o.guidance == 3 && o.batch_size == 2);
    ck_assert(o.custom_times == NULL && o.custom_count == 0 && o.rederive_eps == 0);
    ck_assert(o.spacing == DM_SPACING_LEADING && o.clip == 1);
    dm_schedule_destroy(schedule);
    ok(dm_schedule_load_diffusers(&schedule, context, test_golden("diffusers/pipeline"), NULL,
                                  NULL));
    ck_assert_int_eq(dm_schedule_timesteps(schedule), 500);
    dm_schedule_destroy(schedule);
    ok(read_text("{\"_class_name\": \"DPMSolverSDEScheduler\", \"solver_order\": \"ignored\"}",
                 &schedule, &o));
    ck_assert(o.solver == DM_SOLVER_DPMPP_SDE && o.order == 2 && o.clip == 0);
    ck_assert(schedule->options.beta_start == 0.00085);
    dm_schedule_destroy(schedule);
    ok(read_text("{\"_class_name\": \"DPMSolverMultistepScheduler\","
                 "\"lambda_min_clipped\": -5.2}",
                 &schedule, &o));
    dm_schedule_destroy(schedule);
}
END_TEST

/* The config of a consistency model, and the same written again; CMStochasticIterativeScheduler's
 * defaults where a key is missing. */
START_TEST(consistency) {
    char folder[128];
    const char *name;
    dm_sampler_options o, again;
    dm_schedule *schedule, *second;
    dmi_file_writer *file;
    snprintf(folder, sizeof folder, "%s", test_folder());
    ok(dm_sampler_options_init(&o, sizeof o));
    ok(dm_sampler_options_init(&again, sizeof again));
    ok(read_text("{\"_class_name\": \"CMStochasticIterativeScheduler\", \"s_noise\": 1.007,"
                 "\"sigma_max\": 40.0, \"clip_denoised\": false}",
                 &schedule, &o));
    ck_assert(o.solver == DM_SOLVER_CONSISTENCY && o.churn_noise == 1.007 && o.clip == 0);
    ck_assert(o.spacing == DM_SPACING_TRAILING && o.expected_prediction == DM_PREDICT_CONSISTENCY);
    const dm_schedule_options *s = &schedule->options;
    ck_assert(s->kind == DM_SCHEDULE_EDM && s->timesteps == 40 && s->time_scale == 1000);
    ck_assert(s->sigma_min == 0.002 && s->sigma_max == 40 && s->rho == 7);
    dmi_diffusers_model model = {DM_PREDICT_CONSISTENCY, false, 0.5};
    ok(dmi_file_begin(&context->host, &file, test_path(folder, "scheduler_config.json")));
    ok(dmi_diffusers_write_scheduler(&context->host, file, schedule, &o, &model, &name));
    ok(dmi_file_commit(&context->host, file));
    ck_assert_str_eq(name, "CMStochasticIterativeScheduler");
    ok(dm_schedule_load_diffusers(&second, context, folder, NULL, &again));
    ck_assert_mem_eq(&o, &again, sizeof o);
    ck_assert_mem_eq(&schedule->options, &second->options, sizeof schedule->options);
    dm_schedule_destroy(second);
    /* What it cannot express. */
    schedule->options.time_scale = 1;
    test_refused(context,
                 dmi_diffusers_write_scheduler(&context->host, NULL, schedule, &o, &model, &name),
                 DM_ERROR_UNSUPPORTED, "'schedule.time_scale' is not 1000");
    schedule->options.time_scale = 1000;
    o.spacing = DM_SPACING_LEADING;
    test_refused(context,
                 dmi_diffusers_write_scheduler(&context->host, NULL, schedule, &o, &model, &name),
                 DM_ERROR_UNSUPPORTED, "'sampler.spacing' is leading");
    o.spacing = DM_SPACING_TRAILING;
    model.prediction = DM_PREDICT_EDM;
    test_refused(context,
                 dmi_diffusers_write_scheduler(&context->host, NULL, schedule, &o, &model, &name),
                 DM_ERROR_UNSUPPORTED, "'unet.prediction' is edm");
    dm_schedule_destroy(schedule);
}
END_TEST

static const struct {
    const char *class_name, *key, *words;
    int32_t status;
} refusals[] = {
    {"ScoreSdeVeScheduler", "\"a\": 1", "'_class_name' is \"ScoreSdeVeScheduler\"",
     DM_ERROR_UNSUPPORTED},
    {"DDIMScheduler", "\"unheard_of\": 1", "'unheard_of' is 1", DM_ERROR_UNSUPPORTED},
    {"DDIMScheduler", "\"beta_schedule\": \"laplace\"", "'beta_schedule' is \"laplace\"",
     DM_ERROR_UNSUPPORTED},
    {"DDIMScheduler", "\"beta_start\": -1", "'beta_start' is -1", DM_ERROR_BAD_FORMAT},
    {"DDIMScheduler", "\"beta_end\": 1", "'beta_end' is 1", DM_ERROR_BAD_FORMAT},
    {"DDIMScheduler", "\"num_train_timesteps\": 0", "'num_train_timesteps' is 0",
     DM_ERROR_BAD_FORMAT},
    {"DDIMScheduler", "\"num_train_timesteps\": 1, \"rescale_betas_zero_snr\": true",
     "s.json: schedule: 'zero_terminal_snr'", DM_ERROR_BAD_FORMAT},
    {"DDIMScheduler", "\"trained_betas\": [0.1]", "'trained_betas' is [0.1]", DM_ERROR_BAD_FORMAT},
    {"DDIMScheduler", "\"trained_betas\": [0.1, 2], \"num_train_timesteps\": 2", "in (0, 1)",
     DM_ERROR_UNSUPPORTED},
    {"DDIMScheduler",
     "\"trained_betas\": [0.1, 0.2], \"num_train_timesteps\": 2, \"rescale_betas_zero_snr\": true",
     "'rescale_betas_zero_snr' is true", DM_ERROR_UNSUPPORTED},
    {"DDIMScheduler", "\"prediction_type\": \"flow_prediction\"", "has no flow",
     DM_ERROR_UNSUPPORTED},
    {"DDIMScheduler", "\"clip_sample_range\": 0", "'clip_sample_range' is 0", DM_ERROR_BAD_FORMAT},
    {"DDIMScheduler", "\"thresholding\": true, \"sample_max_value\": 0", "'sample_max_value' is 0",
     DM_ERROR_BAD_FORMAT},
    {"DDIMScheduler", "\"timestep_spacing\": \"karras\"", "leading, linspace, trailing",
     DM_ERROR_UNSUPPORTED},
    {"DDPMScheduler", "\"variance_type\": \"learned\"", "'variance_type' is \"learned\"",
     DM_ERROR_UNSUPPORTED},
    {"DDPMScheduler", "\"variance_type\": \"fixed_large_log\"", "fixed_large_log",
     DM_ERROR_UNSUPPORTED},
    {"EulerDiscreteScheduler", "\"use_beta_sigmas\": true", "'use_beta_sigmas' is true",
     DM_ERROR_UNSUPPORTED},
    {"EulerDiscreteScheduler", "\"interpolation_type\": \"log_linear\"", "log_linear",
     DM_ERROR_UNSUPPORTED},
    {"EulerDiscreteScheduler", "\"timestep_type\": \"continuous\"", "continuous",
     DM_ERROR_UNSUPPORTED},
    {"EulerDiscreteScheduler", "\"sigma_max\": 700", "'sigma_max' is 700", DM_ERROR_UNSUPPORTED},
    {"EulerDiscreteScheduler", "\"use_karras_sigmas\": true, \"use_exponential_sigmas\": true",
     "'use_karras_sigmas' is true", DM_ERROR_BAD_FORMAT},
    {"DPMSolverMultistepScheduler", "\"algorithm_type\": \"dpmsolver\"",
     "'algorithm_type' is \"dpmsolver\"", DM_ERROR_UNSUPPORTED},
    {"DPMSolverMultistepScheduler", "\"algorithm_type\": \"sde-dpmsolver++\", \"solver_order\": 3",
     "'solver_order' is 3", DM_ERROR_UNSUPPORTED},
    {"DPMSolverMultistepScheduler", "\"solver_type\": \"heun\"", "'solver_type' is \"heun\"",
     DM_ERROR_UNSUPPORTED},
    {"DPMSolverMultistepScheduler", "\"euler_at_final\": true", "'euler_at_final' is true",
     DM_ERROR_UNSUPPORTED},
    {"DPMSolverMultistepScheduler", "\"use_lu_lambdas\": true", "'use_lu_lambdas' is true",
     DM_ERROR_UNSUPPORTED},
    {"DPMSolverMultistepScheduler", "\"lambda_min_clipped\": -5", "'lambda_min_clipped' is -5",
     DM_ERROR_UNSUPPORTED},
    {"DPMSolverMultistepScheduler", "\"use_flow_sigmas\": true, \"use_karras_sigmas\": true",
     "'use_flow_sigmas' is true", DM_ERROR_UNSUPPORTED},
    {"DPMSolverMultistepScheduler", "\"prediction_type\": \"flow_prediction\"",
     "it needs 'use_flow_sigmas'", DM_ERROR_UNSUPPORTED},
    {"DPMSolverSinglestepScheduler", "\"algorithm_type\": \"sde-dpmsolver++\"",
     "'algorithm_type' is", DM_ERROR_UNSUPPORTED},
    {"UniPCMultistepScheduler", "\"predict_x0\": false", "'predict_x0' is false",
     DM_ERROR_UNSUPPORTED},
    {"UniPCMultistepScheduler", "\"solver_type\": \"bh1\"", "'solver_type' is \"bh1\"",
     DM_ERROR_UNSUPPORTED},
    {"UniPCMultistepScheduler", "\"disable_corrector\": [0]", "'disable_corrector' is [0]",
     DM_ERROR_UNSUPPORTED},
    {"UniPCMultistepScheduler", "\"use_dynamic_shifting\": true", "'use_dynamic_shifting' is true",
     DM_ERROR_UNSUPPORTED},
    {"UniPCMultistepScheduler", "\"solver_order\": 4", "'solver_order' is 4", DM_ERROR_BAD_FORMAT},
    {"EDMEulerScheduler", "\"prediction_type\": \"v_prediction\"", "'prediction_type' is",
     DM_ERROR_UNSUPPORTED},
    {"EDMEulerScheduler", "\"sigma_min\": 90", "s.json: schedule: 'sigma_max'",
     DM_ERROR_BAD_FORMAT},
    {"FlowMatchEulerDiscreteScheduler", "\"invert_sigmas\": true", "'invert_sigmas' is true",
     DM_ERROR_UNSUPPORTED},
    {"FlowMatchEulerDiscreteScheduler", "\"shift_terminal\": 0.1", "'shift_terminal' is 0.1",
     DM_ERROR_UNSUPPORTED},
};

START_TEST(refused) {
    char text[256];
    dm_sampler_options o;
    dm_schedule *schedule;
    uint64_t before, after;
    ok(dm_context_get_memory(context, &before, NULL, NULL));
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        snprintf(text, sizeof text, "{\"_class_name\": \"%s\", %s}", refusals[i].class_name,
                 refusals[i].key);
        test_refused(context, read_text(text, &schedule, &o), refusals[i].status,
                     refusals[i].words);
        ck_assert_ptr_null(schedule);
    }
    test_refused(context, read_text("{}", &schedule, &o), DM_ERROR_UNSUPPORTED,
                 "'_class_name' is missing");
    ok(dm_context_get_memory(context, &after, NULL, NULL));
    ck_assert_uint_eq(before, after);
    test_refused(context, dm_schedule_load_diffusers(&schedule, context, "/", NULL, NULL),
                 DM_ERROR_NOT_FOUND, "neither scheduler_config.json nor");
    test_refused(context, dm_schedule_load_diffusers(&schedule, context, NULL, NULL, NULL),
                 DM_ERROR_INVALID_ARGUMENT, "'path' is NULL");
    test_refused(context, dm_schedule_load_diffusers(NULL, context, "x", NULL, NULL),
                 DM_ERROR_INVALID_ARGUMENT, "'out' is NULL");
    o.struct_size = 3;
    test_refused(context, dm_schedule_load_diffusers(&schedule, context, "x", NULL, &o),
                 DM_ERROR_INVALID_ARGUMENT, "'struct_size' is 3");
    ck_assert_int_eq(dm_schedule_load_diffusers(&schedule, NULL, "x", NULL, NULL),
                     DM_ERROR_INVALID_ARGUMENT);
}
END_TEST

Suite *test_diffusers_schedulers_suite(void);
Suite *test_diffusers_schedulers_suite(void) {
    Suite *suite = suite_create("diffusers_schedulers");
    TCase *tests = tcase_create("diffusers_schedulers");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, images, 0, CASES - STOCHASTIC);
    tcase_add_loop_test(tests, written_again, 0, CASES);
    tcase_add_test(tests, consistency);
    tcase_add_test(tests, what_stays);
    tcase_add_test(tests, refused);
    suite_add_tcase(suite, tests);
    return suite;
}
