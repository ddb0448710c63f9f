/* The table of numeric kernels. Each family is one source file, compiled once for every instruction
 * set with DMI_ISA naming it (base, v3, v4), so the compiler vectorises it for that set; a context
 * picks one table for its life.
 *
 * Kernels are plain loops on float pointers and sizes: they never allocate, fail, take a lock or
 * start a thread. The operations above them cut the work into tasks. A picture's result never
 * depends on its neighbours in the batch. */
#ifndef DMI_KERNELS_KERNELS_H
#define DMI_KERNELS_KERNELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Inside a kernel file: DMI_KERNEL(silu_forward) is dmi_silu_forward_v3 when compiled for
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
    float l2; /* Adam with L2 in place of AdamW: the scaled gradients grow by l2 * w, and are
                 written */
    float average_fresh; /* in (0, 1]: average += fresh (w - average); 0: no average */
    bool first;          /* the moments are zero, and are written without being read */
} dmi_adamw;

/* The term of the variational bound at one timestep (Ho et al. 2020, eq. 5), with a learned
 * variance (Nichol and Dhariwal 2021, eq. 15). */
typedef struct dmi_bound {
    double low, high;     /* the ends between which the variance is interpolated, in logarithms: the
                             posterior's, and beta */
    double error;         /* what an error of eps is multiplied by to be one of the mean */
    double signal, noise; /* x_t = signal x_0 + noise eps; the decoder's */
    double factor;        /* of the gradient */
    bool decoder;         /* the last step, to a picture in bytes, in place of a Gaussian's */
} dmi_bound;

/* Columns of a panel of attention: whole vectors, and whole panels of a product, of every
 * instruction set. */
enum { DMI_SOFTMAX_COLUMNS = 32 };

/* Outputs of this many floats (2 MiB) that are read late are written past the caches. Measured on a
 * step: 1, 2, 4 MiB and never take 395, 385, 395 and 405 ms. */
enum { DMI_PAST_FLOATS = 512 * 1024 };

/* Channels of a picture that group norm takes at a time, or those of a group where they are
 * more. */
enum { DMI_NORM_SPAN = 64 };

/* One picture of group norm's input: the channels of two tensors side by side, each [pixels,
 * channels[i]]; mostly there is but one, and channels[1] is 0. */
typedef struct dmi_norm_x {
    const float *x[2];
    float *dx[2]; /* backward: written, or added to where `add` */
    bool add[2];
    int32_t channels[2];
} dmi_norm_x;

