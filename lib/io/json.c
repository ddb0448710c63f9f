/* SPDX-License-Identifier: MIT */
/* See json.h. A reader of our own, since the files are not trusted: libraries allocate behind the
 * host's back, accept more than JSON, or need quadratic time for nested arrays. */
#include "io/json.h"

#include <math.h>
#include <string.h>

#include "base/number.h"

/* Returns false; the first error stays. */
static bool fail(dmi_json *json, const char *error) {
    if (!json->error) json->error = error;
    return false;
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static void skip_blanks(dmi_json *json) {
    while (json->at < json->length && is_blank(json->text[json->at])) json->at++;
}

/* The byte at `at`; 0 at the end of the text, which no value begins with either. */
static char current(const dmi_json *json) {
    if (json->at == json->length) return 0;
    return json->text[json->at];
}

/* Passes the next byte that is not blank if it is `c`. */
static bool accept(dmi_json *json, char c) {
    if (json->error) return false;
    skip_blanks(json);
    if (json->at == json->length || json->text[json->at] != c) return false;
    json->at++;
    return true;
}

void dmi_json_begin(dmi_json *json, char *text, size_t length) {
    *json = (dmi_json){.text = text, .length = length};
}

char dmi_json_peek(dmi_json *json) {
    if (json->error) return 0;
    skip_blanks(json);
    char c = current(json);
    if (c && strchr("{[\"-0123456789tfn", c)) return c;
    return 0;
}

bool dmi_json_end(dmi_json *json) {
    if (json->error) return false;
    skip_blanks(json);
    return json->at == json->length || fail(json, "something follows the end");
}

/* ---- objects and arrays ---- */

static bool enter(dmi_json *json, char open, const char *error) {
    if (!accept(json, open)) return fail(json, error);
    if (json->depth == DMI_JSON_DEPTH_MAX) return fail(json, "too many levels");
    json->depth++;
    json->first = true;
    return true;
}

/* Whether another member or element follows; at the end the object or array is left. */
static bool follows(dmi_json *json, char close, const char *error) {
    bool first = json->first;
    json->first = false;
    if (accept(json, close)) {
        json->depth--;
        return false;
    }
    return first || accept(json, ',') || fail(json, error);
}

bool dmi_json_object(dmi_json *json) { return enter(json, '{', "an object is expected"); }

bool dmi_json_key(dmi_json *json, const char **key) {
    if (json->error || !follows(json, '}', "',' or '}' is expected")) return false;
    if (dmi_json_peek(json) != '"') return fail(json, "a key is expected");
    if (!dmi_json_string(json, key)) return false;
    return accept(json, ':') || fail(json, "':' is expected");
}

bool dmi_json_array(dmi_json *json) { return enter(json, '[', "an array is expected"); }

bool dmi_json_element(dmi_json *json) {
    return !json->error && follows(json, ']', "',' or ']' is expected");
}

/* ---- strings ---- */

size_t dmi_utf8_length(const char *text, size_t length) {
    const uint8_t *b = (const uint8_t *)text;
    if (length == 0) return 0;
    if (b[0] < 0x80) return 1;
    const size_t size = b[0] >= 0xc2 && b[0] <= 0xdf   ? 2
                        : b[0] >= 0xe0 && b[0] <= 0xef ? 3
                        : b[0] >= 0xf0 && b[0] <= 0xf4 ? 4
                                                       : 0;
    if (size == 0 || size > length) return 0;
    for (size_t i = 1; i < size; i++)
        if ((b[i] & 0xc0) != 0x80) return 0;
    /* Longer than necessary, a half of a surrogate pair, above U+10FFFF. */
    if ((b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xed && b[1] > 0x9f)) return 0;
    if ((b[0] == 0xf0 && b[1] < 0x90) || (b[0] == 0xf4 && b[1] > 0x8f)) return 0;
    return size;
}

/* The four hexadecimal digits at `at`, which are passed; -1: there are none. */
static int32_t hex4(dmi_json *json) {
    int32_t value = 0;
    for (int i = 0; i < 4; i++, json->at++) {
        const char c = current(json);
        if (c >= '0' && c <= '9') value = 16 * value + (c - '0');
        else if (c >= 'a' && c <= 'f') value = 16 * value + (c - 'a' + 10);
        else if (c >= 'A' && c <= 'F') value = 16 * value + (c - 'A' + 10);
        else return -1;
    }
    return value;
}

static size_t put_utf8(char *out, int32_t c) {
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    const size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, c >>= 6) out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)((size == 2 ? 0xc0 : size == 3 ? 0xe0 : 0xf0) | c);
    return size;
}

/* The character of an escape \uXXXX, or of the two of a surrogate pair; `at` is behind the u. 0:
 * an error. */
