/* SPDX-License-Identifier: MIT */
/* What reading and writing files share. */
#ifndef DMI_IO_FILE_OPEN_H
#define DMI_IO_FILE_OPEN_H

#include <sys/types.h>

#include "base/host.h"

/* Bytes of one call of read or write: some systems refuse 2 GiB. */
enum { DMI_TRANSFER_MAX = 1 << 30 };

/* open with O_CLOEXEC; never gives descriptor 0, 1 or 2, which a program that has closed them still
 * uses as its standard input, output and error. (Where they are closed, the file has one of them
 * for a moment.) -1: errno says why. */
int dmi_open(const char *path, int flags, mode_t mode);

/* Fails with "PATH: cannot DOING: " and the text of the errno `error`: DMI_ERROR_OUT_OF_MEMORY
 * where the system had no memory, DMI_ERROR_IO otherwise. */
int32_t dmi_fail_errno(dmi_host *host, int error, const char *doing, const char *path);

#endif
