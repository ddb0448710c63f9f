/* SPDX-License-Identifier: MIT */
/* PNG (ISO/IEC 15948) and its animation chunks acTL, fcTL and fdAT (third edition). For each row
 * the filter is chosen whose output has the smallest sum of absolute values, as the standard
 * suggests. */
#include "io/png.h"

#include <stdlib.h>
#include <string.h>

#include "base/math.h"
#include "io/file.h"
#include "io/zlib_memory.h"

enum {
    FILTERS = 5,
    LEVEL = 6,
    CHUNK_OVERHEAD = 12, /* length, name and CRC of a chunk */
    SIGNATURE_SIZE = 8,
    IHDR_SIZE = 13,
    ACTL_SIZE = 8,
    FCTL_SIZE = 26,
    SEQUENCE_SIZE = 4, /* before the data of fdAT */
    DELAY_MAX = 65535  /* ms, of a frame */
};

static const size_t chunk_max = INT32_MAX; /* bytes */

typedef struct frame_shape {
    int32_t height, width, channels;
    size_t stride; /* bytes of a row */
} frame_shape;

typedef struct writer {
    uint8_t *out;
    size_t capacity, size;
    bool full;            /* the capacity was exceeded; nothing more is written */
    uint32_t sequence;    /* of the next fcTL or fdAT */
    uint8_t *filtered;    /* [FILTERS][1 + stride] */
    const uint8_t *zeros; /* [stride], the row above the first */
    z_stream stream;
    dmi_zlib_memory memory;
} writer;

/* ---- chunks ---- */

