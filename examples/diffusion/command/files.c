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

int check_output_path(const command_line *line, const char *name, const char *path,
                      const char *suffix) {
    struct stat is;
    size_t length = strlen(path), end = strlen(suffix);
    const char *slash = strrchr(path, '/'), *why = NULL;
    char folder[1024] = ".", ending[64];
    if (slash)
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    snprintf(ending, sizeof ending, "the name must end in %s", suffix);
    if (length <= end || strcmp(path + length - end, suffix) != 0) why = ending;
    else if (!stat(path, &is) && S_ISDIR(is.st_mode)) why = "that is a folder";
    else if (stat(folder, &is)) why = "its folder does not exist";
    else if (access(folder, W_OK | X_OK)) why = "its folder cannot be written to";
    return why ? command_line_refuse(line, "--%s is '%s'; %s", name, path, why) : 0;
}

int make_folder(const command_line *line, const char *path) {
    char part[1024];
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
