/* SPDX-License-Identifier: MIT */
/* See golden_network.h. */
#include "golden/golden_network.h"

#include "support/network.h"
#include "unet/build.h"

const char *golden_network_text(const golden_network *f, const char *what) {
    char key[GOLDEN_NAME];
    snprintf(key, sizeof key, "%s/%s", f->name, what);
    const char *text = dmi_safetensors_metadata(f->file, key);
    ck_assert_msg(text, "the golden file has no '%s'", key);
    return text;
}

void golden_network_require(const golden_network *f, int32_t status) {
    ck_assert_msg(status == DM_OK, "%s: %s: %s", f->name, dm_status_name(status),
                  dm_context_error(f->context));
}

bool golden_line(const char **text, char *line) {
    size_t length = strcspn(*text, "\n");
    if (!**text) return false;
    ck_assert_uint_lt(length, GOLDEN_LINE);
    memcpy(line, *text, length);
    line[length] = 0;
    *text += length + ((*text)[length] == '\n');
    return true;
}

/* "member value" in each line. */
static void read_options(golden_network *f) {
    const char *text = golden_network_text(f, "options");
    char line[GOLDEN_LINE];
    golden_network_require(f, dm_unet_options_init(&f->options, sizeof f->options));
    while (golden_line(&text, line)) {
        char *value = strchr(line, ' ');
        ck_assert_ptr_nonnull(value);
        *value++ = 0;
        golden_network_require(f, dm_options_set(f->context, "dm_unet_options", &f->options, line,
                                                 value));
    }
}

static void set_weights(golden_network *f) {
    for (int32_t i = 0; i < dm_unet_tensor_count(f->unet); i++) {
        dm_tensor_info info = {.struct_size = sizeof info};
        golden_network_require(f, dm_unet_get_tensor_info(f->unet, i, &info));
        float *values = golden_floats(info.elements);
        golden_weight(values, info.name, info.rank, info.shape);
        golden_network_require(f, network_set(f->unet, info.name, values, info.elements));
        free(values);
    }
}

void golden_network_begin(golden_network *f, const char *file, const char *name, int32_t isa) {
    *f = (golden_network){.name = name};
    ck_assert_int_eq(dm_context_create(&f->context, NULL, NULL, 0), DM_OK);
    f->context->kernels = dmi_kernels_for(isa);
    f->file = golden_open(&f->context->host, file);
    read_options(f);
    golden_network_require(f, dm_unet_create(&f->unet, f->context, &f->options, 1));
    set_weights(f);
}

void golden_network_end(golden_network *f) {
    dmi_unet_graph_destroy(&f->g);
    dmi_safetensors_close(&f->context->host, f->file);
    dm_unet_destroy(f->unet);
    dm_context_destroy(f->context);
}

void golden_network_check(const golden_network *f, const char *what, double error, double bound) {
    if (getenv("GOLDEN_VERBOSE"))
        printf("%s(%s) %s %.2e\n", f->name, f->context->kernels->isa, what, error);
    ck_assert_msg(error <= bound, "%s (%s): %s: relative error %.3g is above %.3g", f->name,
                  f->context->kernels->isa, what, error, bound);
}

static float *stored(const golden_network *f, const char *name, dmi_value value) {
    if (value == DMI_NONE) return NULL;
    return golden_read(f->file, f->name, name, dmi_shape_count(dmi_graph_shape(f->g.graph, value)));
}

