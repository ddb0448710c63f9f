/* Option structs as metadata. printf and strtod follow the decimal point of the host's locale,
 * which the library must neither change nor depend on, so numbers pass through a pair of functions
 * that put the point right. */
#include "core/metadata.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest number is a double with 17 digits: 24 characters. An array has at most 32 of them. */
enum { NUMBER_SIZE = 32, TEXT_SIZE = 32 * NUMBER_SIZE };

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

size_t dmi_meta_format_double(char *out, size_t size, double value, int digits) {
    char text[64];
    if (!isfinite(value) || digits < 1 || digits > 17) return 0;
    const int length = snprintf(text, sizeof text, "%.*g", digits, value);
    if (length <= 0 || (size_t)length >= sizeof text) return 0;
    /* What is neither digit, sign nor exponent is the decimal point, which may be several bytes. */
    size_t n = 0;
    bool point = false;
    for (const char *c = text; *c != 0; c++) {
        const bool part = is_digit(*c) || *c == '-' || *c == '+' || *c == 'e';
        if (!part && point) continue;
        if (!part) point = true;
        text[n++] = part ? *c : '.';
    }
    if (n >= size) return 0;
    memcpy(out, text, n);
    out[n] = 0;
    return n;
}

/* The end of [+-] digits [. digits] [e [+-] digits] at the start of text; text itself where there
 * is no number. */
static const char *number_end(const char *text, const char **point) {
    const char *c = text;
    *point = NULL;
    if (*c == '-' || *c == '+') c++;
    const char *first = c;
    while (is_digit(*c)) c++;
    size_t digits = (size_t)(c - first);
    if (*c == '.') {
        *point = c++;
        while (is_digit(*c)) c++, digits++;
    }
    if (digits == 0) return text;
    if (*c == 'e' || *c == 'E') {
        const char *e = c + 1;
        if (*e == '-' || *e == '+') e++;
        if (is_digit(*e)) {
            while (is_digit(*e)) e++;
            c = e;
        }
    }
    return c;
}

bool dmi_meta_parse_double(const char *text, const char **end, double *value) {
    const char *point;
    const char *stop = number_end(text, &point);
    char half[16], copy[128];
    /* "0.5" in the host's locale: what stands between 0 and 5 is its decimal point. */
    const int printed = snprintf(half, sizeof half, "%.1f", 0.5);
    const size_t length = (size_t)(stop - text);
    if (length == 0 || printed < 3 || (size_t)printed >= sizeof half ||
        length + sizeof half > sizeof copy)
        return false;
    const size_t before = point != NULL ? (size_t)(point - text) : length;
    const size_t width = point != NULL ? (size_t)printed - 2 : 0;
    memcpy(copy, text, before);
    memcpy(copy + before, half + 1, width);
    if (point != NULL) memcpy(copy + before + width, point + 1, (size_t)(stop - point - 1));
    const size_t total = point != NULL ? length - 1 + width : length;
    copy[total] = 0;
    char *parsed;
    const double number = strtod(copy, &parsed);
    if (parsed != copy + total || !isfinite(number)) return false;
    *value = number;
    *end = stop;
    return true;
}

/* ---- one member's value ---- */

typedef size_t (*format_value)(char *out, size_t size, const uint8_t *from);
typedef bool (*parse_value)(const char *text, const char **end, uint8_t *to);

static size_t fitted(int length, size_t size) {
    return length > 0 && (size_t)length < size ? (size_t)length : 0;
}

static size_t format_i32(char *out, size_t size, const uint8_t *from) {
    int32_t value;
    memcpy(&value, from, sizeof value);
    return fitted(snprintf(out, size, "%" PRId32, value), size);
}

static size_t format_u64(char *out, size_t size, const uint8_t *from) {
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return fitted(snprintf(out, size, "%" PRIu64, value), size);
}

static size_t format_f32(char *out, size_t size, const uint8_t *from) {
    float value;
    memcpy(&value, from, sizeof value);
    return dmi_meta_format_double(out, size, (double)value, 9);
}

static size_t format_f64(char *out, size_t size, const uint8_t *from) {
    double value;
    memcpy(&value, from, sizeof value);
    return dmi_meta_format_double(out, size, value, 17);
}

static bool parse_i32(const char *text, const char **end, uint8_t *to) {
    if (!is_digit(*text) && *text != '-') return false;
    char *stop;
    errno = 0;
    const long long value = strtoll(text, &stop, 10);
    if (stop == text || errno != 0 || value < INT32_MIN || value > INT32_MAX) return false;
    const int32_t narrow = (int32_t)value;
    memcpy(to, &narrow, sizeof narrow);
    *end = stop;
    return true;
}

static bool parse_u64(const char *text, const char **end, uint8_t *to) {
    if (!is_digit(*text)) return false;
    char *stop;
    errno = 0;
    const unsigned long long value = strtoull(text, &stop, 10);
    if (errno != 0) return false;
    const uint64_t wide = value;
    memcpy(to, &wide, sizeof wide);
    *end = stop;
    return true;
}

static bool parse_f64(const char *text, const char **end, uint8_t *to) {
    double value;
    if (!dmi_meta_parse_double(text, end, &value)) return false;
    memcpy(to, &value, sizeof value);
    return true;
}

static bool parse_f32(const char *text, const char **end, uint8_t *to) {
    double value;
    if (!dmi_meta_parse_double(text, end, &value)) return false;
    const float narrow = (float)value;
    if (!isfinite(narrow)) return false;
    memcpy(to, &narrow, sizeof narrow);
    return true;
}

