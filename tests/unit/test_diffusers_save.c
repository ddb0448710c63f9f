/* SPDX-License-Identifier: MIT */
/* Folders for diffusers: read back they give the same network and scheduler, and options that
 * UNet2DModel and the schedulers do not have are refused. That diffusers opens them is checked by
 * tests/golden/make_diffusers.py --check. */
#include <sys/stat.h>
#include <unistd.h>

#include "diffusion.h"
#include "support/disk.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/support.h"
#include "support/training.h"
#include "unet/options.h"
#include "unet/unet.h"

static dm_context *context;

static void setup(void) { context = test_context_new(NULL, 0); }
static void teardown(void) { dm_context_destroy(context); }

#define ok(call) test_accepted(context, (call))

static dm_unet_options plain_options(void) {
    dm_unet_options o = network_options();
    o.blocks[0] = o.blocks[1] = 1;
    o.classes = 0;
    o.mid_norm_groups = 4;
    o.self_conditioning = o.learned_variance = 0;
    return o;
}

static dm_schedule *schedule_of(dm_schedule_kind kind) {
    dm_schedule_options o;
    dm_schedule *schedule;
    ok(dm_schedule_options_init(&o, sizeof o));
    o.kind = kind;
    ok(dm_schedule_create(&schedule, context, &o));
    return schedule;
}

static dm_unet *unet_of(const dm_unet_options *o) {
    dm_unet *unet;
    ok(dm_unet_create(&unet, context, o, 3));
    network_randomize(unet, 7);
    return unet;
}

static bool has_text(const char *folder, const char *name, const char *part) {
    size_t size;
    uint8_t *bytes = training_read_file(test_path(folder, name), &size);
    char *text = malloc(size + 1);
    ck_assert_ptr_nonnull(text);
    memcpy(text, bytes, size);
    text[size] = 0;
    const bool found = strstr(text, part) != NULL;
    free(text);
    free(bytes);
    return found;
}

START_TEST(read_back) {
    dm_unet_options o = plain_options(), back;
    dm_unet *unet = unet_of(&o), *loaded;
    dm_schedule *schedule = schedule_of(DM_SCHEDULE_COSINE), *second;
    char *folder = test_folder_new(), path[512];
    snprintf(path, sizeof path, "%s/new", folder);
    ok(dm_unet_save_diffusers(unet, schedule, NULL, path, _i));
    ck_assert(has_text(path, "model_index.json", "\"DDPMPipeline\""));
    ck_assert(has_text(path, "unet/config.json", "\"norm_eps\": 3e-05,"));
    ok(dm_unet_load(&loaded, context, path, DM_WEIGHTS_DEFAULT));
    ok(dm_unet_get_options(loaded, &back, sizeof back));
    const char *difference = dmi_unet_options_difference(&o, &back);
    /* The data's sigma belongs to EDM alone. */
    ck_assert_str_eq(difference, "sigma_data");
    const dmi_params *want = &unet->weights->params, *got = &loaded->weights->params;
    ck_assert_uint_eq(want->floats, got->floats);
    if (_i == DM_PRECISION_F32)
        ck_assert_mem_eq(want->data, got->data, want->floats * sizeof(float));
    else test_close(got->data, want->data, want->floats, _i == DM_PRECISION_F16 ? 1e-3 : 4e-3);
    ok(dm_schedule_load_diffusers(&second, context, path, NULL, NULL));
    ck_assert_int_eq(dm_schedule_timesteps(second), 1000);
    /* Again, over the same files. */
    ok(dm_unet_save_diffusers(unet, schedule, NULL, path, _i));
    dm_schedule_destroy(second);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(loaded);
    dm_unet_destroy(unet);
    free(folder);
}
END_TEST

START_TEST(schedulers) {
    dm_unet_options o = plain_options();
    dm_unet *unet = unet_of(&o);
    dm_schedule *schedule = schedule_of(DM_SCHEDULE_LINEAR);
    dm_sampler_options s;
    char *folder = test_folder_new();
    ok(dm_sampler_options_init(&s, sizeof s));
    s.solver = DM_SOLVER_DDIM;
    ok(dm_unet_save_diffusers(unet, schedule, &s, folder, DM_PRECISION_F32));
    ck_assert(has_text(folder, "model_index.json", "\"DDIMPipeline\""));
    ck_assert(has_text(folder, "model_index.json", "\"DDIMScheduler\""));
    ck_assert(has_text(folder, "scheduler/scheduler_config.json", "\"v_prediction\""));
    s.solver = DM_SOLVER_DPMPP;
    ok(dm_unet_save_diffusers(unet, schedule, &s, folder, DM_PRECISION_F32));
    /* Clipping to [-1, 1]. */
    ck_assert(has_text(folder, "scheduler/scheduler_config.json", "\"thresholding\": true"));
    ck_assert(has_text(folder, "scheduler/scheduler_config.json", "\"sample_max_value\": 1.0"));
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    free(folder);
}
END_TEST

