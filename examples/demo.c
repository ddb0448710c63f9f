/* A diffusion model from nothing to pictures in a few minutes: trains a small network on shapes of
 * ten kinds that the library draws itself, then samples from it with DDPM (every timestep) and DDIM
 * (50 of them). */
#include <diffusion.h>
#include <errno.h>
#include <limits.h>
#include <popt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "picture.h"
#include "progress.h"

enum { SIZE = 16, CLASSES = 10, PICTURES = 6 * CLASSES, SCALE = 4, TIMESTEPS = 1000 };

/* For the signal handler: what is under way. */
static dm_trainer *volatile training;
static dm_sampler *volatile drawing;

/* The first Ctrl-C ends what is under way, a second one the program. */
static void on_interrupt(int signal_number) {
    signal(signal_number, SIG_DFL);
    if (training) dm_trainer_cancel(training);
    if (drawing) dm_sampler_cancel(drawing);
}

typedef struct watch {
    progress line;
    FILE *csv;
    double loss; /* smoothed */
} watch;

static int32_t on_step(void *user, const dm_train_stats *s) {
    watch *w = user;
    char detail[64];
    w->loss = s->step == 1 ? s->loss : 0.98 * w->loss + 0.02 * s->loss;
    fprintf(w->csv, "%llu,%.6f,%.6f\n", (unsigned long long)s->step, s->loss, s->gradient_norm);
    snprintf(detail, sizeof detail, "loss %.4f", w->loss);
    progress_update(&w->line, s->step, detail);
    return 0;
}

/* A network of 0.7 million parameters that predicts v, which has shapes after some hundred steps
 * where eps has not. */
static dm_unet_options network_options(void) {
    dm_unet_options o;
    dm_unet_options_preset(&o, sizeof o, DM_PRESET_TINY);
    o.height = o.width = SIZE;
    o.levels = 2;
    o.channels[0] = 32, o.channels[1] = 64, o.channels[2] = 0;
    o.attention[0] = 0, o.attention[1] = 1;
    o.prediction = DM_PREDICT_V;
    o.classes = CLASSES;
    return o;
}

static int32_t train(dm_unet *unet, dm_unet *average, const dm_schedule *schedule,
                     const dm_dataset *dataset, int steps, const char *csv_path) {
    dm_trainer_options o;
    dm_trainer *trainer;
    watch w = {.csv = fopen(csv_path, "w")};
    char time[32];
    if (!w.csv) {
        fprintf(stderr, "demo: %s: %s\n", csv_path, strerror(errno));
        return DM_ERROR_IO;
    }
    fprintf(w.csv, "step,loss,gradient_norm\n");
    dm_trainer_options_init(&o, sizeof o);
    o.batch_size = 64;
    o.learning_rate = 1e-3;
    o.warmup_steps = 100;
    o.decay = DM_DECAY_COSINE;
    o.decay_steps = (uint64_t)steps > 100 ? (uint64_t)steps : 101;
    o.average_decay = 0.995;
    o.label_dropout =
        0.1; /* so that `sample --guidance` has a picture of no class to lead away from */
    int32_t status = dm_trainer_create(&trainer, unet, schedule, dataset, &o);
    if (!status) {
        training = trainer;
        progress_begin(&w.line, "training", 0, (uint64_t)steps);
        status = dm_trainer_run(trainer, (uint64_t)steps, on_step, &w);
        training = NULL;
        printf("trained  %llu steps of 64 pictures in %s, loss %.4f\n",
               (unsigned long long)dm_trainer_steps_done(trainer),
               duration(progress_end(&w.line), time), w.loss);
        if (status == DM_ERROR_CANCELLED) status = DM_OK; /* sample from what there is */
        if (!status) status = dm_trainer_get_average(trainer, average);
        dm_trainer_destroy(trainer);
    }
    fclose(w.csv);
    return status;
}

typedef struct sampling {
    progress line;
    film_reel *film; /* or NULL */
} sampling;

static int32_t on_sampled(void *user, int32_t step, int32_t steps, const float *x_t,
                          const float *x_0, size_t first, size_t count) {
    sampling *s = user;
    progress_update(&s->line, (uint64_t)step, "");
    return s->film ? film_progress(s->film, step, steps, x_t, x_0, first, count) : 0;
}

static int32_t sample(dm_unet *unet, const dm_schedule *schedule, int32_t solver, int32_t steps,
                      const char *name, uint64_t seed, dm_context *context, const char *path,
                      film_reel *film) {
    static float images[PICTURES * SIZE * SIZE * 3];
    int32_t labels[PICTURES]; /* a column for each class */
    dm_sampler_options o;
    dm_sampler_request request;
    dm_sampler *sampler;
    sampling s = {.film = film};
    char time[32];
    dm_sampler_options_init(&o, sizeof o);
    o.solver = solver;
    o.steps = steps;
    o.batch_size = PICTURES;
    dm_sampler_request_init(&request, sizeof request);
    for (int i = 0; i < PICTURES; i++) labels[i] = i % CLASSES;
    request.count = PICTURES;
    request.labels = labels;
    request.seed = seed;
    request.progress = on_sampled;
    request.progress_user = &s;
    int32_t status = dm_sampler_create(&sampler, unet, schedule, &o);
    if (status) return status;
    drawing = sampler;
    progress_begin(&s.line, name, 0, (uint64_t)steps);
    status = dm_sampler_run(sampler, &request, images, sizeof images / sizeof *images);
    double seconds = progress_end(&s.line);
    drawing = NULL;
    dm_sampler_destroy(sampler);
    if (!status)
        status = write_grid(context, path, images, PICTURES, SIZE, SIZE, 3, CLASSES, SCALE);
    if (!status)
        printf("sampled  %d pictures with %s, %d steps, in %s: %s\n", PICTURES, name, (int)steps,
               duration(seconds, time), path);
    return status;
}

