/* SPDX-License-Identifier: MIT */
/* Progressive distillation: targets against an independent calculation and against a sampler, exact
 * continuation, and what is refused. test_distilled.c trains with it. */
#include "diffusion/spacing.h"
#include "support/network.h"
#include "support/training.h"
#include "train/trainer.h"

enum { IMAGES = 4, FLOATS = IMAGES * TRAINING_ELEMENTS, T = 50 };

/* ---- timesteps ---- */

/* round(T - i T / N) - 1, half to even, as nearbyint rounds the exact quotients of doubles. */
START_TEST(entries_of_half_the_steps_are_every_second) {
    static const int32_t totals[] = {2, 7, 40, 50, 1000, 99999};
    for (size_t k = 0; k < sizeof totals / sizeof *totals; k++)
        for (int32_t total = totals[k], n = 1; n <= total / 2 && n <= 600; n++) {
            int32_t entries = 0;
            for (int32_t i = 0; i < n; i++) {
                int32_t t = dmi_trailing_timestep(total, n, i);
                ck_assert_int_eq(t, (int32_t)nearbyint((double)((int64_t)total * (n - i)) / n) - 1);
                ck_assert_int_eq(t, dmi_trailing_timestep(total, 2 * n, 2 * i));
                ck_assert_int_eq(dmi_trailing_entry(total, n, t), i);
            }
            for (int32_t t = 0; t < total && total <= 1000; t++)
                entries += dmi_trailing_entry(total, n, t) >= 0;
            ck_assert_int_eq(total <= 1000 ? entries : n, n);
            ck_assert_int_eq(dmi_trailing_timestep(total, n, n), -1);
        }
}
END_TEST

/* ---- targets ---- */

typedef struct distill_case {
    int32_t schedule, steps;
    int32_t student, teacher; /* DM_PREDICT_* */
    bool zero_snr, labels, learned_variance, unclipped;
} distill_case;

static const distill_case cases[] = {
    {DM_SCHEDULE_COSINE, 4, DM_PREDICT_V, DM_PREDICT_EPS, false, true, false, true},
    {DM_SCHEDULE_COSINE, 1, DM_PREDICT_X0, DM_PREDICT_V, false, false, false, false},
    {DM_SCHEDULE_LINEAR, 7, DM_PREDICT_V, DM_PREDICT_EPS, false, true, true, false},
    {DM_SCHEDULE_LINEAR, 25, DM_PREDICT_V, DM_PREDICT_V, true, false, false, false},
    {DM_SCHEDULE_FLOW, 3, DM_PREDICT_FLOW, DM_PREDICT_FLOW, false, true, false, false},
    {DM_SCHEDULE_FLOW, 8, DM_PREDICT_X0, DM_PREDICT_FLOW, false, false, false, false},
    {DM_SCHEDULE_EDM, 5, DM_PREDICT_EDM, DM_PREDICT_EDM, false, false, false, true},
};
enum { CASES = sizeof cases / sizeof *cases };

static training_setup setup_of(const distill_case *c) {
    training_setup setup = training_default();
    setup.prediction = c->student;
    setup.classes = TRAINING_CLASSES;
    setup.dropout = 0.2f; /* of the student alone */
    setup.schedule.kind = c->schedule;
    setup.schedule.timesteps = T;
    setup.schedule.zero_terminal_snr = c->zero_snr;
    setup.options.distill_steps = c->steps;
    setup.options.distill_clip = !c->unclipped;
    setup.options.batch_size = IMAGES;
    return setup;
}

/* One level, and other channels than the student's. */
static dm_unet_options teacher_options(const distill_case *c) {
    dm_unet_options o;
    ck_assert_int_eq(dm_unet_options_init(&o, sizeof o), DM_OK);
    o.height = o.width = TRAINING_SIDE;
    o.levels = 1;
    memset(o.channels, 0, sizeof o.channels);
    memset(o.blocks, 0, sizeof o.blocks);
    memset(o.attention, 0, sizeof o.attention);
    o.channels[0] = 12;
    o.blocks[0] = 1;
    o.norm_groups = 4;
    o.dropout = 0.5f; /* which the teacher does not do */
    o.prediction = c->teacher;
    o.classes = c->labels ? TRAINING_CLASSES : 0;
    o.learned_variance = c->learned_variance;
    o.sigma_data = 0.4f;
    return o;
}

