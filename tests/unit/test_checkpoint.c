/* Checkpoints: a run that is saved and resumed goes on bit for bit, and a file that is not right
 * changes nothing. */
#include "io/safetensors.h"
#include "support/training.h"
#include "train/trainer.h"

/* A path in the test's folder; valid until the fourth call after. */
static const char *in_folder(const char *folder, const char *name) {
    static char paths[4][128];
    static int32_t next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static char *new_folder(void) {
    char *folder = strdup(test_folder());
    ck_assert_ptr_nonnull(folder);
    return folder;
}

/* ---- bit for bit ---- */

/* Everything that a step depends on at once. */
static training_setup everything(void) {
    training_setup setup = training_default();
    setup.prediction = DM_PREDICT_V;
    setup.classes = TRAINING_CLASSES;
    setup.dropout = 0.1f;
    setup.options.accumulation = 2;
    setup.options.flip = 1;
    setup.options.weight_decay = 0.02;
    setup.options.gradient_clip = 0.3;
    setup.options.warmup_steps = 10;
    setup.options.decay = DM_DECAY_COSINE;
    setup.options.decay_steps = 45;
    setup.options.final_rate = 0.1;
    setup.options.average_decay = 0.95;
    return setup;
}

/* And what eps with a learned variance can have besides. */
static training_setup hybrid(void) {
    training_setup setup = everything();
    setup.prediction = DM_PREDICT_EPS;
    setup.learned_variance = setup.self_conditioning = 1;
    setup.options.loss = DM_LOSS_HYBRID;
    setup.options.loss_weight = DM_LOSS_WEIGHT_P2;
    setup.options.label_dropout = 0.3;
    setup.options.crop_padding = 2;
    return setup;
}

static training_setup no_average(void) {
    training_setup setup = training_default();
    setup.options.average_decay = 0;
    return setup;
}

static training_setup (*const setups[])(void) = {training_default, everything, hybrid, no_average};
enum { SETUPS = sizeof setups / sizeof *setups };

/* 50 steps at once on one thread; and 30, saved and resumed by another process, so to say, on two
 * or three threads. */
START_TEST(resumed_runs_are_the_same_bits) {
    training_setup setup = setups[_i]();
    char *folder = new_folder();
    training t;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 50, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, in_folder(folder, "whole")));
    training_end(&t);

    setup.threads = 2;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 30, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, in_folder(folder, "half")));
    training_end(&t);

    setup.threads = 3;
    training_prepare(&t, &setup);
    training_require(&t,
                     dm_trainer_resume(&t.trainer, t.unet, t.dataset, in_folder(folder, "half")));
    ck_assert_uint_eq(dm_trainer_steps_done(t.trainer), 30);
    training_require(&t, dm_trainer_save(t.trainer, in_folder(folder, "again")));
    training_same_files(in_folder(folder, "half"), in_folder(folder, "again"));
    training_require(&t, dm_trainer_run(t.trainer, 50, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, in_folder(folder, "resumed")));
    training_same_files(in_folder(folder, "whole"), in_folder(folder, "resumed"));
    training_end(&t);
    free(folder);
}
END_TEST

/* Betas of the caller's and a changed learning rate are of the file too, and so are refused
 * steps. */
