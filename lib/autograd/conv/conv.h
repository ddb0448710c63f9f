/* The ways to compute a convolution. dmi_conv_select chooses one at planning; another way is one
 * more file and one more line in select.c. */
#ifndef DMI_AUTOGRAD_CONV_H
#define DMI_AUTOGRAD_CONV_H

#include "autograd/graph.h"
#include "kernels/winograd.h"

typedef struct dmi_conv_shape {
    int32_t n, ih, iw, ci; /* x [n, ih, iw, ci] as stored, before upsampling */
    int32_t oh, ow, co;    /* y [n, oh, ow, co] */
    int32_t kernel, stride, pad;
    bool upsample;
} dmi_conv_shape;

typedef struct dmi_conv_way {
    const char *name;
    bool uses_blas; /* calls dmi_gemm */
    bool (*suits)(const dmi_conv_shape *shape);
    /* Floats of the weights as this way wants them (0: as they are), and of scratch for `threads`
     * workers. */
    size_t (*weight_floats)(const dmi_kernels *k, const dmi_conv_shape *shape);
    size_t (*forward_work)(const dmi_kernels *k, const dmi_conv_shape *shape, int32_t threads);
    size_t (*backward_work)(const dmi_kernels *k, const dmi_conv_shape *shape,
                            int32_t threads); /* its weights included */
    /* prepared [weight_floats] from weight [k, k, ci, co]. */
    void (*prepare)(const dmi_graph *graph, const dmi_conv_shape *shape, float *prepared,
                    const float *weight);
    void (*forward)(const dmi_graph *graph, const dmi_conv_shape *shape, float *y, const float *x,
                    const float *weight, const float *prepared, const dmi_epilogue *epilogue,
                    float *work);
    void (*backward_data)(const dmi_graph *graph, const dmi_conv_shape *shape, float *dx,
                          const float *dy, const float *weight, bool add, float *work);
    void (*backward_weight)(const dmi_graph *graph, const dmi_conv_shape *shape, float *dw,
                            const float *x, const float *dy, bool add, float *work);
} dmi_conv_way;

extern const dmi_conv_way dmi_conv_winograd; /* 3x3, stride 1, pad 1 */
extern const dmi_conv_way
    dmi_conv_product; /* all but upsampled; meant for kernel 1 and for stride 2 */
extern const dmi_conv_way dmi_conv_im2col; /* all, by dmi_gemm; the oracle of the others */

/* The algorithm for a shape, given the name of the library's kernels (dmi_kernels.isa) and that of
 * BLAS's (dmi_gemm_core). */
const dmi_conv_way *dmi_conv_select(const char *isa, const char *core, const dmi_conv_shape *shape);

#endif
