/* SPDX-License-Identifier: MIT */
/* Invalid safetensors files: each is refused with an error text of its own. */
#include "io/safetensors.h"

#include "support/support.h"

typedef struct header_case {
    const char *header;
    size_t data; /* bytes after it */
    int32_t status;
    const char *text; /* part of the error text */
} header_case;

#define A(shape, begin, end)                                                                       \
    "\"a\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"
#define B(shape, begin, end)                                                                       \
    "\"b\":{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"
enum { BAD = DMI_ERROR_BAD_FORMAT };

static const header_case header_cases[] = {
    {"{" A("2", "0", "8") "}", 8, DMI_OK, ""},
    {"{" B("1", "8", "12") "," A("2", "0", "8") "} \n", 12, DMI_OK, ""},
    {"{\"__metadata__\":{},\"a\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8],\"more\":1}"
     "}",
     8, DMI_OK, ""},
    {"{" A("2", "0", "8") "}", 9, BAD, "1 bytes follow the last tensor"},
    {"{}", 1, BAD, "1 bytes follow"},
    {"{" A("2", "0", "8") "}", 7, BAD, "'a': data_offsets 0 to 8 exceed the data's 7 bytes"},
    {"{" A("2", "0", "8") "," B("2", "4", "12") "}", 12, BAD, "there is an overlap"},
    {"{" A("2", "0", "8") "," B("2", "0", "8") "}", 8, BAD, "there is an overlap"},
    {"{" A("2", "0", "8") "," B("2", "12", "20") "}", 20, BAD, "there is a gap"},
    {"{" A("2", "4", "12") "}", 12, BAD, "the header ends at byte 0: there is a gap"},
    {"{" A("3", "0", "8") "}", 8, BAD,
     "'a': data_offsets 0 to 8 hold 8 bytes, shape and dtype F32 make 12"},
    {"{" A("0", "0", "8") "}", 8, BAD, "make 0"},
    {"{" A("2", "8", "0") "}", 8, BAD, "data_offsets 8 to 0 "},
    {"{" A("2", "-8", "0") "}", 8, BAD, "data_offsets -8 to 0 "},
    {"{" A("2", "0", "9223372036854775807") "}", 8, BAD,
     "data_offsets 0 to 9223372036854775807 exceed"},
    {"{" A("2", "0", "9223372036854775808") "}", 8, BAD,
     "'data_offsets' is not a pair of whole numbers"},
    {"{" A("2", "0.0", "8") "}", 8, BAD, "'a': 'data_offsets' is not a pair of whole numbers"},
    {"{" A("2", "0,8", "8") "}", 8, BAD, "'data_offsets' is not a pair"},
    {"{" A("-2", "0", "8") "}", 8, BAD, "'a': shape[0] is not a whole number"},
    {"{" A("1,2.0", "0", "8") "}", 8, BAD, "'a': shape[1] is not a whole number"},
    {"{" A("\"2\"", "0", "8") "}", 8, BAD, "shape[0]"},
    {"{" A("4294967296,4294967296,4294967296", "0", "0") "}", 0, BAD,
     sizeof(size_t) == 4 ? "overflows at shape[0]" : "'a': its size overflows at shape[1]"},
    {"{" A("4611686018427387904", "0", "0") "}", 0, BAD,
     "its size overflows at shape[0], which is 4611686018427387904"},
    {"{" A("1,1,1,1,1,1,1,1,2", "0", "8") "}", 8, DMI_ERROR_UNSUPPORTED,
     "'a' has more than 8 dimensions"},
    {"{\"a\":{\"dtype\":\"F33\",\"shape\":[2],\"data_offsets\":[0,8]}}", 8, BAD,
     "'a': unknown dtype 'F33'"},
    {"{\"a\":{\"dtype\":32,\"shape\":[2],\"data_offsets\":[0,8]}}", 8, BAD,
     "'a': 'dtype' is missing or not a string"},
    {"{\"a\":{\"shape\":[2],\"data_offsets\":[0,8]}}", 8, BAD, "'dtype' is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,8]}}", 8, BAD, "'shape' is missing"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, BAD,
     "'shape' is missing or not an array"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, BAD, "'data_offsets' is not a pair"},
    {"{\"a\":[2]}", 8, BAD, "'a' is not described by an object"},
    {"{" A("1", "0", "4") "," A("1", "4", "8") "}", 8, BAD, "duplicate"},
    {"{" A("1", "0", "4") ",\"\\u0061\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}",
     8, BAD, "duplicate"},
    {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4]}}", 4, BAD,
     "'a': 'dtype' is missing or not a string, or a duplicate"},
    {"{\"a\":{\"shape\":[],\"shape\":[],\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", 4, BAD,
     "'a': 'shape' is missing or not an array, or a duplicate"},
    {"{\"a\":{\"data_offsets\":[0,4],\"data_offsets\":[0,4],\"shape\":[],\"dtype\":\"F32\"}}", 4,
     BAD, "'a': 'data_offsets' is not a pair of whole numbers, or a duplicate"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0]}}", 4, BAD,
     "'a': 'data_offsets' is not a pair of whole numbers"},
    {"{\"__metadata__\":{},\"__metadata__\":{}," A("2", "0", "8") "}", 8, BAD,
     "'__metadata__' has a duplicate"},
    {"{\"__metadata__\":{\"crc32.a\":\"12345678\"}," A("2", "0", "8") "}", 8, BAD,
     "the metadata has checksums of tensors, but no 'crc32' of its own"},
    {"{\"__metadata__\":{\"crc32.a\":\"1234567\",\"crc32\":\"ddfaec52\"}," A("2", "0", "8") "}", 8,
     BAD, "metadata 'crc32.a' is \"1234567\"; it must be eight digits of base 16"},
    {"{\"__metadata__\":{\"crc32\":\"0000000g\"}," A("2", "0", "8") "}", 8, BAD,
     "metadata 'crc32' is \"0000000g\"; it must be eight digits of base 16"},
    {"{\"__metadata__\":{\"crc32\":\"00000001\"}," A("2", "0", "8") "}", 8, DMI_ERROR_CHECKSUM,
     "the metadata is damaged: its checksum is 00000000, 'crc32' is 00000001"},
    {"{\"__metadata__\":[]}", 0, BAD, "'__metadata__' is not an object"},
    {"{\"__metadata__\":{\"key\":1}}", 0, BAD, "metadata 'key' is not a string"},
    {"[]", 0, BAD, "does not begin with '{'"},
    {" {}", 0, BAD, "does not begin with '{'"},
    {"", 0, BAD, "does not begin with '{'"},
    {"{} {}", 0, BAD, "header, byte"},
    {"{\"a\":", 0, BAD, "'a' is not described"},
    {"{\"a\\u0000b\":{}}", 0, BAD, "header, byte"},
    {"{\"\xff\":{}}", 0, BAD, "header, byte"},
};