START_TEST(all_of_a_run_is_in_the_file) {
    double betas[40];
    training t;
    char *folder = new_folder();
    training_setup setup = everything();
    setup.options.use_labels = 0;
    setup.options.average_warmup = 0;
    for (int32_t i = 0; i < 40; i++) betas[i] = 0.001 + 0.1 * i / 39;
    training_prepare(&t, &setup);
    dm_schedule_destroy(t.schedule);
    training_require(&t, dm_schedule_create_from_betas(&t.schedule, t.context, betas, 40));
    training_require(&t,
                     dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options));
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    training_require(&t, dm_trainer_set_learning_rate(t.trainer, 1.0 / 3));
    training_given given;
    training_give(&given, 8);
    given.images[0] = NAN;
    given.batch.timesteps = NULL;
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL), DM_ERROR_NOT_FINITE,
                    "refused");
    training_require(&t, dm_trainer_save(t.trainer, in_folder(folder, "file")));
    dm_trainer_options options;
    training_require(&t, dm_trainer_get_options(t.trainer, &options, sizeof options));
    training_end(&t);

    training_prepare(&t, &setup);
    training_require(&t,
                     dm_trainer_resume(&t.trainer, t.unet, t.dataset, in_folder(folder, "file")));
    dm_trainer_options got;
    training_require(&t, dm_trainer_get_options(t.trainer, &got, sizeof got));
    ck_assert_mem_eq(&got, &options, sizeof got);
    ck_assert_uint_eq(t.trainer->progress.steps, 4);
    ck_assert_uint_eq(t.trainer->progress.applied, 3);
    ck_assert_uint_eq(t.trainer->progress.images, 32);
    ck_assert_mem_eq(t.trainer->schedule->beta, betas, sizeof betas);
    training_end(&t);
    free(folder);
}
END_TEST

/* What a network keeps for running is of the file's weights after it was resumed. */
START_TEST(network_runs_after_resume) {
    training t;
    training_given given;
    const float timestep = 300;
    float want[TRAINING_ELEMENTS], got[TRAINING_ELEMENTS];
    char *folder = new_folder();
    training_setup setup = training_default();
    training_give(&given, 4);
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, in_folder(folder, "file")));
    training_require(&t, dm_unet_forward(t.unet, want, given.images, &timestep, NULL, 1));
    training_end(&t);
    training_prepare(&t, &setup);
    training_require(&t, dm_unet_forward(t.unet, got, given.images, &timestep, NULL, 1));
    ck_assert_mem_ne(got, want, sizeof want);
    training_require(&t,
                     dm_trainer_resume(&t.trainer, t.unet, t.dataset, in_folder(folder, "file")));
    training_require(&t, dm_unet_forward(t.unet, got, given.images, &timestep, NULL, 1));
    ck_assert_mem_eq(got, want, sizeof want);
    training_end(&t);
    free(folder);
}
END_TEST

/* A limit that suffices for training suffices for going on. The batch is large enough for the graph
 * to pass the file. */
START_TEST(resume_needs_no_more_memory) {
    training t;
    uint64_t began, resumed;
    char *folder = new_folder();
    training_setup setup = training_default();
    setup.options.batch_size = 32;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_save(t.trainer, in_folder(folder, "file")));
    training_end(&t);
    training_begin(&t, &setup);
    dm_context_memory(t.context, NULL, &began, NULL);
    training_end(&t);
    training_prepare(&t, &setup);
    training_require(&t,
                     dm_trainer_resume(&t.trainer, t.unet, t.dataset, in_folder(folder, "file")));
    dm_context_memory(t.context, NULL, &resumed, NULL);
    ck_assert_uint_eq(began, resumed);
    training_end(&t);
    free(folder);
}
END_TEST

/* Without a dataset, only steps on the caller's batches go on. */
START_TEST(resume_without_dataset) {
    training t;
    training_given given;
    char *folder = new_folder();
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_save(t.trainer, in_folder(folder, "file")));
    dm_trainer_destroy(t.trainer);
    training_require(&t, dm_trainer_resume(&t.trainer, t.unet, NULL, in_folder(folder, "file")));
    training_expect(&t, dm_trainer_step(t.trainer, NULL), DM_ERROR_WRONG_STATE,
                    "without a dataset");
    training_give(&given, 4);
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    training_end(&t);
    free(folder);
}
END_TEST

/* ---- what is in the file ---- */

