/* SPDX-License-Identifier: MIT */
/* The schedulers of diffusers that have a solver here, with the keys that each of them has. */
#include <string.h>

#include "diffusion/diffusers.h"

enum {
    BY_SIGMA = DMI_HAS_SPACING | DMI_HAS_GRIDS,
    BY_LAMBDA = DMI_HAS_THRESHOLD | DMI_HAS_GRIDS | DMI_HAS_ORDER | DMI_HAS_FLOW,
    INNER = DMI_HAS_SPACING | DMI_INNER_SPACING
};

/* clang-format off */
static const dmi_diffusers_scheduler classes[] = {
    {"DDPMScheduler", DM_SOLVER_DDPM,
     DMI_HAS_CLIP | DMI_CLIPS_DEFAULT | DMI_HAS_THRESHOLD | DMI_HAS_SPACING | DMI_HAS_ZERO_SNR |
         DMI_HAS_VARIANCE | DMI_HAS_SIGMOID,
     1e-4, 0.02, "leading"},
    {"DDIMScheduler", DM_SOLVER_DDIM,
     DMI_HAS_CLIP | DMI_CLIPS_DEFAULT | DMI_HAS_THRESHOLD | DMI_HAS_SPACING | DMI_HAS_ZERO_SNR |
         DMI_HAS_ALPHA_ONE | DMI_ALPHA_ONE_DEFAULT,
     1e-4, 0.02, "leading"},
    {"PNDMScheduler", DM_SOLVER_PNDM, DMI_HAS_ALPHA_ONE | DMI_HAS_SPACING | DMI_LACKS_X0,
     1e-4, 0.02, "leading"},
    {"EulerDiscreteScheduler", DM_SOLVER_EULER, BY_SIGMA | DMI_HAS_ZERO_SNR | DMI_HAS_FINAL_SIGMAS,
     1e-4, 0.02, "linspace"},
    {"EulerAncestralDiscreteScheduler", DM_SOLVER_EULER_ANCESTRAL,
     DMI_HAS_SPACING | DMI_HAS_ZERO_SNR | DMI_LACKS_X0, 1e-4, 0.02, "linspace"},
    {"HeunDiscreteScheduler", DM_SOLVER_HEUN, BY_SIGMA | DMI_HAS_CLIP, 0.00085, 0.012, "linspace"},
    {"KDPM2DiscreteScheduler", DM_SOLVER_DPM2, BY_SIGMA | DMI_LACKS_X0, 0.00085, 0.012, "linspace"},
    {"LMSDiscreteScheduler", DM_SOLVER_LMS, BY_SIGMA, 1e-4, 0.02, "linspace"},
    {"DPMSolverMultistepScheduler", DM_SOLVER_DPMPP,
     BY_LAMBDA | INNER | DMI_LOWER_ORDER_DEFAULT | DMI_HAS_ZERO_SNR | DMI_HAS_FINAL_SIGMAS |
         DMI_HAS_VARIANCE,
     1e-4, 0.02, "linspace"},
    {"DPMSolverSinglestepScheduler", DM_SOLVER_DPMPP_SINGLE,
     BY_LAMBDA | DMI_INNER_SPACING | DMI_HAS_FINAL_SIGMAS | DMI_HAS_VARIANCE,
     1e-4, 0.02, "linspace"},
    {"DPMSolverSDEScheduler", DM_SOLVER_DPMPP_SDE, BY_SIGMA | DMI_LACKS_X0,
     0.00085, 0.012, "linspace"},
    {"UniPCMultistepScheduler", DM_SOLVER_UNIPC,
     BY_LAMBDA | INNER | DMI_LOWER_ORDER_DEFAULT | DMI_HAS_ZERO_SNR | DMI_HAS_FINAL_SIGMAS,
     1e-4, 0.02, "linspace"},
    {"DEISMultistepScheduler", DM_SOLVER_DEIS,
     BY_LAMBDA | INNER | DMI_LOWER_ORDER_DEFAULT | DMI_ENDS_AT_FIRST_LEVEL, 1e-4, 0.02, "linspace"},
    {"EDMEulerScheduler", DM_SOLVER_EULER, DMI_IS_EDM | DMI_HAS_FINAL_SIGMAS, 0, 0, "linspace"},
    {"EDMDPMSolverMultistepScheduler", DM_SOLVER_DPMPP,
     DMI_IS_EDM | DMI_HAS_FINAL_SIGMAS | DMI_HAS_ORDER | DMI_LOWER_ORDER_DEFAULT |
         DMI_HAS_THRESHOLD, 0, 0, "linspace"},
    {"CMStochasticIterativeScheduler", DM_SOLVER_CONSISTENCY, DMI_IS_CONSISTENCY, 0, 0, "trailing"},
    {"FlowMatchEulerDiscreteScheduler", DM_SOLVER_FLOW_EULER,
     DMI_IS_FLOW_MATCH | DMI_HAS_GRIDS, 0, 0, "linspace"},
};
/* clang-format on */
enum { CLASS_COUNT = sizeof classes / sizeof *classes };

