/* SPDX-License-Identifier: MIT */
/* See events.h. */
#include "report/events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 1200, FILES_MOST = 100, CRC_SIZE = 4 };

struct events {
    FILE *file;
    int error; /* errno of the first failure, or 0 */
    uint32_t crc_table[256];
    char path[PATH_SIZE];
};

static int fail(events *e, int reason) {
    if (!e->error) e->error = reason ? reason : EIO;
    return 1;
}

/* ---- records ---- */

/* CRC-32C (Castagnoli), whose reversed polynomial is 0x82F63B78. */
static void make_crc_table(uint32_t *table) {
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t crc = i;
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
        table[i] = crc;
    }
}

/* TFRecord's masked CRC: CRCs of data that hold CRCs are to be avoided. */
static uint32_t masked_crc(const uint32_t *table, const uint8_t *bytes, size_t size) {
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) crc = table[(crc ^ bytes[i]) & 255] ^ crc >> 8;
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xA282EAD8u;
}

static void put_little_endian(uint8_t *out, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) out[i] = (uint8_t)(value >> 8 * i);
}

/* uint64 length, uint32 CRC of the length, data, uint32 CRC of the data. */
static int write_record(events *e, const uint8_t *data, size_t size) {
    uint8_t head[8 + CRC_SIZE], tail[CRC_SIZE];
    put_little_endian(head, size, 8);
    put_little_endian(head + 8, masked_crc(e->crc_table, head, 8), CRC_SIZE);
    put_little_endian(tail, masked_crc(e->crc_table, data, size), CRC_SIZE);
    if (fwrite(head, sizeof head, 1, e->file) != 1 || fwrite(data, size, 1, e->file) != 1 ||
        fwrite(tail, sizeof tail, 1, e->file) != 1)
        return fail(e, errno);
    return 0;
}

/* ---- messages ---- */

/* A message of protocol buffers, which is written from its end to its start: the length of an inner
 * message precedes it, and is known once it is there. */
typedef struct message {
    uint8_t *bytes;
    size_t start, size; /* bytes[start .. size) is written */
} message;

/* Types of fields on the wire. */
enum { VARINT = 0, FIXED64 = 1, DELIMITED = 2, FIXED32 = 5 };

static void put_bytes(message *m, const void *bytes, size_t size) {
    m->start -= size;
    if (size) memcpy(m->bytes + m->start, bytes, size);
}

static void put_varint(message *m, uint64_t value) {
    uint8_t bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (uint8_t)(value | 128);
        value >>= 7;
    } while (value);
    bytes[count - 1] &= 127;
    put_bytes(m, bytes, count);
}

static void put_key(message *m, uint32_t field, uint32_t type) { put_varint(m, field << 3 | type); }

static void put_integer(message *m, uint32_t field, uint64_t value) {
    put_varint(m, value);
    put_key(m, field, VARINT);
}

static void put_fixed(message *m, uint32_t field, uint64_t bits, int bytes) {
    uint8_t value[8];
    put_little_endian(value, bits, bytes);
    put_bytes(m, value, (size_t)bytes);
    put_key(m, field, bytes == 8 ? FIXED64 : FIXED32);
}

/* Makes what was written since m->start was `end` an inner message. */
static void enclose(message *m, uint32_t field, size_t end) {
    put_varint(m, end - m->start);
    put_key(m, field, DELIMITED);
}

static void put_string(message *m, uint32_t field, const void *bytes, size_t size) {
    size_t end = m->start;
    put_bytes(m, bytes, size);
    enclose(m, field, end);
}

/* Room for contents of `size` bytes and the fields around them. NULL bytes if there is none. */
static message begin_message(events *e, size_t size) {
    const size_t fields = 256;
    message m = {0};
    if (e->error) return m;
    m.bytes = size < INT32_MAX - fields ? malloc(size + fields) : NULL;
    m.start = m.size = size + fields;
    if (!m.bytes) fail(e, size < INT32_MAX - fields ? ENOMEM : EFBIG);
    return m;
}

