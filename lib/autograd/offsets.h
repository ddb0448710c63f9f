/* SPDX-License-Identifier: MIT */
/* Assigns arena offsets to buffers with known live ranges. Buffers whose ranges overlap get
 * disjoint memory; others may share it. */
#ifndef DMI_AUTOGRAD_OFFSETS_H
#define DMI_AUTOGRAD_OFFSETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Steps first to last, both included; empty where last < first. */
typedef struct dmi_live_range {
    int32_t first, last;
} dmi_live_range;

static inline bool dmi_is_live(dmi_live_range range) { return range.first <= range.last; }

typedef struct dmi_buffer {
    size_t floats; /* whole cache lines */
    /* The second follows the first, or is empty: a recomputed activation keeps its offset. */
    dmi_live_range ranges[2];
    size_t *target; /* receives the offset, in floats */
    int32_t number; /* unique; breaks ties, so that a plan is reproducible */
    /* Used by dmi_assign_offsets: */
    bool at_peak; /* live at the step of peak memory use */
    size_t offset;
} dmi_buffer;

/* Sets *target of every buffer and returns the arena's size in floats. Reorders buffers [count];
 * order [count] is scratch. */
size_t dmi_assign_offsets(dmi_buffer *buffers, int32_t count, int32_t *order);

#endif
