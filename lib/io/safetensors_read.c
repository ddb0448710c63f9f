/* safetensors, reading. Files are not trusted: nothing is used before it is checked. The JSON
 * header is parsed by jansson, whose own small allocations the host does not count, and stays in
 * memory for its strings. */
#include "io/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "io/file.h"

enum {
    LENGTH_BYTES = 8,
    HEADER_MAX = 8000000 /* bytes; parsed, a header takes some 16 times that */
};

struct dmi_safetensors {
    char *from;
    int descriptor;       /* -1: in memory */
    const uint8_t *bytes; /* where in memory */
    size_t size;          /* of the file, bytes */
    size_t data_start;
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
    {"F32", 4}, {"F16", 2}, {"BF16", 2},    {"F64", 8},     {"BOOL", 1},    {"U8", 1},
    {"I8", 1},  {"U16", 2}, {"I16", 2},     {"U32", 4},     {"I32", 4},     {"U64", 8},
    {"I64", 8}, {"C64", 8}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1},
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

static int32_t read_bytes(dmi_host *host, const dmi_safetensors *file, void *out, size_t size,
                          size_t offset) {
    if (file->descriptor >= 0)
        return dmi_file_read_at(host, file->descriptor, file->from, out, size, offset);
    if (size > 0) memcpy(out, file->bytes + offset, size);
    return DMI_OK;
}

static int32_t parse_json(dmi_host *host, dmi_safetensors *file, const char *text, size_t length) {
    if (length == 0 || text[0] != '{') {
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: not a safetensors file: the header does not begin with '{'",
                        file->from);
    }
    json_error_t error;
    file->header = json_loadb(text, length, JSON_REJECT_DUPLICATES, &error);
    if (file->header) return DMI_OK;
    const bool memory = json_error_code(&error) == json_error_out_of_memory;
    return dmi_fail(host, memory ? DMI_ERROR_OUT_OF_MEMORY : DMI_ERROR_BAD_FORMAT,
                    "%s: header, byte %d: %s", file->from, error.position, error.text);
}

/* Sets header and data_start. */
static int32_t parse_header(dmi_host *host, dmi_safetensors *file) {
    if (file->size < LENGTH_BYTES)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: not a safetensors file: it has only %zu bytes", file->from,
                        file->size);
    uint8_t first[LENGTH_BYTES];
    int32_t status = read_bytes(host, file, first, LENGTH_BYTES, 0);
    if (status) return status;
    const uint64_t length = load_u64(first);
    if (length > HEADER_MAX)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: not a safetensors file: the header's length is %llu, above %d",
                        file->from, (unsigned long long)length, HEADER_MAX);
    if (length > file->size - LENGTH_BYTES)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: the header's length is %llu, but only %zu bytes follow", file->from,
                        (unsigned long long)length, file->size - LENGTH_BYTES);
    char *text;
    status = dmi_alloc(host, &text, (size_t)length, file->from);
    if (status) return status;
    status = read_bytes(host, file, text, (size_t)length, LENGTH_BYTES);
    if (!status) status = parse_json(host, file, text, (size_t)length);
    dmi_free(host, text);
    file->data_start = LENGTH_BYTES + (size_t)length;
    return status;
}

static int32_t check_metadata(dmi_host *host, const dmi_safetensors *file, json_t *metadata) {
    if (!json_is_object(metadata))
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: '__metadata__' is not an object",
                        file->from);
    const char *key;
    json_t *value;
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: metadata '%s' is not a string",
                            file->from, key);
    }
    return DMI_OK;
}

/* Sets rank, shape and size. */
static int32_t parse_shape(dmi_host *host, const dmi_safetensors *file,
                           dmi_safetensors_entry *entry, const json_t *shape, size_t element_size) {
    if (!json_is_array(shape))
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: tensor '%s': 'shape' is missing or not an array", file->from,
                        entry->name);
    const size_t rank = json_array_size(shape);
    if (rank > DMI_SAFETENSORS_RANK_MAX) {
        return dmi_fail(host, DMI_ERROR_UNSUPPORTED,
                        "%s: tensor '%s' has %zu dimensions; at most %d are supported", file->from,
                        entry->name, rank, DMI_SAFETENSORS_RANK_MAX);
    }
    entry->rank = (int32_t)rank;
    entry->size = element_size;
    for (size_t i = 0; i < rank; i++) {
        const json_t *side = json_array_get(shape, i);
        if (!json_is_integer(side) || json_integer_value(side) < 0)
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                            "%s: tensor '%s': shape[%zu] is not a whole number from 0 on",
                            file->from, entry->name, i);
        entry->shape[i] = json_integer_value(side);
        if ((uint64_t)entry->shape[i] > SIZE_MAX ||
            !dmi_mul(entry->size, (size_t)entry->shape[i], &entry->size))
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                            "%s: tensor '%s': its size overflows at shape[%zu], which is %lld",
                            file->from, entry->name, i, (long long)entry->shape[i]);
    }
    return DMI_OK;
}

