/* SPDX-License-Identifier: MIT */
/* The header of a safetensors file. Nothing is used before it is checked. All strings stay in the
 * header's text. */
#include <string.h>

#include "base/sort.h"
#include "io/json.h"
#include "io/safetensors_file.h"

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

static int32_t fail_json(dmi_host *host, const dmi_safetensors *file, const dmi_json *json) {
    return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: header, byte %zu: %s", file->from, json->at,
                    json->error);
}

/* ---- one tensor ---- */

/* The description of a tensor as it is read; what is missing is NULL or false. */
typedef struct description {
    const char *dtype;
    bool has_shape, has_offsets;
    int64_t offsets[2];
} description;

static int32_t read_dtype(dmi_host *host, const dmi_safetensors *file, dmi_json *json,
                          const dmi_safetensors_entry *entry, description *d) {
    if (dmi_json_peek(json) != '"' || d->dtype)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: tensor '%s': 'dtype' is missing or not a string, or a duplicate",
                        file->from, entry->name);
    return dmi_json_string(json, &d->dtype) ? DMI_OK : fail_json(host, file, json);
}

/* Whether a whole number comes next; *value is it. */
static bool read_whole(dmi_json *json, int64_t *value) {
    const char c = dmi_json_peek(json);
    return (c == '-' || (c >= '0' && c <= '9')) && dmi_json_integer(json, value);
}

static int32_t read_shape(dmi_host *host, const dmi_safetensors *file, dmi_json *json,
                          dmi_safetensors_entry *entry, description *d) {
    if (dmi_json_peek(json) != '[' || d->has_shape)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: tensor '%s': 'shape' is missing or not an array, or a duplicate",
                        file->from, entry->name);
    d->has_shape = true;
    for (dmi_json_array(json); dmi_json_element(json);) {
        int64_t side;
        if (!read_whole(json, &side) || side < 0)
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                            "%s: tensor '%s': shape[%d] is not a whole number from 0 on (header, "
                            "byte %zu%s%s)",
                            file->from, entry->name, (int)entry->rank, json->at,
                            json->error ? ": " : "", json->error ? json->error : "");
        if (entry->rank == DMI_SAFETENSORS_RANK_MAX)
            return dmi_fail(host, DMI_ERROR_UNSUPPORTED,
                            "%s: tensor '%s' has more than %d dimensions", file->from, entry->name,
                            DMI_SAFETENSORS_RANK_MAX);
        entry->shape[entry->rank++] = side;
    }
    return json->error ? fail_json(host, file, json) : DMI_OK;
}

static int32_t fail_offsets(dmi_host *host, const dmi_safetensors *file, const dmi_json *json,
                            const dmi_safetensors_entry *entry) {
    return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                    "%s: tensor '%s': 'data_offsets' is not a pair of whole numbers, or a "
                    "duplicate (header, byte %zu%s%s)",
                    file->from, entry->name, json->at, json->error ? ": " : "",
                    json->error ? json->error : "");
}

static int32_t read_offsets(dmi_host *host, const dmi_safetensors *file, dmi_json *json,
                            const dmi_safetensors_entry *entry, description *d) {
    int32_t count = 0;
    if (dmi_json_peek(json) != '[' || d->has_offsets) return fail_offsets(host, file, json, entry);
    d->has_offsets = true;
    for (dmi_json_array(json); dmi_json_element(json); count++)
        if (count == 2 || !read_whole(json, &d->offsets[count]))
            return fail_offsets(host, file, json, entry);
    if (json->error) return fail_json(host, file, json);
    return count == 2 ? DMI_OK : fail_offsets(host, file, json, entry);
}

/* Sets dtype and size. */
static int32_t check_size(dmi_host *host, const dmi_safetensors *file, dmi_safetensors_entry *entry,
                          const description *d) {
    const element_type *type = d->dtype ? find_type(d->dtype) : NULL;
    if (!d->dtype)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: tensor '%s': 'dtype' is missing or not a string", file->from,
                        entry->name);
    if (!type)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s': unknown dtype '%.20s'",
                        file->from, entry->name, d->dtype);
    if (!d->has_shape)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: tensor '%s': 'shape' is missing or not an array", file->from,
                        entry->name);
    entry->dtype = type->name;
    entry->size = type->size;
    for (int32_t i = 0; i < entry->rank; i++)
        if ((uint64_t)entry->shape[i] > SIZE_MAX ||
            !dmi_mul(entry->size, (size_t)entry->shape[i], &entry->size))
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                            "%s: tensor '%s': its size overflows at shape[%d], which is %lld",
                            file->from, entry->name, (int)i, (long long)entry->shape[i]);
    return DMI_OK;
}

