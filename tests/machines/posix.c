/* SPDX-License-Identifier: MIT */
/* See posix.h. */
#include "machines/posix.h"

#include <process.h>
#include <stdio.h>
#include <string.h>

void *memmem(const void *bytes, size_t size, const void *wanted, size_t length) {
    for (size_t at = 0; at + length <= size; at++)
        if (!memcmp((const char *)bytes + at, wanted, length)) return (char *)bytes + at;
    return NULL;
}

char *mkdtemp(char *folder) {
    static int number;
    char *end = folder + strlen(folder) - 6;
    for (int attempt = 0; attempt < 1000; attempt++) {
        snprintf(end, 7, "%06x", (unsigned)(_getpid() * 1000 + number++) & 0xffffff);
        if (!_mkdir(folder)) return folder;
    }
    return NULL;
}

int alphasort(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

int scandir(const char *folder, struct dirent ***entries, int (*chosen)(const struct dirent *),
            int (*compare)(const struct dirent **, const struct dirent **)) {
    DIR *open_folder = opendir(folder);
    if (!open_folder) return -1;
    int count = 0;
    *entries = NULL;
    for (const struct dirent *entry; (entry = readdir(open_folder)) != NULL;) {
        if (chosen && !chosen(entry)) continue;
        struct dirent *copy = malloc(sizeof *copy);
        struct dirent **larger = realloc(*entries, ((size_t)count + 1) * sizeof *larger);
        if (!copy || !larger) abort();
        *copy = *entry;
        *entries = larger;
        larger[count++] = copy;
    }
    closedir(open_folder);
    typedef int (*compare_any)(const void *, const void *);
    if (count > 0) qsort(*entries, (size_t)count, sizeof **entries, (compare_any)compare);
    return count;
}
