/* SPDX-License-Identifier: MIT */
/* Names of a network's classes: set, kept in files, shared, and refused. */
#include "core/class_names.h"

#include "core/context.h"
#include "support/allocator.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"

static const char *const names[] = {"cat", "dog", "\xc3\xa9lan", "a \"fast\" \\ car"};
static const char *const others[] = {"one", "two", "three", "four"};
enum { CLASSES = sizeof names / sizeof *names };

static void same_names(const dm_unet *unet, const char *const *want) {
    ck_assert_int_eq(CLASSES, NETWORK_CLASSES);
    for (int32_t i = 0; i < CLASSES; i++) {
        const char *name = dm_unet_class_name(unet, i);
        if (want) ck_assert_str_eq(name, want[i]);
        else ck_assert_ptr_null(name);
    }
    ck_assert_ptr_null(dm_unet_class_name(unet, -1));
    ck_assert_ptr_null(dm_unet_class_name(unet, CLASSES));
}

/* ---- set and get ---- */

START_TEST(names_are_set_and_removed) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1);
    char changed[] = "cat";
    const char *list[CLASSES] = {changed, names[1], names[2], names[3]};
    same_names(unet, NULL);
    test_accepted(context, dm_unet_set_class_names(unet, list, CLASSES));
    changed[0] = 'r'; /* they are copies */
    same_names(unet, names);
    test_accepted(context, dm_unet_set_class_names(unet, others, CLASSES));
    same_names(unet, others);
    test_accepted(context, dm_unet_set_class_names(unet, NULL, 0));
    same_names(unet, NULL);
    ck_assert_ptr_null(dm_unet_class_name(NULL, 0));
    ck_assert_int_eq(dm_unet_set_class_names(NULL, names, CLASSES), DM_ERROR_INVALID_ARGUMENT);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

static char text_255[256], text_256[257];

/* What a name may be, and what not. */
static const struct {
    const char *name;
    bool good;
} limits[] = {{"x", true},
              {" ", true},
              {text_255, true},
              {"\xf0\x9f\x90\x88", true},
              {"\xc2\xa0", true}, /* U+00A0 is behind the control characters */
              {"", false},
              {text_256, false},
              {"a\nb", false},
              {"\t", false},
              {"\x7f", false},
              {"a\xc2\x85", false},        /* U+0085, a control character */
              {"caf\xe9", false},          /* Latin-1 */
              {"\xc3", false},             /* a part of a character */
              {"\xc0\xaf", false},         /* longer than necessary */
              {"\xed\xa0\x80", false},     /* half of a surrogate pair */
              {"\xf4\x90\x80\x80", false}, /* above U+10FFFF */
              {NULL, false}};
enum { LIMITS = sizeof limits / sizeof *limits };

/* Names that are accepted can be saved and loaded; refused ones leave the old ones. */
START_TEST(limits_of_a_name) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *loaded;
    const char *path = test_path(test_folder(), "network");
    memset(text_255, 'n', 255);
    memset(text_256, 'n', 256);
    const char *list[CLASSES] = {"a", "b", limits[_i].name, "d"};
    test_accepted(context, dm_unet_set_class_names(unet, names, CLASSES));
    test_untouched untouched = test_untouched_begin(context, NULL);
    if (limits[_i].good) {
        test_accepted(context, dm_unet_set_class_names(unet, list, CLASSES));
        test_accepted(context, dm_unet_save(unet, NULL, path));
        test_accepted(context, dm_unet_load(&loaded, context, path, DM_WEIGHTS_DEFAULT));
        same_names(loaded, list);
        dm_unet_destroy(loaded);
        test_accepted(context, dm_unet_set_class_names(unet, names, CLASSES));
    } else {
        test_refused(context, dm_unet_set_class_names(unet, list, CLASSES),
                     DM_ERROR_INVALID_ARGUMENT, "unet: the name of class 2|UTF-8 of 1 to 255");
    }
    same_names(unet, names);
    test_untouched_end(&untouched);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

