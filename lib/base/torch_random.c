/* SPDX-License-Identifier: MIT */
/* See torch_random.h. */
#include "base/torch_random.h"

#include <math.h>

enum { N = 624, M = 397, BLOCK = 16 };

void dmi_torch_seed(dmi_torch *g, uint64_t seed) {
    g->state[0] = (uint32_t)seed;
    for (uint32_t i = 1; i < N; i++)
        g->state[i] = 1812433253u * (g->state[i - 1] ^ (g->state[i - 1] >> 30)) + i;
    g->next = N;
    g->has_spare = false;
}

static void twist(dmi_torch *g) {
    for (int32_t i = 0; i < N; i++) {
        uint32_t y = (g->state[i] & 0x80000000u) | (g->state[(i + 1) % N] & 0x7fffffffu);
        g->state[i] = g->state[(i + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    g->next = 0;
}

static uint32_t word(dmi_torch *g) {
    if (g->next == N) twist(g);
    uint32_t y = g->state[g->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ y >> 18;
}

static float uniform(dmi_torch *g) { return (float)(word(g) & 0xffffff) * 0x1p-24f; }

static double uniform_double(dmi_torch *g) {
    uint64_t high = word(g), low = word(g);
    return (double)((high << 32 | low) & 0x1fffffffffffff) * 0x1p-53;
}

/* Box and Muller on 16 uniform numbers: the first 8 give the radius, the others the angle. */
static void transform(float d[BLOCK]) {
    for (int j = 0; j < BLOCK / 2; j++) {
        float r = sqrtf(-2 * logf(1 - d[j])), a = 6.28318530717958647692f * d[j + BLOCK / 2];
        d[j] = r * cosf(a);
        d[j + BLOCK / 2] = r * sinf(a);
    }
}

/* One number of a pair, computed in double; the second is stored for the next call. */
static double one_normal(dmi_torch *g) {
    if (g->has_spare) {
        g->has_spare = false;
        return g->spare;
    }
    double angle = uniform_double(g), radius = uniform_double(g);
    double r = sqrt(-2 * log1p(-radius)), a = 2 * 3.14159265358979323846 * angle;
    g->spare = r * sin(a);
    g->has_spare = true;
    return r * cos(a);
}

void dmi_torch_uniform(dmi_torch *g, float *out, size_t count, float low, float high) {
    for (size_t i = 0; i < count; i++) out[i] = uniform(g) * (high - low) + low;
}

void dmi_torch_randn(dmi_torch *g, float *out, size_t count) {
    if (count < BLOCK) {
        for (size_t i = 0; i < count; i++) out[i] = (float)one_normal(g);
        return;
    }
    for (size_t i = 0; i < count; i++) out[i] = uniform(g);
    for (size_t i = 0; i + BLOCK <= count; i += BLOCK) transform(out + i);
    if (count % BLOCK == 0) return;
    float *last = out + count - BLOCK;
    for (int i = 0; i < BLOCK; i++) last[i] = uniform(g);
    transform(last);
}
