/* SPDX-License-Identifier: MIT */
/* Reads a tar archive sequentially, plain or gzipped (recognised by its first bytes), without
 * unpacking it to disk. */
#ifndef DMI_IO_TARGZ_H
#define DMI_IO_TARGZ_H

#include <stddef.h>
#include <stdint.h>

#include "base/host.h"

typedef struct dmi_targz dmi_targz;

typedef struct dmi_targz_member {
    const char *name; /* full path inside the archive; valid until the next call */
    uint64_t size;    /* bytes */
} dmi_targz_member;

int32_t dmi_targz_open(dmi_host *host, dmi_targz **out, const char *path);
/* The next regular file. *found is false at the archive's end mark; a truncated archive, or a wrong
 * checksum of gzip or of a tar header, is an error whose text names the path and the offset. */
int32_t dmi_targz_next(dmi_host *host, dmi_targz *tar, dmi_targz_member *member, bool *found);
/* Reads exactly `size` bytes of the current member. */
int32_t dmi_targz_read(dmi_host *host, dmi_targz *tar, void *bytes, size_t size);
void dmi_targz_close(dmi_host *host, dmi_targz *tar);

#endif