START_TEST(counts_that_are_refused) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1);
    dm_unet_options o = network_options();
    test_accepted(context, dm_unet_set_class_names(unet, names, CLASSES));
    const int32_t counts[] = {0, 1, CLASSES - 1, CLASSES + 1, -1, INT32_MAX, INT32_MIN};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        test_refused(context, dm_unet_set_class_names(unet, names, counts[i]),
                     DM_ERROR_SHAPE_MISMATCH, "unet: 'count' is|must be 4");
    test_refused(context, dm_unet_set_class_names(unet, NULL, CLASSES), DM_ERROR_SHAPE_MISMATCH,
                 "'count' is 4; it must be 0");
    same_names(unet, names);
    dm_unet_destroy(unet);
    o.classes = 0;
    test_accepted(context, dm_unet_create(&unet, context, &o, 1));
    test_refused(context, dm_unet_set_class_names(unet, names, 1), DM_ERROR_SHAPE_MISMATCH,
                 "'count' is 1; it must be 0");
    test_accepted(context, dm_unet_set_class_names(unet, names, 0));
    ck_assert_ptr_null(dm_unet_class_name(unet, 0));
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* All names must fit in the header of a file, also where each character is written as two. */
START_TEST(limit_of_all_names) {
    enum { LENGTH = 249, MANY = 8000000 / (LENGTH + 1) };
    dm_context *context = test_context_new(NULL, 0);
    dm_unet_options o = network_options();
    dm_unet *unet, *loaded;
    size_t size;
    static char name[LENGTH + 1];
    static const char *list[MANY + 1];
    memset(name, '"', LENGTH);
    for (int32_t i = 0; i <= MANY; i++) list[i] = name;
    o.classes = MANY + 1;
    test_accepted(context, dm_unet_create(&unet, context, &o, 1));
    test_refused(context, dm_unet_set_class_names(unet, list, o.classes), DM_ERROR_INVALID_ARGUMENT,
                 "unet|more than 8000000 bytes");
    dm_unet_destroy(unet);
    o.classes = MANY;
    test_accepted(context, dm_unet_create(&unet, context, &o, 1));
    test_accepted(context, dm_unet_set_class_names(unet, list, o.classes));
    test_accepted(context, dm_unet_save_memory(unet, NULL, NULL, 0, &size));
    void *bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    test_accepted(context, dm_unet_save_memory(unet, NULL, bytes, size, &size));
    dm_unet_destroy(unet);
    test_accepted(context, dm_unet_load_memory(&loaded, context, bytes, size, DM_WEIGHTS_DEFAULT));
    ck_assert_str_eq(dm_unet_class_name(loaded, MANY - 1), name);
    dm_unet_destroy(loaded);
    free(bytes);
    dm_context_destroy(context);
}
END_TEST

/* ---- files and shares ---- */

/* Files without names stay as they were before there were any. */
START_TEST(files_keep_the_names) {
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *loaded;
    char *folder = test_folder_new();
    const char *path = test_path(folder, "network"), *bare = test_path(folder, "bare"),
               *again = test_path(folder, "again");
    dmi_safetensors *file;
    test_accepted(context, dm_unet_save(unet, NULL, bare));
    test_accepted(context, dmi_safetensors_open(&context->host, &file, bare));
    ck_assert_ptr_null(dmi_safetensors_metadata(file, "unet.class_names"));
    dmi_safetensors_close(&context->host, file);
    test_accepted(context, dm_unet_set_class_names(unet, names, CLASSES));
    test_accepted(context, dm_unet_save(unet, NULL, path));
    test_accepted(context, dmi_safetensors_open(&context->host, &file, path));
    ck_assert_str_eq(dmi_safetensors_metadata(file, "unet.class_names"),
                     "cat\ndog\n\xc3\xa9lan\na \"fast\" \\ car");
    ck_assert_str_eq(dmi_safetensors_metadata(file, "format_version"), "1");
    dmi_safetensors_close(&context->host, file);
    test_accepted(context, dm_unet_load(&loaded, context, path, DM_WEIGHTS_DEFAULT));
    same_names(loaded, names);
    network_same(unet, loaded);
    test_accepted(context, dm_unet_save(loaded, NULL, again));
    training_same_files(path, again);
    test_accepted(context, dm_unet_set_class_names(loaded, NULL, 0));
    test_accepted(context, dm_unet_save(loaded, NULL, again));
    training_same_files(bare, again);
    dm_unet_destroy(loaded);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    free(folder);
}
END_TEST

/* A share has names of its own, in its own context, and while it lives nobody changes them. */
START_TEST(shares_have_the_names) {
    dm_context *context = test_context_new(NULL, 0), *other = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *shared;
    test_accepted(context, dm_unet_set_class_names(unet, names, CLASSES));
    test_accepted(other, dm_unet_share(&shared, other, unet));
    same_names(shared, names);
    test_refused(context, dm_unet_set_class_names(unet, others, CLASSES), DM_ERROR_WRONG_STATE,
                 "shared");
    test_refused(other, dm_unet_set_class_names(shared, NULL, 0), DM_ERROR_WRONG_STATE, "shared");
    same_names(unet, names);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    same_names(shared, names);
    dm_unet_destroy(shared);
    dm_context_destroy(other);
}
END_TEST

