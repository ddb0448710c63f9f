/* A term of the variational bound whose variance the network has learned, and its gradient by the
 * network's second half. In double: it is computed once for each element of a picture, while a step
 * does some thousand products for it. */
#include "kernels/families.h"
#include "kernels/vector_math.h"

static const double bin_half = 1 / 255.0; /* of the 256 values of a byte in [-1, 1] */
static const double edge =
    0.999; /* values beyond are the first and the last, whose bins have no end */
static const double probability_least =
    1e-12; /* as in improved-diffusion: below, the logarithm stays */

/* P(Z > x) of a standard normal Z, and its density. */
static double above(double x) { return 0.5 * erfc(x * 0.70710678118654752440); }
static double density(double x) { return 0.39894228040143267794 * exp(-0.5 * x * x); }

/* x density(x), whose limit is 0: density is 0 beyond 39 already. */
static double pull(double x) { return x > -40 && x < 40 ? x * density(x) : 0; }

/* KL between the posterior, of variance exp(low), and a Gaussian of variance exp(log_variance)
 * whose mean is off by `error` (Ho et al. 2020, eq. 10); *slope is its derivative by
 * log_variance. */
static double divergence(double low, double log_variance, double error, double *slope) {
    double spread = exp(low - log_variance), off = error * error * exp(-log_variance);
    *slope = 0.5 * (1 - spread - off);
    return 0.5 * (log_variance - low - 1 + spread + off);
}

/* -log of the probability that a Gaussian gives the byte's bin around x (Ho et al. 2020, eq. 13);
 * `off` is x less its mean. */
static double decoder(double x, double log_variance, double off, double *slope) {
    double sharp = exp(-0.5 * log_variance), low = (off - bin_half) * sharp,
           high = (off + bin_half) * sharp;
    bool first = x<-edge, last = x> edge;
    /* The side that loses no digits: the bin's probability is the same seen from above and from
     * below. */
    bool mirrored = low + high < 0;
    double a = mirrored ? -high : low, b = mirrored ? -low : high;
    double probability = first ? above(-high) : last ? above(low) : above(a) - above(b);
    /* Of z density(z), which falls to 0 on the open sides: d z / d log_variance is -z / 2. */
    double change = 0.5 * ((last ? 0 : pull(high)) - (first ? 0 : pull(low)));
    *slope = probability > probability_least ? change / probability : 0;
    return -log(probability > probability_least ? probability : probability_least);
}

double DMI_KERNEL(bound)(float *gradient, const float *output, const float *target,
                         const float *input, size_t input_channels, const dmi_bound *at,
                         size_t pixels, size_t channels) {
    double sum = 0, half = 0.5 * (at->high - at->low);
    for (size_t p = 0; p < pixels; p++) {
        const float *eps = output + p * 2 * channels, *share = eps + channels,
                    *wanted = target + p * channels;
        const float *x = input + p * input_channels;
        float *to = gradient + p * 2 * channels + channels;
        for (size_t c = 0; c < channels; c++) {
            double log_variance = at->low + half * ((double)share[c] + 1), slope;
            double error = at->error * ((double)eps[c] - wanted[c]);
            if (at->decoder)
                sum += decoder((x[c] - at->noise * wanted[c]) / at->signal, log_variance, error,
                               &slope);
            else sum += divergence(at->low, log_variance, error, &slope);
            to[c] = (float)(at->factor * slope * half);
        }
    }
    return sum;
}
