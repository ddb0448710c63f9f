/* SPDX-License-Identifier: MIT */
/* `diffusion info`: what is in a file. */
#include <stdio.h>
#include <string.h>

#include "command/commands.h"
#include "command/files.h"
#include "console/output.h"
#include "model/model.h"
#include "picture/png_text.h"
#include "picture/read.h"

enum { FILES_MAX = 1024, VALUE_SIZE = 256, NAME_WIDTH = 28 };

typedef struct info_options {
    int tensors, all;
} info_options;
static info_options values;

static option options[] = {
    {.name = "all",
     .kind = OPTION_FLAG,
     .value = &values.all,
     .help = "All options of network, schedule and trainer, not only those that are not at their "
             "defaults"},
    {.name = "tensors",
     .kind = OPTION_FLAG,
     .value = &values.tensors,
     .help = "Name and shape of each tensor"},
};

static option_group *groups(size_t *count) {
    static option_group all[1];
    values = (info_options){0};
    all[0] = (option_group){.title = "What is printed",
                            .options = options,
                            .count = sizeof options / sizeof *options};
    *count = 1;
    return all;
}

/* ---- pictures ---- */

static void print_text(void *user, const char *keyword, const char *text) {
    static const char prefix[] = "diffusion:";
    (void)user;
    if (!strncmp(keyword, prefix, sizeof prefix - 1)) keyword += sizeof prefix - 1;
    const size_t length = strlen(keyword);
    printf("  ");
    print_foreign(stdout, keyword);
    printf("%*s ", length < NAME_WIDTH ? (int)(NAME_WIDTH - length) : 0, "");
    print_foreign(stdout, text);
    printf("\n");
}

static int print_picture(const command_line *line, const char *path) {
    picture_info p;
    char error[512];
    if (picture_probe(&p, path, error, sizeof error)) return command_line_refuse(line, "%s", error);
    printf("%s: a picture of %d x %d pixels, %s\n", path, (int)p.width, (int)p.height,
           p.channels == 1 ? "grey" : "in colour");
    size_t length = strlen(path);
    if (length < 4 || strcmp(path + length - 4, ".png") != 0) return 0;
    if (png_texts_read(path, print_text, NULL, error, sizeof error))
        return command_line_refuse(line, "%s", error);
    return 0;
}

/* ---- models ---- */

/* Entries behind the last that is not 0 are left out of a list. */
static void drop_zeros(char *list) {
    size_t length = strlen(list);
    while (length > 2 && !strcmp(list + length - 2, ",0")) list[length -= 2] = 0;
}

/* What one wants to know even where it has its default. */
static int is_asked_for(const char *member) {
    return !strcmp(member, "learning_rate") || !strcmp(member, "batch_size");
}

/* Members that are kept in files, those that are equal in `defaults` only with --all. */
static void print_members(const char *title, const char *name, const void *of,
                          const void *defaults) {
    dm_member_info info;
    char text[VALUE_SIZE], usual[VALUE_SIZE];
    int printed = 0;
    dm_member_info_init(&info, sizeof info);
    for (int32_t i = 0; !dm_struct_member(name, i, &info); i++) {
        if (!info.saved) continue;
        dm_options_get(NULL, name, of, info.name, text, sizeof text, NULL);
        dm_options_get(NULL, name, defaults, info.name, usual, sizeof usual, NULL);
        if (!values.all && !strcmp(text, usual) && !is_asked_for(info.name)) continue;
        drop_zeros(text);
        if (!printed++) printf("%s\n", title);
        printf("  %-*s %s\n", NAME_WIDTH, info.name, text);
    }
    if (!printed) printf("%s: all options have their defaults\n", title);
}

static void print_classes(const model *m) {
    char name[64];
    if (!m->options.classes || !dm_unet_class_name(m->unet, 0)) return;
    printf("classes\n ");
    for (int32_t i = 0; i < m->options.classes; i++)
        printf(" %d %s%s", (int)i, class_text(m, i, name), i + 1 < m->options.classes ? "," : "\n");
}

