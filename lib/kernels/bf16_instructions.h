/* SPDX-License-Identifier: MIT */
/* The instructions of bf16_product.h's kernels, or with DMI_EMULATED what they do in plain C, by
 * which the tests prove kernels whose instructions the machine at hand lacks.
 *
 * A product of two bfloat16 is exact in float, so what is rounded are sums, to nearest.
 * Instructions take subnormal numbers for zero; the emulations do not, and what is said of them
 * holds for others:
 *
 * - pairs: VDPBF16PS adds the product of the odd elements to the sum, then that of the even ones
 *   (Intel's manual, volume 2). The emulation has its bits. BFDOT of AArch64 adds the two products
 *   first and rounds to odd, so its last bits differ.
 * - tiles: TDPBF16PS sums the even and the odd elements of up to 16 pairs apart, each from zero,
 * and adds their sum to c (the same manual). The emulation has its bits.
 * - quads: BFMMLA of AArch64, two rows by two columns by four elements, rounds to odd as BFDOT
 * does; the emulation rounds to nearest, so its last bits differ. */
#ifndef DMI_KERNELS_BF16_INSTRUCTIONS_H
#define DMI_KERNELS_BF16_INSTRUCTIONS_H

#include <string.h>

#include "kernels/bf16_product.h"
#include "kernels/vector.h"

#if defined(DMI_EMULATED)

#include "base/half.h"

static inline float dmi_widened(uint16_t x) { return dmi_bfloat16_to_float(x); }

/* ---- pairs: vectors of PAIR_LANES sums, each with two elements of a and of b ---- */

enum { PAIR_LANES = 4 };
#define DMI_PAIRS_TARGET
typedef struct pair_sums {
    float lane[PAIR_LANES];
} pair_sums;
typedef struct pair_vector {
    uint16_t element[2 * PAIR_LANES];
} pair_vector;

static inline pair_sums zero_sums(void) { return (pair_sums){{0}}; }
static inline pair_vector load_pairs(const uint16_t *p) {
    pair_vector v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline pair_vector repeat_pair(const uint16_t *p) {
    pair_vector v;
    for (int i = 0; i < 2 * PAIR_LANES; i++) v.element[i] = p[i % 2];
    return v;
}
static inline pair_sums add_pairs(pair_sums sums, pair_vector a, pair_vector b) {
    for (int i = 0; i < PAIR_LANES; i++)
        for (int k = 1; k >= 0; k--)
            sums.lane[i] += dmi_widened(a.element[2 * i + k]) * dmi_widened(b.element[2 * i + k]);
    return sums;
}
static inline void store_sums(float *p, pair_sums sums) { memcpy(p, &sums, sizeof sums); }

/* ---- quads: 2x2 sums ---- */

#define DMI_QUADS_TARGET
typedef struct quad_sums {
    float lane[4]; /* [row][column] */
} quad_sums;
typedef struct quad_vector {
    uint16_t element[8]; /* [row or column][4] */
} quad_vector;

static inline quad_sums zero_quads(void) { return (quad_sums){{0}}; }
static inline quad_vector load_quads(const uint16_t *p) {
    quad_vector v;
    memcpy(&v, p, sizeof v);
    return v;
}
/* Four elements of each of two rows. */
static inline quad_vector join_rows(const uint16_t *first, const uint16_t *second) {
    quad_vector v;
    memcpy(v.element, first, 4 * sizeof *first);
    memcpy(v.element + 4, second, 4 * sizeof *second);
    return v;
}
static inline quad_sums add_quads(quad_sums sums, quad_vector a, quad_vector b) {
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < 4; k += 2) {
            const uint16_t *x = a.element + i / 2 * 4 + k, *y = b.element + i % 2 * 4 + k;
            sums.lane[i] +=
                dmi_widened(x[0]) * dmi_widened(y[0]) + dmi_widened(x[1]) * dmi_widened(y[1]);
        }
    return sums;
}
/* Row `row` of the sums, two floats. */
static inline void store_quads(float *p, quad_sums sums, int row) {
    memcpy(p, sums.lane + 2 * row, 2 * sizeof *p);
}

/* ---- tiles: 8 of 16 rows of 64 bytes ---- */

#define DMI_TILES_TARGET
static _Thread_local union {
    uint16_t half[16][32];
    float sum[16][16];
} dmi_tile[8];

