/* SPDX-License-Identifier: MIT */
/* See open.h. */
#include "data/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "command/files.h"
#include "console/interrupt.h"
#include "console/output.h"
#include "console/progress.h"
#include "data/shape.h"
#include "picture/read.h"

const data_part training_data = {DM_SPLIT_TRAIN, 50000, 1};
const data_part test_data = {DM_SPLIT_TEST, 10000, 2};

/* Generated shapes, each with a vector of its position, size and colour. */
static const char with_vectors[] = "builtin-vector";

static int is_folder(const char *path) {
    struct stat is;
    return !stat(path, &is) && S_ISDIR(is.st_mode);
}

/* ---- generated shapes, CIFAR-10 ---- */

/* Options that say how pictures of a folder become images. */
static int32_t refuse_picture_options(const command_line *line, const char *data) {
    static const char *const names[] = {"crop",      "grey",  "background",
                                        "condition", "cache", "readers"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (command_line_given(line, names[i]))
            return command_line_refuse(line,
                                       "--%s has no effect with %s: it is for a folder of "
                                       "pictures",
                                       names[i], data);
    return 0;
}

static int32_t open_shapes(image_data *out, dm_context *context, const command_line *line,
                           const data_part *part, image_shape shape) {
    image_shape asked;
    if (refuse_picture_options(line, "builtin") || read_size(line, &asked)) return REPORTED;
    int32_t size = asked.height ? asked.height : shape.height ? shape.height : 32;
    int possible = asked.height == asked.width && size >= 16 && size <= 64;
    if (!possible && asked.height)
        return command_line_refuse(line, "--size is '%s'; generated shapes have 16 to 64 pixels",
                                   data_values.size);
    if (!possible)
        return command_line_refuse(line,
                                   "the network's images have %d rows, generated shapes 16 to 64: "
                                   "name its pictures by --data",
                                   (int)size);
    return strcmp(data_values.path, with_vectors)
               ? dm_dataset_create_shapes(&out->dataset, context, size, part->shapes,
                                          part->shapes_seed)
               : dm_dataset_create_described_shapes(&out->dataset, context, size, part->shapes,
                                                    part->shapes_seed);
}

static int32_t open_cifar10(image_data *out, dm_context *context, const command_line *line,
                            const data_part *part) {
    if (data_values.size)
        return command_line_refuse(line, "--size has no effect with CIFAR-10, whose images have 32 "
                                         "x 32 pixels");
    if (refuse_picture_options(line, "CIFAR-10")) return REPORTED;
    fprintf(stderr, "reading %s\n", data_values.path);
    return dm_dataset_load_cifar10(&out->dataset, context, data_values.path, part->split);
}

/* ---- a folder ---- */

static int on_decoded(void *user, size_t done, size_t total) {
    progress_update(user, done, "");
    (void)total;
    return interrupt_signal() != 0;
}

/* "skipped: 2 damaged pictures, the first: a.png: cut off" */
static void print_skipped(size_t count, const char *one, const char *many, const char *first) {
    if (!count) return;
    fprintf(stderr, "skipped: %zu %s ", count, count == 1 ? one : many);
    print_foreign(stderr, first);
    fprintf(stderr, "\n");
}

/* What of the folder is used, and what not. */
static void print_folder(const image_data *data) {
    const listing *l = folder_listing(data->pictures);
    fprintf(stderr, "%zu picture%s as %d x %d, %s", l->count, l->count == 1 ? "" : "s",
            (int)data->info.height, (int)data->info.width,
            data->info.channels == 1 ? "grey" : "in colour");
    if (l->class_count) {
        size_t shown = l->class_count < 12 ? l->class_count : 10;
        fprintf(stderr, ", in %zu classes by folder: ", l->class_count);
        for (size_t i = 0; i < shown; i++) fprintf(stderr, "%s%s", i ? ", " : "", l->classes[i]);
        if (shown < l->class_count) fprintf(stderr, " and %zu more", l->class_count - shown);
    }
    fprintf(stderr, "\n");
    size_t small = 0;
    for (size_t i = 0; i < l->count; i++)
        small +=
            l->pictures[i].height < data->info.height || l->pictures[i].width < data->info.width;
    if (small)
        fprintf(stderr, "%zu of them %s smaller and enlarged\n", small, small == 1 ? "is" : "are");
    print_skipped(l->other_files, "file that is neither PNG nor JPEG:",
                  "files that are neither PNG nor JPEG, the first:", l->first_other);
    print_skipped(l->runs, "folder with a training run:", "folders with training runs, the first:",
                  l->first_run);
    if (l->unpaired)
        fprintf(stderr, "skipped: %zu picture%s without one of the same name in %s\n", l->unpaired,
                l->unpaired == 1 ? "" : "s", data_values.condition);
    const char *damaged_one;
    size_t damaged = folder_damaged(data->pictures, &damaged_one);
    print_skipped(damaged, "damaged picture, for which the next one is used:",
                  "damaged pictures, for which the next ones are used, the last:", damaged_one);
    print_skipped(l->unreadable,
                  "damaged picture:", "damaged pictures, the first:", l->first_unreadable);
}

static int32_t create_folder(image_data *out, dm_context *context, const command_line *line,
                             listing *list, image_shape shape) {
    uint64_t memory = (uint64_t)data_values.memory_mb * 1000000;
    folder_options o = {.height = shape.height,
                        .width = shape.width,
                        .channels = shape.channels,
                        .random_crop = !strcmp(data_values.crop, "random"),
                        .memory = memory < SIZE_MAX ? (size_t)memory : SIZE_MAX,
                        .readers = (int)data_values.readers};
    progress bar;
    char error[512];
    if (read_background(line, o.background)) return REPORTED;
    if (!o.readers) o.readers = dm_context_threads(context);
    progress_begin(&bar, "reading pictures", 0, list->count);
    int result = folder_create(&out->pictures, list, &o, on_decoded, &bar, error, sizeof error);
    progress_end(&bar);
    if (result < 0) return DM_ERROR_CANCELLED;
    if (result) return command_line_refuse(line, "%s: %s", data_values.path, error);
    int32_t status = folder_dataset(out->pictures, context, &out->dataset);
    if (!status) status = dm_dataset_get_info(out->dataset, &out->info);
    if (!status) print_folder(out);
    return status;
}

static int32_t open_folder(image_data *out, dm_context *context, const command_line *line,
                           listing *list, image_shape shape) {
    image_shape chosen;
    if (choose_shape(line, list, shape, &chosen)) return REPORTED;
    return create_folder(out, context, line, list, chosen);
}

/* A file can only be CIFAR-10's archive. */
static int32_t refuse_file(const command_line *line) {
    static const char *const suffixes[] = {".gz", ".tgz", ".tar", ".bin"};
    const char *path = data_values.path, *dot = strrchr(path, '.');
    struct stat is;
    if (is_folder(path)) return 0;
    if (stat(path, &is))
        return command_line_refuse(line, "%s: no such file or folder%s", path,
                                   command_line_given(line, "data")
                                       ? ""
                                       : "; --data PATH names where it is now");
    if (picture_is_named(path))
        return command_line_refuse(line, "%s is a picture; name the folder that holds it", path);
    for (size_t i = 0; dot && i < sizeof suffixes / sizeof *suffixes; i++)
        if (!strcmp(dot, suffixes[i])) return 0;
    return command_line_refuse(
        line, "%s is neither a folder of pictures nor CIFAR-10's archive (cifar-10-binary.tar.gz)",
        path);
}

/* A folder without pictures may be CIFAR-10's. */
static int32_t open_path(image_data *out, dm_context *context, const command_line *line,
                         const data_part *part, image_shape shape) {
    listing list = {0};
    char error[512];
    if (is_folder(data_values.path) &&
        listing_read(&list, data_values.path, data_values.condition, error, sizeof error))
        return command_line_refuse(line, "%s", error);
    if (refuse_file(line)) return REPORTED;
    int32_t status = REPORTED, pictures = list.count > 0;
    if (pictures) status = open_folder(out, context, line, &list, shape);
    else if (list.unreadable + list.unpaired)
        command_line_refuse(line, "%s: none of its %zu pictures can be used%s%s", data_values.path,
                            list.unreadable + list.unpaired, list.unreadable ? ": " : "",
                            list.unreadable ? list.first_unreadable
                                            : "; --condition has no picture of the same name");
    else status = open_cifar10(out, context, line, part);
    if (status == DM_ERROR_NOT_FOUND && !pictures && is_folder(data_values.path) &&
        !folder_has(data_values.path, "data_batch_1.bin") &&
        !folder_has(data_values.path, "test_batch.bin")) {
        command_line_refuse(line, "%s: there is no PNG or JPEG file in it, nor CIFAR-10%s%s%s",
                            data_values.path,
                            list.other_files ? "; the first of its files is " : "",
                            list.first_other,
                            list.other_files ? ": other kinds must be converted first" : "");
        status = REPORTED;
    }
    listing_free(&list);
    return status;
}

int32_t open_data(image_data *out, dm_context *context, const command_line *line,
                  const data_part *part, image_shape shape) {
    *out = (image_data){0};
    dm_dataset_info_init(&out->info, sizeof out->info);
    int32_t status = is_builtin(data_values.path) ? open_shapes(out, context, line, part, shape)
                                                  : open_path(out, context, line, part, shape);
    if (!status) status = dm_dataset_get_info(out->dataset, &out->info);
    if (status) return status;
    const dm_dataset_info *i = &out->info;
    if (!shape.height ||
        (i->height == shape.height && i->width == shape.width && i->channels == shape.channels))
        return DM_OK;
    return command_line_refuse(line,
                               "the images of %s are %d x %d x %d, the network's %d x %d x %d",
                               data_values.path, (int)i->height, (int)i->width, (int)i->channels,
                               (int)shape.height, (int)shape.width, (int)shape.channels);
}

void close_data(image_data *data) {
    dm_dataset_destroy(data->dataset);
    folder_destroy(data->pictures);
    *data = (image_data){0};
}
