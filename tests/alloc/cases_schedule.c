/* SPDX-License-Identifier: MIT */
/* Schedules: created, from betas, and from files. */
#include "cases.h"

static dm_status create(world *w) {
    dm_schedule *made;
    dm_schedule_options o;
    dm_schedule_options_init(&o, sizeof o);
    o.kind = w->variant;
    o.timesteps = 50;
    o.scale_betas = o.kind == DM_SCHEDULE_LINEAR;
    const dm_status status = CALL(dm_schedule_create, &made, w->context, &o);
    w->made[MADE_SCHEDULE] = made;
    return status;
}

static dm_status from_betas(world *w) {
    dm_schedule *made;
    const dm_status status = CALL(dm_schedule_create_from_betas, &made, w->context, w->betas, 200);
    w->made[MADE_SCHEDULE] = made;
    return status;
}

/* A network's file with 200 custom betas, or with the options of a schedule. */
static void save_file(world *w) {
    world_add_unet(w);
    if (w->variant == DM_SCHEDULE_CUSTOM)
        PREPARE(w, dm_schedule_create_from_betas(&w->schedule, w->context, w->betas, 200));
    else world_add_schedule(w, w->variant);
    PREPARE(w, dm_unet_save(w->unet, w->schedule, w->path));
    world_read_file(w, w->path);
}

static dm_status load(world *w) {
    dm_schedule *made;
    const dm_status status = CALL(dm_schedule_load, &made, w->context, w->path);
    w->made[MADE_SCHEDULE] = made;
    return status;
}

static dm_status load_memory(world *w) {
    dm_schedule *made;
    const dm_status status = CALL(dm_schedule_load_memory, &made, w->context, w->bytes, w->size);
    w->made[MADE_SCHEDULE] = made;
    return status;
}

/* A scheduler_config.json with a list of betas. */
static void save_config(world *w) {
    static const char text[] = "{\"_class_name\": \"DDIMScheduler\", \"num_train_timesteps\": 3,"
                               "\"trained_betas\": [0.1, 0.2, 0.3]}";
    world_write_file(w, w->path, text, sizeof text - 1);
}

static dm_status load_diffusers(world *w) {
    dm_schedule *made;
    dm_diffusers_options how;
    dm_sampler_options o;
    dm_status status = CALL(dm_diffusers_options_init, &how, sizeof how);
    if (status) return status;
    dm_sampler_options_init(&o, sizeof o);
    how.compatible = w->variant;
    status = CALL(dm_schedule_load_diffusers, &made, w->context, w->path, &how, &o);
    w->made[MADE_SCHEDULE] = made;
    return status;
}

const alloc_case cases_schedule[] = {
    {"schedule_create, linear", NULL, create, DM_SCHEDULE_LINEAR, 0},
    {"schedule_create, cosine", NULL, create, DM_SCHEDULE_COSINE, 0},
    {"schedule_create, flow", NULL, create, DM_SCHEDULE_FLOW, 0},
    {"schedule_create, edm", NULL, create, DM_SCHEDULE_EDM, 0},
    {"schedule_create_from_betas", NULL, from_betas, 0, 0},
    {"schedule_load", save_file, load, DM_SCHEDULE_SIGMOID, 0},
    {"schedule_load, betas", save_file, load, DM_SCHEDULE_CUSTOM, 0},
    {"schedule_load_memory", save_file, load_memory, DM_SCHEDULE_SIGMOID, 0},
    {"schedule_load_memory, betas", save_file, load_memory, DM_SCHEDULE_CUSTOM, 0},
    {"schedule_load_diffusers", save_config, load_diffusers, 0, 0},
    {"schedule_load_diffusers, compatible", save_config, load_diffusers, 1, 0},
    {NULL, NULL, NULL, 0, 0}};
