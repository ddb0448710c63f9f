/* SPDX-License-Identifier: MIT */
/* One operation against PyTorch: a case of make_ops.py, built through the graph, run with and
 * without backward on each instruction set. */
#ifndef DM_TESTS_GOLDEN_TRIAL_H
#define DM_TESTS_GOLDEN_TRIAL_H

#include "autograd/ops.h"
#include "base/cpu.h"
#include "golden/golden.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

enum { OPERANDS_MAX = 6 };

/* PyTorch worked in double precision and its results were rounded to float once, 6e-8. Sums of up
 * to some hundred products in single precision measure 3e-7 at most, whether added one by one or in
 * BLAS's order. */
static const double direct_bound = 6e-7;
/* Winograd's F(4x4, 3x3) multiplies by up to 8 and cancels again; it measures 7e-7 here, and more
 * with more channels. */
static const double winograd_bound = 2e-6;

typedef struct operand {
    const char *name;
    dmi_value value;
    int32_t param; /* -1: an input of the graph */
    size_t count;
    float scale, offset;
} operand;

/* One case while it is built and checked. */
typedef struct trial {
    const char *name;
    double bound;
    bool train;
    dmi_host *host;
    dmi_graph *graph;
    dmi_params params;
    dmi_safetensors *file;
    operand operands[OPERANDS_MAX];
    int32_t operand_count;
} trial;

static inline void require(const trial *t, int32_t status) {
    ck_assert_msg(status == DMI_OK, "%s: %s", t->name, t->host->error);
}

static inline void begin(trial *t, const char *name, int32_t isa, bool train, double bound) {
    memset(t, 0, sizeof *t);
    t->name = name;
    t->bound = bound;
    t->train = train;
    t->host = test_host_new(2);
    t->file = golden_open(t->host, "ops.safetensors");
    dmi_params_init(&t->params);
    require(t, dmi_graph_create(t->host, &t->graph, dmi_kernels_for(isa), &t->params));
}

static inline dmi_value input(trial *t, const char *name, dmi_shape shape, float scale,
                              float offset) {
    operand *o = &t->operands[t->operand_count++];
    *o = (operand){name, DMI_NONE, -1, dmi_shape_count(shape), scale, offset};
    require(t, dmi_graph_input(t->graph, &o->value, shape, true));
    return o->value;
}

/* A parameter of that shape as PyTorch has it. */
static inline dmi_value param(trial *t, const char *name, int32_t rank, const int64_t *shape,
                              float scale, float offset, bool not_transposed) {
    operand *o = &t->operands[t->operand_count++];
    *o = (operand){name, DMI_NONE, -1, 1, scale, offset};
    for (int32_t i = 0; i < rank; i++) o->count *= (size_t)shape[i];
    require(t, dmi_params_add(t->host, &t->params, &o->param, name, rank, shape, not_transposed));
    require(t, dmi_graph_param(t->graph, &o->value, o->param));
    return o->value;
}

static inline dmi_value vector(trial *t, const char *name, int32_t count, float offset) {
    int64_t shape[4] = {count, 1, 1, 1};
    return param(t, name, 1, shape, 1, offset, true);
}

static inline void fill_operand(trial *t, const operand *o) {
    float *values = golden_floats(o->count);
    golden_fill(values, o->count, o->scale, t->name, o->name);
    for (size_t i = 0; i < o->count; i++) values[i] += o->offset;
    if (o->param >= 0) dmi_params_import(&t->params.items[o->param], t->params.data, values);
    else memcpy(dmi_graph_data(t->graph, o->value), values, o->count * sizeof(float));
    free(values);
}

static inline void check(const trial *t, const char *name, const float *got, const float *want,
                         size_t count, double bound) {
    double error = test_error(got, want, count);
    if (getenv("GOLDEN_VERBOSE"))
        printf("%s/%s %s %.2e\n", t->name, name, t->graph->kernels->isa, error);
    ck_assert_msg(error <= bound, "%s/%s (%s, %s): relative error %.3g is above %.3g", t->name,
                  name, t->graph->kernels->isa, t->train ? "trained" : "only run", error, bound);
}

static inline void check_gradient(trial *t, const operand *o, const float *dy) {
    char name[32];
    float *got = golden_floats(o->count), *want;
    const float *gradient = dmi_graph_gradient(t->graph, o->value);
    ck_assert_msg(gradient, "%s: no gradient for %s", t->name, o->name);
    if (o->param >= 0) dmi_params_export(&t->params.items[o->param], t->params.gradient, got);
    else memcpy(got, gradient, o->count * sizeof(float));
    if (!strcmp(o->name, "residual")) {
        ck_assert_mem_eq(got, dy, o->count * sizeof(float));
    } else {
        snprintf(name, sizeof name, "d%s", o->name);
        want = golden_read(t->file, t->name, name, o->count);
        check(t, name, got, want, o->count, t->bound);
        free(want);
    }
    free(got);
}

/* Timesteps and labels are not drawn: such a case writes them between these two. */
static inline void plan(trial *t, dmi_value out) {
    require(t, dmi_params_allocate(t->host, &t->params));
    if (t->train) require(t, dmi_params_allocate_gradient(t->host, &t->params));
    require(t, dmi_graph_plan(t->graph, &out, 1, t->train));
    t->params.version++;
    for (int32_t i = 0; i < t->operand_count; i++) fill_operand(t, &t->operands[i]);
}

static inline void run(trial *t, dmi_value out) {
    size_t count = dmi_shape_count(dmi_graph_shape(t->graph, out));
    float *want = golden_read(t->file, t->name, "y", count), *dy = golden_floats(count);
    dmi_graph_forward(t->graph);
    check(t, "y", dmi_graph_data(t->graph, out), want, count, t->bound);
    if (t->train) {
        golden_fill(dy, count, 1, t->name, "dy");
        memcpy(dmi_graph_gradient(t->graph, out), dy, count * sizeof(float));
        dmi_graph_backward(t->graph);
        for (int32_t i = 0; i < t->operand_count; i++) check_gradient(t, &t->operands[i], dy);
    }
    free(want);
    free(dy);
}

static inline void finish(trial *t) {
    dmi_safetensors_close(t->host, t->file);
    dmi_graph_destroy(t->graph);
    dmi_params_free(t->host, &t->params);
    test_host_end(t->host);
}

static inline void run_case(trial *t, dmi_value out) {
    plan(t, out);
    run(t, out);
    finish(t);
}

/* Calls `one` for case i: each instruction set of this machine, trained and only run. */
static inline void for_each_mode(void (*one)(int32_t i, int32_t isa, bool train), int32_t i) {
    for (int32_t isa = DMI_ISA_BASE; isa <= dmi_cpu_isa(); isa++) {
        one(i, isa, true);
        one(i, isa, false);
    }
}

#endif
