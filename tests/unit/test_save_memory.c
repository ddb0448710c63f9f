/* SPDX-License-Identifier: MIT */
/* Networks and trainers saved to memory: the bytes of the file, and what is done with buffers that
 * are too small. */
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"

/* Saves one of the two to memory or to a file. */
typedef struct saved {
    training t;
    bool trainer, schedule;
} saved;

static dm_status save(const saved *s, void *buffer, size_t capacity, size_t *size) {
    return s->trainer ? dm_trainer_save_memory(s->t.trainer, buffer, capacity, size)
                      : dm_unet_save_memory(s->t.unet, s->schedule ? s->t.schedule : NULL, buffer,
                                            capacity, size);
}

static dm_status save_file(const saved *s, const char *path) {
    return s->trainer ? dm_trainer_save(s->t.trainer, path)
                      : dm_unet_save(s->t.unet, s->schedule ? s->t.schedule : NULL, path);
}

static void begin(saved *s, int which) {
    training_setup setup = training_default();
    setup.classes = TRAINING_CLASSES;
    setup.options.timestep_sampling = DM_TIMESTEPS_LOSS_AWARE;
    *s = (saved){.trainer = which == 2, .schedule = which == 1};
    training_begin(&s->t, &setup);
    training_require(&s->t, dm_trainer_run(s->t.trainer, 3, NULL, NULL));
}

START_TEST(memory_has_the_bytes_of_the_file) {
    saved s;
    char path[256];
    size_t size = 1, again, file_size;
    snprintf(path, sizeof path, "%s/file", test_folder());
    begin(&s, _i);
    training_require(&s.t, save_file(&s, path));
    uint8_t *file = training_read_file(path, &file_size);
    training_require(&s.t, save(&s, NULL, 0, &size));
    ck_assert_uint_eq(size, file_size);
    uint8_t *bytes = malloc(size + 1);
    bytes[size] = 0x5a;
    training_require(&s.t, save(&s, bytes, size + 1, &again));
    ck_assert_uint_eq(again, size);
    ck_assert_mem_eq(bytes, file, size);
    ck_assert_int_eq(bytes[size], 0x5a);

    memset(bytes, 0x5a, size);
    training_expect(&s.t, save(&s, bytes, size - 1, &again), DM_ERROR_SHAPE_MISMATCH, "buffer");
    ck_assert_uint_eq(again, size);
    for (size_t i = 0; i < size; i++) ck_assert_int_eq(bytes[i], 0x5a);
    training_expect(&s.t, save(&s, bytes, size, NULL), DM_ERROR_INVALID_ARGUMENT, "'size' is NULL");
    free(bytes);
    free(file);
    training_end(&s.t);
}
END_TEST

START_TEST(networks_load_from_memory) {
    saved s;
    size_t size;
    dm_unet *unet;
    begin(&s, 1);
    training_require(&s.t, save(&s, NULL, 0, &size));
    uint8_t *bytes = malloc(size);
    training_require(&s.t, save(&s, bytes, size, &size));
    training_require(&s.t,
                     dm_unet_load_memory(&unet, s.t.context, bytes, size, DM_WEIGHTS_DEFAULT));
    network_same(unet, s.t.unet);
    dm_unet_destroy(unet);
    free(bytes);
    training_end(&s.t);
}
END_TEST

START_TEST(trainers_resume_from_memory) {
    saved s;
    size_t size, floats;
    begin(&s, 2);
    training_require(&s.t, save(&s, NULL, 0, &size));
    uint8_t *bytes = malloc(size);
    training_require(&s.t, save(&s, bytes, size, &size));
    training_require(&s.t, dm_trainer_run(s.t.trainer, 6, NULL, NULL));
    float *want = training_state(&s.t, &floats);
    dm_trainer_destroy(s.t.trainer);
    training_require(&s.t,
                     dm_trainer_resume_memory(&s.t.trainer, s.t.unet, s.t.dataset, bytes, size));
    memset(bytes, 0, size); /* which are not needed any more */
    training_require(&s.t, dm_trainer_run(s.t.trainer, 6, NULL, NULL));
    training_same_state(&s.t, want, floats);
    free(want);
    free(bytes);
    training_end(&s.t);
}
END_TEST

START_TEST(null_arguments) {
    saved s;
    size_t size = 7;
    dm_trainer *trainer = (dm_trainer *)&s;
    begin(&s, 2);
    ck_assert_int_eq(dm_trainer_save_memory(NULL, NULL, 0, &size), DM_ERROR_INVALID_ARGUMENT);
    ck_assert_uint_eq(size, 0);
    ck_assert_int_eq(dm_unet_save_memory(NULL, NULL, NULL, 0, &size), DM_ERROR_INVALID_ARGUMENT);
    training_expect(&s.t, dm_trainer_resume_memory(&trainer, s.t.unet, NULL, NULL, 9),
                    DM_ERROR_INVALID_ARGUMENT, "'bytes' is NULL");
    ck_assert_ptr_null(trainer);
    training_expect(&s.t, dm_trainer_resume_memory(NULL, s.t.unet, NULL, "bytes", 5),
                    DM_ERROR_INVALID_ARGUMENT, "'out' is NULL");
    training_expect(&s.t, dm_trainer_resume_memory(&trainer, s.t.unet, NULL, "bytes", 5),
                    DM_ERROR_BAD_FORMAT, "memory");
    training_end(&s.t);
}
END_TEST

Suite *test_save_memory_suite(void);
Suite *test_save_memory_suite(void) {
    Suite *suite = suite_create("save_memory");
    TCase *tcase = tcase_create("save_memory");
    tcase_add_loop_test(tcase, memory_has_the_bytes_of_the_file, 0, 3);
    tcase_add_test(tcase, networks_load_from_memory);
    tcase_add_test(tcase, trainers_resume_from_memory);
    tcase_add_test(tcase, null_arguments);
    suite_add_tcase(suite, tcase);
    return suite;
}
