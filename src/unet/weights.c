/* SPDX-License-Identifier: MIT */
/* See weights.h. Taking the weights acquires what was written before they were released. */
#include "unet/weights.h"

dm_status dmi_unet_weights_create(dmi_unet_weights **out, dm_context *owner) {
    dmi_unet_weights *weights;
    *out = NULL;
    dm_status status = dmi_alloc_zero(&owner->host, &weights, 1, sizeof *weights, "unet");
    if (status) return status;
    weights->owner = owner;
    dmi_params_init(&weights->params);
    atomic_init(&weights->references, 1);
    atomic_init(&weights->shares, 0);
    *out = weights;
    return DM_OK;
}

void dmi_unet_weights_release(dmi_unet_weights *weights) {
    if (!weights || atomic_fetch_sub(&weights->references, 1) > 1) return;
    dmi_host *host = &weights->owner->host;
    dmi_params_free(host, &weights->params);
    dmi_free(host, weights);
}

bool dmi_unet_weights_lock(dmi_unet_weights *weights) {
    int none = 0;
    return atomic_compare_exchange_strong(&weights->shares, &none, DMI_WEIGHTS_EXCLUSIVE);
}

void dmi_unet_weights_unlock(dmi_unet_weights *weights) { atomic_store(&weights->shares, 0); }

bool dmi_unet_weights_share(dmi_unet_weights *weights) {
    int shares = atomic_load(&weights->shares);
    do {
        if (shares == DMI_WEIGHTS_EXCLUSIVE) return false;
    } while (!atomic_compare_exchange_weak(&weights->shares, &shares, shares + 1));
    atomic_fetch_add(&weights->references, 1);
    dmi_context_hold(weights->owner);
    return true;
}

void dmi_unet_weights_unshare(dmi_unet_weights *weights) {
    dm_context *owner = weights->owner;
    atomic_fetch_sub(&weights->shares, 1);
    dmi_unet_weights_release(weights);
    dmi_context_release(owner); /* last, since the weights are in its memory */
}

bool dmi_unet_weights_shared(const dmi_unet_weights *weights) {
    return atomic_load(&weights->shares) > 0;
}
