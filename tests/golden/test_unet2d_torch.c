/* SPDX-License-Identifier: MIT */
/* Networks of diffusers' UNet2DModel, of random configurations: outputs, gradients of the input and
 * of every parameter against PyTorch in double precision (make_unet2d.py). */
#include "base/cpu.h"
#include "diffusion.h"
#include "golden/golden.h"
#include "support/network.h"
#include "unet/build.h"
#include "unet/unet.h"

enum { IMAGES = 2, CASES = 30, INITIAL = 10, TEXT = 96 };

/* As in test_unet_torch.c; inputs of Fourier features and of frequencies that rise are rounded to
 * float by PyTorch too, before their sines are taken. */
static const double output_bound = 1e-5, gradient_bound = 6e-5;

typedef struct fixture {
    char name[16];
    dm_context *context;
    dmi_safetensors *file;
    dm_unet *unet;
    dm_unet_options options;
    dmi_unet_graph g;
} fixture;

static const char *text_of(const fixture *f, const char *what) {
    char key[TEXT];
    snprintf(key, sizeof key, "%s/%s", f->name, what);
    const char *text = dmi_safetensors_metadata(f->file, key);
    ck_assert_msg(text, "the golden file has no '%s'", key);
    return text;
}

static void require(const fixture *f, int32_t status) {
    ck_assert_msg(status == DM_OK, "%s: %s: %s", f->name, dm_status_name(status),
                  dm_context_error(f->context));
}

/* The next line of a text into line [TEXT]; false at its end. */
static bool next_line(const char **text, char *line) {
    size_t length = strcspn(*text, "\n");
    if (!**text) return false;
    ck_assert_uint_lt(length, TEXT);
    memcpy(line, *text, length);
    line[length] = 0;
    *text += length + ((*text)[length] == '\n');
    return true;
}

/* "member value" in each line. */
static void read_options(fixture *f) {
    const char *text = text_of(f, "options");
    char line[TEXT];
    require(f, dm_unet_options_init(&f->options, sizeof f->options));
    while (next_line(&text, line)) {
        char *value = strchr(line, ' ');
        ck_assert_ptr_nonnull(value);
        *value++ = 0;
        require(f, dm_options_set(f->context, "dm_unet_options", &f->options, line, value));
    }
}

static void set_weights(fixture *f) {
    for (int32_t i = 0; i < dm_unet_tensor_count(f->unet); i++) {
        dm_tensor_info info = {.struct_size = sizeof info};
        require(f, dm_unet_get_tensor_info(f->unet, i, &info));
        float *values = golden_floats(info.elements);
        golden_weight(values, info.name, info.rank, info.shape);
        require(f, network_set(f->unet, info.name, values, info.elements));
        free(values);
    }
}

static void begin(fixture *f, int32_t number, int32_t isa) {
    *f = (fixture){0};
    snprintf(f->name, sizeof f->name, "case%02d", (int)number);
    ck_assert_int_eq(dm_context_create(&f->context, NULL, NULL, 0), DM_OK);
    f->context->kernels = dmi_kernels_for(isa);
    f->file = golden_open(&f->context->host, "unet2d.safetensors");
    read_options(f);
    require(f, dm_unet_create(&f->unet, f->context, &f->options, 1));
    set_weights(f);
}

static void end(fixture *f) {
    dmi_unet_graph_destroy(&f->g);
    dmi_safetensors_close(&f->context->host, f->file);
    dm_unet_destroy(f->unet);
    dm_context_destroy(f->context);
}

static void check(const fixture *f, const char *what, double error, double bound) {
    if (getenv("GOLDEN_VERBOSE"))
        printf("%s(%s) %s %.2e\n", f->name, f->context->kernels->isa, what, error);
    ck_assert_msg(error <= bound, "%s (%s): %s: relative error %.3g is above %.3g", f->name,
                  f->context->kernels->isa, what, error, bound);
}

static float *stored(const fixture *f, const char *name, dmi_value value) {
    if (value == DMI_NONE) return NULL;
    return golden_read(f->file, f->name, name, dmi_shape_count(dmi_graph_shape(f->g.graph, value)));
}

/* The graph as a trainer has it, but with the gradient of x too. */
static void build(fixture *f, int32_t recompute) {
    dmi_host *host = &f->context->host;
    dmi_graph *graph;
    require(f, dmi_params_allocate_gradient(host, &f->unet->weights->params));
    require(f, dmi_graph_create(host, &graph, f->context->kernels, &f->unet->weights->params));
    graph->recompute = recompute;
    require(f, dmi_unet_build(graph, &f->options, IMAGES, true, &f->g));
    graph->values[f->g.x].needs_gradient = true;
    for (int32_t i = 0; i < graph->node_count; i++)
        for (int32_t k = 0; k < DMI_INPUTS_MAX; k++)
            if (graph->nodes[i].inputs[k] != DMI_NONE &&
                graph->values[graph->nodes[i].inputs[k]].needs_gradient)
                graph->values[graph->nodes[i].output].needs_gradient = true;
    require(f, dmi_graph_plan(graph, &f->g.output, 1, true));
}

