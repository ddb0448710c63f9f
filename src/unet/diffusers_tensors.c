/* SPDX-License-Identifier: MIT */
/* The tensors of a UNet2DModel: in one safetensors file or in several (shards), with the names of
 * all versions of diffusers. */
#include <stdio.h>
#include <string.h>

#include "base/sort.h"
#include "io/file.h"
#include "io/json.h"
#include "io/path.h"
#include "unet/diffusers.h"

/* An index has a line of about 100 bytes for each tensor. */
enum {
    INDEX_SIZE_MAX = 16000000,
    HEADERS_SIZE_MAX = 32000000, /* of all shards, as of one file: each is held in memory */
    NAME_SIZE = 2 * DMI_NAME_MAX
};

/* ---- names ---- */

/* Parts of names, and what older versions had in their place. */
static const struct {
    const char *now, *before;
} renamed[] = {
    {".to_q.", ".query."},
    {".to_k.", ".key."},
    {".to_v.", ".value."},
    {".to_out.0.", ".proj_attn."},
    {"samplers.0.conv.", "samplers.0.Conv2d_0."},
    {"samplers.0.conv.", "samplers.0.op."},
    {"time_proj.weight", "time_proj.W"},
};
enum { RENAMED = sizeof renamed / sizeof *renamed };

/* Writes `name` with one occurrence of `from` replaced. False: it has none, or is too long. */
static bool replace(char out[NAME_SIZE], const char *name, const char *from, const char *to) {
    const char *found = strstr(name, from);
    if (!found) return false;
    int length =
        snprintf(out, NAME_SIZE, "%.*s%s%s", (int)(found - name), name, to, found + strlen(from));
    return length > 0 && length < NAME_SIZE;
}

typedef struct place {
    const dmi_safetensors *file;
    const dmi_safetensors_entry *entry; /* NULL: there is none */
} place;

static place find_name(const dmi_diffusers_tensors *t, const char *name) {
    for (int32_t i = 0; i < t->count; i++) {
        const dmi_safetensors_entry *entry = dmi_safetensors_find(t->files[i], name);
        if (entry) return (place){t->files[i], entry};
    }
    return (place){t->files[0], NULL};
}

/* A parameter under its name or one that it had. */
static place find_param(const dmi_diffusers_tensors *t, const char *name) {
    char other[NAME_SIZE];
    place found = find_name(t, name);
    for (int32_t i = 0; i < RENAMED && !found.entry; i++)
        if (replace(other, name, renamed[i].now, renamed[i].before)) found = find_name(t, other);
    return found;
}

/* The parameter that a tensor is, or -1. */
static int32_t param_of(const dmi_params *params, const char *name) {
    char other[NAME_SIZE];
    int32_t index = dmi_params_find(params, name);
    for (int32_t i = 0; i < RENAMED && index < 0; i++)
        if (replace(other, name, renamed[i].before, renamed[i].now))
            index = dmi_params_find(params, other);
    return index;
}

/* ---- the index of shards ---- */

typedef struct mapping {
    const char *name, *file;
    int32_t shard;
} mapping;

typedef struct shard_index {
    const char *path;
    char *text;
    mapping *items;
    size_t count, capacity;
} shard_index;

static int by_name(const void *a, const void *b) {
    return strcmp(((const mapping *)a)->name, ((const mapping *)b)->name);
}

static dm_status read_map(dmi_host *host, shard_index *index, dmi_json *json) {
    mapping item = {0};
    dmi_json_object(json);
    while (dmi_json_key(json, &item.name) && dmi_json_string(json, &item.file)) {
        dm_status status = dmi_reserve(host, &index->items, &index->capacity, index->count + 1,
                                       sizeof item, index->path);
        if (status) return status;
        index->items[index->count++] = item;
    }
    return DM_OK;
}

/* Fills the index from its text [length]. */
static dm_status parse_index(dmi_host *host, shard_index *index, size_t length) {
    dmi_json json;
    const char *key;
    bool has_map = false;
    dm_status status = DM_OK;
    dmi_json_begin(&json, index->text, length);
    dmi_json_object(&json);
    while (!status && dmi_json_key(&json, &key)) {
        bool is_map = !strcmp(key, "weight_map");
        if (is_map && has_map)
            status =
                dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: it has 'weight_map' twice", index->path);
        else if (is_map) status = read_map(host, index, &json);
        else dmi_json_skip(&json);
        has_map = has_map || is_map;
    }
    if (status) return status;
    if (!dmi_json_end(&json))
        return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: not an index of shards: at byte %zu %s",
                        index->path, json.at, json.error);
    if (index->count == 0)
        return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: 'weight_map' is missing or empty",
                        index->path);
    dmi_sort(index->items, index->count, sizeof *index->items, by_name);
    for (size_t i = 1; i < index->count; i++)
        if (by_name(&index->items[i - 1], &index->items[i]) == 0)
            return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: it has tensor '%.128s' twice",
                            index->path, index->items[i].name);
    return DM_OK;
}

