/* SPDX-License-Identifier: MIT */
/* `diffusion convert`: networks from and to folders of diffusers, and in half precision. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command/commands.h"
#include "command/files.h"
#include "model/model_options.h"
#include "model/sampler_options.h"

typedef struct convert_options {
    const char *precision, *class_names;
    int64_t steps;
    dm_sampler_options sampler;
    dm_diffusers_options diffusers;
} convert_options;
static convert_options values;

static option options[] = {
    {.name = "precision",
     .letter = 'p',
     .kind = OPTION_CHOICE,
     .choices = "float32 float16 bfloat16",
     .value = &values.precision,
     .help = "Of the weights in the new file"},
    {.name = "class-names",
     .kind = OPTION_TEXT,
     .argument = "LIST",
     .value = &values.class_names,
     .help = "Names of the network's classes, as in cat,dog"},
    {.name = "steps",
     .kind = OPTION_COUNT,
     .value = &values.steps,
     .minimum = 0,
     .maximum = 100000,
     .initial = "the usual number for the solver",
     .help = "Sampling steps that are stored with the scheduler of a folder of diffusers"},
};

static option foreign_options[] = {
    {.name = "height",
     .member = "height",
     .help = "Height of the images, where config.json has no sample_size"},
    {.name = "width",
     .member = "width",
     .help = "Width of the images, where config.json has no sample_size"},
    {.name = "prediction",
     .member = "prediction",
     .initial = "what the scheduler says",
     .help = "What the network predicts"},
    {.name = "condition-channels", .member = "condition_channels"},
};

/* What schedulers of diffusers have of a sampler's options. */
static option scheduler_options[] = {
    {.name = "solver", .member = "solver", .help = "Solver whose scheduler is written"},
    {.name = "order", .member = "order"},
    {.name = "spacing", .member = "spacing"},
    {.name = "grid", .member = "grid"},
    {.name = "variance", .member = "variance"},
    {.name = "eta", .member = "eta"},
    {.name = "threshold", .member = "threshold"},
    {.name = "no-clip", .member = "clip", .flag = "0", .help = "Do not clip the predicted x_0"},
};

static option_group *groups(size_t *count) {
    static option_group all[4];
    values = (convert_options){.precision = "float32"};
    dm_sampler_options_init(&values.sampler, sizeof values.sampler);
    dm_diffusers_options_init(&values.diffusers, sizeof values.diffusers);
    all[0] = (option_group){.title = "The new file",
                            .options = options,
                            .count = sizeof options / sizeof *options};
    all[1] = model_group();
    all[1].options++; /* the model is the first word */
    all[1].count--;
    all[2] = (option_group){"A folder of diffusers that is read", "dm_diffusers_options",
                            &values.diffusers, foreign_options,
                            sizeof foreign_options / sizeof *foreign_options};
    all[3] = (option_group){"The scheduler of a folder of diffusers that is written",
                            "dm_sampler_options", &values.sampler, scheduler_options,
                            sizeof scheduler_options / sizeof *scheduler_options};
    *count = 4;
    return all;
}

/* "cat,dog" as names; they point into `text`, which is changed. */
static int32_t set_class_names(const command_line *line, dm_unet *unet, char *text) {
    size_t count = 1;
    for (const char *p = text; *p; p++) count += *p == ',';
    const char **names = malloc(count * sizeof *names);
    if (!names) return DM_ERROR_OUT_OF_MEMORY;
    for (size_t i = 0; i < count; i++) {
        names[i] = text;
        text += strcspn(text, ",");
        *text++ = 0;
    }
    int32_t status = dm_unet_set_class_names(unet, names, (int32_t)count);
    free(names);
    if (status == DM_ERROR_SHAPE_MISMATCH)
        return command_line_refuse(line,
                                   "--class-names has %zu names; the network has another number of "
                                   "classes (see diffusion info)",
                                   count);
    return status;
}

static int is_network_file(const char *path) {
    size_t length = strlen(path), suffix = strlen(".safetensors");
    return length > suffix && !strcmp(path + length - suffix, ".safetensors");
}

/* Loads again what the options say about a folder of diffusers. */
static int32_t reload(const command_line *line, dm_context *context, model *m) {
    int given = 0;
    for (size_t i = 0; i < sizeof foreign_options / sizeof *foreign_options; i++)
        given |= foreign_options[i].given;
    if (!given) return DM_OK;
    if (m->info.format_version)
        return command_line_refuse(line,
                                   "%s is a file of this library: --height, --width, "
                                   "--prediction and --condition-channels are for folders of "
                                   "diffusers",
                                   m->path);
    dm_unet_destroy(m->unet);
    m->unet = NULL;
    return dm_unet_load_diffusers(&m->unet, context, m->path, &values.diffusers);
}

