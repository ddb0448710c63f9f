/* SPDX-License-Identifier: MIT */
/* See base64.h. */
#include "console/base64.h"

size_t base64_encode(char *to, const uint8_t *bytes, size_t count) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char *at = to;
    for (size_t i = 0; i < count; i += 3) {
        const size_t left = count - i;
        const unsigned bits = (unsigned)bytes[i] << 16 |
                              (left > 1 ? (unsigned)bytes[i + 1] << 8 : 0) |
                              (left > 2 ? bytes[i + 2] : 0u);
        *at++ = digits[bits >> 18 & 63];
        *at++ = digits[bits >> 12 & 63];
        *at++ = (char)(left > 1 ? digits[bits >> 6 & 63] : '=');
        *at++ = (char)(left > 2 ? digits[bits & 63] : '=');
    }
    return (size_t)(at - to);
}
