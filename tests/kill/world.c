/* SPDX-License-Identifier: MIT */
/* See world.h. */
#include "world.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 8, CHANNELS = 3, IMAGES = 6, TIMESTEPS = 20, HEIGHT = 40, WIDTH = 48, FRAMES = 3 };
enum { PICTURE_SIZE = HEIGHT * WIDTH * CHANNELS };

const char *const kind_names[FILE_KINDS] = {"checkpoint", "network", "png", "apng"};
const char *const file_names[FILE_KINDS] = {"run.safetensors", "network.safetensors", "image.png",
                                            "animation.png"};

/* ---- objects ---- */

static dm_status add_network(world *w) {
    dm_unet_options o;
    dm_schedule_options s;
    dm_trainer_options t;
    dm_unet_options_init(&o, sizeof o);
    dm_schedule_options_init(&s, sizeof s);
    dm_trainer_options_init(&t, sizeof t);
    o.height = o.width = SIDE;
    o.levels = 1;
    o.norm_groups = 4;
    o.mid_attention = 0;
    const int32_t channels[DM_LEVELS_MAX] = {8}, blocks[DM_LEVELS_MAX] = {1};
    memcpy(o.channels, channels, sizeof channels);
    memcpy(o.blocks, blocks, sizeof blocks);
    s.timesteps = TIMESTEPS;
    t.batch_size = 2;
    t.learning_rate = 0.01;
    t.timestep_sampling = DM_TIMESTEPS_LOSS_AWARE;
    dm_status status = dm_schedule_create(&w->schedule, w->context, &s);
    if (!status) status = dm_unet_create(&w->unet, w->context, &o, 5);
    if (!status) status = dm_trainer_create(&w->trainer, w->unet, w->schedule, w->dataset, &t);
    return status;
}

static dm_status add_dataset(world *w) {
    static uint8_t pixels[IMAGES * SIDE * SIDE * CHANNELS];
    dm_dataset_memory m;
    for (size_t i = 0; i < sizeof pixels; i++) pixels[i] = (uint8_t)(i * 29 % 256);
    dm_dataset_memory_init(&m, sizeof m);
    m.count = IMAGES;
    m.height = m.width = SIDE;
    m.channels = CHANNELS;
    m.pixel_bytes = sizeof pixels;
    m.pixels = pixels;
    return dm_dataset_create_from_memory(&w->dataset, w->context, &m);
}

bool world_open(world *w, const char *checkpoint, char reason[PATH_SIZE]) {
    dm_context_options o;
    *w = (world){0};
    dm_context_options_init(&o, sizeof o);
    o.threads = 1;
    dm_status status = dm_context_create(&w->context, &o, reason, PATH_SIZE);
    if (status) return false;
    status = add_dataset(w);
    if (!status && !checkpoint) status = add_network(w);
    if (!status && checkpoint) status = dm_schedule_load(&w->schedule, w->context, checkpoint);
    if (!status && checkpoint)
        status = dm_unet_load(&w->unet, w->context, checkpoint, DM_WEIGHTS_TRAINED);
    if (!status && checkpoint)
        status = dm_trainer_resume(&w->trainer, w->unet, w->dataset, checkpoint);
    if (!status) status = dm_trainer_get_step(w->trainer, &w->step);
    if (!status) return true;
    snprintf(reason, PATH_SIZE, "%s: %.400s", dm_status_name(status), dm_context_error(w->context));
    world_close(w);
    return false;
}

void world_create(world *w) {
    char reason[PATH_SIZE];
    if (world_open(w, NULL, reason)) return;
    fprintf(stderr, "check-kill: %s\n", reason);
    _Exit(3);
}

void world_close(world *w) {
    dm_trainer_destroy(w->trainer);
    dm_dataset_destroy(w->dataset);
    dm_unet_destroy(w->unet);
    dm_schedule_destroy(w->schedule);
    dm_context_destroy(w->context);
    *w = (world){0};
}

void world_advance(world *w, uint64_t step) {
    dm_status status = step > w->step ? dm_trainer_run(w->trainer, step, NULL, NULL) : DM_OK;
    if (!status) status = dm_trainer_get_step(w->trainer, &w->step);
    if (!status && w->step == step) return;
    fprintf(stderr, "check-kill: step %llu: %s\n", (unsigned long long)step,
            dm_context_error(w->context));
    _Exit(3);
}

/* ---- saving ---- */

/* Frame `frame` of step `step`: [HEIGHT, WIDTH, CHANNELS]. */
static void draw(uint8_t *pixels, uint64_t step, int32_t frame) {
    uint32_t state = (uint32_t)step * 7919 + (uint32_t)frame + 1;
    for (size_t i = 0; i < PICTURE_SIZE; i++) {
        state = state * 1664525 + 1013904223;
        pixels[i] = (uint8_t)(state >> 24);
    }
}

