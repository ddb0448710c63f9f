/* SPDX-License-Identifier: MIT */
/* Archives made here, plain and gzipped, read back; then the same cut short, damaged and
 * malformed. */
#include "io/targz.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "support/support.h"

enum { BLOCK = 512 };

typedef struct archive {
    uint8_t bytes[400 * BLOCK];
    size_t size;
} archive;

static void seal(uint8_t *header) {
    unsigned sum = 0;
    memset(header + 148, ' ', 8);
    for (int i = 0; i < BLOCK; i++) sum += header[i];
    snprintf((char *)header + 148, 8, "%06o", sum);
}

static uint8_t *add(archive *a, const char *name, char type, const void *data, size_t size) {
    uint8_t *header = a->bytes + a->size;
    ck_assert_uint_le(a->size + size + 4 * BLOCK, sizeof a->bytes);
    memset(header, 0, BLOCK);
    strncpy((char *)header, name, 100);
    memcpy(header + 100, "0000644", 8);
    snprintf((char *)header + 124, 12, "%011o", (unsigned)size);
    header[156] = (uint8_t)type;
    memcpy(header + 257, "ustar\00000", 8);
    seal(header);
    a->size += BLOCK;
    memset(a->bytes + a->size, 0, (size + BLOCK - 1) / BLOCK * BLOCK);
    if (size > 0) memcpy(a->bytes + a->size, data, size);
    a->size += (size + BLOCK - 1) / BLOCK * BLOCK;
    return header;
}

static void end(archive *a) {
    memset(a->bytes + a->size, 0, 2 * BLOCK);
    a->size += 2 * BLOCK;
}

static char path[256];

