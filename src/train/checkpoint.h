/* SPDX-License-Identifier: MIT */
/* The tensors of a checkpoint: blocks laid out like the parameters, and recorded losses. */
#ifndef DM_SRC_CHECKPOINT_H
#define DM_SRC_CHECKPOINT_H

#include "train/trainer.h"

/* Refuses a state with infinite values or NaN. */
dm_status dmi_checkpoint_check_finite(const dm_trainer *trainer);
dm_status dmi_checkpoint_write_tensors(dmi_host *host, dmi_safetensors_writer *writer,
                                       const dm_trainer *trainer);
/* Into a new trainer. The weights go to the block of gradients, so that the network stays as it is
 * until nothing can fail any more. `changed`: as dmi_checkpoint_restore says. */
dm_status dmi_checkpoint_read_tensors(dmi_host *host, const dmi_safetensors *file,
                                      const dm_trainer *trainer, bool changed);

/* ---- checkpoint_metadata.c ---- */

/* What is not a tensor: options, schedule, progress, data and teacher. */
dm_status dmi_checkpoint_write_metadata(dmi_host *host, dmi_safetensors_writer *writer,
                                        const dm_trainer *trainer);

#endif
