/* SPDX-License-Identifier: MIT */
/* The floating-point mode of a thread: direction of rounding, and whether denormal numbers count as
 * zero. Threads of the pool compute in that of the thread that calls the library, so that results
 * do not depend on which thread computes them. */
#ifndef DMI_BASE_FLOAT_MODE_H
#define DMI_BASE_FLOAT_MODE_H

#include <stdint.h>

typedef uint64_t dmi_float_mode;

dmi_float_mode dmi_float_mode_get(void);
void dmi_float_mode_set(dmi_float_mode mode);

/* Rounds to nearest until the mode that is returned is restored: numbers in files do not depend on
 * the caller's direction of rounding. Also for the x87 unit, whose mode C libraries may ask. */
int dmi_round_to_nearest(void);
void dmi_restore_rounding(int direction);

#endif
