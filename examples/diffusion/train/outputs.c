/* SPDX-License-Identifier: MIT */
/* See session.h: what a run writes besides its checkpoint: grids of samples, and its page. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/files.h"
#include "model/sampler_options.h"
#include "picture/image_write.h"
#include "picture/show.h"
#include "report/report.h"
#include "sample/picture_texts.h"
#include "sample/run_sampler.h"
#include "train/machine.h"
#include "train/run_folder.h"
#include "train/session.h"

enum { FACTS_MAX = 40, FACT_SIZE = 200 };

void path_in(const session *s, const char *name, char path[OUTPUT_PATH_SIZE]) {
    snprintf(path, OUTPUT_PATH_SIZE, "%s/%s", s->o->out, name);
}

uint64_t steps_done(const session *s) {
    uint64_t step = 0;
    dm_trainer_get_step(s->trainer, &step);
    return step;
}

double mean_loss(const session *s) { return s->loss_weight > 0 ? s->loss_sum / s->loss_weight : 0; }

const char *next_command(const session *s, int resumes, char text[COMMAND_SIZE]) {
    char out[SHELL_WORD_SIZE], teacher[SHELL_WORD_SIZE];
    const char *folder = shell_word(s->o->out, out);
    if (!resumes) snprintf(text, COMMAND_SIZE, "diffusion sample %s", folder);
    else
        snprintf(text, COMMAND_SIZE, "%s%s%s --resume %s", s->line->program,
                 s->o->teacher ? " " : "", s->o->teacher ? shell_word(s->o->teacher, teacher) : "",
                 folder);
    return text;
}

/* ---- samples ---- */

void training_sampler(const session *s, dm_sampler_options *o) {
    const dm_trainer_options *t = &s->o->trainer;
    dm_sampler_options_init(o, sizeof *o);
    choose_sampler(o, &s->o->unet, dm_schedule_timesteps(s->schedule), t->distill_steps,
                   t->label_dropout > 0);
    if (s->o->sample_steps) o->steps = (int32_t)s->o->sample_steps;
}

dm_unet *sampled_network(session *s, int32_t *status) {
    *status = s->ema ? dm_trainer_get_ema(s->trainer, 0, s->ema) : DM_OK;
    return s->ema ? s->ema : s->unet;
}

/* What samples were drawn with. */
static int32_t add_texts(const session *s, png_texts *texts, const sample_run *run, uint64_t step) {
    const picture_origin origin = {.model = s->o->out,
                                   .unet = run->unet,
                                   .options = run->options,
                                   .seed = run->seed,
                                   .count = run->count};
    int32_t status = add_picture_texts(texts, &origin);
    png_texts_add(texts, "diffusion:training-step", "%llu", (unsigned long long)step);
    return status;
}

int32_t try_network(session *s) {
    const dm_unet_options *u = &s->o->unet;
    size_t elements = (size_t)u->height * (size_t)u->width * (size_t)u->out_channels;
    int32_t status;
    dm_sampler_options options;
    training_sampler(s, &options);
    options.steps = 1;
    sample_run run = {.schedule = s->schedule,
                      .options = &options,
                      .conditions = s->data.dataset,
                      .count = 1,
                      .seed = 1};
    float *image = malloc(elements * sizeof *image);
    run.unet = sampled_network(s, &status);
    if (!image) status = DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = run_sampler(&run, image, NULL);
    free(image);
    return status;
}

int32_t write_samples(session *s, uint64_t step) {
    const dm_unet_options *u = &s->o->unet;
    size_t count = (size_t)s->o->samples,
           elements = count * (size_t)u->height * (size_t)u->width * (size_t)u->out_channels;
    char name[64], path[OUTPUT_PATH_SIZE];
    int32_t columns = 1, status;
    dm_sampler_options options;
    if (!count) return DM_OK;
    while ((size_t)columns * (size_t)columns < count) columns++;
    snprintf(name, sizeof name, "samples-%06llu.png", (unsigned long long)step);
    path_in(s, name, path);
    training_sampler(s, &options);
    sample_run run = {.schedule = s->schedule,
                      .options = &options,
                      .conditions = s->data.dataset,
                      .count = count,
                      .seed = 1};
    dm_image_grid_options grid =
        grid_options(count, u->height, u->width, u->out_channels, columns, u->height < 64 ? 3 : 1);
    png_texts texts = {.count = 0};
    const image_writer writer = {s->context, s->line, &texts};
    float *images = malloc(elements * sizeof *images);
    run.unet = sampled_network(s, &status);
    if (!images) status = DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = run_sampler(&run, images, NULL);
    if (!status) status = add_texts(s, &texts, &run, step);
    if (!status) status = write_grid(&writer, path, &grid, images);
    if (!status && !s->o->no_pictures) {
        progress_clear(&s->bar);
        show_grid(&grid, images);
    }
    if (!status) add_event_picture(s, step, path);
    free(images);
    return status;
}

