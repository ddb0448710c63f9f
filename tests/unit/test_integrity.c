/* SPDX-License-Identifier: MIT */
/* Damage to saved files is noticed: every flipped bit of the header, flipped bits of every tensor,
 * every truncation; values that are not finite are neither loaded nor saved. */
#include <math.h>

#include "support/training.h"
#include "train/trainer.h"
#include "unet/unet.h"

enum { LENGTH_BYTES = 8 };

/* A checkpoint of a run of two steps in memory, to be freed. */
static uint8_t *checkpoint(const training *t, size_t *size) {
    training_require(t, dm_trainer_save_memory(t->trainer, NULL, 0, size));
    uint8_t *bytes = malloc(*size);
    ck_assert_ptr_nonnull(bytes);
    training_require(t, dm_trainer_save_memory(t->trainer, bytes, *size, size));
    return bytes;
}

static uint8_t *checkpoint_of_run(const training_setup *setup, size_t *size) {
    training t;
    training_begin(&t, setup);
    training_require(&t, dm_trainer_run(t.trainer, 2, NULL, NULL));
    uint8_t *bytes = checkpoint(&t, size);
    training_end(&t);
    return bytes;
}

static size_t header_end(const uint8_t *bytes) {
    size_t length = 0;
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) length = length << 8 | bytes[i];
    return LENGTH_BYTES + length;
}

/* The place of a tensor's first byte. */
static uint8_t *find_tensor(uint8_t *bytes, size_t size, const char *name) {
    char key[160];
    unsigned long begin;
    const size_t start = header_end(bytes);
    snprintf(key, sizeof key, "\"%s\":{", name);
    const char *at = memmem(bytes, start, key, strlen(key));
    ck_assert_msg(at != NULL, "there is no %s", name);
    at = strstr(at, "\"data_offsets\":[");
    ck_assert_int_eq(sscanf(at, "\"data_offsets\":[%lu", &begin), 1);
    ck_assert_uint_lt(start + begin, size);
    return bytes + start + begin;
}

/* The status of resuming from the bytes with a new network. */
static dm_status resume(training *t, const uint8_t *bytes, size_t size) {
    dm_trainer *trainer;
    const dm_status status = dm_trainer_resume_memory(&trainer, t->unet, t->dataset, bytes, size);
    ck_assert_int_eq(status == DM_OK, trainer != NULL);
    dm_trainer_destroy(trainer);
    return status;
}

/* Flips one bit of the header after another, `stride` apart; each must be refused. */
static void flip_header(size_t stride) {
    training t;
    training_setup setup = training_default();
    size_t size;
    uint8_t *bytes = checkpoint_of_run(&setup, &size);
    training_prepare(&t, &setup);
    const size_t bits = 8 * header_end(bytes);
    for (size_t bit = 0; bit < bits; bit += stride) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        ck_assert_msg(resume(&t, bytes, size) != DM_OK, "bit %zu of %zu is not noticed", bit, bits);
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert_int_eq(resume(&t, bytes, size), DM_OK);
    free(bytes);
    training_end(&t);
}

/* `make check` flips a part of the bits, with EXHAUSTIVE=1 all. */
START_TEST(flipped_bits_of_the_header) { flip_header(211); }
END_TEST

START_TEST(all_flipped_bits_of_the_header) { flip_header(1); }
END_TEST

