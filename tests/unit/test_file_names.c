/* SPDX-License-Identifier: MIT */
/* The temporary files of writers: those of processes that were killed are removed by the next
 * writer to the same name, and no other file is; names of any length; descriptors 0 to 2. */
#include "io/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/support.h"

enum { NAME_MAX_BYTES = 255 };

static char path[1024];

static const char *path_in(const char *folder, const char *name) {
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

/* The files of a folder; `last` [256] receives the name of one, NULL: is not wanted. */
static int files_of(const char *folder, char *last) {
    DIR *open_folder = opendir(folder);
    int count = 0;
    ck_assert_ptr_nonnull(open_folder);
    for (const struct dirent *e; (e = readdir(open_folder)) != NULL;) {
        if (e->d_name[0] == '.' && (!e->d_name[1] || !strcmp(e->d_name, ".."))) continue;
        if (last) snprintf(last, 256, "%s", e->d_name);
        count++;
    }
    closedir(open_folder);
    return count;
}

static void write_text(dmi_host *host, const char *to, const char *text) {
    dmi_file_writer *writer;
    ck_assert_msg(dmi_file_begin(host, &writer, to) == DMI_OK, "%s", host->error);
    ck_assert_int_eq(dmi_file_write_at(host, writer, text, strlen(text), 0), DMI_OK);
    ck_assert_int_eq(dmi_file_commit(host, writer), DMI_OK);
}

/* A process that is killed while it writes to `to`. */
static void killed_writer(const char *to) {
    const pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        dmi_host host = {0};
        dmi_file_writer *writer;
        if (!dmi_file_begin(&host, &writer, to)) dmi_file_write_at(&host, writer, "part", 4, 0);
        raise(SIGKILL);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void touch(const char *name) {
    const int descriptor = open(name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ck_assert_int_ge(descriptor, 0);
    close(descriptor);
}

START_TEST(files_of_killed_writers_are_removed) {
    dmi_host host = {0};
    const char *folder = test_folder();
    char to[1024], temporary[256];
    snprintf(to, sizeof to, "%s/name", folder);
    killed_writer(to);
    ck_assert_int_eq(files_of(folder, temporary), 1);
    ck_assert_int_eq(strncmp(temporary, "name.", 5), 0);
    ck_assert_str_eq(temporary + strlen(temporary) - 4, ".tmp");
    write_text(&host, to, "whole");
    ck_assert_int_eq(files_of(folder, temporary), 1);
    ck_assert_str_eq(temporary, "name");
    /* Several at once, which is what writers that were killed together leave. */
    dmi_file_writer *alive[3];
    for (int i = 0; i < 3; i++) ck_assert_int_eq(dmi_file_begin(&host, &alive[i], to), DMI_OK);
    killed_writer(to);
    for (int i = 0; i < 3; i++) dmi_file_abandon(&host, alive[i]);
    ck_assert_int_eq(files_of(folder, NULL), 2);
    write_text(&host, to, "whole");
    ck_assert_int_eq(files_of(folder, NULL), 1);
    /* Without the permission to write, too. */
    ck_assert_int_eq(chmod(to, 0400), 0);
    killed_writer(to);
    write_text(&host, to, "whole");
    ck_assert_int_eq(files_of(folder, NULL), 1);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(other_files_stay) {
    static const char *const others[] = {"name.tmp", "name.0.tmp", "name.00000000.0.tmp",
                                         "other",    "name2",      "nam"};
    enum { OTHERS = sizeof others / sizeof *others };
    dmi_host host = {0};
    const char *folder = test_folder();
    char to[1024];
    snprintf(to, sizeof to, "%s/name", folder);
    for (int i = 0; i < OTHERS; i++) touch(path_in(folder, others[i]));
    killed_writer(path_in(folder, "name2"));
    killed_writer(path_in(folder, "other"));
    dmi_file_writer *alive;
    ck_assert_int_eq(dmi_file_begin(&host, &alive, to), DMI_OK);
    ck_assert_int_eq(dmi_file_write_at(&host, alive, "alive", 5, 0), DMI_OK);
    write_text(&host, to, "whole");
    ck_assert_int_eq(files_of(folder, NULL), OTHERS + 4);
    ck_assert_int_eq(dmi_file_commit(&host, alive), DMI_OK);
    uint8_t *bytes;
    size_t size;
    ck_assert_int_eq(dmi_file_read(&host, to, &bytes, &size), DMI_OK);
    ck_assert_uint_eq(size, 5);
    ck_assert_mem_eq(bytes, "alive", 5);
    dmi_free(&host, bytes);
    ck_assert_int_eq(files_of(folder, NULL), OTHERS + 3);
}
END_TEST

/* A temporary file that is a link, or a folder, belongs to somebody else. */
START_TEST(links_are_not_followed) {
    dmi_host host = {0};
    const char *folder = test_folder();
    char to[1024], temporary[256], target[1024];
    snprintf(to, sizeof to, "%s/name", folder);
    killed_writer(to);
    ck_assert_int_eq(files_of(folder, temporary), 1);
    snprintf(target, sizeof target, "%s/target", folder);
    touch(target);
    ck_assert_int_eq(unlink(path_in(folder, temporary)), 0);
    ck_assert_int_eq(symlink("target", path), 0);
    write_text(&host, to, "whole");
    struct stat about;
    ck_assert_int_eq(stat(target, &about), 0);
    ck_assert_int_eq(about.st_size, 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(mkdir(path, 0700), 0);
    write_text(&host, to, "whole");
    ck_assert_int_eq(files_of(folder, NULL), 3);
}
END_TEST

/* Many writers at once each have a file of their own, also beyond the numbers that are cleaned. */
START_TEST(many_writers) {
    enum { WRITERS = 40 };
    dmi_host host = {0};
    const char *folder = test_folder();
    char to[1024], text[8];
    dmi_file_writer *writers[WRITERS];
    snprintf(to, sizeof to, "%s/name", folder);
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_msg(dmi_file_begin(&host, &writers[i], to) == DMI_OK, "%s", host.error);
        snprintf(text, sizeof text, "%02d", i);
        ck_assert_int_eq(dmi_file_write_at(&host, writers[i], text, 2, 0), DMI_OK);
    }
    ck_assert_int_eq(files_of(folder, NULL), WRITERS);
    for (int i = 0; i < WRITERS; i++) {
        uint8_t *bytes;
        size_t size;
        ck_assert_int_eq(dmi_file_commit(&host, writers[i]), DMI_OK);
        ck_assert_int_eq(dmi_file_read(&host, to, &bytes, &size), DMI_OK);
        snprintf(text, sizeof text, "%02d", i);
        ck_assert(size == 2 && memcmp(bytes, text, 2) == 0);
        dmi_free(&host, bytes);
    }
    ck_assert_int_eq(files_of(folder, NULL), 1);
}
END_TEST

/* Writes the digit `who` SAVED times and ends with 0, or with 1 if a save fails. */
enum { SAVERS = 3, SAVES = 150, SAVED = 100000 };

static void save_often(const char *to, int who) {
    static char bytes[SAVED];
    dmi_host host = {0};
    memset(bytes, '0' + who, SAVED);
    for (int i = 0; i < SAVES; i++) {
        dmi_file_writer *writer;
        if (dmi_file_begin(&host, &writer, to)) _exit(1);
        for (size_t at = 0; at < SAVED; at += SAVED / 10)
            if (dmi_file_write_at(&host, writer, bytes + at, SAVED / 10, at)) _exit(2);
        if (i % 10 == 9) dmi_file_abandon(&host, writer);
        else if (dmi_file_commit(&host, writer)) _exit(3);
    }
    _exit(0);
}

/* Processes that save to one name at the same time: each save succeeds, the name always holds one
 * of the files whole, and no other file stays. */
START_TEST(savers_at_the_same_time) {
    dmi_host host = {0};
    const char *folder = test_folder();
    char to[1024];
    int left = SAVERS, status;
    snprintf(to, sizeof to, "%s/name", folder);
    write_text(&host, to, "first");
    for (int i = 0; i < SAVERS; i++) {
        const pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) save_often(to, i);
    }
    while (left > 0) {
        uint8_t *bytes;
        size_t size;
        ck_assert_msg(dmi_file_read(&host, to, &bytes, &size) == DMI_OK, "%s", host.error);
        ck_assert(size == 5 || (size == SAVED && bytes[0] == bytes[SAVED - 1]));
        dmi_free(&host, bytes);
        const pid_t ended = waitpid(-1, &status, WNOHANG);
        if (ended <= 0) continue;
        ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "a saver ends with %x",
                      (unsigned)status);
        left--;
    }
    write_text(&host, to, "last");
    ck_assert_int_eq(files_of(folder, NULL), 1);
}
END_TEST

START_TEST(names_of_every_length) {
    dmi_host host = {0};
    const char *folder = test_folder();
    char name[NAME_MAX_BYTES + 2], kept[256];
    for (size_t length = 1; length <= NAME_MAX_BYTES; length += length < 220 ? 73 : 1) {
        /* The cut of a long name falls within characters of three bytes. */
        for (size_t i = 0; i < length; i++)
            name[i] = length < 200 ? 'n' : "\xe2\x82\xac"[(i + length) % 3];
        name[length] = 0;
        write_text(&host, path_in(folder, name), "text");
        ck_assert_int_eq(files_of(folder, kept), 1);
        ck_assert_str_eq(kept, name);
        killed_writer(path_in(folder, name));
        ck_assert_int_eq(files_of(folder, NULL), 2);
        write_text(&host, path_in(folder, name), "text");
        ck_assert_int_eq(files_of(folder, NULL), 1);
        ck_assert_int_eq(unlink(path), 0);
    }
    dmi_file_writer *writer;
    memset(name, 'n', NAME_MAX_BYTES + 1);
    name[NAME_MAX_BYTES + 1] = 0;
    int32_t status = dmi_file_begin(&host, &writer, path_in(folder, name));
    if (!status) status = dmi_file_commit(&host, writer);
    ck_assert_int_eq(status, DMI_ERROR_IO);
    ck_assert_ptr_nonnull(strstr(host.error, "name too long"));
    ck_assert_int_eq(files_of(folder, NULL), 0);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

/* A program that has closed its standard streams does not find a file of the library in their
 * place. */
START_TEST(standard_descriptors_are_never_used) {
    dmi_host host = {0};
    char to[1024];
    snprintf(to, sizeof to, "%s/name", test_folder());
    int saved[3], used = 0, descriptor = -1;
    for (int i = 0; i < 3; i++) saved[i] = fcntl(i, F_DUPFD_CLOEXEC, 10);
    for (int i = 0; i < 3; i++) close(i);
    dmi_file_writer *writer = NULL;
    size_t size = 0;
    int32_t status = dmi_file_begin(&host, &writer, to);
    for (int i = 0; i < 3; i++) used += fcntl(i, F_GETFD) >= 0;
    if (!status) status = dmi_file_write_at(&host, writer, "text", 4, 0);
    if (!status) status = dmi_file_commit(&host, writer);
    if (!status) status = dmi_file_open(&host, to, &descriptor, &size);
    for (int i = 0; i < 3; i++) used += fcntl(i, F_GETFD) >= 0;
    for (int i = 0; i < 3; i++) dup2(saved[i], i), close(saved[i]);
    ck_assert_int_eq(status, DMI_OK);
    ck_assert_int_eq(used, 0);
    ck_assert_int_gt(descriptor, 2);
    ck_assert(fcntl(descriptor, F_GETFD) & FD_CLOEXEC);
    dmi_file_close(descriptor);
}
END_TEST

Suite *test_file_names_suite(void);
Suite *test_file_names_suite(void) {
    Suite *suite = suite_create("file_names");
    TCase *tests = tcase_create("file_names");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, files_of_killed_writers_are_removed);
    tcase_add_test(tests, other_files_stay);
    tcase_add_test(tests, links_are_not_followed);
    tcase_add_test(tests, many_writers);
    tcase_add_test(tests, savers_at_the_same_time);
    tcase_add_test(tests, names_of_every_length);
    tcase_add_test(tests, standard_descriptors_are_never_used);
    suite_add_tcase(suite, tests);
    return suite;
}
