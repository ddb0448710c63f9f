/* SPDX-License-Identifier: MIT */
/* A diffusion model in a few minutes: trains a small network on generated shapes of
 * ten kinds, then samples from it with DDIM (50 steps) and DDPM (every timestep). */
#include <diffusion.h>
#include <limits.h>
#include <popt.h>
#include <signal.h>
#include <stdio.h>

#include "cli.h"
#include "image_write.h"
#include "interrupt.h"
#include "output.h"
#include "progress.h"

enum {
    SIZE = 16,
    CLASSES = 10,
    IMAGES = 6 * CLASSES, /* a column for each class */
    ELEMENTS = IMAGES * SIZE * SIZE * 3,
    SCALE = 4,
    DATASET = 1000000,
    TIMESTEPS = 1000,
    BATCH = 64,
    WARMUP = 100,
    DDIM_STEPS = 50,
    ANIMATION_FRAMES = 25
};

typedef struct job {
    dm_context *context;
    dm_schedule *schedule;
    dm_dataset *dataset;
    dm_unet *unet, *ema;
    dm_image_grid_options grid;
    animation animation;
    const char *out;
    int steps, ddpm_steps, seed;
} job;

static char *path_in(const job *j, const char *name, char path[OUTPUT_PATH_SIZE]) {
    snprintf(path, OUTPUT_PATH_SIZE, "%s/%s", j->out, name);
    return path;
}

/* ---- training ---- */

typedef struct training_log {
    progress line;
    output csv;
    double loss; /* running mean */
} training_log;

/* Stops after a signal, or if loss.csv cannot be written. */
static int32_t on_trained(void *user, const dm_train_stats *s) {
    training_log *l = user;
    char detail[64];
    l->loss = s->step == 1 ? s->loss : 0.98 * l->loss + 0.02 * s->loss;
    output_print(&l->csv, "%llu,%.6f,%.6f\n", (unsigned long long)s->step, s->loss,
                 s->gradient_norm);
    if (output_flush(&l->csv)) return 1;
    snprintf(detail, sizeof detail, "loss %.4f", l->loss);
    progress_update(&l->line, s->step, detail);
    return interrupt_signal() != 0;
}

/* A network of 0.7 million parameters. */
static dm_unet_options network_options(void) {
    dm_unet_options o;
    dm_unet_options_preset(&o, sizeof o, DM_PRESET_TINY);
    o.height = o.width = SIZE;
    o.levels = 2;
    o.channels[0] = 32;
    o.channels[1] = 64;
    o.channels[2] = 0;
    o.attention[0] = 0;
    o.attention[1] = 1;
    o.classes = CLASSES;
    return o;
}

static dm_trainer_options training_options(int steps) {
    dm_trainer_options o;
    dm_trainer_options_init(&o, sizeof o);
    o.batch_size = BATCH;
    o.learning_rate = 1e-3;
    o.warmup_steps = WARMUP;
    o.learning_rate_schedule = DM_RATE_COSINE;
    o.learning_rate_end_step = steps > WARMUP ? (uint64_t)steps : WARMUP + 1;
    o.ema_decay[0] = 0.995;
    o.label_dropout = 0.1; /* for `sample --guidance` */
    return o;
}

/* After a signal, what was trained so far counts. *stop becomes the signal. */
static dm_status train_steps(job *j, training_log *l, int *stop) {
    dm_trainer_options o = training_options(j->steps);
    dm_trainer *trainer;
    char time[32];
    uint64_t done = 0;
    dm_status status = dm_trainer_create(&trainer, j->unet, j->schedule, j->dataset, &o);
    if (status) return status;
    progress_begin(&l->line, "training", 0, (uint64_t)j->steps);
    status = dm_trainer_run(trainer, (uint64_t)j->steps, on_trained, l);
    *stop = interrupt_take();
    dm_trainer_get_step(trainer, &done);
    printf("trained  %llu steps of %d images in %s, loss %.4f\n", (unsigned long long)done, BATCH,
           duration(progress_end(&l->line), time), l->loss);
    if (status == DM_ERROR_CANCELLED) status = DM_OK;
    if (!status) status = dm_trainer_get_ema(trainer, 0, j->ema);
    dm_trainer_destroy(trainer);
    return status;
}

/* Trains and saves the network, even if loss.csv could not be written to its end. */
static int32_t train(job *j, int *stop) {
    char path[OUTPUT_PATH_SIZE];
    training_log l = {.loss = 0};
    output_open(&l.csv, path_in(j, "loss.csv", path), "w");
    output_print(&l.csv, "step,loss,gradient_norm\n");
    if (output_flush(&l.csv)) return output_close(&l.csv, "demo") ? REPORTED : DM_OK;
    int32_t status = train_steps(j, &l, stop);
    int lost = output_close(&l.csv, "demo");
    path_in(j, "model.safetensors", path);
    if (!status) status = dm_unet_save(j->ema, j->schedule, path);
    if (!status) printf("saved    %s\n", path);
    return status ? status : lost ? REPORTED : DM_OK;
}

/* ---- sampling ---- */

typedef struct sampling_log {
    progress line;
    animation *animation; /* or NULL */
} sampling_log;

static int32_t on_sampled(void *user, const dm_sampler_progress *p) {
    sampling_log *l = user;
    progress_update(&l->line, (uint64_t)p->step, "");
    if (interrupt_signal()) return 1;
    return l->animation ? animation_add(l->animation, p) : 0;
}