/* The same with the bits behind the header, from the `first` of them on. */
static void flip_data(training *t, uint8_t *bytes, size_t size, size_t first, size_t stride) {
    for (size_t bit = 8 * header_end(bytes) + first; bit < 8 * size; bit += stride) {
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        training_expect(t, resume(t, bytes, size), DM_ERROR_CHECKSUM, "tensor '|is damaged");
        bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

START_TEST(flipped_bits_of_tensors) {
    training t;
    training_setup setup = training_default();
    size_t size;
    uint8_t *bytes = checkpoint_of_run(&setup, &size);
    training_prepare(&t, &setup);
    flip_data(&t, bytes, size, 0, 9973); /* a prime: all bits of a float and all tensors are met */
    ck_assert_int_eq(resume(&t, bytes, size), DM_OK);
    /* The name of the tensor is told, and networks notice too. */
    dm_unet *unet;
    *find_tensor(bytes, size, "ema_0.conv_in.bias") ^= 1;
    training_expect(&t, resume(&t, bytes, size), DM_ERROR_CHECKSUM, "'ema_0.conv_in.bias'");
    training_expect(&t, dm_unet_load_memory(&unet, t.context, bytes, size, DM_WEIGHTS_EMA),
                    DM_ERROR_CHECKSUM, "memory: |'ema_0.conv_in.bias'");
    training_require(&t, dm_unet_load_memory(&unet, t.context, bytes, size, DM_WEIGHTS_TRAINED));
    dm_unet_destroy(unet);
    free(bytes);
    training_end(&t);
}
END_TEST

/* Each length within the header and a little more, then every `stride`th. */
static void truncate_to(const training_setup *setup, size_t stride) {
    training t;
    size_t size;
    uint8_t *bytes = checkpoint_of_run(setup, &size);
    training_prepare(&t, setup);
    const size_t start = header_end(bytes);
    for (size_t length = 0; length < size; length += length < start + 100 ? 1 : stride) {
        uint8_t *part = malloc(length ? length : 1);
        ck_assert_ptr_nonnull(part);
        memcpy(part, bytes, length);
        ck_assert_int_eq(resume(&t, part, length), DM_ERROR_BAD_FORMAT);
        free(part);
    }
    ck_assert_int_eq(resume(&t, bytes, size - 1), DM_ERROR_BAD_FORMAT);
    free(bytes);
    training_end(&t);
}

START_TEST(truncation) {
    const training_setup setup = training_default();
    truncate_to(&setup, 997);
}
END_TEST

/* With four channels, so that there are few bytes, of every tensor. */
START_TEST(truncation_at_every_length) {
    training_setup setup = training_default();
    setup.channels = 4;
    truncate_to(&setup, 1);
}
END_TEST

static void flip_every_second(size_t first) {
    training t;
    training_setup setup = training_default();
    size_t size;
    setup.channels = 4;
    uint8_t *bytes = checkpoint_of_run(&setup, &size);
    training_prepare(&t, &setup);
    flip_data(&t, bytes, size, first, 2);
    ck_assert_int_eq(resume(&t, bytes, size), DM_OK);
    free(bytes);
    training_end(&t);
}

START_TEST(all_even_bits_of_tensors) { flip_every_second(0); }
END_TEST

START_TEST(all_odd_bits_of_tensors) { flip_every_second(1); }
END_TEST

/* ---- values ---- */

static const struct {
    const char *tensor;
    float value;
    dm_status status;
    const char *words;
} values[] = {
    {"conv_in.bias", NAN, DM_ERROR_NOT_FINITE, "element 2 of tensor 'conv_in.bias' is NaN"},
    {"conv_in.bias", INFINITY, DM_ERROR_NOT_FINITE, "'conv_in.bias' is infinite"},
    {"ema_0.conv_in.bias", -INFINITY, DM_ERROR_NOT_FINITE, "'ema_0.conv_in.bias' is infinite"},
    {"adam_m.conv_in.bias", NAN, DM_ERROR_NOT_FINITE, "'adam_m.conv_in.bias' is NaN"},
    {"adam_v.conv_in.bias", NAN, DM_ERROR_NOT_FINITE, "'adam_v.conv_in.bias' is NaN"},
    {"adam_v.conv_in.bias", -1e-9f, DM_ERROR_BAD_FORMAT,
     "element 2 of tensor 'adam_v.conv_in.bias'|is -1e-09"},
};
enum { VALUES = sizeof values / sizeof *values };

/* In files without checksums, as other programs write them. */
START_TEST(values_that_no_run_has) {
    training t;
    training_setup setup = training_default();
    size_t size;
    uint8_t *bytes = checkpoint_of_run(&setup, &size);
    test_drop_checksums(bytes, size);
    training_prepare(&t, &setup);
    float *weights = training_weights(&t);
    ck_assert_int_eq(resume(&t, bytes, size), DM_OK);
    training_end(&t);
    training_prepare(&t, &setup);
    memcpy(find_tensor(bytes, size, values[_i].tensor) + 2 * sizeof(float), &values[_i].value,
           sizeof(float));
    training_expect(&t, resume(&t, bytes, size), values[_i].status, values[_i].words);
    ck_assert(training_unchanged(&t, weights));
    free(weights);
    free(bytes);
    training_end(&t);
}
END_TEST

/* A state that is not finite does not replace a good file. */
START_TEST(a_spoilt_state_is_not_saved) {
    training t;
    training_setup setup = training_default();
    size_t size, written = 1;
    char *folder = test_folder_new(), file[256], network[256];
    snprintf(file, sizeof file, "%s", test_path(folder, "file"));
    snprintf(network, sizeof network, "%s", test_path(folder, "network"));
    training_begin(&t, &setup);
    training_require(&t, dm_trainer_run(t.trainer, 1, NULL, NULL));
    training_require(&t, dm_trainer_save(t.trainer, file));
    training_require(&t, dm_unet_save(t.unet, t.schedule, network));
    uint8_t *good = training_read_file(file, &size);
    float *const blocks[] = {t.unet->weights->params.data, t.trainer->moment1, t.trainer->moment2,
                             t.trainer->ema[0]};
    static const char *const names[] = {"tensor 'conv_out.bias' is NaN|not saved",
                                        "'adam_m.conv_out.bias'", "'adam_v.conv_out.bias'",
                                        "'ema_0.conv_out.bias'"};
    const dmi_params *params = &t.unet->weights->params;
    const size_t at = params->items[dmi_params_find(params, "conv_out.bias")].offset;
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) {
        const float kept = blocks[i][at];
        blocks[i][at] = NAN;
        training_expect(&t, dm_trainer_save(t.trainer, file), DM_ERROR_NOT_FINITE, names[i]);
        training_expect(&t, dm_trainer_save_memory(t.trainer, NULL, 0, &written),
                        DM_ERROR_NOT_FINITE, names[i]);
        if (i == 0)
            training_expect(&t, dm_unet_save(t.unet, t.schedule, network), DM_ERROR_NOT_FINITE,
                            "unet: |conv_out.bias");
        size_t now_size;
        uint8_t *now = training_read_file(file, &now_size);
        ck_assert(now_size == size && memcmp(now, good, size) == 0);
        free(now);
        blocks[i][at] = kept;
    }
    training_require(&t, dm_trainer_save(t.trainer, file));
    training_require(&t, dm_unet_save(t.unet, t.schedule, network));
    free(good);
    training_end(&t);
    free(folder);
}
END_TEST

/* A case of its own, so that several can run at once. */
static TCase *exhaustive(const char *name, const TTest *test) {
    TCase *tests = tcase_create(name);
    tcase_set_timeout(tests, 1800);
    tcase_set_tags(tests, "exhaustive");
    tcase_add_test(tests, test);
    return tests;
}

Suite *test_integrity_suite(void);
Suite *test_integrity_suite(void) {
    Suite *suite = suite_create("integrity");
    TCase *tests = tcase_create("integrity");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, flipped_bits_of_the_header);
    tcase_add_test(tests, flipped_bits_of_tensors);
    tcase_add_test(tests, truncation);
    tcase_add_loop_test(tests, values_that_no_run_has, 0, VALUES);
    tcase_add_test(tests, a_spoilt_state_is_not_saved);
    suite_add_tcase(suite, tests);
    suite_add_tcase(suite, exhaustive("header", all_flipped_bits_of_the_header));
    suite_add_tcase(suite, exhaustive("even_bits", all_even_bits_of_tensors));
    suite_add_tcase(suite, exhaustive("odd_bits", all_odd_bits_of_tensors));
    suite_add_tcase(suite, exhaustive("lengths", truncation_at_every_length));
    return suite;
}
