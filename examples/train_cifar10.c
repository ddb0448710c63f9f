/* Trains a diffusion model on CIFAR-10, a folder of PNGs or the library's own pictures from the
 * command line. While it runs, the folder
 * --out fills with a checkpoint, grids of samples, loss.csv and a report to open in a browser.
 * Ctrl-C saves and stops;
 * --resume goes on from there, bit for bit. */
#include <diffusion.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "data.h"
#include "picture.h"
#include "profile_table.h"
#include "progress.h"
#include "report.h"
#include "sample_options.h"
#include "train_options.h"

/* For the signal handler. */
static dm_trainer *volatile training;
static dm_sampler *volatile drawing;

/* The first Ctrl-C stops after the step under way and saves, a second one ends the program. The
 * trainer's part sticks, so that it also counts between two runs. */
static void on_interrupt(int signal_number) {
    signal(signal_number, SIG_DFL);
    if (training) dm_trainer_cancel(training);
    if (drawing) dm_sampler_cancel(drawing);
}

enum { PROFILE_ROWS = 40 };
enum { TOLD = DATA_TOLD }; /* a failure that was told already */

/* Everything that one run needs. */
typedef struct session {
    train_options o;
    dm_context *context;
    data_source data;
    dm_schedule *schedule;
    dm_unet *unet, *average;
    dm_trainer *trainer;
    FILE *csv;
    progress line;
    uint64_t last_step;
    double loss, rate; /* smoothed: loss, pictures a second */
    int32_t batch;
} session;

static void path_in(const session *s, const char *name, char path[1200]) {
    snprintf(path, 1200, "%s/%s", s->o.out, name);
}

static int32_t open_data(session *s) {
    builtin_data builtin = {.size = s->o.size && !s->o.resume ? s->o.size : s->o.unet.height,
                            .count = 50000,
                            .seed = 1};
    return data_open(&s->data, s->context, "train_cifar10", s->o.data, DM_SPLIT_TRAIN, builtin);
}

/* A new network and trainer, or those of a checkpoint. */
static int32_t open_trainer(session *s) {
    int32_t status;
    if (s->o.resume) {
        status = dm_unet_load(&s->unet, s->context, s->o.resume, DM_WEIGHTS_TRAINED);
        if (!status) status = dm_schedule_load(&s->schedule, s->context, s->o.resume);
        if (!status) status = dm_unet_get_options(s->unet, &s->o.unet, sizeof s->o.unet);
        if (!status) status = open_data(s);
        if (!status) status = dm_trainer_resume(&s->trainer, s->unet, s->data.dataset, s->o.resume);
        if (!status)
            status = dm_trainer_get_options(s->trainer, &s->o.trainer, sizeof s->o.trainer);
    } else {
        int32_t classes = 0;
        status = open_data(s);
        if (!status)
            status = dm_dataset_size(s->data.dataset, NULL, &s->o.unet.height, &s->o.unet.width,
                                     &s->o.unet.in_channels, &classes);
        s->o.unet.out_channels = s->o.unet.in_channels;
        if (!status && s->o.labels && !classes) {
            fprintf(
                stderr,
                "train_cifar10: --labels and %s don't go together: its pictures are of no class\n",
                s->o.data);
            return TOLD;
        }
        if (s->o.labels) s->o.unet.classes = classes;
        if (!status) status = dm_schedule_create(&s->schedule, s->context, &s->o.schedule);
        if (!status) status = dm_unet_create(&s->unet, s->context, &s->o.unet, s->o.trainer.seed);
        if (!status)
            status = dm_trainer_create(&s->trainer, s->unet, s->schedule, s->data.dataset,
                                       &s->o.trainer);
    }
    if (!status && (s->o.trainer.average_decay > 0 || s->o.trainer.average_half_life > 0))
        status = dm_unet_create(&s->average, s->context, &s->o.unet, 0);
    return status;
}

/* loss.csv, cut back to the checkpoint's step where the run is resumed. The old one stays until the
 * new one is whole. */
static int open_csv(session *s, uint64_t steps_done) {
    char path[1200], part[1200], line[256];
    path_in(s, "loss.csv", path);
    path_in(s, "loss.csv.part", part);
    FILE *old = steps_done ? fopen(path, "r") : NULL;
    s->csv = fopen(part, "w");
    if (s->csv) {
        setvbuf(s->csv, NULL, _IOLBF, BUFSIZ); /* so that it is never behind a checkpoint */
        fprintf(s->csv, "step,loss,gradient_norm,learning_rate,seconds\n");
        while (old && fgets(line, sizeof line, old)) {
            unsigned long long step = strtoull(line, NULL, 10);
            if (step && step <= steps_done && strchr(line, '\n')) fputs(line, s->csv);
        }
    }
    if (old) fclose(old);
    int bad = !s->csv || fflush(s->csv) || ferror(s->csv) || rename(part, path);
    if (bad) fprintf(stderr, "train_cifar10: %s: %s\n", path, strerror(errno));
    if (bad && s->csv) fclose(s->csv);
    return bad;
}

