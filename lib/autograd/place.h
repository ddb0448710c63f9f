/* Places in the arena for buffers whose lives are known: those in use at the same moment never
 * overlap, others share. */
#ifndef DMI_AUTOGRAD_PLACE_H
#define DMI_AUTOGRAD_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Moments, both included; none where last is before first. */
typedef struct dmi_life {
    int32_t first, last;
} dmi_life;

static inline bool dmi_alive(dmi_life life) { return life.first <= life.last; }

typedef struct dmi_buffer {
    size_t floats;     /* whole cache lines */
    dmi_life lives[2]; /* the second after the first: what is made again in backward stands at the
                          same place as before */
    size_t *place;     /* where the offset is told */
    int32_t number;    /* settles ties, so that a plan is the same on every run */
    /* For dmi_place itself: */
    bool at_fullest; /* in use at the moment at which most memory is */
    size_t offset;
} dmi_buffer;

/* Gives each its place, and changes their order; the size of the arena. order: room for `count`
 * indices. */
size_t dmi_place(dmi_buffer *buffers, int32_t count, int32_t *order);

#endif
