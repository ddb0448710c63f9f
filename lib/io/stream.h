/* SPDX-License-Identifier: MIT */
/* Reads a file sequentially, and decompresses it where its first bytes are those of gzip. */
#ifndef DMI_IO_STREAM_H
#define DMI_IO_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/host.h"

typedef struct dmi_stream dmi_stream;

int32_t dmi_stream_open(dmi_host *host, dmi_stream **out, const char *path);
/* Reads up to `size` bytes; *got is less only at the end, where a gzip file's checksums have been
 * compared. A truncated gzip file is DMI_ERROR_BAD_FORMAT. */
int32_t dmi_stream_read(dmi_host *host, dmi_stream *stream, void *bytes, size_t size, size_t *got);
/* Bytes returned so far. */
uint64_t dmi_stream_offset(const dmi_stream *stream);
const char *dmi_stream_path(const dmi_stream *stream);
void dmi_stream_close(dmi_host *host, dmi_stream *stream);

#endif
