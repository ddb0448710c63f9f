// SPDX-License-Identifier: MIT
// The structs of diffusion.h, initialised by construction:
//
//     diffusion::unet_options o;
//     o.norm_groups = 8;
//
// Each derives from its C struct, whose members, ranges and defaults diffusion.h describes. Members
// that point to arrays or functions are replaced by spans, vectors and function objects of the same
// name, and their counts are filled in from them.
#ifndef DIFFUSION_OPTIONS_HPP
#define DIFFUSION_OPTIONS_HPP

#include <diffusion/callback.hpp>
#include <diffusion/enumerations.hpp>

namespace diffusion {
inline namespace DIFFUSION_ABI {
namespace detail {

template <class C, dm_status (*Init)(C *, std::size_t)> struct initialised : C {
    using c_type = C;
    initialised() noexcept : C() { Init(this, sizeof(C)); }

    /// The C struct.
    C &c() noexcept { return *this; }
    const C &c() const noexcept { return *this; }
};

} // namespace detail

/// Notes that are not errors: a log_level and a line of text.
using log_function = std::function<void(std::int32_t level, const char *message)>;

/// How a context computes. The function objects are kept until the context and all that was made in
/// it are gone. They may call nothing of the context. What `log` or `parallel_for` throws is thrown
/// again when the call of the library ends; in destructors it is dropped.
struct context_options : detail::initialised<dm_context_options, dm_context_options_init> {
    static constexpr const char *struct_name = "dm_context_options";
    log_function log;
    /// Replace malloc and free; set both or neither. Called by several threads where networks are
    /// shared. `allocate` returns null (or throws) if there is no memory.
    std::function<void *(std::size_t size)> allocate;
    std::function<void(void *pointer, std::size_t size)> release;
    /// Calls body(i) for i = 0 to count - 1 in any order on any threads, and returns when all have
    /// ended. Indices that it leaves out are done on the calling thread.
    std::function<void(std::int32_t count, const std::function<void(std::int32_t)> &body)>
        parallel_for;
};

struct schedule_options : detail::initialised<dm_schedule_options, dm_schedule_options_init> {
    static constexpr const char *struct_name = "dm_schedule_options";
};

struct unet_options : detail::initialised<dm_unet_options, dm_unet_options_init> {
    static constexpr const char *struct_name = "dm_unet_options";
    unet_options() = default;
    /// The defaults with the changes of a preset::value.
    explicit unet_options(preset::value which) noexcept {
        dm_unet_options_preset(this, sizeof(c_type), which);
    }
};

/// What a file of diffusers may leave open.
struct diffusers_options : detail::initialised<dm_diffusers_options, dm_diffusers_options_init> {
    static constexpr const char *struct_name = "dm_diffusers_options";
};

struct trainer_options : detail::initialised<dm_trainer_options, dm_trainer_options_init> {
    static constexpr const char *struct_name = "dm_trainer_options";
};

/// `custom_times` or `custom_sigmas` replace spacing, grid and steps. custom_count is filled in.
struct sampler_options : detail::initialised<dm_sampler_options, dm_sampler_options_init> {
    static constexpr const char *struct_name = "dm_sampler_options";
    std::vector<double> custom_times;  ///< in [0, T-1], strictly falling
    std::vector<double> custom_sigmas; ///< above 0, strictly falling
};

struct evaluation_options : detail::initialised<dm_evaluation_options, dm_evaluation_options_init> {
    static constexpr const char *struct_name = "dm_evaluation_options";
};

struct image_grid_options : detail::initialised<dm_image_grid_options, dm_image_grid_options_init> {
    static constexpr const char *struct_name = "dm_image_grid_options";
};

struct image_animation : detail::initialised<dm_image_animation, dm_image_animation_init> {
    static constexpr const char *struct_name = "dm_image_animation";
};

/* ---- structs that the library fills ---- */

struct profile_row : detail::initialised<dm_profile_row, dm_profile_row_init> {};
struct dataset_info : detail::initialised<dm_dataset_info, dm_dataset_info_init> {};
struct train_stats : detail::initialised<dm_train_stats, dm_train_stats_init> {};
struct checkpoint_info : detail::initialised<dm_checkpoint_info, dm_checkpoint_info_init> {};
struct evaluation : detail::initialised<dm_evaluation, dm_evaluation_init> {};
struct member_info : detail::initialised<dm_member_info, dm_member_info_init> {};

/* ---- structs that callbacks receive ---- */

/// One image to be filled in: write `pixels` [height, width, channels] and set `label` (-1: none).
/// The conditions are empty where the dataset has none.
struct dataset_item : detail::initialised<dm_dataset_item, dm_dataset_item_init> {
    span<std::uint8_t> pixels;
    span<std::uint8_t> condition_image; ///< [height, width, condition_channels], to be written
    span<float> condition_vector;       ///< [condition_size], to be written
};

/// The state of a run after a step, for images first to first + count - 1 of the request.
struct sampler_progress : detail::initialised<dm_sampler_progress, dm_sampler_progress_init> {
    span<const float> x_t; ///< [count, height, width, channels], after the step
    span<const float> x_0; ///< the same shape, predicted by the step's last model evaluation
};

struct noise_request : detail::initialised<dm_noise_request, dm_noise_request_init> {};

/// The inputs of a model of yours. With guidance `count` is twice the number of images: the
/// conditional ones first, then the same images with label -1.
struct denoiser_input : detail::initialised<dm_denoiser_input, dm_denoiser_input_init> {
    span<const float> x;                ///< [count, height, width, channels]
    span<const std::int32_t> labels;    ///< [count], -1 for no class; empty if the request has none
    span<const float> condition_image;  ///< [count, height, width, condition_channels], or empty
    span<const float> condition_vector; ///< [count, condition_size], or empty
};

/// The predictions of one model evaluation, for images first to first + count - 1 of the request.
/// A guidance may write to x_0 and eps, and set `rederive`.
struct guidance_step : detail::initialised<dm_guidance_step, dm_guidance_step_init> {
    span<const float> x;             ///< [count, height, width, channels]
    span<const std::int32_t> labels; ///< [count], -1 for no class; empty if the request has none
    span<double> x_0;                ///< like x; not clipped yet
    span<double> eps;                ///< like x
};

/* ---- structs with callbacks or arrays that the library receives ---- */

/// Images that a callback provides. `read` writes one image. `prefetch` is told which images it
/// will be asked for next, in that order; it should return at once, and may not use the context.
/// What it throws is thrown again when the call of the library ends. Both are kept by the dataset.
struct dataset_callback : detail::initialised<dm_dataset_callback, dm_dataset_callback_init> {
    callback<dataset_item &> read;
    std::function<void(span<const std::uint64_t> indices)> prefetch;
    std::vector<std::string> class_names; ///< [classes]; empty: none
};

/// Images for trainer::step_batch. `count` is batch_size * accumulation of the trainer.
struct train_batch : detail::initialised<dm_train_batch, dm_train_batch_init> {
    span<const float> images;           ///< [count, height, width, channels] in [-1, 1]
    span<const float> noise;            ///< like images; empty: generated
    span<const std::int32_t> labels;    ///< [count]; empty: none
    span<const std::int32_t> timesteps; ///< [count], 0 to T-1; empty: sampled
    span<const float> condition_image;  ///< [count, height, width, condition_channels]; empty: 0
    span<const float> condition_vector; ///< [count, condition_size]; empty: zeros
};

/// A model of yours in place of a unet. `evaluate` writes the model's output, of the shape of
/// input.x; it is kept by the sampler.
struct denoiser : detail::initialised<dm_denoiser, dm_denoiser_init> {
    callback<const denoiser_input &, span<float>> evaluate;
};

/// What to sample. The arrays are the request's own; an empty one is the default.
struct sampler_request : detail::initialised<dm_sampler_request, dm_sampler_request_init> {
    static constexpr const char *struct_name = "dm_sampler_request";
    std::vector<std::uint64_t> seeds;    ///< [count], in place of seed + i
    std::vector<std::int32_t> labels;    ///< [count], -1 for no class
    std::vector<float> initial_noise;    ///< [count, h, w, c], in place of generated noise
    std::vector<float> image;            ///< [count, h, w, c] in [-1, 1]
    std::vector<float> mask;             ///< [count, h, w] in [0, 1]: 1: sampled, 0: kept
    std::vector<float> condition_image;  ///< [count, h, w, condition_channels]; empty: zeros
    std::vector<float> condition_vector; ///< [count, condition_size]; empty: zeros
    /// Writes noise [count, elements] in place of the library's.
    callback<const noise_request &, span<float>> noise;
    /// Called after each step.
    callback<const sampler_progress &> progress;
    /// Called at each model evaluation. It may use a share of the network in another context.
    callback<guidance_step &> guide;
};

namespace detail {

/// The C struct, which refers to the lists of `from`.
inline dm_sampler_options c_options(const sampler_options &from) noexcept {
    dm_sampler_options c = from.c();
    c.custom_times = from.custom_times.empty() ? nullptr : from.custom_times.data();
    c.custom_sigmas = from.custom_sigmas.empty() ? nullptr : from.custom_sigmas.data();
    if (c.custom_times) c.custom_count = from.custom_times.size();
    else if (c.custom_sigmas) c.custom_count = from.custom_sigmas.size();
    /* two lists are refused; of unequal length, neither must be read past its end */
    if (c.custom_times && c.custom_sigmas && from.custom_sigmas.size() < c.custom_count)
        c.custom_count = from.custom_sigmas.size();
    return c;
}

} // namespace detail

} // namespace DIFFUSION_ABI
} // namespace diffusion

#endif
