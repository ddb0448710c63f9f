/* SPDX-License-Identifier: MIT */
/* See model_options.h. */
#include "model/model_options.h"

#include "model/sampler_options.h"

model_options model_values;

static option options[] = {
    {.name = "model",
     .letter = 'm',
     .kind = OPTION_FILE,
     .argument = "MODEL",
     .value = &model_values.path,
     .initial = "the model that is installed with the program",
     .help = "The folder of a run, a checkpoint or network in a safetensors file, or a folder of "
             "diffusers"},
    {.name = "weights",
     .kind = OPTION_CHOICE,
     .value = &model_values.weights,
     .choices = "default trained ema ema_1 ema_2 ema_3",
     .help = "Which of a checkpoint's weights; default: the first EMA if there is one"},
    {.name = "threads",
     .letter = 't',
     .kind = OPTION_COUNT,
     .value = &model_values.threads,
     .minimum = 0,
     .maximum = 256,
     .help = "Threads that compute; 0: one for each processor"},
};

option_group model_group(void) {
    model_values = (model_options){.weights = "default"};
    return (option_group){.title = "The model",
                          .options = options,
                          .count = sizeof options / sizeof *options};
}

int32_t load_chosen_model(model *out, dm_context *context, const command_line *line) {
    const char *path = model_values.path;
    dm_weights weights;
    *out = (model){0};
    if (line->word_count && path)
        return command_line_refuse(line, "the model is given twice: '%s' and --model",
                                   *line->words);
    if (line->word_count) path = *line->words;
    if (option_enum_value("dm_weights", model_values.weights, &weights)) return DM_ERROR_INTERNAL;
    return load_model(out, context, line, path, weights);
}

int32_t set_sampler_options(const command_line *line, dm_context *context, const model *m,
                            dm_sampler_options *values, int64_t steps) {
    int32_t batch = values->batch_size;
    *values = m->sampler;
    values->batch_size = batch;
    if (command_line_apply(line, context)) return REPORTED;
    int32_t timesteps = dm_schedule_timesteps(m->schedule);
    if (command_line_given(line, "solver") && values->solver != m->sampler.solver)
        values->steps = usual_steps(values->solver, timesteps);
    if (steps) values->steps = (int32_t)steps;
    return check_sampler_options(line, values) ? REPORTED : 0;
}
