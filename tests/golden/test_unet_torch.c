/* SPDX-License-Identifier: MIT */
/* The network against PyTorch: names and shapes of the published CIFAR-10 checkpoint, then outputs
 * and every gradient for the cases of make_unet.py, which between them use every option. */
#include "base/cpu.h"
#include "diffusion.h"
#include "golden/golden.h"
#include "support/network.h"
#include "unet/build.h"
#include "unet/unet.h"

/* What limits these: PyTorch's side is exact. Ours adds up roundings of 6e-8 through some 20 to 60
 * layers, and Winograd's of 1e-6 in wide 3x3 convolutions; group norms rescale them and residual
 * blocks cancel most of them. Outputs measure 8e-7, and 2e-6 (naive convolution: 3e-6) in the
 * CIFAR-10 network. A parameter's gradient is a sum over images and pixels in which much cancels:
 * most for the bias of q, which moves all queries alike, and there 8e-6, and 2e-5 in the CIFAR-10
 * network. */
static const double output_bound = 5e-6;
static const double gradient_bound = 2e-5;
static const double large_gradient_bound = 6e-5;

typedef struct unet_case {
    const char *name;
    dm_unet_options options; /* of the first members, up to down_resample, those that are 0 here are
                                so in the network too; the others have their defaults */
    int32_t count;
    float timesteps[4];
    const int32_t *labels;
} unet_case;

static const int32_t some_labels[] = {2, -1, 0}, more_labels[] = {-1, 1, 1, 0};

static const unet_case cases[] = {
    {"add",
     {.height = 8,
      .width = 8,
      .in_channels = 3,
      .out_channels = 6,
      .levels = 2,
      .channels = {8, 16},
      .blocks = {1, 1},
      .attention = {0, 1},
      .mid_attention = 1,
      .norm_groups = 4,
      .norm_eps = 1e-6f,
      .time_frequency_shift = 1,
      .sigma_data = 0.5f},
     2,
     {999, 0},
     NULL},
    {"scale_shift",
     {.height = 8,
      .width = 8,
      .in_channels = 3,
      .out_channels = 3,
      .levels = 2,
      .channels = {8, 16},
      .blocks = {1, 1},
      .attention = {1, 1},
      .mid_attention = 1,
      .attention_head_size = 4,
      .norm_groups = 4,
      .norm_eps = 1e-5f,
      .time_embedding = DM_TIME_SCALE_SHIFT,
      .time_channels = 24,
      .time_cos_first = 1,
      .sigma_data = 0.5f,
      .downsample_padding = DM_PAD_ALL,
      .classes = 3},
     3,
     {999, 0, 417},
     some_labels},
    {"add_output",
     {.height = 8,
      .width = 16,
      .in_channels = 1,
      .out_channels = 1,
      .levels = 3,
      .channels = {8, 8, 16},
      .blocks = {2, 1, 1},
      .norm_groups = 2,
      .norm_eps = 1e-6f,
      .time_embedding = DM_TIME_ADD_OUTPUT,
      .time_channels = 16,
      .time_frequency_shift = 1,
      .sigma_data = 0.5f},
     2,
     {417, 3.25f},
     NULL},
    {"one_level",
     {.height = 5,
      .width = 7,
      .in_channels = 4,
      .out_channels = 3,
      .levels = 1,
      .channels = {12},
      .blocks = {2},
      .attention = {1},
      .mid_attention = 1,
      .attention_head_size = 6,
      .norm_groups = 1,
      .norm_eps = 1e-3f,
      .time_frequency_shift = 0.5f,
      .sigma_data = 0.5f,
      .classes = 2},
     2,
     {0, 417},
     NULL},
    {"falling",
     {.height = 16,
      .width = 8,
      .in_channels = 3,
      .out_channels = 3,
      .levels = 2,
      .channels = {16, 8},
      .blocks = {1, 2},
      .attention = {1, 0},
      .attention_head_size = 16,
      .norm_groups = 4,
      .norm_eps = 1e-6f,
      .time_channels = 20,
      .time_frequency_shift = 1,
      .sigma_data = 0.5f,
      .downsample_padding = DM_PAD_ALL},
     1,
     {999},
     NULL},
    {"deep",
     {.height = 8,
      .width = 8,
      .in_channels = 3,
      .out_channels = 3,
      .levels = 3,
      .channels = {4, 8, 12},
      .blocks = {1, 1, 1},
      .attention = {0, 1, 1},
      .mid_attention = 1,
      .attention_head_size = 4,
      .norm_groups = 2,
      .norm_eps = 1e-6f,
      .time_embedding = DM_TIME_ADD_OUTPUT,
      .time_channels = 20,
      .time_frequency_shift = 1,
      .sigma_data = 0.5f,
      .classes = 4},
     4,
     {999, 0, 417, 3.25f},
     more_labels},
};