static void store(const void *bytes, size_t size) {
    if (path[0] == 0) snprintf(path, sizeof path, "%s/archive", test_folder());
    FILE *file = fopen(path, "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(bytes, 1, size, file), size);
    ck_assert_int_eq(fclose(file), 0);
}

static size_t gzip(uint8_t *out, size_t capacity, const uint8_t *bytes, size_t size) {
    z_stream z = {0};
    ck_assert_int_eq(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)bytes;
    z.avail_in = (uInt)size;
    z.next_out = out;
    z.avail_out = (uInt)capacity;
    ck_assert_int_eq(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return capacity - z.avail_out;
}

static uint8_t content[70000];

static void make_content(void) {
    uint32_t state = 3;
    for (size_t i = 0; i < sizeof content; i++) {
        state = state * 1664525u + 1013904223u;
        content[i] = (uint8_t)(state >> 24);
    }
}

/* Reads to the end. The members' names are joined by blanks, and their bytes must be content[0],
 * content[1], ... */
static int32_t read_all(dmi_host *host, char *names, size_t capacity) {
    dmi_targz *tar;
    dmi_targz_member member;
    bool found = true;
    static uint8_t bytes[sizeof content];
    names[0] = 0;
    int32_t status = dmi_targz_open(host, &tar, path);
    if (status != DMI_OK) {
        ck_assert_ptr_null(tar);
        return status;
    }
    while ((status = dmi_targz_next(host, tar, &member, &found)) == DMI_OK && found) {
        snprintf(names + strlen(names), capacity - strlen(names), "%s%s", names[0] ? " " : "",
                 member.name);
        ck_assert_uint_le(member.size, sizeof bytes);
        status = dmi_targz_read(host, tar, bytes, (size_t)member.size);
        if (status != DMI_OK) break;
        ck_assert_int_eq(memcmp(bytes, content, (size_t)member.size), 0);
    }
    if (status != DMI_OK) {
        const bool named = strncmp(host->error, path, strlen(path)) == 0;
        ck_assert_msg(named || status == DMI_ERROR_LIMIT_EXCEEDED, "%s", host->error);
    } else {
        ck_assert_int_eq(dmi_targz_next(host, tar, &member, &found),
                         DMI_OK); /* the end stays the end */
        ck_assert(!found);
    }
    dmi_targz_close(host, tar);
    ck_assert_uint_eq(host->used, 0);
    return status;
}

static void check_reads(const void *bytes, size_t size, const char *want) {
    dmi_host host = {0};
    char names[2000];
    store(bytes, size);
    const int32_t status = read_all(&host, names, sizeof names);
    ck_assert_msg(status == DMI_OK, "%s", host.error);
    ck_assert_str_eq(names, want);
    unlink(path);
}

static void check_refused(const void *bytes, size_t size, int32_t want, const char *says) {
    dmi_host host = {0};
    char names[2000];
    store(bytes, size);
    const int32_t status = read_all(&host, names, sizeof names);
    ck_assert_msg(status == want, "%d (%s), not %d (%s)", status, host.error, want, says);
    ck_assert_msg(strstr(host.error, says) != NULL, "%s does not say %s", host.error, says);
    unlink(path);
}

static archive made, changed;
static uint8_t packed[sizeof made.bytes + 1000];

/* A folder, files of sizes around a block's, a link, and one that is long. */
static void make_plain(void) {
    make_content();
    made.size = 0;
    add(&made, "top/", '5', NULL, 0);
    add(&made, "top/none", '0', NULL, 0);
    add(&made, "top/one", '0', content, 1);
    add(&made, "top/link", '2', NULL, 0);
    add(&made, "top/block", '0', content, 512);
    add(&made, "top/more", '\0', content, 513);
    add(&made, "top/old/", '\0', NULL, 0);
    add(&made, "top/long", '7', content, sizeof content);
    end(&made);
}

static const char plain_names[] = "top/none top/one top/block top/more top/long";

START_TEST(plain_and_gzipped) {
    make_plain();
    check_reads(made.bytes, made.size, plain_names);
    const size_t size = gzip(packed, sizeof packed, made.bytes, made.size);
    check_reads(packed, size, plain_names);
    memset(packed + size, 0, 100); /* padding after the stream, as on tapes */
    check_reads(packed, size + 100, plain_names);
}
END_TEST

START_TEST(several_gzip_streams) {
    make_plain();
    for (size_t cut = 1; cut < made.size; cut += 9973) {
        size_t size = gzip(packed, sizeof packed, made.bytes, cut);
        size += gzip(packed + size, sizeof packed - size, made.bytes + cut, 0);
        size += gzip(packed + size, sizeof packed - size, made.bytes + cut, made.size - cut);
        check_reads(packed, size, plain_names);
    }
}
END_TEST

START_TEST(empty_archive) {
    made.size = 0;
    end(&made);
    check_reads(made.bytes, made.size, "");
}
END_TEST

START_TEST(parts_of_members) {
    make_plain();
    store(packed, gzip(packed, sizeof packed, made.bytes, made.size));
    dmi_host host = {0};
    dmi_targz *tar;
    dmi_targz_member member;
    bool found;
    uint8_t bytes[2000];
    ck_assert_int_eq(dmi_targz_open(&host, &tar, path), DMI_OK);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(dmi_targz_next(&host, tar, &member, &found), DMI_OK); /* passed over */
    ck_assert_str_eq(member.name, "top/more");
    ck_assert_uint_eq(member.size, 513);
    ck_assert_int_eq(dmi_targz_read(&host, tar, bytes, 100), DMI_OK);
    ck_assert_int_eq(dmi_targz_read(&host, tar, bytes + 100, 0), DMI_OK);
    ck_assert_int_eq(dmi_targz_read(&host, tar, bytes + 100, 400), DMI_OK);
    ck_assert_int_eq(memcmp(bytes, content, 500), 0);
    ck_assert_int_eq(dmi_targz_read(&host, tar, bytes, 14), DMI_ERROR_BAD_FORMAT);
    ck_assert_ptr_nonnull(
        strstr(host.error, "'top/more' has only 13 more bytes, where 14 are needed"));
    ck_assert_int_eq(dmi_targz_next(&host, tar, &member, &found), DMI_OK);
    ck_assert(found);
    ck_assert_str_eq(member.name, "top/long");
    ck_assert_int_eq(dmi_targz_read(&host, tar, bytes, 2000), DMI_OK);
    ck_assert_int_eq(memcmp(bytes, content, 2000), 0);
    ck_assert_int_eq(dmi_targz_next(&host, tar, &member, &found), DMI_OK);
    ck_assert(!found);
    dmi_targz_close(&host, tar);
    dmi_targz_close(&host, NULL);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(long_names) {
    make_content();
    made.size = 0;
    char name[301], want[800];
    memset(name, 'n', 300);
    name[300] = 0;
    uint8_t *header = add(&made, "base", '0', content, 5);
    memcpy(header + 345, "some/prefix", 11);
    seal(header);
    header =
        add(&made, "gnu", '0', content, 6); /* GNU's magic: there is no prefix at that offset */
    memcpy(header + 257, "ustar  ", 8);
    memcpy(header + 345, "not a prefix", 12);
    seal(header);
    add(&made, "././@LongLink", 'L', name, 301);
    add(&made, "nnn", '0', content, 7);
    add(&made, "././@LongLink", 'K', name, 301);
    add(&made, "g", 'g', "15 comment=abc\n", 15);
    add(&made, "x", 'x', "15 comment=abc\n24 path=pax/\xc3\xa4 name = x\n11 size=40\n",
        15 + 24 + 11);
    header = add(&made, "short", '0', content, 40);
    memcpy(header + 124, "00000000000", 12); /* pax says the size */
    seal(header);
    char hundred[101];
    memset(hundred, 'h', 100);
    hundred[100] = 0;
    add(&made, hundred, '0', content, 9); /* fills the field, without a zero after it */
    header = add(&made, "binary size", '0', content, 600);
    memset(header + 124, 0, 12);
    header[124] = 0x80;
    header[134] = 600 >> 8;
    header[135] = 600 & 0xff;
    seal(header);
    end(&made);
    snprintf(want, sizeof want, "some/prefix/base gnu %s pax/\xc3\xa4 name = x %s binary size",
             name, hundred);
    check_reads(made.bytes, made.size, want);
}
END_TEST

/* Cut short at whatever byte, an archive is refused. */
START_TEST(truncated_plain) {
    make_plain();
    for (size_t cut = 0; cut < made.size; cut += cut % BLOCK == 1 ? 510 : 1) {
        if (cut > 3 * BLOCK && cut < made.size - 2000) cut = made.size - 2000;
        check_refused(made.bytes, cut, DMI_ERROR_BAD_FORMAT, "truncated: the archive ");
    }
}
END_TEST

START_TEST(truncated_gzip) {
    made.size = 0;
    make_content();
    add(&made, "name", '0', content, 700);
    end(&made);
    const size_t size = gzip(packed, sizeof packed, made.bytes, made.size);
    for (size_t cut = 2; cut<size; cut += cut> size - 40 || cut < 40 ? 1 : 17) {
        check_refused(packed, cut, DMI_ERROR_BAD_FORMAT, "truncated: the file ends at byte ");
    }
}
END_TEST

START_TEST(wrong_checksums) {
    make_plain();
    const size_t size = gzip(packed, sizeof packed, made.bytes, made.size);
    packed[size - 8] ^= 1;
    check_refused(packed, size, DMI_ERROR_CHECKSUM, "do not match their checksum");
    packed[size - 8] ^= 1;
    packed[size - 1] ^= 1; /* the length */
    check_refused(packed, size, DMI_ERROR_CHECKSUM, "do not match their checksum");

    made.bytes[2 * BLOCK + 5] ^= 1;
    check_refused(made.bytes, made.size, DMI_ERROR_CHECKSUM,
                  "tar header at byte 1024: its checksum does not match");
    made.bytes[2 * BLOCK + 5] ^= 1;
    made.bytes[5] ^= 1;
    check_refused(made.bytes, made.size, DMI_ERROR_BAD_FORMAT,
                  "tar header at byte 0: not a tar archive");
}
END_TEST

START_TEST(other_files_are_refused) {
    make_plain();
    size_t size = gzip(packed, sizeof packed, made.bytes, made.size);
    memcpy(packed + size, "rubbish", 7);
    check_refused(packed, size + 7, DMI_ERROR_BAD_FORMAT, "gzip, byte ");
    packed[2] = 7; /* no such method */
    check_refused(packed, size, DMI_ERROR_BAD_FORMAT, "gzip, byte ");
    check_refused("", 0, DMI_ERROR_BAD_FORMAT, "truncated");

    made.size = 0; /* half an end mark, then a member */
    end(&made);
    made.size -= BLOCK;
    add(&made, "name", '0', content, 1);
    end(&made);
    check_refused(made.bytes, made.size, DMI_ERROR_BAD_FORMAT, "half an end mark");

    dmi_host host = {0};
    dmi_targz *tar;
    ck_assert_int_eq(dmi_targz_open(&host, &tar, "build/tmp/none"), DMI_ERROR_NOT_FOUND);
    ck_assert_str_eq(host.error, "build/tmp/none: no such file");
    ck_assert_int_eq(dmi_targz_open(&host, &tar, "tests"), DMI_ERROR_IO);
    ck_assert_ptr_null(tar);
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(malformed_headers) {
    static const struct {
        const char *size;
        char type;
        const char *data;
        int32_t status;
        const char *says;
    } cases[] = {
        {"0000000001x", '0', "a", DMI_ERROR_BAD_FORMAT, "its size is not a number"},
        {"\x80\1\1\1\1\1\1\1\1\1\1\1", '0', "a", DMI_ERROR_BAD_FORMAT, "its size is not a number"},
        {"\xff\1\1\1\1\1\1\1\1\1\1\1", '0', "a", DMI_ERROR_BAD_FORMAT, "its size is not a number"},
        {"77777777777", '1', "", DMI_OK, ""}, /* a link's size means nothing */
        {"77777777777", 'Z', "", DMI_ERROR_BAD_FORMAT,
         "truncated: the archive ends at byte 3072, within name"},
        {"77777777777", 'L', "", DMI_ERROR_BAD_FORMAT, "too long"},
        {"77777777777", 'x', "", DMI_ERROR_BAD_FORMAT, "too long"},
        {NULL, 'S', "", DMI_ERROR_UNSUPPORTED, "sparse"},
        {NULL, 'x', "21 GNU.sparse.major=1\n", DMI_ERROR_BAD_FORMAT, "byte 1024: malformed pax"},
        {NULL, 'x', "22 GNU.sparse.major=1\n", DMI_ERROR_UNSUPPORTED, "sparse"},
        {NULL, 'x', "8 path=a\n", DMI_ERROR_BAD_FORMAT, "byte 1024: malformed pax"},
        {NULL, 'x', "99 path=a\n", DMI_ERROR_BAD_FORMAT, "byte 1024: malformed pax"},
        {NULL, 'x', "99999999999999999999999 path=a\n", DMI_ERROR_BAD_FORMAT,
         "byte 1024: malformed pax"},
        {NULL, 'x', "2 path=a\n", DMI_ERROR_BAD_FORMAT, "byte 1024: malformed pax"},
        {NULL, 'x', "x path=a\n", DMI_ERROR_BAD_FORMAT, "byte 1024: malformed pax"},
        {NULL, 'x', "12345", DMI_ERROR_BAD_FORMAT, "byte 1024: malformed pax"},
        {NULL, 'x', "9 path_a\n", DMI_ERROR_BAD_FORMAT, "without '='"},
        {NULL, 'x', "11 size=1x\n", DMI_ERROR_BAD_FORMAT, "byte 1024: bad pax size"},
        {NULL, 'x', "29 size=99999999999999999999\n", DMI_ERROR_BAD_FORMAT, "bad pax size"},
    };
    make_content();
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        made.size = 0;
        add(&made, "first", '0', content, 10);
        uint8_t *header = add(&made, "name", cases[i].type, cases[i].data, strlen(cases[i].data));
        if (cases[i].size != NULL) memcpy(header + 124, cases[i].size, 12);
        seal(header);
        add(&made, "first", '0', content, 10);
        while (made.size < 4 * BLOCK) made.size += BLOCK;
        made.size = 4 * BLOCK;
        if (cases[i].status == DMI_OK) {
            made.size = 3 * BLOCK;
            add(&made, "first", '0', content, 10);
        }
        end(&made);
        if (cases[i].status == DMI_OK) {
            check_reads(made.bytes, made.size, "first first");
        } else {
            check_refused(made.bytes, made.size, cases[i].status, cases[i].says);
        }
    }
}
END_TEST

/* No damage may lead outside of memory: any one bit of an archive's headers is turned, and all of
 * it is read. */
START_TEST(flipped_bits) {
    dmi_host host = {0};
    char names[2000];
    make_content();
    made.size = 0;
    add(&made, "x", 'x', "15 comment=abc\n24 path=pax/\xc3\xa4 name = x\n10 size=9\n",
        15 + 24 + 10);
    add(&made, "name", '0', content, 9);
    end(&made);
    for (size_t bit = 0; bit < 8 * 3 * BLOCK; bit += 3) {
        changed = made;
        changed.bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        seal(changed.bytes);
        seal(changed.bytes + 2 * BLOCK);
        store(changed.bytes, changed.size);
        (void)read_all(&host, names, sizeof names);
        unlink(path);
    }
    ck_assert_uint_eq(host.used, 0);
}
END_TEST

START_TEST(limits) {
    make_plain();
    store(packed, gzip(packed, sizeof packed, made.bytes, made.size));
    static const uint64_t bytes[] = {10,     1000,   66000,  70000, 131500,
                                     133000, 139000, 141000, 150000};
    char names[2000];
    for (size_t i = 0; i < sizeof bytes / sizeof bytes[0]; i++) {
        dmi_host host = {.limit = bytes[i]};
        ck_assert_int_eq(read_all(&host, names, sizeof names), DMI_ERROR_LIMIT_EXCEEDED);
    }
}
END_TEST

Suite *test_targz_suite(void);
Suite *test_targz_suite(void) {
    Suite *suite = suite_create("targz");
    TCase *tests = tcase_create("targz");
    tcase_set_timeout(tests, 120); /* under a memory checker */
    tcase_add_test(tests, plain_and_gzipped);
    tcase_add_test(tests, several_gzip_streams);
    tcase_add_test(tests, empty_archive);
    tcase_add_test(tests, parts_of_members);
    tcase_add_test(tests, long_names);
    tcase_add_test(tests, truncated_plain);
    tcase_add_test(tests, truncated_gzip);
    tcase_add_test(tests, wrong_checksums);
    tcase_add_test(tests, other_files_are_refused);
    tcase_add_test(tests, malformed_headers);
    tcase_add_test(tests, flipped_bits);
    tcase_add_test(tests, limits);
    suite_add_tcase(suite, tests);
    return suite;
}
