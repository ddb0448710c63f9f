/* SPDX-License-Identifier: MIT */
/* `diffusion evaluate`: the variational bound in bits per value, and the prediction error by
 * quarters of the timesteps. */
#include <math.h>
#include <stdio.h>

#include "command/commands.h"
#include "command/files.h"
#include "console/interrupt.h"
#include "console/output.h"
#include "console/progress.h"
#include "data/open.h"
#include "evaluate/run_data.h"
#include "model/model_options.h"

static dm_evaluation_options values;

static option evaluation_options[] = {
    {.name = "first", .member = "first"},
    {.name = "count", .letter = 'n', .member = "count"},
    {.name = "timesteps",
     .member = "timesteps",
     .help = "Timesteps per image besides the first; 0: all, for the exact bound"},
    {.name = "variance", .member = "variance"},
    {.name = "no-clip",
     .member = "clip",
     .flag = "0",
     .help = "Do not clip the predicted x_0 to [-1, 1]"},
    {.name = "seed", .letter = 's', .member = "seed"},
    {.name = "batch", .member = "batch_size"},
};

static option_group *groups(size_t *count) {
    static option_group all[3];
    dm_evaluation_options_init(&values, sizeof values);
    all[0] = (option_group){"The evaluation", "dm_evaluation_options", &values, evaluation_options,
                            sizeof evaluation_options / sizeof *evaluation_options};
    all[1] = model_group();
    all[2] = data_group();
    all[2].options[0].initial = "that of the model's run";
    *count = 3;
    return all;
}

typedef struct job {
    const command_line *line;
    dm_context *context;
    model model;
    image_data data;
} job;

static int32_t on_batch(void *user, uint64_t done, uint64_t total) {
    progress *line = user;
    line->total = total;
    progress_update(line, done, "");
    return interrupt_signal() != 0;
}

static void print_result(const dm_evaluation *r) {
    if (!isnan(r->bits)) {
        printf("bits per value   %8.4f +- %.4f, of %llu images\n", r->bits, r->standard_error,
               (unsigned long long)r->images);
        printf("  decoder (L_0)  %8.4f\n  steps          %8.4f\n  prior (L_T)    %8.5f\n",
               r->decoder_bits, r->step_bits, r->prior_bits);
    } else {
        printf("the schedule has no betas, and so no bound\n");
    }
    printf("mean squared prediction error in each quarter of the timesteps, the cleanest first\n ");
    for (int q = 0; q < 4; q++) printf(" %9.5f", r->loss[q]);
    printf("\n");
}

static int32_t run(job *j) {
    const dm_unet_options *u = &j->model.options;
    dm_evaluation result;
    progress bar;
    dm_evaluation_init(&result, sizeof result);
    int32_t status = command_line_apply(j->line, j->context) ? REPORTED : 0;
    if (!status) status = load_chosen_model(&j->model, j->context, j->line);
    if (!status) status = use_data_of_run(j->line, &j->model);
    if (status) return status;
    const image_shape shape = {u->height, u->width, u->out_channels};
    status = open_data(&j->data, j->context, j->line, &test_data, shape);
    progress_begin(&bar, "evaluating", 0, 0);
    if (!status)
        status = dm_unet_evaluate(j->model.unet, j->model.schedule, j->data.dataset, &values,
                                  on_batch, &bar, &result);
    progress_end(&bar);
    if (!status) print_result(&result);
    return status;
}

static int run_evaluate(command_line *line) {
    static job j;
    j.line = line;
    j.context = create_context(line, model_values.threads, 0, 0);
    if (!j.context) return 1;
    ignore_write_signals();
    interrupt_begin();
    int32_t status = run(&j);
    command_line_print_error(line, j.context, status);
    close_data(&j.data);
    free_model(&j.model);
    dm_context_destroy(j.context);
    return interrupt_exit_status(status);
}

static const command_example examples[] = {
    {"diffusion evaluate runs/photos --data other-photos", "On pictures it was not trained on"},
    {"diffusion evaluate runs/photos --data other-photos --timesteps 0", "The exact bound"},
    {0}};

const command evaluate_command = {
    .name = "evaluate",
    .words = "[MODEL]",
    .summary = "Measure how well a network predicts pictures",
    .description =
        "Prints the variational bound on the negative log-likelihood in bits per value (Ho et al. "
        "2020, eq. 5), and the mean squared error of the predictions in each quarter of the "
        "timesteps. Of CIFAR-10 the test images are used, of generated shapes other ones than for "
        "training; of a folder, name one with pictures that were not trained on.",
    .words_max = 1,
    .words_kind = OPTION_FILE,
    .examples = examples,
    .groups = groups,
    .run = run_evaluate,
};
