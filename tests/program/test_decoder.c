/* SPDX-License-Identifier: MIT */
/* Threads that decode pictures: the same pixels in every order and on any number of threads, and
 * damaged pictures. */
#include "data/decoder.h"

#include <errno.h>
#include <unistd.h>

#include "program/folders.h"
#include "support/system_calls.h"

enum { PICTURES = 12, READERS_MAX = 4, DAMAGED = 5 };

/* Pictures of many sizes, the one of DAMAGED cut off, with conditions if wanted. */
static listing make_list(int paired) {
    char *folder = test_folder_new(), *pairs = test_folder_new(), name[32];
    for (int i = 0; i < PICTURES; i++) {
        snprintf(name, sizeof name, "%02d.png", i);
        if (i == DAMAGED) write_half_picture(test_path(folder, name), 60, 50, 1);
        else write_picture(test_path(folder, name), 9 + 3 * i, 30 - i, i % 2 ? 3 : 1, (uint64_t)i);
        write_picture(test_path(pairs, name), 20 + i, 12 + i, 3, 100 + (uint64_t)i);
    }
    listing l = listed(folder, paired ? pairs : NULL);
    ck_assert_uint_eq(l.count, PICTURES);
    free(folder);
    free(pairs);
    return l;
}

static folder_options with_readers(int readers) {
    return (folder_options){.height = 10,
                            .width = 12,
                            .channels = 3,
                            .background = {1, 2, 3},
                            .memory = SIZE_MAX,
                            .readers = readers};
}

static void check_picture(const picture *got, const char *path) {
    char error[256];
    picture want;
    const picture_options o = {.channels = 3, .height = 10, .width = 12, .background = {1, 2, 3}};
    ck_assert_int_eq(picture_read(&want, path, &o, error, sizeof error), 0);
    ck_assert(got->height == want.height && got->width == want.width && got->channels == 3);
    ck_assert_mem_eq(got->pixels, want.pixels, (size_t)(want.height * want.width * 3));
    picture_free(&want);
}

static void check_decoded(const listing *l, size_t index, int bad, decoded *d) {
    ck_assert_int_eq(bad, index == DAMAGED);
    if (bad) ck_assert(!d->image.pixels && !d->condition.pixels);
    else check_picture(&d->image, l->pictures[index].path);
    if (!bad && l->pictures[index].condition)
        check_picture(&d->condition, l->pictures[index].condition);
    else ck_assert_ptr_null(d->condition.pixels);
    decoded_free(d);
}

static void take(decoder *d, const listing *l, size_t index) {
    decoded got;
    const int bad = decoder_take(d, index, &got);
    check_decoded(l, index, bad, &got);
}

static decoder *decoder_new(const listing *l, int readers) {
    char error[256] = "";
    decoder *d;
    const folder_options o = with_readers(readers);
    ck_assert_msg(!decoder_create(&d, l, &o, error, sizeof error), "%s", error);
    return d;
}

/* ---- decoding ahead ---- */

START_TEST(takes_in_order) {
    listing l = make_list(_i % 2);
    decoder *d = decoder_new(&l, _i);
    for (int pass = 0; pass < 5; pass++) {
        decoder_begin(d, 4);
        for (size_t i = 0; i < 4; i++) decoder_add(d, ((size_t)pass * 4 + i) % PICTURES);
        for (size_t i = 0; i < 4; i++) take(d, &l, ((size_t)pass * 4 + i) % PICTURES);
    }
    decoder_destroy(d);
    listing_free(&l);
}
END_TEST

/* Two passes at once, pictures that were not added or added twice, and some that nobody takes. */
START_TEST(takes_in_any_order) {
    listing l = make_list(1);
    decoder *d = decoder_new(&l, _i);
    uint64_t random = 7;
    take(d, &l, 0);
    decoder_add(d, 1); /* before there is any place */
    take(d, &l, 1);
    for (int pass = 0; pass < 40; pass++) {
        const size_t count = 1 + picture_random(&random) % 6;
        decoder_begin(d, count);
        for (size_t i = 0; i < count; i++) decoder_add(d, picture_random(&random) % PICTURES);
        for (size_t i = 0; i < count; i++) take(d, &l, picture_random(&random) % PICTURES);
    }
    decoder_destroy(d);
    listing_free(&l);
}
END_TEST

/* Destroyed while its threads are at work. */
START_TEST(ends_early) {
    listing l = make_list(0);
    for (int i = 0; i < 20; i++) {
        decoder *d = decoder_new(&l, READERS_MAX);
        decoder_begin(d, PICTURES);
        for (size_t k = 0; k < PICTURES; k++) decoder_add(d, k);
        decoder_destroy(d);
    }
    decoder_destroy(NULL);
    listing_free(&l);
}
END_TEST

/* Places are few, and all are taken by pictures that are decoded just now, or wait. */
START_TEST(adds_more_than_fit) {
    char *folder = test_folder_new(), name[32];
    for (int i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%d.png", i);
        write_picture(test_path(folder, name), 500, 500 + i, 3, (uint64_t)i);
    }
    listing l = listed(folder, NULL);
    for (useconds_t pause = 0; pause < 10000; pause += 1000) {
        decoder *d = decoder_new(&l, READERS_MAX);
        decoder_begin(d, 1);
        for (size_t i = 0; i < 4; i++) {
            if (i == 2) usleep(pause); /* until the first are begun, or done */
            decoder_add(d, i);
        }
        for (size_t i = 0; i < 4; i++) take(d, &l, i);
        decoder_destroy(d);
    }
    listing_free(&l);
    free(folder);
}
END_TEST