static bool has_setting(const char *folder, const char *part) {
    return has_text(folder, "scheduler/scheduler_config.json", part);
}

/* What only some of diffusers' schedulers have is written in a way that each understands. */
START_TEST(settings) {
    dm_unet_options o = plain_options();
    dm_unet *unet = unet_of(&o);
    dm_schedule *schedule = schedule_of(DM_SCHEDULE_SIGMOID), *back;
    dm_sampler_options s;
    double want[1000], got[1000];
    char *folder = test_folder_new();
    ok(dm_sampler_options_init(&s, sizeof s));
    s.solver = DM_SOLVER_DDPM;
    ok(dm_unet_save_diffusers(unet, schedule, &s, folder, DM_PRECISION_F32));
    ck_assert(has_setting(folder, "\"sigmoid\""));
    ck_assert(has_setting(folder, "\"trained_betas\": null"));
    ck_assert(has_setting(folder, "\"fixed_small\""));
    /* As the sampler resolves it: with all timesteps, beta. */
    s.steps = 1000;
    ok(dm_unet_save_diffusers(unet, schedule, &s, folder, DM_PRECISION_F32));
    ck_assert(has_setting(folder, "\"fixed_large\""));
    ok(dm_unet_save_diffusers(unet, schedule, NULL, folder, DM_PRECISION_F32));
    ck_assert(has_setting(folder, "\"fixed_large\""));
    s.solver = DM_SOLVER_DDIM, s.threshold = 0.9, s.clip_range = 1e300;
    ok(dm_unet_save_diffusers(unet, schedule, &s, folder, DM_PRECISION_F32));
    ck_assert(has_setting(folder, "\"trained_betas\": ["));
    ck_assert(has_setting(folder, "\"sample_max_value\": 3.4028234663852886e+38"));
    ck_assert(has_setting(folder, "\"clip_sample_range\": 3.4028234663852886e+38"));
    ok(dm_schedule_load_diffusers(&back, context, folder, NULL, NULL));
    ok(dm_schedule_get_series(schedule, DM_SERIES_BETA, want, 1000));
    ok(dm_schedule_get_series(back, DM_SERIES_BETA, got, 1000));
    ck_assert_mem_eq(want, got, sizeof want);
    dm_schedule_destroy(back);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    free(folder);
}
END_TEST

/* ---- refusals ---- */

/* Refused, and no file and no folder is made. */
static void refuse(const dm_unet *unet, const dm_schedule *schedule, const dm_sampler_options *s,
                   int32_t status, const char *words) {
    char *folder = test_folder_new(), path[512];
    snprintf(path, sizeof path, "%s/new", folder);
    test_untouched untouched = test_untouched_begin(context, folder);
    test_refused(context, dm_unet_save_diffusers(unet, schedule, s, path, DM_PRECISION_F32), status,
                 words);
    test_untouched_end(&untouched);
    ck_assert(access(path, F_OK) != 0);
    free(folder);
}

/* UNet2DModel has one input; whoever reads the folder again must say what of it is a condition. */
START_TEST(condition_images) {
    dm_unet_options o = plain_options(), back;
    dm_diffusers_options how;
    o.condition_channels = 2;
    dm_unet *unet = unet_of(&o), *loaded;
    dm_schedule *schedule = schedule_of(DM_SCHEDULE_COSINE);
    char *folder = test_folder_new();
    ok(dm_unet_save_diffusers(unet, schedule, NULL, folder, DM_PRECISION_F32));
    ck_assert(has_text(folder, "unet/config.json", "\"in_channels\": 5,"));
    ok(dm_diffusers_options_init(&how, sizeof how));
    how.condition_channels = 2;
    ok(dm_unet_load_diffusers(&loaded, context, folder, &how));
    ok(dm_unet_get_options(loaded, &back, sizeof back));
    ck_assert_str_eq(dmi_unet_options_difference(&o, &back), "sigma_data");
    ck_assert_mem_eq(unet->weights->params.data, loaded->weights->params.data,
                     unet->weights->params.floats * sizeof(float));
    dm_unet_destroy(loaded);
    how.condition_channels = 5;
    test_refused(context, dm_unet_load_diffusers(&loaded, context, folder, &how),
                 DM_ERROR_INVALID_ARGUMENT, "'in_channels' is 5|'condition_channels'");
    unet->options.condition_channels = 0;
    unet->options.center_input = 1;
    ok(dm_unet_save_diffusers(unet, schedule, NULL, folder, DM_PRECISION_F32));
    how.condition_channels = 1;
    test_refused(context, dm_unet_load_diffusers(&loaded, context, folder, &how),
                 DM_ERROR_UNSUPPORTED, "'center_input_sample' is true|'condition_channels'");
    unet->options.condition_channels = 2;
    refuse(unet, schedule, NULL, DM_ERROR_UNSUPPORTED, "'unet.center_input' is 1 with");
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    free(folder);
}
END_TEST

