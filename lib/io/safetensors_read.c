/* safetensors, reading. The file is taken for hostile: nothing of it is used before it is checked. The JSON header is parsed
 * by jansson, whose own small allocations are outside the host's count, and is kept for its strings. */
#include "io/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"

enum { LENGTH_BYTES = 8, MAX_HEADER = 100000000, MAX_RANK = 8 };

struct dmi_safetensors {
    char *from;
    uint8_t *bytes;
    size_t size;
    json_t *header;
    const json_t *metadata; /* of header, or NULL */
    size_t count;
    dmi_safetensors_entry *entries;        /* in the order of their offsets */
    const dmi_safetensors_entry **by_name; /* the same, sorted by name */
};

typedef struct element_type {
    const char *name;
    size_t size;
} element_type;

static const element_type element_types[] = {
    {"F32", 4}, {"F16", 2}, {"BF16", 2}, {"F64", 8}, {"BOOL", 1}, {"U8", 1},      {"I8", 1},      {"U16", 2},     {"I16", 2},
    {"U32", 4}, {"I32", 4}, {"U64", 8},  {"I64", 8}, {"C64", 8},  {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1},
};

static const element_type *find_type(const char *name) {
    for (size_t i = 0; i < sizeof element_types / sizeof element_types[0]; i++) {
        if (strcmp(element_types[i].name, name) == 0) return &element_types[i];
    }
    return NULL;
}

static uint64_t load_u64(const uint8_t *bytes) {
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | bytes[i];
    return value;
}

static int32_t parse_header(dmi_host *host, dmi_safetensors *file, size_t *data_start) {
    if (file->size < LENGTH_BYTES) {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: not a safetensors file: it has only %zu bytes", file->from,
                        file->size);
    }
    const uint64_t length = load_u64(file->bytes);
    if (length > MAX_HEADER) {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: not a safetensors file: the header's length is %llu, above %d",
                        file->from, (unsigned long long)length, MAX_HEADER);
    }
    if (length > file->size - LENGTH_BYTES) {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: the header's length is %llu, but only %zu bytes follow", file->from,
                        (unsigned long long)length, file->size - LENGTH_BYTES);
    }
    const char *text = (const char *)file->bytes + LENGTH_BYTES;
    if (length == 0 || text[0] != '{') {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: not a safetensors file: the header does not begin with '{'",
                        file->from);
    }
    json_error_t error;
    file->header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (file->header == NULL) {
        const bool memory = json_error_code(&error) == json_error_out_of_memory;
        return dmi_fail(host, memory ? DMI_ERROR_OUT_OF_MEMORY : DMI_ERROR_BAD_FORMAT, "%s: header, byte %d: %s", file->from,
                        error.position, error.text);
    }
    *data_start = LENGTH_BYTES + (size_t)length;
    return DMI_OK;
}

static int32_t check_metadata(dmi_host *host, const dmi_safetensors *file, json_t *metadata) {
    if (!json_is_object(metadata)) {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: '__metadata__' is not an object", file->from);
    }
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value)) {
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: metadata '%s' is not a string", file->from, key);
        }
    }
    return DMI_OK;
}

/* Sets rank, shape and size. */
static int32_t parse_shape(dmi_host *host, const dmi_safetensors *file, dmi_safetensors_entry *entry, const json_t *shape,
                           size_t element_size) {
    if (!json_is_array(shape)) {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s': 'shape' is missing or not an array", file->from,
                        entry->name);
    }
    const size_t rank = json_array_size(shape);
    if (rank > MAX_RANK) {
        return dmi_fail(host, DMI_ERROR_UNSUPPORTED, "%s: tensor '%s' has %zu dimensions; at most %d are supported",
                        file->from, entry->name, rank, MAX_RANK);
    }
    entry->rank = (int32_t)rank;
    entry->size = element_size;
    for (size_t i = 0; i < rank; i++) {
        const json_t *side = json_array_get(shape, i);
        if (!json_is_integer(side) || json_integer_value(side) < 0) {
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s': shape[%zu] is not a whole number from 0 on",
                            file->from, entry->name, i);
        }
        entry->shape[i] = json_integer_value(side);
        if ((uint64_t)entry->shape[i] > SIZE_MAX || !dmi_mul(entry->size, (size_t)entry->shape[i], &entry->size)) {
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s': its size overflows at shape[%zu], which is %lld",
                            file->from, entry->name, i, (long long)entry->shape[i]);
        }
    }
    return DMI_OK;
}

/* Sets data; needs size. */
static int32_t parse_offsets(dmi_host *host, const dmi_safetensors *file, dmi_safetensors_entry *entry,
                             const json_t *offsets, size_t data_start) {
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last)) {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s': 'data_offsets' is not a pair of whole numbers",
                        file->from, entry->name);
    }
    const long long begin = json_integer_value(first), end = json_integer_value(last);
    const size_t available = file->size - data_start;
    if (begin < 0 || end < begin || (unsigned long long)end > available) {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s': data_offsets %lld to %lld pass the data's %zu bytes",
                        file->from, entry->name, begin, end, available);
    }
    if ((unsigned long long)(end - begin) != entry->size) {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s': data_offsets %lld to %lld hold %lld bytes, shape and "
                        "dtype %s make %zu", file->from, entry->name, begin, end, end - begin, entry->dtype, entry->size);
    }
    entry->data = file->bytes + data_start + (size_t)begin;
    return DMI_OK;
}