static inline void tiles_configure(const void *configuration) { (void)configuration; }
static inline void tiles_release(void) { memset(dmi_tile, 0x55, sizeof dmi_tile); }
#define tile_zero(t) memset(&dmi_tile[t], 0, sizeof dmi_tile[t])
static inline void dmi_tile_copy(int t, void *memory, size_t stride, int store) {
    for (size_t row = 0; row < 16; row++) {
        void *line = (char *)memory + row * stride;
        if (store) memcpy(line, dmi_tile[t].half[row], 64);
        else memcpy(dmi_tile[t].half[row], line, 64);
    }
}
#define tile_load(t, p, stride) dmi_tile_copy(t, (void *)(uintptr_t)(p), stride, 0)
#define tile_store(t, p, stride) dmi_tile_copy(t, p, stride, 1)
static inline void dmi_tile_dot(int c, int a, int b) {
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 16; n++) {
            float sum[2] = {0};
            for (int k = 0; k < 16; k++)
                for (int i = 0; i < 2; i++)
                    sum[i] += dmi_widened(dmi_tile[a].half[m][2 * k + i]) *
                              dmi_widened(dmi_tile[b].half[k][2 * n + i]);
            dmi_tile[c].sum[m][n] += sum[0] + sum[1];
        }
}
#define tile_dot(c, a, b) dmi_tile_dot(c, a, b)

#elif defined(__x86_64__)

#include <immintrin.h>

enum { PAIR_LANES = 16 };
#define DMI_PAIRS_TARGET __attribute__((target("avx512f,avx512vl,avx512bf16")))
typedef __m512 pair_sums;
typedef __m512bh pair_vector;

DMI_PAIRS_TARGET static inline pair_sums zero_sums(void) { return _mm512_setzero_ps(); }
DMI_PAIRS_TARGET static inline pair_vector load_pairs(const uint16_t *p) {
    return (pair_vector)_mm512_loadu_si512(p);
}
DMI_PAIRS_TARGET static inline pair_vector repeat_pair(const uint16_t *p) {
    int32_t pair;
    memcpy(&pair, p, sizeof pair);
    return (pair_vector)_mm512_set1_epi32(pair);
}
DMI_PAIRS_TARGET static inline pair_sums add_pairs(pair_sums sums, pair_vector a, pair_vector b) {
    return _mm512_dpbf16_ps(sums, a, b);
}
DMI_PAIRS_TARGET static inline void store_sums(float *p, pair_sums sums) {
    _mm512_storeu_ps(p, sums);
}

#define DMI_TILES_TARGET __attribute__((target("amx-tile,amx-bf16")))
#define tiles_configure(configuration) _tile_loadconfig(configuration)
#define tiles_release() _tile_release()
#define tile_zero(t) _tile_zero(t)
#define tile_load(t, p, stride) _tile_loadd(t, p, stride)
#define tile_store(t, p, stride) _tile_stored(t, p, stride)
#define tile_dot(c, a, b) _tile_dpbf16ps(c, a, b)

#elif defined(__aarch64__)

#include <arm_neon.h>

enum { PAIR_LANES = 4 };
#define DMI_PAIRS_TARGET __attribute__((target("arch=armv8.2-a+bf16")))
#define DMI_QUADS_TARGET DMI_PAIRS_TARGET
typedef float32x4_t pair_sums, quad_sums;
typedef bfloat16x8_t pair_vector, quad_vector;

DMI_PAIRS_TARGET static inline pair_sums zero_sums(void) { return vdupq_n_f32(0); }
DMI_PAIRS_TARGET static inline pair_vector load_pairs(const uint16_t *p) {
    return vreinterpretq_bf16_u16(vld1q_u16(p));
}
DMI_PAIRS_TARGET static inline pair_vector repeat_pair(const uint16_t *p) {
    uint32_t pair;
    memcpy(&pair, p, sizeof pair);
    return vreinterpretq_bf16_u32(vdupq_n_u32(pair));
}
DMI_PAIRS_TARGET static inline pair_sums add_pairs(pair_sums sums, pair_vector a, pair_vector b) {
    return vbfdotq_f32(sums, a, b);
}
DMI_PAIRS_TARGET static inline void store_sums(float *p, pair_sums sums) { vst1q_f32(p, sums); }

DMI_QUADS_TARGET static inline quad_sums zero_quads(void) { return vdupq_n_f32(0); }
DMI_QUADS_TARGET static inline quad_vector load_quads(const uint16_t *p) { return load_pairs(p); }
DMI_QUADS_TARGET static inline quad_vector join_rows(const uint16_t *first,
                                                     const uint16_t *second) {
    return vreinterpretq_bf16_u16(vcombine_u16(vld1_u16(first), vld1_u16(second)));
}
DMI_QUADS_TARGET static inline quad_sums add_quads(quad_sums sums, quad_vector a, quad_vector b) {
    return vbfmmlaq_f32(sums, a, b);
}
DMI_QUADS_TARGET static inline void store_quads(float *p, quad_sums sums, int row) {
    vst1_f32(p, row ? vget_high_f32(sums) : vget_low_f32(sums));
}

#endif

#endif
