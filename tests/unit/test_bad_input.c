/* SPDX-License-Identifier: MIT */
/* What goes wrong outside the library: options, data sets, files and disks that are not as they
 * should be. Each must give its status and a text that says what and where, leave memory and files
 * as they were, and leave the program usable. */
#include <sys/stat.h>
#include <unistd.h>

#include "support/cifar10.h"
#include "support/disk.h"
#include "support/refusal.h"
#include "support/training.h"

/* ---- options ---- */

static void refuse_network(const dm_unet_options *options, const char *words) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = (dm_unet *)&context;
    test_untouched untouched = test_untouched_begin(context, NULL);
    test_refused(context, dm_unet_create(&unet, context, options, 0), DM_ERROR_INVALID_ARGUMENT,
                 words);
    ck_assert_ptr_null(unet);
    test_untouched_end(&untouched);
    dm_context_destroy(context);
}

START_TEST(impossible_networks_are_refused) {
    dm_unet_options o;
    ck_assert_int_eq(dm_unet_options_preset(&o, sizeof o, DM_PRESET_DDPM_CIFAR10), DM_OK);
    o.height = 28;
    refuse_network(&o, "unet: 'height' is 28; with 4 'levels' it must be a multiple of 8");
    o.height = 32;
    o.width = 33;
    refuse_network(&o, "unet: 'width' is 33; with 4 'levels' it must be a multiple of 8");
    o.width = 32;
    o.norm_groups = 30;
    refuse_network(
        &o, "unet: 'norm_groups' is 30; it must divide every entry of 'channels' (128 at level 0)");
}
END_TEST

/* ---- CIFAR-10 ---- */

static void refuse_data(const char *folder, const char *path, const char *words) {
    test_allocator allocator = {.fail_at = -1};
    dm_context *context = test_context_new(&allocator, 0);
    const int64_t live = allocator.live;
    dm_dataset *dataset = (dm_dataset *)&allocator;
    test_untouched untouched = test_untouched_begin(context, folder);
    test_refused(context, dm_dataset_load_cifar10(&dataset, context, path, DM_SPLIT_TRAIN),
                 DM_ERROR_BAD_FORMAT, words);
    test_refused(context, DM_ERROR_BAD_FORMAT, DM_ERROR_BAD_FORMAT, path);
    ck_assert_ptr_null(dataset);
    test_untouched_end(&untouched);
    ck_assert_int_eq(allocator.live, live);
    dm_context_destroy(context);
}

static const cifar10_member batches[] = {{"cifar-10-batches-bin/data_batch_1.bin", 40, NULL},
                                         {"cifar-10-batches-bin/data_batch_2.bin", 40, NULL}};

START_TEST(truncated_archives_are_refused) {
    char *folder = test_folder_new();
    size_t size;
    cifar10_write_archive(test_path(folder, "whole.tar.gz"), "wb", batches, 2);
    uint8_t *bytes = training_read_file(test_path(folder, "whole.tar.gz"), &size);
    for (size_t part = 1; part <= 8; part++) {
        training_write_file(test_path(folder, "part.tar.gz"), bytes,
                            part < 8 ? size * part / 8 : size - 1);
        refuse_data(folder, test_path(folder, "part.tar.gz"), "part.tar.gz");
    }
    free(bytes);
    free(folder);
}
END_TEST

START_TEST(batches_of_the_wrong_size_are_refused) {
    char *folder = test_folder_new();
    static uint8_t bytes[2 * CIFAR10_RECORD];
    const size_t sizes[] = {0, 1, CIFAR10_RECORD - 1, CIFAR10_RECORD + 1, 2 * CIFAR10_RECORD - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char words[64];
        snprintf(words, sizeof words, "data_batch_1.bin|%zu bytes|3073", sizes[i]);
        training_write_file(test_path(folder, "data_batch_1.bin"), bytes, sizes[i]);
        refuse_data(folder, folder, words);
    }
    const cifar10_member text = {"data_batch_1.bin", 0, "12 bytes are"};
    cifar10_write_archive(test_path(folder, "text.tar.gz"), "wb", &text, 1);
    refuse_data(folder, test_path(folder, "text.tar.gz"), "data_batch_1.bin|12 bytes|3073");
    free(folder);
}
END_TEST