static void assert_tensors(const training *t, const dmi_safetensors *file, const char *prefix,
                           bool there) {
    for (int32_t i = 0; i < t->unet->params.count; i++) {
        char name[256];
        snprintf(name, sizeof name, "%s%s", prefix, t->unet->params.items[i].name);
        ck_assert_msg((dmi_safetensors_find(file, name) != NULL) == there, "%s", name);
    }
}

START_TEST(names_in_the_file) {
    training t;
    char *folder = new_folder();
    training_setup setup = setups[_i]();
    bool average = setup.options.average_decay > 0;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, in_folder(folder, "file")));
    dmi_safetensors *file;
    training_require(&t, dmi_safetensors_open(&t.context->host, &file, in_folder(folder, "file")));
    assert_tensors(&t, file, "", true);
    assert_tensors(&t, file, "adam_m.", true);
    assert_tensors(&t, file, "adam_v.", true);
    assert_tensors(&t, file, "average.", average);
    ck_assert_uint_eq(dmi_safetensors_count(file),
                      (size_t)t.unet->params.count * (average ? 4 : 3));
    ck_assert_str_eq(dmi_safetensors_metadata(file, "format"), "libdiffusion.checkpoint");
    ck_assert_str_eq(dmi_safetensors_metadata(file, "format_version"), "1");
    ck_assert_str_eq(dmi_safetensors_metadata(file, "trainer.steps"), "2");
    dmi_safetensors_close(&t.context->host, file);
    training_end(&t);
    free(folder);
}
END_TEST

/* A sampler's side: the file is a network's too, with either of its weights. */
START_TEST(networks_load_from_checkpoints) {
    training t, target;
    dm_unet *unet;
    char *folder = new_folder();
    training_setup setup = setups[_i]();
    training_begin(&t, &setup);
    training_prepare(&target, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 3, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, in_folder(folder, "file")));
    training_require(&t,
                     dm_unet_load(&unet, t.context, in_folder(folder, "file"), DM_WEIGHTS_TRAINED));
    ck_assert(training_unchanged(&t, unet->params.data));
    dm_unet_destroy(unet);
    training_require(&t,
                     dm_unet_load(&unet, t.context, in_folder(folder, "file"), DM_WEIGHTS_AVERAGE));
    if (t.trainer->averages[0]) {
        training_require(&t, dm_trainer_get_average(t.trainer, target.unet));
        ck_assert(training_unchanged(&target, unet->params.data));
        ck_assert(!training_unchanged(&t, unet->params.data));
    } else {
        ck_assert(training_unchanged(&t, unet->params.data));
    }
    dm_unet_destroy(unet);
    training_end(&target);
    training_end(&t);
    free(folder);
}
END_TEST

/* Whoever wants a part of a checkpoint does not pay for the whole. */
START_TEST(parts_are_read_in_little_memory) {
    training t;
    size_t size;
    dm_schedule *schedule;
    dm_unet *unet;
    char *folder = new_folder();
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_save(t.trainer, in_folder(folder, "file")));
    free(training_read_file(in_folder(folder, "file"), &size));
    t.context->host.limit = t.context->host.used + size / 8; /* the file has four blocks */
    training_require(&t, dm_schedule_load(&schedule, t.context, in_folder(folder, "file")));
    dm_schedule_destroy(schedule);
    t.context->host.limit = t.context->host.used + size / 2;
    training_require(&t,
                     dm_unet_load(&unet, t.context, in_folder(folder, "file"), DM_WEIGHTS_TRAINED));
    dm_unet_destroy(unet);
    t.context->host.limit = 0;
    training_end(&t);
    free(folder);
}
END_TEST

/* ---- failures ---- */

START_TEST(saving_where_nothing_can_be_written) {
    training t;
    char *folder = new_folder();
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_expect(&t, dm_trainer_save(t.trainer, in_folder(folder, "none/file")), DM_ERROR_IO,
                    "none/file");
    training_expect(&t, dm_trainer_save(t.trainer, NULL), DM_ERROR_INVALID_ARGUMENT,
                    "'path' is NULL");
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    training_require(&t, dm_trainer_save(t.trainer, in_folder(folder, "file")));
    training_end(&t);
    free(folder);
}
END_TEST

