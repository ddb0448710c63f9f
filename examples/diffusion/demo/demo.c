/* SPDX-License-Identifier: MIT */
/* `diffusion demo`: pictures of the installed model at once; then a small network is trained on
 * generated shapes of ten kinds for a given time, whatever the machine's pace; then it is sampled,
 * with DPM-Solver++ and with DDPM. */
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "command/commands.h"
#include "command/files.h"
#include "console/interrupt.h"
#include "demo/demo.h"
#include "picture/show.h"

enum { SCALE = 4, DATASET = 1000000, SAMPLE_STEPS = 20, DDPM_STEPS = 100, ANIMATION_FRAMES = 25 };

demo_options demo_values;

static option options[] = {
    {.name = "out",
     .letter = 'o',
     .kind = OPTION_FOLDER,
     .value = &demo_values.out,
     .help = "Folder for the images"},
    {.name = "minutes",
     .kind = OPTION_REAL,
     .value = &demo_values.minutes,
     .minimum = 0.01,
     .maximum = 1000,
     .help = "Time for the training"},
    {.name = "steps",
     .letter = 's',
     .kind = OPTION_COUNT,
     .value = &demo_values.steps,
     .minimum = 1,
     .maximum = 1e9,
     .initial = "as many as there is time for, at most 8000",
     .help = "Training steps"},
    {.name = "seed",
     .kind = OPTION_COUNT,
     .value = &demo_values.seed,
     .minimum = 0,
     .maximum = 2147483647,
     .help = "The same seed and steps give the same images"},
    {.name = "threads",
     .letter = 't',
     .kind = OPTION_COUNT,
     .value = &demo_values.threads,
     .minimum = 0,
     .maximum = 256,
     .help = "Threads that compute; 0: one for each processor"},
    {.name = "no-pictures",
     .kind = OPTION_FLAG,
     .value = &demo_values.no_pictures,
     .help = "Show no images in the terminal"},
};

static option_group *groups(size_t *count) {
    static option_group all[1];
    demo_values = (demo_options){.out = "out/demo", .minutes = 2.5, .seed = 1};
    all[0] = (option_group){.title = "The demo",
                            .options = options,
                            .count = sizeof options / sizeof *options};
    *count = 1;
    return all;
}

char *demo_path(const char *name, char path[OUTPUT_PATH_SIZE]) {
    snprintf(path, OUTPUT_PATH_SIZE, "%s/%s", demo_values.out, name);
    return path;
}

static int32_t create(demo_job *j) {
    dm_unet_options network = demo_network();
    uint64_t seed = (uint64_t)demo_values.seed;
    char path[OUTPUT_PATH_SIZE];
    j->grid = grid_options(DEMO_IMAGES, DEMO_SIZE, DEMO_SIZE, 3, DEMO_CLASSES, SCALE);
    int32_t status = dm_dataset_create_shapes(&j->dataset, j->context, DEMO_SIZE, DATASET, seed);
    if (!status) status = dm_schedule_create(&j->schedule, j->context, NULL);
    if (!status) status = dm_unet_create(&j->unet, j->context, &network, seed);
    if (!status) status = dm_unet_create(&j->ema, j->context, &network, seed);
    demo_path("data.png", path);
    if (!status)
        status = write_dataset_grid(&j->writer, path, j->dataset, DEMO_IMAGES, DEMO_CLASSES, SCALE);
    if (!status)
        printf("network  %.2f million parameters, %d threads, trained on these images: %s\n",
               1e-6 * (double)dm_unet_parameter_count(j->unet), (int)dm_context_threads(j->context),
               path);
    flush_standard_output();
    return status;
}

static int32_t run(demo_job *j) {
    char path[OUTPUT_PATH_SIZE];
    int stop = 0;
    int32_t status = demo_show_installed(j);
    if (!status) status = create(j);
    if (!status) status = demo_train(j, &stop);
    /* Ctrl-C goes on to the samples; other signals ask for the end. */
    if (status || (stop && stop != SIGINT)) return status;
    status = animation_create(&j->animation, j->context, &j->grid, SAMPLE_STEPS, ANIMATION_FRAMES);
    if (!status)
        status = demo_sample(j, DM_SOLVER_DPMPP, SAMPLE_STEPS, "samples.png", &j->animation);
    demo_path("denoising.png", path);
    if (!status) status = animation_write(&j->animation, path);
    if (!status) printf("         the prediction of x_0 at each step (animated): %s\n", path);
    flush_standard_output();
    if (!status) status = demo_sample(j, DM_SOLVER_DDPM, DDPM_STEPS, "ddpm.png", NULL);
    if (!status)
        printf("sample more with: diffusion sample %s/model.safetensors\n", demo_values.out);
    return status;
}

/* The demo has files of the same names as a run. */
static int refuse_run(const command_line *line) {
    static const char *const names[] = {"checkpoint.safetensors", "settings.txt"};
    char path[OUTPUT_PATH_SIZE];
    struct stat is;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!stat(demo_path(names[i], path), &is))
            return command_line_refuse(line, "%s has a run: --out DIR puts the demo elsewhere",
                                       demo_values.out);
    return 0;
}

static int run_demo(command_line *line) {
    static demo_job j;
    j.line = line;
    if (refuse_run(line) || make_folder(line, demo_values.out)) return 1;
    if (!demo_values.no_pictures) show_begin();
    j.context = create_context(line, demo_values.threads, 0, 0);
    if (!j.context) return 1;
    j.writer = (image_writer){j.context, line, NULL};
    ignore_write_signals();
    interrupt_begin();
    int32_t status = run(&j);
    command_line_print_error(line, j.context, status);
    animation_destroy(&j.animation);
    dm_unet_destroy(j.ema);
    dm_unet_destroy(j.unet);
    dm_schedule_destroy(j.schedule);
    dm_dataset_destroy(j.dataset);
    dm_context_destroy(j.context);
    return interrupt_exit_status(status);
}

static const command_example examples[] = {{"diffusion demo",
                                            "Samples, trains for some minutes, and samples again"},
                                           {"diffusion demo --minutes 10 --out shapes",
                                            "Trains for longer"},
                                           {0}};

const command demo_command = {
    .name = "demo",
    .words = "",
    .summary = "Sample, train and sample again, in about three minutes",
    .description =
        "Samples from the installed model, trains a small network on generated shapes for "
        "--minutes "
        "on any machine, and samples from it. Ctrl-C ends the training early and samples from the "
        "network so far.",
    .examples = examples,
    .groups = groups,
    .run = run_demo,
};