static int32_t on_step(void *user, const dm_train_stats *t) {
    session *s = user;
    char detail[128];
    if (t->refused) {
        progress_clear(&s->line);
        fprintf(stderr,
                "step %llu: the loss or a gradient was not finite; the weights were left alone\n",
                (unsigned long long)t->step);
        return 0;
    }
    double rate = s->batch / t->seconds;
    s->loss = s->loss > 0 ? 0.98 * s->loss + 0.02 * t->loss : t->loss;
    s->rate = s->rate > 0 ? 0.9 * s->rate + 0.1 * rate : rate;
    fprintf(s->csv, "%llu,%.7g,%.7g,%.7g,%.4f\n", (unsigned long long)t->step, t->loss,
            t->gradient_norm, t->learning_rate, t->seconds);
    snprintf(detail, sizeof detail, "epoch %.2f  loss %.4f  %.0f images/s", t->epoch, s->loss,
             s->rate);
    progress_update(&s->line, t->step, detail);
    return 0;
}

/* A grid of samples from the average (or the weights, where none is kept): samples-<step>.png. */
static int32_t write_samples(session *s, uint64_t step) {
    dm_unet *from = s->average ? s->average : s->unet;
    size_t count = (size_t)s->o.samples, elements = count * (size_t)s->o.unet.height *
                                                    (size_t)s->o.unet.width *
                                                    (size_t)s->o.unet.in_channels;
    char name[64], path[1200];
    if (!count) return DM_OK;
    float *images = malloc(elements * sizeof *images);
    int32_t *labels = malloc(count * sizeof *labels);
    dm_sampler *sampler = NULL;
    dm_sampler_options o;
    dm_sampler_request request;
    dm_sampler_options_init(&o, sizeof o);
    dm_sampler_request_init(&request, sizeof request);
    o.steps = s->o.sample_steps;
    request.count = count;
    request.seed = 1;
    int32_t status = images && labels ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    if (!status && s->average) status = dm_trainer_get_average(s->trainer, s->average);
    if (!status && s->o.unet.classes) {
        for (size_t i = 0; i < count; i++) labels[i] = (int32_t)(i % (size_t)s->o.unet.classes);
        request.labels = labels;
    }
    if (!status) status = dm_sampler_create(&sampler, from, s->schedule, &o);
    drawing = sampler;
    if (!status) status = dm_sampler_run(sampler, &request, images, elements);
    drawing = NULL;
    snprintf(name, sizeof name, "samples-%06llu.png", (unsigned long long)step);
    path_in(s, name, path);
    int32_t columns = 1;
    while ((size_t)columns * (size_t)columns < count) columns++;
    if (!status)
        status = write_grid(s->context, path, images, count, s->o.unet.height, s->o.unet.width,
                            s->o.unet.in_channels, columns, s->o.unet.height < 64 ? 3 : 1);
    dm_sampler_destroy(sampler);
    free(labels);
    free(images);
    return status;
}

static int write_page(const session *s) {
    static const char *const predictions[] = {"noise (eps)", "picture (x0)", "v", "velocity (flow)",
                                              "F (edm)"};
    char facts[1024], path[1200];
    double half_life = s->o.trainer.average_half_life;
    snprintf(facts, sizeof facts,
             "data\t%s\nnetwork\t%.2f million parameters, width %d, %d levels, predicts "
             "%s\nbatch\t%d\nlearning rate\t%g\n"
             "average\t%s %g\nsteps\t%llu of %llu\nloss\t%.5f (running mean)\nspeed\t%.1f images/s "
             "on %d threads\n",
             s->o.data, 1e-6 * (double)dm_unet_parameter_count(s->unet), (int)s->o.unet.channels[0],
             (int)s->o.unet.levels, predictions[s->o.unet.prediction], (int)s->batch,
             s->o.trainer.learning_rate, half_life > 0 ? "half-life" : "decay",
             half_life > 0 ? half_life : s->o.trainer.average_decay,
             (unsigned long long)dm_trainer_steps_done(s->trainer), (unsigned long long)s->o.steps,
             s->loss, s->rate, (int)dm_context_threads(s->context));
    path_in(s, "report.html", path);
    fflush(s->csv);
    return write_report(path, s->o.out, "Training a diffusion model", facts);
}

static int32_t save(const session *s) {
    char path[1200];
    path_in(s, "checkpoint.safetensors", path);
    return dm_trainer_save(s->trainer, path);
}

