/* SPDX-License-Identifier: MIT */
/* A name holds the old contents or the new, whatever fails, and nothing else stays in the
 * folder. */
#include "io/file.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/support.h"

static char path[256];

static const char *path_in(const char *folder, const char *name) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int entries_of(const char *folder) {
    DIR *open_folder = opendir(folder);
    ck_assert_ptr_nonnull(open_folder);
    int count = -2; /* "." and ".." */
    while (readdir(open_folder) != NULL) count++;
    closedir(open_folder);
    return count;
}

static void write_text(dmi_host *host, const char *to, const char *text) {
    dmi_file_writer *writer;
    ck_assert_int_eq(dmi_file_begin(host, &writer, to), DMI_OK);
    ck_assert_int_eq(dmi_file_write_at(host, writer, text, strlen(text), 0), DMI_OK);
    ck_assert_int_eq(dmi_file_commit(host, writer), DMI_OK);
}

static void check_text(dmi_host *host, const char *from, const char *text) {
    uint8_t *bytes;
    size_t size;
    ck_assert_int_eq(dmi_file_read(host, from, &bytes, &size), DMI_OK);
    ck_assert_uint_eq(size, strlen(text));
    ck_assert_int_eq(memcmp(bytes, text, size), 0);
    dmi_free(host, bytes);
}

