/* SPDX-License-Identifier: MIT */
/* Recomputing in backward: the same bits as without, in less memory; which steps it takes is known
 * for a small graph. */
#include "autograd/ops.h"
#include "autograd/plan.h"
#include "base/cpu.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"
#include "train/trainer.h"
#include "unet/unet.h"

enum { DEGREES = DM_RECOMPUTE_BLOCKS + 1 };

/* ---- steps ---- */

enum { NODES = 5, STEPS_MAX = 3 * NODES };
enum { A = 0, B, C, D, E }; /* nodes */

/*     segment 0        segment 1        segment 2
 *     a = silu(x)      b = linear(a)    e = linear(d)
 *                      c = silu(b)
 *                      d = c + b
 * Backward of e reads d, which leaves its segment; that of d reads nothing, so that c is never made
 * again; that of c reads b, that of b reads a, that of a reads x. SiLU is one pass, so a is
 * recomputed although it leaves its segment. */
static const struct {
    int32_t count;
    dmi_step steps[STEPS_MAX];
} expected[DEGREES] = {
    {10,
     {{A, DMI_PHASE_FORWARD},
      {B, DMI_PHASE_FORWARD},
      {C, DMI_PHASE_FORWARD},
      {D, DMI_PHASE_FORWARD},
      {E, DMI_PHASE_FORWARD},
      {E, DMI_PHASE_BACKWARD},
      {D, DMI_PHASE_BACKWARD},
      {C, DMI_PHASE_BACKWARD},
      {B, DMI_PHASE_BACKWARD},
      {A, DMI_PHASE_BACKWARD}}},
    {11,
     {{A, DMI_PHASE_FORWARD},
      {B, DMI_PHASE_FORWARD},
      {C, DMI_PHASE_FORWARD},
      {D, DMI_PHASE_FORWARD},
      {E, DMI_PHASE_FORWARD},
      {E, DMI_PHASE_BACKWARD},
      {D, DMI_PHASE_BACKWARD},
      {C, DMI_PHASE_BACKWARD},
      {A, DMI_PHASE_RECOMPUTE},
      {B, DMI_PHASE_BACKWARD},
      {A, DMI_PHASE_BACKWARD}}},
    {12,
     {{A, DMI_PHASE_FORWARD},
      {B, DMI_PHASE_FORWARD},
      {C, DMI_PHASE_FORWARD},
      {D, DMI_PHASE_FORWARD},
      {E, DMI_PHASE_FORWARD},
      {E, DMI_PHASE_BACKWARD},
      {D, DMI_PHASE_BACKWARD},
      {A, DMI_PHASE_RECOMPUTE},
      {B, DMI_PHASE_RECOMPUTE},
      {C, DMI_PHASE_BACKWARD},
      {B, DMI_PHASE_BACKWARD},
      {A, DMI_PHASE_BACKWARD}}},
};

static dmi_value linear_of(dmi_graph *g, dmi_value x, const char *name) {
    int32_t index;
    dmi_value weight, y;
    ck_assert_int_eq(dmi_params_add(g->host, g->params, &index, name, 2, (int64_t[]){8, 8}, false),
                     DMI_OK);
    ck_assert_int_eq(dmi_graph_param(g, &weight, index), DMI_OK);
    ck_assert_int_eq(dmi_linear(g, &y, x, weight, DMI_NONE), DMI_OK);
    return y;
}

typedef struct small {
    dmi_host *host;
    dmi_params params;
    dmi_graph *g;
    dmi_value x; /* [2, 1, 1, 8] */
} small;

static void small_begin(small *s) {
    s->host = test_host_new(1);
    dmi_params_init(&s->params);
    ck_assert_int_eq(dmi_graph_create(s->host, &s->g, dmi_kernels_for(dmi_cpu_isa()), &s->params),
                     DMI_OK);
    ck_assert_int_eq(dmi_graph_input(s->g, &s->x, dmi_shape_of(2, 1, 1, 8), true), DMI_OK);
}

static void small_plan(small *s, const dmi_value *outputs, int32_t count, int32_t recompute) {
    s->g->train = true;
    s->g->recompute = recompute;
    ck_assert_int_eq(dmi_graph_plan_memory(s->g, outputs, count), DMI_OK);
}

static void small_end(small *s) {
    dmi_graph_destroy(s->g);
    dmi_params_free(s->host, &s->params);
    test_host_end(s->host);
}

