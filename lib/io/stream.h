/* A file's bytes from front to back, unpacked where it is gzipped (told by its first bytes). */
#ifndef DMI_IO_STREAM_H
#define DMI_IO_STREAM_H

#include <stddef.h>
#include <stdint.h>

#include "base/host.h"

typedef struct dmi_stream dmi_stream;

int32_t dmi_stream_open(dmi_host *host, dmi_stream **out, const char *path);
/* Up to `size` bytes; *got is fewer only at the proper end, where a gzip file's checksums have been
 * found to agree. */
int32_t dmi_stream_read(dmi_host *host, dmi_stream *stream, void *bytes, size_t size, size_t *got);
/* Bytes given so far. */
uint64_t dmi_stream_offset(const dmi_stream *stream);
const char *dmi_stream_path(const dmi_stream *stream);
void dmi_stream_close(dmi_host *host, dmi_stream *stream);

#endif
