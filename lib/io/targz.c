/* SPDX-License-Identifier: MIT */
/* tar: POSIX ustar and pax, and GNU's long names. */
#include "io/targz.h"

#include <stdio.h>
#include <string.h>

#include "io/stream.h"

enum { BLOCK = 512, NAME_MAX_BYTES = 1 << 16, PAX_MAX_BYTES = 1 << 20 };

struct dmi_targz {
    dmi_stream *stream;
    uint64_t header_at;      /* offset of the header that was read last */
    uint64_t left;           /* bytes of the current member that are not read yet */
    uint32_t padding;        /* after them */
    char *name;              /* of the current member, in [NAME_MAX_BYTES + 1] */
    bool has_name, has_size; /* set by an extra header before the member's own */
    uint64_t extra_size;     /* where has_size */
    bool ended;              /* the end mark has been read */
};

/* ---- exact numbers of bytes ---- */

static const char *path_of(const dmi_targz *tar) { return dmi_stream_path(tar->stream); }

static int32_t read_exactly(dmi_host *host, dmi_targz *tar, void *bytes, size_t size,
                            const char *what) {
    size_t got;
    int32_t status = dmi_stream_read(host, tar->stream, bytes, size, &got);
    if (status || got == size) return status;
    return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                    "%s: truncated: the archive ends at byte %llu, within %s", path_of(tar),
                    (unsigned long long)dmi_stream_offset(tar->stream), what);
}

static int32_t skip(dmi_host *host, dmi_targz *tar, uint64_t size, const char *what) {
    uint8_t discarded[8 * BLOCK];
    int32_t status = DMI_OK;
    while (size > 0 && !status) {
        const size_t count = size < sizeof discarded ? (size_t)size : sizeof discarded;
        status = read_exactly(host, tar, discarded, count, what);
        size -= count;
    }
    return status;
}

/* Reads to the end, so that gzip's checksum after the archive's last block is compared too. */
static int32_t drain(dmi_host *host, dmi_targz *tar) {
    uint8_t discarded[8 * BLOCK];
    size_t got;
    int32_t status;
    do {
        status = dmi_stream_read(host, tar->stream, discarded, sizeof discarded, &got);
    } while (!status && got == sizeof discarded);
    return status;
}

/* ---- tar ---- */

typedef struct tar_header {
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
} tar_header;

_Static_assert(sizeof(tar_header) == BLOCK, "a header is one block");

static int32_t fail_header(dmi_host *host, const dmi_targz *tar, int32_t status, const char *what) {
    return dmi_fail(host, status, "%s: tar header at byte %llu: %s", path_of(tar),
                    (unsigned long long)tar->header_at, what);
}

/* Octal digits between blanks, or one of GNU's binary numbers, whose first bit is set. */
static bool parse_number(const char *field, size_t width, uint64_t *out) {
    const uint8_t *bytes = (const uint8_t *)field;
    uint64_t value = 0;
    if (bytes[0] & 0x80) {
        if (bytes[0] != 0x80) return false; /* negative, or too large */
        for (size_t i = 1; i < width; i++) {
            if (value >> 56) return false;
            value = value << 8 | bytes[i];
        }
        *out = value;
        return value <= INT64_MAX;
    }
    size_t i = 0;
    while (i < width && bytes[i] == ' ') i++;
    for (; i < width && bytes[i] >= '0' && bytes[i] <= '7'; i++)
        value = value << 3 | (uint64_t)(bytes[i] - '0');
    if (i < width && bytes[i] != ' ' && bytes[i] != '\0') return false;
    *out = value;
    return true;
}

/* Whether the checksum is the sum of all bytes, with blanks in its own place; some old writers
 * summed signed bytes. */
static bool checksum_agrees(const tar_header *header) {
    uint64_t stored;
    if (!parse_number(header->checksum, sizeof header->checksum, &stored)) return false;
    const uint8_t *bytes = (const uint8_t *)header;
    const size_t field = offsetof(tar_header, checksum);
    int64_t unsigned_sum = 0, signed_sum = 0;
    for (size_t i = 0; i < BLOCK; i++) {
        const uint8_t byte = i >= field && i < field + sizeof header->checksum ? ' ' : bytes[i];
        unsigned_sum += byte;
        signed_sum += (int8_t)byte;
    }
    return (int64_t)stored == unsigned_sum || (int64_t)stored == signed_sum;
}

static bool is_zero(const tar_header *header) {
    const uint8_t *bytes = (const uint8_t *)header;
    for (size_t i = 0; i < BLOCK; i++) {
        if (bytes[i]) return false;
    }
    return true;
}

