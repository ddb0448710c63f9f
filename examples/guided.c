/* SPDX-License-Identifier: MIT */
/* See guided.h. */
#include "guided.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "image_write.h"
#include "interrupt.h"
#include "output.h"

static dm_status open_network(guided *g, const char *path) {
    dm_sampler_options options;
    dm_sampler_options_init(&options, sizeof options);
    options.steps = GUIDED_STEPS;
    dm_status status = dm_unet_load(&g->unet, g->contexts[0], path, DM_WEIGHTS_DEFAULT);
    if (!status) status = dm_unet_get_options(g->unet, &g->network, sizeof g->network);
    if (!status) status = dm_schedule_load(&g->schedule, g->contexts[0], path);
    if (!status) status = dm_sampler_create(&g->sampler, g->unet, g->schedule, &options);
    if (!status) status = dm_unet_share(&g->share, g->contexts[1], g->unet);
    if (status) return status;
    const dm_unet_options *o = &g->network;
    g->n = (size_t)o->height * (size_t)o->width * GUIDED_CHANNELS;
    if (o->in_channels == GUIDED_CHANNELS && o->height == o->width) return DM_OK;
    fprintf(stderr, "%s is not of square images in colour\n", path);
    return DM_ERROR_UNSUPPORTED;
}

dm_status guided_write(const guided *g, const float *images, uint64_t count) {
    dm_image_grid_options grid = grid_options(count, g->network.height, g->network.width,
                                              GUIDED_CHANNELS, GUIDED_COLUMNS, 2);
    return write_grid(g->contexts[0], g->picture, &grid, images);
}

static void close_network(guided *g) {
    dm_unet_destroy(g->share);
    dm_sampler_destroy(g->sampler);
    dm_schedule_destroy(g->schedule);
    dm_unet_destroy(g->unet);
    dm_context_destroy(g->contexts[1]);
    dm_context_destroy(g->contexts[0]);
}

int guided_main(int argc, const char **argv, const char *program, double weight,
                dm_status (*work)(guided *g)) {
    guided g = {.weight = weight};
    char error[512] = "";
    dm_status status = DM_OK;
    open_standard_streams(program);
    if (argc != 3 && argc != 4) {
        fprintf(stderr, "usage: %s MODEL.safetensors OUT.png [WEIGHT]\n", program);
        return 2;
    }
    g.picture = argv[2];
    if (argc > 3) {
        char *end;
        g.weight = strtod(argv[3], &end);
        if (end == argv[3] || *end || !isfinite(g.weight)) {
            fprintf(stderr, "%s: WEIGHT '%s' is not a finite number\n", program, argv[3]);
            return 2;
        }
    }
    ignore_write_signals();
    interrupt_begin();
    for (int i = 0; i < 2 && !status; i++)
        status = dm_context_create(&g.contexts[i], NULL, error, sizeof error);
    if (!status) status = open_network(&g, argv[1]);
    if (!status) status = work(&g);
    if (status)
        fprintf(stderr, "%s: %s: %s\n", program, dm_status_message(status),
                *error ? error : dm_context_error(g.contexts[0]));
    close_network(&g);
    return interrupt_exit_status(status);
}
