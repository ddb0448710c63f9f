/* The planner. Forward runs node i at time i, backward at time 2N-1-i, so everything that a run needs in memory is a
 * buffer with a first and a last moment. Buffers whose lives meet get places that don't; the others share. Places are
 * given to the largest first, each at the lowest address that is free for its whole life (Pisarchyk and Lee 2020,
 * "Efficient memory management for deep neural net inference", sec. 5: greedy by size). */
#include "autograd/plan.h"

#include <stdlib.h>
#include <string.h>

enum { FLOATS_ALIGNED = DMI_ALIGNMENT / (int)sizeof(float) };

typedef struct buffer {
    size_t floats;
    int32_t first, last; /* moments, both included */
    size_t *place;       /* where the offset is told */
    int32_t number;      /* settles ties, so that a plan is the same on every run */
    size_t offset;
} buffer;

typedef struct plan {
    dmi_graph *graph;
    buffer *buffers;
    int32_t count;
    int32_t end; /* a moment after all others */
} plan;

static void add_buffer(plan *p, size_t floats, int32_t first, int32_t last, size_t *place) {
    *place = SIZE_MAX;
    if (!floats) return;
    floats = (floats + FLOATS_ALIGNED - 1) / FLOATS_ALIGNED * FLOATS_ALIGNED;
    p->buffers[p->count] = (buffer){.floats = floats, .first = first, .last = last, .place = place, .number = p->count};
    p->count++;
}

static int32_t backward_time(const plan *p, int32_t node) { return 2 * p->graph->node_count - 1 - node; }

static bool is_output(dmi_value value, const dmi_value *outputs, int32_t count) {
    for (int32_t i = 0; i < count; i++)
        if (outputs[i] == value) return true;
    return false;
}

/* Where each activation is made and last read. */
static void place_data(plan *p, const dmi_value *outputs, int32_t output_count, int32_t *first, int32_t *last) {
    dmi_graph *g = p->graph;
    for (int32_t v = 0; v < g->value_count; v++) {
        first[v] = 0;
        last[v] = g->values[v].kind == DMI_VALUE_INPUT || is_output(v, outputs, output_count) ? p->end : -1;
    }
    for (int32_t i = 0; i < g->node_count; i++) {
        const dmi_node *n = &g->nodes[i];
        first[n->output] = i;
        if (last[n->output] < i) last[n->output] = i;
        bool reads_output = g->train && (n->needs.reads & DMI_READS_OUTPUT);
        if (reads_output && last[n->output] < backward_time(p, i)) last[n->output] = backward_time(p, i);
        for (int32_t k = 0; k < DMI_MAX_INPUTS; k++) {
            if (n->inputs[k] == DMI_NONE) continue;
            int32_t moment = g->train && (n->needs.reads >> k & 1) ? backward_time(p, i) : i;
            if (last[n->inputs[k]] < moment) last[n->inputs[k]] = moment;
        }
    }
    for (int32_t v = 0; v < g->value_count; v++)
        if (g->values[v].kind != DMI_VALUE_PARAM)
            add_buffer(p, dmi_shape_count(g->values[v].shape), first[v], last[v], &g->values[v].data_offset);
}

/* The value whose memory holds this one's gradient. */
static dmi_value gradient_root(const dmi_graph *g, dmi_value v) {
    while (g->values[v].shares != DMI_NONE) v = g->values[v].shares;
    return v;
}

/* Walks backward: the first node that reaches a gradient writes it, the others add. A gradient that would be a plain copy
 * of the output's (a residual) takes over the output's memory instead, which nobody needs any more. */
static void place_gradients(plan *p, const dmi_value *outputs, int32_t output_count, int32_t *first, int32_t *last) {
    dmi_graph *g = p->graph;
    for (int32_t v = 0; v < g->value_count; v++) {
        bool output = is_output(v, outputs, output_count);
        first[v] = output ? g->node_count : -1; /* -1: not written yet */
        last[v] = output || g->values[v].kind == DMI_VALUE_INPUT ? p->end : -1;
        g->values[v].shares = DMI_NONE;
    }
    for (int32_t i = g->node_count - 1; i >= 0; i--) {
        dmi_node *n = &g->nodes[i];
        int32_t moment = backward_time(p, i);
        if (!g->values[n->output].gradient || first[n->output] < 0) {
            g->values[n->output].gradient = false;
            continue;
        }
        if (last[gradient_root(g, n->output)] < moment) last[gradient_root(g, n->output)] = moment;
        for (int32_t k = 0; k < DMI_MAX_INPUTS; k++) {
            dmi_value v = n->inputs[k];
            if (v == DMI_NONE || !g->values[v].gradient || g->values[v].kind == DMI_VALUE_PARAM) continue;
            n->adds[k] = first[v] >= 0;
            if (first[v] >= 0) continue;
            first[v] = moment;
            bool twice = false;
            for (int32_t j = 0; j < DMI_MAX_INPUTS; j++) twice = twice || (j != k && n->inputs[j] == v);
            bool taken = is_output(n->output, outputs, output_count);
            if (k == n->needs.passes && !twice && !taken) {
                g->values[v].shares = n->output;
                dmi_value root = gradient_root(g, v);
                if (last[root] < last[v]) last[root] = last[v];
            }
        }
    }
    for (dmi_value v = 0; v < g->value_count; v++) {
        dmi_value_info *info = &g->values[v];
        info->gradient_offset = SIZE_MAX;
        if (info->kind == DMI_VALUE_PARAM || !info->gradient || info->shares != DMI_NONE || first[v] < 0) continue;
        add_buffer(p, dmi_shape_count(info->shape), first[v], last[v], &info->gradient_offset);
    }
}