static int32_t parse_entry(dmi_host *host, const dmi_safetensors *file, dmi_safetensors_entry *entry, const char *name,
                           const json_t *value, size_t data_start) {
    entry->name = name;
    if (!json_is_object(value)) {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s' is not described by an object", file->from, name);
    }
    const char *dtype = json_string_value(json_object_get(value, "dtype"));
    if (dtype == NULL) {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s': 'dtype' is missing or not a string", file->from, name);
    }
    const element_type *type = find_type(dtype);
    if (type == NULL) {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s': unknown dtype '%s'", file->from, name, dtype);
    }
    entry->dtype = type->name;
    int32_t status = parse_shape(host, file, entry, json_object_get(value, "shape"), type->size);
    if (status != DMI_OK) return status;
    return parse_offsets(host, file, entry, json_object_get(value, "data_offsets"), data_start);
}

/* An empty tensor stands before the one that begins at its place. */
static int compare_places(const void *left, const void *right) {
    const dmi_safetensors_entry *a = left, *b = right;
    if (a->data != b->data) return a->data < b->data ? -1 : 1;
    if (a->size != b->size) return a->size < b->size ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int compare_names(const void *left, const void *right) {
    const dmi_safetensors_entry *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

static int32_t check_tiling(dmi_host *host, const dmi_safetensors *file, size_t data_start) {
    const uint8_t *data = file->bytes + data_start, *reached = data;
    for (size_t i = 0; i < file->count; i++) {
        const dmi_safetensors_entry *entry = &file->entries[i];
        if (entry->data != reached) {
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s' begins at byte %zu of the data, but %s ends at "
                            "byte %zu: there is %s", file->from, entry->name, (size_t)(entry->data - data),
                            i > 0 ? file->entries[i - 1].name : "the header", (size_t)(reached - data),
                            entry->data < reached ? "an overlap" : "a gap");
        }
        reached += entry->size;
    }
    const size_t left = file->size - (size_t)(reached - file->bytes);
    if (left != 0) {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: %zu bytes follow the last tensor", file->from, left);
    }
    return DMI_OK;
}

static int32_t parse(dmi_host *host, dmi_safetensors *file) {
    size_t data_start = 0;
    int32_t status = parse_header(host, file, &data_start);
    if (status != DMI_OK) return status;

    void *block;
    const size_t most = json_object_size(file->header);
    status = dmi_alloc_zero(host, &block, most, sizeof *file->entries, file->from);
    if (status != DMI_OK) return status;
    file->entries = block;
    status = dmi_alloc_array(host, &block, most, sizeof *file->by_name, file->from);
    if (status != DMI_OK) return status;
    file->by_name = block;

    const char *name;
    json_t *value;
    json_object_foreach(file->header, name, value) {
        if (strcmp(name, "__metadata__") == 0) {
            status = check_metadata(host, file, value);
            file->metadata = value;
        } else {
            status = parse_entry(host, file, &file->entries[file->count++], name, value, data_start);
        }
        if (status != DMI_OK) return status;
    }
    qsort(file->entries, file->count, sizeof *file->entries, compare_places);
    for (size_t i = 0; i < file->count; i++) file->by_name[i] = &file->entries[i];
    qsort(file->by_name, file->count, sizeof *file->by_name, compare_names);
    return check_tiling(host, file, data_start);
}

/* Takes `bytes` over, whatever comes of it. */
static int32_t open_bytes(dmi_host *host, dmi_safetensors **out, uint8_t *bytes, size_t size, const char *from) {
    void *block;
    int32_t status = dmi_alloc_zero(host, &block, 1, sizeof(dmi_safetensors), from);
    if (status != DMI_OK) {
        dmi_free(host, bytes);
        return status;
    }
    dmi_safetensors *file = block;
    file->bytes = bytes;
    file->size = size;
    status = dmi_alloc(host, &block, strlen(from) + 1, from);
    if (status == DMI_OK) {
        file->from = strcpy(block, from);
        status = parse(host, file);
    }
    if (status != DMI_OK) {
        dmi_safetensors_close(host, file);
        return status;
    }
    *out = file;
    return DMI_OK;
}

int32_t dmi_safetensors_open(dmi_host *host, dmi_safetensors **out, const char *path) {
    *out = NULL;
    uint8_t *bytes;
    size_t size;
    int32_t status = dmi_file_read(host, path, &bytes, &size);
    return status == DMI_OK ? open_bytes(host, out, bytes, size, path) : status;
}

int32_t dmi_safetensors_parse(dmi_host *host, dmi_safetensors **out, const void *bytes, size_t size, const char *from) {
    *out = NULL;
    void *copy;
    int32_t status = dmi_alloc(host, &copy, size, from);
    if (status != DMI_OK) return status;
    if (size > 0) memcpy(copy, bytes, size);
    return open_bytes(host, out, copy, size, from);
}

size_t dmi_safetensors_count(const dmi_safetensors *file) { return file->count; }

const dmi_safetensors_entry *dmi_safetensors_at(const dmi_safetensors *file, size_t index) { return &file->entries[index]; }

const dmi_safetensors_entry *dmi_safetensors_find(const dmi_safetensors *file, const char *name) {
    size_t low = 0, high = file->count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const int order = strcmp(file->by_name[middle]->name, name);
        if (order == 0) return file->by_name[middle];
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

const char *dmi_safetensors_metadata(const dmi_safetensors *file, const char *key) {
    return json_string_value(json_object_get(file->metadata, key));
}

const char *dmi_safetensors_from(const dmi_safetensors *file) { return file->from; }

void dmi_safetensors_close(dmi_host *host, dmi_safetensors *file) {
    if (file == NULL) return;
    json_decref(file->header);
    dmi_free(host, file->by_name);
    dmi_free(host, file->entries);
    dmi_free(host, file->bytes);
    dmi_free(host, file->from);
    dmi_free(host, file);
}
