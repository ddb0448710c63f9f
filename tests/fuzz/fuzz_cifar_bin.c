/* SPDX-License-Identifier: MIT */
/* Fuzz target: a folder with files of CIFAR-10. The input says which files there are and how long
 * they are, and gives their bytes:
 *
 *     byte 0   bits 0 to 4: data_batch_1.bin to data_batch_5.bin, bit 5: test_batch.bin,
 *              bit 6: in the folder cifar-10-batches-bin, bit 7: data_batch_1 exists
 *     for each file: a byte, its records, and a signed byte, the bytes it is longer
 *     the rest: the bytes of the files, repeated */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz/fuzz.h"

enum { LIMIT = 16 << 20, FILES = 6, RECORD = 3073, RECORDS_MAX = 4, INNER = 64, PYTHON = 128 };

static const char *const names[FILES] = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                                         "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"};
static char folder[200], inner[256];

static void remove_folder(void) { rmdir(folder); }

static void make_folder(void) {
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/fuzz_cifar_XXXXXX", base ? base : "/tmp");
    FUZZ_CHECK(mkdtemp(folder) != NULL);
    snprintf(inner, sizeof inner, "%s/cifar-10-batches-bin", folder);
    atexit(remove_folder);
}

static void write_file(const char *in, const char *name, const uint8_t *bytes, size_t size) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", in, name);
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    FUZZ_CHECK(file >= 0);
    FUZZ_CHECK(write(file, bytes, size) == (ssize_t)size);
    close(file);
}

static void remove_file(const char *in, const char *name) {
    char path[512];
    snprintf(path, sizeof path, "%s/%s", in, name);
    unlink(path);
}

static void check_images(const dm_dataset *dataset) {
    dm_dataset_info info;
    uint8_t pixels[32 * 32 * 3];
    int32_t label;
    FUZZ_CHECK(!dm_dataset_info_init(&info, sizeof info));
    FUZZ_CHECK(!dm_dataset_get_info(dataset, &info));
    FUZZ_CHECK(info.count > 0 && info.count <= (uint64_t)FILES * RECORDS_MAX);
    FUZZ_CHECK(info.height == 32 && info.width == 32 && info.channels == 3);
    for (uint64_t i = 0; i < info.count; i++) {
        FUZZ_CHECK(!dm_dataset_get_image(dataset, i, pixels, sizeof pixels, &label));
        FUZZ_CHECK(label >= 0 && label < 10 && dm_dataset_class_name(dataset, label));
    }
    FUZZ_CHECK(dm_dataset_get_image(dataset, info.count, pixels, sizeof pixels, &label) ==
               DM_ERROR_NOT_FOUND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static dm_context *context;
    static uint8_t bytes[(RECORDS_MAX + 1) * RECORD];
    if (!context) {
        context = fuzz_context(LIMIT);
        make_folder();
    }
    fuzz_input in = {data, size};
    const uint64_t used = fuzz_used(context);
    const unsigned present = fuzz_u8(&in);
    const char *where = present & INNER ? inner : folder;
    if (present & INNER) FUZZ_CHECK(mkdir(inner, 0700) == 0);
    if (present & PYTHON) write_file(where, "data_batch_1", data, 1);
    size_t sizes[FILES] = {0};
    for (int i = 0; i < FILES; i++) {
        if (!(present >> i & 1)) continue;
        const long records = fuzz_u8(&in) % (RECORDS_MAX + 1), more = (int8_t)fuzz_u8(&in);
        const long length = records * RECORD + more;
        sizes[i] = length > 0 ? (size_t)length : 0;
    }
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = in.left ? in.at[i % in.left] : 0;
    for (int i = 0; i < FILES; i++)
        if (present >> i & 1) write_file(where, names[i], bytes, sizes[i]);

    for (dm_split split = DM_SPLIT_TRAIN; split <= DM_SPLIT_TEST; split++) {
        dm_dataset *dataset;
        const dm_status status = dm_dataset_load_cifar10(&dataset, context, folder, split);
        if (fuzz_created(context, status, dataset)) check_images(dataset);
        dm_dataset_destroy(dataset);
    }
    for (int i = 0; i < FILES; i++)
        if (present >> i & 1) remove_file(where, names[i]);
    if (present & PYTHON) remove_file(where, "data_batch_1");
    if (present & INNER) rmdir(inner);
    FUZZ_CHECK(fuzz_used(context) == used);
    return 0;
}
