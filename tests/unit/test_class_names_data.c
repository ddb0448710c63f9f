/* SPDX-License-Identifier: MIT */
/* Names of classes that come with the data: kept by datasets, and taken by networks that have none
 * when they are trained. */
#include "core/context.h"
#include "support/refusal.h"
#include "support/training.h"

static const char *const names[] = {"cat", "dog", "\xc3\xa9lan", "car", "bus"};
static const char *const others[] = {"one", "two", "three", "four"};
enum { CLASSES = TRAINING_CLASSES, MANY = sizeof names / sizeof *names };

static dm_dataset_memory memory(void) {
    dm_dataset_memory m;
    ck_assert_int_eq(dm_dataset_memory_init(&m, sizeof m), DM_OK);
    ck_assert(m.class_name_count == 0 && m.class_names == NULL);
    m.count = m.label_count = TRAINING_IMAGES;
    m.height = m.width = TRAINING_SIDE;
    m.channels = TRAINING_CHANNELS;
    m.pixel_bytes = TRAINING_IMAGES * TRAINING_ELEMENTS;
    m.pixels = training_pixels();
    m.labels = training_labels(); /* 0 to 3 */
    return m;
}

static int32_t read_item(void *user, dm_dataset_item *item) {
    (void)user;
    memcpy(item->pixels, training_pixels() + item->index * TRAINING_ELEMENTS, TRAINING_ELEMENTS);
    item->label = training_labels()[item->index];
    return 0;
}

static dm_dataset_callback callback(void) {
    dm_dataset_callback c;
    ck_assert_int_eq(dm_dataset_callback_init(&c, sizeof c), DM_OK);
    ck_assert(c.class_name_count == 0 && c.class_names == NULL);
    c.count = TRAINING_IMAGES;
    c.height = c.width = TRAINING_SIDE;
    c.channels = TRAINING_CHANNELS;
    c.classes = CLASSES;
    c.read = read_item;
    return c;
}

static int32_t classes_of(const dm_dataset *dataset) {
    dm_dataset_info info;
    ck_assert_int_eq(dm_dataset_info_init(&info, sizeof info), DM_OK);
    ck_assert_int_eq(dm_dataset_get_info(dataset, &info), DM_OK);
    return info.classes;
}

/* ---- datasets ---- */

START_TEST(datasets_keep_copies) {
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *dataset, *scaled;
    dm_dataset_memory m = memory();
    dm_dataset_callback c = callback();
    char changed[] = "cat";
    const char *list[MANY] = {changed, names[1], names[2], names[3], names[4]};
    m.class_names = c.class_names = list;
    m.class_name_count = c.class_name_count = CLASSES;
    test_accepted(context, _i ? dm_dataset_create_from_callback(&dataset, context, &c)
                              : dm_dataset_create_from_memory(&dataset, context, &m));
    changed[0] = 'r';
    list[1] = NULL;
    ck_assert_int_eq(classes_of(dataset), CLASSES);
    test_accepted(context, dm_dataset_create_downscaled(&scaled, dataset, 2));
    for (int32_t i = 0; i < CLASSES; i++) {
        ck_assert_str_eq(dm_dataset_class_name(dataset, i), names[i]);
        ck_assert_str_eq(dm_dataset_class_name(scaled, i), names[i]);
    }
    ck_assert_ptr_null(dm_dataset_class_name(dataset, CLASSES));
    ck_assert_ptr_null(dm_dataset_class_name(dataset, -1));
    dm_dataset_destroy(scaled);
    ck_assert_str_eq(dm_dataset_class_name(dataset, 0), names[0]);
    dm_dataset_destroy(dataset);
    dm_context_destroy(context);
}
END_TEST

