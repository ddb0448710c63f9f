/* See train_options.h. */
#include "train_options.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "cli.h"

enum { MOST_EPOCHS = 1000000 };

/* What popt fills; NOT_GIVEN and NULL leave the preset's value. The library refuses what is out of
 * its range. */
enum { NOT_GIVEN = -987654321 };

typedef struct given {
    char *preset, *channels, *blocks, *attention, *time, *padding, *prediction, *schedule, *decay,
        *recompute;
    char *timestep_sampling, *loss, *loss_weight, *optimizer, *more_decays, *more_half_lives;
    int groups, head_size, time_channels, cos_first, mid_attention, learned_variance,
        self_conditioning, timesteps;
    double dropout, norm_eps, frequency_shift, sigma_data, beta_start, beta_end;
    long long steps, seed, warmup, decay_steps, sample_every, save_every, memory_mb;
} given;

static const char *const presets[] = {"tiny", "small", "ddpm-cifar10", NULL};
static const char *const time_ways[] = {"add", "scale-shift", "add-output", NULL};
static const char *const paddings[] = {"bottom-right", "all", NULL};
static const char *const predictions[] = {"eps", "x0", "v", "flow", "edm", NULL};
static const char *const schedules[] = {"linear", "cosine", "scaled-linear", "sigmoid", "flow",
                                        "edm",    NULL};
static const char *const samplings[] = {"uniform", "loss-aware", "logit-normal", "log-normal",
                                        NULL};
static const char *const losses[] = {"squares", "huber", "hybrid", NULL};
static const char *const loss_weights[] = {"simple", "min-snr", "p2", "bound", NULL};
static const char *const optimizers[] = {"adamw", "adam", NULL};
static const char *const decays[] = {"none", "linear", "cosine", NULL};
static const char *const recomputes[] = {"none", "passes", "blocks", NULL};

/* Sets *target to the place of the word; leaves it where no word was given. */
static int set_choice(int32_t *target, const char *option, const char *word,
                      const char *const *words) {
    if (!word) return 0;
    int32_t place = choice("train_cifar10", option, word, words);
    if (place >= 0) *target = place;
    return place < 0;
}

static int set_network(dm_unet_options *u, const given *g) {
    int32_t preset = DM_PRESET_SMALL;
    if (set_choice(&preset, "preset", g->preset, presets)) return 1;
    dm_unet_options_preset(u, sizeof *u, preset);
    if (g->channels) {
        int32_t levels =
            number_list("train_cifar10", "channels", g->channels, u->channels, DM_MAX_LEVELS, 0);
        if (levels < 0) return 1;
        for (int32_t i = 0; i < levels; i++)
            if (!u->blocks[i]) u->blocks[i] = u->blocks[0];
        u->levels = levels;
    }
    if (g->blocks &&
        number_list("train_cifar10", "blocks", g->blocks, u->blocks, DM_MAX_LEVELS, u->levels) < 0)
        return 1;
    if (g->attention &&
        number_list("train_cifar10", "attention", g->attention, u->attention, DM_MAX_LEVELS, 0) < 0)
        return 1;
    if (set_choice(&u->time_embedding, "time", g->time, time_ways)) return 1;
    if (set_choice(&u->downsample_padding, "padding", g->padding, paddings)) return 1;
    if (set_choice(&u->prediction, "prediction", g->prediction, predictions)) return 1;
    if (g->groups != NOT_GIVEN) u->norm_groups = g->groups;
    if (g->head_size != NOT_GIVEN) u->attention_head_size = g->head_size;
    if (g->time_channels != NOT_GIVEN) u->time_channels = g->time_channels;
    if (g->cos_first != NOT_GIVEN) u->time_cos_first = g->cos_first;
    if (g->mid_attention != NOT_GIVEN) u->mid_attention = g->mid_attention;
    if (g->dropout != NOT_GIVEN) u->dropout = (float)g->dropout;
    if (g->norm_eps != NOT_GIVEN) u->norm_eps = (float)g->norm_eps;
    if (g->frequency_shift != NOT_GIVEN) u->time_frequency_shift = (float)g->frequency_shift;
    if (g->sigma_data != NOT_GIVEN) u->sigma_data = (float)g->sigma_data;
    u->learned_variance = g->learned_variance;
    u->self_conditioning = g->self_conditioning;
    return 0;
}

