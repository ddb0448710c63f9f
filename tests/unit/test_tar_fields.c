/* SPDX-License-Identifier: MIT */
/* Fields of tar headers and pax attributes at the edges of what they may hold. */
#include "io/targz.h"
#include "support/cifar10.h"
#include "support/support.h"

enum { BLOCK = 512, CAPACITY = 1 << 18 };

static uint8_t archive[CAPACITY];
static size_t used;
static char path[256];

static void seal(uint8_t *header, bool with_sign) {
    int sum = 0;
    memset(header + 148, ' ', 8);
    for (int i = 0; i < BLOCK; i++) sum += with_sign ? (int8_t)header[i] : header[i];
    snprintf((char *)header + 148, 8, "%06o", (unsigned)sum & 0777777);
}

/* Appends a member; its header may be changed, and is then sealed again. */
static uint8_t *append(char type, const char *name, const char *data, size_t size) {
    uint8_t *header = archive + used;
    cifar10_tar_header(header, name, size);
    header[156] = (uint8_t)type;
    seal(header, false);
    memset(header + BLOCK, 0, (size + BLOCK - 1) / BLOCK * BLOCK);
    memcpy(header + BLOCK, data, size);
    used += BLOCK + (size + BLOCK - 1) / BLOCK * BLOCK;
    return header;
}

/* Zeros at the end: two blocks are the end mark. */
static void pad(size_t blocks) {
    memset(archive + used, 0, blocks * BLOCK);
    used += blocks * BLOCK;
}

static void store(void) {
    if (!path[0]) snprintf(path, sizeof path, "%s/archive.tar", test_folder());
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(archive, 1, used, file), used);
    ck_assert_int_eq(fclose(file), 0);
    used = 0;
}

/* The status of the first member, and its name and size. */
static int32_t first_member(dmi_host *host, char name[64], uint64_t *size) {
    dmi_targz *tar;
    dmi_targz_member member = {.name = ""};
    bool found = false;
    store();
    int32_t status = dmi_targz_open(host, &tar, path);
    if (!status) status = dmi_targz_next(host, tar, &member, &found);
    if (!status) ck_assert(found);
    snprintf(name, 64, "%s", status ? "" : member.name);
    *size = status ? 0 : member.size;
    if (!status) {
        status = dmi_targz_next(host, tar, &member, &found);
        ck_assert(!found);
    }
    dmi_targz_close(host, tar);
    ck_assert_uint_eq(host->used, 0);
    return status;
}

static void check_refused(int32_t want, const char *words) {
    dmi_host host = {0};
    char name[64];
    uint64_t size;
    const int32_t status = first_member(&host, name, &size);
    ck_assert_msg(status == want, "%d: %s", (int)status, host.error);
    ck_assert_msg(strstr(host.error, words) != NULL, "\"%s\" lacks \"%s\"", host.error, words);
}

static void check_member(const char *want_name, uint64_t want_size) {
    dmi_host host = {0};
    char name[64];
    uint64_t size;
    const int32_t status = first_member(&host, name, &size);
    ck_assert_msg(status == DMI_OK, "%s", host.error);
    ck_assert_str_eq(name, want_name);
    ck_assert_uint_eq(size, want_size);
}

START_TEST(numbers) {
    static const struct {
        const char *field; /* 12 bytes */
        uint64_t size;
    } cases[] = {{"            ", 0},
                 {"000000000004", 4},
                 {"00000000004 ", 4},
                 {"   4        ", 4}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t *header = append('0', "name", "text", (size_t)cases[i].size);
        memcpy(header + 124, cases[i].field, 12);
        seal(header, false);
        pad(2);
        check_member("name", cases[i].size);
    }
}
END_TEST

/* Some old writers summed signed bytes. */
START_TEST(checksums_of_signed_bytes) {
    seal(append('0', "n\xc3\xa4me", "text", 4), true);
    pad(2);
    check_member("n\xc3\xa4me", 4);
}
END_TEST

START_TEST(names) {
    append('0', "", "text", 4); /* none at all */
    pad(2);
    check_member("", 4);
    memset(append('0', "", "", 0) + 156, 0, 1);
    seal(archive, false);
    pad(40); /* tar writes the end in records of 20 blocks */
    check_member("", 0);
}
END_TEST

START_TEST(pax_attributes) {
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"12", "malformed"},
        {"12a b=c\n", "malformed"},
        {"12/ b=c\n", "malformed"},
        {"2 \n", "malformed"},
        {"30 a=b\n", "malformed"},
        {"99999999999999 a=b\n", "malformed"},
        {"6 a=bc\n", "malformed"}, /* does not end with a newline */
        {"6 abc\n", "without '='"},
        {"8 size=\n", "bad pax size"},
        {"9 size=x\n", "bad pax size"},
        {"29 size=99999999999999999999\n", "bad pax size"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        append('x', "pax", cases[i].text, strlen(cases[i].text));
        append('0', "name", "text", 4);
        pad(2);
        check_refused(DMI_ERROR_BAD_FORMAT, cases[i].words);
    }
    append('x', "pax", "13 path=other\n10 size=4\n", 24);
    append('0', "name", "text", 4);
    pad(2);
    check_refused(DMI_ERROR_BAD_FORMAT, "malformed");
    append('x', "pax", "14 path=other\n10 size=4\n", 24);
    append('0', "name", "text", 4);
    pad(2);
    check_member("other", 4);
}
END_TEST

START_TEST(long_names) {
    static char text[70100];
    const int length = snprintf(text, sizeof text, "70014 path=");
    memset(text + length, 'n', 70014 - (size_t)length - 1);
    text[70013] = '\n';
    append('x', "pax", text, 70014);
    append('0', "name", "text", 4);
    pad(2);
    check_refused(DMI_ERROR_BAD_FORMAT, "its name is too long");
    /* The archive ends within the extra data, or within what fills its last block. */
    for (int i = 0; i < 3; i++) {
        append(i == 2 ? 'K' : 'L', "long", "other", 6);
        used -= i == 1 ? BLOCK - 6 : BLOCK;
        check_refused(DMI_ERROR_BAD_FORMAT, "truncated");
    }
    append('L', "long", "other", 6);
    append('0', "name", "text", 4);
    pad(2);
    store();
    /* There is no memory for the name. */
    dmi_host host = {0};
    dmi_targz *tar;
    dmi_targz_member member;
    bool found;
    ck_assert_int_eq(dmi_targz_open(&host, &tar, path), DMI_OK);
    host.limit = host.used;
    ck_assert_int_eq(dmi_targz_next(&host, tar, &member, &found), DMI_ERROR_LIMIT_EXCEEDED);
    ck_assert(!found);
    dmi_targz_close(&host, tar);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

Suite *test_tar_fields_suite(void);
Suite *test_tar_fields_suite(void) {
    Suite *suite = suite_create("tar_fields");
    TCase *tests = tcase_create("tar_fields");
    tcase_add_test(tests, numbers);
    tcase_add_test(tests, checksums_of_signed_bytes);
    tcase_add_test(tests, names);
    tcase_add_test(tests, pax_attributes);
    tcase_add_test(tests, long_names);
    suite_add_tcase(suite, tests);
    return suite;
}
