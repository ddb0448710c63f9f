/* SPDX-License-Identifier: MIT */
/* The precision in which a network computes. */
#include "core/enums.h"
#include "unet/unet.h"

dm_status dmi_check_computes_in(dmi_host *host, const char *owner, dm_precision precision) {
    if (precision == DM_PRECISION_F32 || precision == DM_PRECISION_BF16) return DM_OK;
    const char *name = dmi_enum_text("dm_precision", precision);
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "%s: 'precision' is %s (%d); it must be f32 or bf16", owner,
                    name ? name : "unknown", (int)precision);
}

static dm_status set_precision(dm_unet *unet, dm_precision precision) {
    dm_status status = dmi_check_computes_in(&unet->context->host, "unet", precision);
    if (status || precision == unet->options.precision) return status;
    dmi_unet_drop_graphs(unet);
    unet->options.precision = precision;
    return DM_OK;
}

dm_status dm_unet_set_precision(dm_unet *unet, dm_precision precision) {
    if (!unet) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(unet->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(unet->context, set_precision(unet, precision));
}
