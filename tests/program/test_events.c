/* SPDX-License-Identifier: MIT */
/* Event files of TensorBoard, read back by a small parser of TFRecords and protocol buffers. */
#include "report/events.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <time.h>

#include "support/support.h"

/* ---- an independent reader ---- */

/* CRC-32C bit by bit (RFC 3720, appendix B.4), masked as TFRecord does. */
static uint32_t masked_crc(const uint8_t *bytes, size_t size) {
    uint32_t crc = 0xffffffff;
    for (size_t i = 0; i < 8 * size; i++) {
        uint32_t bit = (crc ^ (uint32_t)bytes[i / 8] >> i % 8) & 1;
        crc = (crc >> 1) ^ (bit ? 0x82f63b78 : 0);
    }
    crc = ~crc;
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
}

static uint64_t little_endian(const uint8_t *bytes, int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

typedef struct span {
    const uint8_t *bytes;
    size_t size;
} span;

/* Takes the next record off a file. */
static span next_record(span *file) {
    ck_assert_uint_ge(file->size, 16);
    const uint8_t *b = file->bytes;
    span record = {b + 12, (size_t)little_endian(b, 8)};
    ck_assert_uint_eq(little_endian(b + 8, 4), masked_crc(b, 8));
    ck_assert_uint_ge(file->size - 16, record.size);
    ck_assert_uint_eq(little_endian(record.bytes + record.size, 4),
                      masked_crc(record.bytes, record.size));
    *file = (span){record.bytes + record.size + 4, file->size - 16 - record.size};
    return record;
}

static uint64_t next_varint(span *message) {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
        ck_assert(message->size > 0 && shift < 64);
        uint8_t byte = *message->bytes++;
        message->size--;
        value |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return value;
    }
}

/* The contents of the message's only field of that number and type: a varint's value is returned,
 * others are in *inside. */
static uint64_t field(span message, uint64_t number, uint64_t type, span *inside) {
    uint64_t found = 0, value = 0;
    while (message.size) {
        uint64_t key = next_varint(&message), got = 0;
        span contents = {message.bytes, 0};
        if ((key & 7) == 0) got = next_varint(&message);
        else if ((key & 7) == 1) contents.size = 8;
        else if ((key & 7) == 5) contents.size = 4;
        else {
            ck_assert_uint_eq(key & 7, 2);
            contents.size = (size_t)next_varint(&message);
            contents.bytes = message.bytes;
        }
        ck_assert_uint_le(contents.size, message.size);
        message.bytes += contents.size;
        message.size -= contents.size;
        if (key >> 3 != number) continue;
        ck_assert_uint_eq(key & 7, type);
        found++;
        value = got;
        if (inside) *inside = contents;
    }
    ck_assert_uint_eq(found, 1);
    return value;
}

static span inner(span message, uint64_t number) {
    span inside;
    field(message, number, 2, &inside);
    return inside;
}

static void is_text(span got, const char *want) {
    ck_assert_uint_eq(got.size, strlen(want));
    ck_assert_int_eq(memcmp(got.bytes, want, got.size), 0);
}

/* The Summary.Value of the next record, whose step and tag are checked. */
static span next_value(span *file, int64_t step, const char *tag) {
    span event = next_record(file), seconds;
    double wall_time;
    field(event, 1, 1, &seconds);
    memcpy(&wall_time, seconds.bytes, sizeof wall_time); /* on little-endian machines */
    ck_assert_double_eq_tol(wall_time, (double)time(NULL), 60);
    ck_assert_int_eq((int64_t)field(event, 2, 0, NULL), step);
    span value = inner(inner(event, 5), 1);
    is_text(inner(value, 1), tag);
    return value;
}

/* ---- files ---- */

/* The path of the folder's only file; to be freed. */
static char *only_file(const char *folder) {
    DIR *d = opendir(folder);
    char *path = NULL;
    ck_assert_ptr_nonnull(d);
    for (struct dirent *entry; (entry = readdir(d));) {
        if (entry->d_name[0] == '.') continue;
        ck_assert_ptr_null(path);
        ck_assert_int_eq(strncmp(entry->d_name, "events.out.tfevents.", 20), 0);
        path = strdup(test_path(folder, entry->d_name));
    }
    closedir(d);
    ck_assert_ptr_nonnull(path);
    return path;
}

static span read_file(const char *path) {
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = malloc(1 << 20);
    ck_assert(file && bytes);
    span all = {bytes, fread(bytes, 1, 1 << 20, file)};
    ck_assert(all.size < 1 << 20 && fclose(file) == 0);
    return all;
}

static events *open_events(const char *folder) {
    char error[300] = "";
    events *e = events_open(folder, error, sizeof error);
    ck_assert_msg(e != NULL, "%s", error);
    return e;
}

START_TEST(known_crc) { /* RFC 3720: 32 bytes of zeros have the CRC-32C 8a9136aa. */
    const uint8_t zeros[32] = {0};
    const uint32_t crc = 0x8a9136aa;
    ck_assert_uint_eq(masked_crc(zeros, 32), ((crc >> 15) | (crc << 17)) + 0xa282ead8);
}
END_TEST

