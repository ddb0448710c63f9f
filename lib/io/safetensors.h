/* SPDX-License-Identifier: MIT */
/* The safetensors format: eight bytes of header length, a JSON header, then the tensors' bytes
 * without gaps. */
#ifndef DMI_IO_SAFETENSORS_H
#define DMI_IO_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/host.h"
#include "io/file.h"

enum { DMI_SAFETENSORS_RANK_MAX = 8 };

/* ---- reading ---- */

typedef struct dmi_safetensors dmi_safetensors;

typedef struct dmi_safetensors_entry {
    const char *name;
    const char *dtype; /* "F32", "I64", ... */
    int32_t rank;
    int64_t shape[DMI_SAFETENSORS_RANK_MAX];
    size_t offset; /* of the tensor's bytes after the header */
    size_t size;   /* bytes; agrees with dtype and shape */
    bool has_checksum;
    uint32_t checksum; /* the CRC-32 of the bytes, if the file states it */
} dmi_safetensors_entry;

/* Reads the header and checks it and the file's size: header length, JSON, duplicate names, dtypes,
 * shapes against offsets, overlaps, gaps, trailing bytes, the checksum of the metadata. The file
 * stays open; tensors are read by dmi_safetensors_read. */
int32_t dmi_safetensors_open(dmi_host *host, dmi_safetensors **out, const char *path);
/* The same from memory, which must outlive the file object. `from` names it in error texts. */
int32_t dmi_safetensors_parse(dmi_host *host, dmi_safetensors **out, const void *bytes, size_t size,
                              const char *from);
/* Reads one tensor, entry->size bytes. Where they do not match the file's checksum of them, `out`
 * is written and the status DMI_ERROR_CHECKSUM. */
int32_t dmi_safetensors_read(dmi_host *host, const dmi_safetensors *file,
                             const dmi_safetensors_entry *entry, void *out);
/* Whether dmi_safetensors_read_floats reads the entry: its dtype is F32, F16 or BF16. */
bool dmi_safetensors_is_float(const dmi_safetensors_entry *entry);
/* The same as dmi_safetensors_read for such an entry, as floats: out holds as many as its shape
 * has. */
int32_t dmi_safetensors_read_floats(dmi_host *host, const dmi_safetensors *file,
                                    const dmi_safetensors_entry *entry, float *out);
/* The bytes before the first tensor, which are held in memory. */
size_t dmi_safetensors_header_size(const dmi_safetensors *file);
size_t dmi_safetensors_count(const dmi_safetensors *file);
const dmi_safetensors_entry *dmi_safetensors_at(const dmi_safetensors *file,
                                                size_t index); /* in the file's order of offsets */
const dmi_safetensors_entry *dmi_safetensors_find(const dmi_safetensors *file,
                                                  const char *name);                /* NULL: none */
const char *dmi_safetensors_metadata(const dmi_safetensors *file, const char *key); /* NULL: none */
const char *dmi_safetensors_from(const dmi_safetensors *file); /* the path, for error texts */
void dmi_safetensors_close(dmi_host *host, dmi_safetensors *file);

/* ---- writing ---- */

typedef struct dmi_safetensors_writer dmi_safetensors_writer;

/* A writer collects descriptions; values are read when the file is written, so no tensor is in
 * memory twice but the one that is being written. */
int32_t dmi_safetensors_begin(dmi_host *host, dmi_safetensors_writer **out);
int32_t dmi_safetensors_add_metadata(dmi_host *host, dmi_safetensors_writer *writer,
                                     const char *key, const char *value);
/* The dtype of tensors that are added from now on. Numbers of 16 bits are rounded to the nearest,
 * half to even; writing fails with DMI_ERROR_NOT_FINITE where a finite one is too large for it. */
typedef enum dmi_safetensors_type {
    DMI_SAFETENSORS_F32,
    DMI_SAFETENSORS_F16,
    DMI_SAFETENSORS_BF16
} dmi_safetensors_type;
void dmi_safetensors_set_type(dmi_safetensors_writer *writer, dmi_safetensors_type type);
/* Adds a tensor. When it is written, `fill` writes its `count` floats in order into
 * `out`, from `values` in the layout `layout`; both pointers are only passed on, and must stay
 * valid until the file is written. */
typedef void (*dmi_safetensors_fill)(const void *layout, const float *values, float *out,
                                     size_t count);
int32_t dmi_safetensors_add(dmi_host *host, dmi_safetensors_writer *writer, const char *name,
                            int32_t rank, const int64_t *shape, dmi_safetensors_fill fill,
                            const void *layout, const float *values);
/* Writes the file, completely or not at all, with keys in the order of adding. The writer stays
 * usable and must be freed. */
int32_t dmi_safetensors_write(dmi_host *host, const dmi_safetensors_writer *writer,
                              const char *path);
/* Writes and syncs the same bytes to a file, which is still to be committed. */
int32_t dmi_safetensors_write_file(dmi_host *host, const dmi_safetensors_writer *writer,
                                   dmi_file_writer *file);
/* Writes the same bytes into out [capacity] and sets *size to their exact number. With `out` NULL
 * only the size is computed. Where capacity is too small, *size is set, `out` is untouched, and the
 * status is DMI_ERROR_SHAPE_MISMATCH. */
int32_t dmi_safetensors_write_memory(dmi_host *host, const dmi_safetensors_writer *writer,
                                     void *out, size_t capacity, size_t *size);
void dmi_safetensors_free(dmi_host *host, dmi_safetensors_writer *writer);

#endif
