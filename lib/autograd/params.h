/* Parameters: one flat block of floats for all of them, and one of the same layout for their
 * gradients, so that clip, optimiser and average are single passes.
 *
 * Inside, weights are stored as [k, k, in, out], which makes products vectors over `out`; outside,
 * in files and in the API, as PyTorch has them, [out, in, k, k]. dmi_params_export and
 * dmi_params_import are where the two meet. */
#ifndef DMI_AUTOGRAD_PARAMS_H
#define DMI_AUTOGRAD_PARAMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/host.h"
#include "tensor/shape.h"

enum { DMI_MAX_NAME = 96 };

enum {
    DMI_INIT_ZEROS = 0,
    DMI_INIT_ONES = 1,
    DMI_INIT_FAN_AVERAGE =
        2, /* uniform in +-sqrt(6 / (fan_in + fan_out)) (Glorot and Bengio 2010) */
    DMI_INIT_PRACTICALLY_ZERO =
        3, /* the same times 1e-5, as DDPM does where a branch shall begin as nothing */
    DMI_INIT_NORMAL = 4 /* standard normal: embeddings */
};

typedef struct dmi_param {
    char name[DMI_MAX_NAME];
    int32_t rank;     /* as seen outside */
    int64_t shape[4]; /* as seen outside: [out, in, k, k], [out, in] or [n] */
    bool transposed;  /* inside it is [k, k, in, out]; false: the same inside and outside */
    int32_t init;     /* DMI_INIT_*, how layers/init.c draws it */
    dmi_shape inside; /* as the graph sees it: a weight is (k, k, in, out), a vector (1, 1, 1, n) */
    size_t offset;    /* floats, a multiple of 16 */
    size_t count;
} dmi_param;

typedef struct dmi_params {
    dmi_param *items;
    int32_t count, capacity;
    size_t floats;     /* size of each block, padding included; padding stays zero */
    uint64_t elements; /* parameters, without padding */
    float *data;       /* NULL until dmi_params_allocate */
    float *gradient;   /* NULL until a trainer asks for it by dmi_params_allocate_gradient */
    uint64_t version;  /* raised by every change of data, so that what is made from it can be made
                          again; starts at 1 */
} dmi_params;

void dmi_params_init(dmi_params *params);
/* rank 4 [out, in, k, k] and rank 2 [out, in] are weights (transposed inside) unless `plain`; rank
 * 1 is a vector. *index receives its place. A name that is there already is an error. */
int32_t dmi_params_add(dmi_host *host, dmi_params *params, int32_t *index, const char *name,
                       int32_t rank, const int64_t *shape, bool plain);
int32_t dmi_params_allocate(dmi_host *host, dmi_params *params); /* data, zeroed */
int32_t dmi_params_allocate_gradient(
    dmi_host *host, dmi_params *params); /* gradient, zeroed; does nothing if there */
void dmi_params_free_gradient(dmi_host *host, dmi_params *params);
void dmi_params_free(dmi_host *host, dmi_params *params);
int32_t dmi_params_find(const dmi_params *params, const char *name); /* -1: none */
/* Between a block laid out like params->data and the outside layout of one parameter. */
void dmi_params_export(const dmi_param *param, const float *block, float *out);
void dmi_params_import(const dmi_param *param, float *block, const float *in);

#endif
