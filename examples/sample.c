/* Draws pictures with a trained network: a grid, single files, or an animation of how they come out of the noise. */
#include <diffusion.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "picture.h"
#include "profile_table.h"
#include "progress.h"

enum { PROFILE_ROWS = 40 };

static dm_sampler *volatile running; /* for the signal handler */

/* The first Ctrl-C ends the run after its step, a second one the program. */
static void on_interrupt(int signal_number) {
    signal(signal_number, SIG_DFL);
    if (running) dm_sampler_cancel(running);
}

typedef struct job {
    char *model, *out, *animation, *each, *weights, *solver, *spacing, *variance;
    int count, columns, scale, steps, label, threads, no_clip, batch, profile;
    long long seed;
    double eta;
    progress line;
    film_reel film;
} job;

static int32_t on_step(void *user, int32_t step, int32_t steps, const float *x_t, const float *x_0, size_t first, size_t count) {
    job *j = user;
    progress_update(&j->line, (uint64_t)first * (uint64_t)steps + (uint64_t)step * count, "");
    return j->animation ? film_progress(&j->film, step, steps, x_t, x_0, first, count) : 0;
}

static int32_t set_solver(const job *j, dm_sampler_options *o) {
    static const char *const solvers[] = {"ddpm", "ddim", NULL};
    static const char *const spacings[] = {"leading", "trailing", "linspace", NULL};
    static const char *const variances[] = {"small", "large", NULL};
    dm_sampler_options_init(o, sizeof *o);
    o->solver = choice("solver", j->solver, solvers);
    o->spacing = choice("spacing", j->spacing, spacings);
    o->variance = choice("variance", j->variance, variances);
    o->eta = j->eta;
    o->steps = j->steps;
    o->clip = !j->no_clip;
    o->batch_size = j->batch;
    return o->solver < 0 || o->spacing < 0 || o->variance < 0;
}

static int32_t write_each(const job *j, dm_context *context, const dm_unet_options *u, const float *images) {
    size_t elements = (size_t)u->height * (size_t)u->width * (size_t)u->out_channels;
    uint8_t *pixels = malloc(elements);
    char path[1200];
    int32_t status = pixels ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    for (int i = 0; !status && i < j->count; i++) {
        snprintf(path, sizeof path, "%s/%05d.png", j->each, i);
        status = dm_image_to_u8(pixels, images + (size_t)i * elements, elements);
        if (!status) status = dm_image_write_png(context, path, pixels, u->height, u->width, u->out_channels);
    }
    free(pixels);
    return status;
}

static int32_t draw(job *j, dm_context *context, dm_unet *unet, const dm_schedule *schedule, dm_sampler_options *o) {
    dm_unet_options u;
    dm_sampler_request request;
    dm_sampler *sampler = NULL;
    char time[32];
    int32_t status = dm_unet_get_options(unet, &u, sizeof u);
    if (status) return status;
    if (!o->steps) o->steps = o->solver == DM_SOLVER_DDPM ? dm_schedule_steps(schedule) : 50;
    size_t elements = (size_t)j->count * (size_t)u.height * (size_t)u.width * (size_t)u.out_channels;
    float *images = malloc(elements * sizeof *images);
    int32_t *labels = malloc((size_t)j->count * sizeof *labels);
    status = images && labels ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    dm_sampler_request_init(&request, sizeof request);
    request.count = (uint64_t)j->count;
    request.seed = (uint64_t)j->seed;
    request.progress = on_step;
    request.progress_user = j;
    for (int i = 0; !status && i < j->count; i++) labels[i] = j->label >= 0 ? j->label : u.classes ? i % u.classes : -1;
    if (u.classes || j->label >= 0) request.labels = labels;
    if (!status && j->animation && !film_begin(&j->film, (size_t)j->count, u.height, u.width, u.out_channels, j->columns, j->scale, o->steps, 40))
        status = DM_ERROR_OUT_OF_MEMORY;
    if (!status) status = dm_sampler_create(&sampler, unet, schedule, o);
    if (!status) {
        running = sampler;
        signal(SIGINT, on_interrupt);
        progress_begin(&j->line, "sampling", 0, (uint64_t)j->count * (uint64_t)o->steps);
        status = dm_sampler_run(sampler, &request, images, elements);
        signal(SIGINT, SIG_DFL);
        running = NULL;
        double seconds = progress_end(&j->line);
        if (!status) fprintf(stderr, "%d pictures, %s, %d steps, in %s\n", j->count, j->solver, (int)o->steps, duration(seconds, time));
        if (!status && j->profile) print_profile(stderr, context, 1, seconds, PROFILE_ROWS, NULL);
    }
    if (!status) status = write_grid(context, j->out, images, (size_t)j->count, u.height, u.width, u.out_channels, j->columns, j->scale);
    if (!status) printf("%s\n", j->out);
    if (!status && j->animation) status = film_write(&j->film, context, j->animation);
    if (!status && j->animation) printf("%s\n", j->animation);
    if (!status && j->each) status = write_each(j, context, &u, images);
    film_end(&j->film);
    dm_sampler_destroy(sampler);
    free(labels);
    free(images);
    return status;
}

