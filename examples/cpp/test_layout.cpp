// SPDX-License-Identifier: MIT
// Names, enumerations and the layout of structs, compared with what the library reports at run
// time.
#include "tests.hpp"

#include <cstddef>
#include <cstring>

namespace {

struct member {
    const char *name;
    std::size_t offset, size;
};

struct layout {
    const char *name;
    std::size_t size;
    std::vector<member> members;
};

struct enumerator {
    const char *type;
    std::int32_t value;
    const char *name;
};

#define MEMBER(type, member)                                                                       \
    { #member, offsetof(type, member), sizeof(type::member) }
#define LAYOUT(type, ...)                                                                          \
    {                                                                                              \
#type, sizeof(type), { __VA_ARGS__ }                                                       \
    }

const std::vector<layout> layouts = {
    LAYOUT(dm_member_info, MEMBER(dm_member_info, struct_size), MEMBER(dm_member_info, type),
           MEMBER(dm_member_info, offset), MEMBER(dm_member_info, count),
           MEMBER(dm_member_info, element_size), MEMBER(dm_member_info, saved),
           MEMBER(dm_member_info, minimum), MEMBER(dm_member_info, maximum),
           MEMBER(dm_member_info, name), MEMBER(dm_member_info, enumeration),
           MEMBER(dm_member_info, default_text), MEMBER(dm_member_info, help)),
    LAYOUT(dm_context_options, MEMBER(dm_context_options, struct_size),
           MEMBER(dm_context_options, threads), MEMBER(dm_context_options, memory_limit),
           MEMBER(dm_context_options, profile), MEMBER(dm_context_options, large_pages),
           MEMBER(dm_context_options, allocate), MEMBER(dm_context_options, release),
           MEMBER(dm_context_options, allocator_user), MEMBER(dm_context_options, log),
           MEMBER(dm_context_options, log_user), MEMBER(dm_context_options, parallel_for),
           MEMBER(dm_context_options, parallel_user), MEMBER(dm_context_options, padding),
           MEMBER(dm_context_options, latency), MEMBER(dm_context_options, padding_last)),
    LAYOUT(dm_profile_row, MEMBER(dm_profile_row, struct_size), MEMBER(dm_profile_row, padding),
           MEMBER(dm_profile_row, operation), MEMBER(dm_profile_row, part),
           MEMBER(dm_profile_row, shape), MEMBER(dm_profile_row, calls),
           MEMBER(dm_profile_row, seconds), MEMBER(dm_profile_row, flop),
           MEMBER(dm_profile_row, bytes)),
    LAYOUT(dm_schedule_options, MEMBER(dm_schedule_options, struct_size),
           MEMBER(dm_schedule_options, kind), MEMBER(dm_schedule_options, timesteps),
           MEMBER(dm_schedule_options, zero_terminal_snr), MEMBER(dm_schedule_options, beta_start),
           MEMBER(dm_schedule_options, beta_end), MEMBER(dm_schedule_options, scale_betas),
           MEMBER(dm_schedule_options, padding), MEMBER(dm_schedule_options, flow_shift),
           MEMBER(dm_schedule_options, sigma_min), MEMBER(dm_schedule_options, sigma_max),
           MEMBER(dm_schedule_options, rho), MEMBER(dm_schedule_options, time_scale),
           MEMBER(dm_schedule_options, float32_tables),
           MEMBER(dm_schedule_options, terminal_signal)),
    LAYOUT(dm_unet_options, MEMBER(dm_unet_options, struct_size), MEMBER(dm_unet_options, height),
           MEMBER(dm_unet_options, width), MEMBER(dm_unet_options, in_channels),
           MEMBER(dm_unet_options, out_channels), MEMBER(dm_unet_options, levels),
           MEMBER(dm_unet_options, channels), MEMBER(dm_unet_options, blocks),
           MEMBER(dm_unet_options, attention), MEMBER(dm_unet_options, mid_attention),
           MEMBER(dm_unet_options, attention_head_size), MEMBER(dm_unet_options, norm_groups),
           MEMBER(dm_unet_options, norm_eps), MEMBER(dm_unet_options, dropout),
           MEMBER(dm_unet_options, time_embedding), MEMBER(dm_unet_options, time_channels),
           MEMBER(dm_unet_options, time_cos_first), MEMBER(dm_unet_options, time_frequency_shift),
           MEMBER(dm_unet_options, downsample_padding), MEMBER(dm_unet_options, classes),
           MEMBER(dm_unet_options, prediction), MEMBER(dm_unet_options, sigma_data),
           MEMBER(dm_unet_options, learned_variance), MEMBER(dm_unet_options, self_conditioning),
           MEMBER(dm_unet_options, padding), MEMBER(dm_unet_options, down_resample),
           MEMBER(dm_unet_options, up_resample), MEMBER(dm_unet_options, up_attention),
           MEMBER(dm_unet_options, mid_block), MEMBER(dm_unet_options, mid_scale),
           MEMBER(dm_unet_options, mid_norm_groups), MEMBER(dm_unet_options, activation),
           MEMBER(dm_unet_options, time_features), MEMBER(dm_unet_options, time_steps),
           MEMBER(dm_unet_options, center_input), MEMBER(dm_unet_options, null_row),
           MEMBER(dm_unet_options, condition_channels), MEMBER(dm_unet_options, condition_size),
           MEMBER(dm_unet_options, condition_embedding), MEMBER(dm_unet_options, recipe),
           MEMBER(dm_unet_options, attention_window), MEMBER(dm_unet_options, precision),
           MEMBER(dm_unet_options, padding_last)),
    LAYOUT(dm_tensor_info, MEMBER(dm_tensor_info, struct_size), MEMBER(dm_tensor_info, rank),
           MEMBER(dm_tensor_info, shape), MEMBER(dm_tensor_info, elements),
           MEMBER(dm_tensor_info, name), MEMBER(dm_tensor_info, padding)),
    LAYOUT(dm_unet_input, MEMBER(dm_unet_input, struct_size), MEMBER(dm_unet_input, padding),
           MEMBER(dm_unet_input, count), MEMBER(dm_unet_input, x_elements),
           MEMBER(dm_unet_input, time_count), MEMBER(dm_unet_input, label_count),
           MEMBER(dm_unet_input, x), MEMBER(dm_unet_input, times), MEMBER(dm_unet_input, labels),
           MEMBER(dm_unet_input, padding_pointer), MEMBER(dm_unet_input, condition_image_elements),
           MEMBER(dm_unet_input, condition_vector_elements), MEMBER(dm_unet_input, condition_image),
           MEMBER(dm_unet_input, condition_vector)),
    LAYOUT(dm_diffusers_options, MEMBER(dm_diffusers_options, struct_size),
           MEMBER(dm_diffusers_options, height), MEMBER(dm_diffusers_options, width),
           MEMBER(dm_diffusers_options, prediction), MEMBER(dm_diffusers_options, compatible),
           MEMBER(dm_diffusers_options, condition_channels)),
    LAYOUT(dm_dataset_info, MEMBER(dm_dataset_info, struct_size), MEMBER(dm_dataset_info, classes),
           MEMBER(dm_dataset_info, count), MEMBER(dm_dataset_info, height),
           MEMBER(dm_dataset_info, width), MEMBER(dm_dataset_info, channels),
           MEMBER(dm_dataset_info, padding), MEMBER(dm_dataset_info, fingerprint),
           MEMBER(dm_dataset_info, condition_channels), MEMBER(dm_dataset_info, condition_size),
           MEMBER(dm_dataset_info, vector_invariant), MEMBER(dm_dataset_info, padding_last)),
    LAYOUT(dm_dataset_memory, MEMBER(dm_dataset_memory, struct_size),
           MEMBER(dm_dataset_memory, copy), MEMBER(dm_dataset_memory, count),
           MEMBER(dm_dataset_memory, height), MEMBER(dm_dataset_memory, width),
           MEMBER(dm_dataset_memory, channels), MEMBER(dm_dataset_memory, padding),
           MEMBER(dm_dataset_memory, pixel_bytes), MEMBER(dm_dataset_memory, label_count),
           MEMBER(dm_dataset_memory, pixels), MEMBER(dm_dataset_memory, labels),
           MEMBER(dm_dataset_memory, condition_channels), MEMBER(dm_dataset_memory, condition_size),
           MEMBER(dm_dataset_memory, vector_invariant), MEMBER(dm_dataset_memory, padding_last),
           MEMBER(dm_dataset_memory, condition_image_bytes),
           MEMBER(dm_dataset_memory, condition_vector_elements),
           MEMBER(dm_dataset_memory, condition_images),
           MEMBER(dm_dataset_memory, condition_vectors),
           MEMBER(dm_dataset_memory, class_name_count), MEMBER(dm_dataset_memory, class_names),
           MEMBER(dm_dataset_memory, padding_pointer)),
    LAYOUT(dm_dataset_item, MEMBER(dm_dataset_item, struct_size), MEMBER(dm_dataset_item, label),
           MEMBER(dm_dataset_item, index), MEMBER(dm_dataset_item, pixel_bytes),
           MEMBER(dm_dataset_item, pixels), MEMBER(dm_dataset_item, padding),
           MEMBER(dm_dataset_item, condition_image_bytes),
           MEMBER(dm_dataset_item, condition_vector_elements),
           MEMBER(dm_dataset_item, condition_image), MEMBER(dm_dataset_item, condition_vector),
           MEMBER(dm_dataset_item, epoch)),
    LAYOUT(dm_dataset_callback, MEMBER(dm_dataset_callback, struct_size),
           MEMBER(dm_dataset_callback, classes), MEMBER(dm_dataset_callback, count),
           MEMBER(dm_dataset_callback, height), MEMBER(dm_dataset_callback, width),
           MEMBER(dm_dataset_callback, channels), MEMBER(dm_dataset_callback, padding),
           MEMBER(dm_dataset_callback, fingerprint), MEMBER(dm_dataset_callback, read),
           MEMBER(dm_dataset_callback, user), MEMBER(dm_dataset_callback, condition_channels),
           MEMBER(dm_dataset_callback, condition_size),
           MEMBER(dm_dataset_callback, vector_invariant), MEMBER(dm_dataset_callback, padding_last),
           MEMBER(dm_dataset_callback, class_name_count), MEMBER(dm_dataset_callback, class_names),
           MEMBER(dm_dataset_callback, prefetch)),
    LAYOUT(dm_trainer_options, MEMBER(dm_trainer_options, struct_size),
           MEMBER(dm_trainer_options, batch_size), MEMBER(dm_trainer_options, accumulation),
           MEMBER(dm_trainer_options, recompute), MEMBER(dm_trainer_options, seed),
           MEMBER(dm_trainer_options, flip), MEMBER(dm_trainer_options, crop_padding),
           MEMBER(dm_trainer_options, use_labels), MEMBER(dm_trainer_options, timestep_sampling),
           MEMBER(dm_trainer_options, label_dropout),
           MEMBER(dm_trainer_options, self_conditioning_rate),
           MEMBER(dm_trainer_options, logit_mean), MEMBER(dm_trainer_options, logit_std),
           MEMBER(dm_trainer_options, log_sigma_mean), MEMBER(dm_trainer_options, log_sigma_std),
           MEMBER(dm_trainer_options, loss), MEMBER(dm_trainer_options, loss_weight),
           MEMBER(dm_trainer_options, huber_delta), MEMBER(dm_trainer_options, bound_lambda),
           MEMBER(dm_trainer_options, min_snr_gamma), MEMBER(dm_trainer_options, p2_k),
           MEMBER(dm_trainer_options, p2_gamma), MEMBER(dm_trainer_options, optimizer),
           MEMBER(dm_trainer_options, learning_rate_schedule),
           MEMBER(dm_trainer_options, learning_rate),
           MEMBER(dm_trainer_options, learning_rate_end_fraction),
           MEMBER(dm_trainer_options, learning_rate_end_step),
           MEMBER(dm_trainer_options, warmup_steps), MEMBER(dm_trainer_options, beta1),
           MEMBER(dm_trainer_options, beta2), MEMBER(dm_trainer_options, adam_eps),
           MEMBER(dm_trainer_options, weight_decay), MEMBER(dm_trainer_options, gradient_clip),
           MEMBER(dm_trainer_options, ema_decay), MEMBER(dm_trainer_options, ema_half_life),
           MEMBER(dm_trainer_options, ema_rampup), MEMBER(dm_trainer_options, ema_warmup),
           MEMBER(dm_trainer_options, padding), MEMBER(dm_trainer_options, distill_steps),
           MEMBER(dm_trainer_options, distill_clip), MEMBER(dm_trainer_options, condition_dropout),
           MEMBER(dm_trainer_options, precision), MEMBER(dm_trainer_options, padding_last)),
    LAYOUT(dm_train_stats, MEMBER(dm_train_stats, struct_size), MEMBER(dm_train_stats, skipped),
           MEMBER(dm_train_stats, step), MEMBER(dm_train_stats, images),
           MEMBER(dm_train_stats, epoch), MEMBER(dm_train_stats, loss),
           MEMBER(dm_train_stats, gradient_norm), MEMBER(dm_train_stats, learning_rate),
           MEMBER(dm_train_stats, seconds), MEMBER(dm_train_stats, quarter_loss),
           MEMBER(dm_train_stats, quarter_images)),
    LAYOUT(dm_checkpoint_info, MEMBER(dm_checkpoint_info, struct_size),
           MEMBER(dm_checkpoint_info, training), MEMBER(dm_checkpoint_info, step),
           MEMBER(dm_checkpoint_info, images), MEMBER(dm_checkpoint_info, dataset_count),
           MEMBER(dm_checkpoint_info, dataset_fingerprint), MEMBER(dm_checkpoint_info, emas),
           MEMBER(dm_checkpoint_info, format_version), MEMBER(dm_checkpoint_info, null_class),
           MEMBER(dm_checkpoint_info, padding)),
    LAYOUT(dm_train_batch, MEMBER(dm_train_batch, struct_size), MEMBER(dm_train_batch, padding),
           MEMBER(dm_train_batch, count), MEMBER(dm_train_batch, elements),
           MEMBER(dm_train_batch, label_count), MEMBER(dm_train_batch, timestep_count),
           MEMBER(dm_train_batch, images), MEMBER(dm_train_batch, noise),
           MEMBER(dm_train_batch, labels), MEMBER(dm_train_batch, timesteps),
           MEMBER(dm_train_batch, condition_image_elements),
           MEMBER(dm_train_batch, condition_vector_elements),
           MEMBER(dm_train_batch, condition_image), MEMBER(dm_train_batch, condition_vector)),
    LAYOUT(dm_sampler_options, MEMBER(dm_sampler_options, struct_size),
           MEMBER(dm_sampler_options, solver), MEMBER(dm_sampler_options, steps),
           MEMBER(dm_sampler_options, batch_size), MEMBER(dm_sampler_options, spacing),
           MEMBER(dm_sampler_options, steps_offset), MEMBER(dm_sampler_options, grid),
           MEMBER(dm_sampler_options, final_alpha_one), MEMBER(dm_sampler_options, rho),
           MEMBER(dm_sampler_options, order), MEMBER(dm_sampler_options, lower_order_final),
           MEMBER(dm_sampler_options, variance), MEMBER(dm_sampler_options, rederive_eps),
           MEMBER(dm_sampler_options, eta), MEMBER(dm_sampler_options, churn),
           MEMBER(dm_sampler_options, churn_sigma_min), MEMBER(dm_sampler_options, churn_sigma_max),
           MEMBER(dm_sampler_options, churn_noise), MEMBER(dm_sampler_options, clip),
           MEMBER(dm_sampler_options, expected_prediction), MEMBER(dm_sampler_options, guidance),
           MEMBER(dm_sampler_options, guidance_rescale), MEMBER(dm_sampler_options, guidance_begin),
           MEMBER(dm_sampler_options, guidance_end), MEMBER(dm_sampler_options, threshold),
           MEMBER(dm_sampler_options, threshold_max), MEMBER(dm_sampler_options, custom_count),
           MEMBER(dm_sampler_options, custom_times), MEMBER(dm_sampler_options, custom_sigmas),
           MEMBER(dm_sampler_options, diffusers_compatible), MEMBER(dm_sampler_options, padding),
           MEMBER(dm_sampler_options, clip_range)),
    LAYOUT(dm_sampler_progress, MEMBER(dm_sampler_progress, struct_size),
           MEMBER(dm_sampler_progress, step), MEMBER(dm_sampler_progress, steps),
           MEMBER(dm_sampler_progress, padding), MEMBER(dm_sampler_progress, first),
           MEMBER(dm_sampler_progress, count), MEMBER(dm_sampler_progress, elements),
           MEMBER(dm_sampler_progress, x_t), MEMBER(dm_sampler_progress, x_0)),
    LAYOUT(dm_noise_request, MEMBER(dm_noise_request, struct_size), MEMBER(dm_noise_request, step),
           MEMBER(dm_noise_request, first), MEMBER(dm_noise_request, count),
           MEMBER(dm_noise_request, elements)),
    LAYOUT(dm_denoiser_input, MEMBER(dm_denoiser_input, struct_size),
           MEMBER(dm_denoiser_input, height), MEMBER(dm_denoiser_input, width),
           MEMBER(dm_denoiser_input, channels), MEMBER(dm_denoiser_input, first),
           MEMBER(dm_denoiser_input, count), MEMBER(dm_denoiser_input, timestep),
           MEMBER(dm_denoiser_input, time), MEMBER(dm_denoiser_input, signal),
           MEMBER(dm_denoiser_input, noise), MEMBER(dm_denoiser_input, x),
           MEMBER(dm_denoiser_input, labels), MEMBER(dm_denoiser_input, condition_image),
           MEMBER(dm_denoiser_input, condition_vector),
           MEMBER(dm_denoiser_input, condition_image_elements),
           MEMBER(dm_denoiser_input, condition_vector_elements)),
    LAYOUT(dm_denoiser, MEMBER(dm_denoiser, struct_size), MEMBER(dm_denoiser, prediction),
           MEMBER(dm_denoiser, height), MEMBER(dm_denoiser, width), MEMBER(dm_denoiser, channels),
           MEMBER(dm_denoiser, classes), MEMBER(dm_denoiser, sigma_data),
           MEMBER(dm_denoiser, evaluate), MEMBER(dm_denoiser, user),
           MEMBER(dm_denoiser, condition_channels), MEMBER(dm_denoiser, condition_size)),
    LAYOUT(dm_guidance_step, MEMBER(dm_guidance_step, struct_size),
           MEMBER(dm_guidance_step, rederive), MEMBER(dm_guidance_step, first),
           MEMBER(dm_guidance_step, count), MEMBER(dm_guidance_step, elements),
           MEMBER(dm_guidance_step, timestep), MEMBER(dm_guidance_step, time),
           MEMBER(dm_guidance_step, signal), MEMBER(dm_guidance_step, noise),
           MEMBER(dm_guidance_step, x), MEMBER(dm_guidance_step, labels),
           MEMBER(dm_guidance_step, x_0), MEMBER(dm_guidance_step, eps)),
    LAYOUT(dm_sampler_request, MEMBER(dm_sampler_request, struct_size),
           MEMBER(dm_sampler_request, random), MEMBER(dm_sampler_request, count),
           MEMBER(dm_sampler_request, seed), MEMBER(dm_sampler_request, strength),
           MEMBER(dm_sampler_request, repaint_repetitions),
           MEMBER(dm_sampler_request, repaint_jump_length), MEMBER(dm_sampler_request, seed_count),
           MEMBER(dm_sampler_request, label_count),
           MEMBER(dm_sampler_request, initial_noise_elements),
           MEMBER(dm_sampler_request, image_elements), MEMBER(dm_sampler_request, mask_elements),
           MEMBER(dm_sampler_request, seeds), MEMBER(dm_sampler_request, labels),
           MEMBER(dm_sampler_request, initial_noise), MEMBER(dm_sampler_request, image),
           MEMBER(dm_sampler_request, mask), MEMBER(dm_sampler_request, noise),
           MEMBER(dm_sampler_request, noise_user), MEMBER(dm_sampler_request, progress),
           MEMBER(dm_sampler_request, progress_user), MEMBER(dm_sampler_request, padding),
           MEMBER(dm_sampler_request, guide), MEMBER(dm_sampler_request, guide_user),
           MEMBER(dm_sampler_request, condition_image_elements),
           MEMBER(dm_sampler_request, condition_vector_elements),
           MEMBER(dm_sampler_request, condition_image),
           MEMBER(dm_sampler_request, condition_vector)),
    LAYOUT(dm_evaluation_options, MEMBER(dm_evaluation_options, struct_size),
           MEMBER(dm_evaluation_options, batch_size), MEMBER(dm_evaluation_options, first),
           MEMBER(dm_evaluation_options, count), MEMBER(dm_evaluation_options, seed),
           MEMBER(dm_evaluation_options, timesteps), MEMBER(dm_evaluation_options, variance),
           MEMBER(dm_evaluation_options, clip), MEMBER(dm_evaluation_options, use_labels)),
    LAYOUT(dm_evaluation, MEMBER(dm_evaluation, struct_size), MEMBER(dm_evaluation, padding),
           MEMBER(dm_evaluation, images), MEMBER(dm_evaluation, bits),
           MEMBER(dm_evaluation, standard_error), MEMBER(dm_evaluation, prior_bits),
           MEMBER(dm_evaluation, step_bits), MEMBER(dm_evaluation, decoder_bits),
           MEMBER(dm_evaluation, loss)),
    LAYOUT(dm_image_grid_options, MEMBER(dm_image_grid_options, struct_size),
           MEMBER(dm_image_grid_options, height), MEMBER(dm_image_grid_options, width),
           MEMBER(dm_image_grid_options, channels), MEMBER(dm_image_grid_options, columns),
           MEMBER(dm_image_grid_options, scale), MEMBER(dm_image_grid_options, gap),
           MEMBER(dm_image_grid_options, padding), MEMBER(dm_image_grid_options, count)),
    LAYOUT(dm_image_animation, MEMBER(dm_image_animation, struct_size),
           MEMBER(dm_image_animation, height), MEMBER(dm_image_animation, width),
           MEMBER(dm_image_animation, channels), MEMBER(dm_image_animation, frames),
           MEMBER(dm_image_animation, delay_ms), MEMBER(dm_image_animation, last_delay_ms),
           MEMBER(dm_image_animation, padding)),
};

const std::vector<enumerator> enumerators = {
    {"dm_member_type", diffusion::member_type::i32, "i32"},
    {"dm_member_type", diffusion::member_type::u32, "u32"},
    {"dm_member_type", diffusion::member_type::i64, "i64"},
    {"dm_member_type", diffusion::member_type::u64, "u64"},
    {"dm_member_type", diffusion::member_type::f32, "f32"},
    {"dm_member_type", diffusion::member_type::f64, "f64"},
    {"dm_member_type", diffusion::member_type::char_, "char"},
    {"dm_member_type", diffusion::member_type::string, "string"},
    {"dm_member_type", diffusion::member_type::pointer, "pointer"},
    {"dm_member_type", diffusion::member_type::function, "function"},
    {"dm_log_level", diffusion::log_level::info, "info"},
    {"dm_log_level", diffusion::log_level::warning, "warning"},
    {"dm_schedule_kind", diffusion::schedule_kind::linear, "linear"},
    {"dm_schedule_kind", diffusion::schedule_kind::cosine, "cosine"},
    {"dm_schedule_kind", diffusion::schedule_kind::scaled_linear, "scaled_linear"},
    {"dm_schedule_kind", diffusion::schedule_kind::sigmoid, "sigmoid"},
    {"dm_schedule_kind", diffusion::schedule_kind::flow, "flow"},
    {"dm_schedule_kind", diffusion::schedule_kind::edm, "edm"},
    {"dm_schedule_kind", diffusion::schedule_kind::custom, "custom"},
    {"dm_series", diffusion::series::beta, "beta"},
    {"dm_series", diffusion::series::alpha, "alpha"},
    {"dm_series", diffusion::series::alpha_cumprod, "alpha_cumprod"},
    {"dm_series", diffusion::series::alpha_cumprod_prev, "alpha_cumprod_prev"},
    {"dm_series", diffusion::series::sqrt_alpha_cumprod, "sqrt_alpha_cumprod"},
    {"dm_series", diffusion::series::sqrt_one_minus_alpha_cumprod, "sqrt_one_minus_alpha_cumprod"},
    {"dm_series", diffusion::series::posterior_variance, "posterior_variance"},
    {"dm_series", diffusion::series::posterior_log_variance, "posterior_log_variance"},
    {"dm_series", diffusion::series::posterior_mean_x0, "posterior_mean_x0"},
    {"dm_series", diffusion::series::posterior_mean_xt, "posterior_mean_xt"},
    {"dm_series", diffusion::series::snr, "snr"},
    {"dm_series", diffusion::series::sigma, "sigma"},
    {"dm_series", diffusion::series::signal, "signal"},
    {"dm_series", diffusion::series::noise, "noise"},
    {"dm_series", diffusion::series::time, "time"},
    {"dm_preset", diffusion::preset::tiny, "tiny"},
    {"dm_preset", diffusion::preset::small, "small"},
    {"dm_preset", diffusion::preset::ddpm_cifar10, "ddpm_cifar10"},
    {"dm_preset", diffusion::preset::recipe_64, "recipe_64"},
    {"dm_preset", diffusion::preset::recipe_32, "recipe_32"},
    {"dm_prediction", diffusion::prediction::any, "any"},
    {"dm_prediction", diffusion::prediction::eps, "eps"},
    {"dm_prediction", diffusion::prediction::x0, "x0"},
    {"dm_prediction", diffusion::prediction::v, "v"},
    {"dm_prediction", diffusion::prediction::flow, "flow"},
    {"dm_prediction", diffusion::prediction::edm, "edm"},
    {"dm_prediction", diffusion::prediction::consistency, "consistency"},
    {"dm_time_embedding", diffusion::time_embedding::add, "add"},
    {"dm_time_embedding", diffusion::time_embedding::scale_shift, "scale_shift"},
    {"dm_time_embedding", diffusion::time_embedding::add_output, "add_output"},
    {"dm_padding", diffusion::padding::bottom_right, "bottom_right"},
    {"dm_padding", diffusion::padding::all, "all"},
    {"dm_resample", diffusion::resample::conv, "conv"},
    {"dm_resample", diffusion::resample::resnet, "resnet"},
    {"dm_resample", diffusion::resample::none, "none"},
    {"dm_resample", diffusion::resample::skip, "skip"},
    {"dm_activation", diffusion::activation::silu, "silu"},
    {"dm_activation", diffusion::activation::mish, "mish"},
    {"dm_activation", diffusion::activation::gelu, "gelu"},
    {"dm_activation", diffusion::activation::relu, "relu"},
    {"dm_time_features", diffusion::time_features::sinusoidal, "sinusoidal"},
    {"dm_time_features", diffusion::time_features::fourier, "fourier"},
    {"dm_time_features", diffusion::time_features::learned, "learned"},
    {"dm_condition", diffusion::condition::linear, "linear"},
    {"dm_condition", diffusion::condition::identity, "identity"},
    {"dm_condition", diffusion::condition::time, "time"},
    {"dm_part", diffusion::part::end, "end"},
    {"dm_part", diffusion::part::resnet, "resnet"},
    {"dm_part", diffusion::part::convnext, "convnext"},
    {"dm_part", diffusion::part::class_attention, "class_attention"},
    {"dm_part", diffusion::part::attention, "attention"},
    {"dm_part", diffusion::part::channel_attention, "channel_attention"},
    {"dm_initialization", diffusion::initialization::ddpm, "ddpm"},
    {"dm_initialization", diffusion::initialization::torch, "torch"},
    {"dm_precision", diffusion::precision::f32, "f32"},
    {"dm_precision", diffusion::precision::f16, "f16"},
    {"dm_precision", diffusion::precision::bf16, "bf16"},
    {"dm_weights", diffusion::weights::default_, "default"},
    {"dm_weights", diffusion::weights::trained, "trained"},
    {"dm_weights", diffusion::weights::ema, "ema"},
    {"dm_split", diffusion::split::train, "train"},
    {"dm_split", diffusion::split::test, "test"},
    {"dm_rate_schedule", diffusion::rate_schedule::constant, "constant"},
    {"dm_rate_schedule", diffusion::rate_schedule::linear, "linear"},
    {"dm_rate_schedule", diffusion::rate_schedule::cosine, "cosine"},
    {"dm_recompute", diffusion::recompute::none, "none"},
    {"dm_recompute", diffusion::recompute::selective, "selective"},
    {"dm_recompute", diffusion::recompute::blocks, "blocks"},
    {"dm_timestep_sampling", diffusion::timestep_sampling::uniform, "uniform"},
    {"dm_timestep_sampling", diffusion::timestep_sampling::loss_aware, "loss_aware"},
    {"dm_timestep_sampling", diffusion::timestep_sampling::logit_normal, "logit_normal"},
    {"dm_timestep_sampling", diffusion::timestep_sampling::log_normal, "log_normal"},
    {"dm_loss", diffusion::loss::mse, "mse"},
    {"dm_loss", diffusion::loss::pseudo_huber, "pseudo_huber"},
    {"dm_loss", diffusion::loss::hybrid, "hybrid"},
    {"dm_loss_weight", diffusion::loss_weight::simple, "simple"},
    {"dm_loss_weight", diffusion::loss_weight::min_snr, "min_snr"},
    {"dm_loss_weight", diffusion::loss_weight::p2, "p2"},
    {"dm_loss_weight", diffusion::loss_weight::bound, "bound"},
    {"dm_loss_weight", diffusion::loss_weight::truncated_snr, "truncated_snr"},
    {"dm_optimizer", diffusion::optimizer::adamw, "adamw"},
    {"dm_optimizer", diffusion::optimizer::adam, "adam"},
    {"dm_solver", diffusion::solver::ddpm, "ddpm"},
    {"dm_solver", diffusion::solver::ddim, "ddim"},
    {"dm_solver", diffusion::solver::pndm, "pndm"},
    {"dm_solver", diffusion::solver::plms, "plms"},
    {"dm_solver", diffusion::solver::euler, "euler"},
    {"dm_solver", diffusion::solver::euler_ancestral, "euler_ancestral"},
    {"dm_solver", diffusion::solver::heun, "heun"},
    {"dm_solver", diffusion::solver::dpm2, "dpm2"},
    {"dm_solver", diffusion::solver::lms, "lms"},
    {"dm_solver", diffusion::solver::dpmpp, "dpmpp"},
    {"dm_solver", diffusion::solver::dpmpp_single, "dpmpp_single"},
    {"dm_solver", diffusion::solver::dpmpp_sde, "dpmpp_sde"},
    {"dm_solver", diffusion::solver::unipc, "unipc"},
    {"dm_solver", diffusion::solver::deis, "deis"},
    {"dm_solver", diffusion::solver::flow_euler, "flow_euler"},
    {"dm_solver", diffusion::solver::flow_heun, "flow_heun"},
    {"dm_solver", diffusion::solver::consistency, "consistency"},
    {"dm_spacing", diffusion::spacing::auto_, "auto"},
    {"dm_spacing", diffusion::spacing::leading, "leading"},
    {"dm_spacing", diffusion::spacing::trailing, "trailing"},
    {"dm_spacing", diffusion::spacing::linspace, "linspace"},
    {"dm_spacing", diffusion::spacing::linspace_inner, "linspace_inner"},
    {"dm_spacing", diffusion::spacing::leading_inner, "leading_inner"},
    {"dm_variance", diffusion::variance::auto_, "auto"},
    {"dm_variance", diffusion::variance::fixed_small, "fixed_small"},
    {"dm_variance", diffusion::variance::fixed_large, "fixed_large"},
    {"dm_variance", diffusion::variance::learned, "learned"},
    {"dm_grid", diffusion::grid::auto_, "auto"},
    {"dm_grid", diffusion::grid::timesteps, "timesteps"},
    {"dm_grid", diffusion::grid::karras, "karras"},
    {"dm_grid", diffusion::grid::exponential, "exponential"},
    {"dm_random", diffusion::random::philox, "philox"},
    {"dm_random", diffusion::random::torch, "torch"},
};

} // namespace

TEST_CASE("structs have the layout that the library reports") {
    CHECK(layouts.size() == static_cast<std::size_t>(diffusion::struct_count()));
    for (const layout &l : layouts) {
        CAPTURE(l.name);
        CHECK(diffusion::struct_size(l.name) == l.size);
        std::int32_t index = 0;
        for (const member &m : l.members) {
            CAPTURE(m.name);
            diffusion::member_info info = diffusion::struct_member(l.name, index++);
            CHECK(std::strcmp(info.name, m.name) == 0);
            CHECK(info.offset == m.offset);
            CHECK(std::size_t{info.count} * info.element_size == m.size);
        }
        CHECK(diffusion::try_struct_member(l.name, index).status() == diffusion::status::not_found);
    }
    CHECK(std::strcmp(diffusion::struct_name(0), "dm_member_info") == 0);
    CHECK(diffusion::struct_name(diffusion::struct_count()) == nullptr);
}

TEST_CASE("enumerations are those that the library reports") {
    std::size_t known = 0;
    for (std::int32_t i = 0; i < diffusion::enum_type_count(); i++)
        known += static_cast<std::size_t>(diffusion::enum_count(diffusion::enum_type_name(i)));
    /* beside dm_status and the names of the EMAs after the first */
    CHECK(known == enumerators.size() + diffusion::ema_max - 1 +
                       static_cast<std::size_t>(diffusion::enum_count("dm_status")));
    for (const enumerator &e : enumerators) {
        CAPTURE(e.name);
        const char *name = diffusion::enum_name(e.type, e.value);
        REQUIRE(name != nullptr);
        CHECK(std::strcmp(name, e.name) == 0);
        CHECK(diffusion::enum_value(e.type, e.name) == e.value);
        CHECK(diffusion::enum_help(e.type, e.value) != nullptr);
    }
    for (std::int32_t i = 0; i < diffusion::enum_count("dm_status"); i++) {
        auto value = static_cast<diffusion::status>(diffusion::enum_item("dm_status", i));
        CHECK(std::strncmp(diffusion::status_name(value), "DM_", 3) == 0);
    }
    CHECK(diffusion::try_enum_value("dm_solver", "none").status() == diffusion::status::not_found);
    CHECK(diffusion::enum_name("dm_solver", 99) == nullptr);
}

TEST_CASE("the version is the header's") {
    CHECK(diffusion::version() == DM_VERSION);
    CHECK(std::strlen(diffusion::version_string()) > 0);
    CHECK(std::strlen(diffusion::build_info()) > 0);
    CHECK_FALSE(diffusion::feature("none"));
}

TEST_CASE("options by name") {
    auto context = test::context();
    diffusion::sampler_options o;
    CHECK(o.steps == 50);
    context.set_option(o, "solver", "dpmpp");
    context.set_option(o, "steps", "12");
    CHECK(o.solver == diffusion::solver::dpmpp);
    CHECK(o.steps == 12);
    CHECK(context.get_option(o, "solver") == "dpmpp");
    diffusion::unet_options u(diffusion::preset::tiny);
    CHECK(context.get_option(u, "channels").rfind("32,64,64", 0) == 0);
    diffusion::result<void> bad = context.try_set_option(o, "steps", "many");
    REQUIRE_FALSE(bad);
    CHECK(bad.status() == diffusion::status::invalid_argument);
    CHECK(std::strstr(bad.error().what(), "steps") != nullptr);
    CHECK_FALSE(context.try_set_option(o, "custom_times", "1"));
    CHECK(context.try_get_option(o, "none").status() != diffusion::status::ok);
}
