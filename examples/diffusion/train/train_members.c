/* SPDX-License-Identifier: MIT */
/* See train_members.h. */
#include "train/train_members.h"

#include <string.h>

static option unet_options[] = {
    {.name = "channels",
     .member = "channels",
     .help = "Channels of each level, as in 64,128,128,128; their number is that of the levels"},
    {.name = "blocks",
     .member = "blocks",
     .help = "Residual blocks of each level, or one number for all"},
    {.name = "attention", .member = "attention"},
    {.name = "mid-attention", .member = "mid_attention"},
    {.name = "head-size", .member = "attention_head_size"},
    {.name = "groups", .member = "norm_groups"},
    {.name = "norm-eps", .member = "norm_eps"},
    {.name = "dropout", .member = "dropout"},
    {.name = "time", .member = "time_embedding"},
    {.name = "time-channels", .member = "time_channels"},
    {.name = "frequency-shift", .member = "time_frequency_shift"},
    {.name = "cos-first", .member = "time_cos_first", .flag = "1"},
    {.name = "padding", .member = "downsample_padding"},
    {.name = "prediction",
     .member = "prediction",
     .help = "What the network predicts; flow and edm need the schedules of that name",
     .hidden = "consistency"}, /* networks that cannot be trained */
    {.name = "learned-variance", .member = "learned_variance", .flag = "1"},
    {.name = "self-conditioning", .member = "self_conditioning", .flag = "1"},
    {.name = "sigma-data", .member = "sigma_data"},
    {.name = "recipe",
     .member = "recipe",
     .help = "Blocks of these parts in place of residual and attention blocks, as in "
             "resnet,attention",
     .hidden = "end"},
    {.name = "window", .member = "attention_window"},
};

static option schedule_options[] = {
    {.name = "schedule", .member = "kind"},
    {.name = "timesteps", .letter = 'T', .member = "timesteps"},
    {.name = "beta-start", .member = "beta_start"},
    {.name = "beta-end", .member = "beta_end"},
    {.name = "scale-betas", .member = "scale_betas", .flag = "1"},
    {.name = "zero-terminal-snr", .member = "zero_terminal_snr", .flag = "1"},
    {.name = "flow-shift", .member = "flow_shift"},
    {.name = "sigma-min", .member = "sigma_min"},
    {.name = "sigma-max", .member = "sigma_max"},
    {.name = "rho", .member = "rho"},
    {.name = "time-scale", .member = "time_scale"},
};

static option trainer_options[] = {
    {.name = "batch",
     .letter = 'b',
     .member = "batch_size",
     .initial = "64; 32 above 32 x 32 and with --init, 16 above 64 x 64"},
    {.name = "accumulation", .member = "accumulation"},
    {.name = "recompute", .member = "recompute"},
    {.name = "compute",
     .member = "precision",
     .help = "What the steps compute in, f32 or bf16, which takes half of the memory between the "
             "layers"},
    {.name = "seed", .member = "seed"},
    {.name = "flip", .member = "flip", .flag = "1"},
    {.name = "crop-padding", .member = "crop_padding"},
    {.name = "timestep-sampling", .member = "timestep_sampling"},
    {.name = "label-dropout",
     .member = "label_dropout",
     .help = "Probability of dropping a label in training, which guidance needs"},
    {.name = "self-conditioning-rate", .member = "self_conditioning_rate"},
    {.name = "logit-mean", .member = "logit_mean"},
    {.name = "logit-std", .member = "logit_std"},
    {.name = "log-sigma-mean", .member = "log_sigma_mean"},
    {.name = "log-sigma-std", .member = "log_sigma_std"},
    {.name = "loss", .member = "loss"},
    {.name = "loss-weight", .member = "loss_weight"},
    {.name = "huber-delta", .member = "huber_delta"},
    {.name = "bound-lambda", .member = "bound_lambda"},
    {.name = "min-snr-gamma", .member = "min_snr_gamma"},
    {.name = "p2-k", .member = "p2_k"},
    {.name = "p2-gamma", .member = "p2_gamma"},
    {.name = "optimizer", .member = "optimizer"},
    {.name = "lr",
     .letter = 'l',
     .member = "learning_rate",
     .initial = "0.001; 1e-4 with --init, 5e-4 and 2e-4 for larger presets"},
    {.name = "lr-schedule", .member = "learning_rate_schedule"},
    {.name = "lr-steps", .member = "learning_rate_end_step"},
    {.name = "lr-final", .member = "learning_rate_end_fraction"},
    {.name = "warmup", .member = "warmup_steps"},
    {.name = "beta1", .member = "beta1"},
    {.name = "beta2", .member = "beta2"},
    {.name = "adam-eps", .member = "adam_eps"},
    {.name = "weight-decay", .member = "weight_decay"},
    {.name = "clip", .member = "gradient_clip"},
    {.name = "ema-decay",
     .member = "ema_decay",
     .help = "Decay per step of up to 4 EMAs of the weights, as in 0.999,0.9999; 0: none"},
    {.name = "ema-half-life",
     .member = "ema_half_life",
     .help = "Half-life in images of up to 4 EMAs, each where --ema-decay is 0; 0: none"},
    {.name = "ema-rampup", .member = "ema_rampup"},
    {.name = "ema-warmup", .member = "ema_warmup"},
};

