/* SPDX-License-Identifier: MIT */
/* safetensors, writing. The same names and values give the same bytes, in a file and in memory. The
 * header is composed twice: before the tensors are written for its size, and after them with their
 * checksums. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/half.h"
#include "base/math.h"
#include "io/file.h"
#include "io/json.h"
#include "io/safetensors_file.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "big-endian machines are not supported: files hold tensors as they lie in memory");

enum { DATA_ALIGNMENT = 64 };

typedef struct tensor {
    size_t name; /* offset in `texts` */
    dmi_safetensors_type type;
    int32_t rank;
    int64_t shape[DMI_SAFETENSORS_RANK_MAX];
    size_t begin, end; /* bytes, of the data */
    dmi_safetensors_fill fill;
    const void *layout;
    const float *values;
} tensor;

/* Offsets of key and value in `texts`. */
typedef struct pair {
    size_t key, value;
    uint32_t key_sum;
} pair;

struct dmi_safetensors_writer {
    char *texts; /* all names, keys and values, each with its terminating zero */
    size_t texts_size, texts_capacity;
    pair *pairs; /* the metadata */
    size_t pair_count, pair_capacity;
    tensor *tensors;
    uint32_t *name_sums; /* of the names of tensors, which finds a name that is taken */
    size_t count, capacity, sum_capacity;
    size_t data_size; /* bytes of all tensors so far */
    size_t count_max; /* elements of a tensor */
    dmi_safetensors_type type;
};

int32_t dmi_safetensors_begin(dmi_host *host, dmi_safetensors_writer **out) {
    return dmi_alloc_zero(host, out, 1, sizeof **out, "safetensors");
}

void dmi_safetensors_set_type(dmi_safetensors_writer *writer, dmi_safetensors_type type) {
    writer->type = type;
}

static size_t element_size(dmi_safetensors_type type) {
    return type == DMI_SAFETENSORS_F32 ? sizeof(float) : sizeof(uint16_t);
}

/* ---- adding ---- */

/* Keeps a copy of `text`, which must be UTF-8 to be a JSON string; *at is its offset. */
static int32_t keep_text(dmi_host *host, dmi_safetensors_writer *writer, const char *text,
                         size_t *at) {
    const size_t length = strlen(text);
    for (size_t i = 0; i < length;) {
        const size_t size = dmi_utf8_length(text + i, length - i);
        if (size == 0)
            return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT, "safetensors: '%s' is not UTF-8",
                            text);
        i += size;
    }
    int32_t status = dmi_reserve(host, &writer->texts, &writer->texts_capacity,
                                 writer->texts_size + length + 1, 1, "safetensors: the texts");
    if (status) return status;
    memcpy(writer->texts + writer->texts_size, text, length + 1);
    *at = writer->texts_size;
    writer->texts_size += length + 1;
    return DMI_OK;
}

int32_t dmi_safetensors_add_metadata(dmi_host *host, dmi_safetensors_writer *writer,
                                     const char *key, const char *value) {
    pair added = {.key_sum = dmi_checksum_text(0, key)};
    for (size_t i = 0; i < writer->pair_count; i++)
        if (writer->pairs[i].key_sum == added.key_sum &&
            strcmp(writer->texts + writer->pairs[i].key, key) == 0)
            return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                            "safetensors: metadata '%s' is there already", key);
    if (strncmp(key, dmi_checksum_key, strlen(dmi_checksum_key)) == 0)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "safetensors: metadata '%s': such keys are those of checksums", key);
    int32_t status = dmi_reserve(host, &writer->pairs, &writer->pair_capacity,
                                 writer->pair_count + 1, sizeof(pair), "safetensors: metadata");
    if (!status) status = keep_text(host, writer, key, &added.key);
    if (!status) status = keep_text(host, writer, value, &added.value);
    if (!status) writer->pairs[writer->pair_count++] = added;
    return status;
}

static int32_t check_name(dmi_host *host, const dmi_safetensors_writer *writer, const char *name,
                          uint32_t sum) {
    bool taken = strcmp(name, "__metadata__") == 0;
    for (size_t i = 0; !taken && i < writer->count; i++)
        taken = writer->name_sums[i] == sum &&
                strcmp(writer->texts + writer->tensors[i].name, name) == 0;
    if (!taken) return DMI_OK;
    return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT, "safetensors: tensor '%s': the name is taken",
                    name);
}