/* ---- invalid safetensors headers, in networks and in checkpoints ---- */

enum { LENGTH_BYTES = 8 };

/* The file with the first `from` of its header replaced by `to`, and the header's length set right
 * again. To be freed. */
static uint8_t *change_header(const uint8_t *bytes, size_t *size, const char *from,
                              const char *to) {
    size_t removed = strlen(from), added = strlen(to), length = 0, all = *size - removed + added;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) length = length << 8 | bytes[i];
    const uint8_t *at = memmem(bytes + LENGTH_BYTES, length, from, removed);
    ck_assert_msg(at != NULL, "%s is not in the header", from);
    size_t before = (size_t)(at - bytes), now = length - removed + added;
    uint8_t *changed = malloc(all);
    ck_assert_ptr_nonnull(changed);
    memcpy(changed, bytes, before);
    memcpy(changed + before, to, added);
    memcpy(changed + before + added, at + removed, *size - before - removed);
    for (int i = 0; i < LENGTH_BYTES; i++) changed[i] = (uint8_t)((uint64_t)now >> 8 * i);
    *size = all;
    return changed;
}

typedef struct header_change {
    const char *from, *to;
    /* Status of dm_unet_load with either weights, and of dm_trainer_resume; DM_OK: not seen
     * there. */
    int32_t ema, trained, resume;
    const char *words;
} header_change;

enum {
    BAD = DM_ERROR_BAD_FORMAT,
    SHAPE = DM_ERROR_SHAPE_MISMATCH,
    MISSING = DM_ERROR_NOT_FOUND,
    TYPE = DM_ERROR_UNSUPPORTED,
    NEWER = DM_ERROR_UNSUPPORTED_VERSION
};

