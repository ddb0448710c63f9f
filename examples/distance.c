/* SPDX-License-Identifier: MIT */
/* The distance between the images that a network samples and those it was trained on (frechet.h).
 * Appends a row to a table, so that solvers and numbers of steps can be compared. */
#include <diffusion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli.h"
#include "data.h"
#include "frechet.h"
#include "interrupt.h"
#include "output.h"
#include "progress.h"
#include "sampler_options.h"

enum { REPEAT_MAX = 100, BATCH = 64 };

typedef struct job {
    char *model, *data, *table;
    dm_weights weights;
    int count, steps, real, repeat;
    long long seed;
    dm_sampler_options sampler;
    dm_context *context;
    dm_unet *unet;
    dm_unet_options u;
    dm_schedule *schedule;
    dm_dataset *dataset;
    dm_dataset_info info;
    frechet_features *features;
    size_t elements; /* of one image */
    progress line;
    double seconds; /* of all sampling */
} job;

static int32_t open_dataset(job *j) {
    builtin_data builtin = {.size = j->u.height, .count = 1u << 30, .seed = 1};
    int32_t status =
        open_data(&j->dataset, j->context, "distance", j->data, DM_SPLIT_TRAIN, builtin);
    dm_dataset_info_init(&j->info, sizeof j->info);
    if (!status) status = dm_dataset_get_info(j->dataset, &j->info);
    if (status) return status;
    j->elements = (size_t)j->info.height * (size_t)j->info.width * (size_t)j->info.channels;
    if (j->info.height == j->u.height && j->info.width == j->u.width &&
        j->info.channels == j->u.out_channels)
        return DM_OK;
    fprintf(stderr, "distance: the data's images are %d x %d x %d, the network's %d x %d x %d\n",
            (int)j->info.height, (int)j->info.width, (int)j->info.channels, (int)j->u.height,
            (int)j->u.width, (int)j->u.out_channels);
    return REPORTED;
}

/* Adds `count` images of the dataset, from `first` on. */
static dm_status add_data(job *j, frechet_set *set, uint64_t first) {
    uint8_t *pixels = malloc(BATCH * j->elements);
    float *images = malloc(BATCH * j->elements * sizeof *images);
    dm_status status = pixels && images ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0, count = (size_t)j->count; !status && i < count; i += BATCH) {
        size_t size = count - i < BATCH ? count - i : BATCH;
        for (size_t k = 0; !status && k < size; k++)
            status = dm_dataset_get_image(j->dataset, first + i + k, pixels + k * j->elements,
                                          j->elements, NULL);
        if (!status) status = dm_image_from_u8(images, pixels, size * j->elements);
        if (!status) status = frechet_add(j->features, set, images, size);
        if (!status && interrupt_signal()) status = DM_ERROR_CANCELLED;
    }
    free(pixels);
    free(images);
    return status;
}

static int32_t on_step(void *user, const dm_sampler_progress *p) {
    job *j = user;
    progress_update(&j->line, p->first * (uint64_t)p->steps + (uint64_t)p->step * p->count, "");
    return interrupt_signal() != 0;
}

/* Adds `count` samples of all classes in turn. */
static dm_status add_samples(job *j, frechet_set *set, int repetition) {
    size_t count = (size_t)j->count;
    float *images = malloc(count * j->elements * sizeof *images);
    int32_t *labels = malloc(count * sizeof *labels);
    dm_sampler *sampler = NULL;
    dm_sampler_request r;
    dm_sampler_request_init(&r, sizeof r);
    r.count = count;
    r.seed = (uint64_t)j->seed + (uint64_t)repetition * count;
    r.progress = on_step;
    r.progress_user = j;
    dm_status status = images && labels ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    if (!status && j->u.classes) {
        for (size_t i = 0; i < count; i++) labels[i] = (int32_t)(i % (size_t)j->u.classes);
        r.labels = labels;
        r.label_count = count;
    }
    if (!status) status = dm_sampler_create(&sampler, j->unet, j->schedule, &j->sampler);
    progress_begin(&j->line, "sampling", 0, count * (uint64_t)j->sampler.steps);
    if (!status) status = dm_sampler_run(sampler, &r, images, count * j->elements);
    j->seconds += progress_end(&j->line);
    if (!status) status = frechet_add(j->features, set, images, count);
    dm_sampler_destroy(sampler);
    free(labels);
    free(images);
    return status;
}

/* distances: [repeat]. */
static int32_t print_result(const job *j, const double *distances) {
    const char *name = j->real ? "data" : dm_enum_name("dm_solver", j->sampler.solver);
    int steps = j->real ? 0 : (int)j->sampler.steps;
    double mean = 0, square = 0, seconds = j->seconds / j->repeat;
    for (int i = 0; i < j->repeat; i++) mean += distances[i] / j->repeat;
    for (int i = 0; i < j->repeat; i++) square += (distances[i] - mean) * (distances[i] - mean);
    double deviation = j->repeat > 1 ? sqrt(square / (j->repeat - 1)) : 0;
    if (j->real) printf("distance of data to other data  %.3f", mean);
    else printf("distance of %s in %d steps  %.3f", name, steps, mean);
    if (j->repeat > 1) printf(" +- %.3f (standard deviation of %d)", deviation, j->repeat);
    printf(", of %d images", j->count);
    if (!j->real) printf(" in %.1f s", seconds);
    printf("\n");
    if (!j->table) return DM_OK;
    output table;
    if (!output_open(&table, j->table, "a"))
        output_print(&table, "%s,%d,%g,%.2f,%.4f,%.4f\n", name, steps, j->sampler.guidance, seconds,
                     mean, deviation);
    return output_close(&table, "distance") ? REPORTED : DM_OK;
}

