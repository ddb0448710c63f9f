/* SPDX-License-Identifier: MIT */
/* The planner: buffers that are in use at the same time never share memory, by live ranges that the
 * test derives from what operations read and write; nothing reads what was not written; and
 * sharing reduces the arena. */
#include "autograd/plan.h"

#include "base/cpu.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"
#include "unet/build.h"
#include "unet/unet.h"

/* ---- live ranges ---- */

/* Times are indices of steps. The caller writes gradients of outputs before backward's first, and
 * reads after the last. */
typedef struct live_range {
    size_t at, floats;
    int32_t first, last;
    const char *what;
    int32_t number;
} live_range;

typedef struct live_ranges {
    const dmi_graph *graph;
    dmi_value output;
    bool *runs;          /* [nodes] its backward runs */
    bool *has_gradient;  /* [values] its gradient is computed */
    int32_t *recomputed; /* [nodes] when its forward is run again, or -1 */
    int32_t *back;       /* [nodes] when its backward is run, or -1 */
    live_range *items;
    int32_t count;
    size_t sum; /* of all buffers */
} live_ranges;

static void add_range(live_ranges *l, size_t at, size_t floats, int32_t first, int32_t last,
                      const char *what, int32_t number) {
    if (!floats) return;
    ck_assert_msg(at != SIZE_MAX && at + floats <= l->graph->arena_floats && at % 16 == 0,
                  "%s %d is at %zu", what, number, at);
    l->items[l->count++] = (live_range){at, floats, first, last, what, number};
}

/* What is written at step `made` and last read at read[0], and, unless `recomputed` is -1, written
 * there and last read at read[1]. */
static void add_ranges(live_ranges *l, size_t at, size_t floats, int32_t made, int32_t recomputed,
                       const int32_t read[2], const char *what, int32_t number) {
    l->sum += floats;
    add_range(l, at, floats, made, read[0] > made ? read[0] : made, what, number);
    if (recomputed >= 0)
        add_range(l, at, floats, recomputed, read[1] > recomputed ? read[1] : recomputed, what,
                  number);
}

static bool has_input(const dmi_node *n, dmi_value v) {
    for (int32_t k = 0; k < DMI_INPUTS_MAX; k++)
        if (n->inputs[k] == v) return true;
    return false;
}

/* Which gradients there are: of what is on a path from a parameter, or an input that requests it,
 * to the output. */
static void find_gradients(live_ranges *l) {
    const dmi_graph *g = l->graph;
    bool *reaches = calloc((size_t)g->value_count, 1);
    for (int32_t v = 0; v < g->value_count; v++)
        l->has_gradient[v] = g->values[v].kind == DMI_VALUE_PARAM ||
                             (g->values[v].kind == DMI_VALUE_INPUT && g->values[v].needs_gradient);
    for (int32_t i = 0; i < g->node_count; i++)
        for (int32_t k = 0; k < DMI_INPUTS_MAX; k++)
            if (g->nodes[i].inputs[k] != DMI_NONE && l->has_gradient[g->nodes[i].inputs[k]])
                l->has_gradient[g->nodes[i].output] = true;
    reaches[l->output] = true;
    for (int32_t i = g->node_count - 1; i >= 0; i--) {
        const dmi_node *n = &g->nodes[i];
        l->runs[i] = g->train && reaches[n->output] && l->has_gradient[n->output];
        for (int32_t k = 0; l->runs[i] && k < DMI_INPUTS_MAX; k++)
            if (n->inputs[k] != DMI_NONE) reaches[n->inputs[k]] = true;
    }
    for (int32_t v = 0; v < g->value_count; v++)
        l->has_gradient[v] = g->train && l->has_gradient[v] && reaches[v];
    free(reaches);
}

/* Forward runs all nodes in order; backward those that it must, the last first, and some forward
 * again before that. */
static void check_steps(live_ranges *l) {
    const dmi_graph *g = l->graph;
    int32_t next = g->node_count - 1, recomputed_count = 0;
    for (int32_t i = 0; i < g->node_count; i++) {
        ck_assert(g->steps[i].node == i && g->steps[i].phase == DMI_PHASE_FORWARD);
        l->recomputed[i] = l->back[i] = -1;
    }
    for (int32_t m = g->node_count; m < g->step_count; m++) {
        int32_t i = g->steps[m].node;
        ck_assert(g->steps[m].phase != DMI_PHASE_FORWARD && l->back[i] < 0);
        if (g->steps[m].phase == DMI_PHASE_RECOMPUTE) {
            ck_assert_int_lt(l->recomputed[i], 0);
            l->recomputed[i] = m;
            recomputed_count++;
            continue;
        }
        while (next >= 0 && !l->runs[next]) next--;
        ck_assert_int_eq(i, next--);
        l->back[i] = m;
    }
    while (next >= 0) ck_assert(!l->runs[next--]);
    ck_assert_int_eq(recomputed_count > 0, g->train && g->recompute);
}

