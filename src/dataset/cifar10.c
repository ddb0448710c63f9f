/* CIFAR-10's binary version, from the archive as it is published or from a folder. A record is a
 * label and 32 x 32 pixels in three planes; it is kept as [32, 32, 3], in one block for each file
 * that it came from. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "dataset/dataset.h"
#include "io/file.h"
#include "io/targz.h"

enum {
    SIDE = 32,
    PLANE = SIDE * SIDE,
    PICTURE = 3 * PLANE,
    RECORD = 1 + PICTURE,
    BATCHES = 5,  /* data_batch_1.bin to data_batch_5.bin */
    AT_ONCE = 64, /* records read from an archive in one go */
    PATH_SIZE = 4096
};

const char *const dmi_cifar10_names[10] = {"airplane", "automobile", "bird",  "cat",  "deer",
                                           "dog",      "frog",       "horse", "ship", "truck"};

/* The pictures of one file. */
typedef struct cifar_part {
    uint64_t count;
    uint8_t *pixels; /* [count, 32, 32, 3]; NULL: the file is not there */
    uint8_t *labels; /* [count] */
} cifar_part;

/* A split: its file names are those that it looks for, its parts what it found, in the order of
 * their numbers. */
typedef struct cifar_state {
    int32_t split;
    int32_t part_count;  /* 5, or 1 for the test split */
    bool python_version; /* a file of the pickled version was seen, which is the usual mistake */
    cifar_part parts[BATCHES];
} cifar_state;

static void part_name(char *name, size_t size, int32_t split, int32_t part) {
    if (split == DM_SPLIT_TEST) snprintf(name, size, "test_batch.bin");
    else snprintf(name, size, "data_batch_%d.bin", part + 1);
}

/* ---- one file ---- */

static int32_t part_start(dmi_host *host, cifar_part *part, const char *path, const char *name,
                          uint64_t size) {
    if (part->pixels != NULL)
        return dmi_fail(host, DM_ERROR_BAD_FORMAT, "cifar10: '%s' holds %s twice", path, name);
    if (size == 0 || size % RECORD != 0 || size > SIZE_MAX)
        return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                        "cifar10: '%s': %s has %llu bytes; it must be a multiple of %d, a label "
                        "and 32 x 32 x 3 pixels each",
                        path, name, (unsigned long long)size, RECORD);
    void *block;
    part->count = size / RECORD;
    int32_t status =
        dmi_alloc_array(host, &block, (size_t)part->count, PICTURE, "cifar10 pictures");
    part->pixels = block;
    if (status != DMI_OK) return status;
    status = dmi_alloc_array(host, &block, (size_t)part->count, 1, "cifar10 labels");
    part->labels = block;
    return status;
}

/* Records `first` to first + count - 1 from the file's bytes. */
static int32_t part_decode(dmi_host *host, cifar_part *part, const char *path, const char *name,
                           const uint8_t *records, uint64_t first, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *record = records + i * RECORD;
        if (record[0] > 9)
            return dmi_fail(host, DM_ERROR_BAD_FORMAT,
                            "cifar10: '%s': %s: record %llu has label %d; it must be 0 to 9", path,
                            name, (unsigned long long)(first + i), record[0]);
        part->labels[first + i] = record[0];
        uint8_t *pixels = part->pixels + (first + i) * PICTURE;
        for (int32_t p = 0; p < PLANE; p++)
            for (int32_t c = 0; c < 3; c++) pixels[p * 3 + c] = record[1 + c * PLANE + p];
    }
    return DMI_OK;
}

/* ---- the archive ---- */

static int32_t read_member(dmi_host *host, dmi_targz *tar, cifar_part *part, const char *path,
                           const char *name, uint64_t size, uint8_t *records) {
    int32_t status = part_start(host, part, path, name, size);
    for (uint64_t first = 0; status == DMI_OK && first < part->count; first += AT_ONCE) {
        const uint64_t count = part->count - first < AT_ONCE ? part->count - first : AT_ONCE;
        status = dmi_targz_read(host, tar, records, (size_t)count * RECORD);
        if (status == DMI_OK) status = part_decode(host, part, path, name, records, first, count);
    }
    return status;
}

static int32_t read_members(dmi_host *host, dmi_targz *tar, cifar_state *state, const char *path,
                            uint8_t *records) {
    for (;;) {
        dmi_targz_member member;
        bool found;
        int32_t status = dmi_targz_next(host, tar, &member, &found);
        if (status != DMI_OK || !found) return status;
        const char *slash = strrchr(member.name, '/');
        const char *base = slash != NULL ? slash + 1 : member.name;
        if (strcmp(base, "data_batch_1") == 0) state->python_version = true;
        for (int32_t i = 0; i < state->part_count; i++) {
            char name[32];
            part_name(name, sizeof name, state->split, i);
            if (strcmp(base, name) != 0) continue;
            status = read_member(host, tar, &state->parts[i], path, name, member.size, records);
            if (status != DMI_OK) return status;
            break;
        }
    }
}

