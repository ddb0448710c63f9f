/* SPDX-License-Identifier: MIT */
/* The shape check that operations share. */
#ifndef DMI_AUTOGRAD_OPS_CHECK_SHAPE_H
#define DMI_AUTOGRAD_OPS_CHECK_SHAPE_H

#include "autograd/graph.h"

/* Fails with "group_norm: gamma is 1 x 1 x 1 x 5; it must be 1 x 1 x 1 x 8" unless input i of the
 * node has shape `want`. what: the input's name. */
int32_t dmi_check_shape(const dmi_graph *graph, const dmi_node *node, int32_t i, const char *what,
                        dmi_shape want);

#endif
