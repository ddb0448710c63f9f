/* SPDX-License-Identifier: MIT */
/* NumPy's .npz files, read back by libzip and, where python3 has it, by NumPy. */
#include "measure/npz.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>
#include <zip.h>

#include "support/support.h"

typedef struct shape {
    size_t count;
    int32_t height, width, channels;
    bool has_labels;
} shape;

static const shape shapes[] = {{1, 1, 1, 3, false},
                               {3, 5, 7, 3, true},
                               {4, 2, 3, 1, true},
                               {1000, 16, 16, 1, false},
                               {300, 32, 32, 3, true}};

/* check_npz.py makes the same values. */
static uint8_t pixel_at(size_t i) { return (uint8_t)(i * 7 % 251); }
static int32_t label_at(size_t i) { return (int32_t)i * 1000003 - 5; }

static int write_shape(const char *path, shape s, char *error, size_t capacity) {
    size_t elements = s.count * (size_t)s.height * (size_t)s.width * (size_t)s.channels;
    uint8_t *pixels = malloc(elements);
    int32_t *labels = malloc(s.count * sizeof *labels);
    ck_assert(pixels && labels);
    for (size_t i = 0; i < elements; i++) pixels[i] = pixel_at(i);
    for (size_t i = 0; i < s.count; i++) labels[i] = label_at(i);
    int bad = npz_write(path, pixels, s.count, s.height, s.width, s.channels,
                        s.has_labels ? labels : NULL, error, capacity);
    free(pixels);
    free(labels);
    return bad;
}

/* The member's bytes behind its header, which must be `header`; to be freed. */
static uint8_t *read_member(zip_t *archive, const char *name, const char *header, size_t size) {
    zip_stat_t about;
    ck_assert_int_eq(zip_stat(archive, name, 0, &about), 0);
    uint8_t *bytes = malloc((size_t)about.size), *data = malloc(size);
    zip_file_t *file = zip_fopen(archive, name, 0);
    ck_assert(bytes && data && file);
    ck_assert_int_eq(zip_fread(file, bytes, about.size), (zip_int64_t)about.size);
    ck_assert_int_eq(zip_fclose(file), 0);
    ck_assert_int_eq(memcmp(bytes, "\x93NUMPY\x01\x00", 8), 0);
    size_t start = 10u + bytes[8] + 256u * bytes[9];
    ck_assert_uint_eq(start % 64, 0);
    ck_assert_uint_eq(about.size, start + size);
    ck_assert_int_eq(strncmp((char *)bytes + 10, header, strlen(header)), 0);
    for (size_t i = 10 + strlen(header); i < start - 1; i++) ck_assert_int_eq(bytes[i], ' ');
    ck_assert_int_eq(bytes[start - 1], '\n');
    memcpy(data, bytes + start, size);
    free(bytes);
    return data;
}

START_TEST(read_back) {
    const shape s = shapes[_i];
    const size_t pixels = s.count * (size_t)s.height * (size_t)s.width;
    const char *path = test_path(test_folder(), "samples.npz");
    char error[200] = "", header[200];
    ck_assert_msg(!write_shape(path, s, error, sizeof error), "%s", error);
    zip_t *archive = zip_open(path, ZIP_RDONLY | ZIP_CHECKCONS, NULL);
    ck_assert_ptr_nonnull(archive);
    ck_assert_int_eq(zip_get_num_entries(archive, 0), s.has_labels ? 2 : 1);
    snprintf(header, sizeof header,
             "{'descr': '|u1', 'fortran_order': False, 'shape': (%zu, %d, %d, 3), }", s.count,
             (int)s.height, (int)s.width);
    uint8_t *data = read_member(archive, "arr_0.npy", header, 3 * pixels);
    for (size_t i = 0; i < 3 * pixels; i++)
        ck_assert_int_eq(data[i], pixel_at(s.channels == 1 ? i / 3 : i));
    free(data);
    if (s.has_labels) {
        snprintf(header, sizeof header,
                 "{'descr': '<i8', 'fortran_order': False, 'shape': (%zu,), }", s.count);
        data = read_member(archive, "arr_1.npy", header, 8 * s.count);
        for (size_t i = 0; i < s.count; i++) {
            uint64_t value = 0;
            for (size_t k = 0; k < 8; k++) value |= (uint64_t)data[8 * i + k] << 8 * k;
            ck_assert_int_eq((int64_t)value, label_at(i));
        }
        free(data);
    }
    zip_discard(archive);
}
END_TEST

