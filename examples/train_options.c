/* SPDX-License-Identifier: MIT */
/* See train_options.h. */
#include "train_options.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"
#include "output.h"
#include "train_members.h"

enum { EPOCHS_MAX = 1000000, EPOCHS_DEFAULT = 100 };

static const char program[] = "train_cifar10";

/* Filled by popt beside *o. */
typedef struct arguments {
    char *preset;
    int threads;
    long long steps, sample_every, save_every, memory_mb;
    train_members members;
} arguments;

static int parse(train_options *o, arguments *a, int argc, const char **argv) {
    const int shown = POPT_ARGFLAG_SHOW_DEFAULT;
    struct poptOption run[] = {
        {"data", 'd', POPT_ARG_STRING, &o->data, 0,
         "cifar-10-binary.tar.gz, a folder with its .bin files, a folder of PNG files (each folder "
         "in it is a class), or builtin: generated shapes (default: builtin)",
         "PATH"},
        {"size", 0, POPT_ARG_INT, &o->size, 0,
         "Height and width of built-in images, 16 to 64 pixels (default: 32)", "N"},
        {"out", 'o', POPT_ARG_STRING, &o->out, 0,
         "Folder for the checkpoint, samples, loss.csv and report.html (default: out/train, or "
         "that "
         "of --resume's checkpoint)",
         "DIR"},
        {"resume", 'r', POPT_ARG_STRING, &o->resume, 0,
         "Continue from a checkpoint, which holds the options of network, schedule and trainer; "
         "needs --data and --steps",
         "FILE"},
        {"distill", 0, POPT_ARG_STRING, &o->distill, 0,
         "Distil the network in this file to --distill-steps DDIM steps: a copy of it learns to "
         "take two of its steps at a time",
         "FILE"},
        {"steps", 's', POPT_ARG_LONGLONG | shown, &a->steps, 0, "Steps in total; 0: see --epochs",
         "N"},
        {"epochs", 'e', POPT_ARG_DOUBLE, &o->epochs, 0,
         "Passes over the data (default without --steps: 100)", "X"},
        {"sample-every", 0, POPT_ARG_LONGLONG | shown, &a->sample_every, 0,
         "Steps between grids of samples; 0: only at the end", "N"},
        {"samples", 0, POPT_ARG_INT | shown, &o->samples, 0, "Images in a grid", "N"},
        {"sample-steps", 0, POPT_ARG_INT | shown, &o->sample_steps, 0,
         "DDIM steps for them; 0: 50, or the number of timesteps or --distill-steps", "N"},
        {"save-every", 0, POPT_ARG_LONGLONG | shown, &a->save_every, 0,
         "Steps between checkpoints; 0: only at the end", "N"},
        {"labels", 0, POPT_ARG_NONE, &o->labels, 0, "Train with the classes of the data", NULL},
        {"preset", 'p', POPT_ARG_STRING, &a->preset, 0,
         "Network to start from: tiny, small, ddpm_cifar10, that of Ho et al. (2020) with their "
         "schedule, recipe_64 or recipe_32, of blocks by recipe (default: small)",
         "NAME"},
        {"threads", 't', POPT_ARG_INT | shown, &a->threads, 0, "0: one for each processor", "N"},
        {"memory-limit", 0, POPT_ARG_LONGLONG | shown, &a->memory_mb, 0,
         "Memory that the library may allocate; 0: no limit", "MB"},
        {"profile", 0, POPT_ARG_NONE, &o->profile, 0,
         "Print at the end where the time of a step went, by operation", NULL},
        POPT_TABLEEND};
    struct poptOption all[] = {
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, run, 0, "The run:", NULL},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, a->members.unet.table, 0, "The network:", NULL},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, a->members.schedule.table, 0, "The schedule:", NULL},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, a->members.trainer.table, 0, "The trainer:", NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    return read_command_line(program, argc, argv, all);
}

