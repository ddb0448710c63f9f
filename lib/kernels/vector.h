/* SPDX-License-Identifier: MIT */
/* Vectors of W floats, the widest of the instruction set, in the vector extension that gcc and
 * clang share. The product's micro-kernel computes ROWS rows by two vectors (PANEL floats): its
 * accumulators, two vectors of b and one element of a fill the registers, of which AVX-512 and NEON
 * have 32 and the others 16. */
#ifndef DMI_KERNELS_VECTOR_H
#define DMI_KERNELS_VECTOR_H

#include <stddef.h>
#include <stdint.h>

#ifdef __AVX__
#include <immintrin.h>
#endif

#if defined(__AVX512F__) || defined(__aarch64__)
#define DMI_TWELVE_ROWS
enum { ROWS = 12 };
#else
enum { ROWS = 6 };
#endif

#if defined(__AVX512F__)
enum { W = 16 };
typedef float vec __attribute__((vector_size(64)));
typedef float vec_unaligned __attribute__((vector_size(64), aligned(4), may_alias));
#elif defined(__AVX__)
enum { W = 8 };
typedef float vec __attribute__((vector_size(32)));
typedef float vec_unaligned __attribute__((vector_size(32), aligned(4), may_alias));
#else
enum { W = 4 };
typedef float vec __attribute__((vector_size(16)));
typedef float vec_unaligned __attribute__((vector_size(16), aligned(4), may_alias));
#endif

enum { PANEL = 2 * W };

/* Before a loop with a constant trip count of at most 16: unrolls it fully, so that arrays indexed
 * by its counter become registers. */
#ifdef __clang__
#define DMI_UNROLL _Pragma("clang loop unroll(full)")
#else
#define DMI_UNROLL _Pragma("GCC unroll 16")
#endif

/* Before a loop with a long body: keeps it from being unrolled. */
#ifdef __clang__
#define DMI_NO_UNROLL _Pragma("clang loop unroll(disable)")
#else
#define DMI_NO_UNROLL _Pragma("GCC unroll 1")
#endif

static inline vec load(const float *p) { return *(const vec_unaligned *)p; }
static inline void store(float *p, vec v) { *(vec_unaligned *)p = v; }

/* Loads the vector at p into a register: gcc would fold the load into each instruction that uses
 * the value, and so load it several times. About 3 % of the transform of tiles. */
static inline __attribute__((always_inline)) vec load_once(const float *p) {
    vec v = load(p);
#if defined(__AVX512F__)
    __asm__("" : "+v"(v));
#elif defined(__SSE__)
    __asm__("" : "+x"(v));
#endif
    return v;
}

/* A non-temporal store of a whole cache line, where vectors are cache lines and the instruction set
 * has one; a plain store elsewhere. Data that is not read soon then costs half the memory traffic,
 * since its old contents are not fetched. p is aligned to the vector. */
static inline void store_streaming(float *p, vec v) {
#if defined(__AVX512F__) && defined(__clang__)
    __builtin_nontemporal_store(v, (vec *)p);
#elif defined(__AVX512F__)
    __builtin_ia32_movntps512(p, v);
#else
    store(p, v);
#endif
}

/* Orders non-temporal stores before what other threads read later: once after the last of them. */
static inline void end_streaming(void) {
#ifdef __AVX512F__
    __builtin_ia32_sfence();
#endif
}

/* Prefetches the cache line at p + floats, which may lie outside of the array. Always inline:
 * gcc takes such a function for one without effect, and drops calls that it does not inline at
 * once. */
static inline __attribute__((always_inline)) void prefetch(const float *p, size_t floats) {
    /* NOLINTNEXTLINE(performance-no-int-to-ptr): arithmetic on pointers must not leave the array */
    __builtin_prefetch((const void *)((uintptr_t)p + floats * sizeof *p));
}

/* Partial vectors: the first `count` lanes, by a mask. */
#if defined(__AVX512F__)
typedef __mmask16 vec_mask;
static inline vec_mask first_lanes(int32_t count) {
    return count > 0 ? (vec_mask)((1u << count) - 1u) : 0;
}
static inline vec load_masked(const float *p, vec_mask mask) {
    return (vec)_mm512_maskz_loadu_ps(mask, p);
}
static inline void store_masked(float *p, vec v, vec_mask mask) {
    _mm512_mask_storeu_ps(p, mask, (__m512)v);
}
#elif defined(__AVX__)
typedef int32_t vec_mask __attribute__((vector_size(sizeof(vec))));
static inline vec_mask first_lanes(int32_t count) {
    return (vec_mask){0, 1, 2, 3, 4, 5, 6, 7} < count;
}
static inline vec load_masked(const float *p, vec_mask mask) {
    return (vec)_mm256_maskload_ps(p, (__m256i)mask);
}
static inline void store_masked(float *p, vec v, vec_mask mask) {
    _mm256_maskstore_ps(p, (__m256i)mask, (__m256)v);
}
#else
typedef int32_t vec_mask;
static inline vec_mask first_lanes(int32_t count) { return count; }
static inline vec load_masked(const float *p, vec_mask count) {
    vec v = {0};
    for (int32_t i = 0; i < count; i++) v[i] = p[i];
    return v;
}
static inline void store_masked(float *p, vec v, vec_mask count) {
    for (int32_t i = 0; i < count; i++) p[i] = v[i];
}
#endif

/* The first `count` floats at p (none if count < 1; W at most), followed by zeros. */
static inline vec load_part(const float *p, int32_t count) {
    return count >= W ? load(p) : load_masked(p, first_lanes(count));
}

/* Stores the first `count` floats of v. */
static inline void store_part(float *p, vec v, int32_t count) {
    if (count >= W) store(p, v);
    else store_masked(p, v, first_lanes(count));
}

#endif
