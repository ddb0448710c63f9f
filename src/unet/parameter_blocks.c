/* SPDX-License-Identifier: MIT */
/* Blocks of parameters as tensors of a safetensors file, and back. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "unet/unet.h"

enum { TENSOR_NAME_MAX = 2 * DMI_NAME_MAX };

const char *const dmi_ema_prefixes[DM_EMA_MAX] = {"ema_0.", "ema_1.", "ema_2.", "ema_3."};

/* Writes one parameter as files have it: [out, in, k, k]. */
static void fill(const void *param, const float *block, float *out, size_t count) {
    (void)count;
    dmi_params_export(param, block, out);
}

dm_status dmi_unet_write_block(dmi_host *host, dmi_safetensors_writer *writer, const dm_unet *unet,
                               const char *prefix, const float *block) {
    char name[TENSOR_NAME_MAX];
    const dmi_params *params = &unet->weights->params;
    for (int32_t i = 0; i < params->count; i++) {
        const dmi_param *p = &params->items[i];
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        dm_status status =
            dmi_safetensors_add(host, writer, name, p->rank, p->shape, fill, p, block);
        if (status) return status;
    }
    return DM_OK;
}

/* Refuses an entry that is not `p`. */
static dm_status check_entry(dmi_host *host, const char *from, const char *name,
                             const dmi_safetensors_entry *e, const dmi_param *p) {
    if (!e)
        return dmi_fail(host, DM_ERROR_NOT_FOUND,
                        "%s: there is no tensor '%s', which the network has", from, name);
    if (!dmi_safetensors_is_float(e))
        return dmi_fail(host, DM_ERROR_UNSUPPORTED,
                        "%s: tensor '%s' is of type %s; it must be F32, F16 or BF16", from, name,
                        e->dtype);
    bool same = e->rank == p->rank;
    for (int32_t k = 0; same && k < p->rank; k++) same = e->shape[k] == p->shape[k];
    if (same) return DM_OK;
    char given[DMI_SHAPE_TEXT], own[DMI_SHAPE_TEXT];
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH, "%s: tensor '%s' is %s; the network's is %s",
                    from, name, dmi_shape_text(given, e->rank, e->shape),
                    dmi_shape_text(own, p->rank, p->shape));
}

/* Whether networks have tensors of such names, by the part before the first dot. */
static bool is_network_name(const char *name) {
    static const char *const parts[] = {"conv_in",         "time_proj",           "time_embedding",
                                        "class_embedding", "condition_embedding", "down_blocks",
                                        "mid_block",       "up_blocks",           "conv_norm_out",
                                        "conv_out",        "out_blocks",          "variance_out",
                                        "eps_out"};
    size_t length = strcspn(name, ".");
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strlen(parts[i]) == length && !strncmp(name, parts[i], length)) return true;
    return false;
}

dm_status dmi_unet_check_block(dmi_host *host, const dmi_safetensors *file, const dm_unet *unet,
                               const char *prefix) {
    char name[TENSOR_NAME_MAX];
    const dmi_params *params = &unet->weights->params;
    const char *from = dmi_safetensors_from(file);
    size_t length = strlen(prefix);
    for (int32_t i = 0; i < params->count; i++) {
        const dmi_param *p = &params->items[i];
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        dm_status status = check_entry(host, from, name, dmi_safetensors_find(file, name), p);
        if (status) return status;
    }
    for (size_t i = 0; i < dmi_safetensors_count(file); i++) {
        const char *name_there = dmi_safetensors_at(file, i)->name;
        if (strncmp(name_there, prefix, length) != 0 || !is_network_name(name_there + length))
            continue;
        if (dmi_params_find(params, name_there + length) < 0)
            return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                            "%s: tensor '%s' is not part of the network that its options describe",
                            from, name_there);
    }
    return DM_OK;
}

/* ---- values ---- */

dm_status dmi_unet_check_tensor(const dm_unet *unet, const char *subject, const char *name,
                                const float *values, size_t count) {
    size_t i = 0;
    if (unet->context->kernels->all_finite(values, count)) return DM_OK;
    while (i < count && isfinite(values[i])) i++;
    return dmi_fail(&unet->context->host, DM_ERROR_NOT_FINITE,
                    "%s: element %zu of tensor '%s' is %s", subject, i, name,
                    i < count && isnan(values[i]) ? "NaN" : "infinite");
}

dm_status dmi_unet_check_finite(const dm_unet *unet, const char *owner, const char *prefix,
                                const float *block) {
    char name[TENSOR_NAME_MAX];
    const dmi_params *params = &unet->weights->params;
    if (unet->context->kernels->all_finite(block, params->floats)) return DM_OK;
    dm_status status = DM_OK;
    for (int32_t i = 0; !status && i < params->count; i++) {
        const dmi_param *p = &params->items[i];
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        status = dmi_unet_check_tensor(unet, owner, name, block + p->offset, p->count);
    }
    if (!status) return DM_OK;
    return dmi_fail(&unet->context->host, status, "%.400s; it was not saved",
                    unet->context->host.error);
}

static dm_status check_not_negative(dmi_host *host, const char *subject, const char *name,
                                    const float *values, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (values[i] < 0)
            return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                            "%s: element %zu of tensor '%s', a mean of squares, is %g", subject, i,
                            name, (double)values[i]);
    return DM_OK;
}

static dm_status read_param(dmi_host *host, const dmi_safetensors *file, const dm_unet *unet,
                            const char *name, size_t count, float *values, bool not_negative) {
    const char *from = dmi_safetensors_from(file);
    dm_status status =
        dmi_safetensors_read_floats(host, file, dmi_safetensors_find(file, name), values);
    if (!status) status = dmi_unet_check_tensor(unet, from, name, values, count);
    if (status || !not_negative) return status;
    return check_not_negative(host, from, name, values, count);
}

dm_status dmi_unet_read_block(dmi_host *host, const dmi_safetensors *file, const dm_unet *unet,
                              const char *prefix, float *block, bool not_negative) {
    char name[TENSOR_NAME_MAX];
    const dmi_params *params = &unet->weights->params;
    size_t largest = 1;
    float *values; /* of one tensor, as files have it */
    for (int32_t i = 0; i < params->count; i++)
        if (params->items[i].count > largest) largest = params->items[i].count;
    dm_status status = dmi_alloc_array(host, &values, largest, sizeof(float), "reading a network");
    if (status) return status;
    for (int32_t i = 0; !status && i < params->count; i++) {
        const dmi_param *p = &params->items[i];
        snprintf(name, sizeof name, "%s%s", prefix, p->name);
        status = read_param(host, file, unet, name, p->count, values, not_negative);
        if (!status) dmi_params_import(p, block, values);
    }
    dmi_free(host, values);
    return status;
}
