/* See laps.h. */
#include "autograd/laps.h"

static size_t floats_of(const dmi_graph *graph, dmi_value value) {
    return dmi_shape_count(dmi_graph_shape(graph, value));
}

void dmi_lap_part(const dmi_graph *graph, const dmi_node *node, const char *way, const char *part,
                  double flop, size_t floats) {
    if (!graph->host->profile) return;
    dmi_shape x = dmi_input_shape(graph, node, 0), y = dmi_graph_shape(graph, node->output);
    dmi_work work = {.name = node->op->name,
                     .algorithm = way,
                     .part = part,
                     .n = y.n,
                     .h = y.h,
                     .w = y.w,
                     .in = x.c,
                     .out = y.c,
                     .flop = flop,
                     .bytes = (double)floats * sizeof(float)};
    dmi_profile_span(graph->host->profile, &work);
}

/* Every input is read once and the output written once. */
void dmi_lap_forward(const dmi_graph *graph, const dmi_node *node) {
    if (!graph->host->profile) return;
    size_t floats = floats_of(graph, node->output);
    for (int32_t i = 0; i < DMI_MAX_INPUTS; i++)
        if (node->inputs[i] != DMI_NONE) floats += floats_of(graph, node->inputs[i]);
    dmi_lap_part(graph, node, NULL, "forward", node->op->flop ? node->op->flop(graph, node) : 0,
                 floats);
}

/* The output's gradient is read, and what `reads` names; every gradient is written, and read where
 * it is added to. */
void dmi_lap_backward(const dmi_graph *graph, const dmi_node *node) {
    if (!graph->host->profile) return;
    size_t floats = floats_of(graph, node->output) * (node->needs.reads & DMI_READS_OUTPUT ? 2 : 1);
    for (int32_t i = 0; i < DMI_MAX_INPUTS; i++) {
        if (node->inputs[i] == DMI_NONE) continue;
        if (node->needs.reads >> i & 1) floats += floats_of(graph, node->inputs[i]);
        if (dmi_graph_gradient(graph, node->inputs[i]))
            floats += floats_of(graph, node->inputs[i]) * (node->adds[i] ? 2 : 1);
    }
    dmi_lap_part(graph, node, NULL, "backward",
                 node->op->flop ? 2 * node->op->flop(graph, node) : 0, floats);
}
