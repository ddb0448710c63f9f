/* SPDX-License-Identifier: MIT */
/* Training against PyTorch: the twenty steps of make_train.py, through the public calls. */
#include "diffusion.h"
#include "golden/golden.h"
#include "support/network.h"
#include "support/schedule.h"
#include "unet/unet.h"

enum { STEPS = 20, BATCH = 4, TIMESTEPS = 1000, HEIGHT = 8, WIDTH = 8, CHANNELS = 3 };
enum { FLOATS = BATCH * HEIGHT * WIDTH * CHANNELS };

/* PyTorch's side is exact. Ours has single-precision gradients, off by 1e-6 to 1e-5, and Adam
 * divides each gradient by its own size, so that where a gradient is close to 0 its error is what
 * moves the weight: the movement of the weights is the sharpest thing to compare. It measures 1e-4
 * (of weights, that is 1e-5), losses 3e-7, the norm of the gradients 1e-6. */
static const double loss_bound = 2e-6;
static const double norm_bound = 5e-6;
static const double movement_bound = 5e-4;

typedef struct train_case {
    const char *name;
    int32_t prediction, time_embedding, classes, decay, accumulation;
} train_case;

static const train_case cases[] = {
    {"eps", DM_PREDICT_EPS, DM_TIME_ADD, 0, DM_RATE_CONSTANT, 1},
    {"x0", DM_PREDICT_X0, DM_TIME_ADD_OUTPUT, 0, DM_RATE_LINEAR, 1},
    {"v", DM_PREDICT_V, DM_TIME_SCALE_SHIFT, 3, DM_RATE_COSINE, 1},
    {"eps", DM_PREDICT_EPS, DM_TIME_ADD, 0, DM_RATE_CONSTANT,
     2}, /* the same in two passes a step */
    {"v", DM_PREDICT_V, DM_TIME_SCALE_SHIFT, 3, DM_RATE_COSINE, 4},
};

typedef struct fixture {
    const train_case *c;
    dm_context *context;
    dm_unet *unet, *ema;
    dm_schedule *schedule;
    dm_trainer *trainer;
    dmi_safetensors *file;
} fixture;

static void require(const fixture *f, int32_t status) {
    ck_assert_msg(status == DM_OK, "%s: %s: %s", f->c->name, dm_status_name(status),
                  dm_context_error(f->context));
}

static void make_networks(fixture *f) {
    dm_unet_options o;
    require(f, dm_unet_options_init(&o, sizeof o));
    o.height = HEIGHT;
    o.width = WIDTH;
    o.levels = 2;
    for (int32_t i = 0; i < DM_LEVELS_MAX; i++) o.channels[i] = o.blocks[i] = o.attention[i] = 0;
    o.channels[0] = 8;
    o.channels[1] = 16;
    o.blocks[0] = o.blocks[1] = 1;
    o.attention[1] = 1;
    o.norm_groups = 4;
    o.time_embedding = f->c->time_embedding;
    o.classes = f->c->classes;
    o.prediction = f->c->prediction;
    require(f, dm_unet_create(&f->unet, f->context, &o, 1));
    require(f, dm_unet_create(&f->ema, f->context, &o, 2));
    for (int32_t i = 0; i < f->unet->weights->params.count; i++) {
        const dmi_param *p = &f->unet->weights->params.items[i];
        float *values = golden_floats(p->count);
        golden_weight(values, p->name, p->rank, p->shape);
        require(f, network_set(f->unet, p->name, values, p->count));
        free(values);
    }
}

static void begin(fixture *f, const train_case *c) {
    dm_trainer_options o;
    *f = (fixture){.c = c};
    require(f, dm_context_create(&f->context, NULL, NULL, 0));
    f->file = golden_open(&f->context->host, "train.safetensors");
    make_networks(f);
    require(f, linear_schedule(&f->schedule, f->context));
    require(f, dm_trainer_options_init(&o, sizeof o));
    o.batch_size = BATCH / c->accumulation;
    o.accumulation = c->accumulation;
    o.learning_rate = 1e-3;
    o.beta2 = 0.99;
    o.weight_decay = 0.01;
    o.ema_decay[0] = 0.8;
    o.warmup_steps = 5;
    o.learning_rate_schedule = c->decay;
    o.learning_rate_end_step = c->decay == DM_RATE_CONSTANT ? 0 : 18;
    o.learning_rate_end_fraction = c->decay == DM_RATE_CONSTANT ? 0 : 0.25;
    require(f, dm_trainer_create(&f->trainer, f->unet, f->schedule, NULL, &o));
}

static void end(fixture *f) {
    dm_trainer_destroy(f->trainer);
    dm_schedule_destroy(f->schedule);
    dm_unet_destroy(f->unet);
    dm_unet_destroy(f->ema);
    dmi_safetensors_close(&f->context->host, f->file);
    dm_context_destroy(f->context);
}

