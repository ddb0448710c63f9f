/* SPDX-License-Identifier: MIT */
/* The digest of a world: see world.h. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

uint64_t world_hash(uint64_t hash, const void *bytes, size_t size) {
    const unsigned char *from = bytes;
    for (size_t i = 0; i < size; i++) hash = (hash ^ from[i]) * UINT64_C(0x100000001b3);
    return hash;
}

static uint64_t of_schedule(const world *w, uint64_t hash, const dm_schedule *schedule) {
    dm_schedule_options o;
    const int32_t count = dm_schedule_timesteps(schedule);
    double *values = malloc((size_t)count * sizeof *values);
    PREPARE(w, dm_schedule_get_options(schedule, &o, sizeof o));
    PREPARE(w, dm_schedule_get_series(schedule, DM_SERIES_SIGNAL, values, (size_t)count));
    hash = world_hash(world_hash(hash, &o, sizeof o), values, (size_t)count * sizeof *values);
    free(values);
    return hash;
}

static uint64_t of_name(uint64_t hash, const char *name) {
    return name ? world_hash(hash, name, strlen(name)) : world_hash(hash, "", 1);
}

static uint64_t of_unet(const world *w, uint64_t hash, const dm_unet *unet) {
    dm_unet_options o;
    PREPARE(w, dm_unet_get_options(unet, &o, sizeof o));
    hash = world_hash(hash, &o, sizeof o);
    for (int32_t i = 0; i < o.classes; i++) hash = of_name(hash, dm_unet_class_name(unet, i));
    for (int32_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        dm_tensor_info info;
        PREPARE(w, dm_tensor_info_init(&info, sizeof info));
        PREPARE(w, dm_unet_get_tensor_info(unet, i, &info));
        float *values = malloc((size_t)info.elements * sizeof *values);
        PREPARE(w, dm_unet_get_tensor(unet, info.name, values, (size_t)info.elements));
        hash = world_hash(hash, values, (size_t)info.elements * sizeof *values);
        free(values);
    }
    return hash;
}

static uint64_t of_dataset(const world *w, uint64_t hash, const dm_dataset *dataset) {
    dm_dataset_info info;
    PREPARE(w, dm_dataset_info_init(&info, sizeof info));
    PREPARE(w, dm_dataset_get_info(dataset, &info));
    hash = world_hash(hash, &info, sizeof info);
    for (int32_t i = 0; i < info.classes; i++)
        hash = of_name(hash, dm_dataset_class_name(dataset, i));
    const size_t bytes = (size_t)info.height * (size_t)info.width * (size_t)info.channels;
    uint8_t *pixels = malloc(bytes);
    for (uint64_t i = 0; i < info.count; i++) {
        int32_t label;
        PREPARE(w, dm_dataset_get_image(dataset, i, pixels, bytes, &label));
        hash = world_hash(world_hash(hash, pixels, bytes), &label, sizeof label);
    }
    free(pixels);
    return hash;
}

/* All of a trainer is in its file. */
static uint64_t of_trainer(const world *w, uint64_t hash, const dm_trainer *trainer) {
    size_t size;
    PREPARE(w, dm_trainer_save_memory(trainer, NULL, 0, &size));
    void *bytes = malloc(size);
    PREPARE(w, dm_trainer_save_memory(trainer, bytes, size, &size));
    hash = world_hash(hash, bytes, size);
    free(bytes);
    return hash;
}

static uint64_t of_sampler(const world *w, uint64_t hash, const dm_sampler *sampler) {
    dm_sampler_options o;
    double levels[1000];
    const int32_t count = dm_sampler_evaluations(sampler);
    world_require(w, count <= 1000, "few evaluations");
    PREPARE(w, dm_sampler_get_options(sampler, &o, sizeof o));
    PREPARE(w, dm_sampler_get_levels(sampler, levels, NULL, NULL, (size_t)count));
    hash = world_hash(hash, &o, sizeof o);
    return world_hash(hash, levels, (size_t)count * sizeof *levels);
}

static int not_hidden(const struct dirent *entry) {
    return strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
}

static uint64_t of_folder(const world *w, uint64_t hash) {
    struct dirent **entries;
    const int count = scandir(w->folder, &entries, not_hidden, alphasort);
    for (int i = 0; i < count; i++) {
        char path[2 * PATH_SIZE + 8];
        unsigned char bytes[4096];
        snprintf(path, sizeof path, "%s/%s", w->folder, entries[i]->d_name);
        hash = world_hash(hash, entries[i]->d_name, strlen(entries[i]->d_name));
        FILE *file = fopen(path, "rb");
        for (size_t got; file && (got = fread(bytes, 1, sizeof bytes, file)) > 0;)
            hash = world_hash(hash, bytes, got);
        if (file) fclose(file);
        free(entries[i]);
    }
    free(entries);
    return hash;
}

static uint64_t of_objects(const world *w, uint64_t hash, void *const objects[MADE_KINDS]) {
    const dm_context *context = objects[MADE_CONTEXT];
    if (context) {
        const int32_t threads = dm_context_threads(context);
        hash = world_hash(hash, &threads, sizeof threads);
    }
    if (objects[MADE_SCHEDULE]) hash = of_schedule(w, hash, objects[MADE_SCHEDULE]);
    if (objects[MADE_UNET]) hash = of_unet(w, hash, objects[MADE_UNET]);
    if (objects[MADE_DATASET]) hash = of_dataset(w, hash, objects[MADE_DATASET]);
    if (objects[MADE_TRAINER]) hash = of_trainer(w, hash, objects[MADE_TRAINER]);
    if (objects[MADE_SAMPLER]) hash = of_sampler(w, hash, objects[MADE_SAMPLER]);
    return hash;
}

uint64_t world_state(const world *w) {
    void *const kept[MADE_KINDS] = {w->context, w->schedule, w->unet,
                                    w->dataset, w->trainer,  w->sampler};
    void *made[MADE_KINDS];
    for (int32_t i = 0; i < MADE_KINDS; i++)
        made[i] = w->made[i] == world_unmade() ? NULL : w->made[i];
    const uint64_t hash = of_objects(w, UINT64_C(0xcbf29ce484222325), kept);
    return of_folder(w, of_objects(w, hash, made));
}
