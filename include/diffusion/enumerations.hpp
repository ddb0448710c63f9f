// SPDX-License-Identifier: MIT
// The enumerations of diffusion.h, one namespace each: DM_SOLVER_DDIM is solver::ddim. Values
// convert to int32_t, the type of the members that take them. A name that is a keyword of C++ ends
// with _, as in spacing::auto_. diffusion.h and enum_help say what each value does.
#ifndef DIFFUSION_ENUMERATIONS_HPP
#define DIFFUSION_ENUMERATIONS_HPP

#include <diffusion.h>
#include <diffusion/span.hpp>

namespace diffusion {
inline namespace DIFFUSION_ABI {

/// Sizes of array members: levels of a network, EMAs of a trainer.
inline constexpr int levels_max = DM_LEVELS_MAX;
inline constexpr int ema_max = DM_EMA_MAX;

/// The type of a member of a struct.
namespace member_type {
enum value : dm_member_type {
    i32 = DM_TYPE_I32,
    u32 = DM_TYPE_U32,
    i64 = DM_TYPE_I64,
    u64 = DM_TYPE_U64,
    f32 = DM_TYPE_F32,
    f64 = DM_TYPE_F64,
    char_ = DM_TYPE_CHAR,
    string = DM_TYPE_STRING,
    pointer = DM_TYPE_POINTER,
    function = DM_TYPE_FUNCTION
};
} // namespace member_type

/// How serious a note is.
namespace log_level {
enum value : dm_log_level { info = DM_LOG_INFO, warning = DM_LOG_WARNING };
} // namespace log_level

/// How noise grows with the timestep.
namespace schedule_kind {
enum value : dm_schedule_kind {
    linear = DM_SCHEDULE_LINEAR,
    cosine = DM_SCHEDULE_COSINE,
    scaled_linear = DM_SCHEDULE_SCALED_LINEAR,
    sigmoid = DM_SCHEDULE_SIGMOID,
    flow = DM_SCHEDULE_FLOW,
    edm = DM_SCHEDULE_EDM,
    custom = DM_SCHEDULE_CUSTOM
};
} // namespace schedule_kind

/// Series of T values of a schedule.
namespace series {
enum value : dm_series {
    beta = DM_SERIES_BETA,
    alpha = DM_SERIES_ALPHA,
    alpha_cumprod = DM_SERIES_ALPHA_CUMPROD,
    alpha_cumprod_prev = DM_SERIES_ALPHA_CUMPROD_PREV,
    sqrt_alpha_cumprod = DM_SERIES_SQRT_ALPHA_CUMPROD,
    sqrt_one_minus_alpha_cumprod = DM_SERIES_SQRT_ONE_MINUS_ALPHA_CUMPROD,
    posterior_variance = DM_SERIES_POSTERIOR_VARIANCE,
    posterior_log_variance = DM_SERIES_POSTERIOR_LOG_VARIANCE,
    posterior_mean_x0 = DM_SERIES_POSTERIOR_MEAN_X0,
    posterior_mean_xt = DM_SERIES_POSTERIOR_MEAN_XT,
    snr = DM_SERIES_SNR,
    sigma = DM_SERIES_SIGMA,
    signal = DM_SERIES_SIGNAL,
    noise = DM_SERIES_NOISE,
    time = DM_SERIES_TIME
};
} // namespace series

/// Networks by name.
namespace preset {
enum value : dm_preset {
    tiny = DM_PRESET_TINY,
    small = DM_PRESET_SMALL,
    ddpm_cifar10 = DM_PRESET_DDPM_CIFAR10,
    recipe_64 = DM_PRESET_RECIPE_64,
    recipe_32 = DM_PRESET_RECIPE_32
};
} // namespace preset

/// What the model predicts.
namespace prediction {
enum value : dm_prediction {
    any = DM_PREDICT_ANY,
    eps = DM_PREDICT_EPS,
    x0 = DM_PREDICT_X0,
    v = DM_PREDICT_V,
    flow = DM_PREDICT_FLOW,
    edm = DM_PREDICT_EDM,
    consistency = DM_PREDICT_CONSISTENCY
};
} // namespace prediction

/// Where the time embedding enters a residual block.
namespace time_embedding {
enum value : dm_time_embedding {
    add = DM_TIME_ADD,
    scale_shift = DM_TIME_SCALE_SHIFT,
    add_output = DM_TIME_ADD_OUTPUT
};
} // namespace time_embedding

/// How a 3x3 convolution of stride 2 pads its input.
namespace padding {
enum value : dm_padding { bottom_right = DM_PAD_BOTTOM_RIGHT, all = DM_PAD_ALL };
} // namespace padding

/// How a level of the network halves or doubles the size.
namespace resample {
enum value : dm_resample {
    conv = DM_RESAMPLE_CONV,
    resnet = DM_RESAMPLE_RESNET,
    none = DM_RESAMPLE_NONE,
    skip = DM_RESAMPLE_SKIP
};
} // namespace resample

/// The activation function of residual blocks.
namespace activation {
enum value : dm_activation {
    silu = DM_ACTIVATION_SILU,
    mish = DM_ACTIVATION_MISH,
    gelu = DM_ACTIVATION_GELU,
    relu = DM_ACTIVATION_RELU
};
} // namespace activation

/// What the embedding of the time begins with.
namespace time_features {
enum value : dm_time_features {
    sinusoidal = DM_TIME_SINUSOIDAL,
    fourier = DM_TIME_FOURIER,
    learned = DM_TIME_LEARNED
};
} // namespace time_features

/// How a condition vector enters the embedding of the time.
namespace condition {
enum value : dm_condition {
    linear = DM_CONDITION_LINEAR,
    identity = DM_CONDITION_IDENTITY,
    time = DM_CONDITION_TIME
};
} // namespace condition

/// A part of a block that is built by recipe.
namespace part {
enum value : dm_part {
    end = DM_PART_END,
    resnet = DM_PART_RESNET,
    convnext = DM_PART_CONVNEXT,
    class_attention = DM_PART_CLASS_ATTENTION,
    attention = DM_PART_ATTENTION,
    channel_attention = DM_PART_CHANNEL_ATTENTION
};
} // namespace part

/// How the weights of a network begin.
namespace initialization {
enum value : dm_initialization { ddpm = DM_INITIALIZATION_DDPM, torch = DM_INITIALIZATION_TORCH };
} // namespace initialization

/// How a file holds weights.
namespace precision {
enum value : dm_precision {
    f32 = DM_PRECISION_F32,
    f16 = DM_PRECISION_F16,
    bf16 = DM_PRECISION_BF16
};
} // namespace precision

/// Which of a file's weights to load; ema + i is the EMA of index i, 0 to 3.
namespace weights {
enum value : dm_weights {
    default_ = DM_WEIGHTS_DEFAULT,
    trained = DM_WEIGHTS_TRAINED,
    ema = DM_WEIGHTS_EMA
};
} // namespace weights

/// The parts of CIFAR-10.
namespace split {
enum value : dm_split { train = DM_SPLIT_TRAIN, test = DM_SPLIT_TEST };
} // namespace split

/// The learning rate over the steps.
namespace rate_schedule {
enum value : dm_rate_schedule {
    constant = DM_RATE_CONSTANT,
    linear = DM_RATE_LINEAR,
    cosine = DM_RATE_COSINE
};
} // namespace rate_schedule

/// Gradient checkpointing.
namespace recompute {
enum value : dm_recompute {
    none = DM_RECOMPUTE_NONE,
    selective = DM_RECOMPUTE_SELECTIVE,
    blocks = DM_RECOMPUTE_BLOCKS
};
} // namespace recompute

/// The distribution of the noise levels that are trained on.
namespace timestep_sampling {
enum value : dm_timestep_sampling {
    uniform = DM_TIMESTEPS_UNIFORM,
    loss_aware = DM_TIMESTEPS_LOSS_AWARE,
    logit_normal = DM_TIMESTEPS_LOGIT_NORMAL,
    log_normal = DM_TIMESTEPS_LOG_NORMAL
};
} // namespace timestep_sampling

/// The loss of one element.
namespace loss {
enum value : dm_loss {
    mse = DM_LOSS_MSE,
    pseudo_huber = DM_LOSS_PSEUDO_HUBER,
    hybrid = DM_LOSS_HYBRID
};
} // namespace loss

/// The weight of an image's loss.
namespace loss_weight {
enum value : dm_loss_weight {
    simple = DM_LOSS_WEIGHT_SIMPLE,
    min_snr = DM_LOSS_WEIGHT_MIN_SNR,
    p2 = DM_LOSS_WEIGHT_P2,
    bound = DM_LOSS_WEIGHT_BOUND,
    truncated_snr = DM_LOSS_WEIGHT_TRUNCATED_SNR
};
} // namespace loss_weight

/// How weight_decay is applied.
namespace optimizer {
enum value : dm_optimizer { adamw = DM_OPTIMIZER_ADAMW, adam = DM_OPTIMIZER_ADAM };
} // namespace optimizer

/// How a sampler goes from one noise level to the next; see enum_help and docs/solvers.md.
namespace solver {
enum value : dm_solver {
    ddpm = DM_SOLVER_DDPM,
    ddim = DM_SOLVER_DDIM,
    pndm = DM_SOLVER_PNDM,
    plms = DM_SOLVER_PLMS,
    euler = DM_SOLVER_EULER,
    euler_ancestral = DM_SOLVER_EULER_ANCESTRAL,
    heun = DM_SOLVER_HEUN,
    dpm2 = DM_SOLVER_DPM2,
    lms = DM_SOLVER_LMS,
    dpmpp = DM_SOLVER_DPMPP,
    dpmpp_single = DM_SOLVER_DPMPP_SINGLE,
    dpmpp_sde = DM_SOLVER_DPMPP_SDE,
    unipc = DM_SOLVER_UNIPC,
    deis = DM_SOLVER_DEIS,
    flow_euler = DM_SOLVER_FLOW_EULER,
    flow_heun = DM_SOLVER_FLOW_HEUN,
    consistency = DM_SOLVER_CONSISTENCY
};
} // namespace solver

/// Which of the T timesteps are visited.
namespace spacing {
enum value : dm_spacing {
    auto_ = DM_SPACING_AUTO,
    leading = DM_SPACING_LEADING,
    trailing = DM_SPACING_TRAILING,
    linspace = DM_SPACING_LINSPACE,
    linspace_inner = DM_SPACING_LINSPACE_INNER,
    leading_inner = DM_SPACING_LEADING_INNER
};
} // namespace spacing

/// The variance of DDPM's steps.
namespace variance {
enum value : dm_variance {
    auto_ = DM_VARIANCE_AUTO,
    fixed_small = DM_VARIANCE_FIXED_SMALL,
    fixed_large = DM_VARIANCE_FIXED_LARGE,
    learned = DM_VARIANCE_LEARNED
};
} // namespace variance

/// How sigma is spaced.
namespace grid {
enum value : dm_grid {
    auto_ = DM_GRID_AUTO,
    timesteps = DM_GRID_TIMESTEPS,
    karras = DM_GRID_KARRAS,
    exponential = DM_GRID_EXPONENTIAL
};
} // namespace grid

/// The source of random numbers.
namespace random {
enum value : dm_random { philox = DM_RANDOM_PHILOX, torch = DM_RANDOM_TORCH };
} // namespace random

} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
