/* SPDX-License-Identifier: MIT */
/* Images that continue with their opposite border. A convolution reads a copy with these borders,
 * and needs no padding of its own: every algorithm that supports pad 0 computes it. */
#ifndef DMI_AUTOGRAD_CONV_WRAP_H
#define DMI_AUTOGRAD_CONV_WRAP_H

#include "autograd/conv/conv.h"

/* The convolution of the copy that gives the same y as that shape: ih and iw include the borders,
 * and pad is 0, or -1 where it is upsampled, since the borders have whole pixels of x. */
dmi_conv_shape dmi_wrapped_shape(const dmi_conv_shape *shape);

/* Floats of the copy [n, ih, iw, ci], of its shape. */
static inline size_t dmi_wrapped_floats(const dmi_conv_shape *wrapped) {
    return (size_t)wrapped->n * (size_t)wrapped->ih * (size_t)wrapped->iw * (size_t)wrapped->ci;
}

/* copy = x [n, ih, iw, ci] with borders, which are zero in the axes that are not in `wrap`
 * (DMI_WRAP_*). shape: of x. */
void dmi_wrap(const dmi_graph *graph, const dmi_conv_shape *shape, int32_t wrap, float *copy,
              const float *x);
/* The adjoint: dx [n, ih, iw, ci] = the sum of the copy's pixels that come from each pixel of x, in
 * a fixed order; `add`: added to dx. */
void dmi_unwrap(const dmi_graph *graph, const dmi_conv_shape *shape, int32_t wrap, float *dx,
                const float *copy, bool add);

#endif
