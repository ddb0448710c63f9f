/* SPDX-License-Identifier: MIT */
/* See clip.h. */
#include "optim/clip.h"

#include <math.h>

#include "optim/partition.h"

typedef struct norm_job {
    const dmi_kernels *kernels;
    const float *values;
    size_t floats;
    double *sums;
} norm_job;

static void sum_tile(void *data, int32_t tile, int32_t worker) {
    const norm_job *job = data;
    (void)worker;
    const float *values = job->values + (size_t)tile * DMI_FLAT_TILE;
    job->sums[tile] = job->kernels->sum_squares(values, dmi_flat_tile_size(job->floats, tile));
}

double dmi_flat_norm(dmi_pool *pool, const dmi_kernels *kernels, const float *values, size_t floats,
                     double *sums) {
    norm_job job = {.kernels = kernels, .values = values, .floats = floats, .sums = sums};
    int32_t tiles = dmi_flat_tile_count(floats);
    dmi_parallel(pool, tiles, sum_tile, &job);
    double sum = 0;
    for (int32_t i = 0; i < tiles; i++) sum += sums[i];
    return sqrt(sum);
}

double dmi_clip_factor(double norm, double norm_max) {
    return norm_max > 0 && norm > norm_max ? norm_max / norm : 1;
}
