/* SPDX-License-Identifier: MIT */
/* Numbers of 16 bits, and networks in files of them. */
#include "base/half.h"

#include <float.h>
#include <math.h>

#include "io/safetensors.h"
#include "support/allocator.h"
#include "support/network.h"
#include "support/refusal.h"
#include "support/training.h"
#include "unet/unet.h"

/* ---- numbers ---- */

/* By the definition of the formats, in double precision. */
static double by_definition(uint16_t bits, int exponent_bits) {
    const int fraction_bits = 15 - exponent_bits, bias = (1 << (exponent_bits - 1)) - 1;
    const int exponent = bits >> fraction_bits & ((1 << exponent_bits) - 1);
    const int fraction = bits & ((1 << fraction_bits) - 1);
    double value;
    if (exponent == (1 << exponent_bits) - 1) value = fraction ? NAN : INFINITY;
    else if (exponent == 0) value = ldexp(fraction, 1 - bias - fraction_bits);
    else value = ldexp((1 << fraction_bits) + fraction, exponent - bias - fraction_bits);
    return bits & 0x8000 ? -value : value;
}

static void check_number(float got, double want, unsigned bits) {
    if (isnan(want)) ck_assert_msg(isnan(got), "%04x", bits);
    else ck_assert_msg(got == want && !signbit(got) == !signbit(want), "%04x", bits);
}

START_TEST(every_number) {
    for (uint32_t bits = 0; bits < 65536; bits++) {
        check_number(dmi_float16_to_float((uint16_t)bits), by_definition((uint16_t)bits, 5), bits);
        check_number(dmi_bfloat16_to_float((uint16_t)bits), by_definition((uint16_t)bits, 8), bits);
    }
}
END_TEST

typedef struct half_format {
    uint16_t (*narrow)(float);
    int exponent_bits;
    uint16_t infinity;
} half_format;

static const half_format formats[] = {{dmi_float_to_float16, 5, 0x7c00},
                                      {dmi_float_to_bfloat16, 8, 0x7f80}};

/* Between each number and the next one of its sign: the middle goes to the even one, what is on
 * either side of it to the nearer one. The middle before infinity is infinite. */
START_TEST(rounding) {
    const half_format *f = &formats[_i];
    for (uint32_t bits = 0; bits < f->infinity; bits++) {
        const double low = by_definition((uint16_t)bits, f->exponent_bits);
        double high = by_definition((uint16_t)(bits + 1), f->exponent_bits);
        if (isinf(high)) high = 2 * low - by_definition((uint16_t)(bits - 1), f->exponent_bits);
        const float middle = (float)((low + high) / 2);
        const uint32_t even = bits + (bits & 1);
        for (uint32_t sign = 0; sign <= 0x8000; sign += 0x8000) {
            const float unit = sign ? -1 : 1;
            ck_assert_uint_eq(f->narrow(unit * (float)low), bits | sign);
            ck_assert_uint_eq(f->narrow(unit * nextafterf(middle, 0)), bits | sign);
            ck_assert_uint_eq(f->narrow(unit * middle), even | sign);
            ck_assert_uint_eq(f->narrow(unit * nextafterf(middle, INFINITY)), (bits + 1) | sign);
        }
    }
    ck_assert_uint_eq(f->narrow(INFINITY), f->infinity);
    ck_assert_uint_eq(f->narrow(-INFINITY), f->infinity | 0x8000);
    ck_assert_uint_eq(f->narrow(FLT_MAX), f->infinity);
    ck_assert_uint_eq(f->narrow(-0.0f), 0x8000);
    const uint32_t nans[] = {0x7f800001, 0x7fc00000, 0xffffffff};
    for (int i = 0; i < 3; i++) {
        float nan;
        memcpy(&nan, &nans[i], sizeof nan);
        ck_assert(isnan(by_definition(f->narrow(nan), f->exponent_bits)));
    }
}
END_TEST

/* ---- files ---- */

/* The float's upper half, or a float16 that is not larger, of which there is one for each weight of
 * the test. */
