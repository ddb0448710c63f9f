/* SPDX-License-Identifier: MIT */
/* See stream.h. zlib's own file functions are not used: they take a truncated file for a complete
 * one. */
#include "io/stream.h"

#include <errno.h>
#include <string.h>

#include "base/math.h"
#include "base/system.h"
#include "io/file.h"
#include "io/zlib_memory.h"

enum { INPUT_SIZE = 1 << 16, OUTPUT_MAX = 1 << 30 };

struct dmi_stream {
    char *path;
    int descriptor;
    bool gzipped;
    bool ended;           /* gzip: all members have been read and their checksums agree */
    uint8_t *input;       /* [INPUT_SIZE], as read from the file */
    uint64_t file_offset; /* bytes read from the file */
    uint64_t offset;      /* bytes returned */
    z_stream zlib;        /* next_in and avail_in: the rest of input, for plain files too */
    dmi_zlib_memory memory;
};

/* Reads from the file where no input is left; at its end there is still none. */
static int32_t refill(dmi_host *host, dmi_stream *stream) {
    while (stream->zlib.avail_in == 0) {
        const int64_t got = dmi_system_read(stream->descriptor, stream->input, INPUT_SIZE);
        if (got < 0) {
            char reason[128];
            return dmi_fail(host, DMI_ERROR_IO, "%s: cannot read after byte %llu: %s", stream->path,
                            (unsigned long long)stream->file_offset,
                            dmi_errno_text(errno, reason, sizeof reason));
        }
        if (got == 0) return DMI_OK;
        stream->file_offset += (uint64_t)got;
        stream->zlib.next_in = stream->input;
        stream->zlib.avail_in = (uInt)got;
    }
    return DMI_OK;
}

/* Up to `size` bytes, fewer only at the end of the file. */
static int32_t read_plain(dmi_host *host, dmi_stream *stream, uint8_t *bytes, size_t size,
                          size_t *got) {
    z_stream *z = &stream->zlib;
    *got = 0;
    while (*got < size) {
        int32_t status = refill(host, stream);
        if (status) return status;
        if (z->avail_in == 0) return DMI_OK;
        const size_t part = dmi_min_size(size - *got, z->avail_in);
        memcpy(bytes + *got, z->next_in, part);
        z->next_in += part;
        z->avail_in -= (uInt)part;
        *got += part;
    }
    return DMI_OK;
}

/* Behind a gzip member: another one, zeros as padding, or the end of the file. */
static int32_t next_gzip_member(dmi_host *host, dmi_stream *stream) {
    z_stream *z = &stream->zlib;
    for (;;) {
        int32_t status = refill(host, stream);
        if (status) return status;
        if (z->avail_in == 0) {
            stream->ended = true;
            return DMI_OK;
        }
        if (*z->next_in != 0) break;
        z->next_in++;
        z->avail_in--;
    }
    inflateReset(z);
    return DMI_OK;
}

static int32_t fail_inflate(dmi_host *host, const dmi_stream *stream, int result) {
    const char *reason = stream->zlib.msg ? stream->zlib.msg : "unknown error";
    const unsigned long long offset = stream->file_offset - stream->zlib.avail_in;
    if (result == Z_MEM_ERROR && stream->memory.status) return stream->memory.status;
    if (strcmp(reason, "incorrect data check") == 0 ||
        strcmp(reason, "incorrect length check") == 0)
        return dmi_fail(host, DMI_ERROR_CHECKSUM,
                        "%s: gzip, byte %llu: the contents do not match their checksum",
                        stream->path, offset);
    return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: gzip, byte %llu: %s", stream->path, offset,
                    reason);
}

/* Up to `size` bytes, fewer only at the proper end of the gzip stream. */
static int32_t read_gzip(dmi_host *host, dmi_stream *stream, uint8_t *bytes, size_t size,
                         size_t *got) {
    z_stream *z = &stream->zlib;
    *got = 0;
    while (*got < size && !stream->ended) {
        int32_t status = refill(host, stream);
        if (status) return status;
        if (z->avail_in == 0) {
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                            "%s: truncated: the file ends at byte %llu, within the gzip stream",
                            stream->path, (unsigned long long)stream->file_offset);
        }
        const size_t room = dmi_min_size(size - *got, OUTPUT_MAX);
        z->next_out = bytes + *got;
        z->avail_out = (uInt)room;
        int result = inflate(z, Z_NO_FLUSH);
        *got += room - z->avail_out;
        if (result == Z_STREAM_END) {
            status = next_gzip_member(host, stream);
            if (status) return status;
        } else if (result != Z_OK && result != Z_BUF_ERROR) {
            return fail_inflate(host, stream, result);
        }
    }
    return DMI_OK;
}

int32_t dmi_stream_read(dmi_host *host, dmi_stream *stream, void *bytes, size_t size, size_t *got) {
    int32_t status = stream->gzipped ? read_gzip(host, stream, bytes, size, got)
                                     : read_plain(host, stream, bytes, size, got);
    stream->offset += *got;
    return status;
}

uint64_t dmi_stream_offset(const dmi_stream *stream) { return stream->offset; }

const char *dmi_stream_path(const dmi_stream *stream) { return stream->path; }

static int32_t open_file(dmi_host *host, dmi_stream *stream) {
    size_t size;
    int32_t status = dmi_file_open(host, stream->path, &stream->descriptor, &size);
    if (!status) status = refill(host, stream);
    if (status) return status;
    const z_stream *z = &stream->zlib;
    if (z->avail_in < 2 || z->next_in[0] != 0x1f || z->next_in[1] != 0x8b) return DMI_OK;
    int result = inflateInit2(&stream->zlib, 15 + 16); /* 16: the gzip format */
    if (result != Z_OK) return fail_inflate(host, stream, result);
    stream->gzipped = true;
    return DMI_OK;
}

int32_t dmi_stream_open(dmi_host *host, dmi_stream **out, const char *path) {
    *out = NULL;
    dmi_stream *stream;
    int32_t status = dmi_alloc_zero(host, &stream, 1, sizeof *stream, path);
    if (status) return status;
    stream->descriptor = -1;
    dmi_zlib_prepare(&stream->zlib, &stream->memory, host);
    const size_t path_size = strlen(path) + 1;
    status = dmi_alloc(host, &stream->path, path_size, path);
    if (!status) memcpy(stream->path, path, path_size);
    if (!status) status = dmi_alloc(host, &stream->input, INPUT_SIZE, path);
    if (!status) status = open_file(host, stream);
    if (status) {
        dmi_stream_close(host, stream);
        return status;
    }
    *out = stream;
    return DMI_OK;
}

void dmi_stream_close(dmi_host *host, dmi_stream *stream) {
    if (!stream) return;
    if (stream->gzipped) inflateEnd(&stream->zlib);
    dmi_file_close(stream->descriptor);
    dmi_free(host, stream->input);
    dmi_free(host, stream->path);
    dmi_free(host, stream);
}