/* The first tensors of the file are conv_in.weight [16, 3, 3, 3] and conv_in.bias [16]. */
static const header_change header_changes[] = {
    {"[0,1728]", "[0,1729]", BAD, BAD, BAD, "conv_in.weight|0 to 1729 hold 1729 bytes|make 1728"},
    {"[0,1728]", "[4,1732]", BAD, BAD, BAD, "conv_in.weight' begins at byte 4|a gap"},
    {"[0,1728]", "[99999999999,100000001727]", BAD, BAD, BAD,
     "conv_in.weight|data_offsets 99999999999 to 100000001727"},
    {"[0,1728]", "[1728,0]", BAD, BAD, BAD, "conv_in.weight|1728 to 0"},
    {"[0,1728]", "[-1728,0]", BAD, BAD, BAD, "conv_in.weight|-1728"},
    {"[0,1728]", "[0,\"1728\"]", BAD, BAD, BAD, "conv_in.weight|data_offsets"},
    {"[1728,1792]", "[0,64]", BAD, BAD, BAD, "conv_in|overlap"},
    {"[16,3,3,3]", "[16,3,3,4]", BAD, BAD, BAD, "conv_in.weight|make 2304"},
    {"[16,3,3,3]", "[4294967296,4294967296,3,3]", BAD, BAD, BAD, "conv_in.weight|overflows"},
    {"[16,3,3,3]", "[-16,3,3,3]", BAD, BAD, BAD, "conv_in.weight|shape[0]"},
    {"[16,3,3,3]", "[3,16,3,3]", DM_OK, SHAPE, SHAPE,
     "conv_in.weight' is [3, 16, 3, 3]; the network's is [16, 3, 3, 3]"},
    {"[16,3,3,3]", "[432]", DM_OK, SHAPE, SHAPE,
     "conv_in.weight' is [432]; the network's is [16, 3, 3, 3]"},
    {"[16,3,3,3]", "[16,3,3,3,1,1,1,1]", DM_OK, SHAPE, SHAPE,
     "conv_in.weight' is [16, 3, 3, 3, 1, 1, 1, 1]; "},
    {"\"F32\"", "\"I32\"", DM_OK, TYPE, TYPE, "conv_in.weight|I32|F32"},
    {"\"F32\"", "\"F16\"", BAD, BAD, BAD, "conv_in.weight|F16 make 864"},
    {"\"F32\"", "\"float\"", BAD, BAD, BAD, "conv_in.weight|'float'"},
    {"\"conv_in.weight\"", "\"conv_im.weight\"", DM_OK, MISSING, MISSING,
     "no tensor 'conv_in.weight'"},
    {"\"conv_in.weight\"", "\"conv_in.bias\"", BAD, BAD, BAD, "duplicate"},
    {"\"ema_0.conv_out.bias\"", "\"ema_0.conv_oud.bias\"", MISSING, DM_OK, MISSING,
     "no tensor 'ema_0.conv_out.bias'"},
    {"\"adam_m.conv_out.bias\"", "\"adam_m.conv_oud.bias\"", DM_OK, DM_OK, MISSING,
     "no tensor 'adam_m.conv_out.bias'"},
    {"{\"__metadata__\":{", "{\"__metadata__\":{\"more\":1,", BAD, BAD, BAD,
     "metadata 'more' is not a string"},
    {"\"format_version\":\"1\"", "\"format_version\":\"3\"", NEWER, NEWER, NEWER,
     "format_version is |3"},
    {"\"unet.levels\"", "\"unet.lavels\"", BAD, BAD, BAD, "no 'unet.levels'"},
    {"\"unet.levels\":\"2\"", "\"unet.levels\":\"9\"", BAD, BAD, BAD, "unet: 'levels' is 9"},
    {"\"unet.levels\":\"2\"", "\"unet.levels\":\"two\"", BAD, BAD, BAD, "'unet.levels' is \"two\""},
    {"\"unet.levels\":\"2\"", "\"unet.levels\":\"1\"", SHAPE, SHAPE, SHAPE, "|"},
    {"\"unet.mid_attention\":\"1\"", "\"unet.mid_attention\":\"0\"", SHAPE, SHAPE, SHAPE, "mid_"},
    {"\"unet.norm_groups\":\"4\"", "\"unet.norm_groups\":\"5\"", BAD, BAD, BAD,
     "unet: 'norm_groups' is 5"},
    {"\"unet.norm_groups\":\"4\"", "\"unet.norm_groups\":\"-1\"", BAD, BAD, BAD,
     "unet: 'norm_groups' is -1"},
    {"\"unet.norm_eps\":\"", "\"unet.norm_eps\":\"nan", BAD, BAD, BAD, "'unet.norm_eps' is \"nan"},
    {"\"unet.height\":\"8\"", "\"unet.height\":\"7\"", BAD, BAD, BAD, "unet: 'height' is 7"},
    {"\"unet.channels\":\"16,16,", "\"unet.channels\":\"16,24,", SHAPE, SHAPE, SHAPE, "|"},
    {"\"unet.channels\":\"16,16,", "\"unet.channels\":\"16,", BAD, BAD, BAD,
     "'unet.channels' is |a list of 8"},
    /* Weights of some gigabytes, which the file does not have. */
    {"\"unet.channels\":\"16,16,", "\"unet.channels\":\"16,2048,", SHAPE, SHAPE, SHAPE, "|"},
    {"\"unet.classes\":\"0\"", "\"unet.classes\":\"1000000\"", MISSING, MISSING, SHAPE, "class"},
    {"{", "{{", BAD, BAD, BAD, "header, byte"},
    {"}", "", BAD, BAD, BAD, "metadata 'conv_in.weight' is not a string"},
};

static const char *write_checkpoint(const char *folder) {
    training t;
    training_setup setup = training_default();
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 1, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, test_path(folder, "good")));
    training_end(&t);
    return test_path(folder, "good");
}

/* The peak must stay near what the file and a network of its true size take. */
enum { REASONABLE = 20000000 };