START_TEST(steps_are_these) {
    small s;
    dmi_value a, b, c, d, e;
    small_begin(&s);
    ck_assert_int_eq(dmi_silu(s.g, &a, s.x), DMI_OK);
    dmi_graph_segment(s.g);
    b = linear_of(s.g, a, "b");
    ck_assert_int_eq(dmi_silu(s.g, &c, b), DMI_OK);
    ck_assert_int_eq(dmi_add_values(s.g, &d, c, b), DMI_OK);
    dmi_graph_segment(s.g);
    e = linear_of(s.g, d, "e");
    small_plan(&s, &e, 1, _i);
    for (int32_t i = 0; i < s.g->step_count && i < expected[_i].count; i++) {
        dmi_step got = s.g->steps[i], want = expected[_i].steps[i];
        ck_assert_msg(got.node == want.node && got.phase == want.phase,
                      "step %d: node %d, phase %d", (int)i, (int)got.node, (int)got.phase);
    }
    ck_assert_int_eq(s.g->step_count, expected[_i].count);
    small_end(&s);
}
END_TEST

/* Nodes 0 to 2 make q, k and v; node 3 is attention, whose backward reads its own output, and the
 * only one that does. */
START_TEST(an_output_that_backward_reads_is_recomputed) {
    small s;
    dmi_value q, k, v, attended, sum, y;
    small_begin(&s);
    dmi_graph_segment(s.g);
    q = linear_of(s.g, s.x, "q");
    k = linear_of(s.g, s.x, "k");
    v = linear_of(s.g, s.x, "v");
    ck_assert_int_eq(dmi_attention(s.g, &attended, q, k, v, 1), DMI_OK);
    ck_assert_int_eq(dmi_add_values(s.g, &sum, attended, s.x), DMI_OK);
    dmi_graph_segment(s.g);
    y = linear_of(s.g, sum, "y");
    small_plan(&s, &y, 1, DM_RECOMPUTE_BLOCKS);
    int32_t recomputed[6] = {0};
    for (int32_t i = 0; i < s.g->step_count; i++)
        recomputed[s.g->steps[i].node] += s.g->steps[i].phase == DMI_PHASE_RECOMPUTE;
    for (int32_t i = 0; i < 6; i++) ck_assert_int_eq(recomputed[i], i < 4);
    small_end(&s);
}
END_TEST

/* The caller reads outputs when it likes. */
START_TEST(outputs_stay) {
    small s;
    dmi_value y[2];
    small_begin(&s);
    ck_assert_int_eq(dmi_silu(s.g, &y[0], s.x), DMI_OK);
    ck_assert_int_eq(dmi_silu(s.g, &y[1], y[0]), DMI_OK);
    small_plan(&s, y, 2, DM_RECOMPUTE_SELECTIVE);
    ck_assert_int_eq(s.g->step_count, 4);
    small_end(&s);
}
END_TEST

/* ---- the same bits ---- */

enum { TIME_EMBEDDINGS = 3, VARIANTS = 2 * TIME_EMBEDDINGS };

/* Between them: every time embedding, attention of several heads, classes, dropout, and the
 * mid block's attention; each in both precisions. */
static dm_unet_options variant(int32_t number) {
    dm_unet_options o = network_options();
    int32_t which = number % TIME_EMBEDDINGS;
    o.precision = number < TIME_EMBEDDINGS ? DM_PRECISION_F32 : DM_PRECISION_BF16;
    o.time_embedding = which;
    o.mid_attention = which == DM_TIME_SCALE_SHIFT;
    o.dropout = which == DM_TIME_ADD ? 0 : 0.3f;
    return o;
}
static const int32_t thread_counts[] = {1, 2, 5};
enum { THREAD_COUNTS = sizeof thread_counts / sizeof *thread_counts };

static dm_context *context_of(int32_t threads, uint64_t memory_limit) {
    dm_context_options o;
    dm_context *context;
    ck_assert_int_eq(dm_context_options_init(&o, sizeof o), DM_OK);
    o.threads = threads;
    o.memory_limit = memory_limit;
    ck_assert_int_eq(dm_context_create(&context, &o, NULL, 0), DM_OK);
    return context;
}

