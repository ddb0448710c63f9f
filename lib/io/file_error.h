/* SPDX-License-Identifier: MIT */
/* What reading and writing files share. */
#ifndef DMI_IO_FILE_ERROR_H
#define DMI_IO_FILE_ERROR_H

#include "base/host.h"

/* Bytes of one call of read or write: some systems refuse 2 GiB. */
enum { DMI_TRANSFER_MAX = 1 << 30 };

/* Fails with "PATH: cannot DOING: " and the text of the errno `error`: DMI_ERROR_OUT_OF_MEMORY
 * where the system had no memory, DMI_ERROR_IO otherwise. */
int32_t dmi_fail_errno(dmi_host *host, int error, const char *doing, const char *path);

#endif