static dm_status read_index(dmi_host *host, shard_index *index) {
    int descriptor;
    size_t size;
    dm_status status = dmi_file_open(host, index->path, &descriptor, &size);
    if (status) return status;
    if (size > INDEX_SIZE_MAX)
        status = dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: it has %zu bytes; at most %d are read",
                          index->path, size, INDEX_SIZE_MAX);
    if (!status) status = dmi_alloc(host, &index->text, size, index->path);
    if (!status) status = dmi_file_read_at(host, descriptor, index->path, index->text, size, 0);
    dmi_file_close(descriptor);
    return status ? status : parse_index(host, index, size);
}

/* A shard is a file beside the index, and nothing else. */
static bool is_file_name(const char *name) {
    return *name && name[0] != '.' && !strpbrk(name, "/\\:");
}

static dm_status open_shard(dmi_host *host, dmi_diffusers_tensors *out, const shard_index *index,
                            const char *name) {
    char *path;
    if (!is_file_name(name))
        return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: '%.128s' is no name of a file beside it",
                        index->path, name);
    if (out->count == DMI_SHARDS_MAX)
        return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: it has more than %d shards", index->path,
                        DMI_SHARDS_MAX);
    dm_status status = dmi_path_beside(host, &path, index->path, name);
    if (status) return status;
    status = dmi_safetensors_open(host, &out->files[out->count], path);
    if (!status) out->count++;
    dmi_free(host, path);
    return status;
}

static dm_status check_headers(dmi_host *host, const dmi_diffusers_tensors *t) {
    size_t size = 0;
    for (int32_t i = 0; i < t->count; i++) size += dmi_safetensors_header_size(t->files[i]);
    if (size <= HEADERS_SIZE_MAX) return DM_OK;
    return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                    "%s: with its header those of %d shards have %zu bytes; at most %d are read",
                    dmi_safetensors_from(t->files[t->count - 1]), (int)t->count, size,
                    HEADERS_SIZE_MAX);
}

/* Opens each shard once, and gives the items their shard's number. */
static dm_status open_shards(dmi_host *host, dmi_diffusers_tensors *out, shard_index *index) {
    const char *names[DMI_SHARDS_MAX];
    int32_t count = 0;
    for (size_t i = 0; i < index->count; i++) {
        int32_t shard = 0;
        while (shard < count && strcmp(names[shard], index->items[i].file) != 0) shard++;
        if (shard == count) {
            dm_status status = open_shard(host, out, index, index->items[i].file);
            if (!status) status = check_headers(host, out);
            if (status) return status;
            names[count++] = index->items[i].file;
        }
        index->items[i].shard = shard;
    }
    return DM_OK;
}

/* Each tensor that the index names is in its shard, and the shards have no others: so none is in
 * two shards. */
static dm_status check_shards(dmi_host *host, const dmi_diffusers_tensors *t,
                              const shard_index *index) {
    size_t count = 0;
    for (size_t i = 0; i < index->count; i++) {
        const mapping *m = &index->items[i];
        if (!dmi_safetensors_find(t->files[m->shard], m->name))
            return dmi_fail(host, DM_ERROR_NOT_FOUND, "%s: it has no tensor '%.128s', which %s has",
                            dmi_safetensors_from(t->files[m->shard]), m->name, index->path);
    }
    for (int32_t i = 0; i < t->count; i++) count += dmi_safetensors_count(t->files[i]);
    if (count == index->count) return DM_OK;
    return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                    "%s: it has %zu tensors, and its shards have %zu: each must be in exactly one",
                    index->path, index->count, count);
}

static dm_status open_index(dmi_host *host, dmi_diffusers_tensors *out, const char *path) {
    shard_index index = {.path = path};
    dm_status status = read_index(host, &index);
    if (!status) status = open_shards(host, out, &index);
    if (!status) status = check_shards(host, out, &index);
    dmi_free(host, index.items);
    dmi_free(host, index.text);
    return status;
}

/* ---- files ---- */

