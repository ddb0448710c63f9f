/* What the profile ascribes a graph's time to: a node's forward and backward, and the parts that an
 * operation has. */
#ifndef DMI_AUTOGRAD_LAPS_H
#define DMI_AUTOGRAD_LAPS_H

#include "autograd/graph.h"
#include "base/profile.h"

/* What stands since the last lap was the node's forward or backward. */
void dmi_lap_forward(const dmi_graph *graph, const dmi_node *node);
void dmi_lap_backward(const dmi_graph *graph, const dmi_node *node);
/* A part of either, which reads and writes so many floats. */
void dmi_lap_part(const dmi_graph *graph, const dmi_node *node, const char *way, const char *part,
                  double flop, size_t floats);

#endif
