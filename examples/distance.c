/* How far the pictures that a network draws are from those it has learned from: see frechet.h.
 * Appends a row to a table, so that solvers and numbers of steps can be compared. */
#include <diffusion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "data.h"
#include "frechet.h"
#include "progress.h"
#include "sample_options.h"

enum { MOST_TURNS = 100 };

typedef struct job {
    char *model, *data, *solver, *grid, *spacing, *variance, *table, *weights;
    int count, threads, order, batch, real, no_clip, repeat;
    long long seed;
    dm_sampler_options sampler;
    dm_context *context;
    data_source source;
    int32_t height, width, channels, classes;
    size_t elements;
    progress line;
} job;

static int32_t open_data(job *j, int32_t size) {
    builtin_data builtin = {.size = size, .count = 1u << 30, .seed = 1};
    int32_t status =
        data_open(&j->source, j->context, "distance", j->data, DM_SPLIT_TRAIN, builtin);
    if (!status)
        status = dm_dataset_size(j->source.dataset, NULL, &j->height, &j->width, &j->channels,
                                 &j->classes);
    j->elements = (size_t)j->height * (size_t)j->width * (size_t)j->channels;
    return status;
}

/* `count` of the dataset's pictures from `first` on. */
static int32_t add_data(job *j, frechet_features *f, frechet_set *set, uint64_t first) {
    uint8_t *pixels = malloc(j->elements);
    float *picture = malloc(j->elements * sizeof *picture);
    int32_t status = pixels && picture ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    for (uint64_t i = 0; !status && i < (uint64_t)j->count; i++) {
        status = dm_dataset_get(j->source.dataset, first + i, pixels, j->elements, NULL);
        if (!status) status = dm_image_from_u8(picture, pixels, j->elements);
        if (!status) status = frechet_add(f, set, picture, 1);
    }
    free(pixels);
    free(picture);
    return status;
}

static int32_t on_step(void *user, int32_t step, int32_t steps, const float *x_t, const float *x_0,
                       size_t first, size_t count) {
    job *j = user;
    (void)x_t, (void)x_0;
    progress_update(&j->line, (uint64_t)first * (uint64_t)steps + (uint64_t)step * count, "");
    return 0;
}

/* Pictures of all classes in turn. *seconds: for drawing them. */
static int32_t add_samples(job *j, dm_unet *unet, dm_schedule *schedule, frechet_features *f,
                           frechet_set *set, int turn, double *seconds) {
    size_t count = (size_t)j->count;
    float *images = malloc(count * j->elements * sizeof *images);
    int32_t *labels = malloc(count * sizeof *labels);
    dm_unet_options u;
    dm_sampler *sampler = NULL;
    dm_sampler_request r;
    int32_t status =
        images && labels ? dm_unet_get_options(unet, &u, sizeof u) : DM_ERROR_OUT_OF_MEMORY;
    dm_sampler_request_init(&r, sizeof r);
    r.count = count;
    r.seed = (uint64_t)j->seed + (uint64_t)turn * count;
    r.progress = on_step;
    r.progress_user = j;
    for (size_t i = 0; !status && u.classes && i < count; i++)
        labels[i] = (int32_t)(i % (size_t)u.classes);
    if (!status && u.classes) r.labels = labels;
    if (!status) status = dm_sampler_create(&sampler, unet, schedule, &j->sampler);
    progress_begin(&j->line, "sampling", 0, count * (uint64_t)j->sampler.steps);
    if (!status) status = dm_sampler_run(sampler, &r, images, count * j->elements);
    *seconds += progress_end(&j->line);
    if (!status) status = frechet_add(f, set, images, count);
    dm_sampler_destroy(sampler);
    free(labels);
    free(images);
    return status;
}

