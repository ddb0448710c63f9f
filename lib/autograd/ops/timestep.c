/* SPDX-License-Identifier: MIT */
/* Sinusoidal embedding of timesteps (Vaswani et al. 2017, sec. 3.5, with DDPM's frequencies). */
#include "autograd/ops.h"

#include <math.h>
#include <string.h>

#include "autograd/ops/check_shape.h"

static int32_t timestep_infer(const dmi_graph *graph, const dmi_node *node, dmi_shape *output) {
    int32_t n = dmi_input_shape(graph, node, 0).n, channels = node->attr.timestep.channels,
            half = channels / 2;
    double shift = (double)node->attr.timestep.shift;
    if (channels < 2)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "timestep: %d channels; a sine and a cosine need 2", (int)channels);
    if (!isfinite(shift) || half - shift == 0)
        return dmi_fail(graph->host, DMI_ERROR_INVALID_ARGUMENT,
                        "timestep: the frequencies' shift is %g; it must be a number other than "
                        "half of the %d channels",
                        shift, (int)channels);
    *output = dmi_shape_of(n, 1, 1, channels);
    return dmi_check_shape(graph, node, 0, "t", dmi_shape_of(n, 1, 1, 1));
}

static void timestep_needs(const dmi_graph *graph, const dmi_node *node, bool train,
                           dmi_needs *needs) {
    (void)graph, (void)node, (void)train;
    needs->reads = 1u << 0;
}

static double frequency(const dmi_node *node, int32_t i) {
    int32_t half = node->attr.timestep.channels / 2;
    return exp(-log(10000.0) * i / (half - (double)node->attr.timestep.shift));
}

/* On one thread, since a batch has few timesteps. Where channels is odd, the last one is zero. */
static void timestep_forward(dmi_graph *graph, dmi_node *node) {
    const float *t = dmi_input(graph, node, 0);     /* [n] */
    float *y = dmi_graph_data(graph, node->output); /* [n, channels] */
    dmi_shape shape = dmi_graph_shape(graph, node->output);
    size_t channels = (size_t)shape.c;
    int32_t half = shape.c / 2, sine = node->attr.timestep.cos_first ? half : 0,
            cosine = half - sine;
    memset(y, 0, dmi_shape_count(shape) * sizeof(float));
    for (int32_t i = 0; i < half; i++) {
        double f = frequency(node, i);
        for (size_t n = 0; n < (size_t)shape.n; n++) {
            y[n * channels + (size_t)(sine + i)] = (float)sin(f * (double)t[n]);
            y[n * channels + (size_t)(cosine + i)] = (float)cos(f * (double)t[n]);
        }
    }
}

static void timestep_backward(dmi_graph *graph, dmi_node *node) {
    const float *t = dmi_input(graph, node, 0), *dy = dmi_graph_gradient(graph, node->output);
    float *dt = dmi_input_gradient(graph, node, 0);
    dmi_shape shape = dmi_graph_shape(graph, node->output);
    int32_t half = shape.c / 2, sine = node->attr.timestep.cos_first ? half : 0,
            cosine = half - sine;
    if (!dt) return;
    for (size_t n = 0; n < (size_t)shape.n; n++) {
        const float *row = dy + n * (size_t)shape.c;
        double sum = node->accumulates[0] ? (double)dt[n] : 0;
        for (int32_t i = 0; i < half; i++) {
            double f = frequency(node, i), angle = f * (double)t[n];
            sum += f * ((double)row[sine + i] * cos(angle) - (double)row[cosine + i] * sin(angle));
        }
        dt[n] = (float)sum;
    }
}

static const dmi_op timestep_op = {.name = "timestep",
                                   .infer = timestep_infer,
                                   .needs = timestep_needs,
                                   .forward = timestep_forward,
                                   .backward = timestep_backward};

int32_t dmi_timestep(dmi_graph *graph, dmi_value *out, dmi_value t, int32_t channels, float shift,
                     bool cos_first) {
    dmi_attributes attr = {
        .timestep = {.channels = channels, .shift = shift, .cos_first = cos_first}};
    return dmi_graph_append(graph, out, &timestep_op, &t, 1, &attr);
}
