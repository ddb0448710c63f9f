/* SPDX-License-Identifier: MIT */
/* The profile spans of a graph: time, floating-point operations and memory traffic of each node's
 * forward and backward, and of the parts that an operation divides these into. */
#ifndef DMI_AUTOGRAD_PROFILE_SPANS_H
#define DMI_AUTOGRAD_PROFILE_SPANS_H

#include "autograd/graph.h"
#include "base/profile.h"

/* Ends a span: the time since the last one was spent in the node's forward or backward. */
void dmi_span_forward(const dmi_graph *graph, const dmi_node *node);
void dmi_span_backward(const dmi_graph *graph, const dmi_node *node);
/* The same for one part of either. algorithm: NULL where the operation has only one; floats: read
 * and written. */
void dmi_span_part(const dmi_graph *graph, const dmi_node *node, const char *algorithm,
                   const char *part, double flop, size_t floats);

#endif
