/* SPDX-License-Identifier: MIT */
/* See listing.h. */
#include "data/listing.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command/files.h"
#include "console/output.h"
#include "picture/read.h"

enum { PATH_SIZE = 4096, DEPTH_MAX = 32 };

/* A walk through the folder. */
typedef struct walk {
    listing *out;
    const char *conditions;
    size_t root; /* bytes of the folder's name and the slash after it */
    char *error;
    size_t capacity;
} walk;

static int fail(const walk *w, const char *what, const char *why) {
    snprintf(w->error, w->capacity, "%s: %s", what, why);
    return 1;
}

/* Finds the file in the folder of conditions with the same name but perhaps another suffix. 0, or 1
 * after a failure; p->condition stays NULL where there is none. */
static int find_condition(const walk *w, const char *relative, listed_picture *p) {
    static const char *const suffixes[] = {"", ".png", ".jpg", ".jpeg", ".PNG", ".JPG", ".JPEG"};
    const char *dot = strrchr(relative, '.');
    char path[PATH_SIZE];
    struct stat is;
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        int length = i && dot ? (int)(dot - relative) : (int)strlen(relative);
        if (snprintf(path, sizeof path, "%s/%.*s%s", w->conditions, length, relative,
                     suffixes[i]) >= (int)sizeof path)
            return 0;
        if (stat(path, &is) || !S_ISREG(is.st_mode)) continue;
        p->condition_bytes = (int64_t)is.st_size;
        p->condition = strdup(path);
        return p->condition ? 0 : fail(w, "pictures", "out of memory");
    }
    return 0;
}

static int grow(const walk *w) {
    listing *l = w->out;
    if (l->count < l->capacity) return 0;
    size_t capacity = l->capacity ? 2 * l->capacity : 1024;
    listed_picture *pictures = realloc(l->pictures, capacity * sizeof *pictures);
    if (!pictures) return fail(w, "pictures", "out of memory");
    l->pictures = pictures;
    l->capacity = capacity;
    return 0;
}

static int add_picture(const walk *w, const char *path, int64_t bytes, int32_t label) {
    listing *l = w->out;
    picture_info info;
    char reason[256];
    listed_picture p = {.bytes = bytes, .label = label};
    if (picture_probe(&info, path, reason, sizeof reason)) {
        if (!l->unreadable++)
            snprintf(l->first_unreadable, sizeof l->first_unreadable, "%s", reason);
        return 0;
    }
    if (w->conditions) {
        if (find_condition(w, path + w->root, &p)) return 1;
        if (!p.condition) {
            l->unpaired++;
            return 0;
        }
    }
    p.height = info.height;
    p.width = info.width;
    p.channels = info.channels;
    p.path = strdup(path);
    if (!p.path || grow(w)) {
        free(p.path);
        free(p.condition);
        return fail(w, "pictures", "out of memory");
    }
    p.relative = p.path + w->root;
    l->pictures[l->count++] = p;
    return 0;
}

/* A class has the name of its folder. */
static int add_class(const walk *w, const char *folder, const char *name) {
    listing *l = w->out;
    if (!is_printable(name))
        return fail(w, folder, "the name of a class must be UTF-8 without control characters");
    char **classes = realloc(l->classes, (l->class_count + 1) * sizeof *classes);
    if (!classes) return fail(w, "classes", "out of memory");
    l->classes = classes;
    classes[l->class_count] = strdup(name);
    if (!classes[l->class_count]) return fail(w, "classes", "out of memory");
    l->class_count++;
    return 0;
}

static int read_folder(const walk *w, const char *folder, int32_t label, int depth);

/* A folder at the top is a class if there is a picture in it. */
static int read_class(const walk *w, const char *folder, const char *name) {
    size_t before = w->out->count;
    if (read_folder(w, folder, (int32_t)w->out->class_count, 1)) return 1;
    return w->out->count > before ? add_class(w, folder, name) : 0;
}

/* Whether a folder is that of a run, whose grids of samples are no data. */
static int has_run(const char *folder) {
    return folder_has(folder, "checkpoint.safetensors") ||
           (folder_has(folder, "settings.txt") && folder_has(folder, "loss.csv"));
}

