/* SPDX-License-Identifier: MIT */
/* AdamW (Loshchilov and Hutter 2019, algorithm 2, in PyTorch's order) and the exponential moving
 * average (EMA) of the weights in one pass over the flat parameter block; and the checks of the
 * gradient that precede it: its sum of squares, and whether it is finite. */
#include "kernels/double_sums.h"
#include "kernels/families.h"
#include "kernels/vector_math.h"

/* The constants of a step. */
typedef struct step {
    float shrink; /* 1 - rate * decay */
    float beta2;
    float gradient_weight1, gradient_weight2; /* 1 - beta1, 1 - beta2 */
    float correction2, eps, gradient_scale;
    float size; /* rate * correction1 */
} step;

/* The new w; m and v are updated. In the first step they are zero and not read: reading memory that
 * was never written maps its pages once for reading and again for writing, while all threads
 * wait. */
static inline float updated(float w, float *m, float *v, float g, const step *s, const bool first) {
    g *= s->gradient_scale;
    *m = first ? s->gradient_weight1 * g : s->gradient_weight1 * (g - *m) + *m;
    *v = first ? (s->gradient_weight2 * g) * g : s->beta2 * *v + (s->gradient_weight2 * g) * g;
    return w * s->shrink - s->size * *m / (sqrtf(*v * s->correction2) + s->eps);
}

static inline void update(float *restrict w, float *restrict m, float *restrict v,
                          const float *restrict g, const step *s, size_t n, const bool first) {
    for (size_t i = 0; i < n; i++) w[i] = updated(w[i], &m[i], &v[i], g[i], s, first);
}

static inline void update_with_ema(float *restrict w, float *restrict m, float *restrict v,
                                   float *restrict ema, const float *restrict g, const step *s,
                                   float ema_weight, size_t n, const bool first) {
    for (size_t i = 0; i < n; i++) {
        float next = updated(w[i], &m[i], &v[i], g[i], s, first);
        w[i] = next;
        ema[i] = ema_weight * (next - ema[i]) + ema[i];
    }
}

/* g = scale * g + l2 * w */
static inline void add_l2_gradient(float *restrict g, float scale, float l2,
                                   const float *restrict w, size_t n) {
    for (size_t i = 0; i < n; i++) g[i] = scale * g[i] + l2 * w[i];
}

void DMI_KERNEL(ema)(float *restrict ema, const float *restrict w, float ema_weight, size_t n) {
    for (size_t i = 0; i < n; i++) ema[i] = ema_weight * (w[i] - ema[i]) + ema[i];
}

void DMI_KERNEL(adamw)(float *restrict w, float *restrict m, float *restrict v, float *restrict ema,
                       float *restrict g, const dmi_adamw *options, size_t n) {
    const bool l2 = options->l2 > 0;
    if (l2) add_l2_gradient(g, options->gradient_scale, options->l2, w, n);
    const step s = {
        .shrink = (float)(1.0 - (double)options->rate * options->decay),
        .beta2 = options->beta2,
        .gradient_weight1 = 1.0f - options->beta1,
        .gradient_weight2 = 1.0f - options->beta2,
        .correction2 = options->correction2,
        .eps = options->eps,
        .gradient_scale = l2 ? 1 : options->gradient_scale,
        .size = (float)((double)options->rate * options->correction1),
    };
    const float ema_weight = options->ema_weight;
    const bool has_ema = ema && ema_weight > 0;
    if (has_ema && options->first) update_with_ema(w, m, v, ema, g, &s, ema_weight, n, true);
    else if (has_ema) update_with_ema(w, m, v, ema, g, &s, ema_weight, n, false);
    else if (options->first) update(w, m, v, g, &s, n, true);
    else update(w, m, v, g, &s, n, false);
}

double DMI_KERNEL(sum_squares)(const float *x, size_t n) {
    double lane[DMI_SUM_LANES] = {0};
    size_t i = 0;
    for (; i + DMI_SUM_LANES <= n; i += DMI_SUM_LANES) dmi_add_squares(lane, x + i, DMI_SUM_LANES);
    dmi_add_squares(lane, x + i, n - i);
    return dmi_sum_double_lanes(lane);
}

bool DMI_KERNEL(all_finite)(const float *x, size_t n) {
    const uint32_t exponent = 0x7F800000u;
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) bad |= (dmi_bits(x[i]) & exponent) == exponent ? 1u : 0u;
    return bad == 0;
}