/* seconds: of one turn; distance: [repeat]. */
static int32_t tell(const job *j, const char *name, int32_t steps, double seconds,
                    const double *distance) {
    double mean = 0, square = 0;
    for (int i = 0; i < j->repeat; i++) mean += distance[i] / j->repeat;
    for (int i = 0; i < j->repeat; i++) square += (distance[i] - mean) * (distance[i] - mean);
    double spread = j->repeat > 1 ? sqrt(square / (j->repeat - 1)) : 0;
    if (j->real) printf("distance of data to other data  %.3f", mean);
    else printf("distance of %s in %d steps  %.3f", name, (int)steps, mean);
    if (j->repeat > 1) printf(" +- %.3f (one draw, of %d)", spread, j->repeat);
    printf(j->real ? ", of %d pictures\n" : ", of %d pictures in %.1f s\n", j->count, seconds);
    if (!j->table) return DM_OK;
    FILE *file = fopen(j->table, "a");
    if (!file) {
        fprintf(stderr, "distance: %s cannot be written\n", j->table);
        return DM_ERROR_IO;
    }
    fprintf(file, "%s,%d,%g,%.2f,%.4f,%.4f\n", name, (int)steps, j->sampler.guidance, seconds, mean,
            spread);
    return fclose(file) ? DM_ERROR_IO : DM_OK;
}

static int32_t measure(job *j, dm_unet *unet, dm_schedule *schedule) {
    static frechet_set wanted, got;
    frechet_features *f = NULL;
    dm_unet_options u;
    double seconds = 0, distance[MOST_TURNS];
    int32_t status = dm_unet_get_options(unet, &u, sizeof u);
    if (!status) status = open_data(j, u.height);
    if (!status &&
        (j->height != u.height || j->width != u.width || j->channels != u.out_channels)) {
        fprintf(stderr,
                "distance: the data's pictures are %d x %d x %d, the network's %d x %d x %d\n",
                (int)j->height, (int)j->width, (int)j->channels, (int)u.height, (int)u.width,
                (int)u.out_channels);
        return DM_ERROR_SHAPE_MISMATCH;
    }
    if (!j->sampler.steps)
        j->sampler.steps = usual_steps(j->sampler.solver, dm_schedule_steps(schedule));
    if (!status) status = frechet_create(&f, j->context, j->height, j->width, j->channels);
    if (!status) status = add_data(j, f, &wanted, 0);
    for (int turn = 0; !status && turn < j->repeat; turn++) {
        got = (frechet_set){0};
        status = j->real ? add_data(j, f, &got, (uint64_t)j->count * (uint64_t)(turn + 1))
                         : add_samples(j, unet, schedule, f, &got, turn, &seconds);
        if (!status) distance[turn] = frechet_distance(&wanted, &got);
    }
    if (!status)
        status = tell(j, j->real ? "data" : j->solver, j->real ? 0 : j->sampler.steps,
                      seconds / j->repeat, distance);
    frechet_destroy(f);
    return status;
}

