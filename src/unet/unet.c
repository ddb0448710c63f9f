/* SPDX-License-Identifier: MIT */
/* Creation, sharing and destruction of a network. build.c defines the network itself. */
#include "unet/unet.h"

#include "layers/layers.h"
#include "unet/build.h"
#include "unet/options.h"

/* Declares the parameters by building the network once, for one image. */
static dm_status declare(dm_unet *unet) {
    dmi_graph *graph;
    dmi_unet_graph built;
    dm_status status = dmi_graph_create(&unet->context->host, &graph, unet->context->kernels,
                                        &unet->weights->params);
    if (status) return status;
    status = dmi_unet_build(graph, &unet->options, 1, false, &built);
    dmi_graph_destroy(graph);
    return status;
}

/* A handle without weights. */
static dm_status create_handle(dm_unet **out, dm_context *context, const dm_unet_options *options) {
    dm_unet *unet;
    *out = NULL;
    dm_status status = dmi_alloc_zero(&context->host, &unet, 1, sizeof *unet, "unet");
    if (status) return status;
    unet->context = context;
    unet->options = *options;
    dmi_context_hold(context);
    *out = unet;
    return DM_OK;
}

dm_status dmi_unet_new(dm_unet **out, dm_context *context, const dm_unet_options *options) {
    dm_status status = create_handle(out, context, options);
    if (status) return status;
    status = dmi_unet_weights_create(&(*out)->weights, context);
    if (!status) status = declare(*out);
    if (!status) return DM_OK;
    dmi_unet_free(*out);
    *out = NULL;
    return status;
}

static dm_status create(dm_unet **out, dm_context *context, const dm_unet_options *options,
                        uint64_t seed) {
    dmi_host *host = &context->host;
    if (!out) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: 'out' is NULL");
    dm_unet_options o;
    dm_status status = dmi_struct_read_checked(host, &dmi_struct_unet_options, &o, options);
    if (!status) status = dmi_unet_check_options(host, &o);
    if (status) return status;
    dm_unet *unet;
    status = dmi_unet_new(&unet, context, &o);
    if (status) return status;
    dmi_params *params = &unet->weights->params;
    status = dmi_params_allocate(host, params);
    if (status) {
        dmi_unet_free(unet);
        return status;
    }
    dmi_params_draw(params, host->pool, context->kernels, seed);
    *out = unet;
    return DM_OK;
}

dm_status dm_unet_create(dm_unet **out, dm_context *context, const dm_unet_options *options,
                         uint64_t seed) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, create(out, context, options, seed));
}

static dm_status share(dm_unet **out, dm_context *context, const dm_unet *unet) {
    dmi_host *host = &context->host;
    if (!out || !unet)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "unet: '%s' is NULL",
                        out ? "unet" : "out");
    dm_unet *handle;
    dm_status status = create_handle(&handle, context, &unet->options);
    if (status) return status;
    if (!dmi_unet_weights_share(unet->weights)) {
        dmi_unet_free(handle);
        return dmi_fail(host, DM_ERROR_WRONG_STATE,
                        "unet: the network cannot be shared while it has a trainer or its weights "
                        "are being replaced");
    }
    handle->weights = unet->weights;
    handle->is_share = true;
    handle->null_class = unet->null_class;
    status = dmi_class_names_set(host, "unet", &handle->class_names, unet->class_names.names,
                                 unet->class_names.count);
    if (status) {
        dmi_unet_free(handle);
        return status;
    }
    *out = handle;
    return DM_OK;
}

dm_status dm_unet_share(dm_unet **out, dm_context *context, const dm_unet *unet) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, share(out, context, unet));
}

void dmi_unet_free(dm_unet *unet) {
    if (!unet) return;
    dm_context *context = unet->context;
    dmi_host *host = &context->host;
    dmi_unet_drop_graphs(unet);
    if (unet->is_share) {
        dmi_unet_weights_unshare(unet->weights);
    } else {
        if (unet->weights && dmi_unet_weights_shared(unet->weights))
            dmi_log(host, DM_LOG_WARNING,
                    "unet: destroyed while it is shared; its weights stay until the last share is "
                    "destroyed");
        dmi_unet_weights_release(unet->weights);
    }
    dmi_class_names_free(host, &unet->class_names);
    dmi_free(host, unet);
    dmi_context_release(context);
}

void dmi_unet_hold(dm_unet *unet) { unet->users++; }

void dmi_unet_release(dm_unet *unet) {
    if (--unet->users == 0 && unet->destroyed) dmi_unet_free(unet);
}

static void destroy(dm_unet *unet) {
    if (!unet->users) {
        dmi_unet_free(unet);
        return;
    }
    dmi_log(&unet->context->host, DM_LOG_WARNING,
            "unet: destroyed while a trainer or sampler uses it; it is freed with the last of "
            "these");
    unet->destroyed = true;
}

void dm_unet_destroy(dm_unet *unet) {
    if (!unet) return;
    dm_context *context = unet->context;
    if (!dmi_enter(context)) return;
    dmi_context_hold(context); /* which may be destroyed when its last network releases it */
    destroy(unet);
    dmi_leave(context, DM_OK);
    dmi_context_release(context);
}

dm_status dmi_unet_lock(dm_unet *unet, const char *owner) {
    dmi_host *host = &unet->context->host;
    if (unet->trained)
        return dmi_fail(host, DM_ERROR_WRONG_STATE, "%s: the network has a trainer already", owner);
    if (dmi_unet_weights_lock(unet->weights)) return DM_OK;
    return dmi_fail(host, DM_ERROR_WRONG_STATE,
                    "%s: the network is shared (dm_unet_share) or a teacher, so its weights are "
                    "read-only",
                    owner);
}

void dmi_unet_unlock(dm_unet *unet) { dmi_unet_weights_unlock(unet->weights); }

static dm_status set_class_names(dm_unet *unet, const char *const *names, int32_t count) {
    dmi_host *host = &unet->context->host;
    if (count != (names ? unet->options.classes : 0))
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH, "unet: 'count' is %d; it must be %d",
                        (int)count, (int)(names ? unet->options.classes : 0));
    dm_status status = dmi_unet_lock(unet, "unet");
    if (status) return status;
    status = dmi_class_names_set(host, "unet", &unet->class_names, names, (size_t)count);
    dmi_unet_unlock(unet);
    return status;
}

dm_status dm_unet_set_class_names(dm_unet *unet, const char *const *names, int32_t count) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, set_class_names(unet, names, count));
}

const char *dm_unet_class_name(const dm_unet *unet, int32_t label) {
    return unet ? dmi_class_name(&unet->class_names, label) : NULL;
}

dm_context *dm_unet_context(const dm_unet *unet) { return unet ? unet->context : NULL; }

static dm_status get_options(const dm_unet *unet, dm_unet_options *options, size_t size) {
    return dmi_struct_write(&unet->context->host, &dmi_struct_unet_options, options, size,
                            &unet->options);
}

dm_status dm_unet_get_options(const dm_unet *unet, dm_unet_options *options, size_t size) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, get_options(unet, options, size));
}
