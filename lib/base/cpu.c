/* The instruction set, from CPUID and from what the operating system saves on a switch of threads; and the number of
 * processors, from the affinity mask. */
#include "base/cpu.h"

#include <sched.h>
#include <stddef.h>
#include <unistd.h>

#if defined(__x86_64__)

#include <cpuid.h>

enum { EAX, EBX, ECX, EDX };

typedef struct feature {
    uint32_t leaf;
    int32_t reg, bit;
} feature;

/* Only what the levels add to the baseline and a compiler may use: x86-64 psABI, table 3.1. */
static const feature v3_features[] = {
    {1, ECX, 0},           /* SSE3 */
    {1, ECX, 9},           /* SSSE3 */
    {1, ECX, 12},          /* FMA */
    {1, ECX, 13},          /* CMPXCHG16B */
    {1, ECX, 19},          /* SSE4.1 */
    {1, ECX, 20},          /* SSE4.2 */
    {1, ECX, 22},          /* MOVBE */
    {1, ECX, 23},          /* POPCNT */
    {1, ECX, 27},          /* OSXSAVE */
    {1, ECX, 28},          /* AVX */
    {1, ECX, 29},          /* F16C */
    {7, EBX, 3},           /* BMI1 */
    {7, EBX, 5},           /* AVX2 */
    {7, EBX, 8},           /* BMI2 */
    {0x80000001u, ECX, 0}, /* LAHF */
    {0x80000001u, ECX, 5}, /* LZCNT */
};
static const feature v4_features[] = {
    {7, EBX, 16}, /* AVX512F */
    {7, EBX, 17}, /* AVX512DQ */
    {7, EBX, 28}, /* AVX512CD */
    {7, EBX, 30}, /* AVX512BW */
    {7, EBX, 31}, /* AVX512VL */
};

/* Bits of XCR0: the registers that the operating system saves. */
enum { XCR0_AVX = 0x06, XCR0_AVX512 = 0xe6 };

static int has_all(const feature *features, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t reg[4];
        if (!__get_cpuid_count(features[i].leaf, 0, &reg[EAX], &reg[EBX], &reg[ECX], &reg[EDX])) return 0;
        if (!(reg[features[i].reg] >> features[i].bit & 1u)) return 0;
    }
    return 1;
}

/* Only where CPUID says OSXSAVE. */
static uint32_t read_xcr0(void) {
    uint32_t low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

int32_t dmi_cpu_isa(void) {
    if (!has_all(v3_features, sizeof v3_features / sizeof v3_features[0])) return DMI_ISA_BASE;
    uint32_t saved = read_xcr0();
    if ((saved & XCR0_AVX) != XCR0_AVX) return DMI_ISA_BASE;
    if ((saved & XCR0_AVX512) != XCR0_AVX512) return DMI_ISA_V3;
    return has_all(v4_features, sizeof v4_features / sizeof v4_features[0]) ? DMI_ISA_V4 : DMI_ISA_V3;
}

#else

int32_t dmi_cpu_isa(void) { return DMI_ISA_BASE; }

#endif

int32_t dmi_cpu_count(void) {
#if defined(__linux__)
    cpu_set_t sets[8]; /* 8192 processors */
    if (sched_getaffinity(0, sizeof sets, sets) == 0) {
        int allowed = CPU_COUNT_S(sizeof sets, sets);
        if (allowed > 0) return allowed;
    }
#endif
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return online > 0 ? (int32_t)online : 1;
}