static void check_peak(const dm_context *context) {
    uint64_t peak;
    ck_assert_int_eq(dm_context_get_memory(context, NULL, &peak, NULL), DM_OK);
    ck_assert_msg(peak < REASONABLE, "%llu bytes were allocated", (unsigned long long)peak);
}

/* With DM_OK, loading must succeed. */
static void load_gives(const char *folder, const char *path, int32_t weights, int32_t want,
                       const char *words) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = (dm_unet *)&context;
    test_untouched untouched = test_untouched_begin(context, folder);
    int32_t status = dm_unet_load(&unet, context, path, weights);
    if (want) {
        test_refused(context, status, want, words);
        test_refused(context, want, want, path);
        ck_assert_ptr_null(unet);
    } else {
        test_accepted(context, status);
        dm_unet_destroy(unet);
    }
    check_peak(context);
    test_untouched_end(&untouched);
    dm_context_destroy(context);
}

static void refuse_load(const char *folder, const char *path, int32_t want, const char *words) {
    load_gives(folder, path, DM_WEIGHTS_DEFAULT, want, words);
    load_gives(folder, path, DM_WEIGHTS_TRAINED, want, words);
}

static void refuse_resume(const char *folder, const char *path, int32_t want, const char *words) {
    training t;
    training_setup setup = training_default();
    training_prepare(&t, &setup);
    float *weights = training_weights(&t);
    dm_trainer *trainer = (dm_trainer *)&t;
    test_untouched untouched = test_untouched_begin(t.context, folder);
    training_expect(&t, dm_trainer_resume(&trainer, t.unet, t.dataset, path), want, words);
    training_expect(&t, want, want, path);
    ck_assert_ptr_null(trainer);
    check_peak(t.context);
    test_untouched_end(&untouched);
    ck_assert(training_unchanged(&t, weights));
    /* And the context still works. */
    training_require(&t,
                     dm_trainer_create(&t.trainer, t.unet, t.schedule, t.dataset, &setup.options));
    training_require(&t, dm_trainer_step(t.trainer, NULL));
    free(weights);
    training_end(&t);
}

/* The file is named after the index in the table. */
START_TEST(invalid_headers_are_refused) {
    char *folder = test_folder_new(), name[32];
    size_t whole;
    uint8_t *bytes = training_read_file(write_checkpoint(folder), &whole);
    test_drop_checksums(bytes, whole);
    for (size_t i = 0; i < sizeof header_changes / sizeof *header_changes; i++) {
        const header_change *l = &header_changes[i];
        size_t size = whole;
        uint8_t *changed = change_header(bytes, &size, l->from, l->to);
        snprintf(name, sizeof name, "header.%zu", i);
        const char *path = test_path(folder, name);
        training_write_file(path, changed, size);
        load_gives(folder, path, DM_WEIGHTS_DEFAULT, l->ema, l->words);
        load_gives(folder, path, DM_WEIGHTS_TRAINED, l->trained, l->words);
        refuse_resume(folder, path, l->resume, l->words);
        unlink(path);
        free(changed);
    }
    free(bytes);
    free(folder);
}
END_TEST

/* The length before the header, and files that are none at all. */
START_TEST(invalid_lengths_are_refused) {
    char *folder = test_folder_new();
    size_t size;
    uint8_t *bytes = training_read_file(write_checkpoint(folder), &size);
    const char *path = test_path(folder, "length");
    const uint64_t lengths[] = {0, 1, 100, size - 8, size - 7, 100000001, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        for (int k = 0; k < LENGTH_BYTES; k++) bytes[k] = (uint8_t)(lengths[i] >> 8 * k);
        training_write_file(path, bytes, size);
        refuse_load(folder, path, BAD, "header");
        refuse_resume(folder, path, BAD, "header");
    }
    training_write_file(path, bytes, 0);
    refuse_load(folder, path, BAD, "only 0 bytes");
    refuse_resume(folder, path, BAD, "only 0 bytes");
    memset(bytes + LENGTH_BYTES, '[', size - LENGTH_BYTES); /* deeper than any reader follows */
    memcpy(bytes + LENGTH_BYTES, "{\"a\":{\"b\":", 10);
    for (int k = 0; k < LENGTH_BYTES; k++)
        bytes[k] = (uint8_t)((uint64_t)(size - LENGTH_BYTES) >> 8 * k);
    training_write_file(path, bytes, size);
    refuse_load(folder, path, BAD, "header, byte|too many levels");
    refuse_resume(folder, path, BAD, "header, byte|too many levels");
    free(bytes);
    free(folder);
}
END_TEST