static int32_t escaped_character(dmi_json *json) {
    int32_t c = hex4(json);
    if (c >= 0xd800 && c <= 0xdbff) {
        if (current(json) != '\\') return 0;
        json->at++;
        if (current(json) != 'u') return 0;
        json->at++;
        const int32_t low = hex4(json);
        if (low < 0xdc00 || low > 0xdfff) return 0;
        return 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    return c <= 0 || (c >= 0xdc00 && c <= 0xdfff) ? 0 : c;
}

/* Passes an escape and writes its character to `out`; returns its bytes, 0: an error. It is never
 * longer than the escape. */
static size_t unescape(dmi_json *json, char *out) {
    static const char escapes[] = "\"\\/bfnrt", characters[] = "\"\\/\b\f\n\r\t";
    json->at++; /* the backslash */
    const char c = current(json);
    if (c == 'u') {
        json->at++;
        const int32_t character = escaped_character(json);
        return character ? put_utf8(out, character) : 0;
    }
    const char *found = c ? strchr(escapes, c) : NULL;
    if (!found) return 0;
    json->at++;
    *out = characters[found - escapes];
    return 1;
}

bool dmi_json_string(dmi_json *json, const char **out) {
    if (!accept(json, '"')) return fail(json, "a string is expected");
    char *to = json->text + json->at;
    *out = to;
    while (json->at < json->length) {
        const char c = json->text[json->at];
        if (c == '"') {
            *to = 0;
            json->at++;
            return true;
        }
        const uint8_t byte = (uint8_t)c;
        size_t size = 1;
        if (c == '\\') {
            size = unescape(json, to);
        } else if (byte >= 0x20 && byte < 0x80) {
            *to = c;
            json->at++;
        } else {
            size =
                byte < 0x20 ? 0 : dmi_utf8_length(json->text + json->at, json->length - json->at);
            memmove(to, json->text + json->at, size);
            json->at += size;
        }
        if (size == 0) return fail(json, "a string has an invalid character");
        to += size;
    }
    return fail(json, "a string does not end");
}

/* ---- numbers, words, any value ---- */

enum { NUMBER_MAX = 100 }; /* characters of a number that is read as a double */

static bool pass_digits(dmi_json *json) {
    const size_t start = json->at;
    while (current(json) >= '0' && current(json) <= '9') json->at++;
    return json->at > start;
}

/* Passes a number; *whole: it has neither fraction nor exponent. */
static bool pass_number(dmi_json *json, bool *whole) {
    *whole = true;
    if (current(json) == '-') json->at++;
    if (current(json) == '0') json->at++;
    else if (!pass_digits(json)) return fail(json, "a number is expected");
    if (current(json) == '.') {
        *whole = false;
        json->at++;
        if (!pass_digits(json)) return fail(json, "a number has no digit after its point");
    }
    if (current(json) == 'e' || current(json) == 'E') {
        *whole = false;
        json->at++;
        if (current(json) == '+' || current(json) == '-') json->at++;
        if (!pass_digits(json)) return fail(json, "a number's exponent has no digit");
    }
    return true;
}

bool dmi_json_integer(dmi_json *json, int64_t *out) {
    bool whole;
    if (json->error) return false;
    skip_blanks(json);
    const size_t start = json->at;
    if (!pass_number(json, &whole)) return false;
    if (!whole) return fail(json, "a whole number is expected");
    const bool negative = json->text[start] == '-';
    uint64_t value = 0;
    for (size_t i = start + negative; i < json->at; i++) {
        const uint64_t digit = (uint64_t)(json->text[i] - '0');
        if (value > (INT64_MAX - digit) / 10) return fail(json, "a number is too large");
        value = 10 * value + digit;
    }
    *out = negative ? -(int64_t)value : (int64_t)value;
    return true;
}

static bool follows_word(const dmi_json *json, const char *word) {
    const size_t length = strlen(word);
    return json->length - json->at >= length && !memcmp(json->text + json->at, word, length);
}

static bool pass_word(dmi_json *json, const char *word) {
    if (!follows_word(json, word)) return fail(json, "a value is expected");
    json->at += strlen(word);
    return true;
}

bool dmi_json_double(dmi_json *json, double *out) {
    bool whole;
    char copy[NUMBER_MAX + 1];
    const char *end;
    if (json->error) return false;
    skip_blanks(json);
    const size_t start = json->at;
    if (!pass_number(json, &whole)) return false;
    const size_t length = json->at - start;
    if (length > NUMBER_MAX) return fail(json, "a number has too many digits");
    memcpy(copy, json->text + start, length);
    copy[length] = 0;
    if (dmi_parse_double(copy, &end, out)) return true;
    return fail(json, "a number is too large");
}

bool dmi_json_bool(dmi_json *json, bool *out) {
    const char c = dmi_json_peek(json);
    if (c != 't' && c != 'f') return fail(json, "true or false is expected");
    *out = c == 't';
    return pass_word(json, *out ? "true" : "false");
}

bool dmi_json_null(dmi_json *json) {
    return dmi_json_peek(json) == 'n' ? pass_word(json, "null") : fail(json, "null is expected");
}

bool dmi_json_not_finite(dmi_json *json, double *out) {
    static const char *const words[] = {"Infinity", "-Infinity", "NaN"};
    static const double values[] = {INFINITY, -INFINITY, NAN};
    if (json->error) return false;
    skip_blanks(json);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (!follows_word(json, words[i])) continue;
        json->at += strlen(words[i]);
        *out = values[i];
        return true;
    }
    return false;
}

static bool skip_scalar(dmi_json *json) {
    const char *text;
    bool whole;
    switch (dmi_json_peek(json)) {
        case '"': return dmi_json_string(json, &text);
        case 't': return pass_word(json, "true");
        case 'f': return pass_word(json, "false");
        case 'n': return pass_word(json, "null");
        case 0: return fail(json, "a value is expected");
        default: return pass_number(json, &whole);
    }
}

/* Passes the rest of the innermost object or array that was entered; false at its end. */
static bool next_inside(dmi_json *json, bool object) {
    const char *key;
    return object ? dmi_json_key(json, &key) : dmi_json_element(json);
}

bool dmi_json_skip(dmi_json *json) {
    bool is_object[DMI_JSON_DEPTH_MAX]; /* those that were entered here */
    int32_t entered = 0;
    do {
        const char c = dmi_json_peek(json);
        if (c == '{' || c == '[') {
            if (!(c == '{' ? dmi_json_object(json) : dmi_json_array(json))) return false;
            is_object[entered++] = c == '{';
        } else if (!skip_scalar(json)) {
            return false;
        }
        while (entered > 0 && !next_inside(json, is_object[entered - 1])) {
            if (json->error) return false;
            entered--;
        }
    } while (entered > 0);
    return true;
}
