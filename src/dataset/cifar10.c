/* SPDX-License-Identifier: MIT */
/* The binary version of CIFAR-10, from the published archive or from a folder. A record is a label
 * and 32 x 32 pixels in three planes; in memory an image is [32, 32, 3], and the images of one file
 * are one block. */
#include <stdio.h>
#include <string.h>

#include "base/system.h"
#include "dataset/dataset.h"
#include "io/file.h"
#include "io/targz.h"

enum {
    SIDE = 32,
    PLANE = SIDE * SIDE,
    IMAGE = 3 * PLANE,
    RECORD = 1 + IMAGE,
    BATCHES = 5,           /* data_batch_1.bin to data_batch_5.bin */
    RECORDS_AT_ONCE = 64,  /* read from an archive */
    RECORDS_USUAL = 10000, /* in a file */
    PATH_SIZE = 4096
};

static const char *const names[10] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                      "dog",      "frog",       "horse", "ship", "truck"};

/* The images of one file. */
typedef struct cifar_file {
    uint64_t count;
    uint8_t *pixels;                       /* [count, 32, 32, 3]; NULL: the file is missing */
    uint8_t *labels;                       /* [count] */
    size_t pixel_capacity, label_capacity; /* records */
} cifar_file;

/* The files of a split, in the order of their numbers. */
typedef struct cifar_state {
    dm_split split;
    int32_t file_count;  /* 5, or 1 for the test split */
    bool python_version; /* a file of the pickled version was seen, a common mistake */
    cifar_file files[BATCHES];
} cifar_state;

static void file_name(char *name, size_t size, dm_split split, int32_t index) {
    if (split == DM_SPLIT_TEST) snprintf(name, size, "test_batch.bin");
    else snprintf(name, size, "data_batch_%d.bin", index + 1);
}

/* ---- one file ---- */

/* Makes room for `count` records. */
static dm_status file_reserve(dmi_host *host, cifar_file *file, uint64_t count) {
    dm_status status = dmi_reserve(host, &file->pixels, &file->pixel_capacity, (size_t)count, IMAGE,
                                   "cifar10 images");
    return status ? status
                  : dmi_reserve(host, &file->labels, &file->label_capacity, (size_t)count, 1,
                                "cifar10 labels");
}

/* Sets the number of records from the file's size. */
static dm_status file_start(dmi_host *host, cifar_file *file, const char *path, const char *name,
                            uint64_t size) {
    if (file->pixels)
        return dmi_fail(host, DM_ERROR_BAD_FORMAT, "cifar10: '%s' holds %s twice", path, name);
    if (size == 0 || size % RECORD != 0 || size > SIZE_MAX)
        return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                        "cifar10: '%s': %s has %llu bytes; it must be a multiple of %d, a label "
                        "and 32 x 32 x 3 pixels each",
                        path, name, (unsigned long long)size, RECORD);
    file->count = size / RECORD;
    return DM_OK;
}

/* Records `first` to first + count - 1 from the file's bytes. */
static dm_status file_decode(dmi_host *host, cifar_file *file, const char *path, const char *name,
                             const uint8_t *records, uint64_t first, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *record = records + i * RECORD;
        if (record[0] > 9)
            return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                            "cifar10: '%s': %s: record %llu has label %d; it must be 0 to 9", path,
                            name, (unsigned long long)(first + i), record[0]);
        file->labels[first + i] = record[0];
        uint8_t *pixels = file->pixels + (first + i) * IMAGE;
        for (int32_t p = 0; p < PLANE; p++)
            for (int32_t c = 0; c < 3; c++) pixels[p * 3 + c] = record[1 + c * PLANE + p];
    }
    return DM_OK;
}

/* ---- the archive ---- */