static void refuse_network(const dm_unet_options *o, const char *words) {
    dm_unet *unet = unet_of(o);
    dm_schedule *schedule = schedule_of(DM_SCHEDULE_LINEAR);
    refuse(unet, schedule, NULL, DM_ERROR_UNSUPPORTED, words);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
}

START_TEST(networks_refused) {
    dm_unet_options o = plain_options();
    o.self_conditioning = 1;
    refuse_network(&o, "'unet.self_conditioning' is 1");
    o = plain_options();
    o.time_embedding = DM_TIME_ADD_OUTPUT;
    refuse_network(&o, "'unet.time_embedding' is add_output");
    o = plain_options();
    o.blocks[1] = 2;
    refuse_network(&o, "'unet.blocks' differ");
    o = plain_options();
    o.prediction = DM_PREDICT_EPS;
    o.learned_variance = 1, o.out_channels = o.in_channels + 1;
    refuse_network(&o, "'unet.learned_variance' is 1");
    o = plain_options();
    o.prediction = DM_PREDICT_EDM;
    refuse_network(&o, "'unet.prediction' is edm|DDPMScheduler");
    o = plain_options();
    o.prediction = DM_PREDICT_FLOW;
    refuse_network(&o, "'unet.prediction' is flow");
    /* Read from the options alone, since such networks cannot be built in all versions. */
    static const struct {
        size_t offset;
        int32_t value;
        const char *words;
    } cases[] = {
        {offsetof(dm_unet_options, condition_size), 8, "'unet.condition_embedding' is linear"},
        {offsetof(dm_unet_options, down_resample), DM_RESAMPLE_NONE, "'unet.down_resample' has"},
        {offsetof(dm_unet_options, up_resample) + 4, DM_RESAMPLE_NONE, "'unet.up_resample' has"},
        {offsetof(dm_unet_options, recipe), DM_PART_RESNET, "'unet.recipe' is set"},
    };
    dm_schedule *schedule = schedule_of(DM_SCHEDULE_LINEAR);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        o = plain_options();
        dm_unet *unet = unet_of(&o);
        memcpy((uint8_t *)&unet->options + cases[i].offset, &cases[i].value, sizeof(int32_t));
        refuse(unet, schedule, NULL, DM_ERROR_UNSUPPORTED, cases[i].words);
        dm_unet_destroy(unet);
    }
    dm_schedule_destroy(schedule);
}
END_TEST

START_TEST(samplers_refused) {
    static const struct {
        const char *member, *value, *words;
        dm_solver solver;
    } cases[] = {
        {"clip", "1", "'sampler.clip' is 1|EulerDiscreteScheduler cannot clip", DM_SOLVER_EULER},
        {"final_alpha_one", "0", "'sampler.final_alpha_one' is 0", DM_SOLVER_HEUN},
        {"final_alpha_one", "1", "'sampler.final_alpha_one' is 1", DM_SOLVER_DEIS},
        {"threshold", "0.9", "'sampler.threshold' is set", DM_SOLVER_HEUN},
        {"order", "2", "'sampler.order' is not 4", DM_SOLVER_LMS},
        {"spacing", "leading", "'sampler.spacing' is leading", DM_SOLVER_DPMPP},
        {"spacing", "linspace_inner", "'sampler.spacing' is linspace_inner", DM_SOLVER_DDIM},
        {"grid", "karras", "'sampler.grid' is karras", DM_SOLVER_DDIM},
        {"variance", "learned", "'sampler.variance' is learned", DM_SOLVER_DDPM},
    };
    dm_unet_options o = plain_options();
    dm_unet *unet = unet_of(&o);
    dm_schedule *schedule = schedule_of(DM_SCHEDULE_LINEAR);
    dm_sampler_options s;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        ok(dm_sampler_options_init(&s, sizeof s));
        s.solver = cases[i].solver;
        s.clip = 0;
        ok(dm_options_set(context, "dm_sampler_options", &s, cases[i].member, cases[i].value));
        refuse(unet, schedule, &s, DM_ERROR_UNSUPPORTED, cases[i].words);
    }
    static const double times[] = {5, 1};
    ok(dm_sampler_options_init(&s, sizeof s));
    s.custom_times = times, s.custom_count = 2;
    refuse(unet, schedule, &s, DM_ERROR_UNSUPPORTED, "'sampler.custom_count' is set");
    s.solver = DM_SOLVER_FLOW_HEUN, s.custom_count = 0;
    refuse(unet, schedule, &s, DM_ERROR_UNSUPPORTED, "'sampler.solver' is flow_heun|linear");
    s.solver = DM_SOLVER_DDIM, s.steps = 0;
    refuse(unet, schedule, &s, DM_ERROR_INVALID_ARGUMENT, "'steps' is 0");
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
}
END_TEST

