/* SPDX-License-Identifier: MIT */
/* Trainers: created, resumed, stepped, saved. */
#include <stdio.h>
#include <string.h>

#include "cases.h"

enum { PLAIN, ALL_PARTS, CONDITIONS };

static dm_trainer_options options_of(int32_t kind) {
    dm_trainer_options o = world_trainer_options();
    if (kind == CONDITIONS) o.condition_dropout = 0.3;
    if (kind != ALL_PARTS) return o;
    o.accumulation = 2;
    o.recompute = DM_RECOMPUTE_BLOCKS;
    o.ema_half_life[1] = 1000;
    o.weight_decay = 0.1;
    o.loss = DM_LOSS_PSEUDO_HUBER;
    o.loss_weight = DM_LOSS_WEIGHT_MIN_SNR;
    return o;
}

static void untrained(world *w) {
    world_add_schedule(w, DM_SCHEDULE_COSINE);
    if (w->variant == CONDITIONS) {
        world_add_conditional_unet(w);
        world_add_conditional_dataset(w);
        return;
    }
    world_add_unet(w);
    world_add_dataset(w);
}

static dm_status create(world *w) {
    dm_trainer *made;
    const dm_trainer_options o = options_of(w->variant);
    const dm_status status = CALL(dm_trainer_create, &made, w->unet, w->schedule, w->dataset, &o);
    w->made[MADE_TRAINER] = made;
    return status;
}

/* A checkpoint after one step, and a network with the same options and other weights. */
static void save_file(world *w) {
    untrained(w);
    const dm_trainer_options o = options_of(w->variant);
    PREPARE(w, dm_trainer_create(&w->trainer, w->unet, w->schedule, w->dataset, &o));
    PREPARE(w, dm_trainer_step(w->trainer, NULL));
    PREPARE(w, dm_trainer_save(w->trainer, w->path));
    dm_trainer_destroy(w->trainer);
    w->trainer = NULL;
    dm_unet_destroy(w->unet);
    const dm_unet_options unet = world_unet_options();
    PREPARE(w, dm_unet_create(&w->unet, w->context, &unet, 77));
    world_read_file(w, w->path);
}

static dm_status resume(world *w) {
    dm_trainer *made;
    const dm_status status = CALL(dm_trainer_resume, &made, w->unet, w->dataset, w->path);
    w->made[MADE_TRAINER] = made;
    return status;
}

static dm_status resume_memory(world *w) {
    dm_trainer *made;
    const dm_status status =
        CALL(dm_trainer_resume_memory, &made, w->unet, w->dataset, w->bytes, w->size);
    w->made[MADE_TRAINER] = made;
    return status;
}

/* A trainer that distils, and its teacher: another network, whose weights are no part of the
 * state. */
static void distilled(world *w) {
    untrained(w);
    dm_unet_options u = world_unet_options();
    dm_trainer_options o = options_of(PLAIN);
    o.distill_steps = 4;
    o.timestep_sampling = DM_TIMESTEPS_UNIFORM;
    u.prediction = DM_PREDICT_V;
    dm_unet_destroy(w->unet);
    PREPARE(w, dm_unet_create(&w->unet, w->context, &u, 5));
    PREPARE(w, dm_unet_create(&w->teacher, w->context, &u, 6));
    PREPARE(w, dm_trainer_create(&w->trainer, w->unet, w->schedule, w->dataset, &o));
}

static dm_status set_teacher(world *w) {
    return CALL(dm_trainer_set_teacher, w->trainer, w->teacher);
}

/* ---- steps ---- */

static void new_trainer(world *w) {
    untrained(w);
    const dm_trainer_options o = options_of(w->variant);
    PREPARE(w, dm_trainer_create(&w->trainer, w->unet, w->schedule, w->dataset, &o));
}

static dm_status put_stats(world *w, const dm_train_stats *stats, dm_status status) {
    memcpy(w->output, &stats->loss, sizeof stats->loss);
    memcpy(w->output + 8, &stats->gradient_norm, sizeof stats->gradient_norm);
    w->output_size = 16;
    return status;
}

static dm_status step(world *w) {
    dm_train_stats stats;
    dm_train_stats_init(&stats, sizeof stats);
    return put_stats(w, &stats, CALL(dm_trainer_step, w->trainer, &stats));
}