static dm_unet *new_teacher(const training *t, const distill_case *c) {
    dm_unet_options o = teacher_options(c);
    dm_unet *teacher;
    training_require(t, dm_unet_create(&teacher, t->context, &o, 9));
    network_randomize(teacher, 4);
    return teacher;
}

static void give(const training *t, const distill_case *c, training_given *given) {
    training_give(given, IMAGES);
    int32_t steps = dm_schedule_timesteps(t->schedule);
    for (int32_t i = 0; i < IMAGES; i++)
        given->timesteps[i] = dmi_trailing_timestep(steps, c->steps, i * c->steps / IMAGES);
    given->labels[1] = -1;
    given->batch.labels = given->labels;
    given->batch.label_count = IMAGES;
}

/* x_0 and eps of the teacher by the definitions of the predictions, of one image. */
static void denoise(const training *t, const distill_case *c, dm_unet *teacher, int32_t label,
                    const double *x, double timestep, double *x_0, double *eps) {
    double signal, noise, time;
    static float input[TRAINING_ELEMENTS], output[2 * TRAINING_ELEMENTS];
    training_require(t, dm_schedule_get_level(t->schedule, timestep, &signal, &noise, &time));
    const double data = (double)0.4f, both = noise * noise + data * data;
    const float at = (float)time;
    for (int i = 0; i < TRAINING_ELEMENTS; i++)
        input[i] = (float)(c->teacher == DM_PREDICT_EDM ? x[i] / sqrt(both) : x[i]);
    training_require(t, network_forward(teacher, output, input, &at, c->labels ? &label : NULL, 1));
    for (int i = 0; i < TRAINING_ELEMENTS; i++) {
        int channel = i % TRAINING_CHANNELS, pixel = i / TRAINING_CHANNELS;
        double f = output[c->learned_variance ? pixel * 2 * TRAINING_CHANNELS + channel : i];
        switch (c->teacher) {
            case DM_PREDICT_EPS: x_0[i] = (x[i] - noise * f) / signal, eps[i] = f; break;
            case DM_PREDICT_V:
                x_0[i] = signal * x[i] - noise * f, eps[i] = noise * x[i] + signal * f;
                break;
            case DM_PREDICT_FLOW: x_0[i] = x[i] - noise * f, eps[i] = x_0[i] + f; break;
            default:
                x_0[i] = data * data / both * x[i] + noise * data / sqrt(both) * f;
                eps[i] = (x[i] - x_0[i]) / noise;
        }
        if (!c->unclipped) x_0[i] = fmin(fmax(x_0[i], -1), 1);
    }
}

