/* The vectors of the kernels that choose their own registers, in the extension that gcc and clang
 * share: W floats, the widest that the instruction set holds. A product's tile is ROWS rows by two
 * vectors (PANEL floats): its accumulators, a row of b and one element of a fill the registers, of
 * which AVX-512 and NEON have 32 and the others 16. */
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
typedef float vec_anywhere __attribute__((vector_size(64), aligned(4), may_alias));
#elif defined(__AVX__)
enum { W = 8 };
typedef float vec __attribute__((vector_size(32)));
typedef float vec_anywhere __attribute__((vector_size(32), aligned(4), may_alias));
#else
enum { W = 4 };
typedef float vec __attribute__((vector_size(16)));
typedef float vec_anywhere __attribute__((vector_size(16), aligned(4), may_alias));
#endif

enum { PANEL = 2 * W };

/* Before a loop whose trip count is a constant of at most 16: its body is repeated, so that arrays
 * become registers. */
#ifdef __clang__
#define DMI_UNROLL _Pragma("clang loop unroll(full)")
#else
#define DMI_UNROLL _Pragma("GCC unroll 16")
#endif

/* Before a loop whose body is long enough: it is not repeated. */
#ifdef __clang__
#define DMI_ONE_BY_ONE _Pragma("clang loop unroll(disable)")
#else
#define DMI_ONE_BY_ONE _Pragma("GCC unroll 1")
#endif

static inline vec load(const float *p) { return *(const vec_anywhere *)p; }
static inline void store(float *p, vec v) { *(vec_anywhere *)p = v; }

/* The vector at p, read once: gcc would read memory anew for each use that can stand in an
 * instruction. Measured on the transform of tiles: 3 % or so. */
static inline __attribute__((always_inline)) vec load_once(const float *p) {
    vec v = load(p);
#if defined(__AVX512F__)
    __asm__("" : "+v"(v));
#elif defined(__SSE__)
    __asm__("" : "+x"(v));
#endif
    return v;
}

/* Writes a whole cache line past the caches, where the instruction set can and vectors are lines:
 * what will not be read soon then costs half the traffic, as its old contents need not be fetched.
 * p is aligned to the vector. */
static inline void store_past(float *p, vec v) {
#if defined(__AVX512F__) && defined(__clang__)
    __builtin_nontemporal_store(v, (vec *)p);
#elif defined(__AVX512F__)
    __builtin_ia32_movntps512(p, v);
#else
    store(p, v);
#endif
}

/* Before other threads may read what store_past has written. */
static inline void end_stores_past(void) {
#ifdef __AVX512F__
    __builtin_ia32_sfence();
#endif
}

/* Asks for the cache line `floats` behind p, which may lie outside of the array: then nothing
 * happens. Always inline: gcc takes such a function for one without any effect, and leaves out its
 * calls where it does not inline them at once. */
static inline __attribute__((always_inline)) void prefetch(const float *p, size_t floats) {
    __builtin_prefetch((const void *)((uintptr_t)p + floats * sizeof *p));
}

/* Fewer floats than a vector's, by a mask of their lanes. */
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

/* The first `count` floats at p, none where it is below 1, zeros behind them. */
static inline vec load_part(const float *p, int32_t count) {
    return count >= W ? load(p) : load_masked(p, first_lanes(count));
}

static inline void store_part(float *p, vec v, int32_t count) {
    if (count >= W) store(p, v);
    else store_masked(p, v, first_lanes(count));
}

#endif