/* Resumes from `path` with another network, which must fail and leave it as it was, free for a
 * trainer. */
static void refuse_resume(const training_setup *setup, const char *path, int32_t want,
                          const char *words) {
    training t;
    uint64_t before, after;
    dm_trainer *trainer = (dm_trainer *)&t;
    training_prepare(&t, setup);
    float *weights = training_weights(&t);
    dm_context_memory(t.context, &before, NULL, NULL);
    training_expect(&t, dm_trainer_resume(&trainer, t.unet, t.dataset, path), want, words);
    ck_assert_ptr_null(trainer);
    dm_context_memory(t.context, &after, NULL, NULL);
    ck_assert_uint_eq(before, after);
    ck_assert(training_unchanged(&t, weights));
    ck_assert(!t.unet->trained);
    free(weights);
    training_end(&t);
}

/* A file of a run of two steps, to be freed. */
static uint8_t *file_of_run(const training_setup *setup, const char *path, size_t *size) {
    training t;
    training_begin(&t, setup);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, path));
    training_end(&t);
    return training_read_file(path, size);
}

START_TEST(truncated_files) {
    size_t size;
    char *folder = new_folder();
    training_setup setup = training_default();
    uint8_t *bytes = file_of_run(&setup, in_folder(folder, "file"), &size);
    const size_t sizes[] = {0, 1, 7, 8, 9, 500, 5000, size / 2, size - 4, size - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        training_write_file(in_folder(folder, "part"), bytes, sizes[i]);
        refuse_resume(&setup, in_folder(folder, "part"), DM_ERROR_BAD_FORMAT, "part");
    }
    refuse_resume(&setup, in_folder(folder, "none"), DM_ERROR_NOT_FOUND, "none");
    free(bytes);
    free(folder);
}
END_TEST

/* A change to the file's header that keeps its length. */
typedef struct damage {
    const char *from, *to;
    int32_t status;
    const char *words;
} damage;

static const damage damages[] = {
    {"\"format_version\":\"1\"", "\"format_version\":\"2\"", DM_ERROR_UNSUPPORTED_VERSION,
     "format_version is 2"},
    {"\"format_version\":\"1\"", "\"format_version\":\"0\"", DM_ERROR_BAD_FORMAT,
     "'format_version' is '0'"},
    {"\"format_version\":\"1\"", "\"format_version\":\"x\"", DM_ERROR_BAD_FORMAT,
     "'format_version' is 'x'"},
    {"\"format_version\"", "\"format_versiom\"", DM_ERROR_BAD_FORMAT, "'format_version'"},
    {"libdiffusion.checkpoint", "libdiffusion.something_", DM_ERROR_BAD_FORMAT, "no checkpoint"},
    {"\"trainer.steps\"", "\"trainer.stepS\"", DM_ERROR_BAD_FORMAT, "no 'trainer.steps'"},
    {"\"trainer.steps\":\"2\"", "\"trainer.steps\":\"3\"", DM_ERROR_BAD_FORMAT,
     "3 steps, 2 of them|and 8 pictures"},
    {"\"trainer.applied\":\"2\"", "\"trainer.applied\":\"9\"", DM_ERROR_BAD_FORMAT,
     "9 of them applied"},
    {"\"trainer.seed\"", "\"trainer.sEed\"", DM_ERROR_BAD_FORMAT, "no 'trainer.seed'"},
    {"\"trainer.batch_size\":\"4\"", "\"trainer.batch_size\":\"0\"", DM_ERROR_BAD_FORMAT,
     "'batch_size' is 0"},
    {"\"trainer.batch_size\":\"4\"", "\"trainer.batch_size\":\"x\"", DM_ERROR_BAD_FORMAT, "\"x\""},
    {"\"unet.dropout\"", "\"unet.drOpout\"", DM_ERROR_BAD_FORMAT, "no 'unet.dropout'"},
    {"\"dataset.count\":\"10\"", "\"dataset.count\":\"x0\"", DM_ERROR_BAD_FORMAT,
     "'dataset.count'"},
    {"\"schedule.kind\":\"0\"", "\"schedule.kind\":\"7\"", DM_ERROR_BAD_FORMAT, "'kind' is 7"},
    {"\"schedule.kind\"", "\"schedule.kInd\"", DM_ERROR_NOT_FOUND, "schedule"},
    {"\"adam_v.conv_in.bias\"", "\"adam_w.conv_in.bias\"", DM_ERROR_NOT_FOUND,
     "adam_v.conv_in.bias"},
    {"\"average.conv_in.bias\"", "\"averagE.conv_in.bias\"", DM_ERROR_NOT_FOUND,
     "average.conv_in.bias"},
    {"\"unet.prediction\":\"0\"", "\"unet.prediction\":\"2\"", DM_ERROR_SHAPE_MISMATCH,
     "'prediction'"},
};

