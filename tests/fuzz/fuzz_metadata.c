/* SPDX-License-Identifier: MIT */
/* Fuzz target: the input is metadata as text, lines "key=value", put into a valid file of
 * dm_unet_save or, if the text begins with '!', of dm_trainer_save. A line without '=' removes its
 * key. So the values are reached without a valid file around each of them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fuzz/fuzz.h"

enum { LIMIT = 8 << 20, KEYS_MAX = 256, KEY_MAX = 128, VALUE_MAX = 256, LENGTH_BYTES = 8 };

typedef struct pair {
    char key[KEY_MAX], value[VALUE_MAX];
    bool removed;
} pair;

/* A file taken apart: its metadata, and what follows them in the header and in the file. */
typedef struct template {
    uint8_t *bytes;
    size_t size, header_size;
    pair pairs[KEYS_MAX];
    size_t count;
    const char *rest; /* of the header, from the end of its metadata */
    size_t rest_size;
}
template;

/* Copies the JSON string at `at`, without escapes, and returns what follows it. */
static const char *take_string(const char *at, char *out, size_t capacity) {
    FUZZ_CHECK(*at == '"');
    size_t n = 0;
    for (at++; *at != '"'; at++) {
        FUZZ_CHECK(*at != '\\' && n + 1 < capacity);
        out[n++] = *at;
    }
    out[n] = 0;
    return at + 1;
}

static void open_template(template *t) {
    static const char begin[] = "{\"__metadata__\":{";
    const char *header = (const char *)t->bytes + LENGTH_BYTES;
    for (size_t i = LENGTH_BYTES; i-- > 0;) t->header_size = t->header_size << 8 | t->bytes[i];
    FUZZ_CHECK(strncmp(header, begin, strlen(begin)) == 0);
    const char *at = header + strlen(begin);
    while (*at != '}') {
        FUZZ_CHECK(t->count < KEYS_MAX / 2);
        pair *p = &t->pairs[t->count++];
        at = take_string(at, p->key, sizeof p->key);
        FUZZ_CHECK(*at++ == ':');
        at = take_string(at, p->value, sizeof p->value);
        if (*at == ',') at++;
        if (strncmp(p->key, "crc32", 5) == 0) t->count--; /* of other metadata than there will be */
    }
    t->rest = at;
    t->rest_size = (size_t)(header + t->header_size - at);
}

static void copy_text(char *out, size_t capacity, const uint8_t *text, size_t size) {
    const size_t n = size < capacity ? size : capacity - 1;
    memcpy(out, text, n);
    out[n] = 0;
}

/* One line of the input. */
static void apply(pair *pairs, size_t *count, const uint8_t *line, size_t size) {
    char key[KEY_MAX];
    const uint8_t *equals = memchr(line, '=', size);
    copy_text(key, sizeof key, line, equals ? (size_t)(equals - line) : size);
    size_t i = 0;
    while (i < *count && strcmp(pairs[i].key, key) != 0) i++;
    if (i == KEYS_MAX || (i == *count && !equals)) return;
    if (i == *count) {
        memcpy(pairs[i].key, key, sizeof key);
        ++*count;
    }
    pairs[i].removed = equals == NULL;
    if (equals)
        copy_text(pairs[i].value, sizeof pairs[i].value, equals + 1,
                  size - 1 - (size_t)(equals - line));
}

static char *put_string(char *out, const char *text) {
    *out++ = '"';
    for (; *text; text++) {
        if ((unsigned char)*text < 0x20 || *text == '"' || *text == '\\')
            out += sprintf(out, "\\u%04x", (unsigned)(unsigned char)*text);
        else *out++ = *text;
    }
    *out++ = '"';
    return out;
}

/* The file with other metadata; to be freed. */
static uint8_t *build(const template *t, const pair *pairs, size_t count, size_t *size) {
    static char header[KEYS_MAX * 6 * (KEY_MAX + VALUE_MAX)];
    const size_t values = t->size - LENGTH_BYTES - t->header_size;
    char *out = header + sprintf(header, "{\"__metadata__\":{");
    bool first = true;
    for (size_t i = 0; i < count; i++) {
        if (pairs[i].removed) continue;
        if (!first) *out++ = ',';
        first = false;
        out = put_string(out, pairs[i].key);
        *out++ = ':';
        out = put_string(out, pairs[i].value);
    }
    const size_t metadata_size = (size_t)(out - header), length = metadata_size + t->rest_size;
    *size = LENGTH_BYTES + length + values;
    uint8_t *bytes = malloc(*size);
    FUZZ_CHECK(bytes != NULL);
    for (size_t i = 0; i < LENGTH_BYTES; i++) bytes[i] = (uint8_t)(length >> (8 * i));
    memcpy(bytes + LENGTH_BYTES, header, metadata_size);
    memcpy(bytes + LENGTH_BYTES + metadata_size, t->rest, t->rest_size);
    memcpy(bytes + LENGTH_BYTES + length, t->bytes + LENGTH_BYTES + t->header_size, values);
    return bytes;
}

static uint8_t *from_text(const template *t, const uint8_t *data, size_t size, size_t *file_size) {
    static pair pairs[KEYS_MAX];
    size_t count = t->count;
    memcpy(pairs, t->pairs, count * sizeof *pairs);
    while (size > 0) {
        const uint8_t *end = memchr(data, '\n', size);
        const size_t line = end ? (size_t)(end - data) : size, used = end ? line + 1 : line;
        apply(pairs, &count, data, line);
        data += used;
        size -= used;
    }
    return build(t, pairs, count, file_size);
}

/* `unchanged`: the file must load; `use`: the network is used, which takes longer. */
static void load(dm_context *context, const uint8_t *bytes, size_t size, bool unchanged, bool use) {
    dm_unet *unet;
    dm_schedule *schedule;
    dm_status status = dm_unet_load_memory(&unet, context, bytes, size, DM_WEIGHTS_DEFAULT);
    FUZZ_CHECK(!unchanged || !status);
    if (fuzz_created(context, status, unet) && use) fuzz_use_unet(unet);
    dm_unet_destroy(unet);
    status = dm_schedule_load_memory(&schedule, context, bytes, size);
    FUZZ_CHECK(!unchanged || !status);
    if (fuzz_created(context, status, schedule)) fuzz_use_schedule(schedule);
    dm_schedule_destroy(schedule);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static dm_context *context;
    static dm_dataset *dataset;
    static dm_unet *unet;
    static template network, checkpoint;
    if (!context) {
        context = fuzz_context(LIMIT);
        dataset = fuzz_dataset(context);
        unet = fuzz_unet(context);
        network.bytes = fuzz_saved_unet(&network.size);
        checkpoint.bytes = fuzz_saved_checkpoint(&checkpoint.size);
        open_template(&network);
        open_template(&checkpoint);
    }
    const uint64_t used = fuzz_used(context);
    const bool training = size > 0 && data[0] == '!';
    size_t file_size;
    uint8_t *file = training ? from_text(&checkpoint, data + 1, size - 1, &file_size)
                             : from_text(&network, data, size, &file_size);
    if (training) fuzz_use_trainer(unet, dataset, file, file_size, fuzz_one_of(data, size, 4));
    else load(context, file, file_size, size == 0, fuzz_one_of(data, size, 4));
    free(file);
    FUZZ_CHECK(fuzz_used(context) == used);
    return 0;
}
