/* Checking a network's options, by name and value. */
#ifndef DM_SRC_UNET_OPTIONS_H
#define DM_SRC_UNET_OPTIONS_H

#include "core/context.h"

/* Refuses what cannot be built. */
int32_t dmi_unet_check_options(dmi_host *host, const dm_unet_options *options);
/* The defaults, with struct_size set. */
dm_unet_options dmi_unet_default_options(void);

/* Channels of the network's tensors, which may hold more than a picture. */
static inline int32_t dmi_unet_channels_in(const dm_unet_options *o) {
    return o->in_channels * (1 + o->self_conditioning);
}
static inline int32_t dmi_unet_channels_out(const dm_unet_options *o) {
    return o->out_channels * (1 + o->learned_variance);
}

#endif
