/* SPDX-License-Identifier: MIT */
/* A static graph of operations with reverse-mode differentiation. It is built once for a batch
 * size, planned once into one arena, and run many times:
 *
 * - build: dmi_graph_create, dmi_graph_input, then the operations of ops.h, which check shapes;
 * - plan: dmi_graph_plan gives every value, gradient and workspace an offset in the arena, whose
 *   size is known before it is allocated;
 * - run: dmi_graph_forward and dmi_graph_backward allocate nothing and cannot fail.
 *
 * A value is an input, a parameter (in the flat blocks of dmi_params) or an activation (the output
 * of a node), and is referred to by its index. */
#ifndef DMI_AUTOGRAD_GRAPH_H
#define DMI_AUTOGRAD_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "autograd/params.h"
#include "autograd/weight_cache.h"
#include "base/host.h"
#include "base/math.h"
#include "base/pool.h"
#include "kernels/kernels.h"
#include "tensor/element.h"
#include "tensor/shape.h"

enum { DMI_INPUTS_MAX = 6 };

/* An index into the graph's values; DMI_NONE for an optional input that is absent. */
typedef int32_t dmi_value;
enum { DMI_NONE = -1 };

/* Axes in which an image continues with its opposite border, as in a seamless texture. */
enum { DMI_WRAP_NONE = 0, DMI_WRAP_COLUMNS = 1, DMI_WRAP_ROWS = 2 };

/* The attributes of an operation that are not tensors. */
typedef union dmi_attributes {
    struct {
        int32_t kernel;   /* 1, 3, 5 or 7 */
        int32_t stride;   /* 1 or 2 */
        int32_t pad;      /* zeros above and left; below and right as the output size requires */
        int32_t upsample; /* 1: x is first upsampled by 2, nearest neighbour, without a copy */
        int32_t wrap;     /* DMI_WRAP_* added up: the axes padded with the opposite border */
    } conv;
    struct {
        int32_t kernel; /* 3, 5 or 7 */
    } depthwise;
    struct {
        int32_t groups;
        int32_t activation; /* what follows, DMI_ACTIVATION_* */
        int32_t factor;     /* 1: norm * factor + shift; 0: norm * (1 + scale) + shift */
        float eps;
    } norm;
    struct {
        int32_t kind; /* DMI_ACTIVATION_*, not _NONE */
    } activation;
    struct {
        int32_t heads;
    } attention;
    struct {
        float rate;
        int32_t node; /* part of the random sequence's address: differs between dropout nodes */
    } dropout;
    struct {
        int32_t channels;
        float shift; /* downscale_freq_shift: subtracted from half the channels */
        int32_t cos_first;
    } timestep;
    struct {
        int32_t kind; /* DMI_RESAMPLE_* */
    } resample;
    struct {
        int32_t first, count; /* channels */
    } slice;
    struct {
        float factor, offset; /* offset: affine only */
    } affine;
    struct {
        float eps;
    } standardize;
    struct {
        int32_t window; /* side in pixels */
        float scale;    /* of the scores */
    } window_attention;
} dmi_attributes;

struct dmi_op;
struct dmi_graph;

/* What a node needs in memory besides its output, and what its backward reads. Sizes in floats. */
typedef struct dmi_needs {
    size_t saved;          /* written by forward, read by backward: mean and rstd, log-sum-exp */
    size_t forward_work;   /* workspace, in use only while forward runs */
    size_t backward_work;  /* likewise for backward */
    dmi_weight_key cached; /* where parameters are not trained: computed from one and valid until it
                              changes (transformed weights); floats 0: nothing */
    bool caches_output; /* what `cached` holds is the output, which then has no memory of its own */
    uint32_t reads; /* bit i: backward reads the data of input i; DMI_READS_OUTPUT: its output */
    const struct dmi_conv_algorithm *algorithm, *gradient_algorithm; /* of a convolution */
    bool uses_blas;         /* forward or backward calls dmi_gemm */
    int32_t gradient_alias; /* the input whose gradient equals the output's gradient (a residual),
                               or DMI_NONE. Both may then share memory; backward skips that input
                               where the two gradient pointers are equal. */
} dmi_needs;

enum { DMI_READS_OUTPUT = 1 << DMI_INPUTS_MAX };

typedef struct dmi_node {
    const struct dmi_op *op;
    dmi_value inputs[DMI_INPUTS_MAX]; /* DMI_NONE where left out */
    dmi_value output;
    dmi_attributes attr;
    dmi_needs needs;
    bool bf16; /* the output, and the inputs in op->bf16_inputs, are bfloat16 */
    bool accumulates[DMI_INPUTS_MAX]; /* backward adds to the gradient of input i */
    bool follows[DMI_INPUTS_MAX]; /* planned: an earlier step of backward has written that gradient;
                                     differs from `accumulates` for parameters, whose gradients may
                                     be sums over several passes */
    size_t saved, forward_work, backward_work; /* planned: offsets in the arena, SIZE_MAX: none */
    dmi_cached_weight *cached;                 /* planned: the entry of needs.cached, or NULL */
    int32_t segment; /* recomputation segment (dmi_graph_segment); 0: none */
} dmi_node;

