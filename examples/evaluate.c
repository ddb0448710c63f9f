/* SPDX-License-Identifier: MIT */
/* Evaluates a network on images: the variational bound in bits per value, and the prediction error
 * by quarters of the timesteps. */
#include <diffusion.h>
#include <math.h>
#include <stdio.h>

#include "cli.h"
#include "data.h"
#include "interrupt.h"
#include "member_options.h"
#include "output.h"
#include "progress.h"

enum { BUILTIN_COUNT = 10000, BUILTIN_SEED = 2 }; /* other shapes than those of training */

static member_option evaluation_options[] = {
    {.name = "first", .member = "first"},
    {.name = "count", .letter = 'n', .member = "count"},
    {.name = "timesteps",
     .member = "timesteps",
     .help = "Timesteps per image beside the first; 0: all, for the exact bound"},
    {.name = "variance", .member = "variance"},
    {.name = "no-clip",
     .member = "clip",
     .flag = "0",
     .help = "Do not clip the predicted x_0 to [-1, 1]"},
    {.name = "seed", .letter = 's', .member = "seed"},
    {.name = "batch", .member = "batch_size"},
};

typedef struct job {
    char *model, *data;
    dm_weights weights;
    dm_evaluation_options o;
    dm_context *context;
    dm_unet *unet;
    dm_schedule *schedule;
    dm_dataset *dataset;
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
    dm_unet_options u;
    dm_evaluation result;
    progress line;
    dm_evaluation_init(&result, sizeof result);
    int32_t status = dm_unet_load(&j->unet, j->context, j->model, j->weights);
    if (!status) status = dm_unet_get_options(j->unet, &u, sizeof u);
    if (!status) status = dm_schedule_load(&j->schedule, j->context, j->model);
    if (!status) {
        builtin_data builtin = {.size = u.height, .count = BUILTIN_COUNT, .seed = BUILTIN_SEED};
        status = open_data(&j->dataset, j->context, "evaluate", j->data, DM_SPLIT_TEST, builtin);
    }
    progress_begin(&line, "evaluating", 0, 0);
    if (!status)
        status =
            dm_unet_evaluate(j->unet, j->schedule, j->dataset, &j->o, on_batch, &line, &result);
    progress_end(&line);
    if (!status) print_result(&result);
    return status;
}

static int read_options(job *j, int argc, const char **argv) {
    static member_options members;
    const int shown = POPT_ARGFLAG_SHOW_DEFAULT;
    char *weights = "default";
    int threads = 0;
    j->data = "builtin";
    dm_evaluation_options_init(&j->o, sizeof j->o);
    member_options_init(&members, "dm_evaluation_options", &j->o, evaluation_options,
                        sizeof evaluation_options / sizeof *evaluation_options);
    struct poptOption options[] = {
        {"model", 'm', POPT_ARG_STRING, &j->model, 0,
         "Checkpoint or network, a safetensors file (required)", "FILE"},
        {"weights", 0, POPT_ARG_STRING | shown, &weights, 0, weights_help, "NAME"},
        {"data", 'd', POPT_ARG_STRING | shown, &j->data, 0,
         "CIFAR-10's archive or folder, whose test images are used, a folder of PNG files, or "
         "builtin: shapes other than those for training",
         "PATH"},
        {"threads", 't', POPT_ARG_INT | shown, &threads, 0, "0: one for each processor", "N"},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, members.table, 0, "Evaluation:", NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    if (read_command_line("evaluate", argc, argv, options)) return 1;
    if (!j->model) {
        fprintf(stderr, "evaluate: --model is missing (--help lists the options)\n");
        return 1;
    }
    if (read_enum("evaluate", "weights", "dm_weights", weights, &j->weights) ||
        check_range("evaluate", "threads", threads, 0, 256))
        return 1;
    j->context = create_context("evaluate", threads, 0, 0);
    return !j->context || member_options_apply(&members, "evaluate", j->context);
}

int main(int argc, const char **argv) {
    static job j;
    open_standard_streams("evaluate");
    if (read_options(&j, argc, argv)) {
        dm_context_destroy(j.context);
        return 2;
    }
    ignore_write_signals();
    interrupt_begin();
    int32_t status = run(&j);
    print_error("evaluate", j.context, status);
    dm_dataset_destroy(j.dataset);
    dm_unet_destroy(j.unet);
    dm_schedule_destroy(j.schedule);
    dm_context_destroy(j.context);
    return interrupt_exit_status(status);
}