static uint64_t next_multiple(uint64_t after, uint64_t every, uint64_t most) {
    uint64_t next = every ? (after / every + 1) * every : most;
    return next < most ? next : most;
}

/* Trains from event to event: a grid, a checkpoint, the end, or Ctrl-C. */
static int32_t train(session *s) {
    uint64_t done = dm_trainer_steps_done(s->trainer);
    char text[32];
    int32_t status = DM_OK;
    training = s->trainer;
    signal(SIGINT, on_interrupt);
    progress_begin(&s->line, "training", done, s->o.steps);
    while (!status && done < s->o.steps) {
        uint64_t grid = next_multiple(done, s->o.sample_every, s->o.steps),
                 checkpoint = next_multiple(done, s->o.save_every, s->o.steps);
        status = dm_trainer_run(s->trainer, grid < checkpoint ? grid : checkpoint, on_step, s);
        done = dm_trainer_steps_done(s->trainer);
        if (status && status != DM_ERROR_CANCELLED) break;
        int saved = status || done == checkpoint;
        int32_t written = saved ? save(s) : DM_OK;
        if (!written && !status && done == grid) {
            written = write_samples(s, done);
            if (written == DM_ERROR_CANCELLED) {
                status = written;
                written = saved ? DM_OK : save(s);
            }
        }
        if (!written && write_page(s)) written = TOLD;
        if (written) status = written;
    }
    signal(SIGINT, SIG_DFL);
    training = NULL;
    double seconds = progress_end(&s->line);
    if (status && status != DM_ERROR_CANCELLED) return status;
    printf("%s after %llu of %llu steps and %s, loss %.4f: see %s/report.html\n",
           status ? "stopped" : "done", (unsigned long long)done, (unsigned long long)s->o.steps,
           duration(seconds, text), s->loss, s->o.out);
    if (status)
        printf("go on with: %s --resume %s/checkpoint.safetensors --data %s --steps %llu\n"
               "(and --samples, --save-every or --threads as before: they are the run's, not the "
               "checkpoint's)\n",
               s->o.program, s->o.out, s->o.data, (unsigned long long)s->o.steps);
    double steps = (double)(done - s->line.first);
    if (s->o.profile && steps > 0) {
        fprintf(stderr, "\na step of %.4f s, samples and checkpoints included:\n", seconds / steps);
        print_profile(stderr, s->context, steps, seconds / steps, PROFILE_ROWS, NULL);
    }
    return DM_OK;
}

static int32_t run(session *s) {
    int32_t status = open_trainer(s);
    uint64_t count;
    if (status) return status;
    if (!s->o.sample_steps)
        s->o.sample_steps = usual_steps(DM_SOLVER_DDIM, dm_schedule_steps(s->schedule));
    if (s->o.samples && out_of_range("train_cifar10", "sample-steps", s->o.sample_steps, 1,
                                     dm_schedule_steps(s->schedule)))
        return TOLD;
    s->batch = s->o.trainer.batch_size * s->o.trainer.accumulation;
    dm_dataset_size(s->data.dataset, &count, NULL, NULL, NULL, NULL);
    if (!s->o.steps) s->o.steps = (uint64_t)(s->o.epochs * (double)count / s->batch + 0.5);
    if (!s->o.steps) s->o.steps = 1;
    fprintf(stderr,
            "%.2f million parameters, %llu pictures (%s), %llu steps of %d, %d threads; see %s/\n",
            1e-6 * (double)dm_unet_parameter_count(s->unet), (unsigned long long)count, s->o.data,
            (unsigned long long)s->o.steps, (int)s->batch, (int)dm_context_threads(s->context),
            s->o.out);
    uint64_t done = dm_trainer_steps_done(s->trainer);
    if (done >= s->o.steps) {
        fprintf(stderr,
                "train_cifar10: %s has %llu steps done; --steps, how many in all, is %llu\n",
                s->o.resume, (unsigned long long)done, (unsigned long long)s->o.steps);
        return TOLD;
    }
    if (make_folder("train_cifar10", s->o.out) || open_csv(s, done)) return TOLD;
    status = train(s);
    fclose(s->csv);
    return status;
}

int main(int argc, const char **argv) {
    session s = {0};
    if (read_train_options(&s.o, argc, argv)) return 2;
    s.context = open_context("train_cifar10", s.o.threads, s.o.memory_limit, s.o.profile);
    if (!s.context) return 1;
    int32_t status = run(&s);
    if (status && status != TOLD) tell_error("train_cifar10", s.context, status);
    dm_trainer_destroy(s.trainer);
    dm_unet_destroy(s.average);
    dm_unet_destroy(s.unet);
    dm_schedule_destroy(s.schedule);
    data_close(&s.data);
    dm_context_destroy(s.context);
    return status ? 1 : 0;
}
