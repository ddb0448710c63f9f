/* SPDX-License-Identifier: MIT */
/* Trains a diffusion model on CIFAR-10, on a folder of PNG files or on generated shapes. During
 * training, the folder --out receives a checkpoint, grids of samples, loss.csv and a report for a
 * browser. Ctrl-C, SIGTERM or SIGHUP saves and stops; --resume continues from there, bit for bit.
 */
#include <diffusion.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "data.h"
#include "image_write.h"
#include "interrupt.h"
#include "output.h"
#include "profile_table.h"
#include "progress.h"
#include "report.h"
#include "sampler_options.h"
#include "train_log.h"
#include "train_options.h"

enum { PROFILE_ROWS = 40, BUILTIN_COUNT = 50000 };

static const char program[] = "train_cifar10";

/* Everything that a run needs. */
typedef struct session {
    train_options o;
    dm_context *context;
    dm_dataset *dataset;
    dm_dataset_info data;
    dm_schedule *schedule;
    dm_unet *unet, *ema; /* ema: NULL if none is kept */
    dm_unet *teacher;    /* NULL without --distill */
    dm_trainer *trainer;
    output csv;
    progress line;
    double loss, rate; /* running means: loss, images per second */
    int32_t batch;     /* images in a step */
} session;

static void path_in(const session *s, const char *name, char path[OUTPUT_PATH_SIZE]) {
    snprintf(path, OUTPUT_PATH_SIZE, "%s/%s", s->o.out, name);
}

static uint64_t steps_done(const session *s) {
    uint64_t step = 0;
    dm_trainer_get_step(s->trainer, &step);
    return step;
}

/* ---- network, data and trainer ---- */

static int32_t open_dataset(session *s) {
    int32_t size = s->o.size ? s->o.size : s->o.unet.height;
    builtin_data builtin = {.size = size, .count = BUILTIN_COUNT, .seed = 1};
    int32_t status =
        open_data(&s->dataset, s->context, program, s->o.data, DM_SPLIT_TRAIN, builtin);
    dm_dataset_info_init(&s->data, sizeof s->data);
    return status ? status : dm_dataset_get_info(s->dataset, &s->data);
}

/* The weights that a sampler would use: the first EMA, if there is one. */
static int32_t set_teacher(session *s) {
    if (!s->o.distill && s->o.trainer.distill_steps) {
        fprintf(stderr, "%s: %s needs --distill, the teacher's file, as before\n", program,
                s->o.resume);
        return REPORTED;
    }
    if (!s->o.distill) return DM_OK;
    int32_t status = dm_unet_load(&s->teacher, s->context, s->o.distill, DM_WEIGHTS_DEFAULT);
    return status ? status : dm_trainer_set_teacher(s->trainer, s->teacher);
}

static int32_t resume(session *s) {
    int32_t status = dm_unet_load(&s->unet, s->context, s->o.resume, DM_WEIGHTS_TRAINED);
    if (!status) status = dm_schedule_load(&s->schedule, s->context, s->o.resume);
    if (!status) status = dm_unet_get_options(s->unet, &s->o.unet, sizeof s->o.unet);
    if (!status) status = open_dataset(s);
    if (!status) status = dm_trainer_resume(&s->trainer, s->unet, s->dataset, s->o.resume);
    if (!status) status = dm_trainer_get_options(s->trainer, &s->o.trainer, sizeof s->o.trainer);
    return status ? status : set_teacher(s);
}

/* The student begins as a copy of the teacher. */
static int32_t begin_distilled(session *s) {
    int32_t status = dm_unet_load(&s->unet, s->context, s->o.distill, DM_WEIGHTS_DEFAULT);
    if (!status) status = dm_schedule_load(&s->schedule, s->context, s->o.distill);
    if (!status) status = dm_unet_get_options(s->unet, &s->o.unet, sizeof s->o.unet);
    if (!status) status = open_dataset(s);
    if (!status)
        status = dm_trainer_create(&s->trainer, s->unet, s->schedule, s->dataset, &s->o.trainer);
    return status ? status : set_teacher(s);
}