/* With the levels that the solver would choose, so that diffusers takes the same steps. */
static int32_t save_diffusers(const model *m, const char *folder, dm_precision precision) {
    dm_sampler *sampler;
    dm_sampler_options used;
    dm_sampler_options_init(&used, sizeof used);
    dm_status status = dm_sampler_create(&sampler, m->unet, m->schedule, &values.sampler);
    if (!status) status = dm_sampler_get_options(sampler, &used, sizeof used);
    dm_sampler_destroy(sampler);
    return status ? status : dm_unet_save_diffusers(m->unet, m->schedule, &used, folder, precision);
}

/* A checkpoint holds what training needs, which a network's file does not. */
static int32_t refuse_checkpoint(const command_line *line, dm_context *context, const model *m,
                                 const char *to) {
    dm_checkpoint_info info;
    dm_checkpoint_info_init(&info, sizeof info);
    if (same_file(m->path, to))
        return command_line_refuse(line, "%s is the model itself; name another file", to);
    if (dm_checkpoint_load_info(context, to, NULL, &info) || !info.training) return 0;
    return command_line_refuse(line,
                               "%s is the checkpoint of a run, which could not be resumed; "
                               "name another file",
                               to);
}

static int32_t run(const command_line *line, dm_context *context, model *m) {
    const char *to = line->words[1];
    dm_precision precision = !strcmp(values.precision, "float16")    ? DM_PRECISION_F16
                             : !strcmp(values.precision, "bfloat16") ? DM_PRECISION_BF16
                                                                     : DM_PRECISION_F32;
    dm_weights weights = DM_WEIGHTS_DEFAULT;
    option_enum_value("dm_weights", model_values.weights, &weights);
    int32_t status = load_model(m, context, line, line->words[0], weights);
    /* Its pipeline samples in any number of steps. */
    if (m->sampler.solver == DM_SOLVER_DPMPP) m->sampler.solver = DM_SOLVER_DDIM;
    if (!status) status = set_sampler_options(line, context, m, &values.sampler, values.steps);
    if (!status && is_network_file(to)) status = refuse_checkpoint(line, context, m, to);
    if (!status) status = reload(line, context, m);
    if (!status && values.class_names) {
        char *text = strdup(values.class_names);
        status = text ? set_class_names(line, m->unet, text) : DM_ERROR_OUT_OF_MEMORY;
        free(text);
    }
    if (status) return status;
    if (is_network_file(to)) status = dm_unet_save_as(m->unet, m->schedule, to, precision);
    else status = save_diffusers(m, to, precision);
    if (!status)
        printf("%s: %s in %s\n", to,
               is_network_file(to) ? "a network of libdiffusion" : "a folder of diffusers",
               values.precision);
    return status;
}

static int run_convert(command_line *line) {
    static model m;
    dm_context *context = create_context(line, model_values.threads, 0, 0);
    if (!context) return 1;
    int32_t status = run(line, context, &m);
    command_line_print_error(line, context, status);
    free_model(&m);
    dm_context_destroy(context);
    return status ? 1 : 0;
}

static const command_example examples[] = {
    {"diffusion convert ddpm-cifar10-32 cifar10.safetensors",
     "A folder that was downloaded from Hugging Face as one file"},
    {"diffusion convert runs/photos photos-diffusers --solver ddim",
     "A run as a folder that DDIMPipeline.from_pretrained opens"},
    {"diffusion convert runs/photos photos.safetensors --precision float16",
     "The EMA of a run alone, in half the size, to share"},
    {"diffusion convert pets pets.safetensors --class-names cat,dog", "Names for its classes"},
    {0}};

const command convert_command = {
    .name = "convert",
    .words = "FROM TO",
    .summary = "Convert networks, also from and to diffusers",
    .description =
        "Reads a network from a file of the library, the folder of a run, or a folder of Hugging "
        "Face diffusers (UNet2DModel, pipelines with it), and writes it: TO ending in .safetensors "
        "becomes a file of the library, any other TO a folder of diffusers. Of a checkpoint the "
        "EMA is taken, unless --weights says otherwise; optimizer and progress are left out.",
    .words_min = 2,
    .words_max = 2,
    .words_kind = OPTION_FILE,
    .examples = examples,
    .groups = groups,
    .run = run_convert,
};
