/* SPDX-License-Identifier: MIT */
/* The table of numeric kernels. Each family of kernels is one source file, compiled once for every
 * instruction set with DMI_ISA naming it (base, v3, v4), so the compiler vectorises it for that
 * set; a context picks one table once, at creation.
 *
 * Kernels are plain loops on float pointers and sizes: they never allocate, fail, take a lock or
 * start a thread. The operations above them partition the work into tasks. An image's result never
 * depends on its neighbours in the batch. */
#ifndef DMI_KERNELS_KERNELS_H
#define DMI_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/math.h"

/* Inside a kernel file: DMI_KERNEL(norm_forward) is dmi_norm_forward_v3 when compiled for
 * x86-64-v3. */
#ifdef DMI_ISA
#define DMI_PASTE2(a, b) dmi_##a##_##b
#define DMI_PASTE(a, b) DMI_PASTE2(a, b)
#define DMI_KERNEL(name) DMI_PASTE(name, DMI_ISA)
#endif

/* What a step of AdamW needs besides the arrays. */
typedef struct dmi_adamw {
    float rate; /* learning rate of this step */
    float beta1, beta2;
    float correction1;    /* 1 / (1 - beta1^step) */
    float correction2;    /* 1 / (1 - beta2^step) */
    float eps, decay;     /* decay is decoupled: w -= rate * decay * w */
    float gradient_scale; /* clip factor, and 1 / accumulation */
    float l2;             /* > 0: Adam with L2 in place of AdamW: g = gradient_scale * g + l2 * w,
                             written back */
    float ema_weight;     /* 1 - ema_decay, in (0, 1]; 0: no moving average */
    bool first;           /* the moments are zero, and are written without being read */
} dmi_adamw;

/* The term of the variational bound at one timestep (Ho et al. 2020, eq. 5), with a learned
 * variance (Nichol and Dhariwal 2021, eq. 15). */
typedef struct dmi_bound {
    double low, high;     /* the ends between which the logarithm of the variance is interpolated:
                             that of the posterior's variance, and that of beta */
    double error;         /* error of the mean per error of eps */
    double signal, noise; /* decoder: x_t = signal * x_0 + noise * eps */
    double factor;        /* of the gradient */
    bool decoder; /* the last step: the likelihood of an image in bytes instead of a divergence
                     between Gaussians */
} dmi_bound;

/* Activation functions: x / (1 + e^-x) (Elfwing et al. 2018), x tanh(ln(1 + e^x)) (Misra 2020), x
 * Phi(x) with the normal distribution's function (Hendrycks and Gimpel 2016), max(x, 0). */
enum {
    DMI_ACTIVATION_NONE = 0, /* the identity */
    DMI_ACTIVATION_SILU = 1,
    DMI_ACTIVATION_MISH = 2,
    DMI_ACTIVATION_GELU = 3,
    DMI_ACTIVATION_RELU = 4
};

/* Columns of a panel of attention: whole vectors, and whole panels of a product, of every
 * instruction set. */
enum { DMI_SOFTMAX_COLUMNS = 32 };

/* Outputs of at least this many floats (2 MiB) that are not read soon are written with non-temporal
 * stores. Measured on a training step: 1, 2, 4 MiB and never take 395, 385, 395 and 405 ms. */
enum { DMI_NON_TEMPORAL_FLOATS = 512 * 1024 };

/* Channels of an image that group norm processes at a time, or those of one group where they are
 * more. */
enum { DMI_NORM_SPAN = 64 };

/* One image of group norm's input: the channels of two tensors side by side. */
typedef struct dmi_norm_x {
    const void *x[2];    /* [pixels, channels[i]] */
    void *dx[2];         /* backward: like x; written, or added to where `add` */
    bool add[2];         /* backward */
    int32_t channels[2]; /* channels[1] is 0 where there is one tensor only */
} dmi_norm_x;

/* Group norm of one image, both directions: gain * xhat + offset, with xhat the normalized x. gain
 * is gamma and offset is beta; with a scale and a shift of each image (scale_shift) they are gamma
 * (1 + scale) and beta (1 + scale) + shift. */
typedef struct dmi_norm {
    dmi_norm_x x;
    const float *gain, *offset; /* [channels of both tensors] */
    int32_t pixels;
    int32_t group_channels; /* channels of one group */
    int32_t c0, c1;         /* the channels to compute, c0 to c1 - 1: whole groups */
    int32_t activation;     /* what follows the norm, DMI_ACTIVATION_* */
    bool non_temporal;      /* y or dx is not read soon: non-temporal stores where it is made of
                               whole cache lines */
} dmi_norm;

/* A separable filter that doubles or halves the sides of an image, the same for rows and columns.
 * Output i is the sum over k < taps of weights[phase][k] * x[at + k], where at = i / 2 +
 * first[phase] and phase = i % 2 if `up`, at = 2 i + first[0] and phase = 0 otherwise; x is zero
 * outside of the image. */
typedef struct dmi_resample_filter {
    bool up;
    int32_t taps;
    int32_t first[2];
    float weights[2][4];
} dmi_resample_filter;

/* Channels of a call of the depthwise kernels, one cache line: whole vectors of every instruction
 * set. Columns of a block, see depthwise.c. */
enum { DMI_DEPTHWISE_CHANNELS = 16, DMI_DEPTHWISE_BLOCK = 8 };

/* What one call of a depthwise kernel computes. */
typedef struct dmi_depthwise_part {
    int32_t h, w, c;   /* the image; c is also the row stride of the weights */
    int32_t kernel;    /* 3, 5 or 7; zeros around the image keep its size */
    int32_t channels;  /* at most DMI_DEPTHWISE_CHANNELS */
    int32_t row, rows; /* of y or dy: `row` to row + rows - 1 */
    int32_t column, columns;
    bool rotated, add; /* forward only */
} dmi_depthwise_part;

/* Size of the scratch of a depthwise kernel: what is read of x, padded, and for the gradient dy. */
static inline size_t dmi_depthwise_floats(int32_t rows, int32_t columns, int32_t kernel,
                                          bool gradient) {
    size_t blocks = dmi_round_up_size((size_t)columns, DMI_DEPTHWISE_BLOCK),
           border = (size_t)kernel - 1, pixels = ((size_t)rows + border) * (blocks + border);
    return (pixels + (gradient ? (size_t)rows * blocks : 0)) * DMI_DEPTHWISE_CHANNELS;
}

typedef struct dmi_kernels {
    const char *isa; /* "base", "v3", "v4" */
/* NOLINTNEXTLINE(bugprone-macro-parentheses): types and lists of parameters have none */
#define DMI_ENTRY(result, name, parameters) result(*name) parameters;
#include "kernels/kernels.inc"
#undef DMI_ENTRY
    const struct dmi_product *product;   /* see product.h */
    const struct dmi_winograd *winograd; /* see winograd.h */
    const struct dmi_winograd *winograd_bf16;
} dmi_kernels;

/* The table for DMI_ISA_*, or for the best one compiled in that is not above it. */
const dmi_kernels *dmi_kernels_for(int32_t isa);

#endif