/* An operation: one file in ops/, one such table. Forward and backward get only shapes that `infer`
 * accepted. */
typedef struct dmi_op {
    const char *name;
    /* Checks inputs and attributes and sets *output, or returns an error through dmi_fail. */
    int32_t (*infer)(const struct dmi_graph *graph, const dmi_node *node, dmi_shape *output);
    /* Fills *needs, which is zero with gradient_alias DMI_NONE; train: the graph will run backward.
     * NULL: nothing to fill. */
    void (*needs)(const struct dmi_graph *graph, const dmi_node *node, bool train,
                  dmi_needs *needs);
    /* Deterministic: recomputing it in backward gives the same bits. */
    void (*forward)(struct dmi_graph *graph, dmi_node *node);
    /* Writes the gradient of every input i for which dmi_graph_gradient is not NULL, or adds to it
     * where node->accumulates[i]. */
    void (*backward)(struct dmi_graph *graph, dmi_node *node);
    bool memory_bound; /* forward is one pass over memory: DMI_RECOMPUTE_SELECTIVE recomputes it */
    /* Bit i: input i and the output are of one type, which may be bfloat16 (dmi_graph.bf16); other
     * inputs are floats. 0: all are floats. */
    uint32_t bf16_inputs;
    /* For the profile: floating-point operations of forward; backward counts twice as many. NULL:
     * too few to count. */
    double (*flop)(const struct dmi_graph *graph, const dmi_node *node);
    bool own_spans; /* forward and backward record their own profile spans */
} dmi_op;

typedef enum dmi_value_kind {
    DMI_VALUE_INPUT,
    DMI_VALUE_PARAM,
    DMI_VALUE_ACTIVATION
} dmi_value_kind;

typedef struct dmi_value_info {
    dmi_value_kind kind;
    dmi_shape shape;
    bool bf16;           /* data and gradient are bfloat16 */
    dmi_value other;     /* the same in the other type (dmi_cast), or DMI_NONE */
    bool needs_gradient; /* backward computes its gradient */
    int32_t param;       /* index in dmi_params, for parameters */
    dmi_value alias_of;  /* planned: its gradient is stored in this value's gradient; or DMI_NONE */
    size_t data_offset;  /* planned: offsets in the arena, in floats; SIZE_MAX: none */
    size_t gradient_offset;
    dmi_weight_key cached; /* planned: the entry that holds the data; floats 0: the arena does */
    float *cached_data;    /* planned: the data of that entry, or NULL */
} dmi_value_info;

/* Activation checkpointing: what backward recomputes in place of keeping it from forward. */
enum {
    DMI_RECOMPUTE_NONE = 0,
    DMI_RECOMPUTE_SELECTIVE = 1, /* outputs of memory-bound operations */
    DMI_RECOMPUTE_BLOCKS = 2     /* also every activation that is only read within its segment */
};

typedef enum dmi_phase {
    DMI_PHASE_FORWARD,
    DMI_PHASE_RECOMPUTE, /* a node's forward again, during backward */
    DMI_PHASE_BACKWARD
} dmi_phase;

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
    int32_t value_count, node_count;
    int32_t cast_count; /* of the nodes, those of dmi_cast: dropout masks do not depend on them */
    size_t value_capacity, node_capacity;
    bool train;        /* planned for backward */
    int32_t recompute; /* DMI_RECOMPUTE_*, set before planning; changes no bit of any result */
    int32_t segment;   /* of the nodes appended next; 0 until dmi_graph_segment is called */
    dmi_step *steps;   /* planned: forward of all nodes, then the steps of backward */
    int32_t step_count;
    float *arena; /* [arena_floats]; NULL until planned */
    size_t arena_floats;
    bool uses_blas; /* planned: some node does, so a run sets up BLAS (dmi_gemm_begin) */
    /* Set by the caller before building: */
    bool only_inputs; /* parameters have no gradients: backward computes those of inputs alone */
    const struct dmi_bf16_product *bf16_product; /* kernels/bf16_product.h, or NULL */
    bool latency; /* forward alone: algorithms that take the least time for few images */
    bool bf16;    /* activations are bfloat16 where the operations appended next can compute
                     so; others get their inputs converted */
    int32_t wrap; /* DMI_WRAP_*, of the convolutions appended next whose kernel is above 1 */
    /* Set by the caller before a run: */
    bool add_to_params; /* backward adds to the parameters' gradients (gradient accumulation) */
    uint64_t dropout_seed, dropout_step; /* part of the address of the dropout masks */
} dmi_graph;

