/* SPDX-License-Identifier: MIT */
/* A folder of pictures as a dataset: its pixels, labels and conditions whatever stays decoded and
 * however many threads decode, pictures that are or become damaged, and training on it. */
#include "data/folder.h"

#include <unistd.h>

#include "dataset/dataset.h"
#include "program/folders.h"
#include "support/refusal.h"
#include "support/training.h"

enum { PICTURES = 11, SIDE = TRAINING_SIDE, ELEMENTS = TRAINING_ELEMENTS, READERS_MAX = 4 };

/* Memory for none, for some and for all pictures. */
static const size_t memories[] = {0, 1500, SIZE_MAX};

static char *make_folder(const char *first, const char *second, uint64_t seed) {
    char *folder = test_folder_new(), name[64];
    if (*first) make_in(folder, first);
    if (*second) make_in(folder, second);
    for (int i = 0; i < PICTURES; i++) {
        snprintf(name, sizeof name, "%s/%02d.png", i < 6 ? first : second, i);
        write_picture(test_path(folder, name), 8 + i, 20 - i, 3, seed + (uint64_t)i);
    }
    return folder;
}

static folder_options options_with(size_t memory, int readers) {
    return (folder_options){
        .height = SIDE, .width = SIDE, .channels = 3, .memory = memory, .readers = readers};
}

static int go_on(void *user, size_t done, size_t total) { return (void)user, done > total; }

static picture_folder *folder_new(const char *path, const char *conditions,
                                  const folder_options *o) {
    picture_folder *f;
    char error[512] = "";
    listing l = listed(path, conditions);
    ck_assert_msg(!folder_create(&f, &l, o, go_on, NULL, error, sizeof error), "%s", error);
    ck_assert_ptr_null(l.pictures);
    return f;
}

/* What picture_read and picture_crop give. */
static void read_centre(const char *path, uint8_t pixels[ELEMENTS]) {
    const picture_options o = {.channels = 3, .height = SIDE, .width = SIDE};
    picture p = read_file(path, &o);
    picture_crop(pixels, &p, SIDE, SIDE, 0.5, 0.5);
    picture_free(&p);
}

/* ---- pictures ---- */

START_TEST(same_pixels) {
    char *path = make_folder("cat", "dog", 0), *pairs = make_folder("cat", "dog", 100);
    dm_context *context = test_context_new(NULL, 0);
    const folder_options o = options_with(memories[_i / READERS_MAX], 1 + _i % READERS_MAX);
    picture_folder *f = folder_new(path, pairs, &o);
    const listing *l = folder_listing(f);
    dm_dataset *d;
    test_accepted(context, folder_dataset(f, context, &d));
    uint8_t got[ELEMENTS], want[ELEMENTS];
    for (uint64_t k = 0; k < 3 * PICTURES; k++) {
        const uint64_t i = k * 7 % PICTURES;
        int32_t label;
        test_accepted(context, dm_dataset_get_image(d, i, got, sizeof got, &label));
        read_centre(l->pictures[i].path, want);
        ck_assert_mem_eq(got, want, sizeof got);
        ck_assert_int_eq(label, i >= 6);
        test_accepted(context, dm_dataset_get_condition(d, i, got, sizeof got, NULL, 0));
        read_centre(l->pictures[i].condition, want);
        ck_assert_mem_eq(got, want, sizeof got);
    }
    ck_assert_str_eq(dm_dataset_class_name(d, 1), "dog");
    dm_dataset_info info;
    test_accepted(context, dm_dataset_info_init(&info, sizeof info));
    test_accepted(context, dm_dataset_get_info(d, &info));
    ck_assert(info.count == PICTURES && info.fingerprint == listing_fingerprint(l));
    dm_dataset_destroy(d);
    folder_destroy(f);
    dm_context_destroy(context);
    free(path);
    free(pairs);
}
END_TEST

