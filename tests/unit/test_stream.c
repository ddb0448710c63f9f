/* SPDX-License-Identifier: MIT */
/* Streams where reading fails: within plain files, within gzip and between its members. */
#include "io/stream.h"

#include <errno.h>
#include <zlib.h>

#include "support/support.h"
#include "support/system_calls.h"

enum { SIZE = 200000 };

static char path[256];
static uint8_t bytes[SIZE], got_bytes[SIZE + 1];

/* mode "wb0" stores without compression, "wbT" writes no gzip. */
static void store(const char *mode, size_t size) {
    snprintf(path, sizeof path, "%s/stream", test_folder());
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)(i * 2654435761u >> 13);
    gzFile file = gzopen(path, mode);
    ck_assert_ptr_nonnull(file);
    ck_assert_int_eq(gzwrite(file, bytes, (unsigned)size), (int)size);
    ck_assert_int_eq(gzclose(file), Z_OK);
}

/* Reads all; the status of the first call that fails. */
static int32_t read_all(dmi_host *host, size_t *got) {
    dmi_stream *stream;
    *got = 0;
    int32_t status = dmi_stream_open(host, &stream, path);
    if (status) {
        ck_assert_ptr_null(stream);
        return status;
    }
    status = dmi_stream_read(host, stream, got_bytes, sizeof got_bytes, got);
    dmi_stream_close(host, stream);
    return status;
}

static void check_all(const char *mode, size_t size) {
    dmi_host host = {0};
    size_t got;
    store(mode, size);
    ck_assert_int_eq(read_all(&host, &got), DMI_OK);
    ck_assert_uint_eq(got, size);
    ck_assert_int_eq(memcmp(got_bytes, bytes, size), 0);
    /* Interrupted at each read. */
    for (int32_t number = 0; number < 3; number++) {
        test_calls_fail(TEST_READ, number, 1, EINTR);
        ck_assert_int_eq(read_all(&host, &got), DMI_OK);
        test_calls_end();
        ck_assert_uint_eq(got, size);
        ck_assert_int_eq(memcmp(got_bytes, bytes, size), 0);
    }
    int32_t failures = 0;
    for (int32_t number = 0;; number++) {
        test_calls_fail(TEST_READ, number, 1, EIO);
        const int32_t status = read_all(&host, &got);
        if (!test_calls_end()) {
            ck_assert_int_eq(status, DMI_OK);
            break;
        }
        ck_assert_int_eq(status, DMI_ERROR_IO);
        ck_assert_int_eq(strncmp(host.error, path, strlen(path)), 0);
        ck_assert_ptr_nonnull(strstr(host.error, ": cannot read after byte "));
        test_has_reason(host.error, ": ", EIO);
        ck_assert_uint_eq(host.used, 0);
        failures++;
    }
    ck_assert_int_ge(failures, 2);
}

START_TEST(plain) {
    check_all("wbT", SIZE);
    check_all("wbT", 10);
}
END_TEST

START_TEST(gzipped) {
    check_all("wb0", SIZE);
    check_all("wb6", 10);
}
END_TEST

/* A file that begins with the first byte of gzip only is plain. */
START_TEST(almost_gzip) {
    dmi_host host = {0};
    size_t got;
    store("wbT", 10);
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    fputs("\x1f\x8c plain", file);
    fclose(file);
    ck_assert_int_eq(read_all(&host, &got), DMI_OK);
    ck_assert_uint_eq(got, 8);
    ck_assert_int_eq(memcmp(got_bytes, "\x1f\x8c plain", 8), 0);
}
END_TEST

Suite *test_stream_suite(void);
Suite *test_stream_suite(void) {
    Suite *suite = suite_create("stream");
    TCase *tests = tcase_create("stream");
    tcase_add_test(tests, plain);
    tcase_add_test(tests, gzipped);
    tcase_add_test(tests, almost_gzip);
    suite_add_tcase(suite, tests);
    return suite;
}