typedef struct dmi_kernels {
    const char *isa;

    /* ---- pointwise.c: n floats each; in and out may be the same array ---- */
    void (*silu_forward)(float *y, const float *x, size_t n);
    /* dx = (or += where `add`) dy * silu'(x) */
    void (*silu_backward)(float *dx, const float *x, const float *dy, size_t n, bool add);
    void (*add)(float *y, const float *a, const float *b, size_t n); /* y = a + b */
    void (*scale)(float *y, const float *x, float factor, size_t n);
    /* rows of `columns` floats from x (row stride sx) to y (row stride sy); y += x where `add` */
    void (*copy_rows)(float *y, size_t sy, const float *x, size_t sx, size_t rows, size_t columns,
                      bool add);
    /* y[c] = (or +=) sum over rows of x [rows, columns], rows in order, in chunks summed in
     * double */
    void (*sum_rows)(float *y, const float *x, size_t rows, size_t columns, bool add);
    /* mask of n bits' worth from random words: y = x * (word >= threshold) * factor */
    void (*dropout)(float *y, const float *x, const uint32_t *words, uint32_t threshold,
                    float factor, size_t n, bool add);

    /* ---- philox.c: `blocks` blocks of four random words from `counter` on, as dmi_philox makes
     * them one by one ---- */
    void (*random_words)(uint32_t *words, const uint32_t key[2], const uint32_t counter[4],
                         size_t blocks);

    /* ---- norm.c, norm_backward.c: one picture [pixels, channels], whole groups c0 to c1-1 of
     * `per_group` ---- y = f(gain[c] * (x - mean) * rstd + offset[c]), f = SiLU where `silu`; mean
     * and rstd [groups of the picture]. `past`: y or dx is written past the caches where it is made
     * of whole lines. */
    void (*norm_forward)(float *y, float *mean, float *rstd, const dmi_norm_x *x, const float *gain,
                         const float *offset, int32_t pixels, int32_t per_group, int32_t c0,
                         int32_t c1, float eps, bool silu, bool past);
    /* dx; dgain[c] = sum du * xhat, doffset[c] = sum du, over the pixels, written (not added).
     * `kept` has room for pixels * max(DMI_NORM_SPAN, per_group) floats, or is NULL: then the slope
     * of SiLU is computed twice. */
    void (*norm_backward)(const dmi_norm_x *x, float *dgain, float *doffset, const float *dy,
                          const float *mean, const float *rstd, const float *gain,
                          const float *offset, int32_t pixels, int32_t per_group, int32_t c0,
                          int32_t c1, bool silu, bool past, float *kept);

    /* ---- softmax.c: attention on panels of DMI_SOFTMAX_COLUMNS columns, row-major and dense
     * ---- */
    /* One step of the running softmax. s [keys, columns] holds scores, a query a column: most =
     * max(most, s), p = exp(scale * (s - most)) in place of s, sum += sum p over the keys; `sum`
     * and o [width, columns] so far are first multiplied by exp(scale * (most before - most)).
     * `first`: there is no before, and o is left alone. */
    void (*softmax_block)(float *s, float *o, float *most, float *sum, float scale, int32_t keys,
                          int32_t width, bool first);
    /* o [width, columns] /= sum; lse = most + log(sum) / scale, of the first `queries` columns */
    void (*softmax_finish)(float *o, float *lse, const float *most, const float *sum, float scale,
                           int32_t width, int32_t queries);
    /* s and dp [rows, columns], a query a row: p = exp(scale * (s - lse[row])) in place of s, and
     * ds = scale * p * (dp - delta[row]) in place of dp */
    void (*softmax_gradient)(float *s, float *dp, const float *lse, const float *delta, float scale,
                             int32_t rows);
    /* panel [width, columns] = x [rows, width] (row stride) turned over, zeros in the columns from
     * `rows` on; and back */
    void (*rows_to_panel)(float *panel, const float *x, size_t stride, int32_t rows, int32_t width);
    void (*panel_to_rows)(float *y, size_t stride, const float *panel, int32_t rows, int32_t width,
                          bool add);
    /* delta[row] = sum_c a[row, c] * b[row, c], with row strides */
    void (*row_dot)(float *delta, const float *a, size_t sa, const float *b, size_t sb,
                    int32_t rows, int32_t columns);

    /* ---- linear.c: vectors; w [in, out]; one batch row at a time, so a row never depends on the
     * others ---- */
    /* y [out] = bias + x [in] w; bias may be NULL; columns o0 to o1-1 */
    void (*linear_forward)(float *y, const float *x, const float *w, const float *bias, int32_t in,
                           int32_t out, int32_t o0, int32_t o1);
    /* dx[i] = (+=) sum_o dy[o] w[i, o], rows i0 to i1-1 */
    void (*linear_backward_x)(float *dx, const float *dy, const float *w, int32_t out, int32_t i0,
                              int32_t i1, bool add);
    /* dw[i, o] = (+=) sum_n x[n, i] dy[n, o], rows i0 to i1-1, n in order */
    void (*linear_backward_w)(float *dw, const float *x, const float *dy, int32_t n, int32_t in,
                              int32_t out, int32_t i0, int32_t i1, bool add);

    /* ---- loss.c, bound.c: one picture ---- */
    /* sum of (p - t)^2 over n floats, in double, chunks in order; gradient[i] = factor * (p - t) */
    double (*mse)(float *gradient, const float *prediction, const float *target, float factor,
                  size_t n);
    /* the same of 2 d^2 / (1 + r), r = sqrt(1 + (d/delta)^2), d = p - t: gradient[i] = factor * d /
     * r */
    double (*huber)(float *gradient, const float *prediction, const float *target, float factor,
                    float delta, size_t n);
    /* The term's sum over a picture in nats. output [pixels, 2 channels]: eps, then where the
     * variance lies; target [pixels, channels]: eps; x_t: the first channels of input [pixels,
     * input_channels]. gradient [like output]: of the second half alone, the first is left as it
     * is. */
    double (*bound)(float *gradient, const float *output, const float *target, const float *input,
                    size_t input_channels, const dmi_bound *at, size_t pixels, size_t channels);

    /* ---- diffuse.c: one picture of n floats ---- */
    /* y = a * x + b * z: x_t, v, and every solver's update */
    void (*combine)(float *y, float a, const float *x, float b, const float *z, size_t n);
    /* y = x / 127.5 - 1, mirrored left to right where `flip`; [h, w, c] */
    void (*from_u8)(float *y, const uint8_t *x, int32_t h, int32_t w, int32_t c, bool flip);
    /* y[r][q] = x[r + down][q + right], past the edges mirrored at the outermost pixel; |down| < h,
     * |right| < w; [h, w, c] */
    void (*shift)(float *y, const float *x, int32_t h, int32_t w, int32_t c, int32_t down,
                  int32_t right);
    /* Of input [pixels, 2 channels] the second half: of_x times the first + of_output times the
     * first channels of output [pixels, output_channels], clipped to [-1, 1]. */
    void (*self_condition)(float *input, float of_x, const float *output, float of_output,
                           size_t output_channels, size_t pixels, size_t channels);

    /* ---- solver.c: one picture of n values; y may be one of the inputs ---- */
    void (*solver_input)(float *input, double factor, const double *x, size_t n); /* factor * x */
    /* of_x * x + of_output * output, clipped to [-limit, limit] */
    void (*solver_read)(double *y, double of_x, const double *x, double of_output,
                        const float *output, double limit, size_t n);
    /* clipped to [-limit, limit], and divided by limit */
    void (*solver_threshold)(double *y, double limit, size_t n);
    /* the sum over k of factors[k] * terms[k], and of_z * z, where z is not NULL */
    void (*solver_sum)(double *y, const double *const *terms, const double *factors, int32_t count,
                       const float *z, double of_z, size_t n);
    /* z *= exp(range / 2 * (output + 1) / 2): noise of a learned variance */
    void (*solver_spread)(float *z, const float *output, float range, size_t n);
    /* x = mask x + (1 - mask) (signal image + noise z), [pixels, channels] with a mask [pixels] */
    void (*solver_keep)(double *x, const float *mask, const float *image, double signal,
                        const float *z, double noise, size_t pixels, size_t channels);
    /* The mean of n values and of their squared distance from it. */
    void (*moments)(double *mean, double *variance, const float *x, size_t n);
    /* The value below which the share of |x| lies, in a straight line between neighbours; no x is
     * NaN. */
    double (*solver_quantile)(double *scratch, const double *x, double share, size_t n);

    /* ---- adamw.c: a range of the flat parameter block ---- */
    void (*adamw)(float *w, float *m, float *v, float *average, float *g, const dmi_adamw *options,
                  size_t n);
    void (*average)(float *average, const float *w, float fresh,
                    size_t n);                       /* average += fresh (w - average) */
    double (*sum_squares)(const float *x, size_t n); /* in double */
    bool (*all_finite)(const float *x, size_t n);

    /* ---- product.c, see product.h ---- */
    const struct dmi_product *product;

    /* ---- winograd.c, see winograd.h ---- */
    const struct dmi_winograd *winograd;
} dmi_kernels;

/* The table for DMI_ISA_*, or for the best one compiled in that is not above it. */
const dmi_kernels *dmi_kernels_for(int32_t isa);

#endif
