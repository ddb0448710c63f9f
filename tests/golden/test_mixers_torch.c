/* SPDX-License-Identifier: MIT */
/* Weight standardization, channel gates, attention between channels and within windows, and the
 * layers made of them against PyTorch: the cases of make_mixers.py, for each instruction set, with
 * and without backward. */
#include "base/cpu.h"
#include "golden/golden.h"
#include "layers/layers.h"

enum { INPUTS_MAX = 4 };

/* PyTorch worked in double precision and its results were rounded to float once, 6e-8. */
static const double bound = 1e-6;
/* Winograd's convolutions, and softmaxes of scores of some units between norms. */
static const double wide_bound = 5e-6;

/* One case while it is built and checked. */
typedef struct trial {
    const char *name;
    double bound;
    bool train;
    dmi_host *host;
    dmi_params params;
    dmi_graph *graph;
    dmi_safetensors *file;
    struct {
        const char *name;
        dmi_value value;
        float scale;
    } inputs[INPUTS_MAX];
    int32_t input_count;
} trial;

typedef struct mixer_case {
    const char *name;
    dmi_value (*build)(trial *t, const struct mixer_case *c, dmi_builder *b);
    dmi_shape shape;   /* of x */
    int32_t size;      /* window, channels of the class, taps of the gate */
    bool wide;         /* wide_bound */
    int32_t time, out; /* channels, of the two blocks */
} mixer_case;

static dmi_value input(trial *t, const char *name, dmi_shape shape, float scale) {
    dmi_value value = DMI_NONE;
    ck_assert_int_eq(dmi_graph_input(t->graph, &value, shape, true), DMI_OK);
    t->inputs[t->input_count].name = name;
    t->inputs[t->input_count].value = value;
    t->inputs[t->input_count++].scale = scale;
    return value;
}

static dmi_value image(trial *t, const char *name, const mixer_case *c) {
    return input(t, name, c->shape, 1);
}

/* ---- operations ---- */

/* The parameter of an operation, named as an input. */
static dmi_value operand(dmi_builder *b, int32_t rank, const int64_t *shape) {
    return dmi_builder_param(b, "operand", "weight", rank, shape, DMI_INIT_ZEROS);
}

static dmi_value build_standardize(trial *t, const mixer_case *c, dmi_builder *b) {
    const int64_t shape[4] = {9, 7, 3, 3};
    dmi_value x = image(t, "x", c), weight = operand(b, 4, shape), out = DMI_NONE;
    if (!b->status) b->status = dmi_weight_standardize(t->graph, &weight, weight, 1e-5f);
    if (!b->status)
        b->status =
            dmi_conv(t->graph, &out, x, weight, DMI_NONE, DMI_NONE, DMI_NONE, 3, 1, 1, false);
    return out;
}

static dmi_value build_gate(trial *t, const mixer_case *c, dmi_builder *b) {
    const int64_t shape[4] = {c->size, 1, 1, 1};
    dmi_value x = image(t, "x", c), weight = operand(b, 1, shape), out = DMI_NONE;
    if (!b->status) b->status = dmi_channel_gate(t->graph, &out, x, weight);
    return out;
}

static dmi_value build_channels(trial *t, const mixer_case *c, dmi_builder *b) {
    const dmi_shape vector = dmi_shape_of(c->shape.n, 1, 1, c->shape.c);
    dmi_value x = image(t, "x", c), q = input(t, "q", vector, 4), k = input(t, "k", vector, 4),
              out = DMI_NONE;
    b->status = dmi_channel_mixing(t->graph, &out, x, q, k);
    return out;
}

static dmi_value build_windows(trial *t, const mixer_case *c, dmi_builder *b) {
    dmi_value q = image(t, "q", c), k = image(t, "k", c), v = image(t, "v", c), out = DMI_NONE;
    b->status =
        dmi_window_attention(t->graph, &out, q, k, v, c->size, (float)(1 / sqrt((double)c->size)));
    return out;
}

/* ---- layers ---- */

static dmi_value build_layer_gate(trial *t, const mixer_case *c, dmi_builder *b) {
    return dmi_layer_channel_gate(b, c->name, image(t, "x", c));
}

static dmi_value build_layer_class(trial *t, const mixer_case *c, dmi_builder *b) {
    dmi_value x = image(t, "x", c);
    return dmi_layer_class_attention(b, c->name, x,
                                     input(t, "class", dmi_shape_of(c->shape.n, 1, 1, c->size), 4));
}

