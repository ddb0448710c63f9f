/* SPDX-License-Identifier: MIT */
/* The choice of a convolution's algorithm. It depends on the shape of one image and on the
 * processor, never on the batch or on the number of threads, so that neither changes a bit. */
#include "autograd/conv/conv.h"

#include <string.h>

#include "autograd/conv/taps.h"

/* The first that supports the shape is used; the last one supports every shape. */
static const dmi_conv_algorithm *const algorithms[] = {&dmi_conv_winograd, &dmi_conv_product,
                                                       &dmi_conv_im2col};

/* Kernels above 3 with fewer channels than this on either side are products of whole rows of the
 * kernel: 7x7 from 3 to 128 channels at 64x64 took a quarter of the time of products of single taps
 * in forward and a seventh in the weight gradient (a rough measurement), since im2col's matrix is
 * then the padded input itself and nothing is gathered. From 32 channels on products of single taps
 * are as fast and need no copy of the input. */
enum { ROW_PRODUCT_CHANNELS = 32 };

static bool few_channels(const dmi_conv_shape *s) {
    return s->kernel > 3 && (s->ci < ROW_PRODUCT_CHANNELS || s->co < ROW_PRODUCT_CHANNELS);
}

/* Cases in which BLAS is faster than the library's own product, measured by
 * build/bench --products, see docs/performance-log.md. With AVX but without AVX2, OpenBLAS's
 * vectors have twice the width of the base kernels'. */
typedef struct blas_case {
    const char *isa, *core; /* of the library's kernels; of OpenBLAS's */
    int32_t kernel, stride;
    int32_t channels_min; /* of either side */
} blas_case;

static const blas_case blas_cases[] = {
    {"base", "Sandybridge", 1, 1, 32},
    {"base", "Sandybridge", 3, 2, 64},
};

static bool blas_is_faster(const char *isa, const char *core, const dmi_conv_shape *s) {
    for (size_t i = 0; i < sizeof blas_cases / sizeof blas_cases[0]; i++) {
        const blas_case *c = &blas_cases[i];
        if (s->kernel == c->kernel && s->stride == c->stride && s->ci >= c->channels_min &&
            s->co >= c->channels_min && !strcmp(isa, c->isa) && !strcmp(core, c->core))
            return true;
    }
    return false;
}

/* In latency mode, forward passes alone: of a map of so few output pixels, a direct product takes
 * less time for one image than reading the transformed weights, which are four times the weights;
 * for sixteen images it takes more. See docs/performance-log.md. */
enum { LATENCY_PIXELS = 64 };

static bool is_small(const dmi_conv_shape *s) {
    return s->oh * s->ow <= LATENCY_PIXELS && s->ci >= DMI_CONV_CHANNELS_MIN &&
           s->co >= DMI_CONV_CHANNELS_MIN && dmi_conv_gathered.suits(s);
}

bool dmi_conv_has_bf16(const dmi_conv_shape *shape) {
    return dmi_conv_winograd.suits(shape) || dmi_is_pointwise(shape);
}

/* Winograd needs a quarter of the products of a direct convolution, so that the processor's
 * products of bfloat16 win where they are more than four times as fast as those of floats; and of
 * small maps in latency mode, for the reason above. Neither has been timed: docs/performance.md. */
enum { BF16_RATE_OVER_WINOGRAD = 5 };

static const dmi_conv_algorithm *select_bf16(const dmi_conv_processor *p, const dmi_conv_shape *s) {
    bool direct = p->bf16_rate > 0 && dmi_conv_direct_bf16.suits(s);
    if (dmi_is_pointwise(s)) return direct ? &dmi_conv_direct_bf16 : &dmi_conv_pointwise_bf16;
    bool small = p->latency && is_small(s);
    if (direct && (small || p->bf16_rate >= BF16_RATE_OVER_WINOGRAD)) return &dmi_conv_direct_bf16;
    return small ? &dmi_conv_gathered : &dmi_conv_winograd;
}

const dmi_conv_algorithm *dmi_conv_select(const dmi_conv_processor *p, const dmi_conv_shape *s) {
    if (s->bf16) return select_bf16(p, s);
    if (p->latency && is_small(s)) return &dmi_conv_gathered;
    if (few_channels(s) && dmi_conv_row_product.suits(s)) return &dmi_conv_row_product;
    size_t i = 0;
    while (i + 1 < sizeof algorithms / sizeof *algorithms && !algorithms[i]->suits(s)) i++;
    if (algorithms[i] == &dmi_conv_product && blas_is_faster(p->isa, p->core, s))
        return &dmi_conv_im2col;
    return algorithms[i];
}