/* whole() of formula.py: from 0 to limit-1. */
static void draw(int32_t *values, int32_t limit, const char *prefix, const char *name) {
    float unit[BATCH];
    golden_fill(unit, BATCH, 1, prefix, name);
    for (size_t i = 0; i < BATCH; i++)
        values[i] = (int32_t)fmin(((double)unit[i] + 1) / 2 * limit, limit - 1);
}

static void step(fixture *f, int32_t number, dm_train_stats *stats) {
    static float images[FLOATS], noise[FLOATS];
    int32_t timesteps[BATCH], labels[BATCH];
    char prefix[32];
    snprintf(prefix, sizeof prefix, "%s/%d", f->c->name, (int)number);
    golden_fill(images, FLOATS, 1, prefix, "images");
    golden_fill(noise, FLOATS, (float)sqrt(3.0), prefix, "noise");
    draw(timesteps, TIMESTEPS, prefix, "timesteps");
    draw(labels, f->c->classes + 1, prefix, "labels");
    /* PyTorch's embedding has a last row for "no class". */
    for (size_t i = 0; i < BATCH; i++)
        if (labels[i] == f->c->classes) labels[i] = -1;
    dm_train_batch batch = {.struct_size = sizeof batch,
                            .count = BATCH,
                            .elements = FLOATS,
                            .label_count = f->c->classes ? BATCH : 0,
                            .timestep_count = BATCH,
                            .images = images,
                            .noise = noise,
                            .timesteps = timesteps,
                            .labels = f->c->classes ? labels : NULL};
    require(f, dm_trainer_step_batch(f->trainer, &batch, stats));
}

static void check(const fixture *f, const char *what, double error, double bound) {
    if (getenv("GOLDEN_VERBOSE")) printf("%s %s %.2e\n", f->c->name, what, error);
    ck_assert_msg(error <= bound, "%s: %s: relative error %.3g is above %.3g", f->c->name, what,
                  error, bound);
}

static int by_name(const void *a, const void *b) {
    const dmi_param *const *p = a, *const *q = b;
    return strcmp((*p)->name, (*q)->name);
}

/* The bias of k has no effect on the network (softmax does not see a shift of all scores), so its
 * gradient is rounding error, which Adam makes as large as any other. */
static bool has_no_effect(const char *name) {
    size_t length = strlen(name);
    return length > 10 && !strcmp(name + length - 10, ".to_k.bias");
}

/* How far the tensors of `unet` are from where they began, against the digests "<case>/<what>". */
static void check_movement(const fixture *f, const dm_unet *unet, const char *what) {
    size_t tensors = (size_t)unet->weights->params.count;
    const dmi_param **sorted = malloc(tensors * sizeof *sorted);
    float *digests = golden_read(f->file, f->c->name, what, tensors * GOLDEN_DIGEST);
    ck_assert_ptr_nonnull(sorted);
    for (size_t i = 0; i < tensors; i++) sorted[i] = &unet->weights->params.items[i];
    qsort(sorted, tensors, sizeof *sorted, by_name);
    for (size_t i = 0; i < tensors; i++) {
        const dmi_param *p = sorted[i];
        if (has_no_effect(p->name)) continue;
        float *values = golden_floats(p->count), *start = golden_floats(p->count);
        require(f, dm_unet_get_tensor(unet, p->name, values, p->count));
        golden_weight(start, p->name, p->rank, p->shape);
        for (size_t k = 0; k < p->count; k++) values[k] -= start[k];
        check(f, p->name,
              golden_digest_error(p->name, values, p->count, digests + i * GOLDEN_DIGEST, 0),
              movement_bound);
        free(values);
        free(start);
    }
    free(digests);
    free(sorted);
}

START_TEST(twenty_steps) {
    fixture f;
    begin(&f, &cases[_i]);
    float *losses = golden_read(f.file, f.c->name, "losses", STEPS),
          *norms = golden_read(f.file, f.c->name, "norms", STEPS);
    for (int32_t i = 1; i <= STEPS; i++) {
        dm_train_stats stats = {.struct_size = sizeof stats};
        step(&f, i, &stats);
        ck_assert_uint_eq(stats.step, (uint64_t)i);
        ck_assert_int_eq(stats.skipped, 0);
        check(&f, "loss", fabs(stats.loss / (double)losses[i - 1] - 1), loss_bound);
        check(&f, "norm of the gradients", fabs(stats.gradient_norm / (double)norms[i - 1] - 1),
              norm_bound);
    }
    check_movement(&f, f.unet, "weights");
    require(&f, dm_trainer_get_ema(f.trainer, 0, f.ema));
    check_movement(&f, f.ema, "ema");
    free(losses);
    free(norms);
    end(&f);
}
END_TEST

Suite *test_train_torch_suite(void);
Suite *test_train_torch_suite(void) {
    Suite *suite = suite_create("train_torch");
    TCase *tcase = tcase_create("against PyTorch");
    tcase_set_timeout(tcase, 20);
    tcase_add_loop_test(tcase, twenty_steps, 0, (int)(sizeof cases / sizeof *cases));
    suite_add_tcase(suite, tcase);
    return suite;
}
