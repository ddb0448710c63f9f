/* SPDX-License-Identifier: MIT */
/* See params.h. */
#include "autograd/params.h"

#include <string.h>

#include "base/math.h"

enum { PARAM_ALIGNMENT = DMI_ALIGNMENT / (int)sizeof(float) };

void dmi_params_init(dmi_params *params) {
    memset(params, 0, sizeof *params);
    params->version = 1;
}

/* Of a parameter in the blocks, with padding. */
static size_t padded_floats(const dmi_param *p) {
    return dmi_round_up_size(p->count, PARAM_ALIGNMENT);
}

/* Trained parameters in their order, then the frozen ones in theirs. */
static void assign_offsets(dmi_params *params) {
    size_t floats = 0;
    for (int32_t frozen = 0; frozen < 2; frozen++)
        for (int32_t i = 0; i < params->count; i++) {
            dmi_param *p = &params->items[i];
            if (p->frozen != frozen) continue;
            p->offset = floats;
            floats += padded_floats(p);
        }
}

int32_t dmi_params_add(dmi_host *host, dmi_params *params, int32_t *index, const char *name,
                       int32_t rank, const int64_t *shape, bool not_transposed) {
    if (strlen(name) >= DMI_NAME_MAX)
        return dmi_fail(host, DMI_ERROR_INTERNAL, "parameter name '%s' is too long", name);
    if (dmi_params_find(params, name) >= 0)
        return dmi_fail(host, DMI_ERROR_INTERNAL, "parameter '%s' is there already", name);
    if (rank != 1 && rank != 2 && rank != 4)
        return dmi_fail(host, DMI_ERROR_INTERNAL, "parameter '%s': rank %d", name, (int)rank);
    size_t count = 1;
    for (int32_t i = 0; i < rank; i++) {
        if (shape[i] < 1 || shape[i] > INT32_MAX || !dmi_mul(count, (size_t)shape[i], &count))
            return dmi_fail(host, DMI_ERROR_LIMIT_EXCEEDED, "parameter '%s': side %d is %lld", name,
                            (int)i, (long long)shape[i]);
    }
    size_t end;
    if (!dmi_add(params->floats, count, &end) || !dmi_add(end, PARAM_ALIGNMENT, &end))
        return dmi_fail(host, DMI_ERROR_LIMIT_EXCEEDED,
                        "parameter '%s' makes the parameters too large", name);
    int32_t status = dmi_reserve(host, &params->items, &params->capacity, (size_t)params->count + 1,
                                 sizeof(dmi_param), "parameters: the list");
    if (status) return status;
    dmi_param *p = &params->items[params->count];
    memset(p, 0, sizeof *p);
    memcpy(p->name, name, strlen(name) + 1);
    p->rank = rank;
    for (int32_t i = 0; i < 4; i++) p->shape[i] = i < rank ? shape[i] : 1;
    p->transposed = rank > 1 && !not_transposed;
    int32_t rows = (int32_t)shape[0], columns = (int32_t)p->shape[1], k = (int32_t)p->shape[2];
    if (rank == 1) p->stored = dmi_shape_of(1, 1, 1, rows);
    else
        p->stored =
            not_transposed ? dmi_shape_of(1, 1, rows, columns) : dmi_shape_of(k, k, columns, rows);
    p->count = count;
    params->elements += count;
    params->floats += padded_floats(p);
    params->trained_floats += padded_floats(p);
    *index = params->count++;
    return DMI_OK;
}

void dmi_params_freeze(dmi_params *params, int32_t index) {
    dmi_param *p = &params->items[index];
    if (!p->frozen) params->trained_floats -= padded_floats(p);
    p->frozen = true;
}

int32_t dmi_params_allocate(dmi_host *host, dmi_params *params) {
    assign_offsets(params);
    int32_t status =
        dmi_alloc_zero(host, &params->data, params->floats, sizeof(float), "parameters");
    if (!status) status = dmi_weight_cache_create(host, &params->cache);
    return status;
}

int32_t dmi_params_allocate_gradient(dmi_host *host, dmi_params *params) {
    if (params->gradient) return DMI_OK;
    return dmi_alloc_zero(host, &params->gradient, params->floats, sizeof(float),
                          "gradients of the parameters");
}

void dmi_params_free_gradient(dmi_host *host, dmi_params *params) {
    dmi_free(host, params->gradient);
    params->gradient = NULL;
}

void dmi_params_free(dmi_host *host, dmi_params *params) {
    dmi_params_free_gradient(host, params);
    dmi_weight_cache_destroy(params->cache);
    dmi_free(host, params->data);
    dmi_free(host, params->items);
    dmi_params_init(params);
}

int32_t dmi_params_find(const dmi_params *params, const char *name) {
    for (int32_t i = 0; i < params->count; i++)
        if (!strcmp(params->items[i].name, name)) return i;
    return -1;
}

/* From [k*k, in, out] to [out, in, k*k]. */
void dmi_params_export(const dmi_param *param, const float *block, float *out) {
    const float *stored = block + param->offset;
    if (!param->transposed) {
        memcpy(out, stored, param->count * sizeof(float));
        return;
    }
    size_t rows = (size_t)param->shape[0], columns = (size_t)param->shape[1];
    size_t taps = (size_t)param->shape[2] * (size_t)param->shape[3];
    for (size_t o = 0; o < rows; o++)
        for (size_t i = 0; i < columns; i++)
            for (size_t k = 0; k < taps; k++)
                out[(o * columns + i) * taps + k] = stored[(k * columns + i) * rows + o];
}

void dmi_params_import(const dmi_param *param, float *block, const float *in) {
    float *stored = block + param->offset;
    if (!param->transposed) {
        memcpy(stored, in, param->count * sizeof(float));
        return;
    }
    size_t rows = (size_t)param->shape[0], columns = (size_t)param->shape[1];
    size_t taps = (size_t)param->shape[2] * (size_t)param->shape[3];
    for (size_t o = 0; o < rows; o++)
        for (size_t i = 0; i < columns; i++)
            for (size_t k = 0; k < taps; k++)
                stored[(k * columns + i) * rows + o] = in[(o * columns + i) * taps + k];
}
