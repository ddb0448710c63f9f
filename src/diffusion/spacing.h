/* SPDX-License-Identifier: MIT */
/* Timesteps in equal distances, in integers, so that no rounding error decides a tie. */
#ifndef DM_SRC_DIFFUSION_SPACING_H
#define DM_SRC_DIFFUSION_SPACING_H

#include <stdbool.h>
#include <stdint.h>

/* n / d rounded to the nearest integer, half to even; n is at least 0, d above 0. */
int32_t dmi_divide_round(int64_t n, int64_t d);
/* Entry i of DM_SPACING_TRAILING with `steps` of `total` timesteps: round(total - i total / steps)
 * - 1. Entry `steps`, -1, is the clean image. */
int32_t dmi_trailing_timestep(int32_t total, int32_t steps, int32_t i);
/* The reverse: the entry that is `timestep`, from 0 to steps - 1, or -1 if none is. `steps` is at
 * most total / 2, and at least 1. */
int32_t dmi_trailing_entry(int32_t total, int32_t steps, int32_t timestep);

#endif