static uint16_t shorten(float value, bool is_bfloat16) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (is_bfloat16) return (uint16_t)(bits >> 16);
    const int exponent = (int)(bits >> 23 & 255) - 127 + 15;
    ck_assert_int_lt(exponent, 31);
    const uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    if (exponent <= 0) return sign;
    return (uint16_t)(sign | exponent << 10 | (bits >> 13 & 0x3ff));
}

static float lengthen(uint16_t bits, bool is_bfloat16) {
    return is_bfloat16 ? dmi_bfloat16_to_float(bits) : dmi_float16_to_float(bits);
}

/* A file with the metadata of `bytes`, checksums of its tensors among them, and its tensors in half
 * of their size; to be freed. */
static uint8_t *shorten_file(dmi_host *host, const uint8_t *bytes, size_t *size, bool is_bfloat16) {
    dmi_safetensors *file;
    ck_assert_int_eq(dmi_safetensors_parse(host, &file, bytes, *size, "the file"), DMI_OK);
    const char *text = (const char *)bytes + 8, *end = strstr(text, "},\"");
    char *header = malloc(2 * *size);
    uint16_t *data = malloc(*size);
    ck_assert(end && header && data);
    size_t length = (size_t)(end - text) + 1, count = 0;
    memcpy(header, text, length); /* {"__metadata__":{...} */
    for (size_t i = 0; i < dmi_safetensors_count(file); i++) {
        const dmi_safetensors_entry *e = dmi_safetensors_at(file, i);
        float *values = malloc(e->size);
        ck_assert_ptr_nonnull(values);
        ck_assert_int_eq(dmi_safetensors_read(host, file, e, values), DMI_OK);
        length += (size_t)sprintf(header + length, ",\"%s\":{\"dtype\":\"%s\",\"shape\":[", e->name,
                                  is_bfloat16 ? "BF16" : "F16");
        for (int32_t k = 0; k < e->rank; k++)
            length +=
                (size_t)sprintf(header + length, "%s%lld", k ? "," : "", (long long)e->shape[k]);
        length += (size_t)sprintf(header + length, "],\"data_offsets\":[%zu,%zu]}", 2 * count,
                                  2 * count + e->size / 2);
        for (size_t k = 0; k < e->size / sizeof *values; k++)
            data[count++] = shorten(values[k], is_bfloat16);
        free(values);
    }
    header[length++] = '}';
    dmi_safetensors_close(host, file);
    *size = 8 + length + 2 * count;
    uint8_t *out = malloc(*size);
    ck_assert_ptr_nonnull(out);
    for (int i = 0; i < 8; i++) out[i] = (uint8_t)((uint64_t)length >> 8 * i);
    memcpy(out + 8, header, length);
    memcpy(out + 8 + length, data, 2 * count);
    free(header);
    free(data);
    return out;
}

static uint8_t *network_file(const dm_context *context, const dm_unet *unet, size_t *size) {
    test_accepted(context, dm_unet_save_memory(unet, NULL, NULL, 0, size));
    uint8_t *bytes = malloc(*size);
    ck_assert_ptr_nonnull(bytes);
    test_accepted(context, dm_unet_save_memory(unet, NULL, bytes, *size, size));
    return bytes;
}

