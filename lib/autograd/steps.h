/* The steps of a run, in order: what the planner measures lives by, and what backward follows.
 *
 * Forward runs every node once. Backward runs the nodes that lead to a gradient, the last first;
 * what it reads was kept, or is made again just before, by another forward of the node that made it
 * and of what that needs in turn (Chen et al. 2016, "Training deep nets with sublinear memory
 * cost"). Nothing is made again that nobody reads, such as a block's last convolution. */
#ifndef DMI_AUTOGRAD_STEPS_H
#define DMI_AUTOGRAD_STEPS_H

#include "autograd/graph.h"

/* Writes graph->steps, by what nodes need and by graph->recompute. */
int32_t dmi_plan_steps(dmi_graph *graph, const dmi_value *outputs, int32_t output_count);

bool dmi_is_output(dmi_value value, const dmi_value *outputs, int32_t count);

#endif
