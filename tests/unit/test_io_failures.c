/* SPDX-License-Identifier: MIT */
/* Files where system calls fail: a save that failed leaves the old file, and nothing beside it; one
 * that the system merely interrupts or that has no locks succeeds. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/system.h"
#include "io/file.h"
#include "support/refusal.h"
#include "support/support.h"
#include "support/system_calls.h"

static char folder[200], path[256];

static void setup(void) {
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(path, sizeof path, "%s/name", folder);
}

static int entries(void) {
    DIR *open_folder = opendir(folder);
    ck_assert_ptr_nonnull(open_folder);
    int count = -2; /* "." and ".." */
    while (readdir(open_folder) != NULL) count++;
    closedir(open_folder);
    return count;
}

static int32_t write_text(dmi_host *host, const char *text) {
    dmi_file_writer *writer;
    int32_t status = dmi_file_begin(host, &writer, path);
    if (status) return status;
    status = dmi_file_write_at(host, writer, text, strlen(text), 0);
    const int32_t committed = dmi_file_commit(host, writer);
    return status ? status : committed;
}

/* `extra`: other entries of the folder. */
static void check_file(dmi_host *host, const char *text, int extra) {
    uint8_t *bytes;
    size_t size;
    ck_assert_int_eq(dmi_file_read(host, path, &bytes, &size), DMI_OK);
    ck_assert_uint_eq(size, strlen(text));
    ck_assert_int_eq(memcmp(bytes, text, size), 0);
    dmi_free(host, bytes);
    ck_assert_int_eq(entries(), 1 + extra);
    ck_assert_uint_eq(host->used, 0);
}

/* ---- writing ---- */

typedef struct write_case {
    test_call call;
    int32_t first, count;
    int error; /* 0: the call ends early */
    int32_t status;
    const char *text;
} write_case;

static const write_case write_cases[] = {
    {TEST_PWRITE, 0, 1, EINTR, DMI_OK, ""},
    {TEST_PWRITE, 0, 3, EINTR, DMI_OK, ""},
    {TEST_PWRITE, 0, 1, EIO, DMI_ERROR_IO, ""},
    {TEST_PWRITE, 0, 1, 0, DMI_ERROR_IO, ""},
    {TEST_FSYNC, 0, 1, EIO, DMI_ERROR_IO, "cannot sync: "},
    {TEST_FSYNC, 0, 1, EINVAL, DMI_OK, ""},
    {TEST_FSYNC, 0, 1, EROFS, DMI_OK, ""},
    {TEST_FSYNC, 1, 1, EIO, DMI_OK, ""}, /* of the folder */
    {TEST_FSYNC, 0, 1, EINTR, DMI_OK, ""},
    {TEST_CLOSE, 0, 1, EIO, DMI_OK, ""},          /* after fsync it has nothing to report */
    {TEST_FLOCK, 0, 1, ENOLCK, DMI_OK, ""},       /* a file system without locks */
    {TEST_FLOCK, 0, 1, EWOULDBLOCK, DMI_OK, ""},  /* for a moment */
    {TEST_FLOCK, 0, 20, EWOULDBLOCK, DMI_OK, ""}, /* for ever */
    {TEST_FSTAT, 0, 1, EIO, DMI_OK, ""},
    {TEST_OPEN, 0, 1000, EEXIST, DMI_ERROR_IO, "cannot create a file beside it: "},
    {TEST_OPEN, 16, 1, EMFILE, DMI_ERROR_IO, "cannot create a file beside it: "},
    {TEST_OPEN, 16, 1, ENOMEM, DMI_ERROR_OUT_OF_MEMORY, "cannot create a file beside it"},
    {TEST_OPEN, 16, 1, EINTR, DMI_OK, ""},
    {TEST_OPEN, 17, 1, EACCES, DMI_OK, ""}, /* of the folder, to sync it */
};

START_TEST(saves_where_a_call_fails) {
    const write_case *c = &write_cases[_i];
    dmi_host host = {0};
    ck_assert_int_eq(write_text(&host, "old"), DMI_OK);
    if (c->error) test_calls_fail(c->call, c->first, c->count, c->error);
    else test_calls_end_early(c->call, c->first, c->count);
    const int32_t status = write_text(&host, "new");
    const int32_t changed = test_calls_end();
    ck_assert_msg(status == c->status, "%d: %s", (int)status, host.error);
    ck_assert_int_ge(changed, 1);
    if (status) ck_assert_int_eq(strncmp(host.error, path, strlen(path)), 0);
    if (status) test_has_reason(host.error, c->text, c->error);
    check_file(&host, status ? "old" : "new", 0);
}
END_TEST