/* Names in memory say how many classes there are, also of those without images. */
START_TEST(names_in_memory_count_classes) {
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *dataset;
    dm_dataset_memory m = memory();
    m.class_names = names;
    m.class_name_count = MANY;
    test_accepted(context, dm_dataset_create_from_memory(&dataset, context, &m));
    ck_assert_int_eq(classes_of(dataset), MANY);
    ck_assert_str_eq(dm_dataset_class_name(dataset, MANY - 1), "bus");
    dm_dataset_destroy(dataset);
    dm_context_destroy(context);
}
END_TEST

static const struct {
    uint64_t count;
    bool in_memory, list, labels;
    int32_t status;
    const char *words;
} refusals[] = {
    {3, true, true, true, DM_ERROR_SHAPE_MISMATCH, "dataset: 'class_name_count' is 3|must be 4"},
    {0, true, true, true, DM_ERROR_SHAPE_MISMATCH, "'class_name_count' is 0; it must be 4"},
    {4, true, false, true, DM_ERROR_SHAPE_MISMATCH, "'class_name_count' is 4; it must be 0"},
    {4, true, true, false, DM_ERROR_SHAPE_MISMATCH, "'class_name_count' is 4; it must be 0"},
    {INT32_MAX, true, true, true, DM_ERROR_SHAPE_MISMATCH, "it must be 4"},
    {UINT64_MAX, true, true, true, DM_ERROR_SHAPE_MISMATCH, "it must be 4"},
    {(UINT64_C(1) << 32) + 4, true, true, true, DM_ERROR_SHAPE_MISMATCH, "it must be 4"},
    {5, false, true, true, DM_ERROR_SHAPE_MISMATCH, "'class_name_count' is 5; it must be 4"},
    {3, false, true, true, DM_ERROR_SHAPE_MISMATCH, "'class_name_count' is 3; it must be 4"},
    {4, false, false, true, DM_ERROR_SHAPE_MISMATCH, "'class_name_count' is 4; it must be 0"}};
enum { REFUSALS = sizeof refusals / sizeof *refusals };

START_TEST(counts_that_are_refused) {
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *dataset;
    dm_dataset_memory m = memory();
    dm_dataset_callback c = callback();
    m.class_name_count = c.class_name_count = refusals[_i].count;
    m.class_names = c.class_names = refusals[_i].list ? names : NULL;
    if (!refusals[_i].labels) {
        m.labels = NULL;
        m.label_count = 0;
    }
    test_untouched untouched = test_untouched_begin(context, NULL);
    test_refused(context,
                 refusals[_i].in_memory ? dm_dataset_create_from_memory(&dataset, context, &m)
                                        : dm_dataset_create_from_callback(&dataset, context, &c),
                 refusals[_i].status, refusals[_i].words);
    ck_assert_ptr_null(dataset);
    test_untouched_end(&untouched);
    dm_context_destroy(context);
}
END_TEST

START_TEST(names_that_are_refused) {
    static const char *const bad[] = {"a", "b\n", "c", "d"}, *const none[] = {"a", "b", NULL, "d"};
    dm_context *context = test_context_new(NULL, 0);
    dm_dataset *dataset;
    dm_dataset_memory m = memory();
    dm_dataset_callback c = callback();
    m.class_name_count = c.class_name_count = CLASSES;
    m.class_names = bad;
    c.class_names = none;
    test_untouched untouched = test_untouched_begin(context, NULL);
    test_refused(context, dm_dataset_create_from_memory(&dataset, context, &m),
                 DM_ERROR_INVALID_ARGUMENT, "dataset: the name of class 1|control characters");
    test_refused(context, dm_dataset_create_from_callback(&dataset, context, &c),
                 DM_ERROR_INVALID_ARGUMENT, "dataset: the name of class 2|not NULL");
    test_untouched_end(&untouched);
    dm_context_destroy(context);
}
END_TEST

