/* SPDX-License-Identifier: MIT */
/* See frechet.h. */
#include "frechet.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CHANNELS = FRECHET_CHANNELS, N = FRECHET_FEATURES, BATCH = 16 };

struct frechet_features {
    dm_unet *unet;
    size_t elements, pixels;
    float *output; /* [BATCH, height, width, CHANNELS] */
};

/* SplitMix64's mixing function (Steele et al. 2014) of a weight's position, to [-1, 1). */
static float weight_at(uint64_t tensor, uint64_t element) {
    uint64_t z = tensor * 0x9E3779B97F4A7C15u + element * 0xBF58476D1CE4E5B9u + 0x94D049BB133111EBu;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (float)((double)((z ^ (z >> 31)) >> 11) * 0x1p-52 - 1);
}

/* Draws every weight uniformly with variance 1 / fan-in, so that activations keep their scale;
 * norms and biases stay as they are. */
static dm_status randomise(dm_unet *unet) {
    for (int32_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        dm_tensor_info info;
        dm_tensor_info_init(&info, sizeof info);
        dm_status status = dm_unet_get_tensor_info(unet, i, &info);
        if (status) return status;
        if (info.rank < 2) continue;
        float *values = malloc(info.elements * sizeof *values);
        if (!values) return DM_ERROR_OUT_OF_MEMORY;
        float scale = (float)sqrt(3.0 * (double)info.shape[0] / (double)info.elements);
        for (uint64_t k = 0; k < info.elements; k++)
            values[k] = scale * weight_at((uint64_t)i + 1, k);
        status = dm_unet_set_tensor(unet, info.name, values, info.elements, info.shape, info.rank);
        free(values);
        if (status) return status;
    }
    return DM_OK;
}

dm_status frechet_create(frechet_features **out, dm_context *context, int32_t height, int32_t width,
                         int32_t channels) {
    dm_unet_options u;
    frechet_features *f = *out = calloc(1, sizeof *f);
    if (!f) return DM_ERROR_OUT_OF_MEMORY;
    dm_unet_options_init(&u, sizeof u);
    u.height = height;
    u.width = width;
    u.in_channels = channels;
    u.out_channels = CHANNELS;
    u.levels = 3;
    for (int i = 0; i < 3; i++) u.channels[i] = 32 << i, u.blocks[i] = 1, u.attention[i] = 0;
    u.channels[3] = u.blocks[3] = 0;
    u.mid_attention = 0;
    f->pixels = (size_t)height * (size_t)width;
    f->elements = f->pixels * (size_t)channels;
    f->output = malloc(BATCH * f->pixels * CHANNELS * sizeof *f->output);
    dm_status status =
        f->output ? dm_unet_create(&f->unet, context, &u, 1) : DM_ERROR_OUT_OF_MEMORY;
    return status ? status : randomise(f->unet);
}

void frechet_destroy(frechet_features *f) {
    if (!f) return;
    dm_unet_destroy(f->unet);
    free(f->output);
    free(f);
}

/* The mean of each channel over the pixels, then the standard deviation of each. */
static void pool(double *feature, const float *output, size_t pixels) {
    memset(feature, 0, N * sizeof *feature);
    double *mean = feature, *square = feature + CHANNELS;
    for (size_t p = 0; p < pixels; p++)
        for (int c = 0; c < CHANNELS; c++) {
            double value = output[p * CHANNELS + (size_t)c];
            mean[c] += value / (double)pixels;
            square[c] += value * value / (double)pixels;
        }
    for (int c = 0; c < CHANNELS; c++)
        square[c] = sqrt(square[c] > mean[c] * mean[c] ? square[c] - mean[c] * mean[c] : 0);
}