/* Sets offset; needs size. */
static int32_t parse_offsets(dmi_host *host, const dmi_safetensors *file,
                             dmi_safetensors_entry *entry, const json_t *offsets) {
    const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(last))
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: tensor '%s': 'data_offsets' is not a pair of whole numbers",
                        file->from, entry->name);
    const long long begin = json_integer_value(first), end = json_integer_value(last);
    const size_t available = file->size - file->data_start;
    if (begin < 0 || end < begin || (unsigned long long)end > available)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: tensor '%s': data_offsets %lld to %lld exceed the data's %zu "
                        "bytes: the file is cut short, or its header wrong",
                        file->from, entry->name, begin, end, available);
    if ((unsigned long long)(end - begin) != entry->size)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: tensor '%s': data_offsets %lld to %lld hold %lld bytes, shape and "
                        "dtype %s make %zu",
                        file->from, entry->name, begin, end, end - begin, entry->dtype,
                        entry->size);
    entry->offset = (size_t)begin;
    return DMI_OK;
}

static int32_t parse_entry(dmi_host *host, const dmi_safetensors *file,
                           dmi_safetensors_entry *entry, const char *name, const json_t *value) {
    entry->name = name;
    if (!json_is_object(value))
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s' is not described by an object",
                        file->from, name);
    const char *dtype = json_string_value(json_object_get(value, "dtype"));
    if (!dtype)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: tensor '%s': 'dtype' is missing or not a string", file->from, name);
    const element_type *type = find_type(dtype);
    if (!type)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s': unknown dtype '%s'",
                        file->from, name, dtype);
    entry->dtype = type->name;
    int32_t status = parse_shape(host, file, entry, json_object_get(value, "shape"), type->size);
    if (status) return status;
    return parse_offsets(host, file, entry, json_object_get(value, "data_offsets"));
}

/* Orders by offset; an empty tensor precedes the one that begins at its offset. */
static int compare_offsets(const void *left, const void *right) {
    const dmi_safetensors_entry *a = left, *b = right;
    if (a->offset != b->offset) return a->offset < b->offset ? -1 : 1;
    if (a->size != b->size) return a->size < b->size ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int compare_names(const void *left, const void *right) {
    const dmi_safetensors_entry *const *a = left, *const *b = right;
    return strcmp((*a)->name, (*b)->name);
}

/* The tensors must follow one another without overlaps and gaps, to the end of the file. */
static int32_t check_contiguous(dmi_host *host, const dmi_safetensors *file) {
    size_t reached = 0;
    for (size_t i = 0; i < file->count; i++) {
        const dmi_safetensors_entry *entry = &file->entries[i];
        if (entry->offset != reached)
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                            "%s: tensor '%s' begins at byte %zu of the data, but %s ends at "
                            "byte %zu: there is %s",
                            file->from, entry->name, entry->offset,
                            i > 0 ? file->entries[i - 1].name : "the header", reached,
                            entry->offset < reached ? "an overlap" : "a gap");
        reached += entry->size;
    }
    const size_t left = file->size - file->data_start - reached;
    if (left)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: %zu bytes follow the last tensor",
                        file->from, left);
    return DMI_OK;
}

static int32_t parse(dmi_host *host, dmi_safetensors *file) {
    int32_t status = parse_header(host, file);
    if (status) return status;

    const size_t count_max = json_object_size(file->header);
    status = dmi_alloc_zero(host, &file->entries, count_max, sizeof *file->entries, file->from);
    if (status) return status;
    status = dmi_alloc_array(host, &file->by_name, count_max, sizeof *file->by_name, file->from);
    if (status) return status;

    const char *name;
    json_t *value;
    json_object_foreach(file->header, name, value) {
        if (strcmp(name, "__metadata__") == 0) {
            status = check_metadata(host, file, value);
            file->metadata = value;
        } else {
            status = parse_entry(host, file, &file->entries[file->count++], name, value);
        }
        if (status) return status;
    }
    qsort(file->entries, file->count, sizeof *file->entries, compare_offsets);
    for (size_t i = 0; i < file->count; i++) file->by_name[i] = &file->entries[i];
    qsort(file->by_name, file->count, sizeof *file->by_name, compare_names);
    return check_contiguous(host, file);
}

/* `source` has the descriptor, bytes and size; its descriptor is closed on failure. */
static int32_t open_source(dmi_host *host, dmi_safetensors **out, const dmi_safetensors *source,
                           const char *from) {
    dmi_safetensors *file;
    int32_t status = dmi_alloc(host, &file, sizeof *file, from);
    if (status) {
        dmi_file_close(source->descriptor);
        return status;
    }
    *file = *source;
    status = dmi_alloc(host, &file->from, strlen(from) + 1, from);
    if (!status) strcpy(file->from, from);
    if (!status) status = parse(host, file);
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
    return read_bytes(host, file, out, entry->size, file->data_start + entry->offset);
}

size_t dmi_safetensors_count(const dmi_safetensors *file) { return file->count; }

const dmi_safetensors_entry *dmi_safetensors_at(const dmi_safetensors *file, size_t index) {
    return &file->entries[index];
}

const dmi_safetensors_entry *dmi_safetensors_find(const dmi_safetensors *file, const char *name) {
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

const char *dmi_safetensors_metadata(const dmi_safetensors *file, const char *key) {
    return json_string_value(json_object_get(file->metadata, key));
}

const char *dmi_safetensors_from(const dmi_safetensors *file) { return file->from; }

void dmi_safetensors_close(dmi_host *host, dmi_safetensors *file) {
    if (!file) return;
    json_decref(file->header);
    dmi_free(host, file->by_name);
    dmi_free(host, file->entries);
    dmi_free(host, file->from);
    dmi_file_close(file->descriptor);
    dmi_free(host, file);
}
