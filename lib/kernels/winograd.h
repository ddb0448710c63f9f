/* SPDX-License-Identifier: MIT */
/* Winograd's convolution F(4x4, 3x3) (Lavin and Gray 2016) for 3x3 kernels of stride 1 with one
 * pixel of zero padding, in all three directions. A task works on a block of a fixed number of
 * tiles of 4x4 output pixels; a tile's arithmetic is the same wherever it falls, so an image's
 * result does not depend on its batch. */
#ifndef DMI_KERNELS_WINOGRAD_H
#define DMI_KERNELS_WINOGRAD_H

#include "kernels/kernels.h"

/* The shape of one convolution; for the data gradient the caller has swapped ci and co. */
typedef struct dmi_winograd_shape {
    int32_t n, h, w; /* of the output, and of the input after upsampling */
    int32_t ci, co;
    bool upsample;     /* x is [n, h/2, w/2, ci], each pixel repeated 2x2 */
    bool sum2x2;       /* backward of upsample: y is [n, h/2, w/2, co], each pixel the sum of 2x2 */
    bool non_temporal; /* y is not read soon: where it is large, non-temporal stores write it */
    int32_t workers;   /* that forward should have tasks for. Where blocks are too few, each is
                          divided by channels of y, at the cost of transforming its input again.
                          No result depends on it */
} dmi_winograd_shape;

/* Added to the result as it is written; each may be NULL. */
typedef struct dmi_epilogue {
    const float *bias;      /* [co] */
    const float *per_image; /* [n, co] */
    const void *residual;   /* like y, and of its type */
    bool add;               /* y += instead of y = */
} dmi_epilogue;

typedef struct dmi_winograd {
/* NOLINTNEXTLINE(bugprone-macro-parentheses): types and lists of parameters have none */
#define DMI_ENTRY(result, name, parameters) result(*name) parameters;
#define DMI_STORED_ENTRY DMI_ENTRY
#include "kernels/winograd.inc"
#undef DMI_STORED_ENTRY
#undef DMI_ENTRY
} dmi_winograd;

#ifdef DMI_ISA
/* NOLINTNEXTLINE(bugprone-macro-parentheses): types and lists of parameters have none */
#define DMI_ENTRY(result, name, parameters) result DMI_KERNEL(winograd_##name) parameters;
#define DMI_STORED_ENTRY(result, name, parameters)                                                 \
    result DMI_KERNEL(winograd_##name) parameters;                                                 \
    result DMI_KERNEL(winograd_##name##_bf16) parameters;
#include "kernels/winograd.inc"
#undef DMI_STORED_ENTRY
#undef DMI_ENTRY

extern const dmi_winograd DMI_KERNEL(winograd_table), DMI_KERNEL(winograd_table_bf16);
#endif

#endif
