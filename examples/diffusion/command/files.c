/* SPDX-License-Identifier: MIT */
/* See files.h. */
#include "command/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "console/output.h"

/* Room after a folder's name for that of a file in it. */
enum { FILE_NAME_MAX = 64 };

int folder_has(const char *folder, const char *name) {
    char path[OUTPUT_PATH_SIZE];
    struct stat is;
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path &&
           !stat(path, &is);
}

int same_file(const char *a, const char *b) {
    struct stat x, y;
    if (!strcmp(a, b)) return 1;
    /* Some systems number no files. */
    return !stat(a, &x) && !stat(b, &y) && x.st_ino && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

/* The folder that a path is in. 0, or 1 if its name is too long. */
static int parent(const char *path, char folder[OUTPUT_PATH_SIZE]) {
    const char *slash = strrchr(path, '/');
    int length = !slash || slash == path ? 1 : (int)(slash - path);
    return snprintf(folder, OUTPUT_PATH_SIZE, "%.*s", length, slash ? path : ".") >=
           OUTPUT_PATH_SIZE;
}

const char *folder_obstacle(const char *path) {
    char at[OUTPUT_PATH_SIZE];
    struct stat is;
    if (strlen(path) > sizeof at - FILE_NAME_MAX) return strerror(ENAMETOOLONG);
    if (!stat(path, &is))
        return !S_ISDIR(is.st_mode)               ? "that is no folder"
               : access(path, R_OK | W_OK | X_OK) ? "it cannot be written to"
                                                  : NULL;
    if (errno != ENOENT) return strerror(errno);
    snprintf(at, sizeof at, "%s", path);
    while (stat(at, &is) && errno == ENOENT && strcmp(at, ".") != 0 && strcmp(at, "/") != 0) {
        if (!lstat(at, &is)) return "that is a link to nothing";
        char above[OUTPUT_PATH_SIZE];
        if (parent(at, above)) return strerror(ENAMETOOLONG);
        memcpy(at, above, sizeof at);
    }
    return stat(at, &is) || !S_ISDIR(is.st_mode) || access(at, W_OK | X_OK)
               ? "no folder can be made there"
               : NULL;
}

int check_output_path(const command_line *line, const char *name, const char *path,
                      const char *suffix) {
    struct stat is;
    size_t length = strlen(path), end = strlen(suffix);
    const char *why = NULL;
    char folder[OUTPUT_PATH_SIZE], ending[64];
    snprintf(ending, sizeof ending, "the name must end in %s", suffix);
    if (length <= end || strcmp(path + length - end, suffix) != 0) why = ending;
    else if (!stat(path, &is) && S_ISDIR(is.st_mode)) why = "that is a folder";
    else if (parent(path, folder)) why = strerror(ENAMETOOLONG);
    else if (stat(folder, &is)) why = "its folder does not exist";
    else if (access(folder, W_OK | X_OK)) why = "its folder cannot be written to";
    return why ? command_line_refuse(line, "--%s is '%s'; %s", name, path, why) : 0;
}

int make_folder(const command_line *line, const char *path) {
    char part[OUTPUT_PATH_SIZE];
    struct stat is;
    int bad = 0;
    if (!*path) return command_line_refuse(line, "the name of a folder is empty");
    if (snprintf(part, sizeof part, "%s", path) >= (int)sizeof part) {
        errno = ENAMETOOLONG;
        bad = 1;
    }
    for (char *p = part + 1; !bad; p++) {
        if (*p && *p != '/') continue;
        char end = *p;
        *p = 0;
        bad = mkdir(part, 0777) && errno != EEXIST;
        *p = end;
        if (!end) break;
    }
    if (!bad && !stat(path, &is) && !S_ISDIR(is.st_mode)) {
        errno = ENOTDIR;
        bad = 1;
    }
    return bad ? command_line_refuse(line, "%s: %s", path, strerror(errno)) : 0;
}

static void print_warning(void *line, dm_log_level level, const char *message) {
    if (level == DM_LOG_WARNING) command_line_warn(line, message);
}

int lock_folder(const char *path, int *lock) {
    int fd = open(path, O_RDONLY);
    *lock = 0;
    if (fd < 0) return 0;
    if (!flock(fd, LOCK_EX | LOCK_NB)) {
        *lock = fd;
        return 0;
    }
    int held = errno == EWOULDBLOCK;
    close(fd);
    return held;
}

dm_context *create_context(const command_line *line, int64_t threads, int64_t memory_mb,
                           int32_t profile) {
    dm_context_options options;
    dm_context *context;
    char error[512];
    dm_context_options_init(&options, sizeof options);
    options.threads = (int32_t)threads;
    options.memory_limit = (uint64_t)memory_mb * 1000000;
    options.profile = profile;
    options.log = print_warning;
    options.log_user = (void *)line;
    if (dm_context_create(&context, &options, error, sizeof error))
        command_line_refuse(line, "%s", error);
    return context;
}
