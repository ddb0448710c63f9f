/* SPDX-License-Identifier: MIT */
/* See files.h. */
#include "files.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "run.h"

contents file_read(const char *path) {
    contents c = {0};
    struct stat about;
    if (lstat(path, &about) != 0) return c;
    FILE *file = fopen(path, "rb");
    run_require(file && fseek(file, 0, SEEK_END) == 0, path);
    c.size = (size_t)ftell(file);
    rewind(file);
    c.bytes = malloc(c.size + 1);
    run_require(c.bytes && fread(c.bytes, 1, c.size, file) == c.size, path);
    fclose(file);
    return c;
}

void file_write(const char *path, contents c) {
    FILE *file = fopen(path, "wb");
    run_require(file && fwrite(c.bytes, 1, c.size, file) == c.size && fclose(file) == 0, path);
}

bool contents_equal(contents a, contents b) {
    if (!a.bytes || !b.bytes) return !a.bytes && !b.bytes;
    return a.size == b.size && memcmp(a.bytes, b.bytes, a.size) == 0;
}

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where) {
    (void)about, (void)kind;
    return where->level > 0 ? remove(path) : 0;
}

void folder_empty(const char *path) {
    const int open_folders = 8;
    if (mkdir(path, 0777) == 0) return;
    run_require(nftw(path, remove_entry, open_folders, FTW_DEPTH | FTW_PHYS) == 0, path);
}

/* Whether `rest` is .CHECKSUM.NUMBER.tmp. */
static bool is_suffix(const char *rest) {
    unsigned sum, number;
    int end = -1;
    return sscanf(rest, ".%8x.%u.tmp%n", &sum, &number, &end) == 2 && end > 0 && !rest[end];
}

static bool classify(const char *entry, const char *const *names, int32_t count,
                     int32_t *temporary) {
    for (int32_t i = 0; i < count; i++) {
        const size_t length = strlen(names[i]);
        if (strncmp(entry, names[i], length) != 0) continue;
        if (!entry[length]) return true;
        if (!is_suffix(entry + length)) continue;
        ++*temporary;
        return true;
    }
    return false;
}

bool folder_count(const char *path, const char *const *names, int32_t count, int32_t *temporary,
                  char other[256]) {
    bool known = true;
    *temporary = 0;
    DIR *folder = opendir(path);
    run_require(folder != NULL, path);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..")) continue;
        if (classify(name, names, count, temporary)) continue;
        snprintf(other, 256, "%s", name);
        known = false;
    }
    closedir(folder);
    return known;
}

int32_t descriptors_open(void) {
    int32_t count = 0;
    for (int i = 0; i < 256; i++)
        if (fcntl(i, F_GETFD) != -1) count++;
    return count;
}