/* Two steps of DDIM, then the x_0 that one step needs; returns the student's target for it. */
static void want_target(const training *t, const distill_case *c, dm_unet *teacher,
                        const training_given *given, int32_t image, double *target) {
    const int32_t timestep = given->timesteps[image], steps = dm_schedule_timesteps(t->schedule);
    const size_t at = (size_t)image * TRAINING_ELEMENTS;
    int32_t k = 0;
    while (dmi_trailing_timestep(steps, 2 * c->steps, k) != timestep) k++;
    double a, s, z[TRAINING_ELEMENTS], x[TRAINING_ELEMENTS], x_0[TRAINING_ELEMENTS],
        eps[TRAINING_ELEMENTS], to_a = 1, to_s = 0;
    training_require(t, dm_schedule_get_level(t->schedule, timestep, &a, &s, NULL));
    for (int i = 0; i < TRAINING_ELEMENTS; i++)
        x[i] = z[i] = (float)(a * given->images[at + (size_t)i] + s * given->noise[at + (size_t)i]);
    for (int32_t step = k; step < k + 2; step++) {
        denoise(t, c, teacher, given->labels[image], x,
                dmi_trailing_timestep(steps, 2 * c->steps, step), x_0, eps);
        to_a = 1, to_s = 0;
        int32_t next = dmi_trailing_timestep(steps, 2 * c->steps, step + 1);
        if (next >= 0)
            training_require(t, dm_schedule_get_level(t->schedule, next, &to_a, &to_s, NULL));
        for (int i = 0; i < TRAINING_ELEMENTS; i++) x[i] = to_a * x_0[i] + to_s * eps[i];
    }
    for (int i = 0; i < TRAINING_ELEMENTS; i++) {
        double clean = (x[i] - to_s / s * z[i]) / (to_a - to_s / s * a),
               noise = (z[i] - a * clean) / s, data = 0.5, both = s * s + data * data;
        target[i] = c->student == DM_PREDICT_X0  ? clean
                    : c->student == DM_PREDICT_V ? a * noise - s * clean
                    : c->student == DM_PREDICT_FLOW
                        ? noise - clean
                        : (clean - data * data / both * z[i]) * sqrt(both) / (s * data);
    }
}

START_TEST(targets_follow_the_paper) {
    const distill_case *c = &cases[_i];
    training t;
    training_given given;
    double want[TRAINING_ELEMENTS];
    training_setup setup = setup_of(c);
    training_begin(&t, &setup);
    dm_unet *teacher = new_teacher(&t, c);
    training_require(&t, dm_trainer_set_teacher(t.trainer, teacher));
    give(&t, c, &given);
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    for (int32_t image = 0; image < IMAGES; image++) {
        want_target(&t, c, teacher, &given, image, want);
        for (int i = 0; i < TRAINING_ELEMENTS; i++)
            ck_assert_double_eq_tol(t.trainer->batch.target[image * TRAINING_ELEMENTS + i], want[i],
                                    2e-4 * (1 + fabs(want[i])));
    }
    dm_unet_destroy(teacher); /* which the trainer holds */
    training_end(&t);
}
END_TEST

/* With one step to distil to, the target of x_0 is the teacher's image in two steps. */
START_TEST(one_step_learns_the_image_of_two) {
    const distill_case *c = &cases[1];
    training t;
    training_given given;
    dm_sampler_options o;
    dm_sampler_request r;
    dm_sampler *sampler;
    static float images[FLOATS];
    training_setup setup = setup_of(c);
    training_begin(&t, &setup);
    dm_unet *teacher = new_teacher(&t, c), *share;
    training_require(&t, dm_unet_share(&share, t.context, teacher));
    training_require(&t, dm_trainer_set_teacher(t.trainer, share));
    give(&t, c, &given);
    training_require(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL));
    training_require(&t, dm_sampler_options_init(&o, sizeof o));
    training_require(&t, dm_sampler_request_init(&r, sizeof r));
    o.steps = 2;
    o.spacing = DM_SPACING_TRAILING;
    r.count = IMAGES;
    r.initial_noise = t.trainer->batch.noisy;
    r.initial_noise_elements = FLOATS;
    training_require(&t, dm_sampler_create(&sampler, teacher, t.schedule, &o));
    training_require(&t, dm_sampler_run(sampler, &r, images, FLOATS));
    for (size_t i = 0; i < FLOATS; i++) ck_assert(t.trainer->batch.target[i] == images[i]);
    dm_sampler_destroy(sampler);
    dm_trainer_destroy(t.trainer);
    t.trainer = NULL;
    dm_unet_destroy(share);
    dm_unet_destroy(teacher);
    training_end(&t);
}
END_TEST

/* ---- a run ---- */

