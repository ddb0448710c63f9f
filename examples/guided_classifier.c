/* SPDX-License-Identifier: MIT */
/* Classifier guidance (Dhariwal and Nichol 2021, algorithm 2): samples reddish images from a
 * network that has no such class.  guided_classifier MODEL.safetensors OUT.png [SCALE]
 *
 *     eps <- eps_theta(x_t, t) - scale sqrt(1 - a_t) grad log p(red | x_t)
 *
 * The classifier p is the program's own: a logistic regression on the mean of each colour of the
 * noised image, one for each range of timesteps, trained on generated shapes. Its gradient is
 * written by hand. */
#include "guided.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { IMAGES = 16, RANGES = 10, EXAMPLES = 2000, PASSES = 200, C = GUIDED_CHANNELS };

typedef struct classifier {
    const dm_schedule *schedule;
    size_t pixels;                 /* of an image */
    double weights[RANGES][C + 1]; /* of the means of red, green and blue, and the constant */
    double scale;                  /* of the guidance */
} classifier;

static void means_of(double means[C], const float *image, size_t pixels) {
    for (size_t c = 0; c < C; c++) means[c] = 0;
    for (size_t i = 0; i < pixels * C; i++) means[i % C] += (double)image[i] / (double)pixels;
}
static double *weights_at(classifier *c, double timestep) {
    return c->weights[(int)(timestep * RANGES / dm_schedule_timesteps(c->schedule))];
}
/* What the means are multiplied by: the part of x_t that is known to be x_0. So the gradient goes
 * to 0 where x_t is pure noise, whatever the weights. */
static double share_of(double signal, double noise) {
    return signal / (signal * signal + noise * noise);
}
/* p(red) by weights w and the means of an image. */
static double probability(const double *w, const double means[C], double share) {
    const double z = w[C] + share * (w[0] * means[0] + w[1] * means[1] + w[2] * means[2]);
    return 1 / (1 + exp(-z));
}

/* Uniform in (0, 1), by a linear congruential generator. */
static double uniform(uint32_t *state) {
    *state = 1664525u * *state + 1013904223u;
    return (*state + 0.5) / 4294967296.0;
}

/* Training: gradient descent on -log p, each time with an image at another level. The mean of the
 * pixels' noise is normal itself, so the noise need not be drawn pixel by pixel. */
static dm_status train(classifier *c, const guided *g, float *image) {
    static double means[EXAMPLES][C];
    uint8_t *pixels = malloc(g->n);
    dm_dataset *shapes;
    dm_status status = dm_dataset_create_shapes(&shapes, g->context, g->width, EXAMPLES, 99);
    if (!status && !pixels) status = DM_ERROR_OUT_OF_MEMORY;
    for (uint64_t i = 0; !status && i < EXAMPLES; i++) {
        status = dm_dataset_get_image(shapes, i, pixels, g->n, NULL);
        if (!status) status = dm_image_from_u8(image, pixels, g->n);
        if (!status) means_of(means[i], image, c->pixels);
    }
    uint32_t state = 1;
    for (int k = 0; !status && k < PASSES * EXAMPLES; k++) {
        const double t = uniform(&state) * (dm_schedule_timesteps(c->schedule) - 1);
        double signal, noise, noised[C], *w = weights_at(c, t);
        status = dm_schedule_get_level(c->schedule, t, &signal, &noise, NULL);
        if (status) break;
        const double *clean = means[k % EXAMPLES], share = share_of(signal, noise);
        for (int i = 0; i < C; i++) {
            const double radius = sqrt(-2 * log(uniform(&state)) / (double)c->pixels);
            noised[i] =
                signal * clean[i] + noise * radius * cos(6.283185307179586 * uniform(&state));
        }
        const int red = clean[0] > clean[1] && clean[0] > clean[2];
        const double step = (red - probability(w, noised, share)) / (1 + k * 1e-4);
        for (int i = 0; i < C; i++) w[i] += step * share * noised[i];
        w[C] += step;
    }
    dm_dataset_destroy(shapes);
    free(pixels);
    return status;
}

/* Called at each model evaluation: grad log p = (1 - p) grad z, the same for all pixels. */
static int32_t guide(void *user, dm_guidance_step *step) {
    classifier *c = user;
    const double *w = weights_at(c, step->timestep), share = share_of(step->signal, step->noise);
    const size_t n = c->pixels * C;
    for (size_t first = 0; first < step->elements; first += n) {
        double means[C];
        means_of(means, step->x + first, c->pixels);
        const double rest = share * (1 - probability(w, means, share)) / (double)c->pixels;
        for (size_t i = 0; i < n; i++)
            step->eps[first + i] -= c->scale * step->noise * rest * w[i % C];
    }
    step->rederive = 2; /* x_0 from x_t and the new eps */
    return 0;
}

/* Samples, and sets *red to the classifier's mean probability that they are red. */
static dm_status sample(const guided *g, classifier *c, dm_guidance guidance, float *images,
                        double *red) {
    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    request.count = IMAGES;
    request.guide = guidance;
    request.guide_user = c;
    dm_status status = dm_sampler_run(g->sampler, &request, images, IMAGES * g->n);
    *red = 0;
    for (size_t i = 0; !status && i < IMAGES; i++) {
        double means[C];
        means_of(means, images + i * g->n, c->pixels);
        *red += probability(weights_at(c, 0), means, 1) / IMAGES;
    }
    return status;
}

/* The same noise without guidance, two rows of pictures, and with it, two more. */
static dm_status compare(guided *g) {
    classifier c = {.schedule = g->schedule, .pixels = g->n / C, .scale = g->weight};
    float *images = malloc((size_t)2 * IMAGES * g->n * sizeof *images);
    double without, with;
    dm_status status = images ? train(&c, g, images) : DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = sample(g, &c, NULL, images, &without);
    if (!status) status = sample(g, &c, guide, images + IMAGES * g->n, &with);
    if (!status) printf("probability of red: %.3f without guidance, %.3f with it\n", without, with);
    if (!status) status = guided_write(g, images, (uint64_t)2 * IMAGES);
    free(images);
    return status;
}

int main(int argc, const char **argv) {
    return guided_main(argc, argv, "guided_classifier", 10, compare);
}
