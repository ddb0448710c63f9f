/* SPDX-License-Identifier: MIT */
/* See cifar10.h. */
#include "support/cifar10.h"

#include <zlib.h>

#include "support/support.h"

uint8_t cifar10_sample(int f, int r, int c, int p) {
    return (uint8_t)(f * 31 + r * 7 + c * 85 + p);
}

void cifar10_records(uint8_t *bytes, int f, int count) {
    for (int r = 0; r < count; r++, bytes += CIFAR10_RECORD) {
        bytes[0] = (uint8_t)((f + r) % 10);
        for (int c = 0; c < 3; c++)
            for (int p = 0; p < 1024; p++) bytes[1 + c * 1024 + p] = cifar10_sample(f, r, c, p);
    }
}

static size_t member_size(const cifar10_member *m) {
    return m->text != NULL ? strlen(m->text) : (size_t)m->records * CIFAR10_RECORD;
}

static uint8_t *member_bytes(const cifar10_member *m, int file) {
    uint8_t *bytes = calloc(1, member_size(m) + 1);
    if (m->text != NULL) memcpy(bytes, m->text, strlen(m->text));
    else cifar10_records(bytes, file, m->records);
    return bytes;
}

void cifar10_tar_header(uint8_t header[512], const char *name, size_t size) {
    memset(header, 0, 512);
    snprintf((char *)header, 100, "%s", name);
    snprintf((char *)header + 100, 8, "%07o", 0644);
    snprintf((char *)header + 124, 12, "%011o", (unsigned)size);
    header[156] = '0';
    memcpy(header + 257,
           "ustar\0"
           "00",
           8);
    memset(header + 148, ' ', 8);
    unsigned sum = 0;
    for (int i = 0; i < 512; i++) sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum);
}

void cifar10_write_archive(const char *path, const char *mode, const cifar10_member *members,
                           int count) {
    static const uint8_t zeros[1024];
    gzFile file = gzopen(path, mode);
    ck_assert_ptr_nonnull(file);
    for (int i = 0; i < count; i++) {
        uint8_t header[512], *bytes = member_bytes(&members[i], i);
        const size_t size = member_size(&members[i]), padding = (512 - size % 512) % 512;
        cifar10_tar_header(header, members[i].name, size);
        ck_assert_int_eq(gzwrite(file, header, 512), 512);
        if (size > 0) ck_assert_int_eq(gzwrite(file, bytes, (unsigned)size), (int)size);
        if (padding > 0) ck_assert_int_eq(gzwrite(file, zeros, (unsigned)padding), (int)padding);
        free(bytes);
    }
    ck_assert_int_eq(gzwrite(file, zeros, 1024), 1024);
    ck_assert_int_eq(gzclose(file), Z_OK);
}

void cifar10_write_folder(const char *folder, const cifar10_member *members, int count) {
    for (int i = 0; i < count; i++) {
        char path[400];
        uint8_t *bytes = member_bytes(&members[i], i);
        snprintf(path, sizeof path, "%s/%s", folder, members[i].name);
        FILE *file = fopen(path, "wb");
        ck_assert_ptr_nonnull(file);
        ck_assert_uint_eq(fwrite(bytes, 1, member_size(&members[i]), file),
                          member_size(&members[i]));
        fclose(file);
        free(bytes);
    }
}
