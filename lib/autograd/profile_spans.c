/* SPDX-License-Identifier: MIT */
/* See profile_spans.h. */
#include "autograd/profile_spans.h"

void dmi_span_part(const dmi_graph *graph, const dmi_node *node, const char *algorithm,
                   const char *part, double flop, size_t floats) {
    if (!graph->host->profile) return;
    dmi_shape x = dmi_input_shape(graph, node, 0), y = dmi_graph_shape(graph, node->output);
    dmi_work work = {.name = node->op->name,
                     .algorithm = algorithm,
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

/* Traffic: every input is read once, the output is written once. */
void dmi_span_forward(const dmi_graph *graph, const dmi_node *node) {
    if (!graph->host->profile) return;
    size_t floats = dmi_graph_floats(graph, node->output);
    for (int32_t i = 0; i < DMI_INPUTS_MAX; i++)
        if (node->inputs[i] != DMI_NONE) floats += dmi_graph_floats(graph, node->inputs[i]);
    dmi_span_part(graph, node, NULL, "forward", node->op->flop ? node->op->flop(graph, node) : 0,
                  floats);
}

/* Traffic: the output's gradient and the data in needs.reads are read; every input gradient is
 * written, and also read where it is accumulated. */
void dmi_span_backward(const dmi_graph *graph, const dmi_node *node) {
    if (!graph->host->profile) return;
    size_t floats =
        dmi_graph_floats(graph, node->output) * (node->needs.reads & DMI_READS_OUTPUT ? 2 : 1);
    for (int32_t i = 0; i < DMI_INPUTS_MAX; i++) {
        if (node->inputs[i] == DMI_NONE) continue;
        if (node->needs.reads >> i & 1) floats += dmi_graph_floats(graph, node->inputs[i]);
        if (dmi_graph_gradient(graph, node->inputs[i]))
            floats += dmi_graph_floats(graph, node->inputs[i]) * (node->accumulates[i] ? 2 : 1);
    }
    dmi_span_part(graph, node, NULL, "backward",
                  node->op->flop ? 2 * node->op->flop(graph, node) : 0, floats);
}
