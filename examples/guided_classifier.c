/* SPDX-License-Identifier: MIT */
/* Classifier guidance (Dhariwal and Nichol 2021, algorithm 2): samples reddish images from a
 * network that has no such class.  guided_classifier MODEL.safetensors OUT.png [SCALE]
 *
 * The classifier is the caller's own: a logistic regression on the mean of each colour of the
 * noised image, one for each range of timesteps, trained on generated shapes. Its gradient is
 * written by hand. */
#include <diffusion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guided.h"

enum { IMAGES = 16, RANGES = 10, EXAMPLES = 2000, PASSES = 200, C = GUIDED_CHANNELS };

typedef struct classifier {
    size_t pixels;                 /* of an image */
    int32_t timesteps;             /* T */
    double weights[RANGES][C + 1]; /* of the means of red, green and blue, and the constant */
    double scale;                  /* of the guidance */
} classifier;

static void means_of(double means[C], const float *image, size_t pixels) {
    memset(means, 0, C * sizeof *means);
    for (size_t i = 0; i < pixels * C; i++) means[i % C] += (double)image[i] / (double)pixels;
}

static double *weights_at(classifier *c, double timestep) {
    int32_t range = (int32_t)(timestep * RANGES / c->timesteps);
    return c->weights[range < 0 ? 0 : range < RANGES ? range : RANGES - 1];
}

/* What the means are multiplied by: the part of x_t that is known to be x_0. So the gradient goes
 * to 0 where x_t is pure noise, whatever the weights. */
static double share_of(double signal, double noise) {
    return signal / (signal * signal + noise * noise);
}

/* p(red) by weights w and the means of an image. */
static double probability(const double *w, const double means[C], double share) {
    double z = w[C];
    for (int i = 0; i < C; i++) z += w[i] * share * means[i];
    return 1 / (1 + exp(-z));
}

/* ---- training ---- */

static double uniform(void) {
    static uint32_t state = 1;
    state = 1664525u * state + 1013904223u;
    return (state + 0.5) / 4294967296.0;
}
static double normal(void) {
    return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform());
}

/* One step of gradient descent on -log p for an image. The mean of the pixels' noise is normal
 * itself, so the noise need not be drawn pixel by pixel. */
static void learn(classifier *c, const double clean[C], double timestep, double signal,
                  double noise, double rate) {
    double *w = weights_at(c, timestep), noised[C];
    const double share = share_of(signal, noise);
    for (int i = 0; i < C; i++)
        noised[i] = signal * clean[i] + noise * normal() / sqrt((double)c->pixels);
    const double red = clean[0] > clean[1] && clean[0] > clean[2];
    const double step = rate * (red - probability(w, noised, share));
    for (int i = 0; i < C; i++) w[i] += step * share * noised[i];
    w[C] += step;
}

static dm_status train(classifier *c, const guided *g) {
    static double means[EXAMPLES][C];
    dm_dataset *shapes;
    uint8_t *pixels = malloc(g->n);
    float *image = malloc(g->n * sizeof *image);
    dm_status status =
        dm_dataset_create_shapes(&shapes, g->contexts[0], g->network.width, EXAMPLES, 99);
    if (!status && (!pixels || !image)) status = DM_ERROR_OUT_OF_MEMORY;
    for (int i = 0; !status && i < EXAMPLES; i++) {
        status = dm_dataset_get_image(shapes, (uint64_t)i, pixels, g->n, NULL);
        if (status) break;
        dm_image_from_u8(image, pixels, g->n);
        means_of(means[i], image, c->pixels);
    }
    for (int k = 0; !status && k < PASSES * EXAMPLES; k++) {
        double timestep = uniform() * (c->timesteps - 1), signal, noise;
        status = dm_schedule_get_level(g->schedule, timestep, &signal, &noise, NULL);
        if (!status) learn(c, means[k % EXAMPLES], timestep, signal, noise, 1 / (1 + k * 1e-4));
    }
    dm_dataset_destroy(shapes);
    free(image);
    free(pixels);
    return status;
}

/* ---- guidance ---- */

/* Called at each model evaluation: eps -= scale noise grad log p(red | x_t), and x_0 follows. */
static int32_t guide(void *user, dm_guidance_step *step) {
    classifier *c = user;
    const double *w = weights_at(c, step->timestep), share = share_of(step->signal, step->noise);
    const size_t n = c->pixels * C;
    for (size_t k = 0; k < step->count; k++) {
        double means[C];
        means_of(means, step->x + k * n, c->pixels);
        const double rest = share * (1 - probability(w, means, share)) / (double)c->pixels;
        for (size_t i = 0; i < n; i++)
            step->eps[k * n + i] -= c->scale * step->noise * rest * w[i % C];
    }
    step->rederive = 2;
    return 0;
}

/* Samples, and the classifier's mean probability that they are red. */
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

/* Two rows of pictures without guidance, and two with it. */
static dm_status compare(guided *g) {
    static classifier c;
    float *images = malloc((size_t)2 * IMAGES * g->n * sizeof *images);
    double without, with;
    c.pixels = g->n / C;
    c.timesteps = dm_schedule_timesteps(g->schedule);
    c.scale = g->weight;
    dm_status status = images ? train(&c, g) : DM_ERROR_OUT_OF_MEMORY;
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
