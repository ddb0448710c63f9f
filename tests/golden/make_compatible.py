# SPDX-License-Identifier: MIT
"""data/compatible.safetensors: diffusers' schedulers as they are.

config.NAME  metadata: scheduler_config.json
images/NAME  [2, 192]: what the scheduler gives after 20 steps for the formula of make_diffusers.py
             in place of a network, with "scheduler/start" times init_noise_sigma, and with
             "scheduler/noise<i>" as what step i adds. Tables, levels and factors are those of
             diffusers, in float32 where it has them in float32; x alone stays in double where
             schedulers convert it to float32
betas/NAME, alphas/NAME  betas and alphas_cumprod of DDPMScheduler
"""

import os
import sys

import diffusers
import numpy as np
import torch
from safetensors.torch import save_file

import formula

diffusers.utils.logging.set_verbosity_error()

HERE = os.path.dirname(os.path.abspath(__file__))
STEPS, SHAPE = 20, (2, 192, 1, 1)
V, FLOW = (
    {"prediction_type": "v_prediction"},
    {"use_flow_sigmas": True, "prediction_type": "flow_prediction"},
)
KARRAS, EXPONENTIAL = {"use_karras_sigmas": True}, {"use_exponential_sigmas": True}
TRAILING, LINSPACE, ZERO = (
    {"timestep_spacing": "trailing"},
    {"timestep_spacing": "linspace"},
    {"rescale_betas_zero_snr": True},
)
MULTI, SINGLE, UNIPC = (
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "UniPCMultistepScheduler",
)
EULER, FLOW_MATCH = "EulerDiscreteScheduler", "FlowMatchEulerDiscreteScheduler"
BETAS = {
    "trained_betas": [round(0.01 + 0.001 * i * i, 3) for i in range(24)],
    "num_train_timesteps": 24,
}
SCHEDULERS = {
    # tests/diffusers/check_schedulers.py has these too.
    "ddpm": ("DDPMScheduler", {}),
    "ddpm-large": ("DDPMScheduler", {"variance_type": "fixed_large", **TRAILING}),
    "ddpm-cosine": ("DDPMScheduler", {"beta_schedule": "squaredcos_cap_v2", "clip_sample": False}),
    "ddpm-zero": ("DDPMScheduler", {**ZERO, **TRAILING, **V}),
    "ddim": ("DDIMScheduler", {}),
    "ddim-trailing": ("DDIMScheduler", {**TRAILING, "set_alpha_to_one": False}),
    "ddim-v": ("DDIMScheduler", {"beta_schedule": "scaled_linear", **V, "steps_offset": 1}),
    "pndm": ("PNDMScheduler", {}),
    "plms": ("PNDMScheduler", {"skip_prk_steps": True, "steps_offset": 1}),
    "dpmpp": (MULTI, {}),
    "dpmpp-karras": (MULTI, KARRAS),
    "dpmpp-sde": (MULTI, {"algorithm_type": "sde-dpmsolver++"}),
    "dpmpp-trailing": (MULTI, {**TRAILING, "euler_at_final": True, "solver_order": 1}),
    "single": (SINGLE, {}),
    "euler": (EULER, {}),
    "euler-karras": (EULER, KARRAS),
    "euler-leading": (EULER, {"timestep_spacing": "leading"}),
    "ancestral": ("EulerAncestralDiscreteScheduler", {}),
    "heun": ("HeunDiscreteScheduler", {}),
    "heun-karras": ("HeunDiscreteScheduler", KARRAS),
    "dpm2": ("KDPM2DiscreteScheduler", {}),
    "lms": ("LMSDiscreteScheduler", {}),
    "unipc": (UNIPC, {}),
    "unipc-third": (UNIPC, {"solver_order": 3}),
    "deis": ("DEISMultistepScheduler", {}),
    "edm-euler": ("EDMEulerScheduler", {}),
    "edm-dpmpp": ("EDMDPMSolverMultistepScheduler", {}),
    "flow": (FLOW_MATCH, {}),
    # What differs without 'compatible'.
    "pndm-v": ("PNDMScheduler", {**V, "set_alpha_to_one": True}),
    "plms-v": ("PNDMScheduler", {**V, "skip_prk_steps": True}),
    "plms-uneven": ("PNDMScheduler", {**LINSPACE, "skip_prk_steps": True}),
    "pndm-uneven": ("PNDMScheduler", {**TRAILING, "num_train_timesteps": 990, **V}),
    "dpmpp-third": (MULTI, {"solver_order": 3}),
    "single-third": (SINGLE, {"solver_order": 3}),
    "ddim-uneven": ("DDIMScheduler", LINSPACE),
    "ddpm-uneven": (
        "DDPMScheduler",
        {**LINSPACE, "variance_type": "fixed_large", "beta_schedule": "sigmoid"},
    ),
    "flow-shift": (FLOW_MATCH, {"shift": 3.0}),
    "flow-karras": (FLOW_MATCH, {"shift": 2.0, **KARRAS}),
    "flow-exponential": (FLOW_MATCH, EXPONENTIAL),
    "dpmpp-flow": (MULTI, {**FLOW, "flow_shift": 3.0}),
    "dpmpp-flow-third": (MULTI, {**FLOW, "solver_order": 3}),
    "single-flow": (SINGLE, FLOW),
    "unipc-flow": (UNIPC, FLOW),
    "unipc-flow-keep": (UNIPC, {**FLOW, "flow_shift": 2.0, "final_sigmas_type": "sigma_min"}),
    "deis-flow": ("DEISMultistepScheduler", FLOW),
    "edm-third": ("EDMDPMSolverMultistepScheduler", {"solver_order": 3, "rho": 6.0}),
    "edm-exponential": ("EDMDPMSolverMultistepScheduler", {"sigma_schedule": "exponential"}),
    "edm-keep": ("EDMEulerScheduler", {"final_sigmas_type": "sigma_min"}),
    "euler-zero": (EULER, {**ZERO, **TRAILING, **V}),
    "euler-zero-karras": (EULER, {**ZERO, **V, **KARRAS}),
    "euler-keep": (EULER, {"final_sigmas_type": "sigma_min", **TRAILING}),
    "dpmpp-zero": (MULTI, {**ZERO, **TRAILING, **V}),
    "unipc-zero": (UNIPC, {**ZERO, **TRAILING, **V}),
    "dpmpp-exponential": (MULTI, {**EXPONENTIAL, **V}),
    "dpmpp-cosine": (MULTI, {**KARRAS, **V, "beta_schedule": "squaredcos_cap_v2"}),
    "dpm2-karras": ("KDPM2DiscreteScheduler", KARRAS),
    "deis-karras": ("DEISMultistepScheduler", {**KARRAS, "solver_order": 3}),
    # Ranges.
    "ddim-range": ("DDIMScheduler", {"clip_sample_range": 0.7}),
    "heun-range": ("HeunDiscreteScheduler", {"clip_sample": True, "clip_sample_range": 1.5}),
    "ddim-threshold": ("DDIMScheduler", {"thresholding": True, "sample_max_value": 0.8}),
    "ddim-betas": ("DDIMScheduler", BETAS),
    "edm-sde": ("EDMDPMSolverMultistepScheduler", {"algorithm_type": "sde-dpmsolver++"}),
}
TABLES = {
    "linear": {},
    "short": {"num_train_timesteps": 37, "beta_start": 0.001, "beta_end": 0.3},
    "scaled_linear": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
    "cosine": {"beta_schedule": "squaredcos_cap_v2"},
    "zero": {**ZERO, "beta_schedule": "scaled_linear"},
    "sigmoid": {"beta_schedule": "sigmoid"},
    "custom": BETAS,
}


