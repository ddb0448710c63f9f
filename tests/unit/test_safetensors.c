/* A round trip, exact bytes, and a table of files that lie, each of which must be refused for its
 * own reason. */
#include "io/safetensors.h"

#include <sys/stat.h>
#include <unistd.h>

#include "io/file.h"
#include "support/support.h"

/* Writes values[0], values[1], ... plus the number that `layout` points to. */
static void fill_plus(const void *layout, const float *values, float *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = values[i] + *(const float *)layout;
}

static const float nothing = 0, one = 1;
static const float values[24] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                                 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

/* b (2x3), scalar, empty (0x5), a (2x3x4), and metadata. */
static dmi_safetensors_writer *sample_writer(dmi_host *host) {
    dmi_safetensors_writer *w;
    ck_assert_int_eq(dmi_safetensors_begin(host, &w), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add(host, w, "b", 2, (int64_t[]){2, 3}, fill_plus, &nothing,
                                         values),
                     DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add(host, w, "scalar", 0, NULL, fill_plus, &one, values + 8),
                     DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add_metadata(host, w, "steps", "12"), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add(host, w, "empty", 2, (int64_t[]){0, 5}, fill_plus, &one,
                                         values),
                     DMI_OK);
    const char *quoted = "a \"quoted\" n\xc3\xa4me";
    ck_assert_int_eq(dmi_safetensors_add(host, w, quoted, 3, (int64_t[]){2, 3, 4}, fill_plus, &one,
                                         values),
                     DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add_metadata(host, w, "format", "line one\nline \\ two"),
                     DMI_OK);
    return w;
}

static void write_sample(dmi_host *host, const char *path) {
    dmi_safetensors_writer *w = sample_writer(host);
    ck_assert_int_eq(dmi_safetensors_write(host, w, path), DMI_OK);
    dmi_safetensors_free(host, w);
}

static char *path_of(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    return path;
}