dm_status dmi_diffusers_open(dmi_host *host, dmi_diffusers_tensors *out, const char *path) {
    dm_status status;
    *out = (dmi_diffusers_tensors){.count = 0};
    if (dmi_path_ends_with(path, ".json")) {
        status = open_index(host, out, path);
    } else {
        status = dmi_safetensors_open(host, &out->files[0], path);
        out->count = status ? 0 : 1;
    }
    if (status) dmi_diffusers_close(host, out);
    return status;
}

void dmi_diffusers_close(dmi_host *host, dmi_diffusers_tensors *t) {
    for (int32_t i = 0; i < t->count; i++) dmi_safetensors_close(host, t->files[i]);
    t->count = 0;
}

/* Older versions kept the attention's matrices as 1x1 convolutions. */
static bool has_shape(const dmi_safetensors_entry *e, const dmi_param *p) {
    bool is_matrix = p->rank == 2 && e->rank == 4 && e->shape[2] == 1 && e->shape[3] == 1;
    if (e->rank != p->rank && !is_matrix) return false;
    for (int32_t k = 0; k < p->rank; k++)
        if (e->shape[k] != p->shape[k]) return false;
    return true;
}

static dm_status check_param(dmi_host *host, const dmi_diffusers_tensors *t, const dmi_param *p) {
    char given[DMI_SHAPE_TEXT], own[DMI_SHAPE_TEXT];
    place found = find_param(t, p->name);
    const char *from = dmi_safetensors_from(found.file);
    const dmi_safetensors_entry *e = found.entry;
    if (!e)
        return dmi_fail(host, DM_ERROR_NOT_FOUND,
                        "%s: there is no tensor '%s', which the network of config.json has", from,
                        p->name);
    if (!dmi_safetensors_is_float(e))
        return dmi_fail(host, DM_ERROR_UNSUPPORTED,
                        "%s: tensor '%s' is of type %s; it must be F32, F16 or BF16", from, e->name,
                        e->dtype);
    if (has_shape(e, p)) return DM_OK;
    return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                    "%s: tensor '%s' is %s; that of config.json is %s", from, e->name,
                    dmi_shape_text(given, e->rank, e->shape),
                    dmi_shape_text(own, p->rank, p->shape));
}

/* A tensor must be a parameter, and be there once. */
static dm_status check_tensor(dmi_host *host, const dmi_diffusers_tensors *t,
                              const dmi_params *params, const dmi_safetensors *file,
                              const dmi_safetensors_entry *entry) {
    int32_t index = param_of(params, entry->name);
    if (index < 0)
        return dmi_fail(host, DM_ERROR_SHAPE_MISMATCH,
                        "%s: tensor '%.128s' is not part of the network that config.json describes",
                        dmi_safetensors_from(file), entry->name);
    place found = find_param(t, params->items[index].name);
    if (!found.entry || found.entry == entry) return DM_OK;
    return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                    "%s: tensor '%.128s' is there a second time, as '%.128s'",
                    dmi_safetensors_from(file), entry->name, found.entry->name);
}

dm_status dmi_diffusers_check(dmi_host *host, const dmi_diffusers_tensors *t, const dm_unet *unet) {
    const dmi_params *params = &unet->weights->params;
    dm_status status = DM_OK;
    for (int32_t i = 0; !status && i < params->count; i++)
        status = check_param(host, t, &params->items[i]);
    for (int32_t i = 0; !status && i < t->count; i++)
        for (size_t k = 0; !status && k < dmi_safetensors_count(t->files[i]); k++)
            status = check_tensor(host, t, params, t->files[i], dmi_safetensors_at(t->files[i], k));
    return status;
}

dm_status dmi_diffusers_read(dmi_host *host, const dmi_diffusers_tensors *t, dm_unet *unet) {
    const dmi_params *params = &unet->weights->params;
    size_t largest = 1;
    float *values; /* of one tensor, as files have it */
    for (int32_t i = 0; i < params->count; i++)
        if (params->items[i].count > largest) largest = params->items[i].count;
    dm_status status = dmi_alloc_array(host, &values, largest, sizeof(float), "reading a network");
    for (int32_t i = 0; !status && i < params->count; i++) {
        const dmi_param *p = &params->items[i];
        place found = find_param(t, p->name);
        const char *from = dmi_safetensors_from(found.file);
        status = dmi_safetensors_read_floats(host, found.file, found.entry, values);
        if (!status) status = dmi_unet_check_tensor(unet, from, p->name, values, p->count);
        if (!status) dmi_params_import(p, params->data, values);
    }
    dmi_free(host, values);
    return status;
}
