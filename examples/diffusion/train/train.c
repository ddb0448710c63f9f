/* SPDX-License-Identifier: MIT */
/* `diffusion train` and `diffusion distill`. During training the folder of the run receives a
 * checkpoint, grids of samples, loss.csv and a report for a browser. Ctrl-C, SIGTERM or SIGHUP
 * saves and stops; --resume goes on, bit for bit unless an option changes. */
#include <stdio.h>

#include "command/commands.h"
#include "command/files.h"
#include "console/interrupt.h"
#include "console/profile_table.h"
#include "picture/show.h"
#include "train/machine.h"
#include "train/run_folder.h"
#include "train/session.h"
#include "train/settings.h"
#include "train/train_log.h"

enum { PROFILE_ROWS = 40, FEW_IMAGES = 100 };
/* After these steps a run that would take long is advised on what takes less time. */
enum { ADVICE_STEPS = 20, LONG_SECONDS = 3 * 3600 };
/* Steps with samples before the first of --sample-every, so that one soon sees something. */
enum { EARLY_FROM = 500 };
static const uint64_t early_samples[] = {100, 250};
/* The page is written every 20 s, or more rarely, so that it takes at most a 50th of the time. */
enum { PAGE_SECONDS = 20, PAGE_SHARE = 50 };
/* Steps in a row that are skipped before the run ends: as many as dm_trainer_run ends with. */
enum { SKIPPED_MAX = 10 };

/* ---- steps ---- */

/* Of running means. */
static const double loss_decay = 0.98, rate_decay = 0.9;

static int save_is_due(const session *s) {
    return s->o->save_minutes > 0 && seconds_now() - s->saved_at > 60 * s->o->save_minutes;
}

static int page_is_due(const session *s) {
    double interval = PAGE_SHARE * s->page_seconds;
    return seconds_now() - s->paged_at > (interval > PAGE_SECONDS ? interval : PAGE_SECONDS);
}

/* Says once that a picture cannot be decoded which was not looked at when training began. */
static void tell_damaged(session *s) {
    const char *last;
    if (!s->data.pictures || s->told_damaged ||
        folder_damaged(s->data.pictures, &last) == s->damaged)
        return;
    s->told_damaged = 1;
    progress_clear(&s->bar);
    fprintf(stderr, "%s: warning: ", s->line->program);
    print_foreign(stderr, last);
    fprintf(stderr, "; the next picture is used in its place\n");
}

/* Says once what takes less time, where a run begins that takes hours. */
static void advise(session *s, uint64_t done) {
    char text[32];
    if (s->advised || s->o->resume || s->o->init || s->o->teacher || done < ADVICE_STEPS) return;
    double left = progress_left(&s->bar, done);
    s->advised = 1;
    if (left < LONG_SECONDS) return;
    progress_clear(&s->bar);
    fprintf(stderr,
            "this will take about %s: --init installed begins from trained weights and needs far "
            "fewer steps%s\n",
            duration(left, text),
            s->o->unet.height > 32 ? "; --size 32 takes less than half the time" : "");
}

/* Returns 1 to end dm_trainer_run: after a signal, if loss.csv cannot be written, or where
 * something is due by time. */
static int32_t on_step(void *user, const dm_train_stats *t) {
    session *s = user;
    char detail[160];
    if (t->skipped) {
        progress_clear(&s->bar);
        fprintf(stderr, "step %llu skipped: its loss or gradient was not finite or too large\n",
                (unsigned long long)t->step);
        return interrupt_signal() || ++s->skipped == SKIPPED_MAX;
    }
    s->skipped = 0;
    double rate = t->seconds > 0 ? s->batch / t->seconds : s->rate;
    s->epoch = t->epoch;
    s->loss_sum = loss_decay * s->loss_sum + (1 - loss_decay) * t->loss;
    s->loss_weight = loss_decay * s->loss_weight + (1 - loss_decay);
    s->rate = s->rate > 0 ? rate_decay * s->rate + (1 - rate_decay) * rate : rate;
    if (train_log_add(&s->csv, t)) return 1;
    tell_damaged(s);
    advise(s, t->step);
    add_events(s, t);
    if (progress_is_due(&s->bar, t->step)) {
        snprintf(detail, sizeof detail, "loss %.4f  %.0f images/s  epoch %.2f  %.1f GB",
                 mean_loss(s), s->rate, t->epoch, 1e-9 * (double)machine_used_memory());
        progress_update(&s->bar, t->step, detail);
    }
    return interrupt_signal() || save_is_due(s) || page_is_due(s);
}

/* ---- what is due ---- */

/* The checkpoint is never ahead of loss.csv, as far as that can be written: the caller ends the run
 * if it cannot. */
