# SPDX-License-Identifier: MIT
"""Finds and loads the shared library and declares its functions.

The search order is the path in the environment variable LIBDIFFUSION_LIBRARY, a libdiffusion.so in
this package's folder (wheels carry one), and the name libdiffusion.so.0 in the loader's search
path. ctypes.CDLL releases the interpreter lock during every call, so other Python threads run
while the library computes.
"""
from __future__ import annotations

import ctypes
import os
from typing import Any

VARIABLE = "LIBDIFFUSION_LIBRARY"
SONAME = "libdiffusion.so.0"

_TYPES: dict[str, Any] = {
    "void": None, "i32": ctypes.c_int32, "u32": ctypes.c_uint32, "u64": ctypes.c_uint64,
    "f64": ctypes.c_double, "size": ctypes.c_size_t, "str": ctypes.c_char_p,
    "ptr": ctypes.c_void_p,
}

# Name, result and parameters of each function of diffusion.h. The tests compare this with the
# installed header.
PROTOTYPES = """
dm_version u32
dm_version_string str
dm_build_info str
dm_feature i32 str
dm_status_name str i32
dm_status_message str i32
dm_member_info_init i32 ptr size
dm_struct_count i32
dm_struct_name str i32
dm_struct_size size str
dm_struct_member i32 str i32 ptr
dm_enum_type_count i32
dm_enum_type_name str i32
dm_enum_count i32 str
dm_enum_item i32 str i32 ptr
dm_enum_name str str i32
dm_enum_help str str i32
dm_enum_value i32 str str ptr
dm_context_options_init i32 ptr size
dm_context_create i32 ptr ptr ptr size
dm_context_error str ptr
dm_context_error_copy i32 ptr ptr size ptr
dm_callback_fail i32 ptr str
dm_context_get_memory i32 ptr ptr ptr ptr
dm_context_threads i32 ptr
dm_context_destroy void ptr
dm_profile_row_init i32 ptr size
dm_context_get_profile_rows i32 ptr ptr
dm_context_get_profile_row i32 ptr i32 ptr
dm_context_profile_reset i32 ptr
dm_options_set i32 ptr str ptr str str
dm_options_get i32 ptr str ptr str ptr size ptr
dm_schedule_options_init i32 ptr size
dm_schedule_create i32 ptr ptr ptr
dm_schedule_create_from_betas i32 ptr ptr ptr size
dm_schedule_load i32 ptr ptr str
dm_schedule_load_memory i32 ptr ptr ptr size
dm_schedule_context ptr ptr
dm_schedule_get_options i32 ptr ptr size
dm_schedule_timesteps i32 ptr
dm_schedule_get_series i32 ptr i32 ptr size
dm_schedule_get_level i32 ptr f64 ptr ptr ptr
dm_schedule_add_noise i32 ptr ptr ptr ptr ptr size size
dm_schedule_destroy void ptr
dm_unet_options_init i32 ptr size
dm_unet_options_preset i32 ptr size i32
dm_tensor_info_init i32 ptr size
dm_unet_input_init i32 ptr size
dm_diffusers_options_init i32 ptr size
dm_unet_create i32 ptr ptr ptr u64
dm_unet_initialize i32 ptr i32 u64
dm_unet_load i32 ptr ptr str i32
dm_unet_load_memory i32 ptr ptr ptr size i32
dm_unet_load_diffusers i32 ptr ptr str ptr
dm_unet_share i32 ptr ptr ptr
dm_unet_save i32 ptr ptr str
dm_unet_save_memory i32 ptr ptr ptr size ptr
dm_unet_save_as i32 ptr ptr str i32
dm_unet_save_memory_as i32 ptr ptr ptr size ptr i32
dm_unet_context ptr ptr
dm_unet_get_options i32 ptr ptr size
dm_unet_set_class_names i32 ptr ptr i32
dm_unet_class_name str ptr i32
dm_unet_parameter_count u64 ptr
dm_unet_tensor_count i32 ptr
dm_unet_get_tensor_info i32 ptr i32 ptr
dm_unet_get_tensor i32 ptr str ptr size
dm_unet_set_tensor i32 ptr str ptr size ptr i32
dm_unet_forward i32 ptr ptr ptr size
dm_unet_input_gradient i32 ptr ptr ptr size ptr ptr size
dm_unet_set_tiling i32 ptr i32 i32
dm_unet_set_precision i32 ptr i32
dm_unet_destroy void ptr
dm_dataset_info_init i32 ptr size
dm_dataset_item_init i32 ptr size
dm_dataset_memory_init i32 ptr size
dm_dataset_callback_init i32 ptr size
dm_dataset_load_cifar10 i32 ptr ptr str i32
dm_dataset_create_shapes i32 ptr ptr i32 u64 u64
dm_dataset_create_described_shapes i32 ptr ptr i32 u64 u64
dm_dataset_create_downscaled i32 ptr ptr i32
dm_dataset_create_from_memory i32 ptr ptr ptr
dm_dataset_create_from_callback i32 ptr ptr ptr
dm_dataset_context ptr ptr
dm_dataset_get_info i32 ptr ptr
dm_dataset_get_image i32 ptr u64 ptr size ptr
dm_dataset_get_condition i32 ptr u64 ptr size ptr size
dm_dataset_class_name str ptr i32
dm_dataset_destroy void ptr
dm_trainer_options_init i32 ptr size
dm_train_stats_init i32 ptr size
dm_checkpoint_info_init i32 ptr size
dm_train_batch_init i32 ptr size
dm_trainer_create i32 ptr ptr ptr ptr ptr
dm_trainer_resume i32 ptr ptr ptr str
dm_trainer_resume_memory i32 ptr ptr ptr ptr size
dm_trainer_resume_changed i32 ptr ptr ptr str ptr
dm_checkpoint_load_info i32 ptr str ptr ptr
dm_trainer_context ptr ptr
dm_trainer_get_options i32 ptr ptr size
dm_trainer_step i32 ptr ptr
dm_trainer_step_batch i32 ptr ptr ptr
dm_trainer_run i32 ptr u64 ptr ptr
dm_trainer_get_step i32 ptr ptr
dm_trainer_set_learning_rate i32 ptr f64
dm_trainer_get_ema i32 ptr i32 ptr
dm_trainer_save i32 ptr str
dm_trainer_save_memory i32 ptr ptr size ptr
dm_trainer_set_teacher i32 ptr ptr
dm_trainer_cancel void ptr
dm_trainer_destroy void ptr
dm_sampler_options_init i32 ptr size
dm_schedule_load_diffusers i32 ptr ptr str ptr ptr
dm_unet_save_diffusers i32 ptr ptr ptr str i32
dm_sampler_progress_init i32 ptr size
dm_noise_request_init i32 ptr size
dm_denoiser_input_init i32 ptr size
dm_denoiser_init i32 ptr size
dm_guidance_step_init i32 ptr size
dm_sampler_request_init i32 ptr size
dm_sampler_create i32 ptr ptr ptr ptr
dm_sampler_create_with_denoiser i32 ptr ptr ptr ptr ptr
dm_sampler_context ptr ptr
dm_sampler_get_options i32 ptr ptr size
dm_sampler_shape void ptr ptr ptr ptr
dm_sampler_steps i32 ptr
dm_sampler_evaluations i32 ptr
dm_sampler_get_levels i32 ptr ptr ptr ptr size
dm_sampler_run i32 ptr ptr ptr size
dm_sampler_start i32 ptr ptr
dm_sampler_step i32 ptr ptr
dm_sampler_get_preview i32 ptr ptr size
dm_sampler_finish i32 ptr ptr size
dm_sampler_initial_noise i32 ptr ptr ptr size
dm_sampler_invert i32 ptr ptr ptr size
dm_noise_interpolate i32 ptr ptr ptr f64 size
dm_sampler_cancel void ptr
dm_sampler_destroy void ptr
dm_evaluation_options_init i32 ptr size
dm_evaluation_init i32 ptr size
dm_unet_evaluate i32 ptr ptr ptr ptr ptr ptr ptr
dm_image_grid_options_init i32 ptr size
dm_image_animation_init i32 ptr size
dm_image_to_u8 i32 ptr ptr size
dm_image_from_u8 i32 ptr ptr size
dm_image_grid_size i32 ptr ptr ptr
dm_image_draw_grid i32 ptr ptr size ptr size
dm_image_encode_png i32 ptr ptr size ptr ptr size i32 i32 i32
dm_image_write_png i32 ptr str ptr size i32 i32 i32
dm_image_write_apng i32 ptr str ptr size ptr
"""


def _load() -> tuple[ctypes.CDLL, str]:
    given = os.environ.get(VARIABLE)
    carried = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libdiffusion.so")
    if given:
        path, origin = given, f"named by {VARIABLE}"
    elif os.path.exists(carried):
        path, origin = carried, "carried by the package"
    else:
        path, origin = SONAME, "searched for by the loader"
    try:
        return ctypes.CDLL(path), path
    except OSError as error:
        raise ImportError(
            f"cannot load '{path}' ({origin}): {error}. Install libdiffusion, or set {VARIABLE} "
            f"to the path of {SONAME}.") from None


def _declare(library: ctypes.CDLL, path: str) -> None:
    for line in PROTOTYPES.split("\n"):
        if not line:
            continue
        name, result, *parameters = line.split()
        try:
            function = getattr(library, name)
        except AttributeError:
            raise ImportError(f"'{path}' has no function {name}; it is not libdiffusion or an "
                              "older version than this package needs") from None
        function.restype = _TYPES[result]
        function.argtypes = [_TYPES[parameter] for parameter in parameters]


dll, PATH = _load()
_declare(dll, PATH)


def decode(text: bytes | None) -> str:
    """A string of the library; '' for NULL."""
    return text.decode("utf-8", "replace") if text is not None else ""
