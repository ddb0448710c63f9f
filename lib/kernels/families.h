/* The functions of every kernel family for one instruction set, which table.c puts in its table.
 * What they compute stands in kernels.h. */
#ifndef DMI_KERNELS_FAMILIES_H
#define DMI_KERNELS_FAMILIES_H

#include "kernels/kernels.h"

/* ---- pointwise.c ---- */
void DMI_KERNEL(silu_forward)(float *y, const float *x, size_t n);
void DMI_KERNEL(silu_backward)(float *dx, const float *x, const float *dy, size_t n, bool add);
void DMI_KERNEL(add)(float *y, const float *a, const float *b, size_t n);
void DMI_KERNEL(scale)(float *y, const float *x, float factor, size_t n);
void DMI_KERNEL(copy_rows)(float *y, size_t sy, const float *x, size_t sx, size_t rows,
                           size_t columns, bool add);
void DMI_KERNEL(sum_rows)(float *y, const float *x, size_t rows, size_t columns, bool add);
void DMI_KERNEL(dropout)(float *y, const float *x, const uint32_t *words, uint32_t threshold,
                         float factor, size_t n, bool add);

/* ---- philox.c ---- */
void DMI_KERNEL(random_words)(uint32_t *words, const uint32_t key[2], const uint32_t counter[4],
                              size_t blocks);

/* ---- norm.c ---- */
void DMI_KERNEL(norm_forward)(float *y, float *mean, float *rstd, const dmi_norm_x *x,
                              const float *gain, const float *offset, int32_t pixels,
                              int32_t per_group, int32_t c0, int32_t c1, float eps, bool silu,
                              bool past);

/* ---- norm_backward.c ---- */
void DMI_KERNEL(norm_backward)(const dmi_norm_x *x, float *dgain, float *doffset, const float *dy,
                               const float *mean, const float *rstd, const float *gain,
                               const float *offset, int32_t pixels, int32_t per_group, int32_t c0,
                               int32_t c1, bool silu, bool past, float *kept);

/* ---- softmax.c ---- */
void DMI_KERNEL(softmax_block)(float *s, float *o, float *most, float *sum, float scale,
                               int32_t keys, int32_t width, bool first);
void DMI_KERNEL(softmax_finish)(float *o, float *lse, const float *most, const float *sum,
                                float scale, int32_t width, int32_t queries);
void DMI_KERNEL(softmax_gradient)(float *s, float *dp, const float *lse, const float *delta,
                                  float scale, int32_t rows);
void DMI_KERNEL(rows_to_panel)(float *panel, const float *x, size_t stride, int32_t rows,
                               int32_t width);
void DMI_KERNEL(panel_to_rows)(float *y, size_t stride, const float *panel, int32_t rows,
                               int32_t width, bool add);
void DMI_KERNEL(row_dot)(float *delta, const float *a, size_t sa, const float *b, size_t sb,
                         int32_t rows, int32_t columns);

/* ---- linear.c ---- */
void DMI_KERNEL(linear_forward)(float *y, const float *x, const float *w, const float *bias,
                                int32_t in, int32_t out, int32_t o0, int32_t o1);
void DMI_KERNEL(linear_backward_x)(float *dx, const float *dy, const float *w, int32_t out,
                                   int32_t i0, int32_t i1, bool add);
void DMI_KERNEL(linear_backward_w)(float *dw, const float *x, const float *dy, int32_t n,
                                   int32_t in, int32_t out, int32_t i0, int32_t i1, bool add);

/* ---- loss.c ---- */
double DMI_KERNEL(mse)(float *gradient, const float *prediction, const float *target, float factor,
                       size_t n);
double DMI_KERNEL(huber)(float *gradient, const float *prediction, const float *target,
                         float factor, float delta, size_t n);

/* ---- bound.c ---- */
double DMI_KERNEL(bound)(float *gradient, const float *output, const float *target,
                         const float *input, size_t input_channels, const dmi_bound *at,
                         size_t pixels, size_t channels);

/* ---- diffuse.c ---- */
void DMI_KERNEL(combine)(float *y, float a, const float *x, float b, const float *z, size_t n);
void DMI_KERNEL(from_u8)(float *y, const uint8_t *x, int32_t h, int32_t w, int32_t c, bool flip);
void DMI_KERNEL(shift)(float *y, const float *x, int32_t h, int32_t w, int32_t c, int32_t down,
                       int32_t right);
void DMI_KERNEL(self_condition)(float *input, float of_x, const float *output, float of_output,
                                size_t output_channels, size_t pixels, size_t channels);

/* ---- solver.c ---- */
void DMI_KERNEL(solver_input)(float *input, double factor, const double *x, size_t n);
void DMI_KERNEL(solver_read)(double *y, double of_x, const double *x, double of_output,
                             const float *output, double limit, size_t n);
void DMI_KERNEL(solver_threshold)(double *y, double limit, size_t n);
void DMI_KERNEL(solver_sum)(double *y, const double *const *terms, const double *factors,
                            int32_t count, const float *z, double of_z, size_t n);
void DMI_KERNEL(solver_spread)(float *z, const float *output, float range, size_t n);
void DMI_KERNEL(solver_keep)(double *x, const float *mask, const float *image, double signal,
                             const float *z, double noise, size_t pixels, size_t channels);
void DMI_KERNEL(moments)(double *mean, double *variance, const float *x, size_t n);
double DMI_KERNEL(solver_quantile)(double *scratch, const double *x, double share, size_t n);

/* ---- adamw.c ---- */
void DMI_KERNEL(adamw)(float *w, float *m, float *v, float *average, float *g,
                       const dmi_adamw *options, size_t n);
void DMI_KERNEL(average)(float *average, const float *w, float decay, size_t n);
double DMI_KERNEL(sum_squares)(const float *x, size_t n);
bool DMI_KERNEL(all_finite)(const float *x, size_t n);

extern const dmi_kernels DMI_KERNEL(table);

#endif