static int32_t load_names(dm_context *context, const void *path) {
    dm_unet *unet, *shared = NULL;
    int32_t status = dm_unet_load(&unet, context, path, DM_WEIGHTS_DEFAULT);
    if (!status) status = dm_unet_set_class_names(unet, others, CLASSES);
    if (!status) status = dm_unet_share(&shared, context, unet);
    if (!status) same_names(shared, others);
    dm_unet_destroy(shared);
    dm_unet_destroy(unet);
    return status;
}

static int32_t save_names(dm_context *context, const void *path) {
    dm_unet_options o = network_options();
    dm_unet *unet;
    int32_t status = dm_unet_create(&unet, context, &o, 1);
    if (!status) status = dm_unet_set_class_names(unet, names, CLASSES);
    if (!status) status = dm_unet_save(unet, NULL, path);
    dm_unet_destroy(unet);
    return status;
}

START_TEST(every_allocation_may_fail) {
    const char *path = test_path(test_folder(), "network");
    ck_assert_int_gt(test_every_allocation(save_names, path), 10);
    ck_assert_int_gt(test_every_allocation(load_names, path), 10);
}
END_TEST

/* ---- damaged files ---- */

static const struct {
    const char *text;
    int32_t classes;
    const char *words; /* NULL: it is good */
} texts[] = {{"a\nb\nc", 3, NULL},
             {"a\nb\nc", 4, "'unet.class_names' has 3 names; the network has 4"},
             {"a\nb\nc\n", 3, "4 names"},
             {"a\nb\nc\n", 4, "class 3"},
             {"\nb\nc", 3, "class 0"},
             {"a\n\nc", 3, "class 1"},
             {"a\tb\nb\nc", 3, "class 0"},
             {"a\rb\nb\nc", 3, "class 0"},
             {"a\nb\xc2\x80\nc", 3, "class 1"},
             {"", 1, "class 0"},
             {"", 0, "1 names; the network has 0"},
             {"a", 0, "1 names; the network has 0"},
             {"a", -1, "1 names"},
             {text_256, 1, "class 0"}};
enum { TEXTS = sizeof texts / sizeof *texts };

START_TEST(metadata_that_is_refused) {
    dm_context *context = test_context_new(NULL, 0);
    dmi_host *host = &context->host;
    dmi_safetensors_writer *writer;
    dmi_safetensors *file;
    dmi_class_names got = {0};
    const char *path = test_path(test_folder(), "file");
    memset(text_256, 'n', 256);
    test_accepted(context, dmi_safetensors_begin(host, &writer));
    test_accepted(context,
                  dmi_safetensors_add_metadata(host, writer, "unet.class_names", texts[_i].text));
    test_accepted(context, dmi_safetensors_write(host, writer, path));
    dmi_safetensors_free(host, writer);
    test_accepted(context, dmi_safetensors_open(host, &file, path));
    test_untouched untouched = test_untouched_begin(context, NULL);
    const dm_status status = dmi_class_names_read(host, file, &got, texts[_i].classes);
    if (texts[_i].words) test_refused(context, status, DM_ERROR_BAD_FORMAT, texts[_i].words);
    else test_accepted(context, status);
    ck_assert_uint_eq(got.count, texts[_i].words ? 0 : (size_t)texts[_i].classes);
    if (!texts[_i].words) ck_assert_str_eq(dmi_class_name(&got, 2), "c");
    dmi_class_names_free(host, &got);
    test_untouched_end(&untouched);
    dmi_safetensors_close(host, file);
    dm_context_destroy(context);
}
END_TEST

Suite *test_class_names_suite(void);
Suite *test_class_names_suite(void) {
    Suite *suite = suite_create("class_names");
    TCase *tcase = tcase_create("class_names");
    tcase_set_timeout(tcase, 30);
    tcase_add_test(tcase, names_are_set_and_removed);
    tcase_add_loop_test(tcase, limits_of_a_name, 0, LIMITS);
    tcase_add_test(tcase, counts_that_are_refused);
    tcase_add_test(tcase, limit_of_all_names);
    tcase_add_test(tcase, files_keep_the_names);
    tcase_add_test(tcase, shares_have_the_names);
    tcase_add_test(tcase, every_allocation_may_fail);
    tcase_add_loop_test(tcase, metadata_that_is_refused, 0, TEXTS);
    suite_add_tcase(suite, tcase);
    return suite;
}
