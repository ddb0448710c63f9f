/* SPDX-License-Identifier: MIT */
/* `diffusion distance`: how far samples are from the images that a network was trained on. Appends
 * a row to a table, so that solvers and numbers of steps can be compared. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "command/commands.h"
#include "command/files.h"
#include "console/interrupt.h"
#include "console/output.h"
#include "console/progress.h"
#include "data/open.h"
#include "evaluate/run_data.h"
#include "measure/compare.h"
#include "measure/frechet.h"
#include "model/model_options.h"
#include "model/sampler_options.h"
#include "sample/run_sampler.h"

enum { REPEAT_MAX = 100, BATCH = 64, COUNT_MIN = 4, COUNT_MAX = 65536 };

typedef struct distance_options {
    const char *table;
    int64_t count, steps, repeat, seed;
    int real;
    dm_sampler_options sampler;
} distance_options;
static distance_options values;

static option options[] = {
    {.name = "count",
     .letter = 'n',
     .kind = OPTION_COUNT,
     .value = &values.count,
     .minimum = COUNT_MIN,
     .maximum = COUNT_MAX,
     .help = "Images in each of the two sets"},
    {.name = "repeat",
     .kind = OPTION_COUNT,
     .value = &values.repeat,
     .minimum = 1,
     .maximum = REPEAT_MAX,
     .help = "Repetitions with other seeds, for a mean and a standard deviation"},
    {.name = "real",
     .kind = OPTION_FLAG,
     .value = &values.real,
     .help = "Other images of the data instead of samples: the best possible value"},
    {.name = "table",
     .kind = OPTION_FILE,
     .argument = "CSV",
     .value = &values.table,
     .help = "Append solver, steps, guidance, seconds, distance, its standard deviation, kernel "
             "distance, precision and recall"},
    {.name = "seed",
     .letter = 's',
     .kind = OPTION_COUNT,
     .value = &values.seed,
     .minimum = 0,
     .maximum = 9e18,
     .help = "Image i has this seed plus i"},
    {.name = "steps",
     .kind = OPTION_COUNT,
     .value = &values.steps,
     .minimum = 0,
     .maximum = 100000,
     .help = "Steps of the solver; 0: the usual number"},
};

static option_group *groups(size_t *count) {
    static option_group all[4];
    values = (distance_options){.count = 1024, .seed = 1000, .repeat = 1};
    dm_sampler_options_init(&values.sampler, sizeof values.sampler);
    values.sampler.batch_size = BATCH;
    all[0] = (option_group){.title = "The measurement",
                            .options = options,
                            .count = sizeof options / sizeof *options};
    all[1] = model_group();
    all[2] = data_group();
    all[2].options[0].initial = "that of the model's run";
    all[3] = sampler_group(&values.sampler);
    *count = 4;
    return all;
}

typedef struct job {
    const command_line *line;
    dm_context *context;
    model model;
    image_data data;
    feature_network *network;
    size_t elements; /* of one image */
    progress bar;
    double seconds; /* of all sampling */
    comparison results[REPEAT_MAX];
} job;

static int stop(void *user) {
    (void)user;
    return interrupt_signal() != 0;
}

static int32_t on_step(void *user, const dm_sampler_progress *p) {
    job *j = user;
    progress_update(&j->bar, p->first * (uint64_t)p->steps + (uint64_t)p->step * p->count, "");
    return interrupt_signal() != 0;
}

/* Adds samples of all classes in turn. */
static dm_status add_samples(job *j, feature_set *set, int repetition) {
    size_t count = (size_t)values.count;
    float *images = malloc(count * j->elements * sizeof *images);
    sample_run run = {.unet = j->model.unet,
                      .schedule = j->model.schedule,
                      .options = &values.sampler,
                      .conditions = j->data.dataset,
                      .count = count,
                      .seed = (uint64_t)values.seed + (uint64_t)repetition * count,
                      .progress = on_step,
                      .user = j};
    dm_status status = images ? DM_OK : DM_ERROR_OUT_OF_MEMORY;
    progress_begin(&j->bar, "sampling", 0, count * (uint64_t)values.sampler.steps);
    if (!status) status = run_sampler(&run, images, NULL);
    j->seconds += progress_end(&j->bar);
    if (!status) status = feature_set_add(set, j->network, images, count);
    free(images);
    return status;
}

/* ---- the result ---- */

typedef struct summary {
    double distance, deviation, kernel, error, precision, recall;
} summary;

/* Means over the repetitions, and the standard deviation of the distances. */
static summary summarise(const job *j) {
    summary s = {0};
    double n = (double)values.repeat, square = 0;
    for (int64_t i = 0; i < values.repeat; i++) {
        const comparison *c = &j->results[i];
        s.distance += c->distance / n;
        s.kernel += c->kernel.value / n;
        s.error += c->kernel.error / n;
        s.precision += c->pr.precision / n;
        s.recall += c->pr.recall / n;
    }
    for (int64_t i = 0; i < values.repeat; i++)
        square += (j->results[i].distance - s.distance) * (j->results[i].distance - s.distance);
    s.deviation = values.repeat > 1 ? sqrt(square / (n - 1)) : 0;
    return s;
}

