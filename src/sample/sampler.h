/* SPDX-License-Identifier: MIT */
/* The sampler's internals: the object, and its parts by file. */
#ifndef DM_SRC_SAMPLE_SAMPLER_H
#define DM_SRC_SAMPLE_SAMPLER_H

#include <stdatomic.h>

#include "base/torch_random.h"
#include "diffusion/prediction.h"
#include "diffusion/schedule.h"
#include "sample/solver.h"
#include "unet/unet.h"

/* What a run does at each step, computed in double when the sampler is created. */
typedef struct dmi_sampler_plan {
    int32_t steps, first;   /* stages are planned from step `first` on */
    double *timesteps;      /* [steps + 1], see dmi_path */
    dmi_level *levels;      /* [steps + 1] */
    dmi_stage *stages;      /* [steps * stages_max] */
    int32_t *stage_offsets; /* [steps + 1]: the stages of step i are from entry i to entry i + 1 */
} dmi_sampler_plan;

/* The level of one model evaluation, for dm_sampler_get_levels. */
typedef struct dmi_evaluation_level {
    double timestep, signal, noise;
} dmi_evaluation_level;

/* Memory of a batch, with n = height * width * channels values per image. Allocated by the first
 * run with this many images, and kept. */
typedef struct dmi_sampler_buffers {
    size_t capacity;                  /* images */
    double *x, *saved_x, *x_0, *eps;  /* [capacity, n] */
    double *history[DMI_HISTORY_MAX]; /* a ring of solver->history_size blocks [capacity, n] */
    double *quantile_scratch;         /* [capacity, n] with dynamic thresholding, else NULL */
    float *model_input;  /* [batches, capacity, n], twice n with self-conditioning; two batches with
                            guidance */
    float *model_output; /* [batches, capacity, n], twice n with a learned variance */
    float *prediction;   /* [capacity, n], after guidance */
    float *variance;     /* [capacity, n] with a learned variance, else NULL */
    float *noise;        /* [capacity, n] */
    float *x_f32, *x_0_f32; /* [capacity, n] */
    float *torch_noise;     /* [capacity, n], channels first */
    int32_t *labels;        /* [batches, capacity] */
    /* Conditions, of which the second batch is zeros: [batches, capacity, h, w, channels] and
     * [batches, capacity, size]; NULL where the model takes none. */
    float *condition_image, *condition_vector;
    uint8_t *faults;  /* [capacity], DMI_FAULT_* */
    dmi_torch *torch; /* [capacity] generators */
} dmi_sampler_buffers;

struct dmi_run;

struct dm_sampler {
    dm_context *context;
    const dm_schedule *schedule; /* perhaps of another context */
    /* The model: a network, or the caller's function. */
    dm_unet *unet; /* NULL: `denoiser` */
    dm_denoiser denoiser;
    dm_prediction prediction;
    double sigma_data;
    int32_t height, width, channels;
    int32_t classes;       /* labels are below this; -1: any */
    int32_t label_minimum; /* -1, or 0 where the model needs a class */
    bool self_conditioning, learned_variance;
    size_t elements;                          /* of one image */
    size_t image_condition, vector_condition; /* elements of the conditions of one image, or 0 */

    dm_sampler_options options; /* resolved; pointers are NULL */
    const dmi_solver *solver;
    bool custom_levels; /* the caller gave a list of levels */
    dmi_sampler_plan plan;
    dmi_evaluation_level *evaluations; /* [evaluation_count], of a run with strength 1 */
    int32_t evaluation_count;
    atomic_int cancelled; /* set by dm_sampler_cancel, cleared once DM_ERROR_CANCELLED is
                             returned */
    dmi_sampler_buffers buffers;
    struct dmi_run *held; /* between dm_sampler_start and dm_sampler_finish, else NULL */
};

/* sampler.c: dm_sampler_destroy within a call of the context. NULL is accepted. */
void dmi_sampler_free(dm_sampler *sampler);

/* options.c: refuses what the solver, the schedule or the model cannot do, and fills in what was
 * left to the solver, but for the grid. sampler->options have passed dmi_struct_check; the model is
 * set. */
dm_status dmi_sampler_resolve_options(dm_sampler *sampler);

/* levels.c: the timesteps and levels of the plan, by the options, whose grid it resolves. Reads the
 * caller's lists. */
dm_status dmi_sampler_plan_levels(dm_sampler *sampler);
/* spacing.c: timesteps [options->steps] of a schedule with `total`, by options->spacing: whole
 * numbers, the noisiest first, strictly falling. 'steps' is from 1 to `total`. */
dm_status dmi_space_timesteps(dmi_host *host, const dm_sampler_options *options, int32_t total,
                              double *timesteps);

/* compatible.c, for diffusers_compatible: replaces the spaced levels where diffusers has others;
 * the network's time for timestep t of a grid; and replaces the final level. */
void dmi_compatible_levels(dm_sampler *sampler);
double dmi_compatible_time(const dm_sampler *sampler, double t);
void dmi_compatible_final_level(dm_sampler *sampler);

/* plan.c */
dm_status dmi_sampler_plan_allocate(dmi_host *host, dmi_sampler_plan *plan, int32_t steps,
                                    int32_t stages_max);
void dmi_sampler_plan_free(dmi_host *host, dmi_sampler_plan *plan);
/* The stages of the sampler's plan from step `first` on. */
void dmi_sampler_plan_stages(dm_sampler *sampler, int32_t first);
/* How the model's output is read at a stage. */
dmi_prediction_coefficients dmi_sampler_coefficients(const dm_sampler *sampler,
                                                     const dmi_stage *stage);

/* buffers.c: memory, the network's included, for batches of this many images; steps then allocate
 * nothing. */
dm_status dmi_sampler_reserve(dm_sampler *sampler, size_t images);
/* The network's part of it, which other users of the network may have replaced. */
dm_status dmi_sampler_reserve_model(dm_sampler *sampler, size_t images);
void dmi_sampler_release(dm_sampler *sampler);

#endif