static int32_t begin(session *s) {
    dm_unet_options *u = &s->o.unet;
    int32_t status = open_dataset(s);
    if (status) return status;
    if (s->o.labels && !s->data.classes) {
        fprintf(stderr, "%s: --labels cannot be used with %s, whose images have no labels\n",
                program, s->o.data);
        return REPORTED;
    }
    u->height = s->data.height;
    u->width = s->data.width;
    u->in_channels = u->out_channels = s->data.channels;
    if (s->o.labels) u->classes = s->data.classes;
    status = dm_schedule_create(&s->schedule, s->context, &s->o.schedule);
    if (!status) status = dm_unet_create(&s->unet, s->context, u, s->o.trainer.seed);
    if (!status)
        status = dm_trainer_create(&s->trainer, s->unet, s->schedule, s->dataset, &s->o.trainer);
    return status;
}

/* ---- files of the run ---- */

/* Stops the run after a signal, or if loss.csv cannot be written. */
static int32_t on_step(void *user, const dm_train_stats *t) {
    session *s = user;
    char detail[128];
    if (t->skipped) {
        progress_clear(&s->line);
        fprintf(stderr, "step %llu skipped: its loss or gradient was not finite or too large\n",
                (unsigned long long)t->step);
        return interrupt_signal() != 0;
    }
    double rate = s->batch / t->seconds;
    s->loss = s->loss > 0 ? 0.98 * s->loss + 0.02 * t->loss : t->loss;
    s->rate = s->rate > 0 ? 0.9 * s->rate + 0.1 * rate : rate;
    if (train_log_add(&s->csv, t)) return 1;
    snprintf(detail, sizeof detail, "epoch %.2f  loss %.4f  %.0f images/s", t->epoch, s->loss,
             s->rate);
    progress_update(&s->line, t->step, detail);
    return interrupt_signal() != 0;
}

static int32_t on_sampled(void *user, const dm_sampler_progress *p) {
    (void)user;
    (void)p;
    return interrupt_signal() != 0;
}

/* Samples with the EMA, or with the trained weights if none is kept. labels: [o.samples]. */
static dm_status run_sampler(session *s, float *images, size_t elements, int32_t *labels) {
    dm_sampler_options o;
    dm_sampler_request r;
    dm_sampler *sampler = NULL;
    dm_sampler_options_init(&o, sizeof o);
    dm_sampler_request_init(&r, sizeof r);
    o.steps = s->o.sample_steps;
    r.count = (uint64_t)s->o.samples;
    r.seed = 1;
    r.progress = on_sampled;
    if (s->o.unet.classes) {
        for (int32_t i = 0; i < s->o.samples; i++) labels[i] = i % s->o.unet.classes;
        r.labels = labels;
        r.label_count = r.count;
    }
    dm_status status = s->ema ? dm_trainer_get_ema(s->trainer, 0, s->ema) : DM_OK;
    if (!status) status = dm_sampler_create(&sampler, s->ema ? s->ema : s->unet, s->schedule, &o);
    if (!status) status = dm_sampler_run(sampler, &r, images, elements);
    dm_sampler_destroy(sampler);
    return status;
}

/* samples-<step>.png: a grid of samples. */
static dm_status write_samples(session *s, uint64_t step) {
    const dm_unet_options *u = &s->o.unet;
    size_t count = (size_t)s->o.samples,
           elements = count * (size_t)u->height * (size_t)u->width * (size_t)u->out_channels;
    char name[64], path[OUTPUT_PATH_SIZE];
    int32_t columns = 1;
    if (!count) return DM_OK;
    while ((size_t)columns * (size_t)columns < count) columns++;
    snprintf(name, sizeof name, "samples-%06llu.png", (unsigned long long)step);
    path_in(s, name, path);
    dm_image_grid_options grid =
        grid_options(count, u->height, u->width, u->out_channels, columns, u->height < 64 ? 3 : 1);
    float *images = malloc(elements * sizeof *images);
    int32_t *labels = malloc(count * sizeof *labels);
    dm_status status =
        images && labels ? run_sampler(s, images, elements, labels) : DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = write_grid(s->context, path, &grid, images);
    free(labels);
    free(images);
    return status;
}

