/* SPDX-License-Identifier: MIT */
/* The pictures of a folder: which ones, in which order, their classes and their conditions. */
#include <errno.h>
#include <strings.h>
#include <unistd.h>

#include "program/folders.h"
#include "program/report_files.h"

/* "a.png b/c.png" and labels "-1 0". */
static void check_list(const listing *l, const char *names, const char *labels) {
    char got[1024] = "", numbers[256] = "";
    for (size_t i = 0; i < l->count; i++) {
        const size_t used = strlen(got), digits = strlen(numbers);
        snprintf(got + used, sizeof got - used, "%s%s", i ? " " : "", l->pictures[i].relative);
        snprintf(numbers + digits, sizeof numbers - digits, "%s%d", i ? " " : "",
                 (int)l->pictures[i].label);
    }
    ck_assert_str_eq(got, names);
    ck_assert_str_eq(numbers, labels);
}

static void check_refused(const char *folder, const char *conditions, const char *part, int error) {
    listing l;
    char text[512] = "";
    ck_assert_int_eq(listing_read(&l, folder, conditions, text, sizeof text), 1);
    test_has_reason(text, part, error);
    ck_assert(!l.pictures && !l.classes && !l.count && !l.class_count);
    listing_free(&l);
}

/* Names in the order of their bytes, whatever the order of creation; folders in folders belong to
 * the class at the top. */
START_TEST(recursive_and_sorted) {
    char *folder = test_folder_new();
    make_in(folder, "b");
    make_in(folder, "b/deep");
    make_in(folder, "a");
    make_in(folder, "empty");
    write_picture(test_path(folder, "b/2.PNG"), 9, 7, 3, 1);
    write_picture(test_path(folder, "b/deep/1.png"), 5, 6, 1, 2);
    write_picture(test_path(folder, "a/z.png"), 5, 6, 1, 3);
    write_picture(test_path(folder, "a/10.png"), 5, 6, 1, 4);
    write_picture(test_path(folder, "b.png"), 5, 6, 1, 5);
    write_text(test_path(folder, "a/notes.txt"), "no picture");
    listing l = listed(folder, NULL);
    check_list(&l, "a/10.png a/z.png b.png b/2.PNG b/deep/1.png", "0 0 -1 1 1");
    ck_assert_uint_eq(l.class_count, 2);
    ck_assert_str_eq(l.classes[0], "a");
    ck_assert_str_eq(l.classes[1], "b");
    ck_assert(l.other_files == 1 && !l.unreadable && !l.unpaired);
    const listed_picture *p = &l.pictures[3];
    ck_assert(p->height == 9 && p->width == 7 && p->channels == 3 && !p->condition);
    ck_assert_str_eq(p->path, test_path(folder, "b/2.PNG"));
    struct stat is;
    ck_assert(!stat(p->path, &is) && p->bytes == (int64_t)is.st_size);
    ck_assert_int_eq(l.pictures[0].channels, 1);
    listing_free(&l);
    /* Slashes behind the folder's name change nothing but it. */
    char *slashes = strdup(test_path(folder, "b///"));
    l = listed(slashes, NULL);
    check_list(&l, "2.PNG deep/1.png", "-1 0");
    listing_free(&l);
    free(slashes);
    free(folder);
}
END_TEST

/* One class distinguishes nothing, unless there are pictures without it. */
START_TEST(single_class) {
    char *folder = test_folder_new();
    make_in(folder, "only");
    make_in(folder, "damaged");
    write_picture(test_path(folder, "only/1.png"), 8, 8, 3, 1);
    write_text(test_path(folder, "damaged/1.png"), "");
    listing l = listed(folder, NULL);
    check_list(&l, "only/1.png", "-1");
    ck_assert_uint_eq(l.class_count, 0);
    listing_free(&l);
    write_picture(test_path(folder, "2.png"), 8, 8, 3, 1);
    l = listed(folder, NULL);
    check_list(&l, "2.png only/1.png", "-1 0");
    ck_assert_uint_eq(l.class_count, 1);
    listing_free(&l);
    free(folder);
}
END_TEST

START_TEST(hidden_files) {
    char *folder = test_folder_new();
    make_in(folder, ".git");
    write_picture(test_path(folder, ".git/1.png"), 8, 8, 3, 1);
    write_picture(test_path(folder, ".hidden.png"), 8, 8, 3, 1);
    listing l = listed(folder, NULL);
    check_list(&l, "", "");
    ck_assert_uint_eq(l.other_files, 0);
    listing_free(&l);
    free(folder);
}
END_TEST

#ifndef _WIN32
START_TEST(links_and_pipes) {
    char *folder = test_folder_new(), *other = test_folder_new();
    ck_assert_int_eq(symlink("nowhere.png", test_path(folder, "broken.png")), 0);
    ck_assert_int_eq(mkfifo(test_path(folder, "pipe.png"), 0600), 0);
    listing l = listed(folder, NULL);
    check_list(&l, "", "");
    ck_assert_uint_eq(l.other_files, 1);
    listing_free(&l);
    write_picture(test_path(other, "1.png"), 8, 8, 3, 1);
    char *target = realpath(other, NULL);
    ck_assert_int_eq(symlink(target, test_path(folder, "linked")), 0);
    free(target);
    l = listed(folder, NULL);
    check_list(&l, "linked/1.png", "-1");
    listing_free(&l);
    /* A link to the folder that it is in ends. */
    ck_assert_int_eq(symlink(".", test_path(folder, "loop")), 0);
    check_refused(folder, NULL, "nested too deeply", 0);
    free(folder);
    free(other);
}
END_TEST
#endif

