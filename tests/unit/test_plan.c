/* The planner: buffers that are in use at the same time never share memory, by lives that the test works out anew from what
 * operations read and write; nothing reads what was not written; and sharing is worth while. */
#include "autograd/plan.h"

#include "base/cpu.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"
#include "unet.h"
#include "unet_build.h"

/* ---- lives ---- */

/* Forward runs node i at moment i, backward at 2N - 1 - i; the caller writes gradients of outputs
 * between, and reads at 2N. */
typedef struct life {
    size_t at, floats;
    int32_t first, last;
    const char *what;
    int32_t number;
} life;

typedef struct lives {
    const dmi_graph *graph;
    dmi_value output;
    bool *runs;     /* [nodes] its backward runs */
    bool *wanted;   /* [values] its gradient is computed */
    life *items;
    int32_t count;
    size_t sum;
} lives;

static int32_t back(const lives *l, int32_t node) { return 2 * l->graph->node_count - 1 - node; }

static void add_life(lives *l, size_t at, size_t floats, int32_t first, int32_t last, const char *what, int32_t number) {
    if (!floats) return;
    ck_assert_msg(at != SIZE_MAX && at + floats <= l->graph->arena_floats && at % 16 == 0, "%s %d is at %zu", what,
                  number, at);
    l->items[l->count++] = (life){at, floats, first, last, what, number};
    l->sum += floats;
}

static bool has_input(const dmi_node *n, dmi_value v) {
    for (int32_t k = 0; k < DMI_MAX_INPUTS; k++)
        if (n->inputs[k] == v) return true;
    return false;
}

/* Which gradients there are: of what leads from a parameter, or an input that asks for it, to the output. */
static void find_wanted(lives *l) {
    const dmi_graph *g = l->graph;
    bool *reaches = calloc((size_t)g->value_count, 1);
    for (int32_t v = 0; v < g->value_count; v++)
        l->wanted[v] = g->values[v].kind == DMI_VALUE_PARAM ||
                       (g->values[v].kind == DMI_VALUE_INPUT && g->values[v].gradient);
    for (int32_t i = 0; i < g->node_count; i++)
        for (int32_t k = 0; k < DMI_MAX_INPUTS; k++)
            if (g->nodes[i].inputs[k] != DMI_NONE && l->wanted[g->nodes[i].inputs[k]]) l->wanted[g->nodes[i].output] = true;
    reaches[l->output] = true;
    for (int32_t i = g->node_count - 1; i >= 0; i--) {
        const dmi_node *n = &g->nodes[i];
        l->runs[i] = g->train && reaches[n->output] && l->wanted[n->output];
        for (int32_t k = 0; l->runs[i] && k < DMI_MAX_INPUTS; k++)
            if (n->inputs[k] != DMI_NONE) reaches[n->inputs[k]] = true;
    }
    for (int32_t v = 0; v < g->value_count; v++) l->wanted[v] = g->train && l->wanted[v] && reaches[v];
    free(reaches);
}

static void data_life(lives *l, dmi_value v) {
    const dmi_graph *g = l->graph;
    int32_t end = 2 * g->node_count, first = 0, last = 0;
    if (g->values[v].kind == DMI_VALUE_PARAM) return;
    for (int32_t i = 0; i < g->node_count; i++) {
        const dmi_node *n = &g->nodes[i];
        if (n->output == v) first = last = i;
        if (n->output == v && l->runs[i] && n->needs.reads & DMI_READS_OUTPUT) last = back(l, i);
        for (int32_t k = 0; k < DMI_MAX_INPUTS; k++) {
            if (n->inputs[k] != v) continue;
            int32_t moment = l->runs[i] && n->needs.reads >> k & 1 ? back(l, i) : i;
            if (last < moment) last = moment;
        }
    }
    if (v == l->output || g->values[v].kind == DMI_VALUE_INPUT) last = end;
    add_life(l, g->values[v].data_offset, dmi_shape_count(g->values[v].shape), first, last, "data", v);
}

/* A gradient may stand in the memory of the output's that it is a copy of, where nobody wants that any more: its node is the
 * first to reach the gradient, and the output is not the caller's. */