static dm_status run_sampler(job *j, const dm_sampler_options *o, sampling_log *l, float *images) {
    dm_sampler_request r;
    dm_sampler *sampler;
    int32_t labels[IMAGES];
    dm_sampler_request_init(&r, sizeof r);
    for (int i = 0; i < IMAGES; i++) labels[i] = i % CLASSES;
    r.count = r.label_count = IMAGES;
    r.labels = labels;
    r.seed = (uint64_t)j->seed;
    r.progress = on_sampled;
    r.progress_user = l;
    dm_status status = dm_sampler_create(&sampler, j->ema, j->schedule, o);
    if (status) return status;
    status = dm_sampler_run(sampler, &r, images, ELEMENTS);
    dm_sampler_destroy(sampler);
    return status;
}

static dm_status sample(job *j, dm_solver solver, int32_t steps, const char *file,
                        animation *frames) {
    static float images[ELEMENTS];
    const char *name = dm_enum_name("dm_solver", solver);
    sampling_log l = {.animation = frames};
    dm_sampler_options o;
    char path[OUTPUT_PATH_SIZE], time[32];
    dm_sampler_options_init(&o, sizeof o);
    o.solver = solver;
    o.steps = steps;
    o.batch_size = IMAGES;
    progress_begin(&l.line, name, 0, (uint64_t)steps);
    dm_status status = run_sampler(j, &o, &l, images);
    double seconds = progress_end(&l.line);
    path_in(j, file, path);
    if (!status) status = write_grid(j->context, path, &j->grid, images);
    if (!status)
        printf("sampled  %d images with %s, %d steps, in %s: %s\n", IMAGES, name, (int)steps,
               duration(seconds, time), path);
    return status;
}

/* ---- all of it ---- */

static dm_status create(job *j) {
    dm_schedule_options s;
    dm_unet_options network = network_options();
    uint64_t seed = (uint64_t)j->seed;
    char path[OUTPUT_PATH_SIZE];
    dm_schedule_options_init(&s, sizeof s);
    s.timesteps = TIMESTEPS;
    j->grid = grid_options(IMAGES, SIZE, SIZE, 3, CLASSES, SCALE);
    dm_status status = dm_dataset_create_shapes(&j->dataset, j->context, SIZE, DATASET, seed);
    if (!status) status = dm_schedule_create(&j->schedule, j->context, &s);
    if (!status) status = dm_unet_create(&j->unet, j->context, &network, seed);
    if (!status) status = dm_unet_create(&j->ema, j->context, &network, seed);
    path_in(j, "data.png", path);
    if (!status) status = write_dataset_grid(j->context, path, j->dataset, IMAGES, CLASSES, SCALE);
    if (!status)
        printf("network  %.2f million parameters, %d threads; training images: %s\n",
               1e-6 * (double)dm_unet_parameter_count(j->unet), (int)dm_context_threads(j->context),
               path);
    return status;
}

static int32_t run(job *j) {
    char path[OUTPUT_PATH_SIZE];
    int stop = 0;
    int32_t status = create(j);
    if (!status) status = train(j, &stop);
    /* Ctrl-C goes on to the samples; other signals ask for the end. */
    if (status || (stop && stop != SIGINT)) return status;
    status = animation_create(&j->animation, j->context, &j->grid, DDIM_STEPS, ANIMATION_FRAMES);
    if (!status) status = sample(j, DM_SOLVER_DDIM, DDIM_STEPS, "ddim.png", &j->animation);
    path_in(j, "denoising.png", path);
    if (!status) status = animation_write(&j->animation, path);
    if (!status) printf("         the prediction of x_0 at each step (animated): %s\n", path);
    if (!status) status = sample(j, DM_SOLVER_DDPM, j->ddpm_steps, "ddpm.png", NULL);
    return status;
}

int main(int argc, const char **argv) {
    static job j = {.steps = 4000, .ddpm_steps = TIMESTEPS, .seed = 1};
    const int shown = POPT_ARGFLAG_SHOW_DEFAULT;
    char *out = "out/demo";
    int threads = 0;
    struct poptOption options[] = {
        {"out", 'o', POPT_ARG_STRING | shown, &out, 0, "Folder for the images", "DIR"},
        {"steps", 's', POPT_ARG_INT | shown, &j.steps, 0,
         "Training steps; 1000 already give shapes", "N"},
        {"ddpm-steps", 0, POPT_ARG_INT | shown, &j.ddpm_steps, 0, "DDPM's steps, up to 1000", "N"},
        {"threads", 't', POPT_ARG_INT | shown, &threads, 0, "0: one for each processor", "N"},
        {"seed", 0, POPT_ARG_INT | shown, &j.seed, 0, "The same seed gives the same images", "N"},
        POPT_AUTOHELP POPT_TABLEEND};
    open_standard_streams("demo");
    if (read_command_line("demo", argc, argv, options) ||
        check_range("demo", "steps", j.steps, 1, INT_MAX) ||
        check_range("demo", "ddpm-steps", j.ddpm_steps, 1, TIMESTEPS) ||
        check_range("demo", "threads", threads, 0, 256) ||
        check_range("demo", "seed", j.seed, 0, INT_MAX))
        return 2;
    j.out = out;
    if (make_folder("demo", out)) return 1;
    j.context = create_context("demo", threads, 0, 0);
    if (!j.context) return 1;
    ignore_write_signals();
    interrupt_begin();
    int32_t status = run(&j);
    print_error("demo", j.context, status);
    animation_destroy(&j.animation);
    dm_unet_destroy(j.ema);
    dm_unet_destroy(j.unet);
    dm_schedule_destroy(j.schedule);
    dm_dataset_destroy(j.dataset);
    dm_context_destroy(j.context);
    return interrupt_exit_status(status);
}
