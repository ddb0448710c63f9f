/* SPDX-License-Identifier: MIT */
/* The instruction set, from CPUID and from what the operating system saves on a switch of
 * threads. */
#include "base/cpu.h"

#include <stdbool.h>

#if defined(__x86_64__)

#include <cpuid.h>

#define BIT(n) (1u << (n))

/* The features that each level adds to the baseline: x86-64 psABI, table 3.1. */
enum {
    OSXSAVE = BIT(27),
    V3_LEAF1_ECX = BIT(0) | BIT(9) | BIT(12) | BIT(13) | BIT(19) |
                   BIT(20) /* SSE3, SSSE3, FMA, CMPXCHG16B, SSE4.1, SSE4.2 */
                   | BIT(22) | BIT(23) | OSXSAVE | BIT(28) | BIT(29), /* MOVBE, POPCNT, AVX, F16C */
    V3_LEAF7_EBX = BIT(3) | BIT(5) | BIT(8),                          /* BMI1, AVX2, BMI2 */
    V3_LEAF80000001_ECX = BIT(0) | BIT(5)                             /* LAHF, LZCNT */
};
static const uint32_t v4_leaf7_ebx =
    BIT(16) | BIT(17) | BIT(28) | BIT(30) | BIT(31); /* AVX-512 F, DQ, CD, BW, VL */

/* Bits of XCR0: the halves of the registers that the operating system saves on a switch of
 * threads. */
enum { XCR0_AVX = 0x06, XCR0_AVX512 = 0xe6 };

static bool has(uint32_t word, uint32_t bits) { return (word & bits) == bits; }

int32_t dmi_cpu_level(const dmi_cpu_words *words) {
    if (!has(words->leaf1_ecx, V3_LEAF1_ECX) || !has(words->leaf7_ebx, V3_LEAF7_EBX) ||
        !has(words->leaf80000001_ecx, V3_LEAF80000001_ECX) || !has(words->xcr0, XCR0_AVX)) {
        return DMI_ISA_BASE;
    }
    return has(words->leaf7_ebx, v4_leaf7_ebx) && has(words->xcr0, XCR0_AVX512) ? DMI_ISA_V4
                                                                                : DMI_ISA_V3;
}

dmi_cpu_words dmi_cpu_read(void) {
    dmi_cpu_words words = {0};
    uint32_t eax, ebx, ecx, edx;
    if (__get_cpuid_count(1, 0, &eax, &ebx, &ecx, &edx)) words.leaf1_ecx = ecx;
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) words.leaf7_ebx = ebx;
    if (__get_cpuid_count(0x80000001u, 0, &eax, &ebx, &ecx, &edx)) words.leaf80000001_ecx = ecx;
    if (words.leaf1_ecx & OSXSAVE) __asm__("xgetbv" : "=a"(words.xcr0), "=d"(edx) : "c"(0));
    return words;
}

int32_t dmi_cpu_isa(void) {
    const dmi_cpu_words words = dmi_cpu_read();
    return dmi_cpu_level(&words);
}

#else

int32_t dmi_cpu_isa(void) { return DMI_ISA_BASE; }

#endif
