/* SPDX-License-Identifier: MIT */
/* The public enumerations by name: every enumerator of the header, with one line of help. */
#include "core/enums.h"

#include <string.h>

#include "diffusion.h"

/* clang-format off */
static const dmi_enum_value status[] = {
    {DM_OK, "ok", "success"},
    {DM_ERROR_INVALID_ARGUMENT, "invalid_argument", "invalid argument"},
    {DM_ERROR_OUT_OF_MEMORY, "out_of_memory", "out of memory"},
    {DM_ERROR_LIMIT_EXCEEDED, "limit_exceeded", "memory limit exceeded"},
    {DM_ERROR_IO, "io", "input or output failed"},
    {DM_ERROR_BAD_FORMAT, "bad_format", "bad file format"},
    {DM_ERROR_UNSUPPORTED_VERSION, "unsupported_version", "unsupported version"},
    {DM_ERROR_CHECKSUM, "checksum", "checksum does not match"},
    {DM_ERROR_SHAPE_MISMATCH, "shape_mismatch", "shapes do not match"},
    {DM_ERROR_NOT_FOUND, "not_found", "not found"},
    {DM_ERROR_WRONG_STATE, "wrong_state", "wrong state for this call"},
    {DM_ERROR_UNSUPPORTED, "unsupported", "not supported by this build"},
    {DM_ERROR_CANCELLED, "cancelled", "cancelled"},
    {DM_ERROR_NOT_FINITE, "not_finite", "a value is not finite"},
    {DM_ERROR_THREAD, "thread", "a thread could not be started"},
    {DM_ERROR_CALLBACK_FAILED, "callback_failed", "a callback failed"},
    {DM_ERROR_INTERNAL, "internal", "internal error; please report it"},
};
static const dmi_enum_value member_type[] = {
    {DM_TYPE_I32, "i32", "int32_t"},
    {DM_TYPE_U32, "u32", "uint32_t"},
    {DM_TYPE_I64, "i64", "int64_t"},
    {DM_TYPE_U64, "u64", "uint64_t"},
    {DM_TYPE_F32, "f32", "float"},
    {DM_TYPE_F64, "f64", "double"},
    {DM_TYPE_CHAR, "char", "an array of char that holds a string"},
    {DM_TYPE_STRING, "string", "const char *"},
    {DM_TYPE_POINTER, "pointer", "any other pointer to data"},
    {DM_TYPE_FUNCTION, "function", "a pointer to a function"},
};
static const dmi_enum_value log_level[] = {
    {DM_LOG_INFO, "info", "a note"},
    {DM_LOG_WARNING, "warning", "something that may not be intended"},
};
static const dmi_enum_value schedule_kind[] = {
    {DM_SCHEDULE_LINEAR, "linear", "betas in equal steps (Ho et al. 2020)"},
    {DM_SCHEDULE_COSINE, "cosine", "squared cosine of alpha_cumprod (Nichol and Dhariwal 2021)"},
    {DM_SCHEDULE_SCALED_LINEAR, "scaled_linear",
     "square roots of betas in equal steps (Rombach et al. 2022)"},
    {DM_SCHEDULE_SIGMOID, "sigmoid", "betas on a sigmoid (Xu et al. 2022)"},
    {DM_SCHEDULE_FLOW, "flow", "straight line from image to noise (Lipman et al. 2023)"},
    {DM_SCHEDULE_EDM, "edm", "sigma on a power law (Karras et al. 2022)"},
    {DM_SCHEDULE_CUSTOM, "custom", "betas supplied by the caller"},
};
static const dmi_enum_value series[] = {
    {DM_SERIES_BETA, "beta", "beta"},
    {DM_SERIES_ALPHA, "alpha", "1 - beta"},
    {DM_SERIES_ALPHA_CUMPROD, "alpha_cumprod", "product of alpha up to t"},
    {DM_SERIES_ALPHA_CUMPROD_PREV, "alpha_cumprod_prev", "product of alpha up to t - 1"},
    {DM_SERIES_SQRT_ALPHA_CUMPROD, "sqrt_alpha_cumprod", "square root of alpha_cumprod"},
    {DM_SERIES_SQRT_ONE_MINUS_ALPHA_CUMPROD, "sqrt_one_minus_alpha_cumprod",
     "square root of 1 - alpha_cumprod"},
    {DM_SERIES_POSTERIOR_VARIANCE, "posterior_variance", "variance of q(x_(t-1) | x_t, x_0)"},
    {DM_SERIES_POSTERIOR_LOG_VARIANCE, "posterior_log_variance", "its logarithm"},
    {DM_SERIES_POSTERIOR_MEAN_X0, "posterior_mean_x0", "factor of x_0 in the posterior's mean"},
    {DM_SERIES_POSTERIOR_MEAN_XT, "posterior_mean_xt", "factor of x_t in the posterior's mean"},
    {DM_SERIES_SNR, "snr", "signal-to-noise ratio"},
    {DM_SERIES_SIGMA, "sigma", "noise / signal"},
    {DM_SERIES_SIGNAL, "signal", "factor of x_0 in x_t"},
    {DM_SERIES_NOISE, "noise", "factor of eps in x_t"},
    {DM_SERIES_TIME, "time", "time input of the network"},
};
static const dmi_enum_value preset[] = {
    {DM_PRESET_TINY, "tiny", "1.1 million parameters, for trying things out"},
    {DM_PRESET_SMALL, "small", "base width 64"},
    {DM_PRESET_DDPM_CIFAR10, "ddpm_cifar10",
     "the CIFAR-10 network of Ho et al. (2020), 35.7 million parameters"},
    {DM_PRESET_RECIPE_64, "recipe_64", "blocks by recipe for 64x64 pixels and 1000 classes"},
    {DM_PRESET_RECIPE_32, "recipe_32", "the same for 32x32 pixels and 10 classes"},
};
static const dmi_enum_value prediction[] = {
    {DM_PREDICT_ANY, "any", "any of the others"},
    {DM_PREDICT_EPS, "eps", "the noise"},
    {DM_PREDICT_X0, "x0", "the clean image"},
    {DM_PREDICT_V, "v", "velocity of the cosine path (Salimans and Ho 2022)"},
    {DM_PREDICT_FLOW, "flow", "velocity of the straight path (Lipman et al. 2023)"},
    {DM_PREDICT_EDM, "edm", "preconditioned output (Karras et al. 2022)"},
    {DM_PREDICT_CONSISTENCY, "consistency", "consistency function (Song et al. 2023)"},
};
static const dmi_enum_value time_embedding[] = {
    {DM_TIME_ADD, "add", "added after the first convolution"},
    {DM_TIME_SCALE_SHIFT, "scale_shift", "scale and shift of the second norm"},
    {DM_TIME_ADD_OUTPUT, "add_output", "added to the block's output"},
};
static const dmi_enum_value padding[] = {
    {DM_PAD_BOTTOM_RIGHT, "bottom_right", "one row below and one column at the right"},
    {DM_PAD_ALL, "all", "one row and column on all sides"},
};
static const dmi_enum_value resample[] = {
    {DM_RESAMPLE_CONV, "conv", "a convolution"},
    {DM_RESAMPLE_RESNET, "resnet", "a residual block"},
    {DM_RESAMPLE_NONE, "none", "mean or nearest neighbour alone"},
    {DM_RESAMPLE_SKIP, "skip", "a level of NCSN++ (Song et al. 2021)"},
};
static const dmi_enum_value activation[] = {
    {DM_ACTIVATION_SILU, "silu", "x sigmoid(x)"},
    {DM_ACTIVATION_MISH, "mish", "x tanh(ln(1 + exp(x)))"},
    {DM_ACTIVATION_GELU, "gelu", "x times the normal distribution function of x"},
    {DM_ACTIVATION_RELU, "relu", "max(x, 0)"},
};
static const dmi_enum_value time_features[] = {
    {DM_TIME_SINUSOIDAL, "sinusoidal", "sines and cosines of the time"},
    {DM_TIME_FOURIER, "fourier", "random Fourier features of its logarithm (Song et al. 2021)"},
    {DM_TIME_LEARNED, "learned", "a row of a table"},
};
static const dmi_enum_value condition[] = {
    {DM_CONDITION_LINEAR, "linear", "through a linear layer"},
    {DM_CONDITION_IDENTITY, "identity", "as it is"},
    {DM_CONDITION_TIME, "time", "one number, embedded like the time"},
};
static const dmi_enum_value part[] = {
    {DM_PART_END, "end", "no further part"},
    {DM_PART_RESNET, "resnet", "wide residual block with weight standardisation"},
    {DM_PART_CONVNEXT, "convnext", "depthwise 7x7 and two 1x1 convolutions (Liu et al. 2022)"},
    {DM_PART_CLASS_ATTENTION, "class_attention", "channels mixed by an attention of the class"},
    {DM_PART_ATTENTION, "attention", "self-attention in windows"},
    {DM_PART_CHANNEL_ATTENTION, "channel_attention", "gates of channels (Wang et al. 2020)"},
};
static const dmi_enum_value precision[] = {
    {DM_PRECISION_F32, "f32", "float32"},
    {DM_PRECISION_F16, "f16", "float16, to 65504"},
    {DM_PRECISION_BF16, "bf16", "bfloat16"},
};
static const dmi_enum_value initialization[] = {
    {DM_INITIALIZATION_DDPM, "ddpm", "variance scaling (Ho et al. 2020)"},
    {DM_INITIALIZATION_TORCH, "torch", "PyTorch's default, from its generator"},
};
static const dmi_enum_value weights[] = {
    {DM_WEIGHTS_DEFAULT, "default", "the first EMA where there is one, else the trained weights"},
    {DM_WEIGHTS_TRAINED, "trained", "the weights after the last training step"},
    {DM_WEIGHTS_EMA, "ema", "the first EMA"},
    {DM_WEIGHTS_EMA + 1, "ema_1", "the second EMA"},
    {DM_WEIGHTS_EMA + 2, "ema_2", "the third EMA"},
    {DM_WEIGHTS_EMA + 3, "ema_3", "the fourth EMA"},
};
static const dmi_enum_value split[] = {
    {DM_SPLIT_TRAIN, "train", "images for training"},
    {DM_SPLIT_TEST, "test", "images for evaluation"},
};
static const dmi_enum_value rate_schedule[] = {
    {DM_RATE_CONSTANT, "constant", "the rate stays"},
    {DM_RATE_LINEAR, "linear", "the rate falls linearly"},
    {DM_RATE_COSINE, "cosine", "the rate falls along a cosine"},
};
static const dmi_enum_value recompute[] = {
    {DM_RECOMPUTE_NONE, "none", "everything is kept for backward"},
    {DM_RECOMPUTE_SELECTIVE, "selective", "group norm, concatenation and dropout are recomputed"},
    {DM_RECOMPUTE_BLOCKS, "blocks", "residual and attention blocks are recomputed"},
};
static const dmi_enum_value timestep_sampling[] = {
    {DM_TIMESTEPS_UNIFORM, "uniform", "all timesteps equally likely"},
    {DM_TIMESTEPS_LOSS_AWARE, "loss_aware", "timesteps with larger losses more often"},
    {DM_TIMESTEPS_LOGIT_NORMAL, "logit_normal", "flow: logit-normal levels"},
    {DM_TIMESTEPS_LOG_NORMAL, "log_normal", "EDM: log-normal sigma"},
};
static const dmi_enum_value loss[] = {
    {DM_LOSS_MSE, "mse", "mean squared error"},
    {DM_LOSS_PSEUDO_HUBER, "pseudo_huber", "pseudo-Huber loss"},
    {DM_LOSS_HYBRID, "hybrid", "squared error and variational bound, for a learned variance"},
};
static const dmi_enum_value loss_weight[] = {
    {DM_LOSS_WEIGHT_SIMPLE, "simple", "1"},
    {DM_LOSS_WEIGHT_MIN_SNR, "min_snr", "min(SNR, gamma) on x_0 (Hang et al. 2023)"},
    {DM_LOSS_WEIGHT_P2, "p2", "1 / (k + SNR)^gamma on eps (Choi et al. 2022)"},
    {DM_LOSS_WEIGHT_BOUND, "bound", "weight of the variational bound"},
    {DM_LOSS_WEIGHT_TRUNCATED_SNR, "truncated_snr",
     "max(SNR, 1) of x_0, for distillation (Salimans and Ho 2022)"},
};
static const dmi_enum_value optimizer[] = {
    {DM_OPTIMIZER_ADAMW, "adamw", "Adam with decoupled weight decay"},
    {DM_OPTIMIZER_ADAM, "adam", "Adam with L2 regularisation"},
};
static const dmi_enum_value solver[] = {
    {DM_SOLVER_DDPM, "ddpm",
     "the original method, all timesteps; others are better below 100 steps"},
    {DM_SOLVER_DDIM, "ddim",
     "20 to 100 steps; a seed gives nearly the same image with any number of them"},
    {DM_SOLVER_PNDM, "pndm", "as plms with a more accurate start, which takes 9 more evaluations"},
    {DM_SOLVER_PLMS, "plms", "20 to 50 steps, deterministic; superseded by dpmpp"},
    {DM_SOLVER_EULER, "euler",
     "simple and robust, 20 to 50 steps; churn adds noise before each step"},
    {DM_SOLVER_EULER_ANCESTRAL, "euler_ancestral",
     "20 to 50 steps with fresh noise; does not converge to one image"},
    {DM_SOLVER_HEUN, "heun", "EDM's, accurate; 18 steps take 35 evaluations"},
    {DM_SOLVER_DPM2, "dpm2", "as heun, by the midpoint rule"},
    {DM_SOLVER_LMS, "lms", "20 to 50 steps, deterministic; dpmpp is more robust"},
    {DM_SOLVER_DPMPP, "dpmpp", "few steps, 10 to 25; order 2 with guidance, 3 without"},
    {DM_SOLVER_DPMPP_SINGLE, "dpmpp_single",
     "as dpmpp without guidance, restarted in each group of steps"},
    {DM_SOLVER_DPMPP_SDE, "dpmpp_sde",
     "as dpmpp with fresh noise, 20 to 50 steps; does not converge to one image"},
    {DM_SOLVER_UNIPC, "unipc", "the fewest steps, 5 to 15"},
    {DM_SOLVER_DEIS, "deis", "few steps, 10 to 25; close to dpmpp"},
    {DM_SOLVER_FLOW_EULER, "flow_euler", "networks on the flow schedule, 20 to 50 steps"},
    {DM_SOLVER_FLOW_HEUN, "flow_heun",
     "networks on the flow schedule; more accurate, twice the evaluations"},
    {DM_SOLVER_CONSISTENCY, "consistency", "consistency models, 1 or 2 steps"},
};
static const dmi_enum_value spacing[] = {
    {DM_SPACING_AUTO, "auto", "the solver's own"},
    {DM_SPACING_LEADING, "leading", "multiples of T / steps"},
    {DM_SPACING_TRAILING, "trailing", "equal steps from T - 1"},
    {DM_SPACING_LINSPACE, "linspace", "equally spaced from T - 1 to 0"},
    {DM_SPACING_LINSPACE_INNER, "linspace_inner", "linspace of steps + 1, without the last"},
    {DM_SPACING_LEADING_INNER, "leading_inner", "leading of steps + 1, without the last"},
};
static const dmi_enum_value variance[] = {
    {DM_VARIANCE_AUTO, "auto", "learned if there is one, else by the number of steps"},
    {DM_VARIANCE_FIXED_SMALL, "fixed_small", "the posterior's variance"},
    {DM_VARIANCE_FIXED_LARGE, "fixed_large", "beta"},
    {DM_VARIANCE_LEARNED, "learned", "interpolated by the network"},
};
static const dmi_enum_value grid[] = {
    {DM_GRID_AUTO, "auto", "the solver's own"},
    {DM_GRID_TIMESTEPS, "timesteps", "sigma of the spaced timesteps"},
    {DM_GRID_KARRAS, "karras", "sigma^(1/rho) in equal steps"},
    {DM_GRID_EXPONENTIAL, "exponential", "log sigma in equal steps"},
};
static const dmi_enum_value random[] = {
    {DM_RANDOM_PHILOX, "philox", "Philox 4x32-10"},
    {DM_RANDOM_TORCH, "torch", "PyTorch's CPU generator"},
};