static dm_status read_member(dmi_host *host, dmi_targz *tar, cifar_file *file, const char *path,
                             const char *name, uint64_t size, uint8_t *records) {
    dm_status status = file_start(host, file, path, name, size);
    /* An archive may state any size, so more memory than a file usually takes is allocated only as
     * records arrive. */
    if (!status)
        status =
            file_reserve(host, file, file->count < RECORDS_USUAL ? file->count : RECORDS_USUAL);
    for (uint64_t first = 0; !status && first < file->count; first += RECORDS_AT_ONCE) {
        const uint64_t count =
            file->count - first < RECORDS_AT_ONCE ? file->count - first : RECORDS_AT_ONCE;
        status = dmi_targz_read(host, tar, records, (size_t)count * RECORD);
        if (!status) status = file_reserve(host, file, first + count);
        if (!status) status = file_decode(host, file, path, name, records, first, count);
    }
    return status;
}

static dm_status read_members(dmi_host *host, dmi_targz *tar, cifar_state *state, const char *path,
                              uint8_t *records) {
    for (;;) {
        dmi_targz_member member;
        bool found;
        dm_status status = dmi_targz_next(host, tar, &member, &found);
        if (status || !found) return status;
        const char *slash = strrchr(member.name, '/');
        const char *base = slash ? slash + 1 : member.name;
        if (strcmp(base, "data_batch_1") == 0) state->python_version = true;
        for (int32_t i = 0; i < state->file_count; i++) {
            char name[32];
            file_name(name, sizeof name, state->split, i);
            if (strcmp(base, name) != 0) continue;
            status = read_member(host, tar, &state->files[i], path, name, member.size, records);
            if (status) return status;
            break;
        }
    }
}

static dm_status read_archive(dmi_host *host, cifar_state *state, const char *path) {
    dmi_targz *tar;
    dm_status status = dmi_targz_open(host, &tar, path);
    if (status) return status;
    void *records;
    status = dmi_alloc_array(host, &records, RECORDS_AT_ONCE, RECORD, "cifar10 records");
    if (!status) status = read_members(host, tar, state, path, records);
    dmi_free(host, records);
    dmi_targz_close(host, tar);
    return status;
}

/* ---- the folder ---- */

static bool join(char *path, const char *folder, const char *name) {
    const size_t length = strlen(folder);
    const char *between = length > 0 && folder[length - 1] == '/' ? "" : "/";
    const int n = snprintf(path, PATH_SIZE, "%s%s%s", folder, between, name);
    return n > 0 && n < PATH_SIZE;
}

/* False if the path is too long, too. */
static bool exists_in(const char *folder, const char *name) {
    char path[PATH_SIZE];
    dmi_file_info info;
    return join(path, folder, name) && dmi_system_file_info(path, &info);
}

static dm_status read_folder(dmi_host *host, cifar_state *state, const char *folder) {
    char path[PATH_SIZE];
    state->python_version = exists_in(folder, "data_batch_1");
    for (int32_t i = 0; i < state->file_count; i++) {
        char name[32];
        file_name(name, sizeof name, state->split, i);
        if (!exists_in(folder, name) || !join(path, folder, name)) continue;
        uint8_t *bytes;
        size_t size;
        dm_status status = dmi_file_read(host, path, &bytes, &size);
        if (status) return status;
        cifar_file *file = &state->files[i];
        status = file_start(host, file, folder, name, size);
        if (!status) status = file_reserve(host, file, file->count);
        if (!status) status = file_decode(host, file, folder, name, bytes, 0, file->count);
        dmi_free(host, bytes);
        if (status) return status;
    }
    return DM_OK;
}

/* ---- the dataset ---- */

static dm_status read_files(dmi_host *host, cifar_state *state, const char *path) {
    dmi_file_info info;
    if (!dmi_system_file_info(path, &info) || !info.folder) return read_archive(host, state, path);
    char inner[PATH_SIZE];
    if (exists_in(path, "cifar-10-batches-bin") && join(inner, path, "cifar-10-batches-bin"))
        return read_folder(host, state, inner);
    return read_folder(host, state, path);
}

