/* SPDX-License-Identifier: MIT */
/* Philox 4x32-10 (Salmon et al. 2011), many blocks at a time: the same words as those of
 * base/random.h, whose dmi_philox computes one block. */
#include <string.h>

#include "kernels/families.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

/* A word is the lower half of a lane of 64 bits; the upper half is arbitrary until the end. */
#if defined(__AVX512F__)
enum { LANES = 8 };
#elif defined(__AVX2__)
enum { LANES = 4 };
#else
enum { LANES = 2 };
#endif
enum {
    SETS = 2, /* of vectors at a time, since a multiplication has a latency of five cycles */
    BLOCKS = SETS * LANES,
    ROUNDS = 10
};

typedef uint64_t lanes __attribute__((vector_size(8 * LANES)));

/* The 64-bit products of the lower halves: one instruction, which compilers do not find by
 * themselves. */
static inline lanes product(lanes a, lanes b) {
#if defined(__AVX512F__)
    return (lanes)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (lanes)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (lanes)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & 0xFFFFFFFFu) * (b & 0xFFFFFFFFu);
#endif
}

void DMI_KERNEL(random_words)(uint32_t *words, const uint32_t key[2], const uint32_t counter[4],
                              size_t blocks) {
    const lanes by0 = (lanes){0} + 0xD2511F53u, by1 = (lanes){0} + 0xCD9E8D57u;
    const uint64_t first = (uint64_t)counter[1] << 32 | counter[0];
    for (size_t done = 0; done < blocks; done += BLOCKS, words += 4 * BLOCKS) {
        lanes c0[SETS], c1[SETS], c2[SETS], c3[SETS];
        uint32_t k0 = key[0], k1 = key[1], last[4 * BLOCKS],
                 *out = blocks - done < BLOCKS ? last : words;
        for (int s = 0; s < SETS; s++) {
            uint64_t number[LANES];
            for (int l = 0; l < LANES; l++) number[l] = first + done + (size_t)(s * LANES + l);
            memcpy(&c0[s], number, sizeof number);
            c1[s] = c0[s] >> 32;
            c2[s] = (lanes){0} + counter[2];
            c3[s] = (lanes){0} + counter[3];
        }
        for (int round = 0; round < ROUNDS; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u) {
            for (int s = 0; s < SETS; s++) {
                lanes p0 = product(c0[s], by0), p1 = product(c2[s], by1);
                c0[s] = p1 >> 32 ^ c1[s] ^ k0;
                c1[s] = p1;
                c2[s] = p0 >> 32 ^ c3[s] ^ k1;
                c3[s] = p0;
            }
        }
        for (int s = 0; s < SETS; s++) {
            uint64_t low[LANES], high[LANES];
            lanes pair = (c0[s] & 0xFFFFFFFFu) | c1[s] << 32;
            memcpy(low, &pair, sizeof low);
            pair = (c2[s] & 0xFFFFFFFFu) | c3[s] << 32;
            memcpy(high, &pair, sizeof high);
            for (int l = 0; l < LANES; l++) {
                uint32_t *to = out + 4 * (s * LANES + l);
                to[0] = (uint32_t)low[l];
                to[1] = (uint32_t)(low[l] >> 32);
                to[2] = (uint32_t)high[l];
                to[3] = (uint32_t)(high[l] >> 32);
            }
        }
        if (out == last) memcpy(words, last, (blocks - done) * 4 * sizeof *words);
    }
}