static int32_t make_dataset(dm_context *context, const void *user) {
    dm_dataset *dataset;
    dm_dataset_memory m = memory();
    dm_dataset_callback c = callback();
    m.class_names = c.class_names = names;
    m.class_name_count = c.class_name_count = CLASSES;
    const int32_t status = *(const bool *)user
                               ? dm_dataset_create_from_memory(&dataset, context, &m)
                               : dm_dataset_create_from_callback(&dataset, context, &c);
    if (status) ck_assert_ptr_null(dataset);
    dm_dataset_destroy(dataset);
    return status;
}

START_TEST(every_allocation_may_fail) {
    const bool in_memory = _i;
    ck_assert_int_ge(test_every_allocation(make_dataset, &in_memory), 3);
}
END_TEST

/* ---- networks that are trained ---- */

static void same_names(const training *t, const char *const *want) {
    for (int32_t i = 0; i < CLASSES; i++) {
        const char *name = dm_unet_class_name(t->unet, i);
        if (want) ck_assert_str_eq(name, want[i]);
        else ck_assert_ptr_null(name);
    }
}

/* A network of four classes, and a dataset of `classes` classes with names. */
static void prepare(training *t, int32_t classes) {
    training_setup setup = training_default();
    dm_dataset_memory m = memory();
    setup.dataset = false;
    setup.classes = CLASSES;
    m.class_names = names;
    m.class_name_count = (uint64_t)classes;
    if (classes < CLASSES) m.count = m.label_count = (uint64_t)classes; /* labels 0, 1, ... */
    m.pixel_bytes = m.count * TRAINING_ELEMENTS;
    training_prepare(t, &setup);
    training_require(t, dm_dataset_create_from_memory(&t->dataset, t->context, &m));
}

static int32_t create(training *t) {
    const training_setup setup = training_default();
    return dm_trainer_create(&t->trainer, t->unet, t->schedule, t->dataset, &setup.options);
}

/* The names are the network's own, and stay when the data goes. */
START_TEST(trained_networks_take_names) {
    training t;
    prepare(&t, CLASSES);
    same_names(&t, NULL);
    training_require(&t, create(&t));
    same_names(&t, names);
    training_expect(&t, dm_unet_set_class_names(t.unet, others, CLASSES), DM_ERROR_WRONG_STATE,
                    "has a trainer");
    dm_trainer_destroy(t.trainer);
    dm_dataset_destroy(t.dataset);
    t.trainer = NULL;
    t.dataset = NULL;
    same_names(&t, names);
    training_require(&t, dm_unet_set_class_names(t.unet, others, CLASSES));
    same_names(&t, others);
    training_end(&t);
}
END_TEST

START_TEST(names_that_are_there_stay) {
    training t;
    prepare(&t, CLASSES);
    training_require(&t, dm_unet_set_class_names(t.unet, others, CLASSES));
    training_require(&t, create(&t));
    same_names(&t, others);
    training_end(&t);
}
END_TEST

/* Data of fewer classes does not name those that it lacks; data of more is refused. */
START_TEST(other_numbers_of_classes) {
    training t;
    prepare(&t, CLASSES - 1);
    training_require(&t, create(&t));
    same_names(&t, NULL);
    training_end(&t);
    prepare(&t, MANY);
    training_expect(&t, create(&t), DM_ERROR_INVALID_ARGUMENT, "5 classes, the network 4");
    same_names(&t, NULL);
    training_end(&t);
}
END_TEST

/* A trainer that cannot be created leaves the network without names. */
START_TEST(refused_trainers_give_no_names) {
    training t;
    prepare(&t, CLASSES);
    test_untouched untouched = test_untouched_begin(t.context, NULL);
    t.context->host.limit = t.context->host.used + 100000;
    training_expect(&t, create(&t), DM_ERROR_LIMIT_EXCEEDED, "");
    t.context->host.limit = 0;
    same_names(&t, NULL);
    test_untouched_end(&untouched);
    training_end(&t);
}
END_TEST

