/* SPDX-License-Identifier: MIT */
/* Inpainting with RePaint (Lugmayr et al. 2022, algorithm 1).  inpainting MODEL.safetensors OUT.png
 *
 * A network that was trained to draw whole images also completes one of which a part is known. At
 * each level the known part is taken from the picture y, noised as much as the level asks, and the
 * rest from the step of DDPM, with mask m 1 where it is to be drawn:
 *
 *     known    x_(t-1) = sqrt(a_(t-1)) y + sqrt(1 - a_(t-1)) eps                          (eq. 8a)
 *     drawn    x_(t-1) = the step of sample_ddpm.c                                        (eq. 8b)
 *     x_(t-1) = m drawn + (1 - m) known                                                   (eq. 8c)
 *
 * The drawn part sees the known one, but has too few steps to agree with it: at each of them the
 * known part is new. So segments of steps are repeated: noise is added again, and removed again. */
#include <diffusion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 8, COLUMNS = IMAGES, SCALE = 3, STEPS = 50, REPETITIONS = 5, JUMP = 10 };

/* Pictures the network has not seen: shapes [IMAGES, n] in [-1, 1] of `size` by `size` pixels. */
static dm_status read_pictures(dm_context *context, int32_t size, size_t n, float *pictures) {
    dm_dataset *shapes;
    uint8_t *pixels = malloc(n);
    dm_status status = dm_dataset_create_shapes(&shapes, context, size, IMAGES, 5);
    if (!status && !pixels) status = DM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; !status && i < IMAGES; i++) {
        status = dm_dataset_get_image(shapes, i, pixels, n, NULL);
        if (!status) status = dm_image_from_u8(pictures + i * n, pixels, n);
    }
    dm_dataset_destroy(shapes);
    free(pixels);
    return status;
}

/* Fills mask [pixels] of images that are `width` wide: 1, to be drawn, in the right half. Writes
 * grey over the right half of `seen`. */
static void hide_right_half(float *mask, float *seen, size_t pixels, size_t width,
                            size_t channels) {
    for (size_t i = 0; i < pixels; i++) {
        mask[i] = i % width < width / 2 ? 0 : 1;
        for (size_t c = 0; c < channels; c++) seen[i * channels + c] *= 1 - mask[i];
    }
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

static dm_status inpaint(dm_sampler *sampler, const char *path) {
    /* Three rows: what is known, what is drawn, and the pictures; and a mask for each. */
    int32_t height, width, channels;
    dm_sampler_shape(sampler, &height, &width, &channels);
    const size_t pixels = (size_t)height * (size_t)width, c = (size_t)channels, n = pixels * c;
    const size_t all = IMAGES * n;
    float *seen = calloc(3 * all + IMAGES * pixels, sizeof *seen);
    if (!seen) return DM_ERROR_OUT_OF_MEMORY;
    float *drawn = seen + all, *pictures = drawn + all, *mask = pictures + all;
    dm_status status = read_pictures(dm_sampler_context(sampler), width, n, pictures);
    memcpy(seen, pictures, all * sizeof *seen);
    hide_right_half(mask, seen, IMAGES * pixels, (size_t)width, c);

    dm_sampler_request request;
    dm_sampler_request_init(&request, sizeof request);
    request.count = IMAGES;
    request.image = seen; /* what is hidden is not used */
    request.image_elements = all;
    request.mask = mask;
    request.mask_elements = IMAGES * pixels;
    request.repaint_repetitions = REPETITIONS;
    request.repaint_jump_length = JUMP;
    if (!status) status = dm_sampler_run(sampler, &request, drawn, all);

    /* At the end the known part is the picture's, without noise. */
    double kept = 0;
    for (size_t i = 0; !status && i < all; i++)
        if (mask[i / c] < 1) kept = fmax(kept, fabs((double)drawn[i] - (double)pictures[i]));
    if (!status) printf("largest difference in the kept half: %g\n", kept);
    if (!status) status = write_png(sampler, path, seen, 3 * (uint64_t)IMAGES);
    free(seen);
    return status;
}

int main(int argc, const char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: inpainting MODEL.safetensors OUT.png\n");
        return 2;
    }
    dm_context *context;
    char error[512];
    if (dm_context_create(&context, NULL, error, sizeof error)) {
        fprintf(stderr, "inpainting: %s\n", error);
        return 1;
    }
    dm_unet *unet = NULL;
    dm_schedule *schedule = NULL;
    dm_sampler *sampler = NULL;
    dm_status status = dm_unet_load(&unet, context, argv[1], DM_WEIGHTS_DEFAULT);
    if (!status) status = dm_schedule_load(&schedule, context, argv[1]);

    /* A step back adds noise, so the solver must be one that does not build on earlier steps. */
    dm_sampler_options options;
    dm_sampler_options_init(&options, sizeof options);
    options.solver = DM_SOLVER_DDPM;
    options.steps = STEPS;
    if (!status) status = dm_sampler_create(&sampler, unet, schedule, &options);

    if (!status) status = inpaint(sampler, argv[2]);
    if (status)
        fprintf(stderr, "inpainting: %s: %s\n", dm_status_message(status),
                dm_context_error(context));
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    return status || fflush(stdout) || ferror(stdout);
}