static int32_t read_archive(dmi_host *host, cifar_state *state, const char *path) {
    dmi_targz *tar;
    int32_t status = dmi_targz_open(host, &tar, path);
    if (status != DMI_OK) return status;
    void *records;
    status = dmi_alloc_array(host, &records, AT_ONCE, RECORD, "cifar10 records");
    if (status == DMI_OK) status = read_members(host, tar, state, path, records);
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

/* Too long a path does not exist either. */
static bool exists_in(const char *folder, const char *name) {
    char path[PATH_SIZE];
    struct stat info;
    return join(path, folder, name) && stat(path, &info) == 0;
}

static int32_t read_folder(dmi_host *host, cifar_state *state, const char *folder) {
    char path[PATH_SIZE];
    state->python_version = exists_in(folder, "data_batch_1");
    for (int32_t i = 0; i < state->part_count; i++) {
        char name[32];
        part_name(name, sizeof name, state->split, i);
        if (!exists_in(folder, name) || !join(path, folder, name)) continue;
        uint8_t *bytes;
        size_t size;
        int32_t status = dmi_file_read(host, path, &bytes, &size);
        if (status != DMI_OK) return status;
        cifar_part *part = &state->parts[i];
        status = part_start(host, part, folder, name, size);
        if (status == DMI_OK) status = part_decode(host, part, folder, name, bytes, 0, part->count);
        dmi_free(host, bytes);
        if (status != DMI_OK) return status;
    }
    return DMI_OK;
}

/* ---- the dataset ---- */

static int32_t read_parts(dmi_host *host, cifar_state *state, const char *path) {
    struct stat info;
    if (stat(path, &info) != 0 || !S_ISDIR(info.st_mode)) return read_archive(host, state, path);
    char inner[PATH_SIZE];
    if (exists_in(path, "cifar-10-batches-bin") && join(inner, path, "cifar-10-batches-bin"))
        return read_folder(host, state, inner);
    return read_folder(host, state, path);
}

/* The parts must be the first ones, without a gap. */
static int32_t check_parts(dmi_host *host, const cifar_state *state, const char *path) {
    int32_t present = 0, highest = -1, missing = -1;
    for (int32_t i = 0; i < state->part_count; i++) {
        if (state->parts[i].pixels != NULL) present++, highest = i;
        else if (missing < 0) missing = i;
    }
    char name[32], other[32];
    part_name(name, sizeof name, state->split, missing);
    if (present == 0 && state->python_version)
        return dmi_fail(
            host, DM_ERROR_BAD_FORMAT,
            "cifar10: '%s' is the Python version of CIFAR-10; the binary version is needed "
            "(cifar-10-binary.tar.gz)",
            path);
    if (present == 0)
        return dmi_fail(host, DM_ERROR_NOT_FOUND, "cifar10: '%s' holds no %s", path, name);
    part_name(other, sizeof other, state->split, highest);
    if (highest >= present)
        return dmi_fail(host, DM_ERROR_NOT_FOUND, "cifar10: '%s' holds %s but no %s", path, other,
                        name);
    if (present < state->part_count)
        dmi_log(host, DM_LOG_WARNING,
                "cifar10: '%s' holds %d of the %d training files; %s is the first that is missing",
                path, present, state->part_count, name);
    return DMI_OK;
}

static int32_t read_picture(const dm_dataset *dataset, uint64_t index, uint8_t *pixels,
                            int32_t *label) {
    const cifar_state *state = dataset->state;
    const cifar_part *part = state->parts;
    while (index >= part->count) index -= part++->count;
    memcpy(pixels, part->pixels + index * PICTURE, PICTURE);
    if (label != NULL) *label = part->labels[index];
    return DMI_OK;
}

static void close_parts(dm_dataset *dataset) {
    dmi_host *host = &dataset->context->host;
    cifar_state *state = dataset->state;
    for (int32_t i = 0; state != NULL && i < BATCHES; i++) {
        dmi_free(host, state->parts[i].pixels);
        dmi_free(host, state->parts[i].labels);
    }
    dmi_free(host, state);
}

static int32_t fill(dm_dataset *dataset, const char *path, int32_t split) {
    dmi_host *host = &dataset->context->host;
    dataset->close = close_parts;
    int32_t status = dmi_alloc_zero(host, &dataset->state, 1, sizeof(cifar_state), "cifar10");
    if (status != DMI_OK) return status;
    cifar_state *state = dataset->state;
    state->split = split;
    state->part_count = split == DM_SPLIT_TRAIN ? BATCHES : 1;
    status = read_parts(host, state, path);
    if (status == DMI_OK) status = check_parts(host, state, path);
    if (status != DMI_OK) return status;
    for (int32_t i = 0; i < state->part_count; i++) dataset->count += state->parts[i].count;
    dataset->height = dataset->width = SIDE;
    dataset->channels = 3;
    dataset->classes = 10;
    dataset->class_names = dmi_cifar10_names;
    dataset->read = read_picture;
    dataset->concurrent = true;
    return DMI_OK;
}

int32_t dm_dataset_open_cifar10(dm_dataset **out, dm_context *context, const char *path,
                                int32_t split) {
    if (out != NULL) *out = NULL;
    if (context == NULL) return DM_ERROR_INVALID_ARGUMENT;
    dmi_host *host = &context->host;
    if (out == NULL) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "cifar10: 'out' is NULL");
    if (path == NULL) return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "cifar10: 'path' is NULL");
    if (split != DM_SPLIT_TRAIN && split != DM_SPLIT_TEST)
        return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                        "cifar10: 'split' is %d; it must be %d (train) or %d (test)", split,
                        DM_SPLIT_TRAIN, DM_SPLIT_TEST);
    dm_dataset *dataset;
    int32_t status = dmi_dataset_new(&dataset, context);
    if (status != DMI_OK) return status;
    status = fill(dataset, path, split);
    if (status != DMI_OK) {
        dm_dataset_destroy(dataset);
        return status;
    }
    *out = dataset;
    return DM_OK;
}
