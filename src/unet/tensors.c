/* SPDX-License-Identifier: MIT */
/* The parameters of a network one by one, by name. */
#include <stdio.h>
#include <string.h>

#include "unet/unet.h"

const char *dmi_shape_text(char text[DMI_SHAPE_TEXT], int32_t rank, const int64_t *shape) {
    size_t length = (size_t)snprintf(text, DMI_SHAPE_TEXT, "[");
    for (int32_t i = 0; i < rank && length < DMI_SHAPE_TEXT; i++)
        length += (size_t)snprintf(text + length, DMI_SHAPE_TEXT - length, "%s%lld", i ? ", " : "",
                                   (long long)shape[i]);
    if (length < DMI_SHAPE_TEXT) snprintf(text + length, DMI_SHAPE_TEXT - length, "]");
    return text;
}

uint64_t dm_unet_parameter_count(const dm_unet *unet) {
    return unet ? unet->weights->params.elements : 0;
}

int32_t dm_unet_tensor_count(const dm_unet *unet) { return unet ? unet->weights->params.count : 0; }

dm_status dm_tensor_info_init(dm_tensor_info *info, size_t size) {
    return dmi_struct_init(&dmi_struct_tensor_info, info, size);
}

static dm_status get_info(const dm_unet *unet, int32_t index, dm_tensor_info *info) {
    dmi_host *host = &unet->context->host;
    const dmi_params *params = &unet->weights->params;
    if (!info) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: 'info' is NULL");
    if (index < 0 || index >= params->count)
        return dmi_fail(host, DM_ERROR_NOT_FOUND, "unet: tensor %d; there are %d", (int)index,
                        (int)params->count);
    const dmi_param *p = &params->items[index];
    dm_tensor_info full = {.struct_size = sizeof full,
                           .rank = p->rank,
                           .elements = p->count,
                           .name = p->name};
    memcpy(full.shape, p->shape, sizeof full.shape);
    return dmi_struct_write_back(host, &dmi_struct_tensor_info, info, &full);
}

dm_status dm_unet_get_tensor_info(const dm_unet *unet, int32_t index, dm_tensor_info *info) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, get_info(unet, index, info));
}

/* The parameter of that name, which must have `elements` elements; `values` is the caller's
 * array. */
static dm_status find_tensor(const dm_unet *unet, const char *name, const float *values,
                             size_t elements, const dmi_param **out) {
    dmi_host *host = &unet->context->host;
    const dmi_params *params = &unet->weights->params;
    if (!name || !values)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: '%s' is NULL",
                        name ? "values" : "name");
    int32_t index = dmi_params_find(params, name);
    if (index < 0) return dmi_fail(host, DM_ERROR_NOT_FOUND, "unet: there is no tensor '%s'", name);
    *out = &params->items[index];
    if ((*out)->count == elements) return DM_OK;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH, "unet: tensor '%s' has %zu elements, not %zu",
                    name, (*out)->count, elements);
}

static dm_status get_tensor(const dm_unet *unet, const char *name, float *values, size_t elements) {
    const dmi_param *p = NULL;
    dm_status status = find_tensor(unet, name, values, elements, &p);
    if (!status) dmi_params_export(p, unet->weights->params.data, values);
    return status;
}

dm_status dm_unet_get_tensor(const dm_unet *unet, const char *name, float *values,
                             size_t elements) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, get_tensor(unet, name, values, elements));
}

static dm_status check_tensor(const dm_unet *unet, const dmi_param *p, const float *values,
                              const int64_t *shape, int32_t rank) {
    dmi_host *host = &unet->context->host;
    char given[DMI_SHAPE_TEXT], own[DMI_SHAPE_TEXT];
    if (!shape) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: 'shape' is NULL");
    if (rank < 1 || rank > 4)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "unet: 'rank' is %d; it must be from 1 to 4", (int)rank);
    bool same = rank == p->rank;
    for (int32_t k = 0; same && k < rank; k++) same = shape[k] == p->shape[k];
    if (!same)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH, "unet: tensor '%s' is %s, not %s", p->name,
                        dmi_shape_text(own, p->rank, p->shape), dmi_shape_text(given, rank, shape));
    if (unet->context->kernels->all_finite(values, p->count)) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "unet: a value for tensor '%s' is infinite or NaN", p->name);
}

static dm_status set_tensor(dm_unet *unet, const char *name, const float *values, size_t elements,
                            const int64_t *shape, int32_t rank) {
    const dmi_param *p = NULL;
    dmi_params *params = &unet->weights->params;
    bool trained = unet->trained; /* then this context has the weights to itself already */
    dm_status status = find_tensor(unet, name, values, elements, &p);
    if (!status) status = check_tensor(unet, p, values, shape, rank);
    if (!status && !trained) status = dmi_unet_lock(unet, "unet");
    if (status) return status;
    dmi_params_import(p, params->data, values);
    params->version++;
    if (!trained) dmi_unet_unlock(unet);
    return DM_OK;
}

dm_status dm_unet_set_tensor(dm_unet *unet, const char *name, const float *values, size_t elements,
                             const int64_t *shape, int32_t rank) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, set_tensor(unet, name, values, elements, shape, rank));
}
