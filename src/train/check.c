/* What of a trainer's options, its network and its schedule does not go together. */
#include <float.h>
#include <stdio.h>

#include "sample/solver.h"
#include "train/trainer.h"

/* Two that don't go together, as "'loss' 2 (hybrid)" and "the network's 'learned_variance' 0", and
 * why. */
static int32_t refuse(dmi_host *host, const char *one, const char *other, const char *why) {
    return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT, "trainer: %s and %s don't go together: %s",
                    one, other, why);
}

/* Of each average one: by its decay or by its half-life. */
static int32_t check_averages(dmi_host *host, const dm_trainer_options *o) {
    for (int32_t i = 0; i < DMI_EMA_MAX; i++) {
        dmi_ema average;
        char decay[64], half_life[64];
        dmi_trainer_average(o, i, &average);
        double taken =
            dmi_ema_weight(&average, UINT64_MAX,
                              (uint64_t)o->batch_size * (uint64_t)o->accumulation, UINT64_MAX);
        if (average.half_life > 0 && (float)taken < FLT_EPSILON / 2) {
            char name[32] = "average_half_life";
            if (i > 0) snprintf(name, sizeof name, "more_half_lives[%d]", (int)i - 1);
            return dmi_fail(host, DM_ERROR_INVALID_ARGUMENT,
                            "trainer: '%s' is %g; a step would change %.2g of the average, and "
                            "floats stand still below 6e-8",
                            name, average.half_life, taken);
        }
        if (!(average.decay > 0 && average.half_life > 0)) continue;
        if (i == 0) {
            snprintf(decay, sizeof decay, "'average_decay' %g", average.decay);
            snprintf(half_life, sizeof half_life, "'average_half_life' %g", average.half_life);
        } else {
            snprintf(decay, sizeof decay, "'more_decays[%d]' %g", (int)i - 1, average.decay);
            snprintf(half_life, sizeof half_life, "'more_half_lives[%d]' %g", (int)i - 1,
                     average.half_life);
        }
        return refuse(host, half_life, decay,
                      "an average is kept by one of them, and the other is 0");
    }
    return DM_OK;
}

int32_t dmi_trainer_check_pairs(dmi_host *host, const dm_trainer_options *o) {
    char text[64];
    if (o->decay != DM_DECAY_NONE && o->decay_steps <= o->warmup_steps)
        return dmi_fail(
            host, DM_ERROR_INVALID_ARGUMENT,
            "trainer: 'decay_steps' is %llu; with a decay it must be above 'warmup_steps' (%llu)",
            (unsigned long long)o->decay_steps, (unsigned long long)o->warmup_steps);
    if (o->loss != DM_LOSS_SQUARES && o->loss_weight == DM_LOSS_WEIGHT_BOUND) {
        snprintf(text, sizeof text, "'loss' %d (%s)", (int)o->loss,
                 o->loss == DM_LOSS_HUBER ? "Huber" : "hybrid");
        return refuse(host, "'loss_weight' 3 (bound)", text,
                      "it is the weight of squares in a bound without a learned variance");
    }
    if (o->optimizer == DM_OPTIMIZER_ADAMW && o->learning_rate * o->weight_decay > 1) {
        char rate[64];
        snprintf(text, sizeof text, "'weight_decay' %g", o->weight_decay);
        snprintf(rate, sizeof rate, "'learning_rate' %g", o->learning_rate);
        return refuse(host, text, rate,
                      "a step takes their product, which is above 1, from 1 of the weights");
    }
    if (o->label_dropout > 0 && !o->use_labels) {
        snprintf(text, sizeof text, "'label_dropout' %g", o->label_dropout);
        return refuse(host, text, "'use_labels' 0", "no label is used that could be dropped");
    }
    return check_averages(host, o);
}

static int32_t check_loss(dmi_host *host, const dm_unet_options *unet,
                          const dm_trainer_options *o) {
    char text[64], prediction[64];
    snprintf(prediction, sizeof prediction, "the network's 'prediction' %d (%s)",
             (int)unet->prediction, dmi_prediction_name(unet->prediction));
    snprintf(text, sizeof text, "'loss' %d", (int)o->loss);
    if (o->loss == DM_LOSS_HYBRID && !unet->learned_variance)
        return refuse(host, "'loss' 2 (hybrid)", "the network's 'learned_variance' 0",
                      "its bound is of a variance that is learned");
    if (o->loss != DM_LOSS_HYBRID && unet->learned_variance)
        return refuse(host, text, "the network's 'learned_variance' 1",
                      "the variance learns from a hybrid loss (2) alone");
    snprintf(text, sizeof text, "'loss_weight' %d", (int)o->loss_weight);
    if (o->loss_weight != DM_LOSS_WEIGHT_SIMPLE && unet->prediction == DM_PREDICT_EDM)
        return refuse(host, text, prediction, "EDM's preconditioning has its weights in it");
    if (o->loss_weight == DM_LOSS_WEIGHT_BOUND && unet->prediction != DM_PREDICT_EPS)
        return refuse(host, "'loss_weight' 3 (bound)", prediction, "it is a weight of eps (0)");
    return DM_OK;
}

static int32_t check_pictures(dmi_host *host, const dm_unet_options *unet,
                              const dm_trainer_options *o) {
    char text[64], size[64];
    if (o->label_dropout > 0 && !unet->classes) {
        snprintf(text, sizeof text, "'label_dropout' %g", o->label_dropout);
        return refuse(host, text, "the network's 'classes' 0",
                      "it has no labels that could be dropped");
    }
    if (o->crop_padding >= unet->height || o->crop_padding >= unet->width) {
        snprintf(text, sizeof text, "'crop_padding' %d", (int)o->crop_padding);
        snprintf(size, sizeof size, "pictures of %d x %d", (int)unet->height, (int)unet->width);
        return refuse(host, text, size, "by reflection, less than a picture's side can be padded");
    }
    return DM_OK;
}

static int32_t check_timesteps(dmi_host *host, const dm_schedule *schedule,
                               const dm_trainer_options *o) {
    char kind[64];
    snprintf(kind, sizeof kind, "the schedule's 'kind' %d (%s)", (int)schedule->options.kind,
             dmi_schedule_name(schedule));
    if (o->timestep_sampling == DM_TIMESTEPS_LOGIT_NORMAL &&
        schedule->options.kind != DM_SCHEDULE_FLOW)
        return refuse(host, "'timestep_sampling' 2 (logit-normal)", kind,
                      "it draws levels of the flow schedule (4)");
    if (o->timestep_sampling == DM_TIMESTEPS_LOG_NORMAL &&
        schedule->options.kind != DM_SCHEDULE_EDM)
        return refuse(host, "'timestep_sampling' 3 (log-normal)", kind,
                      "it draws sigmas of EDM's schedule (5)");
    return DM_OK;
}

int32_t dmi_trainer_check_model(dmi_host *host, const dm_unet_options *unet,
                                const dm_schedule *schedule, const dm_trainer_options *o) {
    int32_t status = dmi_schedule_check_prediction(host, "trainer", schedule, unet->prediction);
    if (!status) status = check_loss(host, unet, o);
    if (!status) status = check_timesteps(host, schedule, o);
    return status ? status : check_pictures(host, unet, o);
}