/* An EMA that is copied to another network, in the same context or another. */
START_TEST(emas_have_the_names) {
    training t, target;
    dm_unet_options o;
    prepare(&t, CLASSES);
    prepare(&target, CLASSES);
    training_require(&t, create(&t));
    training_require(&t, dm_trainer_get_ema(t.trainer, 0, target.unet));
    same_names(&target, names);
    training_require(&target, dm_unet_set_class_names(target.unet, others, CLASSES));
    training_require(&t, dm_trainer_get_ema(t.trainer, 0, target.unet));
    same_names(&target, others); /* its own stay */
    training_require(&target, dm_unet_set_class_names(target.unet, NULL, 0));
    target.context->host.limit = target.context->host.used;
    float *weights = training_weights(&target);
    training_expect(&t, dm_trainer_get_ema(t.trainer, 0, target.unet), DM_ERROR_LIMIT_EXCEEDED,
                    "names of classes");
    ck_assert(training_unchanged(&target, weights));
    same_names(&target, NULL);
    target.context->host.limit = 0;
    free(weights);
    training_end(&target);
    training_require(&t, dm_unet_get_options(t.unet, &o, sizeof o));
    training_require(&t, dm_unet_create(&target.unet, t.context, &o, 9));
    training_require(&t, dm_trainer_get_ema(t.trainer, 0, target.unet));
    same_names(&target, names);
    dm_unet_destroy(target.unet);
    training_end(&t);
}
END_TEST

/* Checkpoints keep them. A network that is resumed and has none takes the file's, before the
 * data's. */
START_TEST(checkpoints_keep_names) {
    training t;
    dm_unet *loaded;
    char *folder = test_folder_new();
    const char *file = test_path(folder, "file"), *again = test_path(folder, "again");
    prepare(&t, CLASSES);
    training_require(&t, dm_unet_set_class_names(t.unet, others, CLASSES));
    training_require(&t, create(&t));
    training_require(&t, dm_trainer_save(t.trainer, file));
    training_require(&t, dm_unet_load(&loaded, t.context, file, DM_WEIGHTS_DEFAULT));
    ck_assert_str_eq(dm_unet_class_name(loaded, 3), others[3]);
    dm_unet_destroy(loaded);
    training_end(&t);

    prepare(&t, CLASSES);
    training_require(&t, dm_trainer_resume(&t.trainer, t.unet, _i ? t.dataset : NULL, file));
    same_names(&t, others);
    dm_trainer_destroy(t.trainer);
    training_require(&t, dm_unet_set_class_names(t.unet, names, CLASSES));
    training_require(&t, dm_trainer_resume(&t.trainer, t.unet, t.dataset, file));
    same_names(&t, names);
    training_require(&t, dm_trainer_save(t.trainer, again));
    training_require(&t, dm_unet_load(&loaded, t.context, again, DM_WEIGHTS_TRAINED));
    ck_assert_str_eq(dm_unet_class_name(loaded, 0), names[0]);
    dm_unet_destroy(loaded);
    training_end(&t);
    free(folder);
}
END_TEST

Suite *test_class_names_data_suite(void);
Suite *test_class_names_data_suite(void) {
    Suite *suite = suite_create("class_names_data");
    TCase *tcase = tcase_create("class_names_data");
    tcase_set_timeout(tcase, 30);
    tcase_add_loop_test(tcase, datasets_keep_copies, 0, 2);
    tcase_add_test(tcase, names_in_memory_count_classes);
    tcase_add_loop_test(tcase, counts_that_are_refused, 0, REFUSALS);
    tcase_add_test(tcase, names_that_are_refused);
    tcase_add_loop_test(tcase, every_allocation_may_fail, 0, 2);
    tcase_add_test(tcase, trained_networks_take_names);
    tcase_add_test(tcase, names_that_are_there_stay);
    tcase_add_test(tcase, other_numbers_of_classes);
    tcase_add_test(tcase, refused_trainers_give_no_names);
    tcase_add_test(tcase, emas_have_the_names);
    tcase_add_loop_test(tcase, checkpoints_keep_names, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}
