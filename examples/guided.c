/* SPDX-License-Identifier: MIT */
/* See guided.h. */
#include "guided.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The network with its schedule and sampler. The images must be square and in colour. */
static dm_status open_network(guided *g, const char *path) {
    dm_sampler_options options;
    dm_sampler_options_init(&options, sizeof options);
    options.steps = GUIDED_STEPS;
    dm_unet_options_init(&g->network, sizeof g->network);
    dm_status status = dm_unet_load(&g->unet, g->context, path, DM_WEIGHTS_DEFAULT);
    if (!status) status = dm_unet_get_options(g->unet, &g->network, sizeof g->network);
    if (!status) status = dm_schedule_load(&g->schedule, g->context, path);
    if (!status) status = dm_sampler_create(&g->sampler, g->unet, g->schedule, &options);
    if (status) return status;
    const dm_unet_options *o = &g->network;
    g->width = o->width;
    g->n = (size_t)o->width * (size_t)o->width * GUIDED_CHANNELS;
    if (o->in_channels == GUIDED_CHANNELS && o->height == o->width) return DM_OK;
    fprintf(stderr, "%s is not of square images in colour\n", path);
    return DM_ERROR_UNSUPPORTED;
}

dm_status guided_write(const guided *g, const float *images, uint64_t count) {
    dm_image_grid_options grid;
    dm_image_grid_options_init(&grid, sizeof grid);
    grid.height = grid.width = g->width;
    grid.channels = GUIDED_CHANNELS;
    grid.columns = GUIDED_COLUMNS;
    grid.scale = grid.gap = 2;
    grid.count = count;
    int32_t height, width;
    dm_status status = dm_image_grid_size(&grid, &height, &width);
    if (status) return status;
    const size_t n = (size_t)count * g->n, bytes = (size_t)height * (size_t)width * GUIDED_CHANNELS;
    uint8_t *pixels = malloc(n), *picture = malloc(bytes);
    status = pixels && picture ? dm_image_to_u8(pixels, images, n) : DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = dm_image_draw_grid(&grid, picture, bytes, pixels, n);
    if (!status)
        status = dm_image_write_png(g->context, g->picture, picture, bytes, height, width,
                                    GUIDED_CHANNELS);
    free(picture);
    free(pixels);
    return status;
}

int guided_main(int argc, const char **argv, const char *program, double weight,
                dm_status (*work)(guided *g)) {
    char error[512] = "", *end = error;
    guided g = {.weight = argc > 3 ? strtod(argv[3], &end) : weight};
    if (argc < 3 || argc > 4 || *end || (argc > 3 && end == argv[3]) || !isfinite(g.weight)) {
        fprintf(stderr, "usage: %s MODEL.safetensors OUT.png [WEIGHT], a finite number\n", program);
        return 2;
    }
    if (dm_context_create(&g.context, NULL, error, sizeof error)) {
        fprintf(stderr, "%s: %s\n", program, error);
        return 1;
    }
    g.picture = argv[2];
    dm_status status = open_network(&g, argv[1]);
    if (!status) status = work(&g);
    if (status)
        fprintf(stderr, "%s: %s: %s\n", program, dm_status_message(status),
                dm_context_error(g.context));
    dm_unet_destroy(g.share);
    dm_context_destroy(g.second);
    dm_sampler_destroy(g.sampler);
    dm_schedule_destroy(g.schedule);
    dm_unet_destroy(g.unet);
    dm_context_destroy(g.context);
    return status || fflush(stdout) || ferror(stdout);
}
