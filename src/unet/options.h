/* SPDX-License-Identifier: MIT */
/* A network's options. */
#ifndef DM_SRC_UNET_OPTIONS_H
#define DM_SRC_UNET_OPTIONS_H

#include "base/math.h"
#include "core/context.h"

/* Refuses options that cannot be built together, and entries of the arrays that are out of range.
 * Single values must have passed dmi_struct_check. */
dm_status dmi_unet_check_options(dmi_host *host, const dm_unet_options *options);
/* The name of the first option in which two networks differ, or NULL. Entries of arrays past
 * `levels` do not matter. */
const char *dmi_unet_options_difference(const dm_unet_options *a, const dm_unet_options *b);

/* Groups of the attention's norm in a level of NCSN++, and at most of its other norms. */
enum { DMI_SKIP_GROUPS = 32 };

/* Groups of a norm of `channels`; skip: in a level of DM_RESAMPLE_SKIP. May be 0: refused. */
static inline int32_t dmi_unet_groups(const dm_unet_options *o, bool skip, int32_t channels) {
    if (!skip && o->norm_groups) return o->norm_groups;
    return dmi_min(channels / 4, DMI_SKIP_GROUPS);
}

static inline bool dmi_unet_up_attention(const dm_unet_options *o, int32_t level) {
    return o->up_attention[level] < 0 ? o->attention[level] == 1 : o->up_attention[level] == 1;
}

/* Of the norm of a decoder's block on [hidden, passed from the encoder]. With attention, diffusers
 * divides one of the two numbers of channels only, as files of its networks were trained with. */
static inline int32_t dmi_unet_concat_groups(const dm_unet_options *o, int32_t level,
                                             int32_t hidden, int32_t passed) {
    bool skip = o->up_resample[level] == DM_RESAMPLE_SKIP;
    if (skip && dmi_unet_up_attention(o, level))
        return dmi_min(hidden + passed / 4, DMI_SKIP_GROUPS);
    return dmi_unet_groups(o, skip, hidden + passed);
}

static inline int32_t dmi_unet_time_channels(const dm_unet_options *o) {
    return o->time_channels ? o->time_channels : 4 * o->channels[0];
}

/* Channels of the network's tensors, which may hold more than an image. */
static inline int32_t dmi_unet_channels_in(const dm_unet_options *o) {
    return o->in_channels * (1 + o->self_conditioning);
}
static inline int32_t dmi_unet_channels_out(const dm_unet_options *o) {
    return o->out_channels * (1 + o->learned_variance);
}

#endif
