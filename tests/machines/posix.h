/* SPDX-License-Identifier: MIT */
/* What the tests use of POSIX and GNU that MinGW-w64 does not have. Included before every file of
 * the tests there. */
#ifndef DM_TESTS_MACHINES_POSIX_H
#define DM_TESTS_MACHINES_POSIX_H

#include <direct.h>
#include <dirent.h>
#include <io.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>

#define mkdir(path, mode) _mkdir(path)
#define realpath(path, resolved) _fullpath(resolved, path, PATH_MAX)
#ifndef O_CLOEXEC
#define O_CLOEXEC 0
#endif

void *memmem(const void *bytes, size_t size, const void *wanted, size_t length);
/* `folder` ends with XXXXXX, which is replaced. */
char *mkdtemp(char *folder);
int alphasort(const struct dirent **a, const struct dirent **b);
int scandir(const char *folder, struct dirent ***entries, int (*chosen)(const struct dirent *),
            int (*compare)(const struct dirent **, const struct dirent **));

#endif