int main(int argc, const char **argv) {
    job j = {.out = "samples.png", .weights = "average", .solver = "ddim", .spacing = "trailing", .variance = "large",
             .count = 16, .columns = 0, .scale = 4, .steps = 0, .label = -1, .seed = 1, .batch = 16};
    static const char *const weights[] = {"average", "trained", "average-1", "average-2", "average-3", NULL};
    const int shown = POPT_ARGFLAG_SHOW_DEFAULT;
    struct poptOption options[] = {
        {"model", 'm', POPT_ARG_STRING, &j.model, 0, "checkpoint or network, a safetensors file (needed)", "FILE"},
        {"weights", 0, POPT_ARG_STRING | shown, &j.weights, 0, "of a checkpoint: average, trained, or one of more averages, average-1 to average-3", "WHICH"},
        {"out", 'o', POPT_ARG_STRING | shown, &j.out, 0, "the grid", "PNG"},
        {"animation", 'a', POPT_ARG_STRING, &j.animation, 0, "an animated PNG of the run, of what the network sees in the noise", "PNG"},
        {"each", 0, POPT_ARG_STRING, &j.each, 0, "folder for every picture as a file", "DIR"},
        {"count", 'n', POPT_ARG_INT | shown, &j.count, 0, "pictures", "N"},
        {"columns", 0, POPT_ARG_INT | shown, &j.columns, 0, "pictures in a row; 0: a square", "N"},
        {"scale", 0, POPT_ARG_INT | shown, &j.scale, 0, "how many times each is enlarged", "N"},
        {"seed", 's', POPT_ARG_LONGLONG | shown, &j.seed, 0, "picture i has this seed plus i", "N"},
        {"class", 'c', POPT_ARG_INT | shown, &j.label, 0, "of networks with classes; -1: all in turn", "N"},
        {"solver", 0, POPT_ARG_STRING | shown, &j.solver, 0, "ddim: few steps; ddpm: all of them, more varied", "NAME"},
        {"steps", 0, POPT_ARG_INT | shown, &j.steps, 0, "0: 50 for ddim, all for ddpm", "N"},
        {"eta", 0, POPT_ARG_DOUBLE | shown, &j.eta, 0, "ddim: noise added at each step, from 0 to 1", "X"},
        {"spacing", 0, POPT_ARG_STRING | shown, &j.spacing, 0, "of the timesteps: leading, trailing or linspace", "WAY"},
        {"variance", 0, POPT_ARG_STRING | shown, &j.variance, 0, "ddpm: small (posterior) or large (beta)", "WHICH"},
        {"no-clip", 0, POPT_ARG_NONE, &j.no_clip, 0, "do not clip what the network predicts to [-1, 1]", NULL},
        {"batch", 0, POPT_ARG_INT | shown, &j.batch, 0, "pictures through the network at once; an animation takes all", "N"},
        {"threads", 't', POPT_ARG_INT | shown, &j.threads, 0, "0: one for each processor", "N"},
        {"profile", 0, POPT_ARG_NONE, &j.profile, 0, "tell at the end where the time went, operation by operation", NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    if (read_command_line("sample", argc, argv, options)) return 2;
    int32_t which = choice("weights", j.weights, weights);
    dm_sampler_options o;
    if (!j.model) fprintf(stderr, "sample: --model is missing (--help lists the options)\n");
    if (!j.model || which < 0 || set_solver(&j, &o)) return 2;
    if (out_of_range("sample", "count", j.count, 1, 65536) || out_of_range("sample", "columns", j.columns, 0, 65536) ||
        out_of_range("sample", "scale", j.scale, 1, 64) || out_of_range("sample", "threads", j.threads, 0, 256))
        return 2;
    if (j.animation) o.batch_size = j.count;
    for (int square = j.columns < 1; square && j.columns * j.columns < j.count;) j.columns++;
    if (j.each && make_folder("sample", j.each)) return 1;

    dm_context *context = open_context("sample", j.threads, 0, j.profile);
    dm_unet *unet = NULL;
    dm_schedule *schedule = NULL;
    if (!context) return 1;
    int32_t status = dm_unet_load(&unet, context, j.model, which);
    if (!status) status = dm_schedule_load(&schedule, context, j.model);
    if (!status) status = draw(&j, context, unet, schedule, &o);
    if (status) fprintf(stderr, "sample: %s\n", error_text(context, status));
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
    return status ? 1 : 0;
}
