/* SPDX-License-Identifier: MIT */
/* The transforms of F(4x4, 3x3) in one dimension, on vectors of channels; each is applied to the
 * rows and to the columns.
 *
 * y = A^T [(G g) . (B^T d)] gives four outputs of the filter g (3) over d (6) with six products
 * (Lavin and Gray 2016, eq. 8): both polynomials are evaluated at the points 0, a, -a, b, -b and
 * infinity, and their product's transpose is interpolated (Toom-Cook). With M(x) = x (x^2 - a^2)
 * (x^2 - b^2):
 *
 *   row i of B^T:     the coefficients of M(x) / (x - p_i); those of M(x) for infinity
 *   row i of G:       (1, p_i, p_i^2) / prod_{j != i} (p_i - p_j); (0, 0, 1) for infinity
 *   column i of A^T:  (1, p_i, p_i^2, p_i^3); (0, 0, 0, 1) for infinity
 *
 * Points in pairs of both signs let even and odd parts be shared: 12 operations for six values of
 * B^T d, whatever a and b are.
 *
 * The points decide the rounding error (Barabasz et al. 2020, "Error analysis and improving the
 * accuracy of Winograd convolution for deep neural networks"). Relative error of each choice (norm
 * of the difference over norm of the result, 64 channels of normal numbers, float against double):
 *
 *   1, 2        1.7e-6   Lavin and Gray's
 *   1/2, 1      1.7e-6
 *   1/2, 2      1.1e-6
 *   1/2, 3/2    9.8e-7
 *   3/4, 3/2    8.4e-7
 *   2/3, 3/2    7.7e-7
 *   5/8, 3/2    7.9e-7   used here: the powers of a and b are exact in float, so B^T and A^T are
 *
 * The error grows with the square root of the length of a chain of sums, which product.h keeps at
 * PRODUCT_DEPTH. As measured with these kernels: 4.7e-7 for 16 channels, 7.7e-7 for 64, 1.1e-6 for
 * 128 to 512; a direct sum of the same data, in the same chains: 0.9e-7, 1.6e-7 and 2.1e-7 to
 * 2.3e-7. */
#ifndef DMI_KERNELS_WINOGRAD_POINTS_H
#define DMI_KERNELS_WINOGRAD_POINTS_H

#include "kernels/vector.h"

#define A 0.625f
#define B 1.5f
#define A2 (A * A)
#define B2 (B * B)
#define A3 (A * A * A)
#define B3 (B * B * B)
#define A2B2 (A2 * B2)
#define SUM2 (A2 + B2)
#define SCALE_0 ((float)(1 / (0.625 * 0.625 * 1.5 * 1.5)))
#define SCALE_A ((float)(1 / (2 * 0.625 * 0.625 * (0.625 * 0.625 - 1.5 * 1.5))))
#define SCALE_B ((float)(1 / (2 * 1.5 * 1.5 * (1.5 * 1.5 - 0.625 * 0.625))))

enum { POINTS = 36, TILE_IN = 6, TILE_OUT = 4 };

/* out[i * step] = (B^T d)_i */
static inline void input_1d(vec *out, int32_t step, vec d0, vec d1, vec d2, vec d3, vec d4,
                            vec d5) {
    vec even_a = d4 - B2 * d2, odd_a = d3 - B2 * d1;
    vec even_b = d4 - A2 * d2, odd_b = d3 - A2 * d1;
    out[0] = A2B2 * d0 + (d4 - SUM2 * d2);
    out[1 * step] = even_a + A * odd_a;
    out[2 * step] = even_a - A * odd_a;
    out[3 * step] = even_b + B * odd_b;
    out[4 * step] = even_b - B * odd_b;
    out[5 * step] = A2B2 * d1 + (d5 - SUM2 * d3);
}

/* out[i * step] = (A^T m)_i */
static inline void output_1d(vec *out, int32_t step, vec m0, vec m1, vec m2, vec m3, vec m4,
                             vec m5) {
    vec sum_a = m1 + m2, odd_a = m1 - m2;
    vec sum_b = m3 + m4, odd_b = m3 - m4;
    out[0] = (m0 + sum_a) + sum_b;
    out[1 * step] = A * odd_a + B * odd_b;
    out[2 * step] = A2 * sum_a + B2 * sum_b;
    out[3 * step] = A3 * odd_a + (B3 * odd_b + m5);
}

/* out[i * step] = (A y)_i, the adjoint of output_1d */
static inline void output_adjoint_1d(vec *out, int32_t step, vec y0, vec y1, vec y2, vec y3) {
    vec even_a = y0 + A2 * y2, odd_a = y1 + A2 * y3;
    vec even_b = y0 + B2 * y2, odd_b = y1 + B2 * y3;
    out[0] = y0;
    out[1 * step] = even_a + A * odd_a;
    out[2 * step] = even_a - A * odd_a;
    out[3 * step] = even_b + B * odd_b;
    out[4 * step] = even_b - B * odd_b;
    out[5 * step] = y3;
}

/* out[i * step] = (G g)_i */
static inline void weight_1d(vec *out, int32_t step, vec g0, vec g1, vec g2) {
    vec even_a = SCALE_A * (g0 + A2 * g2), even_b = SCALE_B * (g0 + B2 * g2);
    out[0] = SCALE_0 * g0;
    out[1 * step] = even_a + (SCALE_A * A) * g1;
    out[2 * step] = even_a - (SCALE_A * A) * g1;
    out[3 * step] = even_b + (SCALE_B * B) * g1;
    out[4 * step] = even_b - (SCALE_B * B) * g1;
    out[5 * step] = g2;
}

/* out[i * step] = (G^T u)_i, the adjoint of weight_1d */
static inline void weight_adjoint_1d(vec *out, int32_t step, vec u0, vec u1, vec u2, vec u3, vec u4,
                                     vec u5) {
    vec sum_a = SCALE_A * (u1 + u2), odd_a = SCALE_A * (u1 - u2);
    vec sum_b = SCALE_B * (u3 + u4), odd_b = SCALE_B * (u3 - u4);
    out[0] = SCALE_0 * u0 + (sum_a + sum_b);
    out[1 * step] = A * odd_a + B * odd_b;
    out[2 * step] = A2 * sum_a + (B2 * sum_b + u5);
}

#endif
