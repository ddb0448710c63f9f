/* The planner. The moments of a run are its steps (steps.h). Everything that a run needs in memory
 * is a buffer; a walk over the steps finds its life, from the moment that writes it to the last
 * that reads it, and place.c gives it a place. What backward makes again lives twice: from forward
 * to its last reader there, and from its second making on. */
#include "autograd/plan.h"

#include "autograd/place.h"
#include "autograd/steps.h"

enum { FLOATS_ALIGNED = DMI_ALIGNMENT / (int)sizeof(float) };

/* The lives of one thing, as far as the walk has come. */
typedef struct lives {
    dmi_life of[2];
} lives;

typedef struct plan {
    dmi_graph *graph;
    const dmi_value *outputs;
    int32_t output_count;
    dmi_buffer *buffers;
    int32_t count;
    int32_t end;                   /* a moment after all others */
    lives *data, *work, *gradient; /* [values]; of a node's memory, at the place of its output */
} plan;

static const lives never = {{{0, -1}, {0, -1}}};

/* A life begins at a moment, and goes on to a later one. */
static void begin(lives *l, int32_t moment) {
    l->of[dmi_alive(l->of[0])] = (dmi_life){moment, moment};
}
static void go_on(lives *l, int32_t moment) { l->of[dmi_alive(l->of[1])].last = moment; }

static void add_buffer(plan *p, size_t floats, lives l, size_t *place) {
    *place = SIZE_MAX;
    if (!floats || !dmi_alive(l.of[0])) return;
    floats = (floats + FLOATS_ALIGNED - 1) / FLOATS_ALIGNED * FLOATS_ALIGNED;
    p->buffers[p->count] = (dmi_buffer){.floats = floats,
                                        .lives = {l.of[0], l.of[1]},
                                        .place = place,
                                        .number = p->count};
    p->count++;
}

static void forget(const plan *p, lives *of) {
    for (dmi_value v = 0; v < p->graph->value_count; v++) of[v] = never;
}

/* Values: written by their node, read by others and by backward; inputs and outputs stay to the
 * end. */
static void data_buffers(plan *p) {
    dmi_graph *g = p->graph;
    forget(p, p->data);
    for (dmi_value v = 0; v < g->value_count; v++)
        if (g->values[v].kind != DMI_VALUE_ACTIVATION) begin(&p->data[v], 0);
    for (int32_t moment = 0; moment < g->step_count; moment++) {
        const dmi_node *n = &g->nodes[g->steps[moment].node];
        bool backward = g->steps[moment].phase == DMI_BACKWARD;
        if (!backward) begin(&p->data[n->output], moment);
        else if (n->needs.reads & DMI_READS_OUTPUT) go_on(&p->data[n->output], moment);
        for (int32_t k = 0; k < DMI_MAX_INPUTS; k++)
            if (n->inputs[k] != DMI_NONE && (!backward || n->needs.reads >> k & 1))
                go_on(&p->data[n->inputs[k]], moment);
    }
    for (dmi_value v = 0; v < g->value_count; v++) {
        dmi_value_info *info = &g->values[v];
        if (info->kind == DMI_VALUE_INPUT || dmi_is_output(v, p->outputs, p->output_count))
            go_on(&p->data[v], p->end);
        if (info->kind != DMI_VALUE_PARAM)
            add_buffer(p, dmi_shape_count(info->shape), p->data[v], &info->data_offset);
    }
}

/* What nodes need besides: `saved` from forward to backward, workspaces for a moment, `kept` for
 * ever. */
static void node_buffers(plan *p) {
    dmi_graph *g = p->graph;
    lives *saved = p->data, *forward = p->work, *backward = p->gradient;
    forget(p, saved);
    forget(p, forward);
    forget(p, backward);
    for (int32_t moment = 0; moment < g->step_count; moment++) {
        dmi_value of = g->nodes[g->steps[moment].node].output;
        if (g->steps[moment].phase == DMI_BACKWARD) {
            begin(&backward[of], moment);
            go_on(&saved[of], moment);
        } else {
            begin(&forward[of], moment);
            begin(&saved[of], moment);
        }
    }
    const lives always = {{{0, p->end}, {0, -1}}};
    for (int32_t i = 0; i < g->node_count; i++) {
        dmi_node *n = &g->nodes[i];
        add_buffer(p, n->needs.saved, saved[n->output], &n->saved);
        add_buffer(p, n->needs.forward_work, forward[n->output], &n->forward_work);
        add_buffer(p, n->needs.backward_work, backward[n->output], &n->backward_work);
        add_buffer(p, g->train ? 0 : n->needs.kept, always, &n->kept);
        n->kept_version = 0;
    }
}

