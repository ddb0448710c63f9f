/* SPDX-License-Identifier: MIT */
/* Names of classes in networks, files and datasets; runs resumed with other options; what files say
 * about training. */
#include <stdio.h>
#include <string.h>

#include "cases.h"

static const char *const names[CLASSES] = {"cat", "dog", "car"};
static const char *const others[CLASSES] = {"one", "two", "three"};

/* ---- networks ---- */

static void named_unet(world *w) {
    world_add_unet(w);
    PREPARE(w, dm_unet_set_class_names(w->unet, names, CLASSES));
    PREPARE(w, dm_unet_save(w->unet, NULL, w->path));
}

static dm_status set_names(world *w) {
    const bool none = w->variant;
    return CALL(dm_unet_set_class_names, w->unet, none ? NULL : others, none ? 0 : CLASSES);
}

static dm_status get_name(world *w) {
    const char *name = CALL(dm_unet_class_name, w->unet, 1);
    w->output_size = (size_t)snprintf((char *)w->output, OUTPUT_SIZE, "%s", name);
    return DM_OK;
}

static dm_status share(world *w) {
    dm_unet *made;
    const dm_status status = CALL(dm_unet_share, &made, w->context, w->unet);
    w->made[MADE_UNET] = made;
    return status;
}

static dm_status save(world *w) { return CALL(dm_unet_save, w->unet, NULL, w->path); }

static dm_status load(world *w) {
    dm_unet *made;
    const dm_status status = CALL(dm_unet_load, &made, w->context, w->path, DM_WEIGHTS_DEFAULT);
    w->made[MADE_UNET] = made;
    return status;
}

/* ---- datasets ---- */

static int32_t read_item(void *user, dm_dataset_item *item) {
    const world *w = user;
    memcpy(item->pixels, w->pixels + item->index * ELEMENTS, (size_t)item->pixel_bytes);
    item->label = w->labels[item->index];
    return 0;
}

static void prefetch(void *user, const uint64_t *indices, size_t count) {
    (void)user, (void)indices, (void)count;
}

enum { MEMORY, CALLBACK };

static dm_status make_dataset(world *w, dm_dataset **made) {
    dm_dataset_memory m;
    dm_dataset_callback c;
    if (w->variant == MEMORY) {
        dm_dataset_memory_init(&m, sizeof m);
        m.count = m.label_count = IMAGES;
        m.height = m.width = SIDE;
        m.channels = CHANNELS;
        m.pixel_bytes = IMAGES * ELEMENTS;
        m.pixels = w->pixels;
        m.labels = w->labels;
        m.class_names = names;
        m.class_name_count = CLASSES;
        return CALL(dm_dataset_create_from_memory, made, w->context, &m);
    }
    dm_dataset_callback_init(&c, sizeof c);
    c.count = IMAGES;
    c.height = c.width = SIDE;
    c.channels = CHANNELS;
    c.classes = CLASSES;
    c.read = read_item;
    c.prefetch = prefetch;
    c.user = w;
    c.class_names = names;
    c.class_name_count = CLASSES;
    return CALL(dm_dataset_create_from_callback, made, w->context, &c);
}

static dm_status dataset(world *w) {
    dm_dataset *made;
    const dm_status status = make_dataset(w, &made);
    w->made[MADE_DATASET] = made;
    return status;
}

/* ---- training ---- */

static void named_dataset(world *w) {
    world_add_unet(w);
    world_add_schedule(w, DM_SCHEDULE_COSINE);
    PREPARE(w, make_dataset(w, &w->dataset));
}

/* The network takes the data's names. */
static dm_status create(world *w) {
    dm_trainer *made;
    const dm_trainer_options o = world_trainer_options();
    const dm_status status = CALL(dm_trainer_create, &made, w->unet, w->schedule, w->dataset, &o);
    w->made[MADE_TRAINER] = made;
    return status;
}