static dm_status save(session *s) {
    char path[OUTPUT_PATH_SIZE];
    path_in(s, checkpoint_name, path);
    output_sync(&s->csv);
    s->saved_at = seconds_now();
    s->save_step = steps_done(s);
    dm_status status = dm_trainer_save(s->trainer, path);
    if (!status) drop_replaced(s);
    return status;
}

static int32_t page(session *s, int running) {
    double began = seconds_now();
    int bad = write_page(s, running);
    s->paged_at = seconds_now();
    s->page_seconds = s->paged_at - began;
    return bad ? REPORTED : DM_OK;
}

static uint64_t next_multiple(uint64_t after, int64_t interval, uint64_t last) {
    uint64_t next = interval ? (after / (uint64_t)interval + 1) * (uint64_t)interval : last;
    return next < last ? next : last;
}

static int is_early(const session *s, uint64_t step) {
    return s->o->sample_every >= EARLY_FROM &&
           (step == early_samples[0] || step == early_samples[1]);
}

/* The next step with samples. */
static uint64_t next_samples(const session *s, uint64_t after, uint64_t last) {
    uint64_t next = next_multiple(after, s->o->sample_every, last);
    for (int i = 0; i < 2; i++)
        if (is_early(s, early_samples[i]) && early_samples[i] > after && early_samples[i] < next)
            next = early_samples[i];
    return next;
}

static int is_multiple(uint64_t step, int64_t interval, uint64_t last) {
    return step == last || (interval && step % (uint64_t)interval == 0);
}

/* Writes what is due after `done` steps; a checkpoint first, so that nothing is lost. */
static int32_t write_due(session *s, uint64_t done, int stopped) {
    const train_options *o = s->o;
    uint64_t last = (uint64_t)o->steps;
    int32_t status = DM_OK;
    int due = s->written != done;
    int diverges = s->skipped > 0; /* perhaps: then the last checkpoint is better */
    int save_due = save_is_due(s) || (due && is_multiple(done, o->save_every, last));
    if (stopped || (save_due && !diverges)) status = save(s);
    if (!status && !stopped && due &&
        (is_multiple(done, o->sample_every, last) || is_early(s, done)))
        status = write_samples(s, done);
    if (!status && !stopped && due && o->evaluate_every &&
        is_multiple(done, o->evaluate_every, last))
        status = write_evaluation(s, done);
    /* The last step was skipped, and the network is of use. */
    if (!status && !stopped && diverges && done == last) {
        status = try_network(s);
        if (!status) status = save(s);
    }
    s->written = done;
    if (status == DM_ERROR_CANCELLED) return status;
    if (!status) status = page(s, done < last && !stopped);
    return status;
}

/* What to try where losses have become infinite, after s->skipped steps in a row. */
static int32_t report_divergence(session *s) {
    char word[SHELL_WORD_SIZE], again[SHELL_WORD_SIZE + 64] = "start again with";
    if (folder_has(s->o->out, checkpoint_name))
        snprintf(again, sizeof again, "continue from its last checkpoint (--resume %s) with",
                 shell_word(s->o->out, word));
    progress_clear(&s->bar);
    page(s, 0); /* says that the run stopped */
    return command_line_refuse(
        s->line,
        "the run diverged: its last %d step%s not finite; %s a lower rate (--lr %g), a smaller "
        "gradient (--clip 0.5) or a longer --warmup",
        s->skipped, s->skipped == 1 ? " was" : "s were", again, s->o->trainer.learning_rate / 3);
}

/* Trains until something is due, and writes it. A signal or a file that cannot be written ends the
 * run after a checkpoint, other errors without one, since the state may be spoilt.
 * DM_ERROR_CANCELLED after a signal. */
static int32_t train_until_next(session *s) {
    const train_options *o = s->o;
    uint64_t done = steps_done(s), last = (uint64_t)o->steps, next = next_samples(s, done, last);
    const int64_t intervals[] = {o->save_every, o->evaluate_every};
    for (size_t i = 0; i < sizeof intervals / sizeof *intervals; i++) {
        uint64_t other = next_multiple(done, intervals[i], last);
        if (other < next) next = other;
    }
    int32_t status = DM_ERROR_CANCELLED;
    if (!interrupt_signal()) status = dm_trainer_run(s->trainer, next, on_step, s);
    if (s->skipped == SKIPPED_MAX) return report_divergence(s);
    if (status && status != DM_ERROR_CANCELLED) return status;
    int stopped = interrupt_signal() || output_failed(&s->csv);
    int32_t failed = write_due(s, steps_done(s), stopped);
    if (failed == DM_ERROR_CANCELLED) { /* by a signal, while samples were drawn */
        stopped = 1;
        failed = s->save_step != steps_done(s) ? save(s) : DM_OK;
    }
    if (failed) {
        progress_clear(&s->bar);
        command_line_print_error(s->line, s->context, failed);
        if (s->skipped && failed == DM_ERROR_NOT_FINITE) return report_divergence(s);
        if (s->save_step != steps_done(s)) command_line_print_error(s->line, s->context, save(s));
        return REPORTED;
    }
    return stopped ? DM_ERROR_CANCELLED : DM_OK;
}

