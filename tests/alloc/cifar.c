/* SPDX-License-Identifier: MIT */
/* See cifar.h. */
#include "cifar.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { RECORD = 1 + 3 * 1024, RECORDS_MAX = 2, FILES = 6, BLOCK = 512, LONG_PATH = 400 };

static const char inner[] = "cifar-10-batches-bin";

static void file_name(char name[32], int32_t index) {
    if (index == 5) strcpy(name, "test_batch.bin");
    else snprintf(name, 32, "data_batch_%d.bin", (int)index + 1);
}

/* File `index`, of one or two records; returns its size. */
static size_t records(uint8_t *bytes, int32_t index, cifar_kind kind) {
    const int32_t count = 1 + index % RECORDS_MAX;
    for (int32_t r = 0; r < count; r++, bytes += RECORD) {
        bytes[0] = (uint8_t)((index + r) % 10);
        for (int32_t i = 1; i < RECORD; i++) bytes[i] = (uint8_t)(i * 7 + index * 31 + r);
    }
    if (kind == CIFAR_LABEL && index == 2) bytes[-RECORD] = 10;
    return (size_t)count * RECORD - (kind == CIFAR_SIZE && index == 2);
}

static void make_folder(const world *w, const char *path) {
    world_require(w, mkdir(path, 0777) == 0 || access(path, F_OK) == 0, path);
}

static void write_folder(const world *w, cifar_kind kind) {
    char folder[LONG_PATH], path[LONG_PATH + 64], name[32];
    uint8_t bytes[RECORDS_MAX * RECORD];
    snprintf(folder, sizeof folder, "%s", w->path);
    make_folder(w, folder);
    if (kind == CIFAR_FOLDER_INSIDE) {
        snprintf(folder, sizeof folder, "%s/%s", w->path, inner);
        make_folder(w, folder);
    }
    for (int32_t i = 0; i < FILES; i++) {
        if (kind == CIFAR_MISSING && i == 3) continue;
        file_name(name, i);
        snprintf(path, sizeof path, "%s/%s", folder, name);
        world_write_file(w, path, bytes, records(bytes, i, kind));
    }
}

static void tar_header(uint8_t header[BLOCK], const char *name, size_t size) {
    memset(header, 0, BLOCK);
    snprintf((char *)header, 100, "%s/%s", inner, name);
    snprintf((char *)header + 100, 8, "%07o", 0644);
    snprintf((char *)header + 124, 12, "%011o", (unsigned)size);
    header[156] = '0';
    memcpy(header + 257, "ustar\00000", 8);
    memset(header + 148, ' ', 8);
    unsigned sum = 0;
    for (int32_t i = 0; i < BLOCK; i++) sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum);
}

static void write_archive(const world *w, cifar_kind kind) {
    static const uint8_t zeros[2 * BLOCK];
    uint8_t header[BLOCK], bytes[RECORDS_MAX * RECORD];
    char name[32];
    gzFile file = gzopen(w->path, kind == CIFAR_TAR || kind == CIFAR_HEADER ? "wbT" : "wb");
    world_require(w, file != NULL, w->path);
    for (int32_t i = 0; i < FILES; i++) {
        const size_t size = records(bytes, i, kind), padding = (BLOCK - size % BLOCK) % BLOCK;
        file_name(name, i);
        tar_header(header, name, size);
        if (kind == CIFAR_HEADER && i == 2) header[3]++;
        gzwrite(file, header, BLOCK);
        gzwrite(file, bytes, (unsigned)size);
        if (padding) gzwrite(file, zeros, (unsigned)padding);
    }
    gzwrite(file, zeros, sizeof zeros);
    world_require(w, gzclose(file) == Z_OK, w->path);
}

static void damage(world *w, cifar_kind kind) {
    world_read_file(w, w->path);
    uint8_t *bytes = w->bytes;
    if (kind == CIFAR_DAMAGED) memset(bytes + w->size / 2, 0xff, 20);
    if (kind == CIFAR_CHECKSUM) bytes[w->size - 6] ^= 1;
    world_write_file(w, w->path, bytes, kind == CIFAR_CUT ? w->size / 2 : w->size);
}

void cifar_write(world *w, cifar_kind kind) {
    if (kind == CIFAR_ABSENT) return;
    if (kind == CIFAR_TEXT) {
        world_write_file(w, w->path, "no archive\n", 11);
        return;
    }
    if (kind == CIFAR_TAR || kind == CIFAR_TARGZ || kind >= CIFAR_CUT) write_archive(w, kind);
    else write_folder(w, kind);
    if (kind >= CIFAR_CUT && kind <= CIFAR_CHECKSUM) damage(w, kind);
}