/* The graph as a trainer has it, but with the gradient of x too. */
static void build(golden_network *f, int32_t images, int32_t recompute) {
    dmi_host *host = &f->context->host;
    dmi_graph *graph;
    golden_network_require(f, dmi_params_allocate_gradient(host, &f->unet->weights->params));
    golden_network_require(f, dmi_graph_create(host, &graph, f->context->kernels,
                                               &f->unet->weights->params));
    graph->recompute = recompute;
    golden_network_require(f, dmi_unet_build(graph, &f->options, images, true, &f->g));
    graph->values[f->g.x].needs_gradient = true;
    for (int32_t i = 0; i < graph->node_count; i++)
        for (int32_t k = 0; k < DMI_INPUTS_MAX; k++)
            if (graph->nodes[i].inputs[k] != DMI_NONE &&
                graph->values[graph->nodes[i].inputs[k]].needs_gradient)
                graph->values[graph->nodes[i].output].needs_gradient = true;
    golden_network_require(f, dmi_graph_plan(graph, &f->g.output, 1, true));
}

static void copy_input(const golden_network *f, dmi_value value, const float *from) {
    size_t count = dmi_shape_count(dmi_graph_shape(f->g.graph, value));
    if (from) memcpy(dmi_graph_data(f->g.graph, value), from, count * sizeof *from);
}

static void check_gradients(const golden_network *f) {
    const dmi_params *params = &f->unet->weights->params;
    const char *names = golden_network_text(f, "tensors");
    char name[GOLDEN_LINE];
    size_t tensors = 1;
    for (const char *c = names; *c; c++) tensors += *c == '\n';
    float *digests = golden_read(f->file, f->name, "digest", tensors * GOLDEN_DIGEST);
    /* Some gradients are 0 but for rounding: of what a norm after it removes, as the bias of k, or
     * a shift before a norm of one channel a group. So errors are measured against the largest
     * gradient where a tensor's own is a hundredth of it. */
    double least = 0;
    for (size_t i = 0; i < tensors; i++)
        least = fmax(least, 1e-2 * (double)digests[i * GOLDEN_DIGEST]);
    for (size_t i = 0; golden_line(&names, name); i++) {
        const float *digest = digests + i * GOLDEN_DIGEST;
        int32_t index = dmi_params_find(params, name);
        ck_assert_msg(index >= 0, "%s: the network has no '%s'", f->name, name);
        const dmi_param *p = &params->items[index];
        float *got = golden_floats(p->count);
        dmi_params_export(p, params->gradient, got);
        golden_network_check(f, name, golden_digest_error(name, got, p->count, digest, least),
                             f->gradient_bound);
        free(got);
    }
    free(digests);
}

void golden_network_run(golden_network *f, int32_t images, int32_t recompute) {
    build(f, images, recompute);
    size_t in = dmi_shape_count(dmi_graph_shape(f->g.graph, f->g.x)),
           out = dmi_shape_count(dmi_graph_shape(f->g.graph, f->g.output));
    float *x = golden_floats(in), *dy = golden_floats(out),
          *y = golden_read(f->file, f->name, "y", out),
          *dx = golden_read(f->file, f->name, "dx", in), *times = stored(f, "times", f->g.t),
          *labels = stored(f, "labels", f->g.labels),
          *vector = stored(f, "vector", f->g.condition_vector);
    golden_fill(x, in, 1, f->name, "x");
    golden_fill(dy, out, 1, f->name, "dy");
    for (int32_t run = 0; run < 2; run++) { /* the second time over what the first left */
        copy_input(f, f->g.x, x);
        copy_input(f, f->g.t, times);
        copy_input(f, f->g.labels, labels);
        copy_input(f, f->g.condition_vector, vector);
        dmi_graph_forward(f->g.graph);
        golden_network_check(f, "output",
                             test_error(dmi_graph_data(f->g.graph, f->g.output), y, out),
                             f->output_bound);
        memcpy(dmi_graph_gradient(f->g.graph, f->g.output), dy, out * sizeof *dy);
        dmi_graph_backward(f->g.graph);
        golden_network_check(f, "gradient of x",
                             test_error(dmi_graph_gradient(f->g.graph, f->g.x), dx, in),
                             f->gradient_bound);
        check_gradients(f);
    }
    float *const arrays[] = {x, dy, y, dx, times, labels, vector};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
}
