/* safetensors, writing. The same names and values give the same bytes, in a file and in memory. The
 * header is made by jansson, whose own small allocations the host does not count. */
#include "io/safetensors.h"

#include <jansson.h>
#include <string.h>

#include "base/math.h"
#include "io/file.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors are written in the byte order of memory");

enum { LENGTH_BYTES = 8, DATA_ALIGNMENT = 64 };

typedef struct tensor {
    dmi_safetensors_fill fill;
    const void *layout;
    const float *values;
    size_t count; /* floats */
} tensor;

struct dmi_safetensors_writer {
    json_t *metadata, *descriptions; /* objects, which keep the order of adding */
    tensor *tensors;
    size_t count, capacity;
    size_t data_size; /* bytes of all tensors so far */
    size_t count_max; /* floats of the largest tensor */
};

static int32_t fail_json(dmi_host *host, const char *what, const char *name) {
    return dmi_fail(host, DMI_ERROR_OUT_OF_MEMORY,
                    "safetensors: no memory for the header's %s '%s'", what, name);
}

int32_t dmi_safetensors_begin(dmi_host *host, dmi_safetensors_writer **out) {
    *out = NULL;
    dmi_safetensors_writer *writer;
    int32_t status = dmi_alloc_zero(host, &writer, 1, sizeof *writer, "safetensors");
    if (status) return status;
    writer->metadata = json_object();
    writer->descriptions = json_object();
    if (!writer->metadata || !writer->descriptions) {
        dmi_safetensors_free(host, writer);
        return dmi_fail(host, DMI_ERROR_OUT_OF_MEMORY, "safetensors: no memory for the header");
    }
    *out = writer;
    return DMI_OK;
}

/* Text must be UTF-8 to be a JSON string. */
static int32_t check_text(dmi_host *host, const char *text) {
    json_t *string = json_string(text);
    if (!string)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT, "safetensors: '%s' is not UTF-8", text);
    json_decref(string);
    return DMI_OK;
}

int32_t dmi_safetensors_add_metadata(dmi_host *host, dmi_safetensors_writer *writer,
                                     const char *key, const char *value) {
    if (json_object_get(writer->metadata, key))
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "safetensors: metadata '%s' is there already", key);
    int32_t status = check_text(host, key);
    if (!status) status = check_text(host, value);
    if (status) return status;
    if (json_object_set_new(writer->metadata, key, json_string(value)) != 0)
        return fail_json(host, "metadata", key);
    return DMI_OK;
}

static int32_t reserve_tensor(dmi_host *host, dmi_safetensors_writer *writer) {
    if (writer->count < writer->capacity) return DMI_OK;
    const size_t capacity = writer->capacity > 0 ? 2 * writer->capacity : 64;
    tensor *larger;
    int32_t status = dmi_alloc_array(host, &larger, capacity, sizeof(tensor), "safetensors");
    if (status) return status;
    if (writer->count > 0) memcpy(larger, writer->tensors, writer->count * sizeof(tensor));
    dmi_free(host, writer->tensors);
    writer->tensors = larger;
    writer->capacity = capacity;
    return DMI_OK;
}

int32_t dmi_safetensors_add(dmi_host *host, dmi_safetensors_writer *writer, const char *name,
                            int32_t rank, const int64_t *shape, dmi_safetensors_fill fill,
                            const void *layout, const float *values) {
    if (rank < 0 || rank > DMI_SAFETENSORS_RANK_MAX) {
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "safetensors: tensor '%s': rank is %d; it must be 0 to %d", name, (int)rank,
                        DMI_SAFETENSORS_RANK_MAX);
    }
    if (strcmp(name, "__metadata__") == 0 || json_object_get(writer->descriptions, name))
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "safetensors: tensor '%s': the name is taken", name);
    size_t size = sizeof(float), end = 0;
    bool fits = true;
    for (int32_t i = 0; i < rank; i++) {
        if (shape[i] < 0)
            return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                            "safetensors: tensor '%s': shape[%d] is %lld", name, (int)i,
                            (long long)shape[i]);
        fits = fits && (uint64_t)shape[i] <= SIZE_MAX && dmi_mul(size, (size_t)shape[i], &size);
    }
    if (!fits || !dmi_add(writer->data_size, size, &end) || end > INT64_MAX)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "safetensors: tensor '%s' is larger than a file can be", name);
    int32_t status = check_text(host, name);
    if (!status) status = reserve_tensor(host, writer);
    if (status) return status;

    json_t *sides = json_array();
    for (int32_t i = 0; i < rank; i++) json_array_append_new(sides, json_integer(shape[i]));
    if (json_array_size(sides) != (size_t)rank) {
        json_decref(sides);
        return fail_json(host, "tensor", name);
    }
    json_t *description = json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", sides,
                                    "data_offsets", (json_int_t)writer->data_size, (json_int_t)end);
    if (json_object_set_new(writer->descriptions, name, description) != 0)
        return fail_json(host, "tensor", name);

    const size_t count = size / sizeof(float);
    writer->tensors[writer->count++] = (tensor){fill, layout, values, count};
    writer->data_size = end;
    if (count > writer->count_max) writer->count_max = count;
    return DMI_OK;
}

