/* Counter-based random numbers: Philox 4x32-10 (Salmon et al. 2011). A number depends on its
 * address alone, so nothing is replayed on resume and a picture does not depend on its batch. */
#ifndef DMI_BASE_RANDOM_H
#define DMI_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* What a number is for: two uses never share numbers. */
enum {
    DMI_STREAM_INIT = 1,                 /* weights: index = tensor */
    DMI_STREAM_SHUFFLE = 2,              /* order of the data: index = epoch */
    DMI_STREAM_TIMESTEP = 3,             /* index = position in the whole run */
    DMI_STREAM_NOISE = 4,                /* training noise: likewise */
    DMI_STREAM_FLIP = 5,                 /* likewise */
    DMI_STREAM_DROPOUT = 6,              /* index = step and node */
    DMI_STREAM_SAMPLE = 7,               /* sampling noise: index = solver step */
    DMI_STREAM_BUILTIN = 8,              /* the built-in pictures: index = picture */
    DMI_STREAM_INPAINT = 9,              /* noise on what a mask keeps: index = solver step */
    DMI_STREAM_RENOISE = 10,             /* noise to go back to an earlier step: likewise */
    DMI_STREAM_CROP = 11,                /* index = position in the whole run */
    DMI_STREAM_LABEL = 12,               /* labels that are dropped: likewise */
    DMI_STREAM_SELF_CONDITION = 13,      /* self-conditioning: index = pass of the whole run */
    DMI_STREAM_EVALUATION_TIMESTEP = 14, /* timesteps of an evaluation: index = picture */
    DMI_STREAM_EVALUATION_NOISE = 15     /* its noise: index = picture and question */
};

typedef struct dmi_random {
    uint32_t key[2];     /* the seed */
    uint32_t counter[4]; /* element block (64 bit: words 0 and 1), then index and stream folded in
                            words 2 and 3 */
} dmi_random;

/* The block of four numbers at `counter` under `key`. */
void dmi_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

/* The sequence of (seed, stream, index). Distinct triples give independent sequences; index below
 * 2^56. */
dmi_random dmi_random_at(uint64_t seed, uint32_t stream, uint64_t index);

/* count numbers of the sequence, from its start, whatever was asked before. */
void dmi_random_bits(const dmi_random *at, uint32_t *out, size_t count);
/* In [0, 1), 24 bits. */
void dmi_random_uniform(const dmi_random *at, float *out, size_t count);
/* Standard normal, by Box and Muller: pairs (r cos a, r sin a) from one block of four numbers for
 * four values. */
void dmi_random_normal(const dmi_random *at, float *out, size_t count);
/* Element `element` of the sequence as an integer in [0, bound), without bias beyond 2^-32. */
uint32_t dmi_random_below(const dmi_random *at, uint64_t element, uint32_t bound);

/* A bijection of [0, count) drawn from (seed, index): where position `position` of an epoch's
 * shuffled order points. A Feistel network over Philox with cycle walking, so nothing is stored. */
uint64_t dmi_random_permute(uint64_t seed, uint64_t index, uint64_t position, uint64_t count);

#endif