/* ---- the page ---- */

/* Facts whose values are printed into a buffer of their own. */
typedef struct fact_list {
    report_fact facts[FACTS_MAX];
    char values[FACTS_MAX][FACT_SIZE];
    size_t count;
} fact_list;

__attribute__((format(printf, 4, 5))) static void add(fact_list *l, const char *group,
                                                      const char *name, const char *format, ...) {
    va_list arguments;
    if (l->count == FACTS_MAX) return;
    va_start(arguments, format);
    vsnprintf(l->values[l->count], FACT_SIZE, format, arguments);
    va_end(arguments);
    l->facts[l->count] = (report_fact){group, name, l->values[l->count]};
    l->count++;
}

static void add_network(fact_list *l, const session *s) {
    const dm_unet_options *u = &s->o->unet;
    add(l, "Network", "parameters", "%.2f million",
        1e-6 * (double)dm_unet_parameter_count(s->unet));
    add(l, "Network", "images", "%d x %d, %s", (int)u->height, (int)u->width,
        u->out_channels == 1 ? "grey" : "in colour");
    add(l, "Network", "levels", "%d, base width %d", (int)u->levels, (int)u->channels[0]);
    add(l, "Network", "predicts", "%s", dm_enum_name("dm_prediction", u->prediction));
    add(l, "Network", "schedule", "%s", dm_enum_name("dm_schedule_kind", s->o->schedule.kind));
    if (u->classes) add(l, "Network", "classes", "%d", (int)u->classes);
}

static void add_trainer(fact_list *l, const session *s) {
    const dm_trainer_options *t = &s->o->trainer;
    double half_life = t->ema_half_life[0];
    add(l, "Training", "batch", "%d", (int)s->batch);
    add(l, "Training", "learning rate", "%g, %s", t->learning_rate,
        dm_enum_name("dm_rate_schedule", t->learning_rate_schedule));
    add(l, "Training", "warm-up", "%llu steps", (unsigned long long)t->warmup_steps);
    add(l, "Training", "EMA", "%s %g", half_life > 0 ? "half-life" : "decay",
        half_life > 0 ? half_life : t->ema_decay[0]);
    if (t->label_dropout > 0) add(l, "Training", "dropped labels", "%g", t->label_dropout);
    if (s->o->init) add(l, "Training", "started from", "%s", s->o->init);
    if (s->o->teacher) add(l, "Training", "teacher", "%s", s->o->teacher);
}

static void add_machine(fact_list *l, const session *s) {
    char text[FACT_SIZE];
    uint64_t used = 0, peak = 0;
    dm_context_get_memory(s->context, &used, &peak, NULL);
    add(l, "Machine", "processor", "%s", machine_name(text, sizeof text));
    add(l, "Machine", "threads", "%d", (int)dm_context_threads(s->context));
    add(l, "Machine", "memory", "%.2f GB", 1e-9 * (double)peak);
    add(l, "Machine", "library", "%s", dm_build_info());
}

int write_page(const session *s, int running) {
    static fact_list l;
    char path[OUTPUT_PATH_SIZE], error[512], text[32], next[COMMAND_SIZE];
    char title[OUTPUT_PATH_SIZE + 16];
    uint64_t done = steps_done(s);
    l.count = 0;
    add(&l, "Data", "from", "%s", data_values.path);
    add(&l, "Data", "images", "%llu", (unsigned long long)s->data.info.count);
    add(&l, "Data", "passes", "%.2f", s->epoch);
    if (s->data.pictures && folder_damaged(s->data.pictures, NULL))
        add(&l, "Data", "damaged", "%zu, for which the next are used",
            folder_damaged(s->data.pictures, NULL));
    add_network(&l, s);
    add_trainer(&l, s);
    add_machine(&l, s);
    add(&l, "Times", "this run", "%s", duration(seconds_now() - s->bar.began, text));
    int resumes = done < (uint64_t)s->o->steps;
    if (!running && folder_has(s->o->out, checkpoint_name))
        add(&l, "Times", resumes ? "resume with" : "sample with", "%s",
            next_command(s, resumes, next));
    const char *slash = strrchr(s->o->out, '/');
    snprintf(title, sizeof title, "Training %s", slash && slash[1] ? slash + 1 : s->o->out);
    report_options o = {.title = title,
                        .running = running,
                        .facts = l.facts,
                        .fact_count = l.count,
                        .step = done,
                        .steps = (uint64_t)s->o->steps,
                        .seconds_left = running ? progress_left(&s->bar, done) : 0,
                        .images_per_second = s->rate,
                        .loss = mean_loss(s)};
    path_in(s, "report.html", path);
    if (report_write(path, s->o->out, &o, error, sizeof error))
        return command_line_refuse(s->line, "%s", error);
    if (*error) fprintf(stderr, "%s: warning: for the report: %s\n", s->line->program, error);
    return 0;
}