static int32_t print_result(const job *j) {
    const char *name = values.real ? "data" : dm_enum_name("dm_solver", values.sampler.solver);
    int steps = values.real ? 0 : (int)values.sampler.steps;
    double seconds = j->seconds / (double)values.repeat;
    summary s = summarise(j);
    if (values.real) printf("distance of data to other data  %.3f", s.distance);
    else printf("distance of %s in %d steps  %.3f", name, steps, s.distance);
    if (values.repeat > 1)
        printf(" +- %.3f (standard deviation of %lld)", s.deviation, (long long)values.repeat);
    printf(", of %lld images", (long long)values.count);
    if (!values.real) printf(" in %.1f s", seconds);
    printf("\nkernel distance  %.5f +- %.5f (standard error), precision %.3f, recall %.3f\n",
           s.kernel, s.error, s.precision, s.recall);
    if (!values.table) return DM_OK;
    output table;
    if (!output_open(&table, values.table, "a"))
        output_print(&table, "%s,%d,%g,%.2f,%.4f,%.4f,%.6f,%.4f,%.4f\n", name, steps,
                     values.sampler.guidance, seconds, s.distance, s.deviation, s.kernel,
                     s.precision, s.recall);
    return output_close(&table, j->line->program) ? REPORTED : DM_OK;
}

static int32_t measure(job *j) {
    feature_set data = {0}, other = {0};
    const dm_dataset *dataset = j->data.dataset;
    uint64_t count = (uint64_t)values.count;
    dm_status status = add_data_features(&data, j->network, dataset, 0, count, stop, NULL);
    for (int64_t i = 0; !status && i < values.repeat; i++) {
        other.count = 0;
        status = values.real ? add_data_features(&other, j->network, dataset,
                                                 count * (uint64_t)(i + 1), count, stop, NULL)
                             : add_samples(j, &other, (int)i);
        if (!status) status = compare_sets(&j->results[i], &data, &other, stop, NULL);
    }
    feature_set_free(&data);
    feature_set_free(&other);
    return status ? status : print_result(j);
}

static int32_t run(job *j) {
    const data_part part = {DM_SPLIT_TRAIN, UINT64_C(1) << 30, 1};
    const dm_unet_options *u = &j->model.options;
    int32_t status = load_chosen_model(&j->model, j->context, j->line);
    if (!status)
        status = set_sampler_options(j->line, j->context, &j->model, &values.sampler, values.steps);
    if (!status) status = use_data_of_run(j->line, &j->model);
    if (status) return status;
    const image_shape shape = {u->height, u->width, u->out_channels};
    status = open_data(&j->data, j->context, j->line, &part, shape);
    if (status) return status;
    /* No picture is compared twice. */
    if (!command_line_given(j->line, "count") && j->data.info.count < (uint64_t)values.count)
        values.count = j->data.info.count > COUNT_MIN ? (int64_t)j->data.info.count : COUNT_MIN;
    j->elements = (size_t)u->height * (size_t)u->width * (size_t)u->out_channels;
    status = feature_network_create(&j->network, j->context, u->height, u->width, u->out_channels);
    return status ? status : measure(j);
}

static int run_distance(command_line *line) {
    static job j;
    j.line = line;
    j.context = create_context(line, model_values.threads, 0, 0);
    if (!j.context) return 1;
    ignore_write_signals();
    interrupt_begin();
    int32_t status = run(&j);
    command_line_print_error(line, j.context, status);
    feature_network_destroy(j.network);
    close_data(&j.data);
    free_model(&j.model);
    dm_context_destroy(j.context);
    return interrupt_exit_status(status);
}

static const command_example examples[] = {
    {"diffusion distance runs/photos --data photos", "Of a run's samples from its pictures"},
    {"diffusion distance runs/photos --data photos --real", "The best that can be reached"},
    {"diffusion distance runs/photos --data photos --solver unipc --steps 10 --repeat 3",
     "Of other samples, with the spread over three seeds"},
    {0}};

const command distance_command = {
    .name = "distance",
    .words = "[MODEL]",
    .summary = "Measure how far samples are from data",
    .description =
        "Generates samples and compares them with the pictures of --data: the Frechet distance "
        "and the kernel distance (Binkowski et al. 2018) of their features, lower being better, "
        "and "
        "precision and recall (Kynkaanniemi et al. 2019), the shares of samples that look like "
        "data and of data that samples cover.\n\nThe features are those of a fixed network with "
        "random weights, which respond to colours, edges and textures: compare values only with "
        "each other, for the same number of images, not with the FID of papers. For that, write "
        "samples with `diffusion sample --npz` and give them to the usual evaluators.",
    .words_max = 1,
    .words_kind = OPTION_FILE,
    .examples = examples,
    .groups = groups,
    .run = run_distance,
};
