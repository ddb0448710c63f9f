/* SPDX-License-Identifier: MIT */
/* CIFAR-10 from archives and folders, whole and broken. */
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "dataset/dataset.h"
#include "support/allocator.h"
#include "support/cifar10.h"
#include "support/support.h"

enum { RECORD = CIFAR10_RECORD, IMAGE = RECORD - 1 };

/* The image that must come of it. */
static void check_image(const dm_dataset *dataset, uint64_t index, int file, int record) {
    uint8_t pixels[IMAGE];
    int32_t label = -5;
    ck_assert_int_eq(dm_dataset_get_image(dataset, index, pixels, IMAGE, &label), DM_OK);
    ck_assert_int_eq(label, (file + record) % 10);
    int wrong = 0;
    for (int p = 0; p < 1024; p++)
        for (int c = 0; c < 3; c++)
            wrong += pixels[p * 3 + c] != cifar10_sample(file, record, c, p);
    ck_assert_int_eq(wrong, 0);
}

static void write_bytes(const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

static uint8_t *read_bytes(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    uint8_t *bytes = malloc(*size + 1);
    ck_assert_uint_eq(fread(bytes, 1, *size, file), *size);
    fclose(file);
    return bytes;
}

/* As the published archive: a folder inside, not in order, with other files among them. */
static const cifar10_member whole[] = {
    {"cifar-10-batches-bin/data_batch_1.bin", 3, NULL},
    {"cifar-10-batches-bin/batches.meta.txt", 0, "airplane\n"},
    {"cifar-10-batches-bin/data_batch_3.bin", 2, NULL},
    {"cifar-10-batches-bin/data_batch_4.bin", 1, NULL},
    {"cifar-10-batches-bin/test_batch.bin", 70, NULL},
    {"cifar-10-batches-bin/readme.html", 0, ""},
    {"cifar-10-batches-bin/data_batch_5.bin", 2, NULL},
    {"cifar-10-batches-bin/data_batch_2.bin", 130, NULL},
};
enum { WHOLE = sizeof whole / sizeof whole[0] };

/* Flat, in order. */
static const cifar10_member flat[] = {{"data_batch_1.bin", 2, NULL},
                                      {"data_batch_2.bin", 3, NULL},
                                      {"test_batch.bin", 1, NULL}};

static void check_whole(dm_context *context, const char *path) {
    static const int order[][2] = {
        {0, 3}, {7, 130}, {2, 2}, {3, 1}, {6, 2}}; /* position in the archive, records */
    dm_dataset *dataset;
    const int32_t status = dm_dataset_load_cifar10(&dataset, context, path, DM_SPLIT_TRAIN);
    ck_assert_msg(status == DM_OK, "%s", dm_context_error(context));
    uint64_t index = 0;
    dm_dataset_info info = {.struct_size = sizeof info};
    ck_assert_int_eq(dm_dataset_get_info(dataset, &info), DM_OK);
    ck_assert_uint_eq(info.count, 138);
    ck_assert(info.height == 32 && info.width == 32 && info.channels == 3 && info.classes == 10);
    ck_assert_uint_ne(info.fingerprint, 0);
    ck_assert(dataset->concurrent);
    for (int i = 0; i < 5; i++)
        for (int r = 0; r < order[i][1]; r++) check_image(dataset, index++, order[i][0], r);
    uint8_t pixels[IMAGE];
    ck_assert_int_eq(dm_dataset_get_image(dataset, info.count, pixels, IMAGE, NULL),
                     DM_ERROR_NOT_FOUND);
    ck_assert_int_eq(dm_dataset_get_image(dataset, UINT64_MAX, pixels, IMAGE, NULL),
                     DM_ERROR_NOT_FOUND);
    ck_assert_int_eq(dm_dataset_get_image(dataset, 0, pixels, IMAGE - 1, NULL),
                     DM_ERROR_SHAPE_MISMATCH);
    ck_assert_int_eq(dm_dataset_get_image(dataset, 0, NULL, IMAGE, NULL),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_int_eq(dm_dataset_get_image(dataset, 0, pixels, IMAGE, NULL), DM_OK);
    ck_assert_str_eq(dm_dataset_class_name(dataset, 0), "airplane");
    ck_assert_str_eq(dm_dataset_class_name(dataset, 9), "truck");
    ck_assert_ptr_null(dm_dataset_class_name(dataset, 10));
    ck_assert_ptr_null(dm_dataset_class_name(dataset, -1));
    dm_dataset_destroy(dataset);

    ck_assert_int_eq(dm_dataset_load_cifar10(&dataset, context, path, DM_SPLIT_TEST), DM_OK);
    ck_assert_int_eq(dm_dataset_get_info(dataset, &info), DM_OK);
    ck_assert_uint_eq(info.count, 70);
    for (int r = 0; r < 70; r++) check_image(dataset, (uint64_t)r, 4, r);
    dm_dataset_destroy(dataset);
}

START_TEST(whole_copies) {
    dm_context *context = test_context_new(NULL, 0);
    char folder[200], path[300], inner[250];
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(path, sizeof path, "%s/cifar.tar.gz", folder);
    cifar10_write_archive(path, "wb", whole, WHOLE);
    check_whole(context, path);
    snprintf(path, sizeof path, "%s/cifar.tar", folder);
    cifar10_write_archive(path, "wbT", whole, WHOLE);
    check_whole(context, path);
    snprintf(inner, sizeof inner, "%s/cifar-10-batches-bin", folder);
    ck_assert_int_eq(mkdir(inner, 0777), 0);
    cifar10_write_folder(folder, whole, WHOLE);
    check_whole(context, folder);
    check_whole(context, inner);
    snprintf(path, sizeof path, "%s/", inner);
    check_whole(context, path);
    dm_context_destroy(context);
}
END_TEST

static void keep_message(void *user, int32_t level, const char *message) {
    ck_assert_int_eq(level, DM_LOG_WARNING);
    snprintf(user, 512, "%s", message);
}

START_TEST(fewer_files_are_logged) {
    char path[300], message[512] = "";
    snprintf(path, sizeof path, "%s/flat.tar.gz", test_folder());
    cifar10_write_archive(path, "wb", flat, 3);
    dm_context_options options;
    dm_context_options_init(&options, sizeof options);
    options.threads = 1;
    options.log = keep_message;
    options.log_user = message;
    dm_context *context;
    ck_assert_int_eq(dm_context_create(&context, &options, NULL, 0), DM_OK);
    dm_dataset *dataset;
    ck_assert_int_eq(dm_dataset_load_cifar10(&dataset, context, path, DM_SPLIT_TEST), DM_OK);
    ck_assert_str_eq(message, "");
    dm_dataset_destroy(dataset);
    ck_assert_int_eq(dm_dataset_load_cifar10(&dataset, context, path, DM_SPLIT_TRAIN), DM_OK);
    ck_assert_msg(strstr(message, "2 of the 5") && strstr(message, "data_batch_3.bin"), "%s",
                  message);
    for (int r = 0; r < 3; r++) check_image(dataset, (uint64_t)r + 2, 1, r);
    dm_dataset_destroy(dataset);
    dm_context_destroy(context);
}
END_TEST

/* Opening must fail with the status, a text that holds each of the words, and nothing left
 * allocated. */
static void check_refused(const char *path, int32_t split, int32_t want, const char *word,
                          const char *other_word) {
    test_allocator allocator = {.fail_at = -1};
    dm_context *context = test_context_new(&allocator, 0);
    const int64_t before = allocator.live;
    dm_dataset *dataset = (dm_dataset *)&allocator;
    const int32_t status = dm_dataset_load_cifar10(&dataset, context, path, split);
    ck_assert_msg(status == want || (want == 0 && status != DM_OK), "%s: %s: %s", path,
                  dm_status_name(status), dm_context_error(context));
    ck_assert_ptr_null(dataset);
    const char *error = dm_context_error(context);
    ck_assert_msg(strstr(error, word) != NULL && strstr(error, other_word) != NULL, "%s", error);
    ck_assert_int_eq(allocator.live, before);
    dm_context_destroy(context);
}

START_TEST(missing_files) {
    static const cifar10_member gap[] = {{"data_batch_1.bin", 1, NULL},
                                         {"data_batch_3.bin", 1, NULL}};
    static const cifar10_member late[] = {{"data_batch_2.bin", 1, NULL}};
    static const cifar10_member twice[] = {{"a/data_batch_1.bin", 1, NULL},
                                           {"b/data_batch_1.bin", 1, NULL}};
    static const cifar10_member python[] = {{"cifar-10-batches-py/data_batch_1", 0, "pickle"}};
    static const cifar10_member nothing[] = {{"readme.html", 0, "hello"},
                                             {"xdata_batch_1.bin", 1, NULL}};
    const struct {
        const cifar10_member *members;
        int count;
        int32_t split, status;
        const char *words[2];
    } cases[] = {
        {gap, 2, DM_SPLIT_TRAIN, DM_ERROR_NOT_FOUND, {"no data_batch_2.bin", "data_batch_3.bin"}},
        {late, 1, DM_SPLIT_TRAIN, DM_ERROR_NOT_FOUND, {"no data_batch_1.bin", "data_batch_2.bin"}},
        {late, 1, DM_SPLIT_TEST, DM_ERROR_NOT_FOUND, {"no test_batch.bin", ""}},
        {twice, 2, DM_SPLIT_TRAIN, DM_ERROR_BAD_FORMAT, {"data_batch_1.bin", "twice"}},
        {python,
         1,
         DM_SPLIT_TRAIN,
         DM_ERROR_BAD_FORMAT,
         {"Python version", "cifar-10-binary.tar.gz"}},
        {nothing, 2, DM_SPLIT_TRAIN, DM_ERROR_NOT_FOUND, {"no data_batch_1.bin", ""}},
        {nothing, 0, DM_SPLIT_TRAIN, DM_ERROR_NOT_FOUND, {"no data_batch_1.bin", ""}},
    };
    char folder[200], path[300];
    snprintf(folder, sizeof folder, "%s", test_folder());
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(path, sizeof path, "%s/case%zu.tar.gz", folder, i);
        cifar10_write_archive(path, "wb", cases[i].members, cases[i].count);
        check_refused(path, cases[i].split, cases[i].status, cases[i].words[0], cases[i].words[1]);
        if (cases[i].members == twice || cases[i].members == python) continue;
        snprintf(path, sizeof path, "%s/case%zu", folder, i);
        ck_assert_int_eq(mkdir(path, 0777), 0);
        cifar10_write_folder(path, cases[i].members, cases[i].count);
        check_refused(path, cases[i].split, cases[i].status, cases[i].words[0], cases[i].words[1]);
    }
    static const cifar10_member pickled[] = {{"data_batch_1", 0, "pickle"}};
    cifar10_write_folder(folder, pickled, 1);
    check_refused(folder, DM_SPLIT_TRAIN, DM_ERROR_BAD_FORMAT, "Python version", folder);
}
END_TEST

START_TEST(wrong_records) {
    char folder[200], path[300], file[300];
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(path, sizeof path, "%s/size.tar.gz", folder);
    static const cifar10_member wrong_size[] = {{"data_batch_1.bin", 0, "not a record"}};
    static const cifar10_member empty[] = {{"data_batch_1.bin", 0, ""}};
    cifar10_write_archive(path, "wb", wrong_size, 1);
    check_refused(path, DM_SPLIT_TRAIN, DM_ERROR_BAD_FORMAT, "data_batch_1.bin has 12 bytes",
                  "3073");
    cifar10_write_archive(path, "wb", empty, 1);
    check_refused(path, DM_SPLIT_TRAIN, DM_ERROR_BAD_FORMAT, "data_batch_1.bin has 0 bytes",
                  "3073");
    cifar10_write_folder(folder, wrong_size, 1);
    check_refused(folder, DM_SPLIT_TRAIN, DM_ERROR_BAD_FORMAT, "data_batch_1.bin has 12 bytes",
                  folder);
    cifar10_write_folder(folder, empty, 1);
    check_refused(folder, DM_SPLIT_TRAIN, DM_ERROR_BAD_FORMAT, "data_batch_1.bin", folder);

    uint8_t *records = malloc(70 * RECORD);
    cifar10_records(records, 0, 70);
    records[66 * RECORD] = 17;
    snprintf(file, sizeof file, "%s/data_batch_1.bin", folder);
    write_bytes(file, records, 70 * RECORD);
    check_refused(folder, DM_SPLIT_TRAIN, DM_ERROR_BAD_FORMAT, "record 66 has label 17",
                  "data_batch_1.bin");
    /* The same in an archive, where records are read 64 at a time. */
    uint8_t header[512];
    cifar10_tar_header(header, "x/data_batch_1.bin", 70 * RECORD);
    gzFile archive = gzopen(path, "wb");
    gzwrite(archive, header, 512);
    gzwrite(archive, records, 70 * RECORD);
    gzclose(archive);
    check_refused(path, DM_SPLIT_TRAIN, DM_ERROR_BAD_FORMAT, "record 66 has label 17", path);
    free(records);

    snprintf(file, sizeof file, "%s/d", folder);
    ck_assert_int_eq(mkdir(file, 0777), 0);
    snprintf(file, sizeof file, "%s/d/data_batch_1.bin", folder);
    ck_assert_int_eq(mkdir(file, 0777), 0); /* a folder by the name of a file */
    snprintf(file, sizeof file, "%s/d", folder);
    check_refused(file, DM_SPLIT_TRAIN, 0, "data_batch_1.bin", file);
}
END_TEST

START_TEST(broken_archives) {
    char folder[200], path[300], broken[300];
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(broken, sizeof broken, "%s/broken", folder);
    static const char *const modes[] = {"wb", "wbT"};
    for (int m = 0; m < 2; m++) {
        snprintf(path, sizeof path, "%s/whole", folder);
        cifar10_write_archive(path, modes[m], flat, 3);
        size_t size;
        uint8_t *bytes = read_bytes(path, &size);
        /* Truncated anywhere before the end-of-archive mark. */
        const size_t before_mark = m == 0 ? size : size - 1024;
        for (int part = 0; part < 40; part++) {
            write_bytes(broken, bytes, before_mark * (size_t)part / 40);
            check_refused(broken, DM_SPLIT_TRAIN, 0, broken, "");
        }
        if (m == 0) {
            for (size_t back = 1; back <= 8; back++) { /* gzip's checksum and length */
                bytes[size - back] ^= 0x55;
                write_bytes(broken, bytes, size);
                check_refused(broken, DM_SPLIT_TRAIN, 0, broken, "");
                bytes[size - back] ^= 0x55;
            }
        } else {
            bytes[150] ^= 1; /* tar's own checksum */
            write_bytes(broken, bytes, size);
            check_refused(broken, DM_SPLIT_TRAIN, 0, broken, "");
        }
        free(bytes);
    }
    char text[4000];
    memset(text, 'x', sizeof text);
    write_bytes(broken, text, sizeof text);
    check_refused(broken, DM_SPLIT_TRAIN, 0, broken, "");

    snprintf(path, sizeof path, "%s/none.tar.gz", folder);
    check_refused(path, DM_SPLIT_TRAIN, 0, path, "");
    check_refused("", DM_SPLIT_TRAIN, 0, "", "");
    check_refused("/dev/null", DM_SPLIT_TRAIN, 0, "/dev/null", "");
    check_refused(broken, 2, DM_ERROR_INVALID_ARGUMENT, "'split' is 2", "");
    check_refused(broken, -1, DM_ERROR_INVALID_ARGUMENT, "'split' is -1", "");
    check_refused(NULL, DM_SPLIT_TRAIN, DM_ERROR_INVALID_ARGUMENT, "'path'", "");
    if (geteuid() != 0) { /* root may read everything */
        cifar10_write_archive(broken, "wb", flat, 3);
        chmod(broken, 0);
        check_refused(broken, DM_SPLIT_TRAIN, DM_ERROR_IO, broken, "");
    }
}
END_TEST

static int32_t open_cifar10(dm_context *context, const void *user) {
    dm_dataset *dataset;
    const int32_t status = dm_dataset_load_cifar10(&dataset, context, user, DM_SPLIT_TRAIN);
    dm_dataset_destroy(dataset);
    return status;
}

START_TEST(every_allocation_may_fail) {
    char folder[200], path[300];
    snprintf(folder, sizeof folder, "%s", test_folder());
    snprintf(path, sizeof path, "%s/flat.tar.gz", folder);
    cifar10_write_archive(path, "wb", flat, 3);
    ck_assert_int_ge(test_every_allocation(open_cifar10, path), 6);
    cifar10_write_folder(folder, flat, 3);
    ck_assert_int_ge(test_every_allocation(open_cifar10, folder), 6);
}
END_TEST

/* A header that states 4 GB gets no more memory than an ordinary file before its records come. */
START_TEST(sizes_that_are_only_stated) {
    enum { RECORDS = 1300000 };
    char path[300];
    uint8_t header[512];
    snprintf(path, sizeof path, "%s/stated.tar", test_folder());
    cifar10_tar_header(header, "data_batch_1.bin", (size_t)RECORDS * CIFAR10_RECORD);
    write_bytes(path, header, sizeof header);
    dm_context *context = test_context_new(NULL, 0);
    uint64_t used, peak;
    dm_dataset *dataset;
    ck_assert_int_eq(dm_dataset_load_cifar10(&dataset, context, path, DM_SPLIT_TRAIN),
                     DM_ERROR_BAD_FORMAT);
    ck_assert_ptr_nonnull(strstr(dm_context_error(context), "truncated"));
    dm_context_get_memory(context, &used, &peak, NULL);
    ck_assert_uint_lt(peak, 40000000);
    dm_context_destroy(context);
}
END_TEST

/* More records than a file usually has, whose memory grows as they arrive. */
START_TEST(more_records_than_usual) {
    enum { RECORDS = 10300 };
    static const cifar10_member large[] = {{"data_batch_1.bin", RECORDS, NULL}};
    char path[300];
    snprintf(path, sizeof path, "%s/large.tar", test_folder());
    cifar10_write_archive(path, "wbT", large, 1);
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *dataset;
    static uint8_t pixels[CIFAR10_RECORD - 1];
    int32_t label;
    ck_assert_int_eq(dm_dataset_load_cifar10(&dataset, context, path, DM_SPLIT_TRAIN), DM_OK);
    for (int i = 0; i < 2; i++) {
        const int record = i ? RECORDS - 1 : 0;
        ck_assert_int_eq(dm_dataset_get_image(dataset, (uint64_t)record, pixels, sizeof pixels,
                                              &label),
                         DM_OK);
        ck_assert_int_eq(label, record % 10);
        for (int c = 0; c < 3; c++)
            ck_assert_uint_eq(pixels[3 * 5 + c], cifar10_sample(0, record, c, 5));
    }
    dm_dataset_destroy(dataset);
    dm_context_destroy(context);
}
END_TEST

START_TEST(beyond_the_limit) {
    static const cifar10_member large[] = {{"data_batch_1.bin", 200, NULL},
                                           {"data_batch_2.bin", 200, NULL}};
    char path[300];
    snprintf(path, sizeof path, "%s/large.tar.gz", test_folder());
    cifar10_write_archive(path, "wb", large, 2);
    dm_context *context = test_context_new(NULL, 1200000); /* 1.23 MB of images */
    uint64_t before, after, peak;
    dm_context_get_memory(context, &before, NULL, NULL);
    dm_dataset *dataset;
    ck_assert_int_eq(dm_dataset_load_cifar10(&dataset, context, path, DM_SPLIT_TRAIN),
                     DM_ERROR_LIMIT_EXCEEDED);
    ck_assert_msg(strstr(dm_context_error(context), "limit of 1.2 MB") != NULL, "%s",
                  dm_context_error(context));
    dm_context_get_memory(context, &after, &peak, NULL);
    ck_assert_uint_eq(after, before);
    ck_assert_uint_le(peak, 1200000);
    dm_context_destroy(context);
}
END_TEST

Suite *test_cifar10_suite(void);
Suite *test_cifar10_suite(void) {
    Suite *suite = suite_create("cifar10");
    TCase *tcase = tcase_create("cifar10");
    tcase_set_timeout(tcase, 20);
    tcase_add_test(tcase, whole_copies);
    tcase_add_test(tcase, fewer_files_are_logged);
    tcase_add_test(tcase, missing_files);
    tcase_add_test(tcase, wrong_records);
    tcase_add_test(tcase, broken_archives);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_test(tcase, sizes_that_are_only_stated);
    tcase_add_test(tcase, more_records_than_usual);
    tcase_add_test(tcase, beyond_the_limit);
    suite_add_tcase(suite, tcase);
    return suite;
}
