/* SPDX-License-Identifier: MIT */
/* See options.h. */
#include "train/options.h"

#include <float.h>
#include <stdio.h>

#include "core/enums.h"
#include "diffusion/prediction.h"
#include "unet/unet.h"

_Static_assert((int)DM_EMA_MAX == (int)DMI_EMA_MAX, "the optimizer keeps as many EMAs");

dm_status dm_trainer_options_init(dm_trainer_options *options, size_t size) {
    return dmi_struct_init(&dmi_struct_trainer_options, options, size);
}

bool dmi_trainer_ema(const dm_trainer_options *o, int32_t index, dmi_ema *ema) {
    *ema = (dmi_ema){
        .decay = o->ema_decay[index],
        .warmup = o->ema_warmup,
        .half_life = o->ema_half_life[index],
        .rampup = o->ema_rampup,
    };
    return ema->decay > 0 || ema->half_life > 0;
}

/* An option as messages name it. */
typedef struct option_text {
    char text[96];
} option_text;

/* "'weight_decay' 0.1". */
static option_text number(const char *name, double value) {
    option_text t;
    snprintf(t.text, sizeof t.text, "'%s' %g", name, value);
    return t;
}

/* "'ema_decay[1]' 0.9". */
static option_text entry(const char *name, int32_t index, double value) {
    option_text t;
    snprintf(t.text, sizeof t.text, "'%s[%d]' %g", name, (int)index, value);
    return t;
}

/* "'loss' 1 (huber)"; `owner` is "" or "the network's ". */
static option_text choice(const char *owner, const char *name, const char *enumeration,
                          int32_t value) {
    option_text t;
    snprintf(t.text, sizeof t.text, "%s'%s' %d (%s)", owner, name, (int)value,
             dmi_enum_text(enumeration, value));
    return t;
}

static dm_status refuse(dmi_host *host, option_text one, option_text other, const char *why) {
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: %s cannot be combined with %s: %s",
                    one.text, other.text, why);
}

/* ---- options among themselves ---- */

static dm_status check_ema(dmi_host *host, const dm_trainer_options *o, int32_t i) {
    dmi_ema ema;
    dmi_trainer_ema(o, i, &ema);
    if (ema.decay > 0 && ema.half_life > 0)
        return refuse(host, entry("ema_half_life", i, ema.half_life),
                      entry("ema_decay", i, ema.decay),
                      "an EMA has one of them, and the other is 0");
    if (ema.half_life <= 0) return DM_OK;
    const uint64_t images = (uint64_t)o->batch_size * (uint64_t)o->accumulation;
    const double change = dmi_ema_weight(&ema, UINT64_MAX, images, UINT64_MAX);
    if ((float)change >= FLT_EPSILON / 2) return DM_OK;
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                    "trainer: 'ema_half_life[%d]' is %g; 1 - decay of a step would be %.2g, which "
                    "is below float's precision (6e-8)",
                    (int)i, ema.half_life, change);
}

static dm_status check_distillation(dmi_host *host, const dm_trainer_options *o) {
    const option_text distillation = number("distill_steps", o->distill_steps);
    if (o->timestep_sampling != DM_TIMESTEPS_UNIFORM)
        return refuse(host,
                      choice("", "timestep_sampling", "dm_timestep_sampling", o->timestep_sampling),
                      distillation, "it samples uniformly the timesteps of the steps to distil to");
    if (o->loss == DM_LOSS_HYBRID || o->loss_weight == DM_LOSS_WEIGHT_BOUND)
        return refuse(host, distillation,
                      o->loss == DM_LOSS_HYBRID
                          ? choice("", "loss", "dm_loss", o->loss)
                          : choice("", "loss_weight", "dm_loss_weight", o->loss_weight),
                      "the bound is that of the noise, not of a teacher");
    return DM_OK;
}

dm_status dmi_trainer_check_options(dmi_host *host, const dm_trainer_options *o) {
    dm_status status = dmi_check_computes_in(host, "trainer", o->precision);
    if (status) return status;
    if (o->learning_rate_schedule != DM_RATE_CONSTANT &&
        o->learning_rate_end_step <= o->warmup_steps)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "trainer: 'learning_rate_end_step' is %llu; with 'learning_rate_schedule' %s "
            "it must be above 'warmup_steps' (%llu)",
            (unsigned long long)o->learning_rate_end_step,
            dmi_enum_text("dm_rate_schedule", o->learning_rate_schedule),
            (unsigned long long)o->warmup_steps);
    if (o->loss != DM_LOSS_MSE && o->loss_weight == DM_LOSS_WEIGHT_BOUND)
        return refuse(host, choice("", "loss_weight", "dm_loss_weight", o->loss_weight),
                      choice("", "loss", "dm_loss", o->loss),
                      "it weights squared errors, as the bound with a fixed variance does");
    if (o->optimizer == DM_OPTIMIZER_ADAMW && o->learning_rate * o->weight_decay > 1)
        return refuse(host, number("weight_decay", o->weight_decay),
                      number("learning_rate", o->learning_rate),
                      "each step subtracts their product times the weight, and it is above 1");
    if (o->label_dropout > 0 && !o->use_labels)
        return refuse(host, number("label_dropout", o->label_dropout), number("use_labels", 0),
                      "no labels are used");
    status = o->distill_steps ? check_distillation(host, o) : DM_OK;
    for (int32_t i = 0; !status && i < DM_EMA_MAX; i++) status = check_ema(host, o, i);
    return status;
}

