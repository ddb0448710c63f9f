/* SPDX-License-Identifier: MIT */
/* See file_open.h. */
#include "io/file_open.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int dmi_open(const char *path, int flags, mode_t mode) {
    int descriptor;
    do descriptor = open(path, flags | O_CLOEXEC, mode);
    while (descriptor < 0 && errno == EINTR);
    if (descriptor < 0 || descriptor > STDERR_FILENO) return descriptor;
    const int above = fcntl(descriptor, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    const int error = errno;
    close(descriptor);
    if (above < 0 && (flags & O_EXCL)) unlink(path); /* it was created just now */
    errno = error;
    return above;
}

int32_t dmi_fail_errno(dmi_host *host, int error, const char *doing, const char *path) {
    char reason[128];
    return dmi_fail(host, error == ENOMEM ? DMI_ERROR_OUT_OF_MEMORY : DMI_ERROR_IO,
                    "%s: cannot %s: %s", path, doing, dmi_errno_text(error, reason, sizeof reason));
}
