/* SPDX-License-Identifier: MIT */
/* Members of structs as text. */
#include "core/text.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_mode.h"
#include "core/enums.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

/* ---- one value ---- */

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
    return dmi_format_double(out, size, (double)value, 9);
}

static size_t format_f64(char *out, size_t size, const uint8_t *from) {
    double value;
    memcpy(&value, from, sizeof value);
    return dmi_format_double(out, size, value, 17);
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
    if (!dmi_parse_double(text, end, &value)) return false;
    memcpy(to, &value, sizeof value);
    return true;
}

static bool parse_f32(const char *text, const char **end, uint8_t *to) {
    double value;
    if (!dmi_parse_double(text, end, &value)) return false;
    const float narrow = (float)value;
    if (!isfinite(narrow)) return false;
    memcpy(to, &narrow, sizeof narrow);
    return true;
}

/* As few digits as give the same number again. */
static size_t format_shortest(char *out, size_t size, double value, bool single) {
    size_t length = 0;
    for (int digits = 1; digits <= (single ? 9 : 17); digits++) {
        const char *end;
        double back;
        length = dmi_format_double(out, size, value, digits);
        if (!length || !dmi_parse_double(out, &end, &back)) return 0;
        if (single ? (float)back == (float)value : back == value) break;
    }
    return length;
}

static size_t format_f32_shortest(char *out, size_t size, const uint8_t *from) {
    float value;
    memcpy(&value, from, sizeof value);
    return format_shortest(out, size, (double)value, true);
}

static size_t format_f64_shortest(char *out, size_t size, const uint8_t *from) {
    double value;
    memcpy(&value, from, sizeof value);
    return format_shortest(out, size, value, false);
}

typedef struct value_type {
    const char *kind;
    size_t (*format)(char *out, size_t size, const uint8_t *from);
    size_t (*format_shortest)(char *out, size_t size, const uint8_t *from);
    bool (*parse)(const char *text, const char **end, uint8_t *to);
} value_type;

/* NULL for types that have no text. */
static const value_type *type_of(const dmi_member *member) {
    static const value_type i32 = {"a 32-bit integer", format_i32, format_i32, parse_i32};
    static const value_type u64 = {"an integer from 0", format_u64, format_u64, parse_u64};
    static const value_type f32 = {"a number", format_f32, format_f32_shortest, parse_f32};
    static const value_type f64 = {"a number", format_f64, format_f64_shortest, parse_f64};
    switch (member->type) {
        case DM_TYPE_I32: return &i32;
        case DM_TYPE_U64: return &u64;
        case DM_TYPE_F32: return &f32;
        case DM_TYPE_F64: return &f64;
        default: return NULL;
    }
}

/* ---- members ---- */

bool dmi_member_has_text(const dmi_member *member) { return type_of(member) != NULL; }

const char *dmi_member_kind(const dmi_member *member) {
    const value_type *type = type_of(member);
    return type ? type->kind : "no text";
}

static size_t format_entry(const dmi_member *member, const value_type *type, const uint8_t *from,
                           bool shortest, char *out, size_t size) {
    if (shortest && member->enumeration) {
        int32_t value;
        memcpy(&value, from, sizeof value);
        const dmi_enum_value *named =
            dmi_enum_find_value(dmi_enum_find(member->enumeration), value);
        if (named) return fitted(snprintf(out, size, "%s", named->name), size);
    }
    return (shortest ? type->format_shortest : type->format)(out, size, from);
}

static bool format_member(const dmi_member *member, const void *values, bool shortest, char *out,
                          size_t size) {
    const value_type *type = type_of(member);
    size_t length = 0;
    if (!type || !size) return false;
    for (uint32_t k = 0; k < member->count; k++) {
        const uint8_t *from =
            (const uint8_t *)values + member->offset + (size_t)k * member->element_size;
        if (k > 0 && length + 1 < size) out[length++] = ',';
        size_t n = format_entry(member, type, from, shortest, out + length, size - length);
        if (!n) return false;
        length += n;
    }
    out[length] = 0;
    return true;
}

/* Conversions between float and double are rounded to nearest too. */
bool dmi_member_format(const dmi_member *member, const void *values, bool shortest, char *out,
                       size_t size) {
    const int direction = dmi_round_to_nearest();
    const bool formatted = format_member(member, values, shortest, out, size);
    dmi_restore_rounding(direction);
    return formatted;
}

static bool parse_entry(const dmi_member *member, const value_type *type, const char **text,
                        uint8_t *to) {
    const char *end;
    if (type->parse(*text, &end, to)) {
        *text = end;
        return true;
    }
    if (!member->enumeration) return false;
    char name[DMI_NUMBER_SIZE];
    const size_t length = strcspn(*text, ",");
    if (length >= sizeof name) return false;
    memcpy(name, *text, length);
    name[length] = 0;
    const dmi_enum_value *named = dmi_enum_find_name(dmi_enum_find(member->enumeration), name);
    if (!named) return false;
    memcpy(to, &named->value, sizeof named->value);
    *text += length;
    return true;
}

static bool parse_member(const dmi_member *member, void *values, const char *text, bool complete) {
    const value_type *type = type_of(member);
    uint8_t *to = (uint8_t *)values + member->offset;
    if (!type) return false;
    uint32_t k = 0;
    for (; k < member->count; k++) {
        if (k > 0 && *text == 0 && !complete) break;
        if (k > 0 && *text++ != ',') return false;
        if (!parse_entry(member, type, &text, to + (size_t)k * member->element_size)) return false;
    }
    memset(to + (size_t)k * member->element_size, 0,
           (size_t)(member->count - k) * member->element_size);
    return *text == 0;
}

bool dmi_member_parse(const dmi_member *member, void *values, const char *text, bool complete) {
    const int direction = dmi_round_to_nearest();
    const bool parsed = parse_member(member, values, text, complete);
    dmi_restore_rounding(direction);
    return parsed;
}

void dmi_copy_text(char *text, size_t capacity, size_t *size, const char *from) {
    if (size) *size = strlen(from) + 1;
    if (text && capacity) snprintf(text, capacity, "%s", from);
}