/* Only timesteps of the student's steps are drawn, and all of them. */
START_TEST(timesteps_are_those_of_the_steps) {
    training t;
    int32_t seen[4] = {0};
    training_setup setup = setup_of(&cases[0]);
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_set_teacher(t.trainer, new_teacher(&t, &cases[0])));
    for (int step = 0; step < 20; step++) {
        training_require(&t, dm_trainer_step(t.trainer, NULL));
        for (int32_t i = 0; i < IMAGES; i++) {
            int32_t entry = dmi_trailing_entry(T, 4, t.trainer->batch.levels[i].at.timestep);
            ck_assert_int_ge(entry, 0);
            seen[entry]++;
        }
    }
    for (int i = 0; i < 4; i++) ck_assert_int_ge(seen[i], 8);
    dm_unet_destroy(t.trainer->distillation.teacher);
    training_end(&t);
}
END_TEST

static void begin_distilled(training *t, training_setup *setup, const char *resume) {
    training_prepare(t, setup);
    if (resume) training_require(t, dm_trainer_resume(&t->trainer, t->unet, t->dataset, resume));
    else
        training_require(t, dm_trainer_create(&t->trainer, t->unet, t->schedule, t->dataset,
                                              &setup->options));
    dm_unet *teacher = new_teacher(t, &cases[0]);
    training_require(t, dm_trainer_set_teacher(t->trainer, teacher));
    dm_unet_destroy(teacher);
}

START_TEST(resumed_runs_are_the_same_bits) {
    char *folder = test_folder_new();
    training t;
    dm_trainer_options options;
    training_setup setup = setup_of(&cases[0]);
    setup.options.accumulation = 2;
    setup.options.loss_weight = DM_LOSS_WEIGHT_TRUNCATED_SNR;
    begin_distilled(&t, &setup, NULL);
    training_require(&t, dm_trainer_run(t.trainer, 12, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "whole")));
    training_end(&t);
    setup.threads = 2;
    begin_distilled(&t, &setup, NULL);
    training_require(&t, dm_trainer_run(t.trainer, 7, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "half")));
    training_end(&t);
    setup.threads = 3;
    begin_distilled(&t, &setup, test_path(folder, "half"));
    training_require(&t, dm_trainer_get_options(t.trainer, &options, sizeof options));
    ck_assert_int_eq(options.distill_steps, 4);
    training_require(&t, dm_trainer_run(t.trainer, 12, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "resumed")));
    training_same_files(test_path(folder, "whole"), test_path(folder, "resumed"));
    training_end(&t);
    free(folder);
}
END_TEST

/* A resumed trainer compares its teacher's weights with those of before, even if it has been saved
 * between without one. */
START_TEST(other_teachers_are_warned_of) {
    char *folder = test_folder_new();
    for (int other = 0; other < 2; other++) {
        training t;
        char warning[256] = "";
        training_setup setup = setup_of(&cases[0]);
        begin_distilled(&t, &setup, NULL);
        training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "first")));
        training_end(&t);
        training_prepare(&t, &setup);
        t.context->host.log = test_keep_warning;
        t.context->host.log_user = warning;
        training_require(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset,
                                               test_path(folder, "first")));
        training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "second")));
        dm_trainer_destroy(t.trainer);
        training_require(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset,
                                               test_path(folder, "second")));
        dm_unet *teacher = new_teacher(&t, &cases[0]);
        if (other) {
            dmi_params *params = &teacher->weights->params;
            params->data[params->items[params->count - 1].offset] += 1e-6f;
        }
        training_require(&t, dm_trainer_set_teacher(t.trainer, teacher));
        ck_assert_msg(!!strstr(warning, "another teacher") == other, "%s", warning);
        dm_unet_destroy(teacher);
        training_end(&t);
    }
    free(folder);
}
END_TEST

START_TEST(steps_allocate_nothing) {
    training t;
    uint64_t before, after;
    training_setup setup = setup_of(&cases[0]);
    begin_distilled(&t, &setup, NULL);
    ck_assert_int_eq(dm_context_get_memory(t.context, NULL, NULL, &before), DM_OK);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    ck_assert_int_eq(dm_context_get_memory(t.context, NULL, NULL, &after), DM_OK);
    ck_assert_uint_eq(before, after);
    training_end(&t);
}
END_TEST