START_TEST(numpy) {
    const shape s = shapes[_i];
    const char *path = test_path(test_folder(), "samples.npz");
    char error[200] = "", command[600];
    if (system("python3 -c 'import numpy' >/dev/null 2>&1")) return;
    ck_assert_msg(!write_shape(path, s, error, sizeof error), "%s", error);
    snprintf(command, sizeof command, "python3 tests/program/check_npz.py '%s' %zu %d %d %d %d",
             path, s.count, (int)s.height, (int)s.width, (int)s.channels, s.has_labels);
    ck_assert_int_eq(system(command), 0);
}
END_TEST

static size_t read_file(const char *path, uint8_t *bytes, size_t capacity) {
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    size_t size = fread(bytes, 1, capacity, file);
    ck_assert(size < capacity && fclose(file) == 0);
    return size;
}

START_TEST(same_bytes) {
    static uint8_t first[20000], second[20000];
    const char *path = test_path(test_folder(), "samples.npz");
    char error[200] = "";
    ck_assert_int_eq(write_shape(path, shapes[1], error, sizeof error), 0);
    size_t size = read_file(path, first, sizeof first);
    ck_assert_int_eq(setenv("TZ", "Asia/Tokyo", 1), 0);
    ck_assert_int_eq(write_shape(path, shapes[1], error, sizeof error), 0);
    ck_assert_uint_eq(read_file(path, second, sizeof second), size);
    ck_assert_int_eq(memcmp(first, second, size), 0);
}
END_TEST

/* A file that grows too large: the old one stays, and nothing lies beside it. */
START_TEST(full) {
    static uint8_t before[20000], after[20000];
    const char *folder = test_folder(), *path = test_path(folder, "samples.npz");
    char error[200] = "";
    ck_assert_int_eq(write_shape(path, shapes[1], error, sizeof error), 0);
    size_t size = read_file(path, before, sizeof before);
    const struct rlimit limit = {100000, RLIM_INFINITY};
    ck_assert(signal(SIGXFSZ, SIG_IGN) != SIG_ERR && !setrlimit(RLIMIT_FSIZE, &limit));
    ck_assert_int_eq(write_shape(path, shapes[4], error, sizeof error), 1);
    test_has_reason(error, "samples.npz: Write error", 0);
    ck_assert_uint_eq(read_file(path, after, sizeof after), size);
    ck_assert_int_eq(memcmp(before, after, size), 0);
    ck_assert_int_eq(remove(path), 0);
    ck_assert_int_eq(rmdir(folder), 0);
}
END_TEST

START_TEST(refusals) {
    const uint8_t pixel[12] = {0};
    const char *path = test_path(test_folder(), "none.npz");
    char error[200];
    ck_assert(npz_write(path, pixel, 0, 1, 1, 3, NULL, error, sizeof error));
    test_has_reason(error, "none.npz: there are no pictures", 0);
    ck_assert(npz_write(path, pixel, 1, 0, 1, 3, NULL, error, sizeof error));
    test_has_reason(error, "none.npz: the pictures are empty", 0);
    ck_assert(npz_write(path, pixel, 1, 1, 1, 4, NULL, error, sizeof error));
    test_has_reason(error, "none.npz: the pictures have neither 1 nor 3", 0);
    ck_assert(npz_write(path, pixel, SIZE_MAX / 2, 1 << 30, 1 << 30, 3, NULL, error, sizeof error));
    test_has_reason(error, "none.npz: the pictures are too large", 0);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert(npz_write("/none/there.npz", pixel, 1, 1, 1, 3, NULL, error, sizeof error));
    test_has_reason(error, "/none/there.npz", 0);
}
END_TEST

Suite *test_npz_suite(void);
Suite *test_npz_suite(void) {
    Suite *suite = suite_create("npz");
    TCase *tests = tcase_create("npz");
    const int count = sizeof shapes / sizeof *shapes;
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, read_back, 0, count);
    tcase_add_loop_test(tests, numpy, 0, count);
    tcase_add_test(tests, same_bytes);
    tcase_add_test(tests, full);
    tcase_add_test(tests, refusals);
    suite_add_tcase(suite, tests);
    return suite;
}