/* Outputs that a scheduler does not take. */
START_TEST(outputs_refused) {
    static const dm_solver without_variance[] = {DM_SOLVER_DDIM,  DM_SOLVER_PNDM, DM_SOLVER_EULER,
                                                 DM_SOLVER_UNIPC, DM_SOLVER_DEIS, DM_SOLVER_LMS};
    static const dm_solver without_x0[] = {DM_SOLVER_PNDM, DM_SOLVER_PLMS,
                                           DM_SOLVER_EULER_ANCESTRAL, DM_SOLVER_DPM2};
    dm_unet_options o = plain_options();
    dm_schedule *schedule = schedule_of(DM_SCHEDULE_LINEAR);
    dm_sampler_options s;
    ok(dm_sampler_options_init(&s, sizeof s));
    s.clip = 0, s.final_alpha_one = 1;
    o.prediction = DM_PREDICT_EPS, o.learned_variance = 1;
    dm_unet *unet = unet_of(&o);
    for (size_t i = 0; i < sizeof without_variance / sizeof *without_variance; i++) {
        s.solver = without_variance[i];
        s.final_alpha_one = s.solver != DM_SOLVER_DEIS;
        refuse(unet, schedule, &s, DM_ERROR_UNSUPPORTED, "'unet.learned_variance' is 1");
    }
    dm_unet_destroy(unet);
    o = plain_options();
    o.prediction = DM_PREDICT_X0;
    unet = unet_of(&o);
    for (size_t i = 0; i < sizeof without_x0 / sizeof *without_x0; i++) {
        s.solver = without_x0[i];
        refuse(unet, schedule, &s, DM_ERROR_UNSUPPORTED, "'unet.prediction' is x0|sample");
    }
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    dm_schedule_options e;
    ok(dm_schedule_options_init(&e, sizeof e));
    e.kind = DM_SCHEDULE_EDM, e.time_scale = 1000;
    ok(dm_schedule_create(&schedule, context, &e));
    o.prediction = DM_PREDICT_EDM;
    unet = unet_of(&o);
    s.solver = DM_SOLVER_EULER, s.final_alpha_one = 1;
    refuse(unet, schedule, &s, DM_ERROR_UNSUPPORTED, "'schedule.time_scale' is not 1");
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
}
END_TEST

START_TEST(arguments_refused) {
    dm_unet_options o = plain_options();
    dm_unet *unet = unet_of(&o);
    dm_schedule *schedule = schedule_of(DM_SCHEDULE_LINEAR);
    char *folder = test_folder_new();
    refuse(unet, NULL, NULL, DM_ERROR_INVALID_ARGUMENT, "'schedule' is NULL");
    test_refused(context, dm_unet_save_diffusers(unet, schedule, NULL, NULL, 0),
                 DM_ERROR_INVALID_ARGUMENT, "'folder' is NULL");
    test_refused(context, dm_unet_save_diffusers(unet, schedule, NULL, folder, -1),
                 DM_ERROR_INVALID_ARGUMENT, "'precision' is -1");
    ck_assert_int_eq(dm_unet_save_diffusers(NULL, schedule, NULL, folder, 0),
                     DM_ERROR_INVALID_ARGUMENT);
    /* A file where a folder must be. */
    training_write_file(test_path(folder, "unet"), "x", 1);
    test_refused(context, dm_unet_save_diffusers(unet, schedule, NULL, folder, 0), DM_ERROR_IO,
                 "/unet: cannot create this folder");
    test_refused(context, dm_unet_save_diffusers(unet, schedule, NULL, "absent/folder", 0),
                 DM_ERROR_IO, "absent/folder: cannot create this folder");
    /* A link to nothing. */
    remove(test_path(folder, "unet"));
    ck_assert_int_eq(symlink("absent", test_path(folder, "unet")), 0);
    test_refused(context, dm_unet_save_diffusers(unet, schedule, NULL, folder, 0), DM_ERROR_IO,
                 "/unet: cannot create this folder");
    /* A failure leaves no index, which would make it a pipeline. */
    remove(test_path(folder, "unet"));
    ck_assert_int_eq(mkdir(test_path(folder, "scheduler"), 0777), 0);
    ck_assert_int_eq(mkdir(test_path(folder, "scheduler/scheduler_config.json"), 0777), 0);
    test_refused(context, dm_unet_save_diffusers(unet, schedule, NULL, folder, 0), DM_ERROR_IO,
                 "scheduler_config.json: cannot write");
    ck_assert(access(test_path(folder, "model_index.json"), F_OK) != 0);
    unet->weights->params.data[5] = INFINITY;
    test_refused(context, dm_unet_save_diffusers(unet, schedule, NULL, folder, 0),
                 DM_ERROR_NOT_FINITE, "is infinite; it was not saved");
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    free(folder);
}
END_TEST

