/* SPDX-License-Identifier: MIT */
/* Writing and reading safetensors: a round trip, exact bytes in files and in memory, what cannot be
 * added, and memory that runs out. */
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

/* CRC-32 bit by bit, continued from `sum`, which is 0 at first. */
static uint32_t slow_crc(uint32_t sum, const void *bytes, size_t size) {
    const uint8_t *b = bytes;
    sum = ~sum;
    for (size_t i = 0; i < 8 * size; i++) {
        const uint32_t bit = (sum ^ (b[i / 8] >> i % 8)) & 1;
        sum = sum >> 1 ^ (bit ? 0xedb88320u : 0);
    }
    return ~sum;
}

static uint32_t pair_crc(const char *key, const char *value) {
    return slow_crc(slow_crc(0, key, strlen(key) + 1), value, strlen(value) + 1);
}

/* Checksums of the four tensors and of the metadata of sample_writer. */
static void sample_checksums(uint32_t sums[5]) {
    static const char *const keys[] = {"crc32.b", "crc32.scalar", "crc32.empty",
                                       "crc32.a \"quoted\" n\xc3\xa4me"};
    static const size_t counts[] = {6, 1, 0, 24};
    sums[4] = pair_crc("steps", "12") + pair_crc("format", "line one\nline \\ two");
    for (int i = 0; i < 4; i++) {
        float held[24];
        char digits[9];
        for (size_t k = 0; k < counts[i]; k++)
            held[k] = values[k] + (float)(i == 0 ? 0 : i == 1 ? 9 : 1);
        sums[i] = slow_crc(0, held, counts[i] * sizeof *held);
        snprintf(digits, sizeof digits, "%08x", (unsigned)sums[i]);
        sums[4] += pair_crc(keys[i], digits);
    }
}

START_TEST(exact_bytes) {
    dmi_host host = {0};
    const char *path = path_of("sample.safetensors");
    write_sample(&host, path);
    uint8_t *bytes;
    size_t size;
    ck_assert_int_eq(dmi_file_read(&host, path, &bytes, &size), DMI_OK);
    static const char format[] =
        "{\"__metadata__\":{\"steps\":\"12\",\"format\":\"line one\\nline \\\\ two\","
        "\"crc32.b\":\"%08x\",\"crc32.scalar\":\"%08x\",\"crc32.empty\":\"%08x\","
        "\"crc32.a \\\"quoted\\\" n\xc3\xa4me\":\"%08x\",\"crc32\":\"%08x\"},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
        "\"scalar\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[24,28]},"
        "\"empty\":{\"dtype\":\"F32\",\"shape\":[0,5],\"data_offsets\":[28,28]},"
        "\"a \\\"quoted\\\" "
        "n\xc3\xa4me\":{\"dtype\":\"F32\",\"shape\":[2,3,4],\"data_offsets\":[28,124]}}";
    uint32_t sums[5];
    char header[sizeof format + 5 * 4]; /* eight digits for "%08x" */
    sample_checksums(sums);
    ck_assert_uint_eq((unsigned)snprintf(header, sizeof header, format, sums[0], sums[1], sums[2],
                                         sums[3], sums[4]),
                      sizeof header - 1);
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

START_TEST(empty_file) {
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

START_TEST(invalid_tensors_are_refused) {
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

/* A header that no reader would accept is not written. */
START_TEST(headers_that_are_too_long) {
    enum { LONG = 32000000 };
    dmi_host host = {0};
    const char *path = path_of("sample.safetensors");
    char *value = malloc(LONG);
    uint8_t *bytes;
    size_t size;
    dmi_safetensors_writer *w;
    write_sample(&host, path);
    ck_assert_ptr_nonnull(value);
    memset(value, 'v', LONG);
    value[LONG - 200] = 0;
    ck_assert_int_eq(dmi_safetensors_begin(&host, &w), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add_metadata(&host, w, "k", value), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_write_memory(&host, w, NULL, 0, &size), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_add_metadata(&host, w, "l", value + LONG / 2), DMI_OK);
    ck_assert_int_eq(dmi_safetensors_write(&host, w, path), DMI_ERROR_LIMIT_EXCEEDED);
    ck_assert_ptr_nonnull(strstr(host.error, "it may take 32000000"));
    ck_assert_int_eq(dmi_safetensors_write_memory(&host, w, NULL, 0, &size),
                     DMI_ERROR_LIMIT_EXCEEDED);
    dmi_safetensors_free(&host, w);
    ck_assert_int_eq(dmi_file_read(&host, path, &bytes, &size), DMI_OK); /* the old file */
    ck_assert_uint_lt(size, 1000);
    dmi_free(&host, bytes);
    free(value);
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

/* Each allocation fails in turn, until both calls succeed. */
typedef struct failing {
    int left;
} failing;

static void *fail_some(void *user, size_t size) {
    failing *r = user;
    return r->left-- > 0 ? malloc(size) : NULL;
}

static void release_plain(void *user, void *pointer, size_t size) {
    (void)user, (void)size;
    free(pointer);
}

START_TEST(every_allocation_may_fail) {
    dmi_host plain = {0};
    const char *path = path_of("sample.safetensors");
    write_sample(&plain, path);
    failing r;
    dmi_host host = {.allocate = fail_some, .release = release_plain, .allocator_user = &r};
    int32_t status = DMI_ERROR_OUT_OF_MEMORY;
    int failed = 0;
    for (; status != DMI_OK; failed++) {
        r.left = failed;
        dmi_safetensors *file;
        status = dmi_safetensors_open(&host, &file, path);
        ck_assert(status == DMI_OK || (status == DMI_ERROR_OUT_OF_MEMORY && file == NULL));
        dmi_safetensors_close(&host, file);
        ck_assert_uint_eq(host.used, 0);
    }
    ck_assert_int_gt(failed, 4);

    status = DMI_ERROR_OUT_OF_MEMORY;
    for (failed = 0; status != DMI_OK; failed++) {
        r.left = failed;
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
    ck_assert_int_gt(failed, 6);
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
    tcase_add_test(tests, empty_file);
    tcase_add_test(tests, many_tensors);
    tcase_add_test(tests, invalid_tensors_are_refused);
    tcase_add_test(tests, headers_that_are_too_long);
    tcase_add_test(tests, larger_than_memory);
    tcase_add_test(tests, every_allocation_may_fail);
    suite_add_tcase(suite, tests);
    return suite;
}
