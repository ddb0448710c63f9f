/* SPDX-License-Identifier: MIT */
/* Texts in PNG files: libpng reads what is inserted, and damaged files give an error. */
#include "picture/png_text.h"

#include <errno.h>

#include "program/folders.h"
#include "program/report_files.h"
#include "support/training.h"

/* A picture with the texts; its size becomes *size. */
static uint8_t *with_texts(const png_texts *t, size_t *size) {
    const char *path = test_path(test_folder(), "plain.png");
    write_picture(path, 9, 7, 3, 1);
    uint8_t *plain = training_read_file(path, size);
    uint8_t *out = png_texts_insert(t, plain, size);
    ck_assert_ptr_nonnull(out);
    free(plain);
    return out;
}

/* ---- writing ---- */

static void refuse(png_structp png, png_const_charp text) {
    (void)png;
    ck_abort_msg("libpng: %s", text);
}

/* Fails the test where libpng has a warning, or reads other texts. */
static void check_by_libpng(const char *path, const png_texts *t) {
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, NULL, refuse, refuse);
    png_infop info = png_create_info_struct(png);
    png_textp texts;
    int count;
    FILE *file = fopen(path, "rb");
    ck_assert(png && info && file);
    png_init_io(png, file);
    png_read_png(png, info, 0, NULL);
    ck_assert(png_get_image_height(png, info) == 9 && png_get_image_width(png, info) == 7);
    png_get_text(png, info, &texts, &count);
    ck_assert_int_eq(count, (int)t->count);
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq(texts[i].compression, PNG_ITXT_COMPRESSION_NONE);
        ck_assert_str_eq(texts[i].key, t->keywords[i]);
        ck_assert_str_eq(texts[i].text, t->values[i]);
    }
    png_destroy_read_struct(&png, &info, NULL);
    fclose(file);
}

typedef struct read_texts {
    char text[4000];
    size_t count;
} read_texts;

static void on_text(void *user, const char *keyword, const char *text) {
    read_texts *r = user;
    const size_t used = strlen(r->text);
    snprintf(r->text + used, sizeof r->text - used, "%s=%s\n", keyword, text);
    r->count++;
}

START_TEST(inserted_and_read) {
    png_texts t = {.count = 0};
    char error[256], *path = strdup(test_path(test_folder(), "a.png"));
    size_t size;
    png_texts_add(&t, "Software", "libdiffusion %s", "1.0");
    png_texts_add(&t, "diffusion:empty", "%s", "");
    png_texts_add(&t, "diffusion:class", "%s", "caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80");
    uint8_t *png = with_texts(&t, &size);
    training_write_file(path, png, size);
    check_by_libpng(path, &t);
    read_texts r = {.count = 0};
    ck_assert_int_eq(png_texts_read(path, on_text, &r, error, sizeof error), 0);
    ck_assert_str_eq(r.text, "Software=libdiffusion 1.0\ndiffusion:empty=\n"
                             "diffusion:class=caf\xc3\xa9 \xe6\x97\xa5 \xf0\x9f\x98\x80\n");
    free(png);
    free(path);
}
END_TEST

/* Texts are shortened between characters, and there are at most PNG_TEXTS_MAX of them. */
START_TEST(limits) {
    static const char *const characters[] = {"a", "\xc3\xa9", "\xe6\x97\xa5", "\xf0\x9f\x98\x80"};
    png_texts t = {.count = 0};
    char longer[2000] = "";
    size_t size;
    for (int i = 0; i < 4; i++)
        for (int shift = 0; shift < 4; shift++) {
            const size_t bytes = strlen(characters[i]);
            snprintf(longer, sizeof longer, "%.*s", shift, "xxxx");
            while (strlen(longer) < 700) strcat(longer, characters[i]);
            png_texts_add(&t, "k", "%s", longer);
            const size_t want = (size_t)shift + (PNG_TEXT_SIZE - 1 - (size_t)shift) / bytes * bytes;
            const char *got = t.values[t.count - 1];
            ck_assert_uint_eq(strlen(got), want);
            ck_assert_int_eq(memcmp(got, longer, want), 0);
        }
    ck_assert_uint_eq(t.count, PNG_TEXTS_MAX);
    png_texts_add(&t, "k", "more");
    ck_assert_uint_eq(t.count, PNG_TEXTS_MAX);
    char *path = strdup(test_path(test_folder(), "a.png"));
    uint8_t *png = with_texts(&t, &size);
    training_write_file(path, png, size);
    check_by_libpng(path, &t);
    free(png);
    free(path);
}
END_TEST

START_TEST(no_png) {
    png_texts t = {.count = 0};
    uint8_t bytes[40] = "text";
    size_t size = sizeof bytes;
    png_texts_add(&t, "k", "v");
    ck_assert_ptr_null(png_texts_insert(&t, bytes, &size));
    memcpy(bytes, png_signature, sizeof png_signature);
    size = 32;
    ck_assert_ptr_null(png_texts_insert(&t, bytes, &size));
    ck_assert_uint_eq(size, 32);
}
END_TEST

/* ---- damaged files ---- */