/* Whether a step reads the data of v. */
static bool reads(const dmi_graph *g, dmi_step step, dmi_value v) {
    const dmi_node *n = &g->nodes[step.node];
    bool backward = step.phase == DMI_PHASE_BACKWARD;
    for (int32_t k = 0; k < DMI_INPUTS_MAX; k++)
        if (n->inputs[k] == v && (!backward || n->needs.reads >> k & 1)) return true;
    return backward && n->output == v && n->needs.reads & DMI_READS_OUTPUT;
}

static void data_ranges(live_ranges *l, dmi_value v) {
    const dmi_graph *g = l->graph;
    int32_t made = 0, recomputed = -1, read[2] = {-1, -1};
    if (g->values[v].kind == DMI_VALUE_PARAM) return;
    for (int32_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].output == v) made = i, recomputed = l->recomputed[i];
    for (int32_t m = 0; m < g->step_count; m++)
        if (reads(g, g->steps[m], v)) read[recomputed >= 0 && m > recomputed] = m;
    if (v == l->output || g->values[v].kind == DMI_VALUE_INPUT) read[0] = g->step_count;
    ck_assert_msg(recomputed < 0 || (v != l->output && read[1] > recomputed),
                  "value %d is recomputed and not read", (int)v);
    add_ranges(l, g->values[v].data_offset, dmi_shape_count(g->values[v].shape), made, recomputed,
               read, "data", v);
}

/* A gradient may alias the output gradient that it is a copy of, where nothing reads that one
 * afterwards: its node is the first to reach the gradient, and the output is not the caller's. */
static void check_alias(const live_ranges *l, dmi_value v) {
    const dmi_graph *g = l->graph;
    dmi_value output = g->values[v].alias_of;
    int32_t at = 0, times = 0;
    while (g->nodes[at].output != output) at++;
    const dmi_node *n = &g->nodes[at];
    for (int32_t k = 0; k < DMI_INPUTS_MAX; k++) times += n->inputs[k] == v;
    ck_assert_int_eq(times, 1);
    ck_assert_int_eq(n->inputs[n->needs.gradient_alias], v);
    ck_assert(!n->accumulates[n->needs.gradient_alias] && output != l->output && v != l->output);
    for (int32_t i = at + 1; i < g->node_count; i++)
        ck_assert(!l->runs[i] || !has_input(&g->nodes[i], v));
    ck_assert_uint_eq(g->values[v].gradient_offset, g->values[output].gradient_offset);
}

/* From the first node that reaches it to the one that made the value, over all values that alias
 * it. */
static void gradient_range(live_ranges *l, dmi_value root) {
    const dmi_graph *g = l->graph;
    int32_t end = g->step_count, first = end, last = 0;
    if (!l->has_gradient[root] || g->values[root].kind == DMI_VALUE_PARAM ||
        g->values[root].alias_of != DMI_NONE)
        return;
    for (dmi_value v = 0; v < g->value_count; v++) {
        dmi_value of = v;
        while (g->values[of].alias_of != DMI_NONE) of = g->values[of].alias_of;
        if (of != root) continue;
        if (v == l->output) first = g->node_count, last = end;
        if (g->values[v].kind == DMI_VALUE_INPUT) last = end;
        for (int32_t i = 0; i < g->node_count; i++) {
            if (!l->runs[i] || (g->nodes[i].output != v && !has_input(&g->nodes[i], v))) continue;
            if (first > l->back[i]) first = l->back[i];
            if (last < l->back[i]) last = l->back[i];
        }
    }
    l->sum += dmi_shape_count(g->values[root].shape);
    add_range(l, g->values[root].gradient_offset, dmi_shape_count(g->values[root].shape), first,
              last, "gradient", root);
}

/* A gradient is added to where it was written before: by a later node, by an earlier input of the
 * same, or by the caller. */
