/* Initial weights (Ho et al. 2020 use variance scaling with fan average, uniform). */
#include "layers/layers.h"

#include <math.h>

#include "base/random.h"

/* The bound of the uniform distribution; fans count the taps of the kernel. */
static float fan_average_bound(const dmi_param *p) {
    double taps = (double)p->shape[2] * (double)p->shape[3];
    return (float)sqrt(6.0 / (taps * (double)(p->shape[0] + p->shape[1])));
}

static void draw_uniform(float *w, size_t count, const dmi_random *at, float bound) {
    dmi_random_uniform(at, w, count);
    for (size_t i = 0; i < count; i++) w[i] = bound * (2 * w[i] - 1);
}

void dmi_params_draw(dmi_params *params, uint64_t seed) {
    for (int32_t i = 0; i < params->count; i++) {
        const dmi_param *p = &params->items[i];
        float *w = params->data + p->offset;
        dmi_random at = dmi_random_at(seed, DMI_STREAM_INIT, (uint64_t)i);
        switch (p->init) {
        case DMI_INIT_FAN_AVERAGE: draw_uniform(w, p->count, &at, fan_average_bound(p)); break;
        case DMI_INIT_PRACTICALLY_ZERO: draw_uniform(w, p->count, &at, 1e-5f * fan_average_bound(p)); break;
        case DMI_INIT_NORMAL: dmi_random_normal(&at, w, p->count); break;
        default:
            for (size_t k = 0; k < p->count; k++) w[k] = p->init == DMI_INIT_ONES ? 1.0f : 0.0f;
        }
    }
    params->version++;
}