/* Sets t->end from its rank, shape and beginning. */
static int32_t set_end(dmi_host *host, const char *name, tensor *t) {
    size_t size = element_size(t->type);
    bool fits = true;
    for (int32_t i = 0; i < t->rank; i++) {
        if (t->shape[i] < 0)
            return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                            "safetensors: tensor '%s': shape[%d] is %lld", name, (int)i,
                            (long long)t->shape[i]);
        fits =
            fits && (uint64_t)t->shape[i] <= SIZE_MAX && dmi_mul(size, (size_t)t->shape[i], &size);
    }
    if (fits && dmi_add(t->begin, size, &t->end)) {
        const uint64_t end = t->end;
        if (end <= INT64_MAX) return DMI_OK;
    }
    return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                    "safetensors: tensor '%s' is larger than a file can be", name);
}

int32_t dmi_safetensors_add(dmi_host *host, dmi_safetensors_writer *writer, const char *name,
                            int32_t rank, const int64_t *shape, dmi_safetensors_fill fill,
                            const void *layout, const float *values) {
    if (rank < 0 || rank > DMI_SAFETENSORS_RANK_MAX) {
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "safetensors: tensor '%s': rank is %d; it must be 0 to %d", name, (int)rank,
                        DMI_SAFETENSORS_RANK_MAX);
    }
    const uint32_t sum = dmi_checksum_text(0, name);
    tensor t = {.type = writer->type,
                .rank = rank,
                .begin = writer->data_size,
                .fill = fill,
                .layout = layout,
                .values = values};
    for (int32_t i = 0; i < rank; i++) t.shape[i] = shape[i];
    int32_t status = check_name(host, writer, name, sum);
    if (!status) status = set_end(host, name, &t);
    if (!status)
        status = dmi_reserve(host, &writer->tensors, &writer->capacity, writer->count + 1,
                             sizeof(tensor), "safetensors: tensors");
    if (!status)
        status = dmi_reserve(host, &writer->name_sums, &writer->sum_capacity, writer->count + 1,
                             sizeof *writer->name_sums, "safetensors: names");
    if (!status) status = keep_text(host, writer, name, &t.name);
    if (status) return status;
    writer->name_sums[writer->count] = sum;
    writer->tensors[writer->count++] = t;
    writer->data_size = t.end;
    writer->count_max = dmi_max_size(writer->count_max, (t.end - t.begin) / element_size(t.type));
    return DMI_OK;
}

/* ---- the header ---- */

/* Text that is composed; with `out` NULL only its size is found. */
typedef struct text {
    char *out;
    size_t size;
} text;

static void put(text *to, const char *bytes, size_t size) {
    if (to->out) memcpy(to->out + to->size, bytes, size);
    to->size += size;
}

static void put_text(text *to, const char *from) { put(to, from, strlen(from)); }

static void put_escaped(text *to, const char *from) {
    static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    for (; *from; from++) {
        const char *found = strchr(escaped, *from);
        char code[8];
        if (found) {
            put(to, (const char[]){'\\', letters[found - escaped]}, 2);
        } else if ((unsigned char)*from < 0x20) {
            snprintf(code, sizeof code, "\\u%04x", (unsigned)*from);
            put_text(to, code);
        } else {
            put(to, from, 1);
        }
    }
}

/* One pair of the metadata, whose key is that of `prefix` and `key` together. */
static void put_pair(text *to, const char *prefix, const char *key, const char *value) {
    put_text(to, "\"");
    put_escaped(to, prefix);
    put_escaped(to, key);
    put_text(to, "\":\"");
    put_escaped(to, value);
    put_text(to, "\",");
}

static void put_number(text *to, uint64_t value, const char *end) {
    char digits[32];
    snprintf(digits, sizeof digits, "%llu%s", (unsigned long long)value, end);
    put_text(to, digits);
}

