/* See steps.h. */
#include "autograd/steps.h"

#include <string.h>

typedef struct plan {
    dmi_graph *graph;
    int32_t *maker; /* [values] the node that makes it, or -1 */
    bool *wanted;   /* [values] its gradient is computed */
    bool *again; /* [values] not kept, and to be made again where backward reads it; false once that
                    is planned */
} plan;

bool dmi_is_output(dmi_value value, const dmi_value *outputs, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        if (outputs[i] == value) return true;
    return false;
}

/* Gradients spread from the outputs to all that they were made of, as far as something there asks
 * for one. */
static void find_wanted(plan *p, const dmi_value *outputs, int32_t output_count) {
    const dmi_graph *g = p->graph;
    for (int32_t i = 0; i < output_count; i++)
        p->wanted[outputs[i]] = g->values[outputs[i]].gradient;
    for (int32_t i = g->node_count - 1; i >= 0; i--) {
        const dmi_node *n = &g->nodes[i];
        for (int32_t k = 0; p->wanted[n->output] && k < DMI_MAX_INPUTS; k++)
            if (n->inputs[k] != DMI_NONE)
                p->wanted[n->inputs[k]] = g->values[n->inputs[k]].gradient;
    }
}

/* From DMI_RECOMPUTE_PASSES on what one pass over memory makes; from DMI_RECOMPUTE_BLOCKS on all
 * that never leaves its segment. The outputs are the caller's. */
static void find_again(plan *p, const dmi_value *outputs, int32_t output_count) {
    const dmi_graph *g = p->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        const dmi_node *n = &g->nodes[i];
        p->again[n->output] = g->recompute >= DMI_RECOMPUTE_BLOCKS && n->segment > 0;
        for (int32_t k = 0; k < DMI_MAX_INPUTS; k++) {
            dmi_value v = n->inputs[k];
            if (v != DMI_NONE && p->maker[v] >= 0 && g->nodes[p->maker[v]].segment != n->segment)
                p->again[v] = false;
        }
    }
    for (int32_t i = 0; i < g->node_count; i++) {
        dmi_value v = g->nodes[i].output;
        if (g->recompute >= DMI_RECOMPUTE_PASSES && g->nodes[i].op->one_pass) p->again[v] = true;
        if (dmi_is_output(v, outputs, output_count)) p->again[v] = false;
    }
}

static void add_step(dmi_graph *g, int32_t node, dmi_phase phase) {
    g->steps[g->step_count++] = (dmi_step){node, phase};
}

/* Sees to it that the value is there from now on. */
static void bring(plan *p, dmi_value value) {
    if (value == DMI_NONE || !p->again[value]) return;
    const dmi_node *n = &p->graph->nodes[p->maker[value]];
    for (int32_t k = 0; k < DMI_MAX_INPUTS; k++) bring(p, n->inputs[k]);
    add_step(p->graph, p->maker[value], DMI_AGAIN);
    p->again[value] = false;
}

static void write_steps(plan *p) {
    dmi_graph *g = p->graph;
    g->step_count = 0;
    for (int32_t i = 0; i < g->node_count; i++) add_step(g, i, DMI_FORWARD);
    for (int32_t i = g->node_count - 1; i >= 0 && g->train; i--) {
        const dmi_node *n = &g->nodes[i];
        if (!p->wanted[n->output]) continue;
        if (n->needs.reads & DMI_READS_OUTPUT) bring(p, n->output);
        for (int32_t k = 0; k < DMI_MAX_INPUTS; k++)
            if (n->needs.reads >> k & 1) bring(p, n->inputs[k]);
        add_step(g, i, DMI_BACKWARD);
    }
}

int32_t dmi_plan_steps(dmi_graph *g, const dmi_value *outputs, int32_t output_count) {
    plan p = {.graph = g};
    size_t values = (size_t)g->value_count,
           most = 3 * (size_t)g->node_count; /* forward, again, backward */
    dmi_free(g->host, g->steps);
    g->steps = NULL;
    int32_t status =
        dmi_alloc_array(g->host, &g->steps, most, sizeof *g->steps, "graph: its steps");
    if (!status) status = dmi_alloc_array(g->host, &p.maker, values, sizeof *p.maker, "planner");
    if (!status) status = dmi_alloc_zero(g->host, &p.wanted, values, sizeof *p.wanted, "planner");
    if (!status) status = dmi_alloc_zero(g->host, &p.again, values, sizeof *p.again, "planner");
    if (!status) {
        for (dmi_value v = 0; v < g->value_count; v++) p.maker[v] = -1;
        for (int32_t i = 0; i < g->node_count; i++) p.maker[g->nodes[i].output] = i;
        find_wanted(&p, outputs, output_count);
        find_again(&p, outputs, output_count);
        write_steps(&p);
    }
    dmi_free(g->host, p.again);
    dmi_free(g->host, p.wanted);
    dmi_free(g->host, p.maker);
    return status;
}