const dmi_diffusers_scheduler *dmi_diffusers_find_class(const char *name) {
    for (int32_t i = 0; i < CLASS_COUNT; i++)
        if (!strcmp(classes[i].name, name)) return &classes[i];
    return NULL;
}

const dmi_diffusers_scheduler *dmi_diffusers_class_of(dm_solver solver, dm_schedule_kind kind) {
    bool is_edm = kind == DM_SCHEDULE_EDM, is_flow = kind == DM_SCHEDULE_FLOW;
    if (solver == DM_SOLVER_EULER && is_flow) solver = DM_SOLVER_FLOW_EULER;
    if (solver == DM_SOLVER_PLMS) solver = DM_SOLVER_PNDM;
    if (solver == DM_SOLVER_DPMPP_SDE) solver = DM_SOLVER_DPMPP;
    for (int32_t i = 0; i < CLASS_COUNT; i++) {
        bool fits = is_edm    ? (classes[i].has & (DMI_IS_EDM | DMI_IS_CONSISTENCY)) != 0
                    : is_flow ? (classes[i].has & (DMI_IS_FLOW_MATCH | DMI_HAS_FLOW)) != 0
                              : classes[i].beta_start > 0;
        if (classes[i].solver == solver && fits) return &classes[i];
    }
    return NULL;
}

void dmi_diffusers_ignore_keys(dmi_config *c) {
    static const char *const keys[] = {
        "algorithm_type",
        "base_image_seq_len",
        "base_shift",
        "beta_end",
        "beta_schedule",
        "beta_start",
        "clip_denoised",
        "clip_sample",
        "clip_sample_range",
        "disable_corrector",
        "euler_at_final",
        "final_sigmas_type",
        "dynamic_thresholding_ratio",
        "flow_shift",
        "interpolation_type",
        "invert_sigmas",
        "lambda_min_clipped",
        "lower_order_final",
        "max_image_seq_len",
        "max_shift",
        "noise_sampler_seed",
        "num_train_timesteps",
        "predict_x0",
        "prediction_type",
        "rescale_betas_zero_snr",
        "rho",
        "s_noise",
        "sample_max_value",
        "set_alpha_to_one",
        "shift",
        "shift_terminal",
        "sigma_data",
        "sigma_max",
        "sigma_min",
        "sigma_schedule",
        "skip_prk_steps",
        "solver_order",
        "solver_p",
        "solver_type",
        "steps_offset",
        "stochastic_sampling",
        "thresholding",
        "time_shift_type",
        "timestep_spacing",
        "timestep_type",
        "trained_betas",
        "use_beta_sigmas",
        "use_dynamic_shifting",
        "use_exponential_sigmas",
        "use_flow_sigmas",
        "use_karras_sigmas",
        "use_lu_lambdas",
        "variance_type",
    };
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) dmi_config_find(c, keys[i]);
}

const dmi_config_name dmi_diffusers_betas[] = {
    {"linear", DM_SCHEDULE_LINEAR},
    {"scaled_linear", DM_SCHEDULE_SCALED_LINEAR},
    {"squaredcos_cap_v2", DM_SCHEDULE_COSINE},
    {"sigmoid", DM_SCHEDULE_SIGMOID},
    {NULL, 0},
};
const dmi_config_name dmi_diffusers_predictions[] = {
    {"epsilon", DM_PREDICT_EPS},
    {"sample", DM_PREDICT_X0},
    {"v_prediction", DM_PREDICT_V},
    {"flow_prediction", DM_PREDICT_FLOW},
    {NULL, 0},
};