/* Output and all gradients of one run, then of a second one that adds to them; to be freed. */
static float *run(int32_t which, int32_t threads, int32_t recompute, size_t *floats) {
    dm_context *context = context_of(threads, 0);
    dm_unet_options o = variant(which);
    dm_unet *unet;
    dmi_unet_graph u;
    static network_input in;
    test_accepted(context, dm_unet_create(&unet, context, &o, 1));
    network_randomize(unet, 2);
    test_accepted(context, dmi_params_allocate_gradient(&context->host, &unet->weights->params));
    test_accepted(context, dmi_unet_graph_create(unet, &u, NETWORK_IMAGES, true, recompute));
    dmi_graph *g = u.graph;
    size_t n = NETWORK_IMAGES * NETWORK_ELEMENTS, gradients = unet->weights->params.floats;
    *floats = n + gradients;
    float *result = calloc(*floats, sizeof *result);
    ck_assert_ptr_nonnull(result);
    network_give(&in);
    g->dropout_seed = 7;
    for (int32_t pass = 0; pass < 2; pass++) {
        memcpy(dmi_graph_data(g, u.x), in.x, n * sizeof(float));
        memcpy(dmi_graph_data(g, u.t), in.timesteps, sizeof in.timesteps);
        for (int32_t i = 0; i < NETWORK_IMAGES; i++)
            dmi_graph_data(g, u.labels)[i] = (float)(i % NETWORK_CLASSES);
        g->dropout_step = (uint64_t)pass;
        g->add_to_params = pass > 0;
        dmi_graph_forward(g);
        test_fill(dmi_graph_gradient(g, u.output), n, 8, 1);
        dmi_graph_backward(g);
    }
    memcpy(result, dmi_graph_data(g, u.output), n * sizeof *result);
    for (int32_t i = 0; i < unet->weights->params.count; i++) { /* not what lies between them */
        const dmi_param *p = &unet->weights->params.items[i];
        memcpy(result + n + p->offset, unet->weights->params.gradient + p->offset,
               p->count * sizeof *result);
    }
    dmi_unet_graph_destroy(&u);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    return result;
}

START_TEST(gradients_have_the_same_bits) {
    size_t floats;
    float *want = run(_i, 1, DM_RECOMPUTE_NONE, &floats);
    double sum = 0;
    for (size_t i = 0; i < floats; i++) sum += fabs((double)want[i]);
    ck_assert(isfinite(sum) && sum > 1);
    for (int32_t k = 0; k < THREAD_COUNTS; k++)
        for (int32_t recompute = DM_RECOMPUTE_SELECTIVE; recompute < DEGREES; recompute++) {
            float *got = run(_i, thread_counts[k], recompute, &floats);
            ck_assert_msg(!memcmp(got, want, floats * sizeof *got), "recompute %d, %d threads",
                          (int)recompute, (int)thread_counts[k]);
            free(got);
        }
    free(want);
}
END_TEST

enum { TRAINING_STEPS = 4 };

static training_setup all_options(void) {
    training_setup setup = training_default();
    setup.classes = TRAINING_CLASSES;
    setup.dropout = 0.2f;
    setup.options.accumulation = 2;
    setup.options.flip = 1;
    return setup;
}

/* Losses and norms of the steps, and the trainer's state after them. */
START_TEST(training_has_the_same_bits) {
    double want[TRAINING_STEPS][2];
    float *state = NULL;
    size_t floats = 0;
    for (int32_t run_number = 0; run_number < DEGREES * THREAD_COUNTS; run_number++) {
        training t;
        training_setup setup = all_options();
        setup.threads = thread_counts[run_number / DEGREES];
        setup.options.recompute = run_number % DEGREES;
        training_begin(&t, &setup);
        for (int32_t i = 0; i < TRAINING_STEPS; i++) {
            dm_train_stats stats = {.struct_size = sizeof stats};
            training_require(&t, dm_trainer_step(t.trainer, &stats));
            if (run_number == 0) want[i][0] = stats.loss, want[i][1] = stats.gradient_norm;
            ck_assert_msg(stats.loss == want[i][0] && stats.gradient_norm == want[i][1],
                          "run %d, step %d: loss %.17g, not %.17g", (int)run_number, (int)i,
                          stats.loss, want[i][0]);
        }
        if (state) training_same_state(&t, state, floats);
        else state = training_state(&t, &floats);
        training_end(&t);
    }
    free(state);
}
END_TEST

/* ---- less memory ---- */

