/* SPDX-License-Identifier: MIT */
/* Doubles as text and back, independent of the host's locale and of the direction of rounding. */
#ifndef DMI_BASE_NUMBER_H
#define DMI_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>

/* The longest number that is written has 24 characters; more than 100 are not read. */
enum { DMI_NUMBER_SIZE = 32 };

/* `digits` significant ones: 17 are exact for a double, 9 for a float. Returns the characters
 * written without the final 0; 0 if they do not fit or the value is not finite. */
size_t dmi_format_double(char *out, size_t size, double value, int digits);
/* A decimal number at the start of text, without blanks before it; *end is what follows. False: it
 * is none, or too large for a double, and neither is set. Refuses inf, nan and hexadecimal. */
bool dmi_parse_double(const char *text, const char **end, double *value);

#endif
