/* SPDX-License-Identifier: MIT */
/* Networks whose blocks are sequences of parts: dm_unet_options.recipe. */
#ifndef DM_SRC_UNET_RECIPE_H
#define DM_SRC_UNET_RECIPE_H

#include "layers/builder.h"
#include "unet/unet.h"

enum { DMI_PARTS_MAX = 8 };

static inline bool dmi_unet_has_recipe(const dm_unet_options *o) {
    return o->recipe[0] != DM_PART_END;
}

/* Of each block. */
static inline int32_t dmi_recipe_parts(const dm_unet_options *o) {
    int32_t count = 0;
    while (count < DMI_PARTS_MAX && o->recipe[count] != DM_PART_END) count++;
    return count;
}

/* Refuses parts behind the end, also where there is no recipe. */
dm_status dmi_recipe_check_end(dmi_host *host, const dm_unet_options *o);
/* The other rules of a recipe; those of single values, of the size and of the time are checked by
 * the caller. */
dm_status dmi_recipe_check_options(dmi_host *host, const dm_unet_options *o);

/* Appends everything between x [n, h, w, channels_in], the input with its condition, and the output
 * [n, h, w, channels_out], which is returned. */
dmi_value dmi_recipe_build(dmi_builder *b, const dm_unet_options *o, dmi_value x,
                           const dmi_unet_graph *inputs);

#endif
