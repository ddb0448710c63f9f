/* SPDX-License-Identifier: MIT */
/* Numbers as text. printf and strtod follow the decimal point of the host's locale and the caller's
 * direction of rounding, which the library must neither change nor depend on, so numbers pass
 * through a pair of functions that correct the one, and that round to nearest meanwhile. */
#include "base/number.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/float_mode.h"

static bool is_digit(char c) { return c >= '0' && c <= '9'; }

size_t dmi_format_double(char *out, size_t size, double value, int digits) {
    char text[64];
    if (!isfinite(value) || digits < 1 || digits > 17) return 0;
    const int direction = dmi_round_to_nearest();
    const int length = snprintf(text, sizeof text, "%.*g", digits, value);
    dmi_restore_rounding(direction);
    if (length <= 0 || (size_t)length >= sizeof text) return 0;
    /* What is neither digit, sign nor exponent is the decimal point, which may be several bytes. */
    size_t n = 0;
    bool point = false;
    for (const char *c = text; *c != 0; c++) {
        const bool part = is_digit(*c) || *c == '-' || *c == '+' || *c == 'e';
        if (!part && point) continue;
        if (!part) point = true;
        text[n++] = (char)(part ? *c : '.');
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

bool dmi_parse_double(const char *text, const char **end, double *value) {
    const char *point;
    const char *stop = number_end(text, &point);
    char half[16], copy[128];
    /* "0.5" in the host's locale: what stands between 0 and 5 is its decimal point. */
    const int printed = snprintf(half, sizeof half, "%.1f", 0.5);
    const size_t length = (size_t)(stop - text);
    if (length == 0 || printed < 3 || (size_t)printed >= sizeof half ||
        length + sizeof half > sizeof copy)
        return false;
    const size_t before = point ? (size_t)(point - text) : length;
    const size_t width = point ? (size_t)printed - 2 : 0;
    memcpy(copy, text, before);
    memcpy(copy + before, half + 1, width);
    if (point) memcpy(copy + before + width, point + 1, (size_t)(stop - point - 1));
    const size_t total = point ? length - 1 + width : length;
    copy[total] = 0;
    char *parsed;
    const int direction = dmi_round_to_nearest();
    const double number = strtod(copy, &parsed);
    dmi_restore_rounding(direction);
    if (parsed != copy + total || !isfinite(number)) return false;
    *value = number;
    *end = stop;
    return true;
}