/* What a case runs on. */
typedef struct fixture {
    const unet_case *c;
    dm_context *context;
    dm_unet *unet;
    dmi_safetensors *file;
    size_t in, out; /* floats of x_t and of the output */
    float *x, *dy, *want;
} fixture;

static void require(const fixture *f, int32_t status) {
    ck_assert_msg(status == DM_OK, "%s: %s: %s", f->c->name, dm_status_name(status),
                  dm_context_error(f->context));
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

static void begin(fixture *f, const unet_case *c, int32_t isa) {
    *f = (fixture){.c = c};
    dm_unet_options options = c->options;
    options.struct_size = offsetof(dm_unet_options, down_resample);
    require(f, dm_context_create(&f->context, NULL, NULL, 0));
    f->context->kernels = dmi_kernels_for(isa);
    require(f, dm_unet_create(&f->unet, f->context, &options, 1));
    set_weights(f);
    size_t pixels = (size_t)c->count * (size_t)options.height * (size_t)options.width;
    f->in = pixels * (size_t)options.in_channels;
    f->out = pixels * (size_t)options.out_channels;
    f->x = golden_floats(f->in);
    f->dy = golden_floats(f->out);
    golden_fill(f->x, f->in, 1, c->name, "x");
    golden_fill(f->dy, f->out, 1, c->name, "dy");
    f->file = golden_open(&f->context->host, "unet.safetensors");
    f->want = golden_read(f->file, c->name, "y", f->out);
}

static void end(fixture *f) {
    dmi_safetensors_close(&f->context->host, f->file);
    free(f->x);
    free(f->dy);
    free(f->want);
    dm_unet_destroy(f->unet);
    dm_context_destroy(f->context);
}

static void check(const fixture *f, const char *what, double error, double bound) {
    const char *isa = f->context->kernels->isa;
    if (getenv("GOLDEN_VERBOSE")) printf("%s(%s) %s %.2e\n", f->c->name, isa, what, error);
    ck_assert_msg(error <= bound, "%s (%s): %s: relative error %.3g is above %.3g", f->c->name, isa,
                  what, error, bound);
}

/* Through the public calls, twice, since what is kept of the first run must suit the second. */
static void check_output(fixture *f) {
    float *output = golden_floats(f->out);
    for (int32_t run = 0; run < 2; run++) {
        memset(output, 0, f->out * sizeof *output);
        require(f, network_forward(f->unet, output, f->x, f->c->timesteps, f->c->labels,
                                   (size_t)f->c->count));
        check(f, "output", test_error(output, f->want, f->out), output_bound);
    }
    free(output);
}

/* Output and gradient of the input through the public calls, for all tilings and none. */
static void check_public_gradient(fixture *f, const char *tiling) {
    char y[32], dx[32];
    double times[4];
    dm_unet_input input;
    snprintf(y, sizeof y, "%s%sy", tiling, *tiling ? " " : "");
    snprintf(dx, sizeof dx, "%s%sdx", tiling, *tiling ? " " : "");
    float *want_y = golden_read(f->file, f->c->name, y, f->out),
          *want_dx = golden_read(f->file, f->c->name, dx, f->in), *got_y = golden_floats(f->out),
          *got_dx = golden_floats(f->in);
    require(f, dm_unet_input_init(&input, sizeof input));
    for (int32_t i = 0; i < f->c->count; i++) times[i] = f->c->timesteps[i];
    input.count = input.time_count = (uint64_t)f->c->count;
    input.x_elements = f->in;
    input.x = f->x;
    input.times = times;
    input.labels = f->c->labels;
    input.label_count = input.labels ? input.count : 0;
    require(f, dm_unet_set_tiling(f->unet, !strcmp(tiling, "horizontal") || !strcmp(tiling, "both"),
                                  !strcmp(tiling, "vertical") || !strcmp(tiling, "both")));
    for (int32_t run = 0; run < 2; run++) {
        require(f, dm_unet_input_gradient(f->unet, &input, f->dy, f->out, got_y, got_dx, f->in));
        check(f, y, test_error(got_y, want_y, f->out), output_bound);
        check(f, dx, test_error(got_dx, want_dx, f->in), gradient_bound);
    }
    free(got_dx);
    free(got_y);
    free(want_dx);
    free(want_y);
}

static void check_input_gradient(const fixture *f, const dmi_unet_graph *g) {
    float *want = golden_read(f->file, f->c->name, "dx", f->in);
    check(f, "gradient of x_t", test_error(dmi_graph_gradient(g->graph, g->x), want, f->in),
          gradient_bound);
    free(want);
}

/* The bias of k shifts all scores of a query alike, which softmax does not see: its gradient is 0
 * but for rounding, and is measured against that of its neighbour, the weight of k. */
static bool is_zero(const char *name) {
    size_t length = strlen(name);
    return length > 10 && !strcmp(name + length - 10, ".to_k.bias");
}

/* Against gradients in full. */
static void check_gradients(const fixture *f) {
    double previous = 0;
    for (int32_t i = 0; i < f->unet->weights->params.count; i++) {
        const dmi_param *p = &f->unet->weights->params.items[i];
        float *got = golden_floats(p->count),
              *want = golden_read(f->file, f->c->name, p->name, p->count);
        dmi_params_export(p, f->unet->weights->params.gradient, got);
        double size = 0, difference = 0;
        for (size_t k = 0; k < p->count; k++) {
            size += (double)want[k] * want[k];
            difference += ((double)got[k] - want[k]) * ((double)got[k] - want[k]);
        }
        size = is_zero(p->name) ? previous : sqrt(size);
        check(f, p->name, size > 0 ? sqrt(difference) / size : sqrt(difference), gradient_bound);
        previous = size;
        free(got);
        free(want);
    }
}

/* Against digests. */
static void check_digests(const fixture *f) {
    size_t tensors = (size_t)f->unet->weights->params.count;
    float *digests = golden_read(f->file, f->c->name, "digest", tensors * GOLDEN_DIGEST);
    for (size_t i = 0; i < tensors; i++) {
        const dmi_param *p = &f->unet->weights->params.items[i];
        const float *digest = digests + i * GOLDEN_DIGEST;
        double norm_min = is_zero(p->name) ? (double)digest[-GOLDEN_DIGEST] : 0;
        float *got = golden_floats(p->count);
        dmi_params_export(p, f->unet->weights->params.gradient, got);
        check(f, p->name, golden_digest_error(p->name, got, p->count, digest, norm_min),
              large_gradient_bound);
        free(got);
    }
    free(digests);
}

/* The graph as a trainer has it, but with the gradient of x_t too. */
static void build(fixture *f, dmi_unet_graph *g) {
    dmi_host *host = &f->context->host;
    dmi_graph *graph;
    require(f, dmi_params_allocate_gradient(host, &f->unet->weights->params));
    require(f, dmi_graph_create(host, &graph, f->context->kernels, &f->unet->weights->params));
    require(f, dmi_unet_build(graph, &f->unet->options, f->c->count, true, g));
    graph->values[g->x].needs_gradient = true;
    require(f, dmi_graph_plan(graph, &g->output, 1, true));
}

static void run_backward(const fixture *f, dmi_unet_graph *g) {
    memcpy(dmi_graph_data(g->graph, g->x), f->x, f->in * sizeof(float));
    memcpy(dmi_graph_data(g->graph, g->t), f->c->timesteps, (size_t)f->c->count * sizeof(float));
    float *labels = dmi_graph_data(g->graph, g->labels);
    for (int32_t i = 0; labels && i < f->c->count; i++)
        labels[i] = dmi_unet_label_row(f->c->labels ? f->c->labels[i] : -1, f->c->options.classes);
    dmi_graph_forward(g->graph);
    check(f, "output in training", test_error(dmi_graph_data(g->graph, g->output), f->want, f->out),
          output_bound);
    memcpy(dmi_graph_gradient(g->graph, g->output), f->dy, f->out * sizeof(float));
    dmi_graph_backward(g->graph);
}

static void small_network(const unet_case *c, int32_t isa) {
    fixture f;
    dmi_unet_graph g;
    begin(&f, c, isa);
    check_output(&f);
    build(&f, &g);
    for (int32_t run = 0; run < 2; run++) { /* the second time over what the first left */
        run_backward(&f, &g);
        check_gradients(&f);
        check_input_gradient(&f, &g);
    }
    dmi_unet_graph_destroy(&g);
    end(&f);
}

START_TEST(small_networks) {
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) small_network(&cases[_i], isa);
}
END_TEST