static uint32_t padding_of(uint64_t size) { return (uint32_t)((BLOCK - size % BLOCK) % BLOCK); }

static void copy_name(dmi_targz *tar, const tar_header *header) {
    int prefix = 0;
    if (memcmp(header->magic, "ustar", 6) == 0)
        prefix = (int)strnlen(header->prefix, sizeof header->prefix);
    snprintf(tar->name, NAME_MAX_BYTES + 1, "%.*s%s%.*s", prefix, header->prefix,
             prefix > 0 ? "/" : "", (int)sizeof header->name, header->name);
}

/* Reads the data of an extra header, at most `size_max` bytes, into *out, terminated by a zero; the
 * caller frees it. */
static int32_t read_extra(dmi_host *host, dmi_targz *tar, uint64_t size, uint64_t size_max,
                          char **out) {
    *out = NULL;
    if (size > size_max)
        return fail_header(host, tar, DMI_ERROR_BAD_FORMAT,
                           "its name or its attributes are too long");
    char *text;
    int32_t status = dmi_alloc_zero(host, &text, (size_t)size + 1, 1, path_of(tar));
    if (status) return status;
    status = read_exactly(host, tar, text, (size_t)size, "a long name or attributes");
    if (!status) status = skip(host, tar, padding_of(size), "a long name or attributes");
    if (status) {
        dmi_free(host, text);
        return status;
    }
    *out = text;
    return DMI_OK;
}

static void set_name(dmi_targz *tar, const char *name) {
    snprintf(tar->name, NAME_MAX_BYTES + 1, "%s", name);
    tar->has_name = true;
}

static int32_t read_long_name(dmi_host *host, dmi_targz *tar, uint64_t size) {
    char *text;
    int32_t status = read_extra(host, tar, size, NAME_MAX_BYTES, &text);
    if (status) return status;
    set_name(tar, text);
    dmi_free(host, text);
    return DMI_OK;
}

static bool parse_decimal(const char *text, uint64_t *out) {
    uint64_t value = 0;
    if (*text == '\0') return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (value > INT64_MAX / 10 - 1) return false;
        value = 10 * value + (uint64_t)(*text - '0');
    }
    *out = value;
    return *text == '\0';
}

/* Applies pax records, "LENGTH KEY=VALUE\n", where the length is that of the whole record. Only the
 * keys path and size matter. */
static int32_t apply_pax(dmi_host *host, dmi_targz *tar, char *text, size_t size) {
    size_t at = 0;
    while (at < size) {
        size_t length = 0, start = at;
        while (start < size && text[start] >= '0' && text[start] <= '9' && length <= size) {
            length = 10 * length + (size_t)(text[start++] - '0');
        }
        const bool framed =
            start < size && text[start] == ' ' && length > start + 1 - at && length <= size - at;
        if (!framed || text[at + length - 1] != '\n') {
            return fail_header(host, tar, DMI_ERROR_BAD_FORMAT, "malformed pax attributes");
        }
        char *key = text + start + 1;
        text[at + length - 1] = '\0';
        at += length;
        char *equals = strchr(key, '=');
        if (!equals)
            return fail_header(host, tar, DMI_ERROR_BAD_FORMAT, "a pax attribute without '='");
        *equals = '\0';
        const char *value = equals + 1;
        if (strncmp(key, "GNU.sparse.", 11) == 0)
            return fail_header(host, tar, DMI_ERROR_UNSUPPORTED, "sparse file");
        if (strcmp(key, "path") == 0) {
            if (strlen(value) > NAME_MAX_BYTES)
                return fail_header(host, tar, DMI_ERROR_BAD_FORMAT, "its name is too long");
            set_name(tar, value);
        } else if (strcmp(key, "size") == 0) {
            if (!parse_decimal(value, &tar->extra_size))
                return fail_header(host, tar, DMI_ERROR_BAD_FORMAT, "bad pax size");
            tar->has_size = true;
        }
    }
    return DMI_OK;
}

static int32_t read_pax(dmi_host *host, dmi_targz *tar, uint64_t size) {
    char *text;
    int32_t status = read_extra(host, tar, size, PAX_MAX_BYTES, &text);
    if (status) return status;
    status = apply_pax(host, tar, text, (size_t)size);
    dmi_free(host, text);
    return status;
}