static int set_trainer(dm_trainer_options *t, const given *g) {
    if (g->more_decays && real_list("train_cifar10", "more-decays", g->more_decays, t->more_decays,
                                    DM_MORE_AVERAGES) < 0)
        return 1;
    if (g->more_half_lives && real_list("train_cifar10", "more-half-lives", g->more_half_lives,
                                        t->more_half_lives, DM_MORE_AVERAGES) < 0)
        return 1;
    return set_choice(&t->decay, "decay", g->decay, decays) ||
           set_choice(&t->recompute, "recompute", g->recompute, recomputes) ||
           set_choice(&t->timestep_sampling, "timestep-sampling", g->timestep_sampling,
                      samplings) ||
           set_choice(&t->loss, "loss", g->loss, losses) ||
           set_choice(&t->loss_weight, "loss-weight", g->loss_weight, loss_weights) ||
           set_choice(&t->optimizer, "optimizer", g->optimizer, optimizers);
}

/* Numbers a table's options on from `mark`, so that reading the command line tells if one of them
 * was given. Returns the last. */
static int mark_options(struct poptOption *table, int mark) {
    for (; table->longName; table++) table->val = ++mark;
    return mark;
}

static const char *marked_option(const struct poptOption *const *tables, int count, int mark) {
    for (int i = 0; i < count; i++)
        for (const struct poptOption *o = tables[i]; o->longName; o++)
            if (o->val == mark) return o->longName;
    return "";
}

/* What a checkpoint brings can't be given again; what it does not hold must be. `brought`: such an
 * option that was given, or NULL. */
static int check_resume(const train_options *o, const given *g, const char *brought) {
    if (!brought && o->size) brought = "size";
    if (brought) {
        fprintf(stderr,
                "train_cifar10: --resume and --%s don't go together: the checkpoint brings the "
                "options of network, schedule and "
                "trainer, and the pictures' size; leave it out\n",
                brought);
        return 1;
    }
    if (o->data && (g->steps || o->epochs > 0)) return 0;
    fprintf(stderr, "train_cifar10: --resume needs --data, the same as before, and --steps (or "
                    "--epochs), how far to go in all\n");
    return 1;
}

/* The folder of a file, for ever. */
static char *folder_of(const char *path) {
    static char folder[1024];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return *folder ? folder : "/";
}

/* What was given but does nothing. */
static int has_no_use(const train_options *o, int argc, const char **argv) {
    const dm_trainer_options *t = &o->trainer;
    int betas = o->schedule.kind != DM_SCHEDULE_COSINE && o->schedule.kind < DM_SCHEDULE_FLOW;
    int edm = o->schedule.kind == DM_SCHEDULE_EDM,
        logit = t->timestep_sampling == DM_TIMESTEPS_LOGIT_NORMAL;
    int sigmas = t->timestep_sampling == DM_TIMESTEPS_LOG_NORMAL, huber = t->loss == DM_LOSS_HUBER;
    int half_life = t->average_half_life > 0 || t->more_half_lives[0] > 0 ||
                    t->more_half_lives[1] > 0 || t->more_half_lives[2] > 0;
    const use_rule rules[] = {
        {"decay-steps", t->decay != DM_DECAY_NONE, "--decay"},
        {"final-rate", t->decay != DM_DECAY_NONE, "--decay"},
        {"huber-delta", huber, "--loss huber"},
        {"bound-lambda", t->loss == DM_LOSS_HYBRID, "--loss hybrid"},
        {"min-snr-gamma", t->loss_weight == DM_LOSS_WEIGHT_MIN_SNR, "--loss-weight min-snr"},
        {"p2-k", t->loss_weight == DM_LOSS_WEIGHT_P2, "--loss-weight p2"},
        {"p2-gamma", t->loss_weight == DM_LOSS_WEIGHT_P2, "--loss-weight p2"},
        {"logit-mean", logit, "--timestep-sampling logit-normal"},
        {"logit-std", logit, "--timestep-sampling logit-normal"},
        {"log-sigma-mean", sigmas, "--timestep-sampling log-normal"},
        {"log-sigma-std", sigmas, "--timestep-sampling log-normal"},
        {"self-conditioning-rate", o->unet.self_conditioning, "--self-conditioning"},
        {"sigma-data", o->unet.prediction == DM_PREDICT_EDM, "--prediction edm"},
        {"average-rampup", half_life, "--average-half-life or --more-half-lives"},
        {"beta-start", betas, "a linear, scaled-linear or sigmoid --schedule"},
        {"beta-end", betas, "a linear, scaled-linear or sigmoid --schedule"},
        {"flow-shift", o->schedule.kind == DM_SCHEDULE_FLOW, "--schedule flow"},
        {"sigma-min", edm, "--schedule edm"},
        {"sigma-max", edm, "--schedule edm"},
        {"rho", edm, "--schedule edm"},
        {"size", !strcmp(o->data, "builtin"), "--data builtin"},
    };
    return has_unused("train_cifar10", argc, argv, rules, sizeof rules / sizeof *rules);
}

