/* SPDX-License-Identifier: MIT */
/* Memory planning. Time is counted in the steps of a run (steps.h). Everything that a run keeps in
 * memory is a buffer of the arena; a pass over the steps finds each buffer's live range, from the
 * step that writes it to the last that reads it, and offsets.c assigns offsets. A recomputed
 * activation has two live ranges: from forward to its last reader there, and from the recompute
 * step to its last reader in backward. */
#include "autograd/plan.h"

#include "autograd/offsets.h"
#include "autograd/steps.h"

/* The live ranges of one buffer, at most two, as far as the pass has come. The second is that of a
 * recomputed activation in backward. */
typedef struct live_ranges {
    dmi_live_range first, second;
} live_ranges;

typedef struct memory_plan {
    dmi_graph *graph;
    const dmi_value *outputs; /* [output_count] */
    int32_t output_count;
    dmi_buffer *buffers; /* [count] */
    int32_t count;
    int32_t end; /* a step after all others, at which the caller reads outputs */
    live_ranges
        *scratch[3]; /* [values] each, for the passes; a node's memory has its output's index */
} memory_plan;

static const live_ranges never = {.first = {0, -1}, .second = {0, -1}};

/* The buffer is written at `step`: a new range begins, the first or the second of it. */
static void begin(live_ranges *l, int32_t step) {
    dmi_live_range *next = dmi_is_live(l->first) ? &l->second : &l->first;
    *next = (dmi_live_range){step, step};
}

/* The buffer is still read at `step`: its latest range extends to there. */
static void extend(live_ranges *l, int32_t step) {
    dmi_live_range *latest = dmi_is_live(l->second) ? &l->second : &l->first;
    latest->last = step;
}

/* Scratch array i, without live ranges. */
static live_ranges *cleared(const memory_plan *p, int32_t i) {
    for (dmi_value v = 0; v < p->graph->value_count; v++) p->scratch[i][v] = never;
    return p->scratch[i];
}

static void add_buffer(memory_plan *p, size_t floats, live_ranges l, size_t *target) {
    *target = SIZE_MAX;
    if (!floats || !dmi_is_live(l.first)) return;
    p->buffers[p->count] = (dmi_buffer){.floats = dmi_align_floats(floats),
                                        .ranges = {l.first, l.second},
                                        .target = target,
                                        .number = p->count};
    p->count++;
}

/* ---- data ---- */

/* A value is written by its node, and read by other nodes and by backward. Inputs and outputs
 * belong to the caller, so they stay to the end. */
static void plan_data(memory_plan *p) {
    dmi_graph *g = p->graph;
    live_ranges *data = cleared(p, 0);
    /* Inputs; parameters likewise, though they get no buffer below: dmi_params holds them. */
    for (dmi_value v = 0; v < g->value_count; v++)
        if (g->values[v].kind != DMI_VALUE_ACTIVATION) begin(&data[v], 0);
    for (int32_t step = 0; step < g->step_count; step++) {
        const dmi_node *n = &g->nodes[g->steps[step].node];
        bool backward = g->steps[step].phase == DMI_PHASE_BACKWARD;
        if (!backward) begin(&data[n->output], step);
        else if (n->needs.reads & DMI_READS_OUTPUT) extend(&data[n->output], step);
        for (int32_t k = 0; k < DMI_INPUTS_MAX; k++)
            if (n->inputs[k] != DMI_NONE && (!backward || n->needs.reads >> k & 1))
                extend(&data[n->inputs[k]], step);
    }
    for (dmi_value v = 0; v < g->value_count; v++) {
        dmi_value_info *info = &g->values[v];
        if (info->kind == DMI_VALUE_INPUT || dmi_is_output(v, p->outputs, p->output_count))
            extend(&data[v], p->end);
        if (info->kind != DMI_VALUE_PARAM)
            add_buffer(p, info->cached.floats ? 0 : dmi_graph_floats(g, v), data[v],
                       &info->data_offset);
    }
}

/* ---- memory of nodes ---- */

/* `saved` lives from forward to backward, a workspace for one step. */
static void plan_nodes(memory_plan *p) {
    dmi_graph *g = p->graph;
    live_ranges *saved = cleared(p, 0), *forward = cleared(p, 1), *backward = cleared(p, 2);
    for (int32_t step = 0; step < g->step_count; step++) {
        dmi_value output = g->nodes[g->steps[step].node].output;
        if (g->steps[step].phase == DMI_PHASE_BACKWARD) {
            begin(&backward[output], step);
            extend(&saved[output], step);
        } else {
            begin(&forward[output], step);
            begin(&saved[output], step);
        }
    }
    for (int32_t i = 0; i < g->node_count; i++) {
        dmi_node *n = &g->nodes[i];
        add_buffer(p, n->needs.saved, saved[n->output], &n->saved);
        add_buffer(p, n->needs.forward_work, forward[n->output], &n->forward_work);
        add_buffer(p, n->needs.backward_work, backward[n->output], &n->backward_work);
    }
}

/* ---- gradients ---- */

/* The value in whose gradient buffer v's gradient is stored. */
static dmi_value gradient_owner(const dmi_graph *g, dmi_value v) {
    while (g->values[v].alias_of != DMI_NONE) v = g->values[v].alias_of;
    return v;
}

/* Whether the gradient of input k, which nothing has written so far, may take over the memory of
 * the output's gradient: the two are equal (needs.gradient_alias), and nothing reads the latter
 * afterwards. */
