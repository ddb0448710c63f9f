/* safetensors, writing. The same names and values give the same bytes. The header is made by
 * jansson, whose own small allocations are outside the host's count. */
#include "io/safetensors.h"

#include <jansson.h>
#include <string.h>

#include "io/file.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "tensors are written as they lie in memory");

enum { LENGTH_BYTES = 8, DATA_ALIGNMENT = 64, MAX_RANK = 8 };

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
    size_t largest;   /* floats of the largest tensor */
};

static int32_t fail_json(dmi_host *host, const char *what, const char *name) {
    return dmi_fail(host, DMI_ERROR_OUT_OF_MEMORY,
                    "safetensors: no memory for the header's %s '%s'", what, name);
}

int32_t dmi_safetensors_begin(dmi_host *host, dmi_safetensors_writer **out) {
    *out = NULL;
    void *block;
    int32_t status = dmi_alloc_zero(host, &block, 1, sizeof(dmi_safetensors_writer), "safetensors");
    if (status != DMI_OK) return status;
    dmi_safetensors_writer *writer = block;
    writer->metadata = json_object();
    writer->descriptions = json_object();
    if (writer->metadata == NULL || writer->descriptions == NULL) {
        dmi_safetensors_free(host, writer);
        return dmi_fail(host, DMI_ERROR_OUT_OF_MEMORY, "safetensors: no memory for the header");
    }
    *out = writer;
    return DMI_OK;
}

/* Whether text may stand in JSON: jansson makes strings of UTF-8 only. */
static int32_t check_text(dmi_host *host, const char *text) {
    json_t *string = json_string(text);
    if (string == NULL)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT, "safetensors: '%s' is not UTF-8", text);
    json_decref(string);
    return DMI_OK;
}

int32_t dmi_safetensors_add_metadata(dmi_host *host, dmi_safetensors_writer *writer,
                                     const char *key, const char *value) {
    if (json_object_get(writer->metadata, key) != NULL) {
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "safetensors: metadata '%s' is there already", key);
    }
    int32_t status = check_text(host, key);
    if (status == DMI_OK) status = check_text(host, value);
    if (status != DMI_OK) return status;
    if (json_object_set_new(writer->metadata, key, json_string(value)) != 0)
        return fail_json(host, "metadata", key);
    return DMI_OK;
}

static int32_t reserve_tensor(dmi_host *host, dmi_safetensors_writer *writer) {
    if (writer->count < writer->capacity) return DMI_OK;
    const size_t capacity = writer->capacity > 0 ? 2 * writer->capacity : 64;
    void *larger;
    int32_t status = dmi_alloc_array(host, &larger, capacity, sizeof(tensor), "safetensors");
    if (status != DMI_OK) return status;
    if (writer->count > 0) memcpy(larger, writer->tensors, writer->count * sizeof(tensor));
    dmi_free(host, writer->tensors);
    writer->tensors = larger;
    writer->capacity = capacity;
    return DMI_OK;
}

int32_t dmi_safetensors_add(dmi_host *host, dmi_safetensors_writer *writer, const char *name,
                            int32_t rank, const int64_t *shape, dmi_safetensors_fill fill,
                            const void *layout, const float *values) {
    if (rank < 0 || rank > MAX_RANK) {
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "safetensors: tensor '%s': rank is %d; it must be 0 to %d", name, (int)rank,
                        MAX_RANK);
    }
    if (strcmp(name, "__metadata__") == 0 || json_object_get(writer->descriptions, name) != NULL) {
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "safetensors: tensor '%s': the name is taken", name);
    }
    size_t size = sizeof(float), end = 0;
    bool fits = true;
    for (int32_t i = 0; i < rank; i++) {
        if (shape[i] < 0) {
            return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                            "safetensors: tensor '%s': shape[%d] is %lld", name, (int)i,
                            (long long)shape[i]);
        }
        fits = fits && (uint64_t)shape[i] <= SIZE_MAX && dmi_mul(size, (size_t)shape[i], &size);
    }
    if (!fits || !dmi_add(writer->data_size, size, &end) || end > INT64_MAX) {
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "safetensors: tensor '%s' is larger than a file can be", name);
    }
    int32_t status = check_text(host, name);
    if (status == DMI_OK) status = reserve_tensor(host, writer);
    if (status != DMI_OK) return status;

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
    if (count > writer->largest) writer->largest = count;
    return DMI_OK;
}

/* The header's length and text, padded with spaces so that the data begins at a multiple of
 * DATA_ALIGNMENT. */
static int32_t make_header(dmi_host *host, const dmi_safetensors_writer *writer, char **out,
                           size_t *size) {
    json_t *header = json_object();
    bool made = header != NULL;
    if (json_object_size(writer->metadata) > 0)
        made = json_object_set(header, "__metadata__", writer->metadata) == 0;
    made = made && json_object_update(header, writer->descriptions) == 0;
    const size_t length = made ? json_dumpb(header, NULL, 0, JSON_COMPACT) : 0;
    if (length == 0) {
        json_decref(header);
        return dmi_fail(host, DMI_ERROR_OUT_OF_MEMORY, "safetensors: no memory for the header");
    }
    *size = (LENGTH_BYTES + length + DATA_ALIGNMENT - 1) / DATA_ALIGNMENT * DATA_ALIGNMENT;
    void *block;
    int32_t status = dmi_alloc(host, &block, *size, "safetensors: the header");
    if (status == DMI_OK) {
        char *text = memset(block, ' ', *size);
        for (int i = 0; i < LENGTH_BYTES; i++)
            text[i] = (char)((uint64_t)(*size - LENGTH_BYTES) >> 8 * i & 0xff);
        json_dumpb(header, text + LENGTH_BYTES, length, JSON_COMPACT);
        *out = text;
    }
    json_decref(header);
    return status;
}

static int32_t write_parts(dmi_host *host, const dmi_safetensors_writer *writer,
                           dmi_file_writer *file, const char *header, size_t header_size,
                           float *buffer) {
    int32_t status = dmi_file_write(host, file, header, header_size);
    for (size_t i = 0; i < writer->count && status == DMI_OK; i++) {
        const tensor *t = &writer->tensors[i];
        if (t->count == 0) continue;
        t->fill(t->layout, t->values, buffer, t->count);
        status = dmi_file_write(host, file, buffer, t->count * sizeof(float));
    }
    return status;
}

int32_t dmi_safetensors_write(dmi_host *host, dmi_safetensors_writer *writer, const char *path) {
    char *header = NULL;
    void *buffer = NULL;
    size_t header_size = 0;
    dmi_file_writer *file = NULL;
    int32_t status = make_header(host, writer, &header, &header_size);
    if (status == DMI_OK) {
        status = dmi_alloc_array(host, &buffer, writer->largest, sizeof(float),
                                 "safetensors: the largest tensor");
    }
    if (status == DMI_OK) status = dmi_file_begin(host, &file, path);
    if (status == DMI_OK) status = write_parts(host, writer, file, header, header_size, buffer);
    if (status == DMI_OK) {
        status = dmi_file_commit(host, file);
    } else {
        dmi_file_abandon(host, file);
    }
    dmi_free(host, buffer);
    dmi_free(host, header);
    return status;
}

void dmi_safetensors_free(dmi_host *host, dmi_safetensors_writer *writer) {
    if (writer == NULL) return;
    json_decref(writer->metadata);
    json_decref(writer->descriptions);
    dmi_free(host, writer->tensors);
    dmi_free(host, writer);
}