dm_status frechet_add(frechet_features *f, frechet_set *set, const float *images, size_t count) {
    static const double times[BATCH] = {0};
    for (size_t first = 0; first < count; first += BATCH) {
        size_t size = count - first < BATCH ? count - first : BATCH;
        dm_unet_input input;
        dm_unet_input_init(&input, sizeof input);
        input.count = size;
        input.x_elements = size * f->elements;
        input.time_count = input.count;
        input.x = images + first * f->elements;
        input.times = times;
        dm_status status = dm_unet_forward(f->unet, &input, f->output, size * f->pixels * CHANNELS);
        if (status) return status;
        for (size_t n = 0; n < size; n++) {
            double feature[N];
            pool(feature, f->output + n * f->pixels * CHANNELS, f->pixels);
            set->count++;
            for (int i = 0; i < N; i++) {
                set->sum[i] += feature[i];
                for (int j = 0; j < N; j++) set->product[i][j] += feature[i] * feature[j];
            }
        }
    }
    return DM_OK;
}

/* ---- the distance ---- */

typedef double matrix[N][N];

static void covariance(matrix c, double *mean, const frechet_set *s) {
    for (int i = 0; i < N; i++) mean[i] = s->sum[i] / s->count;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) c[i][j] = s->product[i][j] / s->count - mean[i] * mean[j];
}

static double root(double x) { return x > 0 ? sqrt(x) : 0; }

/* Jacobi's method (Golub and Van Loan, sec. 8.5): a becomes diagonal, the columns of v its
 * eigenvectors. Fast enough for 128 rows, and needs no LAPACK. Elements are left once they are
 * negligible beside their two diagonal elements, so that small eigenvalues stay accurate. */
static void diagonalise(matrix a, matrix v) {
    enum { SWEEPS = 30 };
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) v[i][j] = i == j;
    for (int sweep = 0; sweep < SWEEPS; sweep++)
        for (int p = 0; p < N; p++)
            for (int q = p + 1; q < N; q++) {
                if (fabs(a[p][q]) <= DBL_EPSILON * root(a[p][p] * a[q][q])) continue;
                double theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
                double t = (theta < 0 ? -1 : 1) / (fabs(theta) + sqrt(theta * theta + 1)),
                       c = 1 / sqrt(t * t + 1), s = t * c;
                for (int k = 0; k < N; k++) {
                    double x = a[k][p], y = a[k][q];
                    a[k][p] = c * x - s * y, a[k][q] = s * x + c * y;
                }
                for (int k = 0; k < N; k++) {
                    double x = a[p][k], y = a[q][k];
                    a[p][k] = c * x - s * y, a[q][k] = s * x + c * y;
                }
                for (int k = 0; k < N; k++) {
                    double x = v[k][p], y = v[k][q];
                    v[k][p] = c * x - s * y, v[k][q] = s * x + c * y;
                }
            }
}

static void multiply(matrix out, matrix a, matrix b) {
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            out[i][j] = 0;
            for (int k = 0; k < N; k++) out[i][j] += a[i][k] * b[k][j];
        }
}

/* tr (A B)^(1/2) = tr (A^(1/2) B A^(1/2))^(1/2), whose matrix is symmetric. */
static double trace_of_root(matrix a, matrix b) {
    static matrix v, half, product, whole;
    double sum = 0;
    diagonalise(a, v);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            half[i][j] = 0;
            for (int k = 0; k < N; k++) half[i][j] += v[i][k] * root(a[k][k]) * v[j][k];
        }
    multiply(product, half, b);
    multiply(whole, product, half);
    diagonalise(whole, v);
    for (int i = 0; i < N; i++) sum += root(whole[i][i]);
    return sum;
}

double frechet_distance(const frechet_set *a, const frechet_set *b) {
    static matrix ca, cb;
    double ma[N], mb[N], distance = 0;
    covariance(ca, ma, a);
    covariance(cb, mb, b);
    for (int i = 0; i < N; i++) distance += (ma[i] - mb[i]) * (ma[i] - mb[i]) + ca[i][i] + cb[i][i];
    return 1000 * (distance - 2 * trace_of_root(ca, cb));
}
