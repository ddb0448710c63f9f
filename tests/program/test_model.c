/* SPDX-License-Identifier: MIT */
/* Models from wherever they are: paths, what is chosen for them, classes, and the hash. */
#include "model/model.h"

#include <errno.h>
#include <sys/stat.h>

#include "program/folders.h"
#include "program/lines.h"
#include "program/report_files.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"

static given_line g;

/* A trained network with classes; its checkpoint and weights in files, and as of diffusers. */
static char *make_models(training *t, int32_t prediction) {
    static const char *const names[] = {"cat", "dog", "2", "a b"};
    training_setup setup = training_default();
    dm_sampler_options sampler;
    char *folder = test_folder_new();
    setup.classes = TRAINING_CLASSES;
    setup.prediction = prediction;
    if (prediction == DM_PREDICT_FLOW) setup.schedule.kind = DM_SCHEDULE_FLOW;
    setup.options.label_dropout = 0.9f;
    training_prepare(t, &setup);
    training_require(t, dm_unet_set_class_names(t->unet, names, TRAINING_CLASSES));
    training_require(t, dm_trainer_create(&t->trainer, t->unet, t->schedule, t->dataset,
                                          &setup.options));
    /* It learns to draw without a class. */
    training_require(t, dm_trainer_run(t->trainer, 2, NULL, NULL));
    make_in(folder, "run");
    training_require(t,
                     dm_trainer_save(t->trainer, test_path(folder, "run/checkpoint.safetensors")));
    training_require(t, dm_unet_save(t->unet, t->schedule, test_path(folder, "net.safetensors")));
    training_require(t, dm_sampler_options_init(&sampler, sizeof sampler));
    return folder;
}

static void load(model *m, training *t, const char *path, int want) {
    accept_line(&g, "sample", "");
    ck_assert_int_eq(load_model(m, t->context, &g.line, path, DM_WEIGHTS_DEFAULT), want);
}

START_TEST(paths) {
    training t;
    model m;
    char *folder = make_models(&t, DM_PREDICT_EPS), hashes[3][17];
    static const char *const names[] = {"run", "run/checkpoint.safetensors", "net.safetensors"};
    for (int i = 0; i < 3; i++) {
        load(&m, &t, test_path(folder, names[i]), 0);
        ck_assert_int_eq(m.info.training != 0, i < 2);
        ck_assert_str_eq(m.path, test_path(folder, names[i ? i : 1]));
        ck_assert(m.sampler.solver == DM_SOLVER_DPMPP && m.sampler.steps > 0);
        ck_assert(m.sampler.guidance == 2 && m.options.classes == TRAINING_CLASSES);
        ck_assert_int_eq(network_hash(m.unet, hashes[i]), DM_OK);
        free_model(&m);
        free_model(&m);
    }
    ck_assert_str_eq(hashes[0], hashes[1]);
    ck_assert_uint_eq(strspn(hashes[0], "0123456789abcdef"), 16);
    free(folder);
    training_end(&t);
}
END_TEST

START_TEST(missing_models) {
    training t;
    model m;
    char *folder = make_models(&t, DM_PREDICT_EPS), longer[3000];
    make_in(folder, "empty");
    write_text(test_path(folder, "text"), "no model");
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    capture err = capture_begin(stderr);
    load(&m, &t, test_path(folder, "none"), REPORTED);
    free_model(&m);
    load(&m, &t, longer, REPORTED);
    free_model(&m);
    load(&m, &t, test_path(folder, "empty"), REPORTED);
    free_model(&m);
    write_text(test_path(folder, "empty/cat.png"), "x");
    load(&m, &t, test_path(folder, "empty/cat.png"), REPORTED);
    free_model(&m);
    char *message = capture_end(&err);
    ck_assert_ptr_nonnull(strstr(message, "empty is no model: neither checkpoint.safetensors nor"));
    ck_assert_ptr_nonnull(strstr(message, "cat.png is a picture, no model"));
    ck_assert_ptr_nonnull(strstr(message, strerror(ENOENT)));
    ck_assert_ptr_nonnull(strstr(message, strerror(ENAMETOOLONG)));
    free(message);
    accept_line(&g, "sample", "");
    ck_assert_int_lt(load_model(&m, t.context, &g.line, test_path(folder, "text"),
                                DM_WEIGHTS_DEFAULT),
                     0);
    ck_assert_ptr_nonnull(strstr(dm_context_error(t.context), "text"));
    free_model(&m);
    free(folder);
    training_end(&t);
}
END_TEST