static dm_status step_batch(world *w) {
    dm_train_stats stats;
    dm_train_batch batch;
    dm_train_stats_init(&stats, sizeof stats);
    dm_train_batch_init(&batch, sizeof batch);
    batch.count = batch.label_count = w->variant == ALL_PARTS ? 4 : 2;
    if (w->variant == CONDITIONS) {
        batch.condition_image = w->noise;
        batch.condition_image_elements = 2 * ELEMENTS;
        batch.condition_vector = w->vectors;
        batch.condition_vector_elements = 2 * VECTOR;
    }
    batch.elements = batch.count * ELEMENTS;
    batch.images = w->images;
    batch.labels = w->labels;
    return put_stats(w, &stats, CALL(dm_trainer_step_batch, w->trainer, &batch, &stats));
}

static int32_t on_step(void *user, const dm_train_stats *stats) {
    (void)user;
    return stats->step > 100;
}

static dm_status run(world *w) { return CALL(dm_trainer_run, w->trainer, 3, on_step, NULL); }

/* The callback fails with a reason, which must be in the error text. */
static int32_t fail_read(void *user, dm_dataset_item *item) {
    world *w = user;
    memset(item->pixels, 100, (size_t)item->pixel_bytes);
    if (item->index < w->size) return 0;
    const dm_status status = CALL(dm_callback_fail, w->context, "no more images today");
    w->want_text = "no more images today";
    return status ? 2 : 1;
}

static void failing_trainer(world *w) {
    dm_dataset_callback c;
    world_add_unet(w);
    world_add_schedule(w, DM_SCHEDULE_COSINE);
    dm_dataset_callback_init(&c, sizeof c);
    c.count = IMAGES;
    c.height = c.width = SIDE;
    c.channels = CHANNELS;
    c.read = fail_read;
    c.user = w;
    w->size = IMAGES;
    PREPARE(w, dm_dataset_create_from_callback(&w->dataset, w->context, &c));
    const dm_trainer_options o = options_of(PLAIN);
    PREPARE(w, dm_trainer_create(&w->trainer, w->unet, w->schedule, w->dataset, &o));
    w->unread = w->dataset;
    w->dataset = NULL;
    w->size = 0;
}

/* ---- saved ---- */

enum { SAVE_NEW, SAVE_OVER };

static void prepare_save(world *w) {
    const int32_t kind = w->variant;
    world_add_trainer(w);
    PREPARE(w, dm_trainer_save(w->trainer, w->path));
    world_read_file(w, w->path); /* a buffer of the right size */
    if (kind == SAVE_NEW) world_require(w, remove(w->path) == 0, "remove");
    PREPARE(w, dm_trainer_step(w->trainer, NULL));
}

static dm_status save(world *w) { return CALL(dm_trainer_save, w->trainer, w->path); }

static dm_status save_memory(world *w) {
    size_t size = 0;
    const dm_status status = CALL(dm_trainer_save_memory, w->trainer, w->bytes, w->size, &size);
    const uint64_t hash = status ? 0 : world_hash(0, w->bytes, w->size);
    memcpy(w->output, &size, sizeof size);
    memcpy(w->output + sizeof size, &hash, sizeof hash);
    w->output_size = sizeof size + sizeof hash;
    return status;
}

const alloc_case cases_trainer[] = {
    {"trainer_create", untrained, create, PLAIN, 0},
    {"trainer_create, all parts", untrained, create, ALL_PARTS, 0},
    {"trainer_resume", save_file, resume, PLAIN, 0},
    {"trainer_resume, all parts", save_file, resume, ALL_PARTS, 0},
    {"trainer_resume_memory", save_file, resume_memory, PLAIN, 0},
    {"trainer_set_teacher", distilled, set_teacher, 0, 0},
    {"trainer_step", new_trainer, step, PLAIN, 0},
    {"trainer_step, all parts", new_trainer, step, ALL_PARTS, 0},
    {"trainer_create, conditions", untrained, create, CONDITIONS, 0},
    {"trainer_step, conditions", new_trainer, step, CONDITIONS, 0},
    {"trainer_step_batch, conditions", new_trainer, step_batch, CONDITIONS, 0},
    {"trainer_step_batch", new_trainer, step_batch, PLAIN, 0},
    {"trainer_step_batch, all parts", new_trainer, step_batch, ALL_PARTS, 0},
    {"trainer_run", new_trainer, run, PLAIN, CASE_GROWS},
    {"callback_fail", failing_trainer, step, PLAIN, CASE_FAILS},
    {"trainer_save", prepare_save, save, SAVE_NEW, 0},
    {"trainer_save, over a file", prepare_save, save, SAVE_OVER, 0},
    {"trainer_save_memory", prepare_save, save_memory, 0, 0},
    {NULL, NULL, NULL, 0, 0}};
