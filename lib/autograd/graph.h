/* The graph of operations. It is built once for a batch size, planned once into one arena, and run
 * many times.
 *
 *     build   dmi_graph_create, dmi_graph_input, then the operations of ops.h, which check their
 * shapes plan    dmi_graph_plan: every value, gradient and workspace gets its place; the size is
 * known before it is allocated run     dmi_graph_forward, dmi_graph_backward: nothing is allocated,
 * nothing can fail
 *
 * Values are named by index. A value is an input, a parameter (in the flat blocks of dmi_params) or
 * an activation. */
#ifndef DMI_AUTOGRAD_GRAPH_H
#define DMI_AUTOGRAD_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "autograd/params.h"
#include "base/host.h"
#include "base/pool.h"
#include "kernels/kernels.h"
#include "tensor/shape.h"

enum { DMI_MAX_INPUTS = 6 };

typedef int32_t
    dmi_value; /* an index into the graph's values; DMI_NONE for an input that is left out */
enum { DMI_NONE = -1 };

/* Attributes of each operation that has any. */
typedef union dmi_attributes {
    struct {
        int32_t kernel; /* 1 or 3 */
        int32_t stride; /* 1 or 2 */
        int32_t pad;    /* zeros above and left; below and right as the output's size needs */
        int32_t
            upsample; /* 1: x is read as if each pixel were doubled both ways (nearest neighbour) */
    } conv;
    struct {
        int32_t groups;
        int32_t silu; /* 1: SiLU follows */
        float eps;
    } norm;
    struct {
        int32_t heads;
    } attention;
    struct {
        float rate;
        int32_t node; /* makes its random numbers differ from those of other dropouts */
    } dropout;
    struct {
        int32_t channels;
        float shift; /* of the frequencies */
        int32_t cos_first;
    } timestep;
} dmi_attributes;

struct dmi_op;
struct dmi_graph;

/* What an operation needs besides its output. All sizes in floats. */
typedef struct dmi_needs {
    size_t saved; /* written by forward, read by backward (mean and rstd, log-sum-exp) */
    size_t kept;  /* inference only: made from parameters, valid until they change (transformed
                     weights) */
    size_t forward_work; /* free again when forward returns */
    size_t backward_work;
    uint32_t reads; /* backward reads the data of input i where bit i is set, and its own output for
                       bit 31 */
    int32_t passes; /* input whose gradient is the output's own, unchanged (a residual), so that
                       both may share memory; backward skips it where the gradient pointers are
                       equal; DMI_NONE */
    const struct dmi_conv_way *way; /* of a convolution: how it is computed */
    bool uses_blas;                 /* forward or backward calls dmi_gemm */
} dmi_needs;

enum { DMI_READS_OUTPUT = 1u << 31 };

typedef struct dmi_node {
    const struct dmi_op *op;
    dmi_value inputs[DMI_MAX_INPUTS]; /* DMI_NONE where left out */
    dmi_value output;
    dmi_attributes attr;
    dmi_needs needs;
    bool adds[DMI_MAX_INPUTS]; /* planned: backward adds to the gradient of input i, which is there
                                  already */
    size_t saved, kept, forward_work, backward_work; /* planned: offsets in the arena */
    uint64_t kept_version; /* of the parameters that `kept` was made from; 0: never made */
    int32_t segment;       /* that it stands in; 0: none */
} dmi_node;

/* An operation: one file, one table entry. Forward and backward get only shapes that `infer`
 * accepted. */
typedef struct dmi_op {
    const char *name;
    /* Checks inputs and attributes and sets *output. On refusal writes the error text through
     * dmi_fail. */
    int32_t (*infer)(const struct dmi_graph *graph, const dmi_node *node, dmi_shape *output);
    /* node->needs, for a graph that will be trained or only run. NULL: nothing needed. */
    void (*needs)(const struct dmi_graph *graph, const dmi_node *node, bool train,
                  dmi_needs *needs);
    /* The same bits whenever it is run between two changes of inputs and parameters. */
    void (*forward)(struct dmi_graph *graph, dmi_node *node);
    /* Writes, or adds to where node->adds[i], the gradient of every input i for which
     * dmi_graph_gradient is not NULL. */
    void (*backward)(struct dmi_graph *graph, dmi_node *node);
    bool one_pass; /* forward is no more than a pass over memory: cheaper to run again than its
                      output is to keep */
    /* For the profile: floating-point operations of forward, backward having twice as many. NULL:
     * too few to count. */
    double (*flop)(const struct dmi_graph *graph, const dmi_node *node);
    bool own_laps; /* it tells the profile by itself, part by part */
} dmi_op;

typedef enum dmi_value_kind {
    DMI_VALUE_INPUT,
    DMI_VALUE_PARAM,
    DMI_VALUE_ACTIVATION
} dmi_value_kind;