/* The next header. *found is false at two blocks of zeros, the archive's end. */
static int32_t read_header(dmi_host *host, dmi_targz *tar, tar_header *header, bool *found) {
    *found = true;
    tar->header_at = dmi_stream_offset(tar->stream);
    const bool first = tar->header_at == 0;
    size_t got;
    int32_t status = dmi_stream_read(host, tar->stream, header, BLOCK, &got);
    if (status) return status;
    if (got < BLOCK && first)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: no tar, plain or gzip, or truncated: the archive stops at byte %zu of "
                        "its first header",
                        path_of(tar), got);
    if (got < BLOCK)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: truncated: the archive stops at byte %llu without its end mark",
                        path_of(tar), (unsigned long long)dmi_stream_offset(tar->stream));
    if (is_zero(header)) {
        tar->header_at += BLOCK;
        status = read_exactly(host, tar, header, BLOCK, "its end mark");
        if (status) return status;
        if (!is_zero(header))
            return fail_header(host, tar, DMI_ERROR_BAD_FORMAT, "it follows half an end mark");
        *found = false;
        return DMI_OK;
    }
    if (!checksum_agrees(header))
        return first ? fail_header(host, tar, DMI_ERROR_BAD_FORMAT, "not a tar archive")
                     : fail_header(host, tar, DMI_ERROR_CHECKSUM, "its checksum does not match");
    return DMI_OK;
}

/* Sets the current member from its header; *regular: it is a regular file. */
static int32_t begin_member(dmi_host *host, dmi_targz *tar, const tar_header *header, uint64_t size,
                            bool *regular) {
    if (!tar->has_name) copy_name(tar, header);
    if (tar->has_size) size = tar->extra_size;
    tar->has_name = tar->has_size = false;
    const char type = header->type;
    if (type == 'S') return fail_header(host, tar, DMI_ERROR_UNSUPPORTED, "sparse file");
    /* Links, devices and folders have no data, whatever their size says. */
    if (type >= '1' && type <= '6') size = 0;
    tar->left = size;
    tar->padding = padding_of(size);
    const size_t length = strlen(tar->name);
    const bool folder = length > 0 && tar->name[length - 1] == '/'; /* in the oldest archives */
    *regular = (type == '0' || type == '\0' || type == '7') && !(type == '\0' && folder);
    return DMI_OK;
}

int32_t dmi_targz_next(dmi_host *host, dmi_targz *tar, dmi_targz_member *member, bool *found) {
    *found = false;
    if (tar->ended) return DMI_OK;
    for (;;) {
        int32_t status = skip(host, tar, tar->left, tar->name);
        if (!status) status = skip(host, tar, tar->padding, tar->name);
        tar->left = tar->padding = 0;
        if (status) return status;

        tar_header header;
        bool more, regular = false;
        status = read_header(host, tar, &header, &more);
        if (status) return status;
        if (!more) {
            tar->ended = true;
            return drain(host, tar);
        }
        uint64_t size;
        if (!parse_number(header.size, sizeof header.size, &size))
            return fail_header(host, tar, DMI_ERROR_BAD_FORMAT, "its size is not a number");
        if (header.type == 'L') {
            status = read_long_name(host, tar, size);
        } else if (header.type == 'x') {
            status = read_pax(host, tar, size);
        } else if (header.type == 'K' || header.type == 'g') {
            status = skip(host, tar, size, "a long link or attributes of all");
            if (!status)
                status = skip(host, tar, padding_of(size), "a long link or attributes of all");
        } else {
            status = begin_member(host, tar, &header, size, &regular);
        }
        if (status) return status;
        if (regular) {
            member->name = tar->name;
            member->size = tar->left;
            *found = true;
            return DMI_OK;
        }
    }
}

int32_t dmi_targz_read(dmi_host *host, dmi_targz *tar, void *bytes, size_t size) {
    if (size > tar->left)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: '%s' has only %llu more bytes, where %zu are needed", path_of(tar),
                        tar->name, (unsigned long long)tar->left, size);
    tar->left -= size;
    return read_exactly(host, tar, bytes, size, tar->name);
}

int32_t dmi_targz_open(dmi_host *host, dmi_targz **out, const char *path) {
    *out = NULL;
    dmi_targz *tar;
    int32_t status = dmi_alloc_zero(host, &tar, 1, sizeof *tar, path);
    if (status) return status;
    status = dmi_alloc_zero(host, &tar->name, NAME_MAX_BYTES + 1, 1, path);
    if (!status) status = dmi_stream_open(host, &tar->stream, path);
    if (status) {
        dmi_targz_close(host, tar);
        return status;
    }
    *out = tar;
    return DMI_OK;
}

void dmi_targz_close(dmi_host *host, dmi_targz *tar) {
    if (!tar) return;
    dmi_stream_close(host, tar->stream);
    dmi_free(host, tar->name);
    dmi_free(host, tar);
}