static dmi_value build_layer_window(trial *t, const mixer_case *c, dmi_builder *b) {
    return dmi_layer_window_attention(b, c->name, image(t, "x", c), c->size);
}

static dmi_value embedding(trial *t, const mixer_case *c, const char *name, int32_t channels) {
    return channels ? input(t, name, dmi_shape_of(c->shape.n, 1, 1, channels), 2) : DMI_NONE;
}

static dmi_value build_layer_wide(trial *t, const mixer_case *c, dmi_builder *b) {
    dmi_value x = image(t, "x", c), time = embedding(t, c, "time", c->time);
    return dmi_layer_wide_resnet(b, c->name, x, time, embedding(t, c, "class", c->size), c->out);
}

static dmi_value build_layer_next(trial *t, const mixer_case *c, dmi_builder *b) {
    dmi_value x = image(t, "x", c), time = embedding(t, c, "time", c->time);
    return dmi_layer_convnext(b, c->name, x, time, embedding(t, c, "class", c->size), c->out);
}

static const mixer_case cases[] = {
    {"standardize", build_standardize, {2, 5, 6, 7}, 0, true, 0, 0},
    {"gate", build_gate, {2, 3, 4, 10}, 3, false, 0, 0},
    {"channels", build_channels, {2, 4, 3, 36}, 0, false, 0, 0},
    {"windows", build_windows, {2, 6, 6, 10}, 3, false, 0, 0},
    {"windows_rows", build_windows, {2, 6, 6, 10}, 6, false, 0, 0},
    {"layer_gate_1", build_layer_gate, {2, 3, 3, 1}, 0, false, 0, 0},
    {"layer_gate_4", build_layer_gate, {2, 3, 3, 4}, 0, false, 0, 0},
    {"layer_gate_8", build_layer_gate, {2, 3, 3, 8}, 0, false, 0, 0},
    {"layer_gate_20", build_layer_gate, {2, 3, 3, 20}, 0, false, 0, 0},
    {"layer_gate_128", build_layer_gate, {2, 3, 3, 128}, 0, false, 0, 0},
    {"layer_class", build_layer_class, {2, 4, 3, 12}, 7, true, 0, 0},
    {"layer_class_narrow", build_layer_class, {2, 4, 3, 3}, 4, true, 0, 0},
    {"layer_wide", build_layer_wide, {2, 5, 4, 12}, 5, true, 6, 16},
    {"layer_wide_same", build_layer_wide, {2, 5, 4, 16}, 0, true, 6, 16},
    {"layer_wide_few", build_layer_wide, {2, 5, 4, 4}, 3, true, 6, 8},
    {"layer_next", build_layer_next, {2, 9, 8, 12}, 5, true, 6, 7},
    {"layer_next_time", build_layer_next, {2, 9, 8, 8}, 0, true, 6, 8},
    {"layer_next_alone", build_layer_next, {2, 9, 8, 3}, 0, true, 0, 3},
    {"layer_window", build_layer_window, {2, 4, 6, 8}, 2, true, 0, 0},
    {"layer_window_whole", build_layer_window, {2, 3, 4, 3}, 8, true, 0, 0},
};

/* ---- running ---- */

/* The case is built twice, as a network is: once to declare its parameters. */
static dmi_value build(trial *t, const mixer_case *c, const dmi_kernels *kernels) {
    dmi_value out = DMI_NONE;
    for (int32_t pass = 0; pass < 2; pass++) {
        dmi_graph_destroy(t->graph);
        t->input_count = 0;
        ck_assert_int_eq(dmi_graph_create(t->host, &t->graph, kernels, &t->params), DMI_OK);
        dmi_builder b = {.graph = t->graph, .train = t->train};
        out = c->build(t, c, &b);
        ck_assert_msg(!b.status, "%s: %s", c->name, t->host->error);
        if (pass == 0) ck_assert_int_eq(dmi_params_allocate(t->host, &t->params), DMI_OK);
    }
    if (t->train) ck_assert_int_eq(dmi_params_allocate_gradient(t->host, &t->params), DMI_OK);
    ck_assert_msg(!dmi_graph_plan(t->graph, &out, 1, t->train), "%s", t->host->error);
    return out;
}

