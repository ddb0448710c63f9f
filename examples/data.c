/* SPDX-License-Identifier: MIT */
/* See data.h. */
#include "data.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "image_read.h"

enum { PATH_SIZE = 4096 };

/* PNG files found, with their labels, or -1 for no class. */
typedef struct file_list {
    const char *program;
    char **paths;
    int32_t *labels;
    size_t count, capacity;
    int32_t classes;
    int out_of_memory, unreadable; /* unreadable: after printing which */
} file_list;

static int is_folder(const char *path) {
    struct stat is;
    return !stat(path, &is) && S_ISDIR(is.st_mode);
}

static int is_png_name(const char *name) {
    size_t length = strlen(name);
    return length > 4 && (!strcmp(name + length - 4, ".png") || !strcmp(name + length - 4, ".PNG"));
}

static void add_file(file_list *f, const char *path, int32_t label) {
    if (f->count == f->capacity) {
        size_t capacity = f->capacity ? 2 * f->capacity : 1024;
        char **paths = realloc(f->paths, capacity * sizeof *paths);
        if (paths) f->paths = paths;
        int32_t *labels = realloc(f->labels, capacity * sizeof *labels);
        if (labels) f->labels = labels;
        f->out_of_memory = !paths || !labels;
        if (f->out_of_memory) return;
        f->capacity = capacity;
    }
    f->paths[f->count] = strdup(path);
    f->labels[f->count] = label;
    f->out_of_memory = !f->paths[f->count];
    if (!f->out_of_memory) f->count++;
}

static void refuse(file_list *f, const char *path, int reason) {
    fprintf(stderr, "%s: %s: %s\n", f->program, path, strerror(reason));
    f->unreadable = 1;
}

/* The PNG files of a folder and, if `top`, those of the folders in it, each of which is a class.
 * Sorted by name, so that the same folder gives the same dataset everywhere. Whether the path at
 * the top is a folder at all is left to the library. */
static void find_files(file_list *f, const char *folder, int32_t label, int top) {
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    if (count < 0 && !top) refuse(f, folder, errno);
    for (int i = 0; i < count; i++) {
        char path[PATH_SIZE];
        const char *name = entries[i]->d_name;
        int fits = snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path;
        if (!fits && is_png_name(name)) refuse(f, name, ENAMETOOLONG);
        if (fits && !f->out_of_memory && !f->unreadable && name[0] != '.') {
            size_t before = f->count;
            if (!is_folder(path)) {
                if (is_png_name(name)) add_file(f, path, label);
            } else if (top) {
                find_files(f, path, f->classes, 0);
                f->classes += f->count > before;
            }
        }
        free(entries[i]);
    }
    if (count >= 0) free(entries);
}

static void free_files(file_list *f) {
    for (size_t i = 0; i < f->count; i++) free(f->paths[i]);
    free(f->paths);
    free(f->labels);
}

/* Reads all files into pixels [count, height, width, channels]. */
static int read_files(const file_list *f, const char *program, const dm_dataset_memory *m,
                      uint8_t *pixels) {
    size_t size = (size_t)(m->pixel_bytes / m->count);
    for (size_t i = 0; i < f->count; i++) {
        uint8_t *image = read_pixels(program, f->paths[i], m->height, m->width, m->channels,
                                     "the first image has");
        if (!image) return REPORTED;
        memcpy(pixels + i * size, image, size);
        free(image);
    }
    return 0;
}

static int32_t open_files(dm_dataset **out, dm_context *context, const char *program,
                          const file_list *f) {
    dm_dataset_memory m;
    dm_dataset_memory_init(&m, sizeof m);
    if (read_image_size(program, f->paths[0], &m.height, &m.width, &m.channels)) return REPORTED;
    m.copy = 1;
    m.count = f->count;
    m.pixel_bytes = m.count * (uint64_t)m.height * (uint64_t)m.width * (uint64_t)m.channels;
    if (f->classes) {
        m.labels = f->labels;
        m.label_count = m.count;
    }
    uint8_t *pixels = malloc((size_t)m.pixel_bytes);
    m.pixels = pixels;
    int32_t status = pixels ? read_files(f, program, &m, pixels) : DM_ERROR_OUT_OF_MEMORY;
    if (!status) {
        fprintf(stderr, "%zu images of %d x %d, %s, in %d classes\n", f->count, (int)m.height,
                (int)m.width, m.channels == 1 ? "grey" : "in colour", (int)f->classes);
        status = dm_dataset_create_from_memory(out, context, &m);
    }
    free(pixels);
    return status;
}

int32_t open_data(dm_dataset **out, dm_context *context, const char *program, const char *path,
                  dm_split split, builtin_data builtin) {
    *out = NULL;
    if (!strcmp(path, "builtin"))
        return dm_dataset_create_shapes(out, context, builtin.size, builtin.count, builtin.seed);
    fprintf(stderr, "reading %s\n", path);
    file_list f = {.program = program};
    find_files(&f, path, -1, 1);
    int32_t status = f.unreadable      ? REPORTED
                     : f.out_of_memory ? DM_ERROR_OUT_OF_MEMORY
                     : f.count         ? open_files(out, context, program, &f)
                                       : dm_dataset_load_cifar10(out, context, path, split);
    if (status && !f.count && !f.unreadable)
        fprintf(stderr,
                "%s: --data is 'builtin', CIFAR-10's archive or folder, or a folder of PNG files "
                "(each folder in it is a class)\n",
                program);
    free_files(&f);
    return status;
}
