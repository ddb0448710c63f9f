/* SPDX-License-Identifier: MIT */
/* See frechet.h. */
#include "measure/frechet.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

enum { N = FEATURE_COUNT };

typedef double matrix[N][N];

/* What a distance needs, too large for the stack. */
typedef struct workspace {
    matrix a, b, vectors, half, product;
} workspace;

/* c must be zero. */
static void covariance(matrix c, double *mean, const feature_set *s) {
    double difference[N];
    for (int i = 0; i < N; i++) mean[i] = 0;
    for (size_t n = 0; n < s->count; n++)
        for (int i = 0; i < N; i++) mean[i] += s->values[n * N + (size_t)i];
    for (int i = 0; i < N; i++) mean[i] /= (double)s->count;
    for (size_t n = 0; n < s->count; n++) {
        for (int i = 0; i < N; i++) difference[i] = s->values[n * N + (size_t)i] - mean[i];
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) c[i][j] += difference[i] * difference[j];
    }
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) c[i][j] /= (double)s->count;
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
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) out[i][j] = 0;
        for (int k = 0; k < N; k++)
            for (int j = 0; j < N; j++) out[i][j] += a[i][k] * b[k][j];
    }
}

/* tr (A B)^(1/2) = tr (A^(1/2) B A^(1/2))^(1/2), whose matrix is symmetric. Overwrites w. */
static double trace_of_root(workspace *w) {
    double sum = 0;
    diagonalise(w->a, w->vectors);
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) {
            w->half[i][j] = 0;
            for (int k = 0; k < N; k++)
                w->half[i][j] += w->vectors[i][k] * root(w->a[k][k]) * w->vectors[j][k];
        }
    multiply(w->product, w->half, w->b);
    multiply(w->a, w->product, w->half);
    diagonalise(w->a, w->vectors);
    for (int i = 0; i < N; i++) sum += root(w->a[i][i]);
    return sum;
}

dm_status frechet_distance(double *distance, const feature_set *a, const feature_set *b) {
    double ma[N], mb[N], sum = 0;
    if (!a->count || !b->count) return DM_ERROR_INVALID_ARGUMENT;
    workspace *w = calloc(1, sizeof *w);
    if (!w) return DM_ERROR_OUT_OF_MEMORY;
    covariance(w->a, ma, a);
    covariance(w->b, mb, b);
    for (int i = 0; i < N; i++) sum += (ma[i] - mb[i]) * (ma[i] - mb[i]) + w->a[i][i] + w->b[i][i];
    *distance = 1000 * (sum - 2 * trace_of_root(w));
    free(w);
    return DM_OK;
}