static void print_tensors(const model *m) {
    dm_tensor_info info;
    printf("tensors\n");
    for (int32_t i = 0; i < dm_unet_tensor_count(m->unet); i++) {
        dm_tensor_info_init(&info, sizeof info);
        if (dm_unet_get_tensor_info(m->unet, i, &info)) return;
        printf("  %-60s", info.name);
        for (int32_t k = 0; k < info.rank; k++)
            printf("%s%lld", k ? " x " : " ", (long long)info.shape[k]);
        printf("\n");
    }
}

static int32_t print_training(const command_line *line, dm_context *context, const model *m) {
    dm_trainer_options o, usual;
    dm_trainer_options_init(&o, sizeof o);
    dm_trainer_options_init(&usual, sizeof usual);
    dm_status status = dm_checkpoint_load_info(context, m->path, &o, NULL);
    if (status) {
        command_line_print_error(line, context, status);
        return REPORTED;
    }
    printf("training so far\n  %-*s %llu\n  %-*s %llu\n", NAME_WIDTH, "steps",
           (unsigned long long)m->info.step, NAME_WIDTH, "images seen",
           (unsigned long long)m->info.images);
    if (m->info.dataset_count)
        printf("  %-*s %llu\n  %-*s %.2f\n", NAME_WIDTH, "images of the data",
               (unsigned long long)m->info.dataset_count, NAME_WIDTH, "epochs",
               (double)m->info.images / (double)m->info.dataset_count);
    print_members("trainer", "dm_trainer_options", &o, &usual);
    return 0;
}

static int32_t print_model(const command_line *line, dm_context *context, const char *path) {
    model m;
    dm_schedule_options schedule, usual;
    dm_unet_options network;
    char hash[17] = "";
    int32_t status = load_model(&m, context, line, path, DM_WEIGHTS_DEFAULT);
    dm_schedule_options_init(&schedule, sizeof schedule);
    dm_schedule_options_init(&usual, sizeof usual);
    dm_unet_options_init(&network, sizeof network);
    if (!status) status = dm_schedule_get_options(m.schedule, &schedule, sizeof schedule);
    if (!status) status = network_hash(m.unet, hash);
    if (status) {
        command_line_print_error(line, context, status);
        free_model(&m);
        return REPORTED;
    }
    printf("%s: %s, %.2f million parameters, images of %d x %d x %d, hash %s\n", m.path,
           m.info.training         ? "a checkpoint"
           : m.info.format_version ? "a network"
                                   : "a model of diffusers",
           1e-6 * (double)dm_unet_parameter_count(m.unet), (int)m.options.height,
           (int)m.options.width, (int)m.options.out_channels, hash);
    print_members("network", "dm_unet_options", &m.options, &network);
    print_members("schedule", "dm_schedule_options", &schedule, &usual);
    printf("sampling defaults\n  %-*s %s in %d steps, guidance %g\n", NAME_WIDTH, "solver",
           dm_enum_name("dm_solver", m.sampler.solver), (int)m.sampler.steps, m.sampler.guidance);
    print_classes(&m);
    if (m.info.training) status = print_training(line, context, &m);
    if (!status && values.tensors) print_tensors(&m);
    free_model(&m);
    return status;
}

static int run_info(command_line *line) {
    int bad = 0;
    dm_context *context = create_context(line, 1, 0, 0);
    if (!context) return 1;
    for (int i = 0; i < line->word_count; i++) {
        const char *path = line->words[i];
        if (i) printf("\n");
        bad |= picture_is_named(path) ? print_picture(line, path)
                                      : print_model(line, context, path) != 0;
    }
    if (!line->word_count) bad = print_model(line, context, NULL) != 0;
    dm_context_destroy(context);
    return bad ? 1 : 0;
}

static const command_example examples[] = {{"diffusion info runs/photos",
                                            "Network, schedule, training so far"},
                                           {"diffusion info samples.png",
                                            "How a picture was sampled"},
                                           {"diffusion info", "The model that is installed"},
                                           {0}};

const command info_command = {
    .name = "info",
    .words = "[FILE...]",
    .summary = "Show what a file holds",
    .description =
        "Prints what a file holds: of a checkpoint, network, run or folder of diffusers the "
        "options "
        "of network, schedule and trainer, the classes and the training so far; of a PNG that "
        "`diffusion sample` wrote, the seed, solver, steps and model.",
    .words_max = FILES_MAX,
    .words_kind = OPTION_FILE,
    .examples = examples,
    .groups = groups,
    .run = run_info,
};
