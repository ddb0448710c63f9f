/* SPDX-License-Identifier: MIT */
/* How a run begins: a new network, one to fine-tune, a copy of a teacher, or a checkpoint. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "data/shape.h"
#include "model/model.h"
#include "train/defaults.h"
#include "train/session.h"
#include "train/train_members.h"
#include "train/tune.h"

/* ---- data ---- */

/* Pictures of that size, or of one that suits them where height is 0. */
static int32_t open_dataset(session *s, int32_t height, int32_t width, int32_t channels) {
    const image_shape shape = {height, width, channels};
    return open_data(&s->data, s->context, s->line, &training_data, shape);
}

/* Generated shapes are used only where they are asked for, or for a new network. */
static int32_t require_data(const session *s, const char *file) {
    if (command_line_option(s->line, "data")->text) return 0;
    return command_line_refuse(s->line,
                               "--data PATH is needed: the pictures to train on, which %s does not "
                               "name",
                               file);
}

/* A class of the data must be the network's of the same number. */
static int32_t check_class_names(const session *s) {
    for (int32_t i = 0; i < s->data.info.classes; i++) {
        const char *data = dm_dataset_class_name(s->data.dataset, i),
                   *network = dm_unet_class_name(s->unet, i);
        if (!data || !network || !strcmp(data, network) || s->o->no_labels) continue;
        return command_line_refuse(s->line,
                                   "class %d is '%s' in %s and '%s' in the network: diffusion "
                                   "train --init finds classes by their names",
                                   (int)i, data, data_values.path, network);
    }
    return 0;
}

/* The data for a network that exists. */
static int32_t open_dataset_for(session *s) {
    const dm_unet_options *u = &s->o->unet;
    int32_t status = dm_unet_get_options(s->unet, &s->o->unet, sizeof s->o->unet);
    if (!status) status = open_dataset(s, u->height, u->width, u->out_channels);
    if (status || !u->classes) return status;
    if (s->data.info.classes <= u->classes) return check_class_names(s);
    return command_line_refuse(s->line,
                               "%s has %d classes and the network %d: --no-labels trains without "
                               "them, diffusion train --init gives a network other classes",
                               data_values.path, (int)s->data.info.classes, (int)u->classes);
}

/* ---- a new network ---- */

static void set_shape(session *s) {
    dm_unet_options *u = &s->o->unet;
    u->height = s->data.info.height;
    u->width = s->data.info.width;
    u->in_channels = u->out_channels = s->data.info.channels;
    u->condition_channels = s->data.info.condition_channels;
    u->condition_size = s->data.info.condition_size;
    u->classes = s->o->no_labels ? 0 : s->data.info.classes;
}

static int32_t create_trainer(session *s) {
    return dm_trainer_create(&s->trainer, s->unet, s->schedule, s->data.dataset, &s->o->trainer);
}

/* A size that the network cannot halve is refused before pictures are read. */
static int32_t check_size(const session *s) {
    train_options o = *s->o;
    const char *channels = command_line_option(s->line, "channels")->text;
    image_shape asked;
    if (read_size(s->line, &asked)) return REPORTED;
    if (!asked.height) return 0;
    choose_network(&o.unet, &o.schedule, &o.trainer, o.preset, asked.height, asked.width);
    if (o.unet.recipe[0] != DM_PART_END) return 0;
    int32_t halved = (channels ? list_length(channels) : o.unet.levels) - 1;
    if (halved >= DM_LEVELS_MAX) return 0; /* which the library refuses */
    int32_t block = 1 << halved, wrong = asked.height % block ? asked.height : asked.width;
    if (wrong % block == 0) return 0;
    return command_line_refuse(s->line,
                               "--size is '%s'; height and width must be multiples of %d, such as "
                               "%d, as the network halves them %d times",
                               data_values.size, (int)block, (int)((wrong / block + 1) * block),
                               (int)halved);
}

static int32_t begin_new(session *s) {
    train_options *o = s->o;
    if (!command_line_given(s->line, "data"))
        fprintf(stderr, "data: generated shapes; diffusion train FOLDER trains on your pictures\n");
    int32_t status = check_size(s);
    if (!status) status = open_dataset(s, 0, 0, 0);
    if (status) return status;
    choose_network(&o->unet, &o->schedule, &o->trainer, o->preset, s->data.info.height,
                   s->data.info.width);
    if (apply_train_members(s->line, o, s->context)) return REPORTED;
    set_shape(s);
    if (check_train_members(s->line, o)) return REPORTED;
    if (!o->unet.classes) o->trainer.label_dropout = 0;
    status = dm_schedule_create(&s->schedule, s->context, &o->schedule);
    if (!status) status = dm_unet_create(&s->unet, s->context, &o->unet, o->trainer.seed);
    return status ? status : create_trainer(s);
}

