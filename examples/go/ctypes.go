// SPDX-License-Identifier: MIT

package diffusion

// #include <diffusion.h>
import "C"

import "unsafe"

// cType is what the header says about a C struct.
type cType struct {
	size uintptr
	init func(unsafe.Pointer, C.size_t) C.dm_status
}

var cTypes = map[string]cType{
	"dm_context_options": {C.sizeof_dm_context_options,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_context_options_init((*C.dm_context_options)(p), n)
		}},
	"dm_profile_row": {C.sizeof_dm_profile_row,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_profile_row_init((*C.dm_profile_row)(p), n)
		}},
	"dm_schedule_options": {C.sizeof_dm_schedule_options,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_schedule_options_init((*C.dm_schedule_options)(p), n)
		}},
	"dm_unet_options": {C.sizeof_dm_unet_options,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_unet_options_init((*C.dm_unet_options)(p), n)
		}},
	"dm_tensor_info": {C.sizeof_dm_tensor_info,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_tensor_info_init((*C.dm_tensor_info)(p), n)
		}},
	"dm_unet_input": {C.sizeof_dm_unet_input,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_unet_input_init((*C.dm_unet_input)(p), n)
		}},
	"dm_diffusers_options": {C.sizeof_dm_diffusers_options,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_diffusers_options_init((*C.dm_diffusers_options)(p), n)
		}},
	"dm_dataset_info": {C.sizeof_dm_dataset_info,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_dataset_info_init((*C.dm_dataset_info)(p), n)
		}},
	"dm_dataset_memory": {C.sizeof_dm_dataset_memory,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_dataset_memory_init((*C.dm_dataset_memory)(p), n)
		}},
	"dm_dataset_callback": {C.sizeof_dm_dataset_callback,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_dataset_callback_init((*C.dm_dataset_callback)(p), n)
		}},
	"dm_trainer_options": {C.sizeof_dm_trainer_options,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_trainer_options_init((*C.dm_trainer_options)(p), n)
		}},
	"dm_train_stats": {C.sizeof_dm_train_stats,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_train_stats_init((*C.dm_train_stats)(p), n)
		}},
	"dm_checkpoint_info": {C.sizeof_dm_checkpoint_info,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_checkpoint_info_init((*C.dm_checkpoint_info)(p), n)
		}},
	"dm_train_batch": {C.sizeof_dm_train_batch,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_train_batch_init((*C.dm_train_batch)(p), n)
		}},
	"dm_sampler_options": {C.sizeof_dm_sampler_options,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_sampler_options_init((*C.dm_sampler_options)(p), n)
		}},
	"dm_denoiser": {C.sizeof_dm_denoiser,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_denoiser_init((*C.dm_denoiser)(p), n)
		}},
	"dm_sampler_request": {C.sizeof_dm_sampler_request,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_sampler_request_init((*C.dm_sampler_request)(p), n)
		}},
	"dm_evaluation_options": {C.sizeof_dm_evaluation_options,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_evaluation_options_init((*C.dm_evaluation_options)(p), n)
		}},
	"dm_evaluation": {C.sizeof_dm_evaluation,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_evaluation_init((*C.dm_evaluation)(p), n)
		}},
	"dm_image_grid_options": {C.sizeof_dm_image_grid_options,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_image_grid_options_init((*C.dm_image_grid_options)(p), n)
		}},
	"dm_image_animation": {C.sizeof_dm_image_animation,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_image_animation_init((*C.dm_image_animation)(p), n)
		}},
	"dm_sampler_progress": {C.sizeof_dm_sampler_progress,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_sampler_progress_init((*C.dm_sampler_progress)(p), n)
		}},
	"dm_noise_request": {C.sizeof_dm_noise_request,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_noise_request_init((*C.dm_noise_request)(p), n)
		}},
	"dm_denoiser_input": {C.sizeof_dm_denoiser_input,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_denoiser_input_init((*C.dm_denoiser_input)(p), n)
		}},
	"dm_guidance_step": {C.sizeof_dm_guidance_step,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_guidance_step_init((*C.dm_guidance_step)(p), n)
		}},
	"dm_dataset_item": {C.sizeof_dm_dataset_item,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_dataset_item_init((*C.dm_dataset_item)(p), n)
		}},
	"dm_member_info": {C.sizeof_dm_member_info,
		func(p unsafe.Pointer, n C.size_t) C.dm_status {
			return C.dm_member_info_init((*C.dm_member_info)(p), n)
		}},
}
