/* The definition of the network. */
#ifndef DM_SRC_UNET_BUILD_H
#define DM_SRC_UNET_BUILD_H

#include "unet/unet.h"

/* Writes the network for `batch` pictures into an empty graph; where the graph's parameters are not
 * allocated yet, they are declared. */
int32_t dmi_unet_build(dmi_graph *graph, const dm_unet_options *options, int32_t batch, bool train,
                       dmi_unet_graph *out);

#endif
