/* SPDX-License-Identifier: MIT */
/* Writes JSON with a member or element a line, as files that people read have it. */
#ifndef DMI_IO_JSON_WRITE_H
#define DMI_IO_JSON_WRITE_H

#include "base/host.h"
#include "io/file.h"

/* The first error stays in `status`, and what is written after it is dropped. */
typedef struct dmi_json_writer {
    dmi_host *host;
    int32_t status, depth;
    bool first; /* nothing is in the object or array yet */
    char *text;
    size_t size, capacity;
} dmi_json_writer;

void dmi_json_write_begin(dmi_json_writer *writer, dmi_host *host);
/* Keys and strings must be UTF-8. `key` is NULL within arrays and for the outermost value. */
void dmi_json_write_open(dmi_json_writer *writer, const char *key, char bracket); /* '{', '[' */
void dmi_json_write_close(dmi_json_writer *writer, char bracket);
void dmi_json_write_string(dmi_json_writer *writer, const char *key, const char *value);
void dmi_json_write_integer(dmi_json_writer *writer, const char *key, int64_t value);
/* As few digits as read back the same; null where the value is not finite. */
void dmi_json_write_double(dmi_json_writer *writer, const char *key, double value);
void dmi_json_write_float(dmi_json_writer *writer, const char *key, float value);
void dmi_json_write_bool(dmi_json_writer *writer, const char *key, bool value);
void dmi_json_write_null(dmi_json_writer *writer, const char *key);
/* Writes the text and syncs the file, which is still to be committed; frees the writer. */
int32_t dmi_json_write_file(dmi_json_writer *writer, dmi_file_writer *file);
void dmi_json_write_free(dmi_json_writer *writer);

#endif