int main(int argc, const char **argv) {
    job j = {.data = "builtin",
             .solver = "ddim",
             .grid = "timesteps",
             .spacing = "trailing",
             .variance = "large",
             .weights = "average",
             .count = 1024,
             .batch = 64,
             .seed = 1000,
             .repeat = 1};
    dm_sampler_options_init(&j.sampler, sizeof j.sampler);
    int steps = 0, stale_eps = 0;
    const char *names[64] = {NULL};
    for (int32_t i = 0; i < dm_solver_count() && i < 63; i++) names[i] = dm_solver_name(i);
    static const char *const grids[] = {"timesteps", "karras", "exponential", NULL};
    static const char *const spacings[] = {"leading", "trailing", "linspace", NULL};
    static const char *const variances[] = {"small", "large", "learned", NULL};
    static const char *const weights[] = {"average",   "trained",   "average-1",
                                          "average-2", "average-3", NULL};
    const int shown = POPT_ARGFLAG_SHOW_DEFAULT;
    struct poptOption options[] = {
        {"model", 'm', POPT_ARG_STRING, &j.model, 0,
         "checkpoint or network, a safetensors file (needed)", "FILE"},
        {"weights", 0, POPT_ARG_STRING | shown, &j.weights, 0,
         "of a checkpoint: average, trained, or one of more averages, average-1 to average-3",
         "WHICH"},
        {"data", 'd', POPT_ARG_STRING | shown, &j.data, 0,
         "what it has learned from: CIFAR-10's archive or folder, a folder of PNGs, or builtin",
         "PATH"},
        {"count", 'n', POPT_ARG_INT | shown, &j.count, 0, "pictures of each side", "N"},
        {"repeat", 0, POPT_ARG_INT | shown, &j.repeat, 0,
         "draw so often, each time other pictures, for a mean and its spread", "N"},
        {"real", 0, POPT_ARG_NONE, &j.real, 0,
         "pictures of the data in place of samples: the figure that is best", NULL},
        {"table", 0, POPT_ARG_STRING, &j.table, 0,
         "append solver, steps, guidance, seconds, distance and its spread", "CSV"},
        {"seed", 's', POPT_ARG_LONGLONG | shown, &j.seed, 0, "picture i has this seed plus i", "N"},
        {"solver", 0, POPT_ARG_STRING | shown, &j.solver, 0, "sample --help lists them", "NAME"},
        {"steps", 0, POPT_ARG_INT | shown, &steps, 0, "0: as is usual with the solver", "N"},
        {"order", 0, POPT_ARG_INT | shown, &j.order, 0,
         "of solvers that have one; 0: the usual one", "N"},
        {"grid", 0, POPT_ARG_STRING | shown, &j.grid, 0, "timesteps, karras or exponential", "WAY"},
        {"spacing", 0, POPT_ARG_STRING | shown, &j.spacing, 0, "leading, trailing or linspace",
         "WAY"},
        {"variance", 0, POPT_ARG_STRING | shown, &j.variance, 0, "ddpm: small, large or learned",
         "WHICH"},
        {"guidance", 'g', POPT_ARG_DOUBLE | shown, &j.sampler.guidance, 0, "towards the class",
         "X"},
        {"stale-eps", 0, POPT_ARG_NONE, &stale_eps, 0,
         "ddim: eps stays as predicted where x_0 is clipped", NULL},
        {"no-clip", 0, POPT_ARG_NONE, &j.no_clip, 0, "do not clip what the network predicts", NULL},
        {"batch", 0, POPT_ARG_INT | shown, &j.batch, 0, "pictures through the network at once",
         "N"},
        {"threads", 't', POPT_ARG_INT | shown, &j.threads, 0, "0: one for each processor", "N"},
        POPT_AUTOHELP POPT_TABLEEND};
    if (read_command_line("distance", argc, argv, options, NULL)) return 2;
    int32_t which = choice("distance", "weights", j.weights, weights);
    j.sampler.solver = choice("distance", "solver", j.solver, names);
    j.sampler.grid = choice("distance", "grid", j.grid, grids);
    j.sampler.spacing = choice("distance", "spacing", j.spacing, spacings);
    j.sampler.variance = choice("distance", "variance", j.variance, variances);
    j.sampler.steps = steps;
    j.sampler.order = j.order;
    j.sampler.clip = !j.no_clip;
    j.sampler.batch_size = j.batch;
    j.sampler.rederive_eps = j.sampler.solver == DM_SOLVER_DDIM && !stale_eps;
    if (!j.model) fprintf(stderr, "distance: --model is missing (--help lists the options)\n");
    if (!j.model || which < 0 || j.sampler.solver < 0 || j.sampler.grid < 0 ||
        j.sampler.spacing < 0 || j.sampler.variance < 0)
        return 2;
    if (out_of_range("distance", "repeat", j.repeat, 1, MOST_TURNS) ||
        out_of_range("distance", "count", j.count, 2, 65536) ||
        out_of_range("distance", "threads", j.threads, 0, 256))
        return 2;
    j.context = open_context("distance", j.threads, 0, 0);
    if (!j.context) return 1;
    dm_unet *unet = NULL;
    dm_schedule *schedule = NULL;
    int32_t status = dm_unet_load(&unet, j.context, j.model, which);
    if (!status) status = dm_schedule_load(&schedule, j.context, j.model);
    if (!status) status = measure(&j, unet, schedule);
    if (status && *dm_context_error(j.context)) tell_error("distance", j.context, status);
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    data_close(&j.source);
    dm_context_destroy(j.context);
    return status ? 1 : 0;
}
