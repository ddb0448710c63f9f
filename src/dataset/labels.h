/* SPDX-License-Identifier: MIT */
/* The check of labels that a dataset gives. */
#ifndef DM_SRC_DATASET_LABELS_H
#define DM_SRC_DATASET_LABELS_H

#include "base/host.h"
#include "diffusion.h"

/* Refuses a label outside `minimum` (-1, or 0 where the network needs a class) to classes - 1.
 * `owner` begins the message, `index` is the image's in the dataset. */
dm_status dmi_dataset_check_label(dmi_host *host, const char *owner, uint64_t index, int32_t label,
                                  int32_t minimum, int32_t classes);

#endif
