/* SPDX-License-Identifier: MIT */
/* See train_options.h. */
#include "train/train_options.h"

#include <string.h>

#include "command/files.h"
#include "train/defaults.h"
#include "train/train_members.h"

train_options train_values;

#define STEPS_MAX 1e15
enum { TRAINER_OPTIONS_MAX = 64 };

static option run_options[] = {
    {.name = "out",
     .letter = 'o',
     .kind = OPTION_FOLDER,
     .value = &train_values.out,
     .initial = "runs/ and the name of the data, or the folder of --resume; distill adds -N",
     .help = "Folder for the checkpoint, samples, loss.csv and report.html"},
    {.name = "force",
     .kind = OPTION_FLAG,
     .value = &train_values.force,
     .help = "Replace a run that is in the folder; its checkpoint stays as "
             "checkpoint.replaced.safetensors until there is a new one"},
    {.name = "resume",
     .letter = 'r',
     .kind = OPTION_FILE,
     .argument = "RUN",
     .value = &train_values.resume,
     .help = "Resume a run: its folder or checkpoint. Options that are given, such as --lr, "
             "--batch, --steps or --out, replace its own; others keep their values"},
    {.name = "steps",
     .letter = 's',
     .kind = OPTION_COUNT,
     .value = &train_values.steps,
     .minimum = 1,
     .maximum = STEPS_MAX,
     .initial = "10000",
     .saved = 1,
     .help = "Steps in total, those before --resume included"},
    {.name = "epochs",
     .letter = 'e',
     .kind = OPTION_REAL,
     .value = &train_values.epochs,
     .minimum = 0,
     .maximum = 1e6,
     .initial = "",
     .help = "Passes over the data in total, in place of --steps"},
    {.name = "samples",
     .kind = OPTION_COUNT,
     .value = &train_values.samples,
     .minimum = 0,
     .maximum = 65536,
     .saved = 1,
     .help = "Images in a grid of samples"},
    {.name = "sample-every",
     .kind = OPTION_COUNT,
     .value = &train_values.sample_every,
     .minimum = 0,
     .maximum = STEPS_MAX,
     .saved = 1,
     .help = "Steps between grids of samples, the first after 100 and 250; 0: only at the end"},
    {.name = "sample-steps",
     .kind = OPTION_COUNT,
     .value = &train_values.sample_steps,
     .minimum = 0,
     .maximum = 100000,
     .saved = 1,
     .initial = "20",
     .help = "Steps of the solver for these samples"},
    {.name = "save-every",
     .kind = OPTION_COUNT,
     .value = &train_values.save_every,
     .minimum = 0,
     .maximum = STEPS_MAX,
     .saved = 1,
     .help = "Steps between checkpoints; 0: see --save-minutes"},
    {.name = "save-minutes",
     .kind = OPTION_REAL,
     .value = &train_values.save_minutes,
     .minimum = 0,
     .maximum = 1e6,
     .saved = 1,
     .help = "Minutes between checkpoints; 0: see --save-every"},
    {.name = "evaluate-every",
     .kind = OPTION_COUNT,
     .value = &train_values.evaluate_every,
     .minimum = 0,
     .maximum = STEPS_MAX,
     .saved = 1,
     .help = "Steps between evaluations of the distance between samples and data; 0: never"},
    {.name = "evaluate-count",
     .kind = OPTION_COUNT,
     .value = &train_values.evaluate_count,
     .minimum = 16,
     .maximum = 65536,
     .saved = 1,
     .help = "Samples in an evaluation"},
    {.name = "no-labels",
     .kind = OPTION_FLAG,
     .value = &train_values.no_labels,
     .saved = 1,
     .help = "Train without the classes of the data"},
    {.name = "tensorboard",
     .kind = OPTION_FLAG,
     .value = &train_values.tensorboard,
     .saved = 1,
     .help = "Write losses and samples for TensorBoard too, to the run's folder"},
    {.name = "no-pictures",
     .kind = OPTION_FLAG,
     .value = &train_values.no_pictures,
     .saved = 1,
     .help = "Show no samples in the terminal"},
    {.name = "threads",
     .letter = 't',
     .kind = OPTION_COUNT,
     .value = &train_values.threads,
     .minimum = 0,
     .maximum = 256,
     .help = "Threads that compute; 0: one for each processor"},
    {.name = "memory-limit",
     .kind = OPTION_COUNT,
     .argument = "MB",
     .value = &train_values.memory_mb,
     .minimum = 0,
     .maximum = 1e9,
     .help = "Largest memory of the library in 10^6 bytes; 0: no limit"},
    {.name = "profile",
     .kind = OPTION_FLAG,
     .value = &train_values.profile,
     .help = "Print at the end where the time of a step went, by operation"},
};