/* The part of a picture depends on its index and on the epoch, and is a part of it. */
START_TEST(random_crops) {
    char *path = test_folder_new();
    write_picture(test_path(path, "1.png"), 8, 40, 3, 1);
    write_picture(test_path(path, "2.png"), 8, 40, 3, 1);
    dm_context *context = test_context_new(NULL, 0);
    uint8_t seen[2][12][ELEMENTS];
    for (int k = 0; k < 3; k++) {
        folder_options o = options_with(memories[k], 1 + k);
        o.random_crop = 1;
        picture_folder *f = folder_new(path, NULL, &o);
        dm_dataset *d;
        test_accepted(context, folder_dataset(f, context, &d));
        for (uint64_t i = 0; i < 2; i++)
            for (uint64_t epoch = 0; epoch < 12; epoch++) {
                uint8_t pixels[ELEMENTS];
                dmi_dataset_image image = {.pixels = k ? pixels : seen[i][epoch], .epoch = epoch};
                test_accepted(context, d->read(d, i, &image));
                if (k) ck_assert_mem_eq(pixels, seen[i][epoch], sizeof pixels);
            }
        dm_dataset_destroy(d);
        folder_destroy(f);
    }
    int same_epochs = 0, same_pictures = 0;
    for (int epoch = 1; epoch < 12; epoch++) {
        same_epochs += !memcmp(seen[0][0], seen[0][epoch], ELEMENTS);
        same_pictures += !memcmp(seen[0][epoch], seen[1][epoch], ELEMENTS);
    }
    ck_assert_int_lt(same_epochs, 4);
    ck_assert_int_lt(same_pictures, 4);
    dm_context_destroy(context);
    free(path);
}
END_TEST

/* ---- damaged pictures ---- */

START_TEST(damaged_at_the_start) {
    char *path = make_folder("a", "b", 0);
    const folder_options o = options_with(SIZE_MAX, 1 + _i);
    write_half_picture(test_path(path, "a/00.png"), 30, 30, 1);
    write_half_picture(test_path(path, "b/08.png"), 30, 30, 1);
    picture_folder *f = folder_new(path, NULL, &o);
    const listing *l = folder_listing(f);
    const char *last;
    ck_assert(l->count == PICTURES && folder_damaged(f, &last) == 2);
    ck_assert_ptr_nonnull(strstr(last, "b/08.png: "));
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *d;
    uint8_t got[ELEMENTS], want[ELEMENTS];
    test_accepted(context, folder_dataset(f, context, &d));
    for (uint64_t i = 0; i < l->count; i++) {
        test_accepted(context, dm_dataset_get_image(d, i, got, sizeof got, NULL));
        int bad =
            strstr(l->pictures[i].path, "a/00.png") || strstr(l->pictures[i].path, "b/08.png");
        read_centre(l->pictures[(i + (size_t)bad) % l->count].path, want);
        ck_assert_mem_eq(got, want, sizeof got);
    }
    ck_assert_uint_eq(folder_damaged(f, NULL), 2);
    dm_dataset_destroy(d);
    folder_destroy(f);
    dm_context_destroy(context);
    free(path);
}
END_TEST

static int stop_now(void *user, size_t done, size_t total) { return (void)user, done <= total; }

START_TEST(nothing_can_be_decoded) {
    char *path = test_folder_new(), error[512] = "";
    const folder_options o = options_with(SIZE_MAX, 2);
    picture_folder *f;
    write_half_picture(test_path(path, "1.png"), 30, 30, 1);
    listing l = listed(path, NULL);
    ck_assert_int_eq(folder_create(&f, &l, &o, go_on, NULL, error, sizeof error), 1);
    ck_assert(!f && strstr(error, "none of the pictures") && strstr(error, "1.png: "));
    write_picture(test_path(path, "2.png"), 30, 30, 3, 1);
    l = listed(path, NULL);
    ck_assert_int_eq(folder_create(&f, &l, &o, stop_now, NULL, error, sizeof error), -1);
    ck_assert(!f && !l.pictures);
    folder_destroy(f);
    free(path);
}
END_TEST

/* Pictures that go while the folder is used are replaced by the next ones, with their labels. */
START_TEST(damaged_later) {
    char *path = make_folder("a", "b", 0);
    const folder_options o = options_with(0, 2);
    picture_folder *f = folder_new(path, NULL, &o);
    const listing *l = folder_listing(f);
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *d;
    int32_t label;
    uint8_t got[ELEMENTS], want[ELEMENTS];
    test_accepted(context, folder_dataset(f, context, &d));
    ck_assert(!unlink(l->pictures[5].path) && !unlink(l->pictures[10].path));
    test_accepted(context, dm_dataset_get_image(d, 5, got, sizeof got, &label));
    read_centre(l->pictures[6].path, want);
    ck_assert_mem_eq(got, want, sizeof got);
    ck_assert_int_eq(label, 1);
    test_accepted(context, dm_dataset_get_image(d, 10, got, sizeof got, &label));
    read_centre(l->pictures[0].path, want);
    ck_assert_mem_eq(got, want, sizeof got);
    ck_assert_int_eq(label, 0);
    ck_assert_uint_eq(folder_damaged(f, NULL), 2);
    for (size_t i = 0; i < l->count; i++) (void)unlink(l->pictures[i].path);
    test_refused(context, dm_dataset_get_image(d, 1, got, sizeof got, &label),
                 DM_ERROR_CALLBACK_FAILED, "pictures cannot be read any more, the last: ");
    dm_dataset_destroy(d);
    folder_destroy(f);
    dm_context_destroy(context);
    free(path);
}
END_TEST