static int32_t measure(job *j) {
    static frechet_set data, other;
    double distances[REPEAT_MAX];
    dm_status status = add_data(j, &data, 0);
    for (int i = 0; !status && i < j->repeat; i++) {
        other = (frechet_set){0};
        status = j->real ? add_data(j, &other, (uint64_t)j->count * (uint64_t)(i + 1))
                         : add_samples(j, &other, i);
        if (!status) distances[i] = frechet_distance(&data, &other);
    }
    return status ? status : print_result(j, distances);
}

static int32_t run(job *j) {
    int32_t status = dm_unet_load(&j->unet, j->context, j->model, j->weights);
    if (!status) status = dm_schedule_load(&j->schedule, j->context, j->model);
    if (!status) status = dm_unet_get_options(j->unet, &j->u, sizeof j->u);
    if (!status) status = open_dataset(j);
    if (status) return status;
    j->sampler.steps =
        j->steps ? j->steps : usual_steps(j->sampler.solver, dm_schedule_timesteps(j->schedule));
    status =
        frechet_create(&j->features, j->context, j->info.height, j->info.width, j->info.channels);
    return status ? status : measure(j);
}

static int read_options(job *j, int argc, const char **argv) {
    static member_options sampler;
    const int shown = POPT_ARGFLAG_SHOW_DEFAULT;
    char *weights = "default";
    int threads = 0;
    dm_sampler_options_init(&j->sampler, sizeof j->sampler);
    j->sampler.batch_size = BATCH;
    sampler_options_init(&sampler, &j->sampler);
    struct poptOption options[] = {
        {"model", 'm', POPT_ARG_STRING, &j->model, 0,
         "Checkpoint or network, a safetensors file (required)", "FILE"},
        {"weights", 0, POPT_ARG_STRING | shown, &weights, 0, weights_help, "NAME"},
        {"data", 'd', POPT_ARG_STRING | shown, &j->data, 0,
         "The training data: CIFAR-10's archive or folder, a folder of PNG files, or builtin",
         "PATH"},
        {"count", 'n', POPT_ARG_INT | shown, &j->count, 0, "Images in each of the two sets", "N"},
        {"repeat", 0, POPT_ARG_INT | shown, &j->repeat, 0,
         "Repetitions with other seeds, for a mean and a standard deviation", "N"},
        {"real", 0, POPT_ARG_NONE, &j->real, 0,
         "Other images of the data instead of samples: the best possible value", NULL},
        {"table", 0, POPT_ARG_STRING, &j->table, 0,
         "Append solver, steps, guidance, seconds, distance and standard deviation", "CSV"},
        {"seed", 's', POPT_ARG_LONGLONG | shown, &j->seed, 0, "Image i has this seed plus i", "N"},
        {"steps", 0, POPT_ARG_INT | shown, &j->steps, 0, "0: the usual number for the solver", "N"},
        {"threads", 't', POPT_ARG_INT | shown, &threads, 0, "0: one for each processor", "N"},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, sampler.table, 0, "The sampler:", NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    if (read_command_line("distance", argc, argv, options)) return 1;
    if (!j->model) {
        fprintf(stderr, "distance: --model is missing (--help lists the options)\n");
        return 1;
    }
    if (read_enum("distance", "weights", "dm_weights", weights, &j->weights) ||
        check_range("distance", "repeat", j->repeat, 1, REPEAT_MAX) ||
        check_range("distance", "count", j->count, 2, 65536) ||
        check_range("distance", "steps", j->steps, 0, 100000) ||
        check_range("distance", "threads", threads, 0, 256))
        return 1;
    j->context = create_context("distance", threads, 0, 0);
    return !j->context || member_options_apply(&sampler, "distance", j->context) ||
           check_sampler_options("distance", argc, argv, &j->sampler);
}

int main(int argc, const char **argv) {
    static job j = {.data = "builtin", .count = 1024, .seed = 1000, .repeat = 1};
    open_standard_streams("distance");
    if (read_options(&j, argc, argv)) {
        dm_context_destroy(j.context);
        return 2;
    }
    ignore_write_signals();
    interrupt_begin();
    int32_t status = run(&j);
    print_error("distance", j.context, status);
    frechet_destroy(j.features);
    dm_dataset_destroy(j.dataset);
    dm_unet_destroy(j.unet);
    dm_schedule_destroy(j.schedule);
    dm_context_destroy(j.context);
    return interrupt_exit_status(status);
}