static option begin_options[] = {
    {.name = "init",
     .letter = 'i',
     .kind = OPTION_FILE,
     .value = &train_values.init,
     .help = "Start from the weights in this file, in a folder of diffusers, or of the "
             "installed model (installed), to fine-tune them; the network's options stay"},
    {.name = "preset",
     .letter = 'p',
     .kind = OPTION_CHOICE,
     .enumeration = "dm_preset",
     .value = &train_values.preset,
     .initial = "tiny, with a level more for each doubling of the size above 32",
     .help = "Network to start from"},
    {.name = "precision",
     .kind = OPTION_CHOICE,
     .value = &train_values.precision,
     .choices = "float32",
     .help = "Precision of the computation"},
};

static option distill_options[] = {
    {.name = "to",
     .member = "distill_steps",
     .initial = "required",
     .help = "DDIM steps that the network learns to take; the teacher takes twice as many"},
    {.name = "no-clip",
     .member = "distill_clip",
     .flag = "0",
     .help = "Do not clip the teacher's x_0 to [-1, 1]"},
};

#define GROUP(title_, options_)                                                                    \
    (option_group) {                                                                               \
        .title = (title_), .options = (options_), .count = sizeof(options_) / sizeof *(options_)   \
    }

static void set_defaults(train_options *o) {
    *o = (train_options){.precision = "float32",
                         .steps = 10000,
                         .samples = 16,
                         .sample_every = 500,
                         .save_minutes = 5,
                         .evaluate_count = 1024};
    dm_unet_options_preset(&o->unet, sizeof o->unet, DM_PRESET_TINY);
    dm_schedule_options_init(&o->schedule, sizeof o->schedule);
    dm_trainer_options_init(&o->trainer, sizeof o->trainer);
    choose_trainer(&o->trainer);
}

option_group *train_groups(size_t *count) {
    static option_group groups[3 + TRAIN_MEMBER_GROUPS];
    set_defaults(&train_values);
    groups[0] = GROUP("The run", run_options);
    groups[1] = GROUP("A new run", begin_options);
    groups[2] = data_group();
    *count = 3 + train_member_groups(groups + 3, &train_values);
    return groups;
}

/* The trainer's options but those that distillation, whose timesteps are chosen, does not take. */
static option_group distill_trainer(const option_group *trainer) {
    static const char *const without[] = {"timestep-sampling", "self-conditioning-rate",
                                          "logit-mean",        "logit-std",
                                          "log-sigma-mean",    "log-sigma-std",
                                          "bound-lambda"};
    static option options[TRAINER_OPTIONS_MAX];
    option_group g = *trainer;
    g.options = options;
    g.count = 0;
    for (size_t i = 0; i < trainer->count && g.count < TRAINER_OPTIONS_MAX; i++) {
        int left_out = 0;
        for (size_t k = 0; k < sizeof without / sizeof *without; k++)
            left_out |= !strcmp(trainer->options[i].name, without[k]);
        if (!left_out) options[g.count++] = trainer->options[i];
    }
    return g;
}

option_group *distill_groups(size_t *count) {
    static option_group groups[3 + TRAIN_MEMBER_GROUPS];
    set_defaults(&train_values);
    groups[0] = GROUP("Distillation", distill_options);
    groups[0].struct_name = "dm_trainer_options";
    groups[0].values = &train_values.trainer;
    groups[1] = GROUP("The run", run_options);
    groups[2] = data_group();
    groups[2].count--; /* --condition: teachers with conditions are not supported */
    train_member_groups(groups + 3, &train_values);
    groups[3] = distill_trainer(&groups[5]); /* which alone stays */
    *count = 4;
    return groups;
}

int check_train_options(const command_line *line, train_options *o, dm_context **context) {
    *context = NULL;
    if (o->steps && o->epochs > 0 && command_line_given(line, "steps"))
        return command_line_refuse(line, "--steps %lld cannot be combined with --epochs %g",
                                   (long long)o->steps, o->epochs);
    if (command_line_given(line, "epochs") && !(o->epochs > 0))
        return command_line_refuse(line, "--epochs is 0; it must be above");
    if (o->resume && o->init)
        return command_line_refuse(line,
                                   "--resume cannot be combined with --init: the one continues "
                                   "a run, the other begins one");
    if (o->epochs > 0) o->steps = 0;
    *context = create_context(line, o->threads, o->memory_mb, o->profile);
    return *context ? 0 : REPORTED;
}
