/* SPDX-License-Identifier: MIT */
/* See file_error.h. */
#include "io/file_error.h"

#include <errno.h>

#include "base/system.h"

int32_t dmi_fail_errno(dmi_host *host, int error, const char *doing, const char *path) {
    char reason[128];
    return dmi_fail(host, error == ENOMEM ? DMI_ERROR_OUT_OF_MEMORY : DMI_ERROR_IO,
                    "%s: cannot %s: %s", path, doing, dmi_errno_text(error, reason, sizeof reason));
}