static void place_node_memory(plan *p) {
    dmi_graph *g = p->graph;
    for (int32_t i = 0; i < g->node_count; i++) {
        dmi_node *n = &g->nodes[i];
        int32_t back = g->train ? backward_time(p, i) : i;
        add_buffer(p, n->needs.saved, i, back, &n->saved);
        add_buffer(p, g->train ? 0 : n->needs.kept, 0, p->end, &n->kept);
        add_buffer(p, n->needs.forward_work, i, i, &n->forward_work);
        add_buffer(p, g->train ? n->needs.backward_work : 0, back, back, &n->backward_work);
        n->kept_version = 0;
    }
}

static int larger_first(const void *a, const void *b) {
    const buffer *x = a, *y = b;
    if (x->floats != y->floats) return x->floats < y->floats ? 1 : -1;
    if (x->first != y->first) return x->first < y->first ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

/* The lowest address where `b` meets none of the buffers placed before it, which `order` lists by address. */
static size_t lowest_place(const buffer *buffers, const int32_t *order, int32_t placed, const buffer *b) {
    size_t at = 0;
    for (int32_t i = 0; i < placed; i++) {
        const buffer *other = &buffers[order[i]];
        if (other->last < b->first || other->first > b->last) continue;
        if (other->offset >= at + b->floats) break;
        if (other->offset + other->floats > at) at = other->offset + other->floats;
    }
    return at;
}

static void place_all(plan *p, int32_t *order) {
    size_t top = 0;
    qsort(p->buffers, (size_t)p->count, sizeof(buffer), larger_first);
    for (int32_t i = 0; i < p->count; i++) {
        buffer *b = &p->buffers[i];
        b->offset = lowest_place(p->buffers, order, i, b);
        *b->place = b->offset;
        if (b->offset + b->floats > top) top = b->offset + b->floats;
        int32_t at = i;
        for (; at > 0 && p->buffers[order[at - 1]].offset > b->offset; at--) order[at] = order[at - 1];
        order[at] = i;
    }
    p->graph->arena_floats = top;
}

/* The plan's size is a sum of checked sizes only if no product overflowed: refuse what could not be addressed. */
static int32_t check_total(const plan *p) {
    size_t total = 0;
    for (int32_t i = 0; i < p->count; i++)
        if (!dmi_add(total, p->buffers[i].floats, &total) || total > SIZE_MAX / (4 * sizeof(float)))
            return dmi_fail(p->graph->host, DMI_ERROR_LIMIT_EXCEEDED, "network: its plan is too large to be addressed");
    return DMI_OK;
}

int32_t dmi_plan(dmi_graph *g, const dmi_value *outputs, int32_t output_count) {
    size_t most = 2 * (size_t)g->value_count + 4 * (size_t)g->node_count + 1;
    int32_t *moments = NULL; /* [2][values], then the order of the buffers */
    plan p = {.graph = g, .end = 2 * g->node_count};
    int32_t status = dmi_alloc_array(g->host, (void **)&p.buffers, most, sizeof(buffer), "planner");
    if (status) return status;
    status = dmi_alloc_array(g->host, (void **)&moments, 2 * (size_t)g->value_count + most, sizeof(int32_t), "planner");
    if (status) goto out;
    int32_t *first = moments, *last = moments + g->value_count, *order = moments + 2 * g->value_count;
    for (int32_t i = 0; i < g->node_count; i++) {
        dmi_node *n = &g->nodes[i];
        n->needs = (dmi_needs){.passes = DMI_NONE};
        if (n->op->needs) n->op->needs(g, n, g->train, &n->needs);
    }
    place_data(&p, outputs, output_count, first, last);
    if (g->train) place_gradients(&p, outputs, output_count, first, last);
    place_node_memory(&p);
    status = check_total(&p);
    if (status) goto out;
    place_all(&p, order);
    for (dmi_value v = 0; v < g->value_count; v++)
        if (g->train && g->values[v].shares != DMI_NONE) g->values[v].gradient_offset = g->values[gradient_root(g, v)].gradient_offset;
out:
    dmi_free(g->host, moments);
    dmi_free(g->host, p.buffers);
    return status;
}