static size_t make_file(uint8_t *bytes, const header_case *c) {
    const uint64_t length = strlen(c->header);
    for (int i = 0; i < 8; i++) bytes[i] = (uint8_t)(length >> 8 * i);
    memcpy(bytes + 8, c->header, length);
    memset(bytes + 8 + length, 0, c->data);
    return 8 + length + c->data;
}

START_TEST(invalid_headers) {
    dmi_host host = {0};
    const header_case *c = &header_cases[_i];
    uint8_t bytes[1000];
    const size_t size = make_file(bytes, c);
    dmi_safetensors *file = (dmi_safetensors *)&host;
    const int32_t status = dmi_safetensors_parse(&host, &file, bytes, size, "some file");
    ck_assert_msg(status == c->status, "%s gives %d (%s)", c->header, status, host.error);
    if (status == DMI_OK) {
        ck_assert_str_eq(dmi_safetensors_at(file, 0)->name, "a");
        dmi_safetensors_close(&host, file);
    } else {
        ck_assert_ptr_null(file);
        ck_assert_msg(strncmp(host.error, "some file: ", 11) == 0, "%s", host.error);
        ck_assert_msg(strstr(host.error, c->text) != NULL, "%s does not contain %s", host.error,
                      c->text);
    }
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(invalid_lengths) {
    static const struct {
        uint64_t length;
        size_t size;
        const char *text;
    } cases[] = {
        {2, 0, "it has only 0 bytes"},
        {2, 7, "it has only 7 bytes"},
        {3, 10, "length is 3, but only 2 bytes follow"},
        {2, 9, "length is 2, but only 1 bytes follow"},
        {32000001, 10, "above 32000000"},
        {UINT64_MAX, 10, "length is 18446744073709551615, above"},
        {UINT64_MAX - 7, 10, "above"},
        {0, 8, "does not begin with"},
    };
    dmi_host host = {0};
    dmi_safetensors *file;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t bytes[10] = {0, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
        for (int k = 0; k < 8; k++) bytes[k] = (uint8_t)(cases[i].length >> 8 * k);
        ck_assert_int_eq(dmi_safetensors_parse(&host, &file, bytes, cases[i].size, "x"), BAD);
        ck_assert_msg(strstr(host.error, cases[i].text) != NULL, "%s does not contain %s",
                      host.error, cases[i].text);
        ck_assert_uint_eq(host.used, 0);
    }
}
END_TEST

/* A file truncated anywhere, and one with any bit of the header's first bytes flipped, is refused
 * or at least harmless. */
START_TEST(damaged_files) {
    dmi_host host = {0};
    uint8_t whole[1000], *bytes;
    const header_case two = {"{\"__metadata__\":{\"k\":\"v\"}," A("2", "0", "8") "," B("1", "8",
                                                                                       "12") "}",
                             12, DMI_OK, ""};
    const size_t size = make_file(whole, &two);
    dmi_safetensors *file;
    for (size_t length = 0; length < size; length++) {
        bytes = malloc(length + 1); /* so that a memory checker reports a read past the end */
        memcpy(bytes, whole, length);
        ck_assert_int_eq(dmi_safetensors_parse(&host, &file, bytes, length, "truncated"), BAD);
        free(bytes);
    }
    for (size_t bit = 0; bit < 8 * (size - 12); bit++) {
        whole[bit / 8] ^= (uint8_t)(1u << bit % 8);
        if (dmi_safetensors_parse(&host, &file, whole, size, "flipped") == DMI_OK) {
            for (size_t i = 0; i < dmi_safetensors_count(file); i++) {
                const dmi_safetensors_entry *e = dmi_safetensors_at(file, i);
                uint8_t data[1000];
                ck_assert_uint_le(e->size, sizeof data);
                ck_assert_int_eq(dmi_safetensors_read(&host, file, e, data), DMI_OK);
                for (size_t k = 0; k < e->size; k++) ck_assert_uint_eq(data[k], 0);
            }
            dmi_safetensors_close(&host, file);
        }
        whole[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

Suite *test_safetensors_invalid_suite(void);
Suite *test_safetensors_invalid_suite(void) {
    Suite *suite = suite_create("safetensors_invalid");
    TCase *tests = tcase_create("safetensors_invalid");
    tcase_set_timeout(tests, 60); /* under a memory checker */
    tcase_add_loop_test(tests, invalid_headers, 0, sizeof header_cases / sizeof header_cases[0]);
    tcase_add_test(tests, invalid_lengths);
    tcase_add_test(tests, damaged_files);
    suite_add_tcase(suite, tests);
    return suite;
}
