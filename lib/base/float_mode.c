/* SPDX-License-Identifier: MIT */
/* See float_mode.h. */
#include "base/float_mode.h"

#include <fenv.h>

#if defined(__SSE__)
#include <xmmintrin.h>

/* Of MXCSR: rounding control, flush to zero, denormals are zero. Masks and flags of exceptions stay
 * with their thread. */
enum { MODE_BITS = 0x6000 | 0x8000 | 0x0040 };

dmi_float_mode dmi_float_mode_get(void) { return _mm_getcsr() & MODE_BITS; }

void dmi_float_mode_set(dmi_float_mode mode) {
    _mm_setcsr((_mm_getcsr() & ~(unsigned)MODE_BITS) | (unsigned)mode);
}

#elif defined(__aarch64__)

/* Of FPCR: rounding mode, flush to zero, default NaN. */
#define MODE_BITS (UINT64_C(0xc00000) | UINT64_C(0x1000000) | UINT64_C(0x2000000))

dmi_float_mode dmi_float_mode_get(void) {
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    return control & MODE_BITS;
}

void dmi_float_mode_set(dmi_float_mode mode) {
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    control = (control & ~MODE_BITS) | mode;
    __asm__ volatile("msr fpcr, %0" : : "r"(control));
}

#else

dmi_float_mode dmi_float_mode_get(void) { return (dmi_float_mode)fegetround(); }

void dmi_float_mode_set(dmi_float_mode mode) { fesetround((int)mode); }

#endif

int dmi_round_to_nearest(void) {
    const int direction = fegetround();
    if (direction != FE_TONEAREST) fesetround(FE_TONEAREST);
    return direction;
}

void dmi_restore_rounding(int direction) {
    if (direction != FE_TONEAREST) fesetround(direction);
}