static int read_bytes(const char *path, const uint8_t *bytes, size_t size, read_texts *r) {
    char error[256] = "";
    *r = (read_texts){.count = 0};
    training_write_file(path, bytes, size);
    const int bad = png_texts_read(path, on_text, r, error, sizeof error);
    ck_assert(!bad || (!strncmp(error, path, strlen(path)) && error[strlen(path)] == ':'));
    return bad;
}

START_TEST(damaged_files) {
    png_texts t = {.count = 0};
    char error[256], *folder = test_folder_new(), *path = strdup(test_path(folder, "a.png"));
    read_texts r;
    size_t size;
    png_texts_add(&t, "one", "first");
    png_texts_add(&t, "two", "second");
    uint8_t *png = with_texts(&t, &size);
    for (size_t length = 0; length < size; length++) {
        const int bad = read_bytes(path, png, length, &r);
        /* The checksum of the last chunk is not looked at. */
        ck_assert_int_eq(bad, length < size - 4);
        ck_assert_uint_le(r.count, 2);
    }
    uint64_t random = 3;
    for (int i = 0; i < 3000; i++) {
        uint8_t *copy = malloc(size);
        ck_assert_ptr_nonnull(copy);
        memcpy(copy, png, size);
        for (int k = 0; k <= i % 3; k++)
            copy[picture_random(&random) % 160 % size] = (uint8_t)picture_random(&random);
        (void)read_bytes(path, copy, size, &r);
        free(copy);
    }
    ck_assert_int_eq(png_texts_read(test_path(folder, "none"), on_text, &r, error, sizeof error),
                     1);
    test_has_reason(error, "none: ", ENOENT);
    ck_assert_int_eq(png_texts_read(folder, on_text, &r, error, sizeof error), 1);
    free(png);
    free(path);
    free(folder);
}
END_TEST

/* A chunk behind the header of a picture: its texts, or -1 for an error. */
static int texts_of_chunk(const char *type, uint32_t claimed, const void *data, size_t bytes) {
    static const uint8_t end[12] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    static uint8_t file[3000000];
    read_texts r;
    size_t size = 8;
    memcpy(file, png_signature, 8);
    for (int i = 0; i < 4; i++) file[size++] = (uint8_t)(claimed >> (24 - 8 * i));
    memcpy(file + size, type, 4);
    memcpy(file + size + 4, data, bytes);
    size += 4 + bytes + 4;
    memcpy(file + size, end, sizeof end);
    const char *path = test_path(test_folder(), "a.png");
    return read_bytes(path, file, size + sizeof end, &r) ? -1 : (int)r.count;
}

START_TEST(odd_chunks) {
    static uint8_t zeros[2000000];
    ck_assert_int_eq(texts_of_chunk("tEXt", 5, "ab\0cd", 5), 1);
    ck_assert_int_eq(texts_of_chunk("tEXt", 3, "ab\0", 3), 1);
    ck_assert_int_eq(texts_of_chunk("tEXt", 5, "abcde", 5), 0);
    ck_assert_int_eq(texts_of_chunk("tEXt", 0, "", 0), 0);
    ck_assert_int_eq(texts_of_chunk("iTXt", 7, "a\0\0\0\0\0b", 7), 1);
    ck_assert_int_eq(texts_of_chunk("iTXt", 7, "a\0\1\0\0\0b", 7), 0);
    ck_assert_int_eq(texts_of_chunk("iTXt", 3, "a\0\0", 3), 0);
    ck_assert_int_eq(texts_of_chunk("iTXt", 6, "a\0\0\0en", 6), 0);
    ck_assert_int_eq(texts_of_chunk("iTXt", 6, "a\0\0\0\0\0", 6), 1);
    ck_assert_int_eq(texts_of_chunk("zTXt", 5, "ab\0cd", 5), 0);
    ck_assert_int_eq(texts_of_chunk("tEXt", sizeof zeros, zeros, sizeof zeros), 0);
    ck_assert_int_eq(texts_of_chunk("tEXt", 1 << 20, zeros, 100), -1);
    ck_assert_int_eq(texts_of_chunk("abcd", INT32_MAX, zeros, 100), -1);
    ck_assert_int_eq(texts_of_chunk("abcd", UINT32_MAX, zeros, 100), -1);
    ck_assert_int_eq(texts_of_chunk("abcd", INT32_MAX - 4, zeros, 100), -1);
    ck_assert_int_eq(texts_of_chunk("\0\0\0\0", 0, zeros, 0), -1);
}
END_TEST

/* A large file with a hole is refused at once. */
START_TEST(holes) {
    const char *path = test_path(test_folder(), "a.png");
    char error[256];
    read_texts r = {.count = 0};
    write_file(path, png_signature, sizeof png_signature);
    if (truncate(path, (off_t)1 << 34)) return;
    ck_assert_int_eq(png_texts_read(path, on_text, &r, error, sizeof error), 1);
}
END_TEST

Suite *test_png_text_suite(void);
Suite *test_png_text_suite(void) {
    Suite *suite = suite_create("png_text");
    TCase *tests = tcase_create("png_text");
    tcase_set_timeout(tests, 20);
    tcase_add_test(tests, inserted_and_read);
    tcase_add_test(tests, limits);
    tcase_add_test(tests, no_png);
    tcase_add_test(tests, damaged_files);
    tcase_add_test(tests, odd_chunks);
    tcase_add_test(tests, holes);
    suite_add_tcase(suite, tests);
    return suite;
}