static void trainer_and_target(world *w) {
    const dm_unet_options o = world_unet_options();
    named_dataset(w);
    world_add_trainer(w);
    PREPARE(w, dm_unet_create(&w->teacher, w->context, &o, 6));
}

static dm_status get_ema(world *w) {
    const dm_status status = CALL(dm_trainer_get_ema, w->trainer, 0, w->teacher);
    const char *name = dm_unet_class_name(w->teacher, 1);
    w->output_size = (size_t)snprintf((char *)w->output, OUTPUT_SIZE, "%s", name ? name : "");
    return status;
}

/* A checkpoint after one step, and a network without names. */
static void save_file(world *w) {
    named_dataset(w);
    world_add_trainer(w);
    PREPARE(w, dm_trainer_save(w->trainer, w->path));
    dm_trainer_destroy(w->trainer);
    w->trainer = NULL;
    PREPARE(w, dm_unet_set_class_names(w->unet, NULL, 0));
}

static dm_status resume(world *w) {
    dm_trainer *made;
    const dm_status status = CALL(dm_trainer_resume, &made, w->unet, NULL, w->path);
    w->made[MADE_TRAINER] = made;
    return status;
}

static dm_status resume_changed(world *w) {
    dm_trainer *made;
    dm_trainer_options o = world_trainer_options();
    o.batch_size = 1;
    o.ema_half_life[1] = 100;
    const dm_status status =
        CALL(dm_trainer_resume_changed, &made, w->unet, w->dataset, w->path, &o);
    w->made[MADE_TRAINER] = made;
    return status;
}

/* Options that are refused: the file is open by then. */
static dm_status resume_refused(world *w) {
    dm_trainer *made;
    dm_trainer_options o = world_trainer_options();
    o.distill_steps = 2;
    o.timestep_sampling = DM_TIMESTEPS_UNIFORM;
    o.label_dropout = 0;
    w->want_text = "distill_steps";
    const dm_status status =
        CALL(dm_trainer_resume_changed, &made, w->unet, w->dataset, w->path, &o);
    w->made[MADE_TRAINER] = made;
    return status;
}

static dm_status load_info(world *w) {
    dm_checkpoint_info info;
    dm_trainer_options o;
    dm_checkpoint_info_init(&info, sizeof info);
    dm_trainer_options_init(&o, sizeof o);
    const dm_status status = CALL(dm_checkpoint_load_info, w->context, w->path, &o, &info);
    memcpy(w->output, &info, sizeof info);
    memcpy(w->output + sizeof info, &o, sizeof o);
    w->output_size = sizeof info + sizeof o;
    return status;
}

const alloc_case cases_names[] = {
    {"unet_set_class_names", world_add_unet, set_names, 0, 0},
    {"unet_set_class_names, other names", named_unet, set_names, 0, 0},
    {"unet_set_class_names, none", named_unet, set_names, 1, CASE_NEVER},
    {"unet_class_name", named_unet, get_name, 0, CASE_NEVER},
    {"unet_share, names", named_unet, share, 0, 0},
    {"unet_save, names", named_unet, save, 0, 0},
    {"unet_load, names", named_unet, load, 0, 0},
    {"dataset_create_from_memory, names", NULL, dataset, MEMORY, 0},
    {"dataset_create_from_callback, names", NULL, dataset, CALLBACK, 0},
    {"trainer_create, names", named_dataset, create, MEMORY, 0},
    {"trainer_create, names and prefetch", named_dataset, create, CALLBACK, 0},
    {"trainer_get_ema, names", trainer_and_target, get_ema, MEMORY, 0},
    {"trainer_resume, names", save_file, resume, MEMORY, 0},
    {"trainer_resume_changed", save_file, resume_changed, MEMORY, 0},
    {"trainer_resume_changed, prefetch", save_file, resume_changed, CALLBACK, 0},
    {"trainer_resume_changed, refused", save_file, resume_refused, MEMORY, CASE_FAILS},
    {"checkpoint_load_info", save_file, load_info, MEMORY, 0},
    {NULL, NULL, NULL, 0, 0}};
