/* SPDX-License-Identifier: MIT */
/* See sampler_options.h. */
#include "model/sampler_options.h"

static option options[] = {
    {.name = "solver",
     .member = "solver",
     .initial = "that of the model, usually dpmpp",
     .help = "Sampling method; sample --help describes them"},
    {.name = "order", .member = "order"},
    {.name = "spacing", .member = "spacing"},
    {.name = "grid", .member = "grid", .help = "Sigmas of the steps, for euler to deis"},
    {.name = "variance", .member = "variance"},
    {.name = "eta", .member = "eta"},
    {.name = "churn", .member = "churn"},
    {.name = "rederive-eps", .member = "rederive_eps"},
    {.name = "guidance",
     .letter = 'g',
     .member = "guidance",
     .initial = "2 for a model with classes, else 1",
     .help = "Classifier-free guidance: 1: off; 2 to 4 is usual, for networks trained with "
             "--label-dropout"},
    {.name = "guidance-rescale",
     .member = "guidance_rescale",
     .help = "Rescaling of the guided output, 0 to 1; 0.7 is usual"},
    {.name = "guidance-begin", .member = "guidance_begin"},
    {.name = "guidance-end", .member = "guidance_end"},
    {.name = "threshold",
     .member = "threshold",
     .help = "Quantile of dynamic thresholding, as 0.995 with much guidance; 0: off"},
    {.name = "no-clip",
     .member = "clip",
     .flag = "0",
     .help = "Do not clip the predicted x_0 to [-1, 1]"},
    {.name = "batch", .member = "batch_size"},
};

option_group sampler_group(dm_sampler_options *o) {
    return (option_group){"The sampler", "dm_sampler_options", o, options,
                          sizeof options / sizeof *options};
}

int check_sampler_options(const command_line *line, const dm_sampler_options *o) {
    int ddim = o->solver == DM_SOLVER_DDIM, guided = o->guidance != 1;
    int churned = o->solver == DM_SOLVER_EULER || o->solver == DM_SOLVER_HEUN;
    const option_rule rules[] = {
        {"variance", o->solver == DM_SOLVER_DDPM, "--solver ddpm"},
        {"eta", ddim, "--solver ddim"},
        {"rederive-eps", ddim, "--solver ddim"},
        {"churn", churned, "--solver euler or heun"},
        {"guidance-rescale", guided, "--guidance"},
        {"guidance-begin", guided, "--guidance"},
        {"guidance-end", guided, "--guidance"},
    };
    return command_line_check(line, rules, sizeof rules / sizeof *rules);
}

int32_t usual_steps(dm_solver solver, int32_t timesteps) {
    int32_t usual = 50;
    if (solver == DM_SOLVER_DDPM) usual = timesteps;
    if (solver == DM_SOLVER_CONSISTENCY) usual = 2;
    if (solver == DM_SOLVER_UNIPC) usual = 15;
    if (solver == DM_SOLVER_DPMPP || solver == DM_SOLVER_DPMPP_SINGLE || solver == DM_SOLVER_DEIS)
        usual = 20;
    return usual < timesteps ? usual : timesteps;
}

void choose_sampler(dm_sampler_options *o, const dm_unet_options *u, int32_t timesteps,
                    int32_t distill_steps, int guided) {
    o->solver = DM_SOLVER_DPMPP;
    if (u->prediction == DM_PREDICT_CONSISTENCY) o->solver = DM_SOLVER_CONSISTENCY;
    if (u->prediction == DM_PREDICT_FLOW) o->solver = DM_SOLVER_FLOW_EULER;
    o->steps = usual_steps(o->solver, timesteps);
    if (u->classes && guided) o->guidance = 2;
    if (!distill_steps) return;
    o->solver = DM_SOLVER_DDIM;
    o->spacing = DM_SPACING_TRAILING;
    o->steps = distill_steps;
    o->guidance = 1;
}