START_TEST(damaged_files) {
    const damage *d = &damages[_i];
    size_t size, length = strlen(d->from);
    char *folder = new_folder();
    training_setup setup = training_default();
    uint8_t *bytes = file_of_run(&setup, in_folder(folder, "file"), &size);
    uint8_t *at = memmem(bytes, size, d->from, length);
    ck_assert_msg(at && strlen(d->to) == length, "%s is not in the file", d->from);
    memcpy(at, d->to, length);
    training_write_file(in_folder(folder, "damaged"), bytes, size);
    refuse_resume(&setup, in_folder(folder, "damaged"), d->status, d->words);
    free(bytes);
    free(folder);
}
END_TEST

START_TEST(network_files_have_no_training_state) {
    training t;
    char *folder = new_folder();
    training_setup setup = training_default();
    training_prepare(&t, &setup);
    training_require(&t, dm_unet_save(t.unet, t.schedule, in_folder(folder, "network")));
    training_end(&t);
    refuse_resume(&setup, in_folder(folder, "network"), DM_ERROR_BAD_FORMAT,
                  "without training state|dm_unet_load");
    free(folder);
}
END_TEST

START_TEST(other_networks_and_datasets) {
    training t;
    dm_trainer *trainer = (dm_trainer *)&t;
    size_t size;
    char *folder = new_folder();
    training_setup setup = training_default(), other = training_default();
    free(file_of_run(&setup, in_folder(folder, "file"), &size));
    other.prediction = DM_PREDICT_X0;
    refuse_resume(&other, in_folder(folder, "file"), DM_ERROR_SHAPE_MISMATCH, "'prediction'");
    other = setup;
    other.dropout = 0.25f;
    refuse_resume(&other, in_folder(folder, "file"), DM_ERROR_SHAPE_MISMATCH, "'dropout'");
    other = setup;
    other.dataset = false;
    training_prepare(&t, &other);
    training_require(&t, dm_dataset_from_memory(&t.dataset, t.context, training_pixels(), NULL, 2,
                                                16, 4, 3));
    float *weights = training_weights(&t);
    training_expect(&t, dm_trainer_resume(&trainer, t.unet, t.dataset, in_folder(folder, "file")),
                    DM_ERROR_SHAPE_MISMATCH, "16 x 4 x 3|8 x 8 x 3");
    ck_assert_ptr_null(trainer);
    dm_dataset_destroy(t.dataset);
    training_require(&t, dm_dataset_from_memory(&t.dataset, t.context, training_pixels(), NULL, 3,
                                                8, 8, 3));
    training_expect(&t, dm_trainer_resume(&trainer, t.unet, t.dataset, in_folder(folder, "file")),
                    DM_ERROR_SHAPE_MISMATCH, "file|10 pictures|has 3");
    ck_assert_ptr_null(trainer);
    ck_assert(training_unchanged(&t, weights));
    free(weights);
    training_end(&t);

    training_begin(&t, &setup);
    training_expect(&t, dm_trainer_resume(&trainer, t.unet, t.dataset, in_folder(folder, "file")),
                    DM_ERROR_WRONG_STATE, "already");
    training_expect(&t, dm_trainer_resume(NULL, t.unet, NULL, "file"), DM_ERROR_INVALID_ARGUMENT,
                    "'out'");
    training_expect(&t, dm_trainer_resume(&trainer, t.unet, NULL, NULL), DM_ERROR_INVALID_ARGUMENT,
                    "'path'");
    ck_assert_int_eq(dm_trainer_resume(&trainer, NULL, NULL, "x"), DM_ERROR_INVALID_ARGUMENT);
    training_end(&t);
    free(folder);
}
END_TEST