/* sums: the checksums of the tensors. */
static void put_metadata(text *to, const dmi_safetensors_writer *writer, const uint32_t *sums) {
    char digits[DMI_CHECKSUM_DIGITS + 1];
    uint32_t all = 0;
    put_text(to, "\"__metadata__\":{");
    for (size_t i = 0; i < writer->pair_count; i++) {
        const char *key = writer->texts + writer->pairs[i].key;
        const char *value = writer->texts + writer->pairs[i].value;
        all += dmi_checksum_text(writer->pairs[i].key_sum, value);
        put_pair(to, "", key, value);
    }
    for (size_t i = 0; i < writer->count; i++) {
        const char *name = writer->texts + writer->tensors[i].name;
        const size_t prefix = strlen(dmi_tensor_checksum_key);
        dmi_format_checksum(digits, sums[i]);
        uint32_t sum = dmi_checksum(dmi_tensor_checksum_key, prefix);
        all += dmi_checksum_text(dmi_checksum_text(sum, name), digits);
        put_pair(to, dmi_tensor_checksum_key, name, digits);
    }
    dmi_format_checksum(digits, all);
    put_pair(to, dmi_checksum_key, "", digits);
    to->size--; /* the last comma */
    put_text(to, "}");
}

static const char *const type_names[] = {
    [DMI_SAFETENSORS_F32] = "F32", [DMI_SAFETENSORS_F16] = "F16", [DMI_SAFETENSORS_BF16] = "BF16"};

static void put_tensor(text *to, const dmi_safetensors_writer *writer, const tensor *t) {
    put_text(to, ",\"");
    put_escaped(to, writer->texts + t->name);
    put_text(to, "\":{\"dtype\":\"");
    put_text(to, type_names[t->type]);
    put_text(to, "\",\"shape\":[");
    for (int32_t i = 0; i < t->rank; i++)
        put_number(to, (uint64_t)t->shape[i], i + 1 < t->rank ? "," : "");
    put_text(to, "],\"data_offsets\":[");
    put_number(to, t->begin, ",");
    put_number(to, t->end, "]}");
}

/* The length of the header and its text, with the checksums of the tensors; returns its size, with
 * which the data begins at a multiple of DATA_ALIGNMENT. With `out` NULL only that is found. */
static size_t compose_header(const dmi_safetensors_writer *writer, const uint32_t *sums,
                             char *out) {
    text to = {.out = out, .size = DMI_SAFETENSORS_LENGTH_BYTES};
    put_text(&to, "{");
    put_metadata(&to, writer, sums);
    for (size_t i = 0; i < writer->count; i++) put_tensor(&to, writer, &writer->tensors[i]);
    put_text(&to, "}");
    const size_t size = dmi_round_up_size(to.size, DATA_ALIGNMENT);
    if (!out) return size;
    memset(out + to.size, ' ', size - to.size);
    for (int i = 0; i < DMI_SAFETENSORS_LENGTH_BYTES; i++)
        out[i] = (char)((uint64_t)(size - DMI_SAFETENSORS_LENGTH_BYTES) >> 8 * i & 0xff);
    return size;
}

/* ---- writing ---- */

/* Where the bytes go: a file, or memory that has room for all of them; and what writing needs. */
typedef struct output {
    dmi_file_writer *file; /* NULL: memory */
    uint8_t *memory;
    char *header;
    size_t header_size;
    uint32_t *sums; /* [count], the tensors' checksums */
    float *buffer;  /* room for the largest tensor */
} output;

static int32_t put_at(dmi_host *host, const output *to, const void *bytes, size_t size,
                      size_t offset) {
    if (to->file) return dmi_file_write_at(host, to->file, bytes, size, offset);
    memcpy(to->memory + offset, bytes, size);
    return DMI_OK;
}

static int32_t prepare(dmi_host *host, const dmi_safetensors_writer *writer, output *to) {
    int32_t status =
        dmi_alloc_zero(host, &to->sums, writer->count, sizeof *to->sums, "safetensors: checksums");
    if (status) return status;
    to->header_size = compose_header(writer, to->sums, NULL);
    if (to->header_size <= DMI_SAFETENSORS_HEADER_MAX) return DMI_OK;
    return dmi_fail(host, DMI_ERROR_LIMIT_EXCEEDED,
                    "safetensors: the header would take %zu bytes; it may take %d", to->header_size,
                    DMI_SAFETENSORS_HEADER_MAX);
}

