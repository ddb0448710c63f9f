/* SPDX-License-Identifier: MIT */
/* Progressive distillation of a small network on generated shapes: the student's images come near
 * those that its teacher draws in twice as many steps from the same noise. */
#include "support/support.h"
#include "unet/unet.h"

enum { SIZE = 16, STEPS = 2, IMAGES = 32, FLOATS = IMAGES * SIZE * SIZE * 3, BATCH = 16 };

static dm_context *context;
static dm_schedule *schedule;
static dm_dataset *dataset;

static void require(int32_t status) {
    ck_assert_msg(status == DM_OK, "%s: %s", dm_status_name(status), dm_context_error(context));
}

static void setup(void) {
    dm_context_options o;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = 2;
    ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
    require(dm_schedule_create(&schedule, context, NULL));
    require(dm_dataset_create_shapes(&dataset, context, SIZE, 4096, 1));
}

static void teardown(void) {
    dm_dataset_destroy(dataset);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
}

static dm_unet *new_network(void) {
    dm_unet_options u;
    dm_unet *unet;
    require(dm_unet_options_init(&u, sizeof u));
    u.height = u.width = SIZE;
    u.levels = 2;
    for (int i = 0; i < DM_LEVELS_MAX; i++) u.channels[i] = u.blocks[i] = u.attention[i] = 0;
    u.channels[0] = 16, u.channels[1] = 32;
    u.blocks[0] = u.blocks[1] = 1;
    u.mid_attention = 0;
    u.norm_groups = 4;
    u.prediction = DM_PREDICT_V;
    require(dm_unet_create(&unet, context, &u, 7));
    return unet;
}

static dm_trainer_options options_of(int32_t distill_steps, double rate, uint64_t steps) {
    dm_trainer_options o;
    require(dm_trainer_options_init(&o, sizeof o));
    o.batch_size = BATCH;
    o.learning_rate = rate;
    o.learning_rate_schedule = DM_RATE_LINEAR;
    o.learning_rate_end_step = steps;
    o.ema_decay[0] = 0;
    o.distill_steps = distill_steps;
    if (distill_steps) o.loss_weight = DM_LOSS_WEIGHT_TRUNCATED_SNR;
    return o;
}

/* Mean losses of the first and the last 20 steps. */
typedef struct losses {
    uint64_t steps;
    double first, last;
} losses;

static int32_t add_loss(void *user, const dm_train_stats *stats) {
    losses *l = user;
    if (stats->step <= 20) l->first += stats->loss / 20;
    if (stats->step + 20 > l->steps) l->last += stats->loss / 20;
    return 0;
}

/* Trains the network; with a teacher, distils it to STEPS. */
static losses train(dm_unet *unet, dm_unet *teacher, double rate, uint64_t steps) {
    losses l = {.steps = steps};
    dm_trainer *trainer;
    dm_trainer_options o = options_of(teacher ? STEPS : 0, rate, steps);
    require(dm_trainer_create(&trainer, unet, schedule, dataset, &o));
    if (teacher) require(dm_trainer_set_teacher(trainer, teacher));
    require(dm_trainer_run(trainer, steps, add_loss, &l));
    dm_trainer_destroy(trainer);
    return l;
}

static void sample(dm_unet *unet, int32_t steps, float *images) {
    dm_sampler *sampler;
    dm_sampler_options o;
    dm_sampler_request r;
    require(dm_sampler_options_init(&o, sizeof o));
    require(dm_sampler_request_init(&r, sizeof r));
    o.steps = steps;
    o.spacing = DM_SPACING_TRAILING;
    r.count = IMAGES;
    r.seed = 50;
    require(dm_sampler_create(&sampler, unet, schedule, &o));
    require(dm_sampler_run(sampler, &r, images, FLOATS));
    dm_sampler_destroy(sampler);
}

static double mean_square(const float *a, const float *b) {
    double sum = 0;
    for (int i = 0; i < FLOATS; i++) sum += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    return sum / FLOATS;
}

/* A copy with the same weights, as dm_unet_load twice gives. */
static dm_unet *copy_of(dm_unet *unet) {
    size_t size;
    dm_unet *copy;
    require(dm_unet_save_memory(unet, schedule, NULL, 0, &size));
    void *bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    require(dm_unet_save_memory(unet, schedule, bytes, size, &size));
    require(dm_unet_load_memory(&copy, context, bytes, size, DM_WEIGHTS_DEFAULT));
    free(bytes);
    return copy;
}

START_TEST(students_draw_as_their_teachers) {
    static float want[FLOATS], before[FLOATS], after[FLOATS];
    dm_unet *teacher = new_network();
    train(teacher, NULL, 2e-3, 200);
    dm_unet *student = copy_of(teacher);
    sample(teacher, 2 * STEPS, want);
    sample(student, STEPS, before);
    losses l = train(student, teacher, 1e-3, 200);
    sample(student, STEPS, after);
    double untrained = mean_square(before, want), trained = mean_square(after, want);
    ck_assert_msg(trained < 0.4 * untrained, "the mean square fell from %.4f to %.4f", untrained,
                  trained);
    ck_assert_msg(l.last < 0.6 * l.first, "the loss fell from %.5f to %.5f", l.first, l.last);
    dm_unet_destroy(student);
    dm_unet_destroy(teacher);
}
END_TEST

Suite *test_distilled_suite(void);

Suite *test_distilled_suite(void) {
    Suite *suite = suite_create("distilled");
    TCase *tests = tcase_create("distilled");
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, students_draw_as_their_teachers);
    suite_add_tcase(suite, tests);
    return suite;
}