/* ---- refusals ---- */

static void refuse_options(void (*change)(training_setup *), const char *words) {
    training t;
    training_setup setup = setup_of(&cases[0]);
    change(&setup);
    training_prepare(&t, &setup);
    training_expect(&t,
                    dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options),
                    DM_ERROR_INVALID_ARGUMENT, words);
    training_end(&t);
}

static void predict_eps(training_setup *s) { s->prediction = DM_PREDICT_EPS; }
static void many_steps(training_setup *s) { s->options.distill_steps = T / 2 + 1; }
static void bound(training_setup *s) { s->options.loss_weight = DM_LOSS_WEIGHT_BOUND; }
static void hybrid(training_setup *s) { s->options.loss = DM_LOSS_HYBRID; }
static void loss_aware(training_setup *s) {
    s->options.timestep_sampling = DM_TIMESTEPS_LOSS_AWARE;
}

START_TEST(options_without_meaning_are_refused) {
    refuse_options(predict_eps, "'distill_steps' 4|'prediction' 0 (eps)");
    refuse_options(many_steps, "'distill_steps' 26|'timesteps' 50");
    refuse_options(bound, "'distill_steps' 4|'loss_weight' 3 (bound)");
    refuse_options(hybrid, "'distill_steps' 4|'loss' 2 (hybrid)");
    refuse_options(loss_aware, "'distill_steps' 4|'timestep_sampling' 1 (loss_aware)");
}
END_TEST

static void refuse_teacher(training *t, const dm_unet_options *o, int32_t status,
                           const char *words) {
    dm_unet *teacher;
    training_require(t, dm_unet_create(&teacher, t->context, o, 1));
    uint64_t before = t->context->host.used;
    training_expect(t, dm_trainer_set_teacher(t->trainer, teacher), status, words);
    ck_assert_uint_eq(t->context->host.used, before);
    dm_unet_destroy(teacher);
}

START_TEST(teachers_that_do_not_fit_are_refused) {
    training t;
    training_setup setup = setup_of(&cases[0]);
    training_begin(&t, &setup);
    const dm_unet_options good = teacher_options(&cases[0]);
    dm_unet_options o = good;
    o.height = 2 * TRAINING_SIDE;
    refuse_teacher(&t, &o, DM_ERROR_SHAPE_MISMATCH, "teacher|16 x 8 x 3|8 x 8 x 3");
    o = good;
    o.self_conditioning = 1;
    refuse_teacher(&t, &o, DM_ERROR_UNSUPPORTED, "teacher|'self_conditioning'");
    o = good;
    o.classes = 3;
    refuse_teacher(&t, &o, DM_ERROR_INVALID_ARGUMENT, "teacher|'classes' 3|4");
    o = good;
    o.null_row = 0;
    refuse_teacher(&t, &o, DM_ERROR_INVALID_ARGUMENT, "teacher|'null_row' 0|1");
    o = good;
    o.prediction = DM_PREDICT_EDM;
    refuse_teacher(&t, &o, DM_ERROR_INVALID_ARGUMENT, "teacher|EDM");
    o.prediction = DM_PREDICT_CONSISTENCY;
    refuse_teacher(&t, &o, DM_ERROR_UNSUPPORTED, "distilling|(consistency)");
    training_expect(&t, dm_trainer_set_teacher(t.trainer, NULL), DM_ERROR_INVALID_ARGUMENT,
                    "'teacher' is NULL");
    training_expect(&t, dm_trainer_set_teacher(t.trainer, t.unet), DM_ERROR_INVALID_ARGUMENT,
                    "its own teacher");
    dm_context *other;
    dm_unet *foreign;
    ck_assert_int_eq(dm_context_create(&other, NULL, NULL, 0), DM_OK);
    ck_assert_int_eq(dm_unet_create(&foreign, other, &good, 1), DM_OK);
    training_expect(&t, dm_trainer_set_teacher(t.trainer, foreign), DM_ERROR_INVALID_ARGUMENT,
                    "the network's context");
    dm_unet_destroy(foreign);
    dm_context_destroy(other);
    ck_assert_int_eq(dm_trainer_set_teacher(NULL, t.unet), DM_ERROR_INVALID_ARGUMENT);
    training_end(&t);
}
END_TEST