START_TEST(files_of_the_wrong_length_are_refused) {
    char *folder = test_folder_new();
    size_t size;
    uint8_t *bytes = training_read_file(write_checkpoint(folder), &size),
            *longer = calloc(size + 1, 1);
    const char *path = test_path(folder, "part");
    training_write_file(path, bytes, size - 1);
    refuse_load(folder, path, BAD, "data_offsets|exceed the data's");
    refuse_resume(folder, path, BAD, "data_offsets|exceed the data's");
    memcpy(longer, bytes, size);
    training_write_file(path, longer, size + 1);
    refuse_load(folder, path, BAD, "1 bytes follow the last tensor");
    refuse_resume(folder, path, BAD, "1 bytes follow the last tensor");
    free(longer);
    free(bytes);
    free(folder);
}
END_TEST

/* ---- disks ---- */

enum { SIDE = 160 }; /* of an image that does not compress below any disk of these tests */

/* Everything that writes a file. */
typedef struct writer {
    const char *name;
    int32_t (*write)(const training *t, const uint8_t *pixels, const char *path);
} writer;

static int32_t write_network(const training *t, const uint8_t *pixels, const char *path) {
    (void)pixels;
    return dm_unet_save(t->unet, t->schedule, path);
}

static int32_t write_training(const training *t, const uint8_t *pixels, const char *path) {
    (void)pixels;
    return dm_trainer_save(t->trainer, path);
}

static int32_t write_image(const training *t, const uint8_t *pixels, const char *path) {
    return dm_image_write_png(t->context, path, pixels, SIDE * SIDE * 3, SIDE, SIDE, 3);
}

static int32_t write_animation(const training *t, const uint8_t *pixels, const char *path) {
    const dm_image_animation animation = {.struct_size = sizeof animation,
                                          .height = SIDE / 2,
                                          .width = SIDE,
                                          .channels = 3,
                                          .frames = 2,
                                          .delay_ms = 100,
                                          .last_delay_ms = 1000};
    return dm_image_write_apng(t->context, path, pixels, SIDE * SIDE * 3, &animation);
}

static const writer writers[] = {
    {"network", write_network},
    {"training", write_training},
    {"image", write_image},
    {"animation", write_animation},
};
enum { WRITERS = sizeof writers / sizeof *writers };

static const uint8_t *noisy_pixels(void) {
    static uint8_t pixels[SIDE * SIDE * 3];
    static float noise[SIDE * SIDE * 3];
    test_fill(noise, sizeof pixels, 3, 1);
    ck_assert_int_eq(dm_image_to_u8(pixels, noise, sizeof pixels), DM_OK);
    return pixels;
}

static void refuse_write(const writer *w, const training *t, const char *folder, const char *path,
                         const char *words) {
    test_untouched untouched = test_untouched_begin(t->context, folder);
    training_expect(t, w->write(t, noisy_pixels(), path), DM_ERROR_IO, words);
    training_expect(t, DM_ERROR_IO, DM_ERROR_IO, path);
    test_untouched_end(&untouched);
}