/* A folder of diffusers, whose class names and trainer are not known. */
START_TEST(foreign_models) {
    training t;
    training_setup setup = training_default();
    model m;
    dm_sampler_options sampler;
    training_begin(&t, &setup);
    training_require(&t, dm_sampler_options_init(&sampler, sizeof sampler));
    sampler.solver = DM_SOLVER_DDIM;
    char *path = strdup(test_path(test_folder(), "foreign"));
    training_require(&t,
                     dm_unet_save_diffusers(t.unet, t.schedule, &sampler, path, DM_PRECISION_F32));
    load(&m, &t, path, 0);
    ck_assert(m.sampler.solver == DM_SOLVER_DDIM && !m.info.training && !m.info.format_version);
    ck_assert_str_eq(m.path, path);
    ck_assert_int_gt(m.sampler.steps, 0);
    free_model(&m);
    free(path);
    training_end(&t);
}
END_TEST

START_TEST(solvers) {
    training t;
    model m;
    char *folder = make_models(&t, DM_PREDICT_FLOW);
    load(&m, &t, test_path(folder, "run"), 0);
    ck_assert_int_eq(m.sampler.solver, DM_SOLVER_FLOW_EULER);
    free_model(&m);
    free(folder);
    training_end(&t);
}
END_TEST

/* By name first, then by number. */
START_TEST(classes) {
    static const struct {
        const char *word;
        int32_t label; /* -1: refused */
    } cases[] = {{"cat", 0},
                 {"dog", 1},
                 {"2", 2},
                 {"3", 3},
                 {"a b", 3},
                 {"0", 0},
                 {"4", -1},
                 {"-1", -1},
                 {"", -1},
                 {"ca", -1},
                 {"1x", -1},
                 {"4294967296", -1},
                 {"99999999999999999999", -1}};
    training t;
    model m;
    char *folder = make_models(&t, DM_PREDICT_EPS), name[64];
    int32_t label;
    load(&m, &t, test_path(folder, "net.safetensors"), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        capture err = capture_begin(stderr);
        const int32_t got = find_class(&g.line, &m, cases[i].word, &label);
        char *message = capture_end(&err);
        ck_assert_msg(got == (cases[i].label < 0 ? REPORTED : 0), "'%s'", cases[i].word);
        if (got) ck_assert_ptr_nonnull(strstr(message, "are cat, dog, 2, a b\n"));
        else ck_assert_int_eq(label, cases[i].label);
        free(message);
    }
    ck_assert_str_eq(class_text(&m, 1, name), "dog");
    ck_assert_str_eq(class_text(&m, 9, name), "9");
    free_model(&m);
    free(folder);
    training_end(&t);
}
END_TEST

/* Any weight changes the hash. */
START_TEST(hashes) {
    training t;
    model m;
    char *folder = make_models(&t, DM_PREDICT_EPS), before[17], after[17];
    load(&m, &t, test_path(folder, "net.safetensors"), 0);
    ck_assert_int_eq(network_hash(m.unet, before), DM_OK);
    dm_tensor_info info;
    ck_assert_int_eq(dm_tensor_info_init(&info, sizeof info), DM_OK);
    ck_assert_int_eq(dm_unet_get_tensor_info(m.unet, dm_unet_tensor_count(m.unet) - 1, &info),
                     DM_OK);
    float *values = malloc(info.elements * sizeof *values);
    ck_assert_ptr_nonnull(values);
    ck_assert_int_eq(dm_unet_get_tensor(m.unet, info.name, values, info.elements), DM_OK);
    values[info.elements - 1] += 1e-3f;
    test_accepted(t.context, network_set(m.unet, info.name, values, info.elements));
    ck_assert_int_eq(network_hash(m.unet, after), DM_OK);
    ck_assert_str_ne(before, after);
    free(values);
    free_model(&m);
    free(folder);
    training_end(&t);
}
END_TEST

Suite *test_model_suite(void);
Suite *test_model_suite(void) {
    Suite *suite = suite_create("model");
    TCase *tests = tcase_create("model");
    tcase_set_timeout(tests, 20);
    tcase_add_test(tests, paths);
    tcase_add_test(tests, missing_models);
    tcase_add_test(tests, foreign_models);
    tcase_add_test(tests, solvers);
    tcase_add_test(tests, classes);
    tcase_add_test(tests, hashes);
    suite_add_tcase(suite, tests);
    return suite;
}