static void check_shares(const lives *l, dmi_value v) {
    const dmi_graph *g = l->graph;
    dmi_value output = g->values[v].shares;
    int32_t at = 0, times = 0;
    while (g->nodes[at].output != output) at++;
    const dmi_node *n = &g->nodes[at];
    for (int32_t k = 0; k < DMI_MAX_INPUTS; k++) times += n->inputs[k] == v;
    ck_assert_int_eq(times, 1);
    ck_assert_int_eq(n->inputs[n->needs.passes], v);
    ck_assert(!n->adds[n->needs.passes] && output != l->output && v != l->output);
    for (int32_t i = at + 1; i < g->node_count; i++) ck_assert(!l->runs[i] || !has_input(&g->nodes[i], v));
    ck_assert_uint_eq(g->values[v].gradient_offset, g->values[output].gradient_offset);
}

/* From the first node that reaches it to the one that made the value, over all values that share it. */
static void gradient_life(lives *l, dmi_value root) {
    const dmi_graph *g = l->graph;
    int32_t end = 2 * g->node_count, first = end, last = 0;
    if (!l->wanted[root] || g->values[root].kind == DMI_VALUE_PARAM || g->values[root].shares != DMI_NONE) return;
    for (dmi_value v = 0; v < g->value_count; v++) {
        dmi_value of = v;
        while (g->values[of].shares != DMI_NONE) of = g->values[of].shares;
        if (of != root) continue;
        if (v == l->output) first = g->node_count, last = end;
        if (g->values[v].kind == DMI_VALUE_INPUT) last = end;
        for (int32_t i = 0; i < g->node_count; i++) {
            if (!l->runs[i] || (g->nodes[i].output != v && !has_input(&g->nodes[i], v))) continue;
            if (first > back(l, i)) first = back(l, i);
            if (last < back(l, i)) last = back(l, i);
        }
    }
    add_life(l, g->values[root].gradient_offset, dmi_shape_count(g->values[root].shape), first, last, "gradient", root);
}

/* A gradient is added to where it was written before: by a later node, by an earlier input of the same, or by the caller. */
static void check_adds(const lives *l, int32_t node) {
    const dmi_graph *g = l->graph;
    const dmi_node *n = &g->nodes[node];
    for (int32_t k = 0; k < DMI_MAX_INPUTS; k++) {
        dmi_value v = n->inputs[k];
        if (v == DMI_NONE || !l->wanted[v] || g->values[v].kind == DMI_VALUE_PARAM) continue;
        bool there = v == l->output;
        for (int32_t j = 0; j < k; j++) there = there || n->inputs[j] == v;
        for (int32_t i = node + 1; i < g->node_count; i++) there = there || (l->runs[i] && has_input(&g->nodes[i], v));
        ck_assert_msg(n->adds[k] == there, "node %d (%s), input %d", (int)node, n->op->name, (int)k);
    }
}

static lives lives_of(const dmi_graph *g, dmi_value output) {
    lives l = {.graph = g, .output = output, .runs = calloc((size_t)g->node_count, 1),
               .wanted = calloc((size_t)g->value_count, 1)};
    l.items = calloc(2 * (size_t)g->value_count + 4 * (size_t)g->node_count, sizeof *l.items);
    find_wanted(&l);
    for (dmi_value v = 0; v < g->value_count; v++) {
        data_life(&l, v);
        gradient_life(&l, v);
        if (g->train && l.wanted[v] && g->values[v].shares != DMI_NONE) check_shares(&l, v);
    }
    for (int32_t i = 0; i < g->node_count; i++) {
        const dmi_node *n = &g->nodes[i];
        add_life(&l, n->saved, n->needs.saved, i, l.runs[i] ? back(&l, i) : i, "saved", i);
        add_life(&l, n->forward_work, n->needs.forward_work, i, i, "forward_work", i);
        if (!g->train) add_life(&l, n->kept, n->needs.kept, 0, 2 * g->node_count, "kept", i);
        if (l.runs[i]) add_life(&l, n->backward_work, n->needs.backward_work, back(&l, i), back(&l, i), "backward_work", i);
        if (l.runs[i]) check_adds(&l, i);
    }
    return l;
}

