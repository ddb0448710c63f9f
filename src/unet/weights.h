/* SPDX-License-Identifier: MIT */
/* The weights of a network, which several handles may use at once (dm_unet_share). They belong to
 * the context of the handle that was created first: its memory, and its limit. */
#ifndef DM_SRC_UNET_WEIGHTS_H
#define DM_SRC_UNET_WEIGHTS_H

#include <stdatomic.h>

#include "autograd/params.h"
#include "core/context.h"

enum { DMI_WEIGHTS_EXCLUSIVE = -1 };

typedef struct dmi_unet_weights {
    dm_context *owner;
    dmi_params params;     /* read-only while there are shares */
    atomic_int references; /* handles, the first one included */
    atomic_int shares;     /* handles made by dm_unet_share, or DMI_WEIGHTS_EXCLUSIVE: a trainer or
                              a call that writes has the weights to itself */
} dmi_unet_weights;

/* Without parameters, with one reference. */
dm_status dmi_unet_weights_create(dmi_unet_weights **out, dm_context *owner);
/* Drops a reference; the last one frees the weights. May be called on any thread. */
void dmi_unet_weights_release(dmi_unet_weights *weights);

/* Exclusive use. False: there are shares, or somebody has them exclusively. */
bool dmi_unet_weights_lock(dmi_unet_weights *weights);
void dmi_unet_weights_unlock(dmi_unet_weights *weights);

/* A share: a reference, and one to the owner's context. False: the weights are in exclusive use.
 * Reads and writes nothing but atomic state, so the owner's context may be busy meanwhile. */
bool dmi_unet_weights_share(dmi_unet_weights *weights);
void dmi_unet_weights_unshare(dmi_unet_weights *weights);
/* Whether there are shares. */
bool dmi_unet_weights_shared(const dmi_unet_weights *weights);

#endif