/* ---- with the network and the schedule ---- */

static dm_status check_loss(dmi_host *host, const dm_unet_options *unet,
                            const dm_trainer_options *o) {
    const option_text loss = choice("", "loss", "dm_loss", o->loss),
                      weight = choice("", "loss_weight", "dm_loss_weight", o->loss_weight),
                      prediction =
                          choice("the network's ", "prediction", "dm_prediction", unet->prediction);
    option_text variance;
    snprintf(variance.text, sizeof variance.text, "the network's 'learned_variance' %d",
             (int)unet->learned_variance);
    if (o->loss == DM_LOSS_HYBRID && !unet->learned_variance)
        return refuse(host, loss, variance, "its bound is that of a learned variance");
    if (o->loss != DM_LOSS_HYBRID && unet->learned_variance)
        return refuse(host, loss, variance, "only the hybrid loss trains a variance");
    if (o->loss_weight != DM_LOSS_WEIGHT_SIMPLE && unet->prediction == DM_PREDICT_EDM)
        return refuse(host, weight, prediction, "EDM's preconditioning includes its weight");
    if (o->loss_weight == DM_LOSS_WEIGHT_BOUND && unet->prediction != DM_PREDICT_EPS)
        return refuse(host, weight, prediction, "it is a weight of the error of eps");
    return DM_OK;
}

static dm_status check_images(dmi_host *host, const dm_unet_options *unet,
                              const dm_trainer_options *o) {
    option_text other;
    if (o->label_dropout > 0 && !unet->classes) {
        snprintf(other.text, sizeof other.text, "the network's 'classes' 0");
        return refuse(host, number("label_dropout", o->label_dropout), other,
                      "the network takes no labels");
    }
    if (o->condition_dropout > 0 && !unet->condition_channels && !unet->condition_size) {
        snprintf(other.text, sizeof other.text,
                 "the network's 'condition_channels' 0 and 'condition_size' 0");
        return refuse(host, number("condition_dropout", o->condition_dropout), other,
                      "the network takes no conditions");
    }
    if (o->condition_dropout > 0 && unet->condition_size &&
        unet->condition_embedding == DM_CONDITION_TIME && unet->time_features == DM_TIME_FOURIER) {
        snprintf(other.text, sizeof other.text, "the network's 'time_features' fourier");
        return refuse(host, number("condition_dropout", o->condition_dropout), other,
                      "its condition is embedded like the time, which must be above 0");
    }
    if (unet->classes && !unet->null_row && (o->label_dropout > 0 || !o->use_labels)) {
        snprintf(other.text, sizeof other.text, "the network's 'null_row' 0");
        return refuse(host,
                      o->use_labels ? number("label_dropout", o->label_dropout)
                                    : number("use_labels", 0),
                      other, "its table of classes has no row for images without a label");
    }
    if (o->crop_padding >= unet->height || o->crop_padding >= unet->width) {
        snprintf(other.text, sizeof other.text, "images of %d x %d", (int)unet->height,
                 (int)unet->width);
        return refuse(host, number("crop_padding", o->crop_padding), other,
                      "padding by reflection must be below height and width");
    }
    return DM_OK;
}

static dm_status check_timesteps(dmi_host *host, const dm_schedule *schedule,
                                 const dm_trainer_options *o) {
    const dm_schedule_kind kind = schedule->options.kind;
    const option_text sampling = choice("", "timestep_sampling", "dm_timestep_sampling",
                                        o->timestep_sampling),
                      other = choice("the schedule's ", "kind", "dm_schedule_kind", kind);
    if (o->timestep_sampling == DM_TIMESTEPS_LOGIT_NORMAL && kind != DM_SCHEDULE_FLOW)
        return refuse(host, sampling, other, "it samples levels of the flow schedule");
    if (o->timestep_sampling == DM_TIMESTEPS_LOG_NORMAL && kind != DM_SCHEDULE_EDM)
        return refuse(host, sampling, other, "it samples sigma of the EDM schedule");
    return DM_OK;
}

static dm_status check_student(dmi_host *host, const dm_unet_options *unet,
                               const dm_schedule *schedule, const dm_trainer_options *o) {
    const option_text distillation = number("distill_steps", o->distill_steps);
    if (o->distill_steps > schedule->steps / 2)
        return refuse(host, distillation, number("timesteps", schedule->steps),
                      "the teacher takes twice as many steps, at most the schedule's timesteps");
    if (o->distill_steps && unet->prediction == DM_PREDICT_EPS)
        return refuse(host, distillation,
                      choice("the network's ", "prediction", "dm_prediction", unet->prediction),
                      "where little signal is left, x_0 follows from eps with large errors, which "
                      "few steps cannot correct; a network that predicts v or x0 can be distilled");
    return DM_OK;
}

dm_status dmi_trainer_check_model(dmi_host *host, const dm_unet_options *unet,
                                  const dm_schedule *schedule, const dm_trainer_options *o) {
    dm_status status =
        dmi_prediction_refuse_consistency(host, "trainer", "training", unet->prediction);
    if (!status) status = dmi_prediction_check(host, "trainer", schedule, unet->prediction);
    if (!status) status = check_student(host, unet, schedule, o);
    if (!status) status = check_loss(host, unet, o);
    if (!status) status = check_timesteps(host, schedule, o);
    return status ? status : check_images(host, unet, o);
}