/* Pictures that were damaged all along are never too many, however late that is noticed. */
START_TEST(many_damaged_all_along) {
    enum { DAMAGED = 20 };
    char *path = make_folder("a", "b", 0), name[64];
    const folder_options o = options_with(memories[_i], 2);
    for (int i = 0; i < DAMAGED; i++) {
        snprintf(name, sizeof name, "b/x%02d.png", i);
        write_half_picture(test_path(path, name), 30, 30, 1);
    }
    picture_folder *f = folder_new(path, NULL, &o);
    const size_t count = folder_listing(f)->count;
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *d;
    uint8_t got[ELEMENTS];
    test_accepted(context, folder_dataset(f, context, &d));
    ck_assert_uint_eq(count, PICTURES + DAMAGED);
    for (uint64_t i = 0; i < count; i++)
        test_accepted(context, dm_dataset_get_image(d, i, got, sizeof got, NULL));
    ck_assert_uint_eq(folder_damaged(f, NULL), DAMAGED);
    dm_dataset_destroy(d);
    folder_destroy(f);
    dm_context_destroy(context);
    free(path);
}
END_TEST

/* ---- training ---- */

typedef struct run {
    training t;
    picture_folder *folder;
} run;

static void begin(run *r, const char *path, const folder_options *o) {
    training_setup setup = training_default();
    setup.dataset = false;
    setup.options.batch_size = 4;
    setup.options.accumulation = 2;
    training_prepare(&r->t, &setup);
    r->folder = folder_new(path, NULL, o);
    training_require(&r->t, folder_dataset(r->folder, r->t.context, &r->t.dataset));
    training_require(&r->t, dm_trainer_create(&r->t.trainer, r->t.unet, r->t.schedule, r->t.dataset,
                                              &setup.options));
}

static void end(run *r) {
    training_end(&r->t);
    folder_destroy(r->folder);
}

/* The bits of a run do not depend on what stays decoded, nor on the threads that decode. */
START_TEST(trains_to_the_same_bits) {
    char *path = make_folder("a", "b", 0);
    write_half_picture(test_path(path, "b/08.png"), 30, 30, 1);
    float *want = NULL;
    size_t floats = 0;
    for (int k = 0; k < 3; k++)
        for (int readers = 1; readers <= READERS_MAX; readers += 3) {
            folder_options o = options_with(memories[k], readers);
            run r;
            o.random_crop = _i;
            begin(&r, path, &o);
            training_require(&r.t, dm_trainer_run(r.t.trainer, 6, NULL, NULL));
            if (want) training_same_state(&r.t, want, floats);
            else want = training_state(&r.t, &floats);
            end(&r);
        }
    free(want);
    free(path);
}
END_TEST

/* A run goes on while pictures are taken away, and ends when none is left. */
START_TEST(trains_while_the_folder_shrinks) {
    char *path = make_folder("a", "b", 0);
    const folder_options o = options_with(0, 1 + _i);
    run r;
    begin(&r, path, &o);
    const listing *l = folder_listing(r.folder);
    for (size_t i = 0; i + 1 < PICTURES; i++) {
        ck_assert_int_eq(unlink(l->pictures[i].path), 0);
        training_require(&r.t, dm_trainer_step(r.t.trainer, NULL));
    }
    ck_assert_uint_gt(folder_damaged(r.folder, NULL), 0);
    ck_assert_int_eq(unlink(l->pictures[PICTURES - 1].path), 0);
    /* At most a pass and a half is decoded ahead. */
    dm_status status = DM_OK;
    for (int i = 0; !status && i < 3; i++) status = dm_trainer_step(r.t.trainer, NULL);
    training_expect(&r.t, status, DM_ERROR_CALLBACK_FAILED, "cannot be read any more");
    end(&r);
    free(path);
}
END_TEST

Suite *test_folder_suite(void);
Suite *test_folder_suite(void) {
    Suite *suite = suite_create("folder");
    TCase *tests = tcase_create("folder");
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, same_pixels, 0, 3 * READERS_MAX);
    tcase_add_test(tests, random_crops);
    tcase_add_loop_test(tests, damaged_at_the_start, 0, READERS_MAX);
    tcase_add_test(tests, nothing_can_be_decoded);
    tcase_add_test(tests, damaged_later);
    tcase_add_loop_test(tests, many_damaged_all_along, 0, 3);
    tcase_add_loop_test(tests, trains_to_the_same_bits, 0, 2);
    tcase_add_loop_test(tests, trains_while_the_folder_shrinks, 0, READERS_MAX);
    suite_add_tcase(suite, tests);
    return suite;
}
