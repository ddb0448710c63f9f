/* See clip.h. */
#include "optim/clip.h"

#include <math.h>

#include "optim/chunks.h"

typedef struct norm_job {
    const dmi_kernels *kernels;
    const float *gradient;
    size_t floats;
    double *sums;
} norm_job;

static void sum_chunk(void *data, int32_t chunk, int32_t worker) {
    const norm_job *job = data;
    (void)worker;
    const float *gradient = job->gradient + (size_t)chunk * DMI_CHUNK;
    job->sums[chunk] = job->kernels->sum_squares(gradient, dmi_chunk_size(job->floats, chunk));
}

double dmi_gradient_norm(dmi_pool *pool, const dmi_kernels *kernels, const float *gradient,
                         size_t floats, double *sums) {
    norm_job job = {.kernels = kernels, .gradient = gradient, .floats = floats, .sums = sums};
    int32_t chunks = dmi_chunk_count(floats);
    dmi_parallel(pool, chunks, sum_chunk, &job);
    double sum = 0;
    for (int32_t i = 0; i < chunks; i++) sum += sums[i];
    return sqrt(sum);
}

double dmi_clip_factor(double norm, double largest) {
    return largest > 0 && norm > largest ? largest / norm : 1;
}
