/* A trainer's options: defaults, what makes sense, and how files write them. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "core/options.h"
#include "train/trainer.h"

enum { COUNT_MOST = 4096 };

dm_trainer_options dmi_trainer_default_options(void) {
    return (dm_trainer_options){
        .struct_size = sizeof(dm_trainer_options),
        .batch_size = 64,
        .accumulation = 1,
        .learning_rate = 1e-4,
        .beta1 = 0.9,
        .beta2 = 0.999,
        .adam_eps = 1e-8,
        .gradient_clip = 1,
        .average_decay = 0.9999,
        .average_warmup = 1,
        .decay = DM_DECAY_NONE,
        .use_labels = 1,
        .recompute = DM_RECOMPUTE_NONE,
        .logit_std = 1,
        .log_sigma_mean = -1.2,
        .log_sigma_std = 1.2,
        .huber_delta = 0.1,
        .bound_lambda = 0.001,
        .min_snr_gamma = 5,
        .p2_k = 1,
        .p2_gamma = 1,
        .self_conditioning_rate = 0.5,
        .average_rampup = 0.05,
    };
}

int32_t dm_trainer_options_init(dm_trainer_options *options, size_t size) {
    dm_trainer_options defaults = dmi_trainer_default_options();
    return dmi_options_write(NULL, options, size, &defaults, sizeof defaults, "dm_trainer_options");
}

_Static_assert((int)DM_MORE_AVERAGES == (int)DMI_EMA_MAX - 1,
               "the optimiser has as many averages as the options");

bool dmi_trainer_average(const dm_trainer_options *o, int32_t index, dmi_ema *average) {
    bool first = index == 0;
    *average = (dmi_ema){
        .decay = first ? o->average_decay : o->more_decays[index - 1],
        .warmup = o->average_warmup,
        .half_life = first ? o->average_half_life : o->more_half_lives[index - 1],
        .rampup = o->average_rampup,
    };
    return average->decay > 0 || average->half_life > 0;
}

typedef struct whole_rule {
    const char *name;
    size_t offset;
    int32_t least, most;
} whole_rule;

static const whole_rule whole_rules[] = {
    {"batch_size", offsetof(dm_trainer_options, batch_size), 1, COUNT_MOST},
    {"accumulation", offsetof(dm_trainer_options, accumulation), 1, COUNT_MOST},
    {"flip", offsetof(dm_trainer_options, flip), 0, 1},
    {"decay", offsetof(dm_trainer_options, decay), DM_DECAY_NONE, DM_DECAY_COSINE},
    {"average_warmup", offsetof(dm_trainer_options, average_warmup), 0, 1},
    {"use_labels", offsetof(dm_trainer_options, use_labels), 0, 1},
    {"recompute", offsetof(dm_trainer_options, recompute), DM_RECOMPUTE_NONE, DM_RECOMPUTE_BLOCKS},
    {"timestep_sampling", offsetof(dm_trainer_options, timestep_sampling), DM_TIMESTEPS_UNIFORM,
     DM_TIMESTEPS_LOG_NORMAL},
    {"loss", offsetof(dm_trainer_options, loss), DM_LOSS_SQUARES, DM_LOSS_HYBRID},
    {"loss_weight", offsetof(dm_trainer_options, loss_weight), DM_LOSS_WEIGHT_SIMPLE,
     DM_LOSS_WEIGHT_BOUND},
    {"optimizer", offsetof(dm_trainer_options, optimizer), DM_OPTIMIZER_ADAMW, DM_OPTIMIZER_ADAM},
    {"reserved", offsetof(dm_trainer_options, reserved), 0, 0},
    {"crop_padding", offsetof(dm_trainer_options, crop_padding), 0, 65535},
};

/* Compared after rounding to a float, as the optimiser computes with floats: a beta that rounds to
 * 1 divides by 0. */
typedef struct real_rule {
    const char *name;
    size_t offset;
    float least, most;
    const char *range;
} real_rule;

#define BELOW_ONE (1 - FLT_EPSILON / 2)

