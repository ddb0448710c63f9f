/* SPDX-License-Identifier: MIT */
/* Reconstruction guidance (Ho et al. 2022, eq. 7; Chung et al. 2023): samples images whose means of
 * 4 x 4 pixels, A x, are those of given pictures, y, so that the network invents the details.
 * guided_reconstruction MODEL.safetensors OUT.png [WEIGHT]
 *
 *     x_0 <- x_0(x_t) - weight sqrt(a_t) grad |A x_0(x_t) - y|^2
 *
 * The gradient is that at x_t, through the network: a vector-Jacobian product, which a share of the
 * network in a second context computes while the sampler's context is busy. */
#include "guided.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { IMAGES = GUIDED_COLUMNS, BLOCK = 4, C = GUIDED_CHANNELS };

typedef struct problem {
    const guided *g;
    float *known;              /* [IMAGES, n]: y as images, each block filled with its mean */
    float *residual, *product; /* [IMAGES, n] */
} problem;

/* Element i of A x as an image: the mean of its block of x [h, w, c]. */
static double mean_at(const guided *g, const double *x, size_t i) {
    const size_t row = (size_t)g->width * C;
    const double *block =
        x + i / row / BLOCK * BLOCK * row + i % row / C / BLOCK * BLOCK * C + i % C;
    double sum = 0;
    for (size_t k = 0; k < (size_t)BLOCK * BLOCK; k++)
        sum += block[k / BLOCK * row + k % BLOCK * C];
    return sum / (BLOCK * BLOCK);
}

/* x_0 = *of_x x + *of_output output. */
static void factors(int32_t prediction, const dm_guidance_step *s, double *of_x,
                    double *of_output) {
    const double sum = s->signal + s->noise;
    *of_x = 0, *of_output = 1; /* DM_PREDICT_X0 */
    if (prediction == DM_PREDICT_EPS) *of_x = 1 / s->signal, *of_output = -s->noise / s->signal;
    if (prediction == DM_PREDICT_V) *of_x = s->signal, *of_output = -s->noise;
    if (prediction == DM_PREDICT_FLOW) *of_x = 1 / sum, *of_output = -s->noise / sum;
}

/* Called at each model evaluation: x_0 -= weight signal v, v = (dx_0 / dx)^T (A x_0 - y), and eps
 * follows. A residual that is constant in each block is A^T of itself but for a factor. */
static int32_t guide(void *user, dm_guidance_step *step) {
    const problem *p = user;
    const guided *g = p->g;
    double times[IMAGES], of_x, of_output;
    dm_unet_input input;
    dm_unet_input_init(&input, sizeof input);
    for (size_t i = 0; i < step->count; i++) times[i] = step->time;
    for (size_t i = 0; i < step->elements; i++)
        p->residual[i] = (float)(mean_at(g, step->x_0 + i / g->n * g->n, i % g->n) -
                                 (double)p->known[step->first * g->n + i]);
    input.count = input.time_count = step->count;
    input.x_elements = step->elements;
    input.x = step->x;
    input.times = times;
    if (dm_unet_input_gradient(g->share, &input, p->residual, step->elements, NULL, p->product,
                               step->elements))
        return 1;
    factors(g->network.prediction, step, &of_x, &of_output);
    for (size_t i = 0; i < step->elements; i++)
        step->x_0[i] -= g->weight * step->signal *
                        (of_x * (double)p->residual[i] + of_output * (double)p->product[i]);
    step->rederive = 1;
    return 0;
}

/* averages = A x as images; *error: the root mean square of A x - y. x [IMAGES, n]. */
static dm_status average(const problem *p, const float *images, float *averages, double *error) {
    const size_t n = p->g->n;
    double sum = 0, *image = calloc(n, sizeof *image);
    if (!image) return DM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < IMAGES; i++) {
        for (size_t k = 0; k < n; k++) image[k] = (double)images[i * n + k];
        for (size_t k = 0; k < n; k++) {
            const double mean = mean_at(p->g, image, k);
            averages[i * n + k] = (float)mean;
            sum += pow(mean - (double)p->known[i * n + k], 2) / (double)(n * IMAGES);
        }
    }
    free(image);
    *error = sqrt(sum);
    return DM_OK;
}

/* images [IMAGES, n] = pictures of the generated shapes. */
static dm_status draw(const guided *g, float *images) {
    dm_dataset *shapes;
    uint8_t *pixels = malloc(g->n);
    dm_status status = dm_dataset_create_shapes(&shapes, g->context, g->width, IMAGES, 5);
    if (!status && !pixels) status = DM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; !status && i < IMAGES; i++) {
        status = dm_dataset_get_image(shapes, i, pixels, g->n, NULL);
        if (!status) dm_image_from_u8(images + i * g->n, pixels, g->n);
    }
    dm_dataset_destroy(shapes);
    free(pixels);
    return status;
}

/* Four rows of pictures: what is known, samples without guidance, and with it, and the original. */
static dm_status compare(guided *g) {
    const size_t all = IMAGES * g->n;
    float *known = calloc(6 * all, sizeof *known), *without = known + all, *with = without + all,
          *original = with + all;
    problem p = {g, known, original + all, original + 2 * all};
    double error, error_without, error_with;
    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    request.count = IMAGES;
    dm_status status = known ? draw(g, original) : DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = average(&p, original, known, &error);
    if (!status) status = dm_sampler_run(g->sampler, &request, without, all);
    request.guide = guide;
    request.guide_user = &p;
    if (!status) status = dm_sampler_run(g->sampler, &request, with, all);
    if (!status) status = average(&p, without, p.residual, &error_without);
    if (!status) status = average(&p, with, p.residual, &error_with);
    if (!status)
        printf("error of the known means: %.4f without guidance, %.4f with it\n", error_without,
               error_with);
    if (!status) status = guided_write(g, known, (uint64_t)4 * IMAGES);
    free(known);
    return status;
}

static dm_status check_and_compare(guided *g) {
    dm_status status = dm_context_create(&g->second, NULL, NULL, 0);
    if (!status) status = dm_unet_share(&g->share, g->second, g->unet);
    if (status) return status;
    const dm_unet_options *o = &g->network;
    if (o->width % BLOCK == 0 && !o->learned_variance && !o->self_conditioning &&
        o->prediction != DM_PREDICT_EDM)
        return compare(g);
    fprintf(stderr, "guided_reconstruction: this network needs other formulas\n");
    return DM_ERROR_UNSUPPORTED;
}

int main(int argc, const char **argv) {
    return guided_main(argc, argv, "guided_reconstruction", 1, check_and_compare);
}
