# SPDX-License-Identifier: MIT
"""What the checks of check.py share: errors, their bounds and the report, and images that diffusers
and the library draw from the same seeds, 100 + i for image i.
"""

import ctypes

import libdiffusion as dm
import numpy as np
import torch
from libdiffusion._library import dll
from libdiffusion._struct import Memory

IMAGES = 2
# Relative to the largest value: float32 through some 100 layers; gradients cancel in sums over
# pixels. 20 steps amplify.
OUTPUT, GRADIENT, SAMPLE = 1e-5, 1e-4, 1e-4


def error(got, want):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    if not np.isfinite(got).all():
        return float("inf")
    return float(np.abs(got - want).max() / max(np.abs(want).max(), 1e-30))


def nhwc(tensor):
    return np.ascontiguousarray(tensor.detach().permute(0, 2, 3, 1).numpy())


class Report:
    """Counts comparisons and prints what is beyond its bound."""

    def __init__(self):
        self.passed, self.failed, self.worst = 0, 0, {}

    def check(self, name, what, value, bound):
        self.worst[what] = max(self.worst.get(what, 0), value)
        if value <= bound:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {name}: {what} {value:.3g}, above {bound:g}")

    def require(self, name, what, condition, detail=""):
        self.check(name, what, 0 if condition else 1, 0)
        if not condition and detail:
            print(f"  {detail}")


def initial_noise():
    """[n, c, h, w], of the images' seeds."""
    return torch.cat(
        [
            torch.randn((1, 3, 8, 8), generator=torch.Generator().manual_seed(100 + i))
            for i in range(IMAGES)
        ]
    )


def run_scheduler(scheduler, model, noise, steps):
    """diffusers' loop, images as [n, h, w, c]."""
    scheduler.set_timesteps(steps)
    generators = [torch.Generator().manual_seed(100 + i) for i in range(len(noise))]
    for g in generators:
        torch.randn((1, *noise.shape[1:]), generator=g)  # the initial noise
    x = noise * float(getattr(scheduler, "init_noise_sigma", 1.0))
    with torch.no_grad():
        for t in scheduler.timesteps:
            scaled = (
                scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
            )
            output = model(scaled.float(), t.expand(len(x)) if t.ndim == 0 else t).sample
            keywords = {}
            if "generator" in scheduler.step.__code__.co_varnames:
                keywords["generator"] = generators
            x = scheduler.step(output, t, x, **keywords).prev_sample
    return nhwc(x)


def load_and_run(unet, folder, compatible, steps):
    """The library's images by the scheduler of a folder."""
    how, options, pointer = (
        Memory("dm_diffusers_options"),
        Memory("dm_sampler_options"),
        ctypes.c_void_p(),
    )
    how.set("compatible", compatible)
    code = dll.dm_schedule_load_diffusers(
        ctypes.byref(pointer), unet._core.pointer, folder.encode(), how.bytes, options.bytes
    )
    if code:
        raise RuntimeError(dll.dm_context_error(unet._core.pointer).decode())
    try:
        return run_sampler(unet, pointer, options, steps)
    finally:
        dll.dm_schedule_destroy(pointer)


def run_sampler(unet, schedule, options, steps, labels=None):
    options.set("steps", steps)
    sampler, images = ctypes.c_void_p(), np.empty((IMAGES, 8, 8, 3), np.float32)
    with unet._pinned() as network:
        code = dll.dm_sampler_create(ctypes.byref(sampler), network, schedule, options.bytes)
    request = Memory("dm_sampler_request")
    request.set("count", IMAGES)
    request.set("seed", 100)
    request.set("random", 1)
    if labels is not None:
        request.set_array("labels", np.asarray(labels, np.int32))
    if not code:
        code = dll.dm_sampler_run(sampler, request.bytes, images.ctypes.data, images.size)
    if code:
        raise RuntimeError(dll.dm_context_error(unet._core.pointer).decode())
    dll.dm_sampler_destroy(sampler)
    return images


def own_network(context, prediction):
    """A network of the library, without the zeros that it starts with."""
    unet = dm.Unet(
        context,
        height=8,
        width=8,
        levels=2,
        channels=[8, 16],
        blocks=[1, 1],
        norm_groups=4,
        prediction=prediction,
        attention=[0, 1],
        seed=3,
    )
    for name, shape in unet._shapes().items():
        if (
            name.endswith("conv2.weight")
            or name == "conv_out.weight"
            or name.endswith("to_out.0.weight")
        ):
            unet.set_tensor(
                name, np.random.default_rng(len(name)).normal(0, 0.1, shape).astype(np.float32)
            )
    return unet