/* ---- from weights that exist ---- */

/* The first option given of those that a network's file holds, or NULL. */
static const char *given_of_network(const session *s) {
    for (size_t g = 0; g < s->line->group_count; g++) {
        const option_group *group = &s->line->groups[g];
        if (!group->struct_name || !strcmp(group->struct_name, "dm_trainer_options")) continue;
        for (size_t i = 0; i < group->count; i++)
            if (group->options[i].given) return group->options[i].name;
    }
    return command_line_given(s->line, "preset") ? "preset" : NULL;
}

static int32_t refuse_network_options(const session *s, const char *file) {
    const char *name = given_of_network(s);
    return name ? command_line_refuse(s->line,
                                      "--%s cannot be changed: %s holds the options of network and "
                                      "schedule; leave it out",
                                      name, file)
                : 0;
}

/* Refuses options that have no effect on a network and a schedule that exist. */
static int32_t check_options(session *s) {
    dm_status status = dm_schedule_get_options(s->schedule, &s->o->schedule, sizeof s->o->schedule);
    if (status) return status;
    return check_train_members(s->line, s->o) ? REPORTED : 0;
}

/* The data in the size that was asked for, or in the network's. */
static int32_t open_dataset_to_tune(session *s) {
    const dm_unet_options *u = &s->o->unet;
    image_shape asked;
    dm_status status = dm_unet_get_options(s->unet, &s->o->unet, sizeof s->o->unet);
    if (status) return status;
    if (read_size(s->line, &asked)) return REPORTED;
    return open_dataset(s, asked.height ? asked.height : u->height,
                        asked.height ? asked.width : u->width, u->out_channels);
}

/* The network and schedule of a file that are used for sampling. */
static int32_t load_weights(session *s, const char *path) {
    model m;
    int installed = !strcmp(path, "installed"); /* the model that comes with the program */
    int32_t status =
        load_model(&m, s->context, s->line, installed ? NULL : path, DM_WEIGHTS_DEFAULT);
    s->unet = m.unet;
    s->schedule = m.schedule;
    return status;
}

static int32_t begin_from_weights(session *s) {
    int32_t status = require_data(s, s->o->init);
    if (!status) status = refuse_network_options(s, s->o->init);
    if (!status) status = load_weights(s, s->o->init);
    if (!status) status = open_dataset_to_tune(s);
    if (status) return status;
    choose_trainer(&s->o->trainer);
    s->o->trainer.learning_rate =
        1e-4; /* lower than for random weights, to keep what they have learned */
    s->o->trainer.batch_size = s->data.info.height > 64 || s->data.info.width > 64 ? 16 : 32;
    if (command_line_apply(s->line, s->context)) return REPORTED;
    status = fit_network(s);
    if (!status) status = check_options(s);
    if (!status && !s->o->unet.classes) s->o->trainer.label_dropout = 0;
    /* A table without a row for "no class" cannot drop labels. */
    if (!s->o->unet.null_row && !command_line_given(s->line, "label-dropout"))
        s->o->trainer.label_dropout = 0;
    return status ? status : create_trainer(s);
}

/* The weights that a sampler would use: the first EMA, if there is one. */
static int32_t set_teacher(session *s) {
    if (!s->o->teacher) return DM_OK;
    model m;
    int32_t status = load_model(&m, s->context, s->line, s->o->teacher, DM_WEIGHTS_DEFAULT);
    s->teacher = m.unet;
    dm_schedule_destroy(m.schedule); /* equal to the trainer's own */
    return status ? status : dm_trainer_set_teacher(s->trainer, s->teacher);
}

/* The student begins as a copy of the teacher. */
static int32_t begin_distilled(session *s) {
    int32_t status = require_data(s, s->o->teacher);
    if (!status) status = load_weights(s, s->o->teacher);
    if (!status) status = open_dataset_for(s);
    if (status) return status;
    s->o->trainer.learning_rate = 2e-4;
    if (command_line_apply(s->line, s->context)) return REPORTED;
    status = check_options(s);
    if (status) return status;
    if (!s->o->unet.classes) s->o->trainer.label_dropout = 0;
    status = create_trainer(s);
    return status ? status : set_teacher(s);
}

/* ---- a checkpoint ---- */