/* The value whose memory holds this one's gradient. */
static dmi_value gradient_root(const dmi_graph *g, dmi_value v) {
    while (g->values[v].shares != DMI_NONE) v = g->values[v].shares;
    return v;
}

/* Whether input k's gradient is a plain copy of the output's (a residual), which nobody needs any
 * more: then it takes over its memory. */
static bool may_share(const plan *p, const dmi_node *n, int32_t k) {
    for (int32_t j = 0; j < DMI_MAX_INPUTS; j++)
        if (j != k && n->inputs[j] == n->inputs[k]) return false;
    return k == n->needs.passes && !dmi_is_output(n->output, p->outputs, p->output_count);
}

/* The first node that reaches a gradient in backward writes it, the others add, and the one that
 * made the value reads it. */
static void gradient_buffers(plan *p) {
    dmi_graph *g = p->graph;
    lives *l = p->gradient;
    forget(p, l);
    for (dmi_value v = 0; v < g->value_count; v++) g->values[v].shares = DMI_NONE;
    for (int32_t i = 0; i < p->output_count && g->train; i++) /* the caller writes these */
        if (g->values[p->outputs[i]].gradient)
            l[p->outputs[i]].of[0] = (dmi_life){g->node_count, p->end};
    for (int32_t moment = 0; moment < g->step_count; moment++) {
        if (g->steps[moment].phase != DMI_BACKWARD) continue;
        dmi_node *n = &g->nodes[g->steps[moment].node];
        lives *own = &l[gradient_root(g, n->output)];
        if (own->of[0].last < moment) go_on(own, moment);
        for (int32_t k = 0; k < DMI_MAX_INPUTS; k++) {
            dmi_value v = n->inputs[k];
            if (v == DMI_NONE || !g->values[v].gradient || g->values[v].kind == DMI_VALUE_PARAM)
                continue;
            n->adds[k] = dmi_alive(l[v].of[0]);
            if (n->adds[k]) continue;
            begin(&l[v], moment);
            if (may_share(p, n, k)) g->values[v].shares = n->output;
            if (g->values[v].kind == DMI_VALUE_INPUT) go_on(&l[gradient_root(g, v)], p->end);
        }
    }
    for (dmi_value v = 0; v < g->value_count; v++) {
        dmi_value_info *info = &g->values[v];
        bool own = info->kind != DMI_VALUE_PARAM && info->shares == DMI_NONE;
        add_buffer(p, own ? dmi_shape_count(info->shape) : 0, l[v], &info->gradient_offset);
    }
}

/* The plan's size is a sum of checked sizes only if no product overflowed: refuse what could not be
 * addressed. */
static int32_t check_total(const plan *p) {
    size_t total = 0;
    for (int32_t i = 0; i < p->count; i++)
        if (!dmi_add(total, p->buffers[i].floats, &total) || total > SIZE_MAX / (4 * sizeof(float)))
            return dmi_fail(p->graph->host, DMI_ERROR_LIMIT_EXCEEDED,
                            "network: its plan is too large to be addressed");
    return DMI_OK;
}

int32_t dmi_plan(dmi_graph *g, const dmi_value *outputs, int32_t output_count) {
    size_t values = (size_t)g->value_count, most = 2 * values + 4 * (size_t)g->node_count;
    plan p = {.graph = g, .outputs = outputs, .output_count = output_count};
    int32_t *order = NULL;
    for (int32_t i = 0; i < g->node_count; i++) {
        dmi_node *n = &g->nodes[i];
        n->needs = (dmi_needs){.passes = DMI_NONE};
        if (n->op->needs) n->op->needs(g, n, g->train, &n->needs);
        if (n->needs.uses_blas) g->uses_blas = true;
    }
    int32_t status = dmi_plan_steps(g, outputs, output_count);
    if (!status) status = dmi_alloc_array(g->host, &p.buffers, most, sizeof *p.buffers, "planner");
    if (!status) status = dmi_alloc_array(g->host, &order, most, sizeof *order, "planner");
    if (!status) status = dmi_alloc_array(g->host, &p.data, 3 * values, sizeof *p.data, "planner");
    if (status) goto out;
    p.work = p.data + values;
    p.gradient = p.work + values;
    p.end = g->step_count;
    data_buffers(&p);
    node_buffers(&p);
    gradient_buffers(&p);
    status = check_total(&p);
    if (status) goto out;
    g->arena_floats = dmi_place(p.buffers, p.count, order);
    for (dmi_value v = 0; v < g->value_count; v++)
        if (g->values[v].shares != DMI_NONE)
            g->values[v].gradient_offset = g->values[gradient_root(g, v)].gradient_offset;
out:
    dmi_free(g->host, p.data);
    dmi_free(g->host, order);
    dmi_free(g->host, p.buffers);
    return status;
}