static const real_rule real_rules[] = {
    {"learning_rate", offsetof(dm_trainer_options, learning_rate), 0, 1e6f, "0 to 1e6"},
    {"beta1", offsetof(dm_trainer_options, beta1), 0, BELOW_ONE,
     "0 to 0.99999994, a float's last below 1"},
    {"beta2", offsetof(dm_trainer_options, beta2), 0, BELOW_ONE,
     "0 to 0.99999994, a float's last below 1"},
    {"adam_eps", offsetof(dm_trainer_options, adam_eps), FLT_MIN, FLT_MAX,
     "a finite number, at least 1.2e-38"},
    {"weight_decay", offsetof(dm_trainer_options, weight_decay), 0, 1e6f, "0 to 1e6"},
    {"gradient_clip", offsetof(dm_trainer_options, gradient_clip), 0, FLT_MAX,
     "a finite number, at least 0"},
    {"average_decay", offsetof(dm_trainer_options, average_decay), 0, BELOW_ONE,
     "0 to 0.99999994, a float's last below 1"},
    {"final_rate", offsetof(dm_trainer_options, final_rate), 0, 1, "0 to 1"},
    {"logit_mean", offsetof(dm_trainer_options, logit_mean), -100, 100, "-100 to 100"},
    {"log_sigma_mean", offsetof(dm_trainer_options, log_sigma_mean), -10, 10, "-10 to 10"},
    {"logit_std", offsetof(dm_trainer_options, logit_std), FLT_MIN, 100, "above 0 and at most 100"},
    {"log_sigma_std", offsetof(dm_trainer_options, log_sigma_std), FLT_MIN, 5,
     "above 0 and at most 5"},
    {"huber_delta", offsetof(dm_trainer_options, huber_delta), 1e-6f, 1e6f, "1e-6 to 1e6"},
    {"bound_lambda", offsetof(dm_trainer_options, bound_lambda), 0, 1000, "0 to 1000"},
    {"min_snr_gamma", offsetof(dm_trainer_options, min_snr_gamma), FLT_MIN, 1e6f,
     "above 0 and at most 1e6"},
    {"p2_k", offsetof(dm_trainer_options, p2_k), FLT_MIN, 1e6f, "above 0 and at most 1e6"},
    {"p2_gamma", offsetof(dm_trainer_options, p2_gamma), 0, 10, "0 to 10"},
    {"label_dropout", offsetof(dm_trainer_options, label_dropout), 0, 1, "0 to 1"},
    {"self_conditioning_rate", offsetof(dm_trainer_options, self_conditioning_rate), 0, 1,
     "0 to 1"},
    {"average_half_life", offsetof(dm_trainer_options, average_half_life), 0, FLT_MAX,
     "a finite number, at least 0"},
    {"average_rampup", offsetof(dm_trainer_options, average_rampup), 0, FLT_MAX,
     "a finite number, at least 0"},
    {"more_decays[0]", offsetof(dm_trainer_options, more_decays[0]), 0, BELOW_ONE,
     "0 to 0.99999994, a float's last below 1"},
    {"more_decays[1]", offsetof(dm_trainer_options, more_decays[1]), 0, BELOW_ONE,
     "0 to 0.99999994, a float's last below 1"},
    {"more_decays[2]", offsetof(dm_trainer_options, more_decays[2]), 0, BELOW_ONE,
     "0 to 0.99999994, a float's last below 1"},
    {"more_half_lives[0]", offsetof(dm_trainer_options, more_half_lives[0]), 0, FLT_MAX,
     "a finite number, at least 0"},
    {"more_half_lives[1]", offsetof(dm_trainer_options, more_half_lives[1]), 0, FLT_MAX,
     "a finite number, at least 0"},
    {"more_half_lives[2]", offsetof(dm_trainer_options, more_half_lives[2]), 0, FLT_MAX,
     "a finite number, at least 0"},
};

static int32_t check_whole(dmi_host *host, const whole_rule *rule,
                           const dm_trainer_options *options) {
    int32_t value;
    memcpy(&value, (const char *)options + rule->offset, sizeof value);
    return dmi_check_range(host, "trainer", rule->name, value, rule->least, rule->most);
}

static int32_t check_real(dmi_host *host, const real_rule *rule,
                          const dm_trainer_options *options) {
    double value;
    memcpy(&value, (const char *)options + rule->offset, sizeof value);
    bool signed_right = value >= 0 || rule->least < 0;
    if (signed_right && fabs(value) <= (double)FLT_MAX && (float)value >= rule->least &&
        (float)value <= rule->most)
        return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: '%s' is %.15g; it must be %s",
                    rule->name, value, rule->range);
}

int32_t dmi_trainer_check_options(dmi_host *host, const dm_trainer_options *options) {
    int32_t status = DM_OK;
    for (size_t i = 0; !status && i < sizeof whole_rules / sizeof *whole_rules; i++)
        status = check_whole(host, &whole_rules[i], options);
    for (size_t i = 0; !status && i < sizeof real_rules / sizeof *real_rules; i++)
        status = check_real(host, &real_rules[i], options);
    return status ? status : dmi_trainer_check_pairs(host, options);
}