START_TEST(networks_of_half_size) {
    const bool is_bfloat16 = _i;
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *loaded;
    size_t whole, size;
    network_randomize(unet, 9);
    uint8_t *bytes = network_file(context, unet, &whole);
    size = whole;
    uint8_t *halves = shorten_file(&context->host, bytes, &size, is_bfloat16);
    ck_assert_uint_lt(size, whole);
    /* The checksums are those of the floats. */
    test_refused(context, dm_unet_load_memory(&loaded, context, halves, size, DM_WEIGHTS_DEFAULT),
                 DM_ERROR_CHECKSUM, "memory: tensor '|is damaged");
    test_drop_checksums(halves, size);
    test_accepted(context, dm_unet_load_memory(&loaded, context, halves, size, DM_WEIGHTS_DEFAULT));
    const dmi_params *params = &unet->weights->params, *got = &loaded->weights->params;
    ck_assert_uint_eq(params->floats, got->floats);
    for (size_t i = 0; i < params->floats; i++)
        ck_assert(got->data[i] == lengthen(shorten(params->data[i], is_bfloat16), is_bfloat16));
    dm_unet_destroy(loaded);

    /* A number that is not finite is found. */
    const uint16_t nan = 0x7fff;
    memcpy(halves + size - sizeof nan, &nan, sizeof nan);
    test_refused(context, dm_unet_load_memory(&loaded, context, halves, size, DM_WEIGHTS_DEFAULT),
                 DM_ERROR_NOT_FINITE, "memory: |is NaN");
    free(halves);
    free(bytes);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

/* Files of that precision: half the size, with checksums that hold, and with the rounded weights.
 */
START_TEST(saved_as) {
    const dm_precision precision = _i ? DM_PRECISION_BF16 : DM_PRECISION_F16;
    dm_context *context = test_context_new(NULL, 0);
    dm_unet *unet = network_new(context, 1), *loaded;
    size_t whole, size = 0, again = 0;
    char *folder = test_folder_new();
    network_randomize(unet, 9);
    test_accepted(context, dm_unet_save_memory(unet, NULL, NULL, 0, &whole));
    test_accepted(context, dm_unet_save_memory_as(unet, NULL, NULL, 0, &size, precision));
    ck_assert_uint_lt(size, whole);
    uint8_t *bytes = malloc(size);
    ck_assert_ptr_nonnull(bytes);
    test_accepted(context, dm_unet_save_memory_as(unet, NULL, bytes, size, &again, precision));
    ck_assert_uint_eq(size, again);
    test_accepted(context, dm_unet_load_memory(&loaded, context, bytes, size, DM_WEIGHTS_DEFAULT));
    const dmi_params *params = &unet->weights->params, *got = &loaded->weights->params;
    for (size_t i = 0; i < params->floats; i++)
        ck_assert(got->data[i] == lengthen(formats[_i].narrow(params->data[i]), _i));
    dm_unet_destroy(loaded);
    bytes[size - 1] ^= 1;
    test_refused(context, dm_unet_load_memory(&loaded, context, bytes, size, DM_WEIGHTS_DEFAULT),
                 DM_ERROR_CHECKSUM, "is damaged");
    bytes[size - 1] ^= 1;
    const char *path = test_path(folder, "half.safetensors");
    test_accepted(context, dm_unet_save_as(unet, NULL, path, precision));
    uint8_t *file = training_read_file(path, &again);
    ck_assert(again == size && !memcmp(file, bytes, size));
    free(file);
    free(bytes);

    /* Too large, and the file stays. */
    unet->weights->params.data[3] = _i ? FLT_MAX : 65520;
    test_untouched untouched = test_untouched_begin(context, folder);
    path = test_path(folder, "half.safetensors");
    test_refused(context, dm_unet_save_as(unet, NULL, path, precision), DM_ERROR_NOT_FINITE,
                 _i ? "element |of tensor '|3.40282e+38, too large for BF16"
                    : "element |of tensor '|65520, too large for F16");
    test_refused(context, dm_unet_save_as(unet, NULL, path, 3), DM_ERROR_INVALID_ARGUMENT,
                 "'precision' is 3; it must be from 0 to 2");
    test_refused(context, dm_unet_save_as(unet, NULL, NULL, precision), DM_ERROR_INVALID_ARGUMENT,
                 "'path' is NULL");
    test_refused(context, dm_unet_save_memory_as(unet, NULL, NULL, 0, NULL, precision),
                 DM_ERROR_INVALID_ARGUMENT, "'size' is NULL");
    test_untouched_end(&untouched);
    ck_assert_int_eq(dm_unet_save_as(NULL, NULL, path, precision), DM_ERROR_INVALID_ARGUMENT);
    size = 1;
    ck_assert_int_eq(dm_unet_save_memory_as(NULL, NULL, NULL, 0, &size, precision),
                     DM_ERROR_INVALID_ARGUMENT);
    ck_assert_uint_eq(size, 0);
    free(folder);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
}
END_TEST

Suite *test_half_suite(void);
Suite *test_half_suite(void) {
    Suite *suite = suite_create("half");
    TCase *tests = tcase_create("half");
    tcase_add_test(tests, every_number);
    tcase_add_loop_test(tests, rounding, 0, 2);
    tcase_add_loop_test(tests, saved_as, 0, 2);
    tcase_add_loop_test(tests, networks_of_half_size, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}
