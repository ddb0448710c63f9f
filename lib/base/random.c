/* SPDX-License-Identifier: MIT */
/* Philox, and distributions from its numbers. Only additions, multiplications, divisions and square
 * roots of IEEE floats are used, no libm, so that a number is the same on every machine. */
#include "base/random.h"

#include <math.h>
#include <string.h>

#include "base/math.h"

enum {
    ROUNDS = 10,
    BATCH = 64, /* blocks at a time, so that the compiler can vectorise the loops over them */
    WORDS = 4 * BATCH
};

static const uint32_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u};
static const uint32_t weyl[2] = {0x9E3779B9u, 0xBB67AE85u};

void dmi_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
    uint32_t k0 = key[0], k1 = key[1];
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t p0 = (uint64_t)multiplier[0] * c0;
        const uint64_t p1 = (uint64_t)multiplier[1] * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += weyl[0];
        k1 += weyl[1];
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

dmi_random dmi_random_at(uint64_t seed, uint32_t stream, uint64_t index) {
    const dmi_random at = {
        .key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
        .counter = {0, 0, (uint32_t)index, (uint32_t)(index >> 32 & 0xffffffu) | stream << 24},
    };
    return at;
}

static void block_at(const dmi_random *at, uint64_t block, uint32_t out[4]) {
    const uint64_t first = ((uint64_t)at->counter[1] << 32 | at->counter[0]) + block;
    const uint32_t counter[4] = {(uint32_t)first, (uint32_t)(first >> 32), at->counter[2],
                                 at->counter[3]};
    dmi_philox(at->key, counter, out);
}

void dmi_random_bits(const dmi_random *at, uint32_t *out, size_t count) {
    size_t i = 0;
    for (; count - i >= 4; i += 4) block_at(at, i / 4, out + i);
    if (i < count) {
        uint32_t last[4];
        block_at(at, i / 4, last);
        memcpy(out + i, last, (count - i) * sizeof *out);
    }
}

void dmi_random_uniform(const dmi_random *at, float *out, size_t count) {
    uint32_t bits[WORDS];
    for (size_t done = 0; done < count; done += WORDS) {
        const size_t wanted = dmi_min_size(count - done, WORDS);
        for (size_t k = 0; 4 * k < wanted; k++) block_at(at, done / 4 + k, bits + 4 * k);
        for (size_t k = 0; k < wanted; k++)
            out[done + k] = (float)(int32_t)(bits[k] >> 8) * 0x1p-24f;
    }
}

static uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* sqrt(-2 ln u) for u = (the upper 31 bits + 1/2) / 2^31, a float; at most 6.66. ln u = e ln 2 + ln
 * m with m in [sqrt(1/2), sqrt 2), and ln m = 2 artanh s, s = (m - 1) / (m + 1), |s| < 0.172: the
 * series' first left-out term is below 1e-9 of it. */
static float radius(uint32_t bits) {
    const float u = (float)(int32_t)(bits >> 1) * 0x1p-31f + 0x1p-32f;
    const uint32_t pattern = bits_of(u), root_half = 0x3f3504f3u;
    const int32_t e = (int32_t)(pattern - root_half) >> 23;
    const float m = float_of(pattern - ((uint32_t)e << 23));
    const float s = (m - 1.0f) / (m + 1.0f), q = s * s;
    const float series =
        s * q * (2.0f / 3.0f + q * (2.0f / 5.0f + q * (2.0f / 7.0f + q * (2.0f / 9.0f))));
    const float log_u = (float)e * 0.693147181f + (2.0f * s + series);
    return sqrtf(-2.0f * log_u);
}

/* Cosine and sine of the angle bits / 2^32 turns. The nearest quarter turn is taken off exactly, in
 * integers; the rest is at most pi/4, where the Taylor series' first left-out terms are below
 * 3e-9. */