static int write_page(const session *s) {
    char facts[1024], path[OUTPUT_PATH_SIZE];
    const dm_trainer_options *t = &s->o.trainer;
    double half_life = t->ema_half_life[0];
    snprintf(facts, sizeof facts,
             "data\t%s\nnetwork\t%.2f million parameters, base width %d, %d levels, predicts %s\n"
             "schedule\t%s\nbatch\t%d\nlearning rate\t%g\nEMA\t%s %g\nsteps\t%llu of %llu\n"
             "loss\t%.5f (running mean)\nspeed\t%.1f images/s on %d threads\n",
             s->o.data, 1e-6 * (double)dm_unet_parameter_count(s->unet), (int)s->o.unet.channels[0],
             (int)s->o.unet.levels, dm_enum_name("dm_prediction", s->o.unet.prediction),
             dm_enum_name("dm_schedule_kind", s->o.schedule.kind), (int)s->batch, t->learning_rate,
             half_life > 0 ? "half-life" : "decay", half_life > 0 ? half_life : t->ema_decay[0],
             (unsigned long long)steps_done(s), (unsigned long long)s->o.steps, s->loss, s->rate,
             (int)dm_context_threads(s->context));
    path_in(s, "report.html", path);
    return write_report(program, path, s->o.out, "Training a diffusion model", facts);
}

/* The checkpoint is never ahead of loss.csv, as far as that can be written: the caller ends the run
 * if it cannot. */
static dm_status save(session *s) {
    char path[OUTPUT_PATH_SIZE];
    path_in(s, "checkpoint.safetensors", path);
    output_sync(&s->csv);
    return dm_trainer_save(s->trainer, path);
}

/* ---- training ---- */

static uint64_t next_multiple(uint64_t after, uint64_t interval, uint64_t last) {
    uint64_t next = interval ? (after / interval + 1) * interval : last;
    return next < last ? next : last;
}

/* Trains until the next grid, checkpoint or the end, and writes what is due. A signal or a
 * file that cannot be written ends the run after a checkpoint, other errors without one, since the
 * state may be spoilt. DM_ERROR_CANCELLED after a signal. */
static int32_t train_until_next(session *s) {
    uint64_t done = steps_done(s), grid = next_multiple(done, s->o.sample_every, s->o.steps),
             checkpoint = next_multiple(done, s->o.save_every, s->o.steps);
    int32_t status = DM_ERROR_CANCELLED;
    if (!interrupt_signal())
        status = dm_trainer_run(s->trainer, grid < checkpoint ? grid : checkpoint, on_step, s);
    if (status && status != DM_ERROR_CANCELLED) return status;
    done = steps_done(s);
    int saved = status || done == checkpoint;
    int32_t failed = saved ? save(s) : DM_OK;
    if (!failed && !status && done == grid) failed = write_samples(s, done);
    if (failed == DM_ERROR_CANCELLED) {
        status = failed;
        failed = DM_OK;
    }
    if (!failed && write_page(s)) failed = REPORTED;
    if (failed) progress_clear(&s->line);
    print_error(program, s->context, failed);
    if (!saved && (status || failed || output_failed(&s->csv))) {
        int32_t unsaved = save(s);
        print_error(program, s->context, unsaved);
        if (unsaved) failed = REPORTED;
    }
    return failed ? REPORTED : output_failed(&s->csv) ? DM_ERROR_CANCELLED : status;
}

static dm_status print_end(const session *s, int stopped, double seconds) {
    char text[32];
    uint64_t done = steps_done(s);
    printf("%s after %llu of %llu steps and %s, loss %.4f: see %s/report.html\n",
           stopped ? "stopped" : "done", (unsigned long long)done, (unsigned long long)s->o.steps,
           duration(seconds, text), s->loss, s->o.out);
    if (stopped)
        printf("continue with: %s --resume %s/checkpoint.safetensors --data %s --steps %llu%s%s\n"
               "(and --samples, --save-every or --threads as before, which the checkpoint does not "
               "hold)\n",
               s->o.program, s->o.out, s->o.data, (unsigned long long)s->o.steps,
               s->o.distill ? " --distill " : "", s->o.distill ? s->o.distill : "");
    double steps = (double)(done - s->line.first);
    if (!s->o.profile || !(steps > 0)) return DM_OK;
    fprintf(stderr, "\na step takes %.4f s, including samples and checkpoints:\n", seconds / steps);
    return print_profile(stderr, s->context, steps, seconds / steps, PROFILE_ROWS, NULL);
}