static void check_accumulates(const live_ranges *l, int32_t node) {
    const dmi_graph *g = l->graph;
    const dmi_node *n = &g->nodes[node];
    for (int32_t k = 0; k < DMI_INPUTS_MAX; k++) {
        dmi_value v = n->inputs[k];
        if (v == DMI_NONE || !l->has_gradient[v] || g->values[v].kind == DMI_VALUE_PARAM) continue;
        bool there = v == l->output;
        for (int32_t j = 0; j < k; j++) there = there || n->inputs[j] == v;
        for (int32_t i = node + 1; i < g->node_count; i++)
            there = there || (l->runs[i] && has_input(&g->nodes[i], v));
        ck_assert_msg(n->accumulates[k] == there, "node %d (%s), input %d", (int)node, n->op->name,
                      (int)k);
    }
}

/* What a node has besides its output. */
static void node_ranges(live_ranges *l, int32_t i) {
    const dmi_node *n = &l->graph->nodes[i];
    int32_t recomputed = l->recomputed[i], back = l->back[i], never[2] = {-1, -1},
            read[2] = {-1, -1};
    read[recomputed >= 0] = back;
    add_ranges(l, n->saved, n->needs.saved, i, recomputed, read, "saved", i);
    add_ranges(l, n->forward_work, n->needs.forward_work, i, recomputed, never, "forward_work", i);
    if (back >= 0)
        add_ranges(l, n->backward_work, n->needs.backward_work, back, -1, never, "backward_work",
                   i);
}

static live_ranges live_ranges_of(const dmi_graph *g, dmi_value output) {
    size_t nodes = (size_t)g->node_count, values = (size_t)g->value_count;
    live_ranges l = {.graph = g,
                     .output = output,
                     .runs = calloc(nodes, 1),
                     .has_gradient = calloc(values, 1),
                     .recomputed = calloc(2 * nodes, sizeof *l.recomputed)};
    l.back = l.recomputed + nodes;
    l.items = calloc(3 * values + 6 * nodes, sizeof *l.items);
    find_gradients(&l);
    check_steps(&l);
    for (dmi_value v = 0; v < g->value_count; v++) {
        data_ranges(&l, v);
        gradient_range(&l, v);
        if (g->train && l.has_gradient[v] && g->values[v].alias_of != DMI_NONE) check_alias(&l, v);
    }
    for (int32_t i = 0; i < g->node_count; i++) {
        node_ranges(&l, i);
        if (l.runs[i]) check_accumulates(&l, i);
    }
    return l;
}

static void free_live_ranges(live_ranges *l) {
    free(l->items);
    free(l->recomputed);
    free(l->runs);
    free(l->has_gradient);
}

static void check_apart(const live_ranges *l) {
    for (int32_t i = 0; i < l->count; i++)
        for (int32_t k = 0; k < i; k++) {
            const live_range *a = &l->items[i], *b = &l->items[k];
            if (a->first > b->last || b->first > a->last) continue;
            if (a->at >= b->at + b->floats || b->at >= a->at + a->floats) continue;
            ck_abort_msg("%s %d (steps %d to %d) and %s %d (%d to %d) share memory", a->what,
                         (int)a->number, (int)a->first, (int)a->last, b->what, (int)b->number,
                         (int)b->first, (int)b->last);
        }
}

/* What is in use at the peak step: no plan is smaller. */
static size_t peak_floats(const live_ranges *l) {
    size_t peak = 0;
    for (int32_t step = 0; step <= l->graph->step_count; step++) {
        size_t floats = 0;
        for (int32_t i = 0; i < l->count; i++)
            if (l->items[i].first <= step && l->items[i].last >= step) floats += l->items[i].floats;
        if (floats > peak) peak = floats;
    }
    return peak;
}

/* ---- whole networks, planned without taking the memory ---- */

typedef struct planned {
    dmi_host *host;
    dmi_params params;
    dmi_unet_graph built;
} planned;

/* All modes: to be run, and to be trained with each degree of recomputing. */
enum { MODES = 4 };

/* false where the buffers are more than a 32-bit machine addresses. */
static bool plan_network(planned *p, const dm_unet_options *options, int32_t batch, int32_t mode) {
    bool train = mode > 0;
    dmi_graph *graph;
    p->host = test_host_new(2);
    dmi_params_init(&p->params);
    ck_assert_int_eq(dmi_graph_create(p->host, &graph, dmi_kernels_for(dmi_cpu_isa()), &p->params),
                     DMI_OK);
    ck_assert_int_eq(dmi_unet_build(graph, options, batch, train, &p->built), DM_OK);
    graph->train = train;
    graph->recompute =
        train ? mode - 1 : DMI_RECOMPUTE_BLOCKS; /* which has no meaning where nothing is trained */
    const int32_t status = dmi_graph_plan_memory(graph, &p->built.output, 1);
    const bool too_large = status == DMI_ERROR_LIMIT_EXCEEDED && sizeof(size_t) == 4;
    ck_assert(status == DMI_OK || (too_large && batch > 1));
    return !too_large;
}

