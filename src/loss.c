/* See loss.h. */
#include "loss.h"

#include <math.h>

#include "diffusion.h"

typedef struct loss_job {
    const dmi_kernels *kernels;
    float *gradient;
    const float *output, *target;
    float factor;
    size_t elements;
    double *sums;
} loss_job;

dmi_mixture dmi_loss_noised(double alpha_cumprod) {
    return (dmi_mixture){.image = (float)sqrt(alpha_cumprod), .noise = (float)sqrt(1 - alpha_cumprod)};
}

dmi_mixture dmi_loss_target(int32_t prediction, double alpha_cumprod) {
    dmi_mixture x_t = dmi_loss_noised(alpha_cumprod);
    if (prediction == DM_PREDICT_X0) return (dmi_mixture){.image = 1, .noise = 0};
    if (prediction == DM_PREDICT_V) return (dmi_mixture){.image = -x_t.noise, .noise = x_t.image};
    return (dmi_mixture){.image = 0, .noise = 1};
}

static void picture_loss(void *data, int32_t picture, int32_t worker) {
    const loss_job *job = data;
    size_t at = (size_t)picture * job->elements;
    (void)worker;
    job->sums[picture] =
        job->kernels->mse(job->gradient + at, job->output + at, job->target + at, job->factor, job->elements);
}

double dmi_loss_squares(dmi_pool *pool, const dmi_kernels *kernels, float *gradient, const float *output,
                        const float *target, float factor, int32_t pictures, size_t elements, double *sums) {
    loss_job job = {.kernels = kernels, .gradient = gradient, .output = output, .target = target, .factor = factor,
                    .elements = elements, .sums = sums};
    dmi_parallel(pool, pictures, picture_loss, &job);
    double sum = 0;
    for (int32_t i = 0; i < pictures; i++) sum += sums[i];
    return sum;
}