/* Event: 1 wall_time, 2 step. Its other fields are there. Writes and frees it. */
static int end_event(events *e, message *m, int64_t step) {
    struct timespec now = {0};
    uint64_t bits;
    timespec_get(&now, TIME_UTC);
    const double seconds = (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
    memcpy(&bits, &seconds, sizeof bits);
    put_integer(m, 2, (uint64_t)step);
    put_fixed(m, 1, bits, 8);
    int bad = write_record(e, m->bytes + m->start, m->size - m->start);
    free(m->bytes);
    return bad;
}

/* Event: 5 summary; Summary: 1 value; Summary.Value: 1 tag. Its other fields are there. */
static int end_value(events *e, message *m, int64_t step, const char *tag) {
    put_string(m, 1, tag, strlen(tag));
    enclose(m, 1, m->size);
    enclose(m, 5, m->size);
    return end_event(e, m, step);
}

/* Summary.Value: 2 simple_value. */
int events_scalar(events *e, int64_t step, const char *tag, double value) {
    const float number = (float)value;
    uint32_t bits;
    message m = begin_message(e, strlen(tag));
    if (!m.bytes) return 1;
    memcpy(&bits, &number, sizeof bits);
    put_fixed(&m, 2, bits, 4);
    return end_value(e, &m, step, tag);
}

/* Summary.Value: 4 image; Summary.Image: 1 height, 2 width, 3 colorspace, 4 encoded_image_string.
 */
int events_image(events *e, int64_t step, const char *tag, int32_t height, int32_t width,
                 int32_t channels, const uint8_t *png, size_t size) {
    const size_t tag_size = strlen(tag);
    message m = begin_message(e, size < INT32_MAX ? size + tag_size : size);
    if (!m.bytes) return 1;
    put_string(&m, 4, png, size);
    put_integer(&m, 3, (uint64_t)channels);
    put_integer(&m, 2, (uint64_t)width);
    put_integer(&m, 1, (uint64_t)height);
    enclose(&m, 4, m.size);
    return end_value(e, &m, step, tag);
}

/* Summary.Value: 8 tensor, 9 metadata; TensorProto: 1 dtype, 2 tensor_shape, 8 string_val;
 * TensorShapeProto: 2 dim, whose 1 is size; SummaryMetadata: 1 plugin_data, whose 1 is its name. */
int events_text(events *e, int64_t step, const char *tag, const char *text) {
    const uint64_t dt_string = 7;
    const char plugin[] = "text";
    const size_t size = strlen(text);
    message m = begin_message(e, size < INT32_MAX ? size + strlen(tag) : size);
    if (!m.bytes) return 1;
    put_string(&m, 1, plugin, sizeof plugin - 1);
    enclose(&m, 1, m.size);
    enclose(&m, 9, m.size);
    const size_t tensor = m.start;
    put_string(&m, 8, text, size);
    const size_t shape = m.start;
    put_integer(&m, 1, 1);
    enclose(&m, 2, shape);
    enclose(&m, 2, shape);
    put_integer(&m, 1, dt_string);
    enclose(&m, 8, tensor);
    return end_value(e, &m, step, tag);
}

/* ---- the file ---- */

/* The first record. Event: 3 file_version. */
static int write_version(events *e) {
    const char version[] = "brain.Event:2";
    message m = begin_message(e, sizeof version);
    if (!m.bytes) return 1;
    put_string(&m, 3, version, sizeof version - 1);
    return end_event(e, &m, 0) || events_flush(e);
}

/* The machine's name as a part of a file's name. */
static void host_name(char *name, size_t capacity) {
    if (gethostname(name, capacity)) snprintf(name, capacity, "host");
    name[capacity - 1] = 0;
    for (char *c = name; *c; c++)
        if (*c == '/' || *c == '\\' || *c == ':') *c = '_';
}

static int create_file(events *e, const char *folder) {
    char host[256], number[16] = "";
    host_name(host, sizeof host);
    const long long now = (long long)time(NULL), process = (long long)getpid();
    for (int i = 1; i <= FILES_MOST; i++) {
        int length = snprintf(e->path, sizeof e->path, "%s/events.out.tfevents.%lld.%s.%lld%s",
                              folder, now, host, process, number);
        if (length >= (int)sizeof e->path) return fail(e, ENAMETOOLONG);
        e->file = fopen(e->path, "wbx");
        if (e->file) return 0;
        if (errno != EEXIST) break;
        snprintf(number, sizeof number, ".%d", i);
    }
    return fail(e, errno);
}

events *events_open(const char *folder, char *error, size_t capacity) {
    events *e = calloc(1, sizeof *e);
    if (!e) {
        snprintf(error, capacity, "%s: out of memory", folder);
        return NULL;
    }
    make_crc_table(e->crc_table);
    if (!create_file(e, folder) && !write_version(e)) return e;
    events_close(e, error, capacity);
    return NULL;
}

int events_flush(events *e) {
    if (e->error) return 1;
    return fflush(e->file) ? fail(e, errno) : 0;
}

int events_close(events *e, char *error, size_t capacity) {
    if (!e) return 0;
    if (e->file && fclose(e->file)) fail(e, errno);
    const int bad = e->error != 0;
    if (bad) snprintf(error, capacity, "%s: %s", e->path, strerror(e->error));
    free(e);
    return bad;
}
