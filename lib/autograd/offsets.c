/* SPDX-License-Identifier: MIT */
/* Greedy offset assignment: buffers are taken in some order, and each gets the lowest offset that
 * is free during all of its live ranges. Which order is best depends on the network, so two are
 * tried and the smaller arena is used:
 *
 * - by decreasing size (Pisarchyk and Lee 2020, "Efficient memory management for deep neural net
 *   inference", sec. 5);
 * - first the buffers that are live at the peak, whose total is a lower bound of any arena, by
 *   decreasing length of their live ranges, so that they lie without gaps; then the others by
 *   decreasing size. */
#include "autograd/offsets.h"

#include "base/math.h"
#include "base/sort.h"

static bool is_live_at(const dmi_buffer *b, int32_t step) {
    for (int32_t i = 0; i < 2; i++)
        if (b->ranges[i].first <= step && step <= b->ranges[i].last) return true;
    return false;
}

/* Two ranges overlap exactly where one contains the other's first step. */
static bool overlap(const dmi_buffer *a, const dmi_buffer *b) {
    for (int32_t i = 0; i < 2; i++) {
        if (dmi_is_live(a->ranges[i]) && is_live_at(b, a->ranges[i].first)) return true;
        if (dmi_is_live(b->ranges[i]) && is_live_at(a, b->ranges[i].first)) return true;
    }
    return false;
}

/* ---- orders; no two buffers are equal ---- */

static int by_size(const void *a, const void *b) {
    const dmi_buffer *x = a, *y = b;
    if (x->floats != y->floats) return x->floats < y->floats ? 1 : -1;
    if (x->ranges[0].first != y->ranges[0].first)
        return x->ranges[0].first < y->ranges[0].first ? -1 : 1;
    return x->number < y->number ? -1 : 1;
}

static int32_t live_steps(const dmi_buffer *b) {
    int32_t steps = 0;
    for (int32_t i = 0; i < 2; i++) steps += b->ranges[i].last - b->ranges[i].first + 1;
    return steps;
}

static int peak_first(const void *a, const void *b) {
    const dmi_buffer *x = a, *y = b;
    if (x->at_peak != y->at_peak) return x->at_peak ? -1 : 1;
    if (x->at_peak && live_steps(x) != live_steps(y)) return live_steps(x) < live_steps(y) ? 1 : -1;
    return by_size(a, b);
}

static const dmi_compare orders[] = {by_size, peak_first};

/* ---- offsets ---- */

/* Sets at_peak. Memory use only grows where a range begins, so only those steps are tried. */
static void find_peak(dmi_buffer *buffers, int32_t count) {
    size_t most = 0;
    int32_t peak = 0;
    for (int32_t i = 0; i < 2 * count; i++) {
        dmi_live_range range = buffers[i / 2].ranges[i % 2];
        size_t floats = 0;
        if (!dmi_is_live(range)) continue;
        for (int32_t k = 0; k < count; k++)
            if (is_live_at(&buffers[k], range.first)) floats += buffers[k].floats;
        if (floats > most) most = floats, peak = range.first;
    }
    for (int32_t i = 0; i < count; i++) buffers[i].at_peak = is_live_at(&buffers[i], peak);
}

/* The lowest offset at which b shares memory with none of the buffers that it overlaps in time.
 * order [assigned]: the buffers that have an offset, by increasing offset. */
static size_t lowest_offset(const dmi_buffer *buffers, const int32_t *order, int32_t assigned,
                            const dmi_buffer *b) {
    size_t offset = 0;
    for (int32_t i = 0; i < assigned; i++) {
        const dmi_buffer *other = &buffers[order[i]];
        if (!overlap(other, b)) continue;
        if (other->offset >= offset + b->floats) break;
        offset = dmi_max_size(offset, other->offset + other->floats);
    }
    return offset;
}

/* Assigns offsets in the present order of the buffers; returns the arena's size. */
static size_t assign_in_order(dmi_buffer *buffers, int32_t count, int32_t *order) {
    size_t size = 0;
    for (int32_t i = 0; i < count; i++) {
        dmi_buffer *b = &buffers[i];
        b->offset = lowest_offset(buffers, order, i, b);
        size = dmi_max_size(size, b->offset + b->floats);
        int32_t at = i; /* insertion sort by offset */
        for (; at > 0 && buffers[order[at - 1]].offset > b->offset; at--) order[at] = order[at - 1];
        order[at] = i;
    }
    return size;
}

size_t dmi_assign_offsets(dmi_buffer *buffers, int32_t count, int32_t *order) {
    size_t best = SIZE_MAX;
    find_peak(buffers, count);
    for (size_t i = 0; i < sizeof orders / sizeof *orders; i++) {
        dmi_sort(buffers, (size_t)count, sizeof *buffers, orders[i]);
        size_t size = assign_in_order(buffers, count, order);
        if (size >= best) continue;
        best = size;
        for (int32_t k = 0; k < count; k++) *buffers[k].target = buffers[k].offset;
    }
    return best;
}
