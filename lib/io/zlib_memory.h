/* SPDX-License-Identifier: MIT */
/* Makes zlib allocate from the host. */
#ifndef DMI_IO_ZLIB_MEMORY_H
#define DMI_IO_ZLIB_MEMORY_H

#include <zlib.h>

#include "base/host.h"

typedef struct dmi_zlib_memory {
    dmi_host *host;
    int32_t status; /* of the last allocation that failed, whose error text the host has; it is the
                       reason of a Z_MEM_ERROR */
} dmi_zlib_memory;

/* Zeroes `stream` and makes it allocate from `memory`, which must outlive it. */
void dmi_zlib_prepare(z_stream *stream, dmi_zlib_memory *memory, dmi_host *host);

#endif
