/* How well a network knows pictures that it has not seen: bits for each value, by the variational
 * bound, and its error by quarters of the timesteps. */
#include <diffusion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "data.h"
#include "progress.h"

static int32_t on_batch(void *user, uint64_t done, uint64_t all) {
    progress *line = user;
    (void)all;
    progress_update(line, done, "");
    return 0;
}

static void print(const dm_evaluation *r) {
    if (!isnan(r->bits)) {
        printf("bits a value     %8.4f +- %.4f, of %llu pictures\n", r->bits, r->standard_error,
               (unsigned long long)r->pictures);
        printf("  decoder (L_0)  %8.4f\n  steps          %8.4f\n  prior (L_T)    %8.5f\n",
               r->decoder_bits, r->step_bits, r->prior_bits);
    } else {
        printf("the schedule has no betas, and so no bound\n");
    }
    printf("error of what is predicted, by quarters of the timesteps, the cleanest first\n ");
    for (int q = 0; q < 4; q++) printf(" %9.5f", r->loss[q]);
    printf("\n");
}

int main(int argc, const char **argv) {
    char *model = NULL, *data = "builtin", *weight = "average", *variance = "large";
    int count = 256, timesteps = 20, batch = 16, threads = 0, no_clip = 0;
    long long first = 0, seed = 0;
    static const char *const weights[] = {"average",   "trained",   "average-1",
                                          "average-2", "average-3", NULL},
                             *const variances[] = {"small", "large", "learned", NULL};
    const int shown = POPT_ARGFLAG_SHOW_DEFAULT;
    struct poptOption options[] = {
        {"model", 'm', POPT_ARG_STRING, &model, 0,
         "checkpoint or network, a safetensors file (needed)", "FILE"},
        {"weights", 0, POPT_ARG_STRING | shown, &weight, 0,
         "of a checkpoint: average, trained, or one of more averages, average-1 to average-3",
         "WHICH"},
        {"data", 'd', POPT_ARG_STRING | shown, &data, 0,
         "CIFAR-10's archive or folder, of which its test pictures, a folder of PNGs, or builtin: "
         "others than those for training",
         "PATH"},
        {"first", 0, POPT_ARG_LONGLONG | shown, &first, 0, "picture to begin with", "N"},
        {"count", 'n', POPT_ARG_INT | shown, &count, 0, "pictures at most; 0: all", "N"},
        {"timesteps", 0, POPT_ARG_INT | shown, &timesteps, 0,
         "of each picture at most, drawn evenly; 0: all, for the exact bound", "N"},
        {"variance", 0, POPT_ARG_STRING | shown, &variance, 0,
         "of the steps: small (posterior), large (beta) or learned", "WHICH"},
        {"no-clip", 0, POPT_ARG_NONE, &no_clip, 0, "do not clip what the network sees to [-1, 1]",
         NULL},
        {"seed", 's', POPT_ARG_LONGLONG | shown, &seed, 0, "of noise and timesteps", "N"},
        {"batch", 0, POPT_ARG_INT | shown, &batch, 0, "pictures through the network at once", "N"},
        {"threads", 't', POPT_ARG_INT | shown, &threads, 0, "0: one for each processor", "N"},
        POPT_AUTOHELP POPT_TABLEEND};
    if (read_command_line("evaluate", argc, argv, options, NULL)) return 2;
    int32_t which = choice("evaluate", "weights", weight, weights);
    dm_evaluation_options o;
    dm_evaluation_options_init(&o, sizeof o);
    o.variance = choice("evaluate", "variance", variance, variances);
    if (!model) fprintf(stderr, "evaluate: --model is missing (--help lists the options)\n");
    if (!model || which < 0 || o.variance < 0) return 2;
    if (out_of_range("evaluate", "first", first, 0, INT32_MAX) ||
        out_of_range("evaluate", "count", count, 0, INT32_MAX) ||
        out_of_range("evaluate", "threads", threads, 0, 256))
        return 2;
    o.first = (uint64_t)first, o.count = (uint64_t)count, o.seed = (uint64_t)seed;
    o.timesteps = timesteps, o.batch_size = batch, o.clip = !no_clip;

    dm_context *context = open_context("evaluate", threads, 0, 0);
    if (!context) return 1;
    dm_unet *unet = NULL;
    dm_schedule *schedule = NULL;
    data_source source = {0};
    dm_unet_options u;
    dm_evaluation result = {.struct_size = sizeof result};
    progress line;
    uint64_t held = 0;
    int32_t status = dm_unet_load(&unet, context, model, which);
    if (!status) status = dm_unet_get_options(unet, &u, sizeof u);
    if (!status) status = dm_schedule_load(&schedule, context, model);
    if (!status)
        status = data_open(&source, context, "evaluate", data, DM_SPLIT_TEST,
                           (builtin_data){.size = u.height, .count = 10000, .seed = 2});
    if (!status) status = dm_dataset_size(source.dataset, &held, NULL, NULL, NULL, NULL);
    uint64_t pictures = held - (o.first < held ? o.first : held);
    if (o.count && o.count < pictures) pictures = o.count;
    int32_t asked = dm_schedule_steps(schedule) - 1;
    if (timesteps && timesteps < asked) asked = timesteps;
    if (!status) progress_begin(&line, "evaluating", 0, pictures * (uint64_t)(1 + asked));
    if (!status)
        status = dm_unet_evaluate(unet, schedule, source.dataset, &o, on_batch, &line, &result);
    if (!status) progress_end(&line), print(&result);
    if (status && status != DATA_TOLD) tell_error("evaluate", context, status);
    data_close(&source);
    dm_unet_destroy(unet);
    dm_schedule_destroy(schedule);
    dm_context_destroy(context);
    return status ? 1 : 0;
}