/* The header's length and text, padded with spaces so that the data begins at a multiple of
 * DATA_ALIGNMENT. */
static int32_t make_header(dmi_host *host, const dmi_safetensors_writer *writer, char **out,
                           size_t *size) {
    json_t *header = json_object();
    bool made = header;
    if (json_object_size(writer->metadata) > 0)
        made = json_object_set(header, "__metadata__", writer->metadata) == 0;
    made = made && json_object_update(header, writer->descriptions) == 0;
    const size_t length = made ? json_dumpb(header, NULL, 0, JSON_COMPACT) : 0;
    if (length == 0) {
        json_decref(header);
        return dmi_fail(host, DMI_ERROR_OUT_OF_MEMORY, "safetensors: no memory for the header");
    }
    *size = dmi_round_up_size(LENGTH_BYTES + length, DATA_ALIGNMENT);
    char *text;
    int32_t status = dmi_alloc(host, &text, *size, "safetensors: the header");
    if (!status) {
        memset(text, ' ', *size);
        for (int i = 0; i < LENGTH_BYTES; i++)
            text[i] = (char)((uint64_t)(*size - LENGTH_BYTES) >> 8 * i & 0xff);
        json_dumpb(header, text + LENGTH_BYTES, length, JSON_COMPACT);
        *out = text;
    }
    json_decref(header);
    return status;
}

/* Where the bytes go: a file, or memory that has room for all of them. */
typedef struct sink {
    dmi_file_writer *file; /* NULL: memory */
    uint8_t *memory;       /* of the next byte */
} sink;

static int32_t append(dmi_host *host, sink *to, const void *bytes, size_t size) {
    if (to->file) return dmi_file_write(host, to->file, bytes, size);
    memcpy(to->memory, bytes, size);
    to->memory += size;
    return DMI_OK;
}

/* The header and all tensors. `buffer` has room for the largest tensor. */
static int32_t write_all(dmi_host *host, const dmi_safetensors_writer *writer, sink *to,
                         const char *header, size_t header_size, float *buffer) {
    int32_t status = append(host, to, header, header_size);
    for (size_t i = 0; i < writer->count && !status; i++) {
        const tensor *t = &writer->tensors[i];
        if (t->count == 0) continue;
        t->fill(t->layout, t->values, buffer, t->count);
        status = append(host, to, buffer, t->count * sizeof(float));
    }
    return status;
}

static int32_t make_buffer(dmi_host *host, const dmi_safetensors_writer *writer, float **out) {
    return dmi_alloc_array(host, out, writer->count_max, sizeof(float),
                           "safetensors: the largest tensor");
}

int32_t dmi_safetensors_write(dmi_host *host, const dmi_safetensors_writer *writer,
                              const char *path) {
    char *header = NULL;
    float *buffer = NULL;
    size_t header_size = 0;
    sink to = {0};
    int32_t status = make_header(host, writer, &header, &header_size);
    if (!status) status = make_buffer(host, writer, &buffer);
    if (!status) status = dmi_file_begin(host, &to.file, path);
    if (!status) status = write_all(host, writer, &to, header, header_size, buffer);
    if (!status) status = dmi_file_commit(host, to.file);
    else dmi_file_abandon(host, to.file);
    dmi_free(host, buffer);
    dmi_free(host, header);
    return status;
}

int32_t dmi_safetensors_write_memory(dmi_host *host, const dmi_safetensors_writer *writer,
                                     void *out, size_t capacity, size_t *size) {
    char *header = NULL;
    float *buffer = NULL;
    size_t header_size = 0;
    *size = 0;
    int32_t status = make_header(host, writer, &header, &header_size);
    if (!status && !dmi_add(header_size, writer->data_size, size))
        status = dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                          "safetensors: the file is larger than memory can be");
    if (!status && out && capacity < *size)
        status = dmi_fail(host, DMI_ERROR_SHAPE_MISMATCH,
                          "safetensors: the buffer has %zu bytes, %zu are needed", capacity, *size);
    if (!status && out) {
        sink to = {.memory = out};
        status = make_buffer(host, writer, &buffer);
        if (!status) status = write_all(host, writer, &to, header, header_size, buffer);
    }
    dmi_free(host, buffer);
    dmi_free(host, header);
    return status;
}

void dmi_safetensors_free(dmi_host *host, dmi_safetensors_writer *writer) {
    if (!writer) return;
    json_decref(writer->metadata);
    json_decref(writer->descriptions);
    dmi_free(host, writer->tensors);
    dmi_free(host, writer);
}