START_TEST(folders_that_cannot_be_written) {
    const writer *w = &writers[_i];
    training t;
    training_setup setup = training_default();
    char *folder = test_folder_new();
    training_begin(&t, &setup);
    training_write_file(test_path(folder, "file"), "old", 3);
    refuse_write(w, &t, folder, test_path(folder, "none/new"),
                 "cannot create|No such file or directory");
    refuse_write(w, &t, folder, test_path(folder, "file/new"), "cannot create|Not a directory");
    refuse_write(w, &t, folder, folder, "cannot write: not a regular file");
    refuse_write(w, &t, NULL, "/dev/null", "cannot write: not a regular file");
    if (geteuid() != 0) { /* root may write everywhere */
        ck_assert_int_eq(chmod(folder, 0555), 0);
        refuse_write(w, &t, folder, test_path(folder, "new"), "cannot create|Permission denied");
        refuse_write(w, &t, folder, test_path(folder, "file"), "cannot create|Permission denied");
        ck_assert_int_eq(chmod(folder, 0755), 0);
    }
    training_require(&t, w->write(&t, noisy_pixels(), test_path(folder, "new")));
    training_end(&t);
    free(folder);
}
END_TEST

/* By a limit on the size of files, and on a real disk where mounting is allowed. */
START_TEST(a_full_disk) {
    const writer *w = &writers[_i % WRITERS];
    training t;
    training_setup setup = training_default();
    test_disk disk;
    bool real = _i >= WRITERS;
    training_begin(&t, &setup);
    if (test_disk_begin(&disk, 40000, real)) {
        const char *path = test_path(disk.folder, "file");
        training_write_file(path, "the old file", 12);
        refuse_write(w, &t, disk.folder, path,
                     real ? "cannot write: No space left" : "cannot write: File too large");
        refuse_write(w, &t, disk.folder, test_path(disk.folder, "other"), "cannot write: ");
        if (!real) {
            test_disk_lift(&disk);
            training_require(&t, w->write(&t, noisy_pixels(), path));
        }
        test_disk_end(&disk);
    }
    training_end(&t);
}
END_TEST

/* ---- memory ---- */

START_TEST(ten_megabytes) {
    dm_context *roomy = test_context_new(NULL, 0), *context = test_context_new(NULL, 10000000);
    dm_unet_options o;
    dm_unet *unet = NULL;
    char *folder = test_folder_new();
    const char *path = test_path(folder, "network");
    ck_assert_int_eq(dm_unet_options_preset(&o, sizeof o, DM_PRESET_SMALL), DM_OK);
    test_accepted(roomy, dm_unet_create(&unet, roomy, &o, 1));
    test_accepted(roomy, dm_unet_save(unet, NULL, path));
    dm_unet_destroy(unet);
    dm_context_destroy(roomy);

    test_untouched untouched = test_untouched_begin(context, folder);
    test_refused(context, dm_unet_create(&unet, context, &o, 1), DM_ERROR_LIMIT_EXCEEDED,
                 "parameters: 34.3 MB would exceed the memory limit of 10.0 MB|in use");
    ck_assert_ptr_null(unet);
    test_refused(context, dm_unet_load(&unet, context, path, DM_WEIGHTS_DEFAULT),
                 DM_ERROR_LIMIT_EXCEEDED,
                 "34.3 MB would exceed the memory limit of 10.0 MB|in use");
    ck_assert_ptr_null(unet);
    test_untouched_end(&untouched);

    ck_assert_int_eq(dm_unet_options_preset(&o, sizeof o, DM_PRESET_TINY),
                     DM_OK); /* and what fits still does */
    test_accepted(context, dm_unet_create(&unet, context, &o, 1));
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    free(folder);
}
END_TEST

Suite *test_bad_input_suite(void);
Suite *test_bad_input_suite(void) {
    Suite *suite = suite_create("bad_input");
    TCase *tcase = tcase_create("bad_input");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, impossible_networks_are_refused);
    tcase_add_test(tcase, truncated_archives_are_refused);
    tcase_add_test(tcase, batches_of_the_wrong_size_are_refused);
    tcase_add_test(tcase, invalid_headers_are_refused);
    tcase_add_test(tcase, invalid_lengths_are_refused);
    tcase_add_test(tcase, files_of_the_wrong_length_are_refused);
    tcase_add_loop_test(tcase, folders_that_cannot_be_written, 0, WRITERS);
    tcase_add_loop_test(tcase, a_full_disk, 0, 2 * WRITERS);
    tcase_add_test(tcase, ten_megabytes);
    suite_add_tcase(suite, tcase);
    return suite;
}