static int read_entry(const walk *w, const char *folder, const char *name, int32_t label,
                      int depth) {
    char path[PATH_SIZE];
    struct stat is;
    if (name[0] == '.') return 0;
    if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
        return fail(w, name, strerror(ENAMETOOLONG));
    if (stat(path, &is)) return 0; /* a link to nowhere, or a file that was just removed */
    if (S_ISDIR(is.st_mode)) {
        if (has_run(path)) {
            if (!w->out->runs++)
                snprintf(w->out->first_run, sizeof w->out->first_run, "%.500s", path);
            return 0;
        }
        if (depth >= DEPTH_MAX) return fail(w, path, "the folders are nested too deeply");
        return depth ? read_folder(w, path, label, depth + 1) : read_class(w, path, name);
    }
    if (S_ISREG(is.st_mode) && picture_is_named(name))
        return add_picture(w, path, (int64_t)is.st_size, label);
    if (!w->out->other_files++)
        snprintf(w->out->first_other, sizeof w->out->first_other, "%.500s", path);
    return 0;
}

static int read_folder(const walk *w, const char *folder, int32_t label, int depth) {
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort), bad = 0;
    if (count < 0) return fail(w, folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        if (!bad) bad = read_entry(w, folder, entries[i]->d_name, label, depth);
        free(entries[i]);
    }
    free(entries);
    return bad;
}

/* alphasort follows the locale, which the program leaves at "C"; still, the order of the whole list
 * is set here. */
static int by_name(const void *a, const void *b) {
    const listed_picture *p = a, *q = b;
    return strcmp(p->relative, q->relative);
}

static void drop_single_class(listing *l) {
    int has_none = 0;
    for (size_t i = 0; i < l->count; i++) has_none |= l->pictures[i].label < 0;
    if (l->class_count != 1 || has_none) return;
    free(l->classes[0]);
    l->class_count = 0;
    for (size_t i = 0; i < l->count; i++) l->pictures[i].label = -1;
}

int listing_read(listing *out, const char *folder, const char *conditions, char *error,
                 size_t capacity) {
    char root[PATH_SIZE];
    struct stat is;
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') length--;
    *out = (listing){0};
    walk w = {out, conditions, length + 1, error, capacity};
    if (length >= sizeof root) return fail(&w, "the folder", strerror(ENAMETOOLONG));
    memcpy(root, folder, length);
    root[length] = 0;
    if (conditions && stat(conditions, &is)) return fail(&w, conditions, strerror(errno));
    if (conditions && !S_ISDIR(is.st_mode)) return fail(&w, conditions, strerror(ENOTDIR));
    if (read_folder(&w, root, -1, 0)) {
        listing_free(out);
        return 1;
    }
    if (out->count) qsort(out->pictures, out->count, sizeof *out->pictures, by_name);
    drop_single_class(out);
    return 0;
}

void listing_free(listing *l) {
    for (size_t i = 0; i < l->count; i++) {
        free(l->pictures[i].path);
        free(l->pictures[i].condition);
    }
    for (size_t i = 0; i < l->class_count; i++) free(l->classes[i]);
    free(l->pictures);
    free(l->classes);
    *l = (listing){0};
}

/* FNV-1a. */
static uint64_t hash(uint64_t h, const void *bytes, size_t size) {
    const uint8_t *at = bytes;
    for (size_t i = 0; i < size; i++) h = (h ^ at[i]) * UINT64_C(0x100000001b3);
    return h;
}

/* The same on every machine. */
static uint64_t hash_size(uint64_t h, int64_t bytes) {
    uint8_t size[8];
    for (int k = 0; k < 8; k++) size[k] = (uint8_t)((uint64_t)bytes >> 8 * k);
    return hash(h, size, sizeof size);
}

uint64_t listing_fingerprint(const listing *l) {
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < l->count; i++) {
        const listed_picture *p = &l->pictures[i];
        h = hash_size(hash(h, p->relative, strlen(p->relative) + 1), p->bytes);
        if (p->condition) h = hash_size(h, p->condition_bytes);
    }
    return h ? h : 1;
}
