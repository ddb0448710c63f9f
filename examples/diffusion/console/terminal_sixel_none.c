/* SPDX-License-Identifier: MIT */
/* The functions of terminal_formats.h for sixels, for programs without libsixel. */
#include "console/terminal_formats.h"

int terminal_has_sixel(void) { return 0; }

int terminal_print_sixel(FILE *to, const terminal_pixels *p, char *error, size_t capacity) {
    (void)to, (void)p;
    snprintf(error, capacity, "this program was built without libsixel");
    return 1;
}
