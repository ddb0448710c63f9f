/* SPDX-License-Identifier: MIT */
/* Copying an EMA out of a trainer. The update itself is in lib/kernels/adamw.c. */
#include <string.h>

#include "train/trainer.h"
#include "unet/options.h"

static dm_status check_target(const dm_trainer *trainer, int32_t index, const dm_unet *target) {
    dmi_host *host = &trainer->context->host;
    dm_status status = dmi_check_range(host, "trainer", "index", index, 0, DM_EMA_MAX - 1);
    if (status) return status;
    if (!target) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: 'target' is NULL");
    if (target == trainer->unet)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "trainer: 'target' is the network that is being trained");
    if (!trainer->ema[index])
        return dmi_fail(
            host, DM_ERROR_WRONG_STATE,
            "trainer: there is no EMA %d: 'ema_decay[%d]' and 'ema_half_life[%d]' are 0",
            (int)index, (int)index, (int)index);
    const char *other = dmi_unet_options_difference(&trainer->unet->options, &target->options);
    if (!other) return DM_OK;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                    "trainer: 'target' differs in '%s' from the network that is being trained; all "
                    "options must be the same",
                    other);
}

/* A target without names of its classes gets those of the network that is being trained. */
static dm_status copy_class_names(const dm_trainer *trainer, dm_unet *target) {
    const dmi_class_names *names = &trainer->unet->class_names;
    if (target->class_names.names || !names->names) return DM_OK;
    dm_status status = dmi_class_names_set(&target->context->host, "trainer", &target->class_names,
                                           names->names, names->count);
    if (!status || target->context == trainer->context) return status;
    return dmi_fail(&trainer->context->host, status, "%s", target->context->host.error);
}

/* A target with a trainer of its own, in its own context, is exclusive to that context already. */
static dm_status copy(const dm_trainer *trainer, int32_t index, dm_unet *target) {
    dmi_host *host = &trainer->context->host;
    dmi_params *params = &target->weights->params;
    const bool trained = target->trained;
    if (!trained && !dmi_unet_weights_lock(target->weights))
        return dmi_fail(host, DM_ERROR_WRONG_STATE,
                        "trainer: 'target' is shared (dm_unet_share), so its weights are "
                        "read-only");
    dm_status status = copy_class_names(trainer, target);
    if (!status) {
        memcpy(params->data, trainer->ema[index], params->floats * sizeof(float));
        params->version++;
        target->null_class = trainer->unet->null_class;
    }
    if (!trained) dmi_unet_weights_unlock(target->weights);
    return status;
}

static dm_status get_ema(const dm_trainer *trainer, int32_t index, dm_unet *target) {
    dm_status status = check_target(trainer, index, target);
    if (status) return status;
    if (target->context == trainer->context) return copy(trainer, index, target);
    if (!dmi_enter(target->context))
        return dmi_fail(&trainer->context->host, DM_ERROR_WRONG_STATE,
                        "trainer: another call is in progress in the context of 'target'");
    return dmi_leave(target->context, copy(trainer, index, target));
}

dm_status dm_trainer_get_ema(const dm_trainer *trainer, int32_t index, dm_unet *target) {
    if (!trainer) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(trainer->context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(trainer->context, get_ema(trainer, index, target));
}