static int32_t train(session *s) {
    int32_t status = DM_OK;
    progress_begin(&s->line, "training", steps_done(s), s->o.steps);
    while (!status && steps_done(s) < s->o.steps) status = train_until_next(s);
    double seconds = progress_end(&s->line);
    if (status && status != DM_ERROR_CANCELLED) return status;
    return print_end(s, status != DM_OK, seconds);
}

/* Of a run that ended after its last checkpoint: the samples and the report that it still lacks. */
static int32_t finish(session *s) {
    int32_t status = write_samples(s, steps_done(s));
    if (!status && write_page(s)) status = REPORTED;
    if (!status)
        printf("all %llu steps are done already: see %s/report.html\n",
               (unsigned long long)s->o.steps, s->o.out);
    return status;
}

/* The numbers of steps that the options leave open. */
static int32_t choose_steps(session *s) {
    int32_t timesteps = dm_schedule_timesteps(s->schedule);
    if (!s->o.sample_steps) s->o.sample_steps = s->o.trainer.distill_steps;
    if (!s->o.sample_steps) s->o.sample_steps = usual_steps(DM_SOLVER_DDIM, timesteps);
    if (s->o.samples && check_range(program, "sample-steps", s->o.sample_steps, 1, timesteps))
        return REPORTED;
    s->batch = s->o.trainer.batch_size * s->o.trainer.accumulation;
    if (!s->o.steps) s->o.steps = (uint64_t)(s->o.epochs * (double)s->data.count / s->batch + 0.5);
    if (!s->o.steps) s->o.steps = 1;
    return 0;
}

static int32_t run(session *s) {
    char path[OUTPUT_PATH_SIZE];
    int32_t status = s->o.resume ? resume(s) : s->o.distill ? begin_distilled(s) : begin(s);
    if (status) return status;
    if (s->o.trainer.ema_decay[0] > 0 || s->o.trainer.ema_half_life[0] > 0)
        status = dm_unet_create(&s->ema, s->context, &s->o.unet, 0);
    if (!status)
        status = dm_schedule_get_options(s->schedule, &s->o.schedule, sizeof s->o.schedule);
    if (!status) status = choose_steps(s);
    if (status) return status;
    fprintf(stderr,
            "%.2f million parameters, %llu images (%s), %llu steps of %d, %d threads; see %s/\n",
            1e-6 * (double)dm_unet_parameter_count(s->unet), (unsigned long long)s->data.count,
            s->o.data, (unsigned long long)s->o.steps, (int)s->batch,
            (int)dm_context_threads(s->context), s->o.out);
    uint64_t done = steps_done(s);
    if (done > s->o.steps) {
        fprintf(stderr, "%s: %s has done %llu steps already; --steps, the total, is %llu\n",
                program, s->o.resume, (unsigned long long)done, (unsigned long long)s->o.steps);
        return REPORTED;
    }
    if (make_folder(program, s->o.out)) return REPORTED;
    interrupt_begin(); /* what came before would be done again by the next run: nothing is lost */
    path_in(s, "loss.csv", path);
    if (train_log_open(&s->csv, program, path, done)) return REPORTED;
    status = done < s->o.steps ? train(s) : finish(s);
    return output_close(&s->csv, program) ? REPORTED : status;
}

int main(int argc, const char **argv) {
    static session s;
    open_standard_streams(program);
    if (read_train_options(&s.o, &s.context, argc, argv)) {
        dm_context_destroy(s.context);
        return 2;
    }
    ignore_write_signals();
    int32_t status = run(&s);
    print_error(program, s.context, status);
    dm_trainer_destroy(s.trainer);
    dm_unet_destroy(s.ema);
    dm_unet_destroy(s.teacher);
    dm_unet_destroy(s.unet);
    dm_schedule_destroy(s.schedule);
    dm_dataset_destroy(s.dataset);
    dm_context_destroy(s.context);
    return interrupt_exit_status(status);
}
