/* Which instruction set the processor has. */
#ifndef DMI_BASE_CPU_H
#define DMI_BASE_CPU_H

#include <stdint.h>

enum {
    DMI_ISA_BASE = 0, /* what the compiler takes as the baseline of the architecture */
    DMI_ISA_V3 = 1,   /* x86-64-v3: AVX2 and FMA */
    DMI_ISA_V4 = 2    /* x86-64-v4: AVX-512 F, BW, CD, DQ, VL */
};

/* The best that processor and operating system support. */
int32_t dmi_cpu_isa(void);
/* Processors that this process may run on, at least 1. */
int32_t dmi_cpu_count(void);

#endif
