/* SPDX-License-Identifier: MIT */
/* Networks: created, loaded, shared, saved, evaluated. */
#include <string.h>
#include <unistd.h>

#include "cases.h"

/* ---- created ---- */

static dm_status create(world *w) {
    dm_unet *made;
    dm_unet_options o = world_unet_options();
    if (w->variant == 2) {
        o.classes = 3;
        o.dropout = 0;
        for (int32_t i = 0; i < 5; i++) o.recipe[i] = DM_PART_RESNET + i;
    }
    if (w->variant) {
        o.time_embedding = DM_TIME_SCALE_SHIFT;
        o.attention_head_size = 4;
        o.attention[0] = 1;
        o.prediction = DM_PREDICT_EPS;
        o.learned_variance = o.self_conditioning = 1;
    }
    const dm_status status = CALL(dm_unet_create, &made, w->context, &o, 9);
    w->made[MADE_UNET] = made;
    return status;
}

static dm_status share(world *w) {
    dm_unet *made;
    const dm_status status = CALL(dm_unet_share, &made, w->context, w->unet);
    w->made[MADE_UNET] = made;
    return status;
}

/* ---- loaded ---- */

/* A network's file, or a checkpoint with EMAs. */
static void save_file(world *w) {
    if (w->variant == DM_WEIGHTS_DEFAULT) {
        world_add_unet(w);
        world_add_schedule(w, DM_SCHEDULE_LINEAR);
        PREPARE(w, dm_unet_save(w->unet, w->schedule, w->path));
    } else {
        world_add_trainer(w);
        PREPARE(w, dm_trainer_save(w->trainer, w->path));
    }
    world_read_file(w, w->path);
}

static dm_status load(world *w) {
    dm_unet *made;
    const dm_status status = CALL(dm_unet_load, &made, w->context, w->path, w->variant);
    w->made[MADE_UNET] = made;
    return status;
}

static dm_status load_memory(world *w) {
    dm_unet *made;
    const dm_status status =
        CALL(dm_unet_load_memory, &made, w->context, w->bytes, w->size, w->variant);
    w->made[MADE_UNET] = made;
    return status;
}

/* ---- saved ---- */

enum { SAVE_NEW, SAVE_OVER, SAVE_LINK, SAVE_LONG_LINK };

/* A link whose path is too long for the buffer that realpath has on its stack. */
static void make_long_link(world *w) {
    char to[2048] = "";
    for (size_t i = 0; i < 600; i++) strcat(to, "./");
    strcat(to, "target");
    world_require(w, symlink(to, w->path) == 0, "symlink");
}

static void prepare_save(world *w) {
    char target[2 * PATH_SIZE];
    world_add_unet(w);
    if (w->variant == SAVE_LINK || w->variant == SAVE_LONG_LINK) {
        strcpy(target, w->folder);
        strcat(target, "/target");
        unlink(w->path);
        if (w->variant == SAVE_LINK) world_require(w, symlink("target", w->path) == 0, "symlink");
        else make_long_link(w);
    } else strcpy(target, w->path);
    if (w->variant != SAVE_NEW) PREPARE(w, dm_unet_save(w->unet, NULL, target));
    world_add_schedule(w, DM_SCHEDULE_LINEAR);
}

static dm_status save(world *w) { return CALL(dm_unet_save, w->unet, w->schedule, w->path); }

static void unet_and_schedule(world *w) {
    world_add_unet(w);
    world_add_schedule(w, DM_SCHEDULE_LINEAR);
    PREPARE(w, dm_unet_save(w->unet, w->schedule, w->path));
    world_read_file(w, w->path); /* a buffer of the right size */
}

static dm_status save_memory(world *w) {
    size_t size = 0;
    const dm_status status = CALL(dm_unet_save_memory, w->unet, w->schedule,
                                  w->variant ? w->bytes : NULL, w->variant ? w->size : 0, &size);
    if (status) return status;
    const uint64_t hash = world_hash(0, w->bytes, w->size);
    memcpy(w->output, &size, sizeof size);
    memcpy(w->output + sizeof size, &hash, sizeof hash);
    w->output_size = sizeof size + sizeof hash;
    return status;
}

