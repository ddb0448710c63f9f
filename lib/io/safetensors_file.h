/* SPDX-License-Identifier: MIT */
/* What the parts of the safetensors reader and writer share; see safetensors.h. */
#ifndef DMI_IO_SAFETENSORS_FILE_H
#define DMI_IO_SAFETENSORS_FILE_H

#include "io/safetensors.h"

enum {
    DMI_SAFETENSORS_LENGTH_BYTES = 8,
    DMI_SAFETENSORS_HEADER_MAX = 32000000, /* bytes; the largest network and run take 9 MB */
    DMI_CHECKSUM_DIGITS = 8
};

/* A key of the metadata, and its value. */
typedef struct dmi_safetensors_pair {
    const char *key, *value;
} dmi_safetensors_pair;

struct dmi_safetensors {
    char *from;
    int descriptor;       /* -1: in memory */
    const uint8_t *bytes; /* where in memory */
    size_t size;          /* of the file, bytes */
    size_t data_start;
    char *header;                   /* the JSON text, in which all strings are */
    dmi_safetensors_pair *metadata; /* sorted by key */
    size_t metadata_count, metadata_capacity;
    dmi_safetensors_entry *entries; /* in the order of their offsets */
    size_t count, capacity;
    dmi_safetensors_entry **by_name; /* the same, sorted by name */
};

/* Fills the tables from header [length], which is changed. */
int32_t dmi_safetensors_parse_header(dmi_host *host, dmi_safetensors *file, size_t length);
/* Checks the metadata's checksum, and sets those of the tensors. */
int32_t dmi_safetensors_check_header(dmi_host *host, const dmi_safetensors *file);
dmi_safetensors_entry *dmi_safetensors_find_entry(const dmi_safetensors *file, const char *name);

/* Checksums are CRC-32 (that of gzip and PNG). In the metadata "crc32.NAME" is that of the bytes of
 * tensor NAME, and "crc32" the sum, modulo 2^32, of those of all other pairs, each of key, zero,
 * value, zero; both as eight digits of base 16. */
extern const char dmi_checksum_key[], dmi_tensor_checksum_key[]; /* "crc32", "crc32." */
uint32_t dmi_checksum(const void *bytes, size_t size);
/* Continues a checksum, which is 0 at first, with the bytes of a text and the zero after it. */
uint32_t dmi_checksum_text(uint32_t sum, const char *text);
void dmi_format_checksum(char out[DMI_CHECKSUM_DIGITS + 1], uint32_t sum);

#endif
