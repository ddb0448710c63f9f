/* SPDX-License-Identifier: MIT */
/* See world.h. */
#include "world.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void *world_unmade(void) {
    static char nothing;
    return &nothing;
}

void world_require(const world *w, bool succeeded, const char *what) {
    if (succeeded) return;
    fprintf(stderr, "check-alloc: preparation failed: %s: %s\n", what,
            w->context ? dm_context_error(w->context) : w->error);
    _exit(3);
}

static void keep_warning(void *user, dm_log_level level, const char *message) {
    if (level == DM_LOG_WARNING) snprintf(user, TEXT_SIZE, "%s", message);
}

dm_context_options world_context_options(world *w) {
    dm_context_options o;
    PREPARE(w, dm_context_options_init(&o, sizeof o));
    o.threads = w->threads;
    o.log = keep_warning;
    o.log_user = w->warning;
    if (w->source == REFUSE_HOOKS) refuse_use_hooks(&o);
    return o;
}

static void give_inputs(world *w) {
    for (size_t i = 0; i < IMAGES * ELEMENTS; i++) {
        w->images[i] = (float)(i * 37 % 101) / 50 - 1;
        w->noise[i] = (float)(i * 53 % 97) / 24 - 2;
        w->pixels[i] = (uint8_t)(i * 29 % 256);
    }
    for (size_t i = 0; i < IMAGES * SIDE * SIDE; i++) w->mask[i] = i % 3 == 0;
    for (size_t i = 0; i < IMAGES * VECTOR; i++) w->vectors[i] = (float)(i * 7 % 11) / 5 - 1;
    for (int32_t i = 0; i < IMAGES; i++) {
        w->labels[i] = i % CLASSES;
        w->timesteps[i] = i * 5 % TIMESTEPS;
        w->times[i] = w->timesteps[i];
    }
    for (int32_t i = 0; i < 200; i++) w->betas[i] = 1e-3 + 1e-4 * i + 1e-9 * (i * i % 7);
}

static void clear_made(world *w) {
    for (int32_t i = 0; i < MADE_KINDS; i++) w->made[i] = world_unmade();
}

void world_open(world *w, refuse_source source, int32_t threads, int32_t variant,
                const char *folder) {
    memset(w, 0, sizeof *w);
    w->source = source;
    w->threads = threads;
    w->variant = variant;
    snprintf(w->folder, sizeof w->folder, "%s", folder);
    snprintf(w->path, sizeof w->path, "%.200s/file", folder);
    give_inputs(w);
    clear_made(w);
    dm_context_options o = world_context_options(w);
    o.profile = 1;
    PREPARE(w, dm_context_create(&w->context, &o, w->error, sizeof w->error));
}

void world_unmake(world *w) {
    for (int32_t i = 0; i < MADE_KINDS; i++)
        if (w->made[i] == world_unmade()) w->made[i] = NULL;
    dm_sampler_destroy(w->made[MADE_SAMPLER]);
    dm_trainer_destroy(w->made[MADE_TRAINER]);
    dm_dataset_destroy(w->made[MADE_DATASET]);
    dm_unet_destroy(w->made[MADE_UNET]);
    dm_schedule_destroy(w->made[MADE_SCHEDULE]);
    dm_context_destroy(w->made[MADE_CONTEXT]);
    clear_made(w);
}

void world_close(world *w) {
    dm_sampler_destroy(w->sampler);
    dm_trainer_destroy(w->trainer);
    dm_dataset_destroy(w->dataset);
    dm_dataset_destroy(w->unread);
    dm_unet_destroy(w->teacher);
    dm_unet_destroy(w->unet);
    dm_schedule_destroy(w->schedule);
    dm_context_destroy(w->context);
    free(w->bytes);
}

/* ---- objects ---- */

dm_unet_options world_unet_options(void) {
    dm_unet_options o;
    dm_unet_options_init(&o, sizeof o);
    o.height = o.width = SIDE;
    o.levels = 2;
    o.norm_groups = 4;
    o.classes = CLASSES;
    o.dropout = 0.1f;
    const int32_t channels[DM_LEVELS_MAX] = {8, 16}, blocks[DM_LEVELS_MAX] = {1, 1};
    memcpy(o.channels, channels, sizeof channels);
    memcpy(o.blocks, blocks, sizeof blocks);
    return o;
}