START_TEST(everything) {
    const char *folder = test_folder_new();
    char error[300] = "", *text = malloc(30000);
    uint8_t png[300];
    for (int i = 0; i < 300; i++) png[i] = (uint8_t)(i * 7);
    ck_assert_ptr_nonnull(text);
    memset(text, 'x', 29999);
    text[29999] = 0;
    events *e = open_events(folder);
    ck_assert_int_eq(events_scalar(e, 0, "loss", 0.25), 0);
    ck_assert_int_eq(events_scalar(e, INT64_C(1) << 40, "loss/of a long name", -1e-3), 0);
    ck_assert_int_eq(events_image(e, 300, "samples", 129, 64, 3, png, sizeof png), 0);
    ck_assert_int_eq(events_text(e, 7, "settings", "a **b** \xc3\xa9"), 0);
    ck_assert_int_eq(events_text(e, 8, "settings", text), 0);
    ck_assert_int_eq(events_text(e, 9, "settings", ""), 0);
    ck_assert_int_eq(events_flush(e), 0);
    char *path = only_file(folder);
    span all = read_file(path), file = all, value, number;
    ck_assert_int_eq(events_close(e, error, sizeof error), 0);
    is_text(inner(next_record(&file), 3), "brain.Event:2");
    float got;
    field(next_value(&file, 0, "loss"), 2, 5, &number);
    memcpy(&got, number.bytes, sizeof got);
    ck_assert(got == 0.25f);
    field(next_value(&file, INT64_C(1) << 40, "loss/of a long name"), 2, 5, &number);
    memcpy(&got, number.bytes, sizeof got);
    ck_assert(got == -1e-3f);
    value = inner(next_value(&file, 300, "samples"), 4);
    ck_assert_uint_eq(field(value, 1, 0, NULL), 129);
    ck_assert_uint_eq(field(value, 2, 0, NULL), 64);
    ck_assert_uint_eq(field(value, 3, 0, NULL), 3);
    value = inner(value, 4);
    ck_assert(value.size == sizeof png && !memcmp(value.bytes, png, sizeof png));
    const char *texts[] = {"a **b** \xc3\xa9", text, ""};
    for (int i = 0; i < 3; i++) {
        value = next_value(&file, 7 + i, "settings");
        is_text(inner(inner(inner(value, 9), 1), 1), "text");
        value = inner(value, 8);
        ck_assert_uint_eq(field(value, 1, 0, NULL), 7);
        ck_assert_uint_eq(field(inner(inner(value, 2), 2), 1, 0, NULL), 1);
        is_text(inner(value, 8), texts[i]);
    }
    ck_assert_uint_eq(file.size, 0);
    free((void *)(uintptr_t)all.bytes);
    free(path);
    free(text);
    free((void *)(uintptr_t)folder);
}
END_TEST

/* Two files of one process in one second have names of their own. */
START_TEST(two_files) {
    const char *folder = test_folder();
    char error[300];
    events *first = open_events(folder), *second = open_events(folder);
    int files = 0;
    DIR *d = opendir(folder);
    ck_assert_ptr_nonnull(d);
    for (struct dirent *entry; (entry = readdir(d));) files += entry->d_name[0] != '.';
    closedir(d);
    ck_assert_int_eq(files, 2);
    ck_assert_int_eq(events_close(first, error, sizeof error), 0);
    ck_assert_int_eq(events_close(second, error, sizeof error), 0);
    ck_assert_int_eq(events_close(NULL, error, sizeof error), 0);
}
END_TEST

START_TEST(failures) {
    char error[300] = "";
    ck_assert_ptr_null(events_open("/none", error, sizeof error));
    test_has_reason(error, "/none/events.out.tfevents.", 0);
    test_has_reason(error, ": ", ENOENT);
    events *e = open_events(test_folder());
    const struct rlimit limit = {1000, RLIM_INFINITY};
    ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && !setrlimit(RLIMIT_FSIZE, &limit));
    for (int i = 0; i < 40; i++) events_scalar(e, i, "loss", i);
    ck_assert_int_eq(events_flush(e), 1);
    ck_assert_int_eq(events_scalar(e, 41, "loss", 0), 1);
    ck_assert_int_eq(events_text(e, 41, "text", ""), 1);
    ck_assert_int_eq(events_close(e, error, sizeof error), 1);
    test_has_reason(error, ": ", EFBIG);
    e = open_events(test_folder());
    ck_assert_int_eq(events_image(e, 0, "image", 1, 1, 1, (const uint8_t *)"", SIZE_MAX), 1);
    ck_assert_int_eq(events_close(e, error, sizeof error), 1);
    test_has_reason(error, ": ", EFBIG);
}
END_TEST

Suite *test_events_suite(void);
Suite *test_events_suite(void) {
    Suite *suite = suite_create("events");
    TCase *tests = tcase_create("events");
    tcase_add_test(tests, known_crc);
    tcase_add_test(tests, everything);
    tcase_add_test(tests, two_files);
    tcase_add_test(tests, failures);
    suite_add_tcase(suite, tests);
    return suite;
}