START_TEST(written_and_read_back) {
    dmi_host host = {0};
    const char *folder = test_folder();
    path_in(folder, "name");
    write_text(&host, path, "first");
    check_text(&host, path, "first");
    write_text(&host, path, "second, longer");
    check_text(&host, path, "second, longer");
    write_text(&host, path, "");
    check_text(&host, path, "");
    ck_assert_int_eq(entries_of(folder), 1);

    char long_text[100001];
    memset(long_text, 'z', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = 0;
    write_text(&host, path, long_text);
    check_text(&host, path, long_text);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(a_name_without_folder) {
    dmi_host host = {0};
    char here[1024];
    ck_assert_ptr_nonnull(getcwd(here, sizeof here));
    ck_assert_int_eq(chdir(test_folder()), 0);
    write_text(&host, "name", "text");
    check_text(&host, "name", "text");
    ck_assert_int_eq(entries_of("."), 1);
    ck_assert_int_eq(chdir(here), 0);
}
END_TEST

static mode_t mode_of(const char *name) {
    struct stat about;
    ck_assert_int_eq(stat(name, &about), 0);
    return about.st_mode & 0777;
}

START_TEST(permissions) {
    dmi_host host = {0};
    path_in(test_folder(), "name");
    const mode_t before = umask(027);
    write_text(&host, path, "new");
    ck_assert_uint_eq(mode_of(path), 0640);
    ck_assert_int_eq(chmod(path, 0600), 0);
    write_text(&host, path, "private");
    ck_assert_uint_eq(mode_of(path), 0600);
    ck_assert_int_eq(chmod(path, 0666), 0);
    write_text(&host, path, "open to all");
    ck_assert_uint_eq(mode_of(path), 0666);
    ck_assert_uint_eq(umask(before), 027);
}
END_TEST

/* Through a link the file that it names is replaced, with the permissions of that, and the link
 * stays. */
START_TEST(links) {
    dmi_host host = {0};
    char folder[200], link[256], target[256];
    struct stat about;
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(target, sizeof target, "%s/far", folder);
    ck_assert_int_eq(mkdir(target, 0777), 0);
    snprintf(target, sizeof target, "%s/far/target", folder);
    snprintf(link, sizeof link, "%s/link", folder);
    ck_assert_int_eq(symlink("far/target", link), 0);
    write_text(&host, target, "old");
    ck_assert_int_eq(chmod(target, 0600), 0);
    write_text(&host, link, "new");
    check_text(&host, target, "new");
    ck_assert_uint_eq(mode_of(target), 0600);
    ck_assert_int_eq(lstat(link, &about), 0);
    ck_assert(S_ISLNK(about.st_mode));
    ck_assert_int_eq(entries_of(folder), 2);
    /* A dangling link is replaced itself. */
    ck_assert_int_eq(unlink(target), 0);
    write_text(&host, link, "newer");
    check_text(&host, link, "newer");
    ck_assert_int_eq(lstat(link, &about), 0);
    ck_assert(S_ISREG(about.st_mode));
    /* One that cannot be followed is not. */
    ck_assert_int_eq(unlink(link), 0);
    ck_assert_int_eq(symlink("link", link), 0);
    dmi_file_writer *writer;
    ck_assert_int_eq(dmi_file_begin(&host, &writer, link), DMI_ERROR_IO);
    ck_assert_ptr_nonnull(strstr(host.error, "link: cannot follow the link: "));
    ck_assert_ptr_null(writer);
    ck_assert_int_eq(lstat(link, &about), 0);
    ck_assert(S_ISLNK(about.st_mode));
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(abandoned) {
    dmi_host host = {0};
    const char *folder = test_folder();
    path_in(folder, "name");
    write_text(&host, path, "old");
    dmi_file_writer *writer;
    ck_assert_int_eq(dmi_file_begin(&host, &writer, path), DMI_OK);
    ck_assert_int_eq(dmi_file_write_at(&host, writer, "new", 3, 0), DMI_OK);
    ck_assert_int_eq(entries_of(folder), 2);
    check_text(&host, path, "old");
    dmi_file_abandon(&host, writer);
    dmi_file_abandon(&host, NULL);
    ck_assert_int_eq(entries_of(folder), 1);
    check_text(&host, path, "old");
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

/* A limit on the size of files replaces a full disk: write() first writes less than requested,
 * then fails. */
START_TEST(a_full_disk) {
    dmi_host host = {0};
    const char *folder = test_folder();
    path_in(folder, "name");
    write_text(&host, path, "old");

    struct rlimit before, tight;
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 1000;
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &tight), 0);
    dmi_file_writer *writer;
    const char bytes[1500] = "new";
    const int32_t begun = dmi_file_begin(&host, &writer, path);
    const int32_t written =
        begun == DMI_OK ? dmi_file_write_at(&host, writer, bytes, sizeof bytes, 0) : begun;
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);

    ck_assert_int_eq(begun, DMI_OK);
    ck_assert_int_eq(written, DMI_ERROR_IO);
    ck_assert_int_eq(strncmp(host.error, path, strlen(path)), 0);
    ck_assert_ptr_nonnull(strstr(host.error, ": cannot write: File too large"));
    ck_assert_int_eq(dmi_file_commit(&host, writer),
                     DMI_ERROR_IO); /* a part must not take the name */
    ck_assert_int_eq(entries_of(folder), 1);
    check_text(&host, path, "old");
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(a_name_that_cannot_be_taken) {
    dmi_host host = {0};
    const char *folder = test_folder();
    path_in(folder, "name");
    dmi_file_writer *writer;
    ck_assert_int_eq(dmi_file_begin(&host, &writer, path), DMI_OK);
    ck_assert_int_eq(dmi_file_write_at(&host, writer, "new", 3, 0), DMI_OK);
    ck_assert_int_eq(mkdir(path, 0777), 0);
    ck_assert_int_eq(dmi_file_commit(&host, writer), DMI_ERROR_IO);
    ck_assert_ptr_nonnull(strstr(host.error, "cannot rename"));
    ck_assert_int_eq(entries_of(folder), 1);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(write_errors_are_reported) {
    dmi_host host = {0};
    const char *folder = test_folder();
    dmi_file_writer *writer = (dmi_file_writer *)&host;
    ck_assert_int_eq(dmi_file_begin(&host, &writer, ""), DMI_ERROR_INVALID_ARGUMENT);
    ck_assert_ptr_null(writer);
    ck_assert_int_eq(dmi_file_begin(&host, &writer, folder), DMI_ERROR_IO);
    ck_assert_int_eq(dmi_file_begin(&host, &writer, "/dev/null"), DMI_ERROR_IO);
    ck_assert_str_eq(host.error, "/dev/null: cannot write: not a regular file");
    ck_assert_int_eq(dmi_file_begin(&host, &writer, path_in(folder, "none/name")), DMI_ERROR_IO);
    ck_assert_ptr_nonnull(
        strstr(host.error, "none/name: cannot create a file beside it: No such file or directory"));
    host.limit = 150; /* the writer itself, but not its names */
    ck_assert_int_eq(dmi_file_begin(&host, &writer, path_in(folder, "name")),
                     DMI_ERROR_LIMIT_EXCEEDED);
    ck_assert_ptr_null(writer);
    ck_assert_int_eq(entries_of(folder), 0);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(read_errors_are_reported) {
    dmi_host host = {0};
    const char *folder = test_folder();
    uint8_t *bytes = (uint8_t *)&host;
    size_t size = 1;
    ck_assert_int_eq(dmi_file_read(&host, path_in(folder, "none"), &bytes, &size),
                     DMI_ERROR_NOT_FOUND);
    ck_assert_ptr_null(bytes);
    ck_assert_uint_eq(size, 0);
    ck_assert_ptr_nonnull(strstr(host.error, "none: no such file"));
    ck_assert_int_eq(dmi_file_read(&host, folder, &bytes, &size), DMI_ERROR_IO);
    ck_assert_int_eq(mkfifo(path_in(folder, "pipe"), 0666), 0);
    ck_assert_int_eq(dmi_file_read(&host, path, &bytes, &size), DMI_ERROR_IO);
    write_text(&host, path_in(folder, "name"), "some text");
    host.limit = 70;
    ck_assert_int_eq(dmi_file_read(&host, path, &bytes, &size), DMI_ERROR_LIMIT_EXCEEDED);
    ck_assert_ptr_null(bytes);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

Suite *test_file_suite(void);
Suite *test_file_suite(void) {
    Suite *suite = suite_create("file");
    TCase *tests = tcase_create("file");
    tcase_add_test(tests, written_and_read_back);
    tcase_add_test(tests, a_name_without_folder);
    tcase_add_test(tests, permissions);
    tcase_add_test(tests, links);
    tcase_add_test(tests, abandoned);
    tcase_add_test(tests, a_full_disk);
    tcase_add_test(tests, a_name_that_cannot_be_taken);
    tcase_add_test(tests, write_errors_are_reported);
    tcase_add_test(tests, read_errors_are_reported);
    suite_add_tcase(suite, tests);
    return suite;
}