static dm_status print_end(const session *s, int stopped, double seconds) {
    char text[32], next[COMMAND_SIZE];
    uint64_t done = steps_done(s);
    printf("%s after %llu of %llu steps and %s, loss %.4f: see %s/report.html\n",
           stopped ? "stopped" : "done", (unsigned long long)done, (unsigned long long)s->o->steps,
           duration(seconds, text), mean_loss(s), s->o->out);
    printf("%s with: %s\n", stopped ? "resume" : "sample", next_command(s, stopped, next));
    double steps = (double)(done - s->bar.first);
    if (!s->o->profile || !(steps > 0)) return DM_OK;
    fprintf(stderr, "\na step takes %.4f s, including samples and checkpoints:\n", seconds / steps);
    return print_profile(stderr, s->context, steps, seconds / steps, PROFILE_ROWS, NULL);
}

static int32_t train(session *s) {
    int32_t status = DM_OK;
    progress_begin(&s->bar, "training", steps_done(s), (uint64_t)s->o->steps);
    s->saved_at = s->paged_at = seconds_now();
    s->written = steps_done(s);
    s->save_step = UINT64_MAX;
    /* So that they are not lost if the run is killed before its first checkpoint. */
    if (s->changed) status = save(s);
    s->damaged = s->data.pictures ? folder_damaged(s->data.pictures, NULL) : 0;
    while (!status && steps_done(s) < (uint64_t)s->o->steps) status = train_until_next(s);
    double seconds = progress_end(&s->bar);
    if (status < 0 && status != DM_ERROR_CANCELLED) page(s, 0); /* says that the run stopped */
    if (status && status != DM_ERROR_CANCELLED) return status;
    return print_end(s, status != DM_OK, seconds);
}

/* Of a run that ended after its last checkpoint: the samples and the report that it still lacks. */
static int32_t finish(session *s) {
    progress_begin(&s->bar, "training", steps_done(s), (uint64_t)s->o->steps);
    int32_t status = write_samples(s, steps_done(s));
    if (!status) status = page(s, 0);
    if (!status)
        printf("all %llu steps are done, --steps N continues: see %s/report.html\n",
               (unsigned long long)s->o->steps, s->o->out);
    return status;
}

/* ---- the run ---- */

/* The numbers of steps that the options leave open. */
static int32_t choose_steps(session *s) {
    int32_t timesteps = dm_schedule_timesteps(s->schedule);
    if (s->o->sample_steps > timesteps)
        return command_line_refuse(s->line, "--sample-steps is %lld; it must be from 1 to %d",
                                   (long long)s->o->sample_steps, (int)timesteps);
    s->batch = s->o->trainer.batch_size * s->o->trainer.accumulation;
    if (!s->o->steps)
        s->o->steps = (int64_t)(s->o->epochs * (double)s->data.info.count / s->batch + 0.5);
    if (!s->o->steps) s->o->steps = 1;
    uint64_t done = steps_done(s);
    if (done <= (uint64_t)s->o->steps) return 0;
    return command_line_refuse(s->line,
                               "%s has done %llu steps already; --steps, the total, is %lld",
                               s->o->resume, (unsigned long long)done, (long long)s->o->steps);
}

static void print_beginning(const session *s) {
    uint64_t used = 0, peak = 0, left = machine_free_memory();
    dm_context_get_memory(s->context, &used, &peak, NULL);
    fprintf(
        stderr,
        "%.2f million parameters, %llu image%s, %llu steps of %d images at rate %g, %d threads, "
        "%.2f GB; see %s/report.html\n",
        1e-6 * (double)dm_unet_parameter_count(s->unet), (unsigned long long)s->data.info.count,
        s->data.info.count == 1 ? "" : "s", (unsigned long long)s->o->steps, (int)s->batch,
        s->o->trainer.learning_rate, (int)dm_context_threads(s->context), 1e-9 * (double)used,
        s->o->out);
    if (s->data.info.count < FEW_IMAGES)
        fprintf(stderr, "few images: the network will memorise them; some hundred are a start\n");
    if (left && used > left)
        fprintf(stderr,
                "%s: warning: this run takes %.1f GB, and %.1f GB are free: it may be ended by the "
                "system. A smaller --batch, --recompute blocks or a smaller --size takes less\n",
                s->line->program, 1e-9 * (double)used, 1e-9 * (double)left);
}

