/* SPDX-License-Identifier: MIT */
/* See spelling.h. */
#include "command/spelling.h"

#include <string.h>

enum { LENGTH_MAX = 40 };

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* Letters that are inserted, removed, changed, or exchanged with the next one (Damerau 1964), by
 * rows. Both words are at most LENGTH_MAX long. */
static size_t distance(const char *a, size_t na, const char *b, size_t nb) {
    size_t rows[3][LENGTH_MAX + 1];
    for (size_t j = 0; j <= nb; j++) rows[0][j] = j;
    for (size_t i = 1; i <= na; i++) {
        size_t *row = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= nb; j++) {
            size_t change = last[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = least(change, least(last[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
    }
    return rows[na % 3][nb];
}

const char *nearest_word(const char *text, size_t length, const char *const *words, size_t count) {
    const char *best = NULL;
    size_t least_distance = length / 3 + 1;
    if (!length || length > LENGTH_MAX) return NULL;
    for (size_t i = 0; i < count; i++) {
        size_t n = strlen(words[i]);
        if (n > LENGTH_MAX) continue;
        size_t d = distance(text, length, words[i], n);
        if (d >= least_distance) continue;
        least_distance = d;
        best = words[i];
    }
    return best;
}