static void free_lives(lives *l) {
    free(l->items);
    free(l->runs);
    free(l->wanted);
}

static void check_apart(const lives *l) {
    for (int32_t i = 0; i < l->count; i++)
        for (int32_t k = 0; k < i; k++) {
            const life *a = &l->items[i], *b = &l->items[k];
            if (a->first > b->last || b->first > a->last) continue;
            if (a->at >= b->at + b->floats || b->at >= a->at + a->floats) continue;
            ck_abort_msg("%s %d (moments %d to %d) and %s %d (%d to %d) share memory", a->what, (int)a->number,
                         (int)a->first, (int)a->last, b->what, (int)b->number, (int)b->first, (int)b->last);
        }
}

/* What is in use at the fullest moment: no plan is smaller. */
static size_t fullest(const lives *l) {
    size_t most = 0;
    for (int32_t moment = 0; moment <= 2 * l->graph->node_count; moment++) {
        size_t floats = 0;
        for (int32_t i = 0; i < l->count; i++)
            if (l->items[i].first <= moment && l->items[i].last >= moment) floats += l->items[i].floats;
        if (floats > most) most = floats;
    }
    return most;
}

/* ---- whole networks, planned without taking the memory ---- */

typedef struct planned {
    dmi_host *host;
    dmi_params params;
    dmi_unet_graph built;
} planned;

static void plan_network(planned *p, const dm_unet_options *options, int32_t batch, bool train) {
    dmi_graph *graph;
    p->host = test_host_new(2);
    dmi_params_init(&p->params);
    ck_assert_int_eq(dmi_graph_create(p->host, &graph, dmi_kernels_for(dmi_cpu_isa()), &p->params), DMI_OK);
    ck_assert_int_eq(dmi_unet_build(graph, options, batch, train, &p->built), DM_OK);
    graph->train = train;
    ck_assert_int_eq(dmi_plan(graph, &p->built.output, 1), DMI_OK);
}

static void free_planned(planned *p) {
    dmi_graph_destroy(p->built.graph);
    dmi_params_free(p->host, &p->params);
    test_host_end(p->host);
}

/* Options that between them use every operation and every way that time enters. */
static dm_unet_options variant(int32_t which) {
    dm_unet_options o = network_options();
    if (which == 3) ck_assert_int_eq(dm_unet_options_init(&o, sizeof o), DM_OK);
    else o.time_embedding = which;
    if (which == DM_TIME_ADD) o.mid_attention = 1, o.classes = 0, o.dropout = 0;
    return o;
}
enum { VARIANTS = 4 };

/* Several batch sizes, since what a buffer's neighbours are depends on all sizes. */
START_TEST(what_lives_together_lies_apart) {
    static const int32_t batch_sizes[] = {1, 3, 8, 64};
    dm_unet_options o = variant(_i % VARIANTS);
    bool train = _i >= VARIANTS;
    for (size_t k = 0; k < sizeof batch_sizes / sizeof *batch_sizes; k++) {
        planned p;
        plan_network(&p, &o, batch_sizes[k], train);
        lives l = lives_of(p.built.graph, p.built.output);
        int32_t shared = 0;
        for (dmi_value v = 0; v < p.built.graph->value_count; v++) shared += p.built.graph->values[v].shares != DMI_NONE;
        ck_assert_int_gt(l.count, 50);
        if (train) ck_assert_int_gt(shared, 5); /* every residual block's, at least */
        check_apart(&l);
        free_lives(&l);
        free_planned(&p);
    }
}
END_TEST

/* The network of base 64 at a batch of 16: the plan is a small part of all its buffers, and close to what cannot be less.
 * Measured in training: 0.26 of them, and 1.01 of the least; in inference 0.31, as transformed weights stay, and 1.00. */