static int check_values(const train_options *o, const arguments *a) {
    const struct {
        const char *name;
        long long value, minimum, maximum;
    } ranges[] = {
        {"steps", a->steps, 0, LLONG_MAX},
        {"size", o->size ? o->size : 16, 16, 64},
        {"sample-every", a->sample_every, 0, LLONG_MAX},
        {"samples", o->samples, 0, 65536},
        {"sample-steps", o->sample_steps, 0, INT_MAX},
        {"save-every", a->save_every, 0, LLONG_MAX},
        {"threads", a->threads, 0, 256},
        {"memory-limit", a->memory_mb, 0, 1000000000},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (check_range(program, ranges[i].name, ranges[i].value, ranges[i].minimum,
                        ranges[i].maximum))
            return 1;
    if (!(o->epochs >= 0 && o->epochs <= EPOCHS_MAX)) {
        fprintf(stderr, "%s: --epochs is %g; it must be from 0 to %d\n", program, o->epochs,
                EPOCHS_MAX);
        return 1;
    }
    if (!a->steps || !(o->epochs > 0)) return 0;
    fprintf(stderr, "%s: --steps %lld cannot be combined with --epochs %g\n", program, a->steps,
            o->epochs);
    return 1;
}

/* The first option given of those that a network's file holds, or NULL. */
static const char *given_of_network(const train_options *o, const arguments *a) {
    const char *held = member_options_given(&a->members.unet);
    if (!held) held = member_options_given(&a->members.schedule);
    if (!held && o->size) held = "size";
    if (!held && o->labels) held = "labels";
    if (!held && a->preset) held = "preset";
    return held;
}

/* The student is a copy of the teacher. */
static int check_distill(const train_options *o, const arguments *a) {
    const char *held = given_of_network(o, a);
    if (held) {
        fprintf(stderr,
                "%s: --%s cannot be combined with --distill: the teacher's file holds the options "
                "of network and schedule; leave it out\n",
                program, held);
        return 1;
    }
    if (member_options_text(&a->members.trainer, "distill-steps")) return 0;
    fprintf(stderr, "%s: --distill needs --distill-steps\n", program);
    return 1;
}

/* Options that a checkpoint holds cannot be given with --resume; what it does not hold must be. */
static int check_resume(const train_options *o, const arguments *a) {
    const char *held = given_of_network(o, a);
    if (!held) held = member_options_given(&a->members.trainer);
    if (held) {
        fprintf(stderr,
                "%s: --%s cannot be combined with --resume: the checkpoint holds the options of "
                "network, schedule and trainer, and the size of the images; leave it out\n",
                program, held);
        return 1;
    }
    if (o->data && (a->steps || o->epochs > 0)) return 0;
    fprintf(stderr,
            "%s: --resume needs --data, the same as before, and --steps or --epochs, the total\n",
            program);
    return 1;
}

/* The folder of a file, in static storage. A folder whose name is too long keeps enough of it to be
 * refused by make_folder. */
static char *folder_of(const char *path) {
    static char folder[OUTPUT_PATH_SIZE];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return *folder ? folder : "/";
}

int read_train_options(train_options *o, dm_context **context, int argc, const char **argv) {
    static arguments a;
    *context = NULL;
    *o = (train_options){.samples = 16, .program = argv[0]};
    dm_unet_options_preset(&o->unet, sizeof o->unet, DM_PRESET_SMALL);
    dm_schedule_options_init(&o->schedule, sizeof o->schedule);
    dm_trainer_options_init(&o->trainer, sizeof o->trainer);
    train_members_init(&a.members, o);
    a.sample_every = a.save_every = 500;
    if (parse(o, &a, argc, argv) || check_values(o, &a) || (o->resume && check_resume(o, &a)) ||
        (o->distill && !o->resume && check_distill(o, &a)))
        return 1;
    if (!o->data) o->data = "builtin";
    if (!o->out) o->out = o->resume ? folder_of(o->resume) : "out/train";
    o->steps = (uint64_t)a.steps;
    o->sample_every = (uint64_t)a.sample_every;
    o->save_every = (uint64_t)a.save_every;
    if (!o->steps && o->epochs == 0) o->epochs = EPOCHS_DEFAULT;
    *context = create_context(program, a.threads, (uint64_t)a.memory_mb * 1000000, o->profile);
    if (!*context) return 1;
    return train_members_apply(&a.members, o, a.preset, *context) ||
           (!o->resume && check_train_members(o, argc, argv));
}
