/* SPDX-License-Identifier: MIT */
/* The main program of a fuzz target without libFuzzer: runs it over files, and over changed copies
 * of them. The changes are the same each time.
 *
 *     replay [--mutations N] [--save PATH] FILE_OR_FOLDER ...
 *
 * N is the number of changed copies of all files together. Where the target fails, its input is
 * written to PATH. A folder that is missing is empty. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

enum { CAPACITY = 1 << 16, FILES_MAX = 4096 };

__attribute__((weak)) size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity,
                                                     unsigned seed);

/* ---- what is saved after a failure ---- */

static const char *save_path = "replay-failed-input";
static char about[512];
static const uint8_t *running;
static size_t running_size;

static void failed(int signal_number) {
    const int file = open(save_path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ssize_t ignored = write(STDERR_FILENO, about, strlen(about));
    if (file >= 0) ignored = write(file, running, running_size);
    (void)ignored;
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static void run(const uint8_t *bytes, size_t size, const char *path, long mutation) {
    snprintf(about, sizeof about, "replay: failed on %s, change %ld; its input is in %s\n", path,
             mutation, save_path);
    /* An exact copy, so that reading past its end can be seen. */
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) abort();
    memcpy(copy, bytes, size);
    running = copy;
    running_size = size;
    LLVMFuzzerTestOneInput(copy, size);
    free(copy);
}

/* ---- changes ---- */

static uint64_t state;

/* SplitMix64. */
static uint64_t next(void) {
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static size_t below(size_t n) { return n ? (size_t)(next() % n) : 0; }

static size_t erase(uint8_t *data, size_t size) {
    const size_t at = below(size), n = 1 + below(size - at < 16 ? size - at : 16);
    memmove(data + at, data + at + n, size - at - n);
    return size - n;
}

static size_t insert(uint8_t *data, size_t size, size_t capacity) {
    const size_t at = below(size + 1), n = 1 + below(8);
    if (size + n > capacity) return size;
    memmove(data + at + n, data + at, size - at);
    for (size_t i = 0; i < n; i++) data[at + i] = (uint8_t)next();
    return size + n;
}

static void overwrite(uint8_t *data, size_t size) {
    static const uint64_t numbers[] = {0,         1,          2,         0x7f,
                                       0x80,      0xff,       0x7fff,    0xffff,
                                       INT32_MAX, UINT32_MAX, INT64_MAX, UINT64_MAX};
    const uint64_t value = numbers[below(sizeof numbers / sizeof *numbers)];
    const size_t width = (size_t)1 << below(4), at = below(size);
    for (size_t i = 0; i < width && at + i < size; i++) data[at + i] = (uint8_t)(value >> (8 * i));
}

static void copy_part(uint8_t *data, size_t size) {
    const size_t from = below(size), to = below(size), last = from > to ? from : to;
    memmove(data + to, data + from, 1 + below(size - last < 32 ? size - last : 32));
}

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t capacity) {
    if (size > capacity) size = capacity;
    if (size == 0) return insert(data, size, capacity);
    switch (below(7)) {
        case 0:
        case 1: data[below(size)] ^= (uint8_t)(1u << below(8)); return size;
        case 2: data[below(size)] = (uint8_t)next(); return size;
        case 3: overwrite(data, size); return size;
        case 4: copy_part(data, size); return size;
        case 5: return insert(data, size, capacity);
        default: return below(4) ? erase(data, size) : below(size);
    }
}

static size_t change(uint8_t *data, size_t size) {
    for (size_t i = 1 + below(3); i > 0; i--)
        size = LLVMFuzzerCustomMutator && below(2)
                   ? LLVMFuzzerCustomMutator(data, size, CAPACITY, (unsigned)next())
                   : LLVMFuzzerMutate(data, size, CAPACITY);
    return size;
}

/* ---- files ---- */

static char *files[FILES_MAX];
static int file_count;

static void add_file(const char *folder, const char *name) {
    if (file_count == FILES_MAX) return;
    char *path = malloc(strlen(folder) + strlen(name) + 2);
    if (!path) abort();
    sprintf(path, "%s%s%s", folder, *name ? "/" : "", name);
    files[file_count++] = path;
}

static void add(const char *path) {
    DIR *folder = opendir(path);
    if (!folder) {
        if (access(path, R_OK) == 0) add_file(path, "");
        return;
    }
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.') add_file(path, entry->d_name);
    closedir(folder);
}

static int compare(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static void replay(const char *path, long mutations) {
    static uint8_t bytes[CAPACITY], changed[CAPACITY];
    FILE *file = fopen(path, "rb");
    if (!file) {
        fprintf(stderr, "replay: cannot read %s\n", path);
        exit(1);
    }
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    run(bytes, size, path, 0);
    for (long i = 1; i <= mutations; i++) {
        state = (uint64_t)i;
        memcpy(changed, bytes, size);
        run(changed, change(changed, size), path, i);
    }
}

int main(int argc, char **argv) {
    long mutations = 0;
    int i = 1;
    for (; i + 1 < argc && strncmp(argv[i], "--", 2) == 0; i += 2) {
        if (strcmp(argv[i], "--mutations") == 0) mutations = atol(argv[i + 1]);
        else if (strcmp(argv[i], "--save") == 0) save_path = argv[i + 1];
    }
    for (; i < argc; i++) add(argv[i]);
    qsort(files, (size_t)file_count, sizeof *files, compare);
    signal(SIGABRT, failed);
    signal(SIGSEGV, failed);
    signal(SIGFPE, failed);
    signal(SIGBUS, failed);
    const long each = file_count ? (mutations + file_count - 1) / file_count : 0;
    for (int k = 0; k < file_count; k++) {
        replay(files[k], each);
        free(files[k]);
    }
    printf("%d files, %ld changed copies\n", file_count, each * file_count);
    return 0;
}
