/* SPDX-License-Identifier: MIT */
/* Pictures that are refused, cut off or damaged: an error with a text, and no crash. */
#include <errno.h>

#include "picture/decode.h"
#include "program/pictures.h"
#include "support/training.h"

/* Reading and probing must fail with a text that has the path and `part`. */
static void refused(const char *path, const char *part, int32_t probed) {
    const picture_options o = as_it_is(3);
    char error[512] = "";
    picture p;
    picture_info info;
    ck_assert_int_eq(picture_read(&p, path, &o, error, sizeof error), 1);
    ck_assert_msg(strstr(error, path) == error && strstr(error, part), "%s", error);
    ck_assert(!p.pixels && !p.height && !p.width && !p.channels);
    if (!probed) return;
    *error = 0;
    ck_assert_int_eq(picture_probe(&info, path, error, sizeof error), 1);
    ck_assert_msg(strstr(error, path) == error && strstr(error, part), "%s", error);
}

START_TEST(refused_files) {
    const char *folder = test_folder();
    refused(test_path(folder, "none.png"), strerror(ENOENT), 1);
    refused(folder, "not a regular file", 1);
    const char *path = test_path(folder, "x.png");
    training_write_file(path, "", 0);
    refused(path, "an empty file", 1);
    training_write_file(path, "GIF89a, and more", 16);
    refused(path, "neither a PNG nor a JPEG file", 1);
    refused(picture_path("wide.png"), "has 65501 x 1 pixels; at most 65500 a side", 1);
    refused(picture_path("wide.jpg"), "65500", 1);
    refused(picture_path("claims.png"), "cut off", 1);
    refused(picture_path("claims.jpg"), "cut off", 1);

    picture p;
    char error[256] = "";
    picture_options o = as_it_is(2);
    ck_assert_int_eq(picture_read(&p, "a.png", &o, error, sizeof error), 1);
    ck_assert_str_eq(error, "a.png: pictures are read with 1 or 3 channels, not 2");
    o = as_it_is(3);
    o.height = 65501;
    ck_assert_int_eq(picture_read(&p, picture_path("rgb8.png"), &o, error, sizeof error), 1);
    ck_assert_ptr_nonnull(strstr(error, "a size of 0 x 65501 pixels"));
    o.height = 65500;
    ck_assert_int_eq(picture_read(&p, picture_path("rgb8.png"), &o, error, sizeof error), 1);
    ck_assert_ptr_nonnull(strstr(error, "would be scaled to 77409 x 65500 pixels"));
    /* A short buffer, and none. */
    ck_assert_int_eq(picture_read(&p, "a.png", &o, error, 4), 1);
    ck_assert_str_eq(error, "a.p");
    ck_assert_int_eq(picture_read(&p, "a.png", &o, NULL, 0), 1);
}
END_TEST

static const char *const damaged[] = {"rgb8.png",     "interlaced16.png", "palette_trns.png",
                                      "baseline.jpg", "progressive.jpg",  "cmyk.jpg",
                                      "turned6.jpg"};

/* The kind is found by the first bytes. */
START_TEST(cut_off) {
    size_t size;
    uint8_t *bytes = training_read_file(picture_path(damaged[_i]), &size);
    const char *path = test_path(test_folder(), "cut");
    const picture_options o = as_it_is(3);
    for (size_t length = 0; length < size; length++) {
        training_write_file(path, bytes, length);
        refused(path,
                length == 0  ? "empty"
                : length < 3 ? "neither"
                : length < 8 ? ""
                             : "cut off",
                0);
        picture_info info;
        char error[256];
        (void)picture_probe(&info, path, error, sizeof error); /* may succeed */
    }
    training_write_file(path, bytes, size);
    picture p = read_file(path, &o);
    picture_free(&p);
    free(bytes);
}
END_TEST

/* Any result, but no crash; every error has a text. */
START_TEST(flipped) {
    size_t size;
    uint8_t *bytes = training_read_file(picture_path(damaged[_i]), &size);
    uint8_t *copy = malloc(size);
    ck_assert_ptr_nonnull(copy);
    const char *path = test_path(test_folder(), "flipped");
    picture_options o = as_it_is(_i % 2 ? 3 : 1);
    uint64_t state = (uint64_t)_i;
    for (int i = 0; i < 600; i++) {
        memcpy(copy, bytes, size);
        for (uint32_t flips = 1 + picture_random(&state) % 4; flips--;)
            copy[picture_random(&state) % size] ^= (uint8_t)(1 + picture_random(&state) % 255);
        training_write_file(path, copy, size);
        o.height = i % 3 ? 5 : 0;
        picture p;
        char error[256] = "";
        if (picture_read(&p, path, &o, error, sizeof error)) ck_assert_uint_gt(strlen(error), 0);
        else ck_assert(p.pixels && p.height >= 1 && p.width >= 1);
        picture_free(&p);
    }
    free(copy);
    free(bytes);
}
END_TEST

START_TEST(hostile_exif) {
    uint8_t data[] = {'E', 'x', 'i', 'f',  0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8,
                      0,   1,   1,   0x12, 0, 3, 0,   0,   0, 1,  0, 6, 0, 0};
    ck_assert_int_eq(picture_exif_orientation(data, sizeof data), 6);
    for (size_t size = 0; size < sizeof data; size++) {
        uint8_t *exact = malloc(size ? size : 1);
        ck_assert_ptr_nonnull(exact);
        memcpy(exact, data, size);
        ck_assert_int_eq(picture_exif_orientation(exact, size), 0);
        free(exact);
    }
    uint64_t state = 3;
    for (int i = 0; i < 100000; i++) {
        uint8_t copy[sizeof data];
        memcpy(copy, data, sizeof data);
        copy[6 + picture_random(&state) % 22] = (uint8_t)picture_random(&state);
        copy[6 + picture_random(&state) % 22] = (uint8_t)(picture_random(&state) % 2 ? 255 : 20);
        const int32_t orientation = picture_exif_orientation(copy, sizeof copy);
        ck_assert(orientation >= 0 && orientation <= 8);
    }
    data[25] = 9;
    ck_assert_int_eq(picture_exif_orientation(data, sizeof data), 0);
}
END_TEST

Suite *test_picture_damage_suite(void);
Suite *test_picture_damage_suite(void) {
    Suite *suite = suite_create("picture_damage");
    TCase *tests = tcase_create("picture_damage");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, refused_files);
    tcase_add_loop_test(tests, cut_off, 0, sizeof damaged / sizeof *damaged);
    tcase_add_loop_test(tests, flipped, 0, sizeof damaged / sizeof *damaged);
    tcase_add_test(tests, hostile_exif);
    suite_add_tcase(suite, tests);
    return suite;
}
