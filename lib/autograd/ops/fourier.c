/* SPDX-License-Identifier: MIT */
/* Random Fourier features of the logarithm of a noise level (Tancik et al. 2020, as in Song et al.
 * 2021). Frequencies are drawn once, kept in the files and never trained.
 *
 * Frequencies of 16 N(0, 1) make angles of some hundred radians, whose rounding to a float, 1e-5,
 * is part of what a trained network has seen. So the angle is formed in float as PyTorch's models
 * form it, ((ln t * w) * 2) * pi, and only its sine and cosine are computed in double. */
#include "autograd/ops.h"

#include <math.h>
#include <string.h>

#include "autograd/ops/check_shape.h"

enum { T, WEIGHT };

/* Twice pi rounded to a float, which is exact. */
static const float two_pi = 2 * 3.14159274f;

static int32_t fourier_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    int32_t n = dmi_input_shape(graph, node, T).n, c = dmi_input_shape(graph, node, WEIGHT).c;
    int32_t status = dmi_check_shape(graph, node, T, "t", dmi_shape_of(n, 1, 1, 1));
    if (!status) status = dmi_check_shape(graph, node, WEIGHT, "weight", dmi_shape_of(1, 1, 1, c));
    if (status) return status;
    if (c > INT32_MAX / 2)
        return dmi_fail(graph->host, DMI_ERROR_LIMIT_EXCEEDED,
                        "fourier: %d frequencies are too many", (int)c);
    *output = dmi_shape_of(n, 1, 1, 2 * c);
    return DMI_OK;
}

static void fourier_needs(const dmi_graph *graph, const dmi_node *node, bool train,
                          dmi_needs *needs) {
    (void)graph, (void)node, (void)train;
    needs->reads = 1u << T | 1u << WEIGHT;
}

/* log_t: the logarithm as a float; NaN or infinite where t is not above 0, and then not a number in
 * sine and cosine. */
static double angle_of(float log_t, float weight) {
    float turns = log_t * weight;
    return (double)(turns * two_pi);
}

/* On one thread, since a batch has few levels. */
static void fourier_forward(dmi_graph *graph, dmi_node *node) {
    const float *t = dmi_input(graph, node, T), *weight = dmi_input(graph, node, WEIGHT);
    float *y = dmi_graph_data(graph, node->output); /* [n, 2 c] */
    size_t n = (size_t)dmi_input_shape(graph, node, T).n,
           c = (size_t)dmi_input_shape(graph, node, WEIGHT).c;
    for (size_t i = 0; i < n; i++, y += 2 * c) {
        float log_t = logf(t[i]);
        for (size_t k = 0; k < c; k++) {
            double angle = angle_of(log_t, weight[k]);
            y[k] = (float)sin(angle);
            y[c + k] = (float)cos(angle);
        }
    }
}

static void fourier_backward(dmi_graph *graph, dmi_node *node) {
    const float *t = dmi_input(graph, node, T), *weight = dmi_input(graph, node, WEIGHT),
                *dy = dmi_graph_gradient(graph, node->output);
    float *dt = dmi_input_gradient(graph, node, T),
          *dweight = dmi_input_gradient(graph, node, WEIGHT);
    size_t n = (size_t)dmi_input_shape(graph, node, T).n,
           c = (size_t)dmi_input_shape(graph, node, WEIGHT).c;
    if (dweight && !node->accumulates[WEIGHT]) memset(dweight, 0, c * sizeof *dweight);
    for (size_t i = 0; dt && i < n; i++, dy += 2 * c) {
        float log_t = logf(t[i]);
        double sum = 0;
        for (size_t k = 0; k < c; k++) {
            double angle = angle_of(log_t, weight[k]);
            sum +=
                (double)weight[k] * ((double)dy[k] * cos(angle) - (double)dy[c + k] * sin(angle));
        }
        sum *= (double)two_pi / (double)t[i];
        dt[i] = (float)(node->accumulates[T] ? (double)dt[i] + sum : sum);
    }
}

static const dmi_op fourier_op = {.name = "fourier",
                                  .infer = fourier_infer,
                                  .needs = fourier_needs,
                                  .forward = fourier_forward,
                                  .backward = fourier_backward};

int32_t dmi_fourier(dmi_graph *graph, dmi_value *out, dmi_value t, dmi_value weight) {
    dmi_value inputs[] = {t, weight};
    return dmi_graph_append(graph, out, &fourier_op, inputs, 2, NULL);
}
