/* SPDX-License-Identifier: MIT */
/* The order in which a run executes nodes. The planner measures live ranges in these steps.
 *
 * Forward runs every node once. Backward runs, last first, the nodes that contribute to a gradient.
 * An activation that backward reads was kept since forward, or is recomputed right before, together
 * with what it is computed from in turn (Chen et al. 2016, "Training deep nets with sublinear
 * memory cost"). What no backward reads is never recomputed. */
#ifndef DMI_AUTOGRAD_STEPS_H
#define DMI_AUTOGRAD_STEPS_H

#include "autograd/graph.h"

/* Sets graph->steps and step_count from node->needs, graph->train and graph->recompute. */
int32_t dmi_graph_plan_steps(dmi_graph *graph, const dmi_value *outputs, int32_t output_count);

bool dmi_is_output(dmi_value value, const dmi_value *outputs, int32_t count);

#endif
