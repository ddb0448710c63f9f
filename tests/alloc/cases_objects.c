/* SPDX-License-Identifier: MIT */
/* Contexts, and the properties of all objects. */
#include <string.h>

#include "cases.h"

/* ---- contexts ---- */

static dm_status context_create(world *w) {
    dm_context *made;
    dm_context_options o = world_context_options(w);
    o.profile = w->variant;
    const dm_status status = CALL(dm_context_create, &made, &o, w->error, sizeof w->error);
    w->made[MADE_CONTEXT] = made;
    return status;
}

static void add_row(world *w) {
    world_add_trainer(w);
    PREPARE(w, dm_context_profile_reset(w->context));
    PREPARE(w, dm_trainer_step(w->trainer, NULL));
}

static dm_status context_get(world *w) {
    uint64_t used, peak, allocations;
    int32_t rows = 0;
    size_t size;
    char text[64];
    dm_profile_row row;
    dm_status status = CALL(dm_context_get_memory, w->context, &used, &peak, &allocations);
    if (!status) status = CALL(dm_context_error_copy, w->context, text, sizeof text, &size);
    if (!status && CALL(dm_context_error, w->context)[0]) status = DM_ERROR_INTERNAL;
    if (!status) status = CALL(dm_profile_row_init, &row, sizeof row);
    if (!status) status = CALL(dm_context_get_profile_rows, w->context, &rows);
    for (int32_t i = 0; !status && i < rows; i++)
        status = CALL(dm_context_get_profile_row, w->context, i, &row);
    if (!status) status = CALL(dm_context_profile_reset, w->context);
    return !status && CALL(dm_context_threads, w->context) != w->threads ? DM_ERROR_INTERNAL
                                                                         : status;
}

static dm_status context_options(world *w) {
    char text[256];
    dm_unet_options unet;
    dm_sampler_options sampler;
    dm_status status = dm_unet_options_init(&unet, sizeof unet);
    if (!status) status = dm_sampler_options_init(&sampler, sizeof sampler);
    static const char *const set[][3] = {{"dm_sampler_options", "solver", "dpmpp"},
                                         {"dm_sampler_options", "eta", "0.123456789012345678"},
                                         {"dm_unet_options", "channels", "16,32,48"},
                                         {"dm_unet_options", "norm_eps", "1e-5"}};
    for (size_t i = 0; !status && i < sizeof set / sizeof *set; i++) {
        void *options = strstr(set[i][0], "unet") ? (void *)&unet : (void *)&sampler;
        size_t size;
        status = CALL(dm_options_set, w->context, set[i][0], options, set[i][1], set[i][2]);
        if (!status)
            status = CALL(dm_options_get, w->context, set[i][0], options, set[i][1], text,
                          sizeof text, &size);
        memcpy(w->output + w->output_size, text, strlen(text));
        w->output_size += strlen(text);
    }
    if (!status && CALL(dm_options_set, w->context, "dm_unet_options", &unet, "levels", "99") !=
                       DM_ERROR_INVALID_ARGUMENT)
        status = DM_ERROR_INTERNAL;
    return status;
}

static dm_status context_destroy(world *w) {
    CALL(dm_context_destroy, w->made[MADE_CONTEXT]);
    w->made[MADE_CONTEXT] = world_unmade();
    return DM_OK;
}

static void make_context(world *w) {
    dm_context *made;
    const dm_context_options o = world_context_options(w);
    PREPARE(w, dm_context_create(&made, &o, w->error, sizeof w->error));
    w->made[MADE_CONTEXT] = made;
}

/* ---- properties ---- */

static dm_status schedule_get(world *w) {
    dm_schedule_options o;
    double values[TIMESTEPS], signal, noise, time;
    float x[IMAGES * ELEMENTS];
    dm_status status = CALL(dm_schedule_get_options, w->schedule, &o, sizeof o);
    for (int32_t i = 0; !status && i <= DM_SERIES_TIME; i++)
        status = CALL(dm_schedule_get_series, w->schedule, i, values, TIMESTEPS);
    if (!status) status = CALL(dm_schedule_get_level, w->schedule, 2.5, &signal, &noise, &time);
    if (!status)
        status = CALL(dm_schedule_add_noise, w->schedule, x, w->images, w->noise, w->timesteps,
                      IMAGES, ELEMENTS);
    memcpy(w->output, x, w->output_size = sizeof x);
    const bool right = CALL(dm_schedule_context, w->schedule) == w->context &&
                       CALL(dm_schedule_timesteps, w->schedule) == TIMESTEPS;
    CALL(dm_schedule_destroy, w->schedule);
    w->schedule = NULL;
    return right ? status : DM_ERROR_INTERNAL;
}

static void only_schedule(world *w) { world_add_schedule(w, DM_SCHEDULE_COSINE); }