START_TEST(round_trip) {
    dmi_host host = {0};
    const char *path = path_of("sample.safetensors");
    write_sample(&host, path);
    dmi_safetensors *file;
    ck_assert_int_eq(dmi_safetensors_open(&host, &file, path), DMI_OK);
    ck_assert_str_eq(dmi_safetensors_from(file), path);
    ck_assert_uint_eq(dmi_safetensors_count(file), 4);
    static const char *const names[] = {"b", "scalar", "empty", "a \"quoted\" n\xc3\xa4me"};
    static const int32_t ranks[] = {2, 0, 2, 3};
    static const int64_t shapes[4][3] = {{2, 3}, {0}, {0, 5}, {2, 3, 4}};
    static const size_t counts[] = {6, 1, 0, 24};
    static const float firsts[] = {0, 9, 0, 1};
    for (size_t i = 0; i < 4; i++) {
        const dmi_safetensors_entry *e = dmi_safetensors_at(file, i);
        ck_assert_str_eq(e->name, names[i]);
        ck_assert_str_eq(e->dtype, "F32");
        ck_assert_int_eq(e->rank, ranks[i]);
        for (int32_t k = 0; k < e->rank; k++) ck_assert_int_eq(e->shape[k], shapes[i][k]);
        ck_assert_uint_eq(e->size, 4 * counts[i]);
        float got[24];
        ck_assert_int_eq(dmi_safetensors_read(&host, file, e, got), DMI_OK);
        for (size_t k = 0; k < counts[i]; k++) ck_assert(got[k] == firsts[i] + (float)k);
        ck_assert_ptr_eq(dmi_safetensors_find(file, names[i]), e);
    }
    ck_assert_ptr_null(dmi_safetensors_find(file, "c"));
    ck_assert_ptr_null(dmi_safetensors_find(file, "__metadata__"));
    ck_assert_str_eq(dmi_safetensors_metadata(file, "steps"), "12");
    ck_assert_str_eq(dmi_safetensors_metadata(file, "format"), "line one\nline \\ two");
    ck_assert_ptr_null(dmi_safetensors_metadata(file, "none"));
    dmi_safetensors_close(&host, file);
    dmi_safetensors_close(&host, NULL);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(exact_bytes) {
    dmi_host host = {0};
    const char *path = path_of("sample.safetensors");
    write_sample(&host, path);
    uint8_t *bytes;
    size_t size;
    ck_assert_int_eq(dmi_file_read(&host, path, &bytes, &size), DMI_OK);
    static const char header[] =
        "{\"__metadata__\":{\"steps\":\"12\",\"format\":\"line one\\nline \\\\ two\"},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[24,28]},"
        "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[28,28]},"
        "\"a \\\"quoted\\\" "
        "n\xc3\xa4me\":{\"dtype\":\"F32\",\"shape\":[2,3,4],\"data_offsets\":[28,124]}}";
    const size_t data = (8 + sizeof header - 1 + 63) / 64 * 64;
    ck_assert_uint_eq(size, data + 124);
    ck_assert_uint_eq(bytes[0] + 256u * bytes[1], data - 8);
    for (int i = 2; i < 8; i++) ck_assert_uint_eq(bytes[i], 0);
    ck_assert_int_eq(memcmp(bytes + 8, header, sizeof header - 1), 0);
    for (size_t i = 8 + sizeof header - 1; i < data; i++) ck_assert_uint_eq(bytes[i], ' ');
    dmi_free(&host, bytes);
}
END_TEST

/* In memory the bytes are those of the file, at any alignment, and nothing is written past them. */
START_TEST(memory_holds_the_bytes_of_the_file) {
    dmi_host host = {0};
    const char *path = path_of("sample.safetensors");
    dmi_safetensors_writer *w = sample_writer(&host);
    size_t size = 0, file_size;
    ck_assert_int_eq(dmi_safetensors_write_memory(&host, w, NULL, 0, &size), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_write(&host, w, path), DMI_OK);
    uint8_t *file;
    ck_assert_int_eq(dmi_file_read(&host, path, &file, &file_size), DMI_OK);
    ck_assert_uint_eq(size, file_size);

    uint8_t *memory = malloc(size + 2);
    for (size_t shift = 0; shift < 2; shift++) {
        memset(memory, 0xa5, size + 2);
        size_t written = 0;
        ck_assert_int_eq(dmi_safetensors_write_memory(&host, w, memory + shift, size + 1 - shift,
                                                      &written),
                         DMI_OK);
        ck_assert_uint_eq(written, size);
        ck_assert_int_eq(memcmp(memory + shift, file, size), 0);
        ck_assert_uint_eq(memory[shift + size], 0xa5);
    }
    dmi_safetensors *parsed;
    ck_assert_int_eq(dmi_safetensors_parse(&host, &parsed, memory + 1, size, "memory"), DMI_OK);
    ck_assert_uint_eq(dmi_safetensors_count(parsed), 4);
    dmi_safetensors_close(&host, parsed);

    memset(memory, 0xa5, size);
    size_t needed = 0;
    ck_assert_int_eq(dmi_safetensors_write_memory(&host, w, memory, size - 1, &needed),
                     DMI_ERROR_SHAPE_MISMATCH);
    ck_assert_uint_eq(needed, size);
    for (size_t i = 0; i < size; i++) ck_assert_uint_eq(memory[i], 0xa5);
    free(memory);
    dmi_free(&host, file);
    dmi_safetensors_free(&host, w);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(nothing_at_all) {
    dmi_host host = {0};
    const char *path = path_of("empty.safetensors");
    dmi_safetensors_writer *w;
    ck_assert_int_eq(dmi_safetensors_begin(&host, &w), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_write(&host, w, path), DMI_OK);
    dmi_safetensors *file;
    ck_assert_int_eq(dmi_safetensors_open(&host, &file, path), DMI_OK);
    ck_assert_uint_eq(dmi_safetensors_count(file), 0);
    ck_assert_ptr_null(dmi_safetensors_metadata(file, "steps"));
    ck_assert_ptr_null(dmi_safetensors_find(file, ""));
    dmi_safetensors_close(&host, file);

    /* The writer stays usable. */
    ck_assert_int_eq(dmi_safetensors_add(&host, w, "a", 1, (int64_t[]){2}, fill_plus, &nothing,
                                         values),
                     DMI_OK);
    ck_assert_int_eq(dmi_safetensors_write(&host, w, path), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_open(&host, &file, path), DMI_OK);
    ck_assert_uint_eq(dmi_safetensors_count(file), 1);
    dmi_safetensors_close(&host, file);
    dmi_safetensors_free(&host, w);
    dmi_safetensors_free(&host, NULL);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(many_tensors) {
    enum { COUNT = 500 };
    dmi_host host = {0};
    const char *path = path_of("many.safetensors");
    dmi_safetensors_writer *w;
    char name[32];
    ck_assert_int_eq(dmi_safetensors_begin(&host, &w), DMI_OK);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "tensor.%d", i * 7919 % COUNT);
        ck_assert_int_eq(dmi_safetensors_add(&host, w, name, 1, (int64_t[]){i % 24}, fill_plus,
                                             &nothing, values),
                         DMI_OK);
    }
    ck_assert_int_eq(dmi_safetensors_write(&host, w, path), DMI_OK);
    dmi_safetensors_free(&host, w);
    dmi_safetensors *file;
    ck_assert_int_eq(dmi_safetensors_open(&host, &file, path), DMI_OK);
    ck_assert_uint_eq(dmi_safetensors_count(file), COUNT);
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "tensor.%d", i * 7919 % COUNT);
        const dmi_safetensors_entry *e = dmi_safetensors_find(file, name);
        ck_assert_ptr_nonnull(e);
        ck_assert_int_eq(e->shape[0], i % 24);
    }
    dmi_safetensors_close(&host, file);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(what_cannot_be_added) {
    dmi_host host = {0};
    dmi_safetensors_writer *w;
    ck_assert_int_eq(dmi_safetensors_begin(&host, &w), DMI_OK);
    const int64_t shape[9] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    const int64_t negative[2] = {3, -2}, huge[3] = {INT64_MAX, INT64_MAX, 3},
                  large[1] = {INT64_MAX / 4};
    const struct {
        const char *name;
        int32_t rank;
        const int64_t *shape;
        int32_t status;
    } cases[] = {
        {"a", 1, shape, DMI_OK},
        {"a", 1, shape, DMI_ERROR_INVALID_ARGUMENT},
        {"__metadata__", 1, shape, DMI_ERROR_INVALID_ARGUMENT},
        {"b", -1, shape, DMI_ERROR_INVALID_ARGUMENT},
        {"b", 9, shape, DMI_ERROR_INVALID_ARGUMENT},
        {"b", 2, negative, DMI_ERROR_INVALID_ARGUMENT},
        {"b", 3, huge, DMI_ERROR_INVALID_ARGUMENT},
        {"\xff", 1, shape, DMI_ERROR_INVALID_ARGUMENT},
        {"large", 1, large, DMI_ERROR_INVALID_ARGUMENT}, /* beside a, 2^63 bytes */
        {"b", 8, shape, DMI_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const int32_t status = dmi_safetensors_add(&host, w, cases[i].name, cases[i].rank,
                                                   cases[i].shape, fill_plus, &one, values);
        ck_assert_msg(status == cases[i].status, "case %zu gives %d", i, status);
    }
    ck_assert_int_eq(dmi_safetensors_add_metadata(&host, w, "k", "v"), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add_metadata(&host, w, "k", "v"), DMI_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dmi_safetensors_add_metadata(&host, w, "l", "\xc3"),
                     DMI_ERROR_INVALID_ARGUMENT);
    const char *path = path_of("name");
    ck_assert_int_eq(dmi_safetensors_write(&host, w, path), DMI_OK);
    dmi_safetensors *file;
    ck_assert_int_eq(dmi_safetensors_open(&host, &file, path), DMI_OK);
    ck_assert_uint_eq(dmi_safetensors_count(file), 2);
    dmi_safetensors_close(&host, file);
    ck_assert_int_eq(dmi_safetensors_write(&host, w, "build/tmp/none/at/all"), DMI_ERROR_IO);
    dmi_safetensors_free(&host, w);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

/* ---- files that lie ---- */

typedef struct lie {
    const char *header;
    size_t data; /* bytes behind it */
    int32_t status;
    const char *says; /* part of the error text */
} lie;

#define A(shape, begin, end)                                                                       \
    "\"a\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"
#define B(shape, begin, end)                                                                       \
    "\"b\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"
enum { BAD = DMI_ERROR_BAD_FORMAT };

static const lie lies[] = {
    {"{" A("2", "0", "8") "}", 8, DMI_OK, ""},
    {"{" B("1", "8", "12") "," A("2", "0", "8") "} \n", 12, DMI_OK, ""},
    {"{\"__metadata__\":{},\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8],\"more\":1}"
     "}",
     8, DMI_OK, ""},
    {"{" A("2", "0", "8") "}", 9, BAD, "1 bytes follow the last tensor"},
    {"{}", 1, BAD, "1 bytes follow"},
    {"{" A("2", "0", "8") "}", 7, BAD, "'a': data_offsets 0 to 8 pass the data's 7 bytes"},
    {"{" A("2", "0", "8") "," B("2", "4", "12") "}", 12, BAD, "there is an overlap"},
    {"{" A("2", "0", "8") "," B("2", "0", "8") "}", 8, BAD, "there is an overlap"},
    {"{" A("2", "0", "8") "," B("2", "12", "20") "}", 20, BAD, "there is a gap"},
    {"{" A("2", "4", "12") "}", 12, BAD, "the header ends at byte 0: there is a gap"},
    {"{" A("3", "0", "8") "}", 8, BAD,
     "'a': data_offsets 0 to 8 hold 8 bytes, shape and dtype F32 make 12"},
    {"{" A("0", "0", "8") "}", 8, BAD, "make 0"},
    {"{" A("2", "8", "0") "}", 8, BAD, "data_offsets 8 to 0 "},
    {"{" A("2", "-8", "0") "}", 8, BAD, "data_offsets -8 to 0 "},
    {"{" A("2", "0", "9223372036854775807") "}", 8, BAD,
     "data_offsets 0 to 9223372036854775807 pass"},
    {"{" A("2", "0", "9223372036854775808") "}", 8, BAD, "integer"},
    {"{" A("2", "0.0", "8") "}", 8, BAD, "'a': 'data_offsets' is not a pair of whole numbers"},
    {"{" A("2", "0,8", "8") "}", 8, BAD, "'data_offsets' is not a pair"},
    {"{" A("-2", "0", "8") "}", 8, BAD, "'a': shape[0] is not a whole number"},
    {"{" A("1,2.0", "0", "8") "}", 8, BAD, "'a': shape[1] is not a whole number"},
    {"{" A("\"2\"", "0", "8") "}", 8, BAD, "shape[0]"},
    {"{" A("4294967296,4294967296,4294967296", "0", "0") "}", 0, BAD,
     "'a': its size overflows at shape[1]"},
    {"{" A("4611686018427387904", "0", "0") "}", 0, BAD,
     "its size overflows at shape[0], which is 4611686018427387904"},
    {"{" A("1,1,1,1,1,1,1,1,2", "0", "8") "}", 8, DMI_ERROR_UNSUPPORTED, "'a' has 9 dimensions"},
    {"{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, BAD,
     "'a': unknown dtype 'F33'"},
    {"{\"a\":{\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, BAD,
     "'a': 'dtype' is missing or not a string"},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, BAD, "'dtype' is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, BAD, "'shape' is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, BAD,
     "'shape' is missing or not an array"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, BAD, "'data_offsets' is not a pair"},
    {"{\"a\":[2]}", 8, BAD, "'a' is not described by an object"},
    {"{" A("1", "0", "4") "," A("1", "4", "8") "}", 8, BAD, "duplicate"},
    {"{" A("1", "0", "4") ",\"\\u0061\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
     8, BAD, "duplicate"},
    {"{\"__metadata__\":[]}", 0, BAD, "'__metadata__' is not an object"},
    {"{\"__metadata__\":{\"key\":1}}", 0, BAD, "metadata 'key' is not a string"},
    {"[]", 0, BAD, "does not begin with '{'"},
    {" {}", 0, BAD, "does not begin with '{'"},
    {"", 0, BAD, "does not begin with '{'"},
    {"{} {}", 0, BAD, "header, byte"},
    {"{\"a\":", 0, BAD, "header, byte"},
    {"{\"a\\u0000b\":1}", 0, BAD, "header, byte"},
    {"{\"\xff\":1}", 0, BAD, "header, byte"},
};

static size_t make_file(uint8_t *bytes, const lie *l) {
    const size_t length = strlen(l->header);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(length >> 8 * i);
    memcpy(bytes + 8, l->header, length);
    memset(bytes + 8 + length, 0, l->data);
    return 8 + length + l->data;
}

START_TEST(lying_headers) {
    dmi_host host = {0};
    const lie *l = &lies[_i];
    uint8_t bytes[1000];
    const size_t size = make_file(bytes, l);
    dmi_safetensors *file = (dmi_safetensors *)&host;
    const int32_t status = dmi_safetensors_parse(&host, &file, bytes, size, "some file");
    ck_assert_msg(status == l->status, "%s gives %d (%s)", l->header, status, host.error);
    if (status == DMI_OK) {
        ck_assert_str_eq(dmi_safetensors_at(file, 0)->name, "a");
        dmi_safetensors_close(&host, file);
    } else {
        ck_assert_ptr_null(file);
        ck_assert_msg(strncmp(host.error, "some file: ", 11) == 0, "%s", host.error);
        ck_assert_msg(strstr(host.error, l->says) != NULL, "%s does not say %s", host.error,
                      l->says);
    }
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(lying_lengths) {
    static const struct {
        uint64_t length;
        size_t size;
        const char *says;
    } cases[] = {
        {2, 0, "it has only 0 bytes"},
        {2, 7, "it has only 7 bytes"},
        {3, 10, "length is 3, but only 2 bytes follow"},
        {2, 9, "length is 2, but only 1 bytes follow"},
        {8000001, 10, "above 8000000"},
        {UINT64_MAX, 10, "length is 18446744073709551615, above"},
        {UINT64_MAX - 7, 10, "above"},
        {0, 8, "does not begin with"},
    };
    dmi_host host = {0};
    dmi_safetensors *file;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[10] = {0, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
        for (int k = 0; k < 8; k++) bytes[k] = (uint8_t)(cases[i].length >> 8 * k);
        ck_assert_int_eq(dmi_safetensors_parse(&host, &file, bytes, cases[i].size, "x"), BAD);
        ck_assert_msg(strstr(host.error, cases[i].says) != NULL, "%s does not say %s", host.error,
                      cases[i].says);
        ck_assert_uint_eq(host.used, 0);
    }
}
END_TEST

/* A file cut short anywhere, and one with any bit of the header's first bytes turned, is refused or
 * at least harmless. */
START_TEST(damaged_files) {
    dmi_host host = {0};
    uint8_t whole[1000], *bytes;
    const lie two = {"{\"__metadata__\":{\"k\":\"v\"}," A("2", "0", "8") "," B("1", "8", "12") "}",
                     12, DMI_OK, ""};
    const size_t size = make_file(whole, &two);
    dmi_safetensors *file;
    for (size_t cut = 0; cut < size; cut++) {
        bytes = malloc(cut + 1); /* so that a memory checker sees a step too far */
        memcpy(bytes, whole, cut);
        ck_assert_int_eq(dmi_safetensors_parse(&host, &file, bytes, cut, "cut"), BAD);
        free(bytes);
    }
    for (size_t bit = 0; bit < 8 * (size - 12); bit++) {
        whole[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (dmi_safetensors_parse(&host, &file, whole, size, "turned") == DMI_OK) {
            for (size_t i = 0; i < dmi_safetensors_count(file); i++) {
                const dmi_safetensors_entry *e = dmi_safetensors_at(file, i);
                uint8_t data[1000];
                ck_assert_uint_le(e->size, sizeof data);
                ck_assert_int_eq(dmi_safetensors_read(&host, file, e, data), DMI_OK);
                for (size_t k = 0; k < e->size; k++) ck_assert_uint_eq(data[k], 0);
            }
            dmi_safetensors_close(&host, file);
        }
        whole[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

/* The data is not held: a file far above the limit is opened, and its tensors are read one by
 * one. */
START_TEST(larger_than_memory) {
    enum { FLOATS = 250000 };
    dmi_host host = {0};
    const char *path = path_of("large.safetensors");
    float *large = malloc(FLOATS * sizeof *large), *got = malloc(FLOATS * sizeof *got);
    test_fill(large, FLOATS, 1, 1);
    dmi_safetensors_writer *w;
    ck_assert_int_eq(dmi_safetensors_begin(&host, &w), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add(&host, w, "small", 1, (int64_t[]){3}, fill_plus, &one,
                                         values),
                     DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add(&host, w, "large", 1, (int64_t[]){FLOATS}, fill_plus,
                                         &nothing, large),
                     DMI_OK);
    ck_assert_int_eq(dmi_safetensors_write(&host, w, path), DMI_OK);
    dmi_safetensors_free(&host, w);

    host.limit = 10000;
    dmi_safetensors *file;
    ck_assert_msg(dmi_safetensors_open(&host, &file, path) == DMI_OK, "%s", host.error);
    ck_assert_int_eq(dmi_safetensors_read(&host, file, dmi_safetensors_find(file, "large"), got),
                     DMI_OK);
    ck_assert_mem_eq(got, large, FLOATS * sizeof *got);
    /* It shrinks while it is open: what is left can be read. */
    ck_assert_int_eq(truncate(path, 100000), 0);
    ck_assert_int_eq(dmi_safetensors_read(&host, file, dmi_safetensors_find(file, "small"), got),
                     DMI_OK);
    ck_assert(got[0] == 1 && got[2] == 3);
    ck_assert_int_eq(dmi_safetensors_read(&host, file, dmi_safetensors_find(file, "large"), got),
                     DMI_ERROR_IO);
    ck_assert_msg(strstr(host.error, path) && strstr(host.error, "ended at byte 100000"), "%s",
                  host.error);
    dmi_safetensors_close(&host, file);
    ck_assert_uint_eq(host.used, 0);
    free(large);
    free(got);
}
END_TEST

/* Each allocation refused in turn, until both calls succeed. */
typedef struct refusing {
    int left;
} refusing;

static void *refuse_some(void *user, size_t size) {
    refusing *r = user;
    return r->left-- > 0 ? malloc(size) : NULL;
}

static void release_plain(void *user, void *pointer, size_t size) {
    (void)user, (void)size;
    free(pointer);
}

START_TEST(refused_allocations) {
    dmi_host plain = {0};
    const char *path = path_of("sample.safetensors");
    write_sample(&plain, path);
    refusing r;
    dmi_host host = {.allocate = refuse_some, .release = release_plain, .allocator_user = &r};
    int32_t status = DMI_ERROR_OUT_OF_MEMORY;
    int refused = 0;
    for (; status != DMI_OK; refused++) {
        r.left = refused;
        dmi_safetensors *file;
        status = dmi_safetensors_open(&host, &file, path);
        ck_assert(status == DMI_OK || (status == DMI_ERROR_OUT_OF_MEMORY && file == NULL));
        dmi_safetensors_close(&host, file);
        ck_assert_uint_eq(host.used, 0);
    }
    ck_assert_int_gt(refused, 4);

    status = DMI_ERROR_OUT_OF_MEMORY;
    for (refused = 0; status != DMI_OK; refused++) {
        r.left = refused;
        dmi_safetensors_writer *w;
        status = dmi_safetensors_begin(&host, &w);
        ck_assert(status == DMI_OK || w == NULL);
        if (status == DMI_OK)
            status =
                dmi_safetensors_add(&host, w, "a", 1, (int64_t[]){24}, fill_plus, &one, values);
        if (status == DMI_OK) status = dmi_safetensors_write(&host, w, path);
        uint8_t memory[512];
        size_t size;
        if (status == DMI_OK)
            status = dmi_safetensors_write_memory(&host, w, memory, sizeof memory, &size);
        ck_assert(status == DMI_OK || status == DMI_ERROR_OUT_OF_MEMORY);
        dmi_safetensors_free(&host, w);
        ck_assert_uint_eq(host.used, 0);
    }
    ck_assert_int_gt(refused, 6);
}
END_TEST

Suite *test_safetensors_suite(void);
Suite *test_safetensors_suite(void) {
    Suite *suite = suite_create("safetensors");
    TCase *tests = tcase_create("safetensors");
    tcase_set_timeout(tests, 60); /* under a memory checker */
    tcase_add_test(tests, round_trip);
    tcase_add_test(tests, exact_bytes);
    tcase_add_test(tests, memory_holds_the_bytes_of_the_file);
    tcase_add_test(tests, nothing_at_all);
    tcase_add_test(tests, many_tensors);
    tcase_add_test(tests, what_cannot_be_added);
    tcase_add_loop_test(tests, lying_headers, 0, sizeof lies / sizeof lies[0]);
    tcase_add_test(tests, lying_lengths);
    tcase_add_test(tests, damaged_files);
    tcase_add_test(tests, larger_than_memory);
    tcase_add_test(tests, refused_allocations);
    suite_add_tcase(suite, tests);
    return suite;
}
