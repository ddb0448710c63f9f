/* SPDX-License-Identifier: MIT */
/* The error that computing with bfloat16 makes in each layer of a network, and in the whole:
 *
 *     bf16_error network.safetensors
 *
 * One line each, a name and the norm of the error over that of the float32 result. A layer gets the
 * inputs that it has in a forward pass in float32, rounded to bfloat16 where it reads bfloat16. The
 * images are noise that tests/golden/formula.py makes too (seed 1), the time is 500 and the class,
 * if any, 3; bf16_torch.py does the same with PyTorch. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "autograd/ops.h"
#include "core/context.h"
#include "unet/unet.h"

enum { BATCH = 2, OPS_MAX = 1024 };

/* The hooked operations, which have no data of their own: copies of theirs. */
static struct {
    dmi_op copies[OPS_MAX];
    const dmi_op *originals[OPS_MAX];
    int32_t count;
} hooks;

static void require(bool good, const char *what, const char *why) {
    if (good) return;
    fprintf(stderr, "bf16_error: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

static void accept(dm_status status, const dm_context *context) {
    require(status == DM_OK, dm_status_name(status), dm_context_error(context));
}

static double error_of(const float *got, const float *want, size_t count) {
    double wrong = 0, size = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = (double)got[i] - (double)want[i];
        wrong += difference * difference;
        size += (double)want[i] * (double)want[i];
    }
    require(size > 0 && isfinite(wrong), "a layer", "its result is all zero, or not finite");
    return sqrt(wrong / size);
}

/* As test_fill of the tests, seed 1 and scale 2. */
static void fill(float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t z = i * 0x9E3779B97F4A7C15u + UINT64_C(0xD1B54A32D192ED03) + 0x2545F4914F6CDD1Du;
        z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
        z = (z ^ z >> 27) * 0x94D049BB133111EBu;
        z = (z ^ z >> 31) >> 32;
        values[i] = (float)(2 * ((double)z / 2147483648.0 - 1));
    }
}

static const dmi_op *original_of(const dmi_op *op) {
    for (int32_t i = 0; i < hooks.count; i++)
        if (op == &hooks.copies[i]) return hooks.originals[i];
    return NULL;
}

/* The node alone in a graph that computes with bfloat16, on the same inputs. */
static double layer_error(const dmi_graph *graph, const dmi_node *node) {
    dmi_params none;
    dmi_graph *g;
    dmi_value inputs[DMI_INPUTS_MAX], y, out;
    int32_t count = 0;
    dmi_params_init(&none);
    dmi_host *host = graph->host;
    int32_t status = dmi_graph_create(host, &g, graph->kernels, &none);
    require(!status, "a layer", host->error);
    g->bf16_product = graph->bf16_product;
    for (int32_t i = 0; !status && i < DMI_INPUTS_MAX; i++) {
        inputs[i] = DMI_NONE;
        if (node->inputs[i] == DMI_NONE) continue;
        count = i + 1;
        status = dmi_graph_input(g, &inputs[i], dmi_input_shape(graph, node, i), false);
    }
    g->bf16 = true;
    if (!status)
        status = dmi_graph_append(g, &y, original_of(node->op), inputs, count, &node->attr);
    if (!status) status = dmi_cast(g, &out, y, false);
    if (!status) status = dmi_graph_plan(g, &out, 1, false);
    require(!status, "a layer", host->error);
    for (int32_t i = 0; i < count; i++)
        if (inputs[i] != DMI_NONE)
            memcpy(dmi_graph_data(g, inputs[i]), dmi_input(graph, node, i),
                   dmi_shape_count(dmi_input_shape(graph, node, i)) * sizeof(float));
    dmi_graph_forward(g);
    double error = error_of(dmi_graph_data(g, out), dmi_graph_data(graph, node->output),
                            dmi_shape_count(dmi_graph_shape(graph, node->output)));
    dmi_graph_destroy(g);
    return error;
}

static void measuring_forward(dmi_graph *graph, dmi_node *node) {
    original_of(node->op)->forward(graph, node);
    const char *name = node->op->name;
    const dmi_value_info *second =
        node->inputs[1] == DMI_NONE ? NULL : &graph->values[node->inputs[1]];
    if (second && second->kind == DMI_VALUE_PARAM) name = graph->params->items[second->param].name;
    printf("%s %.3e\n", name, layer_error(graph, node));
}

/* Convolutions that are computed in float32 anyway are left out. */
static void hook(dmi_graph *graph, const dmi_graph *lower) {
    for (int32_t i = 0, k = 0; i < graph->node_count; i++, k++) {
        dmi_node *node = &graph->nodes[i];
        while (!strcmp(lower->nodes[k].op->name, "cast")) k++;
        if (!lower->nodes[k].bf16) continue;
        require(hooks.count < OPS_MAX, "the network", "it has too many layers");
        hooks.originals[hooks.count] = node->op;
        hooks.copies[hooks.count] = *node->op;
        hooks.copies[hooks.count].forward = measuring_forward;
        node->op = &hooks.copies[hooks.count++];
    }
}

static dmi_unet_graph graph_of(dm_unet *unet, dm_precision precision) {
    dmi_unet_graph u;
    accept(dm_unet_set_precision(unet, precision), unet->context);
    accept(dmi_unet_graph_create(unet, &u, BATCH, false, DM_RECOMPUTE_NONE), unet->context);
    fill(dmi_graph_data(u.graph, u.x), dmi_shape_count(dmi_graph_shape(u.graph, u.x)));
    for (int32_t i = 0; i < BATCH; i++) {
        dmi_graph_data(u.graph, u.t)[i] = 500;
        if (u.labels != DMI_NONE) dmi_graph_data(u.graph, u.labels)[i] = 3;
    }
    return u;
}

int main(int argc, char **argv) {
    dm_context *context;
    dm_unet *unet;
    char reason[512];
    require(argc == 2, "usage", "bf16_error network.safetensors");
    dm_status status = dm_context_create(&context, NULL, reason, sizeof reason);
    require(!status, "context", reason);
    accept(dm_unet_load(&unet, context, argv[1], DM_WEIGHTS_DEFAULT), context);
    dmi_unet_graph lower = graph_of(unet, DM_PRECISION_BF16),
                   whole = graph_of(unet, DM_PRECISION_F32);
    hook(whole.graph, lower.graph);
    dmi_graph_forward(lower.graph);
    dmi_graph_forward(whole.graph);
    printf("network %.3e\n", error_of(dmi_graph_data(lower.graph, lower.output),
                                      dmi_graph_data(whole.graph, whole.output),
                                      dmi_shape_count(dmi_graph_shape(whole.graph, whole.output))));
    dmi_unet_graph_destroy(&lower);
    dmi_unet_graph_destroy(&whole);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    return EXIT_SUCCESS;
}
