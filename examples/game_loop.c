/* SPDX-License-Identifier: MIT */
/* Sampling between the frames of a game.  game_loop MODEL.safetensors OUT.png
 *
 * dm_sampler_run returns when all images are done, after seconds. A program that must answer in the
 * meantime, a game or an event loop, holds the run instead and does a step whenever it has time:
 *
 *     dm_sampler_start          take the request; draw x_T ~ N(0, I)
 *     dm_sampler_step           x_t to x_(t-1), one step of one batch; says how many are left
 *     dm_sampler_get_preview    the x_0 that the network sees so far
 *     dm_sampler_finish         the images
 *
 * The images are those of dm_sampler_run, to the bit. A step takes as long as one evaluation of the
 * network: fewer images in a batch make it shorter, and so does a smaller network. */
#include <diffusion.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { IMAGES = 4, COLUMNS = 2, SCALE = 4, GAP = 2, STEPS = 20 };

/* What the game shows: the images as a grid of 8-bit pixels [height, width, channels]. */
typedef struct screen {
    dm_image_grid_options grid;
    int32_t height, width;
    size_t elements, bytes; /* of all images, and of the screen */
    float *images;
    uint8_t *pixels, *picture; /* of the images, and of the screen */
} screen;

static dm_status open_screen(screen *s, const dm_sampler *sampler) {
    dm_image_grid_options *g = &s->grid;
    dm_image_grid_options_init(g, sizeof *g);
    dm_sampler_shape(sampler, &g->height, &g->width, &g->channels);
    g->count = IMAGES;
    g->columns = COLUMNS;
    g->scale = SCALE;
    g->gap = GAP;
    const dm_status status = dm_image_grid_size(g, &s->height, &s->width);
    if (status) return status;
    const size_t channels = (size_t)g->channels;
    s->elements = (size_t)IMAGES * (size_t)g->height * (size_t)g->width * channels;
    s->bytes = (size_t)s->height * (size_t)s->width * channels;
    s->images = malloc(s->elements * sizeof *s->images);
    s->pixels = malloc(s->elements);
    s->picture = malloc(s->bytes);
    return s->images && s->pixels && s->picture ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
}

/* Draws a frame. A game would move its figures and hand the picture to the display. */
static dm_status draw_frame(screen *s) {
    const dm_status status = dm_image_to_u8(s->pixels, s->images, s->elements);
    if (status) return status;
    return dm_image_draw_grid(&s->grid, s->picture, s->bytes, s->pixels, s->elements);
}

/* The loop: in each frame one step, and a picture of how far the images are. */
static dm_status play(dm_sampler *sampler, screen *s) {
    dm_sampler_request request; /* copied; but arrays in it would have to stay until the end */
    dm_sampler_request_init(&request, sizeof request);
    request.count = IMAGES;
    dm_status status = dm_sampler_start(sampler, &request);
    double longest = 0;
    int32_t steps_left = 1, frame = 0;
    while (!status && steps_left > 0) {
        const clock_t begin = clock(); /* of the processor: this thread's, there are no others */
        status = dm_sampler_step(sampler, &steps_left);
        if (!status) status = dm_sampler_get_preview(sampler, s->images, s->elements);
        if (!status) status = draw_frame(s);
        const double time = 1e3 * (double)(clock() - begin) / CLOCKS_PER_SEC;
        longest = fmax(longest, time);
        if (!status)
            printf("frame %" PRId32 ": %.1f ms, %" PRId32 " steps left\n", ++frame, time,
                   steps_left);
        (void)fflush(stdout);
    }
    if (status) return status; /* the failed step has ended the run */
    printf("longest frame: %.1f ms\n", longest);
    status = dm_sampler_finish(sampler, s->images, s->elements);
    return status ? status : draw_frame(s);
}

int main(int argc, const char **argv) {
    if (argc != 3) {
        fprintf(stderr, "usage: game_loop MODEL.safetensors OUT.png\n");
        return 2;
    }
    dm_context *context;
    char error[512];
    dm_context_options threads; /* the other processors are the game's */
    dm_context_options_init(&threads, sizeof threads);
    threads.threads = 1;
    if (dm_context_create(&context, &threads, error, sizeof error)) {
        fprintf(stderr, "game_loop: %s\n", error);
        return 1;
    }
    dm_unet *unet = NULL;
    dm_schedule *schedule = NULL;
    dm_sampler *sampler = NULL;
    screen s = {0};
    dm_sampler_options options;
    dm_sampler_options_init(&options, sizeof options);
    options.steps = STEPS;
    dm_status status = dm_unet_load(&unet, context, argv[1], DM_WEIGHTS_DEFAULT);
    if (!status) status = dm_schedule_load(&schedule, context, argv[1]);
    if (!status) status = dm_sampler_create(&sampler, unet, schedule, &options);
    if (!status) status = open_screen(&s, sampler);
    if (!status) status = play(sampler, &s);
    if (!status)
        status = dm_image_write_png(context, argv[2], s.picture, s.bytes, s.height, s.width,
                                    s.grid.channels);
    if (status)
        fprintf(stderr, "game_loop: %s: %s\n", dm_status_message(status),
                dm_context_error(context));
    free(s.picture);
    free(s.pixels);
    free(s.images);
    dm_sampler_destroy(sampler);
    dm_schedule_destroy(schedule);
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    return status || fflush(stdout) || ferror(stdout);
}