/* Sets offset; needs size. */
static int32_t check_offsets(dmi_host *host, const dmi_safetensors *file,
                             dmi_safetensors_entry *entry, const description *d) {
    const int64_t begin = d->offsets[0], end = d->offsets[1];
    const size_t available = file->size - file->data_start;
    if (!d->has_offsets)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: tensor '%s': 'data_offsets' is not a pair of whole numbers: it is "
                        "missing",
                        file->from, entry->name);
    if (begin < 0 || end < begin || (uint64_t)end > available)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: tensor '%s': data_offsets %lld to %lld exceed the data's %zu "
                        "bytes: the file is cut short, or its header wrong",
                        file->from, entry->name, (long long)begin, (long long)end, available);
    if ((uint64_t)(end - begin) != entry->size)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: tensor '%s': data_offsets %lld to %lld hold %lld bytes, shape and "
                        "dtype %s make %zu",
                        file->from, entry->name, (long long)begin, (long long)end,
                        (long long)(end - begin), entry->dtype, entry->size);
    entry->offset = (size_t)begin;
    return DMI_OK;
}

static int32_t read_entry(dmi_host *host, const dmi_safetensors *file, dmi_json *json,
                          dmi_safetensors_entry *entry) {
    description d = {0};
    const char *key;
    int32_t status = DMI_OK;
    if (dmi_json_peek(json) != '{')
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s' is not described by an object",
                        file->from, entry->name);
    dmi_json_object(json);
    while (!status && dmi_json_key(json, &key)) {
        if (strcmp(key, "dtype") == 0) status = read_dtype(host, file, json, entry, &d);
        else if (strcmp(key, "shape") == 0) status = read_shape(host, file, json, entry, &d);
        else if (strcmp(key, "data_offsets") == 0)
            status = read_offsets(host, file, json, entry, &d);
        else dmi_json_skip(json);
    }
    if (!status && json->error) status = fail_json(host, file, json);
    if (!status) status = check_size(host, file, entry, &d);
    return status ? status : check_offsets(host, file, entry, &d);
}

/* ---- the header ---- */

static int32_t read_metadata(dmi_host *host, dmi_safetensors *file, dmi_json *json) {
    dmi_safetensors_pair pair;
    if (dmi_json_peek(json) != '{')
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: '__metadata__' is not an object",
                        file->from);
    for (dmi_json_object(json); dmi_json_key(json, &pair.key);) {
        if (dmi_json_peek(json) != '"')
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: metadata '%s' is not a string",
                            file->from, pair.key);
        if (!dmi_json_string(json, &pair.value)) break;
        int32_t status = dmi_reserve(host, &file->metadata, &file->metadata_capacity,
                                     file->metadata_count + 1, sizeof *file->metadata, file->from);
        if (status) return status;
        file->metadata[file->metadata_count++] = pair;
    }
    return json->error ? fail_json(host, file, json) : DMI_OK;
}

/* Reads all members in the order of the text. */
static int32_t read_members(dmi_host *host, dmi_safetensors *file, dmi_json *json) {
    const char *name;
    bool has_metadata = false;
    for (dmi_json_object(json); dmi_json_key(json, &name);) {
        int32_t status;
        if (strcmp(name, "__metadata__") != 0) {
            status = dmi_reserve(host, &file->entries, &file->capacity, file->count + 1,
                                 sizeof *file->entries, file->from);
            if (status) return status;
            dmi_safetensors_entry *entry = &file->entries[file->count++];
            *entry = (dmi_safetensors_entry){.name = name};
            status = read_entry(host, file, json, entry);
        } else if (has_metadata) {
            status = dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: '__metadata__' has a duplicate",
                              file->from);
        } else {
            has_metadata = true;
            status = read_metadata(host, file, json);
        }
        if (status) return status;
    }
    return dmi_json_end(json) ? DMI_OK : fail_json(host, file, json);
}

/* ---- order ---- */

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

static int compare_keys(const void *left, const void *right) {
    const dmi_safetensors_pair *a = left, *b = right;
    return strcmp(a->key, b->key);
}

static int32_t sort(dmi_host *host, dmi_safetensors *file) {
    int32_t status =
        dmi_alloc_array(host, &file->by_name, file->count, sizeof *file->by_name, file->from);
    if (status) return status;
    dmi_sort(file->metadata, file->metadata_count, sizeof *file->metadata, compare_keys);
    dmi_sort(file->entries, file->count, sizeof *file->entries, compare_offsets);
    for (size_t i = 0; i < file->count; i++) file->by_name[i] = &file->entries[i];
    dmi_sort(file->by_name, file->count, sizeof *file->by_name, compare_names);
    for (size_t i = 1; i < file->metadata_count; i++)
        if (compare_keys(&file->metadata[i - 1], &file->metadata[i]) == 0)
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: metadata '%s' has a duplicate",
                            file->from, file->metadata[i].key);
    for (size_t i = 1; i < file->count; i++)
        if (compare_names(&file->by_name[i - 1], &file->by_name[i]) == 0)
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: tensor '%s' has a duplicate",
                            file->from, file->by_name[i]->name);
    return DMI_OK;
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

int32_t dmi_safetensors_parse_header(dmi_host *host, dmi_safetensors *file, size_t length) {
    dmi_json json;
    if (length == 0 || file->header[0] != '{')
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: not a safetensors file: the header does not begin with '{'",
                        file->from);
    dmi_json_begin(&json, file->header, length);
    int32_t status = read_members(host, file, &json);
    if (!status) status = sort(host, file);
    if (!status) status = check_contiguous(host, file);
    return status ? status : dmi_safetensors_check_header(host, file);
}