/* The files must be the first ones, without a gap. */
static dm_status check_files(dmi_host *host, const cifar_state *state, const char *path) {
    int32_t present = 0, highest = -1, missing = -1;
    for (int32_t i = 0; i < state->file_count; i++) {
        if (state->files[i].pixels) present++, highest = i;
        else if (missing < 0) missing = i;
    }
    char name[32], other[32];
    file_name(name, sizeof name, state->split, missing);
    if (present == 0 && state->python_version)
        return dmi_fail(
            host, DM_ERROR_BAD_FORMAT,
            "cifar10: '%s' is the Python version of CIFAR-10; the binary version is needed "
            "(cifar-10-binary.tar.gz)",
            path);
    if (present == 0)
        return dmi_fail(host, DM_ERROR_NOT_FOUND, "cifar10: '%s' holds no %s", path, name);
    file_name(other, sizeof other, state->split, highest);
    if (highest >= present)
        return dmi_fail(host, DM_ERROR_NOT_FOUND, "cifar10: '%s' holds %s but no %s", path, other,
                        name);
    if (present < state->file_count)
        dmi_log(host, DM_LOG_WARNING,
                "cifar10: '%s' holds %d of the %d training files; %s is the first that is missing",
                path, present, state->file_count, name);
    return DM_OK;
}

static dm_status read_image(const dm_dataset *dataset, uint64_t index, dmi_dataset_image *image) {
    const cifar_state *state = dataset->state;
    const cifar_file *file = state->files;
    while (index >= file->count) index -= file++->count;
    memcpy(image->pixels, file->pixels + index * IMAGE, IMAGE);
    image->label = file->labels[index];
    return DM_OK;
}

static void free_state(dm_dataset *dataset) {
    dmi_host *host = &dataset->context->host;
    cifar_state *state = dataset->state;
    for (int32_t i = 0; state && i < BATCHES; i++) {
        dmi_free(host, state->files[i].pixels);
        dmi_free(host, state->files[i].labels);
    }
}

static dm_status fill(dm_dataset *dataset, const char *path, dm_split split) {
    dmi_host *host = &dataset->context->host;
    dataset->free_state = free_state;
    dm_status status = dmi_alloc_zero(host, &dataset->state, 1, sizeof(cifar_state), "cifar10");
    if (status) return status;
    cifar_state *state = dataset->state;
    state->split = split;
    state->file_count = split == DM_SPLIT_TRAIN ? BATCHES : 1;
    status = read_files(host, state, path);
    if (!status) status = check_files(host, state, path);
    if (status) return status;
    for (int32_t i = 0; i < state->file_count; i++) dataset->count += state->files[i].count;
    dataset->height = dataset->width = SIDE;
    dataset->channels = 3;
    dataset->classes = 10;
    dataset->class_names = names;
    dataset->read = read_image;
    dataset->concurrent = true;
    return DM_OK;
}

static dm_status create(dm_dataset **out, dm_context *context, const char *path, dm_split split) {
    dmi_host *host = &context->host;
    if (!out || !path)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "cifar10: '%s' is NULL",
                        out ? "path" : "out");
    if (split != DM_SPLIT_TRAIN && split != DM_SPLIT_TEST)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "cifar10: 'split' is %d; it must be %d (train) or %d (test)", (int)split,
                        DM_SPLIT_TRAIN, DM_SPLIT_TEST);
    dm_dataset *dataset;
    dm_status status = dmi_dataset_new(&dataset, context);
    if (status) return status;
    status = fill(dataset, path, split);
    if (!status) status = dmi_dataset_set_fingerprint(dataset);
    if (status) {
        dmi_dataset_free(dataset);
        return status;
    }
    *out = dataset;
    return DM_OK;
}

dm_status dm_dataset_load_cifar10(dm_dataset **out, dm_context *context, const char *path,
                                  dm_split split) {
    if (out) *out = NULL;
    if (!context) return DM_ERROR_INVALID_ARGUMENT;
    if (!dmi_enter(context)) return DM_ERROR_WRONG_STATE;
    return dmi_leave(context, create(out, context, path, split));
}
