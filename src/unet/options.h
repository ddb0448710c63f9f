/* SPDX-License-Identifier: MIT */
/* A network's options. */
#ifndef DM_SRC_UNET_OPTIONS_H
#define DM_SRC_UNET_OPTIONS_H

#include "core/context.h"

/* Refuses options that cannot be built together, and entries of the arrays that are out of range.
 * Single values must have passed dmi_struct_check. */
dm_status dmi_unet_check_options(dmi_host *host, const dm_unet_options *options);
/* The name of the first option in which two networks differ, or NULL. Entries of arrays past
 * `levels` do not matter. */
const char *dmi_unet_options_difference(const dm_unet_options *a, const dm_unet_options *b);

/* Channels of the network's tensors, which may hold more than an image. */
static inline int32_t dmi_unet_channels_in(const dm_unet_options *o) {
    return o->in_channels * (1 + o->self_conditioning);
}
static inline int32_t dmi_unet_channels_out(const dm_unet_options *o) {
    return o->out_channels * (1 + o->learned_variance);
}

#endif