START_TEST(does_without_threads) {
    listing l = make_list(1);
    test_calls_fail(TEST_PTHREAD_CREATE, 0, READERS_MAX, EAGAIN);
    decoder *d = decoder_new(&l, READERS_MAX);
    ck_assert_int_eq(test_calls_end(), 1);
    decoder_begin(d, PICTURES);
    for (size_t i = 0; i < PICTURES; i++) decoder_add(d, i);
    for (size_t i = 0; i < PICTURES; i++) take(d, &l, i);
    decoder_destroy(d);
    listing_free(&l);
}
END_TEST

/* A picture that nobody took is decoded no second time; one whose file went is bad. */
START_TEST(keeps_what_is_decoded) {
    listing l = make_list(0);
    decoder *d = decoder_new(&l, 1);
    decoder_begin(d, 2);
    decoder_add(d, 0);
    decoded got;
    ck_assert_int_eq(decoder_take(d, 0, &got), 0);
    decoded_free(&got);
    ck_assert_int_eq(unlink(l.pictures[0].path), 0);
    decoder_add(d, 0);
    ck_assert_int_eq(decoder_take(d, 0, &got), 1);
    ck_assert_int_eq(decoder_take(d, 0, &got), 1);
    char error[256];
    const folder_options o = with_readers(1);
    ck_assert_int_eq(decode_picture(&l, &o, 0, &got, error, sizeof error), 1);
    test_has_reason(error, "00.png: ", ENOENT);
    ck_assert_ptr_null(got.image.pixels);
    decoder_destroy(d);
    listing_free(&l);
}
END_TEST

/* ---- all at the start ---- */

typedef struct reports {
    size_t count, last, stop_at;
} reports;

static int on_progress(void *user, size_t done, size_t total) {
    reports *r = user;
    ck_assert_uint_eq(total, PICTURES);
    ck_assert(done > 0 && done <= total);
    r->last = done;
    return ++r->count == r->stop_at;
}

/* Decodes with that memory; returns the number of pictures that stay, and damaged ones. */
static size_t keep(const listing *l, size_t memory, int readers, size_t stop_at, int want) {
    decoded kept[PICTURES] = {0};
    uint8_t bad[PICTURES] = {0};
    char error[256] = "";
    reports r = {.stop_at = stop_at};
    folder_options o = with_readers(readers);
    size_t count = 0, bytes = 0, most = 0;
    o.memory = memory;
    const int got = decode_all(l, &o, kept, bad, on_progress, &r, error, sizeof error);
    ck_assert_int_eq(got, want);
    const size_t told = r.last;
    for (size_t i = 0; i < PICTURES; i++) {
        if (!kept[i].image.pixels && !bad[i]) continue;
        const size_t size = (size_t)kept[i].image.height * (size_t)kept[i].image.width * 3;
        bytes += size;
        if (size > most) most = size;
        count++;
        check_decoded(l, i, bad[i], &kept[i]);
    }
    if (!want) ck_assert_uint_eq(told, count); /* the last report is of all */
    if (!l->pictures[0].condition && memory < SIZE_MAX)
        ck_assert_uint_lt(bytes, memory + (size_t)readers * most + 1);
    return count;
}

START_TEST(decodes_all) {
    listing l = make_list(0), paired = make_list(1);
    ck_assert_uint_eq(keep(&l, SIZE_MAX, _i, 0, 0), PICTURES);
    ck_assert_uint_eq(keep(&paired, SIZE_MAX, _i, 0, 0), PICTURES);
    ck_assert_uint_eq(keep(&l, 0, _i, 0, 0), 0);
    ck_assert_uint_ge(keep(&l, 1, _i, 0, 0), 1);
    ck_assert_uint_le(keep(&l, 1, _i, 0, 0), (size_t)_i);
    const size_t some = keep(&l, 1500, _i, 0, 0);
    ck_assert(some > 1 && some < PICTURES);
    ck_assert_uint_lt(keep(&l, SIZE_MAX, 1, 3, -1), 4);
    keep(&l, SIZE_MAX, _i, 1, -1);
    test_calls_fail(TEST_PTHREAD_CREATE, 0, READERS_MAX, EAGAIN);
    ck_assert_uint_eq(keep(&l, SIZE_MAX, _i, 0, 0), PICTURES);
    test_calls_end();
    listing_free(&l);
    listing_free(&paired);
}
END_TEST

Suite *test_decoder_suite(void);
Suite *test_decoder_suite(void) {
    Suite *suite = suite_create("decoder");
    TCase *tests = tcase_create("decoder");
    tcase_set_timeout(tests, 30);
    tcase_add_loop_test(tests, takes_in_order, 1, READERS_MAX + 1);
    tcase_add_loop_test(tests, takes_in_any_order, 1, READERS_MAX + 1);
    tcase_add_test(tests, ends_early);
    tcase_add_test(tests, adds_more_than_fit);
    tcase_add_test(tests, does_without_threads);
    tcase_add_test(tests, keeps_what_is_decoded);
    tcase_add_loop_test(tests, decodes_all, 1, READERS_MAX + 1);
    suite_add_tcase(suite, tests);
    return suite;
}
