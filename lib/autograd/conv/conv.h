/* SPDX-License-Identifier: MIT */
/* The convolution algorithms. dmi_conv_select chooses one at planning; a further algorithm is one
 * more file here and one more line in select.c. */
#ifndef DMI_AUTOGRAD_CONV_H
#define DMI_AUTOGRAD_CONV_H

#include "autograd/graph.h"
#include "kernels/winograd.h"

/* Fewer channels than this on both sides leave the vectors of most algorithms nearly empty. */
enum { DMI_CONV_CHANNELS_MIN = 16 };

typedef struct dmi_conv_shape {
    int32_t n, ih, iw, ci; /* x [n, ih, iw, ci] as stored, before upsampling */
    int32_t oh, ow, co;    /* y [n, oh, ow, co] */
    int32_t kernel, stride, pad;
    bool upsample; /* x is read as if upsampled by 2, nearest neighbour */
    bool bf16;     /* x, y, residual and the gradients of x and y are bfloat16, else floats */
} dmi_conv_shape;

/* Tensors: x [n, ih, iw, ci], y and dy [n, oh, ow, co], weight and dw [kernel, kernel, ci, co].
 * `add`: adds to the result's memory in place of overwriting it. Sizes are in floats. */
typedef struct dmi_conv_algorithm {
    const char *name;
    bool uses_blas; /* calls dmi_gemm */
    bool (*suits)(const dmi_conv_shape *shape);
    /* Size of the transformed weights, which depends on kernel, ci and co only. This and `prepare`
     * are NULL where `weight` is used as it is. */
    size_t (*weight_floats)(const dmi_kernels *k, const dmi_conv_shape *shape);
    /* Size of `work` for that number of worker threads. Backward's includes the weights that it
     * transforms. */
    size_t (*forward_work)(const dmi_kernels *k, const dmi_conv_shape *shape, int32_t threads);
    size_t (*backward_work)(const dmi_kernels *k, const dmi_conv_shape *shape, int32_t threads);
    /* prepared [weight_floats] = transformed weight. `locked`: the caller holds a lock, so no code
     * of the program's may run. */
    void (*prepare)(const dmi_graph *graph, const dmi_conv_shape *shape, float *prepared,
                    const float *weight, bool locked);
    void (*forward)(const dmi_graph *graph, const dmi_conv_shape *shape, void *y, const void *x,
                    const float *weight, const float *prepared, const dmi_epilogue *epilogue,
                    float *work);
    void (*backward_data)(const dmi_graph *graph, const dmi_conv_shape *shape, void *dx,
                          const void *dy, const float *weight, bool add, float *work);
    void (*backward_weight)(const dmi_graph *graph, const dmi_conv_shape *shape, float *dw,
                            const void *x, const void *dy, bool add, float *work);
} dmi_conv_algorithm;

/* Size of `prepared`; 0: `weight` is used as it is, and `prepared` may be NULL. */
static inline size_t dmi_prepared_floats(const dmi_conv_algorithm *algorithm, const dmi_kernels *k,
                                         const dmi_conv_shape *shape) {
    return algorithm->weight_floats ? algorithm->weight_floats(k, shape) : 0;
}

extern const dmi_conv_algorithm dmi_conv_winograd; /* 3x3, stride 1, pad 1 */
extern const dmi_conv_algorithm dmi_conv_product;  /* without upsample; for the others */
extern const dmi_conv_algorithm dmi_conv_pointwise_bf16;
extern const dmi_conv_algorithm dmi_conv_direct_bf16; /* forward alone, graph->bf16_product */
extern const dmi_conv_algorithm dmi_conv_gathered;    /* forward alone, for small maps */
extern const dmi_conv_algorithm dmi_conv_row_product; /* stride 1, for kernels above 3 */
extern const dmi_conv_algorithm dmi_conv_im2col;      /* every shape, dmi_gemm; tests' reference */

/* Whether the shape can be computed with bfloat16. */
bool dmi_conv_has_bf16(const dmi_conv_shape *shape);

/* What the choice of an algorithm depends on besides the shape. */
typedef struct dmi_conv_processor {
    const char *isa, *core; /* names of the library's kernels (dmi_kernels.isa), and of BLAS's
                               (dmi_gemm_core) */
    int32_t bf16_rate;      /* of graph->bf16_product, which forward may use; 0: none */
    bool latency;           /* for few images, and for forward passes alone */
} dmi_conv_processor;

/* The algorithm of forward for a shape, and with neither bf16_rate nor latency that of the
 * gradients. */
const dmi_conv_algorithm *dmi_conv_select(const dmi_conv_processor *processor,
                                          const dmi_conv_shape *shape);

#endif
