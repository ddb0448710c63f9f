/* SPDX-License-Identifier: MIT */
/* See steps.h. */
#include "autograd/steps.h"

typedef struct step_plan {
    dmi_graph *graph;
    const dmi_value *outputs; /* [output_count] */
    int32_t output_count;
    int32_t *producer;    /* [values] the node whose output the value is, or -1 */
    bool *has_gradient;   /* [values] backward computes its gradient */
    bool *must_recompute; /* [values] not kept from forward, and not recomputed by a step so far */
} step_plan;

bool dmi_is_output(dmi_value value, const dmi_value *outputs, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        if (outputs[i] == value) return true;
    return false;
}

/* A value has a gradient where an output depends on it and it depends on a parameter, or on an
 * input created with a gradient (dmi_value_info.needs_gradient says the latter). */
static void find_gradients(step_plan *p) {
    const dmi_graph *g = p->graph;
    for (int32_t i = 0; i < p->output_count; i++)
        p->has_gradient[p->outputs[i]] = g->values[p->outputs[i]].needs_gradient;
    for (int32_t i = g->node_count - 1; i >= 0; i--) {
        const dmi_node *n = &g->nodes[i];
        for (int32_t k = 0; p->has_gradient[n->output] && k < DMI_INPUTS_MAX; k++)
            if (n->inputs[k] != DMI_NONE)
                p->has_gradient[n->inputs[k]] = g->values[n->inputs[k]].needs_gradient;
    }
}

/* Applies graph->recompute (DMI_RECOMPUTE_*): an activation is recomputed if only nodes of its own
 * segment read it, or if its operation is memory-bound. Outputs of the graph are always kept: the
 * caller reads them. */
static void find_recomputed(step_plan *p) {
    const dmi_graph *g = p->graph;
    bool segments = g->recompute >= DMI_RECOMPUTE_BLOCKS,
         memory_bound = g->recompute >= DMI_RECOMPUTE_SELECTIVE;
    for (int32_t i = 0; i < g->node_count; i++) {
        const dmi_node *n = &g->nodes[i];
        p->must_recompute[n->output] = segments && n->segment > 0;
        for (int32_t k = 0; k < DMI_INPUTS_MAX; k++) {
            dmi_value v = n->inputs[k];
            if (v == DMI_NONE || p->producer[v] < 0) continue;
            if (g->nodes[p->producer[v]].segment != n->segment) p->must_recompute[v] = false;
        }
    }
    for (int32_t i = 0; i < g->node_count; i++) {
        dmi_value v = g->nodes[i].output;
        if (memory_bound && g->nodes[i].op->memory_bound) p->must_recompute[v] = true;
        if (dmi_is_output(v, p->outputs, p->output_count)) p->must_recompute[v] = false;
    }
}

static void add_step(dmi_graph *g, int32_t node, dmi_phase phase) {
    g->steps[g->step_count++] = (dmi_step){node, phase};
}

/* Adds the recompute steps, if any, after which the value is in memory again. */
static void materialize(step_plan *p, dmi_value value) {
    if (value == DMI_NONE || !p->must_recompute[value]) return;
    const dmi_node *n = &p->graph->nodes[p->producer[value]];
    for (int32_t k = 0; k < DMI_INPUTS_MAX; k++) materialize(p, n->inputs[k]);
    add_step(p->graph, p->producer[value], DMI_PHASE_RECOMPUTE);
    p->must_recompute[value] = false;
}

static void add_steps(step_plan *p) {
    dmi_graph *g = p->graph;
    g->step_count = 0;
    for (int32_t i = 0; i < g->node_count; i++) add_step(g, i, DMI_PHASE_FORWARD);
    if (!g->train) return;
    for (int32_t i = g->node_count - 1; i >= 0; i--) {
        const dmi_node *n = &g->nodes[i];
        if (!p->has_gradient[n->output]) continue;
        if (n->needs.reads & DMI_READS_OUTPUT) materialize(p, n->output);
        for (int32_t k = 0; k < DMI_INPUTS_MAX; k++)
            if (n->needs.reads >> k & 1) materialize(p, n->inputs[k]);
        add_step(g, i, DMI_PHASE_BACKWARD);
    }
}

int32_t dmi_graph_plan_steps(dmi_graph *g, const dmi_value *outputs, int32_t output_count) {
    step_plan p = {.graph = g, .outputs = outputs, .output_count = output_count};
    dmi_host *host = g->host;
    size_t values = (size_t)g->value_count,
           steps_max = 3 * (size_t)g->node_count; /* each node once in each phase */
    dmi_free(host, g->steps);
    g->steps = NULL;
    int32_t status = dmi_alloc_array(host, &g->steps, steps_max, sizeof *g->steps, "graph: steps");
    if (!status) status = dmi_alloc_array(host, &p.producer, values, sizeof *p.producer, "planner");
    if (!status)
        status = dmi_alloc_zero(host, &p.has_gradient, values, sizeof *p.has_gradient, "planner");
    if (!status)
        status =
            dmi_alloc_zero(host, &p.must_recompute, values, sizeof *p.must_recompute, "planner");
    if (!status) {
        for (dmi_value v = 0; v < g->value_count; v++) p.producer[v] = -1;
        for (int32_t i = 0; i < g->node_count; i++) p.producer[g->nodes[i].output] = i;
        find_gradients(&p);
        find_recomputed(&p);
        add_steps(&p);
    }
    dmi_free(host, p.must_recompute);
    dmi_free(host, p.has_gradient);
    dmi_free(host, p.producer);
    return status;
}
