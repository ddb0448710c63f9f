/* SPDX-License-Identifier: MIT */
/* The memory planner: live ranges of all activations, gradients and workspaces, and their offsets
 * in the arena. */
#ifndef DMI_AUTOGRAD_PLAN_H
#define DMI_AUTOGRAD_PLAN_H

#include "autograd/graph.h"

/* Sets graph->steps, uses_blas, every offset of the graph and arena_floats; allocates no arena. */
int32_t dmi_graph_plan_memory(dmi_graph *graph, const dmi_value *outputs, int32_t output_count);

#endif
