/* SPDX-License-Identifier: MIT */
/* See labels.h. */
#include "dataset/labels.h"

dm_status dmi_dataset_check_label(dmi_host *host, const char *owner, uint64_t index, int32_t label,
                                  int32_t minimum, int32_t classes) {
    if (label >= minimum && label < classes) return DM_OK;
    if (label < 0)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "%s: image %llu of the dataset has no label; a network with 'null_row' 0 "
                        "needs one",
                        owner, (unsigned long long)index);
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "%s: image %llu of the dataset has label %d; the network has %d classes", owner,
                    (unsigned long long)index, (int)label, (int)classes);
}
