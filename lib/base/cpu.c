/* SPDX-License-Identifier: MIT */
/* The instruction set, from CPUID and from what the operating system saves on a switch of
 * threads. */
#include "base/cpu.h"

#include <stdbool.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#if defined(__x86_64__)

#include <cpuid.h>
#if defined(__linux__)
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

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
enum { XCR0_AVX = 0x06, XCR0_AVX512 = 0xe6, XCR0_TILES = 0x60000 };

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
    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) {
        words.leaf7_ebx = ebx;
        words.leaf7_edx = edx;
        if (eax >= 1 && __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx)) words.leaf7_1_eax = eax;
    }
    if (__get_cpuid_count(0x80000001u, 0, &eax, &ebx, &ecx, &edx)) words.leaf80000001_ecx = ecx;
    if (words.leaf1_ecx & OSXSAVE) __asm__("xgetbv" : "=a"(words.xcr0), "=d"(edx) : "c"(0));
    return words;
}

int32_t dmi_cpu_isa(void) {
    const dmi_cpu_words words = dmi_cpu_read();
    return dmi_cpu_level(&words);
}

uint32_t dmi_cpu_bf16_of(const dmi_cpu_words *words) {
    if (dmi_cpu_level(words) < DMI_ISA_V4) return 0;
    uint32_t found = has(words->leaf7_1_eax, BIT(5)) ? DMI_BF16_PAIRS : 0;
    if (has(words->leaf7_edx, BIT(22) | BIT(24)) && has(words->xcr0, XCR0_TILES))
        found |= DMI_BF16_TILES;
    return found;
}

#if defined(_WIN32)

/* The stack there need not be aligned for vectors that a compiler stores on it. */
uint32_t dmi_cpu_bf16(void) { return 0; }
bool dmi_cpu_has_bf16(void) { return false; }

#else

/* Linux saves the tiles of a process only if it has asked for that (Documentation/arch/x86/xstate);
 * other systems always do or never. */
static bool tiles_are_permitted(void) {
#if defined(__linux__)
    enum { REQUEST = 0x1023, TILE_DATA = 18 };
    const int before = errno;
    const bool permitted = syscall(SYS_arch_prctl, REQUEST, TILE_DATA) == 0;
    errno = before;
    return permitted;
#else
    return false;
#endif
}

uint32_t dmi_cpu_bf16(void) {
    const dmi_cpu_words words = dmi_cpu_read();
    uint32_t found = dmi_cpu_bf16_of(&words);
    if (found & DMI_BF16_TILES && !tiles_are_permitted()) found &= ~(uint32_t)DMI_BF16_TILES;
    return found;
}

bool dmi_cpu_has_bf16(void) {
    const dmi_cpu_words words = dmi_cpu_read();
    return dmi_cpu_bf16_of(&words) != 0;
}

#endif

#else

int32_t dmi_cpu_isa(void) { return DMI_ISA_BASE; }

#if defined(__aarch64__) && defined(__linux__)
uint32_t dmi_cpu_bf16(void) {
    enum { HAS_BF16 = 1 << 14 }; /* of AT_HWCAP2: FEAT_BF16 */
    return getauxval(AT_HWCAP2) & HAS_BF16 ? DMI_BF16_PAIRS | DMI_BF16_QUADS : 0;
}
#elif defined(__aarch64__) && defined(__APPLE__)
uint32_t dmi_cpu_bf16(void) {
    int value = 0;
    size_t size = sizeof value;
    bool has = sysctlbyname("hw.optional.arm.FEAT_BF16", &value, &size, NULL, 0) == 0 && value;
    return has ? DMI_BF16_PAIRS | DMI_BF16_QUADS : 0;
}
#else
uint32_t dmi_cpu_bf16(void) { return 0; }
#endif

bool dmi_cpu_has_bf16(void) { return dmi_cpu_bf16() != 0; }

#endif
