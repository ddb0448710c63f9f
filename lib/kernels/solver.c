/* One step of a sampler for one picture: the x_0 that the network's output stands for, its clipping, and the move to the
 * next timestep, with what each pixel needs held in registers. */
#include <math.h>

#include "kernels/families.h"
#include "kernels/vector_math.h"

/* Comparisons that let NaN through: the sampler looks for it afterwards. */
static inline float clipped(float x, float limit) {
    x = x > limit ? limit : x;
    return x < -limit ? -limit : x;
}

void DMI_KERNEL(solver_update)(float *x, float *x0, const float *prediction, const float *z, const dmi_solver_update *step,
                               size_t n) {
    const dmi_solver_update u = *step;
    const float limit = u.clip ? 1.0f : INFINITY;
    if (!z) {
        DMI_ELEMENTWISE
        for (size_t i = 0; i < n; i++) {
            x0[i] = clipped(u.x0_x * x[i] + u.x0_prediction * prediction[i], limit);
            x[i] = u.keep * x[i] + u.start * x0[i] + u.prediction * prediction[i];
        }
        return;
    }
    DMI_ELEMENTWISE
    for (size_t i = 0; i < n; i++) {
        x0[i] = clipped(u.x0_x * x[i] + u.x0_prediction * prediction[i], limit);
        x[i] = u.keep * x[i] + u.start * x0[i] + u.prediction * prediction[i] + u.noise * z[i];
    }
}
