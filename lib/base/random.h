/* SPDX-License-Identifier: MIT */
/* Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011). A number is a function of its
 * address (seed, stream, index, element), so nothing is replayed on resume and an image does not
 * depend on its batch. */
#ifndef DMI_BASE_RANDOM_H
#define DMI_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* Streams: what numbers are used for. Two uses never share numbers. The comment says what `index`
 * counts. */
enum {
    DMI_STREAM_INIT = 1,                 /* initial weights: tensors */
    DMI_STREAM_SHUFFLE = 2,              /* order of the data: epochs */
    DMI_STREAM_TIMESTEP = 3,             /* training timesteps: images since the run's start */
    DMI_STREAM_NOISE = 4,                /* training noise: likewise */
    DMI_STREAM_FLIP = 5,                 /* horizontal flips: likewise */
    DMI_STREAM_DROPOUT = 6,              /* dropout masks: step and node */
    DMI_STREAM_SAMPLE = 7,               /* sampling noise: solver steps */
    DMI_STREAM_BUILTIN = 8,              /* the built-in dataset: images */
    DMI_STREAM_INPAINT = 9,              /* noise on the region that a mask keeps: solver steps */
    DMI_STREAM_RENOISE = 10,             /* noise to return to an earlier level: solver steps */
    DMI_STREAM_CROP = 11,                /* shifts: images since the run's start */
    DMI_STREAM_LABEL = 12,               /* dropped labels: likewise */
    DMI_STREAM_SELF_CONDITION = 13,      /* self-conditioning: forward passes of the run */
    DMI_STREAM_EVALUATION_TIMESTEP = 14, /* timesteps of an evaluation: images */
    DMI_STREAM_EVALUATION_NOISE = 15,    /* its noise: image and timestep */
    DMI_STREAM_CONDITION = 16            /* dropped conditions: images since the run's start */
};

typedef struct dmi_random {
    uint32_t key[2];     /* the seed */
    uint32_t counter[4]; /* words 0 and 1: number of the block of four elements; 2 and 3: index,
                            with the stream in the upper 8 bits */
} dmi_random;

/* The block of four numbers at `counter` with `key`. */
void dmi_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

/* The sequence of (seed, stream, index). Distinct triples give independent sequences; index below
 * 2^56. */
dmi_random dmi_random_at(uint64_t seed, uint32_t stream, uint64_t index);

/* The first `count` numbers of the sequence, as 32 random bits each. */
void dmi_random_bits(const dmi_random *at, uint32_t *out, size_t count);
/* The same as numbers in [0, 1), multiples of 2^-24. */
void dmi_random_uniform(const dmi_random *at, float *out, size_t count);
/* The same as standard normal numbers, by Box and Muller: each block of four numbers gives two
 * pairs (r cos a, r sin a). */
void dmi_random_normal(const dmi_random *at, float *out, size_t count);
/* Element `element` of the sequence as an integer in [0, bound), without bias beyond 2^-32. */
uint32_t dmi_random_below(const dmi_random *at, uint64_t element, uint32_t bound);

/* Element `position` of the permutation of [0, count) that (seed, index) selects: the shuffled
 * order of an epoch. A Feistel network over Philox with cycle walking, so nothing is stored. */
uint64_t dmi_random_permute(uint64_t seed, uint64_t index, uint64_t position, uint64_t count);

#endif
