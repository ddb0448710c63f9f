/* SPDX-License-Identifier: MIT */
/* Parameters: one flat block of floats for all of them, and one of the same layout for their
 * gradients, so that clipping, the optimizer and the EMA are single passes.
 *
 * Frozen parameters lie behind all others, so that what trains works on the first `trained_floats`
 * alone.
 *
 * In these blocks weights are stored as [k, k, in, out], which makes products vectors over `out`;
 * in files and in the API they have PyTorch's layout [out, in, k, k]. dmi_params_export and
 * dmi_params_import convert between the two. */
#ifndef DMI_AUTOGRAD_PARAMS_H
#define DMI_AUTOGRAD_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "autograd/weight_cache.h"
#include "base/host.h"
#include "tensor/shape.h"

enum { DMI_NAME_MAX = 96 };

enum {
    DMI_INIT_ZEROS = 0,
    DMI_INIT_ONES = 1,
    /* Uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010). */
    DMI_INIT_FAN_AVERAGE = 2,
    /* The same times 1e-5, for a branch that begins as nearly zero, as in DDPM. */
    DMI_INIT_PRACTICALLY_ZERO = 3,
    DMI_INIT_NORMAL = 4,      /* standard normal: embeddings */
    DMI_INIT_FREQUENCIES = 5, /* normal with standard deviation 16; frozen */
    /* PyTorch's default: uniform in +-1 / sqrt(fan_in), of all dimensions but the first, or of the
     * one; and in the same bounds the bias that is declared after its weight. */
    DMI_INIT_FAN_IN = 6,
    DMI_INIT_FAN_IN_BIAS = 7,
    DMI_INIT_ROWS = 8 /* a table, as a linear layer of one-hot vectors: +-1 / sqrt(rows) */
};

typedef struct dmi_param {
    char name[DMI_NAME_MAX];
    int32_t rank;
    int64_t shape[4]; /* in PyTorch's layout: [out, in, k, k], [out, in] or [n] */
    bool transposed;  /* stored as [k, k, in, out]; false: stored in PyTorch's layout */
    bool frozen;      /* dmi_params_freeze: no gradient, never trained */
    int32_t init;     /* DMI_INIT_*, for dmi_params_draw */
    dmi_shape stored; /* as in the graph: a weight is [k, k, in, out], a vector [1, 1, 1, n] */
    size_t offset;    /* in the blocks, in floats; a multiple of 16; set by dmi_params_allocate */
    size_t count;
} dmi_param;

typedef struct dmi_params {
    dmi_param *items;
    int32_t count;
    size_t capacity; /* of items */
    size_t floats;   /* of each block, with the padding between parameters, which stays zero */
    size_t trained_floats;   /* of those, before the first frozen parameter; all without one */
    uint64_t elements;       /* without padding */
    dmi_weight_cache *cache; /* NULL until dmi_params_allocate */
    float *data;             /* [floats]; NULL until dmi_params_allocate */
    float *gradient;         /* [floats]; NULL until dmi_params_allocate_gradient */
    uint64_t version; /* incremented by every change of data, which invalidates what was computed
                         from it; starts at 1 */
} dmi_params;

void dmi_params_init(dmi_params *params);
/* Declares a parameter of that shape, in PyTorch's layout. Rank 4 [out, in, k, k] and rank 2
 * [out, in] are weights, stored as [k, k, in, out] unless `not_transposed`; rank 1 is a vector.
 * Names are unique. */
int32_t dmi_params_add(dmi_host *host, dmi_params *params, int32_t *index, const char *name,
                       int32_t rank, const int64_t *shape, bool not_transposed);
/* Makes a parameter one that is stored in files and moving averages but has no gradient and is
 * never trained, such as random frequencies. Before dmi_params_allocate and before a graph has it
 * as a value; the order of `items` stays. */
void dmi_params_freeze(dmi_params *params, int32_t index);
/* The offsets; data, zeroed; and the weight cache. */
int32_t dmi_params_allocate(dmi_host *host, dmi_params *params);
/* gradient, zeroed; does nothing if it is allocated. */
int32_t dmi_params_allocate_gradient(dmi_host *host, dmi_params *params);
void dmi_params_free_gradient(dmi_host *host, dmi_params *params);
/* After all graphs on these parameters are destroyed. */
void dmi_params_free(dmi_host *host, dmi_params *params);
int32_t dmi_params_find(const dmi_params *params, const char *name); /* -1: none */
/* Copies one parameter from a block in the layout of params->data to PyTorch's layout [count], and
 * back. */
void dmi_params_export(const dmi_param *param, const float *block, float *out);
void dmi_params_import(const dmi_param *param, float *block, const float *in);

#endif