START_TEST(sharing_is_worth_while) {
    dm_unet_options o;
    bool train = _i;
    ck_assert_int_eq(dm_unet_options_init(&o, sizeof o), DM_OK);
    planned p, again;
    plan_network(&p, &o, 16, train);
    lives l = lives_of(p.built.graph, p.built.output);
    size_t arena = p.built.graph->arena_floats;
    double share = (double)arena / (double)l.sum, over = (double)arena / (double)fullest(&l);
    ck_assert_msg(share < (train ? 0.33 : 0.39), "%.3f of all buffers", share);
    ck_assert_msg(over >= 1 && over < 1.05, "%.3f of the fullest moment", over);
    plan_network(&again, &o, 16, train);
    for (dmi_value v = 0; v < p.built.graph->value_count; v++) /* and it is always the same plan */
        ck_assert_uint_eq(p.built.graph->values[v].data_offset, again.built.graph->values[v].data_offset);
    free_planned(&again);
    free_lives(&l);
    free_planned(&p);
}
END_TEST

/* ---- poison ---- */

static void fill(float *to, size_t count, float value) {
    for (size_t i = 0; i < count; i++) to[i] = value;
}

/* One run in an arena, and gradients, full of `poison`; the output, then every parameter's gradient, to be freed. */
static float *run_in(dm_unet *unet, dmi_unet_graph *u, float poison, size_t *floats) {
    static network_input in;
    dmi_graph *g = u->graph;
    const dmi_params *params = &unet->params;
    size_t n = (size_t)u->batch * NETWORK_ELEMENTS;
    network_give(&in);
    fill(g->arena, g->arena_floats, poison);
    memcpy(dmi_graph_data(g, u->x), in.x, n * sizeof(float));
    memcpy(dmi_graph_data(g, u->t), in.timesteps, (size_t)u->batch * sizeof(float));
    for (int32_t i = 0; u->labels != DMI_NONE && i < u->batch; i++)
        dmi_graph_data(g, u->labels)[i] = (float)(i % NETWORK_CLASSES);
    unet->params.version++; /* what was kept is gone */
    dmi_graph_forward(g);
    *floats = n + (g->train ? params->elements : 0);
    float *result = malloc(*floats * sizeof *result);
    memcpy(result, dmi_graph_data(g, u->output), n * sizeof(float));
    if (!g->train) return result;
    fill(params->gradient, params->floats, poison);
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
    static const float poisons[] = {NAN, 1e30f};
    bool train = _i >= 3;
    dm_context *context = test_context_new(NULL, 0);
    dm_unet_options o = variant(_i % 3);
    dm_unet *unet;
    dmi_unet_graph u;
    size_t floats;
    test_accepted(context, dm_unet_create(&unet, context, &o, 1));
    network_randomize(unet, 2);
    if (train) test_accepted(context, dmi_params_allocate_gradient(&context->host, &unet->params));
    test_accepted(context, dmi_unet_graph_create(unet, &u, 2, train));
    float *clean = run_in(unet, &u, 0, &floats);
    for (size_t i = 0; i < floats; i++) ck_assert(isfinite(clean[i]));
    for (size_t k = 0; k < sizeof poisons / sizeof *poisons; k++) {
        float *got = run_in(unet, &u, poisons[k], &floats);
        ck_assert_msg(!memcmp(got, clean, floats * sizeof *got), "%g", (double)poisons[k]);
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
    training_begin(&t, &setup);
    training_give(&given, 4);
    training_require(&t, dm_context_memory(t.context, &used, &peak, &allocations));
    for (int32_t i = 0; i < 5; i++) {
        training_require(&t, i % 2 ? dm_trainer_step(t.trainer, NULL)
                                   : dm_trainer_step_batch(t.trainer, &given.batch, NULL));
        training_require(&t, dm_context_memory(t.context, &now[0], &now[1], &now[2]));
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
    tcase_add_test(tcase, a_step_allocates_nothing);
    suite_add_tcase(suite, tcase);
    TCase *slow = tcase_create("large");
    tcase_set_timeout(slow, 30);
    tcase_set_tags(slow, "slow"); /* under a memory checker */
    tcase_add_loop_test(slow, what_lives_together_lies_apart, 0, 2 * VARIANTS);
    tcase_add_loop_test(slow, sharing_is_worth_while, 0, 2);
    suite_add_tcase(suite, slow);
    return suite;
}
