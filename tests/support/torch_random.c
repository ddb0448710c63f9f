/* See torch_random.h. */
#include "support/torch_random.h"

#include <math.h>

enum { N = 624, M = 397, BLOCK = 16 };

void test_torch_seed(test_torch *g, uint32_t seed) {
    g->state[0] = seed;
    for (uint32_t i = 1; i < N; i++) g->state[i] = 1812433253u * (g->state[i - 1] ^ (g->state[i - 1] >> 30)) + i;
    g->next = N;
}

static void twist(test_torch *g) {
    for (int32_t i = 0; i < N; i++) {
        uint32_t y = (g->state[i] & 0x80000000u) | (g->state[(i + 1) % N] & 0x7fffffffu);
        g->state[i] = g->state[(i + M) % N] ^ (y >> 1) ^ (y & 1 ? 0x9908b0dfu : 0);
    }
    g->next = 0;
}

static float uniform(test_torch *g) {
    if (g->next == N) twist(g);
    uint32_t y = g->state[g->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    y ^= y >> 18;
    return (float)(y & 0xffffff) * 0x1p-24f;
}

/* Box and Muller on 16 uniform numbers: the first 8 give the radius, the others the angle. */
static void transform(float d[BLOCK]) {
    for (int j = 0; j < BLOCK / 2; j++) {
        float r = sqrtf(-2 * logf(1 - d[j])), a = 6.28318530717958647692f * d[j + BLOCK / 2];
        d[j] = r * cosf(a);
        d[j + BLOCK / 2] = r * sinf(a);
    }
}

void test_torch_randn(test_torch *g, float *out, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = uniform(g);
    for (size_t i = 0; i + BLOCK <= count; i += BLOCK) transform(out + i);
    if (count % BLOCK == 0) return;
    float *last = out + count - BLOCK;
    for (int i = 0; i < BLOCK; i++) last[i] = uniform(g);
    transform(last);
}
