/* SPDX-License-Identifier: MIT */
/* Fuzz target: the input is a tar archive, plain or gzipped, read member by member and as a data
 * set of CIFAR-10. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>

#include "fuzz/fuzz.h"
#include "io/targz.h"

enum { LIMIT = 64 << 20, BLOCK = 512, ARCHIVE_MAX = 1 << 18, MEMBERS_MAX = 10000 };

/* ---- the mutator ---- */

/* Sets the checksum of each header right again, as far as the sizes lead. */
static void fix_checksums(uint8_t *tar, size_t size) {
    size_t at = 0;
    while (size - at >= BLOCK) {
        uint8_t *header = tar + at;
        char digits[13] = "";
        unsigned sum = 0;
        memcpy(digits, header + 124, 12);
        const unsigned long long bytes = strtoull(digits, NULL, 8);
        memset(header + 148, ' ', 8);
        for (int i = 0; i < BLOCK; i++) sum += header[i];
        if (sum > 8 * ' ') snprintf((char *)header + 148, 8, "%06o", sum & 0777777);
        else memset(header + 148, 0, 8); /* a block of zeros marks the end */
        at += BLOCK;
        if (bytes > size - at) return;
        at += (size_t)(bytes + BLOCK - 1) / BLOCK * BLOCK;
        if (at > size) return;
    }
}

/* Decompresses, as far as possible; returns the number of bytes. */
static size_t unzip(const uint8_t *data, size_t size, uint8_t *out) {
    z_stream z = {.next_in = (Bytef *)data, .avail_in = (uInt)size, .next_out = out};
    z.avail_out = ARCHIVE_MAX;
    FUZZ_CHECK(inflateInit2(&z, 16 + MAX_WBITS) == Z_OK);
    inflate(&z, Z_FINISH);
    const size_t got = ARCHIVE_MAX - z.avail_out;
    inflateEnd(&z);
    return got;
}

/* Compresses, if the result fits; else returns 0. */
static size_t zip(const uint8_t *tar, size_t tar_size, uint8_t *out, size_t capacity) {
    z_stream z = {.next_in = (Bytef *)tar, .avail_in = (uInt)tar_size, .next_out = out};
    z.avail_out = (uInt)capacity;
    FUZZ_CHECK(deflateInit2(&z, 1, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    const int end = deflate(&z, Z_FINISH);
    const size_t made = capacity - z.avail_out;
    deflateEnd(&z);
    return end == Z_STREAM_END ? made : 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t capacity, unsigned seed) {
    static uint8_t tar[ARCHIVE_MAX], packed[ARCHIVE_MAX];
    if (seed % 3 == 0) return LLVMFuzzerMutate(data, size, capacity);
    if (size < 2 || data[0] != 0x1f || data[1] != 0x8b) {
        size = LLVMFuzzerMutate(data, size, capacity);
        fix_checksums(data, size);
        return size;
    }
    size_t tar_size = unzip(data, size, tar);
    tar_size = LLVMFuzzerMutate(tar, tar_size, ARCHIVE_MAX);
    fix_checksums(tar, tar_size);
    const size_t made = zip(tar, tar_size, packed, capacity < ARCHIVE_MAX ? capacity : ARCHIVE_MAX);
    memcpy(data, packed, made);
    return made ? made : LLVMFuzzerMutate(data, size, capacity);
}

/* ---- the target ---- */

static dmi_host host = {.limit = LIMIT};

static bool works(int32_t status) {
    FUZZ_CHECK(status <= DMI_OK && status > DMI_ERROR_INTERNAL);
    FUZZ_CHECK(!status || host.error[0] != 0);
    return status == DMI_OK;
}

/* Reads a part of each member that depends on its size. */
static void read_members(const char *path) {
    static uint8_t bytes[4096];
    dmi_targz *tar;
    dmi_targz_member member;
    bool found = true;
    const bool opened = works(dmi_targz_open(&host, &tar, path));
    FUZZ_CHECK(opened == (tar != NULL));
    for (int i = 0; tar && i < MEMBERS_MAX; i++) {
        if (!works(dmi_targz_next(&host, tar, &member, &found))) break;
        if (!found) {
            FUZZ_CHECK(works(dmi_targz_next(&host, tar, &member, &found)) && !found);
            break;
        }
        FUZZ_CHECK(strlen(member.name) <= 1 << 16);
        size_t part = (size_t)(member.size % 5 * member.size / 4);
        if (part > sizeof bytes) part = sizeof bytes;
        const bool whole = works(dmi_targz_read(&host, tar, bytes, part));
        FUZZ_CHECK(!whole || part <= member.size);
        if (!whole) break;
    }
    dmi_targz_close(&host, tar);
    FUZZ_CHECK(host.used == 0);
}

static void load(dm_context *context, const char *path, dm_split split) {
    dm_dataset *dataset;
    dm_dataset_info info;
    uint8_t pixels[32 * 32 * 3];
    int32_t label;
    const dm_status status = dm_dataset_load_cifar10(&dataset, context, path, split);
    if (!fuzz_created(context, status, dataset)) return;
    FUZZ_CHECK(!dm_dataset_info_init(&info, sizeof info));
    FUZZ_CHECK(!dm_dataset_get_info(dataset, &info) && info.count > 0 && info.classes == 10);
    FUZZ_CHECK(!dm_dataset_get_image(dataset, info.count - 1, pixels, sizeof pixels, &label));
    FUZZ_CHECK(label >= 0 && label < 10);
    dm_dataset_destroy(dataset);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static dm_context *context;
    static int file = -1;
    static char path[64];
    if (!context) {
        context = fuzz_context(LIMIT);
        file = memfd_create("archive", MFD_CLOEXEC);
        FUZZ_CHECK(file >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", file);
    }
    const uint64_t used = fuzz_used(context);
    FUZZ_CHECK(ftruncate(file, (off_t)size) == 0);
    FUZZ_CHECK(pwrite(file, data, size, 0) == (ssize_t)size);
    read_members(path);
    load(context, path, DM_SPLIT_TRAIN);
    load(context, path, DM_SPLIT_TEST);
    FUZZ_CHECK(fuzz_used(context) == used);
    return 0;
}