static bool may_alias(const memory_plan *p, const dmi_node *n, int32_t k) {
    for (int32_t j = 0; j < DMI_INPUTS_MAX; j++)
        if (j != k && n->inputs[j] == n->inputs[k]) return false;
    return k == n->needs.gradient_alias && !dmi_is_output(n->output, p->outputs, p->output_count);
}

/* Extends the live ranges of gradients by backward step `step`, that of node n. A backward step
 * reads its output's gradient. For each input, the first step to reach it writes the gradient;
 * later ones add. */
static void pass_gradients(memory_plan *p, live_ranges *gradient, dmi_node *n, int32_t step) {
    dmi_graph *g = p->graph;
    live_ranges *output = &gradient[gradient_owner(g, n->output)];
    if (output->first.last < step) extend(output, step); /* an output of the graph lives longer */
    for (int32_t k = 0; k < DMI_INPUTS_MAX; k++) {
        dmi_value v = n->inputs[k];
        if (v == DMI_NONE || !g->values[v].needs_gradient) continue;
        n->accumulates[k] = n->follows[k] = dmi_is_live(gradient[v].first);
        if (n->accumulates[k]) continue;
        begin(&gradient[v], step);
        if (g->values[v].kind == DMI_VALUE_PARAM) continue;
        if (may_alias(p, n, k)) g->values[v].alias_of = n->output;
        if (g->values[v].kind == DMI_VALUE_INPUT) extend(&gradient[gradient_owner(g, v)], p->end);
    }
}

static void plan_gradients(memory_plan *p) {
    dmi_graph *g = p->graph;
    live_ranges *gradient = cleared(p, 0);
    int32_t first_backward = g->node_count; /* step: forward has one for each node */
    for (dmi_value v = 0; v < g->value_count; v++) g->values[v].alias_of = DMI_NONE;
    for (int32_t i = 0; i < p->output_count && g->train; i++) /* the caller writes these */
        if (g->values[p->outputs[i]].needs_gradient)
            gradient[p->outputs[i]].first = (dmi_live_range){first_backward, p->end};
    for (int32_t step = 0; step < g->step_count; step++)
        if (g->steps[step].phase == DMI_PHASE_BACKWARD)
            pass_gradients(p, gradient, &g->nodes[g->steps[step].node], step);
    for (dmi_value v = 0; v < g->value_count; v++) {
        dmi_value_info *info = &g->values[v];
        bool own = info->kind != DMI_VALUE_PARAM && info->alias_of == DMI_NONE;
        add_buffer(p, own ? dmi_graph_floats(g, v) : 0, gradient[v], &info->gradient_offset);
    }
}

/* Gradients without a buffer of their own get the offset of the one that they are stored in. */
static void resolve_aliases(dmi_graph *g) {
    for (dmi_value v = 0; v < g->value_count; v++)
        if (g->values[v].alias_of != DMI_NONE)
            g->values[v].gradient_offset = g->values[gradient_owner(g, v)].gradient_offset;
}

/* ---- the plan ---- */

/* In the order of the nodes, so that `needs` sees which of its inputs are cached. */
static void collect_needs(dmi_graph *g) {
    g->uses_blas = false;
    for (int32_t i = 0; i < g->node_count; i++) {
        dmi_node *n = &g->nodes[i];
        n->needs = (dmi_needs){.gradient_alias = DMI_NONE};
        if (n->op->needs) n->op->needs(g, n, g->train, &n->needs);
        g->uses_blas = g->uses_blas || n->needs.uses_blas;
        g->values[n->output].cached =
            n->needs.caches_output ? n->needs.cached : (dmi_weight_key){0};
    }
}

/* Refuses a plan whose sum of buffers, an upper bound of the arena, is more than an object can
 * have. */
static int32_t check_total(const memory_plan *p) {
    size_t total = 0;
    for (int32_t i = 0; i < p->count; i++)
        if (!dmi_add(total, p->buffers[i].floats, &total) || total > PTRDIFF_MAX / sizeof(float))
            return dmi_fail(p->graph->host, DMI_ERROR_LIMIT_EXCEEDED,
                            "network: its plan is too large to be addressed");
    return DMI_OK;
}

int32_t dmi_graph_plan_memory(dmi_graph *g, const dmi_value *outputs, int32_t output_count) {
    size_t values = (size_t)g->value_count;
    /* Data and gradient of each value; three kinds of memory of each node. */
    size_t buffers_max = 2 * values + 3 * (size_t)g->node_count;
    memory_plan p = {.graph = g, .outputs = outputs, .output_count = output_count};
    dmi_host *host = g->host;
    int32_t *order = NULL;
    collect_needs(g);
    int32_t status = dmi_graph_plan_steps(g, outputs, output_count);
    if (!status)
        status = dmi_alloc_array(host, &p.buffers, buffers_max, sizeof *p.buffers, "planner");
    if (!status) status = dmi_alloc_array(host, &order, buffers_max, sizeof *order, "planner");
    if (!status)
        status = dmi_alloc_array(host, &p.scratch[0], 3 * values, sizeof *p.scratch[0], "planner");
    if (status) goto cleanup;
    p.scratch[1] = p.scratch[0] + values;
    p.scratch[2] = p.scratch[1] + values;
    p.end = g->step_count;
    plan_data(&p);
    plan_nodes(&p);
    plan_gradients(&p);
    status = check_total(&p);
    if (status) goto cleanup;
    g->arena_floats = dmi_assign_offsets(p.buffers, p.count, order);
    resolve_aliases(g);
cleanup:
    dmi_free(host, p.scratch[0]);
    dmi_free(host, order);
    dmi_free(host, p.buffers);
    return status;
}