/* Sets the trainer's options that were given; *changed becomes 1 if that changes one, which is
 * said. */
static int32_t change_options(session *s, int *changed) {
    dm_trainer_options before = s->o->trainer;
    char from[128], to[128];
    *changed = 0;
    if (command_line_apply(s->line, s->context)) return REPORTED;
    for (size_t g = 0; g < s->line->group_count; g++) {
        const option_group *group = &s->line->groups[g];
        if (!group->struct_name || strcmp(group->struct_name, "dm_trainer_options") != 0) continue;
        for (size_t i = 0; i < group->count; i++) {
            const option *o = &group->options[i];
            if (!o->given) continue;
            dm_options_get(NULL, group->struct_name, &before, o->member, from, sizeof from, NULL);
            dm_options_get(NULL, group->struct_name, group->values, o->member, to, sizeof to, NULL);
            if (!strcmp(from, to)) continue;
            fprintf(stderr, "--%s changes from %s to %s\n", o->name, from, to);
            *changed = 1;
        }
    }
    return DM_OK;
}

/* Refuses a file that no run can continue, and a number of steps that the run has gone beyond. */
static int32_t check_checkpoint(const session *s, const dm_checkpoint_info *info) {
    char word[SHELL_WORD_SIZE];
    if (!info->training)
        return command_line_refuse(s->line,
                                   "%s is a network, no checkpoint of a run: diffusion train "
                                   "PICTURES --init %s begins a new run from it",
                                   s->checkpoint, shell_word(s->checkpoint, word));
    if (!s->o->steps || info->step <= (uint64_t)s->o->steps) return 0;
    return command_line_refuse(s->line,
                               "%s has done %llu steps already; --steps, the total, is %lld",
                               s->o->resume, (unsigned long long)info->step,
                               (long long)s->o->steps);
}

static int32_t resume(session *s) {
    const char *file = s->checkpoint;
    dm_checkpoint_info info;
    int changed = 0;
    dm_checkpoint_info_init(&info, sizeof info);
    int32_t status = refuse_network_options(s, file);
    if (!status) status = dm_checkpoint_load_info(s->context, file, NULL, &info);
    if (!status) status = check_checkpoint(s, &info);
    if (!status) status = require_data(s, file);
    if (!status) status = dm_checkpoint_load_info(s->context, file, &s->o->trainer, NULL);
    if (!status) status = dm_unet_load(&s->unet, s->context, file, DM_WEIGHTS_TRAINED);
    if (!status) status = dm_schedule_load(&s->schedule, s->context, file);
    if (!status) status = open_dataset_for(s);
    if (!status) status = change_options(s, &changed);
    if (!status) status = check_options(s);
    if (status) return status;
    s->changed = changed;
    s->epoch = (double)info.images / (double)s->data.info.count;
    if (info.dataset_count != s->data.info.count) changed = 1; /* which the library says */
    status = changed ? dm_trainer_resume_changed(&s->trainer, s->unet, s->data.dataset, file,
                                                 &s->o->trainer)
                     : dm_trainer_resume(&s->trainer, s->unet, s->data.dataset, file);
    if (!status && s->o->trainer.distill_steps && !s->o->teacher)
        return command_line_refuse(s->line,
                                   "%s is a distillation: resume it with diffusion distill TEACHER "
                                   "--resume",
                                   s->o->resume);
    if (!status) status = set_teacher(s);
    if (!status) fprintf(stderr, "continues after step %llu\n", (unsigned long long)info.step);
    return status;
}

int32_t begin_session(session *s) {
    int32_t status = s->o->resume    ? resume(s)
                     : s->o->teacher ? begin_distilled(s)
                     : s->o->init    ? begin_from_weights(s)
                                     : begin_new(s);
    if (status) return status;
    status = dm_unet_get_options(s->unet, &s->o->unet, sizeof s->o->unet);
    if (!status)
        status = dm_schedule_get_options(s->schedule, &s->o->schedule, sizeof s->o->schedule);
    if (!status && (s->o->trainer.ema_decay[0] > 0 || s->o->trainer.ema_half_life[0] > 0))
        status = dm_unet_create(&s->ema, s->context, &s->o->unet, 0);
    return status;
}

void end_session(session *s) {
    dm_trainer_destroy(s->trainer);
    dm_unet_destroy(s->teacher);
    dm_unet_destroy(s->ema);
    dm_unet_destroy(s->unet);
    dm_schedule_destroy(s->schedule);
    close_data(&s->data);
    dm_context_destroy(s->context);
}
