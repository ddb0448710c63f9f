/* SPDX-License-Identifier: MIT */
/* safetensors, reading. Files are not trusted: the header is checked before anything is used, and
 * each tensor's checksum, where the file states one, when the tensor is read. */
#include <string.h>

#include "base/half.h"
#include "io/file.h"
#include "io/safetensors_file.h"

static uint64_t load_u64(const uint8_t *bytes) {
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | bytes[i];
    return value;
}

static int32_t read_bytes(dmi_host *host, const dmi_safetensors *file, void *out, size_t size,
                          size_t offset) {
    if (file->descriptor >= 0)
        return dmi_file_read_at(host, file->descriptor, file->from, out, size, offset);
    if (size > 0) memcpy(out, file->bytes + offset, size);
    return DMI_OK;
}

/* Reads the header's text, and sets data_start. */
static int32_t read_header(dmi_host *host, dmi_safetensors *file, size_t *size) {
    enum { LENGTH_BYTES = DMI_SAFETENSORS_LENGTH_BYTES };
    if (file->size < LENGTH_BYTES)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: not a safetensors file: it has only %zu bytes", file->from,
                        file->size);
    uint8_t first[LENGTH_BYTES];
    int32_t status = read_bytes(host, file, first, LENGTH_BYTES, 0);
    if (status) return status;
    const uint64_t length = load_u64(first);
    if (length > DMI_SAFETENSORS_HEADER_MAX)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: not a safetensors file: the header's length is %llu, above %d",
                        file->from, (unsigned long long)length, DMI_SAFETENSORS_HEADER_MAX);
    if (length > file->size - LENGTH_BYTES)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: the header's length is %llu, but only %zu bytes follow", file->from,
                        (unsigned long long)length, file->size - LENGTH_BYTES);
    *size = (size_t)length;
    file->data_start = LENGTH_BYTES + *size;
    status = dmi_alloc(host, &file->header, *size, file->from);
    return status ? status : read_bytes(host, file, file->header, *size, LENGTH_BYTES);
}

/* `source` has the descriptor, bytes and size; its descriptor is closed on failure. */
static int32_t open_source(dmi_host *host, dmi_safetensors **out, const dmi_safetensors *source,
                           const char *from) {
    dmi_safetensors *file;
    size_t length = 0;
    int32_t status = dmi_alloc(host, &file, sizeof *file, from);
    if (status) {
        dmi_file_close(source->descriptor);
        return status;
    }
    *file = *source;
    status = dmi_alloc(host, &file->from, strlen(from) + 1, from);
    if (!status) memcpy(file->from, from, strlen(from) + 1);
    if (!status) status = read_header(host, file, &length);
    if (!status) status = dmi_safetensors_parse_header(host, file, length);
    if (status) {
        dmi_safetensors_close(host, file);
        return status;
    }
    *out = file;
    return DMI_OK;
}

int32_t dmi_safetensors_open(dmi_host *host, dmi_safetensors **out, const char *path) {
    *out = NULL;
    dmi_safetensors source = {0};
    int32_t status = dmi_file_open(host, path, &source.descriptor, &source.size);
    return status ? status : open_source(host, out, &source, path);
}

int32_t dmi_safetensors_parse(dmi_host *host, dmi_safetensors **out, const void *bytes, size_t size,
                              const char *from) {
    *out = NULL;
    const dmi_safetensors source = {.descriptor = -1, .bytes = bytes, .size = size};
    return open_source(host, out, &source, from);
}

int32_t dmi_safetensors_read(dmi_host *host, const dmi_safetensors *file,
                             const dmi_safetensors_entry *entry, void *out) {
    int32_t status = read_bytes(host, file, out, entry->size, file->data_start + entry->offset);
    if (status || !entry->has_checksum) return status;
    const uint32_t sum = dmi_checksum(out, entry->size);
    if (sum == entry->checksum) return DMI_OK;
    return dmi_fail(host, DMI_ERROR_CHECKSUM,
                    "%s: tensor '%s' is damaged: the CRC-32 of its %zu bytes is %08x, in the "
                    "metadata it is %08x",
                    file->from, entry->name, entry->size, (unsigned)sum, (unsigned)entry->checksum);
}

bool dmi_safetensors_is_float(const dmi_safetensors_entry *entry) {
    return !strcmp(entry->dtype, "F32") || !strcmp(entry->dtype, "F16") ||
           !strcmp(entry->dtype, "BF16");
}

/* Half-size numbers are read into the upper half of `out` and widened from the first on: each float
 * overwrites numbers that were widened before, and the last one its own. */
int32_t dmi_safetensors_read_floats(dmi_host *host, const dmi_safetensors *file,
                                    const dmi_safetensors_entry *entry, float *out) {
    if (!strcmp(entry->dtype, "F32")) return dmi_safetensors_read(host, file, entry, out);
    const size_t count = entry->size / sizeof(uint16_t);
    uint8_t *halves = (uint8_t *)out + entry->size;
    const int32_t status = dmi_safetensors_read(host, file, entry, halves);
    if (status) return status;
    const bool is_bfloat16 = entry->dtype[0] == 'B';
    for (size_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, halves + i * sizeof bits, sizeof bits);
        const float value = is_bfloat16 ? dmi_bfloat16_to_float(bits) : dmi_float16_to_float(bits);
        memcpy(out + i, &value, sizeof value);
    }
    return DMI_OK;
}

size_t dmi_safetensors_header_size(const dmi_safetensors *file) { return file->data_start; }

size_t dmi_safetensors_count(const dmi_safetensors *file) { return file->count; }

const dmi_safetensors_entry *dmi_safetensors_at(const dmi_safetensors *file, size_t index) {
    return &file->entries[index];
}

dmi_safetensors_entry *dmi_safetensors_find_entry(const dmi_safetensors *file, const char *name) {
    size_t low = 0, high = file->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(file->by_name[middle]->name, name);
        if (order == 0) return file->by_name[middle];
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

const dmi_safetensors_entry *dmi_safetensors_find(const dmi_safetensors *file, const char *name) {
    return dmi_safetensors_find_entry(file, name);
}

const char *dmi_safetensors_metadata(const dmi_safetensors *file, const char *key) {
    size_t low = 0, high = file->metadata_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(file->metadata[middle].key, key);
        if (order == 0) return file->metadata[middle].value;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

const char *dmi_safetensors_from(const dmi_safetensors *file) { return file->from; }

void dmi_safetensors_close(dmi_host *host, dmi_safetensors *file) {
    if (!file) return;
    dmi_free(host, file->by_name);
    dmi_free(host, file->entries);
    dmi_free(host, file->metadata);
    dmi_free(host, file->header);
    dmi_free(host, file->from);
    dmi_file_close(file->descriptor);
    dmi_free(host, file);
}