/* dm_unet_input_gradient, with and without dm_unet_set_tiling. */
START_TEST(input_gradients) {
    static const char *const tilings[] = {"", "horizontal", "vertical", "both", ""};
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) {
        fixture f;
        begin(&f, &cases[_i], isa);
        for (int k = 0; k < 5; k++) check_public_gradient(&f, tilings[k]);
        end(&f);
    }
}
END_TEST

/* Gradients of two passes added up are twice those of one. */
START_TEST(accumulation) {
    fixture f;
    dmi_unet_graph g;
    begin(&f, &cases[_i], dmi_cpu_isa());
    require(&f, dmi_params_allocate_gradient(&f.context->host, &f.unet->weights->params));
    require(&f, dmi_unet_graph_create(f.unet, &g, f.c->count, true, DM_RECOMPUTE_NONE));
    run_backward(&f, &g);
    g.graph->add_to_params = true;
    run_backward(&f, &g);
    for (size_t i = 0; i < f.unet->weights->params.floats; i++)
        f.unet->weights->params.gradient[i] *= 0.5f;
    check_gradients(&f);
    dmi_unet_graph_destroy(&g);
    end(&f);
}
END_TEST

static unet_case cifar10(void) {
    unet_case c = {.name = "ddpm_cifar10", .count = 2, .timesteps = {731, 12}};
    ck_assert_int_eq(dm_unet_options_preset(&c.options, sizeof c.options, DM_PRESET_DDPM_CIFAR10),
                     DM_OK);
    c.options.dropout = 0;
    return c;
}

