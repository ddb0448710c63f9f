/* SPDX-License-Identifier: MIT */
/* See check_shape.h. */
#include "autograd/ops/check_shape.h"

int32_t dmi_check_shape(const dmi_graph *graph, const dmi_node *node, int32_t i, const char *what,
                        dmi_shape want) {
    dmi_shape is = dmi_input_shape(graph, node, i);
    if (dmi_shape_equal(is, want)) return DMI_OK;
    return dmi_fail(graph->host, DMI_ERROR_SHAPE_MISMATCH,
                    "%s: %s is %d x %d x %d x %d; it must be %d x %d x %d x %d", node->op->name,
                    what, (int)is.n, (int)is.h, (int)is.w, (int)is.c, (int)want.n, (int)want.h,
                    (int)want.w, (int)want.c);
}