#define ENUM(name) {"dm_" #name, (name), sizeof(name) / sizeof *(name)}
static const dmi_enum enums[] = {
    ENUM(status), ENUM(member_type), ENUM(log_level), ENUM(schedule_kind), ENUM(series),
    ENUM(preset), ENUM(prediction), ENUM(time_embedding), ENUM(padding), ENUM(weights),
    ENUM(split), ENUM(rate_schedule), ENUM(recompute), ENUM(timestep_sampling), ENUM(loss),
    ENUM(loss_weight), ENUM(optimizer), ENUM(solver), ENUM(spacing), ENUM(variance), ENUM(grid),
    ENUM(random), ENUM(resample), ENUM(activation), ENUM(time_features), ENUM(condition),
    ENUM(part), ENUM(initialization), ENUM(precision),
};
/* clang-format on */
enum { ENUM_COUNT = sizeof enums / sizeof *enums };

int32_t dmi_enum_total(void) { return ENUM_COUNT; }

const dmi_enum *dmi_enum_at(int32_t index) {
    return index >= 0 && index < ENUM_COUNT ? &enums[index] : NULL;
}

const dmi_enum *dmi_enum_find(const char *name) {
    for (int32_t i = 0; name && i < ENUM_COUNT; i++)
        if (strcmp(enums[i].name, name) == 0) return &enums[i];
    return NULL;
}

const dmi_enum_value *dmi_enum_find_value(const dmi_enum *of, int32_t value) {
    for (int32_t i = 0; of && i < of->count; i++)
        if (of->values[i].value == value) return &of->values[i];
    return NULL;
}

const dmi_enum_value *dmi_enum_find_name(const dmi_enum *of, const char *name) {
    for (int32_t i = 0; of && name && i < of->count; i++)
        if (strcmp(of->values[i].name, name) == 0) return &of->values[i];
    return NULL;
}

const char *dmi_enum_text(const char *enumeration, int32_t value) {
    const dmi_enum_value *found = dmi_enum_find_value(dmi_enum_find(enumeration), value);
    return found ? found->name : "unknown";
}