START_TEST(unreadable_files) {
    char *folder = test_folder_new();
    write_text(test_path(folder, "1.png"), "text");
    write_text(test_path(folder, "2.jpg"), "");
    write_picture(test_path(folder, "3.png"), 8, 8, 3, 1);
    listing l = listed(folder, NULL);
    check_list(&l, "3.png", "-1");
    ck_assert_uint_eq(l.unreadable, 2);
    ck_assert_str_eq(l.first_unreadable + strlen(test_path(folder, "1.png")),
                     ": neither a PNG nor a JPEG file");
    listing_free(&l);
    check_refused(test_path(folder, "none"), NULL, "none: ", ENOENT);
    check_refused(test_path(folder, "3.png"), NULL, "3.png: ", ENOTDIR);
    char *longer = malloc(5001);
    ck_assert_ptr_nonnull(longer);
    memset(longer, 'x', 5000);
    longer[5000] = 0;
    check_refused(longer, NULL, "the folder: ", ENAMETOOLONG);
    free(longer);
    make_in(folder, "closed");
    ck_assert_int_eq(chmod(test_path(folder, "closed"), 0), 0);
    if (geteuid()) check_refused(folder, NULL, "closed: ", EACCES);
    ck_assert_int_eq(chmod(test_path(folder, "closed"), 0700), 0);
    free(folder);
}
END_TEST

/* Conditions have the same name, with any suffix of a picture. */
START_TEST(paired_pictures) {
    char *folder = test_folder_new(), *pairs = test_folder_new();
    make_in(folder, "a");
    make_in(pairs, "a");
    write_picture(test_path(folder, "a/1.png"), 8, 8, 3, 1);
    write_picture(test_path(folder, "a/2.x.png"), 8, 8, 3, 1);
    write_picture(test_path(folder, "3.png"), 8, 8, 3, 1);
    write_picture(test_path(pairs, "a/1.png"), 8, 8, 3, 1);
    write_text(test_path(pairs, "a/2.x.JPG"), "");
    make_in(pairs, "3.png");
    listing l = listed(folder, pairs);
    check_list(&l, "a/1.png a/2.x.png", "-1 -1");
    ck_assert_uint_eq(l.unpaired, 1);
    ck_assert_str_eq(l.pictures[0].condition, test_path(pairs, "a/1.png"));
    /* Some systems find 2.x.jpg as well. */
    ck_assert_int_eq(strcasecmp(l.pictures[1].condition, test_path(pairs, "a/2.x.JPG")), 0);
    listing_free(&l);
    check_refused(folder, test_path(pairs, "none"), "none: ", ENOENT);
    check_refused(folder, test_path(pairs, "a/1.png"), "1.png: ", ENOTDIR);
    free(folder);
    free(pairs);
}
END_TEST

/* The fingerprint depends on names and sizes, and not on the place of the folder; it is the same on
 * every machine. */
START_TEST(fingerprint) {
    char *one = test_folder_new(), *other = test_folder_new();
    write_picture(test_path(one, "1.png"), 8, 8, 3, 1);
    write_picture(test_path(other, "1.png"), 8, 8, 3, 1);
    listing a = listed(one, NULL), b = listed(other, NULL);
    const uint64_t same = listing_fingerprint(&a);
    ck_assert(same && same == listing_fingerprint(&b));
    b.pictures[0].bytes++;
    ck_assert_uint_ne(listing_fingerprint(&b), same);
    b.pictures[0].bytes--;
    ck_assert_int_eq(rename(test_path(other, "1.png"), test_path(other, "2.png")), 0);
    listing c = listed(other, NULL);
    ck_assert_uint_ne(listing_fingerprint(&c), same);
    listing_free(&a);
    listing_free(&b);
    listing_free(&c);
    /* With conditions, on their sizes too. */
    listing pairs = listed(one, one);
    const uint64_t paired = listing_fingerprint(&pairs);
    ck_assert_uint_ne(paired, same);
    pairs.pictures[0].condition_bytes++;
    ck_assert_uint_ne(listing_fingerprint(&pairs), paired);
    listing_free(&pairs);
    listed_picture fixed = {.relative = "a.png", .bytes = 258};
    const listing known = {.pictures = &fixed, .count = 1};
    ck_assert_uint_eq(listing_fingerprint(&known), UINT64_C(0x64b7c219eca45cde));
    free(one);
    free(other);
}
END_TEST

Suite *test_listing_suite(void);
Suite *test_listing_suite(void) {
    Suite *suite = suite_create("listing");
    TCase *tests = tcase_create("listing");
    tcase_add_test(tests, recursive_and_sorted);
    tcase_add_test(tests, single_class);
    tcase_add_test(tests, hidden_files);
#ifndef _WIN32
    tcase_add_test(tests, links_and_pipes);
#endif
    tcase_add_test(tests, unreadable_files);
    tcase_add_test(tests, paired_pictures);
    tcase_add_test(tests, fingerprint);
    suite_add_tcase(suite, tests);
    return suite;
}