static void free_planned(planned *p) {
    dmi_graph_destroy(p->built.graph);
    dmi_params_free(p->host, &p->params);
    test_host_end(p->host);
}

/* Options that between them use every operation and every time embedding. */
static dm_unet_options variant(int32_t which) {
    dm_unet_options o = network_options();
    if (which == 3) ck_assert_int_eq(dm_unet_options_init(&o, sizeof o), DM_OK);
    else o.time_embedding = which;
    if (which == DM_TIME_ADD) o.mid_attention = 1, o.classes = 0, o.dropout = 0;
    return o;
}
enum { VARIANTS = 4 };

/* Several batch sizes, since what a buffer's neighbours are depends on all sizes. */
START_TEST(overlapping_live_ranges_have_separate_memory) {
    static const int32_t batch_sizes[] = {1, 3, 8, 64};
    dm_unet_options o = variant(_i % VARIANTS);
    int32_t mode = _i / VARIANTS;
    for (size_t k = 0; k < sizeof batch_sizes / sizeof *batch_sizes; k++) {
        planned p;
        if (!plan_network(&p, &o, batch_sizes[k], mode)) {
            free_planned(&p);
            continue;
        }
        live_ranges l = live_ranges_of(p.built.graph, p.built.output);
        int32_t shared = 0;
        for (dmi_value v = 0; v < p.built.graph->value_count; v++)
            shared += p.built.graph->values[v].alias_of != DMI_NONE;
        ck_assert_int_gt(l.count, 50);
        if (mode) ck_assert_int_gt(shared, 5); /* every residual block's, at least */
        check_apart(&l);
        free_live_ranges(&l);
        free_planned(&p);
    }
}
END_TEST

/* The presets at the batch sizes that are measured: the plan is a small part of all its buffers,
 * and close to the lower bound, what is live at the peak step. Measured on base 64: 0.12 of the
 * buffers to run it; 0.28 to train it; 0.18 with memory-bound operations recomputed, 0.11 with
 * whole blocks; 1.025 of the peak step at most. With either of the planner's two orders alone it
 * would be 1.034. */
START_TEST(sharing_reduces_the_arena) {
    static const int32_t batch_sizes[] = {
        [DM_PRESET_TINY] = 64, [DM_PRESET_SMALL] = 16, [DM_PRESET_DDPM_CIFAR10] = 4};
    static const double shares[MODES] = {0.14, 0.33, 0.20, 0.13};
    dm_unet_options o;
    int32_t preset = _i / MODES, mode = _i % MODES;
    ck_assert_int_eq(dm_unet_options_preset(&o, sizeof o, preset), DM_OK);
    planned p, again;
    if (!plan_network(&p, &o, batch_sizes[preset], mode)) {
        free_planned(&p);
        return;
    }
    live_ranges l = live_ranges_of(p.built.graph, p.built.output);
    size_t arena = p.built.graph->arena_floats;
    double share = (double)arena / (double)l.sum, over = (double)arena / (double)peak_floats(&l);
    ck_assert_msg(preset != DM_PRESET_SMALL || share < shares[mode], "%.3f of all buffers", share);
    ck_assert_msg(over >= 1 && over < 1.03, "%.3f of the peak step", over);
    ck_assert(plan_network(&again, &o, batch_sizes[preset], mode));
    for (dmi_value v = 0; v < p.built.graph->value_count; v++) /* and it is always the same plan */
        ck_assert_uint_eq(p.built.graph->values[v].data_offset,
                          again.built.graph->values[v].data_offset);
    free_planned(&again);
    free_live_ranges(&l);
    free_planned(&p);
}
END_TEST

/* ---- fill values ---- */

static void fill(float *to, size_t count, float value) {
    for (size_t i = 0; i < count; i++) to[i] = value;
}

/* One run in an arena, and gradients, full of `fill_value`; the output, then every parameter's
 * gradient, to be freed. */