START_TEST(the_text_of_a_failed_write) {
    dmi_host host = {0};
    dmi_file_writer *writer;
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(dmi_file_begin(&host, &writer, path), DMI_OK);
        if (i) test_calls_fail(TEST_PWRITE, 0, 1, EIO);
        else test_calls_end_early(TEST_PWRITE, 0, 1);
        ck_assert_int_eq(dmi_file_write_at(&host, writer, "new", 3, 0), DMI_ERROR_IO);
        ck_assert_int_eq(test_calls_end(), 1);
        test_has_reason(host.error, "cannot write: ", i ? EIO : ENOSPC);
        /* The first reason stays where closing fails too. */
        test_calls_fail(TEST_CLOSE, 0, 1, EIO);
        ck_assert_int_eq(dmi_file_commit(&host, writer), DMI_ERROR_IO);
        ck_assert_int_eq(test_calls_end(), 1);
        ck_assert_ptr_nonnull(strstr(host.error, "cannot finish: an earlier write failed"));
        ck_assert_int_eq(entries(), 0);
    }
}
END_TEST

START_TEST(a_folder_takes_the_name_meanwhile) {
    dmi_host host = {0};
    dmi_file_writer *writer;
    ck_assert_int_eq(dmi_file_begin(&host, &writer, path), DMI_OK);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    ck_assert_int_eq(dmi_file_commit(&host, writer), DMI_ERROR_IO);
    ck_assert_ptr_nonnull(strstr(host.error, "cannot rename the new file to it: Is a directory"));
    ck_assert_int_eq(entries(), 1);
    ck_assert_int_eq(rmdir(path), 0);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

/* ---- files of saves that were killed ---- */

static char temporary[512];

/* Leaves a file with the first temporary name of `path`, which nobody has locked. */
static void leave_temporary(dmi_host *host) {
    dmi_file_writer *writer;
    ck_assert_int_eq(dmi_file_begin(host, &writer, path), DMI_OK);
    DIR *open_folder = opendir(folder);
    for (struct dirent *entry; (entry = readdir(open_folder)) != NULL;)
        if (strstr(entry->d_name, ".tmp"))
            snprintf(temporary, sizeof temporary, "%s/%s", folder, entry->d_name);
    closedir(open_folder);
    dmi_file_abandon(host, writer);
    FILE *file = fopen(temporary, "wb");
    ck_assert_ptr_nonnull(file);
    fclose(file);
}

static bool is_there(const char *name) {
    struct stat about;
    return lstat(name, &about) == 0;
}

START_TEST(left_files) {
    dmi_host host = {0};
    leave_temporary(&host);
    ck_assert_int_eq(write_text(&host, "a"), DMI_OK);
    check_file(&host, "a", 0);
    /* One that may only be read. */
    leave_temporary(&host);
    test_calls_fail(TEST_OPEN, 0, 1, EACCES);
    ck_assert_int_eq(write_text(&host, "b"), DMI_OK);
    ck_assert_int_eq(test_calls_end(), 1);
    check_file(&host, "b", 0);
    /* One that may not be opened stays, and so does one that is locked. */
    leave_temporary(&host);
    test_calls_fail(TEST_OPEN, 0, 2, EACCES);
    ck_assert_int_eq(write_text(&host, "c"), DMI_OK);
    ck_assert_int_eq(test_calls_end(), 2);
    ck_assert(is_there(temporary));
    check_file(&host, "c", 1);
    test_calls_fail(TEST_FLOCK, 0, 1, EWOULDBLOCK);
    ck_assert_int_eq(write_text(&host, "d"), DMI_OK);
    ck_assert_int_eq(test_calls_end(), 1);
    ck_assert(is_there(temporary));
    check_file(&host, "d", 1);
    /* One that cannot be told from another stays too. Before the call for it, lstat has looked
     * whether `path` is a symbolic link. */
    for (int i = 0; i < 2; i++) {
        test_calls_fail(i ? TEST_LSTAT : TEST_FSTAT, i, 1, EIO);
        ck_assert_int_eq(write_text(&host, "e"), DMI_OK);
        ck_assert_int_eq(test_calls_end(), 1);
        ck_assert(is_there(temporary));
        check_file(&host, "e", 1);
    }
}
END_TEST

static void replace_by_file(void *user) {
    (void)user;
    char moved[256];
    snprintf(moved, sizeof moved, "%s/moved", folder);
    ck_assert_int_eq(rename(temporary, moved), 0);
    FILE *file = fopen(temporary, "wb");
    ck_assert_ptr_nonnull(file);
    fclose(file);
}

static void replace_by_folder(void *user) {
    (void)user;
    ck_assert_int_eq(unlink(temporary), 0);
    ck_assert_int_eq(mkdir(temporary, 0777), 0);
}

/* Between opening and locking a temporary file, another save gives its name to another file: that
 * is neither removed nor written. */
START_TEST(names_that_are_taken_meanwhile) {
    dmi_host host = {0};
    leave_temporary(&host);
    test_calls_precede(TEST_LSTAT, 1, replace_by_file, NULL);
    ck_assert_int_eq(write_text(&host, "a"), DMI_OK);
    ck_assert_int_eq(test_calls_end(), 1);
    ck_assert(is_there(temporary));
    check_file(&host, "a", 2); /* with "moved" */
    ck_assert_int_eq(unlink(temporary), 0);
    test_calls_precede(TEST_FLOCK, 0, replace_by_folder, NULL);
    ck_assert_int_eq(write_text(&host, "b"), DMI_OK);
    ck_assert_int_eq(test_calls_end(), 1);
    ck_assert(is_there(temporary));
    check_file(&host, "b", 2);
}
END_TEST

/* ---- reading ---- */

START_TEST(reads_where_a_call_fails) {
    static const struct {
        test_call call;
        int error; /* 0: the call ends early */
        int32_t status;
        const char *text;
    } cases[] = {
        {TEST_OPEN, EACCES, DMI_ERROR_IO, "name: cannot open: "},
        {TEST_OPEN, ENOMEM, DMI_ERROR_OUT_OF_MEMORY, "name: cannot open: "},
        {TEST_FSTAT, EIO, DMI_ERROR_IO, "name: cannot read: "},
        {TEST_PREAD, EIO, DMI_ERROR_IO, "name: cannot read: "},
        {TEST_PREAD, 0, DMI_ERROR_IO, "name: ended at byte 0 of 4 while it was read"},
        {TEST_PREAD, EINTR, DMI_OK, ""},
    };
    dmi_host host = {0};
    ck_assert_int_eq(write_text(&host, "text"), DMI_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t *bytes = (uint8_t *)&host;
        size_t size = 1;
        if (cases[i].error) test_calls_fail(cases[i].call, 0, 1, cases[i].error);
        else test_calls_end_early(cases[i].call, 0, 1);
        const int32_t status = dmi_file_read(&host, path, &bytes, &size);
        ck_assert_int_eq(test_calls_end(), 1);
        ck_assert_msg(status == cases[i].status, "case %zu: %d: %s", i, (int)status, host.error);
        if (status) {
            test_has_reason(host.error, cases[i].text, cases[i].error);
            ck_assert_ptr_null(bytes);
            ck_assert_uint_eq(size, 0);
        } else {
            ck_assert_uint_eq(size, 4);
            ck_assert_int_eq(memcmp(bytes, "text", 4), 0);
            dmi_free(&host, bytes);
        }
        ck_assert_uint_eq(host.used, 0);
    }
}
END_TEST

/* A descriptor is moved above those of standard input, output and error; where it cannot be, it is
 * closed. */
START_TEST(standard_descriptors_are_left_free) {
    dmi_host host = {0};
    ck_assert_int_eq(write_text(&host, "text"), DMI_OK);
    const int saved = dup(STDIN_FILENO);
    close(STDIN_FILENO);
    const int descriptor = dmi_system_open(path);
    ck_assert_int_gt(descriptor, STDERR_FILENO);
    close(descriptor);
    /* A file that is there stays, and one that the call has created is removed. */
    for (int created = 0; created < 2; created++) {
        if (created) ck_assert_int_eq(unlink(path), 0);
        test_calls_fail(TEST_FCNTL, 0, 1, EMFILE);
        errno = 0;
        ck_assert_int_eq(created ? dmi_system_create(path, 0666) : dmi_system_open(path), -1);
        ck_assert_int_eq(errno, EMFILE);
        ck_assert_int_eq(test_calls_end(), 1);
        ck_assert_int_eq(fcntl(STDIN_FILENO, F_GETFD), -1); /* free still */
        ck_assert_int_eq(entries(), created ? 0 : 1);
    }
    if (saved >= 0) {
        ck_assert_int_eq(dup2(saved, STDIN_FILENO), STDIN_FILENO);
        close(saved);
    }
}
END_TEST

Suite *test_io_failures_suite(void);
Suite *test_io_failures_suite(void) {
    Suite *suite = suite_create("io_failures");
    TCase *tests = tcase_create("io_failures");
    tcase_add_checked_fixture(tests, setup, NULL);
    tcase_add_loop_test(tests, saves_where_a_call_fails, 0,
                        sizeof write_cases / sizeof *write_cases);
    tcase_add_test(tests, the_text_of_a_failed_write);
    tcase_add_test(tests, a_folder_takes_the_name_meanwhile);
    tcase_add_test(tests, left_files);
    tcase_add_test(tests, names_that_are_taken_meanwhile);
    tcase_add_test(tests, reads_where_a_call_fails);
    tcase_add_test(tests, standard_descriptors_are_left_free);
    suite_add_tcase(suite, tests);
    return suite;
}
