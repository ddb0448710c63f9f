/* See data.h. */
#include "data.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "picture_read.h"

enum { PATH_MOST = 4096 };

/* PNGs found, with their labels; -1: in no class. */
typedef struct found {
    char **paths;
    int32_t *labels;
    size_t count, room;
    int32_t classes;
    int failed; /* out of memory */
} found;

static int is_folder(const char *path) {
    struct stat is;
    return !stat(path, &is) && S_ISDIR(is.st_mode);
}

static int is_png_name(const char *name) {
    size_t length = strlen(name);
    return length > 4 && (!strcmp(name + length - 4, ".png") || !strcmp(name + length - 4, ".PNG"));
}

static void add(found *f, const char *path, int32_t label) {
    if (f->count == f->room) {
        size_t room = f->room ? 2 * f->room : 1024;
        char **paths = realloc(f->paths, room * sizeof *paths);
        if (paths) f->paths = paths;
        int32_t *labels = realloc(f->labels, room * sizeof *labels);
        if (labels) f->labels = labels;
        f->failed = !paths || !labels;
        if (f->failed) return;
        f->room = room;
    }
    f->paths[f->count] = strdup(path);
    f->labels[f->count] = label;
    f->failed = !f->paths[f->count];
    if (!f->failed) f->count++;
}

/* The PNGs of a folder, and where `deeper` those of the folders in it, of which each is a class. By
 * name, so that the same folder is the same dataset everywhere. */
static void search(found *f, const char *folder, int32_t label, int deeper) {
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char path[PATH_MOST];
        const char *name = entries[i]->d_name;
        int fits = snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path;
        if (fits && !f->failed && name[0] != '.') {
            size_t before = f->count;
            if (!is_folder(path)) {
                if (is_png_name(name)) add(f, path, label);
            } else if (deeper) {
                search(f, path, f->classes, 0);
                f->classes += f->count > before;
            }
        }
        free(entries[i]);
    }
    if (count >= 0) free(entries);
}

static void forget(found *f) {
    for (size_t i = 0; i < f->count; i++) free(f->paths[i]);
    free(f->paths);
    free(f->labels);
}

/* All of them, of the first one's size. */
static int32_t read_all(data_source *data, dm_context *context, const char *program,
                        const found *f) {
    int32_t height, width, channels;
    if (picture_size(program, f->paths[0], &height, &width, &channels)) return DATA_TOLD;
    size_t each = (size_t)height * (size_t)width * (size_t)channels;
    data->pixels = calloc(f->count, each);
    data->labels = malloc(f->count * sizeof *data->labels);
    if (!data->pixels || !data->labels) return DM_ERROR_OUT_OF_MEMORY;
    memcpy(data->labels, f->labels, f->count * sizeof *data->labels);
    for (size_t i = 0; i < f->count; i++) {
        uint8_t *pixels =
            read_pixels(program, f->paths[i], height, width, channels, "the first picture is");
        if (!pixels) return DATA_TOLD;
        memcpy(data->pixels + i * each, pixels, each);
        free(pixels);
    }
    fprintf(stderr, "%zu pictures of %d x %d, %s, in %d classes\n", f->count, (int)height,
            (int)width, channels == 1 ? "grey" : "in colour", (int)f->classes);
    return dm_dataset_from_memory(&data->dataset, context, data->pixels,
                                  f->classes ? data->labels : NULL, f->count, height, width,
                                  channels);
}

int32_t data_open(data_source *data, dm_context *context, const char *program, const char *path,
                  int32_t split, builtin_data builtin) {
    *data = (data_source){0};
    if (!strcmp(path, "builtin"))
        return dm_dataset_open_builtin(&data->dataset, context, builtin.size, builtin.count,
                                       builtin.seed);
    fprintf(stderr, "reading %s\n", path);
    found f = {0};
    search(&f, path, -1, 1);
    int32_t status = f.failed  ? DM_ERROR_OUT_OF_MEMORY
                     : f.count ? read_all(data, context, program, &f)
                               : dm_dataset_open_cifar10(&data->dataset, context, path, split);
    if (status && !f.count)
        fprintf(stderr,
                "%s: --data takes builtin, CIFAR-10's archive or folder, or a folder of PNGs (of "
                "folders: a class each)\n",
                program);
    forget(&f);
    return status;
}

void data_close(data_source *data) {
    dm_dataset_destroy(data->dataset);
    free(data->pixels);
    free(data->labels);
}