enum {
    UNET_COUNT = sizeof unet_options / sizeof *unet_options,
    SCHEDULE_COUNT = sizeof schedule_options / sizeof *schedule_options,
    TRAINER_COUNT = sizeof trainer_options / sizeof *trainer_options
};

size_t train_member_groups(option_group *groups, train_options *o) {
    groups[0] =
        (option_group){"The network", "dm_unet_options", &o->unet, unet_options, UNET_COUNT};
    groups[1] = (option_group){"The schedule", "dm_schedule_options", &o->schedule,
                               schedule_options, SCHEDULE_COUNT};
    groups[2] = (option_group){"The trainer", "dm_trainer_options", &o->trainer, trainer_options,
                               TRAINER_COUNT};
    return TRAIN_MEMBER_GROUPS;
}

int32_t list_length(const char *list) {
    int32_t length = 1;
    for (; *list; list++) length += *list == ',';
    return length;
}

/* The number of levels follows from --channels; a single --blocks holds for all levels. */
static void set_levels(const command_line *line, dm_unet_options *u) {
    const char *channels = command_line_option(line, "channels")->text,
               *blocks = command_line_option(line, "blocks")->text;
    if (channels) u->levels = list_length(channels);
    int32_t given = blocks ? list_length(blocks) : 0;
    for (int32_t i = 1; i < u->levels && i < DM_LEVELS_MAX; i++)
        if (given == 1 || (!blocks && !u->blocks[i])) u->blocks[i] = u->blocks[0];
}

int apply_train_members(const command_line *line, train_options *o, dm_context *context) {
    if (command_line_apply(line, context)) return 1;
    set_levels(line, &o->unet);
    return 0;
}

int check_train_members(const command_line *line, const train_options *o) {
    const dm_trainer_options *t = &o->trainer;
    const dm_schedule_kind kind = o->schedule.kind;
    int betas = kind == DM_SCHEDULE_LINEAR || kind == DM_SCHEDULE_SCALED_LINEAR ||
                kind == DM_SCHEDULE_SIGMOID;
    int edm = kind == DM_SCHEDULE_EDM, half_life = 0;
    int logit_normal = t->timestep_sampling == DM_TIMESTEPS_LOGIT_NORMAL,
        log_normal = t->timestep_sampling == DM_TIMESTEPS_LOG_NORMAL;
    int falling = t->learning_rate_schedule != DM_RATE_CONSTANT;
    for (int i = 0; i < DM_EMA_MAX; i++) half_life |= t->ema_half_life[i] > 0;
    const char *const linear = "--schedule linear, scaled_linear or sigmoid";
    const option_rule rules[] = {
        {"lr-steps", falling, "--lr-schedule"},
        {"lr-final", falling, "--lr-schedule"},
        {"huber-delta", t->loss == DM_LOSS_PSEUDO_HUBER, "--loss pseudo_huber"},
        {"bound-lambda", t->loss == DM_LOSS_HYBRID, "--loss hybrid"},
        {"min-snr-gamma", t->loss_weight == DM_LOSS_WEIGHT_MIN_SNR, "--loss-weight min_snr"},
        {"p2-k", t->loss_weight == DM_LOSS_WEIGHT_P2, "--loss-weight p2"},
        {"p2-gamma", t->loss_weight == DM_LOSS_WEIGHT_P2, "--loss-weight p2"},
        {"logit-mean", logit_normal, "--timestep-sampling logit_normal"},
        {"logit-std", logit_normal, "--timestep-sampling logit_normal"},
        {"log-sigma-mean", log_normal, "--timestep-sampling log_normal"},
        {"log-sigma-std", log_normal, "--timestep-sampling log_normal"},
        {"label-dropout", o->unet.classes > 0 || !(t->label_dropout > 0),
         o->no_labels ? "classes (leave out --no-labels)" : "data with classes"},
        {"self-conditioning-rate", o->unet.self_conditioning, "--self-conditioning"},
        {"sigma-data", o->unet.prediction == DM_PREDICT_EDM, "--prediction edm"},
        {"ema-rampup", half_life, "--ema-half-life"},
        {"beta-start", betas, linear},
        {"beta-end", betas, linear},
        {"scale-betas", betas, linear},
        {"flow-shift", kind == DM_SCHEDULE_FLOW, "--schedule flow"},
        {"sigma-min", edm, "--schedule edm"},
        {"sigma-max", edm, "--schedule edm"},
        {"rho", edm, "--schedule edm"},
        {"time-scale", edm, "--schedule edm"},
    };
    if (!(t->learning_rate > 0))
        return command_line_refuse(line, "--lr is %g; it must be above 0", t->learning_rate);
    return command_line_check(line, rules, sizeof rules / sizeof *rules);
}