int32_t dmi_graph_create(dmi_host *host, dmi_graph **out, const dmi_kernels *kernels,
                         dmi_params *params);
/* Before the parameters are freed. NULL is accepted. */
void dmi_graph_destroy(dmi_graph *graph);

/* An input, whose gradient backward computes if `needs_gradient`. */
int32_t dmi_graph_input(dmi_graph *graph, dmi_value *out, dmi_shape shape, bool needs_gradient);
/* Parameter `param` of graph->params as a value, with a gradient unless it is frozen or
 * graph->only_inputs; once: nodes that share it use the same value. */
int32_t dmi_graph_param(dmi_graph *graph, dmi_value *out, int32_t param);
/* Appends a node; the functions of ops.h call this. Inputs of another type than the node reads are
 * converted first. */
int32_t dmi_graph_append(dmi_graph *graph, dmi_value *out, const dmi_op *op,
                         const dmi_value *inputs, int32_t input_count, const dmi_attributes *attr);
/* The same with inputs of the right types, and an output of the given one. */
int32_t dmi_graph_append_as(dmi_graph *graph, dmi_value *out, const dmi_op *op,
                            const dmi_value *inputs, int32_t input_count,
                            const dmi_attributes *attr, bool bf16);

/* Starts the next recomputation segment: nodes appended from here on belong to it. With
 * DMI_RECOMPUTE_BLOCKS an activation that only nodes of its own segment read is recomputed. */
void dmi_graph_segment(dmi_graph *graph);

/* Plans memory and steps, and allocates the arena and the entries of the weight cache. `outputs`
 * stay readable after forward; where `train`, the caller writes their gradients before backward.
 * Inputs keep their data. */
int32_t dmi_graph_plan(dmi_graph *graph, const dmi_value *outputs, int32_t output_count,
                       bool train);

void dmi_graph_forward(dmi_graph *graph);
/* Propagates the gradients of the outputs, which the caller has written. */
void dmi_graph_backward(dmi_graph *graph);

/* Data and gradient [n, h, w, c] of a value, in the arena or in the parameters' blocks: floats, or
 * uint16_t where the value is bfloat16. gradient: NULL where none is computed. Both are NULL for
 * DMI_NONE. */
void *dmi_graph_stored(const dmi_graph *graph, dmi_value value);
void *dmi_graph_stored_gradient(const dmi_graph *graph, dmi_value value);
/* Those of a value of floats. */
static inline float *dmi_graph_data(const dmi_graph *graph, dmi_value value) {
    return dmi_graph_stored(graph, value);
}
static inline float *dmi_graph_gradient(const dmi_graph *graph, dmi_value value) {
    return dmi_graph_stored_gradient(graph, value);
}
/* The memory that a value's data takes, in floats; 0 for DMI_NONE. */
size_t dmi_graph_floats(const dmi_graph *graph, dmi_value value);
dmi_shape dmi_graph_shape(const dmi_graph *graph, dmi_value value); /* all 0 for DMI_NONE */

/* Whether an operation caches what it computes from parameters alone (dmi_needs.cached). Training
 * changes them at each step, so that keeping it would only cost memory. */
static inline bool dmi_caches_weights(const dmi_graph *g, bool train) {
    return !train || g->only_inputs;
}

/* Floats rounded up to whole cache lines, so that consecutive workspaces share none. */
static inline size_t dmi_align_floats(size_t floats) {
    return dmi_round_up_size(floats, DMI_ALIGNMENT / sizeof(float));
}

/* For operations: input i of a node, and the node's memory. */
static inline const void *dmi_input(const dmi_graph *g, const dmi_node *n, int32_t i) {
    return dmi_graph_stored(g, n->inputs[i]);
}
static inline void *dmi_input_gradient(const dmi_graph *g, const dmi_node *n, int32_t i) {
    return dmi_graph_stored_gradient(g, n->inputs[i]);
}
static inline dmi_shape dmi_input_shape(const dmi_graph *g, const dmi_node *n, int32_t i) {
    return dmi_graph_shape(g, n->inputs[i]);
}
/* NULL where the node needs none. */
static inline float *dmi_at_offset(const dmi_graph *g, size_t offset) {
    return offset == SIZE_MAX ? NULL : g->arena + offset;
}
static inline float *dmi_saved(const dmi_graph *g, const dmi_node *n) {
    return dmi_at_offset(g, n->saved);
}
static inline float *dmi_forward_work(const dmi_graph *g, const dmi_node *n) {
    return dmi_at_offset(g, n->forward_work);
}
static inline float *dmi_backward_work(const dmi_graph *g, const dmi_node *n) {
    return dmi_at_offset(g, n->backward_work);
}

#endif