static float *run_in(dm_unet *unet, dmi_unet_graph *u, float fill_value, size_t *floats) {
    static network_input in;
    dmi_graph *g = u->graph;
    const dmi_params *params = &unet->weights->params;
    size_t n = (size_t)u->batch * NETWORK_ELEMENTS;
    network_give(&in);
    fill(g->arena, g->arena_floats, fill_value);
    for (int32_t i = 0; i < g->node_count; i++)
        if (g->nodes[i].cached)
            fill(dmi_cached_weight_data(g->nodes[i].cached), g->nodes[i].needs.cached.floats,
                 fill_value);
    memcpy(dmi_graph_data(g, u->x), in.x, n * sizeof(float));
    memcpy(dmi_graph_data(g, u->t), in.timesteps, (size_t)u->batch * sizeof(float));
    for (int32_t i = 0; u->labels != DMI_NONE && i < u->batch; i++)
        dmi_graph_data(g, u->labels)[i] = (float)(i % NETWORK_CLASSES);
    unet->weights->params.version++; /* cached weights are computed again */
    dmi_graph_forward(g);
    *floats = n + (g->train ? params->elements : 0);
    float *result = malloc(*floats * sizeof *result);
    memcpy(result, dmi_graph_data(g, u->output), n * sizeof(float));
    if (!g->train) return result;
    fill(params->gradient, params->floats, fill_value);
    test_fill(dmi_graph_gradient(g, u->output), n, 8, 1);
    dmi_graph_backward(g);
    size_t at = n;
    for (int32_t i = 0; i < params->count; i++) {
        const dmi_param *p = &params->items[i];
        memcpy(result + at, params->gradient + p->offset, p->count * sizeof(float));
        at += p->count;
    }
    return result;
}

START_TEST(nothing_is_read_before_it_is_written) {
    static const float fill_values[] = {NAN, 1e30f};
    int32_t mode = _i / 3;
    bool train = mode > 0;
    dm_context *context = test_context_new(NULL, 0);
    dm_unet_options o = variant(_i % 3);
    dm_unet *unet;
    dmi_unet_graph u;
    size_t floats;
    test_accepted(context, dm_unet_create(&unet, context, &o, 1));
    network_randomize(unet, 2);
    if (train)
        test_accepted(context,
                      dmi_params_allocate_gradient(&context->host, &unet->weights->params));
    test_accepted(context, dmi_unet_graph_create(unet, &u, 2, train, train ? mode - 1 : 0));
    float *clean = run_in(unet, &u, 0, &floats);
    for (size_t i = 0; i < floats; i++) ck_assert(isfinite(clean[i]));
    for (size_t k = 0; k < sizeof fill_values / sizeof *fill_values; k++) {
        float *got = run_in(unet, &u, fill_values[k], &floats);
        ck_assert_msg(!memcmp(got, clean, floats * sizeof *got), "%g", (double)fill_values[k]);
        free(got);
    }
    free(clean);
    dmi_unet_graph_destroy(&u);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* ---- what a step costs ---- */

START_TEST(a_step_allocates_nothing) {
    training t;
    training_given given;
    uint64_t used, peak, allocations, now[3];
    training_setup setup = training_default();
    setup.threads = 2;
    setup.dropout = 0.1f;
    setup.options.recompute = _i;
    training_begin(&t, &setup);
    training_give(&given, 4);
    training_require(&t, dm_context_get_memory(t.context, &used, &peak, &allocations));
    for (int32_t i = 0; i < 5; i++) {
        training_require(&t, i % 2 ? dm_trainer_step(t.trainer, NULL)
                                   : dm_trainer_step_batch(t.trainer, &given.batch, NULL));
        training_require(&t, dm_context_get_memory(t.context, &now[0], &now[1], &now[2]));
        ck_assert(now[0] == used && now[1] == peak && now[2] == allocations);
    }
    training_end(&t);
}
END_TEST

Suite *test_plan_suite(void);
Suite *test_plan_suite(void) {
    Suite *suite = suite_create("plan");
    TCase *tcase = tcase_create("plan");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, nothing_is_read_before_it_is_written, 0, 6);
    tcase_add_loop_test(tcase, a_step_allocates_nothing, DM_RECOMPUTE_NONE,
                        DM_RECOMPUTE_BLOCKS + 1);
    suite_add_tcase(suite, tcase);
    TCase *slow = tcase_create("large");
    tcase_set_timeout(slow, 30);
    tcase_set_tags(slow, "slow"); /* under a memory checker */
    tcase_add_loop_test(slow, nothing_is_read_before_it_is_written, 6, 3 * MODES);
    tcase_add_loop_test(slow, overlapping_live_ranges_have_separate_memory, 0, MODES * VARIANTS);
    tcase_add_loop_test(slow, sharing_reduces_the_arena, 0, 3 * MODES);
    suite_add_tcase(suite, slow);
    return suite;
}
