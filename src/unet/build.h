/* SPDX-License-Identifier: MIT */
/* The definition of the network. */
#ifndef DM_SRC_UNET_BUILD_H
#define DM_SRC_UNET_BUILD_H

#include "unet/unet.h"

/* Appends the network for `batch` images to an empty graph. Declares the parameters if the graph
 * has none yet. */
dm_status dmi_unet_build(dmi_graph *graph, const dm_unet_options *options, int32_t batch,
                         bool train, dmi_unet_graph *out);

#endif