/* The operation's own parameter is filled as an input. */
static bool is_operand(const dmi_param *p) { return !strcmp(p->name, "operand.weight"); }

static void fill(trial *t, const mixer_case *c) {
    for (int32_t i = 0; i < t->input_count; i++)
        golden_fill(dmi_graph_data(t->graph, t->inputs[i].value),
                    dmi_shape_count(dmi_graph_shape(t->graph, t->inputs[i].value)),
                    t->inputs[i].scale, c->name, t->inputs[i].name);
    for (int32_t i = 0; i < t->params.count; i++) {
        dmi_param *p = &t->params.items[i];
        float *values = golden_floats(p->count);
        if (is_operand(p))
            golden_fill(values, p->count, p->rank == 4 ? 0.2f : 1, c->name, "weight");
        else golden_weight(values, p->name, p->rank, p->shape);
        dmi_params_import(p, t->params.data, values);
        free(values);
    }
    t->params.version++;
}

/* The error relative to the norm of `want`; that of got alone where `want` is zero but for
 * rounding, as the gradient of a key's bias is: it adds the same to all scores of a query. */
static double error_of(const float *got, const float *want, size_t count) {
    double got_squares = 0, want_squares = 0;
    for (size_t i = 0; i < count; i++) {
        got_squares += (double)got[i] * got[i];
        want_squares += (double)want[i] * want[i];
    }
    return want_squares < 1e-24 ? sqrt(got_squares) : test_error(got, want, count);
}

static void check(const trial *t, const char *name, const float *got, size_t count) {
    float *want = golden_read(t->file, t->name, name, count);
    double error = error_of(got, want, count);
    if (getenv("GOLDEN_VERBOSE"))
        printf("%s/%s %s %.2e\n", t->name, name, t->graph->kernels->isa, error);
    ck_assert_msg(error <= t->bound, "%s/%s (%s, %s): relative error %.3g is above %.3g", t->name,
                  name, t->graph->kernels->isa, t->train ? "trained" : "only run", error, t->bound);
    free(want);
}

static void check_gradients(const trial *t) {
    char name[GOLDEN_NAME];
    for (int32_t i = 0; i < t->input_count; i++) {
        dmi_value value = t->inputs[i].value;
        snprintf(name, sizeof name, "d%s", t->inputs[i].name);
        check(t, name, dmi_graph_gradient(t->graph, value),
              dmi_shape_count(dmi_graph_shape(t->graph, value)));
    }
    for (int32_t i = 0; i < t->params.count; i++) {
        const dmi_param *p = &t->params.items[i];
        float *got = golden_floats(p->count);
        dmi_params_export(p, t->params.gradient, got);
        snprintf(name, sizeof name, "d%s", is_operand(p) ? "weight" : p->name);
        check(t, name, got, p->count);
        free(got);
    }
}

static void run(const mixer_case *c, int32_t isa, bool train) {
    trial t = {.name = c->name, .bound = c->wide ? wide_bound : bound, .train = train};
    t.host = test_host_new(2);
    t.file = golden_open(t.host, "mixers.safetensors");
    dmi_params_init(&t.params);
    dmi_value out = build(&t, c, dmi_kernels_for(isa));
    size_t count = dmi_shape_count(dmi_graph_shape(t.graph, out));
    fill(&t, c);
    dmi_graph_forward(t.graph);
    check(&t, "y", dmi_graph_data(t.graph, out), count);
    if (train) {
        golden_fill(dmi_graph_gradient(t.graph, out), count, 1, c->name, "dy");
        dmi_graph_backward(t.graph);
        check_gradients(&t);
    }
    dmi_safetensors_close(t.host, t.file);
    dmi_graph_destroy(t.graph);
    dmi_params_free(t.host, &t.params);
    test_host_end(t.host);
}

START_TEST(against_torch) {
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) {
        run(&cases[_i], isa, true);
        run(&cases[_i], isa, false);
    }
}
END_TEST

Suite *test_mixers_torch_suite(void);
Suite *test_mixers_torch_suite(void) {
    Suite *suite = suite_create("mixers_torch");
    TCase *tcase = tcase_create("against PyTorch");
    tcase_set_timeout(tcase, 20);
    tcase_add_loop_test(tcase, against_torch, 0, sizeof cases / sizeof *cases);
    suite_add_tcase(suite, tcase);
    return suite;
}