/* Everything, in the order of the library's own story. */
static int32_t demo(dm_context *context, const char *out, int steps, int ddpm_steps,
                    uint64_t seed) {
    dm_schedule_options schedule_options;
    dm_schedule *schedule = NULL;
    dm_dataset *dataset = NULL;
    dm_unet *unet = NULL, *average = NULL;
    dm_unet_options network = network_options();
    film_reel film = {0};
    char path[1024];
    dm_schedule_options_init(&schedule_options, sizeof schedule_options);
    schedule_options.kind = DM_SCHEDULE_COSINE;
    schedule_options.timesteps = TIMESTEPS;

    int32_t status = dm_dataset_open_builtin(&dataset, context, SIZE, 1000000, seed);
    if (!status) status = dm_schedule_create(&schedule, context, &schedule_options);
    if (!status) status = dm_unet_create(&unet, context, &network, seed);
    if (!status) status = dm_unet_create(&average, context, &network, seed);
    snprintf(path, sizeof path, "%s/data.png", out);
    if (!status) status = write_dataset_grid(context, path, dataset, PICTURES, CLASSES, SCALE);
    if (!status)
        printf("network  %.2f million parameters, %d threads; what it shall learn to draw: %s\n",
               1e-6 * (double)dm_unet_parameter_count(unet), (int)dm_context_threads(context),
               path);
    snprintf(path, sizeof path, "%s/loss.csv", out);
    if (!status) status = train(unet, average, schedule, dataset, steps, path);
    snprintf(path, sizeof path, "%s/model.safetensors", out);
    if (!status) status = dm_unet_save(average, schedule, path);
    if (!status) printf("saved    %s\n", path);
    snprintf(path, sizeof path, "%s/ddim.png", out);
    if (!status && !film_begin(&film, PICTURES, SIZE, SIZE, 3, CLASSES, SCALE, 50, 25))
        status = DM_ERROR_OUT_OF_MEMORY;
    if (!status)
        status = sample(average, schedule, DM_SOLVER_DDIM, 50, "DDIM", seed, context, path, &film);
    snprintf(path, sizeof path, "%s/denoising.png", out);
    if (!status) status = film_write(&film, context, path);
    if (!status) printf("         how they came out of the noise (animated): %s\n", path);
    snprintf(path, sizeof path, "%s/ddpm.png", out);
    if (!status)
        status = sample(average, schedule, DM_SOLVER_DDPM, ddpm_steps, "DDPM", seed, context, path,
                        NULL);

    film_end(&film);
    dm_unet_destroy(average);
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    dm_dataset_destroy(dataset);
    return status;
}

int main(int argc, const char **argv) {
    char *out = "out/demo";
    int steps = 4000, ddpm_steps = 1000, threads = 0, seed = 1;
    struct poptOption options[] = {{"out", 'o', POPT_ARG_STRING | POPT_ARGFLAG_SHOW_DEFAULT, &out,
                                    0, "folder for the pictures", "DIR"},
                                   {"steps", 's', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &steps,
                                    0, "training steps; 1000 already show shapes", "N"},
                                   {"ddpm-steps", 0, POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT,
                                    &ddpm_steps, 0, "timesteps that DDPM visits, of 1000", "N"},
                                   {"threads", 't', POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT,
                                    &threads, 0, "threads; 0: one for each processor", "N"},
                                   {"seed", 0, POPT_ARG_INT | POPT_ARGFLAG_SHOW_DEFAULT, &seed, 0,
                                    "the same seed gives the same pictures", "N"},
                                   POPT_AUTOHELP POPT_TABLEEND};
    if (read_command_line("demo", argc, argv, options, NULL)) return 2;
    if (out_of_range("demo", "steps", steps, 1, INT_MAX) ||
        out_of_range("demo", "ddpm-steps", ddpm_steps, 1, TIMESTEPS) ||
        out_of_range("demo", "threads", threads, 0, 256))
        return 2;
    if (make_folder("demo", out)) return 1;
    dm_context *context = open_context("demo", threads, 0, 0);
    if (!context) return 1;
    signal(SIGINT, on_interrupt);
    int32_t status = demo(context, out, steps, ddpm_steps, (uint64_t)seed);
    if (status) tell_error("demo", context, status);
    dm_context_destroy(context);
    return status ? 1 : 0;
}