typedef struct value_type {
    const char *name;
    size_t size;
    format_value format;
    parse_value parse;
} value_type;

static const value_type types[] = {
    [DMI_META_I32] = {"a 32-bit integer", sizeof(int32_t), format_i32, parse_i32},
    [DMI_META_U64] = {"an integer from 0", sizeof(uint64_t), format_u64, parse_u64},
    [DMI_META_F32] = {"a number", sizeof(float), format_f32, parse_f32},
    [DMI_META_F64] = {"a number", sizeof(double), format_f64, parse_f64},
};

/* ---- whole structs ---- */

int32_t dmi_meta_write(dmi_host *host, dmi_safetensors_writer *writer, const dmi_meta *table,
                       size_t count, const void *from) {
    for (size_t i = 0; i < count; i++) {
        const dmi_meta *meta = &table[i];
        const value_type *type = &types[meta->type];
        char text[TEXT_SIZE];
        size_t length = 0;
        for (int32_t k = 0; k < meta->count; k++) {
            if (k > 0 && length + 1 < sizeof text) text[length++] = ',';
            const uint8_t *member = (const uint8_t *)from + meta->offset + (size_t)k * type->size;
            const size_t n = type->format(text + length, sizeof text - length, member);
            if (n == 0)
                return dmi_fail(host, DMI_ERROR_INTERNAL,
                                "metadata: value %d of '%s' cannot be written", k, meta->key);
            length += n;
        }
        text[length] = 0;
        const int32_t status = dmi_safetensors_add_metadata(host, writer, meta->key, text);
        if (status != DMI_OK) return status;
    }
    return DMI_OK;
}

static bool parse_list(const char *text, const dmi_meta *meta, uint8_t *to) {
    const value_type *type = &types[meta->type];
    for (int32_t k = 0; k < meta->count; k++) {
        if (k > 0 && *text++ != ',') return false;
        if (!type->parse(text, &text, to + (size_t)k * type->size)) return false;
    }
    return *text == 0;
}

int32_t dmi_meta_read(dmi_host *host, const dmi_safetensors *file, const dmi_meta *table,
                      size_t count, void *to) {
    for (size_t i = 0; i < count; i++) {
        const dmi_meta *meta = &table[i];
        const char *text = dmi_safetensors_metadata(file, meta->key);
        if (text == NULL)
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: its metadata has no '%s'",
                            dmi_safetensors_from(file), meta->key);
        if (parse_list(text, meta, (uint8_t *)to + meta->offset)) continue;
        if (meta->count == 1)
            return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                            "%s: metadata '%s' is \"%.60s\"; it must be %s",
                            dmi_safetensors_from(file), meta->key, text, types[meta->type].name);
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: metadata '%s' is \"%.60s\"; it must be a list of %d, each %s",
                        dmi_safetensors_from(file), meta->key, text, meta->count,
                        types[meta->type].name);
    }
    return DMI_OK;
}

/* ---- which file it is ---- */

enum { FORMAT_VERSION = 1 };

const char dmi_format_unet[] = "libdiffusion.unet";
const char dmi_format_checkpoint[] = "libdiffusion.checkpoint";

int32_t dmi_format_write(dmi_host *host, dmi_safetensors_writer *writer, const char *format) {
    char version[NUMBER_SIZE];
    snprintf(version, sizeof version, "%d", FORMAT_VERSION);
    const int32_t status = dmi_safetensors_add_metadata(host, writer, "format", format);
    return status != DMI_OK ? status
                            : dmi_safetensors_add_metadata(host, writer, "format_version", version);
}

static int32_t check_kind(dmi_host *host, const dmi_safetensors *file, bool training) {
    const char *from = dmi_safetensors_from(file), *its = dmi_safetensors_metadata(file, "format");
    const bool unet = its != NULL && strcmp(its, dmi_format_unet) == 0;
    const bool checkpoint = its != NULL && strcmp(its, dmi_format_checkpoint) == 0;
    if (checkpoint || (unet && !training)) return DMI_OK;
    if (unet)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                        "%s: it holds a network without training state; load it with dm_unet_load "
                        "and begin a new trainer",
                        from);
    return dmi_fail(host, DMI_ERROR_BAD_FORMAT,
                    "%s: no %s of this library: its metadata 'format' is '%.60s', not '%s'", from,
                    training ? "checkpoint" : "network", its != NULL ? its : "",
                    training ? dmi_format_checkpoint : dmi_format_unet);
}

int32_t dmi_format_check(dmi_host *host, const dmi_safetensors *file, bool training) {
    const int32_t status = check_kind(host, file, training);
    if (status != DMI_OK) return status;
    const char *from = dmi_safetensors_from(file),
               *version = dmi_safetensors_metadata(file, "format_version"), *end = NULL;
    int32_t number = 0;
    if (version == NULL || !parse_i32(version, &end, (uint8_t *)&number) || *end != 0 || number < 1)
        return dmi_fail(host, DMI_ERROR_BAD_FORMAT, "%s: its metadata 'format_version' is '%.60s'",
                        from, version != NULL ? version : "");
    if (number <= FORMAT_VERSION) return DMI_OK;
    return dmi_fail(host, DMI_ERROR_UNSUPPORTED_VERSION,
                    "%s: its format_version is %d; this library reads up to %d", from, (int)number,
                    FORMAT_VERSION);
}