/* Floats as numbers of 16 bits, in place: each lies before the floats that are still to be read. */
static int32_t shorten(dmi_host *host, const dmi_safetensors_writer *writer, const tensor *t,
                       float *values, size_t count) {
    uint8_t *out = (uint8_t *)values;
    const bool is_float16 = t->type == DMI_SAFETENSORS_F16;
    for (size_t i = 0; i < count; i++) {
        const float value = values[i];
        const uint16_t bits =
            is_float16 ? dmi_float_to_float16(value) : dmi_float_to_bfloat16(value);
        const float back = is_float16 ? dmi_float16_to_float(bits) : dmi_bfloat16_to_float(bits);
        if (isinf(back) && !isinf(value))
            return dmi_fail(host, DMI_ERROR_NOT_FINITE,
                            "safetensors: element %zu of tensor '%s' is %g, too large for %s", i,
                            writer->texts + t->name, (double)value, type_names[t->type]);
        memcpy(out + i * sizeof bits, &bits, sizeof bits);
    }
    return DMI_OK;
}

/* The tensors, then the header, whose checksums are known then. */
static int32_t write_all(dmi_host *host, const dmi_safetensors_writer *writer, output *to) {
    int32_t status = DMI_OK;
    for (size_t i = 0; i < writer->count && !status; i++) {
        const tensor *t = &writer->tensors[i];
        const size_t size = t->end - t->begin;
        const size_t count = size / element_size(t->type);
        if (size) t->fill(t->layout, t->values, to->buffer, count);
        if (t->type != DMI_SAFETENSORS_F32) status = shorten(host, writer, t, to->buffer, count);
        if (status) return status;
        to->sums[i] = dmi_checksum(to->buffer, size);
        if (size) status = put_at(host, to, to->buffer, size, to->header_size + t->begin);
    }
    if (status) return status;
    compose_header(writer, to->sums, to->header);
    return put_at(host, to, to->header, to->header_size, 0);
}

static int32_t allocate(dmi_host *host, const dmi_safetensors_writer *writer, output *to) {
    int32_t status = dmi_alloc(host, &to->header, to->header_size, "safetensors: the header");
    if (status) return status;
    return dmi_alloc_array(host, &to->buffer, writer->count_max, sizeof *to->buffer,
                           "safetensors: the largest tensor");
}

static void release(dmi_host *host, output *to) {
    dmi_free(host, to->buffer);
    dmi_free(host, to->header);
    dmi_free(host, to->sums);
}

int32_t dmi_safetensors_write_file(dmi_host *host, const dmi_safetensors_writer *writer,
                                   dmi_file_writer *file) {
    output to = {.file = file};
    int32_t status = prepare(host, writer, &to);
    if (!status) status = allocate(host, writer, &to);
    if (!status) status = write_all(host, writer, &to);
    if (!status) status = dmi_file_sync(host, file);
    release(host, &to);
    return status;
}

int32_t dmi_safetensors_write(dmi_host *host, const dmi_safetensors_writer *writer,
                              const char *path) {
    dmi_file_writer *file;
    int32_t status = dmi_file_begin(host, &file, path);
    if (!status) status = dmi_safetensors_write_file(host, writer, file);
    if (!status) status = dmi_file_commit(host, file);
    else dmi_file_abandon(host, file);
    return status;
}

int32_t dmi_safetensors_write_memory(dmi_host *host, const dmi_safetensors_writer *writer,
                                     void *out, size_t capacity, size_t *size) {
    output to = {.memory = out};
    *size = 0;
    int32_t status = prepare(host, writer, &to);
    if (!status && !dmi_add(to.header_size, writer->data_size, size))
        status = dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                          "safetensors: the file is larger than memory can be");
    if (!status && out && capacity < *size)
        status = dmi_fail(host, DMI_ERROR_SHAPE_MISMATCH,
                          "safetensors: the buffer has %zu bytes, %zu are needed", capacity, *size);
    if (!status && out) status = allocate(host, writer, &to);
    if (!status && out) status = write_all(host, writer, &to);
    release(host, &to);
    return status;
}

void dmi_safetensors_free(dmi_host *host, dmi_safetensors_writer *writer) {
    if (!writer) return;
    dmi_free(host, writer->name_sums);
    dmi_free(host, writer->tensors);
    dmi_free(host, writer->pairs);
    dmi_free(host, writer->texts);
    dmi_free(host, writer);
}
