/* SPDX-License-Identifier: MIT */
/* Embedding lookup: the rows of a table, indexed by the labels. Conditions on classes. */
#include "autograd/ops.h"

#include <string.h>

#include "autograd/ops/check_shape.h"

enum { LABELS, TABLE };

static int32_t embedding_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    int32_t n = dmi_input_shape(graph, node, LABELS).n;
    dmi_shape table = dmi_input_shape(graph, node, TABLE);
    int32_t status = dmi_check_shape(graph, node, LABELS, "labels", dmi_shape_of(n, 1, 1, 1));
    if (!status)
        status = dmi_check_shape(graph, node, TABLE, "table", dmi_shape_of(1, 1, table.w, table.c));
    *output = dmi_shape_of(n, 1, 1, table.c);
    return status;
}

static void embedding_needs(const dmi_graph *graph, const dmi_node *node, bool train,
                            dmi_needs *needs) {
    (void)graph, (void)node, (void)train;
    needs->reads = 1u << LABELS;
}

enum { NO_ROW = -1 };

/* The row that a label names; NO_ROW, zeros, from the number of rows on. The caller checks labels;
 * with an invalid one, or NaN, still no memory outside of the table is read. */
static int32_t table_row(float label, int32_t rows) {
    if (!(label > 0)) return 0;
    return label < (float)rows ? (int32_t)label : NO_ROW;
}

static void embedding_forward(dmi_graph *graph, dmi_node *node) {
    const float *labels = dmi_input(graph, node, LABELS), *table = dmi_input(graph, node, TABLE);
    float *y = dmi_graph_data(graph, node->output);
    dmi_shape shape = dmi_input_shape(graph, node, TABLE);
    size_t c = (size_t)shape.c, batch = (size_t)dmi_input_shape(graph, node, LABELS).n;
    for (size_t n = 0; n < batch; n++) {
        int32_t row = table_row(labels[n], shape.w);
        if (row == NO_ROW) memset(y + n * c, 0, c * sizeof *y);
        else graph->kernels->copy_rows(y + n * c, c, table + (size_t)row * c, c, 1, c, false);
    }
}

/* Images may have the same label, so their rows are added one after another. */
static void embedding_backward(dmi_graph *graph, dmi_node *node) {
    const float *labels = dmi_input(graph, node, LABELS),
                *dy = dmi_graph_gradient(graph, node->output);
    float *dlabels = dmi_input_gradient(graph, node, LABELS),
          *dtable = dmi_input_gradient(graph, node, TABLE);
    dmi_shape shape = dmi_input_shape(graph, node, TABLE);
    size_t c = (size_t)shape.c, batch = (size_t)dmi_input_shape(graph, node, LABELS).n;
    if (dlabels && !node->accumulates[LABELS]) memset(dlabels, 0, batch * sizeof(float));
    if (!dtable) return;
    if (!node->accumulates[TABLE]) memset(dtable, 0, (size_t)shape.w * c * sizeof(float));
    for (size_t n = 0; n < batch; n++) {
        int32_t row = table_row(labels[n], shape.w);
        if (row != NO_ROW)
            graph->kernels->copy_rows(dtable + (size_t)row * c, c, dy + n * c, c, 1, c, true);
    }
}

static const dmi_op embedding_op = {.name = "embedding",
                                    .infer = embedding_infer,
                                    .needs = embedding_needs,
                                    .forward = embedding_forward,
                                    .backward = embedding_backward};

int32_t dmi_embedding(dmi_graph *graph, dmi_value *out, dmi_value labels, dmi_value table) {
    dmi_value inputs[] = {labels, table};
    return dmi_graph_append(graph, out, &embedding_op, inputs, 2, NULL);
}
