/* SPDX-License-Identifier: MIT */
/* See grids.h. */
#include "report/grids.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "console/base64.h"

static const long long bytes_max = 6LL << 20, total_max = 12LL << 20;
static const char prefix[] = "samples-", suffix[] = ".png";

static int fail(char *error, size_t capacity, const char *path, const char *reason) {
    snprintf(error, capacity, "%s: %s", path, reason);
    return 1;
}

/* Whether `name` is samples-STEP.png with a step of 1 to 18 digits. */
static int parse_name(const char *name, uint64_t *step) {
    if (strncmp(name, prefix, sizeof prefix - 1) != 0) return 0;
    const char *number = name + sizeof prefix - 1;
    const size_t digits = strspn(number, "0123456789");
    if (digits < 1 || digits > 18 || strcmp(number + digits, suffix) != 0) return 0;
    *step = strtoull(number, NULL, 10);
    return 1;
}

/* Whether the first bytes are those of a PNG file (PNG specification, section 5.2). */
static int is_png(const char *path) {
    static const unsigned char signature[8] = {137, 'P', 'N', 'G', '\r', '\n', 26, '\n'};
    unsigned char start[8];
    FILE *file = fopen(path, "rb");
    if (!file) return 0;
    const int same =
        fread(start, 1, sizeof start, file) == sizeof start && !memcmp(start, signature, 8);
    (void)fclose(file); /* which was only read */
    return same;
}

/* ---- all grids of the folder ---- */

typedef struct file_list {
    grid_file *file; /* [count] */
    size_t count, capacity;
} file_list;

static int list_add(file_list *list, const grid_file *file) {
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 64;
        grid_file *larger = realloc(list->file, capacity * sizeof *larger);
        if (!larger) return 1;
        list->file = larger;
        list->capacity = capacity;
    }
    list->file[list->count++] = *file;
    return 0;
}

static int by_step(const void *one, const void *other) {
    const uint64_t a = ((const grid_file *)one)->step, b = ((const grid_file *)other)->step;
    return (a > b) - (a < b);
}

static int is_grid(const struct dirent *entry) {
    uint64_t step;
    return parse_name(entry->d_name, &step);
}

/* Adds the file if it can be shown. 1: out of memory. */
static int list_check(file_list *list, const char *folder, const char *name) {
    grid_file file = {.step = 0};
    char path[OUTPUT_PATH_SIZE];
    struct stat is;
    if (!parse_name(name, &file.step)) return 0;
    snprintf(file.name, sizeof file.name, "%.63s", name);
    if (snprintf(path, sizeof path, "%s/%s", folder, file.name) >= (int)sizeof path) return 0;
    if (stat(path, &is) || !S_ISREG(is.st_mode) || is.st_size > bytes_max || !is_png(path))
        return 0;
    file.bytes = (long long)is.st_size;
    return list_add(list, &file);
}

/* ---- the selection ---- */

/* Which of `count` files is the i-th of `keep` that are spread evenly, with both ends. */
static size_t spread(size_t i, size_t keep, size_t count) {
    if (keep < 2) return count - 1;
    return (i * (count - 1) + (keep - 1) / 2) / (keep - 1);
}

static long long total_bytes(const file_list *list, size_t keep) {
    long long total = 0;
    for (size_t i = 0; i < keep; i++) total += list->file[spread(i, keep, list->count)].bytes;
    return total;
}

static void select_files(grids *g, const file_list *list) {
    size_t keep = list->count < GRIDS_MAX ? list->count : GRIDS_MAX;
    while (keep > 2 && total_bytes(list, keep) > total_max) keep--;
    for (size_t i = 0; i < keep; i++) g->file[i] = list->file[spread(i, keep, list->count)];
    g->count = keep;
}

int grids_find(grids *g, const char *folder, char *error, size_t capacity) {
    file_list list = {.count = 0};
    struct dirent **entry = NULL;
    int bad = 0;
    g->count = 0;
    const int entries = scandir(folder, &entry, is_grid, NULL);
    if (entries < 0) return errno == ENOENT ? 0 : fail(error, capacity, folder, strerror(errno));
    for (int i = 0; i < entries; i++) {
        bad = bad || list_check(&list, folder, entry[i]->d_name);
        free(entry[i]);
    }
    free(entry);
    if (list.count) qsort(list.file, list.count, sizeof *list.file, by_step);
    if (!bad) select_files(g, &list);
    free(list.file);
    return bad ? fail(error, capacity, folder, "out of memory") : 0;
}

int grid_print(output *o, const char *folder, const grid_file *file, char *error, size_t capacity) {
    uint8_t bytes[3 * 1024]; /* full blocks end without padding */
    char digits[4 * 1024];
    char path[OUTPUT_PATH_SIZE];
    size_t got;
    snprintf(path, sizeof path, "%s/%s", folder, file->name);
    FILE *in = fopen(path, "rb");
    if (!in) return fail(error, capacity, path, strerror(errno));
    output_print(o, "data:image/png;base64,");
    for (long long left = file->bytes; left > 0; left -= (long long)got) {
        const size_t most = left < (long long)sizeof bytes ? (size_t)left : sizeof bytes;
        got = fread(bytes, 1, most, in);
        output_write(o, digits, base64_encode(digits, bytes, got));
        if (got < most) break;
    }
    const int bad = ferror(in) ? fail(error, capacity, path, strerror(errno)) : 0;
    (void)fclose(in); /* which was only read */
    return bad;
}
