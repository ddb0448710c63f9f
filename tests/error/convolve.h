/* SPDX-License-Identifier: MIT */
/* 3x3 convolution of stride 1 with zero padding of one pixel, as plain loops in double precision,
 * in all three directions: the reference of winograd_error.c. No two tasks add to the same value.
 */
#ifndef DM_TESTS_ERROR_CONVOLVE_H
#define DM_TESTS_ERROR_CONVOLVE_H

#include "autograd/conv/conv.h"

enum { FORWARD, DATA, WEIGHT, DIRECTIONS };

/* Elements of x [n, ih, iw, ci], y [n, oh, ow, co] and w [3, 3, ci, co]. */
size_t x_count(const dmi_conv_shape *shape);
size_t y_count(const dmi_conv_shape *shape);
size_t w_count(const dmi_conv_shape *shape);

/* y from x and w, dx from dy and w, which here is [3, 3, co, ci], or dw from x and dy; `to` is
 * overwritten. */
void convolve(dmi_pool *pool, const dmi_conv_shape *shape, int direction, double *to,
              const double *x, const double *dy, const double *w);

#endif
