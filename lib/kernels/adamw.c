/* AdamW (Loshchilov and Hutter 2019, algorithm 2, in PyTorch's order) and the moving average of the
 * weights in one pass over the flat parameter block, and what is asked of the gradient before it:
 * its sum of squares, and whether it is finite. */
#include "kernels/double_sums.h"
#include "kernels/families.h"
#include "kernels/vector_math.h"

/* The same for every element, computed once in double. */
typedef struct step {
    float shrink; /* 1 - rate * decay */
    float beta1, beta2, fresh1, fresh2;
    float correction2, eps, gradient_scale;
    float size; /* rate * correction1 */
} step;

/* In the first step the moments are zero. Were they read, memory that nobody has written would be
 * mapped twice: to be read, and once more to be written, with all threads waiting. */
static inline float updated(float w, float *m, float *v, float g, const step *s, const bool first) {
    g *= s->gradient_scale;
    *m = first ? s->fresh1 * g : s->fresh1 * (g - *m) + *m;
    *v = first ? (s->fresh2 * g) * g : s->beta2 * *v + (s->fresh2 * g) * g;
    return w * s->shrink - s->size * *m / (sqrtf(*v * s->correction2) + s->eps);
}

static inline void update(float *restrict w, float *restrict m, float *restrict v,
                          const float *restrict g, const step *s, size_t n, const bool first) {
    for (size_t i = 0; i < n; i++) w[i] = updated(w[i], &m[i], &v[i], g[i], s, first);
}

static inline void update_averaged(float *restrict w, float *restrict m, float *restrict v,
                                   float *restrict average, const float *restrict g, const step *s,
                                   float fresh, size_t n, const bool first) {
    for (size_t i = 0; i < n; i++) {
        float next = updated(w[i], &m[i], &v[i], g[i], s, first);
        w[i] = next;
        average[i] = fresh * (next - average[i]) + average[i];
    }
}

static inline void add_weights(float *restrict g, float scale, float l2, const float *restrict w,
                               size_t n) {
    for (size_t i = 0; i < n; i++) g[i] = scale * g[i] + l2 * w[i];
}

void DMI_KERNEL(average)(float *restrict average, const float *restrict w, float fresh, size_t n) {
    for (size_t i = 0; i < n; i++) average[i] = fresh * (w[i] - average[i]) + average[i];
}

void DMI_KERNEL(adamw)(float *restrict w, float *restrict m, float *restrict v,
                       float *restrict average, float *restrict g, const dmi_adamw *options,
                       size_t n) {
    const bool l2 = options->l2 > 0;
    if (l2) add_weights(g, options->gradient_scale, options->l2, w, n);
    const step s = {
        .shrink = (float)(1.0 - (double)options->rate * options->decay),
        .beta1 = options->beta1,
        .beta2 = options->beta2,
        .fresh1 = 1.0f - options->beta1,
        .fresh2 = 1.0f - options->beta2,
        .correction2 = options->correction2,
        .eps = options->eps,
        .gradient_scale = l2 ? 1 : options->gradient_scale,
        .size = (float)((double)options->rate * options->correction1),
    };
    const bool averages = average && options->average_fresh > 0;
    const float fresh = options->average_fresh;
    if (averages && options->first) update_averaged(w, m, v, average, g, &s, fresh, n, true);
    else if (averages) update_averaged(w, m, v, average, g, &s, fresh, n, false);
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