static void store_u32(uint8_t *out, uint32_t value) {
    for (int i = 0; i < 4; i++) out[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void put(writer *w, const void *bytes, size_t size) {
    if (w->full || size > w->capacity - w->size) {
        w->full = true;
        return;
    }
    memcpy(w->out + w->size, bytes, size);
    w->size += size;
}

static void put_u32(writer *w, uint32_t value) {
    uint8_t bytes[4];
    store_u32(bytes, value);
    put(w, bytes, sizeof bytes);
}

/* Returns where the chunk began, for end_chunk. */
static size_t begin_chunk(writer *w, const char name[4]) {
    const size_t start = w->size;
    put_u32(w, 0);
    put(w, name, 4);
    return start;
}

static void end_chunk(writer *w, size_t start) {
    if (w->full) return;
    const size_t length = w->size - start - 8;
    store_u32(w->out + start, (uint32_t)length);
    put_u32(w, (uint32_t)crc32(crc32(0, NULL, 0), w->out + start + 4, (uInt)(length + 4)));
}

static void put_ihdr(writer *w, const frame_shape *p) {
    /* By channels: 1 grey, 3 RGB, 4 RGB and alpha. */
    static const uint8_t colour_type[] = {0, 0, 0, 2, 6};
    const uint8_t rest[] = {8, colour_type[p->channels], 0, 0, 0};
    const size_t start = begin_chunk(w, "IHDR");
    put_u32(w, (uint32_t)p->width);
    put_u32(w, (uint32_t)p->height);
    put(w, rest, sizeof rest);
    end_chunk(w, start);
}

static void put_actl(writer *w, int32_t frames) {
    const size_t start = begin_chunk(w, "acTL");
    put_u32(w, (uint32_t)frames);
    put_u32(w, 0); /* plays: forever */
    end_chunk(w, start);
}

static void put_fctl(writer *w, const frame_shape *p, int32_t delay_ms) {
    /* The delay in seconds as a fraction; the frame is not disposed of, and replaces the one
     * before. */
    const uint8_t rest[] = {
        (uint8_t)(delay_ms >> 8), (uint8_t)delay_ms, 1000 >> 8, 1000 & 0xff, 0, 0};
    const size_t start = begin_chunk(w, "fcTL");
    put_u32(w, w->sequence++);
    put_u32(w, (uint32_t)p->width);
    put_u32(w, (uint32_t)p->height);
    put_u32(w, 0);
    put_u32(w, 0);
    put(w, rest, sizeof rest);
    end_chunk(w, start);
}

/* ---- pixels ---- */

/* The predictor of filter 4: whichever of left, above and corner (above left) is nearest to left +
 * above - corner. */
static uint8_t paeth(int left, int above, int corner) {
    const int to_left = abs(above - corner), to_above = abs(left - corner),
              to_corner = abs(left + above - 2 * corner);
    if (to_left <= to_above && to_left <= to_corner) return (uint8_t)left;
    return (uint8_t)(to_above <= to_corner ? above : corner);
}

/* filtered [FILTERS][1 + stride]: one row by each filter, after the filter's number. */
static void filter_row(uint8_t *filtered, const uint8_t *row, const uint8_t *above, size_t stride,
                       size_t channels) {
    uint8_t *to[FILTERS];
    for (int f = 0; f < FILTERS; f++) {
        to[f] = filtered + (size_t)f * (1 + stride);
        *to[f]++ = (uint8_t)f;
    }
    for (size_t i = 0; i < stride; i++) {
        const uint8_t left = i < channels ? 0 : row[i - channels],
                      corner = i < channels ? 0 : above[i - channels];
        to[0][i] = row[i];
        to[1][i] = (uint8_t)(row[i] - left);
        to[2][i] = (uint8_t)(row[i] - above[i]);
        to[3][i] = (uint8_t)(row[i] - (left + above[i]) / 2);
        to[4][i] = (uint8_t)(row[i] - paeth(left, above[i], corner));
    }
}

/* The row of `filtered` with the smallest sum of absolute values. */
static uint8_t *best_filter(uint8_t *filtered, size_t stride) {
    uint8_t *best = filtered;
    uint64_t sum_min = UINT64_MAX;
    for (int f = 0; f < FILTERS; f++) {
        uint8_t *row = filtered + (size_t)f * (1 + stride);
        uint64_t sum = 0;
        for (size_t i = 1; i <= stride; i++) sum += row[i] < 128 ? row[i] : 256u - row[i];
        if (sum < sum_min) {
            sum_min = sum;
            best = row;
        }
    }
    return best;
}

/* Appends the compressed pixels of one frame. */
static void put_pixels(writer *w, const frame_shape *p, const uint8_t *pixels) {
    if (w->full) return;
    const size_t room = dmi_min_size(w->capacity - w->size, chunk_max);
    z_stream *z = &w->stream;
    deflateReset(z);
    z->next_out = w->out + w->size;
    z->avail_out = (uInt)room;
    int result = Z_OK;
    for (int32_t y = 0; y < p->height && result == Z_OK; y++) {
        const uint8_t *row = pixels + (size_t)y * p->stride;
        filter_row(w->filtered, row, y > 0 ? row - p->stride : w->zeros, p->stride,
                   (size_t)p->channels);
        z->next_in = best_filter(w->filtered, p->stride);
        z->avail_in = (uInt)(1 + p->stride);
        result = deflate(z, y + 1 < p->height ? Z_NO_FLUSH : Z_FINISH);
        if (result == Z_OK && z->avail_out == 0) result = Z_BUF_ERROR;
    }
    w->full = result != Z_STREAM_END;
    w->size += room - z->avail_out;
}

static void put_all(writer *w, const frame_shape *p, const uint8_t *pixels, int32_t frames,
                    int32_t delay_ms, int32_t last_delay_ms) {
    static const uint8_t signature[SIGNATURE_SIZE] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n'};
    const size_t frame_size = (size_t)p->height * p->stride;
    put(w, signature, sizeof signature);
    put_ihdr(w, p);
    if (frames > 1) put_actl(w, frames);
    size_t start = begin_chunk(w, "IDAT");
    put_pixels(w, p, pixels + (size_t)(frames - 1) * frame_size);
    end_chunk(w, start);
    for (int32_t i = 0; i < frames && frames > 1; i++) {
        put_fctl(w, p, i + 1 < frames ? delay_ms : last_delay_ms);
        start = begin_chunk(w, "fdAT");
        put_u32(w, w->sequence++);
        put_pixels(w, p, pixels + (size_t)i * frame_size);
        end_chunk(w, start);
    }
    start = begin_chunk(w, "IEND");
    end_chunk(w, start);
}

/* ---- public functions ---- */

size_t dmi_png_bound(int32_t frames, int32_t height, int32_t width, int32_t channels) {
    if (frames < 1 || height < 1 || width < 1 || (channels != 1 && channels != 3 && channels != 4))
        return 0;
    size_t filtered, all;
    if (!dmi_mul((size_t)height, 1 + (size_t)width * (size_t)channels, &filtered) ||
        filtered > chunk_max / 2)
        return 0;
    const size_t chunk = CHUNK_OVERHEAD + SEQUENCE_SIZE + compressBound(filtered);
    if (!dmi_mul((size_t)frames + 1, CHUNK_OVERHEAD + FCTL_SIZE + chunk, &all)) return 0;
    const size_t once = SIGNATURE_SIZE + (CHUNK_OVERHEAD + IHDR_SIZE) +
                        (CHUNK_OVERHEAD + ACTL_SIZE) + CHUNK_OVERHEAD;
    return dmi_add(all, once, &all) ? all : 0;
}

static int32_t check_delay(dmi_host *host, const char *name, int32_t delay_ms) {
    if (delay_ms >= 0 && delay_ms <= DELAY_MAX) return DMI_OK;
    return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT, "image: '%s' is %d; it must be 0 to %d", name,
                    (int)delay_ms, DELAY_MAX);
}

int32_t dmi_png_encode(dmi_host *host, uint8_t *out, size_t capacity, size_t *size,
                       const uint8_t *pixels, int32_t frames, int32_t height, int32_t width,
                       int32_t channels, int32_t delay_ms, int32_t last_delay_ms) {
    *size = 0;
    if (dmi_png_bound(frames, height, width, channels) == 0)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "png: %d images of %d x %d with %d channels cannot be written", frames,
                        height, width, channels);
    int32_t status = check_delay(host, "delay_ms", delay_ms);
    if (!status) status = check_delay(host, "last_delay_ms", last_delay_ms);
    if (status) return status;
    const frame_shape p = {height, width, channels, (size_t)width * (size_t)channels};
    writer w = {.out = out, .capacity = capacity};
    void *rows;
    status = dmi_alloc_zero(host, &rows, FILTERS + 1, 1 + p.stride, "png");
    if (status) return status;
    w.filtered = rows;
    w.zeros = w.filtered + FILTERS * (1 + p.stride);

    dmi_zlib_prepare(&w.stream, &w.memory, host);
    if (deflateInit(&w.stream, LEVEL) == Z_OK) {
        put_all(&w, &p, pixels, frames, delay_ms, last_delay_ms);
        deflateEnd(&w.stream);
    } else {
        status = w.memory.status;
        if (!status) status = dmi_fail(host, DMI_ERROR_INTERNAL, "png: zlib does not start");
    }
    dmi_free(host, rows);
    if (status) return status;
    if (w.full)
        return dmi_fail(host, DMI_ERROR_INVALID_ARGUMENT,
                        "png: the buffer of %zu bytes is too small", capacity);
    *size = w.size;
    return DMI_OK;
}

int32_t dmi_png_write(dmi_host *host, const char *path, const uint8_t *pixels, int32_t frames,
                      int32_t height, int32_t width, int32_t channels, int32_t delay_ms,
                      int32_t last_delay_ms) {
    const size_t bound = dmi_png_bound(frames, height, width, channels);
    void *encoded;
    size_t size;
    int32_t status = dmi_alloc(host, &encoded, bound, path);
    if (status) return status;
    status = dmi_png_encode(host, encoded, bound, &size, pixels, frames, height, width, channels,
                            delay_ms, last_delay_ms);
    dmi_file_writer *file = NULL;
    if (!status) status = dmi_file_begin(host, &file, path);
    if (!status) status = dmi_file_write_at(host, file, encoded, size, 0);
    if (!status) status = dmi_file_commit(host, file);
    else dmi_file_abandon(host, file);
    dmi_free(host, encoded);
    return status;
}
