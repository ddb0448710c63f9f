/* SPDX-License-Identifier: MIT */
/* A term of the variational bound with a learned variance, and its gradient with respect to the
 * second half of the network's output. In double: it costs little beside the some thousand
 * multiplications that a training step does for each element of an image. */
#include "kernels/families.h"
#include "kernels/vector_math.h"

/* Half the width of a bin of the 256 values of a byte in [-1, 1]. */
static const double bin_half = 1 / 255.0;
/* Values beyond +-edge are the first and the last of the 256, whose bins are open. */
static const double edge = 0.999;
/* Smaller probabilities count as this one, as in improved-diffusion. */
static const double probability_min = 1e-12;

/* P(Z > x) of a standard normal Z, and its density. */
static double above(double x) { return 0.5 * erfc(x * 0.70710678118654752440); }
static double density(double x) { return 0.39894228040143267794 * exp(-0.5 * x * x); }

/* x density(x), which is 0 at infinity; density is 0 beyond 39 already. */
static double x_density(double x) { return x > -40 && x < 40 ? x * density(x) : 0; }

/* The KL divergence between the posterior, of variance exp(low), and a Gaussian of variance
 * exp(log_variance) whose mean differs by `error` (Ho et al. 2020, eq. 10); *slope is its
 * derivative with respect to log_variance. */
static double divergence(double low, double log_variance, double error, double *slope) {
    double ratio = exp(low - log_variance), off = error * error * exp(-log_variance);
    *slope = 0.5 * (1 - ratio - off);
    return 0.5 * (log_variance - low - 1 + ratio + off);
}

/* -log of the probability that a Gaussian gives to the bin of the byte at x (Ho et al. 2020, eq.
 * 13); `off` is x - mean; *slope is the derivative with respect to log_variance. */
static double decoder(double x, double log_variance, double off, double *slope) {
    double inverse = exp(-0.5 * log_variance);
    double low = (off - bin_half) * inverse, high = (off + bin_half) * inverse;
    bool first = x<-edge, last = x> edge;
    /* A bin and its mirror image have the same probability: the difference of the tail
     * probabilities is taken on the side where they are small, so that no digits cancel. */
    bool mirrored = low + high < 0;
    double a = mirrored ? -high : low, b = mirrored ? -low : high;
    double probability = first ? above(-high) : last ? above(low) : above(a) - above(b);
    /* The derivative of the probability: d z / d log_variance = -z / 2; an open side has none. */
    double change = 0.5 * ((last ? 0 : x_density(high)) - (first ? 0 : x_density(low)));
    *slope = probability > probability_min ? change / probability : 0;
    return -log(probability > probability_min ? probability : probability_min);
}

double DMI_KERNEL(bound)(float *gradient, const float *output, const float *target,
                         const float *input, size_t input_channels, const dmi_bound *term,
                         size_t pixels, size_t channels) {
    double sum = 0, half = 0.5 * (term->high - term->low);
    for (size_t p = 0; p < pixels; p++) {
        const float *eps = output + p * 2 * channels, *position = eps + channels,
                    *eps_true = target + p * channels;
        const float *x = input + p * input_channels;
        float *to = gradient + p * 2 * channels + channels;
        for (size_t c = 0; c < channels; c++) {
            double log_variance = term->low + half * ((double)position[c] + 1), slope;
            double error = term->error * ((double)eps[c] - eps_true[c]);
            if (term->decoder)
                sum += decoder((x[c] - term->noise * eps_true[c]) / term->signal, log_variance,
                               error, &slope);
            else sum += divergence(term->low, log_variance, error, &slope);
            to[c] = (float)(term->factor * slope * half);
        }
    }
    return sum;
}