START_TEST(cifar10_network) {
    fixture f;
    dmi_unet_graph g;
    unet_case c = cifar10();
    begin(&f, &c, dmi_cpu_isa());
    check_output(&f);
    build(&f, &g);
    run_backward(&f, &g);
    check_digests(&f);
    check_input_gradient(&f, &g);
    dmi_unet_graph_destroy(&g);
    end(&f);
}
END_TEST

/* "conv_in.weight (128, 3, 3, 3)" as the reference has it. */
static void describe(char *line, size_t size, const dm_tensor_info *info) {
    int length = snprintf(line, size, "%s (%lld,", info->name, (long long)info->shape[0]);
    for (int32_t i = 1; i < info->rank; i++)
        length += snprintf(line + length, size - (size_t)length, "%s %lld", i > 1 ? "," : "",
                           (long long)info->shape[i]);
    snprintf(line + length, size - (size_t)length, ")");
}

START_TEST(cifar10_tensors) {
    dm_context *context;
    dm_unet *unet;
    dm_unet_options options;
    char want[256], got[256];
    FILE *file = fopen("tests/golden/reference/ddpm-cifar10-32-tensors.txt", "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(dm_unet_options_preset(&options, sizeof options, DM_PRESET_DDPM_CIFAR10),
                     DM_OK);
    ck_assert_int_eq(dm_context_create(&context, NULL, NULL, 0), DM_OK);
    ck_assert_int_eq(dm_unet_create(&unet, context, &options, 0), DM_OK);
    ck_assert_uint_eq(dm_unet_parameter_count(unet), 35746307);
    ck_assert_uint_eq(dm_unet_tensor_count(unet), 328);
    for (int32_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        dm_tensor_info info = {.struct_size = sizeof info};
        ck_assert_int_eq(dm_unet_get_tensor_info(unet, i, &info), DM_OK);
        ck_assert_ptr_nonnull(fgets(want, sizeof want, file));
        want[strcspn(want, "\n")] = 0;
        describe(got, sizeof got, &info);
        ck_assert_str_eq(got, want);
    }
    ck_assert_ptr_null(fgets(want, sizeof want, file));
    fclose(file);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

Suite *test_unet_torch_suite(void);
Suite *test_unet_torch_suite(void) {
    Suite *suite = suite_create("unet_torch");
    TCase *tcase = tcase_create("against PyTorch");
    int count = (int)(sizeof cases / sizeof *cases);
    tcase_set_timeout(tcase, 60);
    tcase_add_test(tcase, cifar10_tensors);
    tcase_add_loop_test(tcase, small_networks, 0, count);
    tcase_add_loop_test(tcase, input_gradients, 0, count);
    tcase_add_loop_test(tcase, accumulation, 0, count);
    tcase_add_test(tcase, cifar10_network);
    suite_add_tcase(suite, tcase);
    return suite;
}
