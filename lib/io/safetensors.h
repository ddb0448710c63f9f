/* safetensors: eight bytes of header length, a JSON header, then the tensors' bytes without
 * gaps. */
#ifndef DMI_IO_SAFETENSORS_H
#define DMI_IO_SAFETENSORS_H

#include <stddef.h>
#include <stdint.h>

#include "base/host.h"

/* ---- reading ---- */

typedef struct dmi_safetensors dmi_safetensors;

typedef struct dmi_safetensors_entry {
    const char *name;
    const char *dtype; /* "F32", "I64", ... */
    int32_t rank;      /* 0 to 8 */
    int64_t shape[8];
    size_t offset; /* of its bytes, in the data */
    size_t size;   /* bytes, already checked against dtype and shape */
} dmi_safetensors_entry;

/* Reads the header and checks everything against it and the file's size: header length, JSON,
 * duplicate names, dtypes, shapes against offsets, overlaps, gaps, trailing bytes. The error text
 * says what and where. The file stays open, and the data is read as it is asked for. */
int32_t dmi_safetensors_open(dmi_host *host, dmi_safetensors **out, const char *path);
/* The same from memory, which must outlive the file object. `from` names it in error texts. */
int32_t dmi_safetensors_parse(dmi_host *host, dmi_safetensors **out, const void *bytes, size_t size,
                              const char *from);
/* The bytes of one tensor, entry->size of them. */
int32_t dmi_safetensors_read(dmi_host *host, const dmi_safetensors *file,
                             const dmi_safetensors_entry *entry, void *out);
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

/* Collects names first; bytes are asked for at the end, so nothing is held twice. */
int32_t dmi_safetensors_begin(dmi_host *host, dmi_safetensors_writer **out);
int32_t dmi_safetensors_add_metadata(dmi_host *host, dmi_safetensors_writer *writer,
                                     const char *key, const char *value);
/* `fill` writes the tensor's floats in order into `out` when its turn comes, from `values` as
 * `layout` says; both pointers are only handed through, and must stay valid until the file is
 * written. dtype is F32. */
typedef void (*dmi_safetensors_fill)(const void *layout, const float *values, float *out,
                                     size_t count);
int32_t dmi_safetensors_add(dmi_host *host, dmi_safetensors_writer *writer, const char *name,
                            int32_t rank, const int64_t *shape, dmi_safetensors_fill fill,
                            const void *layout, const float *values);
/* Writes the file, complete or not at all. The writer stays and must be freed. Keys keep the order
 * of adding. */
int32_t dmi_safetensors_write(dmi_host *host, dmi_safetensors_writer *writer, const char *path);
void dmi_safetensors_free(dmi_host *host, dmi_safetensors_writer *writer);

#endif