START_TEST(calls_in_the_wrong_order_are_refused) {
    training t;
    training_given given;
    training_setup setup = setup_of(&cases[0]);
    training_begin(&t, &setup);
    give(&t, &cases[0], &given);
    training_expect(&t, dm_trainer_step(t.trainer, NULL), DM_ERROR_WRONG_STATE,
                    "'distill_steps' is 4|dm_trainer_set_teacher");
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL), DM_ERROR_WRONG_STATE,
                    "dm_trainer_set_teacher");
    training_expect(&t, dm_trainer_run(t.trainer, 1, NULL, NULL), DM_ERROR_WRONG_STATE,
                    "dm_trainer_set_teacher");
    ck_assert_uint_eq(training_steps(t.trainer), 0);
    dm_unet *teacher = new_teacher(&t, &cases[0]);
    training_require(&t, dm_trainer_set_teacher(t.trainer, teacher));
    training_expect(&t, dm_trainer_set_teacher(t.trainer, teacher), DM_ERROR_WRONG_STATE,
                    "a teacher already");
    /* It is frozen: its weights can be read, but not changed. */
    dm_trainer *trainer;
    training_expect(&t, dm_unet_initialize(teacher, DM_INITIALIZATION_DDPM, 1),
                    DM_ERROR_WRONG_STATE, "a teacher|read-only");
    training_expect(&t, dm_trainer_create(&trainer, teacher, t.schedule, NULL, NULL),
                    DM_ERROR_WRONG_STATE, "a teacher|read-only");
    given.timesteps[2]++;
    training_expect(&t, dm_trainer_step_batch(t.trainer, &given.batch, NULL),
                    DM_ERROR_INVALID_ARGUMENT, "timestep 2|4 trailing timesteps");
    dm_trainer_destroy(t.trainer);
    t.trainer = NULL;
    training_require(&t, dm_unet_initialize(teacher, DM_INITIALIZATION_DDPM, 1));
    training_require(&t, dm_trainer_create(&t.trainer, t.unet, t.schedule, NULL, &setup.options));
    training_require(&t, dm_trainer_create(&trainer, teacher, t.schedule, NULL, NULL));
    training_expect(&t, dm_trainer_set_teacher(t.trainer, teacher), DM_ERROR_WRONG_STATE,
                    "the teacher has a trainer itself");
    dm_trainer_destroy(trainer);
    dm_unet_destroy(teacher);
    training_end(&t);
    setup.options.distill_steps = 0;
    training_begin(&t, &setup);
    teacher = new_teacher(&t, &cases[0]);
    training_expect(&t, dm_trainer_set_teacher(t.trainer, teacher), DM_ERROR_WRONG_STATE,
                    "'distill_steps' is 0");
    dm_unet_destroy(teacher);
    training_end(&t);
}
END_TEST

Suite *test_distill_suite(void);

Suite *test_distill_suite(void) {
    Suite *suite = suite_create("distill");
    TCase *tests = tcase_create("distill");
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, entries_of_half_the_steps_are_every_second);
    tcase_add_loop_test(tests, targets_follow_the_paper, 0, CASES);
    tcase_add_test(tests, one_step_learns_the_image_of_two);
    tcase_add_test(tests, timesteps_are_those_of_the_steps);
    tcase_add_test(tests, resumed_runs_are_the_same_bits);
    tcase_add_test(tests, other_teachers_are_warned_of);
    tcase_add_test(tests, steps_allocate_nothing);
    tcase_add_test(tests, options_without_meaning_are_refused);
    tcase_add_test(tests, teachers_that_do_not_fit_are_refused);
    tcase_add_test(tests, calls_in_the_wrong_order_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