static dm_status save_as(world *w) {
    return CALL(dm_unet_save_as, w->unet, w->schedule, w->path, w->variant);
}

static dm_status save_memory_as(world *w) {
    size_t size = 0;
    const dm_status status = CALL(dm_unet_save_memory_as, w->unet, w->schedule, w->bytes, w->size,
                                  &size, DM_PRECISION_BF16);
    memcpy(w->output, &size, w->output_size = sizeof size);
    return status;
}

/* ---- folders of diffusers ---- */

enum { LOAD_PIPELINE, LOAD_MODEL, LOAD_FILE };

static void plain_unet(world *w) {
    dm_unet_options o = world_unet_options();
    o.classes = 0;
    PREPARE(w, dm_unet_create(&w->unet, w->context, &o, 5));
    world_add_schedule(w, DM_SCHEDULE_LINEAR);
}

static void save_folder(world *w) {
    static const char *const parts[] = {"", "/unet", "/unet/diffusion_pytorch_model.safetensors"};
    plain_unet(w);
    PREPARE(w, dm_unet_save_diffusers(w->unet, w->schedule, NULL, w->path, DM_PRECISION_F32));
    strcat(w->path, parts[w->variant]);
}

static dm_status load_diffusers(world *w) {
    dm_unet *made;
    const dm_status status = CALL(dm_unet_load_diffusers, &made, w->context, w->path, NULL);
    w->made[MADE_UNET] = made;
    return status;
}

static dm_status load_folder(world *w) {
    dm_unet *made;
    const dm_status status = CALL(dm_unet_load, &made, w->context, w->path, DM_WEIGHTS_DEFAULT);
    w->made[MADE_UNET] = made;
    return status;
}

static dm_status save_diffusers(world *w) {
    return CALL(dm_unet_save_diffusers, w->unet, w->schedule, NULL, w->folder, DM_PRECISION_F16);
}

/* Over the same files: a call that fails may have written some of them. */
static void prepare_diffusers(world *w) {
    plain_unet(w);
    PREPARE(w, dm_unet_save_diffusers(w->unet, w->schedule, NULL, w->folder, DM_PRECISION_F16));
}

/* ---- evaluated ---- */

static dm_status forward(world *w) {
    dm_unet_input in;
    dm_unet_input_init(&in, sizeof in);
    in.count = in.time_count = in.label_count = (uint64_t)w->variant;
    in.x_elements = in.count * ELEMENTS;
    in.x = w->images;
    in.times = w->times;
    in.labels = w->labels;
    w->output_size = in.count * ELEMENTS * sizeof(float);
    return CALL(dm_unet_forward, w->unet, &in, (float *)(void *)w->output, in.count * ELEMENTS);
}

static dm_status input_gradient(world *w) {
    dm_unet_input in;
    dm_unet_input_init(&in, sizeof in);
    in.count = in.time_count = in.label_count = (uint64_t)w->variant;
    in.x_elements = in.count * ELEMENTS;
    in.x = w->images;
    in.times = w->times;
    in.labels = w->labels;
    w->output_size = in.count * ELEMENTS * sizeof(float);
    return CALL(dm_unet_input_gradient, w->unet, &in, w->noise, in.count * ELEMENTS, NULL,
                (float *)(void *)w->output, in.count * ELEMENTS);
}

/* A tiled pass: convolutions have workspaces of their own. */
static dm_status tiled(world *w) {
    const dm_status status = CALL(dm_unet_set_tiling, w->unet, 1, 1);
    return status ? status : input_gradient(w);
}

/* Plans for another number of images exist. */
static void after_forward(world *w) {
    const int32_t count = w->variant;
    world_add_unet(w);
    w->variant = 1;
    PREPARE(w, forward(w));
    w->variant = count;
}

static void make_share(world *w) {
    dm_unet *made;
    world_add_unet(w);
    PREPARE(w, dm_unet_share(&made, w->context, w->unet));
    dm_unet_destroy(w->unet);
    w->unet = made;
    w->warning[0] = 0; /* that the owner stays for its share */
}

