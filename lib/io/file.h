/* SPDX-License-Identifier: MIT */
/* Files. Reading: whole or by range. Writing: to a temporary file that is renamed at the end, so
 * that a path holds the old contents or the new, never a part of them. */
#ifndef DMI_IO_FILE_H
#define DMI_IO_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "base/host.h"

typedef struct dmi_file_writer dmi_file_writer;

/* Creates a temporary file in the folder of `path`, or where that is a symbolic link to a file, in
 * the folder of the link's target, and removes temporary files of writers to the same path whose
 * process has ended. */
int32_t dmi_file_begin(dmi_host *host, dmi_file_writer **out, const char *path);
/* Writes `size` bytes at `offset`, in any order of offsets. */
int32_t dmi_file_write_at(dmi_host *host, dmi_file_writer *writer, const void *bytes, size_t size,
                          size_t offset);
/* Syncs the temporary file, after which dmi_file_commit only has to rename it. Of several files
 * that belong together each is synced before the first is committed. */
int32_t dmi_file_sync(dmi_host *host, dmi_file_writer *writer);
/* Syncs and renames the temporary file to `path`; on failure it is removed. The writer is freed
 * either way. */
int32_t dmi_file_commit(dmi_host *host, dmi_file_writer *writer);
/* Removes the temporary file and frees the writer; NULL is accepted. */
void dmi_file_abandon(dmi_host *host, dmi_file_writer *writer);

/* Opens a regular file; *descriptor is for dmi_file_read_at and dmi_file_close. */
int32_t dmi_file_open(dmi_host *host, const char *path, int *descriptor, size_t *size);
/* Reads `size` bytes from `offset` on, within the size that dmi_file_open reported: a file that has
 * become shorter is DMI_ERROR_IO. `path` is for the error text. */
int32_t dmi_file_read_at(dmi_host *host, int descriptor, const char *path, void *bytes, size_t size,
                         size_t offset);
void dmi_file_close(int descriptor);

/* Reads a whole regular file into *out, which the caller frees with dmi_free. */
int32_t dmi_file_read(dmi_host *host, const char *path, uint8_t **out, size_t *size);

#endif