void world_path(char path[PATH_SIZE], const char *folder, file_kind kind) {
    snprintf(path, PATH_SIZE, "%.400s/%s", folder, file_names[kind]);
}

dm_status world_save(world *w, file_kind kind, const char *folder) {
    static uint8_t pixels[FRAMES * PICTURE_SIZE];
    char path[PATH_SIZE];
    dm_image_animation a;
    world_path(path, folder, kind);
    if (kind == CHECKPOINT) return dm_trainer_save(w->trainer, path);
    if (kind == NETWORK) return dm_unet_save(w->unet, w->schedule, path);
    for (int32_t i = 0; i < FRAMES; i++) draw(pixels + i * PICTURE_SIZE, w->step, i);
    if (kind == PNG)
        return dm_image_write_png(w->context, path, pixels, PICTURE_SIZE, HEIGHT, WIDTH, CHANNELS);
    dm_image_animation_init(&a, sizeof a);
    a.height = HEIGHT;
    a.width = WIDTH;
    a.channels = CHANNELS;
    a.frames = FRAMES;
    return dm_image_write_apng(w->context, path, pixels, sizeof pixels, &a);
}

contents world_contents(world *w, file_kind kind, const char *folder) {
    char path[PATH_SIZE];
    world_path(path, folder, kind);
    if (world_save(w, kind, folder) != DM_OK) {
        fprintf(stderr, "check-kill: %s\n", dm_context_error(w->context));
        _Exit(3);
    }
    return file_read(path);
}

/* ---- loading ---- */

static bool checkpoint_loads(const char *path, uint64_t step, char reason[PATH_SIZE]) {
    world w;
    if (!world_open(&w, path, reason)) return false;
    const dm_status status = w.step == step ? dm_trainer_step(w.trainer, NULL) : DM_OK;
    if (w.step != step)
        snprintf(reason, PATH_SIZE, "its step is %llu, not %llu", (unsigned long long)w.step,
                 (unsigned long long)step);
    else if (status) snprintf(reason, PATH_SIZE, "no step: %.400s", dm_context_error(w.context));
    const bool loads = !status && w.step == step;
    world_close(&w);
    return loads;
}

static bool network_loads(const char *path, char reason[PATH_SIZE]) {
    dm_context_options o;
    dm_context *context;
    dm_unet *unet = NULL;
    dm_context_options_init(&o, sizeof o);
    o.threads = 1;
    if (dm_context_create(&context, &o, reason, PATH_SIZE)) return false;
    const dm_status status = dm_unet_load(&unet, context, path, DM_WEIGHTS_TRAINED);
    if (status) snprintf(reason, PATH_SIZE, "%.400s", dm_context_error(context));
    dm_unet_destroy(unet);
    dm_context_destroy(context);
    return !status;
}

/* Whether the file ends with an IEND chunk and its pixels, as libpng reads them, are those of the
 * step; without animation the last frame is shown. */
static bool image_loads(file_kind kind, const char *path, uint64_t step, char reason[PATH_SIZE]) {
    static const uint8_t last[12] = {0, 0, 0, 0, 'I', 'E', 'N', 'D', 0xae, 0x42, 0x60, 0x82};
    static uint8_t expected[PICTURE_SIZE], got[PICTURE_SIZE];
    const contents c = file_read(path);
    const bool ends = c.size > 12 && memcmp(c.bytes + c.size - 12, last, sizeof last) == 0;
    png_image image = {.version = PNG_IMAGE_VERSION};
    bool loads = ends && png_image_begin_read_from_memory(&image, c.bytes, c.size);
    image.format = PNG_FORMAT_RGB;
    loads = loads && image.height == HEIGHT && image.width == WIDTH &&
            png_image_finish_read(&image, NULL, got, 0, NULL);
    draw(expected, step, kind == APNG ? FRAMES - 1 : 0);
    if (!ends) snprintf(reason, PATH_SIZE, "it does not end with IEND");
    else if (!loads) snprintf(reason, PATH_SIZE, "libpng: %s", image.message);
    else if (memcmp(got, expected, PICTURE_SIZE) != 0)
        snprintf(reason, PATH_SIZE, "its pixels are not those that were written"), loads = false;
    png_image_free(&image);
    free(c.bytes);
    return loads;
}

bool world_loads(file_kind kind, const char *path, uint64_t step, char reason[PATH_SIZE]) {
    if (kind == CHECKPOINT) return checkpoint_loads(path, step, reason);
    if (kind == NETWORK) return network_loads(path, reason);
    return image_loads(kind, path, step, reason);
}
