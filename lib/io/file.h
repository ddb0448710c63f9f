/* Whole files: read into memory, written so that a name holds the old contents or the new, never a part. */
#ifndef DMI_IO_FILE_H
#define DMI_IO_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/host.h"

typedef struct dmi_file_writer dmi_file_writer;

/* Opens a temporary file beside `path`. */
int32_t dmi_file_begin(dmi_host *host, dmi_file_writer **out, const char *path);
int32_t dmi_file_write(dmi_host *host, dmi_file_writer *writer, const void *bytes, size_t size);
/* Syncs and renames the temporary file to `path`; on failure it is removed. The writer is freed either way. */
int32_t dmi_file_commit(dmi_host *host, dmi_file_writer *writer);
/* Removes the temporary file and frees the writer; NULL is accepted. */
void dmi_file_abandon(dmi_host *host, dmi_file_writer *writer);

/* The whole of a regular file, in a block for dmi_free. */
int32_t dmi_file_read(dmi_host *host, const char *path, uint8_t **out, size_t *size);

#endif