#define OPTION(type, count, member)                                                                \
    { "trainer." #member, type, count, offsetof(dm_trainer_options, member) }

static const dmi_meta option_table[] = {
    OPTION(DMI_META_I32, 1, batch_size),     OPTION(DMI_META_I32, 1, accumulation),
    OPTION(DMI_META_I32, 1, flip),           OPTION(DMI_META_U64, 1, seed),
    OPTION(DMI_META_F64, 1, learning_rate),  OPTION(DMI_META_F64, 1, beta1),
    OPTION(DMI_META_F64, 1, beta2),          OPTION(DMI_META_F64, 1, adam_eps),
    OPTION(DMI_META_F64, 1, weight_decay),   OPTION(DMI_META_F64, 1, gradient_clip),
    OPTION(DMI_META_F64, 1, average_decay),  OPTION(DMI_META_U64, 1, warmup_steps),
    OPTION(DMI_META_U64, 1, decay_steps),    OPTION(DMI_META_I32, 1, decay),
    OPTION(DMI_META_I32, 1, average_warmup), OPTION(DMI_META_F64, 1, final_rate),
    OPTION(DMI_META_I32, 1, use_labels),
};
enum { OPTION_COUNT = sizeof option_table / sizeof *option_table };

/* No bit of a run depends on it: a file without it is older than the option, and means the
 * default. */
static const dmi_meta recompute_table[] = {OPTION(DMI_META_I32, 1, recompute)};

/* Of options that older files don't know either. */
static const dmi_meta later_table[] = {
    OPTION(DMI_META_I32, 1, timestep_sampling),
    OPTION(DMI_META_I32, 1, loss),
    OPTION(DMI_META_I32, 1, loss_weight),
    OPTION(DMI_META_I32, 1, optimizer),
    OPTION(DMI_META_I32, 1, crop_padding),
    OPTION(DMI_META_F64, 1, logit_mean),
    OPTION(DMI_META_F64, 1, logit_std),
    OPTION(DMI_META_F64, 1, log_sigma_mean),
    OPTION(DMI_META_F64, 1, log_sigma_std),
    OPTION(DMI_META_F64, 1, huber_delta),
    OPTION(DMI_META_F64, 1, bound_lambda),
    OPTION(DMI_META_F64, 1, min_snr_gamma),
    OPTION(DMI_META_F64, 1, p2_k),
    OPTION(DMI_META_F64, 1, p2_gamma),
    OPTION(DMI_META_F64, 1, label_dropout),
    OPTION(DMI_META_F64, 1, self_conditioning_rate),
    OPTION(DMI_META_F64, 1, average_half_life),
    OPTION(DMI_META_F64, 1, average_rampup),
    OPTION(DMI_META_F64, DM_MORE_AVERAGES, more_decays),
    OPTION(DMI_META_F64, DM_MORE_AVERAGES, more_half_lives),
};
enum { LATER_COUNT = sizeof later_table / sizeof *later_table };

int32_t dmi_trainer_write_options(dmi_host *host, dmi_safetensors_writer *writer,
                                  const dm_trainer_options *options) {
    int32_t status = dmi_meta_write(host, writer, option_table, OPTION_COUNT, options);
    if (!status) status = dmi_meta_write(host, writer, recompute_table, 1, options);
    return status ? status : dmi_meta_write(host, writer, later_table, LATER_COUNT, options);
}

int32_t dmi_trainer_read_options(dmi_host *host, const dmi_safetensors *file,
                                 dm_trainer_options *options) {
    *options = dmi_trainer_default_options();
    int32_t status = dmi_meta_read(host, file, option_table, OPTION_COUNT, options);
    if (!status && dmi_safetensors_metadata(file, recompute_table[0].key))
        status = dmi_meta_read(host, file, recompute_table, 1, options);
    if (!status && dmi_safetensors_metadata(file, later_table[0].key))
        status = dmi_meta_read(host, file, later_table, LATER_COUNT, options);
    if (!status) status = dmi_trainer_check_options(host, options);
    if (status != DM_ERROR_INVALID_ARGUMENT) return status;
    return dmi_fail(host, DM_ERROR_BAD_FORMAT, "%s: %s", dmi_safetensors_from(file), host->error);
}