static void cosine_sine(uint32_t bits, float *cosine, float *sine) {
    const uint32_t quarter = (bits + 0x20000000u) >> 30;
    const float x = (float)(int32_t)(bits - (quarter << 30)) * (1.57079633f * 0x1p-30f), q = x * x;
    const float s =
        x + x * q * (-1.0f / 6 + q * (1.0f / 120 + q * (-1.0f / 5040 + q * (1.0f / 362880))));
    const float c4 = 1.0f / 24 + q * (-1.0f / 720 + q * (1.0f / 40320 + q * (-1.0f / 3628800)));
    const float c = 1.0f + q * (-0.5f + q * c4);
    const uint32_t swap = 0u - (quarter & 1u);
    const uint32_t cosine_sign = ((quarter + 1) & 2u) << 30, sine_sign = (quarter & 2u) << 30;
    *cosine = float_of(((bits_of(s) & swap) | (bits_of(c) & ~swap)) ^ cosine_sign);
    *sine = float_of(((bits_of(c) & swap) | (bits_of(s) & ~swap)) ^ sine_sign);
}

/* Normals from pairs of numbers: first[k] for the radius, second[k] for the angle. Always a
 * whole batch, so that no value depends on how many are used. */
static void box_muller(const uint32_t first[2 * BATCH], const uint32_t second[2 * BATCH],
                       float out[WORDS]) {
    float x[2 * BATCH], y[2 * BATCH];
    for (int k = 0; k < 2 * BATCH; k++) {
        const float r = radius(first[k]);
        float cosine, sine;
        cosine_sine(second[k], &cosine, &sine);
        x[k] = r * cosine;
        y[k] = r * sine;
    }
    for (size_t k = 0; k < WORDS / 2; k++) {
        out[2 * k] = x[k];
        out[2 * k + 1] = y[k];
    }
}

void dmi_random_normal(const dmi_random *at, float *out, size_t count) {
    uint32_t first[2 * BATCH], second[2 * BATCH];
    float last[WORDS];
    for (size_t done = 0; done < count; done += WORDS) {
        const size_t wanted = dmi_min_size(count - done, WORDS);
        for (size_t k = 0; k < BATCH; k++) {
            uint32_t block[4];
            block_at(at, done / 4 + k, block);
            first[2 * k] = block[0];
            second[2 * k] = block[1];
            first[2 * k + 1] = block[2];
            second[2 * k + 1] = block[3];
        }
        if (wanted == WORDS) {
            box_muller(first, second, out + done);
            continue;
        }
        box_muller(first, second, last);
        memcpy(out + done, last, wanted * sizeof *out);
    }
}

uint32_t dmi_random_below(const dmi_random *at, uint64_t element, uint32_t bound) {
    uint32_t block[4];
    block_at(at, element / 4, block);
    return (uint32_t)((uint64_t)block[element % 4] * bound >> 32);
}

/* The Feistel network permutes the numbers of the fewest bits that hold `count`: two halves, each
 * in turn XORed with a function of the other. A result outside [0, count), less than every second
 * one, is permuted again. */
uint64_t dmi_random_permute(uint64_t seed, uint64_t index, uint64_t position, uint64_t count) {
    enum { FEISTEL_ROUNDS = 8 };
    if (count <= 1) return 0;
    uint32_t bits = 1;
    while (bits < 64 && (count - 1) >> bits != 0) bits++;
    const uint32_t low_bits = (bits + 1) / 2, high_bits = bits - low_bits;
    const uint64_t low_mask = (UINT64_C(1) << low_bits) - 1,
                   high_mask = (UINT64_C(1) << high_bits) - 1;

    const dmi_random at = dmi_random_at(seed, DMI_STREAM_SHUFFLE, index);
    uint64_t value = position;
    do {
        uint64_t low = value & low_mask, high = value >> low_bits & high_mask;
        for (uint32_t round = 0; round < FEISTEL_ROUNDS; round += 2) {
            uint32_t mixed[4];
            dmi_philox(at.key,
                       (const uint32_t[4]){(uint32_t)high, round, at.counter[2], at.counter[3]},
                       mixed);
            low ^= mixed[0] & low_mask;
            dmi_philox(at.key,
                       (const uint32_t[4]){(uint32_t)low, round + 1, at.counter[2], at.counter[3]},
                       mixed);
            high ^= mixed[0] & high_mask;
        }
        value = high << low_bits | low;
    } while (value >= count);
    return value;
}
