/* SPDX-License-Identifier: MIT */
/* Numbers that look random and are always the same. */
#ifndef DIFFUSION_DATA_RANDOM_BITS_H
#define DIFFUSION_DATA_RANDOM_BITS_H

#include <stdint.h>

#define RANDOM_BITS_STEP UINT64_C(0x9E3779B97F4A7C15)

/* SplitMix64's mixing function (Steele et al. 2014): of a state that grows by RANDOM_BITS_STEP. */
static inline uint64_t random_bits(uint64_t state) {
    state = (state ^ (state >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    state = (state ^ (state >> 27)) * UINT64_C(0x94D049BB133111EB);
    return state ^ (state >> 31);
}

#endif