typedef struct dmi_value_info {
    dmi_value_kind kind;
    dmi_shape shape;
    bool gradient;      /* backward computes its gradient */
    int32_t param;      /* index in dmi_params, for parameters */
    dmi_value shares;   /* planned: its gradient lives where this value's does, or DMI_NONE */
    size_t data_offset; /* planned: places in the arena; SIZE_MAX: none */
    size_t gradient_offset;
} dmi_value_info;

/* What backward makes again in place of keeping it since forward. */
enum { DMI_RECOMPUTE_NONE = 0, DMI_RECOMPUTE_PASSES = 1, DMI_RECOMPUTE_BLOCKS = 2 };

typedef enum dmi_phase {
    DMI_FORWARD,
    DMI_AGAIN,
    DMI_BACKWARD
} dmi_phase; /* AGAIN: another forward, during backward */

typedef struct dmi_step {
    int32_t node;
    dmi_phase phase;
} dmi_step;

typedef struct dmi_graph {
    dmi_host *host;
    const dmi_kernels *kernels;
    dmi_params *params;
    dmi_value_info *values;
    dmi_node *nodes;
    int32_t value_count, value_capacity, node_count, node_capacity;
    bool train;        /* planned for backward */
    bool uses_blas;    /* planned: a node calls dmi_gemm, so a run holds BLAS's threads at one */
    int32_t recompute; /* DMI_RECOMPUTE_*, set before the plan; changes no bit of any result */
    int32_t segment;   /* that nodes are appended to; 0 until one begins */
    dmi_step *steps;   /* planned: forward of all nodes, then what backward does, in order */
    int32_t step_count;
    float *arena; /* NULL until planned */
    size_t arena_floats;
    /* Set before a run: */
    bool add_to_params; /* parameter gradients are added to what stands there (gradient
                           accumulation) */
    uint64_t dropout_seed, dropout_step; /* address the dropout masks */
} dmi_graph;

int32_t dmi_graph_create(dmi_host *host, dmi_graph **out, const dmi_kernels *kernels,
                         dmi_params *params);
void dmi_graph_destroy(dmi_graph *graph);

/* An input. With `gradient`, backward computes its gradient too (for tests, and for guidance to
 * come). */
int32_t dmi_graph_input(dmi_graph *graph, dmi_value *out, dmi_shape shape, bool gradient);
/* A parameter of dmi_params as a value. Each may be used by one node only. */
int32_t dmi_graph_param(dmi_graph *graph, dmi_value *out, int32_t param);
/* Appends a node; the functions of ops.h call this. */
int32_t dmi_graph_append(dmi_graph *graph, dmi_value *out, const dmi_op *op,
                         const dmi_value *inputs, int32_t input_count, const dmi_attributes *attr);

/* What is appended from here on is one segment, until the next begins. With DMI_RECOMPUTE_BLOCKS
 * what only nodes of the same segment read is not kept for backward. */
void dmi_graph_segment(dmi_graph *graph);

/* Places everything for `outputs`, which stay readable after forward (and get gradients, when
 * training), and allocates the arena. Inputs keep their data until the next forward. */
int32_t dmi_graph_plan(dmi_graph *graph, const dmi_value *outputs, int32_t output_count,
                       bool train);

void dmi_graph_forward(dmi_graph *graph);
/* From the gradients of the outputs, which the caller has written at dmi_graph_gradient. */
void dmi_graph_backward(dmi_graph *graph);

/* For callers and operations. data: where the value stands now (parameters: in their block).
 * gradient: NULL where none is computed. Both NULL for DMI_NONE. */
float *dmi_graph_data(const dmi_graph *graph, dmi_value value);
float *dmi_graph_gradient(const dmi_graph *graph, dmi_value value);
dmi_shape dmi_graph_shape(const dmi_graph *graph, dmi_value value); /* all 0 for DMI_NONE */

/* Floats rounded up to whole cache lines: workspaces stand one behind another, and workers share no
 * line. */
static inline size_t dmi_lines(size_t floats) { return (floats + 15) / 16 * 16; }

/* For operations: input i of a node. */
static inline const float *dmi_input(const dmi_graph *g, const dmi_node *n, int32_t i) {
    return dmi_graph_data(g, n->inputs[i]);
}
static inline float *dmi_input_gradient(const dmi_graph *g, const dmi_node *n, int32_t i) {
    return dmi_graph_gradient(g, n->inputs[i]);
}
static inline dmi_shape dmi_input_shape(const dmi_graph *g, const dmi_node *n, int32_t i) {
    return dmi_graph_shape(g, n->inputs[i]);
}
static inline float *dmi_saved(const dmi_graph *g, const dmi_node *n) {
    return g->arena + n->saved;
}
static inline float *dmi_kept(const dmi_graph *g, const dmi_node *n) { return g->arena + n->kept; }
static inline float *dmi_forward_work(const dmi_graph *g, const dmi_node *n) {
    return g->arena + n->forward_work;
}
static inline float *dmi_backward_work(const dmi_graph *g, const dmi_node *n) {
    return g->arena + n->backward_work;
}

#endif
