/* SPDX-License-Identifier: MIT */
/* Networks of blocks by recipe: each part alone and several together, outputs, gradients of the
 * input and of every parameter against PyTorch in double precision, and twenty steps of training
 * with the hybrid loss (make_recipe.py). */
#include "base/cpu.h"
#include "golden/golden_network.h"
#include "support/network.h"
#include "support/schedule.h"

enum { IMAGES = 2, CASES = 14, STEPS = 20, BATCH = 4, TIMESTEPS = 1000, SIDE = 8 };
enum { FLOATS = BATCH * SIDE * SIDE * 3 };

static const char *const file_name = "recipe.safetensors";

static const char *const cases[CASES] = {
    "resnet",           "convnext",        "resnet_classes",
    "convnext_classes", "class_attention", "channel_attention",
    "attention",        "windows",         "windows_and_classes",
    "variance",         "published",       "every_part",
    "one_level",        "odd_sizes"};

static void run_case(const char *name, int32_t isa, int32_t recompute) {
    golden_network f;
    golden_network_begin(&f, file_name, name, isa);
    f.output_bound = 1e-5, f.gradient_bound = 4e-5;
    golden_network_run(&f, IMAGES, recompute);
    golden_network_end(&f);
}

START_TEST(networks) {
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++)
        run_case(cases[_i], isa, DM_RECOMPUTE_NONE);
    run_case(cases[_i], dmi_cpu_isa(), DM_RECOMPUTE_SELECTIVE);
    run_case(cases[_i], dmi_cpu_isa(), DM_RECOMPUTE_BLOCKS);
}
END_TEST

START_TEST(all_cases_are_tested) {
    dm_context *context;
    ck_assert_int_eq(dm_context_create(&context, NULL, NULL, 0), DM_OK);
    dmi_safetensors *file = golden_open(&context->host, file_name);
    const char *names = dmi_safetensors_metadata(file, "cases");
    char line[GOLDEN_LINE];
    int32_t count = 0;
    ck_assert_ptr_nonnull(names);
    for (; golden_line(&names, line); count++) {
        ck_assert_int_lt(count, CASES);
        ck_assert_str_eq(line, cases[count]);
    }
    ck_assert_int_eq(count, CASES);
    dmi_safetensors_close(&context->host, file);
    dm_context_destroy(context);
}
END_TEST

/* ---- training ---- */

static dm_trainer *trainer_of(const golden_network *f, const dm_schedule *schedule) {
    dm_trainer_options o;
    dm_trainer *trainer;
    golden_network_require(f, dm_trainer_options_init(&o, sizeof o));
    o.batch_size = BATCH;
    o.loss = DM_LOSS_HYBRID;
    o.bound_lambda = log(2) / TIMESTEPS; /* 1 times the divergence in nats */
    o.learning_rate = 3e-4;
    o.adam_eps = 1e-4;
    o.weight_decay = 0.01;
    o.gradient_clip = 0;
    o.ema_decay[0] = 0;
    golden_network_require(f, dm_trainer_create(&trainer, f->unet, schedule, NULL, &o));
    return trainer;
}

/* whole() of formula.py. */
static void draw(int32_t *values, int32_t limit, const char *prefix, const char *name) {
    float unit[BATCH];
    golden_fill(unit, BATCH, 1, prefix, name);
    for (size_t i = 0; i < BATCH; i++)
        values[i] = (int32_t)fmin(((double)unit[i] + 1) / 2 * limit, limit - 1);
}

static double step(const golden_network *f, dm_trainer *trainer, int32_t number) {
    static float images[FLOATS], noise[FLOATS];
    int32_t timesteps[BATCH], labels[BATCH];
    char prefix[32];
    snprintf(prefix, sizeof prefix, "train/%d", (int)number);
    golden_fill(images, FLOATS, 1, prefix, "images");
    golden_fill(noise, FLOATS, (float)sqrt(3.0), prefix, "noise");
    draw(timesteps, TIMESTEPS - 1, prefix, "timesteps");
    draw(labels, f->options.classes + 1, prefix, "labels");
    for (size_t i = 0; i < BATCH; i++) {
        timesteps[i]++;
        if (labels[i] == f->options.classes) labels[i] = -1;
    }
    dm_train_batch batch = {.struct_size = sizeof batch,
                            .count = BATCH,
                            .elements = FLOATS,
                            .label_count = BATCH,
                            .timestep_count = BATCH,
                            .images = images,
                            .noise = noise,
                            .timesteps = timesteps,
                            .labels = labels};
    dm_train_stats stats = {.struct_size = sizeof stats};
    golden_network_require(f, dm_trainer_step_batch(trainer, &batch, &stats));
    ck_assert_int_eq(stats.skipped, 0);
    return stats.loss;
}

static int by_name(const void *a, const void *b) {
    const dmi_param *const *p = a, *const *q = b;
    return strcmp((*p)->name, (*q)->name);
}

/* How far the parameters have moved, relative to the movement of each, or of a hundredth of the
 * largest: those of the variance move little, by 1e-5 to 1e-4 from up to 1, which floats hold to
 * 6e-8 a step. Adam's eps of 1e-4 is above most gradients here, so that their errors are not
 * enlarged as with 1e-8. */
static void check_movement(const golden_network *f) {
    size_t tensors = (size_t)f->unet->weights->params.count;
    const dmi_param **sorted = malloc(tensors * sizeof *sorted);
    float *digests = golden_read(f->file, f->name, "weights", tensors * GOLDEN_DIGEST);
    double least = 0;
    ck_assert_ptr_nonnull(sorted);
    for (size_t i = 0; i < tensors; i++) {
        sorted[i] = &f->unet->weights->params.items[i];
        least = fmax(least, 1e-2 * (double)digests[i * GOLDEN_DIGEST]);
    }
    qsort(sorted, tensors, sizeof *sorted, by_name);
    for (size_t i = 0; i < tensors; i++) {
        const dmi_param *p = sorted[i];
        float *values = golden_floats(p->count), *start = golden_floats(p->count);
        golden_network_require(f, dm_unet_get_tensor(f->unet, p->name, values, p->count));
        golden_weight(start, p->name, p->rank, p->shape);
        for (size_t k = 0; k < p->count; k++) values[k] -= start[k];
        golden_network_check(f, p->name,
                             golden_digest_error(p->name, values, p->count,
                                                 digests + i * GOLDEN_DIGEST, least),
                             2e-3);
        free(values);
        free(start);
    }
    free(digests);
    free(sorted);
}

START_TEST(twenty_steps) {
    golden_network f;
    dm_schedule *schedule;
    golden_network_begin(&f, file_name, "train", dmi_cpu_isa());
    golden_network_require(&f, linear_schedule(&schedule, f.context));
    dm_trainer *trainer = trainer_of(&f, schedule);
    float *losses = golden_read(f.file, f.name, "losses", STEPS);
    for (int32_t i = 1; i <= STEPS; i++)
        golden_network_check(&f, "loss", fabs(step(&f, trainer, i) / (double)losses[i - 1] - 1),
                             3e-6);
    check_movement(&f);
    free(losses);
    dm_trainer_destroy(trainer);
    dm_schedule_destroy(schedule);
    golden_network_end(&f);
}
END_TEST

Suite *test_recipe_torch_suite(void);
Suite *test_recipe_torch_suite(void) {
    Suite *suite = suite_create("recipe_torch");
    TCase *tcase = tcase_create("recipe_torch");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, networks, 0, CASES);
    tcase_add_test(tcase, all_cases_are_tested);
    tcase_add_test(tcase, twenty_steps);
    suite_add_tcase(suite, tcase);
    return suite;
}
