/* SPDX-License-Identifier: MIT */
/* A function of one's own in the network's place: the exact denoiser.  own_denoiser OUT.png
 *
 * What does a perfect network compute? Its loss, the squared error of x_0, is least for the mean of
 * all images that x may come from. If the data are K pictures y_1, ..., y_K, equally likely, and
 * x = s x_0 + n eps, Bayes' rule gives this posterior mean in closed form:
 *
 *     E[x_0 | x] = sum_k w_k y_k,    w_k proportional to exp(-|x - s y_k|^2 / (2 n^2))
 *
 * (Karras et al. 2022, appendix B.3). From pure noise, all weights are about 1 / K and the answer
 * is the mean picture; with less noise one weight approaches 1. So a sampler with this denoiser can
 * end in nothing but the data: a network draws new images because it is not exact. */
#include <diffusion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 32, N = SIZE * SIZE * 3, PICTURES = 24, IMAGES = 8, COLUMNS = 8, SCALE = 3 };

/* |x - s y|^2 */
static double distance(const float *x, double s, const float *y) {
    double sum = 0;
    for (size_t i = 0; i < N; i++) {
        const double d = (double)x[i] - s * (double)y[i];
        sum += d * d;
    }
    return sum;
}

/* The denoiser: writes E[x_0 | x] of x [count, N]. `user` are the pictures [PICTURES, N]. */
static int32_t posterior_mean(void *user, const dm_denoiser_input *input, float *output,
                              size_t elements) {
    const float *pictures = user;
    for (size_t first = 0; first < elements; first += N) {
        const float *x = input->x + first;
        double distances[PICTURES], nearest = DBL_MAX, sum = 0, mean[N] = {0};
        for (size_t k = 0; k < PICTURES; k++) {
            distances[k] = distance(x, input->signal, pictures + k * N);
            nearest = fmin(nearest, distances[k]);
        }
        /* Weights relative to the largest: exp() of the distances themselves would all be 0. */
        for (size_t k = 0; k < PICTURES; k++) {
            const double w = exp((nearest - distances[k]) / (2 * input->noise * input->noise));
            for (size_t i = 0; i < N; i++) mean[i] += w * (double)pictures[k * N + i];
            sum += w;
        }
        for (size_t i = 0; i < N; i++) output[first + i] = (float)(mean[i] / sum);
    }
    return 0;
}

/* The data: pictures [PICTURES, N] in [-1, 1]. */
static dm_status read_pictures(dm_context *context, float *pictures) {
    uint8_t pixels[N];
    dm_dataset *shapes;
    dm_status status = dm_dataset_create_shapes(&shapes, context, SIZE, PICTURES, 1);
    for (size_t k = 0; !status && k < PICTURES; k++) {
        status = dm_dataset_get_image(shapes, k, pixels, N, NULL);
        if (!status) status = dm_image_from_u8(pictures + k * N, pixels, N);
    }
    dm_dataset_destroy(shapes);
    return status;
}

/* The root mean square of the difference to the nearest picture. */
static double distance_to_data(const float *image, const float *pictures) {
    double nearest = DBL_MAX;
    for (size_t k = 0; k < PICTURES; k++)
        nearest = fmin(nearest, distance(image, 1, pictures + k * N));
    return sqrt(nearest / N);
}

/* Images [count, height, width, channels] of the sampler's size, in [-1, 1], as one PNG. */
static dm_status write_png(const dm_sampler *sampler, const char *path, const float *images,
                           uint64_t count) {
    dm_image_grid_options grid;
    dm_image_grid_options_init(&grid, sizeof grid);
    dm_sampler_shape(sampler, &grid.height, &grid.width, &grid.channels);
    grid.count = count;
    grid.columns = COLUMNS;
    grid.scale = SCALE;
    int32_t height, width;
    dm_status status = dm_image_grid_size(&grid, &height, &width);
    if (status) return status;
    const size_t channels = (size_t)grid.channels,
                 bytes = (size_t)height * (size_t)width * channels;
    const size_t n = (size_t)count * (size_t)grid.height * (size_t)grid.width * channels;
    uint8_t *pixels = malloc(n), *picture = malloc(bytes);
    status = pixels && picture ? dm_image_to_u8(pixels, images, n) : DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = dm_image_draw_grid(&grid, picture, bytes, pixels, n);
    if (!status)
        status = dm_image_write_png(dm_sampler_context(sampler), path, picture, bytes, height,
                                    width, grid.channels);
    free(picture);
    free(pixels);
    return status;
}

int main(int argc, const char **argv) {
    if (argc != 2 || argv[1][0] == '-') {
        fprintf(stderr, "usage: own_denoiser OUT.png\n");
        return 2;
    }
    dm_context *context;
    char error[512];
    if (dm_context_create(&context, NULL, error, sizeof error)) {
        fprintf(stderr, "own_denoiser: %s\n", error);
        return 1;
    }
    dm_schedule *schedule = NULL;
    dm_sampler *sampler = NULL;
    float *images = malloc((size_t)(IMAGES + PICTURES) * N * sizeof *images);
    float *pictures = images ? images + (size_t)IMAGES * N : NULL;
    dm_status status = images ? read_pictures(context, pictures) : DM_ERROR_OUT_OF_MEMORY;

    /* A sampler asks for the denoiser's shape, and what its output means. */
    dm_denoiser denoiser;
    dm_denoiser_init(&denoiser, sizeof denoiser);
    denoiser.prediction = DM_PREDICT_X0;
    denoiser.height = denoiser.width = SIZE;
    denoiser.channels = 3;
    denoiser.evaluate = posterior_mean;
    denoiser.user = pictures; /* exists until the last run */
    dm_sampler_options options;
    dm_sampler_options_init(&options, sizeof options);
    options.solver = DM_SOLVER_DPMPP; /* multistep, second order (Lu et al. 2022) */
    options.steps = 20;
    if (!status) status = dm_schedule_create(&schedule, context, NULL);
    if (!status)
        status = dm_sampler_create_with_denoiser(&sampler, context, schedule, &denoiser, &options);

    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    request.count = IMAGES;
    if (!status) status = dm_sampler_run(sampler, &request, images, (size_t)IMAGES * N);
    for (size_t i = 0; !status && i < IMAGES; i++)
        printf("sample %zu: %.5f from the data\n", i, distance_to_data(images + i * N, pictures));

    /* The first row is the samples, the other rows are the data. */
    if (!status) status = write_png(sampler, argv[1], images, IMAGES + PICTURES);
    if (status)
        fprintf(stderr, "own_denoiser: %s: %s\n", dm_status_message(status),
                dm_context_error(context));
    free(images);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
    return status || fflush(stdout) || ferror(stdout);
}
