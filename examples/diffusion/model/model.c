/* SPDX-License-Identifier: MIT */
/* See model.h. */
#include "model/model.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "command/files.h"
#include "command/spelling.h"
#include "model/installed.h"
#include "model/sampler_options.h"
#include "picture/read.h"

static int is_file(const char *path) {
    struct stat is;
    return !stat(path, &is) && S_ISREG(is.st_mode);
}

/* Refuses a run that has no checkpoint yet, and a folder of runs. */
static int32_t refuse_run(const command_line *line, const char *path) {
    char inside[1200], names[512] = "";
    struct dirent **entries;
    snprintf(inside, sizeof inside, "%s/checkpoint.replaced.safetensors", path);
    if (is_file(inside))
        return command_line_refuse(line,
                                   "%s is a run without a checkpoint; that of the run before is %s",
                                   path, inside);
    if (folder_has(path, "settings.txt"))
        return command_line_refuse(line,
                                   "%s is a run that was not saved yet: it is saved every few "
                                   "minutes (--save-minutes), and when Ctrl-C stops it",
                                   path);
    if (folder_has(path, "model_index.json") || folder_has(path, "config.json")) return 0;
    int count = scandir(path, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        size_t used = strlen(names);
        snprintf(inside, sizeof inside, "%s/%s/checkpoint.safetensors", path, name);
        if (*name != '.' && is_file(inside) && used < sizeof names / 2)
            snprintf(names + used, sizeof names - used, "%s%.100s/%.100s", used ? ", " : "", path,
                     name);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
    if (*names) return command_line_refuse(line, "%s is no model; in it are %s", path, names);
    return command_line_refuse(line,
                               "%s is no model: neither checkpoint.safetensors nor, of diffusers, "
                               "model_index.json or config.json is in it",
                               path);
}

/* The file or folder that is meant: a run's folder stands for its checkpoint. */
static int32_t find_path(model *m, const command_line *line, const char *path) {
    struct stat is;
    if (!path) {
        if (installed_model(m->path, sizeof m->path)) return 0;
        return command_line_refuse(line, "no model is installed with this program; name one");
    }
    if (stat(path, &is)) {
        int word = errno == ENOENT && !strpbrk(path, "/.");
        return command_line_refuse(line, "%s: %s%s%s%s", path, strerror(errno),
                                   word ? " (a class is named by --class " : "", word ? path : "",
                                   word ? ")" : "");
    }
    if (S_ISDIR(is.st_mode)) {
        snprintf(m->path, sizeof m->path, "%s/checkpoint.safetensors", path);
        if (is_file(m->path)) return 0;
        if (refuse_run(line, path)) return REPORTED;
    }
    if (S_ISREG(is.st_mode) && picture_is_named(path))
        return command_line_refuse(line, "%s is a picture, no model", path);
    if (snprintf(m->path, sizeof m->path, "%s", path) < (int)sizeof m->path) return 0;
    return command_line_refuse(line, "%s: %s", path, strerror(ENAMETOOLONG));
}

/* A file of the library, which says how it was trained. */
static int32_t load_own(model *m, dm_context *context) {
    dm_trainer_options training;
    dm_trainer_options_init(&training, sizeof training);
    dm_status status = dm_checkpoint_load_info(context, m->path, NULL, &m->info);
    if (!status && m->info.training)
        status = dm_checkpoint_load_info(context, m->path, &training, NULL);
    if (!status)
        choose_sampler(&m->sampler, &m->options, dm_schedule_timesteps(m->schedule),
                       training.distill_steps, m->info.null_class);
    return status;
}

/* The schedule of a folder of diffusers, or of the folder of a file or the one above. */
static dm_status load_foreign_schedule(model *m, dm_context *context) {
    char folder[sizeof m->path + 3];
    dm_status status = DM_ERROR_NOT_FOUND;
    if (!is_file(m->path))
        return dm_schedule_load_diffusers(&m->schedule, context, m->path, NULL, &m->sampler);
    for (int up = 0; up < 2 && status == DM_ERROR_NOT_FOUND; up++) {
        const char *slash = strrchr(m->path, '/');
        snprintf(folder, sizeof folder, "%.*s%s", slash ? (int)(slash - m->path) + 1 : 0, m->path,
                 up      ? ".."
                 : slash ? ""
                         : ".");
        status = dm_schedule_load_diffusers(&m->schedule, context, folder, NULL, &m->sampler);
    }
    return status;
}

/* A model of diffusers, whose scheduler says what sampling is meant; a model without one was
 * trained on DDPM's schedule. */
static int32_t load_foreign(model *m, dm_context *context) {
    dm_status status = load_foreign_schedule(m, context);
    if (status == DM_ERROR_NOT_FOUND) {
        dm_schedule_options o;
        dm_schedule_options_init(&o, sizeof o);
        o.kind = DM_SCHEDULE_LINEAR;
        status = dm_schedule_create(&m->schedule, context, &o);
        m->sampler.solver = DM_SOLVER_DPMPP;
    }
    if (!status)
        m->sampler.steps = usual_steps(m->sampler.solver, dm_schedule_timesteps(m->schedule));
    return status;
}

int32_t load_model(model *out, dm_context *context, const command_line *line, const char *path,
                   dm_weights weights) {
    *out = (model){0};
    dm_sampler_options_init(&out->sampler, sizeof out->sampler);
    dm_checkpoint_info_init(&out->info, sizeof out->info);
    dm_unet_options_init(&out->options, sizeof out->options);
    int32_t status = find_path(out, line, path);
    if (!status) status = dm_unet_load(&out->unet, context, out->path, weights);
    if (!status) status = dm_unet_get_options(out->unet, &out->options, sizeof out->options);
    if (status) return status;
    /* A file of the library has a schedule. */
    if (!is_file(out->path) || dm_schedule_load(&out->schedule, context, out->path))
        return load_foreign(out, context);
    return load_own(out, context);
}

void free_model(model *m) {
    dm_unet_destroy(m->unet);
    dm_schedule_destroy(m->schedule);
    *m = (model){0};
}

/* ---- classes ---- */

const char *class_text(const model *m, int32_t label, char text[64]) {
    const char *name = dm_unet_class_name(m->unet, label);
    if (name) snprintf(text, 64, "%s", name);
    else snprintf(text, 64, "%d", (int)label);
    return text;
}

static void list_classes(const model *m, char *text, size_t capacity) {
    char name[64];
    size_t used = 0;
    int32_t i = 0;
    *text = 0;
    for (; i < m->options.classes && used + 120 < capacity; i++)
        used += (size_t)snprintf(text + used, capacity - used, "%s%s", i ? ", " : "",
                                 class_text(m, i, name));
    if (i < m->options.classes)
        snprintf(text + used, capacity - used, " and %d more", (int)(m->options.classes - i));
}

/* The class that is spelt nearly like a word, or NULL. */
static const char *near_class(const model *m, const char *word) {
    const char **names = calloc((size_t)m->options.classes + 1, sizeof *names), *near = NULL;
    size_t count = 0;
    if (!names) return NULL;
    for (int32_t i = 0; i < m->options.classes; i++) {
        names[count] = dm_unet_class_name(m->unet, i);
        count += names[count] != NULL;
    }
    near = nearest_word(word, strlen(word), names, count);
    free(names);
    return near;
}

int32_t find_class(const command_line *line, const model *m, const char *word, int32_t *label) {
    char *end, list[1024];
    for (int32_t i = 0; i < m->options.classes; i++) {
        const char *name = dm_unet_class_name(m->unet, i);
        *label = i;
        if (name && !strcmp(name, word)) return 0;
    }
    long number = strtol(word, &end, 10);
    *label = (int32_t)number;
    if (end > word && !*end && number >= 0 && number < m->options.classes) return 0;
    if (!m->options.classes)
        return command_line_refuse(line, "--class is '%s'; %s has no classes", word, m->path);
    const char *near = near_class(m, word);
    list_classes(m, list, sizeof list);
    if (near)
        return command_line_refuse(line,
                                   "--class is '%s'; did you mean %s? The classes of %s are %s",
                                   word, near, m->path, list);
    return command_line_refuse(line, "--class is '%s'; the classes of %s are %s", word, m->path,
                               list);
}

/* ---- hash ---- */

int32_t network_hash(const dm_unet *unet, char text[17]) {
    uLong crc = crc32(0, NULL, 0), adler = adler32(0, NULL, 0);
    dm_tensor_info info;
    for (int32_t i = 0; i < dm_unet_tensor_count(unet); i++) {
        dm_tensor_info_init(&info, sizeof info);
        dm_status status = dm_unet_get_tensor_info(unet, i, &info);
        if (status) return status;
        float *values = malloc(info.elements * sizeof *values);
        if (!values) return DM_ERROR_OUT_OF_MEMORY;
        status = dm_unet_get_tensor(unet, info.name, values, info.elements);
        if (!status) {
            crc = crc32_z(crc, (const Bytef *)values, info.elements * sizeof *values);
            adler = adler32_z(adler, (const Bytef *)values, info.elements * sizeof *values);
        }
        free(values);
        if (status) return status;
    }
    snprintf(text, 17, "%08lx%08lx", (unsigned long)crc & 0xffffffffUL,
             (unsigned long)adler & 0xffffffffUL);
    return DM_OK;
}