class InDouble:
    """torch, but that float32 is float64."""

    float32 = torch.float64

    def __getattr__(self, name):
        return getattr(torch, name)


def draw(name, scale):
    return torch.from_numpy(formula.fill(name, SHAPE, scale)).double()


def formula_network(x, t):
    x, t = x.float().double(), float(np.float32(float(t)))
    return (0.9 * x * ((t + 1) / (t + 2)) + 0.1 * torch.sin(3 * x + 0.01 * t)).float().double()


def run_scheduler(scheduler):
    scheduler.set_timesteps(STEPS)
    if hasattr(scheduler, "set_begin_index"):  # equal timesteps would begin at the second one
        scheduler.set_begin_index(0)
    x = (
        draw("scheduler/start", 2.0).float()
        * np.float32(float(getattr(scheduler, "init_noise_sigma", 1.0)))
    ).double()
    module = sys.modules[type(scheduler).__module__]
    real_torch, real_noise = module.torch, getattr(module, "randn_tensor", None)
    second = hasattr(scheduler, "state_in_first_order")
    module.torch = InDouble()
    for k, t in enumerate(scheduler.timesteps):
        scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
        step = (k + 1) // 2 + 1 if second else k + 1
        module.randn_tensor = lambda *_, **__: draw(f"scheduler/noise{step}", 3**0.5)
        x = scheduler.step(formula_network(scaled, t), t, x).prev_sample.double()
    module.torch, module.randn_tensor = real_torch, real_noise
    return x.float().reshape(2, 192).contiguous()


def make():
    out, configs = {}, {}
    for name, (class_name, config) in SCHEDULERS.items():
        scheduler = getattr(diffusers, class_name)(**config)
        configs[f"config.{name}"] = scheduler.to_json_string()
        out[f"images/{name}"] = run_scheduler(scheduler)
        assert bool(torch.isfinite(out[f"images/{name}"]).all()), name
        print(f"{name}: |x| {float(out[f'images/{name}'].abs().mean()):.4f}")
    for name, config in TABLES.items():
        scheduler = diffusers.DDPMScheduler(**config)
        out[f"betas/{name}"], out[f"alphas/{name}"] = scheduler.betas, scheduler.alphas_cumprod
    save_file(out, os.path.join(HERE, "data", "compatible.safetensors"), metadata=configs)


make()