static dm_status evaluate(world *w) {
    dm_evaluation_options o;
    dm_evaluation result;
    dm_evaluation_options_init(&o, sizeof o);
    dm_evaluation_init(&result, sizeof result);
    o.batch_size = 2;
    o.timesteps = 2;
    const dm_status status =
        CALL(dm_unet_evaluate, w->unet, w->schedule, w->dataset, &o, NULL, NULL, &result);
    memcpy(w->output, &result, w->output_size = sizeof result);
    return status;
}

/* variant 1: with conditions. */
static void prepare_evaluate(world *w) {
    world_add_schedule(w, DM_SCHEDULE_LINEAR);
    if (w->variant) {
        world_add_conditional_unet(w);
        world_add_conditional_dataset(w);
        return;
    }
    world_add_unet(w);
    world_add_dataset(w);
}

static dm_status initialize(world *w) { return CALL(dm_unet_initialize, w->unet, w->variant, 3); }

const alloc_case cases_unet[] = {
    {"unet_create", NULL, create, 0, 0},
    {"unet_create, all parts", NULL, create, 1, 0},
    {"unet_create, recipe", NULL, create, 2, 0},
    {"unet_initialize, ddpm", world_add_unet, initialize, DM_INITIALIZATION_DDPM, CASE_NEVER},
    {"unet_initialize, torch", world_add_unet, initialize, DM_INITIALIZATION_TORCH, 0},
    {"unet_share", world_add_unet, share, 0, 0},
    {"unet_load", save_file, load, DM_WEIGHTS_DEFAULT, 0},
    {"unet_load, checkpoint", save_file, load, DM_WEIGHTS_TRAINED, 0},
    {"unet_load, EMA", save_file, load, DM_WEIGHTS_EMA, 0},
    {"unet_load_memory", save_file, load_memory, DM_WEIGHTS_DEFAULT, 0},
    {"unet_load_memory, EMA", save_file, load_memory, DM_WEIGHTS_EMA, 0},
    {"unet_save", prepare_save, save, SAVE_NEW, 0},
    {"unet_save, over a file", prepare_save, save, SAVE_OVER, 0},
    {"unet_save, link", prepare_save, save, SAVE_LINK, 0},
    {"unet_save, long link", prepare_save, save, SAVE_LONG_LINK, 0},
    {"unet_save_memory, size", unet_and_schedule, save_memory, 0, 0},
    {"unet_save_memory", unet_and_schedule, save_memory, 1, 0},
    {"unet_save_as", prepare_save, save_as, DM_PRECISION_F16, 0},
    {"unet_save_memory_as", unet_and_schedule, save_memory_as, 0, 0},
    {"unet_load_diffusers, pipeline", save_folder, load_diffusers, LOAD_PIPELINE, 0},
    {"unet_load_diffusers, model", save_folder, load_diffusers, LOAD_MODEL, 0},
    {"unet_load, diffusers' folder", save_folder, load_folder, LOAD_PIPELINE, 0},
    {"unet_load, diffusers' file", save_folder, load_folder, LOAD_FILE, 0},
    {"unet_save_diffusers", prepare_diffusers, save_diffusers, 0, 0},
    {"unet_forward", world_add_unet, forward, 3, CASE_KEEPS},
    {"unet_forward, another count", after_forward, forward, 3, CASE_KEEPS},
    {"unet_forward, share", make_share, forward, 2, CASE_KEEPS},
    {"unet_input_gradient", world_add_unet, input_gradient, 2, CASE_KEEPS},
    {"unet_input_gradient, after a forward pass", after_forward, input_gradient, 2, CASE_KEEPS},
    {"unet_input_gradient, share", make_share, input_gradient, 2, CASE_KEEPS},
    {"unet_set_tiling", after_forward, tiled, 2, CASE_KEEPS},
    {"unet_evaluate", prepare_evaluate, evaluate, 0, CASE_KEEPS},
    {"unet_evaluate, conditions", prepare_evaluate, evaluate, 1, CASE_KEEPS},
    {NULL, NULL, NULL, 0, 0}};
