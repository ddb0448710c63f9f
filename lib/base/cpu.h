/* SPDX-License-Identifier: MIT */
/* The instruction set of the processor, and the number of processors. */
#ifndef DMI_BASE_CPU_H
#define DMI_BASE_CPU_H

#include <stdbool.h>
#include <stdint.h>

enum {
    DMI_ISA_BASE = 0, /* the compiler's baseline of the architecture */
    DMI_ISA_V3 = 1,   /* x86-64-v3: AVX2 and FMA */
    DMI_ISA_V4 = 2    /* x86-64-v4: AVX-512 F, BW, CD, DQ, VL */
};

#if defined(__x86_64__)
/* Words of CPUID, 0 where the processor does not have the leaf, and the registers that the
 * operating system saves. */
typedef struct dmi_cpu_words {
    uint32_t leaf1_ecx, leaf7_ebx, leaf80000001_ecx; /* of CPUID */
    uint32_t leaf7_edx, leaf7_1_eax;                 /* likewise; the latter of subleaf 1 */
    uint32_t xcr0;                                   /* of XGETBV; 0 where CPUID has no OSXSAVE */
} dmi_cpu_words;

dmi_cpu_words dmi_cpu_read(void);
/* The best level all of whose features are present. */
int32_t dmi_cpu_level(const dmi_cpu_words *words);
/* Those of DMI_BF16_* that are present. */
uint32_t dmi_cpu_bf16_of(const dmi_cpu_words *words);
#endif

/* Instructions for products of bfloat16. */
enum {
    DMI_BF16_PAIRS = 1, /* AVX512_BF16, or BFDOT of AArch64 */
    DMI_BF16_QUADS = 2, /* BFMMLA */
    DMI_BF16_TILES = 4  /* AMX-BF16 */
};

/* Those that the processor has and the operating system supports. Requests
 * the permission that Linux requires for AMX's tiles, for the whole process. */
uint32_t dmi_cpu_bf16(void);
/* Whether the processor has any, without that request. */
bool dmi_cpu_has_bf16(void);

/* The best DMI_ISA_* that processor and operating system support. */
int32_t dmi_cpu_isa(void);

#endif
