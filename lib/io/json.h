/* SPDX-License-Identifier: MIT */
/* Reads JSON (RFC 8259) where it stands: nothing is allocated, strings are decoded in place, and a
 * text of n bytes takes O(n) steps. The caller reads the values that it expects, in their order.
 * The first error ends reading: from then on every function returns false. */
#ifndef DMI_IO_JSON_H
#define DMI_IO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Objects and arrays within one another. */
enum { DMI_JSON_DEPTH_MAX = 32 };

typedef struct dmi_json {
    char *text;
    size_t length, at;
    int32_t depth;
    bool first;        /* the object or array was entered just now */
    const char *error; /* what is wrong at byte `at`; NULL: nothing */
} dmi_json;

/* text [length] is changed, and must outlive the strings that are read from it. */
void dmi_json_begin(dmi_json *json, char *text, size_t length);

/* The first byte of the next value: '{', '[', '"', '-', a digit, 't', 'f' or 'n'; 0: there is
 * none. */
char dmi_json_peek(dmi_json *json);

/* Enters an object; then dmi_json_key gives the key of each of its members, whose value must be
 * read next. It returns false at the object's end, which it leaves. */
bool dmi_json_object(dmi_json *json);
bool dmi_json_key(dmi_json *json, const char **key);
/* Enters an array; then dmi_json_element returns true before each of its elements, which must be
 * read next, and false at the array's end, which it leaves. */
bool dmi_json_array(dmi_json *json);
bool dmi_json_element(dmi_json *json);

/* A string, terminated by a zero. Text that is not UTF-8, half of a surrogate pair, and the
 * character 0 are errors. */
bool dmi_json_string(dmi_json *json, const char **out);
/* A number without fraction and exponent, from -INT64_MAX to INT64_MAX. */
bool dmi_json_integer(dmi_json *json, int64_t *out);
/* Any number as the nearest double; one that is too large for it, or has more than 100 characters,
 * is an error. */
bool dmi_json_double(dmi_json *json, double *out);
/* true or false. */
bool dmi_json_bool(dmi_json *json, bool *out);
bool dmi_json_null(dmi_json *json);
/* Passes Infinity, -Infinity or NaN, which Python writes although JSON has none. False: another
 * value follows, which is still to be read. */
bool dmi_json_not_finite(dmi_json *json, double *out);
/* Any value; its grammar is checked. */
bool dmi_json_skip(dmi_json *json);

/* True where nothing but blanks follows and there was no error. */
bool dmi_json_end(dmi_json *json);

/* The length in bytes of the UTF-8 character at text [length]; 0: there is none. */
size_t dmi_utf8_length(const char *text, size_t length);

#endif
