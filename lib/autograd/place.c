/* Greedy: one buffer after another gets the lowest address that is free for all of its lives. What
 * comes first fits best, and which order is best depends on the network; two are tried, and the
 * smaller arena is taken:
 *
 * - the largest first (Pisarchyk and Lee 2020, "Efficient memory management for deep neural net
 * inference", sec. 5);
 * - first what is in use at the fullest moment, below which no arena can be, those of the longest
 * life at the bottom: they lie without a gap, so that all is well if the others, the largest first,
 * find room around them. */
#include "autograd/place.h"

#include <stdlib.h>

static bool lives_at(const dmi_buffer *b, int32_t moment) {
    for (int32_t i = 0; i < 2; i++)
        if (b->lives[i].first <= moment && moment <= b->lives[i].last) return true;
    return false;
}

/* Two lives meet where one of them begins. */
static bool meet(const dmi_buffer *a, const dmi_buffer *b) {
    for (int32_t i = 0; i < 2; i++) {
        if (dmi_alive(a->lives[i]) && lives_at(b, a->lives[i].first)) return true;
        if (dmi_alive(b->lives[i]) && lives_at(a, b->lives[i].first)) return true;
    }
    return false;
}

/* ---- orders ---- */

static int larger_first(const void *a, const void *b) {
    const dmi_buffer *x = a, *y = b;
    if (x->floats != y->floats) return x->floats < y->floats ? 1 : -1;
    if (x->lives[0].first != y->lives[0].first)
        return x->lives[0].first < y->lives[0].first ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

/* Moments in use. */
static int32_t length(const dmi_buffer *b) {
    int32_t moments = 0;
    for (int32_t i = 0; i < 2; i++) moments += b->lives[i].last - b->lives[i].first + 1;
    return moments;
}

static int fullest_first(const void *a, const void *b) {
    const dmi_buffer *x = a, *y = b;
    if (x->at_fullest != y->at_fullest) return x->at_fullest ? -1 : 1;
    if (x->at_fullest && length(x) != length(y)) return length(x) < length(y) ? 1 : -1;
    return larger_first(a, b);
}

static int (*const orders[])(const void *, const void *) = {larger_first, fullest_first};

/* ---- places ---- */

/* Memory in use only grows where a life begins. */
static void find_fullest(dmi_buffer *buffers, int32_t count) {
    size_t most = 0;
    int32_t fullest = 0;
    for (int32_t i = 0; i < 2 * count; i++) {
        dmi_life life = buffers[i / 2].lives[i % 2];
        size_t floats = 0;
        if (!dmi_alive(life)) continue;
        for (int32_t k = 0; k < count; k++)
            if (lives_at(&buffers[k], life.first)) floats += buffers[k].floats;
        if (floats > most) most = floats, fullest = life.first;
    }
    for (int32_t i = 0; i < count; i++) buffers[i].at_fullest = lives_at(&buffers[i], fullest);
}

/* The lowest address where `b` meets none of the buffers placed before it, which `order` lists by
 * address. */
static size_t lowest_place(const dmi_buffer *buffers, const int32_t *order, int32_t placed,
                           const dmi_buffer *b) {
    size_t at = 0;
    for (int32_t i = 0; i < placed; i++) {
        const dmi_buffer *other = &buffers[order[i]];
        if (!meet(other, b)) continue;
        if (other->offset >= at + b->floats) break;
        if (other->offset + other->floats > at) at = other->offset + other->floats;
    }
    return at;
}

/* In the order in which they stand; the size that comes of it. */
static size_t place_all(dmi_buffer *buffers, int32_t count, int32_t *order) {
    size_t top = 0;
    for (int32_t i = 0; i < count; i++) {
        dmi_buffer *b = &buffers[i];
        b->offset = lowest_place(buffers, order, i, b);
        if (b->offset + b->floats > top) top = b->offset + b->floats;
        int32_t at = i;
        for (; at > 0 && buffers[order[at - 1]].offset > b->offset; at--) order[at] = order[at - 1];
        order[at] = i;
    }
    return top;
}

size_t dmi_place(dmi_buffer *buffers, int32_t count, int32_t *order) {
    size_t best = SIZE_MAX;
    find_fullest(buffers, count);
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        qsort(buffers, (size_t)count, sizeof *buffers, orders[i]);
        size_t top = place_all(buffers, count, order);
        if (top >= best) continue;
        best = top;
        for (int32_t k = 0; k < count; k++) *buffers[k].place = buffers[k].offset;
    }
    return best;
}