static dm_status unet_get(world *w) {
    dm_unet_options o;
    dm_tensor_info info;
    float values[256];
    dm_status status = CALL(dm_unet_get_options, w->unet, &o, sizeof o);
    if (!status) status = CALL(dm_tensor_info_init, &info, sizeof info);
    for (int32_t i = 0; !status && i < CALL(dm_unet_tensor_count, w->unet); i++) {
        status = CALL(dm_unet_get_tensor_info, w->unet, i, &info);
        if (status || info.elements > 256) continue;
        status = CALL(dm_unet_get_tensor, w->unet, info.name, values, (size_t)info.elements);
        values[0] += 1;
        if (!status)
            status = CALL(dm_unet_set_tensor, w->unet, info.name, values, (size_t)info.elements,
                          info.shape, info.rank);
    }
    if (CALL(dm_unet_context, w->unet) != w->context || !CALL(dm_unet_parameter_count, w->unet))
        status = DM_ERROR_INTERNAL;
    return status;
}

static dm_status dataset_get(world *w) {
    dm_dataset_info info;
    int32_t label;
    dm_status status = CALL(dm_dataset_info_init, &info, sizeof info);
    if (!status) status = CALL(dm_dataset_get_info, w->dataset, &info);
    for (uint64_t i = 0; !status && i < info.count; i++)
        status =
            CALL(dm_dataset_get_image, w->dataset, i, w->output + i * ELEMENTS, ELEMENTS, &label);
    w->output_size = IMAGES * ELEMENTS;
    if (CALL(dm_dataset_context, w->dataset) != w->context) status = DM_ERROR_INTERNAL;
    CALL(dm_dataset_class_name, w->dataset, 1);
    CALL(dm_dataset_destroy, w->dataset);
    w->dataset = NULL;
    return status;
}

static dm_status trainer_get(world *w) {
    dm_trainer_options o;
    uint64_t step;
    dm_status status = CALL(dm_trainer_get_options, w->trainer, &o, sizeof o);
    if (!status) status = CALL(dm_trainer_get_step, w->trainer, &step);
    if (!status) status = CALL(dm_trainer_set_learning_rate, w->trainer, 1e-5);
    if (!status) status = CALL(dm_trainer_get_ema, w->trainer, 0, w->made[MADE_UNET]);
    CALL(dm_trainer_cancel, w->trainer);
    return CALL(dm_trainer_context, w->trainer) == w->context ? status : DM_ERROR_INTERNAL;
}

static void trainer_and_target(world *w) {
    const dm_unet_options o = world_unet_options();
    dm_unet *made;
    world_add_trainer(w);
    PREPARE(w, dm_unet_create(&made, w->context, &o, 6));
    w->made[MADE_UNET] = made;
}

static dm_status sampler_get(world *w) {
    dm_sampler_options o;
    double times[64], signal[64], noise[64];
    int32_t height, width, channels;
    const int32_t count = CALL(dm_sampler_evaluations, w->sampler);
    dm_status status = CALL(dm_sampler_get_options, w->sampler, &o, sizeof o);
    if (!status)
        status = CALL(dm_sampler_get_levels, w->sampler, times, signal, noise, (size_t)count);
    CALL(dm_sampler_shape, w->sampler, &height, &width, &channels);
    CALL(dm_sampler_cancel, w->sampler);
    return CALL(dm_sampler_context, w->sampler) == w->context &&
                   CALL(dm_sampler_steps, w->sampler) == count && height == SIDE
               ? status
               : DM_ERROR_INTERNAL;
}

static void only_sampler(world *w) { world_add_sampler(w, NULL); }

static dm_status destroy_all(world *w) {
    CALL(dm_sampler_destroy, w->sampler);
    CALL(dm_trainer_destroy, w->trainer);
    CALL(dm_dataset_destroy, w->dataset);
    CALL(dm_unet_destroy, w->unet);
    CALL(dm_schedule_destroy, w->schedule);
    w->sampler = NULL;
    w->trainer = NULL;
    w->dataset = NULL;
    w->unet = NULL;
    w->schedule = NULL;
    return DM_OK;
}

static void everything(world *w) {
    world_add_trainer(w);
    world_add_sampler(w, NULL);
}

const alloc_case cases_objects[] = {{"context_create", NULL, context_create, 0, CASE_CONTEXT},
                                    {"context_create, profile", NULL, context_create, 1,
                                     CASE_CONTEXT},
                                    {"context_get", add_row, context_get, 0, CASE_NEVER},
                                    {"context_options", NULL, context_options, 0, CASE_NEVER},
                                    {"context_destroy", make_context, context_destroy, 0,
                                     CASE_NEVER},
                                    {"schedule_get", only_schedule, schedule_get, 0, CASE_NEVER},
                                    {"unet_get", world_add_unet, unet_get, 0, CASE_NEVER},
                                    {"dataset_get", world_add_dataset, dataset_get, 0, CASE_NEVER},
                                    {"trainer_get", trainer_and_target, trainer_get, 0, CASE_NEVER},
                                    {"sampler_get", only_sampler, sampler_get, 0, CASE_NEVER},
                                    {"destroy_all", everything, destroy_all, 0, CASE_NEVER},
                                    {NULL, NULL, NULL, 0, 0}};