static void copy_input(const fixture *f, dmi_value value, const float *from) {
    size_t count = dmi_shape_count(dmi_graph_shape(f->g.graph, value));
    if (from) memcpy(dmi_graph_data(f->g.graph, value), from, count * sizeof *from);
}

static void check_gradients(const fixture *f) {
    const dmi_params *params = &f->unet->weights->params;
    const char *names = text_of(f, "tensors");
    char name[TEXT];
    size_t tensors = 1;
    for (const char *c = names; *c; c++) tensors += *c == '\n';
    float *digests = golden_read(f->file, f->name, "digest", tensors * GOLDEN_DIGEST);
    /* Some gradients are 0 but for rounding: of what a norm after it removes, as the bias of k, or
     * a shift before a norm of one channel a group. So errors are measured against the largest
     * gradient where a tensor's own is a thousandth of it. */
    double least = 0;
    for (size_t i = 0; i < tensors; i++)
        least = fmax(least, 1e-3 * (double)digests[i * GOLDEN_DIGEST]);
    for (size_t i = 0; next_line(&names, name); i++) {
        const float *digest = digests + i * GOLDEN_DIGEST;
        int32_t index = dmi_params_find(params, name);
        ck_assert_msg(index >= 0, "%s: the network has no '%s'", f->name, name);
        const dmi_param *p = &params->items[index];
        float *got = golden_floats(p->count);
        dmi_params_export(p, params->gradient, got);
        check(f, name, golden_digest_error(name, got, p->count, digest, least), gradient_bound);
        free(got);
    }
    free(digests);
}

static void run_case(int32_t number, int32_t isa, int32_t recompute) {
    fixture f;
    begin(&f, number, isa);
    build(&f, recompute);
    size_t in = dmi_shape_count(dmi_graph_shape(f.g.graph, f.g.x)),
           out = dmi_shape_count(dmi_graph_shape(f.g.graph, f.g.output));
    float *x = golden_floats(in), *dy = golden_floats(out),
          *y = golden_read(f.file, f.name, "y", out), *dx = golden_read(f.file, f.name, "dx", in),
          *times = stored(&f, "times", f.g.t), *labels = stored(&f, "labels", f.g.labels),
          *vector = stored(&f, "vector", f.g.condition_vector);
    golden_fill(x, in, 1, f.name, "x");
    golden_fill(dy, out, 1, f.name, "dy");
    for (int32_t run = 0; run < 2; run++) { /* the second time over what the first left */
        copy_input(&f, f.g.x, x);
        copy_input(&f, f.g.t, times);
        copy_input(&f, f.g.labels, labels);
        copy_input(&f, f.g.condition_vector, vector);
        dmi_graph_forward(f.g.graph);
        check(&f, "output", test_error(dmi_graph_data(f.g.graph, f.g.output), y, out),
              output_bound);
        memcpy(dmi_graph_gradient(f.g.graph, f.g.output), dy, out * sizeof *dy);
        dmi_graph_backward(f.g.graph);
        check(&f, "gradient of x", test_error(dmi_graph_gradient(f.g.graph, f.g.x), dx, in),
              gradient_bound);
        check_gradients(&f);
    }
    float *const arrays[] = {x, dy, y, dx, times, labels, vector};
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
    end(&f);
}

/* PyTorch's initial weights, to the rounding of a digest's sums. */
START_TEST(initial_weights) {
    fixture f;
    begin(&f, _i, dmi_cpu_isa());
    require(&f, dm_unet_initialize(f.unet, DM_INITIALIZATION_TORCH, (uint64_t)_i));
    const dmi_params *params = &f.unet->weights->params;
    const char *names = text_of(&f, "parameters");
    char name[TEXT];
    size_t tensors = (size_t)params->count, i = 0;
    float *digests = golden_read(f.file, f.name, "initial", tensors * GOLDEN_DIGEST);
    for (; next_line(&names, name); i++) {
        int32_t index = dmi_params_find(params, name);
        ck_assert_msg(index >= 0, "%s: the network has no '%s'", f.name, name);
        float *got = golden_floats(params->items[index].count);
        dmi_params_export(&params->items[index], params->data, got);
        check(&f, name,
              golden_digest_error(name, got, params->items[index].count,
                                  digests + i * GOLDEN_DIGEST, 1e-3),
              1e-6);
        free(got);
    }
    ck_assert_uint_eq(i, tensors);
    free(digests);
    end(&f);
}
END_TEST

START_TEST(random_networks) {
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++)
        run_case(_i, isa, DM_RECOMPUTE_NONE);
    run_case(_i, dmi_cpu_isa(), DM_RECOMPUTE_BLOCKS);
}
END_TEST

Suite *test_unet2d_torch_suite(void);
Suite *test_unet2d_torch_suite(void) {
    Suite *suite = suite_create("unet2d_torch");
    TCase *tcase = tcase_create("unet2d_torch");
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, random_networks, 0, CASES);
    tcase_add_loop_test(tcase, initial_weights, 0, INITIAL);
    suite_add_tcase(suite, tcase);
    return suite;
}