/* Where only the degree with the least memory fits, it trains and the others are refused. */
START_TEST(recomputing_fits_a_smaller_limit) {
    uint64_t used[DEGREES];
    for (int32_t pass = 0; pass < 2; pass++)
        for (int32_t recompute = 0; recompute < DEGREES; recompute++) {
            uint64_t limit =
                pass ? used[DEGREES - 1] + 100000 : 0; /* the planner needs room of its own */
            dm_context *context = context_of(1, limit);
            dm_unet *unet;
            dm_schedule *schedule;
            dm_trainer *trainer;
            dm_unet_options o = variant(DM_TIME_ADD);
            dm_trainer_options t;
            o.width = o.height = 32;
            test_accepted(context, dm_unet_create(&unet, context, &o, 1));
            test_accepted(context, dm_schedule_create(&schedule, context, NULL));
            test_accepted(context, dm_trainer_options_init(&t, sizeof t));
            t.batch_size = 8;
            t.recompute = recompute;
            int32_t status = dm_trainer_create(&trainer, unet, schedule, NULL, &t);
            if (pass && recompute < DEGREES - 1)
                test_refused(context, status, DM_ERROR_LIMIT_EXCEEDED, "network: its plan");
            else test_accepted(context, status);
            if (!pass)
                test_accepted(context,
                              dm_context_get_memory(context, &used[recompute], NULL, NULL));
            dm_trainer_destroy(trainer);
            dm_schedule_destroy(schedule);
            dm_unet_destroy(unet);
            dm_context_destroy(context);
        }
    ck_assert_msg(used[1] < used[0] && used[2] < used[1], "%llu, %llu, %llu bytes",
                  (unsigned long long)used[0], (unsigned long long)used[1],
                  (unsigned long long)used[2]);
}
END_TEST

/* ---- checkpoints ---- */

/* The bytes of a file with `from` replaced by `to`, which is as long. */
static void change_file(const char *path, const char *from, const char *to) {
    size_t size, length = strlen(from), at = 0;
    uint8_t *bytes = training_read_file(path, &size);
    test_drop_checksums(bytes, size);
    while (at + length <= size && memcmp(bytes + at, from, length) != 0) at++;
    ck_assert_msg(at + length <= size, "the file has no %s", from);
    ck_assert_uint_eq(strlen(to), length);
    memcpy(bytes + at, to, length);
    training_write_file(path, bytes, size);
    free(bytes);
}

/* A checkpoint holds the option; one without it, of before there was the option, means none; and
 * either continues with the same bits. */
START_TEST(checkpoints_keep_the_option) {
    char path[256];
    size_t floats;
    training t;
    training_setup setup = all_options();
    dm_trainer_options got;
    snprintf(path, sizeof path, "%s/recompute.safetensors", test_folder());
    setup.options.recompute = DM_RECOMPUTE_BLOCKS;
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, path));
    training_require(&t, dm_trainer_run(t.trainer, 4, NULL, NULL));
    float *state = training_state(&t, &floats);
    training_end(&t);
    for (int32_t recompute = DM_RECOMPUTE_BLOCKS; recompute >= DM_RECOMPUTE_NONE; recompute -= 2) {
        if (recompute == DM_RECOMPUTE_NONE)
            change_file(path, "\"trainer.recompute\":\"2\"", "\"trainer.recompute\":\"0\"");
        training_prepare(&t, &setup);
        training_require(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, path));
        training_require(&t, dm_trainer_get_options(t.trainer, &got, sizeof got));
        ck_assert_int_eq(got.recompute, recompute);
        training_require(&t, dm_trainer_run(t.trainer, 4, NULL, NULL));
        training_same_state(&t, state, floats);
        training_end(&t);
    }
    change_file(path, "\"trainer.recompute\":\"0\"", "\"trainer.recompute\":\"7\"");
    training_prepare(&t, &setup);
    training_expect(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, path), DM_ERROR_BAD_FORMAT,
                    "'recompute' is 7");
    training_end(&t);
    free(state);
}
END_TEST

Suite *test_recompute_suite(void);
Suite *test_recompute_suite(void) {
    Suite *suite = suite_create("recompute");
    TCase *tcase = tcase_create("recompute");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, steps_are_these, 0, DEGREES);
    tcase_add_test(tcase, an_output_that_backward_reads_is_recomputed);
    tcase_add_test(tcase, outputs_stay);
    tcase_add_test(tcase, training_has_the_same_bits);
    tcase_add_test(tcase, recomputing_fits_a_smaller_limit);
    tcase_add_test(tcase, checkpoints_keep_the_option);
    suite_add_tcase(suite, tcase);
    TCase *slow = tcase_create("gradients");
    tcase_set_timeout(slow, 30);
    tcase_set_tags(slow, "slow"); /* under a memory checker */
    tcase_add_loop_test(slow, gradients_have_the_same_bits, 0, VARIANTS);
    suite_add_tcase(suite, slow);
    return suite;
}
