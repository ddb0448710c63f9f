/* SPDX-License-Identifier: MIT */
/* dm_unet_set_tiling. */
#include "unet/unet.h"

/* Refuses networks with operations beside convolutions that read beyond the border. */
static dm_status check_network(const dm_unet *unet) {
    const dm_unet_options *o = &unet->options;
    dmi_host *host = &unet->context->host;
    if (o->recipe[0] != DM_PART_END)
        return dmi_fail(host, DM_ERROR_UNSUPPORTED,
                        "unet: a network with a 'recipe' cannot draw seamless tiles");
    if (o->down_resample[0] == DM_RESAMPLE_SKIP || o->up_resample[0] == DM_RESAMPLE_SKIP)
        return dmi_fail(host, DM_ERROR_UNSUPPORTED,
                        "unet: a network with 'down_resample' or 'up_resample' skip cannot draw "
                        "seamless tiles");
    return DM_OK;
}

static dm_status set_tiling(dm_unet *unet, int32_t horizontal, int32_t vertical) {
    dmi_host *host = &unet->context->host;
    dm_status status = dmi_check_range(host, "unet", "horizontal", horizontal, 0, 1);
    if (!status) status = dmi_check_range(host, "unet", "vertical", vertical, 0, 1);
    if (status) return status;
    int32_t wrap = (horizontal ? DMI_WRAP_COLUMNS : DMI_WRAP_NONE) |
                   (vertical ? DMI_WRAP_ROWS : DMI_WRAP_NONE);
    if (wrap == unet->wrap) return DM_OK;
    if (wrap != DMI_WRAP_NONE) status = check_network(unet);
    if (status) return status;
    if (unet->trained)
        return dmi_fail(host, DM_ERROR_WRONG_STATE,
                        "unet: the tiling cannot change while the network has a trainer");
    dmi_unet_drop_graphs(unet);
    unet->wrap = wrap;
    return DM_OK;
}

dm_status dm_unet_set_tiling(dm_unet *unet, int32_t horizontal, int32_t vertical) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, set_tiling(unet, horizontal, vertical));
}
