/* Files: read whole or in pieces, written so that a name holds the old contents or the new, never a
 * part. */
#ifndef DMI_IO_FILE_H
#define DMI_IO_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/host.h"

typedef struct dmi_file_writer dmi_file_writer;

/* Opens a temporary file beside `path`, or where that is a symbolic link to a file, beside what it
 * leads to. */
int32_t dmi_file_begin(dmi_host *host, dmi_file_writer **out, const char *path);
int32_t dmi_file_write(dmi_host *host, dmi_file_writer *writer, const void *bytes, size_t size);
/* Syncs and renames the temporary file to `path`; on failure it is removed. The writer is freed
 * either way. */
int32_t dmi_file_commit(dmi_host *host, dmi_file_writer *writer);
/* Removes the temporary file and frees the writer; NULL is accepted. */
void dmi_file_abandon(dmi_host *host, dmi_file_writer *writer);

/* A regular file to be read in pieces: *descriptor is for dmi_file_read_at and dmi_file_close. */
int32_t dmi_file_open(dmi_host *host, const char *path, int *descriptor, size_t *size);
/* `size` bytes from `offset` on. A file that ends before is DMI_ERROR_IO: it had them when it was
 * opened. */
int32_t dmi_file_read_at(dmi_host *host, int descriptor, const char *path, void *bytes, size_t size,
                         size_t offset);
void dmi_file_close(int descriptor);

/* The whole of a regular file, in a block for dmi_free. */
int32_t dmi_file_read(dmi_host *host, const char *path, uint8_t **out, size_t *size);

#endif
