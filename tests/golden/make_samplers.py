# SPDX-License-Identifier: MIT
"""data/samplers.safetensors: what diffusers' DDPM and DDIM schedulers make of one start, in double
precision, for the options that test_samplers.c lists too. Of each case: "<case>/x", the final
images, and "<case>/x0", the x_0 predicted at the step in the middle.

Diffusers keeps its tables in float32; here they are replaced by the same in double, so that the
values can be matched to float's own precision. The start is fill("samplers/start") * 2, the noise
of step i (1 for the first) fill("samplers/noise<i>") * sqrt(3), whose variance is 1. The network is
0.98 x (t + 1) / (t + 2): clipping matters with it.
"""

import math
from pathlib import Path

import numpy as np
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from diffusers.schedulers import scheduling_ddpm
from safetensors.numpy import save_file

import formula

SHAPE = (4, 3, 8, 8)
results = {}


def draw(name, scale):
    return torch.from_numpy(formula.fill(name, SHAPE, scale)).double()


def cosine_betas(steps):
    def signal(u):
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    betas = [min(1 - signal((t + 1) / steps) / signal(t / steps), 0.999) for t in range(steps)]
    return torch.tensor(betas, dtype=torch.float64)


def in_double(scheduler, betas, final_alpha_one=True):
    scheduler.betas = betas
    scheduler.alphas = 1 - betas
    scheduler.alphas_cumprod = torch.cumprod(scheduler.alphas, 0)
    scheduler.one = torch.tensor(1.0, dtype=torch.float64)
    scheduler.final_alpha_cumprod = (
        scheduler.one if final_alpha_one else scheduler.alphas_cumprod[0]
    )


def run(case, scheduler, step):
    x = draw("samplers/start", 2.0)
    steps = len(scheduler.timesteps)
    clipped = []
    for i, t in enumerate(scheduler.timesteps, 1):
        output = 0.98 * x * (float(t) + 1) / (float(t) + 2)
        noise = draw(f"samplers/noise{i}", math.sqrt(3))
        result = step(output, t, x, noise if i < steps else 0 * noise)
        x = result.prev_sample
        clipped.append(float((result.pred_original_sample.abs() == 1).double().mean()))
        if i == (steps + 1) // 2:
            results[f"{case}/x0"] = (
                result.pred_original_sample.reshape(-1).numpy().astype(np.float32)
            )
    results[f"{case}/x"] = x.reshape(-1).numpy().astype(np.float32)
    print(
        f"{case}: {steps} steps, |x| {float(x.abs().mean()):.6f}, "
        f"clipped {min(clipped):.2f} to {max(clipped):.2f}"
    )


def linear(steps=1000):
    return torch.linspace(1e-4, 0.02, steps, dtype=torch.float64)


def ddpm(case, steps=None, timesteps=None, betas=None, **config):
    scheduler = DDPMScheduler(**config)
    in_double(scheduler, linear() if betas is None else betas)
    scheduler.set_timesteps(steps, timesteps=timesteps)

    def step(output, t, x, noise):
        # Diffusers adds noise at the last step too, unless that is timestep 0: run() then gives
        # zeros.
        scheduling_ddpm.randn_tensor = lambda *_, **__: noise
        return scheduler.step(output, t, x)

    run(case, scheduler, step)


def ddim(case, steps, eta=0.0, rederive=False, betas=None, previous=None, **config):
    scheduler = DDIMScheduler(**config)
    in_double(scheduler, linear() if betas is None else betas, config.get("set_alpha_to_one", True))
    scheduler.set_timesteps(steps)
    # Diffusers goes back by T // steps, which is the list's distance only for this number of steps.
    if previous:
        scheduler.num_inference_steps = previous
    run(
        case,
        scheduler,
        lambda output, t, x, noise: scheduler.step(
            output,
            t,
            x,
            eta=eta,
            use_clipped_model_output=rederive,
            variance_noise=noise if eta > 0 else None,
        ),
    )


ddpm("ddpm-large", 50, variance_type="fixed_large")
ddpm("ddpm-small", 50, variance_type="fixed_small", timestep_spacing="trailing")
ddpm(
    "ddpm-x0",
    20,
    variance_type="fixed_large",
    timestep_spacing="trailing",
    prediction_type="sample",
)
ddpm(
    "ddpm-v",
    20,
    variance_type="fixed_small",
    timestep_spacing="linspace",
    prediction_type="v_prediction",
)
ddpm(
    "ddpm-custom",
    timesteps=[990, 700, 431, 200, 77, 20, 3, 1],
    variance_type="fixed_large",
    prediction_type="v_prediction",
)
ddpm(
    "ddpm-cosine",
    100,
    betas=cosine_betas(1000),
    variance_type="fixed_large",
    prediction_type="v_prediction",
)
ddim("ddim-leading", 20)
ddim("ddim-half", 20, eta=0.5)
ddim("ddim-full", 20, eta=1.0, timestep_spacing="trailing", prediction_type="v_prediction")
ddim("ddim-x0", 10, timestep_spacing="linspace", prediction_type="sample", previous=9)
ddim(
    "ddim-x0-half",
    25,
    eta=0.5,
    timestep_spacing="trailing",
    prediction_type="sample",
    clip_sample=False,
)
ddim("ddim-offset", 20, steps_offset=1, set_alpha_to_one=False, prediction_type="v_prediction")
ddim("ddim-rederive", 20, rederive=True, timestep_spacing="trailing")
ddim("ddim-free", 50, clip_sample=False, timestep_spacing="trailing")
ddim(
    "ddim-cosine",
    20,
    betas=cosine_betas(1000),
    timestep_spacing="trailing",
    prediction_type="v_prediction",
)

save_file(results, str(Path(__file__).parent / "data" / "samplers.safetensors"))