dm_trainer_options world_trainer_options(void) {
    dm_trainer_options o;
    dm_trainer_options_init(&o, sizeof o);
    o.batch_size = 2;
    o.flip = 1;
    o.crop_padding = 1;
    o.label_dropout = 0.1;
    o.timestep_sampling = DM_TIMESTEPS_LOSS_AWARE;
    return o;
}

void world_add_schedule(world *w, dm_schedule_kind kind) {
    dm_schedule_options o;
    PREPARE(w, dm_schedule_options_init(&o, sizeof o));
    o.kind = kind;
    o.timesteps = TIMESTEPS;
    PREPARE(w, dm_schedule_create(&w->schedule, w->context, &o));
}

dm_unet_options world_conditional_options(void) {
    dm_unet_options o = world_unet_options();
    o.condition_channels = CHANNELS;
    o.condition_size = VECTOR;
    return o;
}

void world_add_conditional_unet(world *w) {
    const dm_unet_options o = world_conditional_options();
    PREPARE(w, dm_unet_create(&w->unet, w->context, &o, 5));
}

void world_add_unet(world *w) {
    const dm_unet_options o = world_unet_options();
    if (!w->unet) PREPARE(w, dm_unet_create(&w->unet, w->context, &o, 5));
}

static dm_dataset_memory memory_of(const world *w) {
    dm_dataset_memory m;
    PREPARE(w, dm_dataset_memory_init(&m, sizeof m));
    m.count = m.label_count = IMAGES;
    m.height = m.width = SIDE;
    m.channels = CHANNELS;
    m.pixel_bytes = IMAGES * ELEMENTS;
    m.pixels = w->pixels;
    m.labels = w->labels;
    return m;
}

dm_dataset_memory world_conditional_memory(const world *w) {
    dm_dataset_memory m = memory_of(w);
    m.condition_channels = CHANNELS;
    m.condition_image_bytes = IMAGES * ELEMENTS;
    m.condition_images = w->pixels;
    m.condition_size = VECTOR;
    m.condition_vector_elements = IMAGES * VECTOR;
    m.condition_vectors = w->vectors;
    m.vector_invariant = 1;
    return m;
}

void world_add_dataset(world *w) {
    const dm_dataset_memory m = memory_of(w);
    PREPARE(w, dm_dataset_create_from_memory(&w->dataset, w->context, &m));
}

void world_add_conditional_dataset(world *w) {
    const dm_dataset_memory m = world_conditional_memory(w);
    PREPARE(w, dm_dataset_create_from_memory(&w->dataset, w->context, &m));
}

void world_add_trainer(world *w) {
    const dm_trainer_options o = world_trainer_options();
    world_add_unet(w);
    if (!w->schedule) world_add_schedule(w, DM_SCHEDULE_COSINE);
    if (!w->dataset) world_add_dataset(w);
    PREPARE(w, dm_trainer_create(&w->trainer, w->unet, w->schedule, w->dataset, &o));
    PREPARE(w, dm_trainer_step(w->trainer, NULL));
}

void world_add_sampler(world *w, const dm_sampler_options *options) {
    dm_sampler_options o;
    PREPARE(w, dm_sampler_options_init(&o, sizeof o));
    o.steps = 3;
    o.batch_size = 2;
    world_add_unet(w);
    if (!w->schedule) world_add_schedule(w, DM_SCHEDULE_COSINE);
    PREPARE(w, dm_sampler_create(&w->sampler, w->unet, w->schedule, options ? options : &o));
}

/* ---- files ---- */

static int remove_entry(const char *path, const struct stat *about, int kind, struct FTW *where) {
    (void)about, (void)kind;
    return where->level > 0 ? remove(path) : 0;
}

void world_empty_folder(const char *folder) {
    const int open_folders = 8;
    if (mkdir(folder, 0777) == 0) return;
    if (nftw(folder, remove_entry, open_folders, FTW_DEPTH | FTW_PHYS) == 0) return;
    perror(folder);
    _exit(4);
}

void world_read_file(world *w, const char *path) {
    FILE *file = fopen(path, "rb");
    world_require(w, file && fseek(file, 0, SEEK_END) == 0, path);
    w->size = (size_t)ftell(file);
    rewind(file);
    free(w->bytes);
    w->bytes = malloc(w->size + 1);
    world_require(w, w->bytes && fread(w->bytes, 1, w->size, file) == w->size, path);
    fclose(file);
}

void world_write_file(const world *w, const char *path, const void *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    world_require(w, file && fwrite(bytes, 1, size, file) == size && fclose(file) == 0, path);
}
