/* SPDX-License-Identifier: MIT */
#include "support/operation.h"

#include "kernels/kernels.h"
#include "support/support.h"

enum { INPUTS_MAX = 16 };

void operation_refused(const operation_refusal *refusal, const dmi_shape *shapes, int32_t count) {
    dmi_host *host = test_host_new(1);
    dmi_params params;
    dmi_graph *graph;
    dmi_value values[INPUTS_MAX], out = 77;
    ck_assert_int_le(count, INPUTS_MAX);
    dmi_params_init(&params);
    ck_assert_int_eq(dmi_graph_create(host, &graph, dmi_kernels_for(0), &params), DMI_OK);
    for (int32_t i = 0; i < count; i++)
        ck_assert_int_eq(dmi_graph_input(graph, &values[i], shapes[i], true), DMI_OK);
    ck_assert_int_eq(refusal->append(graph, &out, values), refusal->status);
    ck_assert_msg(strstr(host->error, refusal->text) == host->error, "'%s' is not '%s'",
                  host->error, refusal->text);
    ck_assert_int_eq(out, 77);
    ck_assert_int_eq(graph->node_count, 0);
    dmi_graph_destroy(graph);
    test_host_end(host);
}