static int32_t run(session *s) {
    char path[OUTPUT_PATH_SIZE], before[OUTPUT_PATH_SIZE];
    int32_t status = begin_session(s);
    if (!status) status = choose_steps(s);
    if (status) return status;
    print_beginning(s);
    if (check_settings(s->line) || check_evaluations(s)) return REPORTED;
    if (make_run_folder(s) || replace_run(s)) return REPORTED;
    path_in(s, settings_name, path);
    if (write_settings(s->line, path)) return REPORTED;
    uint64_t done = steps_done(s);
    path_in(s, log_name, path);
    snprintf(before, sizeof before, "%s", path);
    if (s->o->resume) beside(s->checkpoint, log_name, before);
    if (train_log_open(&s->csv, s->line->program, path, before, done)) return REPORTED;
    if (done) train_log_mean(path, loss_decay, &s->loss_sum, &s->loss_weight);
    status = begin_evaluations(s);
    if (!status) status = open_events(s);
    if (!status) status = done < (uint64_t)s->o->steps ? train(s) : finish(s);
    if (close_events(s) && !status) status = REPORTED;
    return output_close(&s->csv, s->line->program) ? REPORTED : status;
}

static int run_command(command_line *line) {
    static session s;
    s.line = line;
    s.o = &train_values;
    if (!s.o->no_pictures) show_begin();
    if (find_run(&s) || check_train_options(line, s.o, &s.context)) {
        dm_context_destroy(s.context);
        return 2;
    }
    ignore_write_signals();
    interrupt_begin(); /* what came before would be done again by the next run: nothing is lost */
    int32_t status = run(&s);
    command_line_print_error(line, s.context, status);
    report_replaced(&s);
    end_session(&s);
    unlock_run(&s);
    return interrupt_exit_status(status);
}

static int run_train(command_line *line) {
    if (line->word_count) {
        option *data = command_line_option(line, "data");
        if (data->given) {
            command_line_refuse(line, "the data is given twice: '%s' and --data", *line->words);
            return 2;
        }
        data->given = 1;
        if (command_line_set(line, data, *line->words)) return 2;
    }
    return run_command(line);
}

static int run_distill(command_line *line) {
    train_values.teacher = *line->words;
    return run_command(line);
}

/* ---- the commands ---- */

static const command_example train_examples[] = {
    {"diffusion train photos", "Trains on a folder of pictures; each folder in it is a class"},
    {"diffusion train photos --size 32 --steps 3000", "Smaller and sooner done"},
    {"diffusion train cifar-10-binary.tar.gz --flip", "CIFAR-10, as it is downloaded"},
    {"diffusion train --resume runs/photos --lr 1e-4 --steps 20000",
     "Continues with a lower rate for more steps"},
    {"diffusion train photos --init installed", "Starts from trained weights: minutes, not hours"},
    {"diffusion train sketches --condition photos", "Learns to generate sketches from photos"},
    {0}};

const command train_command = {
    .name = "train",
    .words = "[DATA]",
    .summary = "Train a network on your pictures",
    .description =
        "Trains a diffusion model on a folder of pictures (PNG and JPEG, any sizes), on CIFAR-10 "
        "or on generated shapes. The run's folder gets report.html, which shows losses and samples "
        "during training, grids of samples, and a checkpoint for `diffusion sample`.\n\nCtrl-C "
        "saves and stops; --resume continues. A new run never replaces an old one without "
        "--force.",
    .words_max = 1,
    .words_kind = OPTION_FILE,
    .examples = train_examples,
    .groups = train_groups,
    .run = run_train,
};

static const command_example distill_examples[] = {
    {"diffusion distill runs/photos --data photos --to 8 --steps 3000",
     "Samples in 8 steps instead of 16"},
    {"diffusion distill runs/photos-8 --data photos --to 4 --steps 3000", "And in 4 steps"},
    {0}};

const command distill_command = {
    .name = "distill",
    .words = "TEACHER",
    .summary = "Train a network to sample in fewer steps",
    .description =
        "Progressive distillation (Salimans and Ho 2022): a copy of the teacher, a file or the "
        "folder of a run, learns to take two of its DDIM steps at a time. The teacher must have "
        "been trained to predict v (the default), x0, flow or edm. Repeated, from 16 to 8 to 4 "
        "steps, it makes sampling several times faster.",
    .words_min = 1,
    .words_max = 1,
    .words_kind = OPTION_FILE,
    .examples = distill_examples,
    .groups = distill_groups,
    .run = run_distill,
};
