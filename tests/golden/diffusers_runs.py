# SPDX-License-Identifier: MIT
"""Runs of diffusers' schedulers in double, for make_solvers.py, whose head lists their inputs."""

import math
import sys

import numpy as np
import torch
from diffusers import DDPMScheduler, DEISMultistepScheduler
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr
from diffusers.utils import logging

import formula

logging.set_verbosity_error()

SHAPE = (2, 3, 8, 8)
T = 1000
SIGMA_DATA = 0.5
results = {}


class InDouble:
    """torch or numpy, but that float32 is float64."""

    def __init__(self, module):
        self._module = module
        self.float32 = module.float64

    def __getattr__(self, name):
        return getattr(self._module, name)


torch.set_default_dtype(torch.float64)
for name, module in list(sys.modules.items()):
    if name.startswith("diffusers.schedulers.scheduling_"):
        for of_it, real in (("torch", torch), ("np", np)):
            if getattr(module, of_it, None) is real:
                setattr(module, of_it, InDouble(real))


def draw(name, scale):
    return torch.from_numpy(formula.fill(name, SHAPE, scale)).double()


def noise_of(step):
    return draw(f"solvers/noise{step}", math.sqrt(3))


def start_of(factor):
    """In single precision, as the library's."""
    return (draw("solvers/start", 2.0).float() * np.float32(factor)).double()


def single(x):
    return x.float().double()


def network(x, t, label=0):
    x, t = single(x), float(np.float32(t))
    return single(0.9 * x * ((t + 1) / (t + 2)) + 0.1 * torch.sin(3 * x + (0.01 * t + label)))


def store(key, x):
    results[key] = x.reshape(-1).numpy().astype(np.float32)


def finish(case, steps, x, x0=None):
    assert case + "/x" not in results and bool(torch.isfinite(x).all())
    store(case + "/x", x)
    if x0 is not None:
        store(case + "/x0", x0)
    print(f"{case}: {steps} steps, |x| {float(x.abs().mean()):.6f}")


def betas_of(kind):
    """linear, scaled_linear, squaredcos_cap_v2, sigmoid, or zero: linear with zero terminal SNR."""
    betas = DDPMScheduler(beta_schedule="linear" if kind == "zero" else kind).betas
    return (rescale_zero_terminal_snr(betas) if kind == "zero" else betas).tolist()


def to_eps(prediction, output, x, signal, noise):
    if prediction == "sample":
        return (x - signal * output) / noise
    if prediction == "v_prediction":
        return signal * output + noise * x
    return output


def give_noise(scheduler, noise):
    """At the next step."""
    module = sys.modules[
        [c for c in type(scheduler).__mro__ if c.__module__.startswith("diffusers")][0].__module__
    ]
    module.randn_tensor = lambda *_, **__: noise


def run(
    case,
    scheduler,
    *,
    by_sigma=False,
    prediction="epsilon",
    outside=False,
    times=None,
    start=1.0,
    stages=1,
    flow=False,
    **of_step,
):
    """`scheduler` with its timesteps set. times: the times that the network gets, instead of
    them."""
    times = scheduler.timesteps if times is None else times
    assert len(times) == len(scheduler.timesteps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(0)
    x, middle = start_of(start), None
    if by_sigma:
        x = x * math.sqrt(1 + float(scheduler.sigmas[0]) ** 2)
    steps = (len(times) + stages - 1) // stages
    for k, t in enumerate(scheduler.timesteps):
        step = k // stages + 1
        model_input = scheduler.scale_model_input(x, t) if by_sigma else x
        output = network(model_input, times[k])
        if outside and flow:
            sigma = float(scheduler.sigmas[k])
            output = (model_input - output) / sigma
        elif outside:
            a = (
                float(scheduler.alphas_cumprod[int(t)])
                if not by_sigma
                else 1 / (1 + level_sigma(scheduler, k) ** 2)
            )
            output = to_eps(prediction, output, model_input, math.sqrt(a), math.sqrt(1 - a))
        give_noise(scheduler, noise_of(step))
        result = scheduler.step(output, t, x, **of_step)
        x = result.prev_sample
        if step == (steps + 1) // 2:
            middle = x_0_of(scheduler, result)
    if by_sigma:
        x = x / math.sqrt(1 + float(scheduler.sigmas[-1]) ** 2)
    finish(case, steps, x, middle)


def x_0_of(scheduler, result):
    """The x_0 that the scheduler returns or keeps in its history; DEIS keeps eps, and PNDM and flow
    compute none."""
    if hasattr(result, "pred_original_sample"):
        return result.pred_original_sample
    keeps = hasattr(scheduler, "model_outputs") and not isinstance(
        scheduler, DEISMultistepScheduler
    )
    return scheduler.model_outputs[-1] if keeps else None


def level_sigma(scheduler, k):
    """The sigma of evaluation k."""
    return float(
        scheduler.sigmas_interpol[k]
        if hasattr(scheduler, "sigmas_interpol") and k % 2
        else scheduler.sigmas[k]
    )


def log_sigmas_of(scheduler):
    return np.log(((1 - scheduler.alphas_cumprod) / scheduler.alphas_cumprod).numpy() ** 0.5)


def times_of(scheduler, sigmas):
    logs = log_sigmas_of(scheduler)
    return np.array([scheduler._sigma_to_t(np.array(float(s)), logs) for s in sigmas])
