/* SPDX-License-Identifier: MIT */
/* Activation functions of whole arrays, and their gradients. */
#include "kernels/families.h"
#include "kernels/vector_activation.h"

/* y of n vectors, or of the first `count` elements of one. */
static inline __attribute__((always_inline)) void forward_vectors(float *y, const float *x,
                                                                  const int32_t activation,
                                                                  int32_t count, const int n) {
    vec u[INTERLEAVE];
    DMI_EACH_VECTOR u[i] = load_part(x + i * W, count);
    activate(u, activation, n);
    DMI_EACH_VECTOR store_part(y + i * W, u[i], count);
}

static inline __attribute__((always_inline)) void forward_array(float *y, const float *x,
                                                                const int32_t activation,
                                                                size_t n) {
    const size_t block = (size_t)INTERLEAVE * W;
    size_t i = 0;
    for (; i + block <= n; i += block) forward_vectors(y + i, x + i, activation, W, INTERLEAVE);
    for (; i < n; i += W)
        forward_vectors(y + i, x + i, activation, n - i < W ? (int32_t)(n - i) : W, 1);
}

void DMI_KERNEL(activation_forward)(float *y, const float *x, int32_t activation, size_t n) {
    if (activation == DMI_ACTIVATION_SILU) forward_array(y, x, DMI_ACTIVATION_SILU, n);
    else if (activation == DMI_ACTIVATION_MISH) forward_array(y, x, DMI_ACTIVATION_MISH, n);
    else if (activation == DMI_ACTIVATION_GELU) forward_array(y, x, DMI_ACTIVATION_GELU, n);
    else forward_array(y, x, DMI_ACTIVATION_RELU, n);
}

/* dx of n vectors, or of the first `count` elements of one. */
static inline __attribute__((always_inline)) void backward_vectors(float *dx, const float *x,
                                                                   const float *dy,
                                                                   const int32_t activation,
                                                                   int32_t count, bool add,
                                                                   const int n) {
    vec u[INTERLEAVE];
    DMI_EACH_VECTOR u[i] = load_part(x + i * W, count);
    activate_derivative(u, activation, n);
    DMI_EACH_VECTOR u[i] = load_part(dy + i * W, count) * u[i];
    if (add) {
        DMI_EACH_VECTOR u[i] = load_part(dx + i * W, count) + u[i];
    }
    DMI_EACH_VECTOR store_part(dx + i * W, u[i], count);
}

static inline __attribute__((always_inline)) void backward_array(float *dx, const float *x,
                                                                 const float *dy,
                                                                 const int32_t activation, size_t n,
                                                                 bool add) {
    const size_t block = (size_t)INTERLEAVE * W;
    size_t i = 0;
    for (; i + block <= n; i += block)
        backward_vectors(dx + i, x + i, dy + i, activation, W, add, INTERLEAVE);
    for (; i < n; i += W)
        backward_vectors(dx + i, x + i, dy + i, activation, n - i < W ? (int32_t)(n - i) : W, add,
                         1);
}

void DMI_KERNEL(activation_backward)(float *dx, const float *x, const float *dy, int32_t activation,
                                     size_t n, bool add) {
    if (activation == DMI_ACTIVATION_SILU) backward_array(dx, x, dy, DMI_ACTIVATION_SILU, n, add);
    else if (activation == DMI_ACTIVATION_MISH)
        backward_array(dx, x, dy, DMI_ACTIVATION_MISH, n, add);
    else if (activation == DMI_ACTIVATION_GELU)
        backward_array(dx, x, dy, DMI_ACTIVATION_GELU, n, add);
    else backward_array(dx, x, dy, DMI_ACTIVATION_RELU, n, add);
}
