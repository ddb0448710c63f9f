/* SPDX-License-Identifier: MIT */
/* Operations that a graph refuses. */
#ifndef TESTS_SUPPORT_OPERATION_H
#define TESTS_SUPPORT_OPERATION_H

#include "autograd/graph.h"

typedef struct operation_refusal {
    int32_t status;
    const char *text; /* the message begins with it */
    /* Appends the operation; of: the graph's inputs. */
    int32_t (*append)(dmi_graph *graph, dmi_value *out, const dmi_value *of);
} operation_refusal;

/* The function `append` of one call, in which g is the graph. */
#define REFUSE(name, call)                                                                         \
    static int32_t name(dmi_graph *g, dmi_value *out, const dmi_value *of) { return call; }

/* Fails the test unless the operation is refused, on inputs of these shapes [count], and leaves
 * graph and `out` as they were. */
void operation_refused(const operation_refusal *refusal, const dmi_shape *shapes, int32_t count);

#endif