/* The path of a checkpoint of the tiny preset at 8 x 8. */
typedef struct resume_case {
    dm_unet_options network;
    const char *path;
    bool save; /* saves the run in place of resuming one */
} resume_case;

static int32_t make_resumed(dm_context *context, const void *user) {
    const resume_case *c = user;
    dm_unet *unet = NULL;
    dm_schedule *schedule = NULL;
    dm_trainer *trainer = NULL;
    training_setup setup = training_default();
    int32_t status = dm_unet_create(&unet, context, &c->network, 1);
    if (!status && c->save) status = dm_schedule_create(&schedule, context, NULL);
    if (!status && c->save)
        status = dm_trainer_create(&trainer, unet, schedule, NULL, &setup.options);
    if (!status && c->save) status = dm_trainer_save(trainer, c->path);
    if (!status && !c->save) status = dm_trainer_resume(&trainer, unet, NULL, c->path);
    dm_trainer_destroy(trainer);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    return status;
}

START_TEST(every_allocation_may_fail) {
    char *folder = new_folder();
    resume_case c = {.path = in_folder(folder, "file"), .save = true};
    ck_assert_int_eq(dm_unet_options_preset(&c.network, sizeof c.network, DM_PRESET_TINY), DM_OK);
    c.network.height = c.network.width = TRAINING_SIDE;
    c.network.levels = 1;
    c.network.mid_attention = 0;
    ck_assert_int_gt(test_every_allocation(make_resumed, &c), 20);
    c.save = false;
    ck_assert_int_gt(test_every_allocation(make_resumed, &c), 20);
    free(folder);
}
END_TEST

Suite *test_checkpoint_suite(void);
Suite *test_checkpoint_suite(void) {
    Suite *suite = suite_create("checkpoint");
    TCase *tcase = tcase_create("checkpoint");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, resumed_runs_are_the_same_bits, 0, SETUPS);
    tcase_add_test(tcase, all_of_a_run_is_in_the_file);
    tcase_add_test(tcase, network_runs_after_resume);
    tcase_add_test(tcase, resume_needs_no_more_memory);
    tcase_add_test(tcase, resume_without_dataset);
    tcase_add_loop_test(tcase, names_in_the_file, 0, SETUPS);
    tcase_add_loop_test(tcase, networks_load_from_checkpoints, 0, SETUPS);
    tcase_add_test(tcase, parts_are_read_in_little_memory);
    tcase_add_test(tcase, saving_where_nothing_can_be_written);
    tcase_add_test(tcase, truncated_files);
    tcase_add_loop_test(tcase, damaged_files, 0, (int)(sizeof damages / sizeof *damages));
    tcase_add_test(tcase, network_files_have_no_training_state);
    tcase_add_test(tcase, other_networks_and_datasets);
    tcase_add_test(tcase, every_allocation_may_fail);
    suite_add_tcase(suite, tcase);
    return suite;
}