int read_train_options(train_options *o, int argc, const char **argv) {
    given g = {.groups = NOT_GIVEN,
               .head_size = NOT_GIVEN,
               .time_channels = NOT_GIVEN,
               .cos_first = NOT_GIVEN,
               .mid_attention = NOT_GIVEN,
               .dropout = NOT_GIVEN,
               .norm_eps = NOT_GIVEN,
               .frequency_shift = NOT_GIVEN,
               .sigma_data = NOT_GIVEN};
    *o = (train_options){.samples = 16, .program = argv[0]};
    dm_schedule_options_init(&o->schedule, sizeof o->schedule);
    dm_trainer_options_init(&o->trainer, sizeof o->trainer);
    dm_trainer_options *t = &o->trainer;
    dm_schedule_options *s = &o->schedule;
    g.timesteps = o->schedule.timesteps, g.beta_start = o->schedule.beta_start,
    g.beta_end = o->schedule.beta_end;
    g.sample_every = 500, g.save_every = 500;
    const int shown = POPT_ARGFLAG_SHOW_DEFAULT;

    struct poptOption run[] = {
        {"data", 'd', POPT_ARG_STRING, &o->data, 0,
         "cifar-10-binary.tar.gz, a folder of its .bin files, a folder of PNGs (of folders: a "
         "class each), or 'builtin': pictures that the library draws (default: builtin)",
         "PATH"},
        {"size", 0, POPT_ARG_INT, &o->size, 0,
         "of built-in pictures, 16 to 64 pixels each way (default: 32)", "N"},
        {"out", 'o', POPT_ARG_STRING, &o->out, 0,
         "folder for checkpoint, samples, loss.csv and report.html (default: out/train, or that of "
         "--resume's checkpoint)",
         "DIR"},
        {"resume", 'r', POPT_ARG_STRING, &o->resume, 0,
         "go on from a checkpoint, which brings network, schedule and trainer options; give --data "
         "and --steps",
         "FILE"},
        {"steps", 's', POPT_ARG_LONGLONG | shown, &g.steps, 0, "steps in all; 0: as --epochs says",
         "N"},
        {"epochs", 'e', POPT_ARG_DOUBLE, &o->epochs, 0,
         "times through the data (100, where --steps is not given either)", "X"},
        {"sample-every", 0, POPT_ARG_LONGLONG | shown, &g.sample_every, 0,
         "steps between grids of samples; 0: only at the end", "N"},
        {"samples", 0, POPT_ARG_INT | shown, &o->samples, 0, "pictures in a grid", "N"},
        {"sample-steps", 0, POPT_ARG_INT | shown, &o->sample_steps, 0,
         "DDIM steps for them; 0: 50, or what timesteps there are", "N"},
        {"save-every", 0, POPT_ARG_LONGLONG | shown, &g.save_every, 0,
         "steps between checkpoints; 0: only at the end", "N"},
        {"threads", 't', POPT_ARG_INT | shown, &o->threads, 0, "0: one for each processor", "N"},
        {"profile", 0, POPT_ARG_NONE, &o->profile, 0,
         "tell at the end where the time of a step went, operation by operation", NULL},
        {"memory-limit", 0, POPT_ARG_LONGLONG | shown, &g.memory_mb, 0,
         "the library's memory; 0: no limit", "MB"},
        POPT_TABLEEND};
    struct poptOption network[] = {
        {"preset", 'p', POPT_ARG_STRING, &g.preset, 0,
         "tiny, small (the default) or ddpm-cifar10; the options below change it", "NAME"},
        {"channels", 0, POPT_ARG_STRING, &g.channels, 0,
         "width of each level, as in 64,128,128,128", "LIST"},
        {"blocks", 0, POPT_ARG_STRING, &g.blocks, 0,
         "residual blocks of each level, or one number for all", "LIST"},
        {"attention", 0, POPT_ARG_STRING, &g.attention, 0,
         "1 for each level with attention, as in 0,1,0,0", "LIST"},
        {"mid-attention", 0, POPT_ARG_INT, &g.mid_attention, 0, "attention in the middle, 0 or 1",
         "N"},
        {"head-size", 0, POPT_ARG_INT, &g.head_size, 0,
         "channels of an attention head; 0: one head", "N"},
        {"groups", 0, POPT_ARG_INT, &g.groups, 0, "of the group norms", "N"},
        {"norm-eps", 0, POPT_ARG_DOUBLE, &g.norm_eps, 0, "of the group norms", "X"},
        {"dropout", 0, POPT_ARG_DOUBLE, &g.dropout, 0, "in the residual blocks", "X"},
        {"time", 0, POPT_ARG_STRING, &g.time, 0,
         "how the timestep enters a block: add, scale-shift or add-output", "WAY"},
        {"time-channels", 0, POPT_ARG_INT, &g.time_channels, 0,
         "width of the time embedding; 0: 4 times the first width", "N"},
        {"frequency-shift", 0, POPT_ARG_DOUBLE, &g.frequency_shift, 0,
         "of the sinusoids: 1 in DDPM, 0 in others", "X"},
        {"cos-first", 0, POPT_ARG_INT, &g.cos_first, 0, "0: sinusoids as [sin, cos]; 1: [cos, sin]",
         "N"},
        {"padding", 0, POPT_ARG_STRING, &g.padding, 0, "of the downsampler: bottom-right or all",
         "WAY"},
        {"labels", 0, POPT_ARG_NONE, &o->labels, 0, "the network learns the classes", NULL},
        {"prediction", 0, POPT_ARG_STRING, &g.prediction, 0,
         "eps, x0, v (for short runs), flow or edm (with the schedules of that name)", "TYPE"},
        {"learned-variance", 0, POPT_ARG_NONE, &g.learned_variance, 0,
         "the network learns the variance of DDPM's steps; with --loss hybrid", NULL},
        {"self-conditioning", 0, POPT_ARG_NONE, &g.self_conditioning, 0,
         "the network sees the picture that it saw before", NULL},
        {"sigma-data", 0, POPT_ARG_DOUBLE, &g.sigma_data, 0,
         "edm: the standard deviation of the pictures", "X"},
        POPT_TABLEEND};
    struct poptOption schedule[] = {
        {"schedule", 0, POPT_ARG_STRING, &g.schedule, 0,
         "linear (the default), cosine, scaled-linear, sigmoid, flow or edm", "KIND"},
        {"timesteps", 'T', POPT_ARG_INT | shown, &g.timesteps, 0, "of the diffusion", "N"},
        {"beta-start", 0, POPT_ARG_DOUBLE | shown, &g.beta_start, 0,
         "of the linear, scaled-linear and sigmoid schedule", "X"},
        {"beta-end", 0, POPT_ARG_DOUBLE | shown, &g.beta_end, 0, "likewise", "X"},
        {"scale-betas", 0, POPT_ARG_NONE, &s->scale_betas, 0,
         "likewise: both times 1000 / timesteps", NULL},
        {"zero-terminal-snr", 0, POPT_ARG_NONE, &s->zero_terminal_snr, 0,
         "the last timestep is noise alone; for x0 and v", NULL},
        {"flow-shift", 0, POPT_ARG_DOUBLE | shown, &s->flow_shift, 0,
         "flow: above 1, more of the way is noisy", "X"},
        {"sigma-min", 0, POPT_ARG_DOUBLE | shown, &s->sigma_min, 0, "edm: the least noise", "X"},
        {"sigma-max", 0, POPT_ARG_DOUBLE | shown, &s->sigma_max, 0, "edm: the most noise", "X"},
        {"rho", 0, POPT_ARG_DOUBLE | shown, &s->rho, 0, "edm: how the steps lie between them", "X"},
        POPT_TABLEEND};
    struct poptOption trainer[] = {
        {"batch", 'b', POPT_ARG_INT | shown, &t->batch_size, 0, "pictures in one pass", "N"},
        {"accumulation", 0, POPT_ARG_INT | shown, &t->accumulation, 0, "passes in one step", "N"},
        {"timestep-sampling", 0, POPT_ARG_STRING, &g.timestep_sampling, 0,
         "levels of noise: uniform (the default), loss-aware, logit-normal (flow) or log-normal "
         "(edm)",
         "WAY"},
        {"logit-mean", 0, POPT_ARG_DOUBLE | shown, &t->logit_mean, 0, "of logit-normal levels",
         "X"},
        {"logit-std", 0, POPT_ARG_DOUBLE | shown, &t->logit_std, 0, "of logit-normal levels", "X"},
        {"log-sigma-mean", 0, POPT_ARG_DOUBLE | shown, &t->log_sigma_mean, 0,
         "of log-normal levels", "X"},
        {"log-sigma-std", 0, POPT_ARG_DOUBLE | shown, &t->log_sigma_std, 0, "of log-normal levels",
         "X"},
        {"loss", 0, POPT_ARG_STRING, &g.loss, 0,
         "squares (the default), huber, or hybrid (with --learned-variance)", "KIND"},
        {"huber-delta", 0, POPT_ARG_DOUBLE | shown, &t->huber_delta, 0,
         "huber: the error above which squares give way", "X"},
        {"bound-lambda", 0, POPT_ARG_DOUBLE | shown, &t->bound_lambda, 0,
         "hybrid: what the variational bound counts", "X"},
        {"loss-weight", 0, POPT_ARG_STRING, &g.loss_weight, 0,
         "by level of noise: simple (the default), min-snr, p2 or bound", "KIND"},
        {"min-snr-gamma", 0, POPT_ARG_DOUBLE | shown, &t->min_snr_gamma, 0,
         "min-snr: the largest weight", "X"},
        {"p2-k", 0, POPT_ARG_DOUBLE | shown, &t->p2_k, 0, "p2: 1 / (k + SNR)^gamma", "X"},
        {"p2-gamma", 0, POPT_ARG_DOUBLE | shown, &t->p2_gamma, 0, "p2: likewise", "X"},
        {"label-dropout", 0, POPT_ARG_DOUBLE | shown, &t->label_dropout, 0,
         "share of labels that are dropped, for guidance; with --labels", "X"},
        {"self-conditioning-rate", 0, POPT_ARG_DOUBLE | shown, &t->self_conditioning_rate, 0,
         "share of passes that look twice", "X"},
        {"crop-padding", 0, POPT_ARG_INT | shown, &t->crop_padding, 0,
         "pictures are padded by so many pixels and cut out again at random", "N"},
        {"optimizer", 0, POPT_ARG_STRING, &g.optimizer, 0,
         "adamw (the default), or adam: --weight-decay is added to the gradient", "KIND"},
        {"lr", 'l', POPT_ARG_DOUBLE | shown, &t->learning_rate, 0, "learning rate", "X"},
        {"warmup", 0, POPT_ARG_LONGLONG | shown, &g.warmup, 0, "steps in which the rate rises",
         "N"},
        {"decay", 0, POPT_ARG_STRING, &g.decay, 0,
         "how the rate falls after that: none (the default), linear or cosine", "KIND"},
        {"decay-steps", 0, POPT_ARG_LONGLONG | shown, &g.decay_steps, 0,
         "step at which the fall ends", "N"},
        {"final-rate", 0, POPT_ARG_DOUBLE | shown, &t->final_rate, 0,
         "what is left of the rate then, as a fraction", "X"},
        {"beta1", 0, POPT_ARG_DOUBLE | shown, &t->beta1, 0, "of the optimizer", "X"},
        {"beta2", 0, POPT_ARG_DOUBLE | shown, &t->beta2, 0, "of the optimizer", "X"},
        {"adam-eps", 0, POPT_ARG_DOUBLE | shown, &t->adam_eps, 0, "of the optimizer", "X"},
        {"weight-decay", 0, POPT_ARG_DOUBLE | shown, &t->weight_decay, 0, "of the optimizer", "X"},
        {"clip", 0, POPT_ARG_DOUBLE | shown, &t->gradient_clip, 0,
         "largest norm of the gradient; 0: no clipping", "X"},
        {"average", 0, POPT_ARG_DOUBLE | shown, &t->average_decay, 0,
         "decay of the weights' moving average; 0: none", "X"},
        {"average-warmup", 0, POPT_ARG_INT | shown, &t->average_warmup, 0,
         "1: the average follows fast at first", "N"},
        {"average-half-life", 0, POPT_ARG_DOUBLE | shown, &t->average_half_life, 0,
         "of the average in pictures; with --average 0", "X"},
        {"average-rampup", 0, POPT_ARG_DOUBLE | shown, &t->average_rampup, 0,
         "half-lives are at most this times the pictures so far", "X"},
        {"more-decays", 0, POPT_ARG_STRING, &g.more_decays, 0,
         "up to 3 more averages, as in 0.99,0.999", "LIST"},
        {"more-half-lives", 0, POPT_ARG_STRING, &g.more_half_lives, 0,
         "or of half-lives; in both lists, 0 where the other has it", "LIST"},
        {"flip", 0, POPT_ARG_NONE, &t->flip, 0, "mirror half of the pictures", NULL},
        {"recompute", 0, POPT_ARG_STRING, &g.recompute, 0,
         "to train in less memory, slower, with the same result: none (the default), passes or "
         "blocks",
         "WHAT"},
        {"seed", 0, POPT_ARG_LONGLONG | shown, &g.seed, 0,
         "the same seed gives the same network, bit for bit", "N"},
        POPT_TABLEEND};
    struct poptOption all[] = {
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, run, 0, "The run:", NULL},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, network, 0, "The network:", NULL},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, schedule, 0, "The noise schedule:", NULL},
        {NULL, 0, POPT_ARG_INCLUDE_TABLE, trainer, 0,
         "The trainer (the tutorial's settings are --preset small --batch 64 --lr 1e-4):", NULL},
        POPT_AUTOHELP POPT_TABLEEND};
    const struct poptOption *const brought[] = {network, schedule, trainer};
    int mark = mark_options(trainer, mark_options(schedule, mark_options(network, 0)));
    if (read_command_line("train_cifar10", argc, argv, all, &mark)) return 1;

    const struct {
        const char *name;
        long long value, least, most;
    } ranges[] = {
        {"steps", g.steps, 0, LLONG_MAX},
        {"size", o->size ? o->size : 16, 16, 64},
        {"sample-every", g.sample_every, 0, LLONG_MAX},
        {"samples", o->samples, 0, 65536},
        {"sample-steps", o->sample_steps, 0, INT_MAX},
        {"save-every", g.save_every, 0, LLONG_MAX},
        {"threads", o->threads, 0, 256},
        {"memory-limit", g.memory_mb, 0, 1000000000},
        {"warmup", g.warmup, 0, LLONG_MAX},
        {"decay-steps", g.decay_steps, 0, LLONG_MAX},
        {"seed", g.seed, 0, LLONG_MAX},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (out_of_range("train_cifar10", ranges[i].name, ranges[i].value, ranges[i].least,
                         ranges[i].most))
            return 1;
    if (!(o->epochs >= 0 && o->epochs <= MOST_EPOCHS)) {
        fprintf(stderr, "train_cifar10: --epochs is %g; it must be from 0 to %d\n", o->epochs,
                MOST_EPOCHS);
        return 1;
    }
    if (g.steps && o->epochs > 0) {
        fprintf(stderr,
                "train_cifar10: --steps %lld and --epochs %g don't go together: each says how far "
                "to go\n",
                g.steps, o->epochs);
        return 1;
    }
    if (o->resume && check_resume(o, &g, mark ? marked_option(brought, 3, mark) : NULL)) return 1;
    if (!o->data) o->data = "builtin";
    if (!o->out) o->out = o->resume ? folder_of(o->resume) : "out/train";
    o->steps = (uint64_t)g.steps, o->sample_every = (uint64_t)g.sample_every,
    o->save_every = (uint64_t)g.save_every;
    o->memory_limit = (uint64_t)g.memory_mb * 1000000;
    t->warmup_steps = (uint64_t)g.warmup, t->decay_steps = (uint64_t)g.decay_steps,
    t->seed = (uint64_t)g.seed;
    o->schedule.timesteps = g.timesteps, o->schedule.beta_start = g.beta_start,
    o->schedule.beta_end = g.beta_end;
    if (!o->steps && o->epochs == 0) o->epochs = 100;
    if (set_network(&o->unet, &g) || set_choice(&s->kind, "schedule", g.schedule, schedules) ||
        set_trainer(t, &g))
        return 1;
    return !o->resume && has_no_use(o, argc, argv);
}
