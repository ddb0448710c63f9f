/* The refusals that operations share when they check their inputs. */
#ifndef DMI_AUTOGRAD_OPS_EXPECT_H
#define DMI_AUTOGRAD_OPS_EXPECT_H

#include "autograd/graph.h"

/* Fails with "group_norm: gamma is 1 x 1 x 1 x 5; it must be 1 x 1 x 1 x 8" where input i is not of
 * shape `want`. */
int32_t dmi_expect_shape(const dmi_graph *graph, const dmi_node *node, int32_t i, const char *what,
                         dmi_shape want);

#endif