/* Refused, and the folders of a pipeline have the files that they had. */
static void refuse_again(const dm_unet *unet, const dm_schedule *schedule, char *folders[3],
                         const char *words) {
    test_untouched untouched[3];
    for (int i = 0; i < 3; i++) untouched[i] = test_untouched_begin(context, folders[i]);
    test_refused(context,
                 dm_unet_save_diffusers(unet, schedule, NULL, folders[0], DM_PRECISION_F32),
                 DM_ERROR_IO, words);
    for (int i = 0; i < 3; i++) test_untouched_end(&untouched[i]);
}

/* An older network in shards, which diffusers would still read. */
START_TEST(beside_shards) {
    dm_unet_options o = plain_options();
    dm_unet *unet = unet_of(&o), *loaded;
    dm_schedule *schedule = schedule_of(DM_SCHEDULE_COSINE);
    char *folder = test_folder_new(), parts[2][512], *folders[] = {folder, parts[0], parts[1]};
    snprintf(parts[0], sizeof parts[0], "%s/unet", folder);
    snprintf(parts[1], sizeof parts[1], "%s/scheduler", folder);
    ok(dm_unet_save_diffusers(unet, schedule, NULL, folder, DM_PRECISION_F32));
    training_write_file(test_path(folder, "unet/diffusion_pytorch_model.safetensors.index.json"),
                        (const uint8_t *)"{}", 2);
    refuse_again(unet, schedule, folders, "safetensors.index.json: cannot write beside it");
    test_refused(context, dm_unet_load(&loaded, context, folder, DM_WEIGHTS_DEFAULT),
                 DM_ERROR_BAD_FORMAT, "index.json: 'weight_map' is missing");
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    free(folder);
}
END_TEST

/* A pipeline stays as it was where the first or the last file of a new one cannot be written. */
START_TEST(kept_on_failure) {
    dm_unet_options o = plain_options();
    dm_unet *unet = unet_of(&o);
    dm_schedule *schedule = schedule_of(DM_SCHEDULE_COSINE);
    char *folder = test_folder_new(), parts[2][512], *folders[] = {folder, parts[0], parts[1]};
    test_disk disk;
    snprintf(parts[0], sizeof parts[0], "%s/unet", folder);
    snprintf(parts[1], sizeof parts[1], "%s/scheduler", folder);
    ok(dm_unet_save_diffusers(unet, schedule, NULL, folder, DM_PRECISION_F32));
    network_randomize(unet, 8);
    ck_assert(test_disk_begin(&disk, 1000, false));
    refuse_again(unet, schedule, folders, "model.safetensors: cannot write: ");
    test_disk_end(&disk);
    remove(test_path(folder, "model_index.json"));
    ck_assert_int_eq(mkdir(test_path(folder, "model_index.json"), 0777), 0);
    refuse_again(unet, schedule, folders, "model_index.json: cannot write: not a regular file");
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    free(folder);
}
END_TEST

Suite *test_diffusers_save_suite(void);
Suite *test_diffusers_save_suite(void) {
    Suite *suite = suite_create("diffusers_save");
    TCase *tests = tcase_create("diffusers_save");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, read_back, 0, 3);
    tcase_add_test(tests, schedulers);
    tcase_add_test(tests, settings);
    tcase_add_test(tests, condition_images);
    tcase_add_test(tests, networks_refused);
    tcase_add_test(tests, outputs_refused);
    tcase_add_test(tests, samplers_refused);
    tcase_add_test(tests, arguments_refused);
    tcase_add_test(tests, kept_on_failure);
    tcase_add_test(tests, beside_shards);
    suite_add_tcase(suite, tests);
    return suite;
}
